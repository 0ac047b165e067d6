//! Every state that a seat of three voters can come to in a few steps: the real voters, leases and drafts of bodies,
//! explored exhaustively; and again with each rule left out, where something must go wrong.

mod history;
mod model;
mod state;
mod steps;
mod switch;

use std::collections::BTreeSet;

use model::{ACKNOWLEDGED_SURVIVES, ONE_HOLDER, ONE_LEASE, READS_ARE_FRESH, SHOWN_STAYS, Seat, TAKEN_OVER};
use stateright::{Checker, HasDiscoveries, Model};
use switch::Switch;

/// Two cores, as the smallest machines that run the tests have.
const THREADS: usize = 2;

/// Votes and staging alone: holder and shadow are voters, and the holder may also stand for terms of its own.
const VOTES: Seat = Seat {
    nodes: 3,
    voters: &[0, 1, 2],
    spares: &[],
    new_voters: None,
    changes: &[None, Some(1), Some(0)],
    ticks: 0,
    terms: 3,
    writes: 1,
    restarts: 0,
    releases: 0,
    answers_travel: false,
    leases: false,
    ends_by_next: false,
    off: None,
};

/// With leases, and with the third node as a spare, so that a takeover names another shadow than the old holder.
const LEASES: Seat = Seat { changes: &[], terms: 2, leases: true, spares: &[2], ..VOTES };

/// Explores all there is and expects no violation.
fn holds(seat: Seat) {
    let checker = seat.clone().checker().threads(THREADS).spawn_bfs().join();
    println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
    let found = checker.discoveries();
    if let Some((name, path)) = found.iter().find(|(name, _)| **name != TAKEN_OVER) {
        panic!("not so: {name}: {:#?}", path.clone().into_actions());
    }
    assert!(checker.is_done(), "all was explored");
    assert!(seat.writes < 2 || found.contains_key(TAKEN_OVER), "it would hold of a model in which nothing happens");
}

/// Leaves a rule out and expects that this no longer holds.
fn breaks(off: Switch, property: &'static str, seat: Seat) {
    let seat = Seat { off: Some(off), ..seat };
    violates(property, seat);
}

fn violates(property: &'static str, seat: Seat) {
    let finish = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = seat.checker().threads(THREADS).finish_when(finish).spawn_bfs().join();
    println!("{} states, {} of them different", checker.state_count(), checker.unique_state_count());
    let path = checker.discovery(property).unwrap_or_else(|| panic!("holds without the rule too: {property}"));
    println!("{:#?}", path.into_actions());
}

#[test]
fn votes_and_staging_hold_over_three_terms() {
    holds(Seat { writes: 2, ..VOTES });
}

#[test]
fn a_spare_that_becomes_the_shadow_loses_nothing() {
    holds(Seat { spares: &[2], changes: &[None, Some(1), Some(2)], ..VOTES });
}

#[test]
fn voters_that_mirror_nothing_will_do() {
    holds(Seat { nodes: 5, voters: &[2, 3, 4], changes: &[None], ..VOTES });
}

#[test]
fn leases_hold_over_time_and_restarts() {
    holds(Seat { ticks: 3, writes: 0, restarts: 1, ..LEASES });
}

#[test]
fn leases_hold_over_three_terms() {
    holds(Seat { ticks: 2, writes: 0, terms: 3, ..LEASES });
}

#[test]
fn reads_under_a_lease_stay_true_while_terms_change() {
    holds(Seat { ticks: 2, ..LEASES });
    holds(Seat { ticks: 1, changes: &[None, Some(2)], ..LEASES });
}

#[test]
fn a_lease_that_was_released_can_be_asked_for_again() {
    holds(Seat { ticks: 1, releases: 1, ..LEASES });
}

#[test]
fn answers_that_travel_change_nothing() {
    holds(Seat { ticks: 1, answers_travel: true, ..LEASES });
    holds(Seat { answers_travel: true, releases: 1, writes: 0, ..LEASES });
}

/// A certificate may come to light after a later one that does not follow it: its last vote was delayed. Were it to end
/// the term before it then, it would cut what the later term has shown.
#[test]
fn a_term_ends_by_the_one_that_follows_it_not_by_the_next_number() {
    violates(SHOWN_STAYS, Seat { ends_by_next: true, ..VOTES });
}

#[test]
fn without_v1_storing_a_vote_is_given_twice() {
    let seat = Seat { terms: 2, ticks: 1, writes: 0, restarts: 1, changes: &[None], ..VOTES };
    breaks(Switch::VoteNotStored, ONE_HOLDER, seat);
}

#[test]
fn without_v1_a_term_has_two_holders() {
    breaks(Switch::TwoBodiesPerTerm, ONE_HOLDER, VOTES);
}

#[test]
fn without_v2_an_old_candidate_wins_late() {
    breaks(Switch::LowerTerm, SHOWN_STAYS, VOTES);
}

#[test]
fn without_v3_a_former_shadow_loses_what_was_acknowledged() {
    breaks(Switch::AnyoneStands, ACKNOWLEDGED_SURVIVES, VOTES);
}

#[test]
fn without_v4_a_deposed_holder_shows_old_values() {
    breaks(Switch::VoteUnderLease, READS_ARE_FRESH, LEASES);
}

#[test]
fn without_v4_two_leases_run() {
    breaks(Switch::VoteUnderLease, ONE_LEASE, LEASES);
}

#[test]
fn without_v4_a_shadow_votes_for_itself_under_the_lease_it_granted() {
    breaks(Switch::StandingIsVoting, READS_ARE_FRESH, LEASES);
}

#[test]
fn without_v5_voters_grant_leases_of_the_term_that_they_ended() {
    breaks(Switch::RenewAfterVote, READS_ARE_FRESH, LEASES);
}

#[test]
fn without_v5_what_a_shadow_fetches_after_standing_is_cut() {
    breaks(Switch::FetchAfterStanding, ACKNOWLEDGED_SURVIVES, VOTES);
}

#[test]
fn without_v5_what_a_holder_acknowledges_after_standing_is_cut() {
    breaks(Switch::AcknowledgeAfterStanding, ACKNOWLEDGED_SURVIVES, VOTES);
}

#[test]
fn without_v6_a_restart_forgets_a_lease() {
    breaks(Switch::NoRest, ONE_LEASE, Seat { restarts: 1, ..LEASES });
}

#[test]
fn without_v7_a_new_shadow_stands_with_gaps() {
    let seat = Seat { spares: &[2], changes: &[Some(2)], ..VOTES };
    breaks(Switch::StandWithoutOpening, ACKNOWLEDGED_SURVIVES, seat);
}

#[test]
fn without_v7_a_candidate_gives_a_term_two_bodies() {
    breaks(Switch::AnotherBodyAtOnce, ONE_HOLDER, VOTES);
}

#[test]
fn without_v8_a_refused_body_entitles_its_holder() {
    breaks(Switch::RefusalRemembered, SHOWN_STAYS, VOTES);
}

#[test]
fn without_v9_a_node_that_missed_terms_takes_over() {
    breaks(Switch::FollowsAnything, ACKNOWLEDGED_SURVIVES, Seat { terms: 4, ..VOTES });
}

#[test]
fn without_v10_two_sets_of_voters_elect_a_holder_each() {
    let seat = Seat { nodes: 4, new_voters: Some(&[0, 2, 3]), changes: &[Some(1)], terms: 3, writes: 0, ..LEASES };
    breaks(Switch::OtherVoters, ONE_LEASE, Seat { spares: &[], ..seat });
}

#[test]
fn a_lease_counted_from_the_answer_outlives_the_voters() {
    breaks(Switch::LeaseFromAnswer, READS_ARE_FRESH, Seat { ticks: 1, answers_travel: true, ..LEASES });
}

#[test]
fn a_lease_without_a_margin_outlives_a_fast_voters() {
    breaks(Switch::NoMargin, READS_ARE_FRESH, Seat { ticks: 1, ..LEASES });
}

#[test]
fn a_lease_from_voters_without_the_certificate_protects_nothing() {
    let seat = Seat { terms: 3, ticks: 1, spares: &[], changes: &[Some(1)], ..LEASES };
    breaks(Switch::LeaseUncertified, SHOWN_STAYS, seat);
}

#[test]
fn a_release_that_comes_twice_takes_a_lease_from_a_holder_that_serves() {
    breaks(Switch::ReleaseWithoutTicket, ONE_LEASE, Seat { releases: 1, ..LEASES });
}

#[test]
fn an_answer_that_comes_after_a_release_gives_a_lease_that_nobody_keeps() {
    breaks(Switch::AnswerAfterRelease, ONE_LEASE, Seat { answers_travel: true, releases: 1, ..LEASES });
}

#[test]
fn a_cut_too_low_loses_what_was_acknowledged() {
    breaks(Switch::CutTooLow, ACKNOWLEDGED_SURVIVES, Seat { writes: 2, ..VOTES });
}

#[test]
fn a_term_shown_before_others_know_of_it_vanishes() {
    breaks(Switch::OpenAtOnce, SHOWN_STAYS, VOTES);
}
