/** What a user chose, kept by the browser where it may keep anything; never a prompt or an answer. */

const held = new Map();

/** @template T @param {string} name @param {T} fallback @returns {T} */
export function get(name, fallback) {
  if (held.has(name)) return held.get(name);
  try {
    const text = localStorage.getItem(`trivium.${name}`);
    if (text === null) return fallback;
    const value = JSON.parse(text);
    return typeof value === typeof fallback || fallback === null ? value : fallback;
  } catch {
    return fallback;
  }
}

/** @param {string} name @param {unknown} value */
export function set(name, value) {
  held.set(name, value);
  try {
    localStorage.setItem(`trivium.${name}`, JSON.stringify(value));
  } catch {
    // A private window may forbid it: the choice lasts as long as the page.
  }
}
