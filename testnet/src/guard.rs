//! Runs a node such that it dies with whoever started it, however that one ended.
//!
//! A harness that is dropped kills its nodes itself; one that is killed cannot. The kernel can do it, but the wish has
//! to be stated by the child, between fork and exec, which safe Rust does not offer to the parent. So the child starts as
//! this small command, states the wish, and becomes the node.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Arguments of the hidden command `testnet guard`.
#[derive(Debug, Clone, clap::Args)]
pub struct GuardArgs {
    /// Process whose end shall be the node's end.
    #[arg(long)]
    parent: u32,
    /// What to run: arguments of this same program.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The arguments that run `command` (arguments of the same program) under the guard of this process.
pub(crate) fn guarded(command: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let parent = std::process::id().to_string();
    let guard = ["testnet", "guard", "--parent", &parent, "--"];
    guard.into_iter().map(OsString::from).chain(command).collect()
}

/// Becomes the given command. Returns only if that failed.
///
/// # Errors
/// If the parent is gone already, or the program cannot be run again.
pub fn run(args: &GuardArgs) -> io::Result<std::convert::Infallible> {
    die_with_parent(args.parent)?;
    Err(Command::new(std::env::current_exe()?).args(&args.command).exec())
}

#[cfg(target_os = "linux")]
fn die_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // The parent may have ended before the wish was stated; then nobody would ever send the signal.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if now == i32::try_from(parent).ok() {
        return Ok(());
    }
    Err(io::Error::other("whoever started this node has ended"))
}

/// Elsewhere only an orderly end of the harness ends its nodes.
#[cfg(not(target_os = "linux"))]
fn die_with_parent(_parent: u32) -> io::Result<()> {
    Ok(())
}
