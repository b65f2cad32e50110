/** Inputs with their labels. Each maker returns {node, value(), ...}; nothing has a placeholder for a label. */
import { el, show, unique } from "./dom.js";

/**
 * A number with a slider under it.
 * @param {string} label
 * @param {{value: number | null, min: number, max: number, step: number, hint?: string, slider?: boolean,
 *   changed?: (value: number | null) => void}} options  value null: an empty field, which leaves it to the server
 */
export function number(label, { value, min, max, step, hint, slider = true, changed }) {
  const id = unique("number");
  const box = el("input", { id, type: "number", min, max, step, value: value ?? "", inputmode: "decimal",
    "aria-describedby": hint ? `${id}-hint` : null });
  const range = slider && el("input", { type: "range", min, max, step, value: value ?? min, "aria-label": label, tabindex: -1 });
  const read = () => (box.value.trim() === "" ? null : Number(box.value));
  box.addEventListener("input", () => {
    if (range && read() !== null) range.value = box.value;
    changed?.(read());
  });
  range && range.addEventListener("input", () => {
    box.value = range.value;
    changed?.(read());
  });
  const node = el("div", { class: "field number" }, el("label", { for: id }, label), box, range,
    hint && el("p", { class: "hint", id: `${id}-hint` }, hint));
  return { node, value: read };
}

/**
 * One of several. @param {string} label
 * @param {{choices: [string, string][], value?: string, changed?: (value: string) => void, hint?: string}} options
 */
export function choice(label, { choices, value, changed, hint }) {
  const id = unique("choice");
  const select = el("select", { id, on: { change: () => changed?.(select.value) } });
  show(select, choices.map(([key, text]) => el("option", { value: key }, text)));
  if (value !== undefined && choices.some(([key]) => key === value)) select.value = value;
  const node = el("div", { class: "field" }, el("label", { for: id }, label), select, hint && el("p", { class: "hint" }, hint));
  return { node, value: () => select.value, select };
}

/** Yes or no. @param {string} label @param {{value: boolean, changed?: (value: boolean) => void}} options */
export function check(label, { value, changed }) {
  const id = unique("check");
  const box = el("input", { id, type: "checkbox", on: { change: () => changed?.(box.checked) } });
  box.checked = value;
  return { node: el("div", { class: "check" }, box, el("label", { for: id }, label)), value: () => box.checked };
}

/**
 * Text of several lines that grows with what is in it.
 * @param {string} label @param {{value?: string, rows?: number, hint?: string, spell?: boolean, unseen?: boolean}} [options]
 */
export function area(label, { value = "", rows = 3, hint, spell = true, unseen = false } = {}) {
  const id = unique("area");
  const box = el("textarea", { id, rows, spellcheck: String(spell), "aria-describedby": hint ? `${id}-hint` : null });
  box.value = value;
  const node = el("div", { class: "field" }, el("label", { for: id, class: unseen ? "unseen" : null }, label), box,
    hint && el("p", { class: "hint", id: `${id}-hint` }, hint));
  return { node, value: () => box.value, box };
}

/** Text of one line. @param {string} label @param {{value?: string, hint?: string, changed?: (value: string) => void}} [options] */
export function line(label, { value = "", hint, changed } = {}) {
  const id = unique("line");
  const box = el("input", { id, type: "text", value, autocomplete: "off", "aria-describedby": hint ? `${id}-hint` : null,
    on: { input: () => changed?.(box.value) } });
  const node = el("div", { class: "field" }, el("label", { for: id }, label), box,
    hint && el("p", { class: "hint", id: `${id}-hint` }, hint));
  return { node, value: () => box.value, box };
}

/** One of a few, side by side. @param {string} label @param {{choices: [string, string][], value: string,
 *   changed: (value: string) => void}} options */
export function segments(label, { choices, value, changed }) {
  const name = unique("segments");
  const inputs = choices.map(([key]) => {
    const input = el("input", { type: "radio", name, id: `${name}-${key}`, value: key, on: { change: () => changed(key) } });
    input.checked = key === value;
    return input;
  });
  const node = el("fieldset", { class: "segments" }, el("legend", { class: "unseen" }, label),
    choices.map(([, text], at) => [inputs[at], el("label", { for: inputs[at].id }, text)]));
  return {
    node,
    value: () => /** @type {any} */ (inputs.find((input) => input.checked))?.value,
    set: (/** @type {string} */ chosen) => inputs.forEach((input) => (input.checked = input.value === chosen)),
  };
}

/** @param {string} text @param {(event: Event) => void} pressed @param {Record<string, any>} [options] */
export function button(text, pressed, options = {}) {
  return el("button", { type: "button", ...options, on: { click: pressed, ...(options.on ?? {}) } }, text);
}

/**
 * The models that have one of the abilities; what was chosen last in this tab is chosen again.
 * @param {{models: any[], settings: any}} context @param {string} tab @param {string[]} abilities
 * @param {{label?: string, changed?: (model: any) => void}} [options]
 */
export function modelChoice(context, tab, abilities, { label = "Model", changed } = {}) {
  const able = context.models.filter((model) => abilities.some((each) => model.trivium.abilities.includes(each)));
  const found = (/** @type {string} */ id) => able.find((model) => model.id === id);
  const field = choice(label, {
    choices: able.map((model) => [model.id, model.id]),
    value: context.settings.get(`${tab}.model`, ""),
    changed: (id) => {
      context.settings.set(`${tab}.model`, id);
      show(about, described(found(id)));
      changed?.(found(id));
    },
  });
  const about = el("p", { class: "hint" }, described(found(field.value())));
  field.node.append(about);
  return { node: field.node, models: able, value: () => found(field.value()) };
}

/** "decoder · llama · 135M parameters · 30 layers x 9 heads". @param {any} model */
export function described(model) {
  if (!model) return "";
  const { kind, family, parameters, layers, heads } = model.trivium;
  const depth = [layers?.encoder, layers?.decoder].filter(Boolean).join(" + ");
  return [kind, family, parameters && `${short(parameters)} parameters`, depth && heads && `${depth} layers × ${heads} heads`]
    .filter(Boolean)
    .join(" · ");
}

/** 134515008 as 135M. @param {number} count */
export function short(count) {
  for (const [size, letter] of /** @type {[number, string][]} */ ([[1e9, "B"], [1e6, "M"], [1e3, "k"]])) {
    if (count >= size) return `${(count / size).toPrecision(3).replace(/\.0+$|(\.\d*[1-9])0+$/, "$1")}${letter}`;
  }
  return String(count);
}

/**
 * The settings beside the work; where the window is narrow they fold away behind one line.
 * @param {string} summary @param {...(HTMLElement | HTMLElement[])} children
 */
export function side(summary, ...children) {
  const wide = matchMedia("(min-width: 58.01rem)"); // as in app.css
  const node = el("details", { class: "side", open: wide.matches }, el("summary", {}, summary), children);
  wide.addEventListener("change", () => (node.open = wide.matches));
  return node;
}
