/** A file for the user to keep, made in the browser: nothing is sent. */
import { el } from "./dom.js";

/** @param {unknown} content @param {string} name */
export function saveJson(content, name) {
  const address = URL.createObjectURL(new Blob([JSON.stringify(content)], { type: "application/json" }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
