/** How surprised the model is by each token, in bits: minus the binary logarithm of the token's probability. */
import { asking } from "./asking.js";
import { bars } from "./bars.js";
import { tokenLabel } from "./characters.js";
import { el, show } from "./dom.js";
import { modelChoice } from "./fields.js";
import { heat } from "./heat.js";
import { textFields } from "./inside_text.js";
import { percent } from "./words.js";

export const title = "Surprise";
export const needs = ["complete", "fill"];
export const lead = "What the model did not expect costs bits. A token that it was sure of costs none.";
export const offers = (/** @type {any} */ model) =>
  needs.some((need) => model.trivium.abilities.includes(need));

const DARKEST = 16; // bits that get the full colour

/** @param {HTMLElement} root @param {any} context @param {any} texts */
export function mount(root, context, texts) {
  const fields = textFields(texts, ["encoder-decoder"], { "encoder-decoder": "Its tokens are looked at." });
  const model = modelChoice(context, "inside.surprise", needs, {
    changed: (chosen) => {
      fields.fit(chosen);
      asked.clear();
    },
  });
  fields.fit(model.value());
  const asked = asking(root, { main: fields.nodes, beside: [model.node], action: "Show surprise", ask });
  asked.ask();

  /** @param {AbortSignal} signal */
  async function ask(signal) {
    const found = await context.api.post("views/surprise", { model: model.value().id, ...fields.body(), top: 5 }, { signal });
    const said = el("div", { class: "panel", "aria-live": "polite" });
    const drawn = heat(found.tokens.map(token), (index) => show(said, told(found.tokens[index])));
    const costly = found.tokens.reduce((/** @type {number} */ best, /** @type {any} */ each, /** @type {number} */ at) =>
      (each.bits ?? 0) > (found.tokens[best].bits ?? 0) ? at : best, 0);
    if (found.tokens.length) drawn.pick(costly);
    return [totals(found), drawn.node, scale(), said];
  }

  return { leave: asked.leave };
}

/** @param {any} each */
function token(each) {
  const known = each.bits !== null && each.bits !== undefined;
  return { text: each.text, share: known ? Math.min(each.bits / DARKEST, 1) : null, said: known ? `${each.bits.toFixed(1)} bits` : "not predicted" };
}

/** @param {any} each */
function told(each) {
  const name = el("bdi", { class: "tok" }, tokenLabel(each.text));
  if (each.bits === null || each.bits === undefined) return el("p", {}, name, " is the first: nothing foretells it.");
  const list = each.top.map((/** @type {any} */ other) => ({ ...other, strong: other.text === each.text }));
  return [
    el("p", {}, name, ` cost ${each.bits.toFixed(2)} bits: the model gave it ${percent(each.probability)}. It expected:`),
    bars(list),
  ];
}

/** @param {any} found */
function totals(found) {
  const facts = [
    ["bits in all", found.bits.toFixed(1)],
    ["bits for each character", found.bits_per_character?.toFixed(3)],
    ["perplexity", found.perplexity >= 1000 ? Math.round(found.perplexity).toLocaleString("en") : found.perplexity.toPrecision(3)],
  ];
  return el("dl", { class: "figures" }, facts.filter(([, value]) => value !== undefined).map(([name, value]) =>
    el("div", {}, el("dd", {}, value), el("dt", {}, name))));
}

function scale() {
  return el("p", { class: "scale" }, "0 bits", el("i", { "aria-hidden": "true" }), `${DARKEST} bits and more`);
}
