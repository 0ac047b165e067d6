//! How the other side of holder and shadow looks, or this node itself: one bad reading never counts.
//!
//! Silence is judged by the phi accrual detector (Hayashibara, Défago, Yared, Katayama: The φ Accrual Failure Detector,
//! SRDS 2004): `φ(t) = −log10 P(a probe's answer still comes after t)`, t being the time since the last answer and the
//! times between answers being taken as normal with the mean and deviation of the last hundred. A φ of 8 means one wrong
//! suspicion in a hundred million, were they normal; the deviation has a floor since they are not.

mod accrual;

use std::collections::VecDeque;

use super::timing::{BootMs, Timing};
use accrual::Accrual;

/// Bad readings of one kind in a row, until that is a suspicion.
pub const BAD_IN_ROW: u32 = 3;

/// Silence that counts as a bad reading.
pub const PHI_BAD: f64 = 8.0;

/// Probes of which errors are counted.
const ERRORS_WINDOW: usize = 20;

/// Of these, how many must have failed. Half: a single client's bad requests are no fault of the node.
const ERRORS_BAD: usize = ERRORS_WINDOW / 2;

/// Milliseconds for which staged commits may wait while the log stands still and the mirror fetches (a guess).
const STUCK_MS: u64 = 5_000;

/// Free bytes of disk below which the store soon refuses writes (a guess: two of its largest write-ahead logs).
const DISK_FREE_MIN: u64 = 256 * 1024 * 1024;

/// Free bytes of memory below which the system soon kills (a guess).
const MEMORY_FREE_MIN: u64 = 64 * 1024 * 1024;

/// What a probe brought home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Records in its log.
    pub log_size: u64,
    /// Commits that are staged and not applied.
    pub waiting: u64,
    /// Whether its own scrubber and ours found the state and the log as they should be.
    pub is_sound: bool,
    /// Free bytes where its state is stored, if it knows.
    pub disk_free: Option<u64>,
    /// Free bytes of memory, if it knows.
    pub memory_free: Option<u64>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whether there is a connection.
    Connection,
    /// Whether probes are answered in time.
    Silence,
    /// How many probes fail.
    Errors,
    /// Whether the log grows while commits wait.
    Progress,
    /// Whether state and log are as they should be.
    Integrity,
    /// Whether the disk has room.
    Disk,
    /// Whether there is memory.
    Memory,
}

const KINDS: [Kind; 7] =
    [Kind::Connection, Kind::Silence, Kind::Errors, Kind::Progress, Kind::Integrity, Kind::Disk, Kind::Memory];

/// One reading: what is wrong in words, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Of what.
    pub kind: Kind,
    /// What is wrong.
    pub wrong: Option<String>,
    /// How many times in a row it was.
    pub in_row: u32,
}

/// The readings together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// By kind.
    pub readings: Vec<Reading>,
}

impl Health {
    /// Whether any kind was bad often enough in a row.
    pub fn is_suspect(&self) -> bool {
        self.first_cause().is_some()
    }

    /// What is wrong for certain, in words.
    pub fn first_cause(&self) -> Option<String> {
        let bad = self.readings.iter().find(|reading| reading.in_row >= BAD_IN_ROW);
        bad.and_then(|reading| reading.wrong.clone())
    }
}

/// Watches one node.
#[derive(Debug, Clone)]
pub struct Monitor {
    accrual: Accrual,
    is_connected: bool,
    since: BootMs,
    outcomes: VecDeque<bool>,
    last: Option<Probe>,
    grown: BootMs,
    in_row: [u32; KINDS.len()],
}

impl Monitor {
    /// Begins now; until the first answer, silence is counted from here.
    pub fn new(now: BootMs, timing: &Timing) -> Self {
        Self {
            accrual: Accrual::new(now, timing.probe_ms),
            is_connected: true,
            since: now,
            outcomes: VecDeque::new(),
            last: None,
            grown: now,
            in_row: [0; KINDS.len()],
        }
    }

    /// A connection came or went.
    pub fn connected(&mut self, now: BootMs, is_connected: bool) {
        if self.is_connected != is_connected {
            (self.is_connected, self.since) = (is_connected, now);
        }
    }

    /// A probe was answered.
    pub fn answered(&mut self, now: BootMs, probe: Probe) {
        self.accrual.heard(now);
        self.outcome(true);
        let has_grown = self.last.is_none_or(|last| last.log_size < probe.log_size || last.waiting == 0);
        if has_grown || probe.waiting == 0 {
            self.grown = now;
        }
        self.last = Some(probe);
    }

    /// A probe was answered by an error, or ended in one. Silence is no error, nor is what fails before the first answer:
    /// the node has to be found first.
    pub fn failed(&mut self) {
        if self.last.is_some() {
            self.outcome(false);
        }
    }

    fn outcome(&mut self, is_good: bool) {
        if self.outcomes.len() == ERRORS_WINDOW {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(is_good);
    }

    /// Takes all readings; to be called once for each probe that is sent, so that a row of bad ones has a known length.
    pub fn read(&mut self, now: BootMs) -> Health {
        let readings = KINDS.into_iter().zip(0..).map(|(kind, at): (Kind, usize)| {
            let wrong = self.wrong(now, kind);
            self.in_row[at] = if wrong.is_some() { self.in_row[at].saturating_add(1) } else { 0 };
            Reading { kind, wrong, in_row: self.in_row[at] }
        });
        Health { readings: readings.collect() }
    }

    fn wrong(&self, now: BootMs, kind: Kind) -> Option<String> {
        let failed = self.outcomes.iter().filter(|is_good| !**is_good).count();
        let low = |free: Option<u64>, min: u64| free.filter(|free| *free < min);
        match kind {
            Kind::Connection => {
                (!self.is_connected).then(|| format!("no connection for {} ms", now.since_ms(self.since)))
            }
            Kind::Silence => {
                let phi = self.accrual.phi(now);
                (phi >= PHI_BAD).then(|| format!("no answer for {} ms (phi {phi:.1})", self.accrual.silent_ms(now)))
            }
            Kind::Errors => {
                (failed >= ERRORS_BAD).then(|| format!("{failed} of the last {ERRORS_WINDOW} probes failed"))
            }
            Kind::Progress => {
                let last = self.last.filter(|last| last.waiting > 0)?;
                let ms = now.since_ms(self.grown);
                (ms >= STUCK_MS).then(|| format!("{} commits wait and the log has not grown for {ms} ms", last.waiting))
            }
            Kind::Integrity => {
                self.last.filter(|last| !last.is_sound).map(|_| "its state or log is damaged".to_owned())
            }
            Kind::Disk => low(self.last?.disk_free, DISK_FREE_MIN).map(|free| format!("{free} bytes of disk are free")),
            Kind::Memory => {
                low(self.last?.memory_free, MEMORY_FREE_MIN).map(|free| format!("{free} bytes of memory are free"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
