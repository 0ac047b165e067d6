//! With what a node is started: program, directory, addresses; and what it writes once it listens.

use std::ffi::OsString;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use tokio::process::Command;

/// How a node is run.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The `lattice` program.
    pub program: PathBuf,
    /// What runs the program, such as `ip netns exec NAME`; usually nothing.
    pub within: Vec<OsString>,
    /// The node's name.
    pub name: String,
    /// The node's directory.
    pub dir: PathBuf,
    /// File for what the node writes to standard error.
    pub log: PathBuf,
    /// Where to listen for other nodes.
    pub p2p: Vec<String>,
    /// Where to listen for clients.
    pub http: String,
    /// Peers to dial besides those that the node knows itself.
    pub peers: Vec<String>,
    /// Further arguments of `lattice run`.
    pub options: Vec<String>,
}

impl Launch {
    /// A node in `dir` that listens on free ports of the loopback and writes its log to `stderr.log` in `dir`.
    pub fn new(program: impl Into<PathBuf>, name: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self {
            program: program.into(),
            within: Vec::new(),
            name: name.into(),
            log: dir.join("stderr.log"),
            dir,
            p2p: vec!["127.0.0.1:0".into()],
            http: "127.0.0.1:0".into(),
            peers: Vec::new(),
            options: Vec::new(),
        }
    }

    pub(super) fn run_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["run".into(), "--dir".into(), self.dir.clone().into()];
        arguments.extend(["--no-mdns".into(), "--http".into(), self.http.clone().into()]);
        let listen = self.p2p.iter().map(|address| ("--p2p", address));
        let dial = self.peers.iter().map(|address| ("--peer", address));
        arguments.extend(listen.chain(dial).flat_map(|(flag, value)| [flag.into(), value.into()]));
        arguments.extend(self.options.iter().map(Into::into));
        arguments
    }

    pub(super) fn command(&self, arguments: Vec<OsString>) -> Command {
        let mut words = self.within.iter().cloned().chain([self.program.clone().into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        // What configures the harness's own commands must not configure its nodes.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"LATTICE_") && name != "LATTICE_LOG" {
                command.env_remove(name);
            }
        }
        command
    }
}

/// What a running node says about itself in its directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RunFile {
    /// Its process.
    pub pid: u32,
    /// Addresses for clients, `host:port`.
    pub http: Vec<String>,
    /// Multiaddresses for nodes, with its peer id.
    pub p2p: Vec<String>,
}

/// The run file that process `pid` wrote. One that a killed process left behind does not count.
pub(super) fn read_run_file(dir: &Path, pid: u32) -> Result<RunFile, String> {
    let path = dir.join("run.json");
    let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let run: RunFile = serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    if run.pid == pid {
        return Ok(run);
    }
    Err(format!("{} is of another process", path.display()))
}

/// A port that is free for TCP and UDP on the loopback and stays so until it is used: it lies below the range from
/// which Linux picks ports for everybody else. For nodes that come back at the same address.
///
/// # Panics
/// If none of the ports 20000 to 31999 is free.
pub fn lasting_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let is_free =
        |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok() && UdpSocket::bind(("127.0.0.1", *port)).is_ok();
    // Tests run as processes of their own at the same time: each begins somewhere else.
    let first = std::process::id().wrapping_mul(97);
    let ports = (0..12_000).map(|_| first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % 12_000 + 20_000);
    let free = ports.filter_map(|port| u16::try_from(port).ok()).find(is_free);
    free.unwrap_or_else(|| panic!("none of the ports 20000 to 31999 is free"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_file_of_another_process_does_not_count() {
        let dir = tempfile::tempdir().expect("directory");
        assert!(read_run_file(dir.path(), 7).is_err(), "there is none yet");
        let text = r#"{"pid":7,"http":["127.0.0.1:1"],"p2p":[]}"#;
        fs::write(dir.path().join("run.json"), text).expect("written");
        assert_eq!(read_run_file(dir.path(), 7).expect("ours").http, ["127.0.0.1:1"]);
        assert!(read_run_file(dir.path(), 8).expect_err("stale").contains("another process"));
    }
}
