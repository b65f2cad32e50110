/** How a text is cut into tokens: each a card with its text and its id; the tokens of a word have one colour. */
import { tokenLabel } from "./characters.js";
import { el } from "./dom.js";

const KINDS = { byte: "a byte of a character", unknown: "unknown: the text cannot be told from it", control: "a control token, not of the text" };

/**
 * @param {{id: number, text: string, piece: string, start: number, end: number, word: number, kind: string}[]} tokens
 *   as the server answers
 * @param {string} label
 * @returns {HTMLElement}
 */
export function cutText(tokens, label) {
  const kinds = Object.keys(KINDS).filter((kind) => tokens.some((token) => token.kind === kind));
  return el(
    "div",
    {},
    el("ol", { class: "cut", "aria-label": label, dir: "auto" }, tokens.map(card)),
    kinds.length > 0 && el("ul", { class: "cut-key", "aria-label": "Signs" }, kinds.map((kind) => el("li", { class: kind }, KINDS[kind]))),
  );
}

/** @param {any} token */
function card(token) {
  const whole = token.kind === "piece" || token.kind === "unknown";
  const colour = token.word >= 0 ? `k${token.word % 6}` : "";
  const said = [`id ${token.id}`, `characters ${token.start} to ${token.end}`, KINDS[token.kind]].filter(Boolean).join(", ");
  return el(
    "li",
    { class: `${token.kind} ${colour}`, title: `${token.piece}: ${said}` },
    el("bdi", {}, tokenLabel(whole ? token.text || token.piece : token.piece)),
    el("small", {}, token.id),
  );
}
