//! Paths, tiles and bundles as an auditor fetches them, and proofs of any numbers; the first byte says which.
#![no_main]

use lattice::log::tile::{BundleId, Tile, TileId, decode_bundle, encode_bundle};
use lattice::log::tree;
use lattice_fuzz::{encoded, one_encoding};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some(([kind, width], bytes)) = input.split_first_chunk::<2>() else { return };
    let width = u16::from(*width) + 1;
    match kind % 4 {
        0 => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            one_encoding(bytes, encoded(text.parse::<TileId>(), |id| id.to_string().into_bytes()));
            one_encoding(bytes, encoded(text.parse::<BundleId>(), |id| id.to_string().into_bytes()));
        }
        1 => {
            let id = BundleId::new(0, width).expect("it exists");
            one_encoding(
                bytes,
                encoded(decode_bundle(id, bytes), |records| encode_bundle(records).expect("as they came")),
            );
        }
        2 => {
            let id = TileId::new(1, 0, width).expect("it exists");
            one_encoding(bytes, encoded(Tile::decode(id, bytes), Tile::encode));
        }
        _ => {
            let Some((numbers, hashes)) = bytes.split_first_chunk::<16>() else { return };
            let (one, other) = (u64::from_le_bytes(numbers[..8].try_into().expect("8")), &numbers[8..]);
            let other = u64::from_le_bytes(other.try_into().expect("8"));
            let (hashes, _) = hashes.as_chunks::<32>();
            let _ = tree::verify_inclusion(&[1; 32], one, other, hashes, &[2; 32]);
            let _ = tree::verify_consistency(one, other, &[1; 32], &[2; 32], hashes);
            let _ = (tree::tiles_for_inclusion(one, other), tree::tiles_for_consistency(one, other));
            let _ = tree::root(one, &tree::TileSet::default());
        }
    }
});
