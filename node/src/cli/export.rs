//! `lattice export`: entries as NDJSON, one line each, as `lattice import` reads them.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use lattice::membership::RESERVED_PREFIX;
use serde::Serialize;

use super::client::Client;
use super::exit::Failure;
use super::list::Pages;
use super::target::Target;
use super::text::grouped;
use crate::view::Entry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only keys that start so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// Writes to this file, which appears once it is whole [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<&'a str>,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let client = Client::of(&args.target)?;
    let mut pages = Pages::new(&client, &args.prefix, None, None);
    let Some(file) = args.output else {
        write_lines(&mut pages, std::io::stdout()).await?;
        return Ok(());
    };
    let unfinished = unfinished(&file);
    let failed = |error: std::io::Error| Failure::No(format!("{}: {error}", unfinished.display()));
    let opened = std::fs::File::create(&unfinished).map_err(failed)?;
    let count = write_lines(&mut pages, &opened).await?;
    opened.sync_all().map_err(failed)?;
    std::fs::rename(&unfinished, &file).map_err(failed)?;
    eprintln!("exported {} entries to {}", grouped(count), file.display());
    Ok(())
}

/// A name beside the file, so that a broken export never looks like a whole one.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}

async fn write_lines(pages: &mut Pages<'_>, out: impl Write) -> Result<u64, Failure> {
    let mut out = BufWriter::new(out);
    let mut count = 0;
    while let Some(entries) = pages.next().await? {
        for entry in entries.iter().filter(|entry| !entry.key.starts_with(RESERVED_PREFIX)) {
            serde_json::to_writer(&mut out, &line(entry)).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
            count += 1;
        }
    }
    out.flush()?;
    Ok(count)
}

/// Who wrote an entry and when is left out: an import signs it anew. What the lattice itself keeps under `@`
/// is left out by the caller: it belongs to this lattice and can't be imported into another.
fn line(entry: &Entry) -> Line<'_> {
    Line { key: &entry.key, value: entry.value.as_deref(), value_base64: entry.value_base64.as_deref() }
}
