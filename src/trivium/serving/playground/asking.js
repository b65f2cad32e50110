/**
 * The shape that tabs of questions share: at the left what is asked, beside it of which model and how, below what comes
 * back. A question that is asked again stops the one before; a problem stands where the answer would.
 */
import { announce, el, show } from "./dom.js";
import { problemUnlessStopped } from "./notice.js";

/**
 * @param {Element} root
 * @param {{main: any[], side: any[], action: string, ask: (signal: AbortSignal) => Promise<any>, live?: boolean}} options
 *   `ask` gives the nodes of the answer
 * @returns {{ask: () => Promise<void>, clear: () => void, leave: () => void}}
 */
export function asking(root, { main, side, action, ask }) {
  const result = el("div", { class: "result" });
  /** @type {AbortController | null} */
  let running = null;

  async function run() {
    running?.abort();
    const own = (running = new AbortController());
    result.setAttribute("aria-busy", "true");
    try {
      const nodes = await ask(own.signal);
      if (running === own) {
        show(result, nodes);
        announce("The answer is there.");
      }
    } catch (found) {
      if (running === own) show(result, problemUnlessStopped(found));
    } finally {
      if (running === own) {
        running = null;
        result.removeAttribute("aria-busy");
      }
    }
  }

  const form = el(
    "form",
    {
      class: "ask",
      on: {
        submit: (/** @type {Event} */ event) => {
          event.preventDefault();
          run();
        },
        keydown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          run();
        },
      },
    },
    el("div", { class: "ask-main" }, main, el("button", { type: "submit", class: "main" }, action)),
    el("div", { class: "ask-side" }, side),
  );
  root.append(form, result);
  return {
    ask: run,
    clear: () => {
      running?.abort();
      show(result);
    },
    leave: () => running?.abort(),
  };
}
