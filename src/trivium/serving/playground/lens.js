/**
 * The logit lens (nostalgebraist 2020): what the model would predict if it stopped after each layer. A column for each
 * position, a row for each layer, the last on top; the stronger the colour, the surer.
 */
import { bars } from "./bars.js";
import { tokenLabel } from "./characters.js";
import { el } from "./dom.js";
import { roving } from "./roving.js";

const LABEL = 12;

/**
 * @param {{tokens: string[], layers: number[], top: object[][][], final: object[], ahead: boolean}} lens
 *   as the server answers; `ahead`: a position predicts the token after it
 * @returns {HTMLElement}
 */
export function lensTable({ tokens, layers, top, final, ahead }) {
  const said = el("div", { class: "lens-said", "aria-live": "polite" });
  const order = layers.map((_, place) => place).reverse();
  const cells = [];
  const rows = order.map((layer) => {
    const row = tokens.map((_, position) => {
      const best = top[layer][position][0];
      const agrees = best && final?.[position] && best.id === final[position].id;
      const button = el(
        "button",
        {
          type: "button",
          class: agrees ? "lens-cell agrees" : "lens-cell",
          vars: { "--share": best ? best.probability.toFixed(3) : 0 },
          on: { click: () => button.focus(), pointerenter: () => tell(layer, position) },
        },
        el("bdi", {}, best && tokenLabel(best.text, LABEL)),
      );
      cells.push([button, layer, position]);
      return el("td", {}, button);
    });
    return el("tr", {}, el("th", { scope: "row" }, layers[layer]), ...row);
  });
  const head = el(
    "tr",
    {},
    el("th", { scope: "col" }, "layer"),
    ...tokens.map((text) => el("th", { scope: "col" }, el("bdi", {}, tokenLabel(text, LABEL)))),
  );
  const table = el("table", { class: "lens" }, el("thead", {}, head), el("tbody", {}, ...rows));

  function tell(layer, position) {
    for (const [cell, row, column] of cells) cell.classList.toggle("at", row === layer && column === position);
    const where = layers[layer] === 0 ? "The embeddings, before any layer," : `Layer ${layers[layer]}`;
    said.replaceChildren(
      el("p", {}, `${where} at `, el("bdi", { class: "tok" }, tokenLabel(tokens[position])), ahead ? " predicts next:" : " predicts here:"),
      bars(top[layer][position]),
    );
  }

  roving(table, () => cells.map(([cell]) => cell), {
    columns: () => tokens.length,
    onmove: (_, index) => tell(cells[index][1], cells[index][2]),
  });
  if (cells.length) tell(order[0], tokens.length - 1);
  return el("div", { class: "lens-view" }, el("div", { class: "lens-scroll" }, table), said);
}
