// A picture of the lattice as this node knows it: itself in the middle, others around it, equal roots in one colour.

import { h, keep, mark, s, say } from "./dom.js";
import { hue, short, some } from "./format.js";
import { rows } from "./model.js";

const [WIDTH, HEIGHT] = [520, 384];
const MIDDLE = [WIDTH / 2, HEIGHT / 2];

/** Nodes around the middle; beyond it they are counted in words. */
const DRAWN_MAX = 32;

/** Where the nodes around the middle stand: one ring, two where one would be crowded (pure). */
export function places(number) {
  return Array.from({ length: number }, (_, index) => {
    const angle = -Math.PI / 2 + (2 * Math.PI * index) / Math.max(number, 1) + (number === 2 ? Math.PI / 2 : 0);
    const reach = number > 14 && index % 2 === 1 ? 0.68 : 1;
    return [MIDDLE[0] + Math.cos(angle) * 196 * reach, MIDDLE[1] + Math.sin(angle) * 122 * reach];
  });
}

/** What is drawn of the nodes around: connected ones, those reached over HTTP, members that are not reached (pure). */
export function around(now) {
  const seat = now.status.seat;
  const all = rows(now).filter((row) => row.isReached || row.isMember);
  return all.slice(0, DRAWN_MAX).map((row) => ({
    ...row,
    road: row.isConnected ? "p2p" : row.isReached ? "http" : "none",
    part: row.author === null ? "" : row.author === seat.holder ? "holder" : row.author === seat.shadow ? "shadow" : "",
  }));
}

function node() {
  const parts = { disc: s("circle", { r: 17 }), sign: s("text", { class: "sign", dy: "5" }), name: s("text", { class: "name" }), root: s("text", { class: "hash" }), label: s("title") };
  const group = s("g", { class: "node" }, parts.label, parts.disc, parts.sign, parts.name, parts.root);
  group.parts = parts;
  return group;
}

function draw(group, { at, name, root, same, road, part, isForked, isMirror }) {
  const { disc, sign, name: words, root: hash, label } = group.parts;
  mark(group, "transform", `translate(${at[0].toFixed(1)} ${at[1].toFixed(1)})`);
  // Words stand outside, where no line passes.
  const isAbove = at[1] < MIDDLE[1] - 20;
  // Far enough apart for the larger letters of narrow screens.
  mark(words, "dy", isAbove ? -43 : road === "own" ? 41 : 37);
  mark(hash, "dy", isAbove ? -25 : road === "own" ? 58 : 54);
  mark(group, "data-same", same ? "yes" : same === false ? "no" : "unknown");
  mark(group, "data-road", road);
  mark(group, "data-forked", isForked);
  disc.style.setProperty("--hue", hue(root));
  say(sign, part === "holder" ? "H" : part === "shadow" ? "S" : same ? "✓" : same === false ? "≠" : "·");
  say(words, name.length > 16 ? `${name.slice(0, 15)}…` : name);
  say(hash, root ? short(root) : isMirror ? "hidden" : "");
  const roads = { p2p: "connected", http: "reached over HTTP", none: "not reached", own: "this node" };
  const agrees = road === "own" ? "" : same ? ", same root" : same === false ? ", another root" : isMirror ? ", a hidden mirror that states no root" : ", no root stated";
  say(label, `${name}, ${roads[road]}${part ? `, ${part} of the seat` : ""}${agrees}${root ? ` ${short(root)}` : ""}`);
}

/** The picture, and the sentence that says the same. */
export function network() {
  const [links, nodes, title] = [s("g", { class: "links" }), s("g"), s("title")];
  const picture = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "network" }, title, links, nodes);
  const words = h("p", { class: "dim" });
  const key = h(
    "p", { class: "key" },
    h("span", {}, h("span", { class: "line-key", "data-road": "p2p", "aria-hidden": "true" }), "libp2p"),
    h("span", {}, h("span", { class: "line-key", "data-road": "http", "aria-hidden": "true" }), "HTTP"),
    h("span", {}, h("span", { class: "disc-key ours", "aria-hidden": "true" }), "this root"),
    h("span", {}, h("span", { class: "disc-key", "aria-hidden": "true" }), "another"),
  );
  const element = h("figure", { class: "picture" }, picture, h("figcaption", {}, key, words));
  const set = ({ now, forks }) => {
    const open = new Set(forks.filter(({ until_ms }) => until_ms === null).map(({ node: at }) => at));
    const others = around(now);
    const spots = places(others.length);
    const { status } = now;
    const part = status.seat.role === "holder" || status.seat.role === "shadow" ? status.seat.role : "";
    const own = { key: "own", at: MIDDLE, name: status.name, root: status.state_root, same: true, road: "own", part };
    const shown = others.map((row, index) => ({ ...row, at: spots[index], isForked: open.has(row.author ?? row.key), name: row.name ?? short(row.author ?? row.key) }));
    keep(nodes, [own, ...shown], (item) => item.key, node, draw);
    keep(links, shown.filter(({ road }) => road !== "none"), (item) => item.key, () => s("line"), (line, { at, road, same }) => {
      Object.entries({ x1: MIDDLE[0], y1: MIDDLE[1], x2: at[0], y2: at[1] }).forEach(([name, value]) => mark(line, name, value.toFixed(1)));
      mark(line, "data-road", road);
      mark(line, "data-same", same ? "yes" : "no");
    });
    const [reached, same] = [shown.filter(({ road }) => road !== "none"), shown.filter((row) => row.road !== "none" && row.same)];
    const left = rows(now).filter((row) => row.isReached || row.isMember).length - others.length;
    const rest = left > 0 ? `, ${left} more in the table` : "";
    const hidden = shown.filter((row) => row.isMirror).length;
    const mirrors = hidden > 0 ? `, ${some(hidden, "mirror states", "mirrors state")} none` : "";
    const away = shown.length - reached.length;
    const missing = away === 0 ? "no member is missing" : `${some(away, "member", "members")} not reached`;
    const sentence = `${some(reached.length, "node", "nodes")} reached, ${same.length} with this root${mirrors}, ${missing}${rest}.`;
    say(title, `The network from here: ${sentence}`);
    say(words, `${sentence} What connects the others among themselves is not told to this node.`);
  };
  return { element, set };
}
