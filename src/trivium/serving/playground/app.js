/**
 * The shell: the tabs, which of them is open (the part after # in the address), the theme.
 *
 * A tab is a module with `title`, `needs` (abilities, one of which a model must have; empty: none), and
 * `mount(root, context)`, which builds into root and may return `{leave()}`; a tab that is left and opened again is
 * mounted again. The context: `models` (rows of /v1/models), `api`, `settings`, `place` (what follows the tab's name
 * in the address, as in #inside/lens) and `go(place)`, which changes it.
 */
import * as api from "./api.js";
import * as settings from "./settings.js";
import { announce, el, show, svg } from "./dom.js";
import { problem } from "./notice.js";

const NAMES = ["chat", "complete", "fill", "tasks", "tokens", "inside", "runs"];

/** How to get a model that can do what a tab needs. */
const EXAMPLES = {
  chat: "trivium serve --model smollm2-135m",
  complete: "trivium serve --model smollm2-135m",
  fill: "trivium serve --model runs/bert",
  tasks: "trivium serve --model runs/sentiment",
  inside: "trivium serve --model smollm2-135m",
};

const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const bar = /** @type {HTMLElement} */ (document.querySelector(".tabs"));
/** @type {{name: string, module: any, button: HTMLElement}[]} */
let tabs = [];
/** @type {any[]} */
let models = [];
/** @type {{name: string, left: any} | null} */
let open = null;

async function start() {
  themeButton();
  const loaded = await Promise.allSettled(NAMES.map((name) => import(`./${name}.js`)));
  try {
    models = (await api.get("v1/models")).data;
  } catch (found) {
    show(main, problem(found));
    return;
  }
  // A module that does not load costs its tab, not the page.
  tabs = NAMES.flatMap((name, at) => {
    const found = loaded[at];
    return found.status === "fulfilled" ? [{ name, module: found.value, button: tabButton(name, found.value) }] : [];
  });
  show(bar, tabs.map((tab) => tab.button));
  bar.addEventListener("keydown", arrows);
  addEventListener("hashchange", route);
  route();
}

/** @param {string} name @param {any} module */
function tabButton(name, module) {
  return el(
    "a",
    { role: "tab", id: `tab-${name}`, href: `#${name}`, "aria-controls": "panel", class: able(module) ? null : "unable" },
    module.title,
  );
}

/** @param {any} module */
function able(module) {
  const needs = module.needs ?? [];
  return needs.length === 0 || models.some((model) => needs.some((need) => model.trivium.abilities.includes(need)));
}

/** What follows the # of the address; a link may say anything there. */
function hash() {
  const text = location.hash.slice(1);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function route() {
  const [name, ...rest] = hash().split("/");
  const wanted = tabs.find((tab) => tab.name === name);
  const tab = wanted ?? tabs.find((each) => able(each.module)) ?? tabs[0];
  if (!tab) return;
  const place = wanted ? rest.join("/") : "";
  if (open?.name === tab.name && open.left?.go) {
    open.left.go(place);
    return;
  }
  open?.left?.leave?.();
  for (const each of tabs) {
    each.button.setAttribute("aria-selected", String(each === tab));
    each.button.tabIndex = each === tab ? 0 : -1;
  }
  const panel = el("section", { role: "tabpanel", id: "panel", "aria-labelledby": `tab-${tab.name}`, class: `tab-${tab.name}` });
  show(main, panel);
  document.title = `${tab.module.title} · Trivium`;
  const go = (/** @type {string} */ to) => history.replaceState(null, "", `#${tab.name}${to ? `/${to}` : ""}`);
  open = { name: tab.name, left: null };
  if (able(tab.module)) open.left = tab.module.mount(panel, { models, api, settings, place, go }) ?? null;
  else panel.append(unable(tab));
  tab.button.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** @param {{name: string, module: any}} tab */
function unable(tab) {
  return el(
    "div",
    { class: "empty" },
    el("h2", {}, tab.module.title),
    el("p", {}, tab.module.missing ?? "No model of this server can do this."),
    EXAMPLES[tab.name] && el("pre", {}, el("code", {}, EXAMPLES[tab.name])),
  );
}

/** Left, right, Home and End move between tabs, as the pattern for tabs asks. @param {KeyboardEvent} event */
function arrows(event) {
  const at = tabs.findIndex((tab) => tab.button === document.activeElement);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  const tab = tabs[(to + tabs.length) % tabs.length];
  location.hash = tab.name;
  tab.button.focus();
}

const RAYS = "M10 1.6v1.6M10 16.8v1.6M1.6 10h1.6M16.8 10h1.6M4.1 4.1l1.1 1.1M14.8 14.8l1.1 1.1M4.1 15.9l1.1-1.1M14.8 5.2l1.1-1.1";
const SUN = `M10 6.4a3.6 3.6 0 1 0 0 7.2a3.6 3.6 0 1 0 0-7.2${RAYS}`;
const MOON = "M16.5 12.2A7 7 0 1 1 8 3.4a5.6 5.6 0 0 0 8.5 8.8z";

function themeButton() {
  const button = /** @type {HTMLButtonElement} */ (document.querySelector(".theme"));
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const label = () => {
    show(button, svg("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, svg("path", { d: dark() ? SUN : MOON })));
    button.setAttribute("aria-label", dark() ? "Light theme" : "Dark theme");
    button.title = dark() ? "Light theme" : "Dark theme";
  };
  button.addEventListener("click", () => {
    const chosen = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    try {
      localStorage.setItem("trivium.theme", chosen); // as it stands, for theme.js
    } catch {
      // It lasts as long as the page.
    }
    label();
    announce(`${chosen} theme`);
  });
  system.addEventListener("change", label);
  label();
}

start();
