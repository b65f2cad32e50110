/**
 * Text as characters. The server counts them as Python does, by code points; JavaScript counts half a pair for some.
 * What a terminal would obey, what turns a line and what hides itself is shown as a sign.
 */
import { visible } from "./words.js";

/** A text that can be cut at the server's numbers.
 * @param {string} text
 * @returns {(start: number, end?: number) => string} */
export function cutter(text) {
  const points = Array.from(text);
  return (start, end) => points.slice(start, end).join("");
}

/** Text with signs in place of controls; spaces, tabs and line ends stay.
 * @param {string} text */
export function legible(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu, (sign) =>
    sign < " " ? String.fromCodePoint(0x2400 + sign.charCodeAt(0)) : "\ufffd");
}

/** A token as a label, shortened where it is long.
 * @param {string} text
 * @param {number} [most] characters */
export function tokenLabel(text, most = Infinity) {
  const points = Array.from(visible(legible(text)));
  return points.length > most ? `${points.slice(0, most - 1).join("")}…` : points.join("");
}
