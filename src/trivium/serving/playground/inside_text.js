/** The fields that all views of one text share: the text, and for models of two stacks what they answer. */
import { area } from "./fields.js";

/**
 * @param {{text: string, answer: string}} texts shared by the views: what is typed here is kept there
 * @returns {{nodes: HTMLElement[], fit: (model: any) => void, body: () => {text: string, answer?: string}}}
 */
export function textFields(texts) {
  const text = area("Text", { value: texts.text, rows: 3 });
  const answer = area("What the model answers", { value: texts.answer, rows: 2, hint: "The decoder reads this. Empty: as far as its start." });
  text.box.addEventListener("input", () => (texts.text = text.value()));
  answer.box.addEventListener("input", () => (texts.answer = answer.value()));
  return {
    nodes: [text.node, answer.node],
    fit: (model) => (answer.node.hidden = model?.trivium.kind !== "encoder-decoder"),
    body: () => (answer.node.hidden || answer.value() === "" ? { text: text.value() } : { text: text.value(), answer: answer.value() }),
  };
}
