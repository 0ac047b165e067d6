//! Files that appear once they are whole: whoever finds one never reads half of it.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::exit::Failure;
use crate::durable;

/// A file that could not be written; what stood there still does.
#[derive(Debug, thiserror::Error)]
#[error("{} can't be written: {error}", file.display())]
pub(super) struct NotWritten {
    /// The file.
    pub(super) file: PathBuf,
    /// What the system says.
    pub(super) error: io::Error,
}

impl From<NotWritten> for Failure {
    /// Never a no: nothing was found out about what should have stood in the file.
    fn from(not: NotWritten) -> Self {
        let is_typed_wrong = matches!(
            not.error.kind(),
            ErrorKind::NotFound
                | ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::IsADirectory
                | ErrorKind::NotADirectory
                | ErrorKind::InvalidFilename
                | ErrorKind::InvalidInput
        );
        if is_typed_wrong { Self::Usage(not.to_string()) } else { Self::CouldNotTell(not.to_string()) }
    }
}

/// Writes `bytes` to `file`, in place of what stands there.
///
/// # Errors
///
/// [`NotWritten`] names the file.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), NotWritten> {
    let unfinished = unfinished(file);
    let write = || {
        let mut out = File::create_new(&unfinished)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        durable::rename(&unfinished, file)
    };
    write().map_err(|error: io::Error| {
        // It may never have been made; the failure is what matters.
        let _ = std::fs::remove_file(&unfinished);
        NotWritten { file: file.to_owned(), error }
    })
}

/// A name beside the file that no other write has, in this process or another: two that shared one would mix their bytes.
/// Process ids would not do: those of two containers on one volume are the same.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{:016x}.unfinished", RandomState::new().hash_one(file)));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_is_never_a_no_and_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = dir.path().join("missing").join("file");
        let failure = Failure::from(write(&missing, b"x").expect_err("no such directory"));
        assert_eq!(failure.code(), 2);
        // A directory can't be replaced by a file.
        let taken = dir.path().join("taken");
        std::fs::create_dir(&taken).expect("made");
        let failure = Failure::from(write(&taken, b"x").expect_err("a directory"));
        assert!(matches!(failure.code(), 2 | 3), "{failure}");
        let file = dir.path().join("file");
        write(&file, b"one").expect("written");
        write(&file, b"two").expect("written");
        assert_eq!(std::fs::read(&file).expect("there"), b"two");
        let left: Vec<_> = std::fs::read_dir(dir.path()).expect("a directory").collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}
