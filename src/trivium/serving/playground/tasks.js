/** The tab Tasks: what a fine-tuned model says of a text: a label, tags, nested spans, an answer, a rewriting, a score. */
import { asking } from "./asking.js";
import { el, show } from "./dom.js";
import { area, line, modelChoice } from "./fields.js";
import { kept } from "./kept.js";
import { predicted } from "./predictions.js";

export const title = "Tasks";
export const needs = ["classify", "tag", "spans", "answer", "rewrite", "score"];
export const missing = "Tasks needs a fine-tuned model: start the server with the folder that trivium finetune wrote:";

const MOST = 60; // labels that are listed

/** How a field of a row is asked for, in the order of the page. */
const FIELDS = {
  text: () => area("Text", { rows: 4 }),
  text2: () => area("Second text", { rows: 2, hint: "Where the model reads pairs." }),
  source: () => area("Text", { rows: 5 }),
  context: () => area("Document", { rows: 8 }),
  question: () => line("Question"),
  options: () => area("Options", { rows: 3, hint: "One a line." }),
  prompt: () => area("What the user says", { rows: 2 }),
  chosen: () => area("A reply", { rows: 2 }),
  rejected: () => area("Another reply", { rows: 2, hint: "Empty: the first reply is scored alone." }),
};

/** @param {string} text */
function lines(text) {
  return text.split("\n").map((each) => each.trim()).filter(Boolean);
}

/** The fields to show of those that a model reads: lists of words and conversations have simpler ones beside them.
 * @param {string[]} fields @returns {string[]} */
export function shownFields(fields) {
  const instead = fields.includes("source") ? ["text", "text2"] : [];
  return Object.keys(FIELDS).filter((name) => fields.includes(name) && !instead.includes(name));
}

/** A text whose [spans] stand in brackets, and where they are, in characters.
 * @param {string} marked @returns {{text: string, spans: {start: number, end: number}[]}} */
export function bracketed(marked) {
  const spans = [];
  const open = [];
  let text = "";
  let at = 0;
  for (const sign of marked) {
    if (sign === "[") open.push(at);
    else if (sign === "]" && open.length) spans.push({ start: open.pop(), end: at });
    else {
      text += sign;
      at += 1;
    }
  }
  return { text, spans: spans.sort((one, other) => one.start - other.start || other.end - one.end) };
}

/** The row that is sent.
 * @param {Record<string, string>} values @param {boolean} related spans in brackets @returns {Record<string, unknown>} */
export function rowOf(values, related) {
  /** @type {Record<string, unknown>} */
  const row = {};
  for (const [name, value] of Object.entries(values)) {
    if (value.trim() === "") continue;
    row[name] = name === "options" ? lines(value) : value;
  }
  if (related) Object.assign(row, bracketed(values.text));
  if ("prompt" in row && !("rejected" in row)) {
    return { messages: [{ role: "user", content: row.prompt }, { role: "assistant", content: row.chosen ?? "" }] };
  }
  return row;
}

/** @type {Record<string, string>} */
const typed = {}; // in the fields, as long as the page lasts

export const mount = kept(build);

/** @param {any} context */
function build(context) {
  const root = el("div", { class: "kept" });
  const inputs = el("div", { class: "inputs" });
  /** @type {Record<string, any>} */
  let boxes = {};
  const model = modelChoice(context, "tasks", needs, {
    changed: () => {
      form();
      asked.clear();
    },
  });
  const labels = el("div", { class: "field" });
  const asked = asking(root, { main: [inputs], beside: [model.node, labels], action: "Ask the model", ask });
  form();

  function form() {
    const { fields = ["text"], labels: known = [] } = model.value().trivium;
    const related = isRelated(model.value());
    boxes = Object.fromEntries(shownFields(fields).map((name) => [name, FIELDS[name]()]));
    for (const [name, field] of Object.entries(boxes)) {
      field.box.value = typed[name] ?? "";
      field.box.addEventListener("input", () => (typed[name] = field.box.value));
    }
    const brackets = related && el("p", { class: "hint" }, "Put the spans in [brackets]: relations are looked for between them.");
    show(inputs, Object.values(boxes).map((field) => field.node), brackets);
    const list = el("ul", { class: "labels" }, known.slice(0, MOST).map((/** @type {string} */ each) => el("li", {}, each)));
    show(labels, known.length > 0 && [el("p", { class: "hint" }, known.length > MOST ? "It can say, among others" : "It can say"), list]);
  }

  /** @param {AbortSignal} signal */
  async function ask(signal) {
    const chosen = model.value();
    const ability = needs.find((each) => chosen.trivium.abilities.includes(each));
    const values = Object.fromEntries(Object.entries(boxes).map(([name, field]) => [name, field.value()]));
    const row = rowOf(values, isRelated(chosen));
    const { predictions } = await context.api.post(/** @type {string} */ (ability), { model: chosen.id, inputs: [row] }, { signal });
    return predicted(row, predictions[0], chosen.trivium.labels ?? []);
  }

  return root;
}

/** Relations are asked for with the spans between which they are looked for. @param {any} model */
function isRelated(model) {
  return (model.trivium.fields ?? []).includes("spans");
}
