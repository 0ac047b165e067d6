//! Whom an alarm is told besides the terminal: a webhook, a program. A slow one holds up no look, and not the other.

use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::finding::Finding;
use crate::net::address::cause;

/// Alarms that wait to be told. Beyond it they are on the terminal and in the gauges alone (a guess: an audit has a few).
const WAITING_MAX: usize = 256;

/// Attempts to reach a webhook, and the pause between them: a restart of whatever answers there.
const ATTEMPTS: u32 = 3;
const ATTEMPT_PAUSE: Duration = Duration::from_secs(2);

/// Time for one attempt, and for a program to end before it is killed.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(60);

/// Time to tell what still waits when the audit ends.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// What is told: that an alarm began, or that it is over.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Notice {
    /// `alarm` or `over`.
    pub(super) event: &'static str,
    /// When, in milliseconds since 1970.
    pub(super) time_ms: u64,
    /// What.
    #[serde(flatten)]
    pub(super) finding: Finding,
}

/// Whom to tell.
#[derive(Debug, Clone, Default)]
pub(super) struct Listeners {
    /// Gets a POST with the notice as JSON.
    pub(super) webhook: Option<String>,
    /// A program and its arguments; it gets the notice as JSON on standard input. No shell is involved.
    pub(super) program: Vec<String>,
}

/// Tells each listener notices in their order.
pub(super) struct Notifier {
    listeners: Vec<(mpsc::Sender<Notice>, JoinHandle<()>)>,
}

impl Notifier {
    /// Starts the tasks that tell them.
    pub(super) fn start(listeners: Listeners) -> Self {
        let Listeners { webhook, program } = listeners;
        let webhook = webhook.map(|url| {
            let (waiting, notices) = mpsc::channel(WAITING_MAX);
            (waiting, tokio::spawn(tell_webhook(url, notices)))
        });
        let program = (!program.is_empty()).then(|| {
            let (waiting, notices) = mpsc::channel(WAITING_MAX);
            (waiting, tokio::spawn(tell_program(program, notices)))
        });
        Self { listeners: webhook.into_iter().chain(program).collect() }
    }

    /// Hands over a notice.
    pub(super) fn tell(&self, notice: &Notice) {
        for (waiting, _) in &self.listeners {
            if waiting.try_send(notice.clone()).is_err() {
                eprintln!("lattice: too many alarms wait to be told; this one stays on the terminal");
            }
        }
    }

    /// Waits until all are told, within bounds.
    pub(super) async fn finish(self) {
        let told = self.listeners.into_iter().map(|(waiting, task)| {
            drop(waiting);
            task
        });
        if tokio::time::timeout(LAST_WORDS, join_all(told.collect::<Vec<_>>())).await.is_err() {
            eprintln!("lattice: some alarms could not be told in time");
        }
    }
}

async fn tell_webhook(url: String, mut notices: mpsc::Receiver<Notice>) {
    while let Some(notice) = notices.recv().await {
        if let Err(why) = post(&url, &body(&notice)).await {
            eprintln!("lattice: the webhook {url} did not take the alarm: {why}");
        }
    }
}

async fn tell_program(program: Vec<String>, mut notices: mpsc::Receiver<Notice>) {
    while let Some(notice) = notices.recv().await {
        if let Err(why) = run(&program, &notice, &body(&notice)).await {
            eprintln!("lattice: {}: {why}", program.join(" "));
        }
    }
}

fn body(notice: &Notice) -> String {
    // Facts serialize.
    serde_json::to_string(notice).unwrap_or_default()
}

async fn post(url: &str, body: &str) -> Result<(), String> {
    let builder = reqwest::Client::builder().timeout(WEBHOOK_TIMEOUT);
    // Plain HTTP must work on a machine without CA certificates.
    let builder = if url.starts_with("https://") { builder } else { builder.tls_certs_only([]) };
    let client = builder.build().map_err(|error| cause(&error).to_string())?;
    let mut last = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(ATTEMPT_PAUSE).await;
        }
        let request = client.post(url).header("content-type", "application/json").body(body.to_owned());
        match request.send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => last = format!("it answered {}", response.status()),
            Err(error) => last = cause(&error).to_string(),
        }
    }
    Err(last)
}

async fn run(program: &[String], notice: &Notice, body: &str) -> Result<(), String> {
    let Some((path, arguments)) = program.split_first() else { return Ok(()) };
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::piped()).kill_on_drop(true);
    // Standard output is the audit's own.
    command.stdout(std::io::stderr());
    command.env("LATTICE_ALARM_EVENT", notice.event).env("LATTICE_ALARM_WORD", notice.finding.kind.word());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let stdin = child.stdin.take();
    let done = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read is no failure.
            let _ = stdin.write_all(body.as_bytes()).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(PROGRAM_TIMEOUT, done).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("it ended with {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err(format!("it did not end within {} s and was killed", PROGRAM_TIMEOUT.as_secs())),
    }
}
