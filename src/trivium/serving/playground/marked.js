/**
 * Spans of a text: marked where none overlap, else as nested boxes. Spans that cross cannot be boxes of one another:
 * the later one is cut where the earlier ends, and both parts carry its label.
 */
import { legible } from "./characters.js";
import { el } from "./dom.js";
import { percent } from "./words.js";

/**
 * Boxes in boxes.
 * @typedef {{start: number, end: number, span: object | null, inside: Box[]}} Box
 */

/** Spans as a tree: each inside the shortest that holds it. Starts and ends are counted in code points.
 * @param {{start: number, end: number}[]} spans
 * @param {number} length of the text
 * @returns {Box} the text as a whole */
export function nested(spans, length) {
  const root = { start: 0, end: length, span: null, inside: [] };
  const waiting = spans
    .filter((each) => each.start < each.end && each.start >= 0 && each.end <= length)
    .map((span) => ({ start: span.start, end: span.end, span, inside: [] }));
  const order = (one, other) => one.start - other.start || other.end - one.end;
  waiting.sort(order);
  const open = [root];
  while (waiting.length) {
    const box = waiting.shift();
    while (open.at(-1).end <= box.start) open.pop();
    const holder = open.at(-1);
    if (box.end > holder.end) {
      waiting.push({ start: holder.end, end: box.end, span: box.span, inside: [] });
      waiting.sort(order);
      box.end = holder.end;
    }
    holder.inside.push(box);
    open.push(box);
  }
  return root;
}

/**
 * @param {string} text
 * @param {{start: number, end: number, label: string, probability?: number}[]} spans
 * @param {(label: string) => number} colourOf a number for each label
 * @returns {HTMLElement}
 */
export function markedText(text, spans, colourOf) {
  const points = Array.from(text);
  const draw = (box) => {
    const parts = [];
    let at = box.start;
    const say = (end) => end > at && parts.push(legible(points.slice(at, end).join("")));
    for (const inner of box.inside) {
      say(inner.start);
      parts.push(draw(inner));
      at = inner.end;
    }
    say(box.end);
    if (!box.span) return el("p", { class: "marked", dir: "auto" }, ...parts);
    const sure = box.span.probability === undefined ? "" : ` ${percent(box.span.probability)}`;
    const label = el("span", { class: "span-label" }, box.span.label, sure && el("small", {}, sure));
    return el("mark", { class: `span k${colourOf(box.span.label) % 6}` }, ...parts, label);
  };
  return draw(nested(spans, points.length));
}

