//! Unattended runs: each starts a lattice, does something to it and says whether it came out right.
//!
//! A scenario is one file: its options, its steps from top to bottom, and a summary at the end.

mod audit;
mod chaos;
mod compare;
mod convergence;
mod failover;
mod http_heal;
mod import;
mod ledger;
mod progress;
mod summary;
mod writer;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;

use crate::client::{ClientError, Op, Receipt};
use crate::cluster::Disagreement;
use crate::deadline;
use crate::interrupt::StopRequest;
use crate::network::{NoNetwork, NotApart};
use crate::process::{Reached, StartError};
use progress::Progress;

/// The scenarios by name.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Scenario {
    /// Imports real data at one node, writes at the others, kills one, adds one late; all must end with the same root.
    Convergence(convergence::Options),
    /// Cuts libp2p off at two nodes while all write: HTTP must bring the states together, and libp2p take over again.
    HttpHeal(http_heal::Options),
    /// Lets an auditor follow nodes under load: calm while all is well, an alarm when one shows another history.
    Audit(audit::Options),
    /// Kills the seat's holder again and again under load, then hands it over on purpose: nothing acknowledged may be lost.
    Failover(failover::Options),
    /// Kills, pauses, cuts off, misdates and fills the disks of nodes as a seed says: nothing acknowledged may be lost.
    Chaos(chaos::Options),
}

/// Runs a scenario to its exit code: 0 it came out right, 1 it did not, 2 wrong arguments, 3 it could not be run.
///
/// # Errors
/// If the result cannot be printed.
pub async fn run(scenario: &Scenario) -> anyhow::Result<ExitCode> {
    match scenario {
        Scenario::Convergence(options) => convergence::run(options).await,
        Scenario::HttpHeal(options) => http_heal::run(options).await,
        Scenario::Audit(options) => audit::run(options).await,
        Scenario::Failover(options) => failover::run(options).await,
        Scenario::Chaos(options) => chaos::run(options).await,
    }
}

/// Why a scenario ended before its comparison.
#[derive(Debug, thiserror::Error)]
enum ScenarioError {
    /// A node could not be started: nothing is shown about convergence.
    #[error("could not be started: {0}")]
    Start(StartError),
    /// This machine gives no network that can be cut: nothing is shown about healing.
    #[error(transparent)]
    Apart(#[from] NotApart),
    /// As above, or a link could not be cut.
    #[error(transparent)]
    Network(#[from] NoNetwork),
    /// What should have happened did not.
    #[error("{what}: {late}")]
    Late { what: &'static str, late: deadline::TimedOut },
    /// A lattice that runs could not take a node back, or another one in.
    #[error("a node could not come in: {0}")]
    NotLetIn(StartError),
    /// A node refused what it should have accepted.
    #[error("{node} refused a write: {error}")]
    Refused { node: String, error: ClientError },
    /// A node did not answer for as long as the scenario may take.
    #[error("{node} did not acknowledge a write: {late}")]
    Silent { node: String, late: deadline::TimedOut },
    /// The nodes never agreed.
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
    /// The state of a node could not be read for comparing.
    #[error("{node} cannot be compared: {error}")]
    Unreadable { node: String, error: ClientError },
    /// An auditor did not do what it should.
    #[error("{0}")]
    Audit(String),
    /// The seat did not do what it should.
    #[error("{0}")]
    Seat(String),
    /// A fault could not be done to a node, or undone.
    #[error("{0}")]
    Fault(String),
    /// Somebody wanted it to end.
    #[error("interrupted")]
    Interrupted,
}

impl ScenarioError {
    /// Whether it shows nothing about a lattice: none came about, or somebody wanted it to end.
    const fn tells_nothing(&self) -> bool {
        match self {
            Self::Start(_) | Self::Apart(_) | Self::Network(_) | Self::Fault(_) | Self::Interrupted => true,
            Self::Late { .. }
            | Self::NotLetIn(_)
            | Self::Refused { .. }
            | Self::Silent { .. }
            | Self::Disagreement(_)
            | Self::Unreadable { .. }
            | Self::Audit(_)
            | Self::Seat(_) => false,
        }
    }
}

/// Does all of a scenario in a directory of its own, until its end or until somebody asks for it.
async fn in_directory(
    all: impl AsyncFnOnce(&Path) -> Result<(), ScenarioError>,
) -> io::Result<(TempDir, Result<(), ScenarioError>)> {
    let mut asked = StopRequest::listen()?;
    let root = tempfile::Builder::new().prefix("lattice-testnet-").tempdir()?;
    let outcome = tokio::select! {
        outcome = all(root.path()) => outcome,
        () = asked.received() => Err(ScenarioError::Interrupted),
    };
    Ok((root, outcome))
}

/// Lets the directory of a scenario stay: what went wrong is in the nodes' logs.
fn keep(mut root: TempDir, progress: &Progress) {
    root.disable_cleanup(true);
    progress.say(format!("the nodes' directories are kept in {}", root.path().display()));
}

/// A node that may be down for a while, and the patience with it.
#[derive(Debug, Clone)]
struct Target {
    node: String,
    reached: watch::Receiver<Option<Reached>>,
    patience: Duration,
}

impl Target {
    /// Writes one commit and repeats it under the same name until it is acknowledged: an unanswered request may have
    /// been a write, and one that was must not become two.
    async fn acknowledge(&self, ops: &[Op], name: &str) -> Result<Receipt, ScenarioError> {
        let answer = deadline::until(self.patience, async || {
            let Some(reached) = self.reached.borrow().clone() else {
                return Err("it does not run".to_owned());
            };
            match reached.client.commit(ops, Some(name)).await {
                Err(error) if is_temporary(&error) => Err(error.to_string()),
                final_answer => Ok(final_answer),
            }
        })
        .await;
        let node = || self.node.clone();
        answer
            .map_err(|late| ScenarioError::Silent { node: node(), late })?
            .map_err(|error| ScenarioError::Refused { node: node(), error })
    }
}

/// Whether the same request may succeed a little later.
fn is_temporary(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        ClientError::Refused { status, .. } => matches!(status, 409 | 425 | 429 | 500..),
        ClientError::Unreadable { .. } => false,
    }
}
