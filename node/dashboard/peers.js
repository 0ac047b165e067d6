// Peers: who is connected to whom as far as known, and each peer by its figures.

import { h, mark, say } from "./dom.js";
import { ago, count, millis, place, short, shortPeer, span, transport } from "./format.js";
import { rows } from "./model.js";
import { network } from "./network.js";
import { card, copier, root, table } from "./parts.js";

/** What a row is called: who is connected without a proof is a stranger, who is not may be anybody (pure). */
export function called({ name, author, isConnected }) {
  return name ?? (author ? short(author) : isConnected ? "stranger" : "unknown node");
}

const who = {
  title: "Peer",
  kind: "who",
  cell: () => {
    const [name, id, copy] = [h("strong"), h("code"), copier("peer id")];
    return { element: h("span", {}, name, " ", id, copy.element), name, id, copy };
  },
  show: (row, cell, tr) => {
    const { peer, http, key } = row;
    say(cell.name, called(row));
    say(cell.id, peer ? shortPeer(peer.peer_id) : "");
    cell.copy.set(peer?.peer_id ?? http?.url ?? "");
    mark(tr, "data-peer", key);
  },
};

const rootColumn = {
  title: "Root",
  cell: () => root(),
  show: ({ root: hash, same }, cell) => cell.set(hash ?? "", same),
};

const sameColumn = {
  title: "Same",
  cell: () => h("span", { class: "badge" }),
  show: ({ same, peer, isMirror }, cell) => {
    mark(cell, "data-level", same ? "good" : same === false ? (peer?.in_sync ? "watch" : "bad") : "none");
    return same ? "same" : same === false ? "another" : isMirror ? "hidden" : "not stated";
  },
};

const breakerColumn = {
  title: "Breaker",
  cell: () => h("span"),
  show: ({ http }, cell) => {
    mark(cell, "title", http?.error);
    return http ? http.breaker : "–";
  },
};

const address = ({ peer, http, isConnected }) => place((isConnected && peer?.address) || http?.url || peer?.address);
const seen = ({ peer, http, isConnected }) => ago(isConnected ? peer.heard_age_ms : (http?.answer_age_ms ?? peer?.heard_age_ms));

const REACHED = [
  who,
  { title: "Address", kind: "mono", show: address },
  { title: "Transport", show: ({ peer, isConnected }) => (isConnected ? transport(peer.address) : "HTTP") },
  { title: "Direction", show: ({ peer, isConnected }) => (isConnected ? (peer.direction ?? "–") : "asked") },
  { title: "Round trip", kind: "figure", show: ({ peer }) => millis(peer?.rtt_ms) },
  { title: "Strikes", kind: "figure", show: ({ peer }) => (peer ? `${peer.strikes}/10` : "–") },
  { title: "Mesh", show: ({ peer }) => (peer?.mesh ? "yes" : "no") },
  rootColumn,
  sameColumn,
  { title: "Divergences", kind: "figure", show: ({ http }) => (http ? count(http.divergence_count) : "–") },
  breakerColumn,
  { title: "Last seen", kind: "figure", show: seen },
];

function why({ peer, http }) {
  if (peer?.refusal) return `refused: ${peer.refusal}`;
  return peer?.error ?? http?.error ?? "–";
}

function again({ peer }) {
  const ms = peer?.next_dial_ms;
  if (ms === null || ms === undefined) return "–";
  return ms === 0 ? "now" : `in ${span(ms)}`;
}

const AWAY = [
  who,
  { title: "Member", show: ({ isMember }) => (isMember ? "yes" : "no") },
  { title: "Address", kind: "mono", show: address },
  { title: "Why", show: why },
  { title: "Dialled again", kind: "figure", show: again },
  { title: "Last seen", kind: "figure", show: seen },
];

const UNANSWERED = [
  { title: "Address", kind: "mono", show: ({ address: at }) => at },
  { title: "Why", show: ({ error }) => error ?? "no answer yet" },
  { title: "Dialled again", kind: "figure", show: ({ next_dial_ms: ms }) => (ms === null ? "now" : `in ${span(ms)}`) },
];

export function peers() {
  const picture = network();
  const reached = table("Nodes that are reached", REACHED, ({ key }) => key, "dense");
  const away = table("Members and configured peers that are not reached", AWAY, ({ key }) => key);
  const unanswered = table("Configured addresses at which nobody has answered", UNANSWERED, ({ address: at }) => at);
  const unansweredCard = card("No answer yet", unanswered.element);
  const search = h("input", { type: "search", id: "peer-search", "data-search": true, placeholder: "name, id or address" });
  const title = h("h2", {}, "Reached");
  const head = h("div", { class: "bar" }, title, h("label", { class: "field", for: "peer-search" }, h("span", {}, "Filter"), search));
  const element = h(
    "div", { class: "view" }, h("h1", { class: "unseen" }, "Peers"),
    h("div", { class: "with-picture" }, card("Network", picture.element), h("section", { class: "card wide", id: "reached" }, head, reached.element)),
    h("section", { class: "card wide", id: "away" }, h("h2", {}, "Not reached"), away.element), unansweredCard,
  );
  const update = (model) => {
    picture.set(model);
    const wanted = search.value.trim().toLowerCase();
    const fits = (row) => [row.name, row.key, row.author, row.peer?.address, row.http?.url].some((text) => text?.toLowerCase().includes(wanted));
    const all = rows(model.now).filter((row) => wanted === "" || fits(row));
    reached.set(all.filter((row) => row.isReached), wanted ? "No node fits." : "No other node is reached.");
    away.set(all.filter((row) => !row.isReached && (row.isMember || row.peer?.configured || row.http)), "None.");
    unanswered.set(model.now.unanswered, "");
    unansweredCard.hidden = model.now.unanswered.length === 0;
  };
  return { element, update, search };
}
