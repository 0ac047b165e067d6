//! A disk that can be full or read-only: a small file system in memory. Linux only, needs root; where that is missing,
//! [`SmallDisk::mount`] says so and tests skip with that reason.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Why there is no such disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no small file system here: `{command}` says {detail}")]
pub struct NoDisk {
    command: String,
    detail: String,
}

/// A mounted tmpfs. Dropping it unmounts it, and what was on it is gone.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts a file system of `mebibytes` at `path`, which is an empty directory.
    ///
    /// # Errors
    /// If this machine does not allow it.
    pub fn mount(path: &Path, mebibytes: u32) -> Result<Self, NoDisk> {
        let size = format!("size={mebibytes}m");
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], path)?;
        Ok(Self { path: path.into() })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it another size; what is on it stays.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn resize(&self, mebibytes: u32) -> Result<(), NoDisk> {
        run("mount", &["-o", &format!("remount,size={mebibytes}m")], &self.path)
    }

    /// Refuses writes from now on. Nothing on it may be open for writing.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn make_read_only(&self) -> Result<(), NoDisk> {
        run("mount", &["-o", "remount,ro"], &self.path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may hold it for another moment.
        let _ = run("umount", &["--lazy"], &self.path);
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Result<(), NoDisk> {
    let failed = |detail: String| NoDisk { command: format!("{program} {}", arguments.join(" ")), detail };
    let output = Command::new(program).args(arguments).arg(path).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
