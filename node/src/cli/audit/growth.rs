//! What to make of a checkpoint after the last one seen of its log. Pure: what a node shows for it is handed in.

use std::collections::BTreeSet;

use lattice::log::evidence::Beginning;
use lattice::log::tile::TileId;
use lattice::log::tree::{self, NoProof, TileSet};
use lattice::log::witness::Seen;
use lattice::merkle::Digest;

/// How two checkpoints of one log, both signed by it, relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// None was seen before.
    First,
    /// They say the same.
    Same,
    /// The new one is larger; the log must show that it begins with the old one.
    Grows,
    /// The new one is smaller.
    Shrinks,
    /// One size, two roots.
    Forks,
}

/// Compares a checkpoint with the last one seen.
pub(super) fn step(last: Option<&Seen>, now: &Seen) -> Step {
    match last {
        None => Step::First,
        Some(last) if last == now => Step::Same,
        Some(last) if last.size == now.size => Step::Forks,
        Some(last) if last.size < now.size => Step::Grows,
        Some(_) => Step::Shrinks,
    }
}

/// Whether a log grew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Growth {
    /// It did.
    Proven,
    /// It did, by its tiles; the proof that the node gave is wrong.
    ProvenByTiles {
        /// What is wrong with the proof.
        wrong: String,
    },
    /// It did not: its larger tree begins otherwise.
    Forked(Beginning),
    /// That is not shown.
    Unproven(String),
}

/// A proof that a node gave when asked, or why it gave none.
pub(super) type Asked = Result<Vec<Digest>, String>;

/// Whether the proof that a node gave is enough.
pub(super) fn is_proven(old: &Seen, new: &Seen, asked: &Asked) -> Result<(), String> {
    let proof = asked.as_ref().map_err(|why| format!("it gives none: {why}"))?;
    tree::verify_consistency(old.size, new.size, &old.root, &new.root, proof).map_err(|error| error.to_string())
}

/// The tiles of the new tree that tell how it begins.
pub(super) fn tiles_for(old: &Seen, new: &Seen) -> Result<Vec<TileId>, NoProof> {
    let needed = [tree::tiles_for_root(old.size)?, tree::tiles_for_consistency(old.size, new.size)?].concat();
    // As wide as they are by now: a server need not keep narrower ones.
    let widest = needed.iter().filter_map(|id| TileId::at_size(id.level(), id.index(), new.size));
    Ok(widest.collect::<BTreeSet<_>>().into_iter().collect())
}

/// Judges growth where the proof given was not enough, by the tiles.
pub(super) fn judge(old: &Seen, new: &Seen, asked: &Asked, tiles: &Result<TileSet, String>) -> Growth {
    let beginning = match tiles {
        Ok(tiles) => beginning(old, new, tiles),
        Err(why) => Err(format!("its tiles can't be read: {why}")),
    };
    let not_proven = is_proven(old, new, asked);
    match (not_proven, beginning) {
        (Ok(()), _) => Growth::Proven,
        (Err(wrong), Ok(beginning)) if beginning.root == old.root => match asked {
            Ok(_) => Growth::ProvenByTiles { wrong },
            // Any server of tiles will do; only a wrong answer is a lie.
            Err(_) => Growth::Proven,
        },
        (Err(_), Ok(beginning)) => Growth::Forked(beginning),
        (Err(proof), Err(tiles)) => Growth::Unproven(format!("{proof}; {tiles}")),
    }
}

/// How the new tree begins, by tiles that lead to its root.
pub(super) fn beginning(old: &Seen, new: &Seen, tiles: &TileSet) -> Result<Beginning, String> {
    let made = || Ok((tree::root(old.size, tiles)?, tree::consistency(old.size, new.size, tiles)?));
    let (root, proof) = made().map_err(|error: NoProof| error.to_string())?;
    let judged = tree::verify_consistency(old.size, new.size, &root, &new.root, &proof);
    judged.map_err(|error| format!("its tiles are not those of its checkpoint: {error}"))?;
    Ok(Beginning { root, proof })
}

#[cfg(test)]
mod tests {
    use lattice::log::edge::Edge;
    use lattice::log::tile::Tile;
    use lattice::merkle::leaf_hash;

    use super::*;

    /// A log of `size` records, of which those from `other` on are not what they are without it.
    fn log(size: u64, other: u64) -> (Seen, TileSet) {
        let (mut edge, mut full) = (Edge::default(), Vec::<Tile>::new());
        for index in 0..size {
            let bytes = [index.to_be_bytes(), u64::from(index >= other).to_be_bytes()].concat();
            full.extend(edge.append(leaf_hash(&bytes)));
        }
        (Seen { size, root: edge.root() }, full.into_iter().chain(edge.partial_tiles()).collect())
    }

    #[test]
    fn sizes_and_roots_tell_what_happened() {
        let at = |size, root| Seen { size, root: [root; 32] };
        for (last, now, expected) in [
            (None, at(5, 1), Step::First),
            (Some(at(5, 1)), at(5, 1), Step::Same),
            (Some(at(5, 1)), at(5, 2), Step::Forks),
            (Some(at(5, 1)), at(6, 2), Step::Grows),
            (Some(at(5, 1)), at(4, 1), Step::Shrinks),
        ] {
            assert_eq!(step(last.as_ref(), &now), expected, "{last:?} {now:?}");
        }
    }

    #[test]
    fn what_a_node_brings_for_growth_is_judged() {
        for (old_size, new_size) in [(1, 2), (7, 300), (255, 256), (256, 70_000), (300, 600)] {
            let ((old, _), (new, tiles)) = (log(old_size, u64::MAX), log(new_size, u64::MAX));
            let (forked, forked_tiles) = log(new_size, old_size - 1);
            let proof = tree::consistency(old_size, new_size, &tiles).expect("tiles");
            let none: Result<TileSet, String> = Err("404".to_owned());
            let refused: Asked = Err("404".to_owned());
            let wrong: Asked = Ok(vec![[9; 32]; proof.len()]);
            let what = format!("{old_size} {new_size}");
            assert_eq!(judge(&old, &new, &Ok(proof.clone()), &none), Growth::Proven, "{what}");
            assert_eq!(judge(&old, &new, &refused, &Ok(tiles.clone())), Growth::Proven, "{what}");
            let lied = judge(&old, &new, &wrong, &Ok(tiles.clone()));
            assert!(matches!(lied, Growth::ProvenByTiles { .. }), "{what}: {lied:?}");
            assert!(matches!(judge(&old, &new, &refused, &none), Growth::Unproven(_)), "{what}");
            // Tiles of the true log do not hide that another one was signed.
            assert!(matches!(judge(&old, &forked, &refused, &Ok(tiles)), Growth::Unproven(_)), "{what}");
            let found = judge(&old, &forked, &Ok(proof), &Ok(forked_tiles));
            let Growth::Forked(beginning) = found else { panic!("{what}: {found:?}") };
            assert_ne!(beginning.root, old.root);
            let judged = tree::verify_consistency(old_size, new_size, &beginning.root, &forked.root, &beginning.proof);
            assert_eq!(judged, Ok(()), "{what}");
        }
    }

    #[test]
    fn the_tiles_that_are_named_are_enough_and_as_wide_as_the_new_log_has_them() {
        let (old, new) = (log(300, u64::MAX).0, log(600, u64::MAX));
        for id in tiles_for(&old, &new.0).expect("it grows") {
            assert_eq!(TileId::at_size(id.level(), id.index(), 600), Some(id));
        }
    }
}
