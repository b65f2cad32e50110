/** The fields that all views of one text share: the text, and what is read after it. */
import { area } from "./fields.js";

const SECOND = { encoder: "Second text", "encoder-decoder": "What the model answers" };
const HINTS = { encoder: "For models that read pairs.", "encoder-decoder": "Empty: what it writes by itself." };

/**
 * @param {{text: string, after: Record<string, string>}} texts shared by the views: what is typed here is kept there
 * @param {string[]} kinds of models that read a second text
 * @param {Record<string, string>} [hints] of the second text, by the kind of the model
 * @returns {{nodes: HTMLElement[], fit: (model: any) => void, body: () => {text: string, answer?: string}}}
 */
export function textFields(texts, kinds, hints = HINTS) {
  const text = area("Text", { value: texts.text, rows: 3 });
  text.box.addEventListener("input", () => (texts.text = text.value()));
  const seconds = kinds.map((kind) => {
    const field = area(SECOND[kind], { value: texts.after[kind], rows: 2, hint: hints[kind] });
    field.box.addEventListener("input", () => (texts.after[kind] = field.value()));
    return { kind, field };
  });
  const shown = () => seconds.find(({ field }) => !field.node.hidden);
  return {
    nodes: [text.node, ...seconds.map(({ field }) => field.node)],
    fit: (model) => seconds.forEach(({ kind, field }) => (field.node.hidden = model?.trivium.kind !== kind)),
    body: () => {
      const answer = shown()?.field.value() ?? "";
      return answer === "" ? { text: text.value() } : { text: text.value(), answer };
    },
  };
}
