// The page: views, keys, theme, and the one stream that keeps all of it up to date.

import { ask } from "./api.js";
import { h, mark, say } from "./dom.js";
import { events } from "./events.js";
import { empty, take } from "./model.js";
import { overview } from "./overview.js";
import { announce } from "./parts.js";
import { peers } from "./peers.js";
import { roots } from "./roots.js";
import { state } from "./state.js";
import { follow } from "./stream.js";
import { theme } from "./theme.js";

const VIEWS = [["overview", "Overview", overview], ["peers", "Peers", peers], ["roots", "Roots", roots], ["state", "State", state], ["events", "Events", events]];

const main = document.getElementById("main");
const made = new Map();
let model = empty();
// A new stream tells all again: the node may be another one by now. Until it has, what the last one told stays.
let coming = model;
let heard_ms = null;
let shown = null;

const links = VIEWS.map(([id, title], index) => h("a", { href: `#${id}`, "aria-keyshortcuts": String(index + 1) }, title));
document.getElementById("views").append(...links.map((link) => h("li", {}, link)));

function draw() {
  if (model.now === null || shown === null) return;
  say(document.getElementById("name"), model.now.status.name);
  const title = `${model.now.status.name} · ${VIEWS.find(([id]) => id === shown)[1]}`;
  if (document.title !== title) document.title = title;
  made.get(shown).update(model);
}

function show(isFirst) {
  const wanted = location.hash.slice(1);
  const [id, title, make] = VIEWS.find(([known]) => known === wanted) ?? VIEWS[0];
  if (!made.has(id)) made.set(id, make());
  shown = id;
  main.replaceChildren(model.now === null ? h("p", { class: "waiting" }, "Asking the node…") : made.get(id).element);
  links.forEach((link) => mark(link, "aria-current", link.getAttribute("href") === `#${id}` ? "page" : null));
  draw();
  if (isFirst) return;
  window.scrollTo(0, 0);
  main.focus({ preventScroll: true });
  announce(title);
}

function linked(word, level) {
  const link = document.getElementById("link");
  mark(link, "data-level", level);
  say(document.getElementById("link-words"), word);
  mark(document.documentElement, "data-link", level);
}

const nextTheme = theme(document.getElementById("theme"));
const keys = document.getElementById("keys");
document.getElementById("help").addEventListener("click", () => keys.showModal());

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input:not([type=checkbox]), textarea, select, dialog");
  if (isTyping || event.ctrlKey || event.altKey || event.metaKey) return;
  const index = "12345".indexOf(event.key);
  if (event.key.length === 1 && index >= 0) location.hash = VIEWS[index][0];
  else if (event.key === "t") nextTheme();
  else if (event.key === "?") keys.showModal();
  else if (event.key === "/" && made.get(shown)?.search) {
    event.preventDefault();
    made.get(shown).search.focus();
  }
});

window.addEventListener("hashchange", () => show(false));
show(true);

follow({
  open: (signal) => ask("/api/v1/live", signal),
  begin: () => { coming = empty(); },
  hear: (kind, data) => {
    take(coming, kind, data);
    if (kind !== "now") return;
    [model, heard_ms] = [coming, Date.now()];
    if (main.querySelector(".waiting")) show(true);
    linked("live", "good");
    draw();
  },
  lost: (error) => {
    linked("no answer", "bad");
    model.silent_since_ms ??= heard_ms;
    draw();
    const waiting = main.querySelector(".waiting");
    if (waiting) say(waiting, `No answer from the node: ${error.message}. Trying again…`);
  },
});
