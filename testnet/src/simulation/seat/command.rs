//! `lattice testnet simulate --seat`: seeds of the seat, one to look at or many to search.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use super::rule::SeatRule;
use super::run::{Figures, run};
use crate::simulation::search::{Searched, on_all_cores, one_by_one, typed};

/// Runs seeds to an exit code: 0 all came out right, 1 one did not. Traced ones run one after the other, others on all
/// cores and each twice, since the runs of a seed must not differ.
pub(in crate::simulation) fn simulate(seeds: Range<u64>, without: Option<SeatRule>, is_traced: bool) -> ExitCode {
    let started = Instant::now();
    let searched = if is_traced {
        one_by_one(seeds, |seed| {
            println!("seed {seed}");
            run(seed, without, true)
        })
    } else {
        on_all_cores(seeds, |seed| run(seed, without, false))
    };
    tell(&searched, started);
    if let Some(rule) = without.filter(|_| searched.bad.is_empty()) {
        println!("no seed of these shows that {:?} is missing; try more, such as --seeds 1..401", typed(rule));
    }
    for bad in &searched.bad {
        let without = without.map_or(String::new(), |rule| format!(" --without-seat {}", typed(rule)));
        println!("seed {}: {}", bad.seed, bad.what);
        println!("to repeat it: lattice testnet simulate --seat --seed {}{without} --trace", bad.seed);
    }
    if searched.bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(searched: &Searched<Figures>, started: Instant) {
    let good = searched.good();
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
        searched.finished.len(),
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
