//! `lattice get`: prints the value of an entry, byte for byte.

use std::io::{IsTerminal, Write};

use super::client::{Client, ClientError, entry_path};
use super::conditions::tag;
use super::exit::Failure;
use super::target::Target;
use super::text::as_json;
use crate::view::Entry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The key
    key: String,
    /// Of the seat's keys: `seat`, as the holder has it under its lease; else as the node that is asked has it
    #[arg(long, value_name = "WHERE", value_parser = ["seat"])]
    consistency: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Prints the API's JSON, with author and time, and the tag for `put --if-match`
    #[arg(long)]
    json: bool,
}

/// An entry, and the tag by which a write can say that it goes on from it.
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    tag: String,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let client = Client::of(&args.target)?;
    let path = match &args.consistency {
        Some(consistency) => format!("{}&consistency={consistency}", entry_path(&args.key)),
        None => entry_path(&args.key),
    };
    let entry: Entry = client.ask(client.get(&path)).await?;
    let mut out = std::io::stdout();
    if args.json {
        let tag = tag(&entry.commit, entry.op_index);
        return Ok(writeln!(out, "{}", as_json(&Told { entry: &entry, tag }))?);
    }
    out.write_all(&value_of(&entry)?)?;
    // A file gets the value and nothing else; a person's prompt should not stick to it.
    if out.is_terminal() {
        writeln!(out)?;
    }
    // What does not end with a line is written here, and a full disk is told here.
    Ok(out.flush()?)
}

/// The bytes of an entry's value.
pub(super) fn value_of(entry: &Entry) -> Result<Vec<u8>, ClientError> {
    match (&entry.value, &entry.value_base64) {
        (Some(text), _) => Ok(text.as_bytes().to_vec()),
        (None, Some(encoded)) => data_encoding::BASE64
            .decode(encoded.as_bytes())
            .map_err(|error| ClientError::BadAnswer(format!("the value of {:?} is not base64: {error}", entry.key))),
        (None, None) => Err(ClientError::BadAnswer(format!("entry {:?} came without a value", entry.key))),
    }
}
