// Who vouches for a checkpoint: the trust policy (C2SP tlog-policy) and the signature lines under a note.

import { bigEndian, equal, hex, sha256, unbase64, utf8 } from "./bytes.js";
import { checkSignature } from "./signature.js";

/** Nothing is wrong, but this policy does not reach as far: for good, or until what is awaited comes by itself. */
export class Undecided extends Error {
  constructor(message, isAwaited) {
    super(message);
    this.isAwaited = isAwaited;
  }
}

/** A text is no policy: nothing is judged by it. */
export class BadPolicy extends Error {}

const LOG = 1;
const WITNESS = 4;

/** How the lines of a policy are written, for those that are not. */
const FORMS = {
  log: "write log, its key and perhaps its URL",
  witness: "write witness, a name that is free, its key and perhaps its URL",
  group: "write group, a name that is free, then all, any or a number, then its members: witnesses or groups above, each in one group only",
  quorum: "write quorum once, with one name: of a witness or group above, or none",
};

async function readKey(words, kind, others) {
  const [name, id, rest] = words.split("+", 2).concat(words.split("+").slice(2).join("+"));
  let raw;
  try {
    raw = unbase64(rest);
  } catch {
    raw = new Uint8Array();
  }
  const expected = hex((await sha256(utf8(`${name}\n`), raw)).subarray(0, 4));
  const isKey = raw.length === 33 && raw[0] === kind && expected === id;
  if (!isKey) throw new Error(`no key of a ${kind === LOG ? "log" : "witness"}, or mistyped: ${words}`);
  const key = raw.subarray(1);
  if (others.some((other) => equal(other.key, key))) throw new Error("this key stands on a line above");
  return { name, id: Uint8Array.from(id.match(/../g), (two) => parseInt(two, 16)), key };
}

async function readLine(words, policy) {
  const [word, ...rest] = words;
  const names = new Set(["none", ...policy.voices.map((voice) => voice.name)]);
  if (word === "log" && (rest.length === 1 || rest.length === 2)) {
    policy.logs.push(await readKey(rest[0], LOG, policy.logs));
  } else if (word === "witness" && (rest.length === 2 || rest.length === 3) && !names.has(rest[0])) {
    const others = policy.voices.filter((voice) => voice.key).map((voice) => voice.key);
    policy.voices.push({ name: rest[0], key: await readKey(rest[1], WITNESS, others) });
  } else if (word === "group" && rest.length > 2 && !names.has(rest[0])) {
    const [name, number, ...members] = rest;
    const least = { all: members.length, any: 1 }[number] ?? Number(number);
    const isFree = members.every((member) => names.has(member) && !policy.used.has(member));
    const isRight = Number.isInteger(least) && least > 0 && least <= members.length;
    if (!isFree || !isRight || new Set(members).size !== members.length) throw new Error(FORMS.group);
    members.forEach((member) => policy.used.add(member));
    policy.voices.push({ name, members, least });
  } else if (word === "quorum" && rest.length === 1 && names.has(rest[0]) && policy.quorum === null) {
    [policy.quorum] = rest;
  } else {
    throw new Error(Object.hasOwn(FORMS, word) ? FORMS[word] : `begin with log, witness, group, quorum or #, not with “${word}”`);
  }
}

/** Reads a policy; throws `BadPolicy` with the line and what is wrong with it. */
export async function readPolicy(text) {
  const policy = { logs: [], voices: [], quorum: null, used: new Set(["none"]) };
  for (const [index, line] of text.split("\n").entries()) {
    const words = line.split(/[ \t]/).filter((word) => word !== "");
    if (words.length === 0 || words[0].startsWith("#")) continue;
    try {
      await readLine(words, policy);
    } catch (error) {
      throw new BadPolicy(`line ${index + 1}: ${error.message}`);
    }
  }
  if (policy.quorum === null) throw new BadPolicy("no quorum: end the file with a line such as “quorum members”, or “quorum none” to ask for no witness");
  return policy;
}

/** The times at which a key signed; one line of it that does not hold spoils all. */
async function timesOf(key, text, lines, isWitness) {
  const times = [];
  for (const { name, raw } of lines) {
    if (name !== key.name || !equal(raw.subarray(0, 4), key.id)) continue;
    const time = bigEndian(raw.subarray(4, -64));
    const isRight = raw.length === (isWitness ? 76 : 68) && time < 1n << 63n && time > 0n === isWitness;
    if (!isRight) throw new Error("a bad time");
    const domain = isWitness ? `cosignature/v1\ntime ${time}\n` : "";
    await checkSignature(key.key, raw.subarray(-64), utf8(domain + text), key.name);
    times.push(time);
  }
  return times;
}

/** Who signed a note: its log, if the policy knows it. Gives the log's keys. */
export async function judgeLog(text, lines, policy) {
  const known = policy.logs.filter((key) => key.name === text.split("\n")[0]);
  if (known.length === 0) throw new Undecided("the policy does not name this log", false);
  let isSigned = false;
  for (const key of known) isSigned = (await timesOf(key, text, lines, false)).length > 0 || isSigned;
  if (!isSigned) throw new Error("the log did not sign the checkpoint");
  return known;
}

/** Who cosigned it, with times; throws if that is not enough. */
export async function judgeWitnesses(text, lines, policy, logKeys) {
  const there = new Map([["none", 0n]]);
  const own = logKeys.map(({ key }) => hex(key));
  for (const voice of policy.voices) {
    if (voice.members) {
      if (voice.members.filter((member) => there.has(member)).length >= voice.least) there.set(voice.name, 0n);
    } else {
      const times = await timesOf(voice.key, text, lines, true);
      // A log is no witness of its own.
      if (times.length > 0 && !own.includes(hex(voice.key.key))) {
        there.set(voice.name, times.reduce((last, time) => (time > last ? time : last)));
      }
    }
  }
  const witnesses = [...there].filter(([, time]) => time > 0n).map(([name, time]) => ({ name, time_s: Number(time) }));
  if (!there.has(policy.quorum)) {
    const seen = witnesses.map(({ name }) => name).join(", ") || "nobody";
    throw new Undecided(`the quorum “${policy.quorum}” is not reached: cosigned by ${seen}`, true);
  }
  return { witnesses, quorum: policy.quorum };
}

/** Signature lines as name and bytes. */
export const signatureLines = (text) =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split(" "))
    .map(([, name, words]) => ({ name, raw: unbase64(words) }));
