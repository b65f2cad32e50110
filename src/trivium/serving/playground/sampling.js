/** How a text is drawn: the settings beside Chat and Complete, with the names that the API has for them. */
import { el } from "./dom.js";
import { check, line, number } from "./fields.js";

/** @typedef {{temperature: number, top_p: number, top_k: number | null, max_tokens: number, seed: number | null,
 *   min_p: number | null, repetition_penalty: number | null, presence_penalty: number | null,
 *   frequency_penalty: number | null, stop: string, coloured: boolean}} Drawn */

const NEUTRAL = { min_p: null, repetition_penalty: null, presence_penalty: null, frequency_penalty: null };

/**
 * @param {any} context @param {string} tab @param {Partial<Drawn>} defaults
 * @param {(coloured: boolean) => void} colour called with whether tokens show their probabilities
 */
export function sampling(context, tab, defaults, colour) {
  const key = `${tab}.sampling`;
  /** @type {any} */
  const held = { ...NEUTRAL, top_k: null, seed: null, stop: "", coloured: true, ...defaults, ...context.settings.get(key, {}) };
  const keep = (/** @type {string} */ name, /** @type {any} */ value) => {
    held[name] = value;
    context.settings.set(key, held);
  };
  const numeric = (/** @type {string} */ label, /** @type {string} */ name, /** @type {any} */ options) =>
    number(label, { value: held[name], changed: (value) => keep(name, value), ...options }).node;

  colour(held.coloured);
  const node = el(
    "div",
    {},
    numeric("Temperature", "temperature", { min: 0, max: 2, step: 0.05, hint: "0 always takes the most probable token." }),
    numeric("Top p", "top_p", { min: 0.01, max: 1, step: 0.01, hint: "Only the most probable tokens that together make up this share." }),
    numeric("Top k", "top_k", { min: 1, max: 1000, step: 1, slider: false, hint: "Only the K most probable tokens; empty: all." }),
    numeric("Maximum length, in tokens", "max_tokens", { min: 1, max: 1024, step: 1 }),
    check("Colour by probability", { value: held.coloured, changed: (value) => (keep("coloured", value), colour(value)) }).node,
    el(
      "details",
      {},
      el("summary", {}, "More"),
      numeric("Seed", "seed", { min: 0, max: 2 ** 31 - 1, step: 1, slider: false, hint: "Empty: a new one each time." }),
      numeric("Min p", "min_p", { min: 0, max: 1, step: 0.01 }),
      numeric("Repetition penalty", "repetition_penalty", { min: 1, max: 2, step: 0.05 }),
      numeric("Presence penalty", "presence_penalty", { min: -2, max: 2, step: 0.1 }),
      numeric("Frequency penalty", "frequency_penalty", { min: -2, max: 2, step: 0.1 }),
      line("Stop at", {
        value: held.stop,
        changed: (value) => keep("stop", value),
        hint: "The text ends before these words; \\n is a new line.",
      }).node,
    ),
  );
  return {
    node,
    /**
     * The fields of a request; a seed is drawn where there is none, so that what was written can be written again.
     * @param {any[]} models that write: none is asked for more than its context holds
     */
    values(models) {
      const { stop, coloured, seed, ...rest } = held;
      const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
      if (stop) given.stop = stop.replaceAll("\\n", "\n");
      const most = models.map((each) => each.trivium.longest ?? each.trivium.context).filter(Boolean);
      given.max_tokens = Math.min(given.max_tokens ?? 1024, ...most.map((each) => each - 1));
      return { ...given, seed: seed ?? Math.floor(Math.random() * 1e6) };
    },
  };
}
