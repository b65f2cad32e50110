/**
 * Text that a model wrote, token by token: how likely each was, and what else could have come.
 *
 * By pointer: a card at the token under it; a press keeps it open. By keyboard: the text is one stop of the tab key,
 * left and right go through its tokens, Enter goes into the card, Escape comes back.
 */
import { announce, el, show } from "./dom.js";
import { percent, visible } from "./words.js";

/** @typedef {{text: string, probability: number}} Likely */
/** @typedef {{text: string, name?: string, probability: number | null, top: Likely[]}} Token
 *  text: what it adds to the text; name: how it is called where that differs (part of a character, an end) */

/**
 * @param {{label: string, choose?: (at: number, instead: Likely) => void, shade?: (span: HTMLElement, token: Token) => void}} options
 *  choose: what happens when an alternative is taken; without it the card only informs
 */
export function written({ label, choose, shade = doubt }) {
  const node = el("span", { class: "written", role: "group", "aria-label": label });
  /** @type {Token[]} */
  const tokens = [];
  /** @type {HTMLElement[]} */
  const spans = [];
  const owner = { node, tokens, spans, choose };

  const at = (/** @type {any} */ target) => spans.indexOf(target.closest(".token"));
  node.addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse" && at(event.target) >= 0) card.point(owner, at(event.target));
  });
  node.addEventListener("pointerout", () => card.leave());
  node.addEventListener("click", (event) => {
    if (at(event.target) >= 0) card.pin(owner, at(event.target));
  });
  node.addEventListener("keydown", (event) => {
    const here = card.owner === owner ? card.at : -1;
    const last = spans.length - 1;
    const to = { ArrowRight: Math.min(here + 1, last), ArrowLeft: Math.max(here - 1, 0), Home: 0, End: last }[event.key];
    if (to !== undefined && last >= 0) {
      event.preventDefault();
      card.pin(owner, to);
      announce(told(tokens[to]));
    } else if (["Enter", "ArrowDown"].includes(event.key) && here >= 0) {
      event.preventDefault();
      card.enter();
    } else if (event.key === "Escape") card.close();
  });
  node.addEventListener("blur", (event) => {
    if (!card.node.contains(/** @type {Node | null} */ (event.relatedTarget)) && !card.node.matches(":hover")) card.close();
  });

  return {
    node,
    tokens,
    /** @param {Token} token */
    add(token) {
      // An end token adds no text; neither does the first byte of a character, whose name is the sign for that.
      const ends = token.text === "" && !/\uFFFD|^bytes:/.test(token.name ?? "");
      const span = el("span", { class: ends ? "token end" : "token" }, word(token.text), ends && el("i"));
      shade(span, token);
      tokens.push(token);
      spans.push(span);
      node.append(span);
      node.tabIndex = 0;
      node.classList.remove("caret");
    },
    /** Keeps the first tokens. @param {number} count */
    cut(count) {
      if (card.owner === owner) card.close();
      for (const span of spans.splice(count)) span.remove();
      tokens.length = count;
    },
    /** Whether more is coming. @param {boolean} coming */
    writing(coming) {
      node.classList.toggle("writing", coming);
      if (coming && tokens.length === 0) node.classList.add("caret");
      if (!coming) node.classList.remove("caret");
    },
    text: () => tokens.map((token) => token.text).join(""),
  };
}

/**
 * A token's space and its word. The word is shaded, not the space before it: shades would run into each other and over
 * the ends of lines. @param {string} text
 */
export function word(text) {
  const space = /^\s*/.exec(text)?.[0] ?? "";
  return [space, text && el("i", {}, text.slice(space.length))];
}

/** The less likely, the more colour: by bits, full at eight. @param {HTMLElement} span @param {Token} token */
function doubt(span, token) {
  if (token.probability === null) return;
  span.style.setProperty("--doubt", Math.min(1, -Math.log2(token.probability) / 8).toFixed(2));
}

/** @param {Token} token */
function told(token) {
  const others = token.top.filter((each) => each.text !== (token.name ?? token.text)).slice(0, 3);
  const list = others.map((each) => `${visible(each.text)} ${percent(each.probability)}`).join(", ");
  const own = token.probability === null ? "" : `, ${percent(token.probability)}`;
  return `${visible(token.name ?? token.text)}${own}${list && `; others: ${list}`}`;
}

/** The line that explains the colours. */
export function scale() {
  return el("p", { class: "scale" }, "likely", el("i", { "aria-hidden": "true" }), "unlikely");
}

/** The card, of which there is one. */
const card = {
  /** @type {any} */
  owner: null,
  at: -1,
  pinned: false,
  timer: 0,
  node: el("div", { class: "card", role: "dialog", "aria-label": "What else could have come", hidden: true }),

  /** @param {any} owner @param {number} at */
  point(owner, at) {
    clearTimeout(this.timer);
    if (this.pinned) return;
    this.timer = setTimeout(() => this.open(owner, at), this.owner ? 60 : 160);
  },
  leave() {
    clearTimeout(this.timer);
    if (!this.pinned) this.timer = setTimeout(() => this.close(), 220);
  },
  /** @param {any} owner @param {number} at */
  pin(owner, at) {
    clearTimeout(this.timer);
    if (this.pinned && this.owner === owner && this.at === at) return this.close();
    this.open(owner, at);
    this.pinned = true;
  },
  /** @param {any} owner @param {number} at */
  open(owner, at) {
    this.close();
    this.owner = owner;
    this.at = at;
    const span = owner.spans[at];
    if (!span?.isConnected) return this.close();
    span.classList.add("here");
    show(this.node, inside(owner, at));
    if (!this.node.isConnected) document.body.append(this.node);
    this.node.hidden = false;
    const rects = span.getClientRects();
    const box = rects[rects.length - 1] ?? span.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.node;
    const left = Math.max(8, Math.min(box.left - 14, document.documentElement.clientWidth - width - 8));
    const above = box.bottom + height + 12 > innerHeight && box.top - height - 8 > 0;
    this.node.style.left = `${left + scrollX}px`;
    this.node.style.top = `${(above ? box.top - height - 7 : box.bottom + 7) + scrollY}px`;
  },
  enter() {
    this.pinned = true;
    /** @type {HTMLElement | null} */ (this.node.querySelector("button:not(:disabled)"))?.focus();
  },
  close() {
    clearTimeout(this.timer);
    this.owner?.spans[this.at]?.classList.remove("here");
    this.node.hidden = true;
    this.owner = null;
    this.at = -1;
    this.pinned = false;
  },
};

card.node.addEventListener("pointerenter", () => clearTimeout(card.timer));
card.node.addEventListener("pointerleave", () => card.leave());
card.node.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const buttons = [...card.node.querySelectorAll("button:not(:disabled)")];
  const here = buttons.indexOf(/** @type {any} */ (document.activeElement));
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step !== undefined) {
    event.preventDefault();
    /** @type {any} */ (buttons[(here + step + buttons.length) % buttons.length])?.focus();
  } else if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    const back = card.owner?.node;
    card.close();
    back?.focus();
  }
});
addEventListener("pointerdown", (event) => {
  const target = /** @type {Element} */ (event.target);
  if (card.pinned && !card.node.contains(target) && !target.closest?.(".token")) card.close();
});
addEventListener("hashchange", () => card.close());

/** @param {any} owner @param {number} at */
function inside(owner, at) {
  const token = owner.tokens[at];
  const name = token.name ?? token.text;
  const rows = [...token.top];
  if (token.probability !== null && !rows.some((each) => each.text === name)) {
    rows.push({ text: name, probability: token.probability });
  }
  const bits = token.probability === null ? "" : ` · ${(-Math.log2(token.probability) || 0).toFixed(1)} bits`;
  return [
    el("p", {}, el("b", {}, visible(name)), token.probability !== null && ` ${percent(token.probability)}${bits}`),
    el("ol", {}, rows.map((each) => row(owner, at, each, each.text === name))),
    owner.choose && rows.length > 1 && el("p", {}, "Choose another, and the text goes on from there."),
  ];
}

/** @param {any} owner @param {number} at @param {Likely} each @param {boolean} chosen */
function row(owner, at, each, chosen) {
  const cells = [
    el("span", { class: "piece" }, visible(each.text)),
    el("span", { class: "bar", vars: { "--share": each.probability }, "aria-hidden": "true" }),
    el("span", { class: "num" }, percent(each.probability)),
  ];
  if (!owner.choose || chosen) return el("li", { class: chosen ? "chosen" : null }, el("div", {}, cells));
  const take = () => {
    card.close();
    owner.node.focus({ preventScroll: true });
    owner.choose(at, each);
  };
  return el("li", {}, el("button", { type: "button", disabled: !whole(each.text), on: { click: take } }, cells));
}

/** Whether text can go on after it: not with a part of a character, nor with a token that no text becomes. @param {string} text */
const whole = (text) => text !== "" && !text.includes("\uFFFD") && !text.startsWith("bytes:") && !CONTROL.test(text);
const CONTROL = /^(<\|.*\|>|<\/?s>|<(pad|unk|bos|eos|mask|extra_id_\d+|start_of_turn|end_of_turn)>|\[[A-Z]+\])$/;
