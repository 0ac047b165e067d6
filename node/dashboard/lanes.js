// A lane for each node: which root it had and since when; where one left ours, a branch, until what brought it back.

import { h, keep, mark, s, say } from "./dom.js";
import { clock, hue, short, some, span } from "./format.js";

const [WIDTH, ROW] = [1000, 30];

/** Narrowest segment that is seen, in the picture's units. */
const SEGMENT_MIN = 1.5;

/** Lanes in the order in which they are shown: ours first, then by name. */
export function ordered(lanes) {
  return [...lanes.values()].sort((one, other) => Number(other.is_own) - Number(one.is_own) || (one.name ?? one.node).localeCompare(other.name ?? other.node));
}

/** A lane's changes as segments of the window that ends now (pure). */
export function segments(changes, now, window) {
  const x = (time) => WIDTH * Math.max(0, 1 - (now - time) / window);
  return changes
    .map((change, index) => ({ ...change, from: x(change.time_ms), to: index + 1 < changes.length ? x(changes[index + 1].time_ms) : WIDTH }))
    .filter(({ to }) => to > 0)
    .map((segment) => ({ ...segment, to: Math.max(segment.to, segment.from + SEGMENT_MIN) }));
}

/** A fork as a branch that leaves our lane and comes back to it; open to the right while it lasts (pure). */
export function branch(fork, row, now, window) {
  const x = (time) => WIDTH * Math.max(0, 1 - (now - time) / window);
  const [from, to] = [x(fork.since_ms), fork.until_ms === null ? WIDTH : x(fork.until_ms)];
  const [trunk, own] = [ROW / 2, ROW * row + ROW / 2];
  const bend = Math.min(14, Math.max(2, (to - from) / 3));
  const out = `M${(from - bend).toFixed(1)} ${trunk}C${from.toFixed(1)} ${trunk} ${(from - bend).toFixed(1)} ${own} ${from.toFixed(1)} ${own}H${to.toFixed(1)}`;
  if (fork.until_ms === null) return out;
  return `${out}C${(to + bend).toFixed(1)} ${own} ${to.toFixed(1)} ${trunk} ${(to + bend).toFixed(1)} ${trunk}`;
}

function drawLane(group, { lane, index, current, now, window }) {
  const shown = segments(lane.changes, now, window);
  keep(group, shown, ({ number }) => number, () => s("rect", { height: 14 }, s("title")), (rect, segment) => {
    mark(rect, "x", segment.from.toFixed(1));
    mark(rect, "width", (segment.to - segment.from).toFixed(1));
    mark(rect, "y", index * ROW + 8);
    mark(rect, "data-ours", segment.root === current ? "yes" : null);
    rect.style.setProperty("--hue", hue(segment.root));
    say(rect.firstChild, `${lane.name ?? short(lane.node)}: ${short(segment.root)} since ${clock(segment.time_ms)}`);
  });
}

/** The picture of the lanes. */
export function lanesPicture() {
  const [bars, branches, title] = [s("g"), s("g", { class: "branches" }), s("title")];
  const picture = s("svg", { class: "lanes", role: "img", preserveAspectRatio: "none" }, title, bars, branches);
  const names = h("ul", { class: "lane-names" });
  const [from, to] = [h("span"), h("span")];
  const element = h("div", { class: "lanes-all" }, names, h("div", { class: "lanes-picture" }, picture, h("div", { class: "axis" }, from, to)));
  const set = (model, window) => {
    const lanes = ordered(model.lanes);
    const now = model.now.time_ms;
    const current = model.now.status.state_root;
    mark(picture, "viewBox", `0 0 ${WIDTH} ${Math.max(1, lanes.length) * ROW}`);
    picture.style.setProperty("--rows", lanes.length);
    keep(names, lanes, ({ node }) => node, () => h("li"), (item, lane) => {
      say(item, lane.name ?? short(lane.node));
      mark(item, "data-own", lane.is_own);
    });
    keep(bars, lanes.map((lane, index) => ({ lane, index, current, now, window })), ({ lane }) => lane.node, () => s("g"), drawLane);
    const rows = new Map(lanes.map((lane, index) => [lane.node, index]));
    const seen = model.forks.filter((fork) => rows.has(fork.node) && (fork.until_ms ?? now) > now - window);
    keep(branches, seen, ({ number }) => number, () => s("path", { fill: "none" }, s("title")), (path, fork) => {
      mark(path, "d", branch(fork, rows.get(fork.node), now, window));
      mark(path, "data-open", fork.until_ms === null ? "yes" : "no");
      say(path.firstChild, `${fork.name ?? short(fork.node)} went apart at ${clock(fork.since_ms)}, ${fork.until_ms === null ? "and still is" : `for ${span(fork.until_ms - fork.since_ms)}`}`);
    });
    say(from, clock(now - window));
    say(to, clock(now));
    const apart = seen.length === 0 ? "no fork" : some(seen.length, "fork", "forks");
    say(title, `Roots of ${lanes.length} nodes since ${clock(now - window)}: ${apart}`);
  };
  return { element, set };
}
