// What a person without a mouse, or without eyes, would stumble over: names, roles, contrast, focus, width. Gives a list of
// findings, empty if all is well. In the manner of axe, written for this page.

const findings = [];
const shownAs = (element) => `${element.tagName.toLowerCase()}${element.id ? `#${element.id}` : ""}.${element.getAttribute("class") ?? ""} “${(element.textContent ?? "").trim().slice(0, 30)}”`;
const find = (element, what) => findings.push(`${what}: ${shownAs(element)}`);

function isShown(element) {
  return element.checkVisibility({ opacityProperty: false, visibilityProperty: true }) && element.closest("[hidden], dialog:not([open])") === null;
}

/** The name that is told of an element, by the parts of the rules that this page uses. */
function nameOf(element) {
  const by = element.getAttribute("aria-labelledby");
  if (by) return by.split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
  const label = element.getAttribute("aria-label");
  if (label) return label;
  if (element.labels?.length) return Array.from(element.labels, (one) => one.textContent).join(" ");
  if (element.tagName.toLowerCase() === "svg") return element.querySelector(":scope > title")?.textContent ?? "";
  if (["INPUT", "SELECT", "TEXTAREA"].includes(element.tagName)) return "";
  return element.textContent;
}

for (const element of document.querySelectorAll("a[href], button, input, select, textarea, summary, [role=img], [role=search], section[aria-label], dialog[open], nav")) {
  if (isShown(element) && nameOf(element).trim() === "") find(element, "no name");
}
for (const picture of document.querySelectorAll("svg")) {
  const isNamed = picture.getAttribute("role") === "img" || picture.getAttribute("aria-hidden") === "true";
  if (!isNamed) find(picture, "a picture that is neither named nor hidden");
}
for (const table of document.querySelectorAll("table")) {
  if (!table.caption?.textContent) find(table, "a table without a caption");
  if (table.querySelector("td:not([role]), th:not([scope]), tr:not([role])")) find(table, "a table that loses its roles as cards");
}
const ids = Array.from(document.querySelectorAll("[id]"), ({ id }) => id);
for (const id of new Set(ids.filter((one, index) => ids.indexOf(one) !== index))) findings.push(`an id twice: ${id}`);
for (const label of document.querySelectorAll("label[for]")) {
  if (!document.getElementById(label.htmlFor)) find(label, "a label of nothing");
}
if (!document.documentElement.lang) findings.push("no language");
if (!document.title.trim()) findings.push("no title");
if (document.querySelectorAll("main").length !== 1) findings.push("not one main");
const levels = Array.from(document.querySelectorAll("main :is(h1, h2, h3, h4)")).filter((element) => element.closest("[hidden]") === null);
if (levels.filter(({ tagName }) => tagName === "H1").length !== 1) findings.push("not one first heading");
levels.forEach((element, index) => {
  const before = index > 0 ? Number(levels[index - 1].tagName[1]) : 0;
  if (Number(element.tagName[1]) > before + 1) find(element, "a heading that skips a level");
});
for (const element of document.querySelectorAll("[tabindex]")) {
  if (element.tabIndex > 0) find(element, "an order of its own");
}

// Contrast, WCAG 2.2, 1.4.3.
const parse = (colour) => {
  const parts = colour.match(/[\d.]+/g).map(Number);
  return { rgb: parts.slice(0, 3), alpha: parts[3] ?? 1 };
};
const over = (front, back) => front.rgb.map((value, index) => value * front.alpha + back[index] * (1 - front.alpha));
const light = (rgb) => {
  const [r, g, b] = rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ratio = (one, other) => {
  const [more, less] = [light(one), light(other)].sort((a, b) => b - a);
  return (more + 0.05) / (less + 0.05);
};
function ground(element) {
  const above = [];
  for (let one = element; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor);
    above.push(colour);
    if (colour.alpha === 1) break;
  }
  return above.reverse().reduce((back, front) => over(front, back), [255, 255, 255]);
}
const seen = new Set();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !isShown(element) || element.closest(".unseen, svg, noscript, script, option, :disabled")) continue;
  const style = getComputedStyle(element);
  const back = ground(element);
  const front = over(parse(style.color), back);
  const [size, weight] = [parseFloat(style.fontSize), Number(style.fontWeight)];
  const needed = size >= 24 || (size >= 18.66 && weight >= 700) ? 3 : 4.5;
  const found = ratio(front, back);
  const key = `${front} ${back}`;
  if (found < needed && !seen.has(key)) find(element, `contrast ${found.toFixed(2)} below ${needed}`);
  seen.add(key);
}
for (const text of document.querySelectorAll("svg.network text")) {
  const style = getComputedStyle(text);
  const back = text.classList.contains("sign") ? parse(getComputedStyle(text.parentElement.querySelector("circle")).fill).rgb : ground(text.closest("svg"));
  const found = ratio(parse(style.fill).rgb, back);
  if (found < 3) find(text, `contrast ${found.toFixed(2)} in the picture`);
}

// Focus: each thing that can be operated can be reached, and shows that it was (2.4.7).
const wanted = Array.from(document.querySelectorAll("a[href], button:not(:disabled), input, select, summary, [tabindex='0']")).filter(isShown);
const before = document.activeElement;
for (const element of wanted) {
  const plain = getComputedStyle(element).outlineStyle;
  element.focus({ preventScroll: true, focusVisible: true });
  if (document.activeElement !== element) {
    find(element, "can't have the focus");
    continue;
  }
  const style = getComputedStyle(element);
  const isMarked = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && plain === "none";
  if (!isMarked) find(element, "the focus does not show");
  else if (ratio(parse(style.outlineColor).rgb, ground(element.parentElement)) < 3) find(element, "the focus hardly shows");
}
document.activeElement?.blur();
before?.focus?.({ preventScroll: true });

// Targets of 24 pixels (2.5.8), but for links within text; and no scrolling to the side (1.4.10).
for (const element of wanted.filter((one) => one.tagName === "BUTTON" || one.tagName === "SUMMARY")) {
  const { width, height } = element.getBoundingClientRect();
  if (width < 24 || height < 24) find(element, `${Math.round(width)} by ${Math.round(height)} is a small target`);
}
const page = document.scrollingElement;
if (page.scrollWidth > page.clientWidth) findings.push(`the page is ${page.scrollWidth} wide in ${page.clientWidth}`);
for (const element of document.querySelectorAll("main *")) {
  const right = element.getBoundingClientRect().right;
  const isOut = right > page.clientWidth + 1 && isShown(element) && !element.closest("svg, pre, .unseen");
  if (isOut) find(element, `reaches to ${Math.round(right)} of ${page.clientWidth}`);
}
return findings;
