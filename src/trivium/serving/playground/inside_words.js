/**
 * One word in several sentences: how alike its vectors are in each layer, and what is near. A static vector is the same
 * wherever the word stands; a contextual one moves with what the word means there.
 */
import { asking } from "./asking.js";
import { cutter, legible } from "./characters.js";
import { el, show } from "./dom.js";
import { area, line, modelChoice, number } from "./fields.js";
import { scatter } from "./scatter.js";
import { percent } from "./words.js";

export const title = "Words";
export const needs = ["words"];
export const lead = "One spelling, several senses: where a model puts the word in each sentence.";
export const offers = (/** @type {any} */ model) => model.trivium.abilities.includes("words");

const kept = {
  word: "bank",
  texts: [
    "She sat on the bank of the river and watched the boats.",
    "The grassy bank was wet after the flood.",
    "He took his savings to the bank on Monday.",
    "The bank lent the young couple money for a house.",
    "The pilot put the plane into a steep bank to the left.",
  ].join("\n"),
};

/** The sentences, a line each. @param {string} text @returns {string[]} */
const sentences = (text) => text.split("\n").map((each) => each.trim()).filter(Boolean);

/** @param {HTMLElement} root @param {any} context */
export function mount(root, context) {
  const word = line("Word", { value: kept.word, changed: (value) => (kept.word = value) });
  const lines = area("Sentences that have it", { value: kept.texts, rows: 5, hint: "One a line." });
  lines.box.addEventListener("input", () => (kept.texts = lines.value()));
  const layerBox = el("div", {});
  /** @type {any} */
  let layer = null;
  const model = modelChoice(context, "inside.words", needs, {
    changed: () => {
      asked.clear();
      build();
    },
  });
  const asked = asking(root, { main: [word.node, lines.node], beside: [model.node, layerBox], action: "Compare", ask, wide: true });
  build();
  asked.ask();

  function build() {
    const { layers } = model.value().trivium;
    const last = layers.encoder || layers.decoder;
    let timer = 0;
    layer = number("Layer", {
      value: last, min: 0, max: last, step: 1, hint: "0: the embeddings, before any layer.",
      changed: () => {
        clearTimeout(timer);
        timer = window.setTimeout(asked.ask, 200);
      },
    });
    show(layerBox, layer.node);
  }

  /** @param {AbortSignal} signal */
  async function ask(signal) {
    const texts = sentences(lines.value());
    const body = { model: model.value().id, word: word.value().trim(), texts, neighbours: 5, layer: layer.value() };
    return drawn(await context.api.post("views/words", body, { signal }), texts);
  }

  return { leave: asked.leave };
}

/** @param {any} found @param {string[]} texts */
function drawn(found, texts) {
  const spots = found.occurrences;
  const list = el("ol", { class: "spots" }, spots.map((/** @type {any} */ spot, /** @type {number} */ at) => occurrence(spot, found, texts, at)));
  const pick = (/** @type {number} */ at) => [...list.children].forEach((item, place) => item.classList.toggle("at", place === at));
  const map = scatter(
    spots.map((/** @type {any} */ spot, /** @type {number} */ at) => ({
      x: spot.x, y: spot.y, group: spot.text, label: `${at + 1} ${around(spot, texts[spot.text])}`, said: `${at + 1}: ${texts[spot.text]}`,
    })),
    { label: "The occurrences: those with like vectors lie together", onpick: pick },
  );
  const shown = percent(found.shares.reduce((/** @type {number} */ sum, /** @type {number} */ share) => sum + share, 0));
  const name = found.layer === 0 ? "the embeddings" : `layer ${found.layer}`;
  return el(
    "div",
    { class: "words" },
    el("figure", {}, map.node, el("figcaption", {}, `The two directions in which the vectors of ${name} differ most, with ${shown} of their variance.`)),
    list,
    cosines(found, spots.length),
  );
}

/** @param {any} spot @param {any} found @param {string[]} texts @param {number} at */
function occurrence(spot, found, texts, at) {
  const cut = cutter(texts[spot.text]);
  const near = found.neighbours[at] ?? [];
  return el(
    "li",
    {},
    el("p", { dir: "auto" }, legible(cut(0, spot.start)), el("mark", {}, legible(cut(spot.start, spot.end))), legible(cut(spot.end))),
    near.length > 0 && el("p", { class: "note" }, "Near it: ", near.map((/** @type {any} */ each, /** @type {number} */ place) => [
      place ? ", " : "", el("bdi", { title: texts[each.text_number] }, legible(each.word)), ` ${each.cosine.toFixed(2)}`,
    ])),
  );
}

/** The word with its neighbours. @param {any} spot @param {string} text */
function around(spot, text) {
  const cut = cutter(text);
  const before = cut(0, spot.start).trim().split(/\s+/).at(-1) ?? "";
  const after = cut(spot.end).trim().split(/\s+/)[0] ?? "";
  return legible(`${before} ${cut(spot.start, spot.end)} ${after}`.trim());
}

/** @param {any} found @param {number} count */
function cosines(found, count) {
  const numbers = Array.from({ length: count }, (_, at) => at);
  const head = el("tr", {}, el("td", {}), numbers.map((at) => el("th", { scope: "col", class: "num" }, at + 1)));
  const rows = numbers.map((row) => el("tr", {}, el("th", { scope: "row" }, row + 1), numbers.map((column) =>
    el("td", { class: "num shaded", vars: { "--share": Math.max(found.cosines[row][column], 0).toFixed(3) } }, found.cosines[row][column].toFixed(2)))));
  return el("div", {}, el("h3", {}, "How alike"), el("div", { class: "scroll" }, el("table", { class: "cosines" },
    el("caption", {}, means(found)), el("thead", {}, head), el("tbody", {}, rows))));
}

/** What the cosines are to be compared with. @param {any} found */
function means(found) {
  const said = ["Cosines between the occurrences"];
  if (found.mean_cosine !== null) said.push(`on average ${found.mean_cosine.toFixed(2)}`);
  if (found.background !== null) said.push(`${found.background.toFixed(2)} between different words`);
  const still = found.static ? found.static.flat().reduce((/** @type {number} */ least, /** @type {number} */ each) => Math.min(least, each), 1) : 1;
  const same = "Static vectors make every one of them 1, for a word has one wherever it stands.";
  return `${said.join("; ")}. ${still > 0.999 ? same : `By its static vectors they are ${still.toFixed(2)} or more.`}`;
}
