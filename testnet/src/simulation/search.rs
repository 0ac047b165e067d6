//! Many seeds, whatever they simulate: one after the other to be watched, or on all cores and each twice.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::oracle::Violation;

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished<F> {
    /// What repeats it.
    pub(crate) seed: u64,
    /// The sum of all that happened: equal for equal seeds.
    pub(crate) trace_hash: u64,
    /// How it came out, with its figures.
    pub(crate) outcome: Result<F, Violation>,
}

/// A seed that did not come out right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) seed: u64,
    pub(crate) what: String,
}

/// What became of seeds, in their order.
#[derive(Debug)]
pub(crate) struct Searched<F> {
    pub(crate) finished: Vec<Finished<F>>,
    pub(crate) bad: Vec<Bad>,
}

impl<F> Searched<F> {
    /// The figures of those that came out right.
    pub(crate) fn good(&self) -> Vec<&F> {
        self.finished.iter().filter_map(|finished| finished.outcome.as_ref().ok()).collect()
    }
}

/// Runs seeds one after the other until one is bad.
pub(crate) fn one_by_one<F: PartialEq>(seeds: Range<u64>, run: impl Fn(u64) -> Finished<F>) -> Searched<F> {
    let mut searched = Searched { finished: Vec::new(), bad: Vec::new() };
    for seed in seeds {
        let finished = run(seed);
        searched.bad.extend(bad_in(&finished, None));
        searched.finished.push(finished);
        if !searched.bad.is_empty() {
            break;
        }
    }
    searched
}

/// Runs seeds on all cores, each twice since its runs must not differ, until one is bad.
pub(crate) fn on_all_cores<F: PartialEq + Send>(
    seeds: Range<u64>,
    run: impl Fn(u64) -> Finished<F> + Sync,
) -> Searched<F> {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let results = Mutex::new(BTreeMap::new());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let (first, second) = (run(seed), run(seed));
            let bad = bad_in(&first, Some(&second));
            stop.fetch_or(bad.is_some(), Ordering::Relaxed);
            results.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, (first, bad));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (finished, bad): (Vec<_>, Vec<_>) = results.into_values().unzip();
    Searched { finished, bad: bad.into_iter().flatten().collect() }
}

/// What is wrong with a run, by itself or beside its repetition.
fn bad_in<F: PartialEq>(finished: &Finished<F>, again: Option<&Finished<F>>) -> Option<Bad> {
    let bad = |what: &str| Some(Bad { seed: finished.seed, what: what.to_owned() });
    match &finished.outcome {
        _ if again.is_some_and(|again| again != finished) => bad("the same seed gave two different runs"),
        Err(violation) => bad(&violation.0),
        Ok(_) => None,
    }
}

/// A rule as it is typed.
pub(crate) fn typed(rule: impl clap::ValueEnum) -> String {
    rule.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn finished(seed: u64, trace_hash: u64, is_good: bool) -> Finished<()> {
        let outcome = if is_good { Ok(()) } else { Err(Violation("wrong".to_owned())) };
        Finished { seed, trace_hash, outcome }
    }

    #[test]
    fn each_seed_is_run_until_one_is_bad() {
        // The first was, and the rest were left out without a word.
        let seeds = |searched: Searched<()>| searched.finished.iter().map(|run| run.seed).collect::<Vec<_>>();
        assert_eq!(seeds(one_by_one(1..4, |seed| finished(seed, 0, true))), [1, 2, 3]);
        assert_eq!(seeds(on_all_cores(1..4, |seed| finished(seed, 0, true))), [1, 2, 3]);
        let searched = one_by_one(1..4, |seed| finished(seed, 0, seed != 2));
        assert_eq!(searched.bad, [Bad { seed: 2, what: "wrong".to_owned() }]);
        assert_eq!(seeds(searched), [1, 2]);
    }

    #[test]
    fn a_seed_whose_runs_differ_is_bad() {
        let runs = AtomicUsize::new(0);
        let searched = on_all_cores(7..8, |seed| finished(seed, runs.fetch_add(1, Ordering::Relaxed) as u64, true));
        assert_eq!(searched.bad, [Bad { seed: 7, what: "the same seed gave two different runs".to_owned() }]);
    }
}
