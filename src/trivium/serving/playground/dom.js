/**
 * Elements are built here. A child is a node or text, and text only ever becomes a text node: what a model wrote, a
 * user typed or a file is called can not become markup.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * el("p", {class: "note", title: "x"}, "text", node): attributes by name; `on` for listeners; `vars` for CSS
 * variables; true sets an empty attribute, false, null and undefined none.
 * @param {string} tag
 * @param {Record<string, any>} [options]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function el(tag, options = {}, ...children) {
  return fill(document.createElement(tag), options, children);
}

/** The same for SVG. @param {string} tag @param {Record<string, any>} [options] @param {...(Child | Child[])} children */
export function svg(tag, options = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), options, children);
}

/** Puts children in the place of those that are there. @param {Element} parent @param {...(Child | Child[])} children */
export function show(parent, ...children) {
  parent.replaceChildren(...nodes(children));
  return parent;
}

/** @param {any} element @param {Record<string, any>} options @param {(Child | Child[])[]} children */
function fill(element, { on = {}, vars = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (/^on/i.test(name) || name === "style") throw new Error(`${name} would be code in markup: use on or vars`);
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(name, String(value));
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...nodes(children));
  return element;
}

/** @param {(Child | Child[])[]} children */
function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

let number = 0;

/** A fresh id, for labels and what they label. @param {string} word */
export const unique = (word) => `${word}-${++number}`;

/** Says a sentence to a screen reader. @param {string} sentence */
export function announce(sentence) {
  const status = document.getElementById("status");
  if (status) status.textContent = sentence;
}
