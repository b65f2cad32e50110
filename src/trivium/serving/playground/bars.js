/** Candidates with their probabilities: the text, a bar as long as the share, the number. */
import { legible, tokenLabel } from "./characters.js";
import { el } from "./dom.js";
import { percent } from "./words.js";

/**
 * @param {{text: string, probability: number, strong?: boolean, token?: boolean}[]} candidates `token`: its outer
 *   spaces are shown; `strong`: it is the one that was chosen
 * @param {{rest?: number, onpick?: (index: number) => void, label?: string}} [options] `rest`: the probability of all
 *   others; `onpick`: each candidate is a button
 * @returns {HTMLElement}
 */
export function bars(candidates, { rest, onpick, label } = {}) {
  const rows = candidates.map((each, index) => {
    const text = each.token === false ? el("bdi", {}, legible(each.text)) : el("bdi", { class: "tok" }, tokenLabel(each.text));
    const parts = [text, bar(each.probability), el("span", { class: "num" }, percent(each.probability))];
    const strong = each.strong ? "strong" : null;
    if (!onpick) return el("li", { class: strong }, ...parts);
    const pressed = { type: "button", "aria-pressed": String(Boolean(each.strong)), on: { click: () => onpick(index) } };
    return el("li", { class: strong }, el("button", pressed, ...parts));
  });
  if (rest !== undefined && rest > 0) {
    rows.push(el("li", { class: "rest" }, el("span", {}, "all others"), bar(rest), el("span", { class: "num" }, percent(rest))));
  }
  return el("ol", { class: "bars", "aria-label": label }, ...rows);
}

function bar(share) {
  return el("span", { class: "bar", "aria-hidden": "true", vars: { "--share": Math.min(Math.max(share, 0), 1) } });
}
