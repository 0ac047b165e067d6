//! Reads the events of all nodes while they run, and tells those that a person wants to follow.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::story::Story;
use crate::client::{Client, Happening};
use crate::process::Node;
use crate::scenario::progress::{Progress, rounded};

/// Digits of a root that tell two apart.
const ROOT_DIGITS: usize = 8;

/// The events of all nodes.
#[derive(Debug)]
pub(super) struct Watch {
    watched: Vec<Watched>,
    /// Names of nodes by their URLs.
    names: BTreeMap<String, String>,
    /// The wall clock when the progress began: events have only wall time.
    began_ms: u64,
    /// What is worth telling and was not told yet, with wall time.
    held: Vec<(u64, String, String)>,
    /// What was told so far.
    pub(super) timeline: Vec<Line>,
}

/// One node's events.
#[derive(Debug)]
pub(super) struct Watched {
    /// Its name.
    pub(super) name: String,
    client: Client,
    /// Number of the last event read.
    last: u64,
    /// What they tell.
    pub(super) story: Story,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    /// Since the start.
    pub(super) seconds: f64,
    /// The node.
    pub(super) node: String,
    /// What happened.
    pub(super) what: String,
}

impl Watch {
    /// Watches nodes that run at these URLs.
    pub(super) fn new(nodes: &[(&Node, String)], progress: &Progress) -> Self {
        let watched = nodes.iter().filter_map(|(node, _)| {
            let client = node.reached()?.client;
            Some(Watched { name: node.name().to_owned(), client, last: 0, story: Story::default() })
        });
        let names = nodes.iter().map(|(node, url)| (url.clone(), node.name().to_owned())).collect();
        let began_ms = now_ms().saturating_sub(in_ms(progress.elapsed()));
        Self { watched: watched.collect(), names, began_ms, held: Vec::new(), timeline: Vec::new() }
    }

    /// The nodes, in their order.
    pub(super) fn nodes(&self) -> &[Watched] {
        &self.watched
    }

    /// Reads on to now; from here on the nodes from index `first_cut` on count as cut off from those before it.
    ///
    /// # Errors
    /// What a node said instead of its events.
    pub(super) async fn cut_off(
        &mut self,
        first_cut: usize,
        urls: &[String],
        progress: &Progress,
    ) -> Result<(), String> {
        self.look(progress).await?;
        for watched in &mut self.watched[first_cut..] {
            watched.story.cut_off_from(urls[..first_cut].to_vec());
        }
        Ok(())
    }

    /// Reads what is new at all nodes and tells what is worth it.
    ///
    /// # Errors
    /// What a node said instead of its events.
    pub(super) async fn look(&mut self, progress: &Progress) -> Result<(), String> {
        for node in 0..self.watched.len() {
            let Watched { client, last, .. } = &self.watched[node];
            for event in client.events(*last).await.map_err(|error| error.to_string())? {
                self.take(node, &event);
            }
        }
        // That there were three mismatches is known at the third only: what happened meanwhile waits for its turn.
        let is_healing = |story: &Story| story.is_of_a_cut_node() && !story.has_healed();
        if !self.watched.iter().any(|watched| is_healing(&watched.story)) {
            self.tell(progress);
        }
        Ok(())
    }

    fn take(&mut self, node: usize, event: &Happening) {
        let watched = &mut self.watched[node];
        let before = watched.story.clone();
        watched.last = event.number;
        watched.story.take(event);
        let (name, after) = (watched.name.clone(), watched.story.clone());
        let lines = self.told(&before, &after, event);
        self.held.extend(lines.into_iter().map(|(time_ms, what)| (time_ms, name.clone(), what)));
    }

    /// What an event adds to the timeline: of a node that was cut off the road there and back, and its first healing. The
    /// many sessions of HTTP mode are counted, not told.
    fn told(&self, before: &Story, after: &Story, event: &Happening) -> Vec<(u64, String)> {
        let field = |name: &str| event.fields.get(name).map_or("?", String::as_str);
        let one = |what: String| vec![(event.time_ms, what)];
        if !after.is_of_a_cut_node() {
            return Vec::new();
        }
        match event.kind.as_str() {
            "peers" => one(format!("peers {}", field("peers"))),
            "mode" => one(format!("mode {}: {}", field("mode"), field("reason"))),
            "divergence" if before.healing.is_none() => match &after.healing {
                Some(healing) => self.three_mismatches(&healing.mismatches_ms, event),
                None => Vec::new(),
            },
            "reconcile-started" if !before.has_healed() && before.healing.is_some() => {
                one(format!("reconcile with {} started", self.name(field("peer"))))
            }
            "reconcile-finished" if !before.has_healed() && before.healing.is_some() => {
                let (peer, root) = (self.name(field("peer")), short(field("root")));
                one(format!("reconcile with {peer} finished: {}, root {root}", field("outcome")))
            }
            _ => Vec::new(),
        }
    }

    /// All three are told once it is known that there are three: only then is it known with whom.
    fn three_mismatches(&self, at_ms: &[u64], third: &Happening) -> Vec<(u64, String)> {
        let field = |name: &str| third.fields.get(name).map_or("?", String::as_str);
        let peer = self.name(field("peer"));
        let mut lines: Vec<(u64, String)> =
            (1..).zip(at_ms).map(|(count, at_ms)| (*at_ms, format!("divergence {count} with {peer}"))).collect();
        if let Some((_, last)) = lines.last_mut() {
            *last = format!("{last}: root {} here, {} there", short(field("ours")), short(field("theirs")));
        }
        lines
    }

    /// Tells what is held back, in the order of its times.
    pub(super) fn tell(&mut self, progress: &Progress) {
        self.held.sort_by_key(|(time_ms, ..)| *time_ms);
        for (time_ms, node, what) in std::mem::take(&mut self.held) {
            let since = Duration::from_millis(time_ms.saturating_sub(self.began_ms));
            progress.say_of(since, format!("{node}  {what}"));
            self.timeline.push(Line { seconds: rounded(since), node, what });
        }
    }

    /// Adds what the harness itself saw at a node just now.
    pub(super) fn note(&mut self, node: &str, what: String) {
        self.held.push((now_ms(), node.to_owned(), what));
    }

    /// Seconds since the start, of a time that an event has.
    pub(super) fn seconds(&self, time_ms: u64) -> f64 {
        rounded(Duration::from_millis(time_ms.saturating_sub(self.began_ms)))
    }

    /// The name of the node at a URL.
    pub(super) fn name<'a>(&'a self, url: &'a str) -> &'a str {
        self.names.get(url).map_or(url, String::as_str)
    }
}

fn short(root: &str) -> &str {
    root.get(..ROOT_DIGITS).unwrap_or(root)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, in_ms)
}

fn in_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
