/** What a canvas must be told: the accent colour of the style sheet as numbers, and when the theme changes. */
import { el } from "./dom.js";

const probe = el("i", { class: "accent-probe", "aria-hidden": "true" });

/** The accent colour's red, green and blue. @returns {number[]} */
export function accent() {
  if (!probe.isConnected) document.body.append(probe);
  return (getComputedStyle(probe).color.match(/[\d.]+/g) ?? ["0", "0", "0"]).slice(0, 3).map(Number);
}

/** @type {WeakMap<Element, () => void>} */
const redraws = new WeakMap();
/** @type {Set<WeakRef<Element>>} */
const drawn = new Set();

/** Calls `redraw` when light turns to dark or back, for as long as there is `node`.
 * @param {Element} node @param {() => void} redraw */
export function onTheme(node, redraw) {
  redraws.set(node, redraw);
  drawn.add(new WeakRef(node));
}

function redrawAll() {
  for (const reference of drawn) {
    const node = reference.deref();
    if (node) redraws.get(node)?.();
    else drawn.delete(reference);
  }
}

new MutationObserver(redrawAll).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
