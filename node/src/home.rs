//! A node's directory: key, token, genesis, and the lock that keeps a second process out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use lattice::genesis::Genesis;
use lattice::keys::NodeKeys;
use lattice::ticket::Ticket;

use crate::api::auth::ApiToken;
use crate::durable;

mod continuity;
mod founding;

use continuity::BEGUN;
pub use continuity::Start;
pub(crate) use continuity::{ABSTAINING, CATCHING_UP, DOUBTFUL, FRESH, RENAMING};

/// What shows that a node was made in a directory, beside its key.
const TRACES: [&str; 3] = ["state.db", BEGUN, "genesis.cbor"];

/// The file that an operator writes to let auditors read the whole state.
const READ_TOKEN: &str = "read.token";

/// The last move of the seat that the operator's command was told of.
pub(crate) const SEAT_TOLD: &str = "seat-told";

/// There while the copy of the seat's log is made anew: a start in the middle of that begins it again.
pub(crate) const SEEDING: &str = "seeding";

/// Name of the file with the token of the admin port.
const ADMIN_TOKEN: &str = "admin.token";

/// Bytes of the largest file read whole here: a genesis and some addresses.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A directory of a node, checked.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
}

/// Why a directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is a node already.
    #[error(
        "{0} holds a node already (there is a node.key); choose another --dir, or start it with `lattice run --dir {0}`"
    )]
    Exists(PathBuf),
    /// There was one, and its key is gone.
    #[error(
        "{dir} holds {file}, but no node.key: the node that was made here is nobody without it. Restore node.key from a \
         backup; if there is none, make a new node with `lattice join` in another --dir"
    )]
    Keyless {
        /// The directory.
        dir: PathBuf,
        /// What shows that a node was made here.
        file: &'static str,
    },
    /// There is none.
    #[error("{0} holds no node (there is no node.key); create one with `lattice init` or `lattice join`")]
    Absent(PathBuf),
    /// Another process has it.
    #[error("another lattice process runs on {0}; stop it first, two would contradict each other")]
    InUse(PathBuf),
    /// Others may read a secret.
    #[error("{path} may be read by others (mode {mode:o}); run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file does not hold what it should.
    #[error("{path}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file system says no.
    #[error("{path}: {error}; {}", advice(error))]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    let kind = error.kind();
    if kind == io::ErrorKind::StorageFull || kind == io::ErrorKind::QuotaExceeded {
        "free space on that file system"
    } else if kind == io::ErrorKind::ReadOnlyFilesystem {
        "that file system is mounted read-only; it must be mounted so that it can be written"
    } else {
        "check that the directory exists, belongs to this user and can be written"
    }
}

/// Held as long as this process may write to the directory.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

/// Fresh keys for a new node.
#[derive(Clone)]
pub struct Seed([u8; 32]);

impl Seed {
    /// 32 bytes from the system's randomness.
    ///
    /// # Errors
    ///
    /// If the system has none.
    pub fn random() -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self(seed))
    }

    /// The keys that the seed stands for.
    pub fn keys(&self) -> NodeKeys {
        NodeKeys::from_seed(self.0)
    }
}

impl Home {
    /// Makes a new node's directory: key, token, genesis and, for one that joins, its ticket.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if there is a node already, or a file can't be written.
    pub fn create(dir: &Path, seed: &Seed, genesis: &Genesis, ticket: Option<&Ticket>) -> Result<Self, HomeError> {
        let home = Self { dir: dir.to_owned() };
        Self::expect_none(dir)?;
        // What is in the database is for those who may read it: SQLite leaves that to the directory.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| home.io("", error))?;
        home.write_token("api.token")?;
        home.write("genesis.cbor", 0o644, &genesis.encode())?;
        if let Some(ticket) = ticket {
            home.write("ticket", 0o600, ticket.to_string().as_bytes())?;
        }
        home.write(FRESH, 0o644, b"no database was begun here yet\n")?;
        // Last: a directory with a key is complete.
        home.write("node.key", 0o600, HEXLOWER_PERMISSIVE.encode(&seed.0).as_bytes())?;
        Ok(home)
    }

    /// Opens a node's directory.
    ///
    /// # Errors
    ///
    /// [`HomeError::Absent`] if there is no node, [`HomeError::Keyless`] if there was one, [`HomeError::Io`] if that can't be
    /// looked at.
    pub fn open(dir: &Path) -> Result<Self, HomeError> {
        match Self::expect_none(dir) {
            Ok(()) => Err(HomeError::Absent(dir.to_owned())),
            Err(HomeError::Exists(dir)) => Ok(Self { dir }),
            Err(error) => Err(error),
        }
    }

    /// A directory that a new node is made in must hold none, nor what is left of one: its key may be in a backup.
    ///
    /// # Errors
    ///
    /// [`HomeError::Exists`], [`HomeError::Keyless`], and [`HomeError::Io`] if that can't be looked at.
    pub fn expect_none(dir: &Path) -> Result<(), HomeError> {
        let home = Self { dir: dir.to_owned() };
        if home.holds("node.key")? {
            return Err(HomeError::Exists(home.dir));
        }
        for file in TRACES {
            if home.holds(file)? {
                return Err(HomeError::Keyless { dir: home.dir, file });
            }
        }
        Ok(())
    }

    /// Whether there is such a file. A user who may not look learns that, and not that there is none.
    fn holds(&self, file: &str) -> Result<bool, HomeError> {
        self.path(file).try_exists().map_err(|error| self.io(file, error))
    }

    /// A file of the directory.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps other processes out until the lock is dropped, or this process ends in whatever way.
    ///
    /// # Errors
    ///
    /// [`HomeError::InUse`] if another process has it.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let options = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).to_owned();
        let file = options.open(self.path("lock")).map_err(|error| self.io("lock", error))?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(HomeError::InUse(self.dir.clone())),
            Err(TryLockError::Error(error)) => Err(self.io("lock", error)),
        }
    }

    /// The node's keys.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if the file is damaged or may be read by others.
    pub fn keys(&self) -> Result<NodeKeys, HomeError> {
        self.seed("node.key").map(|seed| seed.keys())
    }

    fn seed(&self, file: &str) -> Result<Seed, HomeError> {
        let text = self.read_secret(file)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok();
        let seed: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let damaged = || self.damaged(file, "expected 64 hexadecimal digits; restore it from a backup");
        seed.map(Seed).ok_or_else(damaged)
    }

    /// The token that clients show; a new one if the file was lost, which `true` tells.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if the file is damaged, may be read by others, or can't be written.
    pub fn token(&self) -> Result<(ApiToken, bool), HomeError> {
        let is_lost = !self.path("api.token").exists();
        if is_lost {
            self.write_token("api.token")?;
        }
        let text = self.read_secret("api.token")?;
        let token = ApiToken::from_text(&text).map_err(|error| self.damaged("api.token", error))?;
        Ok((token, is_lost))
    }

    fn write_token(&self, file: &str) -> Result<(), HomeError> {
        let mut token = [0; 32];
        getrandom::fill(&mut token).map_err(|e| self.io(file, io::Error::other(e.to_string())))?;
        self.write(file, 0o600, ApiToken::from_random(token).expose().as_bytes())
    }

    /// The token of the admin port, written if it is not there.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if the file is damaged, may be read by others, or can't be written.
    pub fn admin_token(&self) -> Result<ApiToken, HomeError> {
        if !self.path(ADMIN_TOKEN).exists() {
            self.write_token(ADMIN_TOKEN)?;
        }
        let text = self.read_secret(ADMIN_TOKEN)?;
        ApiToken::from_text(&text).map_err(|error| self.damaged(ADMIN_TOKEN, error))
    }

    /// The token with which auditors read the whole state, if the operator made one: 64 hexadecimal digits in
    /// `read.token`.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if the file is damaged or may be read by others.
    pub fn read_token(&self) -> Result<Option<ApiToken>, HomeError> {
        if !self.path(READ_TOKEN).exists() {
            return Ok(None);
        }
        let text = self.read_secret(READ_TOKEN)?;
        ApiToken::from_text(&text).map(Some).map_err(|error| self.damaged(READ_TOKEN, error))
    }

    /// The read token, written if it is not there: for a node whose readers must show it.
    ///
    /// # Errors
    ///
    /// As [`Home::read_token`], and if it can't be written.
    pub fn read_token_or_new(&self) -> Result<ApiToken, HomeError> {
        match self.read_token()? {
            Some(token) => Ok(token),
            None => {
                self.write_token(READ_TOKEN)?;
                let text = self.read_secret(READ_TOKEN)?;
                ApiToken::from_text(&text).map_err(|error| self.damaged(READ_TOKEN, error))
            }
        }
    }

    /// The founding document.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if the file is absent or damaged.
    pub fn genesis(&self) -> Result<Genesis, HomeError> {
        let bytes = self.read("genesis.cbor")?;
        Genesis::decode(&bytes).map_err(|error| self.damaged("genesis.cbor", error))
    }

    /// The ticket, as long as it is not redeemed.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if it is damaged.
    pub fn ticket(&self) -> Result<Option<Ticket>, HomeError> {
        if !self.path("ticket").exists() {
            return Ok(None);
        }
        let text = self.read_secret("ticket")?;
        text.parse().map(Some).map_err(|error| self.damaged("ticket", error))
    }

    /// Removes a file that has done its work; one that is not there is fine.
    ///
    /// # Errors
    ///
    /// [`HomeError::Io`].
    pub fn remove(&self, file: &str) -> Result<(), HomeError> {
        match fs::remove_file(self.path(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io(file, error)),
            _ => Ok(()),
        }
    }

    /// Writes a file so that readers see the old or the new one whole, and the new one survives a power cut.
    ///
    /// # Errors
    ///
    /// [`HomeError::Io`].
    pub fn write(&self, file: &str, mode: u32, bytes: &[u8]) -> Result<(), HomeError> {
        let part = self.path(&format!("{file}.part"));
        let write = || {
            let mut out = OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&part)?;
            out.write_all(bytes)?;
            out.sync_all()?;
            durable::rename(&part, &self.path(file))
        };
        write().map_err(|error| self.io(file, error))
    }

    /// Reads a whole file of bounded size.
    ///
    /// # Errors
    ///
    /// [`HomeError`].
    pub fn read(&self, file: &str) -> Result<Vec<u8>, HomeError> {
        let path = self.path(file);
        let length = fs::metadata(&path).map_err(|error| self.io(file, error))?.len();
        if length > FILE_BYTES_MAX {
            return Err(self.damaged(file, "larger than a mebibyte"));
        }
        fs::read(&path).map_err(|error| self.io(file, error))
    }

    fn read_secret(&self, file: &str) -> Result<String, HomeError> {
        let path = self.path(file);
        let mode = fs::metadata(&path).map_err(|error| self.io(file, error))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(HomeError::Exposed { path, mode });
        }
        String::from_utf8(self.read(file)?).map_err(|_| self.damaged(file, "not text"))
    }

    fn damaged(&self, file: &str, what: impl std::fmt::Display) -> HomeError {
        HomeError::Damaged { path: self.path(file), what: what.to_string() }
    }

    fn io(&self, file: &str, error: io::Error) -> HomeError {
        HomeError::Io { path: self.path(file), error }
    }
}

#[cfg(test)]
mod tests;
