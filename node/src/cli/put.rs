//! `lattice put`: sets an entry to a text, a file, or what comes in.

use std::io::{Read, Write};
use std::path::Path;

use lattice::limits::VALUE_BYTES_MAX;
use reqwest::{Method, header};

use super::client::Client;
use super::conditions::{Conditions, tag};
use super::exit::{Failure, usage};
use super::target::Target;
use super::text::{as_json, short, visible};
use crate::view::Receipt;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The key
    key: String,
    /// The value: a text, `-` for standard input, or `@FILE` for a file's bytes
    value: String,
    #[command(flatten)]
    conditions: Conditions,
    #[command(flatten)]
    target: Target,
    /// Prints the API's JSON, and the tag of what was written
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let value = value_bytes(&args.value)?;
    let client = Client::of(&args.target)?;
    let request = client
        .write(Method::PUT, &args.conditions.path(&args.key), None)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(value);
    let receipt: Receipt = client.ask(args.conditions.on(request)).await?;
    let tag = tag(&receipt.commit, 0);
    tell(&receipt, Some(tag), &args.key, args.json)
}

/// A receipt, and the tag by which the next write can say that it goes on from this one.
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    receipt: &'a Receipt,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
}

/// Says what became durable.
pub(super) fn tell(receipt: &Receipt, tag: Option<String>, key: &str, json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    if json {
        writeln!(out, "{}", as_json(&Told { receipt, tag }))?;
    } else {
        let Receipt { commit, seq, log_position, .. } = receipt;
        let where_it_is = match log_position {
            Some(position) => format!("durable at log position {position}"),
            None => "staged at the seat's holder alone".to_owned(),
        };
        writeln!(out, "{}: commit {} (number {seq}), {where_it_is}", visible(key), short(commit))?;
    }
    Ok(())
}

fn value_bytes(typed: &str) -> Result<Vec<u8>, Failure> {
    match typed.strip_prefix('@') {
        _ if typed == "-" => at_most_a_value(std::io::stdin(), "standard input"),
        Some(file) => {
            let opened = std::fs::File::open(Path::new(file)).map_err(|error| {
                usage(format!("{file}: {error}; a value that starts with '@' can be given on standard input, as `-`"))
            })?;
            at_most_a_value(opened, file)
        }
        None => Ok(typed.as_bytes().to_vec()),
    }
}

fn at_most_a_value(from: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    let read = from.take(VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut value);
    read.map_err(|error| usage(format!("{name}: {error}")))?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(usage(format!("{name} holds more than the {VALUE_BYTES_MAX} bytes of a value")));
    }
    Ok(value)
}
