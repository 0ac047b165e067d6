// A proof bundle, checked from what it claims up to the signatures under the log's checkpoint (lattice/FORMAT.md, "Proof
// bundle"). No key is ever taken from the bundle: they come from the policy.

import { equal, hex, sha256, unbase64, utf8 } from "./bytes.js";
import { decode, encode, fields } from "./cbor.js";
import { Undecided, judgeLog, judgeWitnesses, readPolicy, signatureLines } from "./policy.js";
import { ability, checkSignature } from "./signature.js";
import { bits, climb, rootOf, stateRoot } from "./tree.js";

const FILE = new RegExp(
  "^((?:[^\\n]+\\n)+)\\nc2sp\\.org/tlog-proof@v1\\nextra (\\S+)\\nindex (0|[1-9][0-9]*)\\n((?:\\S+\\n){0,63})\\n" +
    "(([^\\n]+)\\n(0|[1-9][0-9]*)\\n(\\S+)\\n(?:[^\\n]+\\n)*)\\n((?:— \\S+ \\S+\\n)+)$",
);

function require(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}

/** JSON text in ASCII. */
const quoted = (text) =>
  JSON.stringify(text).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** A moment as the lines for people write it. */
function moment(ms) {
  return ms >= 253402300800000n ? `${ms} ms since 1970` : new Date(Number(ms)).toISOString();
}

/** Takes the file apart; nothing of it is believed yet. */
function readFile(text) {
  const match = FILE.exec(text);
  require(match, "not a proof bundle");
  const [, people, extra, index, path, note, origin, size, root, signatures] = match;
  const [version, kind, record, claim] = fields(unbase64(extra), "iib[bh]");
  const [recordVersion, event, written, , after, entries, body] = fields(record, "iiihhi[bh]");
  require(version === 1n && recordVersion === 1n, "a version that is not known");
  require(kind <= 2n, "a claim that is not known");
  const hashes = path.split("\n").filter((line) => line !== "").map(unbase64);
  return {
    people, kind: Number(kind), record, claim, event, written, after, entries, body, note, origin, signatures,
    index: BigInt(index), size: BigInt(size), root: unbase64(root), path: hashes,
  };
}

async function readCommit(header, signature, origin) {
  const [version, lattice, author, term, seq, , time, count, opsRoot] = fields(header, "ihhiihiih");
  require(version === 1n && origin.startsWith(`${hex(lattice).slice(0, 16)}/`), "a commit of another lattice than the log's");
  const id = await sha256(header);
  const lines = [
    `lattice ${hex(lattice)}`, `author ${hex(author)}`, `commit ${hex(id)} number ${seq}`, `time ${moment(time >> 16n)}`,
  ];
  return { header, signature, author, term, seq, time, count, opsRoot, id, lines };
}

const signed = (commit) => async () => {
  await checkSignature(commit.author, commit.signature, new Uint8Array([...utf8("lattice/commit/v1\0"), ...commit.header]), "the author");
  return `author ${hex(commit.author).slice(0, 16)}…, commit ${hex(commit.id).slice(0, 16)}…`;
};

/** Steps that show what stands at a key: the signed operation, its place in the commit, the entry in the state. */
async function valueSteps(file) {
  const [header, signature, at, op, opPath, total, pageLength, place, pagePath, siblings] = fields(
    file.claim, "bbi[bh]liiill",
  );
  const commit = await readCommit(header, signature, file.origin);
  const [isDelete, key, value] = fields(op, "is[bhN]");
  require((isDelete === 1n) === (value === null) && isDelete <= 1n, "not an operation");
  const valueHash = value === null ? null : await sha256(value);
  const lines = [value === null ? "claim the key is deleted" : "claim the key has the value", `key ${quoted(key)}`];
  if (value !== null) lines.push(`value ${value.length} bytes, SHA-256 ${hex(valueHash)}`);
  const inCommit = async () => {
    const root = await climb(await sha256([0], op), at, commit.count, opPath);
    require(equal(root, commit.opsRoot), "the operation is not part of the commit");
    return `operation ${at} of ${commit.count}, by ${opPath.length} hashes`;
  };
  const inState = async () => {
    const entry = [key, commit.time, commit.author, commit.term, commit.seq, commit.id, at, valueHash];
    const leaf = await sha256([0], encode(entry));
    const page = await climb(leaf, place, pageLength, pagePath);
    const root = await stateRoot(key, page, pageLength, siblings, total);
    require(equal(root, file.after) && total === file.entries, "the record has another state");
    return `root ${hex(root).slice(0, 16)}… of ${total} entries, by ${pagePath.length + siblings.length} hashes`;
  };
  return {
    lines: [...lines, ...commit.lines],
    facts: { claim: lines[0].slice(6), key, author: hex(commit.author), commit: hex(commit.id) },
    steps: [
      ["The author signed the commit", signed(commit)],
      ["The operation is part of that commit", inCommit],
      ["The entry is in the state", inState],
    ],
  };
}

/** Steps that show that a key has no entry: all entries of the page where it would be. */
async function absenceSteps(file) {
  const [key, total, authors, page, siblings] = fields(file.claim, "silll");
  const rows = page.map((row) => fields(encode(row), "siiiihi[hN]"));
  const isAscending = rows.every((row) => row[2] < BigInt(authors.length));
  require(isAscending, "the authors are in another form");
  const used = [...new Set(rows.map((row) => hex(authors[Number(row[2])])))].sort();
  require(authors.length === used.length && authors.every((author, n) => hex(author) === used[n]), "the authors are in another form");
  const inState = async () => {
    const own = await bits(key);
    const places = await Promise.all(rows.map((row) => bits(row[0])));
    const ascends = places.every((place, n) => place !== own && (n === 0 || places[n - 1] < place));
    require(ascends, "the page is out of order, or has the key");
    const depth = siblings.length;
    require(places.every((place) => place.slice(0, depth) === own.slice(0, depth)), "not the page of the key");
    const entry = ([name, time, at, ...rest]) => encode([name, time, authors[Number(at)], ...rest]);
    const leaves = await Promise.all(rows.map((row) => sha256([0], entry(row))));
    const root = await stateRoot(key, await rootOf(leaves), BigInt(leaves.length), siblings, total);
    require(equal(root, file.after) && total === file.entries, "the record has another state");
    return `the page where it would be has ${rows.length} other entries; root ${hex(root).slice(0, 16)}…`;
  };
  return {
    lines: ["claim the key has no entry", `key ${quoted(key)}`],
    facts: { claim: "the key has no entry", key },
    steps: [["No entry of the state has the key", inState]],
  };
}

/** Steps that show that a commit was applied. */
async function commitSteps(file) {
  const [header, signature] = fields(file.claim, "b[bh]");
  const commit = await readCommit(header, signature, file.origin);
  const inRecord = async () => {
    const names = file.event === 1n ? decode(file.body) : [];
    require(names.some((name) => equal(name, commit.id)), "not a record of this commit");
    return `one of ${names.length} commits of the record`;
  };
  return {
    lines: ["claim the commit was applied", ...commit.lines],
    facts: { claim: "the commit was applied", author: hex(commit.author), commit: hex(commit.id) },
    steps: [["The author signed the commit", signed(commit)], ["The record names the commit", inRecord]],
  };
}

/** The lines for people, the last of which binds every byte behind them. */
async function expectLines(file, text, lines) {
  const hash = await sha256(utf8(text.slice(file.people.length + 1)));
  const all = [
    "lattice-proof/v1", ...lines, `state ${hex(file.after)} of ${file.entries} entries`,
    `record ${file.index} of ${file.size}, written ${moment(file.written)}`, `log ${quoted(file.origin)}`,
    `proof SHA-256/128 ${hex(hash.slice(0, 16))}`, "",
  ];
  require(file.people === all.join("\n"), "the lines for people say something else");
}

/** The steps that all bundles share: the record stands in the log, and the policy accepts the log's checkpoint. */
function logSteps(file, policy) {
  const trust = {};
  const inLog = async () => {
    require(file.kind === 2 || file.index + 1n === file.size, "the record is not the last one: it does not show the state");
    const root = await climb(await sha256([0], file.record), file.index, file.size, file.path);
    require(equal(root, file.root), "the record is not in the log");
    return `record ${file.index} of ${file.size}, by ${file.path.length} hashes`;
  };
  const byLog = async () => {
    trust.lines = signatureLines(file.signatures);
    trust.keys = await judgeLog(file.note, trust.lines, policy);
    return `log ${file.origin}`;
  };
  const byWitnesses = async () => {
    const { witnesses, quorum } = await judgeWitnesses(file.note, trust.lines, policy, trust.keys);
    trust.witnesses = witnesses;
    if (quorum === "none") return "the policy asks for no witness";
    return `quorum “${quorum}”: ${witnesses.map(({ name }) => name).join(", ")}`;
  };
  const steps = [
    ["The record is in the node's log", inLog],
    ["The log signed its checkpoint, by the policy's key", byLog],
    ["Enough witnesses cosigned it", byWitnesses],
  ];
  return { steps, trust };
}

/** Runs steps in order; the first that fails ends it. */
async function run(steps, outcomes, tell) {
  for (const [title, check] of steps) {
    try {
      outcomes.push({ title, outcome: "holds", detail: await check() });
    } catch (error) {
      const outcome = error instanceof Undecided ? "undecided" : "fails";
      outcomes.push({ title, outcome, detail: error.message, isAwaited: error.isAwaited === true });
      return outcome;
    } finally {
      tell(outcomes);
    }
  }
  return "holds";
}

/**
 * Checks a bundle against a policy. Gives the verdict (proven, refuted, undecided), whether another may come by itself, the
 * steps with their outcomes, and what is claimed; `tell` hears of each step. Throws where there is no WebCrypto, and
 * `BadPolicy` before the first step.
 */
export async function verify(text, policyText, tell = () => {}) {
  const able = await ability();
  if (able === "no-webcrypto") throw new Error("this browser offers no WebCrypto here");
  const policy = await readPolicy(policyText);
  const outcomes = [];
  let parts = null;
  let trust = {};
  const form = async () => {
    const file = readFile(text);
    const own = await [valueSteps, absenceSteps, commitSteps][file.kind](file);
    await expectLines(file, text, own.lines);
    const log = logSteps(file, policy);
    trust = log.trust;
    parts = { facts: { ...own.facts, root: hex(file.after), log: file.origin }, steps: [...own.steps, ...log.steps] };
    return own.lines[0];
  };
  let ended = await run([["The file is in its one form", form]], outcomes, tell);
  if (ended === "holds" && able === "no-ed25519") {
    ended = "undecided";
    outcomes.push({ title: "Signatures", outcome: "undecided", detail: "this browser can't check Ed25519; use lattice verify" });
    tell(outcomes);
  }
  if (ended === "holds") ended = await run(parts.steps, outcomes, tell);
  const verdict = { holds: "proven", fails: "refuted", undecided: "undecided" }[ended];
  return { verdict, isAwaited: outcomes.at(-1).isAwaited === true, steps: outcomes, facts: parts?.facts ?? {}, witnesses: trust.witnesses ?? [] };
}
