//! Files that appear once they are whole: whoever finds one never reads half of it.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::exit::Failure;

/// Writes `bytes` to `file`, in place of what stands there.
///
/// # Errors
///
/// [`Failure::No`] names the file; what stood there still does.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let unfinished = unfinished(file);
    let write = || {
        let mut out = std::fs::File::create(&unfinished)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        std::fs::rename(&unfinished, file)
    };
    write().map_err(|error: std::io::Error| {
        // It may never have been made; the failure is what matters.
        let _ = std::fs::remove_file(&unfinished);
        Failure::No(format!("{} can't be written: {error}", file.display()))
    })
}

/// A name beside the file.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}
