/** The events of /v1/completions and /v1/chat/completions as tokens for written.js. */

/** @typedef {import("./written.js").Token} Token */

/** How many alternatives are asked for beside each token. */
export const ALTERNATIVES = 6;

/** A choice of /v1/completions. @param {any} choice @returns {Token[]} */
export function completed(choice) {
  const found = choice.logprobs;
  const entries = (found?.tokens ?? []).map((/** @type {string} */ name, /** @type {number} */ at) => ({
    name,
    probability: Math.exp(found.token_logprobs[at] ?? NaN),
    top: likely(Object.entries(found.top_logprobs?.[at] ?? {})),
  }));
  return joined(choice.text ?? "", entries);
}

/** A choice of /v1/chat/completions. @param {any} choice @returns {Token[]} */
export function said(choice) {
  const entries = (choice.logprobs?.content ?? []).map((/** @type {any} */ entry) => ({
    name: entry.token,
    probability: Math.exp(entry.logprob),
    top: likely(entry.top_logprobs.map((/** @type {any} */ each) => [each.token, each.logprob])),
  }));
  return joined(choice.delta?.content ?? "", entries);
}

/** @param {[string, number][]} pairs */
function likely(pairs) {
  return pairs.map(([text, log]) => ({ text, probability: Math.exp(log) })).sort((a, b) => b.probability - a.probability);
}

/**
 * Tokens that together are the text. Bytes of one character come as several tokens, of which the last has the text.
 * @param {string} text @param {{name: string, probability: number, top: any[]}[]} entries @returns {Token[]}
 */
function joined(text, entries) {
  if (entries.length === 0) return text ? [{ text, probability: null, top: [] }] : [];
  const apart = entries.map((entry) => entry.name).join("") === text;
  return entries.map((entry, at) => ({
    ...entry,
    probability: Number.isFinite(entry.probability) ? entry.probability : null,
    text: apart ? entry.name : at === entries.length - 1 ? text : "",
  }));
}

/** "42 tokens · 31 tokens/s · 1.2 bits a token". @param {Token[]} tokens @param {number} seconds */
export function speed(tokens, seconds) {
  const known = tokens.filter((token) => token.probability);
  const bits = known.reduce((sum, token) => sum - Math.log2(/** @type {number} */ (token.probability)), 0) / known.length;
  const parts = [`${tokens.length} token${tokens.length === 1 ? "" : "s"}`];
  if (seconds > 0 && tokens.length > 1) parts.push(`${(tokens.length / seconds).toFixed(tokens.length / seconds < 10 ? 1 : 0)} a second`);
  if (known.length) parts.push(`${bits.toFixed(1)} bits each`);
  return parts.join(" · ");
}
