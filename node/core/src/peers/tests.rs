//! Peer counts against the cases in which other systems counted wrong.

use super::*;
use lattice::genesis::{Genesis, Member};
use lattice::ids::LatticeId;
use lattice::keys::NodeKeys;
use lattice::membership::Change;

const ROOT: StateRoot = StateRoot([1; 32]);

fn name(n: u8) -> PeerName {
    PeerName(vec![n; 38].into())
}

fn keys(n: u8) -> NodeKeys {
    NodeKeys::from_seed([n; 32])
}

/// A book of node 0 in a lattice of `members` nodes 0, 1, 2…
fn book(members: u8) -> PeerBook {
    let genesis = Genesis::founded_by("test", "0", &keys(0), vec![0; 38]);
    let added = (1..members).map(|n| {
        let (author, log_key) = (keys(n).author.id(), keys(n).log_key());
        Change::Add(Member { name: n.to_string(), author, log_key, peer_id: vec![n; 38], roles: [].into() })
    });
    PeerBook::new(name(0), Arc::new(Membership::of(&genesis, added)))
}

fn link(outbound: bool) -> Link {
    Link { address: "/ip4/127.0.0.1/tcp/1".into(), outbound }
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
    book.closed(0, &name(1), 1);
    assert_eq!(counts(&book, 0), (0, 1, 1), "one connection is left, and what it proved holds");
    book.closed(0, &name(1), 2);
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
fn dialling_backs_off_goes_on_for_ever_and_never_doubles() {
    let mut book = book(2);
    book.configure(name(1), "/ip4/127.0.0.1/tcp/1".into());
    let (mut now, mut dials, mut pauses) = (0, 0, Vec::new());
    let mut last = 0;
    while dials < 12 {
        if book.tick(now).iter().any(|action| matches!(action, Action::Dial(..))) {
            assert_eq!(book.tick(now), [], "one dial at a time");
            pauses.push(now - last);
            (dials, last) = (dials + 1, now);
            book.dial_failed(now, &name(1), 0);
        }
        now += 100;
    }
    assert!(pauses[1..].windows(2).all(|pair| pair[0] <= pair[1]), "{pauses:?}");
    assert_eq!(pauses.last(), Some(&REDIAL_LAST_MS));
}

#[test]
fn members_are_dialled_though_nobody_configured_them() {
    let mut book = book(4);
    let dialled = book.tick(0).into_iter().filter(|action| matches!(action, Action::Dial(..))).count();
    assert_eq!(dialled, 3, "all but ourselves");
}

#[test]
fn ten_strikes_ban_and_the_ban_ends() {
    let mut book = book(2);
    book.connected(0, &name(1), 1, link(true));
    (0..crate::blame::STRIKES_MAX).for_each(|_| book.strike(0, &name(1)));
    assert!(matches!(book.tick(0).as_slice(), [Action::Close(..), ..]));
    assert!(book.is_banned(crate::blame::BAN_MS - 1, &name(1)));
    assert!(!book.is_banned(crate::blame::BAN_MS, &name(1)));
}

#[test]
fn in_sync_needs_a_lattice_peer_with_an_equal_or_explained_root_lately() {
    let mut book = book(2);
    let head = Head {
        lattice: LatticeId::ZERO,
        author: keys(1).author.id(),
        time_ms: 1,
        root: ROOT,
        entries: 0,
        frontier: [0; 32],
        checkpoint_size: 0,
    };
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
fn the_book_is_bounded_and_members_stay() {
    let mut book = book(3);
    book.learn(name(1), "/ip4/127.0.0.1/tcp/1".into());
    for n in 0..2 * PEERS_MAX as u32 {
        book.learn(PeerName(n.to_be_bytes().repeat(9).into()), format!("/ip4/127.0.0.1/tcp/{n}"));
    }
    assert!(book.peers.len() <= PEERS_MAX);
    assert!(book.peers.contains_key(&name(1)));
}
