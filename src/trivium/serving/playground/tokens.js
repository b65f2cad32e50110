/** The tab Tokens: the same text as each model reads it, cut into tokens, with how many there are and what they cost. */
import { cutText } from "./cut.js";
import { el, show } from "./dom.js";
import { area, check, number, side } from "./fields.js";
import { problemUnlessStopped } from "./notice.js";
import { counted } from "./words.js";

export const title = "Tokens";
export const needs = [];

const WAIT = 250; // milliseconds after a key
const MOST = 1500; // tokens drawn of one text
let text = "The unhappiest hippopotamus said: “It's 12,345 o'clock – naïve, isn't it?” 🙂";

/** What so many tokens cost at a price for a million, with as many digits as say something.
 * @param {number} count @param {number} price @returns {string} */
export function cost(count, price) {
  const value = (count * price) / 1e6;
  return value === 0 ? "0" : value >= 0.01 ? value.toFixed(2) : value.toPrecision(2).replace(/\.?0+$/, "").replace(/e(.+)/, "e$1");
}

/**
 * Models that read the text alike, in one group.
 * @param {string[]} names @param {PromiseSettledResult<any>[]} answers
 * @returns {{names: string[], found?: any, problem?: unknown}[]}
 */
export function alike(names, answers) {
  /** @type {Map<string, {names: string[], found?: any, problem?: unknown}>} */
  const groups = new Map();
  answers.forEach((answer, at) => {
    const found = answer.status === "fulfilled" ? answer.value : undefined;
    const key = found ? JSON.stringify(found.tokens) : String(/** @type {any} */ (answer).reason);
    const group = groups.get(key);
    if (group) group.names.push(names[at]);
    else groups.set(key, { names: [names[at]], found, problem: /** @type {any} */ (answer).reason });
  });
  return [...groups.values()];
}

/** @param {HTMLElement} root @param {any} context */
export function mount(root, context) {
  const box = area("Text", { value: text, rows: 4, spell: false });
  const specials = check("With control tokens", { value: context.settings.get("tokens.specials", true), changed: again });
  const price = number("Price of a million tokens", {
    value: context.settings.get("tokens.price", null), min: 0, max: 1000, step: 0.01, slider: false, changed: again,
    hint: "In any currency. What a model writes often costs more than what it reads.",
  });
  const result = el("div", { class: "result", "aria-live": "off" });
  /** @type {AbortController | null} */
  let running = null;
  let timer = 0;
  box.box.addEventListener("input", again);
  root.append(el("div", { class: "split" }, el("div", { class: "work" }, box.node, result), side("Settings", specials.node, price.node)));
  ask();

  function again() {
    text = box.value();
    context.settings.set("tokens.specials", specials.value());
    context.settings.set("tokens.price", price.value());
    clearTimeout(timer);
    timer = window.setTimeout(ask, WAIT);
  }

  async function ask() {
    running?.abort();
    const own = (running = new AbortController());
    const ids = context.models.map((/** @type {any} */ model) => model.id);
    const answers = await Promise.allSettled(ids.map((/** @type {string} */ id) =>
      context.api.post("tokenize", { model: id, text, specials: specials.value() }, { signal: own.signal })));
    if (running === own) show(result, alike(ids, answers).map(section));
  }

  /** @param {{names: string[], found?: any, problem?: unknown}} group */
  function section({ names, found, problem }) {
    const name = names.join(", ");
    if (!found) return el("section", { class: "panel" }, el("h3", {}, name), problemUnlessStopped(problem));
    const characters = Array.from(text).length;
    const own = found.tokens.filter((/** @type {any} */ token) => !token.control).length;
    const facts = [
      counted(found.count, "token"),
      own ? `${(characters / own).toFixed(2)} characters each` : null,
      price.value() === null ? null : `costs ${cost(found.count, price.value())}`,
    ];
    return el(
      "section",
      { class: "panel" },
      el("h3", {}, name),
      el("p", { class: "note" }, facts.filter(Boolean).join(" · ")),
      cutText(found.tokens.slice(0, MOST), `The tokens of ${name}`),
      found.count > MOST && el("p", { class: "note" }, `The first ${MOST.toLocaleString("en")} are shown.`),
    );
  }

  return {
    leave() {
      clearTimeout(timer);
      running?.abort();
    },
  };
}
