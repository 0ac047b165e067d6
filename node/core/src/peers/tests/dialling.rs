//! Dialling against peers that are gone, that close at once, and that crowd others out.

use lattice::seat::{Approvals, Body, Certificate, Warrant};

use super::*;

fn dials(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Dial(..) | Action::DialAddress(_))).count()
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
            book.dial_failed(now, &name(1), "gone".into(), 0);
        }
        now += 100;
    }
    assert!(pauses[1..].windows(2).all(|pair| pair[0] <= pair[1]), "{pauses:?}");
    assert_eq!(pauses.last(), Some(&REDIAL_LAST_MS));
}

#[test]
fn whoever_is_wanted_now_is_dialled_beside_a_dial_that_hangs_and_after_failures() {
    let mut book = book(2);
    assert_eq!(dials(&book.tick(0)), 1);
    assert_eq!(dials(&book.tick(100)), 0, "one hangs");
    book.want(&name(1));
    assert_eq!(dials(&book.tick(100)), 1);
    book.dial_failed(200, &name(1), "gone".into(), 0);
    assert_eq!(dials(&book.tick(200)), 0, "a pause");
    book.want(&name(1));
    assert_eq!(dials(&book.tick(200)), 1);
    book.connected(300, &name(1), 1, link(true));
    book.want(&name(1));
    assert_eq!(dials(&book.tick(300)), 0, "it is here");
}

#[test]
fn members_are_dialled_though_nobody_configured_them() {
    let mut book = book(4);
    let dialled = book.tick(0).into_iter().filter(|action| matches!(action, Action::Dial(..))).count();
    assert_eq!(dialled, 3, "all but ourselves");
}

#[test]
fn mirrors_are_left_to_dial_themselves_unless_a_node_knows_nobody_else() {
    let genesis = founded();
    let author = |n| keys(n).author.id();
    let mut voters = vec![author(0), author(1), author(3)];
    voters.sort_unstable();
    let body = Body {
        lattice: genesis.id(),
        seat: "green".to_owned(),
        term: 1,
        holder: author(1),
        shadow: Some(author(2)),
        spares: Vec::new(),
        voters,
        electors: Vec::new(),
        follows: None,
        cut: 0,
        log_size: 0,
        log_root: [0; 32],
        time_ms: 1,
        reason: "created".to_owned(),
    };
    let warrant = Warrant::Operators(Approvals::by(&body, &keys(0), 1));
    let settled = Change::Certify(Box::new(Certificate { body, warrant }));
    let membership = Membership::of(&genesis, added(4).chain([settled]));
    let mut book = PeerBook::new(name(0), Arc::new(membership));
    let dialled = |actions: Vec<Action>| -> Vec<PeerName> {
        let to = actions.into_iter().filter_map(|action| match action {
            Action::Dial(peer, _) => Some(peer),
            Action::DialAddress(_) | Action::Close(..) | Action::Hello(_) => None,
        });
        to.collect()
    };
    // Node 0 may have been away while the shadow took the seat over.
    assert_eq!(dialled(book.tick(0)), [name(1), name(2), name(3)]);
    book.connected(1, &name(1), 1, link(true));
    book.proved(&name(1), author(1));
    for n in [2, 3] {
        book.dial_failed(1, &name(n), "gone".into(), 0);
    }
    assert_eq!(dialled(book.tick(100_000)), [name(3)], "the shadow listens nowhere");
}

/// Lets every dial within `span_ms` lead to a connection that closes after `lives_ms`; says how many dials that were.
fn dials_within(book: &mut PeerBook, span_ms: u64, lives_ms: u64, proves: bool) -> usize {
    let (mut count, mut now) = (0, 0);
    while now < span_ms {
        for action in book.tick(now) {
            match action {
                Action::Dial(..) => {}
                Action::DialAddress(address) => book.answered(&address, &name(1)),
                Action::Close(..) | Action::Hello(_) => continue,
            }
            count += 1;
            book.connected(now, &name(1), 1, link(true));
            if proves {
                book.proved(&name(1), keys(1).author.id());
            }
            now += lives_ms;
            book.closed(now, &name(1), 1, 0);
        }
        now += 100;
    }
    count
}

#[test]
fn a_peer_that_closes_at_once_is_dialled_less_and_less() {
    // A node that a peer had banned dialled it again every 0.6 s for the ten minutes of the ban.
    let minutes = 600_000;
    let mut member = book(2);
    assert!((20..40).contains(&dials_within(&mut member, minutes, 0, false)));
    let mut address = book(1);
    address.configure_address("/ip4/127.0.0.1/tcp/1".into());
    assert!((20..40).contains(&dials_within(&mut address, minutes, 0, false)));
}

#[test]
fn a_connection_that_held_or_proved_the_lattice_ends_the_pauses() {
    let proved = dials_within(&mut book(2), 60_000, 0, true);
    assert!(proved >= 60_000 / (REDIAL_FIRST_MS as usize + 200), "{proved}");
    let mut stranger = book(1);
    stranger.configure_address("/ip4/127.0.0.1/tcp/1".into());
    let held = dials_within(&mut stranger, 60_000, LASTING_MS, false);
    assert!(held >= 5, "{held}");
}

#[test]
fn strangers_do_not_take_the_room_of_the_lattice() {
    let mut book = book(3);
    for n in 0..2 * CONNECTIONS_WANTED as u8 {
        book.connected(0, &name(100 + n), u64::from(n), link(false));
    }
    assert_eq!(dials(&book.tick(0)), 2);
}

#[test]
fn a_big_lattice_is_dialled_up_to_a_number_that_dials_under_way_fill_as_well() {
    let mut book = book(CONNECTIONS_WANTED as u8 + 20);
    for n in 1..=10 {
        book.connected(0, &name(n), u64::from(n), link(false));
        book.proved(&name(n), keys(n).author.id());
    }
    assert_eq!(dials(&book.tick(0)), CONNECTIONS_WANTED - 10);
    assert_eq!(dials(&book.tick(1)), 0);
    book.dial_failed(2, &name(11), "gone".into(), 0);
    assert_eq!(dials(&book.tick(2)), 1, "another one instead");
}

#[test]
fn configured_peers_are_dialled_first_and_even_beyond_that_number() {
    let mut book = book(CONNECTIONS_WANTED as u8 + 20);
    let last = CONNECTIONS_WANTED as u8 + 19;
    book.configure(name(last), "/ip4/127.0.0.1/tcp/1".into());
    assert!(matches!(book.tick(0).first(), Some(Action::Dial(peer, _)) if *peer == name(last)));

    let mut full = self::book(CONNECTIONS_WANTED as u8 + 20);
    for n in 1..=CONNECTIONS_WANTED as u8 {
        full.connected(0, &name(n), u64::from(n), link(false));
        full.proved(&name(n), keys(n).author.id());
    }
    full.configure(name(last), "/ip4/127.0.0.1/tcp/1".into());
    assert_eq!(dials(&full.tick(0)), 1);
}

#[test]
fn a_peer_of_another_lattice_is_greeted_and_dialled_less_and_less() {
    // It was greeted every 3 s and dialled again at once after each minute, for ever.
    let mut book = book(1);
    book.configure_address("/ip4/127.0.0.1/tcp/1".into());
    let (mut dials, mut hellos) = (Vec::new(), 0);
    for now in (0..3_600_000).step_by(100) {
        for action in book.tick(now) {
            match action {
                Action::DialAddress(address) => {
                    dials.push(now);
                    book.connected(now, &name(9), now, link(true));
                    book.answered(&address, &name(9));
                }
                Action::Hello(_) => {
                    hellos += 1;
                    book.refused(&name(9), "another lattice".into());
                }
                Action::Close(..) => book.closed(now, &name(9), *dials.last().expect("a dial"), 0),
                Action::Dial(..) => panic!("its id is not configured"),
            }
        }
    }
    assert!((10..25).contains(&dials.len()), "{dials:?}");
    assert!(hellos < 60, "{hellos}");
    let last = dials.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(last.is_some_and(|pause| pause <= STRANGER_MS + REDIAL_REFUSED_MS + 200), "{dials:?}");
}

#[test]
fn who_does_not_answer_is_shown_with_the_reason_and_the_next_dial() {
    let mut book = book(1);
    let address = "/ip4/127.0.0.1/tcp/1";
    book.configure_address(address.into());
    book.tick(0);
    let seen =
        |book: &PeerBook| book.unanswered().map(|a| (a.error.map(str::to_owned), a.next_dial_ms)).collect::<Vec<_>>();
    assert_eq!(seen(&book), [(None, None)], "being dialled");
    book.address_failed(10, address, "refused".into(), 0);
    assert_eq!(seen(&book), [(Some("refused".into()), Some(10 + REDIAL_FIRST_MS))]);

    book.connected(20, &name(9), 1, link(true));
    book.answered(address, &name(9));
    assert_eq!((seen(&book), book.awaited(&name(9))), (vec![], None));
    assert!(book.is_configured(&name(9)), "though the configuration names an address only");
    book.closed(30, &name(9), 1, 0);
    book.address_failed(40, address, "gone".into(), 0);
    assert_eq!(seen(&book), [], "it is one row, that of the peer");
    let awaited = book.awaited(&name(9)).expect("away");
    assert_eq!((awaited.address, awaited.error), (Some(address), Some("gone")));

    book.configure(name(8), "/ip4/127.0.0.1/tcp/8".into());
    book.dial_failed(50, &name(8), "no route".into(), 0);
    assert_eq!(book.awaited(&name(8)).and_then(|awaited| awaited.error), Some("no route"));
}
