//! The table of a run, and what it must show.

use crate::SIZES;

/// What one session cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) round_trips: u64,
    pub(crate) bytes: u64,
    pub(crate) cpu_ms: f64,
}

/// Medians by row.
pub(crate) struct Rows(Vec<Row>);

struct Row {
    name: &'static str,
    size: u64,
    differences: u64,
    median: Cost,
}

impl Rows {
    pub(crate) fn new() -> Self {
        println!(
            "{:<24} {:>9} {:>9} {:>6} {:>12} {:>12} {:>12} {:>10}",
            "way", "entries", "differ", "seeds", "round trips", "bytes", "bytes/each", "cpu ms"
        );
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, name: &'static str, size: u64, differences: u64, costs: Vec<Cost>) {
        let median = Cost {
            round_trips: middle(costs.iter().map(|cost| cost.round_trips as f64)) as u64,
            bytes: middle(costs.iter().map(|cost| cost.bytes as f64)) as u64,
            cpu_ms: middle(costs.iter().map(|cost| cost.cpu_ms)),
        };
        let each = median.bytes as f64 / differences.max(1) as f64;
        println!(
            "{name:<24} {size:>9} {differences:>9} {:>6} {:>12} {:>12} {each:>12.1} {:>10.3}",
            costs.len(),
            median.round_trips,
            median.bytes,
            median.cpu_ms
        );
        self.0.push(Row { name, size, differences, median });
    }

    /// Prints each aim beside the worst figure of this run.
    pub(crate) fn judge(&self) {
        println!("\n{:<72} {:>10} {:>8} {:>8}", "aim", "figure", "bound", "ratio");
        let worst = |of: &dyn Fn(&Row) -> Option<f64>| self.0.iter().filter_map(of).fold(0.0, f64::max);
        let sketch = |row: &Row| row.name.starts_with("sketch");
        let foretold = |row: &Row| row.name == "sketch, size foretold";
        let kept = |row: &Row| row.differences <= 1_000;
        let cpu = |size: u64| {
            worst(&|row| (foretold(row) && row.size == size && row.differences == 1_000).then_some(row.median.cpu_ms))
        };
        let each = |of: &dyn Fn(u64) -> bool| {
            worst(&|row| {
                (sketch(row) && of(row.differences)).then_some(row.median.bytes as f64 / row.differences as f64)
            })
        };
        let aims = [
            (
                "round trips up to 1000 differences, size foretold",
                worst(&|row| (foretold(row) && kept(row)).then_some(row.median.round_trips as f64)),
                1.0,
            ),
            (
                "round trips up to 1000 differences, cold",
                worst(&|row| (sketch(row) && kept(row)).then_some(row.median.round_trips as f64)),
                2.0,
            ),
            (
                "round trips beyond the kept symbols",
                worst(&|row| sketch(row).then_some(row.median.round_trips as f64)),
                6.0,
            ),
            ("bytes a difference from 1000 differences on", each(&|differences| differences >= 1_000), 64.0),
            ("bytes a difference at 100 differences", each(&|differences| differences == 100), 64.0),
            (
                "bytes up to 10 differences",
                worst(&|row| (sketch(row) && row.differences <= 10).then_some(row.median.bytes as f64)),
                1536.0,
            ),
            ("ms of both ends for 1000 differences", SIZES.iter().map(|size| cpu(*size)).fold(0.0, f64::max), 10.0),
            ("the same at 1M entries as at 10k", cpu(1_000_000) / cpu(10_000), 1.5),
        ];
        for (aim, figure, bound) in aims {
            println!("{aim:<72} {figure:>10.2} {bound:>8.1} {:>8.2}", figure / bound);
        }
    }
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Processor time that this thread has used: other work on the machine does not count.
pub(crate) fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
