//! `lattice export`: entries as NDJSON, one line each, as `lattice import` reads them.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::client::Client;
use super::exit::{Failure, usage};
use super::list::{Pages, Shown};
use super::target::Target;
use super::text::counted;
use super::whole::NotWritten;
use crate::durable;
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
    let Some(file) = args.output else {
        let client = Client::of(&args.target)?;
        write_lines(&mut pages(&client, &args.prefix), std::io::stdout()).await?;
        return Ok(());
    };
    if file.is_dir() {
        return Err(usage(format!("{} is a directory; name a file", file.display())));
    }
    let client = Client::of(&args.target)?;
    let unfinished = unfinished(&file);
    match write_file(&mut pages(&client, &args.prefix), &unfinished, &file).await {
        Ok(count) => {
            eprintln!("exported {} to {}", counted(count, "entry", "entries"), file.display());
            Ok(())
        }
        Err(failure) => {
            // It may never have been made; the failure is what matters.
            let _ = std::fs::remove_file(&unfinished);
            Err(failure)
        }
    }
}

/// All entries but what the lattice itself keeps: that can't be imported into another.
fn pages<'a>(client: &'a Client, prefix: &str) -> Pages<'a> {
    Pages::new(client, prefix, None, None, Shown::Imported)
}

async fn write_file(pages: &mut Pages<'_>, unfinished: &Path, file: &Path) -> Result<u64, Failure> {
    let failed = |error: std::io::Error| Failure::from(NotWritten { file: file.to_owned(), error });
    let opened = std::fs::File::create(unfinished).map_err(failed)?;
    let count = write_lines(pages, &opened).await.map_err(|failure| match failure {
        Failure::Output(error) => failed(error),
        Failure::No(_) | Failure::Usage(_) | Failure::CouldNotTell(_) => failure,
    })?;
    opened.sync_all().map_err(failed)?;
    durable::rename(unfinished, file).map_err(failed)?;
    Ok(count)
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
        for entry in &entries {
            serde_json::to_writer(&mut out, &line(entry)).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
            count += 1;
        }
    }
    out.flush()?;
    Ok(count)
}

/// Who wrote an entry and when is left out: an import signs it anew.
fn line(entry: &Entry) -> Line<'_> {
    Line { key: &entry.key, value: entry.value.as_deref(), value_base64: entry.value_base64.as_deref() }
}
