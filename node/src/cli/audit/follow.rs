//! Look after look, with what is said about each.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use lattice::bundle::time;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::course::{Course, speaks_against_nodes};
use super::deep::{self, DeepView};
use super::finding::{Finding, Kind, Standing, Weighed};
use super::forks;
use super::gauges::Gauges;
use super::look::{Auditor, Look};
use super::notify::{Listeners, Notice, Notifier};
use super::said::{deep_words, in_words, object, words};
use crate::api::auth::ApiToken;
use crate::cli::exit::{Failure, conclude};
use crate::cli::text::{as_json, counted, visible};

/// Pause before the next look while something may still pass: cosignatures come within a second.
const AGAIN: Duration = Duration::from_millis(500);

/// Pause before a node is read in depth once more that could not be read to the end: it may be a million records.
const READ_AGAIN: Duration = Duration::from_secs(600);

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
        let reports = self.deepen(&mut look, &mut BTreeSet::from_iter(self.auditor.urls.clone())).await;
        look.weighed.keep(self.auditor.unsaved().into_iter().collect());
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
        conclude(&text, code)
    }

    /// Looks until all that may pass has passed, or is an alarm; but not for ever.
    async fn settled(&mut self) -> Look {
        let mut look = self.auditor.look().await;
        let began_ms = look.at_ms;
        while !look.weighed.is_settled(self.auditor.waits, look.at_ms.saturating_sub(began_ms)) {
            let earlier = std::mem::take(&mut look.weighed.alarms);
            tokio::time::sleep(AGAIN).await;
            look = self.auditor.look().await;
            look.weighed.keep(earlier);
        }
        look
    }

    /// Reads records and entries of those of the `unread` nodes whose log was accepted; what was read whole is unread no
    /// more.
    async fn deepen(&mut self, look: &mut Look, unread: &mut BTreeSet<String>) -> Vec<DeepView> {
        let Some(token) = &self.deep else { return Vec::new() };
        let mut reports = Vec::new();
        for node in look.nodes.iter().filter(|node| unread.contains(&node.url)).cloned().collect::<Vec<_>>() {
            if let Some(accepted) = &node.accepted {
                let Auditor { fetch, known, policy, .. } = &mut self.auditor;
                let (report, found) = deep::audit(fetch, known, &node.url, accepted, token.as_ref()).await;
                look.weighed.alarms.extend(found);
                look.weighed.keep(forks::standing(known, policy));
                if report.could_not.is_none() {
                    unread.remove(&node.url);
                }
                reports.push(report);
            }
        }
        reports
    }

    /// Looks until told to stop, or until nobody reads what is said.
    async fn follow(
        mut self,
        every: Duration,
        notifier: &Notifier,
        gauges: Option<&Gauges>,
    ) -> Result<ExitCode, Failure> {
        let mut stop = Stop::new()?;
        let mut course = Course::of(&self.auditor.urls, self.deep.is_some());
        let ended = self.go_on(&mut course, every, notifier, gauges, &mut stop).await;
        match ended {
            Err(failure) if !failure.is_reader_gone() => Err(failure),
            Ok(()) | Err(_) => Ok(ExitCode::from(course.exit_code())),
        }
    }

    async fn go_on(
        &mut self,
        course: &mut Course,
        every: Duration,
        notifier: &Notifier,
        gauges: Option<&Gauges>,
        stop: &mut Stop,
    ) -> Result<(), Failure> {
        let (mut standing, mut said) = (Standing::default(), Instant::now());
        self.greet(every)?;
        loop {
            let mut look = tokio::select! {
                look = self.auditor.look() => look,
                () = stop.told() => return Ok(()),
            };
            course.saw(&look);
            tokio::select! {
                done = self.read_on(&mut look, course) => done?,
                () = stop.told() => return Ok(()),
            }
            let away: Vec<&str> = look.nodes.iter().filter(|node| node.is_away).map(|node| node.url.as_str()).collect();
            look.weighed.keep(standing.about(&away));
            let (new, over) = standing.update(&look.weighed.alarms);
            course.raised |= new.iter().any(speaks_against_nodes);
            self.say(&look, &new, &over, notifier)?;
            if said.elapsed() >= WORD_EVERY {
                said = Instant::now();
                self.say_how_it_stands(&look)?;
            }
            if let Some(gauges) = gauges {
                gauges.show(&look);
            }
            let pause = if look.weighed.may_clear() { AGAIN.min(every) } else { every };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.told() => return Ok(()),
            }
        }
    }

    /// Reads those nodes in depth that were not read yet, and says which still are not. What was found so far goes with
    /// each look: it does not pass while this runs.
    async fn read_on(&mut self, look: &mut Look, course: &mut Course) -> Result<(), Failure> {
        if !course.unread.is_empty() && course.read_at.is_none_or(|at| at.elapsed() >= READ_AGAIN) {
            let before = look.weighed.alarms.len();
            let reports = self.deepen(look, &mut course.unread).await;
            // A node that was away costs nothing, one that was read in part much.
            course.read_at = reports.iter().any(|report| report.could_not.is_some()).then(Instant::now);
            for finding in look.weighed.alarms.drain(before..) {
                if !course.found.contains(&finding) {
                    course.found.push(finding);
                }
            }
            self.say_what_was_read(&reports, course)?;
        }
        look.weighed.keep(course.found.clone());
        Ok(())
    }

    fn say_what_was_read(&self, reports: &[DeepView], course: &mut Course) -> Result<(), Failure> {
        let mut out = std::io::stdout();
        for report in reports {
            let line =
                if self.json { json!({"event": "deep", "report": report}).to_string() } else { deep_words(report) };
            writeln!(out, "{line}")?;
        }
        for url in &course.unread {
            if course.said_unread.insert(url.clone()) {
                let line = if self.json {
                    json!({"event": "unread", "url": url}).to_string()
                } else {
                    format!("{}: not read in depth yet; that is tried again while this runs", visible(url))
                };
                writeln!(out, "{line}")?;
            }
        }
        Ok(out.flush()?)
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

    fn say(&self, look: &Look, new: &[Finding], over: &[Finding], notifier: &Notifier) -> Result<(), Failure> {
        // First those who are told of alarms: output that nobody reads must not keep one from them.
        let notices: Vec<_> = new
            .iter()
            .map(|finding| ("alarm", finding))
            .chain(over.iter().map(|finding| ("over", finding)))
            .map(|(event, finding)| notice(event, look, finding))
            .collect();
        notices.iter().for_each(|notice| notifier.tell(notice));
        let mut out = std::io::stdout();
        if self.json {
            let event = json!({"event": "look", "time_ms": look.at_ms, "nodes": look.nodes,
                "alarms": look.weighed.alarms.len(), "pending": look.weighed.pending});
            writeln!(out, "{event}")?;
        }
        for notice in &notices {
            if self.json {
                writeln!(out, "{}", serde_json::to_string(notice).map_err(std::io::Error::from)?)?;
            } else {
                let begins = if notice.event == "alarm" { "ALARM" } else { "over" };
                writeln!(out, "{} {begins} {}", time(look.at_ms), in_words(&notice.finding))?;
            }
        }
        Ok(out.flush()?)
    }
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

fn notice(event: &'static str, look: &Look, finding: &Finding) -> Notice {
    Notice { event, time_ms: look.at_ms, finding: finding.clone() }
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
