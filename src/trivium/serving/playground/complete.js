/**
 * Complete: a text that a model goes on with; several ways at once, two models beside each other, or one token at a
 * time.
 */
import { el, show } from "./dom.js";
import { area, button, choice, modelChoice, number, segments, side } from "./fields.js";
import { kept } from "./kept.js";
import { problemUnlessStopped } from "./notice.js";
import { sampling } from "./sampling.js";
import { steps } from "./steps.js";
import { ALTERNATIVES, completed, speed } from "./streams.js";
import { writing } from "./writing.js";
import { scale, written } from "./written.js";

export const title = "Complete";
export const needs = ["complete"];
export const missing = "No model of this server writes. Start the server with one that does:";

const PROMPT = "The lighthouse keeper had not spoken to anyone for a month, so when the knock came he";

export const mount = kept(build);

/** @param {any} context */
function build(context) {
  const prompt = area("Text to go on with", { value: PROMPT, rows: 4, spell: false });
  prompt.node.classList.add("prompt");
  const bench = el("div", {});
  const trouble = el("div", {});
  const model = modelChoice(context, "complete", needs);
  const others = model.models.map((each) => /** @type {[string, string]} */ ([each.id, each.id]));
  const beside = choice("Beside it", { choices: [["", "no other model"], ...others] });
  const count = number("Texts", { value: 1, min: 1, max: 8, step: 1 });
  const drawn = sampling(context, "complete", { temperature: 0.8, top_p: 1, top_k: 40, max_tokens: 60 }, (coloured) =>
    bench.classList.toggle("coloured", coloured),
  );
  // A text that has ended before the others goes on after them: until then its buttons are not shown.
  const go = writing("Go on", write, (busy) => (bench.ariaBusy = String(busy)));
  const legend = scale();
  const stepwise = steps(context, { text: prompt.value, model: () => model.value() });
  const mode = segments("How", {
    choices: [["write", "Write"], ["steps", "Token by token"]],
    value: "write",
    changed: (which) => {
      for (const node of [go.node, legend, bench, trouble, beside.node, count.node, drawn.node]) node.hidden = which !== "write";
      for (const node of stepwise.nodes) node.hidden = which === "write";
      if (which === "write") stepwise.pause();
    },
  });
  for (const node of stepwise.nodes) node.hidden = true;
  prompt.box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !go.busy() && mode.value() === "write") write();
  });

  async function write() {
    show(trouble);
    const names = [model.value().id, beside.value()].filter(Boolean);
    const texts = Math.max(1, Math.min(8, Math.round(count.value() ?? 1)));
    const values = drawn.values(model.models.filter((each) => names.includes(each.id)));
    const columns = names.map((name) => {
      const samples = Array.from({ length: texts }, (_, at) => sample(name, texts > 1 ? `${at + 1}` : "", prompt.value(), values));
      const grid = el("div", { class: "few" }, samples.map((each) => each.node));
      return { name, samples, node: el("section", {}, names.length > 1 && el("h3", {}, name), grid) };
    });
    bench.className = `bench${names.length > 1 ? " beside" : ""}${bench.classList.contains("coloured") ? " coloured" : ""}`;
    if (names.length === 1) bench.classList.add("alone");
    show(bench, columns.map((column) => column.node));
    const found = await go.during((signal) =>
      Promise.all(columns.map((column) => fill(column.name, column.samples, prompt.value(), values, signal))));
    show(trouble, found.filter(Boolean).slice(0, 1));
    for (const [at, column] of columns.entries()) {
      if (found[at] && column.samples.every((each) => each.text.tokens.length === 0)) column.node.remove();
    }
  }

  /**
   * Streams into samples what a model writes; gives the problem, if any, as a node.
   * @param {string} name @param {any[]} samples @param {string} start @param {any} values @param {AbortSignal} signal
   */
  async function fill(name, samples, start, values, signal) {
    const body = { ...values, model: name, prompt: start, n: samples.length, logprobs: ALTERNATIVES };
    for (const each of samples) each.begin();
    let found = null;
    try {
      for await (const event of context.api.stream("v1/completions", body, { signal })) {
        for (const each of event.choices) {
          const one = samples[each.index];
          for (const token of completed(each)) one.text.add(token);
          if (each.finish_reason) one.end(each.finish_reason);
        }
      }
    } catch (thrown) {
      found = problemUnlessStopped(thrown);
    }
    for (const each of samples) each.end("stopped");
    return found;
  }

  /**
   * One text: its card, and how it goes on from another token.
   * @param {string} name @param {string} label @param {string} start @param {any} values
   */
  function sample(name, label, start, values) {
    const under = el("div", { class: "under" });
    /** @type {any[][]} */
    const earlier = [];
    let begun = 0;
    let had = 0;
    let over = true;
    const text = written({
      label: `Text ${label} of ${name}: the arrow keys go through its tokens`,
      choose: async (at, instead) => {
        if (go.busy()) return;
        earlier.push([...text.tokens]);
        const { top } = text.tokens[at];
        text.cut(at);
        text.add({ text: instead.text, probability: instead.probability, top });
        await goOn();
      },
    });
    const one = {
      text,
      node: el(
        "article",
        { class: "sample" },
        label && el("h3", {}, label),
        el("p", { class: "text" }, el("span", { class: "given" }, ending(start)), text.node),
        under,
      ),
      begin() {
        over = false;
        begun = performance.now();
        had = text.tokens.length;
        text.writing(true);
        show(under);
      },
      /** @param {string} reason */
      end(reason) {
        if (over) return;
        over = true;
        text.writing(false);
        const why = { length: "cut at its longest", stop: "ended by itself", stopped: "stopped" }[reason];
        const facts = [speed(text.tokens.slice(had), (performance.now() - begun) / 1000), `seed ${values.seed}`, why];
        show(
          under,
          el("span", {}, facts.filter(Boolean).join(" · ")),
          reason !== "stop" && button("Write more", () => !go.busy() && goOn(), { class: "quiet" }),
          earlier.length > 0 && button("Undo", undo, { class: "quiet" }),
        );
      },
    };

    async function goOn() {
      const found = await go.during((signal) => fill(name, [one], start + text.text(), values, signal));
      if (found) under.prepend(found);
    }

    function undo() {
      const before = earlier.pop();
      if (go.busy() || !before) return;
      text.cut(0);
      for (const token of before) text.add(token);
      over = false;
      had = 0;
      one.end("stopped");
    }

    return one;
  }

  return el(
    "div",
    { class: "split" },
    el(
      "div",
      { class: "work" },
      prompt.node,
      el("div", { class: "row ways" }, go.node, stepwise.controls, legend, mode.node),
      trouble,
      bench,
      stepwise.stage,
    ),
    side("Model and settings", model.node, beside.node, count.node, drawn.node, stepwise.settings),
  );
}

/** The last words of a prompt, so that a text can be read on from them. @param {string} prompt */
function ending(prompt) {
  const last = [...prompt].slice(-90).join("");
  return last.length < prompt.length ? `…${last.slice(last.indexOf(" ") + 1 || 0)}` : last;
}
