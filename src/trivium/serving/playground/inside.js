/** The tab Inside: what happens between a text and a model's answer, in four views of one text. */
import { el, show } from "./dom.js";
import { segments } from "./fields.js";
import * as attention from "./inside_attention.js";
import * as lens from "./inside_lens.js";
import * as surprise from "./inside_surprise.js";
import * as words from "./inside_words.js";

export const title = "Inside";
const VIEWS = { attention, lens, words, surprise };
export const missing = "No model of this server can be looked into. Start the server with one that can:";
export const needs = [...new Set(Object.values(VIEWS).flatMap((view) => view.needs))];

/** What was typed, for all views. */
const texts = {
  text: "The animal didn't cross the street because it was too tired.",
  after: { encoder: "", "encoder-decoder": "" },
};

/** @type {{node: HTMLElement, go: (place: string) => void} | null} */
let view = null; // lasts as long as the page

/** @param {HTMLElement} root @param {any} context */
export function mount(root, context) {
  view ??= build(context);
  root.append(view.node);
  view.go(context.place);
  return { go: view.go };
}

/** @param {any} context */
function build(context) {
  const able = Object.keys(VIEWS).filter((name) => context.models.some((/** @type {any} */ model) => VIEWS[name].offers(model)));
  const body = el("div", { class: "inside" });
  /** @type {any} */
  let open = null;
  let shown = "";
  const choose = segments("View", {
    choices: able.map((name) => [name, VIEWS[name].title]),
    value: able[0],
    changed: go,
  });

  /** @param {string} place */
  function go(place) {
    const name = able.includes(place) ? place : shown || able[0];
    context.go(name);
    if (name === shown) return;
    open?.leave();
    shown = name;
    choose.set(name);
    show(body, el("p", { class: "lead" }, VIEWS[name].lead));
    open = VIEWS[name].mount(body, context, texts);
  }

  return { node: el("div", { class: "kept" }, choose.node, body), go };
}
