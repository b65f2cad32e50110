/** The tab Fill: blanks in a text (Taylor 1953), by a masked model one token each, by a span model of any length. */
import { asking } from "./asking.js";
import { bars } from "./bars.js";
import { legible, tokenLabel } from "./characters.js";
import { el, show } from "./dom.js";
import { area, button, modelChoice, number } from "./fields.js";
import { kept } from "./kept.js";
import { counted } from "./words.js";

export const title = "Fill";
export const needs = ["fill"];
export const missing = "Fill needs a model trained by masking (BERT, RoBERTa, XLNet) or by span corruption (T5), such as one of your runs:";

const BLANK = /_{3,}|<mask>|\[MASK\]|<extra_id_\d+>/g;
const STARTS = ["The river rose and flooded the ___.", "She ___ the letter and put it in the ___.", "Two and two is ___."];

/** The text around its blanks, which have the space before them.
 * @param {string} whole @returns {string[]} */
export function around(whole) {
  return whole.split(BLANK);
}

/** The text with a candidate in each blank, in parts; a null leaves its blank.
 * @param {string[]} parts @param {(string | null)[]} words
 * @returns {{text: string, filled: boolean}[]} */
export function filledParts(parts, words) {
  return parts.flatMap((part, at) => {
    if (at === words.length) return [{ text: part, filled: false }];
    const word = words[at];
    if (word === null) return [{ text: `${part}___`, filled: false }];
    const bare = word.replace(/^ /, ""); // the space before the blank stands in the text already
    return [{ text: part, filled: false }, { text: bare, filled: true }];
  });
}

export const mount = kept(build);

/** @param {any} context */
function build(context) {
  const root = el("div", { class: "kept" });
  const box = area("A text with blanks", { value: STARTS[0], hint: "A blank is written ___ or <mask>.", rows: 3 });
  const top = number("Candidates", { value: 5, min: 1, max: 20, step: 1 });
  const size = number("Tokens in a blank", { value: null, min: 1, max: 64, step: 1, slider: false, hint: "Empty: the model decides." });
  const sized = (/** @type {any} */ model) => (size.node.hidden = model?.trivium.kind !== "encoder-decoder");
  const model = modelChoice(context, "fill", needs, {
    changed: (chosen) => {
      sized(chosen);
      asked.clear();
    },
  });
  const starts = el("div", { class: "starts" }, STARTS.map((each) => button(each, () => put(each))));
  const asked = asking(root, { main: [box.node, starts], beside: [model.node, top.node, size.node], action: "Fill the blanks", ask });
  sized(model.value());

  /** @param {string} whole */
  function put(whole) {
    box.box.value = whole;
    asked.ask();
  }

  /** @param {AbortSignal} signal */
  async function ask(signal) {
    const whole = box.value();
    const body = { model: model.value().id, text: whole, top: top.value() ?? 5 };
    if (!size.node.hidden && size.value() !== null) Object.assign(body, { size: size.value() });
    const { blanks } = await context.api.post("fill", body, { signal });
    return answer(around(whole), blanks);
  }

  /** @param {string[]} parts @param {any[]} blanks */
  function answer(parts, blanks) {
    const chosen = blanks.map(() => 0);
    const words = () => blanks.map((blank, at) => blank.candidates[chosen[at]].text);
    const sentence = el("p", { class: "filled", dir: "auto", "aria-live": "polite" });
    const lists = el("div", { class: "blanks" });
    const draw = () => {
      show(sentence, filledParts(parts, words()).map((part) => (part.filled ? el("mark", {}, legible(part.text)) : legible(part.text))));
      show(lists, blanks.map(one));
    };
    const one = (/** @type {any} */ blank, /** @type {number} */ at) => {
      const list = bars(blank.candidates.map((/** @type {any} */ each, /** @type {number} */ index) => ({ ...each, strong: index === chosen[at] })), {
        rest: blank.rest,
        label: `Candidates for blank ${at + 1}`,
        onpick: (index) => {
          chosen[at] = index;
          draw();
          lists.children[at].querySelectorAll("button")[index]?.focus();
        },
      });
      const keep = blanks.length > 1 && button(`Keep “${tokenLabel(words()[at].trim(), 20)}” and fill the rest`, () =>
        put(filledParts(parts, words().map((word, other) => (other === at ? word : null))).map((part) => part.text).join("")));
      return el("section", { class: "panel" }, el("h3", {}, blanks.length > 1 ? `Blank ${at + 1}` : "The blank"), list, keep);
    };
    draw();
    const note = `${counted(blanks.length, "blank")}; the shares of a blank's candidates and of all others are 100 % together.`;
    return [sentence, el("p", { class: "note" }, note), lists];
  }

  return root;
}
