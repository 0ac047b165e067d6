//! Peers as they are: who is connected, who proved the lattice, who is silent, whom to dial next.
//!
//! The book is told what the network saw and when; [`PeerBook::tick`] says what to do. Every count comes from
//! established connections, never from configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lattice::head::Head;
use lattice::ids::{AuthorId, StateRoot};
use lattice::membership::Membership;

/// Milliseconds without a sign of life after which a peer is closed and leaves every count. libp2p's ping only
/// reports: a stopped process would stay "connected" for as long as TCP cares.
pub const SILENT_MS: u64 = 15_000;

/// Milliseconds that a connected stranger has to prove the lattice before it is closed.
pub const STRANGER_MS: u64 = 60_000;

/// Milliseconds for which a lattice peer may be connected without its gossip subscription. Gossip sends that on the
/// first connection only: if we closed a silent peer that still held the old connection when we dialled again, it
/// never comes, and nothing but a clean reconnect brings it.
pub const UNSUBSCRIBED_MS: u64 = 5_000;

/// Milliseconds between two tries of the handshake with the same peer.
pub const HELLO_RETRY_MS: u64 = 3_000;

/// Milliseconds for which an equal root or an explained reconcile counts as "in sync".
pub const IN_SYNC_MS: u64 = 30_000;

/// First and longest pause between two dials of the same target. Dialling goes on for ever.
pub const REDIAL_FIRST_MS: u64 = 500;
/// See [`REDIAL_FIRST_MS`].
pub const REDIAL_LAST_MS: u64 = 30_000;

/// Peers that a node tries to stay connected with. Up to this size a lattice is a full mesh.
pub const CONNECTIONS_WANTED: usize = 32;

/// Peers remembered with their addresses; the ones not members go first.
pub const PEERS_MAX: usize = 1024;

/// Addresses remembered for one peer, newest first.
pub const ADDRESSES_MAX: usize = 8;

/// A peer id, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(pub Box<[u8]>);

impl From<&[u8]> for PeerName {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

/// What the book wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Close all connections to this peer.
    Close(PeerName, &'static str),
    /// Dial this peer at these addresses, and at whatever else is known of it.
    Dial(PeerName, Vec<String>),
    /// Dial this configured address, whose peer id is not known.
    DialAddress(String),
    /// Prove the lattice to this peer and ask it to do the same.
    Hello(PeerName),
}

/// Five numbers, never mixed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Targets in the configuration.
    pub configured: u64,
    /// Distinct peers with an established connection.
    pub connected: u64,
    /// Those whose handshake proved the same lattice.
    pub lattice: u64,
    /// Lattice peers in the gossip mesh.
    pub mesh: u64,
    /// Lattice peers in sync.
    pub in_sync: u64,
}

/// One established connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Remote address.
    pub address: String,
    /// Whether we dialled.
    pub outbound: bool,
}

/// What is known of one peer.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// Established connections by their number.
    pub links: BTreeMap<u64, Link>,
    /// Whether it stands in the configuration.
    pub configured: bool,
    /// The author that a valid handshake named.
    pub proved: Option<AuthorId>,
    /// Whether gossip has it in our mesh.
    pub mesh: bool,
    /// Last round trip in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Its last head and when it came.
    pub head: Option<(Head, u64)>,
    /// Why the last handshake failed.
    pub refusal: Option<String>,
    addresses: Vec<String>,
    connected_at_ms: u64,
    heard_at_ms: u64,
    in_sync_at_ms: Option<u64>,
    hello_at_ms: Option<u64>,
    unsubscribed_since_ms: Option<u64>,
    redial: Redial,
    strikes: u32,
    banned_until_ms: u64,
}

/// When to dial next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Redial {
    dialling: bool,
    failures: u32,
    next_ms: u64,
}

impl Redial {
    fn due(&self, now_ms: u64) -> bool {
        !self.dialling && now_ms >= self.next_ms
    }

    /// Doubles the pause, with up to a quarter of jitter so that nodes don't dial in step.
    fn failed(&mut self, now_ms: u64, random: u64) {
        let pause = REDIAL_FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(REDIAL_LAST_MS);
        self.failures += 1;
        self.dialling = false;
        self.next_ms = now_ms + pause + random % (pause / 4 + 1);
    }
}

/// The book of peers.
#[derive(Debug, Clone)]
pub struct PeerBook {
    own: PeerName,
    membership: Arc<Membership>,
    peers: BTreeMap<PeerName, Peer>,
    /// Configured addresses that name no peer id, and who answered there.
    targets: BTreeMap<String, (Redial, Option<PeerName>)>,
}

impl PeerBook {
    /// An empty book of the node `own`.
    pub fn new(own: PeerName, membership: Arc<Membership>) -> Self {
        Self { own, membership, peers: BTreeMap::new(), targets: BTreeMap::new() }
    }

    /// Puts a configured peer in the book.
    pub fn configure(&mut self, peer: PeerName, address: String) {
        if peer != self.own {
            self.learn(peer.clone(), address);
            self.peer(&peer).configured = true;
        }
    }

    /// Puts a configured address in the book that names no peer.
    pub fn configure_address(&mut self, address: String) {
        self.targets.entry(address).or_default();
    }

    /// Remembers an address of a peer.
    pub fn learn(&mut self, peer: PeerName, address: String) {
        if peer == self.own || (self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) && !self.make_room()) {
            return;
        }
        let known = &mut self.peer(&peer).addresses;
        if known.first() != Some(&address) {
            known.retain(|other| *other != address);
            known.insert(0, address);
            known.truncate(ADDRESSES_MAX);
        }
    }

    /// Forgets one peer that is neither connected, configured nor a member; `false` if there is none.
    fn make_room(&mut self) -> bool {
        let members: BTreeSet<_> = self.membership.members().map(|m| PeerName::from(m.peer_id.as_slice())).collect();
        let spare = self.peers.iter().find(|(name, p)| p.links.is_empty() && !p.configured && !members.contains(name));
        let spare = spare.map(|(name, _)| name.clone());
        spare.is_some_and(|name| self.peers.remove(&name).is_some())
    }

    fn peer(&mut self, name: &PeerName) -> &mut Peer {
        self.peers.entry(name.clone()).or_default()
    }

    /// A connection was established.
    pub fn connected(&mut self, now_ms: u64, name: &PeerName, connection: u64, link: Link) {
        let peer = self.peer(name);
        if peer.links.is_empty() {
            peer.connected_at_ms = now_ms;
            peer.redial = Redial::default();
        }
        peer.heard_at_ms = now_ms;
        peer.links.insert(connection, link);
    }

    /// A configured address was answered by this peer.
    pub fn answered(&mut self, address: &str, name: &PeerName) {
        if let Some((redial, peer)) = self.targets.get_mut(address) {
            *redial = Redial::default();
            *peer = Some(name.clone());
        }
    }

    /// A connection closed. With the last one, all that it proved is gone.
    pub fn closed(&mut self, now_ms: u64, name: &PeerName, connection: u64) {
        let peer = self.peer(name);
        peer.links.remove(&connection);
        if peer.links.is_empty() {
            peer.proved = None;
            peer.mesh = false;
            peer.rtt_ms = None;
            peer.in_sync_at_ms = None;
            peer.hello_at_ms = None;
            peer.unsubscribed_since_ms = None;
            peer.redial = Redial { next_ms: now_ms + REDIAL_FIRST_MS, ..Redial::default() };
        }
    }

    /// Anything came from a peer.
    pub fn heard(&mut self, now_ms: u64, name: &PeerName) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.heard_at_ms = now_ms;
        }
    }

    /// A ping came back.
    pub fn pinged(&mut self, now_ms: u64, name: &PeerName, rtt_ms: f64) {
        self.heard(now_ms, name);
        if let Some(peer) = self.peers.get_mut(name) {
            peer.rtt_ms = Some(rtt_ms);
        }
    }

    /// A valid hello named this author. Whether that makes a lattice peer depends on the membership, now and later.
    pub fn proved(&mut self, name: &PeerName, author: AuthorId) {
        if let Some(peer) = self.peers.get_mut(name).filter(|peer| !peer.links.is_empty()) {
            peer.proved = Some(author);
            peer.refusal = None;
        }
    }

    /// The handshake failed.
    pub fn refused(&mut self, name: &PeerName, reason: String) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.refusal = Some(reason);
        }
    }

    /// A dial did not lead to a connection.
    pub fn dial_failed(&mut self, now_ms: u64, name: &PeerName, random: u64) {
        let peer = self.peer(name);
        if peer.links.is_empty() {
            peer.redial.failed(now_ms, random);
        }
    }

    /// A dial of a configured address did not lead to a connection.
    pub fn address_failed(&mut self, now_ms: u64, address: &str, random: u64) {
        if let Some((redial, _)) = self.targets.get_mut(address) {
            redial.failed(now_ms, random);
        }
    }

    /// Who is in the gossip mesh now, and who subscribed to the lattice's topic at all.
    pub fn set_gossip(&mut self, now_ms: u64, mesh: &BTreeSet<PeerName>, subscribed: &BTreeSet<PeerName>) {
        for (name, peer) in &mut self.peers {
            peer.mesh = mesh.contains(name);
            if peer.proved.is_none() || subscribed.contains(name) {
                peer.unsubscribed_since_ms = None;
            } else {
                peer.unsubscribed_since_ms.get_or_insert(now_ms);
            }
        }
    }

    /// The membership changed.
    pub fn set_membership(&mut self, membership: Arc<Membership>) {
        self.membership = membership;
    }

    /// A verified head of a member; `known` tells whether its root is or was lately ours.
    pub fn head(&mut self, now_ms: u64, head: Head, known: bool) {
        let Some(member) = self.membership.member(&head.author) else {
            return;
        };
        let name = PeerName::from(member.peer_id.as_slice());
        let Some(peer) = self.peers.get_mut(&name) else {
            return;
        };
        if peer.head.is_none_or(|(before, _)| before.time_ms <= head.time_ms) {
            peer.head = Some((head, now_ms));
            if known {
                peer.in_sync_at_ms = Some(now_ms);
            }
        }
    }

    /// A reconcile with this peer ended equal or explained.
    pub fn synced(&mut self, now_ms: u64, name: &PeerName) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.in_sync_at_ms = Some(now_ms);
        }
    }

    /// A peer sent what no honest peer sends.
    pub fn strike(&mut self, now_ms: u64, name: &PeerName) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.strikes += 1;
            if peer.strikes >= crate::blame::STRIKES_MAX {
                peer.strikes = 0;
                peer.banned_until_ms = now_ms + crate::blame::BAN_MS;
            }
        }
    }

    /// Whether a connection from this peer is closed at once.
    pub fn is_banned(&self, now_ms: u64, name: &PeerName) -> bool {
        self.peers.get(name).is_some_and(|peer| now_ms < peer.banned_until_ms)
    }

    /// The member behind a connected peer, if its handshake proved it.
    pub fn author(&self, name: &PeerName) -> Option<AuthorId> {
        self.peers.get(name).and_then(|peer| self.member_behind(name, peer))
    }

    fn member_behind(&self, name: &PeerName, peer: &Peer) -> Option<AuthorId> {
        let author = peer.proved.filter(|_| !peer.links.is_empty())?;
        let member = self.membership.member(&author)?;
        (self.membership.is_active(&author) && *member.peer_id == *name.0).then_some(author)
    }

    /// Whether a peer is in sync.
    pub fn is_in_sync(&self, now_ms: u64, name: &PeerName, our_root: &StateRoot) -> bool {
        let Some(peer) = self.peers.get(name) else {
            return false;
        };
        let equal = peer.head.is_some_and(|(head, at)| head.root == *our_root && now_ms - at.min(now_ms) < IN_SYNC_MS);
        let lately = peer.in_sync_at_ms.is_some_and(|at| now_ms.saturating_sub(at) < IN_SYNC_MS);
        self.member_behind(name, peer).is_some() && (equal || lately)
    }

    /// The five counts.
    pub fn counts(&self, now_ms: u64, our_root: &StateRoot) -> Counts {
        let mut counts = Counts { configured: self.targets.len() as u64, ..Counts::default() };
        for (name, peer) in &self.peers {
            let is_lattice = self.member_behind(name, peer).is_some();
            let answers_target = self.targets.values().any(|(_, at)| at.as_ref() == Some(name));
            counts.configured += u64::from(peer.configured && !answers_target);
            counts.connected += u64::from(!peer.links.is_empty());
            counts.lattice += u64::from(is_lattice);
            counts.mesh += u64::from(is_lattice && peer.mesh);
            counts.in_sync += u64::from(self.is_in_sync(now_ms, name, our_root));
        }
        counts
    }

    /// All peers worth showing: connected or configured ones, and members seen before.
    pub fn peers(&self) -> impl Iterator<Item = (&PeerName, &Peer)> {
        self.peers.iter()
    }

    /// Members with their addresses, to be remembered over a restart.
    pub fn addresses(&self) -> BTreeMap<PeerName, Vec<String>> {
        let members = self.membership.members().map(|member| PeerName::from(member.peer_id.as_slice()));
        members
            .filter_map(|name| self.peers.get(&name).map(|peer| (name, peer.addresses.clone())))
            .filter(|(_, addresses)| !addresses.is_empty())
            .collect()
    }

    /// What to do now. `random` spreads the dials.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        self.close_silent(now_ms, &mut actions);
        self.greet(now_ms, &mut actions);
        self.dial(now_ms, &mut actions);
        actions
    }

    fn close_silent(&self, now_ms: u64, actions: &mut Vec<Action>) {
        for (name, peer) in self.peers.iter().filter(|(_, peer)| !peer.links.is_empty()) {
            if self.is_banned(now_ms, name) {
                actions.push(Action::Close(name.clone(), "sent too much that no honest peer sends"));
            } else if now_ms.saturating_sub(peer.heard_at_ms) >= SILENT_MS {
                actions.push(Action::Close(name.clone(), "silent for 15 s"));
            } else if peer.unsubscribed_since_ms.is_some_and(|since| now_ms >= since + UNSUBSCRIBED_MS) {
                actions.push(Action::Close(name.clone(), "its gossip subscription is missing; connecting again"));
            } else if self.member_behind(name, peer).is_none()
                && now_ms.saturating_sub(peer.connected_at_ms) >= STRANGER_MS
            {
                actions.push(Action::Close(name.clone(), "did not prove this lattice within 60 s"));
            }
        }
    }

    fn greet(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        for (name, peer) in &mut self.peers {
            let due = peer.hello_at_ms.is_none_or(|at| now_ms >= at + HELLO_RETRY_MS);
            if !peer.links.is_empty() && peer.proved.is_none() && due {
                peer.hello_at_ms = Some(now_ms);
                actions.push(Action::Hello(name.clone()));
            }
        }
    }

    /// Dials configured peers and members that are not connected, one dial per peer at a time.
    fn dial(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let mut room = CONNECTIONS_WANTED.saturating_sub(self.peers.values().filter(|p| !p.links.is_empty()).count());
        let own = &self.own;
        let active = self.membership.members().filter(|member| self.membership.is_active(&member.author));
        let members: BTreeSet<PeerName> =
            active.map(|member| PeerName::from(member.peer_id.as_slice())).filter(|name| name != own).collect();
        for name in &members {
            self.peers.entry(name.clone()).or_default();
        }
        for (name, peer) in &mut self.peers {
            let wanted = peer.configured || members.contains(name);
            if room > 0 && wanted && peer.links.is_empty() && peer.redial.due(now_ms) && now_ms >= peer.banned_until_ms
            {
                room -= 1;
                peer.redial.dialling = true;
                actions.push(Action::Dial(name.clone(), peer.addresses.clone()));
            }
        }
        let peers = &self.peers;
        for (address, (redial, at)) in &mut self.targets {
            let connected = at.as_ref().and_then(|name| peers.get(name)).is_some_and(|peer| !peer.links.is_empty());
            if !connected && redial.due(now_ms) {
                redial.dialling = true;
                actions.push(Action::DialAddress(address.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
