/**
 * Points with labels that keep out of each other's way. One unit is as long across as up. A label stands beside its
 * point where there is room, the first points first; one without is left out, and shows when its point is chosen.
 */

import { el, svg } from "./dom.js";
import { roving } from "./roving.js";

const WIDEST = 640;
const FLAT = 0.62; // height to width
const MARGIN = 34;
const LINE = 15;
const LETTER = 7;
const AROUND = [
  [8, 4, "start"], [-8, 4, "end"], [0, -9, "middle"], [0, 18, "middle"],
  [7, -7, "start"], [7, 15, "start"], [-7, -7, "end"], [-7, 15, "end"],
];

/** Points as pixels.
 * @param {{x: number, y: number}[]} points @param {number} width @param {number} height
 * @returns {[number, number][]} */
export function onPaper(points, width, height) {
  const [low, high, bottom, top] = [
    Math.min(...points.map((each) => each.x)), Math.max(...points.map((each) => each.x)),
    Math.min(...points.map((each) => each.y)), Math.max(...points.map((each) => each.y)),
  ];
  const [wide, tall] = [high - low, top - bottom];
  const scales = [(width - 4 * MARGIN) / wide, (height - 2 * MARGIN) / tall].filter(Number.isFinite);
  const scale = Math.max(wide, tall) > 1e-9 ? Math.min(...scales) : 0;
  return points.map(({ x, y }) => [
    width / 2 + (x - (low + high) / 2) * scale,
    height / 2 - (y - (bottom + top) / 2) * scale,
  ]);
}

/** Where each label goes: x, baseline and anchor, or null where each place is taken.
 * @param {[number, number][]} points
 * @param {string[]} labels
 * @param {number} paperWidth @param {number} paperHeight
 * @returns {([number, number, string] | null)[]} */
export function placed(points, labels, paperWidth, paperHeight) {
  const taken = points.map(([x, y]) => [x - 6, y - 6, x + 6, y + 6]);
  return points.map(([x, y], index) => {
    const width = LETTER * Array.from(labels[index]).length;
    for (const [dx, dy, anchor] of AROUND) {
      const left = x + dx - { start: 0, middle: width / 2, end: width }[anchor];
      const box = [left, y + dy - 0.8 * LINE, left + width, y + dy + 0.25 * LINE];
      const inside = box[0] >= 0 && box[1] >= 0 && box[2] <= paperWidth && box[3] <= paperHeight;
      const free = taken.every((other, place) => place === index || apart(box, other));
      if (inside && free) {
        taken.push(box);
        return [x + dx, y + dy, anchor];
      }
    }
    return null;
  });
}

function apart(one, other) {
  return one[0] >= other[2] || one[2] <= other[0] || one[1] >= other[3] || one[3] <= other[1];
}

/**
 * @param {{x: number, y: number, label: string, said: string, group: number}[]} points `said`: the whole of it, for
 *   screen readers; `group`: a number, points of one have one colour and one shape
 * @param {{label: string, onpick: (index: number) => void}} options
 * @returns {{node: HTMLElement, pick(index: number | null): void}}
 */
export function scatter(points, { label, onpick }) {
  const width = Math.min(WIDEST, document.documentElement.clientWidth - 40);
  const height = Math.max(Math.round(FLAT * width), 280);
  const paper = onPaper(points, width, height);
  const places = placed(paper, points.map((each) => each.label), width, height);
  const marks = points.map((point, index) => {
    const [x, y] = paper[index];
    const place = places[index];
    const text = svg("text", {
      x: place ? place[0] : x, y: place ? place[1] : y - 10, "text-anchor": place ? place[2] : "middle",
      class: place ? null : "hides",
    }, point.label);
    const mark = svg(
      "g",
      {
        class: `dot k${point.group % 6}`, role: "button", "aria-label": point.said,
        on: { pointerenter: () => pick(index), click: () => mark.focus() },
      },
      svg("circle", { cx: x, cy: y, r: 22, class: "reach" }),
      shape(point.group, x, y),
      text,
    );
    return mark;
  });
  const drawing = svg(
    "svg",
    { class: "scatter-map", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label },
    ...marks,
  );
  roving(drawing, () => marks, { onmove: (_, index) => pick(index) });

  function pick(index) {
    marks.forEach((mark, place) => mark.classList.toggle("at", place === index));
    if (index !== null) onpick(index);
  }

  return { node: el("div", { class: "scatter-frame" }, drawing), pick };
}

/** A circle, a square, a triangle, a diamond: groups differ in more than colour. */
function shape(group, x, y) {
  const paths = ["", `M${x - 5} ${y - 5}h10v10h-10Z`, `M${x} ${y - 7}l6.5 11.5h-13Z`, `M${x} ${y - 7}l7 7l-7 7l-7 -7Z`];
  const kind = group % 4;
  return kind === 0 ? svg("circle", { cx: x, cy: y, r: 5.5, class: "point" }) : svg("path", { d: paths[kind], class: "point" });
}
