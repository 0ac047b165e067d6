//! The judge of proofs: RFC 9162, sections 2.1.3.2 and 2.1.4.2, with every hash used exactly once.

use super::EMPTY_ROOT;
use crate::merkle::{self, Digest, node_hash};

/// Why a proof does not show that a record is in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotIncluded {
    /// No such record.
    #[error("a log of {size} records has none at index {index}")]
    BeyondLog {
        /// Index claimed.
        index: u64,
        /// Records of the log.
        size: u64,
    },
    /// Too few or too many hashes for this place.
    #[error("a path of {hashes} hashes does not lead from record {index} to the root of {size}")]
    PathLength {
        /// Hashes in the path.
        hashes: usize,
        /// Index claimed.
        index: u64,
        /// Records of the log.
        size: u64,
    },
    /// Another record, another place, or another log.
    #[error("the path leads from this record to another root than the log's")]
    OtherRoot,
}

/// Whether `path` shows that a log of `size` records with this root has the record `leaf` at `index`.
///
/// # Errors
///
/// [`NotIncluded`] says why not.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    path: &[Digest],
    root: &Digest,
) -> Result<(), NotIncluded> {
    if index >= size {
        return Err(NotIncluded::BeyondLog { index, size });
    }
    match merkle::root_from_path(leaf, index, size, path) {
        Some(found) if found == *root => Ok(()),
        Some(_) => Err(NotIncluded::OtherRoot),
        None => Err(NotIncluded::PathLength { hashes: path.len(), index, size }),
    }
}

/// Why a proof does not show that one tree grew from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotConsistent {
    /// The older tree is the larger one.
    #[error("a log of {new} records cannot have grown from one of {old}")]
    Shrinks {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// Too few or too many hashes for these sizes.
    #[error("a proof of {hashes} hashes does not lead from {old} records to {new}")]
    ProofLength {
        /// Hashes in the proof.
        hashes: usize,
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// The proof leads to another old root: what was there has changed, or the proof is wrong.
    #[error("the proof does not lead to the root that the log had with {0} records")]
    OtherOldRoot(u64),
    /// The proof leads to another new root.
    #[error("the proof does not lead to the root that the log has with {0} records")]
    OtherNewRoot(u64),
}

/// Whether `proof` shows that the tree of `new` leaves and this root begins with the tree of `old` leaves and its root.
/// A tree without leaves has the root [`EMPTY_ROOT`] and is the beginning of all; equal sizes want equal roots. Both
/// want an empty proof.
///
/// # Errors
///
/// [`NotConsistent`] says why not.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Digest,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), NotConsistent> {
    if old > new {
        return Err(NotConsistent::Shrinks { old, new });
    }
    let is_empty = proof.is_empty();
    let roots = if old == 0 {
        is_empty.then_some((EMPTY_ROOT, if new == 0 { EMPTY_ROOT } else { *new_root }))
    } else if old == new {
        is_empty.then_some((*old_root, *old_root))
    } else {
        roots_from_proof(old, new, old_root, proof)
    };
    let (found_old, found_new) = roots.ok_or(NotConsistent::ProofLength { hashes: proof.len(), old, new })?;
    if found_old != *old_root {
        return Err(NotConsistent::OtherOldRoot(old));
    }
    if found_new != *new_root {
        return Err(NotConsistent::OtherNewRoot(new));
    }
    Ok(())
}

/// The roots of both trees that a proof leads to (RFC 9162, section 2.1.4.2, for `0 < old < new`); `None` if it is too
/// short or too long.
fn roots_from_proof(old: u64, new: u64, old_root: &Digest, proof: &[Digest]) -> Option<(Digest, Digest)> {
    // Where the old tree is complete its root is the first node of the path, and not repeated.
    let (first, rest) = if old.is_power_of_two() { (old_root, proof) } else { proof.split_first()? };
    let shift = (old - 1).trailing_ones();
    let (mut at, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut of_old, mut of_new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            (of_old, of_new) = (node_hash(hash, &of_old), node_hash(hash, &of_new));
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node_hash(&of_new, hash);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some((of_old, of_new))
}
