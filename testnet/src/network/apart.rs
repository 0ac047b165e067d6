//! Moves this program into a network and a mount namespace of its own before it makes a [`super::Network`].
//!
//! There nobody else's addresses are in the way, root is not needed where the kernel lets users have namespaces, and
//! however this process ends, the kernel removes all that was made with it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::NoNetwork;
use super::command::run;

/// Says that we are there. Not one of the program's own settings: nodes never see it.
const MARK: &str = "TESTNET_IS_APART";

/// `ip netns` keeps its names below /run, which belongs to root or is not there at all.
const SCRIPT: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$0\" \"$@\"";

/// Why this program stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum NotApart {
    /// The machine does not allow it.
    #[error(transparent)]
    Refused(#[from] NoNetwork),
    /// It allowed it, and then this program could not be run again.
    #[error("cannot run this program again: {0}")]
    Again(std::io::Error),
}

/// Becomes this same program with the same arguments in namespaces of its own; returns at once if it is there already.
/// The process keeps its number, and all its threads but the new one's end: to be called before anything is begun.
///
/// # Errors
/// If the machine does not allow it.
pub fn apart() -> Result<(), NotApart> {
    if std::env::var_os(MARK).is_some() {
        return Ok(());
    }
    let unshare = if rustix::process::geteuid().is_root() {
        "unshare --net --mount"
    } else {
        "unshare --user --map-root-user --net --mount"
    };
    // Tried with something harmless first: after exec there would be nobody to explain.
    run(&format!("{unshare} mount -t tmpfs tmpfs /run"))?;
    let mut words = unshare.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    let program: OsString = std::env::current_exe().map_err(NotApart::Again)?.into();
    command.args(words).args(["sh", "-c", SCRIPT]).arg(program).args(std::env::args_os().skip(1));
    Err(NotApart::Again(command.env(MARK, "1").exec()))
}
