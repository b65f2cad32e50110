/**
 * Attention: where each layer and head looks, averaged, or rolled out over the layers (Abnar & Zuidema 2020). All heads
 * are fetched at once where the text is short, else those of one layer, else one.
 */
import { arcs } from "./arcs.js";
import { asking } from "./asking.js";
import { el, show } from "./dom.js";
import { button, choice, modelChoice, segments } from "./fields.js";
import { textFields } from "./inside_text.js";
import { matrix } from "./matrix.js";
import { saveJson } from "./saving.js";
import { HABITS, described, thumbnails } from "./thumbnails.js";
import { percent } from "./words.js";

export const title = "Attention";
export const needs = ["attention"];
export const lead = "Each token gathers from others what it needs. Weights say where a head reads, not why the model decided.";
export const offers = (/** @type {any} */ model) => model.trivium.abilities.includes("attention");

const ALL = 700_000; // weights that are fetched at once
const STACKS = { encoder: "Encoder", decoder: "Decoder", cross: "Decoder to encoder" };
const SUMMARIES = [["none", "Each head"], ["mean", "Mean of heads"], ["rollout", "Rollout"]];

/** What to ask for, of a text of so many tokens: all, one layer, or one head.
 * @param {number} cells of one head @param {number} layers @param {number} heads
 * @returns {"all" | "layer" | "head"} */
export function portion(cells, layers, heads) {
  if (cells * layers * heads <= ALL) return "all";
  return cells * heads <= ALL ? "layer" : "head";
}

/** @param {HTMLElement} root @param {any} context @param {any} texts */
export function mount(root, context, texts) {
  const fields = textFields(texts, ["encoder", "encoder-decoder"]);
  const kept = context.settings;
  const options = el("div", {});
  const model = modelChoice(context, "inside.attention", needs, {
    changed: () => {
      asked.clear();
      build();
    },
  });
  /** @type {{stack: any, summary: any}} */
  let chosen;
  /** The layer and the head that are shown, from 1. */
  let at = { layer: 1, head: 1 };
  const asked = asking(root, { main: fields.nodes, beside: [model.node, options], action: "Show attention", ask, wide: true });
  build();
  asked.ask();

  function build() {
    const { stacks } = model.value().trivium;
    fields.fit(model.value());
    chosen = {
      stack: choice("Which attention", { choices: stacks.map((/** @type {string} */ each) => [each, STACKS[each]]), changed: asked.ask }),
      summary: choice("Show", {
        choices: SUMMARIES, value: kept.get("attention.summary", "none"),
        changed: (value) => {
          kept.set("attention.summary", value);
          asked.ask();
        },
      }),
    };
    show(options, stacks.length > 1 && chosen.stack.node, chosen.summary.node);
  }

  /** How many layers the chosen stack has. */
  function depth() {
    const { layers } = model.value().trivium;
    return layers[chosen.stack.value() === "encoder" ? "encoder" : "decoder"] || 1;
  }

  /** @param {AbortSignal} signal */
  async function ask(signal) {
    const id = model.value().id;
    const stack = chosen.stack.value();
    const given = { model: id, ...fields.body(), stack };
    const summary = chosen.summary.value();
    const post = (/** @type {object} */ more) => context.api.post("views/attention", { ...given, ...more }, { signal });
    if (summary === "rollout") return single(await post({ summary }), "Rollout over all layers");
    const heads = summary === "mean" ? 1 : model.value().trivium.heads;
    const tokens = await context.api.post("tokenize", { model: id, text: given.text + (given.answer ?? "") }, { signal });
    const part = portion(tokens.count * tokens.count, depth(), heads);
    at = { layer: Math.min(at.layer, depth()), head: Math.min(at.head, heads) };
    const asking = { summary, layers: part === "all" ? null : [at.layer], heads: part === "head" ? [at.head] : null };
    return many(await post(asking), part, heads);
  }

  /** @param {any} found @param {string} name */
  function single(found, name) {
    const large = pictures(found, context.settings);
    large.show(found.weights[0][0], name, null);
    return large.nodes;
  }

  /** @param {any} found @param {string} part @param {number} heads */
  function many(found, part, heads) {
    const pairs = el("div", { class: "row found", "aria-live": "polite" });
    const large = pictures(found, context.settings, (query, key) => {
      if (!mean && part !== "head") show(pairs, lookers(found, query, key, pick));
    });
    const mean = chosen.summary.value() === "mean";
    const numbers = found.layers;
    const start = mean ? 0 : Math.max(found.heads.indexOf(at.head), 0);
    const small = thumbnails({ ...found, mean, onpick: pick });

    /** @param {number} layer @param {number} head places in the weights */
    function pick(layer, head) {
      at = { layer: numbers[layer], head: mean ? at.head : found.heads[head] };
      const told = mean ? "mean of all heads" : `head ${at.head}`;
      large.show(found.weights[layer][head], `Layer ${numbers[layer]}, ${told}`, small.summaryOf(layer, head));
      small.pick(layer, head);
    }

    pick(Math.max(numbers.indexOf(at.layer), 0), start);
    const partial = part !== "all" && el("div", { class: "row" },
      choice("Layer", { choices: counted(depth()), value: String(at.layer), changed: (value) => go({ layer: Number(value) }) }).node,
      part === "head" && choice("Head", { choices: counted(heads), value: String(at.head), changed: (value) => go({ head: Number(value) }) }).node,
      el("p", { class: "hint" }, `The text is long: ${part === "head" ? "one head" : "one layer"} at a time is computed.`));
    const search = !mean && found.weights.length * found.weights[0].length > 1 && finder(found.summaries, numbers, pick);
    return el(
      "div",
      { class: "attention" },
      el("div", { class: "attention-all" }, partial, small.node, search),
      el("div", { class: "attention-one" }, large.nodes, pairs),
    );
  }

  /** @param {Partial<typeof at>} change */
  function go(change) {
    at = { ...at, ...change };
    asked.ask();
  }

  return { leave: asked.leave };
}

/** @param {number} count @returns {[string, string][]} */
function counted(count) {
  return Array.from({ length: count }, (_, at) => [String(at + 1), String(at + 1)]);
}

/**
 * One head, large: as a matrix or as lines, both of which keep the token that was chosen.
 * @param {any} found @param {any} settings @param {(query: number, key: number) => void} [onpair] a cell was chosen
 */
function pictures(found, settings, onpair) {
  const { queries, keys, stack } = found;
  const heading = el("h3", {});
  const told = el("p", { class: "note" });
  const names = stack === "cross" ? ["decoder", "encoder"] : ["looks", "is looked at"];
  const lines = arcs({ queries, keys, looks: names[0], seen: names[1] });
  const cells = matrix({
    queries, keys, label: "Attention: rows look, columns are looked at",
    onpick: (query, key) => {
      lines.pick(query);
      onpair?.(query, key);
    },
  });
  const swap = (/** @type {string} */ kind) => {
    cells.node.hidden = kind !== "matrix";
    lines.node.hidden = kind !== "lines";
  };
  const kinds = segments("Drawn as", {
    choices: [["matrix", "Matrix"], ["lines", "Lines"]],
    value: settings.get("attention.drawn", "matrix"),
    changed: (kind) => {
      settings.set("attention.drawn", kind);
      swap(kind);
    },
  });
  swap(settings.get("attention.drawn", "matrix"));
  const save = button("Save the numbers", () => saveJson(found, `attention-${stack}.json`), { class: "quiet" });
  return {
    nodes: [el("div", { class: "one-head" }, el("div", {}, heading, told), el("div", { class: "row" }, kinds.node, save)), cells.node, lines.node],
    /** @param {number[][]} weights @param {string} name @param {any} summary */
    show(weights, name, summary) {
      heading.textContent = name;
      told.textContent = described(summary);
      cells.show(weights);
      lines.show(weights);
    },
  };
}

/**
 * The heads in which one token looks most at another.
 * @param {any} found @param {number} query @param {number} key @param {(layer: number, head: number) => void} pick
 */
function lookers(found, query, key, pick) {
  const all = found.weights.flatMap((/** @type {number[][][]} */ heads, /** @type {number} */ layer) =>
    heads.map((rows, head) => ({ layer, head, weight: rows[query][key] })));
  all.sort((/** @type {any} */ one, /** @type {any} */ other) => other.weight - one.weight);
  const best = all.slice(0, 5).filter((/** @type {any} */ each) => each.weight > 0);
  if (best.length === 0) return el("span", { class: "hint" }, "No head looks there.");
  return [
    el("span", { class: "hint" }, "Heads that look there most"),
    best.map((/** @type {any} */ each) => {
      const name = `Layer ${found.layers[each.layer]}, head ${found.heads[each.head]}: ${percent(each.weight)}`;
      return button(`${found.layers[each.layer]}·${found.heads[each.head]}`, () => pick(each.layer, each.head), { title: name, "aria-label": name });
    }),
  ];
}

/** Heads that look where one asks. @param {any[]} summaries @param {number[]} layers @param {(layer: number, head: number) => void} pick */
function finder(summaries, layers, pick) {
  const list = el("div", { class: "row found" });
  const look = (/** @type {string} */ which) => {
    const habit = HABITS[Number(which)];
    const best = [...summaries].sort((one, other) => habit.of(other) - habit.of(one)).slice(0, 5);
    show(list, best.map((each) =>
      button(`${each.layer}·${each.head}`, () => pick(layers.indexOf(each.layer), each.head - 1), {
        title: habit.said(each), "aria-label": `Layer ${each.layer}, head ${each.head}: ${habit.said(each)}`,
      })));
  };
  const which = choice("Heads that look at", { choices: HABITS.map((each, at) => [String(at), each.name]), changed: look });
  look("0");
  return el("div", { class: "finder" }, which.node, list);
}
