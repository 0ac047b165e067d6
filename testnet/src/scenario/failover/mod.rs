//! The seat's holder is killed again and again while clients write: a shadow takes over, and nothing that was acknowledged
//! is lost, or counts twice. Afterwards the seat is handed over on purpose, without a refused write.

mod load;
mod settle;
mod summary;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::load::Load;
use self::summary::{Summary, Targets};
use super::progress::{Progress, rounded};
use super::{ScenarioError, in_directory, keep};
use crate::cluster::wait_until_settled;
use crate::process::Node;
use crate::seat::{AdminError, Seat, Standing, found};

/// Holder, shadow, spare, and two plain members, which clients write at.
const NODES: usize = 5;
const FIRST_HOLDER: usize = 0;
const FIRST_MIRRORS: [usize; 2] = [1, 2];
const VOTERS: [usize; 3] = [0, 3, 4];
const MEMBERS: [usize; 2] = [3, 4];

/// How long writes are watched after an order to hand over: long enough to see the first ones under the new holder.
const WATCHED: Duration = Duration::from_secs(1);

/// Options of `testnet run failover`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How often the holder is killed.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=1000))]
    rounds: u16,
    /// How often the seat is handed over on purpose.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    planned: u16,
    /// Run the nodes with the intervals for slow networks, and hold them against other times.
    #[arg(long)]
    wan: bool,
    /// Seconds to wait for each step, and for a write's acknowledgement.
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout: u64,
    /// Keep the nodes' directories; they are kept anyway if it does not come out right.
    #[arg(long)]
    keep: bool,
}

/// Runs the scenario and prints its summary as JSON.
pub(super) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let targets = if options.wan { Targets::WAN } else { Targets::LAN };
    let mut run = Run { options, progress: Progress::new(), summary: Summary::new(targets) };
    let (root, outcome) = in_directory(async |root| run.all(root).await).await?;
    let could_not_tell = outcome.as_ref().is_err_and(ScenarioError::tells_nothing);
    if let Err(error) = outcome {
        run.progress.say(error.to_string());
        run.summary.differences.push(error.to_string());
    }
    run.summary.conclude(rounded(run.progress.elapsed()));
    if options.keep || !(run.summary.ok || could_not_tell) {
        keep(root, &run.progress);
    }
    println!("{}", serde_json::to_string_pretty(&run.summary)?);
    Ok(ExitCode::from(if could_not_tell { 3 } else { u8::from(!run.summary.ok) }))
}

struct Run<'a> {
    options: &'a Options,
    progress: Progress,
    summary: Summary,
}

impl Run<'_> {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.options.timeout)
    }

    async fn all(&mut self, root: &Path) -> Result<(), ScenarioError> {
        let program = std::env::current_exe().unwrap_or_default();
        let timing = ["--seat-timing", if self.options.wan { "wan" } else { "lan" }];
        let mut nodes = found(&program, root, NODES, &timing).await.map_err(ScenarioError::Start)?;
        wait_until_settled(&nodes, self.patience()).await?;
        let seat = Seat::of(&nodes).await.map_err(failed)?;
        seat.create(FIRST_HOLDER, &FIRST_MIRRORS, &VOTERS).await.map_err(failed)?;
        self.steady(&seat, &nodes).await?;
        self.progress.say(format!("{NODES} nodes run; {} holds the seat", nodes[FIRST_HOLDER].name()));
        let (stop, stopped) = watch::channel(false);
        let load = Load::on(&nodes, MEMBERS, self.patience(), stopped);
        let rounds = async {
            let done = self.rounds(&seat, &mut nodes, &load).await;
            stop.send_replace(true);
            done
        };
        tokio::try_join!(rounds, load.run())?;
        self.settle(&seat, &nodes, &load).await
    }

    async fn rounds(&mut self, seat: &Seat, nodes: &mut [Node], load: &Load) -> Result<(), ScenarioError> {
        for round in 1..=self.options.rounds {
            let standing = self.steady(seat, nodes).await?;
            load.holder_is(standing.holder);
            self.kill(&standing, nodes, load, round).await?;
        }
        for round in 1..=self.options.planned {
            let standing = self.steady(seat, nodes).await?;
            load.holder_is(standing.holder);
            self.hand_over(&standing, seat, nodes, load, round).await?;
        }
        let standing = self.steady(seat, nodes).await?;
        load.holder_is(standing.holder);
        Ok(())
    }

    async fn steady(&self, seat: &Seat, nodes: &[Node]) -> Result<Standing, ScenarioError> {
        let steady = seat.steady(nodes, self.patience()).await;
        steady.map_err(|late| ScenarioError::Late { what: "the seat is not steady", late })
    }

    /// Kills the holder, waits for the first write under another one, and starts it again.
    async fn kill(
        &mut self,
        standing: &Standing,
        nodes: &mut [Node],
        load: &Load,
        round: u16,
    ) -> Result<(), ScenarioError> {
        let holder = &mut nodes[standing.holder];
        let asked = Instant::now();
        holder.kill().await;
        // What began before may still be the dead holder's acknowledgement.
        let gone = Instant::now();
        load.probe(&format!("kill-{round}")).await?;
        if let Some(next) = standing.shadow {
            load.holder_is(next);
        }
        let first = load.ledger().first_begun_after(gone);
        let first = first.ok_or_else(|| ScenarioError::Seat("no write was acknowledged after a kill".to_owned()))?;
        let took = first.duration_since(asked);
        self.summary.unplanned_ms.push(took);
        let name = holder.name().to_owned();
        self.progress.say(format!("round {round}: killed {name} in term {}; {} ms", standing.term, took.as_millis()));
        // A mirror has no API that could say that it is ready.
        holder.listen().await.map_err(ScenarioError::NotLetIn)?;
        Ok(())
    }

    async fn hand_over(
        &mut self,
        standing: &Standing,
        seat: &Seat,
        nodes: &[Node],
        load: &Load,
        round: u16,
    ) -> Result<(), ScenarioError> {
        let began = Instant::now();
        seat.admin(standing.holder).switchover().await.map_err(failed)?;
        let ordered = began.elapsed();
        load.probe(&format!("planned-{round}")).await?;
        if let Some(next) = standing.shadow {
            load.holder_is(next);
        }
        tokio::time::sleep(WATCHED).await;
        let (gap, refused) = {
            let ledger = load.ledger();
            (ledger.longest_gap(began), ledger.refused_since(began))
        };
        self.summary.planned_ms.push(gap);
        self.summary.planned_refused += refused.len();
        self.summary.differences.extend(refused.into_iter().map(|why| format!("refused in a switchover: {why}")));
        let name = nodes[standing.holder].name();
        let (gap, ordered) = (gap.as_millis(), ordered.as_millis());
        self.progress.say(format!("round {round}: {name} handed over in {ordered} ms; longest gap {gap} ms"));
        Ok(())
    }
}

fn failed(error: AdminError) -> ScenarioError {
    ScenarioError::Seat(error.to_string())
}
