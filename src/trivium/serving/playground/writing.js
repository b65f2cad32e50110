/** What Chat and Complete share: a button that lets a model write, and while it writes stops it. */
import { show } from "./dom.js";
import { button } from "./fields.js";

/**
 * @param {string} name of the button while nothing is written @param {() => void} start
 * @param {(busy: boolean) => void} [changed]
 */
export function writing(name, start, changed) {
  /** @type {AbortController | null} */
  let running = null;
  const stop = () => running?.abort();
  const node = button(name, () => (running ? stop() : start()), { class: "main" });

  function tell() {
    show(node, running ? "Stop" : name);
    node.classList.toggle("main", !running);
    changed?.(running !== null);
  }

  return {
    node,
    stop,
    busy: () => running !== null,
    /** While `work` is done with its signal, this is busy; another writing may begin before it has ended.
     * @template T @param {(signal: AbortSignal) => Promise<T>} work */
    async during(work) {
      const own = (running = new AbortController());
      tell();
      try {
        return await work(own.signal);
      } finally {
        if (running === own) {
          running = null;
          tell();
        }
      }
    },
  };
}
