/** Chat: a conversation with a model that was taught to talk. It lives as long as the page, and nowhere else. */
import { announce, el, show } from "./dom.js";
import { area, button, modelChoice, side } from "./fields.js";
import { kept } from "./kept.js";
import { problemUnlessStopped } from "./notice.js";
import { sampling } from "./sampling.js";
import { ALTERNATIVES, said, speed } from "./streams.js";
import { counted } from "./words.js";
import { writing } from "./writing.js";
import { scale, written } from "./written.js";

export const title = "Chat";
export const needs = ["chat"];
export const missing = "No model of this server was taught to talk. Start the server with one that was:";

const STARTS = [
  "Explain to a child why the sky is blue.",
  "Write four lines about the sea in autumn.",
  "What is the difference between a simile and a metaphor?",
];

const EXPLAINED =
  "Its words are coloured by how likely it found them. Point at one to see what else it could have said; choose that, " +
  "and the answer goes on from there.";

export const mount = kept(build);

/** @param {any} context */
function build(context) {
  /** @type {{role: "user" | "assistant", text: () => string, node: HTMLElement}[]} */
  const turns = [];
  const talk = el("div", { class: "talk" });
  const model = modelChoice(context, "chat", needs, { changed: () => turns.length === 0 && greet() });
  const system = area("System message", { rows: 2 });
  const drawn = sampling(context, "chat", { temperature: 0.7, top_p: 0.95, max_tokens: 300 }, (coloured) =>
    talk.classList.toggle("coloured", coloured),
  );

  const message = area("Message", { rows: 1, unseen: true });
  message.box.placeholder = "Write a message";
  const send = writing("Send", () => ask(message.value()));
  message.box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask(message.value());
  });
  const composer = el("div", { class: "composer" }, el("div", { class: "box" }, message.node, send.node));

  function greet() {
    const name = model.value().id;
    show(
      talk,
      el(
        "div",
        { class: "hello" },
        el("h2", {}, `Talk to ${name}`),
        el("p", { class: "lead" }, EXPLAINED),
        scale(),
        el("div", { class: "starts" }, STARTS.map((text) => button(text, () => ask(text)))),
      ),
    );
  }

  function clear() {
    send.stop();
    turns.length = 0;
    greet();
    message.box.focus();
  }

  /** Forgets the turns from one on. @param {number} from */
  function forget(from) {
    for (const turn of turns.splice(from)) turn.node.remove();
    if (turns.length === 0) greet();
  }

  /** @param {string} text */
  function ask(text) {
    if (!text.trim() || send.busy()) return;
    if (turns.length === 0) show(talk);
    message.box.value = "";
    talk.append(userTurn(text));
    answer();
  }

  /** @param {string} text */
  function userTurn(text) {
    const edit = button("Edit", () => {
      send.stop();
      forget(turns.findIndex((turn) => turn.node === node));
      message.box.value = text;
      message.box.focus();
    }, { class: "quiet" });
    const node = el("article", { class: "turn user" }, el("p", { class: "who" }, "You"), el("div", { class: "said" }, text), edit);
    turns.push({ role: "user", text: () => text, node });
    return node;
  }

  /** One more answer to the conversation as it stands. */
  function answer() {
    const name = model.value().id;
    const under = el("div", { class: "under" });
    const text = written({
      label: `Answer of ${name}: the arrow keys go through its tokens`,
      choose: (at, instead) => {
        if (send.busy()) return;
        forget(turns.indexOf(turn) + 1);
        const { top } = text.tokens[at];
        text.cut(at);
        text.add({ text: instead.text, probability: instead.probability, top });
        write(turn, text, under, name, true);
      },
    });
    const node = el("article", { class: "turn assistant" }, el("p", { class: "who" }, name), text.node, under);
    const turn = { role: /** @type {const} */ ("assistant"), text: text.text, node };
    turns.push(turn);
    talk.append(node);
    write(turn, text, under, name, false);
  }

  /** @param {any} turn @param {any} text @param {HTMLElement} under @param {string} name @param {boolean} goesOn */
  async function write(turn, text, under, name, goesOn) {
    text.writing(true);
    show(under);
    const before = turns.slice(0, turns.indexOf(turn));
    const messages = before.map((each) => ({ role: each.role, content: each.text() }));
    if (system.value().trim()) messages.unshift({ role: /** @type {any} */ ("system"), content: system.value() });
    if (goesOn) messages.push({ role: "assistant", content: text.text() });
    const asked = model.models.filter((/** @type {any} */ each) => each.id === name);
    const body = { model: name, messages, ...drawn.values(asked), logprobs: true, top_logprobs: ALTERNATIVES };
    if (goesOn) Object.assign(body, { continue_final_message: true });
    let finish = null;
    let found = null;
    let begun = 0;
    const had = text.tokens.length;
    follow();
    try {
      await send.during(async (signal) => {
        for await (const event of context.api.stream("v1/chat/completions", body, { signal })) {
          const choice = event.choices[0];
          if (!choice) continue;
          begun ||= performance.now();
          const stuck = atBottom();
          for (const token of said(choice)) text.add(token);
          finish = choice.finish_reason ?? finish;
          if (stuck) follow();
        }
      });
    } catch (problem) {
      found = problemUnlessStopped(problem);
      if (!found) finish = "stopped";
    }
    text.writing(false);
    const again = button("Another answer", () => {
      if (send.busy()) return;
      forget(turns.indexOf(turn));
      answer();
    }, { class: "quiet" });
    const copy = button("Copy", async () => {
      await navigator.clipboard.writeText(text.text());
      announce("Copied");
    }, { class: "quiet" });
    const seconds = begun ? (performance.now() - begun) / 1000 : 0;
    const ended = { length: "cut at its longest", stopped: "stopped" }[finish ?? ""];
    const facts = [text.tokens.length > 0 && speed(text.tokens.slice(had), seconds), ended].filter(Boolean).join(" · ");
    show(under, found, facts && el("span", {}, facts), again, text.tokens.length > 0 && navigator.clipboard && copy); // none on plain http
    if (turn.node.isConnected) announce(found ? "" : text.text().slice(0, 2000) || counted(0, "token"));
    if (atBottom(160)) follow();
  }

  greet();
  return el(
    "div",
    { class: "split" },
    el("div", { class: "work" }, talk, composer),
    side("Model and settings", model.node, system.node, drawn.node, button("New conversation", clear)),
  );
}

const atBottom = (room = 120) => scrollY + innerHeight >= document.documentElement.scrollHeight - room;
const follow = () => scrollTo({ top: document.documentElement.scrollHeight });
