//! The main scenario: real data, writers everywhere, a crash and a late joiner; then all nodes must agree.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::watch;

use super::compare::differences;
use super::import::import;
use super::progress::{Progress, rounded};
use super::summary::Summary;
use super::writer::{self, Pace, Written};
use super::{ScenarioError, Target, in_directory, keep};
use crate::cluster::{self, Cluster};
use crate::dataset::{Dataset, DatasetError};
use crate::model::Model;
use crate::process::Node;

/// Options of `testnet run convergence`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Data to import: Cargo.lock, NDJSON, CSV, or what `apt-cache dumpavail` prints [default: the nearest Cargo.lock].
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Nodes at the start; one more joins late.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=30))]
    nodes: u8,
    /// Print one JSON summary on standard output.
    #[arg(long)]
    json: bool,
    /// Seconds to wait for a write's acknowledgement, and for agreement.
    #[arg(long, value_name = "S", default_value_t = 300)]
    timeout: u64,
    /// Keep the nodes' directories; they are kept anyway if it does not come out right.
    #[arg(long)]
    keep: bool,
}

/// Runs the scenario and prints its summary.
pub(super) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let data = match dataset(options) {
        Ok(data) => data,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(2));
        }
    };
    let mut run = Run { options, data, progress: Progress::new(), summary: Summary::default(), could_not_tell: false };
    let (root, outcome) = in_directory(async |root| run.all(root).await).await?;
    let was_interrupted = matches!(outcome, Err(ScenarioError::Interrupted));
    run.note(outcome);
    if options.keep || !(run.summary.ok || was_interrupted) {
        keep(root, &run.progress);
    }
    run.summary.print(options.json)?;
    Ok(if run.could_not_tell { ExitCode::from(3) } else { run.summary.exit_code() })
}

fn dataset(options: &Options) -> Result<Dataset, DatasetError> {
    match &options.data {
        Some(path) => Dataset::read(path),
        None => Dataset::nearest_cargo_lock(&std::env::current_dir().unwrap_or_default()),
    }
}

struct Run<'a> {
    options: &'a Options,
    data: Dataset,
    progress: Progress,
    summary: Summary,
    could_not_tell: bool,
}

impl Run<'_> {
    async fn all(&mut self, root: &std::path::Path) -> Result<(), ScenarioError> {
        let Dataset { source, format, entries } = &self.data;
        self.progress.say(format!("{} entries from {} ({})", entries.len(), source.display(), format.name()));
        let program = std::env::current_exe().unwrap_or_default();
        let mut cluster =
            Cluster::start(&program, root, self.options.nodes.into()).await.map_err(ScenarioError::Start)?;
        self.progress.say(format!("{} nodes are ready", self.options.nodes));
        let model = self.write_and_disturb(&mut cluster).await?;
        self.agree(&cluster).await?;
        self.compare(&cluster, &model).await?;
        cluster.stop().await;
        Ok(())
    }

    /// Everything at once: the import, a writer at each other node, the crash and the late joiner.
    async fn write_and_disturb(&mut self, cluster: &mut Cluster) -> Result<Model, ScenarioError> {
        self.progress.count_to(self.data.entries.len());
        let targets = self.targets(cluster);
        let shares = shares(&self.data, targets.len() - 1);
        let (imported, seen) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let writers =
            targets[1..].iter().zip(&shares).map(|(target, share)| writer::write(target, share, Pace::BUSY, &stopped));
        let disturbances = async {
            let (_, names) = tokio::try_join!(
                import(&targets[0], &self.data, &imported, &self.progress),
                disturb(cluster, seen, self.data.entries.len(), &self.progress),
            )?;
            stop.send_replace(true);
            Ok(names)
        };
        let (names, written) = tokio::try_join!(disturbances, try_join_all(writers))?;
        (self.summary.killed, self.summary.late_joiner) = (Some(names.0), Some(names.1));
        self.progress.clear();
        Ok(self.account_for(written))
    }

    fn targets(&self, cluster: &Cluster) -> Vec<Target> {
        let patience = Duration::from_secs(self.options.timeout);
        let target = |node: &Node| Target { node: node.name().to_owned(), reached: node.subscribe(), patience };
        cluster.nodes().iter().map(target).collect()
    }

    /// The model of everything acknowledged: the import, then what the writers did to it.
    fn account_for(&mut self, written: Vec<Written>) -> Model {
        let mut model = Model::default();
        for (key, value) in &self.data.entries {
            model.put(key, value);
        }
        self.summary.imported = self.data.entries.len();
        for written in written {
            self.summary.written += written.puts;
            self.summary.deleted += written.deletes;
            model.extend(written.model);
        }
        let Summary { imported, written, deleted, .. } = &self.summary;
        self.progress.say(format!("acknowledged: {imported} imported, {written} written, {deleted} deleted"));
        model
    }

    async fn agree(&mut self, cluster: &Cluster) -> Result<(), ScenarioError> {
        let start = self.progress.elapsed();
        let limit = Duration::from_secs(self.options.timeout);
        let agreement = cluster::wait_until_settled(cluster.nodes(), limit).await?;
        let took = self.progress.elapsed() - start;
        self.progress.say(format!("all agree on {} entries, root {}", agreement.entries, agreement.root));
        self.summary.nodes = cluster.nodes().len();
        self.summary.seconds_to_converge = Some(rounded(took));
        self.summary.peers = agreement.statuses.iter().map(Into::into).collect();
        self.summary.entries = Some(agreement.entries);
        self.summary.root = Some(agreement.root);
        Ok(())
    }

    /// Compares every value at every node with what was acknowledged: equal roots over a wrong state are no success.
    async fn compare(&mut self, cluster: &Cluster, model: &Model) -> Result<(), ScenarioError> {
        let differences = cluster.nodes().iter().map(|node| differences(node, model));
        self.summary.differences = try_join_all(differences).await?.concat();
        self.progress.say(format!("compared {} values at {} nodes", model.live(), cluster.nodes().len()));
        Ok(())
    }

    /// Completes the summary.
    fn note(&mut self, outcome: Result<(), ScenarioError>) {
        self.progress.clear();
        self.could_not_tell = outcome.as_ref().is_err_and(ScenarioError::tells_nothing);
        if let Err(error) = outcome {
            self.progress.say(error.to_string());
            self.summary.differences.push(error.to_string());
        }
        self.summary.ok = self.summary.differences.is_empty();
        self.summary.seconds_total = rounded(self.progress.elapsed());
    }
}

/// Kills the last node at a third of the import, starts it again at two thirds, and then lets one more join.
/// Returns the names of both.
async fn disturb(
    cluster: &mut Cluster,
    mut imported: watch::Receiver<usize>,
    total: usize,
    progress: &Progress,
) -> Result<(String, String), ScenarioError> {
    let last = cluster.nodes().len() - 1;
    // An import that failed drops its side of the channel; its own error is the one that counts.
    let _ = imported.wait_for(|entries| *entries * 3 >= total).await;
    let victim = &mut cluster.nodes_mut()[last];
    victim.kill().await;
    progress.say(format!("killed {}", victim.name()));
    let _ = imported.wait_for(|entries| *entries * 3 >= total * 2).await;
    victim.start().await.map_err(ScenarioError::NotLetIn)?;
    progress.say(format!("started {} again", victim.name()));
    let victim = victim.name().to_owned();
    let late = cluster.admit().await.map_err(ScenarioError::NotLetIn)?;
    let late = cluster.nodes()[late].name().to_owned();
    progress.say(format!("{late} joined"));
    Ok((victim, late))
}

/// Deals the imported keys out to the writers, so that each key has one.
fn shares(data: &Dataset, writers: usize) -> Vec<Vec<String>> {
    let share = |writer| data.entries.keys().skip(writer).step_by(writers).cloned().collect();
    (0..writers).map(share).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_imported_key_has_one_writer() {
        let entries: BTreeMap<_, _> = (0..10).map(|key| (key.to_string(), String::new())).collect();
        let data = Dataset { source: "test".into(), format: crate::dataset::Format::Csv, entries };
        let shares = shares(&data, 3);
        assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3, 3]);
        let mut all: Vec<_> = shares.concat();
        all.sort();
        assert!(all.iter().eq(data.entries.keys()));
    }
}
