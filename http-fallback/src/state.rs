//! What a node says of its state to anyone who asks: enough to see whether two nodes hold the same.

use data_encoding::BASE64;
use lattice::base64;
use lattice::head::{Head, SignedHead};
use lattice::ids::LatticeId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to `GET /api/lattice/state`: one consistent view. All but `head` is for people; nodes read only that, as
/// [`HeadView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StateView {
    /// Lattice id, 64 hexadecimal digits.
    pub lattice_id: String,
    /// What people call the node.
    pub name: String,
    /// The node's author key, 64 hexadecimal digits.
    pub author: String,
    /// State root, 64 hexadecimal digits. Equal roots mean equal states.
    pub merkle_root: String,
    /// Entries under that root, tombstones included.
    pub entries: u64,
    /// Peers of the same lattice with an established libp2p connection.
    pub peers: u64,
    /// Road to other nodes: `p2p` or `http`.
    pub mode: String,
    /// Digest of the node's frontier, 64 hexadecimal digits.
    pub frontier: String,
    /// Records in the node's log.
    pub log_size: u64,
    /// The node's wall clock in milliseconds since 1970.
    pub time_ms: u64,
    /// The node's signed head in base64: root, entries and frontier as it vouches for them.
    pub head: String,
}

/// What nodes read of the answer: the head, which is signed. Whatever stands beside it may come and go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HeadView {
    /// The node's signed head in base64.
    pub head: String,
}

/// Why an answer says nothing about this lattice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadState {
    /// The head does not decode.
    #[error("the head in the answer can't be read")]
    Unreadable,
    /// The head's signature does not hold.
    #[error("the head in the answer is not signed by the node that it names")]
    NotSigned,
    /// A node of another lattice answered.
    #[error("a node of another lattice answers there")]
    OtherLattice,
}

impl StateView {
    /// A signed head as the text in an answer.
    pub fn head_text(head: &SignedHead) -> String {
        BASE64.encode(&head.encode())
    }
}

impl HeadView {
    /// The head, if the node that it names signed it.
    ///
    /// # Errors
    ///
    /// [`BadState`].
    pub fn signed_head(&self) -> Result<Head, BadState> {
        let bytes = base64::decode(&self.head).ok_or(BadState::Unreadable)?;
        let signed = SignedHead::decode(&bytes).map_err(|_| BadState::Unreadable)?;
        signed.verified().ok_or(BadState::NotSigned)
    }

    /// The same, if it is of this lattice.
    ///
    /// # Errors
    ///
    /// [`BadState`].
    pub fn verified_head(&self, lattice: LatticeId) -> Result<Head, BadState> {
        let head = self.signed_head()?;
        if head.lattice == lattice { Ok(head) } else { Err(BadState::OtherLattice) }
    }
}

#[cfg(test)]
mod tests {
    use lattice::head::ESTIMATOR_BYTES;
    use lattice::ids::StateRoot;
    use lattice::keys::NodeKeys;

    use super::*;

    #[test]
    fn a_head_counts_in_one_form_signed_and_of_its_lattice() {
        let keys = NodeKeys::from_seed([1; 32]);
        let head = Head {
            lattice: LatticeId([1; 32]),
            author: keys.author.id(),
            time_ms: 1,
            root: StateRoot([2; 32]),
            entries: 3,
            frontier: [4; 32],
            checkpoint_size: 0,
            estimator: [5; ESTIMATOR_BYTES],
        };
        let (ours, other) = (head.lattice, LatticeId([9; 32]));
        let signed = head.sign(&keys.author);
        let view = |head: String| HeadView { head };
        assert_eq!(view(StateView::head_text(&signed)).verified_head(ours), Ok(head));
        assert_eq!(view(StateView::head_text(&signed)).verified_head(other), Err(BadState::OtherLattice));
        let forged = head.sign(&NodeKeys::from_seed([2; 32]).author);
        assert_eq!(view(StateView::head_text(&forged)).verified_head(ours), Err(BadState::NotSigned));
        // The decoder takes padding amid the text.
        let bytes = signed.encode();
        let joined = BASE64.encode(&bytes[..1]) + &BASE64.encode(&bytes[1..]);
        assert_eq!(BASE64.decode(joined.as_bytes()).as_ref(), Ok(&bytes));
        assert_eq!(view(joined).verified_head(ours), Err(BadState::Unreadable));
    }
}
