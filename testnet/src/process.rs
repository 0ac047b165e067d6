//! One node as an operating-system process: founded or joined, started, paused, killed and started again.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, test_kill_process};
use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::client::Client;
use crate::deadline;
use crate::guard;

/// Time for a node to listen and be ready: rebuilding a large state in a debug build on a busy machine takes a while.
pub const READY_WITHIN: Duration = Duration::from_secs(120);

/// Time for a command that is not a daemon (`init`, `join`, …).
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// Time for a node to stop after SIGTERM before it is killed.
pub const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of a log's end that an error shows.
const LOG_TAIL_BYTES: usize = 2000;

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
        }
    }

    fn run_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["run".into(), "--dir".into(), self.dir.clone().into()];
        arguments.extend(["--no-mdns".into(), "--http".into(), self.http.clone().into()]);
        let listen = self.p2p.iter().map(|address| ("--p2p", address));
        let dial = self.peers.iter().map(|address| ("--peer", address));
        arguments.extend(
            listen
                .chain(dial)
                .flat_map(|(flag, value)| [flag.into(), value.into()]),
        );
        arguments
    }

    fn command(&self, arguments: Vec<OsString>) -> Command {
        let mut words = self.within.iter().cloned().chain([self.program.clone().into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
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

/// Why a node could not be started, or a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program or a file of the node cannot be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The process ended before it was ready.
    #[error("{name} ended with {status} before it was ready; {log} ends with:\n{tail}")]
    Ended {
        /// The node.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The process runs but is not ready in time.
    #[error("{name} was not ready: {late}; {log} ends with:\n{tail}")]
    TooSlow {
        /// The node.
        name: String,
        /// What was missing.
        late: deadline::TimedOut,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A command such as `init` or `join` failed.
    #[error("`lattice {command}` for {name} ended with {status}: {stderr}")]
    Command {
        /// The node.
        name: String,
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
}

/// How a node stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It did not run.
    BeforeAsked,
    /// In time, after SIGTERM.
    Cleanly(ExitStatus),
    /// It had to be killed.
    Killed,
}

/// One node, running or not. Dropping it kills the process.
#[derive(Debug)]
pub struct Node {
    launch: Launch,
    child: Option<Child>,
    reached: watch::Sender<Option<Reached>>,
}

/// How a running node is reached.
#[derive(Debug, Clone)]
pub struct Reached {
    /// What it wrote when it listened.
    pub run: RunFile,
    /// A client for its API.
    pub client: Client,
}

impl Node {
    /// A node that does not run yet.
    pub fn new(launch: Launch) -> Self {
        Self {
            launch,
            child: None,
            reached: watch::Sender::new(None),
        }
    }

    /// How it is run; changes take effect at the next start.
    pub fn launch_mut(&mut self) -> &mut Launch {
        &mut self.launch
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// The node's directory.
    pub fn dir(&self) -> &Path {
        &self.launch.dir
    }

    /// How the node is reached, if it runs.
    pub fn reached(&self) -> Option<Reached> {
        self.reached.borrow().clone()
    }

    /// How the node is reached, now and after every restart.
    pub fn subscribe(&self) -> watch::Receiver<Option<Reached>> {
        self.reached.subscribe()
    }

    /// The process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Whether the directory holds a node already.
    pub fn exists(&self) -> bool {
        self.launch.dir.join("node.key").exists()
    }

    /// Founds a lattice with this node.
    ///
    /// # Errors
    /// If `lattice init` fails.
    pub async fn found(&self, lattice: &str) -> Result<(), StartError> {
        let name = self.launch.name.clone();
        self.succeed(&["init", "--name", &name, "--lattice", lattice])
            .await?;
        Ok(())
    }

    /// Prints a ticket for one more node; this node must run.
    ///
    /// # Errors
    /// If `lattice invite` fails.
    pub async fn invite(&self) -> Result<String, StartError> {
        let output = self.succeed(&["invite"]).await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Joins the lattice of a ticket.
    ///
    /// # Errors
    /// If `lattice join` fails.
    pub async fn join(&self, ticket: &str) -> Result<(), StartError> {
        let name = self.launch.name.clone();
        self.succeed(&["join", ticket, "--name", &name]).await?;
        Ok(())
    }

    /// Runs a command of the program on this node's directory and gives back how it ended.
    ///
    /// # Errors
    /// If it could not be run, or did not end within a minute.
    pub async fn output(&self, arguments: &[&str]) -> Result<Output, StartError> {
        let mut words: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        words.extend(["--dir".into(), self.launch.dir.clone().into()]);
        let what = || format!("cannot run {} {}", self.launch.program.display(), verb(arguments));
        let run = self.launch.command(words).output();
        let output = tokio::time::timeout(COMMAND_WITHIN, run).await;
        output
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no end within 60 s")))
            .map_err(|source| StartError::Io { what: what(), source })
    }

    async fn succeed(&self, arguments: &[&str]) -> Result<Output, StartError> {
        let output = self.output(arguments).await?;
        if output.status.success() {
            return Ok(output);
        }
        Err(StartError::Command {
            name: self.launch.name.clone(),
            command: verb(arguments).to_owned(),
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Starts the process and waits until it listens and calls itself ready.
    ///
    /// # Errors
    /// If it ends or is not ready in time; the error shows the end of its log.
    pub async fn start(&mut self) -> Result<Reached, StartError> {
        let reached = self.listen().await?;
        let client = reached.client.clone();
        self.await_from_child(async || match client.ready().await {
            Ok(ready) => ready,
            Err(error) => Err(error.to_string()),
        })
        .await?;
        Ok(reached)
    }

    /// Starts the process and waits only until it listens, ready or not.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn listen(&mut self) -> Result<Reached, StartError> {
        self.spawn()?;
        let pid = self.pid().unwrap_or_default();
        let dir = self.launch.dir.clone();
        let run = self.await_from_child(async || read_run_file(&dir, pid)).await?;
        let token = self.read("api.token")?;
        let address = run.http.first().map_or("", String::as_str);
        let client = Client::new(address, token.trim()).map_err(|error| StartError::Io {
            what: format!("cannot use the address {address:?} in run.json"),
            source: io::Error::other(error),
        })?;
        let reached = Reached { run, client };
        self.reached.send_replace(Some(reached.clone()));
        Ok(reached)
    }

    fn spawn(&mut self) -> Result<(), StartError> {
        let launch = &self.launch;
        let open = || -> io::Result<File> {
            fs::create_dir_all(launch.log.parent().unwrap_or(Path::new(".")))?;
            OpenOptions::new().create(true).append(true).open(&launch.log)
        };
        let log = open().map_err(|source| StartError::Io {
            what: format!("cannot write {}", launch.log.display()),
            source,
        })?;
        let mut command = launch.command(guard::guarded(launch.run_arguments()));
        // A group of its own: a Ctrl-C at the terminal is for the harness, which then stops its nodes in order.
        command.stdout(Stdio::null()).stderr(log).process_group(0);
        let child = command.spawn().map_err(|source| StartError::Io {
            what: format!("cannot run {}", launch.program.display()),
            source,
        })?;
        self.child = Some(child);
        Ok(())
    }

    /// Looks until found, and gives up early if the process ends.
    async fn await_from_child<T>(
        &mut self,
        mut look: impl AsyncFnMut() -> Result<T, String>,
    ) -> Result<T, StartError> {
        let Some(mut child) = self.child.take() else {
            return Err(StartError::Io {
                what: format!("cannot wait for {}", self.launch.name),
                source: io::Error::other("it was not started"),
            });
        };
        let found = tokio::select! {
            status = child.wait() => Err(self.ended(status)),
            found = deadline::until(READY_WITHIN, &mut look) => found.map_err(|late| self.too_slow(late)),
        };
        self.child = Some(child);
        found
    }

    fn ended(&self, status: io::Result<ExitStatus>) -> StartError {
        let Launch { name, log, .. } = self.launch.clone();
        match status {
            Ok(status) => StartError::Ended {
                name,
                status,
                tail: tail(&log),
                log,
            },
            Err(source) => StartError::Io {
                what: format!("cannot wait for {name}"),
                source,
            },
        }
    }

    fn too_slow(&self, late: deadline::TimedOut) -> StartError {
        let Launch { name, log, .. } = self.launch.clone();
        StartError::TooSlow {
            name,
            late,
            tail: tail(&log),
            log,
        }
    }

    fn read(&self, file: &str) -> Result<String, StartError> {
        let path = self.launch.dir.join(file);
        fs::read_to_string(&path).map_err(|source| StartError::Io {
            what: format!("cannot read {}", path.display()),
            source,
        })
    }

    /// Kills the process (SIGKILL) and waits until the system has cleared it away.
    pub async fn kill(&mut self) {
        self.reached.send_replace(None);
        if let Some(mut child) = self.child.take() {
            // An error means that it ended by itself meanwhile.
            let _ = child.kill().await;
        }
    }

    /// Asks the process to stop (SIGTERM), and kills it if it has not within [`STOPPED_WITHIN`].
    pub async fn stop(&mut self) -> Stopped {
        self.signal(Signal::TERM);
        let Some(child) = self.child.as_mut() else {
            return Stopped::BeforeAsked;
        };
        let stopped = tokio::time::timeout(STOPPED_WITHIN, child.wait()).await;
        self.kill().await;
        match stopped {
            Ok(Ok(status)) => Stopped::Cleanly(status),
            Ok(Err(_)) | Err(_) => Stopped::Killed,
        }
    }

    /// Stops the clock of the process (SIGSTOP): its connections stay open and silent.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused process go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// How the process ended, if it ended by itself.
    pub fn ended_by_itself(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// The last lines that it wrote to its log.
    pub fn log_tail(&self) -> String {
        tail(&self.launch.log)
    }

    fn signal(&self, signal: Signal) {
        // There is no pid once the process was waited for, so a stranger with a reused number is never hit.
        if let Some(pid) = self.pid() {
            send(pid, signal);
        }
    }
}

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

/// A port that is free for TCP and UDP on the loopback and stays so until it is used: it lies below the range from
/// which Linux picks ports for everybody else. For nodes that come back at the same address.
///
/// # Panics
/// If none of the ports 20000 to 31999 is free.
pub fn lasting_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| {
        TcpListener::bind(("127.0.0.1", *port)).is_ok() && UdpSocket::bind(("127.0.0.1", *port)).is_ok()
    };
    // Tests run as processes of their own at the same time: each begins somewhere else.
    let first = std::process::id().wrapping_mul(97);
    let ports =
        (0..12_000).map(|_| first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % 12_000 + 20_000);
    let free = ports.filter_map(|port| u16::try_from(port).ok()).find(is_free);
    free.unwrap_or_else(|| panic!("none of the ports 20000 to 31999 is free"))
}

/// The run file that process `pid` wrote. One that a killed process left behind does not count.
fn read_run_file(dir: &Path, pid: u32) -> Result<RunFile, String> {
    let path = dir.join("run.json");
    let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let run: RunFile =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    if run.pid == pid {
        return Ok(run);
    }
    Err(format!("{} is of another process", path.display()))
}

fn verb<'a>(arguments: &[&'a str]) -> &'a str {
    arguments.first().copied().unwrap_or_default()
}

/// The end of a log, cut at a line.
fn tail(log: &Path) -> String {
    let text = fs::read(log).map_or_else(
        |error| error.to_string(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    );
    let lines = text.lines().rev().scan(0, |bytes, line| {
        *bytes += line.len() + 1;
        (*bytes <= LOG_TAIL_BYTES).then_some(line)
    });
    let mut lines: Vec<&str> = lines.collect();
    lines.reverse();
    lines.join("\n")
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
        assert!(
            read_run_file(dir.path(), 8)
                .expect_err("stale")
                .contains("another process")
        );
    }

    #[test]
    fn the_end_of_a_log_is_whole_lines_within_the_bound() {
        let dir = tempfile::tempdir().expect("directory");
        let log = dir.path().join("log");
        fs::write(&log, "a long line\n".repeat(1000)).expect("written");
        let end = tail(&log);
        assert!(end.len() <= LOG_TAIL_BYTES && end.len() > LOG_TAIL_BYTES / 2);
        assert!(end.lines().all(|line| line == "a long line"));
    }

    #[tokio::test]
    async fn a_program_that_ends_early_is_reported_with_its_log() {
        let dir = tempfile::tempdir().expect("directory");
        let mut launch = Launch::new("/bin/sh", "broken", dir.path());
        launch.within = ["/bin/sh", "-c", "echo no such option >&2; exit 2"]
            .map(OsString::from)
            .to_vec();
        let error = Node::new(launch).start().await.expect_err("it ended");
        let text = error.to_string();
        assert!(text.contains("broken ended with exit status: 2"), "{text}");
        assert!(text.contains("no such option"), "{text}");
    }
}
