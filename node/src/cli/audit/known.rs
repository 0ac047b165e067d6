//! What an auditor remembers between looks and between runs: of each log the last checkpoint that held, and forks.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::ForkEvidence;
use lattice::log::note::VerifierKey;
use lattice::log::policy::Policy;
use lattice::log::witness::Seen;
use serde::{Deserialize, Serialize};

use super::deep::bookmark::{Bookmark, BookmarkView};
use super::standstill::Standstill;
use crate::cli::exit::{Failure, usage};
use crate::cli::policy;
use crate::cli::whole::{self, NotWritten};

const VERSION: u64 = 1;

/// Bytes of a state file: a thousand logs with notes of ten cosignatures take two mebibytes.
const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is remembered, and the file that it is kept in.
#[derive(Debug)]
pub(super) struct Known {
    file: Option<PathBuf>,
    /// Held as long as this is: two that wrote one file would each forget what the other saw.
    _lock: Option<File>,
    /// The last checkpoint of each log, by its name.
    logs: BTreeMap<String, Remembered>,
    /// Which log was shown at each URL.
    shown: BTreeMap<String, String>,
    /// Logs that were caught with two histories: no later look undoes that.
    forks: BTreeMap<String, Forked>,
    /// Whether logs go on with their states.
    standstill: Standstill,
    /// How far the records of a node were read, by its URL, where they were not read to the end.
    bookmarks: BTreeMap<String, Bookmark>,
}

/// Proof against a log, and where it was found.
#[derive(Debug, Clone)]
pub(super) struct Forked {
    /// Where.
    pub(super) url: String,
    /// The first that was found; it holds.
    pub(super) evidence: ForkEvidence,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    forks: Vec<ForkView>,
    #[serde(default, skip_serializing_if = "Standstill::is_empty")]
    standstill: Standstill,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bookmarks: Vec<BookmarkView>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogView {
    seen_ms: u64,
    checkpoint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForkView {
    url: String,
    evidence: String,
}

impl Known {
    /// Reads what an earlier run left; a file that is not there yet is made at the first [`Self::save`].
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] if another auditor uses the file, or it is none of ours or damaged. It is not overwritten: what
    /// it knew would be lost.
    pub(super) fn load(file: Option<PathBuf>, policy: &Policy) -> Result<Self, Failure> {
        let lock = file.as_deref().map(lock).transpose()?;
        let mut known = Self {
            file,
            _lock: lock,
            logs: BTreeMap::new(),
            shown: BTreeMap::new(),
            forks: BTreeMap::new(),
            standstill: Standstill::default(),
            bookmarks: BTreeMap::new(),
        };
        let Some(file) = known.file.clone().filter(|file| file.exists()) else { return Ok(known) };
        let bytes = policy::read_at_most(&file, STATE_BYTES_MAX)?;
        known.read(&bytes, policy).map_err(|why| {
            usage(format!(
                "state file {} is damaged: {why}; restore it from a copy, or name another: what was seen before is not \
                 known then",
                file.display()
            ))
        })?;
        Ok(known)
    }

    /// Takes what a file holds. A checkpoint that its log did not sign would accuse that log of a fork.
    fn read(&mut self, bytes: &[u8], policy: &Policy) -> Result<(), String> {
        let view: FileView = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if view.version != VERSION {
            return Err(format!("version {} is not known here", view.version));
        }
        for (at, LogView { seen_ms, checkpoint }) in view.logs.into_iter().enumerate() {
            let bad = |why: &dyn std::fmt::Display| format!("checkpoint {} of \"logs\": {why}", at + 1);
            let signed = SignedCheckpoint::parse(checkpoint.as_bytes()).map_err(|error| bad(&error))?;
            let origin = signed.checkpoint().origin().to_owned();
            let judged = held_by_any(policy, &origin, |key| signed.verify(key));
            judged.map_err(|error| bad(&format!("{error} (log {origin})")))?;
            self.logs.insert(origin, Remembered { signed, seen_ms });
        }
        for (at, ForkView { url, evidence }) in view.forks.into_iter().enumerate() {
            let bad = |why: &dyn std::fmt::Display| format!("evidence {} of \"forks\": {why}", at + 1);
            let evidence = ForkEvidence::parse(evidence.as_bytes()).map_err(|error| bad(&error))?;
            let judged = held_by_any(policy, evidence.origin(), |key| evidence.verify(key));
            judged.map_err(|error| bad(&format!("{error} (log {})", evidence.origin())))?;
            self.keep_fork(&url, evidence);
        }
        for (at, view) in view.bookmarks.into_iter().enumerate() {
            let bad = |why: &dyn std::fmt::Display| format!("entry {} of \"bookmarks\": {why}", at + 1);
            let url = view.url.clone();
            let bookmark = Bookmark::of(view).map_err(|why| bad(&why))?;
            let origin = bookmark.signed().checkpoint().origin().to_owned();
            let judged = held_by_any(policy, &origin, |key| bookmark.signed().verify(key));
            judged.map_err(|error| bad(&format!("{error} (log {origin})")))?;
            self.bookmarks.insert(url, bookmark);
        }
        (self.shown, self.standstill) = (view.shown, view.standstill);
        Ok(())
    }

    /// Writes it all down, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`NotWritten`].
    pub(super) fn save(&self) -> Result<(), NotWritten> {
        let Some(file) = &self.file else { return Ok(()) };
        let log = |log: &Remembered| LogView { seen_ms: log.seen_ms, checkpoint: log.signed.to_string() };
        let fork = |fork: &Forked| ForkView { url: fork.url.clone(), evidence: fork.evidence.to_string() };
        let view = FileView {
            version: VERSION,
            logs: self.logs.values().map(log).collect(),
            shown: self.shown.clone(),
            forks: self.forks.values().map(fork).collect(),
            standstill: self.standstill.clone(),
            bookmarks: self.bookmarks.iter().map(|(url, bookmark)| bookmark.view(url)).collect(),
        };
        let mut text = crate::cli::text::as_json(&view);
        text.push('\n');
        whole::write(file, text.as_bytes())
    }

    /// The file, as it was named.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
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

    /// What is known of logs that do not grow.
    pub(super) fn standstill(&mut self) -> &mut Standstill {
        &mut self.standstill
    }

    /// Remembers that a log has two histories; the first evidence stays.
    pub(super) fn keep_fork(&mut self, url: &str, evidence: ForkEvidence) {
        let fork = || Forked { url: url.to_owned(), evidence: evidence.clone() };
        self.forks.entry(evidence.origin().to_owned()).or_insert_with(fork);
    }

    /// How far the records of the node at this URL were read, if not to the end.
    pub(super) fn bookmark(&self, url: &str) -> Option<&Bookmark> {
        self.bookmarks.get(url)
    }

    /// Keeps how far they were read.
    pub(super) fn keep_bookmark(&mut self, url: &str, bookmark: Bookmark) {
        self.bookmarks.insert(url.to_owned(), bookmark);
    }

    /// They were read to the end.
    pub(super) fn forget_bookmark(&mut self, url: &str) {
        self.bookmarks.remove(url);
    }

    /// Logs with two histories, by name.
    pub(super) fn forks(&self) -> &BTreeMap<String, Forked> {
        &self.forks
    }
}

/// Takes the file for this process alone, by a file beside it: the state itself is another file after each look.
fn lock(file: &Path) -> Result<File, Failure> {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |error: std::io::Error| usage(format!("{} can't be written: {error}", name.display()));
    let held = File::options().create(true).append(true).open(&name).map_err(failed)?;
    match held.try_lock() {
        Ok(()) => Ok(held),
        Err(TryLockError::WouldBlock) => Err(usage(format!(
            "another auditor uses the state file {}: stop it, or name another with --state",
            file.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// What the policy's keys say of something that the log of this name signed: it holds by one of them, or there is none.
fn held_by_any<E>(policy: &Policy, origin: &str, verify: impl Fn(&VerifierKey) -> Result<(), E>) -> Result<(), E> {
    let mut refused = Ok(());
    for key in policy.logs().iter().map(|log| &log.key).filter(|key| key.name().as_str() == origin) {
        match verify(key) {
            Ok(()) => return Ok(()),
            Err(error) => refused = refused.and(Err(error)),
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use lattice::keys::NodeKeys;
    use lattice::log::note::KeyKind;

    use super::*;

    fn log(seed: u8, size: u64) -> (SignedCheckpoint, Policy) {
        let keys = NodeKeys::from_seed([seed; 32]);
        let name = "test/log".parse().expect("a name");
        let key = VerifierKey::new("test/log".parse().expect("a name"), KeyKind::Log, keys.log_key().0);
        let policy = format!("log {}\nquorum none\n", key.expect("a key"));
        (SignedCheckpoint::sign(&name, size, [7; 32], &keys.log), Policy::parse(policy.as_bytes()).expect("a policy"))
    }

    #[test]
    fn a_state_file_altered_on_disk_accuses_nobody() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("audit.json");
        let (signed, policy) = log(1, 5);
        let mut known = Known::load(Some(file.clone()), &policy).expect("none yet");
        known.remember(signed, 1);
        known.save().expect("written");
        let shared = Known::load(Some(file.clone()), &policy).expect_err("in use");
        assert!(shared.code() == 2 && shared.to_string().contains("another auditor"), "{shared}");
        drop(known);
        Known::load(Some(file.clone()), &policy).expect("whole");
        // A log that the policy does not name is nothing that it can check, or would accuse.
        Known::load(Some(file.clone()), &Policy::parse(b"quorum none\n").expect("a policy")).expect("whole");
        let text = std::fs::read_to_string(&file).expect("text");
        // The size, which the signature covers.
        std::fs::write(&file, text.replace("\\n5\\n", "\\n6\\n")).expect("written");
        let damaged = Known::load(Some(file), &policy).expect_err("damaged");
        let words = damaged.to_string();
        assert!(damaged.code() == 2 && words.contains("checkpoint 1") && words.contains("test/log"), "{words}");
    }

    #[test]
    fn a_fork_stays_known() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("audit.json");
        let ((one, policy), keys) = (log(1, 5), NodeKeys::from_seed([1; 32]));
        let other = SignedCheckpoint::sign(&"test/log".parse().expect("a name"), 5, [8; 32], &keys.log);
        let evidence = ForkEvidence::new(&one, &other, None, &policy.logs()[0].key).expect("a fork");
        let mut known = Known::load(Some(file.clone()), &policy).expect("none yet");
        known.keep_fork("u", evidence);
        known.save().expect("written");
        drop(known);
        assert_eq!(Known::load(Some(file), &policy).expect("whole").forks()["test/log"].url, "u");
    }
}
