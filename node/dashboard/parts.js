// Pieces that several views show: roots, badges, tables, small figures.

import { h, keep, mark, say } from "./dom.js";
import { hue, short } from "./format.js";

/** Says something to those who listen to the page. */
export function announce(text) {
  say(document.getElementById("said"), text);
}

/** A button that copies a text. */
export function copier(what) {
  let text = "";
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy ${what}` }, "copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without a secure context there is no clipboard: the old way, on a field of our own.
      const field = h("textarea", { class: "unseen", "aria-hidden": "true", tabindex: "-1" });
      field.value = text;
      button.after(field);
      field.select();
      document.execCommand("copy");
      field.remove();
      button.focus();
    }
    announce(`Copied ${what}`);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1200);
  });
  return { element: button, set: (value) => { text = value; } };
}

/** A root as a colour and its first digits. */
export function root(digits = 8) {
  const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
  const code = h("code");
  const element = h("span", { class: "root" }, swatch, code);
  const set = (hash, isOurs) => {
    say(code, short(hash, digits));
    mark(code, "title", hash || null);
    swatch.hidden = !hash;
    mark(element, "data-ours", isOurs ? "yes" : null);
    swatch.style.setProperty("--hue", hue(hash));
  };
  return { element, set };
}

/** A root for places that are made once and never change. */
export function rootOf(hash, isOurs = false, digits = 8) {
  const made = root(digits);
  made.set(hash, isOurs);
  return made.element;
}

export const badge = (level, text) => h("span", { class: "badge", "data-level": level }, text);

/**
 * A table whose rows become cards where it is narrow: so all roles are named, and each cell its column. A column has a
 * `title`, `cell` (makes what stands in it) and `show` (fills it from an item). A table of many columns is `dense`.
 */
export function table(caption, columns, keyOf, kind = "") {
  const body = h("tbody", { role: "rowgroup" });
  const titles = columns.map(({ title, kind }) => h("th", { role: "columnheader", scope: "col", class: kind }, title));
  const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, titles));
  const nothing = h("p", { class: "nothing" });
  const made = h("table", { role: "table" }, h("caption", { class: "unseen" }, caption), head, body);
  const element = h("div", { class: `table ${kind}` }, made, nothing);
  const row = () => {
    const cells = columns.map(({ title, kind, cell }) => {
      const inner = cell ? cell() : { element: h("span") };
      const td = h("td", { role: "cell", class: kind, "data-title": title }, inner.element ?? inner);
      td.inner = inner;
      return td;
    });
    return h("tr", { role: "row" }, cells);
  };
  const update = (tr, item) => columns.forEach(({ show }, index) => {
    const td = tr.children[index];
    const text = show(item, td.inner, tr);
    if (typeof text === "string") say(td.inner.element ?? td.inner, text);
  });
  const set = (items, otherwise) => {
    keep(body, items, keyOf, row, update);
    made.hidden = items.length === 0;
    say(nothing, items.length === 0 ? otherwise : "");
  };
  return { element, set };
}

/** A list of names and values that are said again and again. */
export function facts(...entries) {
  const values = new Map();
  const lines = entries.map(([name, value]) => {
    const element = value?.element ?? value ?? h("span");
    values.set(name, element);
    return h("div", {}, h("dt", {}, name), h("dd", {}, element));
  });
  return { element: h("dl", { class: "facts" }, lines), say: (name, text) => say(values.get(name), text), at: (name) => values.get(name) };
}

export function card(title, ...children) {
  return h("section", { class: "card" }, h("h2", {}, title), children);
}
