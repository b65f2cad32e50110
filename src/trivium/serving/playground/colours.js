/** What a canvas must be told: the accent colour of the style sheet as numbers, and when the theme changes. */
import { el } from "./dom.js";

const probe = el("i", { class: "accent-probe", "aria-hidden": "true" });

/** The accent colour's red, green and blue. @returns {number[]} */
export function accent() {
  if (!probe.isConnected) document.body.append(probe);
  return (getComputedStyle(probe).color.match(/[\d.]+/g) ?? ["0", "0", "0"]).slice(0, 3).map(Number);
}

/** Calls `redraw` when light turns to dark or back, for as long as `node` is in the page.
 * @param {Element} node @param {() => void} redraw */
export function onTheme(node, redraw) {
  const query = matchMedia("(prefers-color-scheme: dark)");
  const look = () => {
    if (node.isConnected) {
      redraw();
      return;
    }
    watch.disconnect();
    query.removeEventListener("change", look);
  };
  const watch = new MutationObserver(look);
  watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  query.addEventListener("change", look);
}
