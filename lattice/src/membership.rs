//! Whose commits count, and up to where: a function of the genesis and the set of membership changes and certificates.
//!
//! Changes are operations under `@member/`, certificates of a seat's terms ([`crate::seat`]) under `@seat/`. Each stands at a key that is the hash of its value, so it is written
//! once and never overwritten; its effect does not depend on when it arrived. What takes a right away states a
//! *cut*, the author's last sequence number that counts. The lowest cut wins and a cut author never returns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::address::{self, URL_PREFIX};
use crate::codec::{self, DecodeError};
use crate::commit::{Header, VerifiedCommit};
use crate::fault::Fault;
use crate::genesis::{Genesis, Member, MemberWire};
use crate::ids::{AuthorId, LatticeId, sha256};
use crate::keys::{AuthorKey, SIGNATURE_BYTES, is_signed_by};
use crate::limits::{FOUNDERS_MAX, MEMBERSHIP_CHANGE_BYTES_MAX};
use crate::op::{BadOp, Op};
use crate::seat::{CERTIFY, Certificate, NotWarranted, SEAT_PREFIX, Seats};

/// Prefix of keys that hold membership changes.
pub const MEMBER_PREFIX: &str = "@member/";

/// Prefix of all keys that the lattice itself gives a meaning to.
pub const RESERVED_PREFIX: &str = "@";

const FALL_DOMAIN: &[u8] = b"lattice/admin-fall/v1\0";

/// One change of membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A node may write from now on. Signed by an admin.
    Add(Member),
    /// An author's commits of term 0 after `last_seq` do not count. Signed by an admin.
    Revoke {
        /// The author cut; not an admin.
        author: AuthorId,
        /// Its last sequence number that counts; 0 for none.
        last_seq: u64,
    },
    /// An admin is cut, as author and as admin, by more than half of the genesis's admins. Any member carries it.
    Fall {
        /// The admin.
        admin: AuthorId,
        /// Its last sequence number that counts.
        last_seq: u64,
        /// Who signed so, over [`Change::fall_message`].
        approvals: BTreeMap<AuthorId, [u8; SIGNATURE_BYTES]>,
    },
    /// A term of the seat is settled. Any member carries it.
    Certify(Box<Certificate>),
}

impl Change {
    /// Canonical bytes: `[0, member]`, `[1, author, last seq]`, `[2, admin, last seq, [[admin, signature], …]]` or
    /// [`Certificate::encode`].
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Add(member) => codec::encode(&(ADD, MemberWire::from(member))),
            Self::Revoke { author, last_seq } => codec::encode(&(REVOKE, *author, *last_seq)),
            Self::Fall { admin, last_seq, approvals } => {
                let approvals = approvals.iter().map(|(by, sig)| (*by, ByteArray::new(*sig))).collect();
                codec::encode(&FallWire(FALL, *admin, *last_seq, approvals))
            }
            Self::Certify(certificate) => certificate.encode(),
        }
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        // The kind is the first item of the list: a head byte, then one byte.
        match bytes.get(1).copied().map(u64::from) {
            Some(ADD) => {
                let (_, wire): (u64, MemberWire<'_>) = codec::decode(bytes, MEMBERSHIP_CHANGE_BYTES_MAX)?;
                Ok(Self::Add(Member::try_from(&wire)?))
            }
            Some(REVOKE) => {
                let (_, author, last_seq): (u64, AuthorId, u64) = codec::decode(bytes, MEMBERSHIP_CHANGE_BYTES_MAX)?;
                expect_seq(last_seq)?;
                Ok(Self::Revoke { author, last_seq })
            }
            Some(FALL) => {
                let wire: FallWire = codec::decode(bytes, MEMBERSHIP_CHANGE_BYTES_MAX)?;
                expect_seq(wire.2)?;
                if wire.3.len() > FOUNDERS_MAX || !wire.3.windows(2).all(|pair| pair[0].0 < pair[1].0) {
                    return Err(DecodeError::Invalid("approvals must be sorted by admin, each once, at most 256"));
                }
                let approvals = wire.3.iter().map(|(by, sig)| (*by, sig.into_array())).collect();
                Ok(Self::Fall { admin: wire.1, last_seq: wire.2, approvals })
            }
            Some(CERTIFY) => Certificate::decode(bytes).map(|certificate| Self::Certify(Box::new(certificate))),
            _ => Err(DecodeError::Invalid(
                "a membership change is an addition (0), a revocation (1), a fall (2) or a certificate (3)",
            )),
        }
    }

    /// The operation that writes this change: its key is `@member/` and the SHA-256 of its value in hex; of a certificate
    /// see [`Certificate::to_op`].
    ///
    /// # Errors
    ///
    /// [`BadOp::LongValue`] never happens for a change within its own bound.
    pub fn to_op(&self) -> Result<Op, BadOp> {
        let value = self.encode();
        Op::put(&self.key_of(&value), &value)
    }

    /// The key at which this change, encoded, stands.
    fn key_of(&self, value: &[u8]) -> String {
        match self {
            Self::Add(_) | Self::Revoke { .. } | Self::Fall { .. } => {
                format!("{MEMBER_PREFIX}{}", crate::ids::ValueHash(sha256(&[value])))
            }
            Self::Certify(certificate) => certificate.key_of(value),
        }
    }

    /// Whether the change holds whoever carries it, so that no cut of its carrier removes it: falls and certificates do.
    pub fn proves_itself(&self) -> bool {
        match self {
            Self::Fall { .. } | Self::Certify(_) => true,
            Self::Add(_) | Self::Revoke { .. } => false,
        }
    }

    /// What an admin signs to bring another down: `lattice id ‖ admin ‖ last seq (8 bytes, big-endian)`.
    pub fn fall_message(lattice: LatticeId, admin: AuthorId, last_seq: u64) -> Vec<u8> {
        [lattice.as_bytes(), admin.as_bytes(), last_seq.to_be_bytes().as_slice()].concat()
    }

    /// An admin's approval of another's fall.
    pub fn approve_fall(by: &AuthorKey, lattice: LatticeId, admin: AuthorId, last_seq: u64) -> [u8; SIGNATURE_BYTES] {
        by.sign(FALL_DOMAIN, &Self::fall_message(lattice, admin, last_seq))
    }
}

const ADD: u64 = 0;
const REVOKE: u64 = 1;
const FALL: u64 = 2;

#[derive(Serialize, Deserialize)]
struct FallWire(u64, AuthorId, u64, Vec<(AuthorId, ByteArray<SIGNATURE_BYTES>)>);

/// A cut is a number that a header can have, or 0.
fn expect_seq(last_seq: u64) -> Result<(), DecodeError> {
    if last_seq > i64::MAX as u64 {
        return Err(DecodeError::Invalid("a cut must be below 2^63"));
    }
    Ok(())
}

/// Whether what stands at this key decides whose commits count.
pub fn is_change_key(key: &str) -> bool {
    key.starts_with(MEMBER_PREFIX) || key.starts_with(SEAT_PREFIX)
}

/// Why a verified commit may not enter the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// No membership change for this author has arrived (yet).
    #[error("author {} is not a member of this lattice, as far as this node knows", author.short())]
    UnknownAuthor {
        /// The author.
        author: AuthorId,
    },
    /// The author was cut before this commit, or does not hold the seat in its term.
    #[error("{} was cut after its commit {last_seq} of term {term}; commit {seq} does not count", author.short())]
    BeyondCut {
        /// The author.
        author: AuthorId,
        /// The term.
        term: u64,
        /// Its last commit of that term that counts.
        last_seq: u64,
        /// The commit's number.
        seq: u64,
    },
    /// A key whose meaning belongs to the lattice, and no feature here owns it.
    #[error("keys under {prefix:?} are reserved; no feature of this version writes them")]
    Reserved {
        /// The prefix.
        prefix: String,
    },
    /// A commit of a term of which no certificate has arrived (yet).
    #[error("no certificate of term {term} is known to this node (yet)")]
    UnknownTerm {
        /// The term.
        term: u64,
    },
    /// A commit of a term that writes another key than the seat's.
    #[error("a commit of term {term} writes nothing but the seat's keys, not {key:?}")]
    OutsideSeat {
        /// The term.
        term: u64,
        /// The key.
        key: String,
    },
    /// A certificate that is worth nothing.
    #[error("not a valid certificate: {0}")]
    BadCertificate(#[from] NotWarranted),
    /// Membership changes and other operations in one commit.
    #[error("a commit that changes the membership must do nothing else")]
    MixedChange,
    /// Not a well-formed change at its own key, or not by someone who may make it.
    #[error("not a valid membership change: {0}")]
    BadChange(&'static str),
    /// An entry under `@url/` that is not its author's own, or no URL.
    #[error("not a valid published URL: {0}")]
    BadUrl(&'static str),
}

impl NotAdmitted {
    /// Honest nodes may know different members for a while; all else an honest sender would not send.
    pub fn fault(&self) -> Fault {
        match self {
            // Operators may have settled a term anew: nodes that have not heard of it forward what does not count any more.
            Self::UnknownAuthor { .. } | Self::BeyondCut { .. } | Self::UnknownTerm { .. } | Self::Reserved { .. } => {
                Fault::Nobody
            }
            Self::MixedChange
            | Self::BadChange(_)
            | Self::BadUrl(_)
            | Self::OutsideSeat { .. }
            | Self::BadCertificate(_) => Fault::Sender,
        }
    }
}

/// Who may write, computed from the set of changes alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    members: BTreeMap<AuthorId, Member>,
    cuts: BTreeMap<AuthorId, u64>,
    seats: Seats,
}

impl Membership {
    /// The membership that `changes` give, in whatever order and however often.
    pub fn of(genesis: &Genesis, changes: impl IntoIterator<Item = Change>) -> Self {
        let members = genesis.members.iter().map(|member| (member.author, member.clone())).collect();
        let mut membership = Self { members, cuts: BTreeMap::new(), seats: Seats::default() };
        let mut certificates = Vec::new();
        for change in changes {
            match change {
                Change::Certify(certificate) => certificates.push(*certificate),
                Change::Add(_) | Change::Revoke { .. } | Change::Fall { .. } => membership.join(change),
            }
        }
        // All at once: each joining settles all terms.
        membership.seats.join(certificates);
        membership
    }

    /// Adds one change. The result is the same in any order.
    pub fn join(&mut self, change: Change) {
        match change {
            Change::Certify(certificate) => self.seats.join([*certificate]),
            Change::Add(member) => {
                // Two additions of one author that differ: the smaller encoding stands, on every node.
                let standing = self.members.entry(member.author).or_insert_with(|| member.clone());
                if Change::Add(member.clone()).encode() < Change::Add(standing.clone()).encode() {
                    *standing = member;
                }
            }
            Change::Revoke { author, last_seq } | Change::Fall { admin: author, last_seq, .. } => {
                let cut = self.cuts.entry(author).or_insert(last_seq);
                *cut = (*cut).min(last_seq);
            }
        }
    }

    /// The members, cut ones included, by author.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The member with this key.
    pub fn member(&self, author: &AuthorId) -> Option<&Member> {
        self.members.get(author)
    }

    /// Who holds the seat when.
    pub fn seats(&self) -> &Seats {
        &self.seats
    }

    /// Whether any author has been cut, or any term has ended.
    pub fn has_cuts(&self) -> bool {
        !self.cuts.is_empty() || self.seats.terms().nth(1).is_some()
    }

    /// The author's last sequence number of term 0 that counts: `None` for a stranger, `u64::MAX` without a cut.
    pub fn last_seq(&self, author: &AuthorId) -> Option<u64> {
        self.members.get(author).map(|_| self.cuts.get(author).copied().unwrap_or(u64::MAX))
    }

    /// The author's last sequence number of a term that counts: `None` for a stranger, or a term not known.
    pub fn last_seq_in(&self, author: &AuthorId, term: u64) -> Option<u64> {
        if term == 0 { self.last_seq(author) } else { self.seats.last_seq(author, term) }
    }

    /// Whether `change` is why [`Membership::last_seq_in`] of an author is as low as it is.
    pub fn is_cut_by(&self, change: &Change, author: &AuthorId, term: u64) -> bool {
        match change {
            Change::Revoke { author: cut, last_seq } | Change::Fall { admin: cut, last_seq, .. } => {
                term == 0 && cut == author && self.last_seq(author) == Some(*last_seq)
            }
            Change::Certify(certificate) => term > 0 && self.seats.is_cut_by(&certificate.body, author, term),
            Change::Add(_) => false,
        }
    }

    /// Chains of `authors`, and of all terms, of which less counts than by the membership `before`: who, in which term, and
    /// the last number that counts now.
    pub fn lowered_since<'a>(
        &self,
        before: &Self,
        authors: impl IntoIterator<Item = &'a AuthorId>,
    ) -> Vec<(AuthorId, u64, u64)> {
        let chains = authors.into_iter().map(|author| (*author, 0)).chain(before.seats.holders());
        let last = |membership: &Self, author: &AuthorId, term| membership.last_seq_in(author, term).unwrap_or(0);
        let now = chains.map(|(author, term)| (author, term, last(self, &author, term)));
        now.filter(|(author, term, now)| *now < last(before, author, *term)).collect()
    }

    /// Whether this author is a member that no cut has touched.
    pub fn is_active(&self, author: &AuthorId) -> bool {
        self.last_seq(author) == Some(u64::MAX)
    }

    /// Whether a commit with this header counts.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`] for a stranger, a commit beyond a cut, or of a term that its author does not hold.
    pub fn admit_header(&self, header: &Header) -> Result<(), NotAdmitted> {
        let Header { author, term, seq, .. } = *header;
        match self.last_seq_in(&author, term) {
            None if term == 0 => Err(NotAdmitted::UnknownAuthor { author }),
            None => Err(NotAdmitted::UnknownTerm { term }),
            Some(last_seq) if seq > last_seq => Err(NotAdmitted::BeyondCut { author, term, last_seq, seq }),
            Some(_) => Ok(()),
        }
    }

    /// Whether a verified commit may enter the state.
    ///
    /// A cut of the author does not stop a commit that brings nothing but what proves itself: a fall is proven by the
    /// admins who signed it, and if two admins brought each other down, each node would else keep the one that came first.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`] says why not, and who is at fault.
    pub fn admit(&self, genesis: &Genesis, lattice: LatticeId, commit: &VerifiedCommit) -> Result<(), NotAdmitted> {
        match self.admit_header(commit.header()) {
            Err(NotAdmitted::BeyondCut { .. }) if proves_itself(commit) => {}
            judged => judged?,
        }
        if commit.header().term > 0 {
            return admit_seat_ops(genesis, commit);
        }
        let mut changes = 0;
        let mut others = 0;
        for (_, op) in commit.live_ops() {
            let key = op.key().as_str();
            if is_change_key(key) {
                check_change(genesis, lattice, &commit.header().author, op)?;
                changes += 1;
            } else if key.starts_with(URL_PREFIX) {
                address::check(&commit.header().author, op).map_err(NotAdmitted::BadUrl)?;
                others += 1;
            } else if let Some(prefix) = reserved_prefix(genesis, key) {
                return Err(NotAdmitted::Reserved { prefix });
            } else {
                others += 1;
            }
        }
        if changes > 0 && others > 0 { Err(NotAdmitted::MixedChange) } else { Ok(()) }
    }
}

/// A commit of a term writes keys of the seat, nothing else.
fn admit_seat_ops(genesis: &Genesis, commit: &VerifiedCommit) -> Result<(), NotAdmitted> {
    let is_of_seat =
        |key: &str| genesis.seat().is_some_and(|seat| key.strip_prefix(seat).is_some_and(|rest| rest.starts_with('/')));
    match commit.live_ops().map(|(_, op)| op.key().as_str()).find(|key| !is_of_seat(key)) {
        Some(key) => Err(NotAdmitted::OutsideSeat { term: commit.header().term, key: key.to_owned() }),
        None => Ok(()),
    }
}

/// Whether every operation that is there proves itself; not yet whether they are valid.
fn proves_itself(commit: &VerifiedCommit) -> bool {
    let proves_itself = |op: &Op| {
        is_change_key(op.key().as_str())
            && op.value().is_some_and(|value| Change::decode(value).is_ok_and(|change| change.proves_itself()))
    };
    commit.live_ops().next().is_some() && commit.live_ops().all(|(_, op)| proves_itself(op))
}

/// The reserved prefix that `key` stands under, if an ordinary commit may not write it.
pub fn reserved_prefix(genesis: &Genesis, key: &str) -> Option<String> {
    let seat = genesis.seat_prefixes.iter().find(|prefix| key.starts_with(prefix.as_str()));
    seat.cloned().or_else(|| key.starts_with(RESERVED_PREFIX).then(|| RESERVED_PREFIX.to_owned()))
}

/// Reads a change out of an operation, checking its key and who made it.
fn check_change(genesis: &Genesis, lattice: LatticeId, author: &AuthorId, op: &Op) -> Result<(), NotAdmitted> {
    let value = op.value().ok_or(NotAdmitted::BadChange("a membership change is never deleted"))?;
    let change = Change::decode(value).map_err(|_| NotAdmitted::BadChange("its value does not decode"))?;
    if op.key().as_str() != change.key_of(value) {
        return Err(NotAdmitted::BadChange("its key is not the hash of its value"));
    }
    let is_admin = |author: &AuthorId| genesis.admins.contains(author);
    match change {
        Change::Certify(certificate) => Ok(certificate.verify(genesis, lattice)?),
        Change::Add(_) if !is_admin(author) => Err(NotAdmitted::BadChange("only an admin adds members")),
        Change::Add(_) => Ok(()),
        Change::Revoke { .. } if !is_admin(author) => Err(NotAdmitted::BadChange("only an admin cuts an author")),
        Change::Revoke { author: cut, .. } if is_admin(&cut) => {
            Err(NotAdmitted::BadChange("an admin is cut only by more than half of the admins"))
        }
        Change::Revoke { .. } => Ok(()),
        Change::Fall { admin, .. } if !is_admin(&admin) => Err(NotAdmitted::BadChange("it names no admin")),
        Change::Fall { admin, last_seq, approvals } => {
            let message = Change::fall_message(lattice, admin, last_seq);
            let valid =
                approvals.iter().filter(|(by, sig)| is_admin(by) && is_signed_by(by, FALL_DOMAIN, &message, sig));
            if valid.count() * 2 > genesis.admins.len() {
                Ok(())
            } else {
                Err(NotAdmitted::BadChange("not more than half of the admins signed it"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
