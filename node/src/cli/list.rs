//! `lattice list`: entries in key order, page by page.

use std::io::Write;

use super::client::{Client, ClientError, encoded};
use super::exit::Failure;
use super::target::Target;
use super::text::{excerpt, table, visible};
use crate::api::entries::{LIST_LIMIT_MAX, Listing};
use crate::view::Entry;

/// Characters of a value that a row shows.
const VALUE_CHARS_MAX: usize = 72;

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
    #[command(flatten)]
    target: Target,
    /// Prints the API's JSON: {"entries":[…],"next":…}
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let client = Client::of(&args.target)?;
    let mut pages = Pages::new(&client, &args.prefix, args.after, args.limit);
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
            (None, encoded) => format!("({} bytes)", encoded.as_ref().map_or(0, |text| text.len() / 4 * 3)),
        };
        vec![visible(&entry.key), value]
    };
    table(&entries.iter().map(row).collect::<Vec<_>>())
}

/// Walks a listing page by page.
pub(super) struct Pages<'a> {
    client: &'a Client,
    prefix: String,
    after: Option<String>,
    left: Option<u64>,
    done: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(client: &'a Client, prefix: &str, after: Option<String>, limit: Option<u64>) -> Self {
        Self { client, prefix: encoded(prefix), after, left: limit, done: false }
    }

    /// The next page; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Entry>>, ClientError> {
        if self.done || self.left == Some(0) {
            return Ok(None);
        }
        let limit = self.left.unwrap_or(LIST_LIMIT_MAX).min(LIST_LIMIT_MAX);
        let after = self.after.as_deref().map(|key| format!("&after={}", encoded(key))).unwrap_or_default();
        let path = format!("/api/v1/entries?prefix={}&limit={limit}{after}", self.prefix);
        let page: Listing = self.client.ask(self.client.get(&path)).await?;
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
