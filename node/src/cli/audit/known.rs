//! What an auditor remembers between looks and between runs: of each log the last checkpoint that held.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::witness::Seen;
use serde::{Deserialize, Serialize};

use crate::cli::exit::{Failure, usage};
use crate::cli::{policy, whole};

const VERSION: u64 = 1;

/// Bytes of a state file: a thousand logs with notes of ten cosignatures take two mebibytes.
const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is remembered, and the file that it is kept in.
#[derive(Debug)]
pub(super) struct Known {
    file: Option<PathBuf>,
    /// The last checkpoint of each log, by its name.
    logs: BTreeMap<String, Remembered>,
    /// Which log was shown at each URL.
    shown: BTreeMap<String, String>,
}

/// A checkpoint, and when it was seen first.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    /// The checkpoint, whole: half of the evidence, should the log contradict it one day.
    pub(super) signed: SignedCheckpoint,
    /// When, in milliseconds since 1970.
    pub(super) seen_ms: u64,
}

impl Remembered {
    /// Size and root.
    pub(super) fn seen(&self) -> Seen {
        seen(&self.signed)
    }
}

/// Size and root of a checkpoint.
pub(super) fn seen(signed: &SignedCheckpoint) -> Seen {
    Seen { size: signed.checkpoint().size(), root: *signed.checkpoint().root() }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileView {
    version: u64,
    logs: Vec<LogView>,
    shown: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogView {
    seen_ms: u64,
    checkpoint: String,
}

impl Known {
    /// Reads what an earlier run left; a file that is not there yet is made at the first [`Self::save`].
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] if the file is none of ours. It is not overwritten: what it knew would be lost.
    pub(super) fn load(file: Option<PathBuf>) -> Result<Self, Failure> {
        let mut known = Self { file, logs: BTreeMap::new(), shown: BTreeMap::new() };
        let Some(file) = known.file.clone().filter(|file| file.exists()) else { return Ok(known) };
        let bad = |why: String| usage(format!("state file {}: {why}; name another, or restore it", file.display()));
        let bytes = policy::read_at_most(&file, STATE_BYTES_MAX)?;
        let view: FileView = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if view.version != VERSION {
            return Err(bad(format!("version {} is not known here", view.version)));
        }
        for LogView { seen_ms, checkpoint } in view.logs {
            let signed = SignedCheckpoint::parse(checkpoint.as_bytes()).map_err(|error| bad(error.to_string()))?;
            known.logs.insert(signed.checkpoint().origin().to_owned(), Remembered { signed, seen_ms });
        }
        known.shown = view.shown;
        Ok(known)
    }

    /// Writes it all down, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Failure::No`].
    pub(super) fn save(&self) -> Result<(), Failure> {
        let Some(file) = &self.file else { return Ok(()) };
        let log = |log: &Remembered| LogView { seen_ms: log.seen_ms, checkpoint: log.signed.to_string() };
        let view =
            FileView { version: VERSION, logs: self.logs.values().map(log).collect(), shown: self.shown.clone() };
        let mut text = crate::cli::text::as_json(&view);
        text.push('\n');
        whole::write(file, text.as_bytes())
    }

    /// The folder that evidence goes to.
    pub(super) fn folder(&self) -> PathBuf {
        self.file.as_deref().and_then(Path::parent).map_or_else(PathBuf::new, Path::to_owned)
    }

    /// The last checkpoint of a log.
    pub(super) fn last(&self, origin: &str) -> Option<&Remembered> {
        self.logs.get(origin)
    }

    /// Remembers a checkpoint that follows from the one before.
    pub(super) fn remember(&mut self, signed: SignedCheckpoint, now_ms: u64) {
        self.logs.insert(signed.checkpoint().origin().to_owned(), Remembered { signed, seen_ms: now_ms });
    }

    /// Notes which log is shown at a URL; gives the one before, if it was another.
    pub(super) fn note_shown(&mut self, url: &str, origin: &str) -> Option<String> {
        let before = self.shown.insert(url.to_owned(), origin.to_owned());
        before.filter(|before| before != origin)
    }
}
