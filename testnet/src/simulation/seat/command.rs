//! `lattice testnet simulate --seat`: seeds of the seat, one to look at or many to search.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::rule::SeatRule;
use super::run::{Figures, Finished, run};

/// Runs seeds to an exit code: 0 all came out right, 1 one did not. Traced ones run one after the other, others on all
/// cores and each twice, since the runs of a seed must not differ.
pub(in crate::simulation) fn simulate(seeds: Range<u64>, without: Option<SeatRule>, is_traced: bool) -> ExitCode {
    let started = Instant::now();
    let (finished, bad) = if is_traced { one_by_one(seeds, without) } else { search(seeds, without) };
    tell(&finished, started);
    if let Some(rule) = without.filter(|_| bad.is_none()) {
        println!("no seed of these shows that {:?} is missing; try more, such as --seeds 1..401", name(rule));
    }
    let Some((seed, what)) = bad else { return ExitCode::SUCCESS };
    println!("seed {seed}: {what}");
    let without = without.map_or(String::new(), |rule| format!(" --without-seat {}", name(rule)));
    println!("to repeat it: lattice testnet simulate --seat --seed {seed}{without} --trace");
    ExitCode::FAILURE
}

type Bad = Option<(u64, String)>;

fn one_by_one(seeds: Range<u64>, without: Option<SeatRule>) -> (Vec<Finished>, Bad) {
    let mut finished = Vec::new();
    for seed in seeds {
        println!("seed {seed}");
        let run = run(seed, without, true);
        let bad = bad_in(&run, None);
        finished.push(run);
        if bad.is_some() {
            return (finished, bad);
        }
    }
    (finished, None)
}

fn search(seeds: Range<u64>, without: Option<SeatRule>) -> (Vec<Finished>, Bad) {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let results = Mutex::new(BTreeMap::new());
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let (first, second) = (run(seed, without, false), run(seed, without, false));
            let bad = bad_in(&first, Some(&second));
            stop.fetch_or(bad.is_some(), Ordering::Relaxed);
            results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(seed, (first, bad));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (finished, bad): (Vec<_>, Vec<_>) = results.into_values().unzip();
    (finished, bad.into_iter().flatten().next())
}

/// What is wrong with a run, by itself or beside its repetition.
fn bad_in(finished: &Finished, again: Option<&Finished>) -> Bad {
    match &finished.outcome {
        _ if again.is_some_and(|again| again != finished) => {
            Some((finished.seed, "the same seed gave two different runs".to_owned()))
        }
        Err(violation) => Some((finished.seed, violation.0.clone())),
        Ok(_) => None,
    }
}

/// The rule as it is typed.
fn name(rule: SeatRule) -> String {
    use clap::ValueEnum;
    rule.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
}

fn tell(finished: &[Finished], started: Instant) {
    let good: Vec<_> = finished.iter().filter_map(|finished| finished.outcome.as_ref().ok()).collect();
    let sum = |figure: fn(&Figures) -> u64| good.iter().map(|figures| figure(figures)).sum::<u64>();
    let with = |figure: fn(&Figures) -> u64| good.iter().filter(|figures| figure(figures) > 0).count();
    let mut agreed: Vec<_> = good.iter().map(|figures| figures.agreed_after_ms).collect();
    agreed.sort_unstable();
    println!(
        "{} of {} seeds of the seat came out right: {} operations answered; {} takeovers (in {} seeds), {} handed over ({}), \
         {} terms of holders for themselves ({}), {} copies seeded; {} disks lost, {} writes in quarantine, {} acknowledged \
         on one disk alone ({}); bound by their votes {} times ({}), operators settled {} terms ({}), and \
         {} that the mended nodes could not ({}); all well after {} ms \
         (median), {} ms (slowest); {:.1} s of real time",
        good.len(),
        finished.len(),
        sum(|figures| figures.answered),
        sum(|figures| figures.takeovers),
        with(|figures| figures.takeovers),
        sum(|figures| figures.switchovers),
        with(|figures| figures.switchovers),
        sum(|figures| figures.changes),
        with(|figures| figures.changes),
        sum(|figures| figures.seeds),
        sum(|figures| figures.lost),
        sum(|figures| figures.deposed),
        sum(|figures| figures.thin),
        with(|figures| figures.thin),
        sum(|figures| figures.bound),
        with(|figures| figures.bound),
        sum(|figures| figures.settled),
        with(|figures| figures.settled),
        sum(|figures| figures.locked),
        with(|figures| figures.locked),
        agreed.get(agreed.len() / 2).copied().unwrap_or(0),
        agreed.last().copied().unwrap_or(0),
        started.elapsed().as_secs_f64()
    );
}
