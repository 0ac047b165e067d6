//! What a commit counts towards its limits: never less than it takes encoded, and never less whole than in part.
//!
//! So what is within the limits can be decoded, and so can whatever is left of it once operations are dead. The exact
//! encoded length would not do: an operation shorter than a hash makes the commit longer when it dies.

use super::{Commit, OpSlot, VerifyError};
use crate::genesis::Genesis;
use crate::ids::OpHash;
use crate::keys::SIGNATURE_BYTES;
use crate::limits::COMMIT_BYTES_MAX;
use crate::membership::is_change_key;
use crate::op::Op;

/// Bytes around header, signature and slots in an encoded commit (9 at most), and before it in a message (5).
const COMMIT_OVERHEAD_BYTES: usize = 16;

/// Bytes around key and value in an encoded operation, at most: list, kind, and the heads of a long key and value.
const OP_OVERHEAD_BYTES: usize = 10;

/// Bytes around an operation or a hash in an encoded commit (7 at most).
const SLOT_OVERHEAD_BYTES: usize = 8;

impl Commit {
    /// The length that limits are about, in bytes. Of a commit with fewer operations dead it is no smaller, and it
    /// is never below the length of [`Commit::encode`], even as a byte string of a message.
    pub fn counted_bytes(&self) -> usize {
        self.around_bytes() + self.slots.iter().map(counted_bytes).sum::<usize>()
    }

    fn around_bytes(&self) -> usize {
        self.signed.bytes.len() + SIGNATURE_BYTES + COMMIT_OVERHEAD_BYTES
    }

    /// Each measure only shrinks when operations die: a part of what is within the limits is within them.
    pub(super) fn check_limits(&self, genesis: &Genesis) -> Result<(), VerifyError> {
        let limits = &genesis.limits;
        within("a commit's number of operations", self.slots.len(), limits.commit_ops)?;
        within(COUNTED_LENGTH, self.counted_bytes(), COMMIT_BYTES_MAX as u64)?;
        let mut keys = std::collections::BTreeSet::new();
        // Of a hash nobody can tell whether it stands for a change, so hashes count above and not here.
        let mut ordinary_bytes = self.around_bytes();
        for slot in &self.slots {
            let OpSlot::Live(op) = slot else { continue };
            if !keys.insert(op.key()) {
                return Err(VerifyError::RepeatedKey(op.key().to_string()));
            }
            // A change has its own bound: limits for small entries must not shut the door to new members.
            if is_change_key(op.key().as_str()) {
                continue;
            }
            within("a key's length in bytes", op.key().as_str().len(), limits.key_bytes)?;
            within("a value's length in bytes", value_bytes(op), limits.value_bytes)?;
            ordinary_bytes += counted_bytes(slot);
        }
        within(COUNTED_LENGTH, ordinary_bytes, limits.commit_bytes)
    }
}

const COUNTED_LENGTH: &str = "a commit's length in bytes (overhead counted)";

fn within(what: &'static str, found: usize, limit: u64) -> Result<(), VerifyError> {
    match found as u64 {
        found if found > limit => Err(VerifyError::BeyondLimit { what, found, limit }),
        _ => Ok(()),
    }
}

fn counted_bytes(slot: &OpSlot) -> usize {
    let content = match slot {
        OpSlot::Live(op) => op.key().as_str().len() + value_bytes(op) + OP_OVERHEAD_BYTES,
        OpSlot::Dead(_) => 0,
    };
    content.max(size_of::<OpHash>()) + SLOT_OVERHEAD_BYTES
}

fn value_bytes(op: &Op) -> usize {
    op.value().map_or(0, <[u8]>::len)
}
