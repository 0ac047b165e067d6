//! `lattice import`: writes the entries of a file, many at once, and can be stopped and repeated without
//! harm.
//!
//! A thread reads rows and packs them into batches; the command sends a few batches at a time, each as one
//! commit. The node leaves out what its state holds already, so a repeated import writes what is missing or was
//! changed since, and nothing else.
//!
//! # Reading order
//!
//! 1. [`rows`]: lines to entries. [`batches`]: entries to requests. 2. [`flight`]: requests on their way.
//! 3. [`progress`]: what a person sees meanwhile.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::sync::mpsc;

mod batches;

mod flight;

mod progress;

mod rows;

use batches::{Batch, Batches};
use flight::Flight;
use progress::Progress;
use rows::{BadInput, Format};

use super::client::Client;
use super::exit::{Failure, usage};
use super::target::Target;
use super::text::{as_json, counted, grouped};

/// Batches read ahead of those on their way: one is packed while another waits.
const READ_AHEAD: usize = 2;

/// What repeating means, for `--help`.
const REPEATING: &str = "\
An import may be stopped and repeated: entries that have the file's value already are not written again; those that
were deleted or changed since get the file's value back.";

#[derive(Debug, clap::Args)]
#[command(after_help = REPEATING)]
pub(super) struct Args {
    /// NDJSON lines {"key":…,"value":…} (or "value_base64"), or CSV with two columns; `-` for standard input
    file: PathBuf,
    /// Format of the file [default: by its name, else by its first character]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Puts this before each key
    #[arg(long, value_name = "P", default_value = "", hide_default_value = true)]
    prefix: String,
    #[command(flatten)]
    target: Target,
    /// Prints JSON at the end
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let client = Client::of(&args.target)?;
    let (input, bytes) = open(&args.file)?;
    let batches = read_in_background(input, args.format.or(Format::of_name(&args.file)), args.prefix);
    let started = Instant::now();
    let mut progress = Progress::new(bytes);
    let end = send_all(client, batches, &mut progress).await;
    progress.finish();
    let entries = progress.entries();
    match end {
        End::All => tell(entries, progress.written(), started.elapsed().as_secs_f64(), args.json),
        End::Interrupted => Err(Failure::No(format!("stopped; {}", so_far(entries)))),
        End::BadInput(bad) => Err(usage(format!("{}: {bad}; {}", args.file.display(), so_far(entries)))),
        End::Failed(failure) => Err(failure.and(&so_far(entries))),
    }
}

fn so_far(entries: u64) -> String {
    let are_in = if entries == 1 { "entry is in" } else { "entries are in" };
    format!("{} {are_in}; repeating the same import is safe and writes the rest", grouped(entries))
}

fn tell(entries: u64, written: u64, seconds: f64, json: bool) -> Result<(), Failure> {
    let mut out = io::stdout();
    if json {
        let unchanged = entries - written;
        let summary = serde_json::json!({
            "entries": entries, "written": written, "unchanged": unchanged, "seconds": seconds
        });
        writeln!(out, "{}", as_json(&summary))?;
    } else {
        let rate = grouped((entries as f64 / seconds.max(0.001)) as u64);
        let (imported, written, unchanged) =
            (counted(entries, "entry", "entries"), grouped(written), grouped(entries - written));
        writeln!(
            out,
            "imported {imported} in {seconds:.1} s ({rate} a second): {written} written, {unchanged} were there already"
        )?;
    }
    Ok(())
}

fn open(file: &Path) -> Result<(Box<dyn io::Read + Send>, Option<u64>), Failure> {
    if file == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |error: io::Error| usage(format!("{}: {error}", file.display()));
    let opened = std::fs::File::open(file).map_err(failed)?;
    let meta = opened.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err(usage(format!("{} is a directory; name a file", file.display())));
    }
    Ok((Box::new(opened), meta.is_file().then_some(meta.len())))
}

/// Reads on a thread of its own: a pipe may block for ever. The thread ends with the input, at its first
/// error, or once nobody takes batches any more.
fn read_in_background(
    input: Box<dyn io::Read + Send>,
    format: Option<Format>,
    prefix: String,
) -> mpsc::Receiver<Result<Batch, BadInput>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    tokio::task::spawn_blocking(move || {
        for batch in Batches::new(rows::read(input, format), prefix) {
            if sender.blocking_send(batch).is_err() {
                return;
            }
        }
    });
    receiver
}

/// How an import ended.
enum End {
    All,
    Interrupted,
    BadInput(BadInput),
    Failed(Failure),
}

async fn send_all(client: Client, batches: mpsc::Receiver<Result<Batch, BadInput>>, progress: &mut Progress) -> End {
    let mut flight = Flight::new(client);
    let mut end = send_until_end(&mut flight, batches, progress).await;
    // What is on its way will be in; it is counted, whatever ended the import.
    while let Some(landed) = flight.landed().await {
        match landed {
            Ok(landed) => progress.add(&landed),
            Err(failure) if matches!(end, End::All) => end = End::Failed(failure),
            Err(_same_cause) => {}
        }
    }
    end
}

async fn send_until_end(
    flight: &mut Flight,
    mut batches: mpsc::Receiver<Result<Batch, BadInput>>,
    progress: &mut Progress,
) -> End {
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            biased;
            _ = &mut interrupted => return End::Interrupted,
            Some(landed) = flight.landed(), if !flight.is_empty() => match landed {
                Ok(landed) => progress.add(&landed),
                Err(failure) => return End::Failed(failure),
            },
            next = batches.recv(), if flight.has_room() => match next {
                None => return End::All,
                Some(Err(bad)) => return End::BadInput(bad),
                Some(Ok(batch)) => flight.start(batch),
            },
        }
    }
}
