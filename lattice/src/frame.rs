//! Gossip frames: all commits of one transaction, or one head, with room for later fields.

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::codec::{self, DecodeError, Extensions};
use crate::commit::Commit;
use crate::equivocation::Equivocation;
use crate::head::SignedHead;
use crate::limits::{COMMIT_BYTES_MAX, FRAME_BYTES_MAX, FRAME_BYTES_TARGET, FRAME_COMMITS_MAX};
use crate::log::checkpoint::SignedCheckpoint;
use crate::log::evidence::ForkEvidence;

const VERSION: u64 = 1;

/// What one gossip message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Commits, in the order in which their node applied them; 1 to 1024.
    Commits(Vec<Commit>),
    /// What a node says of its state.
    Head(Box<SignedHead>),
    /// Evidence against an author.
    Equivocation(Box<Equivocation>),
    /// The last checkpoint of a log, with the cosignatures that came.
    Checkpoint(Box<SignedCheckpoint>),
    /// Evidence against a log.
    Fork(Box<ForkEvidence>),
}

impl Frame {
    /// Canonical bytes: `[version, kind, [item bytes, …], extensions]`.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Commits(commits) => encode_items(COMMITS, commits.iter().map(Commit::encode)),
            Self::Head(head) => encode_items(HEAD, [head.encode()]),
            Self::Equivocation(pair) => encode_items(EQUIVOCATION, [pair.encode()]),
            Self::Checkpoint(signed) => encode_items(CHECKPOINT, [signed.to_string()]),
            Self::Fork(evidence) => encode_items(FORK, [evidence.to_string()]),
        }
    }

    /// Reads canonical bytes. Extension fields of later versions are allowed, and ignored.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]; one bad item refuses the frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: FrameWire<'_> = codec::decode(bytes, FRAME_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        codec::expect_small(&wire.3)?;
        match (wire.1, wire.2.as_slice()) {
            (COMMITS, items) if (1..=FRAME_COMMITS_MAX).contains(&items.len()) => {
                items.iter().map(|item| Commit::decode(item)).collect::<Result<_, _>>().map(Self::Commits)
            }
            (COMMITS, _) => Err(DecodeError::Invalid("a frame holds 1 to 1024 commits")),
            (HEAD, [item]) => SignedHead::decode(item).map(|head| Self::Head(Box::new(head))),
            (EQUIVOCATION, [item]) => Equivocation::decode(item).map(|pair| Self::Equivocation(Box::new(pair))),
            (CHECKPOINT, [item]) => SignedCheckpoint::parse(item)
                .map(|signed| Self::Checkpoint(Box::new(signed)))
                .map_err(|_| DecodeError::Invalid("a checkpoint that is no signed note of one")),
            (FORK, [item]) => ForkEvidence::parse(item)
                .map(|evidence| Self::Fork(Box::new(evidence)))
                .map_err(|_| DecodeError::Invalid("fork evidence that is none")),
            _ => Err(DecodeError::Invalid("a frame of unknown kind, or with too many items")),
        }
    }
}

/// Packs encoded commits into frames of about [`FRAME_BYTES_TARGET`] bytes, in order.
pub fn pack_commits(commits: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, commit) in commits.iter().enumerate() {
        if at > start && (bytes + commit.len() > FRAME_BYTES_TARGET || at - start == FRAME_COMMITS_MAX) {
            frames.push(encode_items(COMMITS, commits[start..at].iter()));
            (start, bytes) = (at, 0);
        }
        bytes += commit.len();
    }
    if start < commits.len() {
        frames.push(encode_items(COMMITS, commits[start..].iter()));
    }
    frames
}

fn encode_items<B: AsRef<[u8]>>(kind: u64, items: impl IntoIterator<Item = B>) -> Vec<u8> {
    let items: Vec<B> = items.into_iter().collect();
    let items = items.iter().map(|item| Bytes::new(item.as_ref())).collect();
    codec::encode(&FrameWire(VERSION, kind, items, Extensions::new()))
}

const COMMITS: u64 = 0;
const HEAD: u64 = 1;
const EQUIVOCATION: u64 = 2;
const CHECKPOINT: u64 = 3;
const FORK: u64 = 4;

// A largest commit still fits: the envelope is a few bytes, the room is 16 KiB.
const _: () = assert!(COMMIT_BYTES_MAX + 1024 < FRAME_BYTES_MAX);

#[derive(Serialize, Deserialize)]
struct FrameWire<'a>(u64, u64, #[serde(borrow)] Vec<&'a Bytes>, #[serde(borrow)] Extensions<'a>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::commit::Draft;
    use crate::ids::{CommitId, LatticeId};
    use crate::keys::NodeKeys;
    use crate::op::Op;

    #[test]
    fn frames_are_cut_to_size_and_keep_the_order() {
        let author = NodeKeys::from_seed([6; 32]).author;
        let commits: Vec<_> = (1..=2000)
            .map(|seq| {
                let prev = CommitId([u8::from(seq > 1); 32]);
                let draft = Draft { lattice: LatticeId::ZERO, term: 0, seq, prev, time: Timestamp(seq) };
                draft.sign(&author, vec![Op::put("k", &[0; 200]).expect("small")])
            })
            .collect();
        let encoded: Vec<_> = commits.iter().map(Commit::encode).collect();
        let frames = pack_commits(&encoded);
        assert!(frames.len() > 5 && frames.iter().all(|frame| frame.len() < FRAME_BYTES_TARGET + 8192));
        let back: Vec<_> = frames
            .iter()
            .flat_map(|frame| match Frame::decode(frame) {
                Ok(Frame::Commits(commits)) => commits,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(back, commits);
        assert!(pack_commits(&[]).is_empty());
    }
}
