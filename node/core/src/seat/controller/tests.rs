//! Stories of whole seats: who dies, who takes over, how long it takes, and what gets nobody stuck.

mod faults;
mod world;

use super::*;
use crate::seat::effect::Alarm;
use crate::seat::event::Fetched;
use crate::seat::own::NoShadow;
use crate::seat::takeover::WhyNot;
use crate::seat::timing::Timing;
use world::{World, ill};

fn serving(no_shadow: NoShadow, nodes: usize) -> World {
    let mut world = World::new(nodes, no_shadow);
    world.until("the holder serves", |world| world.serving() == Some(0));
    world.run(2_000);
    world
}

#[test]
fn a_seat_at_rest_keeps_its_holder_and_says_nothing() {
    let mut world = serving(NoShadow::Block, 4);
    world.run(60_000);
    assert_eq!((world.serving(), world.last().term), (Some(0), 1));
    assert!(world.nodes.iter().all(|node| node.alarms.is_empty()));
    assert_eq!(world.nodes[0].opened, Some(1));
    let possible = world.nodes[0].controller.takeover_possible(world.now()).expect("it holds");
    assert_eq!(possible.expect("possible").to_string(), "the shadow can take over; nothing would be lost");
}

#[test]
fn when_the_holder_dies_its_shadow_serves_within_three_seconds() {
    let mut world = serving(NoShadow::Block, 4);
    world.nodes[0].is_up = false;
    let took_ms = world.until("the shadow serves", |world| world.serving() == Some(1));
    assert!(took_ms <= 3_000, "{took_ms} ms");
    assert_eq!(world.last().shadow, Some(world.name(3)), "a spare becomes the shadow in the same step");
    assert_eq!(world.last().spares, [world.name(0)]);
    assert_eq!(world.steps(1), [Step::Began, Step::Suspected, Step::Stood, Step::Won, Step::Began]);
}

#[test]
fn without_a_spare_the_old_holder_becomes_the_shadow_and_does_not_go_back_by_itself() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[0].is_up = false;
    world.until("the shadow serves", |world| world.serving() == Some(1));
    world.nodes[0].is_up = true;
    let last = world.last().clone();
    world.certify(1, last);
    world.run(60_000);
    assert_eq!(world.nodes[0].controller.role(), (Role::Shadow, 2));
    assert_eq!((world.serving(), world.last().term), (Some(1), 2));
}

/// It woke up holding a certificate of term 1, a lease that ran out long ago, and clients that wait.
#[test]
fn a_holder_that_sleeps_for_longer_than_its_lease_serves_nothing_when_it_wakes() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[0].is_up = false;
    world.until("the shadow serves", |world| world.serving() == Some(1));
    world.nodes[0].is_up = true;
    assert!(world.nodes[0].controller.serves_until().is_none_or(|until| until.0 <= world.now_ms));
    world.run(5_000);
    assert_eq!(world.serving(), Some(1));
    assert_eq!(
        world.nodes[0].controller.role().0,
        Role::Shadow,
        "a voter's refusal brought the certificate, or gossip"
    );
}

#[test]
fn while_the_voters_keep_the_lease_a_shadow_that_is_cut_off_does_not_stand() {
    let mut world = serving(NoShadow::Block, 3);
    world.cut_off(0, &[1]);
    world.run(20_000);
    assert_eq!((world.serving(), world.last().term), (Some(0), 1));
    assert!(world.nodes[1].alarms.iter().any(|alarm| matches!(alarm, Alarm::LeaseKept { free: 1, of: 3 })));
    assert!(world.nodes[0].alarms.iter().any(|alarm| matches!(alarm, Alarm::CannotTakeOver(_))));
    assert!(world.nodes[0].alarms.iter().any(|alarm| matches!(alarm, Alarm::ShadowGone { .. })));
    world.cut.clear();
    world.until("the suspicion passes", |world| world.nodes[1].controller.doing() == "following");
}

#[test]
fn a_holder_cut_off_from_all_stops_before_its_shadow_begins() {
    let mut world = serving(NoShadow::Block, 3);
    world.cut_off(0, &[1, 2]);
    world.until("the holder stops", |world| world.serving().is_none());
    world.until("the shadow serves", |world| world.serving() == Some(1));
    assert!(world.nodes[0].alarms.iter().any(|alarm| matches!(alarm, Alarm::NoLease)) || world.last().term == 2);
}

#[test]
fn a_switchover_takes_half_a_second_at_most() {
    let mut world = serving(NoShadow::Block, 4);
    world.nodes[0].staged = 7;
    world.run(100);
    world.order(0, Order::Switchover).expect("possible");
    let took_ms = world.until("the shadow serves", |world| world.serving() == Some(1));
    assert!(took_ms <= 500, "{took_ms} ms");
    assert_eq!((world.last().cut, world.last().term), (7, 2));
}

#[test]
fn a_switchover_that_the_shadow_does_not_answer_is_taken_back() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[1].is_answering = false;
    world.order(0, Order::Switchover).expect("possible");
    assert_eq!(world.serving(), None, "its lease is released");
    let busy = world.order(0, Order::Switchover);
    assert!(matches!(busy, Err(OrderRefused::Busy { doing: "handing over", .. })));
    world.until("it serves again", |world| world.serving() == Some(0));
    assert!(world.steps(0).contains(&Step::Returned));
}

#[test]
fn a_switchover_is_refused_while_nobody_could_take_over() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[1].is_up = false;
    world.run(5_000);
    let refused = world.order(0, Order::Switchover);
    assert!(matches!(refused, Err(OrderRefused::Impossible(WhyNot::ShadowSilent { .. }))), "{refused:?}");
    assert_eq!(world.order(1, Order::Switchover), Err(OrderRefused::NotHolder));
}

#[test]
fn a_drain_that_is_not_answered_is_given_up() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[0].is_answering = false;
    world.order(0, Order::Switchover).expect("possible");
    assert_eq!(world.nodes[0].controller.doing(), "draining");
    world.until("it gives up", |world| world.nodes[0].controller.doing() == "serving");
    assert!(world.nodes[0].alarms.contains(&Alarm::DrainGivenUp));
}

#[test]
fn a_spare_takes_the_place_of_a_shadow_that_stays_away() {
    let mut world = serving(NoShadow::Block, 4);
    world.nodes[1].is_up = false;
    world.until("a spare is the shadow", |world| world.last().shadow == Some(world.name(3)));
    assert_eq!(world.last().spares, [world.name(1)]);
    world.until("the holder serves", |world| world.serving() == Some(0));
    world.run(5_000);
    let possible = |world: &World| world.nodes[0].controller.takeover_possible(world.now());
    assert_eq!(
        possible(&world),
        Some(Err(WhyNot::TooFewVoters { answering: 1, abstaining: 0, needed: 2 })),
        "two voters would be left"
    );
    world.nodes[1].is_up = true;
    world.until("a takeover is possible", |world| possible(world).is_some_and(|possible| possible.is_ok()));
}

#[test]
fn without_a_spare_the_policy_decides_and_blocking_is_the_default() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[1].is_up = false;
    world.run(30_000);
    assert_eq!((world.serving(), world.last().term), (Some(0), 1), "never degraded by itself");
    assert!(world.nodes[0].alarms.iter().any(|alarm| matches!(alarm, Alarm::ShadowGone { .. })));

    let mut world = serving(NoShadow::Degrade, 3);
    world.nodes[1].is_up = false;
    world.until("no shadow", |world| world.last().shadow.is_none());
    assert!(world.nodes[0].alarms.contains(&Alarm::Degraded));
    world.until("the holder serves", |world| world.serving() == Some(0));
    assert_eq!(world.nodes[0].opened, Some(2), "a majority of the voters knows of it");
    let possible = world.nodes[0].controller.takeover_possible(world.now()).expect("it holds");
    assert_eq!(possible, Err(WhyNot::NoShadow));
    let shadow = world.name(1);
    world.nodes[1].is_up = true;
    world.order(0, Order::ChangeShadow { shadow, spares: Vec::new() }).expect("in order");
    world.until("a shadow again", |world| world.last().shadow == Some(shadow) && world.serving() == Some(0));
}

#[test]
fn a_paused_seat_waits_for_its_operator_and_no_longer_than_was_said() {
    let mut world = serving(NoShadow::Block, 3);
    for node in 0..3 {
        world.order(node, Order::Pause { for_ms: 30_000 }).expect("any node");
    }
    world.nodes[0].is_up = false;
    world.run(29_000);
    assert_eq!(world.last().term, 1);
    let took_ms = world.until("the shadow serves", |world| world.serving() == Some(1));
    assert!(took_ms <= 5_000, "{took_ms} ms after the pause");
}

#[test]
fn a_node_that_took_over_lately_does_not_do_so_again_at_once() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[0].is_up = false;
    world.until("the shadow serves", |world| world.serving() == Some(1));
    world.nodes[0].is_up = true;
    let last = world.last().clone();
    world.certify(1, last);
    world.run(3_000);
    world.order(1, Order::Switchover).expect("back, on order");
    world.until("the first holder serves", |world| world.serving() == Some(0));
    world.run(1_000);
    world.nodes[0].is_up = false;
    world.run(10_000);
    assert_eq!(world.holder(), 0, "it cools down");
    assert!(world.nodes[1].alarms.iter().any(|alarm| matches!(alarm, Alarm::CoolingDown { .. })));
    world.until("then it takes over", |world| world.serving() == Some(1));
}

/// The shadow stood while the holder was cut off; then the holder came back first and renewed. The shadow can't copy that
/// term any more, so the seat would stand still for ever did the holder keep its lease.
#[test]
fn a_holder_lets_go_for_a_shadow_that_stood_and_gets_stuck() {
    let mut world = serving(NoShadow::Block, 3);
    world.cut_off(0, &[1, 2]);
    world.until("the lease runs out", |world| world.serving().is_none());
    world.cut_off(1, &[2]);
    world.cut.retain(|link| *link != (0, 2) && *link != (2, 0));
    world.until("the holder serves", |world| world.serving() == Some(0));
    let term = world.last().term;
    let position = crate::seat::candidacy::Position {
        term,
        staged_seq: 0,
        holds_opening_cut: true,
        log_size: 0,
        log_root: [0; 32],
    };
    let from = world.name(0);
    world.tell(1, Event::HandedOver { from, term, staged_seq: 0 });
    world.settle();
    world.tell(1, Event::MirrorStopped(position));
    world.settle();
    assert_eq!(world.nodes[1].controller.doing(), "standing");
    world.cut.clear();
    world.until("a higher term", |world| world.last().term > term && world.serving() == Some(1));
    assert!(world.steps(0).contains(&Step::Yielded));
}

#[test]
fn a_holder_whose_shadow_stood_and_died_stands_above_it() {
    let mut world = serving(NoShadow::Block, 3);
    let from = world.name(1);
    world.tell(0, Event::MirrorStood { from, term: 5 });
    world.settle();
    world.nodes[1].is_up = false;
    assert_eq!(world.nodes[0].controller.doing(), "yielding to its shadow");
    world.until("a term above", |world| world.last().term == 6 && world.serving() == Some(0));
}

/// It was told in the middle of a switchover; then the drain came to nothing, and nobody said it again.
#[test]
fn that_a_shadow_stood_is_not_forgotten_over_a_drain() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[0].is_answering = false;
    world.order(0, Order::Switchover).expect("possible");
    let from = world.name(1);
    world.tell(0, Event::MirrorStood { from, term: 5 });
    world.settle();
    assert_eq!(world.nodes[0].controller.doing(), "draining");
    world.until("it lets go", |world| world.nodes[0].controller.doing() == "yielding to its shadow");
    world.until("it has given up a drain of its own", |world| world.nodes[0].controller.doing() == "serving");
    world.nodes[0].is_answering = true;
    world.until("a term above", |world| world.last().term == 6 && world.serving() == Some(0));
}

#[test]
fn a_spare_that_is_bound_to_a_higher_term_is_freed_by_one_above_it() {
    let mut world = serving(NoShadow::Block, 4);
    world.bind(3, 5);
    let took_ms = world.until("a term above", |world| world.last().term == 6 && world.serving() == Some(0));
    assert!(took_ms > Timing::LAN.cool_down_ms / 2, "the holder is in no hurry: {took_ms} ms");
    assert_eq!((world.last().shadow, &world.last().spares[..]), (Some(world.name(1)), &[world.name(3)][..]));
    assert!(!world.steps(0).contains(&Step::Yielded));
    assert!(world.nodes[3].controller.may_serve(6));
}

/// Without a shadow nothing else was looked at: the holder's death would have left two voters of three that are well, and one of
/// them abstaining for ever.
#[test]
fn a_holder_without_a_shadow_frees_a_voter_that_abstains_too() {
    let mut world = serving(NoShadow::Degrade, 3);
    world.nodes[1].is_up = false;
    world.until("it goes on alone", |world| world.last().shadow.is_none() && world.serving() == Some(0));
    world.nodes[1].is_up = true;
    let term = world.last().term;
    world.nodes[2].abstains_above = Some(term);
    world.until("a term above", |world| world.last().term == term + 1 && world.serving() == Some(0));
    assert_eq!(world.last().shadow, None);
}

#[test]
fn a_voter_that_may_have_forgotten_its_votes_does_not_count_until_the_holder_begins_a_term_for_it() {
    let mut world = serving(NoShadow::Block, 3);
    // Of three voters the holder is one, so the others are both needed.
    world.nodes[2].abstains_above = Some(1);
    world.run(4 * Timing::LAN.lease_ms);
    let possible = world.nodes[0].controller.takeover_possible(world.now());
    let too_few = WhyNot::TooFewVoters { answering: 1, abstaining: 1, needed: 2 };
    assert_eq!(possible, Some(Err(too_few.clone())));
    assert!(world.nodes[0].alarms.contains(&Alarm::CannotTakeOver(too_few)));
    world.until("a term above", |world| world.last().term == 2 && world.serving() == Some(0));
    assert_eq!(world.last().shadow, Some(world.name(1)));
    world.run(1_000);
    assert!(world.nodes[0].controller.takeover_possible(world.now()).is_some_and(|possible| possible.is_ok()));
    // One that does not know yet what it lost is not helped by a term; of a higher term the holder hears by itself.
    for above in [0, 9] {
        let from = world.name(2);
        let asked = BootMs(world.now_ms);
        let result = Err(crate::seat::refusal::Refusal::Abstaining { above });
        world.run(Timing::LAN.cool_down_ms);
        world.tell(0, Event::RenewAnswered { voter: from, term: 2, asked, result });
        world.tell(0, Event::Tick);
        world.run(100);
        assert_eq!(world.last().term, 2);
    }
}

#[test]
fn a_mirror_that_is_being_seeded_could_not_take_over() {
    let mut world = serving(NoShadow::Block, 5);
    world.nodes[1].is_seeding = true;
    world.run(100);
    let possible = world.nodes[0].controller.takeover_possible(world.now());
    assert_eq!(possible, Some(Err(WhyNot::ShadowSeeding)));
    assert_eq!(world.order(0, Order::Switchover), Err(OrderRefused::Impossible(WhyNot::ShadowSeeding)));
    // Of two spares the one whose copy is whole takes the place of a shadow that is gone.
    world.nodes[3].is_seeding = true;
    world.nodes[1].is_up = false;
    world.until("a spare is the shadow", |world| world.last().shadow.is_some_and(|shadow| shadow != world.name(1)));
    assert_eq!(world.last().shadow, Some(world.name(4)));
}

#[test]
fn a_shadow_whose_log_is_shorter_than_what_the_term_began_with_could_not_take_over() {
    let mut world = serving(NoShadow::Block, 4);
    world.nodes[0].staged = 5;
    world.run(200);
    world.nodes[0].is_up = false;
    world.until("the shadow serves, and is followed", |world| world.serving() == Some(1));
    world.run(200);
    let (mirror, term) = (world.last().shadow.expect("the spare"), world.last().term);
    assert_eq!(world.last().log_size, 5);
    for (log_size, is_short) in [(4, true), (5, false)] {
        let fetched = Fetched { mirror, term, staged_seq: 5, log_size, is_twin: true, paused_ms: 0 };
        world.tell(1, Event::FetchedBy(fetched));
        let possible = world.nodes[1].controller.takeover_possible(world.now()).expect("it holds");
        assert_eq!(possible == Err(WhyNot::ShadowSeeding), is_short, "{possible:?}");
    }
}

/// It was stopped and begun again at every tick, with a line in the log each time.
#[test]
fn a_mirror_that_can_not_stand_is_left_running_for_a_while() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[1].lacks_opening = true;
    world.run(200);
    world.nodes[0].is_up = false;
    world.run(3 * Timing::LAN.stand_ms);
    let suspected = world.steps(1).into_iter().filter(|step| *step == Step::Suspected).count();
    assert!((1..=4).contains(&suspected), "{suspected} times");
    assert_eq!(world.serving(), None);
    world.nodes[1].lacks_opening = false;
    world.until("it is found to be able", |world| world.serving() == Some(1));
}

#[test]
fn the_pause_of_the_shadow_counts_and_not_the_holders() {
    let mut world = serving(NoShadow::Block, 3);
    let possible = |world: &World| world.nodes[0].controller.takeover_possible(world.now()).expect("it holds");
    world.order(0, Order::Pause { for_ms: 60_000 }).expect("any node");
    world.run(100);
    assert!(possible(&world).is_ok());
    world.order(1, Order::Pause { for_ms: 60_000 }).expect("any node");
    world.run(100);
    assert!(matches!(possible(&world), Err(WhyNot::Paused { ms }) if ms > 59_000));
    world.order(1, Order::Resume).expect("any node");
    world.run(100);
    assert!(possible(&world).is_ok());
}

#[test]
fn an_alarm_is_said_again_when_it_happens_again() {
    let mut world = serving(NoShadow::Block, 3);
    let said = |world: &World| world.nodes[0].alarms.iter().filter(|alarm| **alarm == Alarm::DrainGivenUp).count();
    for times in 1..=2 {
        world.nodes[0].is_answering = false;
        world.order(0, Order::Switchover).expect("possible");
        world.until("it gives up", |world| world.nodes[0].controller.doing() == "serving");
        assert_eq!(said(&world), times);
    }
    world.nodes[1].is_seeding = true;
    world.run(100);
    world.nodes[1].is_up = false;
    world.run(5_000);
    let reasons = world.nodes[0].alarms.iter().filter(|alarm| matches!(alarm, Alarm::CannotTakeOver(_))).count();
    assert_eq!(reasons, 2, "one for each reason: {:?}", world.nodes[0].alarms);
}

#[test]
fn a_holder_that_counts_on_longer_leases_than_a_voter_keeps_says_so() {
    let mut world = serving(NoShadow::Block, 3);
    let (voter, asked) = (world.name(2), BootMs(world.now_ms));
    let result = Err(crate::seat::refusal::Refusal::ShorterLease { ms: 500 });
    world.tell(0, Event::RenewAnswered { voter, term: 1, asked, result });
    world.settle();
    assert!(world.nodes[0].alarms.contains(&Alarm::ShorterLease { voter, ms: 500 }));
}

#[test]
fn a_holder_that_is_not_well_hands_over() {
    let mut world = serving(NoShadow::Block, 4);
    world.tell(0, Event::OwnHealth(ill("no room on the disk")));
    world.until("the shadow serves", |world| world.serving() == Some(1));
    assert!(world.last().reason.starts_with("planned"));
}

#[test]
fn a_shadow_whose_mirror_or_disk_does_not_answer_says_so_and_goes_on() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[1].is_answering = false;
    world.nodes[0].is_up = false;
    world.until("it says so", |world| {
        world.nodes[1].alarms.iter().any(|alarm| matches!(alarm, Alarm::NotAnswered("mirror")))
    });
    world.nodes[1].is_answering = true;
    world.until("the shadow serves", |world| world.serving() == Some(1));
}

#[test]
fn a_certificate_of_operators_moves_the_seat_whatever_the_nodes_do() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[0].is_up = false;
    world.cut_off(1, &[2]);
    world.run(10_000);
    let mut body = world.last().body().clone();
    (body.term, body.holder, body.shadow) = (9, world.name(1), None);
    (body.follows, body.electors) = (Some(world.last().name()), world.last().voters.clone());
    let warrant = lattice::seat::Warrant::Votes(std::collections::BTreeMap::new());
    let certificate = Box::new(Certificate { body: body.clone(), warrant: warrant.clone() });
    world.order(1, Order::Promote(certificate)).expect("higher");
    assert_eq!(world.nodes[1].controller.role(), (Role::Holder, 9));
    let late = Box::new(Certificate { body, warrant });
    assert_eq!(world.order(1, Order::Promote(late)), Err(OrderRefused::Late { term: 9 }));
}

#[test]
fn two_voters_alone_never_fail_over() {
    let mut world = serving(NoShadow::Block, 3);
    world.nodes[0].is_up = false;
    world.nodes[2].is_up = false;
    world.run(60_000);
    assert_eq!((world.last().term, world.serving()), (1, None));
}
