/**
 * Curves over a common axis: an SVG that stretches with the page, lettering beside it in HTML that does not.
 *
 * The plot is read with the pointer, or with the keys as a slider is: left and right by point, page up and down by ten,
 * home and end; what is under the line is told to a screen reader. Colour is never alone: each run has its own dashes.
 */
import { el, show, svg } from "./dom.js";
import { axis, spelt } from "./axes.js";
import { thinned } from "./course.js";

/**
 * @typedef {{x: number, y: number}} Point
 * @typedef {{name: string, look: number, points: Point[], faint?: boolean, dots?: boolean}} Series
 *   look: which colour and dashes; faint: the noisy curve behind its mean, not read; dots: measured at few points
 */

const MOST = 700; // points of one curve: more would fall on the same pixels
export const LOOKS = 6;

/** Colour and dashes of the n-th run. @param {number} look */
export const looks = (look) => `c${look % LOOKS} d${look % LOOKS}`;

/** A piece of line as it is drawn, for legends and tables. @param {number} look @param {boolean} [dots] */
export const key = (look, dots = false) =>
  svg("svg", { class: `key ${looks(look)}`, viewBox: "0 0 28 10", "aria-hidden": "true" },
    svg("path", { class: "line", d: "M0 5H28" }), dots && svg("path", { class: "dot", d: "M14 5h0" }));

/**
 * @param {string} name what it shows, in words
 * @returns {{node: HTMLElement, draw: (series: Series[], options: {x: string, y: string, logX?: boolean, logY?: boolean,
 *   empty?: string}) => void}}
 */
export function plot(name) {
  const drawn = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
  const ticksY = el("div", { class: "yticks", "aria-hidden": "true" });
  const ticksX = el("div", { class: "xticks", "aria-hidden": "true" });
  const hair = el("div", { class: "hair", hidden: true, "aria-hidden": "true" });
  const reading = el("div", { class: "reading", hidden: true, "aria-hidden": "true" });
  const area = el("div", { class: "plot", role: "slider", tabindex: 0, "aria-label": `Read ${name}`, "aria-orientation": "horizontal" },
    ticksY, drawn, ticksX, hair, reading);
  const [labelY, labelX] = [el("div", { class: "ylabel" }), el("div", { class: "xlabel" })];
  const nothing = el("p", { class: "note" });
  const node = el("figure", { class: "curves", "aria-label": name }, labelY, area, labelX, nothing);

  /** @type {{series: Series[], places: number[], axisX: any, axisY: any, x: string}} */
  let now = { series: [], places: [], axisX: null, axisY: null, x: "" };
  let at = -1; // the place that is read; -1: none

  /** @param {Series[]} given @param {{x: string, y: string, logX?: boolean, logY?: boolean, empty?: string}} options */
  function draw(given, { x, y, logX = false, logY = false, empty = "There is nothing to draw yet." }) {
    const held = at >= 0 ? now.places[at] : null;
    const series = given
      .map((each) => ({ ...each, points: each.points.filter((p) => (!logX || p.x > 0) && (!logY || p.y > 0)) }))
      .filter((each) => each.points.length)
      .map((each) => ({ ...each, points: each.dots ? each.points : thinned(each.points, MOST) }));
    for (const part of [area, labelY, labelX]) part.hidden = !series.length;
    nothing.hidden = series.length > 0;
    show(nothing, empty);
    if (!series.length) return hide();
    const axisX = axis(series.flatMap((each) => each.points.map((point) => point.x)), { log: logX });
    const axisY = axis(series.flatMap((each) => each.points.map((point) => point.y)), { log: logY, margin: 0.04 });
    const places = [...new Set(series.filter((each) => !each.faint).flatMap((each) => each.points.map((point) => point.x)))];
    now = { series, places: places.sort((one, other) => one - other), axisX, axisY, x };
    show(labelY, y);
    show(labelX, x);
    show(ticksY, axisY.ticks.map((tick) => el("span", { vars: { "--at": 1 - axisY.at(tick) } }, spelt(tick))));
    show(ticksX, axisX.ticks.map((tick) =>
      el("span", { class: axisX.at(tick) > 0.93 ? "end" : null, vars: { "--at": axisX.at(tick) } }, spelt(tick))));
    show(drawn, axisY.ticks.map((tick) => svg("path", { class: "grid", d: `M0 ${high(axisY, tick)}H100` })),
      [...series].sort((one, other) => Number(!one.faint) - Number(!other.faint)).map((each) => curve(each, axisX, axisY)));
    area.setAttribute("aria-valuemin", "1");
    area.setAttribute("aria-valuemax", String(now.places.length));
    if (held === null) hide();
    else read(nearest(now.places, held));
  }

  /** @param {number} place */
  function read(place) {
    at = Math.max(0, Math.min(now.places.length - 1, place));
    const x = now.places[at];
    const found = now.series.filter((each) => !each.faint).map((each) => {
      const point = each.points[nearest(each.points.map((each) => each.x), x)];
      return { each, point };
    }).filter(({ point }) => Math.abs(now.axisX.at(point.x) - now.axisX.at(x)) < 0.02);
    const across = now.axisX.at(x);
    for (const part of [hair, reading]) {
      part.hidden = false;
      part.style.setProperty("--at", String(across));
    }
    reading.classList.toggle("left", across > 0.5);
    show(reading, el("p", {}, `${now.x} ${spelt(x)}`),
      el("ul", {}, found.map(({ each, point }) =>
        el("li", {}, key(each.look, each.dots), el("span", {}, each.name), el("b", {}, spelt(point.y))))));
    show(drawn, [...drawn.children].filter((child) => !child.classList.contains("read")),
      found.map(({ each, point }) =>
        svg("path", { class: `read dot ${looks(each.look)}`, d: `M${across100(now.axisX, point.x)} ${high(now.axisY, point.y)}h0` })));
    area.setAttribute("aria-valuenow", String(at + 1));
    area.setAttribute("aria-valuetext",
      `${now.x} ${spelt(x)}: ${found.map(({ each, point }) => `${each.name} ${spelt(point.y)}`).join("; ")}`);
  }

  function hide() {
    at = -1;
    hair.hidden = reading.hidden = true;
    for (const old of drawn.querySelectorAll(".read")) old.remove();
    area.setAttribute("aria-valuenow", String(Math.max(1, now.places.length)));
    area.setAttribute("aria-valuetext", "press an arrow key to read values");
  }

  area.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    const box = drawn.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    read(nearest(now.places.map((place) => now.axisX.at(place)), across));
  });
  area.addEventListener("pointerleave", () => document.activeElement !== area && hide());
  area.addEventListener("blur", hide);
  area.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const last = now.places.length - 1;
    const begun = at < 0 ? last : at;
    const to = { ArrowLeft: begun - 1, ArrowRight: begun + 1, ArrowDown: begun - 1, ArrowUp: begun + 1, PageDown: begun - 10,
      PageUp: begun + 10, Home: 0, End: last }[event.key];
    if (event.key === "Escape") hide();
    if (to === undefined) return;
    event.preventDefault();
    read(at < 0 && event.key.startsWith("Arrow") ? last : to);
  });
  draw([], { x: "", y: "", empty: "" }); // what has nothing to read yet does not take the focus
  return { node, draw };
}

/** @param {any} axisY @param {number} value */
const high = (axisY, value) => (100 - 100 * axisY.at(value)).toFixed(2);
/** @param {any} axisX @param {number} value */
const across100 = (axisX, value) => (100 * axisX.at(value)).toFixed(2);

/** @param {Series} series @param {any} axisX @param {any} axisY */
function curve(series, axisX, axisY) {
  const steps = series.points.map((point) => `${across100(axisX, point.x)} ${high(axisY, point.y)}`);
  const line = svg("path", { class: `line ${looks(series.look)}${series.faint ? " faint" : ""}`, d: `M${steps.join("L")}` });
  const dotted = series.dots || steps.length === 1;
  return dotted ? svg("g", {}, line, steps.map((step) => svg("path", { class: `dot ${looks(series.look)}`, d: `M${step}h0` }))) : line;
}

/** Where in a rising list the nearest value stands. @param {number[]} values @param {number} value */
function nearest(values, value) {
  let [low, above] = [0, values.length];
  while (low < above) {
    const middle = (low + above) >> 1;
    if (values[middle] < value) low = middle + 1;
    else above = middle;
  }
  if (low === 0) return 0;
  if (low === values.length) return values.length - 1;
  return value - values[low - 1] <= values[low] - value ? low - 1 : low;
}
