//! What is read from a node's status at each scrape, as families of samples.

use std::fmt;
use std::sync::{Arc, Mutex};

use http_fallback::mode::Mode;
use http_fallback::tracker::Breaker;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::lock;
use super::measured::seconds;
use crate::counters::Counters;
use crate::view::Status;

/// The collector; clones show the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    counters: Arc<Counters>,
    shown: Arc<Mutex<Option<Shown>>>,
}

/// One look at a node.
#[derive(Debug)]
pub(super) struct Shown {
    /// What it says of itself.
    pub(super) status: Status,
    /// How long it and its peers have not been in step.
    pub(super) disagreement_ms: u64,
}

impl Facts {
    /// A collector over a node's counters.
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, shown: Arc::default() }
    }

    /// The look that the next scrape shows.
    pub(super) fn show(&self, shown: Shown) {
        *lock(&self.shown) = Some(shown);
    }
}

impl Collector for Facts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shown = lock(&self.shown);
        let Some(shown) = shown.as_ref() else { return Ok(()) };
        let families = node(shown)
            .into_iter()
            .chain(counted(&shown.status, &self.counters))
            .chain(fallback(&shown.status))
            .chain(seat(&shown.status));
        for family in families {
            family.encode(&mut encoder)?;
        }
        Ok(())
    }
}

type Labels = Vec<(&'static str, String)>;

#[derive(Debug, Clone, Copy)]
enum Value {
    /// Grows only, from 0 at the start on.
    Counted(u64),
    /// Goes up and down.
    Whole(u64),
    /// The same, in seconds.
    Seconds(f64),
    /// Nothing but its labels.
    Info,
}

/// One name with its samples.
struct Family {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    kind: MetricType,
    samples: Vec<(Labels, Value)>,
}

impl Family {
    fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::gauges(name, help, vec![(Vec::new(), Value::Whole(value))])
    }

    fn gauges(name: &'static str, help: &'static str, samples: Vec<(Labels, Value)>) -> Self {
        Self { name, help, unit: None, kind: MetricType::Gauge, samples }
    }

    fn counters(name: &'static str, help: &'static str, samples: Vec<(Labels, Value)>) -> Self {
        Self { kind: MetricType::Counter, ..Self::gauges(name, help, samples) }
    }

    fn in_unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = format!("{}.", self.help);
        let mut family = encoder.encode_descriptor(self.name, &help, self.unit.as_ref(), self.kind)?;
        for (labels, value) in &self.samples {
            match (value, labels.is_empty()) {
                (Value::Info, _) => family.encode_info(labels)?,
                // Empty labels would be written as `{}`.
                (_, true) => return sample(*value, family),
                (_, false) => sample(*value, family.encode_family(labels)?)?,
            }
        }
        Ok(())
    }
}

fn sample(value: Value, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    match value {
        Value::Counted(value) => ConstCounter::new(value).encode(encoder),
        Value::Whole(value) => ConstGauge::new(value).encode(encoder),
        Value::Seconds(value) => ConstGauge::new(value).encode(encoder),
        Value::Info => encoder.encode_info(&Labels::new()),
    }
}

/// State, log and peers.
fn node(shown: &Shown) -> Vec<Family> {
    let Shown { status, disagreement_ms } = shown;
    let (peers, checkpoint) = (&status.peers, &status.checkpoint);
    let whole = [
        ("peers_configured", "Peers in the configuration, whether reached or not", peers.configured),
        ("peers_connected", "Distinct peers with an established connection", peers.connected),
        ("peers_lattice", "Connected peers whose handshake proved the same lattice", peers.lattice),
        ("peers_mesh", "Lattice peers in the gossip mesh", peers.mesh),
        (
            "peers_in_sync",
            "Lattice peers with an equal root or an explained reconcile within 30 seconds",
            peers.in_sync,
        ),
        ("state_entries", "Entries in the state, tombstones included", status.entries),
        ("log_records", "Records in the node's own log", status.log_size),
        ("checkpoint_records", "Records under the last signed checkpoint of the node's log", checkpoint.size),
        ("checkpoint_cosignatures", "Nodes that cosigned that checkpoint", checkpoint.cosignatures),
        ("log_forks", "Logs caught with two checkpoints that contradict each other", status.forks.len() as u64),
        (
            "state_confirmed_entries",
            "Entries under the state root that more than half of the members stated last",
            status.confirmed_root.as_ref().map_or(0, |confirmed| confirmed.entries),
        ),
        ("commits_waiting", "Commits waiting for their author or their time", status.waiting),
        ("members", "Members of the lattice", status.members),
        ("equivocations", "Authors with evidence of two commits for one place", status.equivocations.len() as u64),
        ("ready", "Whether the node serves right answers now", u64::from(status.ready)),
        ("writable", "Whether the last transaction succeeded", u64::from(status.write_refusal.is_none())),
    ];
    let times = [
        ("uptime", "Seconds since the node started", Value::Whole(status.uptime_seconds)),
        (
            "disagreement",
            "Seconds for which this node and its peers have not been in step, 0 while they are",
            Value::Seconds(seconds(*disagreement_ms)),
        ),
    ];
    let lattice = status.lattice_id.clone();
    let named = vec![("name", status.name.clone()), ("version", status.version.clone()), ("lattice_id", lattice)];
    let what = "What the node is called, what it runs, and its lattice";
    let info = Family { kind: MetricType::Info, ..Family::gauges("node", what, vec![(named, Value::Info)]) };
    let times =
        times.map(|(name, help, value)| Family::gauges(name, help, vec![(Vec::new(), value)]).in_unit(Unit::Seconds));
    whole.map(|(name, help, value)| Family::gauge(name, help, value)).into_iter().chain(times).chain([info]).collect()
}

/// What was counted since the start.
fn counted(status: &Status, counters: &Counters) -> Vec<Family> {
    let by = |label: &'static str, counts: std::collections::BTreeMap<&'static str, u64>| {
        counts.into_iter().map(|(word, count)| (vec![(label, word.to_owned())], Value::Counted(count))).collect()
    };
    let beats = counters
        .beats()
        .into_iter()
        .map(|((peer, result), count)| (vec![("peer", peer), ("result", result.to_owned())], Value::Counted(count)));
    vec![
        Family::counters(
            "divergences",
            "Times a peer's root differed and nothing explained it, or a stored entry was not what was stored",
            vec![(Vec::new(), Value::Counted(counters.divergences_at_least(status.divergences)))],
        ),
        Family::counters("refusals", "Frames and commits refused, by reason", by("reason", counters.refusals())),
        Family::counters(
            "reconciles",
            "Reconcile sessions started here, by outcome",
            by("outcome", counters.reconciles()),
        ),
        Family::counters("http_beats", "Beats over HTTP by peer and result", beats.collect()),
        Family::counters(
            "http_reconciles",
            "Reconciles over HTTP started here, by outcome",
            by("outcome", counters.healings()),
        ),
    ]
}

/// The second road.
fn fallback(status: &Status) -> Vec<Family> {
    let modes = Mode::ALL
        .map(Mode::word)
        .map(|mode| (vec![("mode", mode.to_owned())], Value::Whole(u64::from(status.mode == mode))));
    let at = |peer: &str| ("peer", peer.to_owned());
    let counts = status.http_peers.iter().map(|peer| (vec![at(&peer.url)], Value::Whole(peer.divergence_count)));
    let breakers = status.http_peers.iter().flat_map(|peer| {
        Breaker::ALL.map(Breaker::word).map(|state| {
            (vec![at(&peer.url), ("state", state.to_owned())], Value::Whole(u64::from(peer.breaker == state)))
        })
    });
    vec![
        Family::gauges("mode", "The road that this node relies on: 1 for the one, 0 for the others", modes.into()),
        Family::gauges("divergence_count", "Mismatches in a row at the beats to a peer over HTTP", counts.collect()),
        Family::gauges(
            "http_breaker",
            "Whether sessions over HTTP are started: 1 for the state that is",
            breakers.collect(),
        ),
    ]
}

/// The seat.
fn seat(status: &Status) -> Vec<Family> {
    let seat = &status.seat;
    let whole = [
        ("seat_term", "The highest term of the seat that is known here, 0 without a seat", seat.term),
        ("seat_holder", "Whether this node holds the seat", u64::from(seat.role == "holder")),
        ("seat_serving", "Whether this node serves the seat under a lease now", u64::from(seat.is_serving)),
        ("seat_staged_commits", "Commits of the seat staged here and not in the state", seat.staged),
        ("seat_log_records", "Records in the seat's log here", seat.log_size),
        (
            "seat_takeover_possible",
            "Whether the shadow could take over now; only the holder knows, others say 0",
            u64::from(seat.is_takeover_possible == Some(true)),
        ),
        (
            "quarantine_entries",
            "Entries that cuts took out of the state here, and that nobody has dealt with",
            status.quarantine.entries,
        ),
        (
            "seat_quarantine_commits",
            "Commits of the seat that were staged here beyond a cut, and that nobody has dealt with",
            status.quarantine.staged_commits,
        ),
    ];
    let of_mirrors = |figure: fn(&crate::seat::status::MirrorLag) -> Value| {
        seat.lag.iter().map(|lag| (vec![("mirror", lag.mirror.clone())], figure(lag))).collect()
    };
    let lag = [
        Family::gauges(
            "seat_lag_records",
            "Records that a mirror of the seat lacks",
            of_mirrors(|lag| Value::Whole(lag.records)),
        ),
        Family::gauges(
            "seat_lag",
            "Bytes of those records and their commits, as far as they are kept",
            of_mirrors(|lag| Value::Whole(lag.bytes)),
        )
        .in_unit(Unit::Bytes),
        Family::gauges(
            "seat_lag",
            "Seconds since a mirror of the seat last had everything",
            of_mirrors(|lag| Value::Seconds(seconds(lag.behind_ms))),
        )
        .in_unit(Unit::Seconds),
    ];
    whole.map(|(name, help, value)| Family::gauge(name, help, value)).into_iter().chain(lag).collect()
}
