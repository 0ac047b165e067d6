//! What a state is known to contain: per author and term, how far its chain is in.
//!
//! A frontier never decides whether an ordinary commit is taken. It tells *lag* (a peer has not got there yet) from
//! *divergence* (equal frontiers, different roots: damage, a bug or a lie), where our own chain continues, and of the seat
//! whether a node has all that a term began with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::codec::{self, DecodeError};
use crate::commit::SignedHeader;
use crate::ids::{AuthorId, CommitId, sha256};
use crate::keys::SIGNATURE_BYTES;
use crate::limits::FRONTIER_RANGES_MAX;

const DIGEST_DOMAIN: &[u8] = b"lattice/frontier/v1\0";

/// One author's chain in one term, as far as its effect is in the state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The last header up to which nothing is missing; `None` if the first commit is missing.
    pub tip: Option<SignedHeader>,
    /// What is in beyond it, sorted by number, never overlapping.
    pub beyond: Vec<Run>,
}

/// Commits of one chain that follow each other, each naming the one before by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Number of the first.
    pub first: u64,
    /// What the first names as the commit before.
    pub prev: CommitId,
    /// Header of the last.
    pub last: SignedHeader,
}

impl Run {
    fn covers(&self, seq: u64) -> bool {
        (self.first..=self.last_seq()).contains(&seq)
    }

    /// Whether `next` goes on where this ends, by number and by hash.
    fn is_followed_by(&self, next: &Self) -> bool {
        next.first == self.last_seq() + 1 && next.prev == self.last.id()
    }

    /// Number of the last.
    pub fn last_seq(&self) -> u64 {
        self.last.header().seq
    }
}

impl Chain {
    /// The number of the tip; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.tip.as_ref().map_or(0, |tip| tip.header().seq)
    }

    /// The id of the tip; zero before the first.
    pub fn tip_id(&self) -> CommitId {
        self.tip.as_ref().map_or(CommitId::ZERO, SignedHeader::id)
    }

    /// Whether the effect of the commit with this number is known to be in.
    pub fn covers(&self, seq: u64) -> bool {
        seq <= self.seq() || self.beyond.iter().any(|run| run.covers(seq))
    }

    /// The last of the numbers that are covered without a gap from this one on; `None` if this one is not.
    pub fn covered_from(&self, seq: u64) -> Option<u64> {
        if seq <= self.seq() {
            return Some(self.seq());
        }
        self.beyond.iter().find(|run| run.covers(seq)).map(Run::last_seq)
    }

    /// The greatest number seen.
    pub fn highest(&self) -> u64 {
        self.beyond.last().map_or(self.seq(), Run::last_seq)
    }

    /// Takes note of a commit applied whole. Runs join where one's first names the other's last by hash; where
    /// the numbers match and the hashes do not, the author has forked its chain and the tip stays.
    pub fn note(&mut self, signed: &SignedHeader) {
        let header = signed.header();
        if self.covers(header.seq) {
            return;
        }
        let at = self.beyond.partition_point(|run| run.first < header.seq);
        self.beyond.insert(at, Run { first: header.seq, prev: header.prev, last: signed.clone() });
        self.join_runs(at);
        self.absorb_runs();
        self.forget_lowest();
    }

    fn forget_lowest(&mut self) {
        let spare = self.beyond.len().saturating_sub(FRONTIER_RANGES_MAX);
        self.beyond.drain(..spare);
    }

    /// Takes over what a peer's chain covers, after a session that brought all the peer had and refused nothing.
    pub fn raise_to(&mut self, other: &Self) {
        if other.seq() > self.seq() {
            self.tip.clone_from(&other.tip);
        }
        self.beyond.extend(other.beyond.iter().cloned());
        self.beyond.sort_by_key(|run| (run.first, run.last_seq()));
        let mut joined: Vec<Run> = Vec::with_capacity(self.beyond.len());
        for run in self.beyond.drain(..) {
            match joined.last_mut() {
                Some(before) if run.last_seq() <= before.last_seq() => {}
                Some(before) if run.first <= before.last_seq() || before.is_followed_by(&run) => before.last = run.last,
                _ => joined.push(run),
            }
        }
        self.beyond = joined;
        self.absorb_runs();
        self.forget_lowest();
    }

    /// Joins the run at `at` with its neighbours.
    fn join_runs(&mut self, at: usize) {
        for left in [at, at.wrapping_sub(1)] {
            let Some(right) = left.checked_add(1).filter(|&right| right < self.beyond.len()) else {
                continue;
            };
            if self.beyond[left].is_followed_by(&self.beyond[right]) {
                self.beyond[left].last = self.beyond.remove(right).last;
            }
        }
    }

    /// Moves the tip over the runs that continue it, and drops those that lie behind it.
    fn absorb_runs(&mut self) {
        while let Some(run) = self.beyond.first() {
            let continues = run.first == self.seq() + 1 && run.prev == self.tip_id();
            let reaches_over = run.first <= self.seq() && run.last_seq() > self.seq();
            if continues || reaches_over {
                self.tip = Some(self.beyond.remove(0).last);
            } else if run.last_seq() <= self.seq() {
                self.beyond.remove(0);
            } else {
                return;
            }
        }
    }

    /// Canonical bytes: `[[header, signature] | null, [[first, prev, [header, signature]], …]]`.
    pub fn encode(&self) -> Vec<u8> {
        let signed = |s: &SignedHeader| SignedWire(s.header_bytes().to_vec().into(), ByteArray::new(*s.signature()));
        let beyond = self.beyond.iter().map(|run| (run.first, run.prev, signed(&run.last))).collect();
        codec::encode(&ChainWire(self.tip.as_ref().map(signed), beyond))
    }

    /// Reads canonical bytes; the signatures are not checked.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: ChainWire = codec::decode(bytes, CHAIN_BYTES_MAX)?;
        let signed = |wire: SignedWire| SignedHeader::decode(&wire.0, wire.1.into_array());
        let run = |(first, prev, last)| Ok(Run { first, prev, last: signed(last)? });
        let chain = Self {
            tip: wire.0.map(signed).transpose()?,
            beyond: wire.1.into_iter().map(run).collect::<Result<_, _>>()?,
        };
        let apart = chain.beyond.windows(2).all(|pair| pair[0].last_seq() < pair[1].first);
        let ordered = chain.beyond.iter().all(|run| chain.seq() < run.first && run.first <= run.last_seq());
        if chain.beyond.len() > FRONTIER_RANGES_MAX || !apart || !ordered {
            return Err(DecodeError::Invalid("runs beyond a chain's tip must be sorted, apart and at most 256"));
        }
        Ok(chain)
    }
}

/// Most bytes of an encoded chain.
pub const CHAIN_BYTES_MAX: usize = (FRONTIER_RANGES_MAX + 1) * 384;

#[derive(Serialize, Deserialize)]
struct SignedWire(ByteBuf, ByteArray<SIGNATURE_BYTES>);

#[derive(Serialize, Deserialize)]
struct ChainWire(Option<SignedWire>, Vec<(u64, CommitId, SignedWire)>);

/// All chains by author and term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    chains: BTreeMap<(AuthorId, u64), Chain>,
}

impl Frontier {
    /// A frontier of stored chains.
    pub fn of(chains: impl IntoIterator<Item = ((AuthorId, u64), Chain)>) -> Self {
        Self { chains: chains.into_iter().collect() }
    }

    /// The chain of an author in a term; an empty one if none is known.
    pub fn chain(&self, author: &AuthorId, term: u64) -> Chain {
        self.chains.get(&(*author, term)).cloned().unwrap_or_default()
    }

    /// The chain of an author in a term, to be changed.
    pub fn chain_mut(&mut self, author: &AuthorId, term: u64) -> &mut Chain {
        self.chains.entry((*author, term)).or_default()
    }

    /// Whether the effect of this commit is known to be in.
    pub fn covers(&self, author: &AuthorId, term: u64, seq: u64) -> bool {
        self.chains.get(&(*author, term)).is_some_and(|chain| chain.covers(seq))
    }

    /// All chains, by author and term.
    pub fn chains(&self) -> impl Iterator<Item = (&(AuthorId, u64), &Chain)> {
        self.chains.iter()
    }

    /// SHA-256 over author, term, tip number, tip id and runs (first number, last id) of each chain. Equal digests with unequal roots
    /// are a divergence. A chain of which nothing is in does not count: having looked at it changes nothing.
    pub fn digest(&self) -> [u8; 32] {
        let chains: Vec<_> = self
            .chains
            .iter()
            .filter(|(_, chain)| **chain != Chain::default())
            .map(|((author, term), chain)| {
                let runs: Vec<_> = chain.beyond.iter().map(|run| (run.first, run.last.id())).collect();
                (*author, *term, chain.seq(), chain.tip_id(), runs)
            })
            .collect();
        sha256(&[DIGEST_DOMAIN, &codec::encode(&chains)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::commit::Draft;
    use crate::ids::LatticeId;
    use crate::keys::NodeKeys;
    use crate::op::Op;

    fn headers(n: u64) -> Vec<SignedHeader> {
        let keys = NodeKeys::from_seed([3; 32]);
        let mut prev = CommitId::ZERO;
        (1..=n)
            .map(|seq| {
                let time = Timestamp::from_millis(seq);
                let draft = Draft { lattice: LatticeId::ZERO, term: 0, seq, prev, time };
                let signed = draft.sign(&keys.author, vec![Op::delete("k").expect("small")]).signed().clone();
                prev = signed.id();
                signed
            })
            .collect()
    }

    #[test]
    fn runs_grow_out_of_order_and_the_tip_moves_over_them_when_the_gap_closes() {
        let headers = headers(6);
        let mut chain = Chain::default();
        for i in [0, 1, 4, 3] {
            chain.note(&headers[i]);
        }
        assert_eq!((chain.seq(), chain.beyond.len(), chain.highest()), (2, 1, 5));
        assert!(chain.covers(5) && !chain.covers(3) && !chain.covers(6));
        assert_eq!(Chain::decode(&chain.encode()), Ok(chain.clone()));

        let mut raised = chain.clone();
        raised.raise_to(&Chain { tip: Some(headers[3].clone()), beyond: Vec::new() });
        assert_eq!((raised.seq(), raised.beyond.len()), (5, 0), "a run that reaches over the new tip is part of it");
        chain.note(&headers[2]);
        assert_eq!((chain.seq(), chain.beyond.len()), (5, 0));
    }

    #[test]
    fn two_chains_of_equal_states_become_one_whichever_is_raised() {
        let headers = headers(9);
        let chain = |seen: &[usize]| {
            let mut chain = Chain::default();
            seen.iter().for_each(|i| chain.note(&headers[*i]));
            chain
        };
        for (a, b) in [(&[0, 1, 4, 5][..], &[0, 5, 6, 8][..]), (&[2, 3][..], &[0, 1, 7][..]), (&[][..], &[3, 4][..])] {
            let (mut up, mut down) = (chain(a), chain(b));
            up.raise_to(&chain(b));
            down.raise_to(&chain(a));
            let both: Vec<_> = a.iter().chain(b).copied().collect();
            assert_eq!((&up, &down), (&chain(&both), &chain(&both)), "{a:?} and {b:?}");
        }
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order_of_arrival() {
        let headers = headers(5);
        let digest = |order: [usize; 5]| {
            let mut frontier = Frontier::default();
            for i in order {
                frontier.chain_mut(&headers[i].header().author, 0).note(&headers[i]);
            }
            frontier.digest()
        };
        for order in [[4, 3, 2, 1, 0], [1, 3, 0, 4, 2], [2, 0, 4, 1, 3]] {
            assert_eq!(digest(order), digest([0, 1, 2, 3, 4]), "{order:?}");
        }
    }

    #[test]
    fn a_chain_that_forked_does_not_move_on() {
        let honest = headers(3);
        let mut chain = Chain::default();
        chain.note(&honest[0]);
        // The third's `prev` names the second, which is not there: same heights never hide another history.
        chain.note(&honest[2]);
        assert_eq!(chain.seq(), 1);
        let mut other = Frontier::default();
        *other.chain_mut(&honest[0].header().author, 0) = chain;
        assert_ne!(other.digest(), Frontier::default().digest());
    }

    #[test]
    fn runs_are_bounded() {
        let headers = headers(4 * FRONTIER_RANGES_MAX as u64);
        let mut chain = Chain::default();
        headers.iter().skip(1).step_by(2).for_each(|header| chain.note(header));
        assert_eq!(chain.beyond.len(), FRONTIER_RANGES_MAX);
        assert_eq!(chain.highest(), 4 * FRONTIER_RANGES_MAX as u64, "the newest are kept");
        assert_eq!(Chain::decode(&chain.encode()), Ok(chain));
    }
}
