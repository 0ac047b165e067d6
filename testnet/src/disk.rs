//! A disk that can be full or read-only: a small file system in memory. Linux only, needs root; where that is missing,
//! [`SmallDisk::mount`] says so and tests skip with that reason.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sizes that are tried when a disk is made as small as what is on it (a guess at what is written between two calls).
const RESIZE_SLACK_MEBIBYTES: u64 = 4;

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

    /// Leaves no room at all, whatever is on it, until [`SmallDisk::make_room`].
    ///
    /// # Errors
    /// If the system refuses.
    pub fn fill(&self) -> io::Result<()> {
        let space = rustix::fs::statvfs(&self.path)?;
        let used = (space.f_blocks - space.f_bfree) * space.f_frsize;
        let full = used.div_ceil(1 << 20).max(1);
        // What is written meanwhile may need one more than what was just seen.
        let sizes = full..=full + RESIZE_SLACK_MEBIBYTES;
        let mut sizes = sizes.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        if !sizes.any(|size| self.resize(size).is_ok()) {
            return Err(io::Error::other(format!("the disk cannot be made smaller than {used} bytes")));
        }
        let mut ballast = File::create(self.ballast())?;
        loop {
            match ballast.write(&[1; 4096]) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes away what [`SmallDisk::fill`] wrote, and gives it `mebibytes`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn make_room(&self, mebibytes: u32) -> io::Result<()> {
        self.resize(mebibytes).map_err(io::Error::other)?;
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
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
