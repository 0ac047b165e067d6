//! A node's figures for Prometheus: one registry for the life of the node, libp2p's own figures in it.
//!
//! # Reading order
//!
//! 1. [`measured`]: what is added up where it happens. `facts`: what is read from the status at each scrape.
//! 2. `agreement`, `takeover`: how long nodes differ and how long a seat is vacant, told from looks at a node, pure.
//!    [`watching`]: the task that looks.
//!
//! Names end in their unit, counters in `_total`, and each has a line of help; a test holds a real scrape against the
//! rules of OpenMetrics.

pub mod measured;
mod facts;
mod agreement;
mod takeover;
pub mod watching;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::metrics::Registry;
use prometheus_client::encoding::text::encode;

use crate::counters::Counters;
use crate::view::Status;
use agreement::Agreement;
use facts::{Facts, Shown};

/// The registry, and what is looked at for it.
#[derive(Default)]
pub struct Metrics {
    registry: Mutex<Registry>,
    facts: Facts,
    counters: Arc<Counters>,
    agreement: Mutex<Agreement>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// The registry of a node that counts with `counters`.
    pub fn new(counters: Arc<Counters>) -> Self {
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("lattice");
        counters.measured.register(ours);
        let facts = Facts::new(counters.clone());
        ours.register_collector(Box::new(facts.clone()));
        Self { registry: Mutex::new(registry), facts, counters, agreement: Mutex::default() }
    }

    /// Lets somebody else's figures into the registry, as libp2p brings its own.
    pub fn with_registry<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut lock(&self.registry))
    }

    /// All figures as OpenMetrics text, those of `status` at `now_ms` among them.
    pub fn text(&self, now_ms: u64, status: Status) -> String {
        // Two scrapes at once would otherwise mix their looks.
        let registry = lock(&self.registry);
        let disagreement_ms = lock(&self.agreement).lasting_ms(now_ms);
        self.facts.show(Shown { status, disagreement_ms });
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }

    /// A look: whether this node and its peers agree.
    fn look(&self, now_ms: u64, agrees: bool) {
        if let Some(lasted_ms) = lock(&self.agreement).look(now_ms, agrees) {
            self.counters.measured.disagreement.observe(measured::seconds(lasted_ms));
        }
    }
}

/// A figure is right or lost; a panic elsewhere does not make it wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
