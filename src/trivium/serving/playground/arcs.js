/**
 * Attention as lines from the tokens that look (left) to those looked at (right), the thicker the more. A chosen token
 * shows its own lines alone, and how much each gets; else the strongest of all are drawn.
 */
import { tokenLabel } from "./characters.js";
import { el, svg } from "./dom.js";
import { roving } from "./roving.js";
import { percent } from "./words.js";

const STRONGEST = 300; // lines without a token chosen
const WEAKEST = 0.05; // and the least they carry
const FAINTEST = 0.004; // of a chosen token
const WIDTH = 100; // of the drawing's own units
const LABEL = 28;

/** The lines to draw: of one query, or the strongest.
 * @param {number[][]} weights
 * @param {number | null} query
 * @returns {{query: number, key: number, weight: number}[]} the weakest first */
export function strongest(weights, query) {
  const found = [];
  const least = query === null ? WEAKEST : FAINTEST;
  weights.forEach((row, from) => {
    if (query !== null && from !== query) return;
    row.forEach((weight, key) => weight >= least && found.push({ query: from, key, weight }));
  });
  found.sort((one, other) => one.weight - other.weight);
  return query === null ? found.slice(-STRONGEST) : found;
}

/**
 * @param {{queries: string[], keys: string[], looks: string, seen: string, onpick?: (query: number | null) => void}} options
 *   `looks` and `seen`: what the two columns are called
 * @returns {{node: HTMLElement, show(weights: number[][]): void, pick(query: number | null): void}}
 */
export function arcs({ queries, keys, looks, seen, onpick }) {
  const from = queries.map((text, place) => {
    const click = () => {
      pick(chosen === place ? null : place);
      onpick?.(chosen);
    };
    return el("button", { type: "button", class: "arc-token", on: { click } }, el("bdi", {}, tokenLabel(text, LABEL)));
  });
  const shares = keys.map(() => el("span", { class: "arc-share" }));
  const to = keys.map((text, place) => el("li", { class: "arc-token" }, el("bdi", {}, tokenLabel(text, LABEL)), shares[place]));
  const lines = svg("svg", { class: "arc-lines", "aria-hidden": "true", preserveAspectRatio: "none" });
  const left = el("ol", { class: "arc-from", "aria-label": looks }, ...from.map((each) => el("li", {}, each)));
  const right = el("ol", { class: "arc-to", "aria-label": seen }, ...to);
  const said = el("p", { class: "readout", "aria-live": "polite" });
  const node = el(
    "div",
    { class: "arcs" },
    el("div", { class: "arc-heads", "aria-hidden": "true" }, el("span", {}, looks), el("span", {}, seen)),
    el("div", { class: "arc-columns" }, left, lines, right),
    said,
  );
  let weights = [];
  let chosen = null;

  function draw() {
    const tall = Math.max(queries.length, keys.length);
    lines.setAttribute("viewBox", `0 0 ${WIDTH} ${tall}`);
    lines.style.setProperty("--tall", String(tall));
    const middle = WIDTH / 2;
    lines.replaceChildren(
      ...strongest(weights, chosen).map(({ query, key, weight }) => {
        const [y, end] = [query + 0.5, key + 0.5];
        return svg("path", {
          d: `M0 ${y}C${middle} ${y} ${middle} ${end} ${WIDTH} ${end}`,
          vars: { "stroke-width": `${0.5 + 4 * weight}px`, opacity: Math.min(1, 0.12 + 0.88 * weight) },
        });
      }),
    );
    from.forEach((each, place) => each.setAttribute("aria-pressed", String(place === chosen)));
    const row = chosen === null ? null : weights[chosen];
    to.forEach((each, place) => {
      each.style.setProperty("--share", row ? row[place].toFixed(3) : "0");
      shares[place].textContent = row && row[place] >= 0.01 ? percent(row[place]) : "";
    });
    say(row);
  }

  function say(row) {
    if (!row) {
      said.textContent = "Choose a token on the left to see where it looks.";
      return;
    }
    const best = row.map((weight, key) => ({ weight, key })).sort((one, other) => other.weight - one.weight).slice(0, 3);
    const parts = best.filter((each) => each.weight > 0).flatMap(({ weight, key }, place) => [
      place ? ", " : "",
      el("bdi", { class: "tok" }, tokenLabel(keys[key])),
      ` ${percent(weight)}`,
    ]);
    said.replaceChildren(el("bdi", { class: "tok" }, tokenLabel(queries[chosen])), " looks most at ", ...parts, ".");
  }

  function pick(query) {
    chosen = query;
    draw();
  }

  node.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen !== null) {
      pick(null);
      onpick?.(null);
    }
  });
  roving(left, () => from);

  return {
    node,
    show(numbers) {
      weights = numbers;
      draw();
    },
    pick,
  };
}
