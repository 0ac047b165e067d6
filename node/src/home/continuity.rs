//! Whether the database in a directory is the node's latest: marks beside it, since its own word is what is in doubt.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use node_core::resume::{Doubt, HighWater, doubt};
use serde::{Deserialize, Serialize};

use super::{Home, HomeError};

/// Says that no database was begun here yet. It is there from the making of the directory until the first start is through:
/// keys that are put back without it are no new node.
pub(crate) const FRESH: &str = "fresh";

/// Says that a database was begun here: one that is missing later was lost.
pub(crate) const BEGUN: &str = "begun";

/// Says that this node lost its database, or has an older one, and has not learnt from a peer what it signed before.
pub(crate) const CATCHING_UP: &str = "catching-up";

/// Says that this node lost its database, and with it what it voted for: it votes and grants nothing until a term begins
/// that others settled without it.
pub(crate) const ABSTAINING: &str = "abstaining";

/// Says that this directory may hold an older copy, and that others have not yet said what they hold of its chain.
pub(crate) const DOUBTFUL: &str = "doubtful";

/// Says that the log is to go on under a new name.
pub(crate) const RENAMING: &str = "renaming";

/// How far the database had come.
const HIGH_WATER: &str = "high-water.json";

/// What [`DOUBTFUL`] holds for a copy that may be the latest; anything else is more than that.
const COPIED: &[u8] = b"copied\n";

/// With what a node starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Start {
    /// Its database was lost or is an older one: what it signed is in others' states.
    pub is_catching_up: bool,
    /// What speaks for an older copy; `None` for a node that begins.
    pub doubt: Option<Doubt>,
    /// Whether its log goes on under a new name.
    pub renames_log: bool,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    log_size: u64,
    seq: u64,
    place: String,
}

impl Home {
    /// Notes that the database is about to be used, with so many records in its log and so many commits of this node.
    ///
    /// # Errors
    ///
    /// [`HomeError::Io`].
    pub fn note_start(&self, log_size: u64, seq: u64) -> Result<Start, HomeError> {
        if self.path(FRESH).exists() {
            return Ok(self.start(None));
        }
        if !self.path(BEGUN).exists() {
            self.write(BEGUN, 0o644, b"a database was begun here\n")?;
        }
        if log_size == 0 {
            self.write(ABSTAINING, 0o644, b"the database was lost, and this node's votes with it\n")?;
            self.write(CATCHING_UP, 0o644, b"the database was lost; see `lattice status`\n")?;
            self.write(DOUBTFUL, 0o644, b"lost\n")?;
            self.write_high_water(log_size, seq)?;
            return Ok(self.start(Some(Doubt::Restored)));
        }
        let found = HighWater { log_size, seq, place: self.place()? };
        let doubt = doubt(self.high_water().as_ref(), &found).max(self.doubted());
        match doubt {
            Doubt::Usual => {}
            Doubt::Copied => self.write(DOUBTFUL, 0o644, COPIED)?,
            Doubt::Restored if self.doubted() < Doubt::Restored => Self::mark_restored(&self.dir)?,
            Doubt::Restored => {}
        }
        // From here on the mark above remembers it.
        self.write_high_water(log_size, seq)?;
        Ok(self.start(Some(doubt)))
    }

    /// Notes that the first start is through: the log has begun.
    ///
    /// # Errors
    ///
    /// [`HomeError::Io`].
    pub fn note_begun(&self, log_size: u64, seq: u64) -> Result<(), HomeError> {
        if !self.path(FRESH).exists() {
            return Ok(());
        }
        self.write(BEGUN, 0o644, b"a database was begun here\n")?;
        self.write_high_water(log_size, seq)?;
        self.remove(FRESH)
    }

    /// Marks a directory whose database is put back from a backup, before it is.
    ///
    /// # Errors
    ///
    /// [`HomeError::Io`].
    pub fn mark_restored(dir: &Path) -> Result<(), HomeError> {
        let home = Self { dir: dir.to_owned() };
        home.write(BEGUN, 0o644, b"a database was begun here\n")?;
        home.remove(FRESH)?;
        home.write(ABSTAINING, 0o644, b"the database is older than what this node signed\n")?;
        home.write(CATCHING_UP, 0o644, b"the database is older than what this node signed; see `lattice status`\n")?;
        home.write(RENAMING, 0o644, b"the log goes on under a new name\n")?;
        home.write(DOUBTFUL, 0o644, b"restored\n")
    }

    /// Writes down how far the database has come. It must be durable up to there.
    ///
    /// # Errors
    ///
    /// [`HomeError::Io`].
    pub(crate) fn write_high_water(&self, log_size: u64, seq: u64) -> Result<(), HomeError> {
        let mark = Mark { log_size, seq, place: self.place()? };
        let text = serde_json::to_vec(&mark).unwrap_or_else(|_| unreachable!("numbers and a text are JSON"));
        self.write(HIGH_WATER, 0o644, &text)
    }

    /// What was written down; `None` also for what can't be read, which is as good as nothing.
    fn high_water(&self) -> Option<HighWater> {
        let Mark { log_size, seq, place } = serde_json::from_slice(&self.read(HIGH_WATER).ok()?).ok()?;
        Some(HighWater { log_size, seq, place })
    }

    /// Number and last change of a file that is written once: copying, unpacking or synchronising a directory makes
    /// another file, or changes this one, and no tool sets the time of that back.
    fn place(&self) -> Result<String, HomeError> {
        let begun = std::fs::metadata(self.path(BEGUN)).map_err(|error| self.io(BEGUN, error))?;
        Ok(format!("{} {}.{:09}", begun.ino(), begun.ctime(), begun.ctime_nsec()))
    }

    fn doubted(&self) -> Doubt {
        match self.read(DOUBTFUL) {
            Ok(mark) if mark == COPIED => Doubt::Copied,
            Ok(_) => Doubt::Restored,
            Err(_) if self.path(DOUBTFUL).exists() => Doubt::Restored,
            Err(_) => Doubt::Usual,
        }
    }

    fn start(&self, doubt: Option<Doubt>) -> Start {
        Start { is_catching_up: self.path(CATCHING_UP).exists(), doubt, renames_log: self.path(RENAMING).exists() }
    }
}

#[cfg(test)]
mod tests {
    use lattice::genesis::Genesis;

    use super::*;
    use crate::home::Seed;

    fn made(dir: &std::path::Path) -> Home {
        let seed = Seed::random().expect("randomness");
        let genesis = Genesis::founded_by("test", "one", &seed.keys(), vec![1; 38]);
        Home::create(dir, &seed, &genesis, None).expect("an empty directory")
    }

    /// A directory whose node has started once.
    fn begun(dir: &std::path::Path) -> Home {
        let home = made(dir);
        assert_eq!(home.note_start(0, 0).expect("ours"), Start::default(), "a node that begins");
        home.note_begun(1, 0).expect("ours");
        home
    }

    fn doubt_at(home: &Home, log_size: u64, seq: u64) -> Option<Doubt> {
        home.note_start(log_size, seq).expect("ours").doubt
    }

    #[test]
    fn a_database_that_has_gone_on_is_trusted_and_an_older_one_never_again_by_itself() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = begun(dir.path());
        assert_eq!(doubt_at(&home, 5, 2), Some(Doubt::Usual));
        home.write_high_water(9, 4).expect("ours");
        let start = home.note_start(7, 3).expect("ours");
        assert_eq!(start, Start { is_catching_up: true, doubt: Some(Doubt::Restored), renames_log: true });
        assert!(home.path(ABSTAINING).exists());
        assert_eq!(doubt_at(&home, 8, 3), Some(Doubt::Restored), "a restart does not settle it");
        home.remove(DOUBTFUL).expect("ours");
        assert_eq!(doubt_at(&home, 8, 3), Some(Doubt::Usual));
    }

    #[test]
    fn a_copied_directory_is_noticed_until_others_have_spoken() {
        let (dir, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let home = begun(dir.path());
        for file in std::fs::read_dir(dir.path()).expect("a directory").filter_map(Result::ok) {
            std::fs::copy(file.path(), other.path().join(file.file_name())).expect("copied");
        }
        let copy = Home::open(other.path()).expect("a node's");
        assert_eq!(doubt_at(&copy, 1, 0), Some(Doubt::Copied));
        assert_eq!(doubt_at(&copy, 1, 0), Some(Doubt::Copied), "a restart does not settle it");
        assert_eq!(doubt_at(&home, 1, 0), Some(Doubt::Usual));
        // Back over what stood there: the same file, written again.
        std::fs::copy(other.path().join(BEGUN), home.path(BEGUN)).expect("copied");
        assert_eq!(doubt_at(&home, 1, 0), Some(Doubt::Copied));
    }

    #[test]
    fn a_lost_database_is_no_fresh_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = begun(dir.path());
        home.note_start(3, 1).expect("ours");
        let start = home.note_start(0, 0).expect("ours");
        assert_eq!(start, Start { is_catching_up: true, doubt: Some(Doubt::Restored), renames_log: false });
        assert!(home.path(ABSTAINING).exists());
    }

    #[test]
    fn a_first_start_that_was_cut_short_is_a_first_start_again_and_keys_alone_are_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = made(dir.path());
        for log_size in [0, 0, 1] {
            assert_eq!(home.note_start(log_size, 0).expect("ours"), Start::default());
        }
        home.note_begun(1, 0).expect("ours");
        assert_eq!(doubt_at(&home, 1, 0), Some(Doubt::Usual));
        for file in ["node.key", "genesis.cbor"] {
            let kept = std::fs::read(home.path(file)).expect("kept");
            let back = dir.path().join("back");
            std::fs::create_dir_all(&back).expect("made");
            std::fs::write(back.join(file), kept).expect("put back");
        }
        let back = Home::open(&dir.path().join("back")).expect("a node's");
        let start = back.note_start(0, 0).expect("ours");
        assert_eq!((start.is_catching_up, start.doubt), (true, Some(Doubt::Restored)));
    }
}
