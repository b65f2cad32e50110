/**
 * Every layer and head at a glance: a small picture each, rows of layers and columns of heads. Choosing one shows it
 * large. A head is described by where it looks most, as in Clark et al. 2019, "What Does BERT Look At?".
 */

import { el } from "./dom.js";
import { paint } from "./pixels.js";
import { roving } from "./roving.js";
import { accent, onTheme } from "./colours.js";
import { percent } from "./words.js";

/** What heads can be looked for by. `of`: how much a head is like that, more is more.
 * @type {{name: string, of: (summary: object) => number, said: (summary: object) => string}[]} */
export const HABITS = [
  { name: "the token before", of: (each) => each.previous, said: (each) => `${percent(each.previous)} on the token before` },
  { name: "the token after", of: (each) => each.next, said: (each) => `${percent(each.next)} on the token after` },
  { name: "the token itself", of: (each) => each.same, said: (each) => `${percent(each.same)} on the token itself` },
  { name: "the first token", of: (each) => each.first, said: (each) => `${percent(each.first)} on the first token` },
  { name: "few tokens", of: (each) => -each.entropy, said: (each) => `spread of ${each.entropy.toFixed(2)} bits` },
  { name: "many tokens", of: (each) => each.entropy, said: (each) => `spread of ${each.entropy.toFixed(2)} bits` },
];

/** A head in a few words: its strongest habit where one has more than a third, and how spread it is. */
export function described(summary) {
  if (!summary) return "";
  const best = HABITS.slice(0, 4).reduce((one, other) => (other.of(summary) > one.of(summary) ? other : one));
  const spread = `spread of ${summary.entropy.toFixed(2)} bits`;
  return best.of(summary) > 1 / 3 ? `${best.said(summary)}, ${spread}` : spread;
}

/**
 * @param {{layers: number[], heads: number[], weights: number[][][][], summaries: any[], mean: boolean,
 *   onpick: (layer: number, head: number) => void}} options  `mean`: the weights are of all heads together
 * @returns {{node: HTMLElement, pick: (layer: number, head: number) => void, summaryOf: (layer: number, head: number) => any}}
 *   places in `weights`, from 0, are what `onpick` and the others are called with
 */
export function thumbnails({ layers, heads, weights, summaries, mean, onpick }) {
  const columns = mean ? ["mean"] : heads.map(String);
  const summaryOf = (layer, head) => (mean ? null : summaries.find((each) => each.layer === layers[layer] && each.head === heads[head]));
  const canvases = [];
  const buttons = layers.map((number, layer) =>
    columns.map((_, head) => {
      const canvas = el("canvas", { class: "thumb-canvas", "aria-hidden": "true" });
      canvases.push([canvas, layer, head]);
      const told = described(summaryOf(layer, head));
      const name = `Layer ${number}, ${mean ? "mean of all heads" : `head ${heads[head]}`}${told && ": "}${told}`;
      const click = () => {
        pick(layer, head);
        onpick(layer, head);
      };
      return el("button", { type: "button", class: "thumb", title: name, "aria-label": name, on: { click } }, canvas);
    }));
  const headings = el(
    "div",
    { class: "thumb-row thumb-heads", "aria-hidden": "true" },
    el("span", { class: "thumb-layer" }, "layer"),
    ...columns.map((name) => el("span", { class: "thumb-head" }, name)),
  );
  const rows = layers.map((number, layer) =>
    el(
      "div",
      { class: "thumb-row" },
      el("span", { class: "thumb-layer", "aria-hidden": "true" }, String(number)),
      ...buttons[layer],
    ));
  const grid = el("div", { class: "thumbs", role: "group", "aria-label": "Heads: a row for each layer" }, headings, ...rows);
  const node = el("div", { class: "thumb-scroll" }, grid);
  const draw = () => {
    const shade = accent();
    for (const [canvas, layer, head] of canvases) {
      paint(canvas, weights[layer][head], shade);
      canvas.classList.toggle("small", canvas.width < 40);
    }
  };
  draw();
  onTheme(node, draw);
  roving(grid, () => buttons.flat(), { columns: () => columns.length });

  function pick(layer, head) {
    for (const button of buttons.flat()) button.removeAttribute("aria-current");
    buttons[layer]?.[head]?.setAttribute("aria-current", "true");
  }

  return { node, pick, summaryOf };
}
