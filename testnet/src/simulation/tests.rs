//! The simulator itself: runs that repeat, and rules whose breach it notices.

use super::oracle::Violation;
use super::rule::SafetyRule;
use super::run::run;
use super::search::Finished;

/// Seeds within which a breach must show.
const SEEDS: u64 = 200;

#[test]
fn a_seed_is_one_run_to_the_last_message() {
    for seed in 1..=3 {
        let first = run(seed, None, false);
        assert_eq!(first, run(seed, None, false), "seed {seed}");
        assert!(first.outcome.is_ok(), "seed {seed}: {:?}", first.outcome);
        assert_ne!(first.trace_hash, run(seed + 1, None, false).trace_hash, "seeds {seed} and the next are one run");
    }
}

/// The first seed that shows it when a rule is broken.
fn noticed(rule: SafetyRule) -> Violation {
    let broken = (1..=SEEDS).find_map(|seed| match run(seed, Some(rule), false) {
        Finished { outcome: Err(violation), .. } => Some((seed, violation)),
        Finished { outcome: Ok(_), .. } => None,
    });
    let (seed, violation) = broken.unwrap_or_else(|| panic!("{SEEDS} seeds without {rule:?} came out right"));
    println!("without {rule:?}, seed {seed}: {}", violation.0);
    violation
}

#[test]
fn an_answer_before_the_write_is_durable_is_noticed() {
    assert!(noticed(SafetyRule::AnswerAfterDurable).0.contains("has lost what"));
}

#[test]
fn a_frame_before_its_commit_is_durable_is_noticed() {
    assert!(noticed(SafetyRule::TellAfterDurable).0.contains("signed two commits"));
}

#[test]
fn a_frontier_told_with_an_older_root_is_noticed() {
    let what = noticed(SafetyRule::FrontierOfItsRoot).0;
    assert!(what.contains("says in its frontier") || what.contains("damaged"), "{what}");
}

#[test]
fn commits_that_nobody_judged_are_noticed() {
    noticed(SafetyRule::JudgeBeforeApply);
}

#[test]
fn an_older_operation_that_wins_is_noticed() {
    let what = noticed(SafetyRule::GreatestVersionWins).0;
    assert!(what.contains("has lost what") || what.contains("damaged"), "{what}");
}

#[test]
fn what_a_cut_left_behind_is_noticed() {
    assert!(noticed(SafetyRule::CutsRemove).0.contains("no right to it"));
}

#[test]
fn gossip_alone_is_not_enough_and_that_is_noticed() {
    assert!(noticed(SafetyRule::ReconcileHeals).0.contains("do not agree"));
}
