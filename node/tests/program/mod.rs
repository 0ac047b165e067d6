//! The program under test, run to its end as a person or a script runs it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Time for something that must come about; only a broken program takes it.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code.
    pub(crate) code: i32,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it said about itself.
    pub(crate) stderr: String,
}

/// A run of the program with nothing of this process's settings.
pub(crate) fn lattice(words: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LATTICE_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end, giving it `input`.
pub(crate) async fn ended(mut command: Command, input: &[u8]) -> Ended {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let write = async move {
        // A program that ends early closes its end.
        let _ = stdin.write_all(input).await;
    };
    let (_, output) = tokio::join!(write, tokio::time::timeout(SOON, child.wait_with_output()));
    let output = output.expect("an end in time").expect("an end");
    Ended {
        code: output.status.code().expect("an exit code"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}
