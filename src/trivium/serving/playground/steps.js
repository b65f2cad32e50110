/**
 * Token by token: what a model looks at and what it considers at each step of its writing.
 *
 * The server computes all steps at once (/views/steps); here they are walked through, by hand or like a film.
 */
import { announce, el, show } from "./dom.js";
import { button, number } from "./fields.js";
import { problem } from "./notice.js";
import { percent, visible } from "./words.js";
import { word } from "./written.js";

const PACE = 900; // milliseconds that a step is shown

/**
 * @param {any} context @param {{text: () => string, model: () => any}} from
 */
export function steps(context, { text, model }) {
  /** @type {{prompt: string[], steps: any[]} | null} */
  let trace = null;
  let at = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let film;

  const length = number("Steps", { value: 24, min: 1, max: 64, step: 1 });
  const layer = number("Layer", { value: null, min: 1, max: 999, step: 1, slider: false, hint: "Whose attention is shown; empty: the last." });
  const settings = el("div", {}, length.node, layer.node);
  const stage = el("div", { class: "stage" });
  const start = button("Watch it write", read, { class: "main" });
  const controls = el("div", { class: "row" }, start);
  const nodes = [settings, stage, controls];

  const back = button("←", () => move(at - 1), { "aria-label": "One step back" });
  const forth = button("→", () => move(at + 1), { "aria-label": "One step on" });
  const play = button("Play", () => (film ? pause() : run()));
  const slider = el("input", { type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": "Step",
    on: { input: () => move(Number(slider.value)) } });
  const words = el("p", { class: "trace" });
  const candidates = el("div", { class: "candidates" });

  async function read() {
    pause();
    start.disabled = true;
    try {
      const body = { model: model().id, prompt: text(), max_tokens: length.value() ?? 24, top: 6, layer: layer.value() };
      trace = await context.api.post("views/steps", body);
      at = 0;
      slider.max = String(trace.steps.length - 1);
      show(stage, el("div", { class: "row film" }, back, play, forth, slider), words, candidates);
      if (trace.steps.length === 0) show(stage, el("p", { class: "note" }, "The model ends the text at once."));
      else {
        draw();
        run();
      }
    } catch (found) {
      show(stage, problem(found));
    }
    start.disabled = false;
  }

  function run() {
    if (!trace) return;
    if (at >= trace.steps.length - 1) at = 0;
    show(play, "Pause");
    draw();
    film = setInterval(() => {
      if (!stage.isConnected || !trace || at >= trace.steps.length - 1) pause();
      else {
        at += 1;
        draw();
      }
    }, PACE);
  }

  function pause() {
    clearInterval(film);
    film = undefined;
    show(play, "Play");
  }

  /** @param {number} to */
  function move(to) {
    pause();
    if (!trace) return;
    at = Math.max(0, Math.min(trace.steps.length - 1, to));
    draw();
    announce(`Step ${at + 1}: ${visible(trace.steps[at].text)}, ${percent(trace.steps[at].probability)}`);
  }

  function draw() {
    if (!trace) return;
    const step = trace.steps[at];
    slider.value = String(at);
    slider.setAttribute("aria-valuetext", `${at + 1} of ${trace.steps.length}`);
    back.disabled = at === 0;
    forth.disabled = at === trace.steps.length - 1;
    const seen = [...trace.prompt, ...trace.steps.slice(0, at).map((each) => each.text)];
    // An encoder-decoder looks at the prompt, and apart from it at what it has written, after a token to start with.
    const looks = [...step.attention, ...(step.written ?? []).slice(1)];
    const most = Math.max(...looks, 1e-9);
    show(
      words,
      seen.map((piece, place) =>
        el("span", { class: place < trace.prompt.length ? "seen first" : "seen", title: percent(looks[place] ?? 0),
          vars: { "--weight": ((looks[place] ?? 0) / most).toFixed(3) } }, word(piece)),
      ),
      el("span", { class: "next" }, word(step.text)),
    );
    show(
      candidates,
      el("h3", {}, `Step ${at + 1} of ${trace.steps.length}`),
      el("table", {}, el("caption", {}, "What it considers next. Above, the more it looks at a token, the bluer it is."),
        el("tbody", {}, step.top.map((each) =>
          el("tr", { class: each.text === step.text ? "chosen" : null },
            el("th", { scope: "row" }, visible(each.text)),
            el("td", {}, el("span", { class: "bar", vars: { "--share": each.probability } })),
            el("td", { class: "num" }, percent(each.probability)))))),
    );
  }

  return { nodes, settings, stage, controls, pause };
}
