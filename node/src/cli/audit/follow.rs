//! Look after look, with what is said about each.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use lattice::bundle::time;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::deep::{self, DeepView};
use super::finding::{Finding, Kind, Patience, Standing, Weighed};
use super::gauges::Gauges;
use super::look::{Auditor, Look, NodeView};
use super::notify::{Listeners, Notice, Notifier};
use crate::api::auth::ApiToken;
use crate::cli::exit::Failure;
use crate::cli::text::{as_json, counted, grouped, short, table, visible};

/// Pause before the next look while something may still pass: cosignatures come within a second.
const AGAIN: Duration = Duration::from_millis(500);

/// How often a follower says how things stand while nothing begins or ends.
const WORD_EVERY: Duration = Duration::from_secs(3600);

/// When to look.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// Once, and again only while something may still pass.
    Once,
    /// Until told to stop.
    Every {
        /// Pause between two looks.
        seconds: u64,
    },
}

/// An audit of running nodes.
pub(super) struct Follow {
    /// Who looks.
    pub(super) auditor: Auditor,
    /// When.
    pub(super) pace: Pace,
    /// Whether records are read, and with which token entries.
    pub(super) deep: Option<Option<ApiToken>>,
    /// Whether JSON is printed.
    pub(super) json: bool,
}

impl Follow {
    /// Looks until it is done, to the exit code.
    ///
    /// # Errors
    ///
    /// [`Failure`] if something of the auditor's own fails.
    pub(super) async fn run(self, listeners: Listeners, metrics: Option<SocketAddr>) -> Result<ExitCode, Failure> {
        let gauges = match metrics {
            Some(address) => Some(Gauges::serve(address).await?),
            None => None,
        };
        let notifier = Notifier::start(listeners);
        let ended = match self.pace {
            Pace::Once => self.once(&notifier).await,
            Pace::Every { seconds } => self.follow(Duration::from_secs(seconds), &notifier, gauges.as_ref()).await,
        };
        notifier.finish().await;
        ended
    }

    async fn once(mut self, notifier: &Notifier) -> Result<ExitCode, Failure> {
        let mut look = self.settled().await;
        let reports = self.deepen(&mut look).await;
        for alarm in &look.weighed.alarms {
            notifier.tell(&notice("alarm", &look, alarm));
        }
        let code = exit_code(&look, &reports);
        let text = if self.json {
            let verdict = ["well", "alarm", "", "undecided"][usize::from(code)];
            format!("{}\n", as_json(&object(verdict, &look, &reports)))
        } else {
            words(&look, &reports)
        };
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(ExitCode::from(code))
    }

    /// Looks until all that may pass has passed, or is an alarm.
    async fn settled(&mut self) -> Look {
        let mut earlier = Vec::new();
        loop {
            let mut look = self.auditor.look().await;
            look.weighed.keep(std::mem::take(&mut earlier));
            if !is_unsettled(&look) {
                return look;
            }
            earlier = look.weighed.alarms;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Reads records and entries of all nodes whose log was accepted.
    async fn deepen(&self, look: &mut Look) -> Vec<DeepView> {
        let Some(token) = &self.deep else { return Vec::new() };
        let mut reports = Vec::new();
        for node in &look.nodes {
            if let Some(accepted) = &node.accepted {
                let (report, found) = deep::audit(&self.auditor.fetch, &node.url, accepted, token.as_ref()).await;
                look.weighed.alarms.extend(found);
                reports.push(report);
            }
        }
        reports
    }

    async fn follow(
        mut self,
        every: Duration,
        notifier: &Notifier,
        gauges: Option<&Gauges>,
    ) -> Result<ExitCode, Failure> {
        let mut stop = Stop::new()?;
        let (mut standing, mut raised, mut said) = (Standing::default(), false, Instant::now());
        // What a deep audit found does not pass while this runs.
        let mut deep = None;
        self.greet(every)?;
        loop {
            let mut look = tokio::select! {
                look = self.auditor.look() => look,
                () = stop.told() => break,
            };
            let found = match &deep {
                None => tokio::select! {
                    found = self.deep_alarms(&mut look) => found?,
                    () = stop.told() => break,
                },
                Some(found) => Vec::clone(found),
            };
            look.weighed.alarms.extend(found.iter().cloned());
            deep = Some(found);
            let away: Vec<&str> = look.nodes.iter().filter(|node| node.is_away).map(|node| node.url.as_str()).collect();
            look.weighed.keep(standing.about(&away));
            let (new, over) = standing.update(&look.weighed.alarms);
            raised |= new.iter().any(speaks_against_nodes);
            self.say(&look, &new, &over, notifier)?;
            if said.elapsed() >= WORD_EVERY {
                said = Instant::now();
                self.say_how_it_stands(&look)?;
            }
            if let Some(gauges) = gauges {
                gauges.show(&look);
            }
            let pause = if is_unsettled(&look) { AGAIN.min(every) } else { every };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.told() => break,
            }
        }
        Ok(ExitCode::from(u8::from(raised)))
    }

    /// One line at the start; in JSON the first look says it.
    fn greet(&self, every: Duration) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let urls: Vec<String> = self.auditor.urls.iter().map(|url| visible(url)).collect();
        let mut out = std::io::stdout();
        writeln!(
            out,
            "{} follows {}, one look each {} s; alarms are said when they begin and when they are over",
            time(crate::clock::now_ms()),
            urls.join(" "),
            every.as_secs()
        )?;
        Ok(out.flush()?)
    }

    /// One line in between, so that silence is not taken for an end.
    fn say_how_it_stands(&self, look: &Look) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let answered = look.nodes.iter().filter(|node| node.answered).count();
        let records = look.nodes.iter().filter_map(|node| node.size).max().unwrap_or_default();
        let mut out = std::io::stdout();
        writeln!(
            out,
            "{} follows on: {answered} of {} answered, {} stand, the longest log has {}",
            time(look.at_ms),
            counted(look.nodes.len() as u64, "node", "nodes"),
            counted(look.weighed.alarms.len() as u64, "alarm", "alarms"),
            counted(records, "record", "records"),
        )?;
        Ok(out.flush()?)
    }

    async fn deep_alarms(&self, look: &mut Look) -> Result<Vec<Finding>, Failure> {
        let before = look.weighed.alarms.len();
        for report in self.deepen(look).await {
            let line =
                if self.json { json!({"event": "deep", "report": report}).to_string() } else { deep_words(&report) };
            writeln!(std::io::stdout(), "{line}")?;
        }
        Ok(look.weighed.alarms.split_off(before))
    }

    fn say(&self, look: &Look, new: &[Finding], over: &[Finding], notifier: &Notifier) -> Result<(), Failure> {
        let mut out = std::io::stdout();
        if self.json {
            let event = json!({"event": "look", "time_ms": look.at_ms, "nodes": look.nodes,
                "alarms": look.weighed.alarms.len(), "pending": look.weighed.pending});
            writeln!(out, "{event}")?;
        }
        for (event, finding) in new.iter().map(|f| ("alarm", f)).chain(over.iter().map(|f| ("over", f))) {
            let notice = notice(event, look, finding);
            if self.json {
                writeln!(out, "{}", serde_json::to_string(&notice).map_err(std::io::Error::from)?)?;
            } else {
                let begins = if event == "alarm" { "ALARM" } else { "over" };
                writeln!(out, "{} {begins} {}", time(look.at_ms), in_words(finding))?;
            }
            notifier.tell(&notice);
        }
        Ok(out.flush()?)
    }
}

/// Whether a finding says something of the nodes, and not of this auditor.
fn speaks_against_nodes(finding: &Finding) -> bool {
    finding.kind != Kind::Unsaved
}

/// What a single look comes to.
fn exit_code(look: &Look, reports: &[DeepView]) -> u8 {
    let Weighed { alarms, pending } = &look.weighed;
    let is_silent = |finding: &Finding| finding.kind == Kind::Silent;
    if alarms.iter().any(speaks_against_nodes) {
        1
    } else if !alarms.is_empty()
        || pending.iter().any(is_silent)
        || reports.iter().any(|report| report.could_not.is_some())
    {
        3
    } else {
        0
    }
}

/// Whether something was found that a moment may clear.
fn is_unsettled(look: &Look) -> bool {
    look.weighed.pending.iter().any(|finding| finding.kind.patience() == Patience::Grace)
}

fn notice(event: &'static str, look: &Look, finding: &Finding) -> Notice {
    Notice { event, time_ms: look.at_ms, finding: finding.clone() }
}

fn object(verdict: &str, look: &Look, reports: &[DeepView]) -> Value {
    json!({
        "verdict": verdict,
        "time_ms": look.at_ms,
        "nodes": look.nodes,
        "deep": reports,
        "alarms": look.weighed.alarms,
        "pending": look.weighed.pending,
    })
}

fn words(look: &Look, reports: &[DeepView]) -> String {
    let mut text = table(&look.nodes.iter().map(node_in_words).collect::<Vec<_>>());
    for report in reports {
        text.push_str(&deep_words(report));
        text.push('\n');
    }
    for finding in &look.weighed.pending {
        text.push_str(&format!("not yet: {}\n", in_words(finding)));
    }
    for finding in &look.weighed.alarms {
        text.push_str(&format!("ALARM {}\n", in_words(finding)));
    }
    if look.weighed.alarms.is_empty()
        && look.weighed.pending.is_empty()
        && reports.iter().all(|r| r.could_not.is_none())
    {
        text.push_str("all well\n");
    }
    text
}

fn in_words(finding: &Finding) -> String {
    visible(&format!("{} at {}: {}", finding.kind.word(), finding.at, finding.sentence))
}

fn node_in_words(node: &NodeView) -> Vec<String> {
    let log = match (&node.log, node.size) {
        (Some(log), Some(size)) => format!("log {} of {}", visible(log), counted(size, "record", "records")),
        _ if node.answered => "no log that the policy accepts".to_owned(),
        _ => "no answer".to_owned(),
    };
    let state = node.state_root.as_deref().map_or_else(String::new, |root| format!("state {}", short(root)));
    vec![visible(&node.url), log, counted(node.witnesses, "witness", "witnesses"), state]
}

fn deep_words(report: &DeepView) -> String {
    let mut text = format!("{}: {} hashed again", visible(&report.url), counted(report.records, "record", "records"));
    if let Some(root) = &report.state_root {
        let (entries, commits) = (grouped(report.entries), counted(report.commits, "commit", "commits"));
        text.push_str(&format!(", {entries} entries of {commits} verified, state {}", visible(root)));
    }
    if let Some(why) = &report.could_not {
        text.push_str(&format!("; could not go on: {}", visible(why)));
    }
    text
}

/// Ctrl-C or SIGTERM.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self, Failure> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
