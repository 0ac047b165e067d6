//! `lattice testnet simulate`: one seed to look at, or many to search.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use super::rule::SafetyRule;
use super::run::{Figures, run};
use super::search::{Searched, on_all_cores, one_by_one, typed};
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

impl From<SeedRange> for Range<u64> {
    fn from(SeedRange { first, end }: SeedRange) -> Self {
        first..end
    }
}

/// Runs the command to its exit code: 0 all seeds came out right, 1 one did not.
pub fn simulate(options: &Options) -> ExitCode {
    let started = Instant::now();
    let seeds = match options.seed {
        Some(seed) => seed..seed.saturating_add(1),
        None => options.seeds.unwrap_or(SEEDS_DEFAULT).into(),
    };
    if options.seat {
        return seat::command::simulate(seeds, options.without_seat, options.trace);
    }
    let searched = if options.trace {
        one_by_one(seeds, |seed| {
            println!("seed {seed}");
            run(seed, options.without, true)
        })
    } else {
        on_all_cores(seeds, |seed| run(seed, options.without, false))
    };
    tell(&searched, started);
    if let (true, Some(rule)) = (searched.bad.is_empty(), options.without) {
        println!("{}", unnoticed(rule, searched.finished.len()));
    }
    for bad in &searched.bad {
        let without = options.without.map_or(String::new(), |rule| format!(" --without {}", typed(rule)));
        println!("seed {}: {}", bad.seed, bad.what);
        println!("to repeat it: lattice testnet simulate --seed {}{without} --trace", bad.seed);
    }
    if searched.bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What to make of seeds that all came out right without a rule.
fn unnoticed(rule: SafetyRule, seeds: usize) -> String {
    let seeds = if seeds == 1 { "this seed does".to_owned() } else { format!("these {seeds} seeds do") };
    format!(
        "{seeds} not show that {:?} is missing, as not every seed can; try more, such as --seeds 1..201",
        typed(rule)
    )
}

fn tell(searched: &Searched<Figures>, started: Instant) {
    let good = searched.good();
    let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
    let slowest = good.iter().map(|figures| figures.agreed_after_ms).max().unwrap_or(0);
    let mut agreed: Vec<_> = good.iter().map(|figures| figures.agreed_after_ms).collect();
    agreed.sort_unstable();
    println!(
        "{} of {} seeds came out right: {} writes acknowledged in {} of faults; equal roots after {} (median), {} \
         (slowest); {:.1} s of real time",
        good.len(),
        searched.finished.len(),
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
    fn a_breach_that_no_seed_showed_is_said_to_be_so() {
        let text = unnoticed(SafetyRule::ReconcileHeals, 1);
        assert!(text.starts_with("this seed does not show that \"reconcile-heals\" is missing"), "{text}");
        assert!(unnoticed(SafetyRule::CutsRemove, 3).starts_with("these 3 seeds do not show"));
    }
}
