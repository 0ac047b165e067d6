// Figures of the last fifteen minutes as small lines, drawn by hand.

import { h, mark, s, say } from "./dom.js";
import { clock, figure } from "./format.js";

/** What the whole width stands for, in milliseconds. */
export const WINDOW = 15 * 60_000;

const [WIDTH, HEIGHT] = [300, 56];

/** Pause between two samples beyond which a line breaks: the node did not run. */
const GAP = 12_000;

/** A greatest value that is round, so that the line does not jump with each sample. */
export function roundUp(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/** Samples as points; those before the window, as they stay after a pause of the node, are none (pure). */
export function pointsOf(samples, value, end) {
  const shown = samples.filter((sample) => sample.time_ms >= end - WINDOW);
  return shown.map((sample) => ({ time: sample.time_ms, value: value(sample) }));
}

/** Points as runs of a path; where there is no value, or no sample for a while, a run ends. */
export function path(points, top, end) {
  let last = null;
  const parts = [];
  for (const { time, value } of points) {
    if (value === null || value === undefined) {
      last = null;
      continue;
    }
    const x = WIDTH * (1 - (end - time) / WINDOW);
    const y = HEIGHT - 2 - (HEIGHT - 6) * Math.min(1, value / top);
    parts.push(`${last !== null && time - last <= GAP ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`);
    // A point alone is a dot.
    if (last === null || time - last > GAP) parts.push("h.01");
    last = time;
  }
  return parts.join("");
}

/** One small line: a title, the last value, the greatest. */
function spark({ title, unit, value, kind }) {
  const line = s("path", { class: "line", fill: "none" });
  const area = s("path", { class: "area" });
  const label = s("title");
  const base = s("path", { class: "base", d: `M0 ${HEIGHT - 2}H${WIDTH}` });
  const picture = s(
    "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "spark", "data-kind": kind, preserveAspectRatio: "none" },
    label, base, area, line,
  );
  const [now, top] = [h("strong"), h("span", { class: "dim" })];
  const element = h("div", { class: "strip-one" }, h("div", { class: "strip-head" }, h("span", {}, title), now), picture, h("div", { class: "strip-foot" }, h("span", { class: "dim" }, "15 min"), top));
  const set = (samples, end) => {
    const points = pointsOf(samples, value, end);
    const seen = points.map((point) => point.value).filter((known) => known !== null && known !== undefined);
    const greatest = seen.length > 0 ? Math.max(...seen) : 0;
    const scale = roundUp(greatest);
    const drawn = path(points, scale, end);
    mark(line, "d", drawn || null);
    mark(picture, "data-kind", greatest > 0 ? kind : "plain");
    // The area is under the line only where that is one run.
    const runs = (drawn.match(/M/g) ?? []).length;
    const first = points.find((point) => point.value !== null && point.value !== undefined);
    const x = (time) => (WIDTH * (1 - (end - time) / WINDOW)).toFixed(1);
    const last = points.at(-1);
    const isWhole = runs === 1 && points.length > 1 && last.value !== null && last.value !== undefined;
    mark(area, "d", isWhole ? `${drawn.replace("h.01", "")}L${x(last.time)} ${HEIGHT - 2}L${x(first.time)} ${HEIGHT - 2}Z` : null);
    const current = seen.length > 0 ? seen.at(-1) : null;
    say(now, current === null ? "–" : `${figure(current)}${unit}`);
    say(top, seen.length > 0 ? `most ${figure(greatest)}${unit}` : "nothing yet");
    const since = points.length > 0 ? ` since ${clock(points[0].time)}` : "";
    say(label, `${title}: ${current === null ? "no figure yet" : `${figure(current)}${unit}, at most ${figure(greatest)}${unit}${since}`}`);
  };
  return { element, set };
}

/** The four of them. */
export function strip() {
  const sparks = [
    spark({ title: "Commits a second", unit: "", kind: "plain", value: (sample) => sample.commits_per_second }),
    spark({ title: "Lattice peers", unit: "", kind: "plain", value: (sample) => sample.peers }),
    spark({ title: "Divergences", unit: "", kind: "bad", value: (sample) => sample.divergences }),
    spark({ title: "Apply, slowest", unit: " ms", kind: "plain", value: (sample) => sample.apply_slowest_ms }),
  ];
  const element = h("section", { class: "strip", "aria-label": "The last 15 minutes" }, sparks.map((one) => one.element));
  const set = (model) => sparks.forEach((one) => one.set(model.samples, model.now.time_ms));
  return { element, set };
}
