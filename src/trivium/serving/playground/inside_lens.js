/** The logit lens: what the model would say if it stopped after each layer. */
import { asking } from "./asking.js";
import { el } from "./dom.js";
import { modelChoice } from "./fields.js";
import { textFields } from "./inside_text.js";
import { lensTable } from "./lens.js";

export const title = "Layers";
export const needs = ["lens"];
export const lead = "The model's last step, applied after every layer: how an answer takes shape on the way up.";
export const offers = (/** @type {any} */ model) => model.trivium.abilities.includes("lens");

/** @param {HTMLElement} root @param {any} context @param {any} texts */
export function mount(root, context, texts) {
  const fields = textFields(texts, ["encoder-decoder"]);
  const model = modelChoice(context, "inside.lens", needs, {
    changed: (chosen) => {
      fields.fit(chosen);
      asked.clear();
    },
  });
  fields.fit(model.value());
  const asked = asking(root, { main: fields.nodes, beside: [model.node], action: "Show every layer", ask, wide: true });
  asked.ask();

  /** @param {AbortSignal} signal */
  async function ask(signal) {
    const found = await context.api.post("views/lens", { model: model.value().id, ...fields.body(), top: 5 }, { signal });
    const ahead = found.stack === "decoder";
    const note = ahead
      ? "Each column is a position, and each row what a layer expects to come after it (0: the embeddings). Framed: what the whole model expects."
      : "Each column is a position, and each row what a layer reads there (0: the embeddings). Framed: what the whole model reads.";
    return [el("p", { class: "note" }, note), lensTable({ ...found, ahead })];
  }

  return { leave: asked.leave };
}
