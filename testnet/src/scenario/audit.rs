//! An auditor follows a lattice under load. It must stay calm while all is well, and catch a node that begins to show
//! another history, with evidence that holds offline.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use lattice::keys::NodeKeys;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch as signal;

use super::progress::{Progress, rounded};
use super::writer::{self, Pace};
use super::{ScenarioError, Target, in_directory, keep};
use crate::cluster::{Cluster, wait_until_settled};
use crate::deadline;
use crate::lying_log::{Lie, LyingLog};
use crate::process::{Node, Signal, send};

/// Looks, one a second, that must be calm before a node lies, and without a lie.
const CALM_LOOKS: usize = 10;
const CALM_LOOKS_ALONE: usize = 20;

/// Between two commits at each node: a hundred a second on five nodes.
const LOAD: Pace = Pace { pause: Duration::from_millis(50), writes_min: 1 };

/// Options of `testnet run audit`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Nodes; the log of the last one forks.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=30))]
    nodes: u8,
    /// No node lies: the audit must end without an alarm.
    #[arg(long)]
    honest: bool,
    /// Print one JSON summary on standard output.
    #[arg(long)]
    json: bool,
    /// Seconds within which a lie must be caught.
    #[arg(long, value_name = "S", default_value_t = 10)]
    within: u64,
    /// Seconds to wait for each step.
    #[arg(long, value_name = "S", default_value_t = 120)]
    timeout: u64,
    /// Keep the directories; they are kept anyway if it does not come out right.
    #[arg(long)]
    keep: bool,
}

/// The outcome of a run.
#[derive(Debug, Clone, Default, Serialize)]
struct Summary {
    /// Whether everything came out right.
    ok: bool,
    /// Nodes.
    nodes: usize,
    /// Looks without an alarm before a node lied.
    calm_looks: usize,
    /// Puts acknowledged meanwhile.
    written: usize,
    /// Records of the longest log that was accepted.
    records: u64,
    /// From the lie to the alarm; none if nobody lied.
    seconds_to_alarm: Option<f64>,
    /// The word of the alarm.
    alarm: Option<String>,
    /// Whether the evidence holds offline.
    evidence_holds: Option<bool>,
    /// From the first process to the end.
    seconds_total: f64,
    /// What is not as it should be.
    differences: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.ok { "ok" } else { "FAILED" })?;
        writeln!(f, "nodes            {}", self.nodes)?;
        writeln!(f, "calm looks       {}, over logs of up to {} records", self.calm_looks, self.records)?;
        writeln!(f, "written          {} puts", self.written)?;
        if let (Some(seconds), Some(alarm)) = (self.seconds_to_alarm, &self.alarm) {
            let holds = if self.evidence_holds == Some(true) { "holds" } else { "does not hold" };
            writeln!(f, "lie caught       after {seconds} s, as \"{alarm}\"; the evidence {holds} offline")?;
        }
        writeln!(f, "total            {} s", self.seconds_total)?;
        self.differences.iter().try_for_each(|difference| writeln!(f, "DIFFERENCE       {difference}"))
    }
}

/// Runs the scenario and prints its summary.
pub(super) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut run = Run { options, progress: Progress::new(), summary: Summary::default() };
    let (root, outcome) = in_directory(async |root| run.all(root).await).await?;
    let could_not_tell = outcome.as_ref().is_err_and(ScenarioError::tells_nothing);
    if let Err(error) = outcome {
        run.summary.differences.push(error.to_string());
    }
    run.summary.seconds_total = rounded(run.progress.elapsed());
    run.summary.ok = run.summary.differences.is_empty();
    if options.keep || !(run.summary.ok || could_not_tell) {
        keep(root, &run.progress);
    }
    let summary = &run.summary;
    println!("{}", if options.json { serde_json::to_string_pretty(summary)? } else { summary.to_string() });
    Ok(ExitCode::from(if could_not_tell { 3 } else { u8::from(!summary.ok) }))
}

struct Run<'a> {
    options: &'a Options,
    progress: Progress,
    summary: Summary,
}

/// `lattice audit` as a process, and what it prints.
struct Auditor {
    lines: Lines<BufReader<ChildStdout>>,
    /// Is killed with this.
    child: Child,
}

impl Run<'_> {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.options.timeout)
    }

    async fn all(&mut self, root: &Path) -> Result<(), ScenarioError> {
        let program = std::env::current_exe().unwrap_or_default();
        let cluster = Cluster::start(&program, root, self.options.nodes.into()).await.map_err(ScenarioError::Start)?;
        wait_until_settled(cluster.nodes(), self.patience()).await?;
        self.summary.nodes = cluster.nodes().len();
        self.progress.say(format!("{} nodes are ready; each writes twenty times a second", cluster.nodes().len()));
        let patience = self.patience();
        let target = |node: &Node| Target { node: node.name().to_owned(), reached: node.subscribe(), patience };
        let targets: Vec<Target> = cluster.nodes().iter().map(target).collect();
        let (stop, stopped) = signal::channel(false);
        let writers = targets.iter().map(|target| writer::write(target, &[], LOAD, &stopped));
        let steps = async {
            let outcome = self.audit(&program, root, cluster.nodes()).await;
            stop.send_replace(true);
            outcome
        };
        let ((), written) = tokio::try_join!(steps, try_join_all(writers))?;
        self.summary.written = written.iter().map(|written| written.puts).sum();
        Ok(())
    }

    async fn audit(&mut self, program: &Path, root: &Path, nodes: &[Node]) -> Result<(), ScenarioError> {
        let liar = nodes.last().ok_or_else(|| failed("there is no node"))?;
        let front = LyingLog::before(&url(liar)?, keys(liar)?).await.map_err(|error| failed(&error.to_string()))?;
        let mut urls: Vec<String> = nodes[..nodes.len() - 1].iter().map(url).collect::<Result<_, _>>()?;
        urls.push(front.url().to_owned());
        let policy = root.join("policy");
        self.write_policy(&nodes[0], &policy).await?;
        let mut auditor = Auditor::start(program, &urls, &policy, &root.join("audit.json"))?;
        let looks = if self.options.honest { CALM_LOOKS_ALONE } else { CALM_LOOKS };
        self.calm(&mut auditor, looks).await?;
        if self.options.honest {
            return auditor.end(self.patience()).await;
        }
        self.progress.say(format!("{} begins to show another history", liar.name()));
        let began = Instant::now();
        front.lie(Lie::RewrittenRecord).await.map_err(|error| failed(&error.to_string()))?;
        let evidence = self.alarm(&mut auditor, began).await?;
        self.verify(program, &evidence, &policy).await
    }

    /// The lattice's policy, as an operator would hand it to an auditor.
    async fn write_policy(&self, node: &Node, file: &Path) -> Result<(), ScenarioError> {
        let url = format!("{}/api/v1/policy", url(node)?);
        let got = deadline::until(self.patience(), async || {
            let answer = reqwest::get(&url).await.map_err(|error| error.to_string())?;
            answer.text().await.map_err(|error| error.to_string())
        });
        let policy = got.await.map_err(|late| ScenarioError::Late { what: "no policy", late })?;
        std::fs::write(file, policy).map_err(|error| failed(&format!("{}: {error}", file.display())))
    }

    async fn calm(&mut self, auditor: &mut Auditor, looks: usize) -> Result<(), ScenarioError> {
        while self.summary.calm_looks < looks {
            let event = auditor.next(self.patience()).await?;
            match event["event"].as_str() {
                Some("look") if is_whole(&event) => {
                    self.summary.calm_looks += 1;
                    let sizes = event["nodes"].as_array().into_iter().flatten();
                    let longest = sizes.filter_map(|node| node["size"].as_u64()).max().unwrap_or(0);
                    self.summary.records = self.summary.records.max(longest);
                }
                Some("alarm") => return Err(failed(&format!("an alarm while all was well: {event}"))),
                // A look before the first checkpoints, or something that has passed.
                Some(_) | None => {}
            }
        }
        self.progress.say(format!("{looks} looks, no alarm"));
        Ok(())
    }

    /// Waits for the alarm; gives the file with the evidence.
    async fn alarm(&mut self, auditor: &mut Auditor, began: Instant) -> Result<PathBuf, ScenarioError> {
        loop {
            let event = auditor.next(Duration::from_secs(self.options.within).saturating_sub(began.elapsed())).await?;
            let word = event["word"].as_str().unwrap_or_default();
            if event["event"] != "alarm" {
                continue;
            }
            self.progress.say(format!("alarm: {word}: {}", event["sentence"].as_str().unwrap_or_default()));
            if word == "fork" {
                self.summary.seconds_to_alarm = Some(rounded(began.elapsed()));
                self.summary.alarm = Some(word.to_owned());
                let evidence = event["evidence"].as_str().ok_or_else(|| failed("a fork without evidence"))?;
                return Ok(evidence.into());
            }
        }
    }

    async fn verify(&mut self, program: &Path, evidence: &Path, policy: &Path) -> Result<(), ScenarioError> {
        let verified = Command::new(program).arg("verify").arg(evidence).arg("--policy").arg(policy).output().await;
        let verified = verified.map_err(|error| failed(&error.to_string()))?;
        self.summary.evidence_holds = Some(verified.status.success());
        let said = String::from_utf8_lossy(&verified.stdout).into_owned() + &String::from_utf8_lossy(&verified.stderr);
        self.progress.say(said.lines().next().unwrap_or_default());
        if verified.status.success() { Ok(()) } else { Err(failed(&format!("the evidence does not hold: {said}"))) }
    }
}

impl Auditor {
    fn start(program: &Path, urls: &[String], policy: &Path, state: &Path) -> Result<Self, ScenarioError> {
        let mut command = Command::new(program);
        command.arg("audit").args(urls).arg("--policy").arg(policy).arg("--state").arg(state);
        command.args(["--every", "1", "--json"]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| failed(&error.to_string()))?;
        let stdout = child.stdout.take().ok_or_else(|| failed("the auditor prints nothing"))?;
        Ok(Self { lines: BufReader::new(stdout).lines(), child })
    }

    /// The next thing that it prints.
    async fn next(&mut self, patience: Duration) -> Result<serde_json::Value, ScenarioError> {
        let line = tokio::time::timeout(patience, self.lines.next_line()).await;
        let line = line.map_err(|_| failed("the auditor said nothing of it in time"))?;
        let line = line.map_err(|error| failed(&error.to_string()))?.ok_or_else(|| failed("the auditor has ended"))?;
        serde_json::from_str(&line).map_err(|error| failed(&format!("the auditor printed {line:?}: {error}")))
    }

    /// Tells it to end, and holds it to what it says then: that all was well.
    async fn end(mut self, patience: Duration) -> Result<(), ScenarioError> {
        if let Some(pid) = self.child.id() {
            send(pid, Signal::TERM);
        }
        let ended = async {
            // What it still prints must not fill the pipe.
            while self.lines.next_line().await?.is_some() {}
            self.child.wait().await
        };
        let ended =
            tokio::time::timeout(patience, ended).await.map_err(|_| failed("the auditor did not end in time"))?;
        match ended.map_err(|error| failed(&error.to_string()))?.code() {
            Some(0) => Ok(()),
            code => Err(failed(&format!("all was well, and the auditor ended with {code:?}"))),
        }
    }
}

fn url(node: &Node) -> Result<String, ScenarioError> {
    let reached = node.reached().ok_or_else(|| failed(&format!("{} does not run", node.name())))?;
    Ok(reached.client.url().to_string().trim_end_matches('/').to_owned())
}

/// Whether a look saw the logs of all nodes, each with a cosignature. Under load states differ for moments, and the newest
/// checkpoint lacks cosignatures for one: that passes.
fn is_whole(look: &serde_json::Value) -> bool {
    let is_vouched_for =
        |node: &serde_json::Value| node["size"].as_u64() > Some(0) && node["witnesses"].as_u64() > Some(0);
    look["nodes"].as_array().is_some_and(|nodes| nodes.iter().all(is_vouched_for))
}

/// The node's keys, as whoever owns its machine could take them.
fn keys(node: &Node) -> Result<NodeKeys, ScenarioError> {
    let file = node.dir().join("node.key");
    let text = std::fs::read_to_string(&file).map_err(|error| failed(&format!("{}: {error}", file.display())))?;
    let seed = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok();
    let seed = seed.and_then(|seed| seed.try_into().ok());
    seed.map(NodeKeys::from_seed).ok_or_else(|| failed("node.key holds no seed"))
}

fn failed(why: &str) -> ScenarioError {
    ScenarioError::Audit(why.to_owned())
}
