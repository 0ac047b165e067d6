//! Whatever a seed says is done to the nodes of a lattice while clients write: they are killed, paused, cut off, misdated,
//! and their disks are filled. Then all is healed, and nothing that was acknowledged may be lost, or count twice.
//!
//! # Reading order
//!
//! The run is here. `plan`: what a seed stands for. `lattice`, `clock`: how it is done. `load`, `promises`: who writes, and
//! what was acknowledged. `watch`: looks meanwhile. `settle`, `summary`: the end.

mod plan;
mod lattice;
mod clock;
mod load;
mod promises;
mod watch;
mod settle;
mod summary;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::Instant;

use self::lattice::{Lattice, Means, NODES, WITH_DISK, name};
use self::load::{Load, Order};
use self::plan::{Kind, Plan, Planned, Step, Victim};
use self::summary::{Injected, Summary};
use self::watch::Watch;
use super::progress::{Progress, rounded};
use super::{ScenarioError, in_directory, keep};
use crate::cluster::wait_until_settled;
use crate::network;
use crate::process::Node;
use crate::seat::{AdminError, Seat, Standing};

const FIRST_HOLDER: usize = 0;
const FIRST_MIRRORS: [usize; 2] = [1, 2];
const VOTERS: [usize; 3] = [0, 3, 4];

/// Options of `testnet run chaos`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How long faults are injected.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// The same in seconds.
    #[arg(long, conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// What the plan is drawn from; the same seed is the same plan.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON summary on standard output.
    #[arg(long)]
    json: bool,
    /// Seconds to wait for each step, and for healing.
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout: u64,
    /// Keep the nodes' directories; they are kept anyway if it does not come out right.
    #[arg(long)]
    keep: bool,
}

/// Runs the scenario and prints its summary.
pub(super) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let is_apart = network::apart().map_err(|error| error.to_string());
    let total = Duration::from_secs(options.seconds.unwrap_or(options.minutes * 60));
    let plan = Plan::drawn(options.seed, total, NODES, &WITH_DISK);
    let faults = plan.faults.iter().map(Injected::from).collect();
    let (seed, seconds_planned) = (options.seed, total.as_secs());
    let summary = Summary { seed, seconds_planned, nodes: NODES, faults, ..Summary::default() };
    let mut run = Run { options, plan, progress: Progress::new(), summary };
    let (root, outcome) = in_directory(async |root| run.all(root, is_apart).await).await?;
    let could_not_tell = outcome.as_ref().is_err_and(ScenarioError::tells_nothing);
    if let Err(error) = outcome {
        run.progress.say(error.to_string());
        run.summary.differences.push(error.to_string());
    }
    run.summary.conclude(rounded(run.progress.elapsed()));
    if options.keep || !(run.summary.ok || could_not_tell) {
        keep(root, &run.progress);
    }
    run.summary.print(options.json)?;
    Ok(ExitCode::from(if could_not_tell { 3 } else { u8::from(!run.summary.ok) }))
}

struct Run<'a> {
    options: &'a Options,
    plan: Plan,
    progress: Progress,
    summary: Summary,
}

impl Run<'_> {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.options.timeout)
    }

    async fn all(&mut self, root: &Path, is_apart: Result<(), String>) -> Result<(), ScenarioError> {
        let program = std::env::current_exe().unwrap_or_default();
        let means = Means::find(root, &program, is_apart);
        self.summary.missing = means.missing.clone();
        self.tell_plan();
        let mut lattice = Lattice::found(root, &program, means).await.map_err(ScenarioError::Start)?;
        wait_until_settled(&lattice.nodes, self.patience()).await?;
        let seat = Seat::of(&lattice.nodes).await.map_err(failed)?;
        seat.create(FIRST_HOLDER, &FIRST_MIRRORS, &VOTERS).await.map_err(failed)?;
        self.steady(&seat, &lattice.nodes).await?;
        self.progress.say(format!("{NODES} nodes run; {} holds the seat", name(FIRST_HOLDER)));
        let (orders, told) = tokio::sync::watch::channel(Order::Write);
        let (load, watch) = (Load::on(&lattice.nodes, told), Watch::over(&lattice.nodes));
        let faults = async {
            let done = self.disturb(&mut lattice, &watch).await;
            orders.send_replace(Order::Stop);
            done
        };
        let looks = async {
            watch.run(&seat, &orders).await;
            Ok(())
        };
        let outcome = tokio::try_join!(faults, load.run(), looks).map(drop);
        let outcome = match outcome {
            Ok(()) => self.settle(&seat, &lattice.nodes, &load, &watch).await,
            Err(error) => Err(error),
        };
        self.take_stock(&load, &watch);
        if outcome.is_err() || !self.summary.differences.is_empty() {
            lattice.save_disks(root).await;
        }
        outcome
    }

    fn tell_plan(&self) {
        self.progress.say(format!("the plan of seed {}: {} faults", self.options.seed, self.plan.faults.len()));
        for planned in &self.plan.faults {
            self.progress.say(format!("  {planned}"));
        }
        for (kind, reason) in &self.summary.missing {
            self.progress.say(format!("left out: {kind}: {reason}"));
        }
    }

    /// Does what the plan says; in the end no fault is left.
    async fn disturb(&mut self, lattice: &mut Lattice, watch: &Watch) -> Result<(), ScenarioError> {
        let start = Instant::now();
        for (at, step) in self.plan.steps() {
            tokio::time::sleep_until(start + at).await;
            match step {
                Step::Begin(number) => self.begin(number, lattice, watch, start).await?,
                Step::End(number) => self.end(number, lattice, watch, start).await?,
            }
        }
        for index in 0..NODES {
            if let Some(died) = lattice.died(index) {
                self.summary.differences.push(died);
                lattice.restart(index, None).await?;
            }
        }
        self.progress.say("no fault is left");
        Ok(())
    }

    async fn begin(
        &mut self,
        number: usize,
        lattice: &mut Lattice,
        watch: &Watch,
        start: Instant,
    ) -> Result<(), ScenarioError> {
        let planned = self.plan.faults[number];
        let kind = planned.fault.kind();
        if self.summary.missing.contains_key(&kind) {
            return Ok(());
        }
        let Some(index) = hit(&planned, watch) else { return Ok(()) };
        watch.seen().faulted.insert(index);
        lattice.begin(index, planned.fault).await?;
        *self.summary.injected.entry(kind).or_default() += 1;
        let injected = &mut self.summary.faults[number];
        (injected.node, injected.began_s) = (Some(name(index)), Some(rounded(start.elapsed())));
        self.progress.say(format!("{}: {}", name(index), planned.fault));
        Ok(())
    }

    async fn end(
        &mut self,
        number: usize,
        lattice: &mut Lattice,
        watch: &Watch,
        start: Instant,
    ) -> Result<(), ScenarioError> {
        let planned = self.plan.faults[number];
        let injected = &mut self.summary.faults[number];
        let Some(index) = (0..NODES).find(|index| injected.node == Some(name(*index))) else { return Ok(()) };
        if let Some(died) = lattice.end(index, planned.fault).await? {
            self.summary.differences.push(died);
        }
        injected.ended_s = Some(rounded(start.elapsed()));
        watch.seen().faulted.remove(&index);
        self.progress.say(format!("{}: ended: {}", name(index), planned.fault));
        Ok(())
    }

    async fn steady(&self, seat: &Seat, nodes: &[Node]) -> Result<Standing, ScenarioError> {
        let steady = seat.steady(nodes, self.patience()).await;
        steady.map_err(|late| ScenarioError::Late { what: "the seat is not steady", late })
    }
}

/// Who is hit: whoever the plan says, or the next one that is under no fault and has what the fault needs.
fn hit(planned: &Planned, watch: &Watch) -> Option<usize> {
    let seen = watch.seen();
    let first = match planned.victim {
        Victim::Holder => seen.roles.holder.unwrap_or(FIRST_HOLDER),
        Victim::Shadow => seen.roles.shadow.unwrap_or(FIRST_MIRRORS[0]),
        Victim::Node(node) => node,
    };
    let is_possible = |node: &usize| planned.fault.kind() != Kind::FullDisk || WITH_DISK.contains(node);
    let mut nodes = (first..first + NODES).map(|node| node % NODES).filter(is_possible);
    nodes.find(|node| !seen.faulted.contains(node))
}

fn failed(error: AdminError) -> ScenarioError {
    ScenarioError::Seat(error.to_string())
}
