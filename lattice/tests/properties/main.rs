//! What must hold for any input: the join, the tree, the codec and the proofs against random ones.
//!
//! A failure prints its seed; `PROPTEST_RNG_SEED=<seed>` repeats it. Nothing is written into the source tree.

mod codec;
mod frontier;
mod generate;
mod laws;
mod limits;
mod proofs;
mod state;
mod tree;

use std::hash::{BuildHasher, Hasher};

use proptest::test_runner::{Config, RngSeed, TestRunner};

/// A runner for `cases` random cases whose seed is known before the first one.
fn runner(cases: u32) -> TestRunner {
    let mut config = Config { cases, failure_persistence: None, ..Config::default() };
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => std::collections::hash_map::RandomState::new().build_hasher().finish(),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    println!("PROPTEST_RNG_SEED={seed} repeats this run");
    TestRunner::new(config)
}

/// Runs `test` on random values of `strategy`; panics with the smallest input that fails.
fn for_all<S: proptest::strategy::Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value)) {
    let outcome = runner(cases).run(strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
