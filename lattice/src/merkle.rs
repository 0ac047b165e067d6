//! RFC 6962 Merkle trees over a few leaves: paths by `rs_merkle`, roots by folding, judged by our own verifier.
//!
//! rs_merkle is a producer here, never a judge: its stock hasher has no leaf prefix, and its verifier accepts spare
//! hashes and indices beyond the tree. Our hasher adds the prefixes; [`root_from_path`] is RFC 9162, section 2.1.3.2,
//! which uses every hash given exactly once. Each write hashes a page anew, where a tree on the heap that holds all
//! levels costs as much as the hashes: a root alone is folded in place.

use rs_merkle::{Hasher, MerkleTree};

use crate::ids::sha256;
use crate::limits::PAGE_ENTRIES_MAX;

/// A SHA-256 hash inside some tree.
pub type Digest = [u8; 32];

/// `SHA-256(0x00 ‖ bytes)`: a leaf of an RFC 6962 tree.
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    sha256(&[&[0x00], bytes])
}

/// `SHA-256(0x01 ‖ left ‖ right)`: an inner node of an RFC 6962 tree.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256(&[&[0x01], left, right])
}

/// RFC 6962 hashing for rs_merkle.
#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = Digest;

    fn hash(bytes: &[u8]) -> Digest {
        leaf_hash(bytes)
    }

    fn concat_and_hash(left: &Digest, right: Option<&Digest>) -> Digest {
        // A node without a sibling moves up unchanged, which gives the tree of RFC 6962.
        right.map_or(*left, |right| node_hash(left, right))
    }
}

/// Leaves up to which [`root`] needs no heap: those of a page.
const FOLDED_IN_PLACE: usize = PAGE_ENTRIES_MAX;

/// Root over leaf hashes; the empty tree's is `SHA-256("")`. Meant for at most a few thousand leaves.
pub fn root(leaves: &[Digest]) -> Digest {
    let (mut page, mut heap) = ([[0; 32]; FOLDED_IN_PLACE], Vec::new());
    let level = match page.get_mut(..leaves.len()) {
        Some(level) => {
            level.copy_from_slice(leaves);
            level
        }
        None => {
            heap.extend_from_slice(leaves);
            heap.as_mut_slice()
        }
    };
    fold(level)
}

/// The root over a level of the tree, which is overwritten by those above it. A node without a sibling moves up
/// unchanged.
fn fold(level: &mut [Digest]) -> Digest {
    let mut len = level.len();
    if len == 0 {
        return sha256(&[]);
    }
    while len > 1 {
        for at in 0..len / 2 {
            level[at] = node_hash(&level[2 * at], &level[2 * at + 1]);
        }
        if len % 2 == 1 {
            level[len / 2] = level[len - 1];
        }
        len = len.div_ceil(2);
    }
    level[0]
}

/// The audit path of the leaf at `index`, from the leaf upwards; `None` if there is no such leaf.
pub fn path(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    if index >= leaves.len() {
        return None;
    }
    Some(MerkleTree::<Rfc6962>::from_leaves(leaves).proof(&[index]).proof_hashes().to_vec())
}

/// The root that `path` leads to from the leaf at `index` of `size` leaves; `None` if the index lies beyond the
/// tree, or if the path is too short or too long for that place.
pub fn root_from_path(leaf: &Digest, index: u64, size: u64, path: &[Digest]) -> Option<Digest> {
    if index >= size {
        return None;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: usize) -> Vec<Digest> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    /// RFC 6962, section 2.1, word by word.
    fn by_definition(leaves: &[Digest]) -> Digest {
        match leaves.len() {
            0 => sha256(&[]),
            1 => leaves[0],
            n => {
                let split = n.next_power_of_two() / 2;
                node_hash(&by_definition(&leaves[..split]), &by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_rfc_6962() {
        for n in 0..130 {
            let leaves = leaves(n);
            assert_eq!(root(&leaves), by_definition(&leaves), "{n} leaves");
            let of_library = MerkleTree::<Rfc6962>::from_leaves(&leaves).root();
            assert_eq!(of_library, (n > 0).then(|| root(&leaves)), "{n} leaves");
        }
    }

    #[test]
    fn every_path_leads_to_the_root_and_no_altered_one_does() {
        for n in 1..70 {
            let (leaves, root) = (leaves(n), root(&leaves(n)));
            for index in 0..n {
                let path = path(&leaves, index).expect("in range");
                let at =
                    |index: u64, size: u64, path: &[Digest]| root_from_path(&leaves[index as usize], index, size, path);
                assert_eq!(at(index as u64, n as u64, &path), Some(root), "{index} of {n}");
                let spare = [path.as_slice(), &[[0; 32]]].concat();
                assert_eq!(at(index as u64, n as u64, &spare), None, "a spare hash");
                if let Some((_, short)) = path.split_last() {
                    assert_ne!(at(index as u64, n as u64, short), Some(root), "a missing hash");
                }
                assert_eq!(root_from_path(&leaves[index], n as u64, n as u64, &path), None, "beyond the tree");
            }
        }
        assert_eq!(path(&leaves(3), 3), None);
    }
}
