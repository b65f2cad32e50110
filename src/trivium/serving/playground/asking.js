/**
 * The shape that tabs of questions share: at the left what is asked, beside it of which model and how, below what comes
 * back. A question that is asked again stops the one before; a problem stands where the answer would.
 */
import { announce, el, show } from "./dom.js";
import { side } from "./fields.js";
import { problemUnlessStopped } from "./notice.js";

/**
 * @param {Element} root
 * @param {{main: any[], beside: any[], action: string, ask: (signal: AbortSignal) => Promise<any>, wide?: boolean}} options
 *   `ask` gives the nodes of the answer; `wide`: it needs the room below the settings too
 * @returns {{ask: () => Promise<void>, clear: () => void, leave: () => void}}
 */
export function asking(root, { main, beside, action, ask, wide = false }) {
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
    main,
    el("button", { type: "submit", class: "main" }, action),
  );
  const settings = side("Model and settings", beside);
  const work = el("div", { class: "work" }, form, wide ? null : result);
  root.append(el("div", { class: wide ? "split above" : "split" }, work, settings), ...(wide ? [result] : []));
  return {
    ask: run,
    clear: () => {
      running?.abort();
      show(result);
    },
    leave: () => running?.abort(),
  };
}
