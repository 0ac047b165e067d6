//! `lattice watch`: prints changes as they become durable, until Ctrl-C.

use std::io::Write;

use futures::StreamExt;
use reqwest::header;

use super::client::{Client, encoded};
use super::exit::Failure;
use super::sse::{BadStream, SseEvent, SseReader};
use super::target::Target;
use super::text::{excerpt, visible};
use crate::view::Entry;

/// Characters of a value that a line shows.
const VALUE_CHARS_MAX: usize = 200;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only keys that start so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// Log position to start behind; 0 prints everything first [default: now]
    #[arg(long, value_name = "LOGPOS")]
    from: Option<u64>,
    #[command(flatten)]
    target: Target,
    /// Prints one JSON object a line, as the API sends them
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let client = Client::of(&args.target)?;
    let from = args.from.map(|position| format!("&from={position}")).unwrap_or_default();
    let path = format!("/api/v1/watch?prefix={}{from}", encoded(&args.prefix));
    let request = client.stream(&path).header(header::ACCEPT, "text/event-stream");
    let mut bytes = client.send(request).await?.bytes_stream();
    let mut reader = SseReader::default();
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let why = loop {
        let chunk = tokio::select! {
            _ = &mut interrupted => return Ok(()),
            chunk = bytes.next() => chunk,
        };
        match chunk {
            None => break "the node ended the stream".to_owned(),
            Some(Err(error)) => break client.broken(&error).to_string(),
            Some(Ok(chunk)) => print(&reader.feed(&chunk)?, args.json)?,
        }
    };
    let resume = reader.last_id().map(|id| format!("; go on with --from {id}")).unwrap_or_default();
    Err(Failure::CouldNotTell(format!("{why}{resume}")))
}

impl From<BadStream> for Failure {
    fn from(bad: BadStream) -> Self {
        Self::CouldNotTell(format!("the node sent what is no stream of events: {bad}"))
    }
}

fn print(events: &[SseEvent], json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for event in events.iter().filter(|event| event.event == "entry") {
        if json {
            writeln!(out, "{}", event.data)?;
        } else {
            let entry: Entry = serde_json::from_str(&event.data)
                .map_err(|error| Failure::CouldNotTell(format!("the node sent what is no entry: {error}")))?;
            writeln!(out, "{}", line(&entry))?;
        }
    }
    Ok(out.flush()?)
}

fn line(entry: &Entry) -> String {
    let key = visible(&entry.key);
    match (&entry.value, &entry.value_base64) {
        _ if entry.deleted => format!("- {key}"),
        (Some(text), _) => format!("+ {key} = {}", excerpt(text, VALUE_CHARS_MAX)),
        (None, encoded) => format!("+ {key} = base64 {}", excerpt(encoded.as_deref().unwrap_or(""), VALUE_CHARS_MAX)),
    }
}
