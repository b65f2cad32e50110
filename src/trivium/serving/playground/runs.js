/** The tab of runs: curves of trainings in progress and past, laid over one another, their samples, and comparisons. */
import { announce, el, show, unique } from "./dom.js";
import { check, choice, number, side } from "./fields.js";
import { isAbort } from "./api.js";
import { problem } from "./notice.js";
import { duration, spelt } from "./axes.js";
import { key, LOOKS, plot } from "./curves.js";
import { along, begun, curves, remaining, smoothed, take } from "./course.js";
import { comparison, differences, scores } from "./comparison.js";

export const title = "Runs";

const LIVE = 2000; // milliseconds between two looks while a run is in progress
const STILL = 8000;
const AXES = /** @type {[string, string][]} */ ([["step", "step"], ["tokens", "tokens"], ["seconds", "seconds of training"]]);
const KINDS = /** @type {Record<string, string>} */ ({ train: "", evaluation: ", held out", judged: "" });
const FIRST = ["loss", "accuracy", "reward"];
const LAST = ["learning_rate", "grad_norm", "tokens_per_second", "mfu"];

/** @param {HTMLElement} root @param {any} context */
export function mount(root, context) {
  const { api, settings } = context;
  const left = new AbortController();
  /** @type {any[]} */
  let runs = [];
  /** @type {Map<string, {run: any, look: number, course: import("./course.js").Course, changed: string}>} */
  const chosen = new Map(); // by id, in the order in which they were chosen
  let wanted = context.place ? new Set(context.place.split(",")) : null;

  const list = el("fieldset", { class: "picks" }, el("legend", {}, "Runs"));
  const main = plot("the curves");
  const speed = plot("the speed");
  const speedBox = el("section", {}, el("h3", {}, "Speed"), speed.node);
  const table = el("div", { class: "scroll" });
  const note = el("div", {});
  const samples = el("section", { class: "written-during" });
  const compared = comparison(api, left.signal);
  const told = el("section", {});
  const changes = el("section", {});

  const measure = choice("Measure", { choices: [], changed: (name) => (settings.set("runs.measure", name), draw()) });
  const across = choice("Along", { choices: AXES, value: settings.get("runs.along", "step"),
    changed: (name) => (settings.set("runs.along", name), draw()) });
  const smooth = number("Smoothing", { value: settings.get("runs.smoothing", 0.6), min: 0, max: 0.99, step: 0.01,
    hint: "0: as it was logged.", changed: (value) => (settings.set("runs.smoothing", value ?? 0), draw()) });
  const logs = ["across", "up"].map((way) => check(`Logarithmic ${way}`, { value: settings.get(`runs.log-${way}`, false),
    changed: (value) => (settings.set(`runs.log-${way}`, value), draw()) }));
  const tools = el("div", { class: "tools" }, measure.node, across.node, smooth.node,
    el("div", { class: "checks" }, logs.map((each) => each.node)));
  const empty = el("div", { class: "empty", hidden: true });
  const beside = side("Choose runs", list);
  const split = el("div", { class: "split" }, el("div", { class: "work" }, note, tools, main.node, table, speedBox, compared.node,
    told, samples, changes), beside);
  root.append(empty, split);

  // ---- looking ----

  async function look() {
    let wait = STILL;
    try {
      const found = await api.get("runs", { signal: left.signal });
      const names = new Set(found.runs.map((/** @type {any} */ run) => run.id));
      nothing(found);
      const before = JSON.stringify(runs);
      runs = found.runs;
      for (const id of chosen.keys()) if (!names.has(id)) chosen.delete(id);
      if (wanted === null) wanted = firstChoice(runs);
      for (const id of wanted) if (names.has(id) && !chosen.has(id)) choose(id, true);
      wanted = new Set();
      if (JSON.stringify(runs) !== before) listed();
      await courses();
      show(note);
      if (runs.some((run) => run.state === "running")) wait = LIVE;
    } catch (found) {
      if (isAbort(found)) return;
      show(note, problem(found));
    }
    timer = setTimeout(() => (document.hidden ? (timer = 0) : look()), wait);
  }
  let timer = /** @type {any} */ (0);
  const seen = () => !document.hidden && timer === 0 && look();
  document.addEventListener("visibilitychange", seen);

  /** What is new in the chosen runs. */
  async function courses() {
    let fresh = false;
    for (const [id, each] of chosen) {
      each.run = runs.find((run) => run.id === id) ?? each.run;
      const stamp = `${each.run.changed} ${each.run.step} ${each.run.state}`;
      if (each.changed === stamp && each.run.state !== "running") continue;
      for (let more = true; more; ) {
        const answer = await api.get(`runs/${encodeURIComponent(id)}?after=${each.course.next}`, { signal: left.signal });
        more = answer.more && answer.next > each.course.next;
        fresh = take(each.course, answer) || fresh;
      }
      fresh ||= each.changed !== stamp;
      each.changed = stamp;
    }
    if (fresh) draw();
  }

  /** @param {any} found */
  function nothing(found) {
    split.hidden = !found.runs.length;
    empty.hidden = !split.hidden;
    if (empty.hidden) return;
    const [text, command] = found.folder === null
      ? ["This server shows no runs. Start it with the folder that holds them, and the curves of a training appear here as it goes on.",
        "trivium serve --model MODEL --runs runs"]
      : [`There is no run in ${found.folder} yet. Start one, and its curves appear here.`,
        `trivium pretrain gpt2-mini --out ${found.folder}/first`];
    show(empty, el("h2", {}, title), el("p", {}, text), el("pre", {}, el("code", {}, command)));
  }

  // ---- choosing ----

  /** @param {string} id @param {boolean} yes */
  function choose(id, yes) {
    if (!yes) chosen.delete(id);
    else {
      const taken = new Set([...chosen.values()].map((each) => each.look));
      let look = 0;
      while (taken.has(look)) look += 1;
      chosen.set(id, { run: runs.find((run) => run.id === id), look, course: begun(), changed: "" });
    }
  }

  function listed() {
    const held = /** @type {any} */ (document.activeElement)?.dataset?.run;
    show(list, el("legend", {}, "Runs"), runs.map((run) => {
      const [id, on] = [unique("run"), chosen.has(run.id)];
      const box = el("input", { type: "checkbox", id, "data-run": run.id, "aria-describedby": `${id}-about`,
        disabled: !on && chosen.size >= LOOKS, on: { change: () => pick(run, box.checked) } });
      box.checked = on;
      return el("div", { class: "pick" }, box,
        el("label", { for: id }, on && key(chosen.get(run.id)?.look ?? 0), el("bdi", {}, run.name)),
        el("p", { class: "hint", id: `${id}-about` }, about(run)));
    }), runs.length > LOOKS && el("p", { class: "hint" }, `Up to ${LOOKS} at a time.`));
    if (held) list.querySelector(`[data-run="${CSS.escape(held)}"]`)?.focus();
    show(/** @type {any} */ (beside.querySelector("summary")), `Runs: ${chosen.size} of ${runs.length} chosen`);
  }

  /** @param {any} run @param {boolean} yes */
  function pick(run, yes) {
    choose(run.id, yes);
    context.go([...chosen.keys()].join(","));
    listed();
    draw();
    courses().catch((found) => isAbort(found) || show(note, problem(found)));
    announce(`${run.name} ${yes ? "added" : "removed"}`);
  }

  // ---- drawing ----

  function draw() {
    const all = [...chosen.values()].map((each) => ({ ...each, found: curves(each.course), at: along(each.course, /** @type {any} */ (across.value())) }));
    const names = measures(all.map((each) => each.found));
    const kept = settings.get("runs.measure", "");
    const name = names.includes(kept) ? kept : names[0];
    show(measure.select, names.map((each) => el("option", { value: each }, each.replaceAll("_", " "))));
    measure.select.value = name ?? "";
    measure.select.disabled = names.length < 2;
    const [logX, logY] = logs.map((each) => each.value());
    const x = /** @type {any} */ (AXES.find(([key]) => key === across.value()))[1];
    const weight = Math.min(0.99, Math.max(0, smooth.value() ?? 0));
    const drawnRuns = all.filter((each) => each.at);
    const empty = !chosen.size ? "Choose a run." : !drawnRuns.length ? `The chosen runs do not tell their ${x}: draw them along steps.`
      : logX || logY ? "Nothing is above 0 here: leave the logarithmic axes." : "Nothing is logged yet.";
    main.draw(drawnRuns.flatMap((each) => series(each, name, weight)), { x, y: (name ?? "").replaceAll("_", " "), logX, logY, empty });
    speed.draw(drawnRuns.flatMap((each) => series(each, "tokens_per_second", weight)), { x, y: "tokens per second", logX });
    speedBox.hidden = name === "tokens_per_second" || !all.some((each) => each.found.has("tokens_per_second"));
    show(table, all.length > 0 && figures(all, name));
    show(samples, written(all));
    compared.offer(all.map(({ run, look }) => ({ run, look })));
    show(told, scores(all));
    show(changes, differences(all));
  }

  look();
  return {
    leave() {
      left.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    },
    /** @param {string} place */
    go(place) {
      const ids = place ? place.split(",") : [];
      for (const id of [...chosen.keys()]) if (!ids.includes(id)) choose(id, false);
      for (const id of ids) if (!chosen.has(id) && chosen.size < LOOKS && runs.some((run) => run.id === id)) choose(id, true);
      listed();
      draw();
      courses().catch((found) => isAbort(found) || show(note, problem(found)));
    },
  };
}

/** Those in progress, else the one that was written last. @param {any[]} runs */
function firstChoice(runs) {
  const live = runs.filter((run) => run.state === "running").slice(0, LOOKS);
  return new Set((live.length ? live : runs.slice(0, 1)).map((run) => run.id));
}

/** "gpt2 mini, causal · running, 1,200 of 5,000". @param {any} run */
function about(run) {
  const steps = run.step === null ? "" : `, step ${spelt(run.step)}${run.steps ? ` of ${spelt(run.steps)}` : ""}`;
  const model = run.model.split("/").slice(-2).join("/"); // of a folder that was fine-tuned its end
  const what = [model, run.objective].filter((each) => each !== "-").join(", ");
  return [el("span", { class: `state ${run.state}` }, run.state), steps, what && [el("br"), el("bdi", {}, what)], el("br"), run.changed];
}

/** What was measured, what a reader asks for first at the front. @param {Map<string, any>[]} found @returns {string[]} */
function measures(found) {
  const names = [...new Set(found.flatMap((each) => [...each.keys()]))];
  const rank = (/** @type {string} */ name) => (FIRST.includes(name) ? FIRST.indexOf(name) - FIRST.length : LAST.indexOf(name) + 1);
  return names.sort((one, other) => rank(one) - rank(other) || one.localeCompare(other));
}

/** The curves of one run for a measure. @param {any} each @param {string} name @param {number} weight */
function series(each, name, weight) {
  const kinds = [...(each.found.get(name) ?? new Map()).entries()];
  return kinds.flatMap(([kind, logged]) => {
    const points = logged
      .filter((/** @type {any} */ point) => point.y !== null)
      .map((/** @type {any} */ point) => ({ x: each.at(point.step), y: point.y }));
    const made = { name: `${each.run.name}${KINDS[kind]}`, look: each.look, points };
    if (kind !== "train") return [{ ...made, dots: true }];
    return weight && points.length > 2 ? [{ ...made, faint: true }, { ...made, points: smoothed(points, weight) }] : [made];
  });
}

/** Last and best of each curve, beside the plot. @param {any[]} all @param {string} name */
function figures(all, name) {
  const rising = /accuracy|f1|matthews|reward|win|margin|correlation|bleu|rouge|exact|tokens_per_second|mfu/.test(name ?? "");
  const rows = all.flatMap((each) => {
    const kinds = [...(each.found.get(name) ?? new Map()).entries()];
    const left = remaining(each.course, each.run);
    const state = [each.run.state, left !== null && `about ${duration(left)} left`].filter(Boolean).join(", ");
    const lines = kinds.length ? kinds : [["train", []]];
    return lines.map(([kind, logged], at) => {
      const finite = logged.filter((/** @type {any} */ point) => point.y !== null);
      const best = finite.reduce((/** @type {any} */ found, /** @type {any} */ point) =>
        found === null || (rising ? point.y > found.y : point.y < found.y) ? point : found, null);
      const broken = logged.find((/** @type {any} */ point) => point.y === null);
      return el("tr", {},
        el("th", { scope: "row" }, key(each.look, kind !== "train"), el("bdi", {}, `${each.run.name}${KINDS[kind]}`)),
        el("td", { class: "num" }, spelt(finite[finite.length - 1]?.y)),
        el("td", { class: "num" }, spelt(best?.y), best && el("small", {}, ` at ${spelt(best.step)}`)),
        el("td", {}, broken ? `not a number at step ${spelt(broken.step)}` : at === 0 ? state : ""));
    });
  });
  return el("table", {}, el("caption", { class: "unseen" }, "Last and best values"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Run"), el("th", { scope: "col", class: "num" }, "Last"),
      el("th", { scope: "col", class: "num" }, "Best"), el("th", { scope: "col" }, "State"))),
    el("tbody", {}, rows));
}

/** The newest sample of each run, the earlier ones folded. @param {any[]} all */
function written(all) {
  const some = all.filter((each) => each.course.samples.length);
  if (!some.length) return null;
  const sample = (/** @type {any} */ each) =>
    el("figure", { class: "sample" }, el("figcaption", {}, `Step ${spelt(each.step)}`), el("p", { class: "written", dir: "auto" }, each.text));
  return [el("h3", {}, "Written on the way"), el("div", { class: "samples" }, some.map((each) => {
    const newest = [...each.course.samples].reverse();
    return el("div", {}, el("p", { class: "note" }, key(each.look), el("bdi", {}, each.run.name)), sample(newest[0]),
      newest.length > 1 && el("details", {}, el("summary", {}, `${newest.length - 1} earlier`), newest.slice(1, 51).map(sample)));
  }))];
}
