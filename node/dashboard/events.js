// Events: what happened and why, the newest first.

import { h, keep, say } from "./dom.js";
import { brief, clock, moment, short, shortPeer, some } from "./format.js";
import { names } from "./model.js";

/** Rows shown; more are found by filtering. */
const SHOWN_MAX = 200;

const GROUPS = [
  ["mode", "Mode and peers", ["mode", "peers"]],
  ["divergence", "Divergence", ["divergence", "alarm", "damage", "fork"]],
  ["reconcile", "Reconcile", ["reconcile", "reconcile-started", "reconcile-finished"]],
  ["seat", "Seat", ["seat", "seat-alarm"]],
  ["membership", "Membership", ["membership"]],
  ["refusal", "Refusals", ["refusal"]],
  ["other", "Other", []],
];

const LEVELS = { alarm: "bad", damage: "bad", fork: "bad", "seat-alarm": "bad", divergence: "watch", refusal: "watch", mode: "info", seat: "info", "reconcile-finished": "good", reconcile: "good" };

/** The word and the level of an event (pure). A session is as good as its end. */
export function kindOf({ kind, fields }) {
  const isBad = fields.outcome !== undefined && !["equal", "explained", "full"].includes(fields.outcome);
  return { word: kind.replace("-", " "), level: isBad ? "watch" : (LEVELS[kind] ?? "none") };
}

/** The group of a kind (pure). */
export function groupOf(kind) {
  return GROUPS.find(([, , kinds]) => kinds.includes(kind))?.[0] ?? "other";
}

/** Whether an event is one of the groups and holds the words looked for (pure). */
export function fits(event, groups, words) {
  if (!groups.has(groupOf(event.kind))) return false;
  const all = [event.kind, event.text, ...Object.values(event.fields)].join(" ").toLowerCase();
  return words.every((word) => all.includes(word));
}

function value(name, text, called) {
  if (called.has(text)) return `${called.get(text)} (${name === "peer" ? shortPeer(text) : short(text)})`;
  return text === "" ? "–" : text;
}

/** An event's row; the model's names are those at the time it is drawn. */
function row(called) {
  return ({ number, time_ms, kind, text, fields }) => {
    const { word, level } = kindOf({ kind, fields });
    const list = Object.entries(fields).map(([name, words]) => h("div", {}, h("dt", {}, name.replace("_", " ")), h("dd", {}, value(name, words, called))));
    const summary = h(
      "summary", {}, h("time", { datetime: new Date(time_ms).toISOString(), title: moment(time_ms) }, clock(time_ms)),
      h("span", { class: "badge", "data-level": level }, word), h("span", { class: "text" }, brief(text), called.has(fields.peer) ? h("span", { class: "dim" }, ` with ${called.get(fields.peer)}`) : null),
    );
    return h("li", { "data-kind": kind, "data-number": number }, h("details", {}, summary, h("dl", { class: "facts" }, list)));
  };
}

export function events() {
  const boxes = GROUPS.map(([group, words]) => h("label", { class: "check" }, h("input", { type: "checkbox", value: group, checked: true }), words));
  const search = h("input", { type: "search", id: "event-search", "data-search": true, placeholder: "words" });
  const pause = h("button", { type: "button", "aria-pressed": "false" }, "Pause");
  const sum = h("p", { class: "dim" });
  const list = h("ol", { class: "events", "aria-label": "Events, the newest first" });
  const element = h(
    "div", { class: "view" }, h("h1", { class: "unseen" }, "Events"),
    h(
      "section", { class: "card wide" },
      h("div", { class: "bar" }, h("h2", {}, "Events"), h("label", { class: "field", for: "event-search" }, h("span", {}, "Filter"), search), pause),
      h("fieldset", { class: "checks" }, h("legend", { class: "unseen" }, "Kinds"), boxes), sum, list,
    ),
  );
  let last = null;
  let isPaused = false;
  const draw = (model) => {
    const groups = new Set(boxes.map((box) => box.firstChild).filter((box) => box.checked).map((box) => box.value));
    const words = search.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const found = model.happenings.filter((event) => fits(event, groups, words)).reverse();
    say(sum, `${some(found.length, "event", "events")} of ${model.happenings.length} kept${found.length > SHOWN_MAX ? `, the last ${SHOWN_MAX} shown` : ""}${isPaused ? ", paused" : ""}`);
    keep(list, found.slice(0, SHOWN_MAX), ({ number, time_ms }) => `${number} ${time_ms}`, row(names(model.now)), () => {});
  };
  const update = (model) => {
    last = model;
    if (!isPaused) draw(model);
  };
  const again = () => last && draw(last);
  element.addEventListener("input", again);
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    again();
  });
  return { element, update, search };
}
