//! `lattice testnet simulate`: one seed to look at, or many to search.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::rule::SafetyRule;
use super::run::{Finished, run};
use super::seat::{self, rule::SeatRule};

/// Seeds tried if none is named: a look, not a search.
const SEEDS_DEFAULT: SeedRange = SeedRange { first: 1, end: 21 };

/// Options of `testnet simulate`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Run this seed alone.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run the seeds from A up to B, B left out, each twice; the runs of a seed must not differ [default: 1..21].
    #[arg(long, value_name = "A..B")]
    seeds: Option<SeedRange>,
    /// Print what happens, line by line; of many seeds, one after the other.
    #[arg(long)]
    trace: bool,
    /// Let the simulated nodes break one safety rule, to see that it is noticed. Not every seed shows it: search many,
    /// as with --seeds 1..201.
    #[arg(long, value_name = "RULE", conflicts_with = "seat")]
    without: Option<SafetyRule>,
    /// Simulate the seat: holder, shadow, voters, clients of its registers.
    #[arg(long)]
    seat: bool,
    /// With --seat: let the simulated nodes break one rule of carrying out what the seat's controller wants.
    #[arg(long, value_name = "RULE", requires = "seat")]
    without_seat: Option<SeatRule>,
}

/// Seeds from one to another, the end left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SeedRange {
    first: u64,
    end: u64,
}

impl std::str::FromStr for SeedRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, end) = text.split_once("..").ok_or("expected two numbers with .. between them, as in 1..201")?;
        let number = |text: &str| text.parse().map_err(|_| "a seed is a number below 2^64");
        let range = Self { first: number(first)?, end: number(end)? };
        if range.first < range.end { Ok(range) } else { Err("the first seed must be below the end") }
    }
}

/// A seed that did not come out right.
struct Bad {
    seed: u64,
    what: String,
}

/// Runs the command to its exit code: 0 all seeds came out right, 1 one did not.
pub fn simulate(options: &Options) -> ExitCode {
    let started = Instant::now();
    let seeds = match options.seed {
        Some(seed) => SeedRange { first: seed, end: seed.saturating_add(1) },
        None => options.seeds.unwrap_or(SEEDS_DEFAULT),
    };
    if options.seat {
        return seat::command::simulate(seeds.first..seeds.end, options.without_seat, options.trace);
    }
    let (finished, bad) =
        if options.trace { one_by_one(seeds, options.without, true) } else { search(seeds, options.without) };
    tell(&finished, started);
    if let (true, Some(rule)) = (bad.is_empty(), options.without) {
        println!("{}", unnoticed(rule, finished.len()));
    }
    for bad in &bad {
        println!("seed {}: {}", bad.seed, bad.what);
        println!("to repeat it: lattice testnet simulate --seed {}{} --trace", bad.seed, without(options));
    }
    if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs seeds one after the other, to be watched, until one is bad.
fn one_by_one(seeds: SeedRange, without: Option<SafetyRule>, is_shown: bool) -> (Vec<Finished>, Vec<Bad>) {
    let mut finished = Vec::new();
    for seed in seeds.first..seeds.end {
        if is_shown {
            println!("seed {seed}");
        }
        let run = run(seed, without, is_shown);
        let bad = bad_in(&run, None);
        finished.push(run);
        if bad.is_some() {
            return (finished, bad.into_iter().collect());
        }
    }
    (finished, Vec::new())
}

/// What to make of seeds that all came out right without a rule.
fn unnoticed(rule: SafetyRule, seeds: usize) -> String {
    let seeds = if seeds == 1 { "this seed does".to_owned() } else { format!("these {seeds} seeds do") };
    format!(
        "{seeds} not show that {:?} is missing, as not every seed can; try more, such as --seeds 1..201",
        name(rule)
    )
}

/// Runs seeds on all cores, each twice, until one is bad.
fn search(seeds: SeedRange, without: Option<SafetyRule>) -> (Vec<Finished>, Vec<Bad>) {
    let (next, stop) = (AtomicU64::new(seeds.first), AtomicBool::new(false));
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
    (finished, bad.into_iter().flatten().collect())
}

/// What is wrong with a run, by itself or beside its repetition.
fn bad_in(finished: &Finished, again: Option<&Finished>) -> Option<Bad> {
    let bad = |what: &str| Some(Bad { seed: finished.seed, what: what.to_owned() });
    match &finished.outcome {
        _ if again.is_some_and(|again| again != finished) => bad("the same seed gave two different runs"),
        Err(violation) => bad(&violation.0),
        Ok(_) => None,
    }
}

fn without(options: &Options) -> String {
    options.without.map_or(String::new(), |rule| format!(" --without {}", name(rule)))
}

/// The rule as it is typed.
fn name(rule: SafetyRule) -> String {
    use clap::ValueEnum;
    rule.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
}

fn tell(finished: &[Finished], started: Instant) {
    let good: Vec<_> = finished.iter().filter_map(|finished| finished.outcome.as_ref().ok()).collect();
    let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
    let slowest = good.iter().map(|figures| figures.agreed_after_ms).max().unwrap_or(0);
    let mut agreed: Vec<_> = good.iter().map(|figures| figures.agreed_after_ms).collect();
    agreed.sort_unstable();
    println!(
        "{} of {} seeds came out right: {} writes acknowledged in {} of faults; equal roots after {} (median), {} \
         (slowest); {:.1} s of real time",
        good.len(),
        finished.len(),
        good.iter().map(|figures| figures.acknowledged).sum::<u64>(),
        seconds(good.iter().map(|figures| figures.faulty_ms).sum()),
        seconds(agreed.get(agreed.len() / 2).copied().unwrap_or(0)),
        seconds(slowest),
        started.elapsed().as_secs_f64()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_seeds_each_is_traced_and_summed_up() {
        // The first was, and the rest were left out without a word.
        let (finished, bad) = one_by_one(SeedRange { first: 1, end: 3 }, None, false);
        assert_eq!(finished.iter().map(|run| run.seed).collect::<Vec<_>>(), [1, 2]);
        assert!(bad.is_empty());
    }

    #[test]
    fn a_breach_that_no_seed_showed_is_said_to_be_so() {
        let text = unnoticed(SafetyRule::ReconcileHeals, 1);
        assert!(text.starts_with("this seed does not show that \"reconcile-heals\" is missing"), "{text}");
        assert!(unnoticed(SafetyRule::CutsRemove, 3).starts_with("these 3 seeds do not show"));
    }
}
