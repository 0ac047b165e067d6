// Whether the node is well, in one word and one sentence, and what there is to say beside it (pure).

import { ago, brief, clock, short, some, span } from "./format.js";
import { rows, unreached } from "./model.js";

/** Worse comes later. */
const LEVELS = ["good", "watch", "bad"];

/** Time for which an unexplained difference colours the page, in milliseconds: what the strip shows. */
const RECENT = 15 * 60_000;

/** Time for which an alarm is told as if it were now, in milliseconds. */
const FRESH = 60_000;

/** Whether an event is an alarm of the last while. One about the seat is over once a takeover is possible. */
function isAlarm({ kind, time_ms: at }, { status, time_ms }) {
  const isOne = ["alarm", "damage"].includes(kind) || (kind === "seat-alarm" && status.seat.is_takeover_possible !== true);
  return isOne && time_ms - at < RECENT;
}

/** Time for which a member may be away, in milliseconds: as long as an orderly start again takes (a guess). */
const AWAY_MAX = 30_000;

/** Members that are named; more are counted. */
const NAMED_MAX = 4;

/** Milliseconds since a member was heard, over whichever road; since it was first seen away where the node does not know. */
function awayFor({ key, peer, http }, { now, away }) {
  const known = [peer?.heard_age_ms, http?.answer_age_ms].filter(Number.isFinite);
  return known.length > 0 ? Math.min(...known) : now.time_ms - (away.get(key) ?? now.time_ms);
}

/** Which members are away for too long, in words; `null` if none is. */
function missing(model) {
  const all = unreached(model.now).map((row) => ({ name: row.name ?? short(row.author), ms: awayFor(row, model) }));
  const late = all.filter(({ ms }) => ms > AWAY_MAX);
  if (late.length === 0) return null;
  const longest = span(Math.max(...late.map(({ ms }) => ms)));
  if (late.length === 1) return `${late[0].name} has not been reached for ${longest}`;
  const named = late.length > NAMED_MAX ? some(late.length, "member", "members") : late.map(({ name }) => name).join(", ");
  return `${named} have not been reached, the longest for ${longest}`;
}

function troubles(model) {
  const { status, time_ms } = model.now;
  const found = [];
  const add = (level, word, text) => found.push({ level, word, text });
  if (status.write_refusal) add("bad", "Writes are refused", status.write_refusal);
  if (status.forks.length > 0) add("bad", "A log has two histories", `evidence against ${status.forks.join(", ")}: /api/v1/forks`);
  const alarm = model.happenings.findLast((event) => isAlarm(event, model.now));
  // What was told a while ago, with all roots equal since, is over; but nobody should miss it.
  const { same, known } = agreement(model.now);
  const isOver = alarm && same === known && time_ms - alarm.time_ms > FRESH;
  if (alarm) add(isOver ? "watch" : "bad", isOver ? `Alarm ${ago(time_ms - alarm.time_ms)}` : "Alarm", brief(alarm.text));
  const open = model.forks.filter((fork) => fork.until_ms === null);
  for (const fork of open) {
    add("bad", "Roots differ", `${fork.name ?? short(fork.node)} is at another root for ${span(time_ms - fork.since_ms)}`);
  }
  if (!status.ready) add("bad", "Not ready", status.not_ready_reason ?? "this node does not say why");
  if (status.mode === "http") add("watch", "HTTP mode", status.mode_reason);
  if (status.members > 1 && status.peers.lattice === 0 && status.mode !== "http") {
    add("watch", "Alone", "no peer of this lattice is connected");
  }
  const away = missing(model);
  if (away !== null) add("watch", "Not reached", away);
  if (status.seat.role === "holder" && status.seat.is_takeover_possible === false) {
    add("watch", "No takeover possible", status.seat.takeover ?? "the shadow could not take the seat over");
  }
  if (status.checkpoint.withheld) add("watch", "Checkpoints are withheld", status.checkpoint.withheld);
  if (status.equivocations.length > 0) {
    add("watch", "Forked chains", some(status.equivocations.length, "author signed", "authors signed") + " two commits for one place");
  }
  const { entries, staged_commits: staged } = status.quarantine;
  if (entries + staged > 0) {
    const kinds = [entries > 0 && some(entries, "entry", "entries"), staged > 0 && some(staged, "staged commit", "staged commits")];
    add("watch", "Quarantine", `a cut took away ${kinds.filter(Boolean).join(" and ")}: lattice quarantine list`);
  }
  return found;
}

/** How many of the nodes that are reached have our root. */
export function agreement(now) {
  const known = rows(now).filter((row) => row.isReached && row.isMember && row.root);
  return { same: known.filter((row) => row.same).length, known: known.length };
}

/** Under steady writes the newest root is nobody else's yet: what counts then is that they keep meeting. */
function confirmed({ status, time_ms }) {
  const sure = status.confirmed_root;
  if (!sure || time_ms - sure.time_ms > 60_000) return "";
  return ` ${sure.by.length} of ${status.members} members met at ${short(sure.root)} ${ago(time_ms - sure.time_ms)}.`;
}

/** The word, its level and the sentence. Worse things go first. */
export function verdict(model) {
  const { now, silent_since_ms: silent } = model;
  if (silent !== null) {
    const sentence = "What stands below was so then, and may be otherwise now. The node is asked again and again.";
    return { level: "bad", word: `No answer since ${clock(silent)}`, sentence, list: [] };
  }
  const list = troubles(model);
  const worst = LEVELS.toReversed().find((level) => list.some((trouble) => trouble.level === level));
  const { same, known } = agreement(now);
  const agrees =
    known === 0
      ? "No other node has stated its root yet."
      : same === known
        ? `All ${some(known, "node that is", "nodes that are")} reached ${known === 1 ? "has" : "have"} this root.`
        : `${same} of ${some(known, "node", "nodes")} reached have this root, the others are a moment apart.${confirmed(now)}`;
  const first = list.find((trouble) => trouble.level === worst);
  if (!first) return { level: "good", word: "Well", sentence: agrees, list };
  return { level: first.level, word: first.word, sentence: first.text, list };
}

/** How the root's own colour is: agreed, apart for a moment, or forked. */
export function rootLevel(model) {
  if (model.forks.some((fork) => fork.until_ms === null)) return "bad";
  const { same, known } = agreement(model.now);
  return known > 0 && same < known ? "watch" : known === 0 ? "none" : "good";
}
