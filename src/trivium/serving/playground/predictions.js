/** What a fine-tuned model said, drawn by what is in it: bars of labels, marked entities, nested boxes, an answer. */
import { bars } from "./bars.js";
import { cutter, legible } from "./characters.js";
import { el } from "./dom.js";
import { markedText } from "./marked.js";
import { percent } from "./words.js";

const MOST = 20; // labels with bars
const ANSWERS = 5;

/**
 * @param {Record<string, any>} given the row that was asked about
 * @param {Record<string, any>} said the server's prediction
 * @param {string[]} labels all that the model can say, which have colours in this order
 * @returns {HTMLElement[]}
 */
export function predicted(given, said, labels) {
  if (said.tags) return tagged(given, said, labels);
  if (said.spans) return [spans(given, said.spans, coloursOf(labels, said.spans.map(labelOf)))];
  if (said.relations) return [relations(said.relations)];
  if ("answer" in said) return answered(given, said);
  if ("output" in said) return rewritten(said);
  if ("reward" in said || "reward_chosen" in said) return [rewards(said)];
  return [labelled(given, said)];
}

const labelOf = (/** @type {any} */ span) => span.label;

/** A colour for each label, those of the model's list first. @param {string[]} known @param {string[]} met */
function coloursOf(known, met) {
  // Tags such as B-PER and I-PER are one kind.
  const kinds = [...new Set([...known.filter((each) => each !== "O"), ...met].map((each) => each.replace(/^[BIESLU]-/, "")))];
  return (/** @type {string} */ label) => Math.max(kinds.indexOf(label), 0);
}

/** @param {any} given @param {any} said */
function labelled(given, said) {
  if (typeof said.label === "number") return panel(said.label.toFixed(3), null, "The number that the model estimates.");
  if ("choice" in said) {
    const options = said.probabilities.map((/** @type {number} */ probability, /** @type {number} */ at) => ({
      text: given.options?.[at] ?? String(at + 1), probability, strong: at === said.index, token: false,
    }));
    return panel(said.choice, bars(options));
  }
  const names = said.labels ?? [said.label];
  const all = Object.entries(said.probabilities ?? {}).map(([text, probability]) => ({ text, probability, strong: names.includes(text), token: false }));
  return panel(names.join(", ") || "none of its labels", bars(all.slice(0, MOST)), all.length > MOST && `and ${all.length - MOST} more labels`);
}

/** @param {string} heading @param {any} content @param {any} [note] */
function panel(heading, content, note) {
  return el("section", { class: "panel" }, el("h3", {}, legible(heading)), content, note && el("p", { class: "note" }, note));
}

/** @param {any} given @param {any} said @param {string[]} labels */
function tagged(given, said, labels) {
  const words = said.words ?? given.words ?? [];
  const nodes = [];
  if (said.entities) {
    const found = said.entities.map((/** @type {any} */ each) => ({ ...each, label: each.type }));
    nodes.push(spans(given, found, coloursOf(labels, found.map(labelOf))));
  }
  const colourOf = coloursOf(labels, said.tags);
  const cards = words.map((/** @type {string} */ word, /** @type {number} */ at) => {
    const tag = said.tags[at];
    const kind = tag === "O" ? "outside" : `k${colourOf(tag.replace(/^[BIESLU]-/, "")) % 6}`;
    return el("li", { class: kind, title: percent(said.probabilities[at]) }, el("bdi", {}, legible(word)), el("small", {}, tag));
  });
  const list = el("ol", { class: "cut tags", "aria-label": "A tag for each word" }, cards);
  nodes.push(said.entities ? el("details", {}, el("summary", {}, "A tag for each word"), list) : list);
  return nodes;
}

/** @param {any} given @param {any[]} found @param {(label: string) => number} colourOf */
function spans(given, found, colourOf) {
  if (found.length === 0) return el("p", { class: "note" }, "It found none.");
  const drawn = found.every((each) => Number.isInteger(each.start)) && typeof given.text === "string";
  const rows = found.map((each) => el(
    "tr", {}, el("td", {}, el("bdi", {}, legible(each.text))), el("td", {}, each.label),
    each.probability === undefined ? null : el("td", { class: "num" }, percent(each.probability)),
  ));
  const table = el("div", { class: "scroll" }, el("table", {}, el("tbody", {}, rows)));
  return el("div", {}, drawn && markedText(given.text, found, colourOf), drawn ? el("details", {}, el("summary", {}, "As a list"), table) : table);
}

/** @param {any[]} found */
function relations(found) {
  if (found.length === 0) return el("p", { class: "note" }, "It found no relation.");
  const rows = found.map((each) => el(
    "tr", {}, el("td", {}, el("bdi", {}, legible(each.head_text))), el("th", { scope: "row" }, `${each.label} →`),
    el("td", {}, el("bdi", {}, legible(each.tail_text))), el("td", { class: "num" }, percent(each.probability)),
  ));
  return el("div", { class: "scroll" }, el("table", {}, el("tbody", {}, rows)));
}

/** @param {any} given @param {any} said */
function answered(given, said) {
  const heading = said.answer === "" ? "The document does not say." : said.answer;
  const others = [
    { text: said.answer || "no answer", probability: said.probability, strong: true, token: false },
    ...(said.alternatives ?? []).map((/** @type {any} */ each) => ({
      text: each.answer ?? each.text ?? cutter(given.context)(each.start, each.end), probability: each.probability, token: false,
    })),
  ];
  if (said.answer !== "" && said.no_answer_probability !== undefined) {
    others.splice(1, 0, { text: "no answer", probability: said.no_answer_probability, token: false });
  }
  const place = said.start === null || said.start === undefined ? [] : [{ start: said.start, end: said.end, label: "answer" }];
  return [markedText(given.context, place, () => 0), panel(heading, bars(others.slice(0, ANSWERS)))];
}

/** @param {any} said */
function rewritten(said) {
  const note = `The model gives this text a probability of ${said.probability.toPrecision(3)}.`;
  return [
    el("p", { class: "filled", dir: "auto" }, legible(said.output ?? "")),
    el("p", { class: "note" }, said.label ? `It means the label ${said.label}. ${note}` : note),
  ];
}

/** @param {any} said */
function rewards(said) {
  if ("reward" in said) return panel(said.reward.toFixed(3), null, "The reward: replies that people chose are worth 0 on average where the model says so.");
  const verdict = said.right ? "It prefers the first reply" : "It prefers the second reply";
  const rows = [["the first reply", said.reward_chosen], ["the second reply", said.reward_rejected]];
  return panel(verdict, el("table", {}, el("tbody", {}, rows.map(([name, reward]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "num" }, reward.toFixed(3)))))));
}
