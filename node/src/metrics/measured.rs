//! What is added up where it happens: how long things take, and what took effect.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds in seconds, so that each objective of `testnet/prometheus/rules.yml` is a bound of its own.
/// A transaction: from an empty one in memory to a disk that is about to fail.
const APPLY_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// The same with the checks and the queue before it.
const DURABLE_SECONDS: [f64; 11] = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// A session: a round trip, up to the transfer of a whole state.
const RECONCILE_SECONDS: [f64; 11] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0];
/// A beat: loopback, up to the longest time-out that can be set.
const HEARTBEAT_SECONDS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 60.0];
/// A seat without a holder: a handover, up to operators who settle a term.
const FAILOVER_SECONDS: [f64; 10] = [0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 60.0, 600.0];
/// Peers out of step: looked at once a second; a minute is the objective.
const DISAGREEMENT_SECONDS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0, 3600.0];

/// Handles that tasks add to; clones add to the same figures.
#[derive(Debug, Clone)]
pub struct Measured {
    /// One transaction that changed the state, from judging its commits to the disk.
    pub apply: Histogram,
    /// From the arrival of a gossip frame to the durability of what was new in it.
    pub gossip_to_durable: Histogram,
    /// A reconcile session that this node started, over either road.
    pub reconcile: Histogram,
    /// A beat over HTTP that was answered.
    pub heartbeat: Histogram,
    /// From the last word of the old holder of a seat to the first moment that this node serves it.
    pub failover: Histogram,
    /// How long this node and its peers were not in step, once they are again.
    pub disagreement: Histogram,
    /// Commits that changed the state.
    pub commits: Counter,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            apply: Histogram::new(APPLY_SECONDS),
            gossip_to_durable: Histogram::new(DURABLE_SECONDS),
            reconcile: Histogram::new(RECONCILE_SECONDS),
            heartbeat: Histogram::new(HEARTBEAT_SECONDS),
            failover: Histogram::new(FAILOVER_SECONDS),
            disagreement: Histogram::new(DISAGREEMENT_SECONDS),
            commits: Counter::default(),
        }
    }
}

impl Measured {
    /// Shows all of them in a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, histogram) in [
            ("apply", "Time of a transaction that changed the state, until it was durable", &self.apply),
            (
                "gossip_to_durable",
                "Time from the arrival of a gossip frame until what was new in it was durable",
                &self.gossip_to_durable,
            ),
            ("reconcile", "Time of a reconcile session that this node started, over either road", &self.reconcile),
            ("heartbeat", "Time from a question to a peer over HTTP to its answer", &self.heartbeat),
            (
                "failover",
                "Time from the last word of the seat's holder before until this node served the seat",
                &self.failover,
            ),
            (
                "disagreement_ended",
                "How long a disagreement of this node with its peers lasted, when it ended",
                &self.disagreement,
            ),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        registry.register("commits", "Commits that changed the state here, whoever wrote them", self.commits.clone());
    }
}

/// Adds a time to a histogram.
pub fn observe(histogram: &Histogram, took: Duration) {
    histogram.observe(took.as_secs_f64());
}

/// Milliseconds in the unit of all times that are shown.
pub fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
