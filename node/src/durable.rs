//! Renames that survive a power cut: a file is synced by whoever wrote it, its new name here.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Gives a file or directory another name, and returns once that name is on the disk.
///
/// # Errors
///
/// What the system says. The name may have changed even so; what it stands for is whole in any case.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    // A name is written in the directory that holds it.
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
