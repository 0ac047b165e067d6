//! One node as an operating-system process: founded or joined, started, paused, killed and started again.

mod launch;
mod outcome;
mod signal;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::watch;

use crate::client::Client;
use crate::deadline;
use crate::guard;
use crate::seat::Admin;

use launch::read_run_file;
pub use launch::{Launch, RunFile, lasting_port};
use outcome::tail;
pub use outcome::{StartError, Stopped};
pub use signal::{Signal, lives, send};

/// Time for a node to listen and be ready: rebuilding a large state in a debug build on a busy machine takes a while.
pub const READY_WITHIN: Duration = Duration::from_secs(120);

/// Time for a command that is not a daemon (`init`, `join`, …).
const COMMAND_WITHIN: Duration = Duration::from_secs(60);

/// Time for a node to stop after SIGTERM before it is killed.
pub const STOPPED_WITHIN: Duration = Duration::from_secs(10);

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
        Self { launch, child: None, reached: watch::Sender::new(None) }
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
        self.succeed(&["init", "--name", &name, "--lattice", lattice]).await?;
        Ok(())
    }

    /// Founds the lattice that a genesis file describes.
    ///
    /// # Errors
    /// If `lattice init` fails.
    pub async fn found_by(&self, genesis: &Path) -> Result<(), StartError> {
        let (name, genesis) = (self.launch.name.clone(), genesis.display().to_string());
        self.succeed(&["init", "--name", &name, "--genesis", &genesis]).await?;
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

    /// Starts the process and waits until it listens and calls itself ready, or mirrors the seat.
    ///
    /// # Errors
    /// If it ends or is not ready in time; the error shows the end of its log.
    pub async fn start(&mut self) -> Result<Reached, StartError> {
        let reached = self.listen().await?;
        let (client, admin) = (reached.client.clone(), Admin::of(self.dir()).ok());
        self.await_from_child(async || match (client.ready().await, &admin) {
            (Ok(ready), _) => ready,
            // A mirror of the seat serves no API.
            (Err(_), Some(admin)) if is_mirror(admin).await => Ok(()),
            (Err(error), _) => Err(error.to_string()),
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
        let log = open()
            .map_err(|source| StartError::Io { what: format!("cannot write {}", launch.log.display()), source })?;
        let mut command = launch.command(guard::guarded(launch.run_arguments()));
        // A group of its own: a Ctrl-C at the terminal is for the harness, which then stops its nodes in order.
        command.stdout(Stdio::null()).stderr(log).process_group(0);
        let child = command
            .spawn()
            .map_err(|source| StartError::Io { what: format!("cannot run {}", launch.program.display()), source })?;
        self.child = Some(child);
        Ok(())
    }

    /// Looks until found, and gives up early if the process ends.
    async fn await_from_child<T>(&mut self, mut look: impl AsyncFnMut() -> Result<T, String>) -> Result<T, StartError> {
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
            Ok(status) => StartError::Ended { name, status, tail: tail(&log), log },
            Err(source) => StartError::Io { what: format!("cannot wait for {name}"), source },
        }
    }

    fn too_slow(&self, late: deadline::TimedOut) -> StartError {
        let Launch { name, log, .. } = self.launch.clone();
        StartError::TooSlow { name, late, tail: tail(&log), log }
    }

    fn read(&self, file: &str) -> Result<String, StartError> {
        let path = self.launch.dir.join(file);
        fs::read_to_string(&path)
            .map_err(|source| StartError::Io { what: format!("cannot read {}", path.display()), source })
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

/// Whether a node mirrors the seat, and so is hidden.
async fn is_mirror(admin: &Admin) -> bool {
    admin.seat().await.is_ok_and(|seat| matches!(seat.role.as_str(), "shadow" | "spare"))
}

fn verb<'a>(arguments: &[&'a str]) -> &'a str {
    arguments.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_ends_early_is_reported_with_its_log() {
        let dir = tempfile::tempdir().expect("directory");
        let mut launch = Launch::new("/bin/sh", "broken", dir.path());
        launch.within = ["/bin/sh", "-c", "echo no such option >&2; exit 2"].map(OsString::from).to_vec();
        let error = Node::new(launch).start().await.expect_err("it ended");
        let text = error.to_string();
        assert!(text.contains("broken ended with exit status: 2"), "{text}");
        assert!(text.contains("no such option"), "{text}");
    }
}
