//! A verdict in words, and as JSON.

use data_encoding::{BASE64, HEXLOWER};
use lattice::bundle::{Fact, Proven, Written, time};
use lattice::log::policy::{Cosigned, Judged};
use lattice::record::{Event, Record};
use serde_json::{Map, Value, json};

use super::judge::{Shown, Verdict};
use crate::cli::text::{counted, excerpt, grouped, table, visible};

/// Characters of a value that are shown; the whole is in the JSON.
const VALUE_CHARS: usize = 200;

/// For people.
pub(super) fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Proven(shown) => match shown.as_ref() {
            Shown::Fact { proven, size } => fact_in_words(proven, *size),
            Shown::Record { bytes, record, index, size, judged } => {
                let what = record.as_ref().map_or_else(|| "a record of unknown form".to_owned(), record_in_words);
                let mut lines =
                    vec![row("record", format!("{index} of {size}, {} bytes", bytes.len())), row("says", what)];
                lines.extend(record.as_ref().map(|record| row("written", by_its_clock(record.time_ms))));
                lines.extend(judged_in_words(judged));
                format!("proven: the record is in the log\n{}", table(&lines))
            }
            Shown::Fork { log, sizes: (first, second) } => {
                let sizes = format!("{} and {}", counted(*first, "record", "records"), grouped(*second));
                let lines =
                    [row("log", visible(log.name().as_str())), row("signed", format!("by {log}, over {sizes}"))];
                format!("proven: the log signed two histories that contradict each other\n{}", table(&lines))
            }
        },
        Verdict::Refuted(why) => format!("refuted: {}\n", visible(why)),
        Verdict::Undecided(why) => format!("could not tell: {}\n", visible(why)),
    }
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

fn fact_in_words(proven: &Proven, size: u64) -> String {
    let (claim, by, value) = match &proven.fact {
        Fact::Value { key, value: Some(value), by } => {
            let claim =
                format!("the key {:?} has a value of {}", key.as_str(), counted(value.len() as u64, "byte", "bytes"));
            (claim, Some(by), Some(value))
        }
        Fact::Value { key, value: None, by } => (format!("the key {:?} is deleted", key.as_str()), Some(by), None),
        Fact::Absent { key } => (format!("the key {:?} has no entry", key.as_str()), None, None),
        Fact::Applied { by } => ("the commit was applied".to_owned(), Some(by), None),
    };
    let mut lines = Vec::new();
    lines.extend(value.map(|value| match std::str::from_utf8(value) {
        Ok(text) => row("value", excerpt(text, VALUE_CHARS)),
        Err(_) => row("value", excerpt(&format!("(not text, in base64) {}", BASE64.encode(value)), VALUE_CHARS)),
    }));
    if let Some(Written { author, commit, seq, time_ms }) = by {
        lines.push(row("author", author.to_string()));
        lines.push(row("commit", format!("{commit}, number {seq} of the author, signed by it")));
        lines.push(row("time", format!("{}, by the author's clock", time(*time_ms))));
    }
    lines.push(row("state", format!("{} of {}", proven.root, counted(proven.entries, "entry", "entries"))));
    lines.push(row("record", format!("{} of {size}, written {}", proven.index, by_its_clock(proven.written_ms))));
    lines.extend(judged_in_words(&proven.judged));
    // Keys are shown escaped by their Debug form, as far as they are control characters; marks of direction are not.
    format!("proven: {}\n{}", visible(&claim), table(&lines))
}

fn judged_in_words(judged: &Judged) -> Vec<Vec<String>> {
    let mut lines = vec![row("log", format!("{}, signed by its key", visible(judged.log.name().as_str())))];
    for Cosigned { name, time_s } in &judged.witnesses {
        let when = time(time_s.saturating_mul(1000));
        lines.push(row("witness", format!("{} cosigned at {when}", visible(&name.to_string()))));
    }
    if judged.witnesses.is_empty() {
        lines.push(row("witness", "none; the policy asks for none".to_owned()));
    }
    lines
}

fn by_its_clock(ms: u64) -> String {
    format!("{}, by the node's clock", time(ms))
}

/// What a record tells, in a few words.
pub(in crate::cli) fn record_in_words(record: &Record) -> String {
    let what = match &record.event {
        Event::Opened { author, .. } => format!("the log of author {author} begins"),
        Event::Applied { commits } => format!("{} applied", counted(commits.len() as u64, "commit", "commits")),
        Event::Reconciled { peer, outcome, received, sent } => {
            format!("reconciled with {}: {outcome}, {received} received, {sent} sent", peer.short())
        }
        Event::Mode { mode, reason } => format!("mode {mode}: {reason}"),
        Event::Membership { changes, removed } => {
            format!(
                "{}, {removed} entries removed",
                counted(changes.len() as u64, "membership change", "membership changes")
            )
        }
        Event::Stated => "the state as it stands".to_owned(),
        Event::Renamed { origin, size, .. } => format!("the log goes on from {origin}, which had {size} records"),
        Event::Damaged { dropped } => format!("{dropped} entries were damaged on disk and dropped"),
        Event::Seat { old_term, new_term, step, reason, votes, .. } => {
            format!("seat, term {old_term} to {new_term}: {step}, {votes} votes: {reason}")
        }
    };
    visible(&format!("{what}; state {} of {} entries", record.after, record.entries))
}

/// For programs.
pub(super) fn json(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Proven(shown) => {
            let mut object = Map::new();
            object.insert("verdict".to_owned(), json!("proven"));
            let facts = match shown.as_ref() {
                Shown::Fact { proven, size } => fact_as_json(proven, *size),
                Shown::Record { bytes, record, index, size, judged } => json!({
                    "kind": "record",
                    "record_base64": BASE64.encode(bytes),
                    "says": record.as_ref().map(record_in_words),
                    "written_ms": record.as_ref().map(|record| record.time_ms),
                    "index": index,
                    "log_size": size,
                    "log": judged.log.name().as_str(),
                    "log_key": judged.log.to_string(),
                    "witnesses": witnesses(judged),
                }),
                Shown::Fork { log, sizes: (first, second) } => json!({
                    "kind": "fork",
                    "log": log.name().as_str(),
                    "log_key": log.to_string(),
                    "sizes": [first, second],
                }),
            };
            if let Value::Object(facts) = facts {
                object.extend(facts);
            }
            Value::Object(object)
        }
        Verdict::Refuted(why) => json!({"verdict": "refuted", "reason": why}),
        Verdict::Undecided(why) => json!({"verdict": "undecided", "reason": why}),
    }
}

fn fact_as_json(proven: &Proven, size: u64) -> Value {
    let (kind, key, value, by) = match &proven.fact {
        Fact::Value { key, value: Some(value), by } => ("value", Some(key), Some(value), Some(by)),
        Fact::Value { key, value: None, by } => ("deleted", Some(key), None, Some(by)),
        Fact::Absent { key } => ("absent", Some(key), None, None),
        Fact::Applied { by } => ("applied", None, None, Some(by)),
    };
    let text = value.and_then(|value| std::str::from_utf8(value).ok());
    json!({
        "kind": kind,
        "key": key.map(|key| key.as_str()),
        "value": text,
        "value_base64": value.filter(|_| text.is_none()).map(|value| BASE64.encode(value)),
        "author": by.map(|by| by.author.to_string()),
        "commit": by.map(|by| by.commit.to_string()),
        "seq": by.map(|by| by.seq),
        "time_ms": by.map(|by| by.time_ms),
        "state_root": HEXLOWER.encode(proven.root.as_bytes()),
        "entries": proven.entries,
        "index": proven.index,
        "log_size": size,
        "written_ms": proven.written_ms,
        "log": proven.judged.log.name().as_str(),
        "log_key": proven.judged.log.to_string(),
        "witnesses": witnesses(&proven.judged),
    })
}

fn witnesses(judged: &Judged) -> Vec<Value> {
    let witness = |Cosigned { name, time_s }: &Cosigned| json!({"name": name.to_string(), "time_s": time_s});
    judged.witnesses.iter().map(witness).collect()
}
