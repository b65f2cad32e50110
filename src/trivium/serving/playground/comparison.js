/** Runs held against one another: what the server compares on the same text, scores with their intervals, settings. */
import { announce, el, show, svg } from "./dom.js";
import { button } from "./fields.js";
import { problemUnlessStopped } from "./notice.js";
import { key } from "./curves.js";
import { spelt } from "./axes.js";
import { counted } from "./words.js";

/**
 * A button that compares the chosen runs with the first of them, and what came out.
 * @param {any} api @param {AbortSignal} left
 */
export function comparison(api, left) {
  /** @type {{run: any, look: number}[]} */
  let chosen = [];
  const result = el("div", { "aria-live": "polite" });
  const press = button("Compare them", ask);
  const hint = el("p", { class: "hint" });
  const node = el("section", { hidden: true }, el("h3", {}, "Difference"), el("div", { class: "row" }, press, hint), result);
  /** @type {AbortController | null} */
  let running = null;
  let shown = "";

  async function ask() {
    if (running) return running.abort();
    const asked = chosen;
    const mine = (running = new AbortController());
    left.addEventListener("abort", () => mine.abort());
    press.textContent = "Stop";
    show(result, el("p", { class: "note working" }, "Both models read the same text: this may take a minute."));
    try {
      const { pairs } = await api.post("runs/compare", { ids: asked.map((each) => each.run.id) }, { signal: mine.signal });
      shown = names(asked);
      show(result, table(pairs, asked));
      announce("the comparison is made");
    } catch (found) {
      show(result, problemUnlessStopped(found));
    }
    running = null;
    press.textContent = "Compare them";
  }

  return {
    node,
    /** @param {{run: any, look: number}[]} runs */
    offer(runs) {
      chosen = runs;
      node.hidden = runs.length < 2;
      if (runs.length < 2) return;
      show(hint, "Each against ", el("bdi", {}, runs[0].run.name), ", on the text that both held out, with 95 % intervals.");
      if (shown && shown !== names(runs) && !running) show(result);
    },
  };
}

/** @param {{run: any}[]} runs */
const names = (runs) => runs.map((each) => each.run.id).join(" ");

/** @param {any[]} pairs @param {{run: any, look: number}[]} asked */
function table(pairs, asked) {
  const sound = pairs.filter((pair) => !pair.error);
  const reach = Math.max(...sound.flatMap((pair) => [pair.difference.low, pair.difference.high, pair.difference.value])
    .filter((value) => value !== null).map(Math.abs), 0) * 1.1 || 1;
  const named = (/** @type {number} */ at) => [key(asked[at].look), el("bdi", {}, asked[at].run.name)];
  const rows = sound.map((pair) => {
    const { value, low, high } = pair.difference;
    return el("tr", {}, el("th", { scope: "row" }, named(pairs.indexOf(pair) + 1)),
      el("td", {}, pair.measure.replaceAll("_", " ")),
      el("td", { class: "num" }, spelt(pair.values[1])),
      el("td", { class: "num" }, spelt(pair.values[0])),
      el("td", { class: "num" }, `${signed(value)} [${signed(low)}, ${signed(high)}]`),
      el("td", {}, whisker(value, low, high, reach)),
      el("td", { class: "num" }, spelt(pair.p_holm)),
      el("td", {}, pair.better ? (pair.better === pair.second ? "better" : "worse") : "not told apart"));
  });
  const head = ["Run", "Measure", "Its value", "The first's", "First minus this, 95 %", "", "p", "This run is"];
  return [
    rows.length > 0 && el("div", { class: "scroll" }, el("table", {},
      el("caption", {}, "Against ", named(0), ". p is corrected for the number of comparisons; the line shows the interval, its middle is no difference."),
      el("thead", {}, el("tr", {}, head.map((text, at) =>
        el("th", { scope: "col", class: [2, 3, 4, 6].includes(at) ? "num" : null }, text || el("span", { class: "unseen" }, "Drawn"))))),
      el("tbody", {}, rows))),
    pairs.map((pair, at) => pair.error && el("p", { class: "problem" }, named(at + 1), `: ${pair.error}`)),
    sound.map((pair) => [
      el("p", { class: "note" }, pair.verdict),
      pair.notes.map((/** @type {string} */ text) => el("p", { class: "note" }, text)),
      pair.apart.length > 0 && apart(pair),
    ]),
  ];
}

/** The items that set two runs apart. @param {any} pair */
function apart(pair) {
  return el("details", {}, el("summary", {}, `Where they differ most: ${pair.apart.length} of ${spelt(pair.apart_count)}`),
    el("div", { class: "scroll" }, el("table", {},
      el("thead", {}, el("tr", {}, [pair.first, pair.second, "text"].map((text) => el("th", { scope: "col" }, el("bdi", {}, text))))),
      el("tbody", {}, pair.apart.map((/** @type {any} */ item) =>
        el("tr", {}, el("td", {}, el("bdi", {}, item.first)), el("td", {}, el("bdi", {}, item.second)),
          el("td", { class: "written", dir: "auto" }, item.text)))))));
}

/** @param {number} value @param {number | null} low @param {number | null} high @param {number} reach */
function whisker(value, low, high, reach) {
  const at = (/** @type {number} */ each) => (50 + (50 * each) / reach).toFixed(2);
  return svg("svg", { class: "whisker", viewBox: "0 0 100 16", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "zero", d: "M50 0V16" }),
    low !== null && high !== null && svg("path", { class: "span", d: `M${at(low)} 8H${at(high)}` }),
    svg("path", { class: "dot", d: `M${at(value)} 8h0` }));
}

/** @param {number | null} value */
const signed = (value) => (value === null ? "–" : (value > 0 ? "+" : "") + spelt(value).replace("-", "−"));

/** What fine-tuned runs scored on their dev examples, with intervals. @param {any[]} all */
export function scores(all) {
  const results = all.map((each) => ({ each, line: [...each.course.lines].reverse().find((line) => line.kind === "result") }))
    .filter(({ line }) => line?.dev);
  if (!results.length) return null;
  const measures = [...new Set(results.flatMap(({ line }) => Object.keys(line.dev)))];
  const same = new Set(results.map(({ line }) => examples(line.signature))).size === 1;
  return [el("h3", {}, "Scores on dev"), el("div", { class: "scroll" }, el("table", {},
    el("caption", {}, "In brackets: 95 % intervals.", !same && " These runs were scored on different examples: their scores do not compare."),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Measure"), results.map(({ each }) =>
      el("th", { scope: "col" }, key(each.look), el("bdi", {}, each.run.name))))),
    el("tbody", {}, measures.map((name) => el("tr", {}, el("th", { scope: "row" }, name.replaceAll("_", " ")),
      results.map(({ line }) => {
        const bounds = line.intervals?.[name];
        return el("td", {}, spelt(line.dev[name]), Array.isArray(bounds) && el("small", {}, ` [${spelt(bounds[0])}, ${spelt(bounds[1])}]`));
      }))))))];
}

/** Which examples a signature names. @param {unknown} signature */
const examples = (signature) => String(signature).split("|").filter((part) => /^(dev|examples|task|fields):/.test(part)).join("|");

const kept = { open: false }; // the table stays unfolded while its runs go on

/** The settings in which the runs differ; of one run all of them. @param {any[]} all */
export function differences(all) {
  const recipes = all.map((each) => flat(each.course.recipe));
  const names = [...new Set(recipes.flatMap((recipe) => [...recipe.keys()]))].filter((name) => !name.endsWith("sha256")).sort();
  if (!names.length) return null;
  const one = all.length === 1;
  const shown = one ? names : names.filter((name) => new Set(recipes.map((recipe) => recipe.get(name))).size > 1);
  const rows = shown.map((name) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, name)),
    recipes.map((recipe) => el("td", {}, el("bdi", {}, recipe.get(name) ?? "–")))));
  const grid = el("div", { class: "scroll" }, el("table", { class: "settings" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Setting"), all.map((each) =>
      el("th", { scope: "col" }, key(each.look), el("bdi", {}, each.run.name))))),
    el("tbody", {}, rows)));
  if (!rows.length) return el("p", { class: "note" }, "Their recipes are the same.");
  const title = one ? "The recipe" : `What sets them apart: ${counted(rows.length, "setting")}`;
  const node = el("details", { open: kept.open }, el("summary", {}, title), grid);
  node.addEventListener("toggle", () => (kept.open = node.open));
  return node;
}

/** training.optimizer.beta1 and its value as text. @param {any} table @param {string} [before] @returns {Map<string, string>} */
function flat(table, before = "") {
  return new Map(Object.entries(table ?? {}).flatMap(([name, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? [...flat(value, `${before}${name}.`)]
      : [/** @type {[string, string]} */ ([before + name, typeof value === "string" ? value : JSON.stringify(value)])]));
}
