/** Numbers and tokens as people read them. */

/** 0.8312 as "83 %", 0.004 as "0.4 %". @param {number} probability */
export function percent(probability) {
  const share = probability * 100;
  if (share > 0 && share < 0.05) return "< 0.1 %";
  return `${share < 10 ? share.toFixed(1) : share.toFixed(0)} %`;
}

/** A token alone: its spaces and breaks can be seen, and the bytes of a part of a character. @param {string} text */
export const visible = (text) =>
  text
    .replace(/^$/, "(nothing)")
    .replace(/^bytes:(?=\\x)/, "byte ")
    .replace(/\n/g, "⏎")
    .replace(/\t/g, "⇥")
    .replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));

/** @param {number} count @param {string} word */
export const counted = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
