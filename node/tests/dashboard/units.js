// The page's own modules, each by itself: what they decide and compute, without a node. Gives a list of what is not as it
// should be.

const of = (name) => import(`/dashboard/${name}.js`);
const wrong = [];
const expect = (what, found, wanted) => {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) wrong.push(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
};

const { ago, brief, count, figure, hue, millis, place, short, some, span, transport } = await of("format");
expect("thousands", count(1234567), "1\u202f234\u202f567");
expect("figures", [0, 4, 0.1234, 12.34, 1234.5, null].map(figure), ["0", "4", "0.12", "12.3", "1\u202f235", "–"]);
expect("spans", [999, 61_000, 3_720_000, 90_000_000].map(span), ["0 s", "1 min 1 s", "1 h 2 min", "1 d 1 h"]);
expect("ages", [null, 100, 5_000].map(ago), ["never", "now", "5 s ago"]);
expect("times", [0.5, 1500, undefined].map(millis), ["0.50 ms", "1.50 s", "–"]);
expect("hashes", [short("0123456789"), short(null)], ["01234567", "–"]);
expect("hashes in words", brief(`divergence ${"ab".repeat(32)} 3`), "divergence abababab 3");
expect("sums", [some(1, "node", "nodes"), some(2, "node", "nodes")], ["1 node", "2 nodes"]);
const [tcp, quic, relay] = ["/ip4/10.0.0.7/tcp/4801", "/ip6/::1/udp/4801/quic-v1", "/ip4/10.0.0.7/tcp/1/p2p/x/p2p-circuit"];
expect("transports", [tcp, quic, relay, null].map(transport), ["TCP", "QUIC", "relay", "–"]);
expect("places", [tcp, quic, "http" + "://a:1/"].map(place), ["10.0.0.7:4801", "[::1]:4801", "a:1"]);
expect("hues leave green to our own", Array.from({ length: 400 }, (_, n) => hue((n * 41_943).toString(16).padStart(6, "0"))).every((one) => one < 70 || one >= 200), true);

const { Reader, follow } = await of("stream");
const stream = "event: now\r\ndata: {\"a\":\ndata: 1}\n\n: still here\n\nevent: samples\ndata: [2]\n\ndata: plain\n\n";
for (let cut = 1; cut < stream.length; cut += 1) {
  const reader = new Reader();
  const all = [...reader.take(stream.slice(0, cut)), ...reader.take(stream.slice(cut))];
  expect(`a stream cut at ${cut}`, all, [{ kind: "now", data: "{\"a\":\n1}" }, { kind: "samples", data: "[2]" }, { kind: "message", data: "plain" }]);
}

// The page stayed as it was for twenty seconds beside a node that had stopped.
const { setTimeout: later } = globalThis;
const waited = [];
globalThis.setTimeout = (done, ms) => { waited.push(ms); return later(done); };
const lost = await new Promise((told) => {
  let streams = 0;
  const open = () => (streams++ === 0 ? { body: new ReadableStream() } : new Promise(() => {}));
  follow({ open, begin: () => {}, hear: () => {}, lost: (error) => told(error.message) });
});
globalThis.setTimeout = later;
expect("a silent stream is lost", [waited[0], lost], [6_000, "the node has gone silent"]);

const { empty, rows, take } = await of("model");
const model = empty();
for (let n = 0; n < 300; n += 1) take(model, "samples", [{ number: n }]);
expect("memory is bounded", [model.samples.length, model.samples[0].number], [180, 120]);
take(model, "lanes", [{ node: "a", changes: [{ number: 1 }] }]);
take(model, "lanes", [{ node: "a", name: "A", changes: [{ number: 2 }] }]);
expect("lanes grow", [model.lanes.get("a").name, model.lanes.get("a").changes.length], ["A", 2]);
const bounded = empty();
for (let n = 0; n < 70; n += 1) take(bounded, "lanes", [{ node: `${n}`, is_own: n === 0, changes: [{ time_ms: n === 1 ? 100 : n }] }]);
expect("lanes are bounded, and our own stays", [bounded.lanes.size, ...["0", "1", "7", "8"].map((node) => bounded.lanes.has(node))], [64, true, true, false, true]);

const peer = (id, more) => ({ peer_id: id, author: null, name: null, connected: false, state_root: null, same_root: null, head_age_ms: 100, ...more });
const http = (url, more) => ({ url, author: null, state_root: null, error: null, divergence_count: 0, ...more });
const status = {
  name: "n", state_root: "aa", members: 3, ready: true, not_ready_reason: null, mode: "p2p", mode_reason: "", forks: [], write_refusal: null,
  equivocations: [], checkpoint: { withheld: null }, confirmed_root: null, peers: { lattice: 1 }, seat: { role: "none", is_takeover_possible: null }, http_peers: [],
  quarantine: { entries: 0, staged_commits: 0 },
};
const members = [{ author: "A", name: "a", peer_id: "pa" }, { author: "B", name: "b", peer_id: "pb" }];
const now = (more) => ({ time_ms: 1_000_000, status: { ...status, ...more }, members, unanswered: [], peers: [peer("pa", { author: "A", connected: true, state_root: "aa", same_root: true }), peer("pb")] });
const known = rows(now({ http_peers: [http("u:b", { author: "B", state_root: "bb" }), http("u:c")] }));
expect("one row a node, over whichever road", known.map(({ key, isConnected, isReached, same }) => [key, isConnected, isReached, same]), [["pa", true, true, true], ["pb", false, true, false], ["u:c", false, false, null]]);

const mirrored = now({ seat: { ...status.seat, shadow: "A", spares: [] } });
expect("a mirror states no root", rows(mirrored).map(({ root, isMirror }) => [root, isMirror])[0], [null, true]);
const silent = { ...now({}), peers: [peer("pa", { author: "A", connected: true, state_root: "cc", same_root: false, head_age_ms: 60_000 })] };
expect("nor does a head of a minute ago", rows(silent)[0].root, null);

const { rootLevel, verdict } = await of("health");
const well = (more, rest) => { const is = { ...empty(), now: now(more), ...rest }; const { level, word } = verdict(is); return [level, word, rootLevel(is)]; };
const fork = { node: "B", name: "b", since_ms: 900_000, until_ms: null };
expect("well", well({}), ["good", "Well", "good"]);
expect("apart", well({ http_peers: [http("u:b", { author: "B", state_root: "bb" })] }), ["good", "Well", "watch"]);
expect("forked", well({}, { forks: [fork] }), ["bad", "Roots differ", "bad"]);
expect("healed", well({}, { forks: [{ ...fork, until_ms: 950_000 }] }), ["good", "Well", "good"]);
expect("not ready", well({ ready: false, not_ready_reason: "why" }).slice(0, 2), ["bad", "Not ready"]);
expect("HTTP", well({ mode: "http" }).slice(0, 2), ["watch", "HTTP mode"]);
expect("alone", well({ peers: { lattice: 0 } }).slice(0, 2), ["watch", "Alone"]);
const cut = (entries, staged_commits) => { const { level, sentence } = verdict({ ...empty(), now: now({ quarantine: { entries, staged_commits } }) }); return [level, sentence]; };
expect("staged commits in quarantine", cut(0, 1), ["watch", "a cut took away 1 staged commit: lattice quarantine list"]);
expect("entries as well", cut(3, 2), ["watch", "a cut took away 3 entries and 2 staged commits: lattice quarantine list"]);
const since = new Date(2030, 0, 1, 9, 5, 7).getTime();
expect("a node that says nothing is not well", (({ level, word }) => [level, word])(verdict({ ...empty(), now: now({}), silent_since_ms: since })), ["bad", "No answer since 09:05:07"]);
const lacking = (more, away = {}, rest = {}) => {
  const is = { ...empty(), now: { ...now(rest), peers: [peer("pa", { author: "A", connected: true }), peer("pb", away)] } };
  const { level, word, sentence } = verdict({ ...is, ...more });
  return level === "good" ? level : [level, word, sentence];
};
expect("a member that is gone is missed", lacking({}, { heard_age_ms: 40_000 }), ["watch", "Not reached", "b has not been reached for 40 s"]);
expect("not yet", lacking({}, { heard_age_ms: 30_000 }), "good");
expect("nor where it answers over HTTP", lacking({}, { heard_age_ms: 40_000 }, { http_peers: [http("u:b", { author: "B", error: "late", answer_age_ms: 9_000 })] }), "good");
expect("nor a hidden mirror", ["shadow", "spare"].map((part) => lacking({}, { heard_age_ms: 40_000 }, { seat: { ...status.seat, shadow: part === "shadow" ? "B" : null, spares: ["B"] } })), ["good", "good"]);
expect("nor who is not dialled, as there are enough", lacking({}, { heard_age_ms: 40_000 }, { peers: { lattice: 32 } }), "good");
const watched = empty();
for (const time_ms of [1_000_000, 1_031_000]) take(watched, "now", { ...now({}), time_ms });
expect("one that was never heard is missed since the page saw so", verdict(watched).sentence, "b has not been reached for 31 s");
take(watched, "now", { ...now({}), time_ms: 1_040_000, peers: [peer("pb", { connected: true })] });
take(watched, "now", { ...now({}), time_ms: 1_041_000 });
expect("and anew once it was there", verdict(watched).level, "good");
const gone = (number) => {
  const all = Array.from({ length: number }, (_, n) => `m${n}`);
  const those = { members: all.map((name) => ({ author: name, name, peer_id: name })), peers: all.map((name, n) => peer(name, { heard_age_ms: 60_000 + n * 1_000 })) };
  return verdict({ ...empty(), now: { ...now({}), ...those } }).sentence;
};
expect("several are named, many counted", [2, 5].map(gone), ["m0, m1 have not been reached, the longest for 1 min 1 s", "5 members have not been reached, the longest for 1 min 4 s"]);
expect("worse goes first", well({ mode: "http", write_refusal: "the disk is full" }).slice(0, 2), ["bad", "Writes are refused"]);
const alarmed = (kind, time_ms, more) => well({ ...more }, { happenings: [{ kind, time_ms, text: "t", fields: {} }] })[0];
expect("an alarm fades as the strip does", [990_000, 800_000, 1].map((time_ms) => alarmed("alarm", time_ms)), ["bad", "watch", "good"]);
expect("one of the seat is over with its cause", [true, null].map((is) => alarmed("seat-alarm", 990_000, { seat: { role: "holder", is_takeover_possible: is } })), ["good", "bad"]);

const { branch, segments } = await of("lanes");
const bars = segments([{ time_ms: 0 }, { time_ms: 500 }, { time_ms: 900 }], 1_000, 400);
expect("segments of the window", bars.map(({ from, to }) => [from, to]), [[0, 750], [750, 1000]]);
expect("a branch comes back", [branch({ since_ms: 700, until_ms: 800 }, 1, 1_000, 400), branch({ since_ms: 700, until_ms: null }, 1, 1_000, 400)].map((path) => path.match(/C/g).length), [2, 1]);

const { path, pointsOf, roundUp } = await of("strip");
const kept = [99_999, 100_000, 1_000_000].map((time_ms) => ({ time_ms, peers: 3 }));
expect("what is older than the window is not drawn, nor counted", pointsOf(kept, ({ peers }) => peers, 1_000_000).map(({ time }) => time), [100_000, 1_000_000]);
expect("round scales", [0, 1, 1.2, 4.9, 70, 100].map(roundUp), [1, 1, 2, 5, 100, 100]);
expect("a gap ends a line", path([{ time: 0, value: 1 }, { time: 5_000, value: 1 }, { time: 60_000, value: 1 }], 1, 60_000).match(/M/g).length, 2);

const { called } = await of("peers");
const nobody = { name: null, author: null, isConnected: false };
expect("who does not answer is no stranger", [nobody, { ...nobody, isConnected: true }, { ...nobody, author: "ab".repeat(32) }].map(called), ["unknown node", "stranger", "abababab"]);
const { root } = await of("parts");
const swatches = ["", "ab".repeat(32)].map((hash) => { const one = root(); one.set(hash, false); return one.element.firstChild.hidden; });
expect("no root has no colour", swatches, [true, false]);

const { fits, groupOf, kindOf } = await of("events");
const event = { kind: "divergence", text: "divergence with b", fields: { peer: "B" } };
expect("filters", [fits(event, new Set(["divergence"]), ["with", "b"]), fits(event, new Set(["mode"]), []), fits(event, new Set(["divergence"]), ["x"])], [true, false, false]);
expect("groups", ["mode", "peers", "alarm", "seat", "log-renamed"].map(groupOf), ["mode", "mode", "divergence", "seat", "other"]);
expect("a session is as good as its end", ["equal", "lost"].map((outcome) => kindOf({ kind: "reconcile", fields: { outcome } }).level), ["good", "watch"]);

const { decode, encode } = await of("proof/cbor");
const hexed = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
expect("CBOR", [0n, 23n, 24n, 255n, 256n, 65536n, 4294967296n].map((number) => hexed(encode(number))), ["00", "17", "1818", "18ff", "190100", "1a00010000", "1b0000000100000000"]);
for (const bad of [[], [0x18, 0x17], [0x00, 0x00], [0x9f, 0xff], [0xf7], [0x58, 0xff, 0x00], [0x9b, 255, 255, 255, 255, 255, 255, 255, 255], [0x61, 0xff], [0x20], [0xa0]]) {
  let refused = false;
  try {
    decode(Uint8Array.from(bad));
  } catch {
    refused = true;
  }
  if (!refused) wrong.push(`CBOR ${hexed(bad)} is taken`);
}

// The known answers of the format: what the page says of each bundle is what every other verifier says.
const { verify } = await of("proof/bundle");
for (const { name, text, policy, proven, step } of args[0].cases) {
  const { verdict: said } = await verify(text, policy);
  const isRefuted = said === "refuted";
  if (proven ? said !== "proven" : said === "proven") wrong.push(`the bundle “${name}” is ${said}`);
  if (!proven && step !== "log" && !isRefuted) wrong.push(`the bundle “${name}” is ${said}, and its ${step} is wrong`);
}

// A policy that is none says nothing of the bundle: it once was refuted by it.
const [{ text: bundle, policy: trusted }] = args[0].cases;
const [logLine] = trusted.split("\n");
const { BadPolicy } = await of("proof/policy");
for (const [policy, why] of [
  [`# ours\n\nhello\n${trusted}`, "line 3: begin with log, witness, group, quorum or #, not with “hello”"],
  ["log example", "line 1: no key of a log, or mistyped: example"],
  [logLine.replace("log a", "log b"), /^line 1: no key of a log, or mistyped: b/],
  [`${logLine}\n${logLine}\n`, "line 2: this key stands on a line above"],
  [`${logLine}\nquorum nobody\n`, "line 2: write quorum once, with one name: of a witness or group above, or none"],
  [logLine, /^no quorum: end the file/],
  ["", /^no quorum: end the file/],
]) {
  const steps = [];
  const said = await verify(bundle, policy, () => steps.push(1)).then(({ verdict: is }) => is, (error) => error);
  const isRight = said instanceof BadPolicy && steps.length === 0 && (why instanceof RegExp ? why.test(said.message) : said.message === why);
  if (!isRight) wrong.push(`a policy that is none, ${JSON.stringify(policy.slice(0, 40))}: ${said.message ?? said}, after ${steps.length} steps`);
}

// It is asked again only for what time brings; and who is no longer the current run says nothing.
const { judge } = await of("state");
const judged = async (name, roundsMax = Infinity) => {
  const { text: file, policy } = args[0].cases.find((one) => one.name === name);
  let [asked, rounds, late] = [0, 0, 0];
  const isCurrent = () => rounds < roundsMax;
  const tell = () => { late += isCurrent() ? 0 : 1; };
  const result = await judge({ isCurrent, policy, tell, bundle: () => { asked += 1; return file; }, wait: () => { rounds += 1; } });
  return [result?.verdict ?? null, asked, late];
};
expect("a proof that holds is asked for once", await judged("the only entry"), ["proven", 1, 0]);
expect("so is one of a log that the policy does not name", await judged("a log that the policy does not name"), ["undecided", 1, 0]);
expect("one that lacks cosignatures is asked for again", await judged("three of four, four wanted"), ["undecided", 20, 0]);
expect("but not by a run that is over", await judged("three of four, four wanted", 3), [null, 3, 0]);
return wrong;
