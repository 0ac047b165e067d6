//! `scripts/bench`: how fast a node is, each figure beside a bound measured in the same run.
//!
//! Rows are `name, value, unit, bound, ratio`. The bound is what a small probe of the same machine, in the same
//! minute, says the best could be; only the ratio travels between machines.

mod audit;
mod heal;
mod ingest;
mod large;
mod latency;
mod probes;
mod seat;
mod world;

use std::io::Write;

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Prints one row. `bound` is in the unit of `value`.
pub(crate) fn row(name: &str, value: f64, unit: &str, bound: f64) {
    println!("{name:<44} {value:>12.1} {unit:<12} {bound:>12.1} {:>8.3}", value / bound);
    // A row is worth seeing as soon as it is there.
    let _ = std::io::stdout().flush();
}

const SECTIONS: [&str; 6] = ["ingest", "latency", "large", "heal", "audit", "seat"];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, dir] = arguments.as_slice()
        && flag == "--open"
    {
        return large::open_and_tell(std::path::Path::new(dir));
    }
    let (small, arguments): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|argument| argument == "--small");
    let is_small = !small.is_empty();
    if let Some(unknown) = arguments.iter().find(|argument| !SECTIONS.contains(&argument.as_str())) {
        anyhow::bail!("unknown section {unknown:?}; sections are {SECTIONS:?}, none given means all");
    }
    let wanted = |section: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == section);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!(
        "Bounds of the latency on five nodes and of the large state are aims; all others are measured in this run."
    );
    println!("{:<44} {:>12} {:<12} {:>12} {:>8}", "name", "value", "unit", "bound", "ratio");
    let probes = runtime.block_on(probes::measure())?;
    if wanted("ingest") {
        runtime.block_on(ingest::measure(&probes))?;
    }
    if wanted("latency") {
        runtime.block_on(latency::measure(&probes))?;
    }
    if wanted("large") {
        runtime.block_on(large::measure(&probes))?;
    }
    if wanted("heal") {
        runtime.block_on(heal::measure())?;
    }
    if wanted("audit") {
        runtime.block_on(audit::measure(&probes))?;
    }
    if wanted("seat") {
        runtime.block_on(seat::measure(&probes, is_small))?;
    }
    Ok(())
}
