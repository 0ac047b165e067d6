//! `lattice list`: entries in key order, page by page.

use std::io::Write;

use lattice::membership::RESERVED_PREFIX;

use super::client::{Client, ClientError, encoded};
use super::exit::Failure;
use super::target::Target;
use super::text::{counted, excerpt, table, visible};
use crate::api::entries::{LIST_LIMIT_MAX, Listing};
use crate::view::Entry;

/// Characters of a value that a row shows.
const VALUE_CHARS_MAX: usize = 72;

/// Characters of a key that a row shows: `--json` has it whole.
const KEY_CHARS_MAX: usize = 40;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only keys that start so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only keys greater than this one
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    /// At most so many entries [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Also what the lattice itself keeps, under keys that start with "@"
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    target: Target,
    /// Prints the API's JSON: {"entries":[…],"next":…}
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let client = Client::of(&args.target)?;
    let asked_for = args.all || args.prefix.starts_with(RESERVED_PREFIX);
    let shown = if asked_for { Shown::All } else { Shown::Imported };
    let mut pages = Pages::new(&client, &args.prefix, args.after, args.limit, shown);
    let mut out = std::io::stdout();
    if args.json {
        return print_json(&mut pages, &mut out).await;
    }
    while let Some(entries) = pages.next().await? {
        out.write_all(rows(&entries).as_bytes())?;
    }
    if let Some(next) = pages.next_key() {
        eprintln!("there are more; go on with --after {:?}", visible(next));
    }
    Ok(())
}

/// Writes one document in the shape of the API, without holding all of it.
async fn print_json(pages: &mut Pages<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let mut separator = "";
    write!(out, "{{\"entries\":[")?;
    while let Some(entries) = pages.next().await? {
        for entry in entries {
            writeln!(out, "{separator}")?;
            serde_json::to_writer(&mut *out, &entry).map_err(std::io::Error::from)?;
            separator = ",";
        }
    }
    writeln!(out, "\n],\"next\":{}}}", serde_json::json!(pages.next_key()))?;
    Ok(())
}

fn rows(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let value = match (&entry.value, &entry.value_base64) {
            (Some(text), _) => excerpt(text, VALUE_CHARS_MAX),
            (None, encoded) => format!("({})", counted(decoded_bytes(encoded.as_deref()), "byte", "bytes")),
        };
        vec![excerpt(&entry.key, KEY_CHARS_MAX), value]
    };
    table(&entries.iter().map(row).collect::<Vec<_>>())
}

/// Bytes behind padded base64: three for four characters, less the padding.
fn decoded_bytes(encoded: Option<&str>) -> u64 {
    let text = encoded.unwrap_or_default();
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding) as u64
}

/// Which entries a listing shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Also what the lattice itself keeps.
    All,
    /// What an import may have written.
    Imported,
}

/// Walks a listing page by page.
pub(super) struct Pages<'a> {
    client: &'a Client,
    shown: Shown,
    prefix: String,
    after: Option<String>,
    left: Option<u64>,
    done: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(
        client: &'a Client,
        prefix: &str,
        after: Option<String>,
        limit: Option<u64>,
        shown: Shown,
    ) -> Self {
        Self { client, shown, prefix: encoded(prefix), after, left: limit, done: false }
    }

    /// The next page, which may be empty; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Entry>>, ClientError> {
        if self.done || self.left == Some(0) {
            return Ok(None);
        }
        let limit = self.left.unwrap_or(LIST_LIMIT_MAX).min(LIST_LIMIT_MAX);
        let after = self.after.as_deref().map(|key| format!("&after={}", encoded(key))).unwrap_or_default();
        let path = format!("/api/v1/entries?prefix={}&limit={limit}{after}", self.prefix);
        let mut page: Listing = self.client.ask(self.client.get(&path)).await?;
        if self.shown == Shown::Imported {
            page.entries.retain(|entry| !entry.key.starts_with(RESERVED_PREFIX));
        }
        self.left = self.left.map(|left| left.saturating_sub(page.entries.len() as u64));
        self.done = page.next.is_none();
        self.after = page.next;
        Ok(Some(page.entries))
    }

    /// If there are more entries than were asked for: the key to go on after.
    pub(super) fn next_key(&self) -> Option<&str> {
        self.after.as_deref().filter(|_| !self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_binary_values_are_exact_and_long_keys_are_cut() {
        for bytes in 0..7_u64 {
            let encoded = data_encoding::BASE64.encode(&vec![0xff; bytes as usize]);
            assert_eq!(decoded_bytes(Some(&encoded)), bytes);
        }
        let entry = |key: &str| Entry {
            key: key.to_owned(),
            value: None,
            value_base64: Some("/w==".to_owned()),
            deleted: false,
            author: String::new(),
            time_ms: 0,
            commit: String::new(),
            seq: 1,
            op_index: 0,
        };
        let text = rows(&[entry(&"k".repeat(512)), entry("short")]);
        assert_eq!(text, format!("{}…  (1 byte)\nshort{}(1 byte)\n", "k".repeat(40), " ".repeat(38)));
    }
}
