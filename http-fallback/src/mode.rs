//! Which road a node relies on: libp2p, or plain HTTP once no lattice peer was connected for a while.
//!
//! A pure state machine over one sample a second of the *lattice* peer count: peers that proved this lattice, not
//! those in a configuration. A switch to a road that leads nowhere would be a lie, so HTTP mode wants a peer to ask.

use std::fmt;

/// Milliseconds without a lattice peer after which a node is in HTTP mode, unless configured. libp2p redials within
/// 30 s, so a shorter time would call a passing trouble a broken road.
pub const HTTP_AFTER_MS: u64 = 60_000;

/// Milliseconds between two samples of the peer count.
pub const SAMPLE_MS: u64 = 1_000;

/// The road that a node relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// libp2p; the heartbeat watches over HTTP and heals after several mismatches in a row.
    #[default]
    P2p,
    /// Plain HTTP: commits are pushed and pulled at each beat.
    Http,
}

impl Mode {
    /// All modes, for figures.
    pub const ALL: [Self; 2] = [Self::P2p, Self::Http];

    /// One word for records, metrics and status.
    pub fn word(self) -> &'static str {
        match self {
            Self::P2p => "p2p",
            Self::Http => "http",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A switch that just happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The new mode.
    pub mode: Mode,
    /// Why, for people.
    pub reason: String,
}

/// Decides the mode from samples.
#[derive(Debug, Clone)]
pub struct Switch {
    http_after_ms: u64,
    mode: Mode,
    since_ms: u64,
    reason: String,
    /// Since when no lattice peer was seen.
    alone_since_ms: Option<u64>,
}

impl Switch {
    /// A node that just started: on libp2p, alone from now on.
    pub fn new(now_ms: u64, http_after_ms: u64) -> Self {
        let reason = "the node started".to_owned();
        Self { http_after_ms, mode: Mode::P2p, since_ms: now_ms, reason, alone_since_ms: Some(now_ms) }
    }

    /// The mode now.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Since when it is that.
    pub fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// Why it is that.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Takes a sample: lattice peers connected, and HTTP peers known whether or not they answer. Tells a switch once.
    pub fn sample(&mut self, now_ms: u64, lattice_peers: u64, http_peers: usize) -> Option<Change> {
        if lattice_peers > 0 {
            self.alone_since_ms = None;
            return self.switch(now_ms, Mode::P2p, || "a lattice peer is connected".to_owned());
        }
        let alone_ms = now_ms.saturating_sub(*self.alone_since_ms.get_or_insert(now_ms));
        if http_peers == 0 {
            return self.switch(now_ms, Mode::P2p, || "no peer is known to ask over http".to_owned());
        }
        if alone_ms < self.http_after_ms {
            return None;
        }
        self.switch(now_ms, Mode::Http, || format!("no lattice peer connected for {} s", alone_ms / 1000))
    }

    fn switch(&mut self, now_ms: u64, mode: Mode, reason: impl FnOnce() -> String) -> Option<Change> {
        if self.mode == mode {
            return None;
        }
        (self.mode, self.since_ms, self.reason) = (mode, now_ms, reason());
        Some(Change { mode, reason: self.reason.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples as (second, lattice peers, HTTP peers), and the switches they cause as (second, mode).
    fn switches(samples: &[(u64, u64, usize)]) -> Vec<(u64, Mode)> {
        let mut switch = Switch::new(0, 60_000);
        let told = samples.iter().filter_map(|&(second, lattice, http)| {
            let change = switch.sample(second * 1000, lattice, http)?;
            assert_eq!((change.mode, change.reason.as_str()), (switch.mode(), switch.reason()));
            assert_eq!(switch.since_ms(), second * 1000);
            Some((second, change.mode))
        });
        told.collect()
    }

    #[test]
    fn http_after_a_minute_alone_and_back_with_the_first_peer() {
        /// A name, samples, switches.
        type Case<'a> = (&'a str, &'a [(u64, u64, usize)], &'a [(u64, Mode)]);
        let table: [Case<'_>; 8] = [
            ("never connected", &[(1, 0, 1), (59, 0, 1), (60, 0, 1), (61, 0, 1)], &[(60, Mode::Http)]),
            ("a minute from the loss on", &[(30, 2, 1), (31, 0, 1), (90, 0, 1), (91, 0, 1)], &[(91, Mode::Http)]),
            ("a peer meanwhile starts the minute anew", &[(0, 0, 1), (59, 1, 1), (60, 0, 1), (119, 0, 1)], &[]),
            ("back with one peer", &[(60, 0, 1), (61, 1, 1), (62, 1, 1)], &[(60, Mode::Http), (61, Mode::P2p)]),
            ("nobody to ask", &[(60, 0, 0), (1000, 0, 0)], &[]),
            ("somebody to ask comes late", &[(60, 0, 0), (61, 0, 1)], &[(61, Mode::Http)]),
            ("nobody left to ask", &[(60, 0, 1), (61, 0, 0)], &[(60, Mode::Http), (61, Mode::P2p)]),
            ("a clock that goes back", &[(50, 0, 1), (10, 0, 1), (60, 0, 1)], &[(60, Mode::Http)]),
        ];
        for (name, samples, expected) in table {
            assert_eq!(switches(samples), expected, "{name}");
        }
    }

    #[test]
    fn the_reason_is_said() {
        let mut switch = Switch::new(0, 60_000);
        let change = switch.sample(60_000, 0, 1).expect("a minute is over");
        assert_eq!(change.reason, "no lattice peer connected for 60 s");
        assert_eq!(switch.sample(61_000, 3, 1).map(|c| c.reason).as_deref(), Some("a lattice peer is connected"));
    }
}
