//! A copy of a node's directory, taken while it runs: one consistent database, and what is needed to go on from it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::durable;
use crate::store::StoreError;

/// The file that describes a backup.
pub const MANIFEST: &str = "backup.json";

/// The database in a backup, as in a node's directory.
pub const DATABASE: &str = "state.db";

/// The form of backups that this version writes and reads.
pub const FORM: u32 = 1;

/// Bytes of a description that are read at all: a thousand times what one needs.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;

/// What a backup holds, so that a damaged one is known before anything is restored from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORM`].
    pub form: u32,
    /// The program that wrote it.
    pub version: String,
    /// When, by its machine's clock.
    pub taken_ms: u64,
    /// Whose state it is.
    pub lattice_id: String,
    /// The node's author key.
    pub author: String,
    /// The key of its log, in hexadecimal digits.
    pub log_key: String,
    /// Root of the state.
    pub state_root: String,
    /// Entries, tombstones included.
    pub entries: u64,
    /// Records of the node's log.
    pub log_size: u64,
    /// SHA-256 of each file.
    pub files: BTreeMap<String, String>,
}

/// Why a directory is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum NoBackup {
    /// A file can't be read.
    #[error("{file}: {error}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        error: io::Error,
    },
    /// The description is none.
    #[error("{MANIFEST} does not describe a backup: {0}")]
    BadManifest(String),
    /// Another form.
    #[error("this backup is of form {0}, written by lattice {1}; this version reads form {FORM}")]
    OtherForm(u32, String),
    /// A file is not what was written.
    #[error("{0} is not what was backed up: its bytes have changed; use another backup")]
    Changed(String),
}

/// Writes the database at `db`, as of one moment, to the new file `into`. Writers go on meanwhile.
///
/// # Errors
///
/// [`StoreError`] if it can't be read, or `into` can't be written or is there already.
pub async fn snapshot(db: &Path, into: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new().filename(db).read_only(true).disable_statement_logging();
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let into = into.to_str().ok_or_else(|| StoreError::Sqlite("the path of a backup must be text".to_owned()))?;
    sqlx::query("VACUUM INTO ?").bind(into).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
///
/// What the system says.
pub fn hash_of(file: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut buffer) = (File::open(file)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(HEXLOWER.encode(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Reads what a backup says of itself, and holds every file against it.
///
/// # Errors
///
/// [`NoBackup`].
pub fn read(dir: &Path) -> Result<Manifest, NoBackup> {
    let unreadable = |file: &str, error| NoBackup::Unreadable { file: dir.join(file).display().to_string(), error };
    let mut text = String::new();
    let opened = File::open(dir.join(MANIFEST)).map_err(|error| unreadable(MANIFEST, error))?;
    opened.take(MANIFEST_BYTES_MAX).read_to_string(&mut text).map_err(|error| unreadable(MANIFEST, error))?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| NoBackup::BadManifest(error.to_string()))?;
    if manifest.form != FORM {
        return Err(NoBackup::OtherForm(manifest.form, manifest.version));
    }
    for (file, hash) in &manifest.files {
        if Path::new(file).file_name().is_none_or(|name| name != file.as_str()) {
            return Err(NoBackup::BadManifest(format!("{file:?} is not the name of a file")));
        }
        if hash_of(&dir.join(file)).map_err(|error| unreadable(file, error))? != *hash {
            return Err(NoBackup::Changed(file.clone()));
        }
    }
    if !manifest.files.contains_key(DATABASE) {
        return Err(NoBackup::BadManifest(format!("it lists no {DATABASE}")));
    }
    Ok(manifest)
}

/// Copies a file so that readers see it whole or not at all, and it survives a power cut.
///
/// # Errors
///
/// What the system says.
pub fn copy(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = to.with_file_name(name);
    let mut out = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&part)?;
    io::copy(&mut File::open(from)?, &mut out)?;
    out.sync_all()?;
    durable::rename(&part, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(dir: &Path, manifest: impl Fn(&mut Manifest)) -> Result<Manifest, NoBackup> {
        fs::write(dir.join(DATABASE), b"rows").expect("written");
        let hash = hash_of(&dir.join(DATABASE)).expect("readable");
        let mut made = Manifest {
            form: FORM,
            version: "1".to_owned(),
            taken_ms: 0,
            lattice_id: String::new(),
            author: String::new(),
            log_key: String::new(),
            state_root: String::new(),
            entries: 0,
            log_size: 0,
            files: [(DATABASE.to_owned(), hash)].into(),
        };
        manifest(&mut made);
        fs::write(dir.join(MANIFEST), serde_json::to_vec(&made).expect("JSON")).expect("written");
        read(dir)
    }

    #[test]
    fn a_backup_whose_files_changed_or_lead_elsewhere_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        backup(dir.path(), |_| ()).expect("as it was written");
        let other = backup(dir.path(), |made| made.form = 2);
        assert!(matches!(other, Err(NoBackup::OtherForm(2, _))), "{other:?}");
        let empty = backup(dir.path(), |made| made.files.clear());
        assert!(matches!(empty, Err(NoBackup::BadManifest(_))), "{empty:?}");
        let outside = backup(dir.path(), |made| drop(made.files.insert("../node.key".to_owned(), String::new())));
        assert!(matches!(outside, Err(NoBackup::BadManifest(_))), "{outside:?}");
        let changed = backup(dir.path(), |made| drop(made.files.insert(DATABASE.to_owned(), "00".repeat(32))));
        assert!(matches!(changed, Err(NoBackup::Changed(_))), "{changed:?}");
    }
}
