//! A node's directory: key, token, genesis, and the lock that keeps a second process out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use lattice::genesis::Genesis;
use lattice::keys::NodeKeys;
use lattice::ticket::Ticket;

use crate::api::auth::ApiToken;

/// Says that a database was begun here: one that is missing later was lost.
const BEGUN: &str = "begun";

/// Says that this node lost its database and has not learnt from a peer what it signed before.
pub(crate) const CATCHING_UP: &str = "catching-up";

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
        fs::create_dir_all(dir).map_err(|error| home.io("", error))?;
        if home.path("node.key").exists() {
            return Err(HomeError::Exists(dir.to_owned()));
        }
        let mut token = [0; 32];
        getrandom::fill(&mut token).map_err(|e| home.io("api.token", io::Error::other(e.to_string())))?;
        home.write("api.token", 0o600, ApiToken::from_random(token).expose().as_bytes())?;
        home.write("genesis.cbor", 0o644, &genesis.encode())?;
        if let Some(ticket) = ticket {
            home.write("ticket", 0o600, ticket.to_string().as_bytes())?;
        }
        // Last: a directory with a key is complete.
        home.write("node.key", 0o600, HEXLOWER_PERMISSIVE.encode(&seed.0).as_bytes())?;
        Ok(home)
    }

    /// Opens a node's directory.
    ///
    /// # Errors
    ///
    /// [`HomeError::Absent`] if there is no node.
    pub fn open(dir: &Path) -> Result<Self, HomeError> {
        let home = Self { dir: dir.to_owned() };
        if home.path("node.key").exists() { Ok(home) } else { Err(HomeError::Absent(dir.to_owned())) }
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
        let text = self.read_secret("node.key")?;
        let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok();
        let seed: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let damaged = || self.damaged("node.key", "expected 64 hexadecimal digits; restore it from a backup");
        seed.map(NodeKeys::from_seed).ok_or_else(damaged)
    }

    /// The token that clients show.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if the file is absent, damaged or may be read by others.
    pub fn token(&self) -> Result<ApiToken, HomeError> {
        let text = self.read_secret("api.token")?;
        ApiToken::from_text(&text).map_err(|error| self.damaged("api.token", error))
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

    /// Notes that the database is about to be used; gives whether it was lost since it was first begun, and nothing of
    /// its own chain has been learnt from a peer since.
    ///
    /// # Errors
    ///
    /// [`HomeError::Io`].
    pub fn note_start(&self, is_new_database: bool) -> Result<bool, HomeError> {
        if is_new_database && self.path(BEGUN).exists() {
            self.write(CATCHING_UP, 0o644, b"the database was lost; see `lattice status`\n")?;
        } else if !self.path(BEGUN).exists() {
            self.write(BEGUN, 0o644, b"a database was begun here\n")?;
        }
        Ok(self.path(CATCHING_UP).exists())
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

    /// Writes a file so that readers see the old or the new one whole.
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
            fs::rename(&part, self.path(file))
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
mod tests {
    use super::*;

    fn made(dir: &Path) -> Home {
        let seed = Seed([7; 32]);
        let genesis = Genesis::founded_by("test", "one", &seed.keys(), vec![1; 38]);
        Home::create(dir, &seed, &genesis, None).expect("an empty directory")
    }

    #[test]
    fn secrets_are_for_the_owner_only_and_an_exposed_one_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = made(dir.path());
        for file in ["node.key", "api.token"] {
            let mode = fs::metadata(home.path(file)).expect("written").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{file}");
        }
        fs::set_permissions(home.path("node.key"), fs::Permissions::from_mode(0o644)).expect("ours");
        let refused = home.keys().map(|_| ()).expect_err("readable by others").to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn a_second_node_in_one_directory_and_a_second_process_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = made(dir.path());
        let genesis = home.genesis().expect("just written");
        let again = Home::create(dir.path(), &Seed([8; 32]), &genesis, None);
        assert!(matches!(again, Err(HomeError::Exists(_))), "{again:?}");
        let lock = home.lock().expect("free");
        assert!(matches!(home.lock(), Err(HomeError::InUse(_))));
        drop(lock);
        assert!(home.lock().is_ok());
    }

    #[test]
    fn damaged_files_are_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = made(dir.path());
        for file in ["node.key", "api.token", "genesis.cbor"] {
            home.write(file, 0o600, b"damaged").expect("ours");
        }
        let errors = [
            home.keys().map(|_| ()).expect_err("damaged").to_string(),
            home.token().map(|_| ()).expect_err("damaged").to_string(),
            home.genesis().map(|_| ()).expect_err("damaged").to_string(),
        ];
        for (error, file) in errors.iter().zip(["node.key", "api.token", "genesis.cbor"]) {
            assert!(error.contains(file), "{error}");
        }
        assert!(matches!(Home::open(&dir.path().join("absent")), Err(HomeError::Absent(_))));
    }
}
