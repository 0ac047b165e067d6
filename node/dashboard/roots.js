// Roots: each node's last roots over time, where they forked, and what closed that.

import { h, mark } from "./dom.js";
import { clock, count, millis, moment, short, shortPeer, some, span } from "./format.js";
import { lanesPicture, ordered } from "./lanes.js";
import { names } from "./model.js";
import { card, root, table } from "./parts.js";

const WINDOWS = [[2, "2 minutes"], [15, "15 minutes"], [60, "1 hour"]];

const moved = ({ received, sent }) => `${some(received, "entry", "entries")} received, ${count(sent)} sent`;

const rootCell = (title, of) => ({ title, cell: () => root(), show: (item, cell) => cell.set(of(item), false) });

const FORKS = [
  { title: "Node", kind: "who", show: (fork, _, tr) => { mark(tr, "data-open", fork.until_ms === null ? "yes" : "no"); return fork.name ?? short(fork.node); } },
  { title: "Since", show: ({ since_ms }) => moment(since_ms) },
  { title: "Duration", kind: "figure", show: ({ since_ms, until_ms, now }) => (until_ms === null ? `${span(now - since_ms)}, open` : millis(until_ms - since_ms)) },
  rootCell("Ours", ({ ours }) => ours),
  rootCell("Theirs", ({ theirs }) => theirs),
  {
    title: "Closed by",
    show: ({ closed_by: by, until_ms }) => {
      if (until_ms === null) return "not yet";
      return by ? `reconcile, ${by.outcome}, ${millis(by.took_ms)}` : "gossip, or a session of the other";
    },
  },
  { title: "Moved", show: ({ closed_by: by }) => (by ? moved(by) : "–") },
];

const SESSIONS = [
  { title: "Ended", show: ({ time_ms }) => clock(time_ms) },
  { title: "With", kind: "who", show: ({ peer, called }) => called.get(peer) ?? (peer.includes(":") ? peer : shortPeer(peer)) },
  { title: "Outcome", cell: () => h("span", { class: "badge" }), show: ({ outcome }, cell) => { mark(cell, "data-level", ["equal", "explained"].includes(outcome) ? "good" : outcome === "unexplained" ? "bad" : "watch"); return outcome; } },
  { title: "Moved", show: moved },
  { title: "Took", kind: "figure", show: ({ took_ms }) => millis(took_ms) },
  { title: "Round trips", kind: "figure", show: ({ rounds }) => count(rounds) },
  { title: "In words", show: ({ detail }) => detail },
];

const NODES = [
  { title: "Node", kind: "who", show: ({ name, node, is_own }) => `${name ?? short(node)}${is_own ? " (this node)" : ""}` },
  { title: "Root", cell: () => root(), show: ({ last, current }, cell) => cell.set(last.root, last.root === current) },
  { title: "Entries", kind: "figure", show: ({ last }) => (last.entries === null ? "–" : count(last.entries)) },
  { title: "Since", show: ({ last }) => moment(last.time_ms) },
  { title: "Changes kept", kind: "figure", show: ({ changes }) => count(changes.length) },
];

export function roots() {
  const picture = lanesPicture();
  const [forks, sessions, nodes] = [table("Forks", FORKS, ({ number }) => number), table("Reconciles", SESSIONS, ({ number }) => number), table("The last root of each node", NODES, ({ node }) => node)];
  const choice = h("select", { id: "roots-window", "data-search": true }, WINDOWS.map(([minutes, words]) => h("option", { value: minutes, selected: minutes === 15 }, words)));
  const head = h("div", { class: "bar" }, h("h2", {}, "Roots over time"), h("label", { class: "field", for: "roots-window" }, h("span", {}, "Window"), choice));
  const key = h("p", { class: "dim" }, "One colour is one root; green is the root of this node now. A branch is a fork: another root that lasted.");
  const element = h(
    "div", { class: "view" }, h("h1", { class: "unseen" }, "Roots"),
    h("section", { class: "card wide" }, head, picture.element, key),
    h("section", { class: "card wide", id: "forks" }, h("h2", {}, "Forks and what closed them"), forks.element),
    h("section", { class: "card wide", id: "sessions" }, h("h2", {}, "Reconciles of this node that moved something or failed"), sessions.element),
    card("The last root of each node", nodes.element),
  );
  let last = null;
  const update = (model) => {
    last = model;
    const { now } = model;
    picture.set(model, Number(choice.value) * 60_000);
    forks.set(model.forks.map((fork) => ({ ...fork, now: now.time_ms })).reverse(), "No fork since the start.");
    const called = names(now);
    now.status.http_peers.forEach(({ url, author }) => called.has(author) && called.set(url, called.get(author)));
    sessions.set(model.reconciles.slice(-40).reverse().map((session) => ({ ...session, called })), "None since the start.");
    nodes.set(ordered(model.lanes).map((lane) => ({ ...lane, last: lane.changes.at(-1), current: now.status.state_root })), "No root yet.");
  };
  choice.addEventListener("change", () => last && update(last));
  return { element, update, search: choice };
}
