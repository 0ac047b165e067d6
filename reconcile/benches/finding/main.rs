//! `scripts/bench reconcile`, first half: what it costs two states to find their difference, beside others' ways.
//!
//! Both ends in one process, bytes carried as they would be on a road. Rows are medians over seeds: round trips until
//! both ends know the difference, bytes of all messages without the commits themselves (the keys asked for and the
//! closing of the session are in them), and processor time of both ends together.

mod ours;
mod rows;
mod theirs;
mod world;

use ours::Foretold;
use rows::{Cost, Rows};
use world::World;

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Entries of the states that are compared.
pub(crate) const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

/// Sessions behind one row: a hundred, fewer where one takes long.
fn seeds(differences: u64, each: u64) -> u64 {
    if differences > 5_000 { each.min(3) } else { each }
}

fn main() {
    let mut rows = Rows::new();
    for size in SIZES {
        let world = World::of(size);
        let naive = Cost { round_trips: 1, bytes: 64 * size, cpu_ms: theirs::naive_ms(&world) };
        rows.add("naive: all hashes", size, size / 10, vec![naive]);
        for differences in [0, 1, 10, 100, 1_000, size / 10] {
            let run = |foretold| {
                (0..seeds(differences, 100)).map(|seed| ours::session(&world, differences, seed, foretold)).collect()
            };
            rows.add("sketch, size foretold", size, differences, run(Foretold::ByEstimator));
            rows.add("sketch, cold", size, differences, run(Foretold::Not));
            // Sealing its storage sorts the whole set, which a node that keeps it sorted would not do: not counted.
            let each = if size > 100_000 { 2 } else { 5 };
            let others = (0..each).map(|seed| theirs::negentropy(&world, differences, seed)).collect();
            rows.add("negentropy", size, differences, others);
        }
    }
    rows.judge();
}
