// State: entries by prefix, one of them in full, and its proof, checked here step by step.

import { json, text } from "./api.js";
import { h, keep, mark, say } from "./dom.js";
import { bytes, moment, short } from "./format.js";
import { names } from "./model.js";
import { announce, copier, facts } from "./parts.js";
import { verify } from "./proof/bundle.js";
import { BadPolicy } from "./proof/policy.js";
import { ability } from "./proof/signature.js";

const PAGE = 50;

/** Characters of a value that are shown; the rest is for the command line. */
const VALUE_MAX = 4096;

/** Times that a proof is asked for until its checkpoint has enough cosignatures, and the pause between, in milliseconds. */
const TRIES = 20;
const TRY_PAUSE = 500;

const SIGNS = { holds: "✓", fails: "✕", undecided: "?" };
const VERDICTS = {
  proven: ["good", "Proven", "by the keys of the policy"],
  refuted: ["bad", "Refuted", "the bundle does not show what it claims"],
  undecided: ["watch", "Could not tell", "nothing is wrong, but this policy does not reach as far"],
};

/**
 * Asks for a bundle and checks it, again only while cosignatures are missing that may still come: the witnesses cosign a
 * checkpoint a moment after it is signed. Gives `null`, and tells nothing more, once another run is the current one.
 */
export async function judge({ isCurrent, bundle, policy, tell, wait }) {
  for (let tries = 1; ; tries += 1) {
    const file = await bundle();
    if (!isCurrent()) return null;
    const result = await verify(file, policy, (steps) => isCurrent() && tell(steps));
    if (!isCurrent()) return null;
    if (!result.isAwaited || tries === TRIES) return result;
    await wait();
    if (!isCurrent()) return null;
  }
}

function save(name, content) {
  const url = URL.createObjectURL(new Blob([content], { type: "text/plain" }));
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const fileName = (key) => `${key.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 60) || "key"}.proof`;

/** The proof of one key: asked for, checked, shown, saved. */
function proofPart() {
  const check = h("button", { type: "button", class: "main" }, "Check the proof here");
  const keepBundle = h("button", { type: "button" }, "Save the bundle");
  const keepPolicy = h("button", { type: "button" }, "Save this node’s policy");
  const own = h("input", { type: "file", id: "own-policy" });
  const [verdict, list, note] = [h("p", { class: "proof-verdict", role: "status" }), h("ol", { class: "steps" }), h("p", { class: "dim" })];
  const element = h(
    "section", { class: "proof", "aria-label": "Proof" }, h("h3", {}, "Proof"), h("p", { class: "buttons" }, check, keepBundle, keepPolicy),
    h("p", {}, h("label", { for: "own-policy" }, "Check by a policy of yours instead of this node’s: "), own), verdict, list, note,
  );
  let asked = null;
  let policy = null;
  const told = (level, words) => {
    mark(verdict, "data-level", level);
    say(verdict, words);
  };
  const path = () => `/api/v1/proof/${asked.isAbsent ? "absence" : "entry"}?key=${encodeURIComponent(asked.key)}`;
  const tried = (work) => async () => {
    const before = asked;
    try {
      await work();
    } catch (error) {
      if (asked === before) told("bad", error.message);
    }
  };
  const show = (steps) => keep(list, steps.map((step, index) => ({ ...step, index })), ({ index }) => index, () => h("li", {}, h("span", { class: "sign" }), h("strong"), h("span", { class: "dim" })), (item, step) => {
    mark(item, "data-outcome", step.outcome);
    say(item.children[0], SIGNS[step.outcome]);
    mark(item.children[0], "aria-label", step.outcome);
    mark(item.children[0], "role", "img");
    say(item.children[1], step.title);
    say(item.children[2], step.detail);
  });
  let [runs, isRunning, unable] = [0, false, ""];
  // The button keeps the focus while it can't be pressed: a person at the keyboard stays where they are.
  const busy = (is) => {
    isRunning = is;
    mark(check, "aria-disabled", is);
  };
  /** Ends the run before; gives whether this one is still the current one. */
  const begin = () => {
    runs += 1;
    const mine = runs;
    busy(false);
    told("none", "");
    show([]);
    say(note, unable);
    return () => mine === runs;
  };
  check.addEventListener("click", async () => {
    if (isRunning) return;
    const [isCurrent, from, chosen] = [begin(), path(), policy];
    busy(true);
    told("none", "asking for the proof; the node signs its log within a second");
    try {
      const by = (await chosen) ?? (await text("/api/v1/policy"));
      const wait = () => {
        told("none", "waiting for cosignatures; witnesses give them within seconds");
        return new Promise((done) => setTimeout(done, TRY_PAUSE));
      };
      const result = await judge({ isCurrent, bundle: () => text(from), policy: by, tell: show, wait });
      if (result === null) return;
      const [level, word, words] = VERDICTS[result.verdict];
      told(level, `${word}: ${result.verdict === "proven" ? `${result.facts.claim}, ${words}` : words}`);
      say(note, chosen ? "The policy is the one that you chose." : "The policy came from this node. If you don’t trust it, check by a policy that you have from elsewhere, here or with: lattice verify FILE --policy POLICY");
      announce(verdict.textContent);
    } catch (error) {
      if (!isCurrent()) return;
      if (error instanceof BadPolicy) told("watch", `The policy can’t be read, so nothing is checked: ${error.message}`);
      else told("bad", error.message);
    } finally {
      if (isCurrent()) busy(false);
    }
  });
  keepBundle.addEventListener("click", tried(async () => save(fileName(asked.key), await text(path()))));
  keepPolicy.addEventListener("click", tried(async () => save("policy", await text("/api/v1/policy"))));
  own.addEventListener("change", () => {
    policy = own.files[0]?.text() ?? null;
    begin();
  });
  const set = async (wanted) => {
    asked = wanted;
    begin();
    const able = await ability();
    check.disabled = able === "no-webcrypto";
    if (able === "no-webcrypto") unable = "This browser offers WebCrypto only on this machine or over HTTPS, so nothing can be checked here. Save the bundle, and check it with: lattice verify FILE --policy POLICY";
    if (able === "no-ed25519") unable = "This browser can’t check Ed25519 signatures: the hashes are checked here, the rest is for lattice verify.";
    if (unable !== "") say(note, unable);
  };
  return { element, set };
}

/** One entry in full. */
function entryPart() {
  const [key, copy] = [h("code", { class: "key-text" }), copier("key")];
  const value = h("pre", { tabindex: "0", "aria-label": "Value" });
  const list = facts(["Author"], ["Time"], ["Commit"], ["Number"], ["Operation"], ["Size"]);
  const proof = proofPart();
  const title = h("h2", { tabindex: "-1" }, "Entry");
  const element = h("section", { class: "card wide", id: "entry", hidden: true }, title, h("p", {}, key, copy.element), list.element, value, proof.element);
  const set = (entry, model) => {
    element.hidden = false;
    say(key, entry.key);
    copy.set(entry.key);
    list.element.hidden = value.hidden = Boolean(entry.isAbsent);
    say(title, entry.isAbsent ? "No such entry" : "Entry");
    if (!entry.isAbsent) {
      const shown = entry.value ?? entry.value_base64 ?? "";
      const length = entry.value === null || entry.value === undefined ? Math.floor((shown.replace(/=+$/, "").length * 3) / 4) : new TextEncoder().encode(shown).length;
      say(value, shown.length > VALUE_MAX ? `${shown.slice(0, VALUE_MAX)}…` : shown);
      const called = names(model.now).get(entry.author);
      list.say("Author", `${called ? `${called}, ` : ""}${short(entry.author, 16)}…`);
      list.say("Time", moment(entry.time_ms));
      list.say("Commit", entry.commit);
      list.say("Number", String(entry.seq));
      list.say("Operation", String(entry.op_index));
      list.say("Size", `${bytes(length)}${entry.value_base64 ? ", not text: shown as base64" : ""}`);
    }
    proof.set({ key: entry.key, isAbsent: Boolean(entry.isAbsent) });
    title.focus();
  };
  return { element, set };
}

export function state() {
  const search = h("input", { type: "search", id: "prefix", "data-search": true, placeholder: "all keys", autocapitalize: "off", spellcheck: "false" });
  const [more, absent] = [h("button", { type: "button" }, "More"), h("button", { type: "button" })];
  const [said, list] = [h("p", { class: "dim", role: "status" }), h("ul", { class: "keys" })];
  const entry = entryPart();
  const form = h("form", { class: "bar", role: "search" }, h("h2", {}, "State"), h("label", { class: "field", for: "prefix" }, h("span", {}, "Prefix"), search), h("button", { type: "submit" }, "List"));
  const keys = h("section", { class: "card wide" }, form, said, list, h("p", { class: "buttons" }, more, absent));
  const element = h("div", { class: "view" }, h("h1", { class: "unseen" }, "State"), h("div", { class: "browse" }, keys, entry.element));
  let [model, found, next, prefix, isAsked] = [null, [], null, "", false];
  const row = (one) => {
    const button = h("button", { type: "button", class: "key" }, h("code", {}, one.key), h("span", { class: "dim" }, one.value === null || one.value === undefined ? "not text" : one.value.slice(0, 60)));
    button.addEventListener("click", () => open(one.key, button));
    return h("li", {}, button);
  };
  const open = async (key, button) => {
    list.querySelectorAll("[aria-current]").forEach((other) => other.removeAttribute("aria-current"));
    button?.setAttribute("aria-current", "true");
    try {
      entry.set(await json(`/api/v1/entries?key=${encodeURIComponent(key)}`), model);
    } catch (error) {
      if (error.status === 404) entry.set({ key, isAbsent: true }, model);
      else say(said, error.message);
    }
  };
  const load = async (after) => {
    isAsked = true;
    const wanted = search.value;
    const rest = after === null ? "" : `&after=${encodeURIComponent(after)}`;
    try {
      const page = await json(`/api/v1/entries?limit=${PAGE}&prefix=${encodeURIComponent(wanted)}${rest}`);
      found = after === null ? page.entries : [...found, ...page.entries];
      [next, prefix] = [page.next ?? null, wanted];
      say(said, `${found.length}${next === null ? "" : " and more"} ${found.length === 1 ? "entry" : "entries"}${prefix ? ` under ${prefix}` : ""}`);
    } catch (error) {
      say(said, error.message);
    }
    keep(list, found, ({ key, commit }) => `${key} ${commit}`, row, () => {});
    more.hidden = next === null;
    const isThere = found.some(({ key }) => key === prefix);
    absent.hidden = prefix === "" || isThere;
    say(absent, `Prove that “${prefix}” has no entry`);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    load(null);
  });
  more.addEventListener("click", () => load(next));
  absent.addEventListener("click", () => open(prefix, null));
  const update = (known) => {
    model = known;
    if (!isAsked) load(null);
  };
  return { element, update, search };
}
