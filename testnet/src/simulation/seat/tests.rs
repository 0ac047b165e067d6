//! The simulated seat itself: runs that repeat, promises that hold, and rules whose breach is noticed.

use super::rule::SeatRule;
use super::run::run;
use crate::simulation::oracle::Violation;
use crate::simulation::search::Finished;

/// Seeds that must come out right.
const SEEDS: u64 = 60;

/// A seed in which a term has a settlement by operators and an election.
const BOTH_SETTLED_AND_ELECTED: u64 = 278;

/// Seeds within which a breach must show.
const BREACH_SEEDS: u64 = 400;

#[test]
fn whatever_fails_what_was_acknowledged_stays() {
    let mut takeovers = 0;
    for seed in 1..=SEEDS {
        match run(seed, None, false).outcome {
            Ok(figures) => takeovers += figures.takeovers,
            Err(violation) => panic!("seed {seed}: {}", violation.0),
        }
    }
    assert!(takeovers > SEEDS / 2, "{takeovers} takeovers: these seeds show little");
}

#[test]
fn a_seed_is_one_run_to_the_last_message() {
    let first = run(7, None, false);
    assert_eq!(first, run(7, None, false));
    assert_ne!(first.trace_hash, run(8, None, false).trace_hash);
}

/// Operators settle a term and the voters, who have not heard of it, elect another holder for the same number.
#[test]
fn a_settlement_and_an_election_of_one_number_may_meet() {
    let outcome = run(BOTH_SETTLED_AND_ELECTED, None, false).outcome;
    assert!(outcome.is_ok_and(|figures| figures.settled > 0));
}

/// The first seed that shows it when a rule is broken.
fn noticed(rule: SeatRule) -> Violation {
    noticed_from(1, rule)
}

/// The same for a breach that few seeds show, beginning where one is known.
fn noticed_from(first: u64, rule: SeatRule) -> Violation {
    let broken = (first..first + BREACH_SEEDS).find_map(|seed| match run(seed, Some(rule), false) {
        Finished { outcome: Err(violation), .. } => Some((seed, violation)),
        Finished { outcome: Ok(_), .. } => None,
    });
    let (seed, violation) = broken.unwrap_or_else(|| panic!("{BREACH_SEEDS} seeds without {rule:?} came out right"));
    println!("without {rule:?}, seed {seed}: {}", violation.0);
    violation
}

#[test]
fn an_answer_before_the_shadow_has_it_is_noticed() {
    noticed(SeatRule::AnswerAfterShadow);
}

#[test]
fn a_write_in_the_state_before_the_shadow_has_it_is_noticed() {
    assert!(noticed(SeatRule::ApplyAfterShadow).0.contains("its term ends at"));
}

/// A holder that just took over read what stood there before it had applied what its term began with, and looked at its
/// lease when it had.
#[test]
fn a_read_from_before_the_term_began_is_noticed() {
    assert!(noticed(SeatRule::ValueOfBegunTerm).0.contains("no order explains"));
}

#[test]
fn a_term_that_shows_something_before_it_is_known_is_noticed() {
    assert!(noticed_from(60, SeatRule::OpenWhenKnown).0.contains("its term ends at"));
}

#[test]
fn a_candidate_whose_mirror_goes_on_is_noticed() {
    noticed(SeatRule::RestBeforeStanding);
}

#[test]
fn a_cut_at_what_is_applied_is_noticed() {
    noticed(SeatRule::CutWhatIsStaged);
}

#[test]
fn a_vote_that_is_not_stored_is_noticed() {
    assert!(noticed_from(360, SeatRule::StoreBallots).0.contains("is bound"));
}

#[test]
fn what_is_beyond_a_cut_and_applied_is_noticed() {
    assert!(noticed(SeatRule::QuarantineBeyondCut).0.contains("its term ends at"));
}

/// After a restart what the holder had staged was offered to nobody, and later writes were.
#[test]
fn a_holder_that_forgets_to_offer_what_it_staged_is_noticed() {
    noticed_from(1300, SeatRule::OfferStagedAgain);
}

/// A condition failed for a write that was staged and never counted.
#[test]
fn a_condition_that_fails_for_a_write_that_never_was_is_noticed() {
    assert!(noticed(SeatRule::ConditionsWait).0.contains("no order explains"));
}

#[test]
fn a_mirror_that_is_never_seeded_again_is_noticed() {
    assert!(noticed(SeatRule::SeedWhenApart).0.contains("all is not well"));
}

#[test]
fn a_mirror_that_missed_terms_and_does_not_ask_is_noticed() {
    assert!(noticed_from(40, SeatRule::AskForMissingTerms).0.contains("all is not well"));
}

/// A write that was sent again under its name took effect twice, where the new holder had got it without the name.
#[test]
fn a_name_that_stays_behind_is_noticed() {
    assert!(noticed_from(140, SeatRule::NamesTravel).0.contains("no order explains"));
}
