//! What a certificate says: who holds the seat in one term, and where the term before ended.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use super::certificate::CERTIFICATE_BYTES_MAX;
use crate::codec::{self, DecodeError};
use crate::genesis::is_seat_name;
use crate::ids::{AuthorId, LatticeId, sha256};
use crate::keys::{AuthorKey, SIGNATURE_BYTES, is_signed_by};
use crate::merkle::Digest;

const VERSION: u64 = 1;
const VOTE_DOMAIN: &[u8] = b"lattice/seat-vote/v1\0";

/// Fewest voters of a seat: of two, none could decide without the other.
pub const VOTERS_MIN: usize = 3;

/// Most voters of a seat (a guess: each renewal of a lease asks all of them).
pub const VOTERS_MAX: usize = 15;

/// Most spares of a seat (a guess: each copies everything that the holder does).
pub const SPARES_MAX: usize = 8;

/// Bytes of a reason: a line for people.
const REASON_BYTES_MAX: usize = 256;

/// SHA-256 of a body's canonical bytes: the name of a term's settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BodyHash(ByteArray<32>);

impl BodyHash {
    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Display for BodyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(self.as_bytes()))
    }
}

/// Who holds a seat in one term. A change of any field is another term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The lattice.
    pub lattice: LatticeId,
    /// The seat: a seat prefix of the genesis without the slash at its end.
    pub seat: String,
    /// 1 or more; grows with each certificate.
    pub term: u64,
    /// The one node that writes in this term.
    pub holder: AuthorId,
    /// The hot standby; without one, writes count as soon as the holder has them, and nobody takes over by itself.
    pub shadow: Option<AuthorId>,
    /// Further mirrors, in the order in which they become the shadow.
    pub spares: Vec<AuthorId>,
    /// Who grants leases in this term and votes for the next, sorted; 3 to 15.
    pub voters: Vec<AuthorId>,
    /// The voters of the certificate before, sorted; empty in the first.
    pub electors: Vec<AuthorId>,
    /// The certificate before; `None` in the first.
    pub follows: Option<BodyHash>,
    /// The last number in the chain of the holder before that counts.
    pub cut: u64,
    /// Records of the seat's log at which this term takes it over.
    pub log_size: u64,
    /// The seat's log root at that size.
    pub log_root: Digest,
    /// When it was drafted, in milliseconds since 1970; for people.
    pub time_ms: u64,
    /// Why the term changed, in one line; for people.
    pub reason: String,
}

/// A body breaks a rule. Whoever made it is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadBody(pub &'static str);

impl Body {
    /// Checks the rules that a body keeps whoever signed it.
    ///
    /// # Errors
    ///
    /// [`BadBody`] names the first rule broken.
    pub fn check(&self) -> Result<(), BadBody> {
        let is_sorted = |authors: &[AuthorId]| authors.windows(2).all(|pair| pair[0] < pair[1]);
        let mirrors: Vec<_> = self.shadow.iter().chain(&self.spares).collect();
        let is_first = self.follows.is_none();
        let reads_as_line = !self.reason.chars().any(char::is_control) && self.reason.len() <= REASON_BYTES_MAX;
        let rules = [
            ((1..=i64::MAX as u64).contains(&self.term), "a term is a number from 1 on"),
            (is_seat_name(&self.seat), "a seat is named by 1 to 63 bytes of text"),
            (mirrors.iter().collect::<BTreeSet<_>>().len() == mirrors.len(), "shadow and spares are different nodes"),
            (!mirrors.contains(&&self.holder), "the holder can't be its own shadow or spare"),
            (self.spares.len() <= SPARES_MAX, "a seat has at most 8 spares"),
            (self.shadow.is_some() || self.spares.is_empty(), "the first spare is the shadow: name it so"),
            ((VOTERS_MIN..=VOTERS_MAX).contains(&self.voters.len()), "a seat has 3 to 15 voters"),
            (is_sorted(&self.voters) && is_sorted(&self.electors), "voters are sorted, each once"),
            (self.electors.len() <= VOTERS_MAX, "a seat has at most 15 voters"),
            (is_first == self.electors.is_empty(), "each certificate but the first names the voters before it"),
            (!is_first || self.cut == 0, "the first term cuts nothing"),
            (self.cut <= i64::MAX as u64 && self.log_size <= i64::MAX as u64, "numbers are below 2^63"),
            (reads_as_line, "a reason is one line of at most 256 bytes"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(BadBody(rule)))
    }

    /// Canonical bytes: `[version, lattice, seat, term, holder, shadow | null, [spare…], [voter…], [elector…],
    /// follows | null, cut, log size, log root, time, reason]`.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&BodyWire(
            VERSION,
            self.lattice,
            self.seat.clone(),
            self.term,
            self.holder,
            self.shadow,
            self.spares.clone(),
            self.voters.clone(),
            self.electors.clone(),
            self.follows,
            self.cut,
            self.log_size,
            ByteArray::new(self.log_root),
            self.time_ms,
            self.reason.clone(),
        ))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], also for a rule of [`Body::check`] broken.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: BodyWire = codec::decode(bytes, CERTIFICATE_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        let body = Self {
            lattice: wire.1,
            seat: wire.2,
            term: wire.3,
            holder: wire.4,
            shadow: wire.5,
            spares: wire.6,
            voters: wire.7,
            electors: wire.8,
            follows: wire.9,
            cut: wire.10,
            log_size: wire.11,
            log_root: wire.12.into_array(),
            time_ms: wire.13,
            reason: wire.14,
        };
        body.check().map_err(|BadBody(rule)| DecodeError::Invalid(rule))?;
        Ok(body)
    }

    /// The body's name.
    pub fn hash(&self) -> BodyHash {
        BodyHash(ByteArray::new(sha256(&[&self.encode()])))
    }

    /// Whether this node is named as holder, shadow or spare.
    pub fn names(&self, node: &AuthorId) -> bool {
        self.holder == *node || self.mirrors().any(|mirror| mirror == node)
    }

    /// Shadow and spares: who copies the holder.
    pub fn mirrors(&self) -> impl Iterator<Item = &AuthorId> {
        self.shadow.iter().chain(&self.spares)
    }

    /// A voter's signature over `"lattice/seat-vote/v1\0" ‖ body`.
    pub fn vote(&self, by: &AuthorKey) -> [u8; SIGNATURE_BYTES] {
        by.sign(VOTE_DOMAIN, &self.encode())
    }

    /// Whether this voter signed the body.
    pub fn is_voted_by(&self, voter: &AuthorId, signature: &[u8; SIGNATURE_BYTES]) -> bool {
        is_signed_by(voter, VOTE_DOMAIN, &self.encode(), signature)
    }
}

#[derive(Serialize, Deserialize)]
struct BodyWire(
    u64,
    LatticeId,
    String,
    u64,
    AuthorId,
    Option<AuthorId>,
    Vec<AuthorId>,
    Vec<AuthorId>,
    Vec<AuthorId>,
    Option<BodyHash>,
    u64,
    u64,
    ByteArray<32>,
    u64,
    String,
);
