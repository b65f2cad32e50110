/**
 * Attention as a matrix: rows look, columns are looked at. A canvas holds the weights, so that a thousand tokens are
 * drawn as quickly as ten; the tokens stand beside it as text where there is room, and a line says what the chosen cell is.
 */
import { tokenLabel } from "./characters.js";
import { el } from "./dom.js";
import { paint } from "./pixels.js";
import { accent, onTheme } from "./colours.js";
import { percent } from "./words.js";

const LARGEST = 30; // pixels of a cell
const LEGIBLE = 12; // from this on, tokens are written beside it
const LABEL = 16; // characters of a token

/**
 * @param {{queries: string[], keys: string[], label: string, onpick?: (query: number, key: number) => void}} options
 * @returns {{node: HTMLElement, show(weights: number[][]): void, pick(query: number): void}}
 */
export function matrix({ queries, keys, label, onpick }) {
  const canvas = el("canvas", { class: "matrix-canvas", "aria-hidden": "true" });
  const cursor = el("div", { class: "matrix-cursor", hidden: true });
  const cells = el(
    "div",
    { class: "matrix-cells", tabindex: "0", role: "group", "aria-roledescription": "heat map", "aria-label": label },
    canvas,
    cursor,
  );
  const top = el("div", { class: "matrix-top", "aria-hidden": "true" }, ...names(keys));
  const left = el("div", { class: "matrix-left", "aria-hidden": "true" }, ...names(queries));
  const corner = el("div", { class: "matrix-corner", "aria-hidden": "true" });
  const grid = el("div", { class: "matrix-grid" }, corner, top, left, cells);
  const said = el("p", { class: "readout", "aria-live": "polite" }, "Point at a cell, or go to it with the arrow keys.");
  const scroll = el("div", { class: "matrix-scroll" }, grid);
  const node = el("div", { class: "matrix" }, scroll, said);
  let weights = [[]];
  let cell = 0;
  let at = null;

  function layout() {
    const longest = Math.max(...queries.map((each) => Math.min(Array.from(tokenLabel(each)).length, LABEL)), 1);
    const beside = Math.floor((scroll.clientWidth - 8.2 * longest - 12) / Math.max(keys.length, 1));
    const alone = Math.floor(scroll.clientWidth / Math.max(keys.length, 1));
    const least = keys.length <= 48 ? 16 : 2;
    const wanted = Math.min(Math.max(beside >= LEGIBLE ? beside : Math.min(alone, LEGIBLE - 1), least), LARGEST);
    if (wanted === cell) return;
    cell = wanted;
    grid.style.setProperty("--cell", `${cell}px`);
    grid.style.setProperty("--columns", String(keys.length));
    grid.style.setProperty("--rows", String(queries.length));
    grid.classList.toggle("bare", cell < LEGIBLE);
    place();
  }

  function place() {
    cursor.hidden = at === null;
    for (const line of [top, left]) line.querySelector(".at")?.classList.remove("at");
    if (at === null) return;
    const [query, key] = at;
    cursor.style.setProperty("transform", `translate(${key * cell}px, ${query * cell}px)`);
    left.children[query]?.classList.add("at");
    top.children[key]?.classList.add("at");
    const weight = weights[query]?.[key] ?? 0;
    said.replaceChildren(
      el("bdi", { class: "tok" }, tokenLabel(queries[query])),
      ` (${query + 1}) gives `,
      el("b", {}, percent(weight)),
      " of its attention to ",
      el("bdi", { class: "tok" }, tokenLabel(keys[key])),
      ` (${key + 1}).`,
    );
  }

  function go(query, key, picked) {
    at = [Math.min(Math.max(query, 0), queries.length - 1), Math.min(Math.max(key, 0), keys.length - 1)];
    place();
    if (picked) onpick?.(...at);
  }

  function under(event) {
    const box = cells.getBoundingClientRect();
    return [Math.floor((event.clientY - box.top) / cell), Math.floor((event.clientX - box.left) / cell)];
  }

  cells.addEventListener("pointermove", (event) => go(...under(event), false));
  cells.addEventListener("click", (event) => go(...under(event), true));
  cells.addEventListener("focus", () => at ?? go(0, 0, false));
  cells.addEventListener("keydown", (event) => {
    const [query, key] = at ?? [0, 0];
    const page = 10;
    const moves = {
      ArrowUp: [query - 1, key], ArrowDown: [query + 1, key], ArrowLeft: [query, key - 1], ArrowRight: [query, key + 1],
      PageUp: [query - page, key], PageDown: [query + page, key], Home: [query, 0], End: [query, keys.length - 1],
    };
    if (!(event.key in moves) || event.altKey || event.metaKey) return;
    event.preventDefault();
    go(...moves[event.key], true);
    const begins = at[1] * cell;
    const ends = left.offsetWidth + (at[1] + 1) * cell - scroll.clientWidth;
    scroll.scrollLeft = Math.max(ends, Math.min(scroll.scrollLeft, begins));
  });
  new ResizeObserver(layout).observe(node);
  const draw = () => paint(canvas, weights, accent());
  onTheme(node, draw);

  return {
    node,
    show(numbers) {
      weights = numbers;
      draw();
      place();
    },
    pick(query) {
      go(query, at?.[1] ?? 0, false);
    },
  };
}

function names(tokens) {
  return tokens.map((each) => el("bdi", {}, tokenLabel(each, LABEL)));
}
