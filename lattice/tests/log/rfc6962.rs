//! Roots and proofs of all small trees, against the definition, two other implementations and published answers.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use data_encoding::HEXLOWER;
use lattice::log::tree::{self, EMPTY_ROOT, TileSet, verify_consistency, verify_inclusion};
use lattice::merkle::{Digest, leaf_hash};
use sha2::Sha256;
use tlog_tiles::tlog::{Hash, check_record, check_tree};

use super::{leaves, record, root_by_definition, root_of, tile_set};

/// Sizes up to which every tree, index and pair is tried.
const SIZES: u64 = 70;

/// PATH of RFC 6962, section 2.1.1, word by word.
fn path_by_definition(index: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = if index < left.len() {
        (path_by_definition(index, left), root_by_definition(right))
    } else {
        (path_by_definition(index - left.len(), right), root_by_definition(left))
    };
    path.push(sibling);
    path
}

/// SUBPROOF of RFC 6962, section 2.1.2, word by word.
fn subproof_by_definition(old: usize, leaves: &[Digest], is_old_tree: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if is_old_tree { Vec::new() } else { vec![root_by_definition(leaves)] };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut proof, other) = if old <= left.len() {
        (subproof_by_definition(old, left, is_old_tree), root_by_definition(right))
    } else {
        (subproof_by_definition(old - left.len(), right, false), root_by_definition(left))
    };
    proof.push(other);
    proof
}

/// The same tree as `ct-merkle` builds it.
fn theirs(size: u64) -> MemoryBackedTree<Sha256, [u8; 8]> {
    let mut tree = MemoryBackedTree::new();
    (0..size).for_each(|n| tree.push(record(n)));
    tree
}

fn their_root(root: &Digest, size: u64) -> RootHash<Sha256> {
    RootHash::new((*root).into(), size)
}

#[test]
fn roots_of_all_small_trees_are_those_of_the_definition_and_of_others() {
    let all = leaves(SIZES);
    for size in 0..=SIZES {
        let some = &all[..size as usize];
        let root = root_by_definition(some);
        assert_eq!(root_of(some), root, "{size}");
        assert_eq!(tree::root(size, &tile_set(some)), Ok(root), "{size}");
        assert_eq!(theirs(size).root().as_bytes()[..], root, "{size}");
    }
}

#[test]
fn inclusion_of_every_record_of_all_small_trees_is_proven_and_accepted_by_others() {
    let all = leaves(SIZES);
    for size in 1..=SIZES {
        let some = &all[..size as usize];
        let (tiles, root, theirs) = (tile_set(some), root_by_definition(some), theirs(size));
        for index in 0..size {
            let leaf = some[index as usize];
            let path = tree::inclusion(index, size, &tiles).expect("all tiles");
            assert_eq!(path, path_by_definition(index as usize, some), "{index} of {size}");
            assert_eq!(path.concat(), theirs.prove_inclusion(index as usize).as_bytes(), "{index} of {size}");
            assert_eq!(verify_inclusion(&leaf, index, size, &path, &root), Ok(()), "{index} of {size}");
            let proof = InclusionProof::try_from_bytes(path.concat()).expect("whole hashes");
            their_root(&root, size).verify_inclusion(&record(index), index, &proof).expect("ct-merkle accepts it");
            let path: Vec<_> = path.into_iter().map(Hash).collect();
            check_record(&path, size, Hash(root), index, Hash(leaf)).expect("tlog_tiles accepts it");
        }
    }
}

#[test]
fn consistency_of_all_pairs_of_small_trees_is_proven_and_accepted_by_others() {
    let all = leaves(SIZES);
    for new in 1..=SIZES {
        let some = &all[..new as usize];
        let (tiles, root, theirs) = (tile_set(some), root_by_definition(some), theirs(new));
        for old in 1..=new {
            let old_root = root_by_definition(&some[..old as usize]);
            let proof = tree::consistency(old, new, &tiles).expect("all tiles");
            assert_eq!(proof, subproof_by_definition(old as usize, some, true), "{old} to {new}");
            assert_eq!(proof.concat(), theirs.prove_consistency((new - old) as usize).as_bytes(), "{old} to {new}");
            assert_eq!(verify_consistency(old, new, &old_root, &root, &proof), Ok(()), "{old} to {new}");
            let theirs = ConsistencyProof::try_from_bytes(proof.concat()).expect("whole hashes");
            their_root(&root, new).verify_consistency(&their_root(&old_root, old), &theirs).expect("ct-merkle agrees");
            let proof: Vec<_> = proof.into_iter().map(Hash).collect();
            check_tree(&proof, new, Hash(root), old, Hash(old_root)).expect("tlog_tiles accepts it");
        }
    }
}

/// The records that the transparency projects test with, and the roots of their first 0 to 8, as published there.
const PUBLISHED_RECORDS: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const PUBLISHED_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// Published audit paths: index, size, hashes.
const PUBLISHED_PATHS: [(u64, u64, &[&str]); 4] = [
    (
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];

/// Published consistency proofs: old size, new size, hashes.
const PUBLISHED_PROOFS: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];

fn unhex(hashes: &[&str]) -> Vec<Digest> {
    let hash = |hex: &&str| HEXLOWER.decode(hex.as_bytes()).expect("hex").try_into().expect("32 bytes");
    hashes.iter().map(hash).collect()
}

#[test]
fn published_roots_and_proofs_are_met() {
    let record = |hex: &&str| leaf_hash(&HEXLOWER.decode(hex.as_bytes()).expect("hex"));
    let leaves: Vec<_> = PUBLISHED_RECORDS.iter().map(record).collect();
    let (roots, tiles) = (unhex(&PUBLISHED_ROOTS), |size: u64| tile_set(&leaves[..size as usize]));
    for size in 0..=8 {
        assert_eq!(tree::root(size as u64, &tiles(size as u64)), Ok(roots[size]), "{size}");
        assert_eq!(root_of(&leaves[..size]), roots[size], "{size}");
    }
    for (index, size, path) in PUBLISHED_PATHS {
        assert_eq!(tree::inclusion(index, size, &tiles(size)), Ok(unhex(path)), "{index} of {size}");
        let (leaf, root) = (leaves[index as usize], roots[size as usize]);
        assert_eq!(verify_inclusion(&leaf, index, size, &unhex(path), &root), Ok(()), "{index} of {size}");
    }
    for (old, new, proof) in PUBLISHED_PROOFS {
        assert_eq!(tree::consistency(old, new, &tiles(new)), Ok(unhex(proof)), "{old} to {new}");
        let (old_root, new_root) = (roots[old as usize], roots[new as usize]);
        assert_eq!(verify_consistency(old, new, &old_root, &new_root, &unhex(proof)), Ok(()), "{old} to {new}");
    }
}

/// Everything that is near a proof and is none.
fn altered(proof: &[Digest]) -> Vec<(&'static str, Vec<Digest>)> {
    let mut all = vec![("a spare hash", [proof, &[[0; 32]]].concat())];
    if let [first, .., last] = proof {
        all.push(("the last hash twice", [proof, &[*last]].concat()));
        all.push(("the first hash twice", [&[*first], proof].concat()));
    }
    if !proof.is_empty() {
        all.push(("the last hash missing", proof[..proof.len() - 1].to_vec()));
        all.push(("the first hash missing", proof[1..].to_vec()));
    }
    for at in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[at][at % 32] ^= 1;
        all.push(("a flipped bit", flipped));
        if at > 0 {
            let mut swapped = proof.to_vec();
            swapped.swap(at - 1, at);
            all.push(("two hashes swapped", swapped));
        }
    }
    all
}

#[test]
fn an_altered_inclusion_proof_is_refused() {
    let all = leaves(40);
    for size in 1..=40 {
        let some = &all[..size as usize];
        let (tiles, root) = (tile_set(some), root_of(some));
        for index in 0..size {
            let leaf = some[index as usize];
            let path = tree::inclusion(index, size, &tiles).expect("all tiles");
            for (what, altered) in altered(&path) {
                assert!(verify_inclusion(&leaf, index, size, &altered, &root).is_err(), "{what}, {index} of {size}");
            }
            for other in (0..size + 2).filter(|other| *other != index) {
                assert!(verify_inclusion(&leaf, other, size, &path, &root).is_err(), "{index} as {other} of {size}");
            }
            assert!(verify_inclusion(&root, index, size, &path, &root).is_err() || size == 1, "a node as a leaf");
            assert!(verify_inclusion(&leaf, u64::MAX, size, &path, &root).is_err());
            assert!(verify_inclusion(&leaf, index, 0, &path, &root).is_err(), "an empty log");
        }
    }
}

#[test]
fn an_altered_consistency_proof_is_refused() {
    let all = leaves(40);
    for new in 1..=40 {
        let some = &all[..new as usize];
        let (tiles, root) = (tile_set(some), root_of(some));
        for old in 1..=new {
            let old_root = root_of(&some[..old as usize]);
            let proof = tree::consistency(old, new, &tiles).expect("all tiles");
            for (what, altered) in altered(&proof) {
                let judged = verify_consistency(old, new, &old_root, &root, &altered);
                assert!(judged.is_err(), "{what}, {old} to {new}");
            }
            assert!(verify_consistency(old, new, &[7; 32], &root, &proof).is_err(), "{old} to {new}");
            assert!(verify_consistency(old, new, &old_root, &[7; 32], &proof).is_err(), "{old} to {new}");
            let shorter = root_of(&some[..old as usize - 1]);
            assert!(verify_consistency(old - 1, new, &old_root, &root, &proof).is_err(), "another old size");
            assert!(old == 1 || verify_consistency(old, new, &shorter, &root, &proof).is_err(), "another old root");
        }
    }
}

#[test]
fn empty_and_equal_trees_want_empty_proofs_and_the_right_roots() {
    let root = root_of(&leaves(5));
    let verify = verify_consistency;
    assert_eq!(verify(0, 0, &EMPTY_ROOT, &EMPTY_ROOT, &[]), Ok(()));
    assert_eq!(verify(0, 5, &EMPTY_ROOT, &root, &[]), Ok(()));
    assert_eq!(verify(5, 5, &root, &root, &[]), Ok(()));
    assert!(verify(0, 5, &EMPTY_ROOT, &root, &[root]).is_err(), "a proof from nothing");
    assert!(verify(0, 5, &root, &root, &[]).is_err(), "a root of nothing");
    assert!(verify(0, 0, &root, &root, &[]).is_err(), "a root of nothing");
    assert!(verify(5, 5, &root, &EMPTY_ROOT, &[]).is_err());
    assert!(verify(5, 5, &root, &root, &[root]).is_err());
    assert!(verify(6, 5, &root, &root, &[]).is_err(), "it shrinks");
    assert!(verify(4, 5, &root, &root, &[]).is_err(), "no proof");
}

#[test]
fn huge_claims_are_refused_at_once() {
    let hashes = vec![[0; 32]; 50_000];
    for (index, size) in [(0, 1), (0, u64::MAX), (u64::MAX - 1, u64::MAX), (u64::MAX, u64::MAX)] {
        assert!(verify_inclusion(&[0; 32], index, size, &hashes, &[0; 32]).is_err());
    }
    for (old, new) in [(1, u64::MAX), (u64::MAX - 1, u64::MAX), (1 << 63, u64::MAX), (3, 1 << 63)] {
        assert!(verify_consistency(old, new, &[0; 32], &[0; 32], &hashes).is_err());
        assert!(verify_consistency(old, new, &[0; 32], &[0; 32], &[]).is_err());
    }
    assert!(tree::inclusion(0, u64::MAX, &TileSet::default()).is_err());
    assert!(tree::consistency(1, u64::MAX, &TileSet::default()).is_err());
}
