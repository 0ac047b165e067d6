//! Wrong clocks for single processes, by libfaketime where it is installed.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Why no clock can be set wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoClock {
    #[error("`faketime` cannot be run: {0} (on Debian it is in the package faketime)")]
    Absent(String),
    #[error("this program is not linked dynamically, so that nothing stands between it and the clock")]
    Static,
}

/// What has to be loaded into a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrongClock {
    library: OsString,
}

impl WrongClock {
    /// Finds the library, and whether `program` loads it.
    pub(super) fn find(program: &Path) -> Result<Self, NoClock> {
        // The program knows where its library is. It is not used itself: it would stand between us and the node.
        let asked = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let asked = asked.map_err(|error| NoClock::Absent(error.to_string()))?;
        let library = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        if !asked.status.success() || library.is_empty() {
            return Err(NoClock::Absent(String::from_utf8_lossy(&asked.stderr).trim().to_owned()));
        }
        // The dynamic linker lists what it would load; a static program has none and shows its version.
        let mut list = Command::new(program);
        list.arg("--version").env("LD_PRELOAD", &library).env("LD_TRACE_LOADED_OBJECTS", "1");
        let listed = list.output().map_err(|error| NoClock::Absent(error.to_string()))?;
        if !String::from_utf8_lossy(&listed.stdout).contains("libfaketime") {
            return Err(NoClock::Static);
        }
        Ok(Self { library: library.into() })
    }

    /// What runs a program whose clock is `ahead_ms` ahead. It becomes that program: the process keeps its number.
    pub(super) fn within(&self, ahead_ms: i64) -> Vec<OsString> {
        let mut preload = OsString::from("LD_PRELOAD=");
        preload.push(&self.library);
        let offset = format!("FAKETIME={}", seconds(ahead_ms));
        // The time since boot goes right, as where an operator sets the date; nothing stays in /dev/shm.
        let settings = [offset.as_str(), "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_DISABLE_SHM=1", "NO_FAKE_STAT=1"];
        [OsString::from("env"), preload].into_iter().chain(settings.map(OsString::from)).collect()
    }
}

/// An offset as libfaketime reads it.
fn seconds(ahead_ms: i64) -> String {
    let sign = if ahead_ms < 0 { '-' } else { '+' };
    let ahead_ms = ahead_ms.unsigned_abs();
    format!("{sign}{}.{:03}", ahead_ms / 1000, ahead_ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_signed_seconds() {
        assert_eq!((seconds(1_050), seconds(-900), seconds(0)), ("+1.050".into(), "-0.900".into(), "+0.000".into()));
    }

    #[test]
    fn the_program_keeps_its_place_behind_its_settings() {
        let within = WrongClock { library: "lib".into() }.within(-2_000);
        assert_eq!(within[..3], ["env", "LD_PRELOAD=lib", "FAKETIME=-2.000"].map(OsString::from));
    }
}
