//! The same difference found by others' ways: the `negentropy` crate, and sending all hashes.

use std::collections::HashSet;

use negentropy::{Id, Negentropy, NegentropyStorageVector};

use crate::rows::{Cost, cpu_seconds};
use crate::world::{Side, World};

/// One reconciliation by negentropy (range fingerprints over sorted ids), to its end, without a frame limit.
pub(crate) fn negentropy(world: &World, differences: u64, seed: u64) -> Cost {
    let [ours, theirs] = world.sides(differences, seed).map(|side| storage(&side));
    let mut cost = Cost { round_trips: 0, bytes: 0, cpu_ms: 0.0 };
    let started = cpu_seconds();
    let mut initiator = Negentropy::borrowed(&ours, 0).expect("no frame limit");
    let mut responder = Negentropy::borrowed(&theirs, 0).expect("no frame limit");
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let mut message = Some(initiator.initiate().expect("once"));
    while let Some(query) = message {
        let answer = responder.reconcile(&query).expect("well-formed");
        cost.round_trips += 1;
        cost.bytes += (query.len() + answer.len()) as u64;
        message = initiator.reconcile_with_ids(&answer, &mut have, &mut need).expect("well-formed");
    }
    cost.cpu_ms = (cpu_seconds() - started) * 1e3;
    assert_eq!((have.len() + need.len()) as u64, differences);
    cost
}

fn storage(side: &Side) -> NegentropyStorageVector {
    let mut storage = NegentropyStorageVector::with_capacity(side.index.len() as usize);
    for leaf in side.leaves() {
        // The key hash is all an id has room for; the difference of this bench has no two leaves at one key.
        storage.insert(0, Id::from_byte_array(leaf.key.0)).expect("not sealed");
    }
    storage.seal().expect("once");
    storage
}

/// Milliseconds to look up every hash of one side at the other, which is what sending them all comes to.
pub(crate) fn naive_ms(world: &World) -> f64 {
    let [ours, theirs] = world.sides(world.shared.len() / 10, 0);
    let (ours, theirs): (Vec<_>, Vec<_>) = (ours.leaves().collect(), theirs.leaves().collect());
    let started = cpu_seconds();
    let known: HashSet<_> = ours.iter().map(|leaf| leaf.leaf).collect();
    let missing = theirs.iter().filter(|leaf| !known.contains(&leaf.leaf)).count();
    assert!(missing > 0);
    (cpu_seconds() - started) * 1e3
}
