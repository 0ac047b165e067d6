//! Whom to dial, and when: configured peers always, members up to a number, each with a growing pause, for ever.

use std::collections::BTreeSet;

use super::{Action, PeerBook, PeerName, mirrors_of};

/// First and longest pause between two dials of the same target. Dialling goes on for ever.
pub const REDIAL_FIRST_MS: u64 = 500;
/// See [`REDIAL_FIRST_MS`].
pub const REDIAL_LAST_MS: u64 = 30_000;

/// Longest pause between two dials of a peer that is not of this lattice. It stays so until an operator changes
/// something, and then dials us itself.
pub const REDIAL_REFUSED_MS: u64 = 300_000;

/// Milliseconds that a connection must hold, or prove the lattice, to end the pauses. A peer that closes at once,
/// because it banned us or is full, is else dialled twice a second (a guess).
pub const LASTING_MS: u64 = 10_000;

/// Lattice peers that a node tries to stay connected with, dials under way included. Up to this size a lattice is a
/// full mesh. Strangers don't count, so they can't keep the lattice out; configured peers are dialled beyond it.
pub const CONNECTIONS_WANTED: usize = 32;

/// When to dial next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Redial {
    dialling: bool,
    failures: u32,
    next_ms: u64,
}

impl Redial {
    fn due(&self, now_ms: u64) -> bool {
        !self.dialling && now_ms >= self.next_ms
    }

    /// A connection came; whether it was worth the dial shows when it closes.
    pub(super) fn answered(&mut self) {
        self.dialling = false;
    }

    /// Doubles the pause up to `last_ms`, with up to a quarter of jitter so that nodes don't dial in step.
    fn failed(&mut self, now_ms: u64, last_ms: u64, random: u64) {
        let pause = REDIAL_FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(last_ms);
        self.failures += 1;
        self.dialling = false;
        self.next_ms = now_ms + pause + random % (pause / 4 + 1);
    }

    /// The last connection closed.
    pub(super) fn closed(&mut self, now_ms: u64, worth: Worth, random: u64) {
        match worth {
            Worth::Held => *self = Self { next_ms: now_ms + REDIAL_FIRST_MS, ..Self::default() },
            Worth::Failed => self.failed(now_ms, REDIAL_LAST_MS, random),
            Worth::Refused => self.failed(now_ms, REDIAL_REFUSED_MS, random),
        }
    }

    /// When the next dial is due; `None` while one is under way.
    fn next_dial_ms(&self) -> Option<u64> {
        (!self.dialling).then_some(self.next_ms)
    }
}

/// What a connection was worth, once it closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// It proved the lattice, or held for [`LASTING_MS`].
    Held,
    /// It closed at once.
    Failed,
    /// However long it held: the peer is not of this lattice.
    Refused,
}

/// Why somebody that is dialled is not connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaited<'a> {
    /// Where it is dialled, as far as that is known.
    pub address: Option<&'a str>,
    /// Why the last dial did not lead to a connection.
    pub error: Option<&'a str>,
    /// When it is dialled next; `None` while it is being dialled.
    pub next_dial_ms: Option<u64>,
}

/// A configured address that names no peer.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    redial: Redial,
    /// Why the last dial failed.
    error: Option<String>,
    /// Who answered there last.
    pub(super) at: Option<PeerName>,
}

impl Target {
    fn awaited<'a>(&'a self, address: &'a str) -> Awaited<'a> {
        let next_dial_ms = self.redial.next_dial_ms();
        Awaited { address: Some(address), error: self.error.as_deref(), next_dial_ms }
    }
}

impl PeerBook {
    /// A configured address was answered by this peer.
    pub fn answered(&mut self, address: &str, name: &PeerName) {
        if let Some(target) = self.targets.get_mut(address) {
            target.redial.answered();
            target.error = None;
            target.at = Some(name.clone());
        }
    }

    /// A dial did not lead to a connection.
    pub fn dial_failed(&mut self, now_ms: u64, name: &PeerName, error: String, random: u64) {
        if let Some(peer) = self.peers.get_mut(name).filter(|peer| peer.links.is_empty()) {
            peer.redial.failed(now_ms, REDIAL_LAST_MS, random);
            peer.dial_error = Some(error);
        }
    }

    /// A dial of a configured address did not lead to a connection.
    pub fn address_failed(&mut self, now_ms: u64, address: &str, error: String, random: u64) {
        if let Some(target) = self.targets.get_mut(address) {
            target.redial.failed(now_ms, REDIAL_LAST_MS, random);
            target.error = Some(error);
        }
    }

    /// The last connection to whoever answers at a configured address closed.
    pub(super) fn target_closed(&mut self, now_ms: u64, name: &PeerName, worth: Worth, random: u64) {
        for target in self.targets.values_mut().filter(|target| target.at.as_ref() == Some(name)) {
            target.redial.closed(now_ms, worth, random);
        }
    }

    /// Whether a peer stands in the configuration, by its id or as who answered at a configured address.
    pub fn is_configured(&self, name: &PeerName) -> bool {
        self.peers.get(name).is_some_and(|peer| peer.configured) || self.target_of(name).is_some()
    }

    fn target_of(&self, name: &PeerName) -> Option<(&String, &Target)> {
        self.targets.iter().find(|(_, target)| target.at.as_ref() == Some(name))
    }

    /// What keeps a peer away that is dialled; `None` for who is connected, or is not dialled.
    pub fn awaited(&self, name: &PeerName) -> Option<Awaited<'_>> {
        let peer = self.peers.get(name).filter(|peer| peer.links.is_empty())?;
        match self.target_of(name) {
            Some((address, target)) => Some(target.awaited(address)),
            None => (peer.configured || self.members.contains(name)).then(|| Awaited {
                address: peer.addresses.first().map(String::as_str),
                error: peer.dial_error.as_deref(),
                next_dial_ms: peer.redial.next_dial_ms(),
            }),
        }
    }

    /// Configured addresses at which nobody has answered yet; the others are in [`PeerBook::peers`].
    pub fn unanswered(&self) -> impl Iterator<Item = Awaited<'_>> {
        let known = |target: &Target| target.at.as_ref().is_some_and(|name| self.peers.contains_key(name));
        self.targets.iter().filter(move |(_, target)| !known(target)).map(|(address, target)| target.awaited(address))
    }

    /// A peer that is wanted now is not kept waiting by earlier failures, nor by a dial that hangs: it may not have listened
    /// then. QUIC only asks again after a second, and then after two.
    pub fn want(&mut self, name: &PeerName) {
        if let Some(peer) = self.peers.get_mut(name).filter(|peer| peer.links.is_empty()) {
            peer.redial = Redial::default();
        }
    }

    /// Dials what is configured, then members as long as there is room; one dial per target at a time.
    pub(super) fn dial(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        self.dial_addresses(now_ms, actions);
        let configured = self.due_peers(now_ms, true);
        self.dial_peers(configured, actions);
        let room = CONNECTIONS_WANTED.saturating_sub(self.lattice_peers_and_dials());
        let mut members = self.due_peers(now_ms, false);
        members.truncate(room);
        self.dial_peers(members, actions);
    }

    fn dial_addresses(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let peers = &self.peers;
        for (address, target) in &mut self.targets {
            let at = target.at.as_ref().and_then(|name| peers.get(name));
            if at.is_none_or(|peer| peer.links.is_empty()) && target.redial.due(now_ms) {
                target.redial.dialling = true;
                actions.push(Action::DialAddress(address.clone()));
            }
        }
    }

    /// Peers that want a dial now: the configured ones, or the members among the others.
    fn due_peers(&self, now_ms: u64, configured: bool) -> Vec<PeerName> {
        let wanted = self.peers.iter().filter(|(name, peer)| {
            peer.configured == configured && (configured || self.members.contains(name)) && peer.links.is_empty()
        });
        let due = wanted.filter(|(name, peer)| peer.redial.due(now_ms) && !self.is_banned(now_ms, name));
        // A mirror listens nowhere, and dials itself. A dial that hangs would hold up the first one after it is shown again.
        // Who is alone may have missed terms since then.
        let is_alone = self.peers.iter().all(|(name, peer)| self.member_behind(name, peer).is_none());
        let hidden = if is_alone { BTreeSet::new() } else { mirrors_of(&self.membership) };
        let due = due.filter(|(name, _)| !hidden.contains(name));
        due.map(|(name, _)| name.clone()).collect()
    }

    fn dial_peers(&mut self, names: Vec<PeerName>, actions: &mut Vec<Action>) {
        for name in names {
            if let Some(peer) = self.peers.get_mut(&name) {
                peer.redial.dialling = true;
                actions.push(Action::Dial(name, peer.addresses.clone()));
            }
        }
    }

    fn lattice_peers_and_dials(&self) -> usize {
        let counts =
            |(name, peer): &(&PeerName, &super::Peer)| peer.redial.dialling || self.member_behind(name, peer).is_some();
        let addresses = self.targets.values().filter(|target| target.redial.dialling).count();
        self.peers.iter().filter(counts).count() + addresses
    }
}
