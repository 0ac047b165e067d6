//! A body with the signatures that make it valid.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::{Approvals, Body, VOTERS_MAX, majority};
use crate::codec::{self, DecodeError};
use crate::genesis::Genesis;
use crate::ids::{AuthorId, LatticeId, ValueHash, sha256};
use crate::keys::SIGNATURE_BYTES;
use crate::limits::FOUNDERS_MAX;
use crate::log::note::SignatureLine;
use crate::op::{BadOp, Op};

/// Prefix of keys that hold certificates.
pub const SEAT_PREFIX: &str = "@seat/";

/// Bytes of a certificate: a body of 2 kB, 30 votes of 100 bytes, or 256 approvals of 200.
pub const CERTIFICATE_BYTES_MAX: usize = 60 * 1024;

/// The kind of a certificate among the changes of membership.
pub(crate) const CERTIFY: u64 = 3;

const BY_VOTES: u64 = 0;
const BY_OPERATORS: u64 = 1;

/// By whose word a term is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warrant {
    /// Votes of the voters before, and of the new ones if they change.
    Votes(BTreeMap<AuthorId, [u8; SIGNATURE_BYTES]>),
    /// Signatures of operators, who vouch that the holder before is off.
    Operators(Approvals),
}

/// A body and its warrant, not yet checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What it settles.
    pub body: Body,
    /// By whose word.
    pub warrant: Warrant,
}

/// A certificate is worth nothing. Whoever made it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWarranted {
    /// Made for another lattice.
    #[error("a certificate of another lattice")]
    OtherLattice,
    /// No seat of the genesis.
    #[error("this lattice has no seat {0:?}; its genesis names another, or none")]
    NoSuchSeat(String),
    /// A signature does not hold.
    #[error("the vote of {} does not hold", .0.short())]
    BadVote(AuthorId),
    /// Someone signed who has no vote.
    #[error("{} has no vote on this term", .0.short())]
    NoVoter(AuthorId),
    /// Too few votes.
    #[error("{votes} votes of {of} voters are no majority")]
    NoMajority {
        /// Votes of those who count.
        votes: usize,
        /// Those who count.
        of: usize,
    },
    /// Too few operators.
    #[error("{approvals} of {of} operators approved; more than half must")]
    TooFewOperators {
        /// Operators whose signatures hold.
        approvals: usize,
        /// Operators in all.
        of: usize,
    },
    /// The first certificate of a seat has no voters before it.
    #[error("the first term of a seat is settled by operators")]
    FirstByVotes,
}

impl Certificate {
    /// Canonical bytes: `[3, body bytes, 0, [[voter, signature], …]]` or `[3, body bytes, 1, [signature line, …]]`.
    pub fn encode(&self) -> Vec<u8> {
        let body = ByteBuf::from(self.body.encode());
        match &self.warrant {
            Warrant::Votes(votes) => {
                let votes = votes.iter().map(|(by, signature)| (*by, ByteArray::new(*signature))).collect();
                codec::encode(&VotesWire(CERTIFY, body, BY_VOTES, votes))
            }
            Warrant::Operators(approvals) => {
                let lines: Vec<_> = approvals.0.iter().map(ToString::to_string).collect();
                codec::encode(&OperatorsWire(CERTIFY, body, BY_OPERATORS, lines))
            }
        }
    }

    /// Reads canonical bytes. No signature is checked.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if let Ok(VotesWire(CERTIFY, body, BY_VOTES, votes)) = codec::decode(bytes, CERTIFICATE_BYTES_MAX) {
            if votes.len() > 2 * VOTERS_MAX || !votes.windows(2).all(|pair| pair[0].0 < pair[1].0) {
                return Err(DecodeError::Invalid("votes are sorted by voter, each once, at most 30"));
            }
            let votes = votes.into_iter().map(|(by, signature)| (by, signature.into_array())).collect();
            return Ok(Self { body: Body::decode(&body)?, warrant: Warrant::Votes(votes) });
        }
        let OperatorsWire(kind, body, by, lines) = codec::decode(bytes, CERTIFICATE_BYTES_MAX)?;
        let is_sorted = lines.windows(2).all(|pair| pair[0] < pair[1]);
        if (kind, by) != (CERTIFY, BY_OPERATORS) || !is_sorted || lines.len() > FOUNDERS_MAX {
            return Err(DecodeError::Invalid(
                "a certificate is a body with votes (0) or sorted lines of operators (1)",
            ));
        }
        let parsed = lines.iter().map(|line| SignatureLine::parse(line)).collect::<Option<Vec<_>>>();
        let approvals = parsed.filter(|parsed| parsed.iter().map(ToString::to_string).eq(lines.iter().cloned()));
        let approvals = approvals.ok_or(DecodeError::Invalid("an operator's signature is no line of a signed note"))?;
        Ok(Self { body: Body::decode(&body)?, warrant: Warrant::Operators(Approvals(approvals)) })
    }

    /// Checks everything that can be checked of this certificate alone: lattice, seat, signatures. Whether the voters that
    /// it counts are those of the certificate before is for [`super::Seats`], which knows that one.
    ///
    /// # Errors
    ///
    /// [`NotWarranted`].
    pub fn verify(&self, genesis: &Genesis, lattice: LatticeId) -> Result<(), NotWarranted> {
        let Self { body, warrant } = self;
        if body.lattice != lattice {
            return Err(NotWarranted::OtherLattice);
        }
        if genesis.seat() != Some(body.seat.as_str()) {
            return Err(NotWarranted::NoSuchSeat(body.seat.clone()));
        }
        match warrant {
            Warrant::Votes(_) if body.follows.is_none() => Err(NotWarranted::FirstByVotes),
            Warrant::Votes(votes) => check_votes(body, votes),
            Warrant::Operators(approvals) => {
                let (approvals, of) = (approvals.by_admins(genesis, body).len(), genesis.admins.len());
                if approvals >= majority(of) { Ok(()) } else { Err(NotWarranted::TooFewOperators { approvals, of }) }
            }
        }
    }

    /// The operation that writes it: its key is `@seat/`, the seat, the term in 19 digits, and the hash of the value, so
    /// that nothing is ever overwritten and the keys are in the order of terms.
    ///
    /// # Errors
    ///
    /// [`BadOp::LongValue`] never happens for a certificate within its own bound.
    pub fn to_op(&self) -> Result<Op, BadOp> {
        let value = self.encode();
        Op::put(&self.key_of(&value), &value)
    }

    /// The key at which a certificate with this encoding stands.
    pub(crate) fn key_of(&self, value: &[u8]) -> String {
        format!("{SEAT_PREFIX}{}/{:019}/{}", self.body.seat, self.body.term, ValueHash(sha256(&[value])))
    }
}

fn check_votes(body: &Body, votes: &BTreeMap<AuthorId, [u8; SIGNATURE_BYTES]>) -> Result<(), NotWarranted> {
    for (voter, signature) in votes {
        if !body.electors.contains(voter) && !body.voters.contains(voter) {
            return Err(NotWarranted::NoVoter(*voter));
        }
        if !body.is_voted_by(voter, signature) {
            return Err(NotWarranted::BadVote(*voter));
        }
    }
    for counted in [&body.electors, &body.voters] {
        let (votes, of) = (counted.iter().filter(|voter| votes.contains_key(voter)).count(), counted.len());
        if votes < majority(of) {
            return Err(NotWarranted::NoMajority { votes, of });
        }
    }
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct VotesWire(u64, ByteBuf, u64, Vec<(AuthorId, ByteArray<SIGNATURE_BYTES>)>);

#[derive(Serialize, Deserialize)]
struct OperatorsWire(u64, ByteBuf, u64, Vec<String>);
