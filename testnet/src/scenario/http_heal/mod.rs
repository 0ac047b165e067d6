//! The second road: libp2p is cut off at two nodes while all of them write. HTTP must bring the states together, carry
//! writes both ways as long as it lasts, and give way to libp2p afterwards.

mod crossing;
mod story;
mod summary;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::watch as signal;

use self::crossing::cross;
use self::story::Story;
use self::summary::{CutOff, Summary};
use self::watch::{Watch, Watched};
use super::compare::differences;
use super::progress::{Progress, rounded};
use super::writer::{self, Pace, Written};
use super::{ScenarioError, Target, in_directory, keep};
use crate::cluster::wait_until_settled;
use crate::deadline;
use crate::model::Model;
use crate::network::{self, Block, Network};
use crate::process::Node;

/// Nodes that are cut off, the last ones.
const CUT: u8 = 2;

/// Writes each way that are followed across in HTTP mode, at each node that was cut off.
const CROSSINGS: usize = 3;

/// Between two beats.
const BEAT: Duration = Duration::from_secs(1);

/// How the nodes run: such beats, and HTTP mode soon after libp2p has given up its last peer.
const OPTIONS: [&str; 4] = ["--heartbeat-ms", "1000", "--http-mode-after-ms", "3000"];

/// Options of `testnet run http-heal`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Nodes; libp2p is cut off at the last two.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(3..=30))]
    nodes: u8,
    /// Print one JSON summary on standard output.
    #[arg(long)]
    json: bool,
    /// Seconds to wait for each step, for a write's acknowledgement, and for agreement.
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout: u64,
    /// Keep the nodes' directories; they are kept anyway if it does not come out right.
    #[arg(long)]
    keep: bool,
}

/// Runs the scenario and prints its summary.
pub(super) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if let Err(error) = network::apart() {
        let mut run = Run::new(options);
        run.note(Err(error.into()));
        return run.end();
    }
    let mut run = Run::new(options);
    let (root, outcome) = in_directory(async |root| run.all(root).await).await?;
    run.note(outcome);
    if options.keep || !(run.summary.ok || run.could_not_tell) {
        keep(root, &run.progress);
    }
    run.end()
}

struct Run<'a> {
    options: &'a Options,
    progress: Progress,
    summary: Summary,
    could_not_tell: bool,
}

/// The lattice while it is disturbed. Dropping it ends the nodes first, then their network.
struct Lattice {
    nodes: Vec<Node>,
    urls: Vec<String>,
    network: Network,
}

impl Lattice {
    /// Index of the first node that is cut off.
    fn first_cut(&self) -> usize {
        self.nodes.len() - usize::from(CUT)
    }

    /// Numbers, from 1, of the nodes that are cut off.
    fn cut(&self) -> impl Iterator<Item = u8> + use<> {
        let nodes = u8::try_from(self.nodes.len()).unwrap_or(u8::MAX);
        nodes - CUT + 1..=nodes
    }
}

impl<'a> Run<'a> {
    fn new(options: &'a Options) -> Self {
        Self { options, progress: Progress::new(), summary: Summary::default(), could_not_tell: false }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.options.timeout)
    }

    async fn all(&mut self, root: &Path) -> Result<(), ScenarioError> {
        let lattice = self.start(root).await?;
        let targets: Vec<Target> = lattice.nodes.iter().map(|node| self.target(node)).collect();
        let (stop, stopped) = signal::channel(false);
        let writers = targets.iter().map(|target| writer::write(target, &[], Pace::CALM, &stopped));
        let steps = async {
            let crossings = self.cut_and_heal(&lattice, &targets).await?;
            stop.send_replace(true);
            Ok(crossings)
        };
        let (crossings, written) = tokio::try_join!(steps, try_join_all(writers))?;
        let model = self.account_for(written, crossings);
        self.agree(&lattice, &model).await
    }

    fn target(&self, node: &Node) -> Target {
        Target { node: node.name().to_owned(), reached: node.subscribe(), patience: self.patience() }
    }

    async fn start(&mut self, root: &Path) -> Result<Lattice, ScenarioError> {
        let network = Network::with_firewalls(self.options.nodes)?;
        let program = std::env::current_exe().unwrap_or_default();
        let nodes = network::found_and_join(&network, &program, root, &OPTIONS).await;
        let nodes = nodes.map_err(ScenarioError::Start)?;
        wait_until_settled(&nodes, self.patience()).await?;
        self.summary.nodes = nodes.len();
        self.progress.say(format!("{} nodes are ready, all connected with all; each writes every second", nodes.len()));
        let urls = (1..=self.options.nodes).map(|node| network.url(node)).collect();
        Ok(Lattice { nodes, urls, network })
    }

    /// From the cut to libp2p again. Returns what was written to follow it across.
    async fn cut_and_heal(&mut self, lattice: &Lattice, targets: &[Target]) -> Result<Model, ScenarioError> {
        let nodes: Vec<_> = lattice.nodes.iter().zip(lattice.urls.iter().cloned()).collect();
        let mut watch = Watch::new(&nodes, &self.progress);
        let mut model = Model::default();
        let outcome = self.steps(lattice, targets, &mut watch, &mut model).await;
        // What was seen is of most interest where it did not go on.
        watch.tell(&self.progress);
        self.take_stock(&mut watch);
        outcome.map(|()| model)
    }

    async fn steps(
        &mut self,
        lattice: &Lattice,
        targets: &[Target],
        watch: &mut Watch,
        model: &mut Model,
    ) -> Result<(), ScenarioError> {
        let (first_cut, others) = (lattice.first_cut(), targets.len() - 1);
        self.until(watch, 0, "not all are connected with all", |story| story.lattice_peers == others).await?;
        let cut = watch.cut_off(first_cut, &lattice.urls, &self.progress).await;
        cut.map_err(|last| late("the nodes' events cannot be read", last))?;
        lattice.cut().try_for_each(|node| lattice.network.block(node, Block::LIBP2P))?;
        self.progress.say(format!("libp2p is cut off at {}; HTTP passes", names(&watch.nodes()[first_cut..])));
        self.until(watch, first_cut, "three mismatches did not lead to equal roots", Story::has_healed).await?;
        self.until(watch, first_cut, "no http mode", |story| story.http_mode_ms.0.is_some()).await?;
        self.cross_at_each_beat(first_cut, targets, watch, model).await?;
        lattice.cut().try_for_each(|node| lattice.network.unblock(node))?;
        self.progress.say("libp2p passes again");
        self.until(watch, first_cut, "no p2p mode", |story| story.http_mode_ms.1.is_some()).await
    }

    /// Waits until the events of all nodes from `first` on tell what is wanted.
    async fn until(
        &self,
        watch: &mut Watch,
        first: usize,
        what: &'static str,
        is_told: impl Fn(&Story) -> bool,
    ) -> Result<(), ScenarioError> {
        let told = deadline::until(self.patience(), async || {
            watch.look(&self.progress).await?;
            match watch.nodes()[first..].iter().find(|watched| !is_told(&watched.story)) {
                Some(watched) => Err(format!("{} has not told it", watched.name)),
                None => Ok(()),
            }
        });
        told.await.map_err(|late| ScenarioError::Late { what, late })
    }

    /// Follows writes both ways, at each beat with another node on the other side.
    async fn cross_at_each_beat(
        &mut self,
        first_cut: usize,
        targets: &[Target],
        watch: &mut Watch,
        model: &mut Model,
    ) -> Result<(), ScenarioError> {
        let mut beat = tokio::time::interval(BEAT);
        for round in 0..CROSSINGS {
            beat.tick().await;
            let across = &targets[round % first_cut];
            for target in &targets[first_cut..] {
                let [push, pull] = cross(target, across, round, &self.progress, model).await?.map(rounded);
                self.crossed(&target.node, push, pull);
                let what =
                    format!("pushed a write to {0} in {push:.1} s, pulled one from it in {pull:.1} s", across.node);
                watch.note(&target.node, what);
            }
            self.until(watch, first_cut, "libp2p is not cut off", |story| story.http_mode_ms.1.is_none()).await?;
        }
        Ok(())
    }

    fn crossed(&mut self, node: &str, push: f64, pull: f64) {
        if !self.summary.cut_off.iter().any(|cut_off| cut_off.node == node) {
            self.summary.cut_off.push(CutOff { node: node.to_owned(), ..CutOff::default() });
        }
        if let Some(cut_off) = self.summary.cut_off.iter_mut().find(|cut_off| cut_off.node == node) {
            cut_off.push_seconds.push(push);
            cut_off.pull_seconds.push(pull);
        }
    }

    /// Completes the summary with what the events told.
    fn take_stock(&mut self, watch: &mut Watch) {
        let crossed = std::mem::take(&mut self.summary.cut_off);
        for watched in watch.nodes().iter().filter(|watched| watched.story.is_of_a_cut_node()) {
            let crossings = crossed.iter().find(|cut_off| cut_off.node == watched.name).cloned().unwrap_or_default();
            let CutOff { push_seconds, pull_seconds, .. } = crossings;
            self.summary.cut_off.push(CutOff { push_seconds, pull_seconds, ..CutOff::new(watched, watch) });
        }
        for Watched { name, story, .. } in watch.nodes() {
            let named = |violation: &String| format!("{name}: {violation}");
            self.summary.differences.extend(story.violations.iter().map(named));
        }
        self.summary.timeline = std::mem::take(&mut watch.timeline);
    }

    /// The model of everything acknowledged.
    fn account_for(&mut self, written: Vec<Written>, crossings: Model) -> Model {
        let mut model = crossings;
        self.summary.written = model.live();
        for written in written {
            self.summary.written += written.puts;
            self.summary.deleted += written.deletes;
            model.extend(written.model);
        }
        model
    }

    /// Equal roots are no success over a wrong state: all values are compared too.
    async fn agree(&mut self, lattice: &Lattice, model: &Model) -> Result<(), ScenarioError> {
        let last_write = self.progress.elapsed();
        let agreement = wait_until_settled(&lattice.nodes, self.patience()).await?;
        self.summary.seconds_to_converge = Some(rounded(self.progress.elapsed() - last_write));
        self.progress.say(format!("all agree on {} entries and are connected with all", agreement.entries));
        self.summary.entries = Some(agreement.entries);
        self.summary.root = Some(agreement.root);
        let found = lattice.nodes.iter().map(|node| differences(node, model));
        self.summary.differences.extend(try_join_all(found).await?.concat());
        self.progress.say(format!("compared {} values at {} nodes", model.live(), lattice.nodes.len()));
        Ok(())
    }

    /// Completes the summary.
    fn note(&mut self, outcome: Result<(), ScenarioError>) {
        self.could_not_tell = outcome.as_ref().is_err_and(ScenarioError::tells_nothing);
        if let Err(error) = outcome {
            self.progress.say(error.to_string());
            self.summary.differences.push(error.to_string());
        }
        self.summary.ok = self.summary.differences.is_empty();
        self.summary.seconds_total = rounded(self.progress.elapsed());
    }

    /// Prints the summary, and says how the process ends.
    fn end(self) -> anyhow::Result<ExitCode> {
        self.summary.print(self.options.json)?;
        Ok(if self.could_not_tell { ExitCode::from(3) } else { self.summary.exit_code() })
    }
}

fn late(what: &'static str, last: String) -> ScenarioError {
    ScenarioError::Late { what, late: deadline::TimedOut { waited: Duration::ZERO, last } }
}

fn names(watched: &[Watched]) -> String {
    watched.iter().map(|watched| watched.name.as_str()).collect::<Vec<_>>().join(" and ")
}
