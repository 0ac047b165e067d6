//! Prometheus text of a node's figures, made from the status when it is asked for.

use http_fallback::mode::Mode;
use http_fallback::tracker::Breaker;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::counters::Counters;
use crate::view::Status;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InMode {
    mode: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AtPeer {
    peer: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AtMirror {
    mirror: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Beat {
    peer: String,
    result: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Breaking {
    peer: String,
    state: &'static str,
}

/// Names, units and help by the OpenMetrics rules; counters end in `_total`.
pub fn text(status: &Status, counters: &Counters) -> String {
    let mut registry = Registry::with_prefix("lattice");
    let peers = &status.peers;
    let gauges = [
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
        ("checkpoint_records", "Records under the last signed checkpoint of the node's log", status.checkpoint.size),
        ("checkpoint_cosignatures", "Nodes that cosigned that checkpoint", status.checkpoint.cosignatures),
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
        ("uptime_seconds", "Seconds since start", status.uptime_seconds),
    ];
    for (name, help, value) in gauges {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    let divergences: Counter = Counter::default();
    divergences.inc_by(status.divergences);
    registry.register("divergences", "Times a peer's root differed and nothing explained it", divergences);
    let refusals = Family::<Reason, Counter>::default();
    for (reason, count) in counters.refusals() {
        refusals.get_or_create(&Reason { reason: reason.to_owned() }).inc_by(count);
    }
    registry.register("refusals", "Frames and commits refused, by reason", refusals);
    let reconciles = Family::<Outcome, Counter>::default();
    for (outcome, count) in counters.reconciles() {
        reconciles.get_or_create(&Outcome { outcome: outcome.to_owned() }).inc_by(count);
    }
    registry.register("reconciles", "Reconcile sessions started here, by outcome", reconciles);
    register_fallback(&mut registry, status, counters);
    register_seat(&mut registry, status);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

/// The seat's figures.
fn register_seat(registry: &mut Registry, status: &Status) {
    let seat = &status.seat;
    let gauges = [
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
    ];
    for (name, help, value) in gauges {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    let [records, bytes, behind] = [(); 3].map(|()| Family::<AtMirror, Gauge>::default());
    for lag in &seat.lag {
        let at = AtMirror { mirror: lag.mirror.clone() };
        let set = |family: &Family<AtMirror, Gauge>, value: u64| {
            family.get_or_create(&at).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&records, lag.records);
        set(&bytes, lag.bytes);
        set(&behind, lag.behind_ms / 1000);
    }
    registry.register("seat_lag_records", "Records that a mirror of the seat lacks", records);
    registry.register("seat_lag_bytes", "Bytes of those records and their commits, as far as they are kept", bytes);
    registry.register("seat_lag_seconds", "Seconds since a mirror of the seat last had everything", behind);
}

/// The second road's figures.
fn register_fallback(registry: &mut Registry, status: &Status, counters: &Counters) {
    let modes = Family::<InMode, Gauge>::default();
    for mode in Mode::ALL.map(Mode::word) {
        modes.get_or_create(&InMode { mode }).set(i64::from(status.mode == mode));
    }
    registry.register("mode", "The road that this node relies on: 1 for the one, 0 for the others", modes);
    let counts = Family::<AtPeer, Gauge>::default();
    let breakers = Family::<Breaking, Gauge>::default();
    for peer in &status.http_peers {
        let count = i64::try_from(peer.divergence_count).unwrap_or(i64::MAX);
        counts.get_or_create(&AtPeer { peer: peer.url.clone() }).set(count);
        for state in Breaker::ALL.map(Breaker::word) {
            let breaking = Breaking { peer: peer.url.clone(), state };
            breakers.get_or_create(&breaking).set(i64::from(peer.breaker == state));
        }
    }
    registry.register("divergence_count", "Mismatches in a row at the beats to a peer over HTTP", counts);
    registry.register("http_breaker", "Whether sessions over HTTP are started: 1 for the state that is", breakers);
    let beats = Family::<Beat, Counter>::default();
    for ((peer, result), count) in counters.beats() {
        beats.get_or_create(&Beat { peer, result: result.to_owned() }).inc_by(count);
    }
    registry.register("http_beats", "Beats over HTTP by peer and result", beats);
    let reconciles = Family::<Outcome, Counter>::default();
    for (outcome, count) in counters.healings() {
        reconciles.get_or_create(&Outcome { outcome: outcome.to_owned() }).inc_by(count);
    }
    registry.register("http_reconciles", "Reconciles over HTTP started here, by outcome", reconciles);
}
