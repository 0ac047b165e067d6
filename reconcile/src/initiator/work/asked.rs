//! Keys that the peer was asked for, named as the difference was found.

use std::collections::HashSet;

use lattice::ids::KeyHash;

use crate::message::Request;
use crate::sketch::{Item, SHORT_KEY_BYTES, ShortKey};
use crate::view::KeyLeaf;

/// What one fetch asks for.
#[derive(Debug)]
pub(in crate::initiator) enum Asked {
    /// By whole key hashes.
    Exact(Vec<KeyLeaf>),
    /// By as much of them as a sketch tells.
    Short(Vec<Item>),
}

impl Asked {
    /// Number of keys.
    pub(in crate::initiator) fn len(&self) -> usize {
        match self {
            Self::Exact(wishes) => wishes.len(),
            Self::Short(finds) => finds.len(),
        }
    }

    /// The request for them.
    pub(in crate::initiator) fn request(&self) -> Request {
        match self {
            Self::Exact(wishes) => Request::Fetch { keys: wishes.iter().map(|wish| wish.key).collect() },
            Self::Short(finds) => Request::FetchShort { keys: finds.iter().map(Item::short_key).collect() },
        }
    }

    /// Whether each of these commits, told by its keys, holds one that was asked for.
    pub(in crate::initiator) fn names_one_of_each(&self, commits: &[Vec<KeyHash>]) -> bool {
        match self {
            Self::Exact(wishes) => {
                let keys: HashSet<&KeyHash> = wishes.iter().map(|wish| &wish.key).collect();
                commits.iter().all(|commit| commit.iter().any(|key| keys.contains(key)))
            }
            Self::Short(finds) => {
                let keys: HashSet<ShortKey> = finds.iter().map(Item::short_key).collect();
                let short = |key: &KeyHash| std::array::from_fn::<u8, SHORT_KEY_BYTES, _>(|i| key.0[i]);
                commits.iter().all(|commit| commit.iter().any(|key| keys.contains(&short(key))))
            }
        }
    }
}
