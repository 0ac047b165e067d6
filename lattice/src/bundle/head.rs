//! The part of a bundle that people read. It is a function of the rest, so it cannot say anything else.

use std::fmt::Write;

use super::shown::{Claim, Shown};
use crate::commit::SignedHeader;
use crate::ids::sha256;
use crate::log::proof::Proof;
use crate::op::Op;
use crate::record::Record;

/// First line of a bundle.
pub(super) const FIRST_LINE: &str = "lattice-proof/v1";

/// Milliseconds since 1970 at which the year 10000 begins: times from then on are shown as a number.
const YEAR_10000_MS: u64 = 253_402_300_800_000;

/// Bytes of a hash that are enough to tell a damaged proof: what changes by accident meets them once in 2^128 times.
const BINDING_BYTES: usize = 16;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// The lines up to the empty one, which is not among them. The last one binds the proof behind it, byte for byte: a note
/// may carry signatures by unknown keys, so a flipped bit in the line of a witness that the quorum can spare would make it
/// a stranger's, and nobody would notice. Whoever changes a bundle on purpose can write that line anew; it proves nothing.
pub(super) fn text(shown: &Shown, record: &Record, proof: &Proof) -> String {
    let mut out = format!("{FIRST_LINE}\n");
    // Writing into a String does not fail.
    let _ = match &shown.claim {
        Claim::Entry(entry) => {
            let claim = if entry.op.value().is_some() { "the key has the value" } else { "the key is deleted" };
            write!(out, "claim {claim}\n{}\n{}", operation(&entry.op), commit(&entry.signed))
        }
        Claim::Absence { key, .. } => writeln!(out, "claim the key has no entry\nkey {}", quoted(key.as_str())),
        Claim::Commit(signed) => write!(out, "claim the commit was applied\n{}", commit(signed)),
    };
    let head = proof.checkpoint().checkpoint();
    let _ = write!(
        out,
        "state {} of {} entries\nrecord {} of {}, written {}\nlog {}\nproof SHA-256/128 {}\n",
        record.after,
        record.entries,
        proof.index(),
        head.size(),
        time(record.time_ms),
        quoted(head.origin()),
        data_encoding::HEXLOWER.encode(&sha256(&[proof.to_string().as_bytes()])[..BINDING_BYTES])
    );
    out
}

fn operation(op: &Op) -> String {
    let key = quoted(op.key().as_str());
    match op.value() {
        Some(value) => {
            let hash = data_encoding::HEXLOWER.encode(&sha256(&[value]));
            format!("key {key}\nvalue {} bytes, SHA-256 {hash}", value.len())
        }
        None => format!("key {key}"),
    }
}

fn commit(signed: &SignedHeader) -> String {
    let header = signed.header();
    format!(
        "lattice {}\nauthor {}\ncommit {} number {}\ntime {}\n",
        header.lattice,
        header.author,
        signed.id(),
        header.seq,
        time(header.time.millis())
    )
}

/// A stranger's text as JSON with nothing but ASCII in it: it must not draw on a terminal, or look like another line.
/// What has a short escape is written with that, so that this is what most JSON libraries write if asked for ASCII.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for unit in text.encode_utf16() {
        let _ = match u8::try_from(unit) {
            Ok(byte @ (b'"' | b'\\')) => write!(out, "\\{}", char::from(byte)),
            Ok(byte @ b' '..=b'~') => write!(out, "{}", char::from(byte)),
            Ok(0x08) => write!(out, "\\b"),
            Ok(0x0c) => write!(out, "\\f"),
            Ok(b'\n') => write!(out, "\\n"),
            Ok(b'\r') => write!(out, "\\r"),
            Ok(b'\t') => write!(out, "\\t"),
            Ok(_) | Err(_) => write!(out, "\\u{unit:04x}"),
        };
    }
    out.push('"');
    out
}

/// A time in milliseconds since 1970 as people read it: RFC 3339 in UTC with milliseconds; a plain number from the year
/// 10000 on.
pub fn time(ms: u64) -> String {
    if ms >= YEAR_10000_MS {
        return format!("{ms} ms since 1970");
    }
    let (year, month, day) = date(ms / DAY_MS);
    let in_day = ms % DAY_MS;
    let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

/// Year, month and day of a day since 1970. Counted in eras of 400 years that begin on the first of March, as Howard
/// Hinnant describes in "chrono-Compatible Low-Level Date Algorithms".
fn date(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    let since_march_0000 = days + 719_468;
    let (era, of_era) = (since_march_0000 / ERA_DAYS, since_march_0000 % ERA_DAYS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (YEAR_10000_MS - 1, "9999-12-31T23:59:59.999Z"),
            (YEAR_10000_MS, "253402300800000 ms since 1970"),
        ] {
            assert_eq!(time(ms), text);
        }
    }

    #[test]
    fn a_key_is_one_line_of_plain_characters() {
        assert_eq!(quoted("a \"b\"\\\n\u{7f}é\u{1F600}"), r#""a \"b\"\\\n\u007f\u00e9\ud83d\ude00""#);
        assert_eq!(quoted("\u{8}\u{c}\r\t\u{1}\u{2028}\u{202e}"), r#""\b\f\r\t\u0001\u2028\u202e""#);
    }
}
