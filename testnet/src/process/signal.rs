//! Signals to processes by their number, without the unsafe calls that libc would need.

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, test_kill_process};

/// Sends a signal to a process. One that has ended meanwhile is no error: whoever needs to know asks for its end.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = known(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process lives, or has ended and was not waited for yet.
pub fn lives(pid: u32) -> bool {
    known(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

fn known(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}
