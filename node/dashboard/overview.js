// Overview: is the node well, whom is it connected to, do we agree?

import { h, keep, mark, say } from "./dom.js";
import { ago, brief, clock, count, figure, millis, moment, short, some, span } from "./format.js";
import { rootLevel, verdict } from "./health.js";
import { names } from "./model.js";
import { network } from "./network.js";
import { announce, card, copier, facts, root } from "./parts.js";
import { strip } from "./strip.js";
import { kindOf } from "./events.js";

/** Events shown here. */
const LAST = 8;

const SIGNS = { good: "✓", watch: "!", bad: "✕" };

function verdictPart() {
  const [sign, word, sentence] = [h("span", { class: "sign", "aria-hidden": "true" }), h("strong"), h("span")];
  const list = h("ul", { class: "troubles" });
  const element = h("section", { class: "verdict", "aria-label": "Is the node well?" }, sign, h("div", {}, h("p", {}, word, " ", sentence), list));
  let told = "";
  const set = (model) => {
    const { level, word: said, sentence: text, list: all } = verdict(model);
    mark(element, "data-level", level);
    say(sign, SIGNS[level]);
    say(word, said);
    say(sentence, text);
    keep(list, all.slice(1).map((trouble, index) => ({ ...trouble, index })), ({ index }) => index, () => h("li"), (item, trouble) => say(item, `${trouble.word}: ${trouble.text}`));
    // Told when the word changes, not each second.
    if (told !== said) announce(`${model.now.status.name}: ${said}. ${text}`);
    told = said;
  };
  return { element, set };
}

function statePart() {
  const [own, copy, confirmed] = [root(16), copier("state root"), root()];
  const level = h("span", { class: "dim" });
  const rate = h("span", { class: "number" });
  const entries = h("span", { class: "number" });
  const list = facts(["Confirmed root", confirmed.element], ["Confirmed by"], ["Checkpoint"], ["Log"]);
  const element = card(
    "State",
    h("p", { class: "root-line" }, own.element, copy.element, level),
    h("div", { class: "numbers" }, h("div", {}, entries, h("span", {}, "entries")), h("div", {}, rate, h("span", {}, "commits a second"))),
    list.element,
  );
  const set = (model) => {
    const { status, time_ms: now } = model.now;
    own.set(status.state_root, true);
    copy.set(status.state_root);
    mark(own.element, "data-level", rootLevel(model));
    say(level, { good: "agreed", watch: "apart for a moment", bad: "forked", none: "" }[rootLevel(model)]);
    say(entries, count(status.entries));
    say(rate, figure(model.samples.at(-1)?.commits_per_second));
    const sure = status.confirmed_root;
    if (sure) confirmed.set(sure.root, sure.root === status.state_root);
    confirmed.element.hidden = !sure;
    list.say("Confirmed by", sure ? `${sure.by.length} of ${some(status.members, "member", "members")}, ${ago(now - sure.time_ms)}` : "not yet: more than half of the members must state it");
    list.say("Checkpoint", status.checkpoint.withheld ?? `${count(status.checkpoint.size)} records, ${some(status.checkpoint.cosignatures, "cosignature", "cosignatures")}`);
    list.say("Log", `${some(status.log_size, "record", "records")}`);
  };
  return { element, set };
}

function peersPart() {
  const all = ["connected", "lattice", "mesh"].map((name) => ({ name, number: h("span", { class: "number", "data-count": name }) }));
  const list = facts(["In sync"], ["Configured"], ["Members"]);
  const numbers = all.map(({ name, number }) => h("div", {}, number, h("span", {}, name)));
  const element = card("Peers", h("div", { class: "numbers" }, numbers), list.element);
  const set = ({ now: { status } }) => {
    all.forEach(({ name, number }) => say(number, count(status.peers[name])));
    list.say("In sync", count(status.peers.in_sync));
    list.say("Configured", count(status.peers.configured));
    list.say("Members", count(status.members));
  };
  return { element, set };
}

function seatPart() {
  const list = facts(["Holder"], ["This node"], ["Shadow"], ["Lag"], ["Lost if the holder died now"], ["Last change"]);
  const term = h("span", { class: "number" });
  const none = h("p", { class: "dim" }, "No seat: an operator creates one with lattice seat create.");
  const numbers = h("div", { class: "numbers" }, h("div", {}, term, h("span", {}, "term")));
  const element = card("Seat", none, numbers, list.element);
  const set = ({ now }) => {
    const { seat } = now.status;
    const known = names(now);
    const called = (author) => (author ? (known.get(author) ?? short(author)) : "none");
    none.hidden = Boolean(seat.seat);
    numbers.hidden = list.element.hidden = !seat.seat;
    if (!seat.seat) return;
    say(term, count(seat.term));
    list.say("Holder", called(seat.holder));
    list.say("This node", `${seat.role}${seat.is_serving ? ", serving under a lease" : seat.role === "holder" ? ", not serving" : ""}${seat.staged ? `, ${seat.staged} staged` : ""}`);
    list.say("Shadow", [called(seat.shadow), ...seat.spares.map((spare) => `spare ${called(spare)}`)].join(", "));
    const lag = seat.lag.map((mirror) => `${called(mirror.mirror)} ${mirror.is_seeding ? "is being seeded" : mirror.records === 0 ? "has all" : `lacks ${some(mirror.records, "record", "records")} for ${millis(mirror.behind_ms)}`}`);
    const unknown = seat.role === "holder" ? "no mirror has asked yet" : "only the holder knows";
    list.say("Lag", lag.join(", ") || unknown);
    list.say("Lost if the holder died now", seat.takeover ?? "only the holder knows");
    list.say("Last change", seat.reason || "–");
  };
  return { element, set };
}

function nodePart() {
  const [author, peer] = [copier("author key"), copier("peer id")];
  const [authorText, peerText] = [h("code"), h("code")];
  const list = facts(
    ["Mode"], ["Since"], ["Why"], ["Uptime"], ["Version"], ["Lattice"],
    ["Author", h("span", {}, authorText, author.element)], ["Peer id", h("span", {}, peerText, peer.element)],
  );
  const element = card("Node", list.element);
  const set = ({ now: { status, time_ms: now } }) => {
    list.say("Mode", `${status.mode === "p2p" ? "P2P" : "HTTP"} for ${span(now - status.mode_since_ms)}`);
    mark(list.at("Mode"), "data-mode", status.mode);
    list.say("Since", moment(status.mode_since_ms));
    list.say("Why", status.mode_reason);
    list.say("Uptime", span(status.uptime_seconds * 1000));
    list.say("Version", status.version);
    list.say("Lattice", `${status.lattice_name} · ${short(status.lattice_id)}`);
    say(authorText, short(status.author, 12));
    author.set(status.author);
    say(peerText, `…${status.peer_id.slice(-10)}`);
    peer.set(status.peer_id);
  };
  return { element, set };
}

function lastEvents() {
  const list = h("ol", { class: "last-events" });
  const nothing = h("p", { class: "dim" }, "Nothing has happened since the start.");
  const element = card("Last events", list, nothing, h("p", {}, h("a", { href: "#events" }, "All events")));
  const make = ({ time_ms, text, ...event }) => h("li", {}, h("time", {}, clock(time_ms)), h("span", { class: "badge", "data-level": kindOf(event).level }, kindOf(event).word), h("span", { class: "text", title: text }, brief(text)));
  const set = ({ happenings }) => {
    nothing.hidden = happenings.length > 0;
    keep(list, happenings.slice(-LAST).reverse(), ({ number, time_ms }) => `${number} ${time_ms}`, make, () => {});
  };
  return { element, set };
}

export function overview() {
  const [said, state, peers, seat, node, lines, picture, events] = [verdictPart(), statePart(), peersPart(), seatPart(), nodePart(), strip(), network(), lastEvents()];
  const parts = [said, state, peers, seat, node, lines, picture, events];
  const element = h(
    "div", { class: "view overview" }, h("h1", { class: "unseen" }, "Overview"), said.element,
    h("div", { class: "cards" }, state.element, peers.element, seat.element, node.element), lines.element,
    h("div", { class: "halves" }, card("Network", picture.element), events.element),
  );
  return { element, update: (model) => parts.forEach((part) => part.set(model)) };
}
