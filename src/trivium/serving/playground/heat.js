/**
 * A text with each token coloured by a number: how surprised the model was. The token pointed at, or reached by the
 * arrow keys, is told in full by `tell`.
 */
import { legible, tokenLabel } from "./characters.js";
import { el } from "./dom.js";
import { roving } from "./roving.js";

/**
 * @param {{text: string, share: number | null, said: string}[]} tokens `share`: from 0, no colour, to 1; null: nothing
 *   is known of it; `said`: what a screen reader reads after the token
 * @param {(index: number) => void} tell
 * @returns {{node: HTMLElement, pick(index: number): void}}
 */
export function heat(tokens, tell) {
  const marks = tokens.map((token, index) => {
    const mark = el(
      "button",
      {
        type: "button",
        class: token.share === null ? "heat-token unknown" : "heat-token",
        "aria-label": `${tokenLabel(token.text)} ${token.said}`,
        vars: { "--share": (token.share ?? 0).toFixed(3) },
        on: { pointerenter: () => pick(index), click: () => mark.focus() },
      },
      seen(token.text),
    );
    return mark;
  });
  // A line end inside a token ends the line of the picture too.
  const parts = marks.flatMap((mark, index) => (tokens[index].text.includes("\n") ? [mark, el("br")] : [mark]));
  const node = el("div", { class: "heat", role: "group", "aria-label": "The text, token by token", dir: "auto" }, ...parts);

  function pick(index) {
    marks.forEach((mark, place) => mark.classList.toggle("at", place === index));
    tell(index);
  }

  roving(node, () => marks, { onmove: (_, index) => pick(index) });
  return { node, pick };
}

function seen(text) {
  return el("bdi", {}, text === "" ? tokenLabel(text) : legible(text));
}
