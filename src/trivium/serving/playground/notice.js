/** What went wrong, in one sentence, where it went wrong. */
import { isAbort } from "./api.js";
import { el } from "./dom.js";

/** @param {unknown} found what was thrown @returns {HTMLElement} */
export function problem(found) {
  const text = found instanceof Error ? found.message : String(found);
  return el("p", { class: "problem", role: "alert" }, text);
}

/** A problem as a node, or nothing where the user stopped it. @param {unknown} found */
export const problemUnlessStopped = (found) => (isAbort(found) ? null : problem(found));
