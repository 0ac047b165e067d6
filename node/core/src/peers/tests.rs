//! Peer counts against the cases in which other systems counted wrong.

mod dialling;

use super::*;
use crate::blame::{BAN_MS, STRIKES_MAX};
use lattice::genesis::{Genesis, Member};
use lattice::ids::{LatticeId, StateRoot};
use lattice::keys::NodeKeys;
use lattice::membership::Change;

const ROOT: StateRoot = StateRoot([1; 32]);

fn name(n: u8) -> PeerName {
    PeerName(vec![n; 38].into())
}

fn keys(n: u8) -> NodeKeys {
    NodeKeys::from_seed([n; 32])
}

fn founded() -> Genesis {
    Genesis::founded_by("test", "0", &keys(0), vec![0; 38])
}

fn added(members: u8) -> impl Iterator<Item = Change> {
    (1..members).map(|n| {
        let (author, log_key) = (keys(n).author.id(), keys(n).log_key());
        Change::Add(Member { name: n.to_string(), author, log_key, peer_id: vec![n; 38], roles: [].into() })
    })
}

/// A book of node 0 in a lattice of `members` nodes 0, 1, 2…
fn book(members: u8) -> PeerBook {
    PeerBook::new(name(0), Arc::new(Membership::of(&founded(), added(members))))
}

fn link(outbound: bool) -> Link {
    Link { address: "/ip4/127.0.0.1/tcp/1".into(), outbound }
}

/// A head of node 1.
fn head(time_ms: u64, root: StateRoot) -> Head {
    let author = keys(1).author.id();
    let estimator = [0; lattice::head::ESTIMATOR_BYTES];
    Head {
        lattice: LatticeId::ZERO,
        author,
        time_ms,
        root,
        entries: 0,
        frontier: [0; 32],
        checkpoint_size: 0,
        estimator,
    }
}

fn counts(book: &PeerBook, now_ms: u64) -> (u64, u64, u64) {
    let counts = book.counts(now_ms, &ROOT);
    (counts.configured, counts.connected, counts.lattice)
}

#[test]
fn configured_peers_are_not_connected_ones() {
    let mut book = book(3);
    book.configure(name(1), "/ip4/127.0.0.1/tcp/1".into());
    book.configure_address("/ip4/127.0.0.1/tcp/2".into());
    assert_eq!(counts(&book, 0), (2, 0, 0));
}

#[test]
fn two_connections_to_one_peer_are_one_peer() {
    let mut book = book(2);
    book.connected(0, &name(1), 1, link(true));
    book.connected(0, &name(1), 2, link(false));
    book.proved(&name(1), keys(1).author.id());
    assert_eq!(counts(&book, 0), (0, 1, 1));
    book.closed(0, &name(1), 1, 0);
    assert_eq!(counts(&book, 0), (0, 1, 1), "one connection is left, and what it proved holds");
    book.closed(0, &name(1), 2, 0);
    assert_eq!(counts(&book, 0), (0, 0, 0));
}

#[test]
fn strangers_are_connected_but_not_of_the_lattice() {
    let mut book = book(2);
    book.connected(0, &name(9), 1, link(false));
    book.proved(&name(9), keys(9).author.id());
    assert_eq!(counts(&book, 0), (0, 1, 0), "an author that is no member");
    book.connected(0, &name(8), 2, link(false));
    book.proved(&name(8), keys(1).author.id());
    assert_eq!(counts(&book, 0), (0, 2, 0), "a member's author at another peer id");
    let closes = |book: &mut PeerBook, now| {
        for n in [8, 9] {
            book.heard(now, &name(n));
        }
        book.tick(now).iter().filter(|action| matches!(action, Action::Close(..))).count()
    };
    assert_eq!(closes(&mut book, STRANGER_MS - 1), 0);
    assert_eq!(closes(&mut book, STRANGER_MS), 2);
}

#[test]
fn a_peer_becomes_one_of_the_lattice_when_its_membership_arrives() {
    let mut book = book(1);
    book.connected(0, &name(1), 1, link(false));
    book.proved(&name(1), keys(1).author.id());
    assert_eq!(counts(&book, 0).2, 0);
    book.set_membership(self::book(2).membership);
    assert_eq!(counts(&book, 0).2, 1, "without another handshake");
}

#[test]
fn a_silent_peer_is_closed_after_15_seconds_and_a_talking_one_is_not() {
    let mut book = book(3);
    for n in [1, 2] {
        book.connected(0, &name(n), u64::from(n), link(true));
        book.proved(&name(n), keys(n).author.id());
    }
    book.pinged(SILENT_MS - 1, &name(2), 0.2);
    let closed: Vec<_> = book.tick(SILENT_MS);
    assert_eq!(closed, [Action::Close(name(1), "silent for 15 s")]);
}

#[test]
fn a_lattice_peer_whose_subscription_never_came_is_connected_again() {
    // A paused peer woke up with its old connection still open: it did not repeat its subscription on the new one,
    // and stayed out of the mesh for ever.
    let mut book = book(3);
    for n in [1, 2] {
        book.connected(0, &name(n), u64::from(n), link(true));
        book.proved(&name(n), keys(n).author.id());
    }
    let subscribed: BTreeSet<_> = [name(1)].into();
    for now in [0, UNSUBSCRIBED_MS - 1, UNSUBSCRIBED_MS] {
        book.set_gossip(now, &BTreeSet::new(), &subscribed);
    }
    let closed: Vec<_> = book.tick(UNSUBSCRIBED_MS);
    assert!(matches!(closed.as_slice(), [Action::Close(peer, _)] if *peer == name(2)), "{closed:?}");
}

#[test]
fn ten_strikes_ban_and_the_ban_ends() {
    let mut book = book(2);
    book.connected(0, &name(1), 1, link(true));
    (0..STRIKES_MAX).for_each(|_| book.strike(0, &name(1)));
    assert!(matches!(book.tick(0).as_slice(), [Action::Close(..)]), "closed and not greeted");
    book.closed(0, &name(1), 1, 0);
    assert!(book.is_banned(BAN_MS - 1, &name(1)), "though it is gone");
    assert_eq!(book.tick(BAN_MS - 1), [], "and not dialled");
    assert!(!book.is_banned(BAN_MS, &name(1)));
    assert_eq!(book.tick(BAN_MS).len(), 1, "dialled again");
}

#[test]
fn a_rare_bug_over_weeks_bans_nobody() {
    let mut book = book(2);
    for hour in 0..1000 {
        let now = hour * 3_600_000;
        book.strike(now, &name(1));
        assert!(!book.is_banned(now, &name(1)), "{hour} hours");
    }
}

#[test]
fn a_peer_is_told_to_be_closed_once_and_again_only_for_another_link() {
    let mut book = book(2);
    book.connected(0, &name(1), 1, link(true));
    let closes = |book: &mut PeerBook, now| {
        book.tick(now).into_iter().filter(|action| matches!(action, Action::Close(..))).count()
    };
    assert_eq!([0, 1, 2].map(|later| closes(&mut book, SILENT_MS + later)), [1, 0, 0]);
    book.connected(SILENT_MS + 3, &name(1), 2, link(false));
    assert_eq!(closes(&mut book, 2 * SILENT_MS + 3), 1);
    book.closed(2 * SILENT_MS + 3, &name(1), 1, 0);
    assert_eq!(closes(&mut book, 2 * SILENT_MS + 4), 0, "the second is being closed");
}

#[test]
fn in_sync_needs_a_lattice_peer_with_an_equal_or_explained_root_lately() {
    let mut book = book(2);
    let head = head(1, ROOT);
    book.connected(0, &name(1), 1, link(true));
    book.head(0, head, true);
    assert_eq!(book.counts(0, &ROOT).in_sync, 0, "not proved yet");
    book.proved(&name(1), head.author);
    assert_eq!(book.counts(0, &ROOT).in_sync, 1);
    assert_eq!(book.counts(IN_SYNC_MS, &ROOT).in_sync, 0, "too long ago");
    book.synced(IN_SYNC_MS, &name(1));
    assert_eq!(book.counts(IN_SYNC_MS, &ROOT).in_sync, 1);
}

#[test]
fn a_peer_whose_clock_was_set_back_is_heard_again_soon() {
    // Its heads were ignored until its clock had caught up with what it once said, for an hour or a year.
    let mut book = book(2);
    book.connected(0, &name(1), 1, link(true));
    let head = |time_ms, root| head(time_ms, StateRoot([root; 32]));
    let root = |book: &PeerBook| book.peers[&name(1)].head.map(|(head, _)| head.root.0[0]);
    book.head(0, head(3_600_000, 1), false);
    book.head(HEAD_STALE_MS - 1, head(5, 2), false);
    assert_eq!(root(&book), Some(1), "an earlier head may have come late");
    book.head(HEAD_STALE_MS, head(10, 3), false);
    assert_eq!(root(&book), Some(3));
    book.head(HEAD_STALE_MS, head(11, 4), false);
    assert_eq!(root(&book), Some(4));
}

#[test]
fn strangers_leave_the_book_with_their_last_connection() {
    // Every peer that ever connected stayed in the book, and each snapshot of it grew.
    let mut book = book(2);
    book.configure(name(3), "/ip4/127.0.0.1/tcp/3".into());
    book.configure_address("/ip4/127.0.0.1/tcp/4".into());
    for n in [1, 3, 4, 9] {
        book.connected(0, &name(n), u64::from(n), link(false));
    }
    book.answered("/ip4/127.0.0.1/tcp/4", &name(4));
    for n in [1, 3, 4, 9] {
        book.closed(1, &name(n), u64::from(n), 0);
        book.dial_failed(2, &name(n), "gone".into(), 0);
        book.closed(3, &name(n), u64::from(n), 0);
    }
    let left: Vec<_> = book.peers.keys().cloned().collect();
    assert_eq!(left, [name(1), name(3), name(4)], "a member, a configured peer, and who answers a configured address");
}

#[test]
fn a_full_book_has_room_for_who_connects() {
    let mut book = book(1);
    let stranger = |n: u32| PeerName(n.to_be_bytes().repeat(9).into());
    for n in 0..PEERS_MAX as u32 {
        book.learn(stranger(n), format!("/ip4/127.0.0.1/tcp/{n}"));
    }
    book.connected(0, &name(9), 1, link(false));
    assert_eq!((book.peers.len(), book.counts(0, &ROOT).connected), (PEERS_MAX, 1));
}

#[test]
fn the_book_is_bounded_and_members_stay() {
    let mut book = book(3);
    book.learn(name(1), "/ip4/127.0.0.1/tcp/1".into());
    for n in 0..2 * PEERS_MAX as u32 {
        book.learn(PeerName(n.to_be_bytes().repeat(9).into()), format!("/ip4/127.0.0.1/tcp/{n}"));
    }
    assert!(book.peers.len() <= PEERS_MAX);
    assert!(book.peers.contains_key(&name(1)));
}
