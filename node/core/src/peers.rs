//! Peers as they are: who is connected, who proved the lattice, who is silent, whom to dial next.
//!
//! The book is told what the network saw and when; [`PeerBook::tick`] says what to do. Every count comes from
//! established connections, never from configuration. It remembers members, configured peers, those connected now,
//! and as many others with their addresses as [`PEERS_MAX`] leaves room for.

mod closing;
mod conduct;
mod counts;
mod dialling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lattice::head::Head;
use lattice::ids::AuthorId;
use lattice::membership::Membership;

pub use closing::{SILENT_MS, STRANGER_MS, UNSUBSCRIBED_MS};
pub use counts::{Counts, IN_SYNC_MS};
pub use dialling::{Awaited, CONNECTIONS_WANTED, LASTING_MS, REDIAL_FIRST_MS, REDIAL_LAST_MS, REDIAL_REFUSED_MS};

use conduct::{Bans, Strikes};
use dialling::{Redial, Target, Worth};

/// Milliseconds between two tries of the handshake with the same peer.
pub const HELLO_RETRY_MS: u64 = 3_000;

/// Longest pause between two tries of the handshake with a peer that was refused: the pause doubles, since a peer of
/// another lattice stays one.
pub const HELLO_REFUSED_MS: u64 = 300_000;

/// Milliseconds after which any head of a peer replaces its last one, even one with an earlier time: a peer whose
/// clock was set back is heard again. Three times the interval at which heads go out.
pub const HEAD_STALE_MS: u64 = 15_000;

/// Peers remembered with their addresses, beside those connected. Strangers that are not connected go first; if
/// there are none, an address that was merely heard of is not remembered.
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
    /// Close all connections to this peer. Said once, and again only if another connection comes.
    Close(PeerName, &'static str),
    /// Dial this peer at these addresses, and at whatever else is known of it.
    Dial(PeerName, Vec<String>),
    /// Dial this configured address, whose peer id is not known.
    DialAddress(String),
    /// Prove the lattice to this peer and ask it to do the same.
    Hello(PeerName),
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
    dial_error: Option<String>,
    addresses: Vec<String>,
    connected_at_ms: u64,
    heard_at_ms: u64,
    in_sync_at_ms: Option<u64>,
    hello_at_ms: Option<u64>,
    /// Handshakes tried since the first connection that proved nothing.
    hellos: u32,
    unsubscribed_since_ms: Option<u64>,
    closing: bool,
    redial: Redial,
    strikes: Strikes,
}

impl Peer {
    /// Milliseconds since anything came from it; `None` if nothing ever did.
    pub fn heard_age_ms(&self, now_ms: u64) -> Option<u64> {
        (self.heard_at_ms > 0).then(|| now_ms.saturating_sub(self.heard_at_ms))
    }

    /// Strikes against it that are not forgiven yet.
    pub fn strikes(&self, now_ms: u64) -> u32 {
        self.strikes.standing(now_ms)
    }

    /// A handshake that got no answer is tried again soon, a refused one less and less often.
    fn hello_pause_ms(&self) -> u64 {
        match self.refusal {
            Some(_) => HELLO_RETRY_MS.saturating_mul(1 << self.hellos.min(16)).min(HELLO_REFUSED_MS),
            None => HELLO_RETRY_MS,
        }
    }
}

/// The book of peers.
#[derive(Debug, Clone)]
pub struct PeerBook {
    own: PeerName,
    membership: Arc<Membership>,
    /// Active members but ourselves; each has an entry in `peers`.
    members: BTreeSet<PeerName>,
    peers: BTreeMap<PeerName, Peer>,
    /// Configured addresses that name no peer id.
    targets: BTreeMap<String, Target>,
    bans: Bans,
}

impl PeerBook {
    /// The book of the node `own`, with the members in it.
    pub fn new(own: PeerName, membership: Arc<Membership>) -> Self {
        let mut book = Self {
            own,
            membership: membership.clone(),
            members: BTreeSet::new(),
            peers: BTreeMap::new(),
            targets: BTreeMap::new(),
            bans: Bans::default(),
        };
        book.set_membership(membership);
        book
    }

    /// Puts a configured peer in the book.
    pub fn configure(&mut self, peer: PeerName, address: String) {
        if peer != self.own {
            self.peers.entry(peer.clone()).or_default().configured = true;
            self.learn(peer, address);
        }
    }

    /// Puts a configured address in the book that names no peer.
    pub fn configure_address(&mut self, address: String) {
        self.targets.entry(address).or_default();
    }

    /// A peer is no longer configured. Connections stay, and a member is dialled as members are.
    pub fn unconfigure(&mut self, peer: &PeerName) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.configured = false;
        }
    }

    /// An address that names no peer is no longer configured.
    pub fn unconfigure_address(&mut self, address: &str) {
        self.targets.remove(address);
    }

    /// Remembers an address of a peer.
    pub fn learn(&mut self, peer: PeerName, address: String) {
        if peer == self.own || !self.has_room_for(&peer) {
            return;
        }
        let known = &mut self.peers.entry(peer).or_default().addresses;
        if known.first() != Some(&address) {
            known.retain(|other| *other != address);
            known.insert(0, address);
            known.truncate(ADDRESSES_MAX);
        }
    }

    /// Whether a peer is known or may become so; if the book is full, a stranger that is not connected makes room.
    fn has_room_for(&mut self, name: &PeerName) -> bool {
        if self.peers.contains_key(name) || self.peers.len() < PEERS_MAX {
            return true;
        }
        let spare = self.peers.iter().find(|(name, peer)| peer.links.is_empty() && !self.is_kept(name, peer));
        let spare = spare.map(|(name, _)| name.clone());
        spare.is_some_and(|name| self.peers.remove(&name).is_some())
    }

    /// Whether a peer stays in the book though it is not connected.
    fn is_kept(&self, name: &PeerName, peer: &Peer) -> bool {
        let answers_target = || self.targets.values().any(|target| target.at.as_ref() == Some(name));
        peer.configured || self.members.contains(name) || answers_target()
    }

    /// A connection was established. The swarm bounds how many there are, so each has its place in the book.
    pub fn connected(&mut self, now_ms: u64, name: &PeerName, connection: u64, link: Link) {
        self.has_room_for(name);
        let peer = self.peers.entry(name.clone()).or_default();
        if peer.links.is_empty() {
            peer.connected_at_ms = now_ms;
        }
        peer.heard_at_ms = now_ms;
        peer.closing = false;
        peer.dial_error = None;
        peer.redial.answered();
        peer.links.insert(connection, link);
    }

    /// A connection closed. With the last one, all that it proved is gone, and so is a stranger.
    pub fn closed(&mut self, now_ms: u64, name: &PeerName, connection: u64, random: u64) {
        let proved = self.author(name).is_some();
        let Some(peer) = self.peers.get_mut(name) else { return };
        if peer.links.remove(&connection).is_none() || !peer.links.is_empty() {
            return;
        }
        let lasted = now_ms.saturating_sub(peer.connected_at_ms) >= LASTING_MS;
        let worth = match (proved, peer.refusal.is_some(), lasted) {
            (true, _, _) | (false, false, true) => Worth::Held,
            (false, true, _) => Worth::Refused,
            (false, false, false) => Worth::Failed,
        };
        peer.proved = None;
        peer.mesh = false;
        peer.rtt_ms = None;
        peer.in_sync_at_ms = None;
        peer.hello_at_ms = None;
        peer.unsubscribed_since_ms = None;
        peer.closing = false;
        peer.redial.closed(now_ms, worth, random);
        self.target_closed(now_ms, name, worth, random);
        if self.peers.get(name).is_some_and(|peer| !self.is_kept(name, peer)) {
            self.peers.remove(name);
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
            peer.hellos = 0;
        }
    }

    /// The handshake failed.
    pub fn refused(&mut self, name: &PeerName, reason: String) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.refusal = Some(reason);
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

    /// Whether a peer that proved the lattice takes part in gossip, as far as is known.
    pub fn is_subscribed(&self, name: &PeerName) -> bool {
        self.peers.get(name).is_some_and(|peer| peer.proved.is_some() && peer.unsubscribed_since_ms.is_none())
    }

    /// The membership changed.
    pub fn set_membership(&mut self, membership: Arc<Membership>) {
        let active = membership.members().filter(|member| membership.is_active(&member.author));
        let names = active.map(|member| PeerName::from(member.peer_id.as_slice()));
        self.members = names.filter(|name| *name != self.own).collect();
        for name in &self.members {
            self.peers.entry(name.clone()).or_default();
        }
        let hidden = mirrors_of(&self.membership);
        let still = mirrors_of(&membership);
        self.membership = membership;
        // Whoever takes the seat over listens again: what failed while it was hidden says nothing about that.
        for shown in hidden.difference(&still) {
            self.want(shown);
        }
    }

    /// A verified head of a member; `known` tells whether its root is or was lately ours.
    pub fn head(&mut self, now_ms: u64, head: Head, known: bool) {
        let Some(member) = self.membership.member(&head.author) else { return };
        let name = PeerName::from(member.peer_id.as_slice());
        let Some(peer) = self.peers.get_mut(&name) else { return };
        let replaces =
            |(before, at): (Head, u64)| before.time_ms <= head.time_ms || now_ms.saturating_sub(at) >= HEAD_STALE_MS;
        if peer.head.is_none_or(replaces) {
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

    /// A peer sent what no honest peer sends; nothing else is a strike.
    pub fn strike(&mut self, now_ms: u64, name: &PeerName) {
        if self.peers.get_mut(name).is_some_and(|peer| peer.strikes.add(now_ms)) {
            self.bans.add(now_ms, name.clone());
        }
    }

    /// Whether a connection from this peer is closed at once.
    pub fn is_banned(&self, now_ms: u64, name: &PeerName) -> bool {
        self.bans.holds(now_ms, name)
    }

    /// All peers worth showing: connected or configured ones, members, and others whose address is known.
    pub fn peers(&self) -> impl Iterator<Item = (&PeerName, &Peer)> {
        self.peers.iter()
    }

    /// Members with their addresses, to be remembered over a restart.
    pub fn addresses(&self) -> BTreeMap<PeerName, Vec<String>> {
        let known = self.members.iter().filter_map(|name| self.peers.get(name).map(|peer| (name, peer)));
        let known = known.map(|(name, peer)| (name.clone(), peer.addresses.clone()));
        known.filter(|(_, addresses)| !addresses.is_empty()).collect()
    }

    /// What to do now.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        self.close(now_ms, &mut actions);
        self.greet(now_ms, &mut actions);
        self.dial(now_ms, &mut actions);
        actions
    }

    fn greet(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        for (name, peer) in &mut self.peers {
            let due = peer.hello_at_ms.is_none_or(|at| now_ms >= at + peer.hello_pause_ms());
            if !peer.links.is_empty() && !peer.closing && peer.proved.is_none() && due {
                peer.hello_at_ms = Some(now_ms);
                peer.hellos += 1;
                actions.push(Action::Hello(name.clone()));
            }
        }
    }
}

/// Who mirrors the seat's holder in the highest term.
fn mirrors_of(membership: &Membership) -> BTreeSet<PeerName> {
    let term = membership.seats().current();
    let mirrors = term.into_iter().flat_map(|term| term.certificate.body.mirrors());
    mirrors.filter_map(|mirror| membership.member(mirror)).map(|member| member.peer_id.as_slice().into()).collect()
}

#[cfg(test)]
mod tests;
