/** The tab Inside: what happens between a text and a model's answer, in four views of one text. */
import { el, show } from "./dom.js";
import { segments } from "./fields.js";
import * as attention from "./inside_attention.js";
import * as lens from "./inside_lens.js";
import * as surprise from "./inside_surprise.js";
import * as words from "./inside_words.js";

export const title = "Inside";
const VIEWS = { attention, lens, words, surprise };
export const needs = [...new Set(Object.values(VIEWS).flatMap((view) => view.needs))];

/** What was typed, for all views, as long as the page lasts. */
const texts = {
  text: "The animal didn't cross the street because it was too tired.",
  answer: "",
};

/** @param {HTMLElement} root @param {any} context */
export function mount(root, context) {
  const able = Object.keys(VIEWS).filter((name) => context.models.some((/** @type {any} */ model) => VIEWS[name].offers(model)));
  const body = el("div", { class: "inside" });
  /** @type {any} */
  let open = null;
  const start = able.includes(context.place) ? context.place : able[0];
  const choose = segments("View", {
    choices: able.map((name) => [name, VIEWS[name].title]),
    value: start,
    changed: (name) => {
      context.go(name);
      enter(name);
    },
  });
  root.append(choose.node, body);
  enter(start);

  /** @param {string} name */
  function enter(name) {
    open?.leave();
    show(body, el("p", { class: "lead" }, VIEWS[name].lead));
    open = VIEWS[name].mount(body, context, texts);
  }

  return { leave: () => open?.leave() };
}
