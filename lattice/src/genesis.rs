//! The founding document: who is in from the start, and every limit that decides validity.
//!
//! Its canonical bytes are hashed into the [`LatticeId`]; each commit names that id, so commits of one lattice
//! mean nothing in another. It never changes: later membership is state, see [`crate::membership`].

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::codec::{self, DecodeError};
use crate::ids::{AuthorId, LatticeId, LogKey, sha256};
use crate::keys::NodeKeys;
use crate::limits::{FOUNDERS_MAX, GENESIS_BYTES_MAX, Limits, NAME_BYTES_MAX, SEAT_PREFIXES_MAX};

const VERSION: u64 = 1;

/// Seat prefix when a genesis names no other.
pub const DEFAULT_SEAT_PREFIX: &str = "green/";

/// What a member does beside writing. Members may always write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Cosigns the checkpoints of other nodes.
    Witness,
    /// May vote on a seat.
    Voter,
}

impl Role {
    /// The role's name in every encoding.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Witness => "witness",
            Self::Voter => "voter",
        }
    }

    /// Reads a role's name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Witness, Self::Voter].into_iter().find(|role| role.as_str() == name)
    }
}

/// One node that may write: its three public names and what people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What people call the node; not unique, not trusted.
    pub name: String,
    /// Whose signature its commits carry.
    pub author: AuthorId,
    /// Whose signature its checkpoints carry.
    pub log_key: LogKey,
    /// Its libp2p peer id, in bytes (a multihash of at most 64 bytes).
    pub peer_id: Vec<u8>,
    /// What it does beside writing.
    pub roles: BTreeSet<Role>,
}

/// The founding document of a lattice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// What people call the lattice.
    pub name: String,
    /// Authors that may change the membership, sorted.
    pub admins: BTreeSet<AuthorId>,
    /// Members from the start, sorted by author.
    pub members: Vec<Member>,
    /// Prefixes of keys that only a seat's holder writes, sorted, each ending in `/`.
    pub seat_prefixes: BTreeSet<String>,
    /// What decides validity.
    pub limits: Limits,
}

impl Genesis {
    /// The genesis of a lattice with one founder, who is its admin, a witness and a voter.
    pub fn founded_by(lattice_name: &str, node_name: &str, keys: &NodeKeys, peer_id: Vec<u8>) -> Self {
        let founder = Member {
            name: node_name.to_owned(),
            author: keys.author.id(),
            log_key: keys.log_key(),
            peer_id,
            roles: [Role::Witness, Role::Voter].into(),
        };
        Self {
            name: lattice_name.to_owned(),
            admins: [founder.author].into(),
            members: vec![founder],
            seat_prefixes: [DEFAULT_SEAT_PREFIX.to_owned()].into(),
            limits: Limits::DEFAULT,
        }
    }

    /// SHA-256 of the canonical bytes.
    pub fn id(&self) -> LatticeId {
        LatticeId(sha256(&[&self.encode()]))
    }

    /// Whether `key` stands under a prefix that only a seat's holder writes.
    pub fn is_seat_key(&self, key: &str) -> bool {
        self.seat_prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()))
    }

    /// The seat of this lattice: its first seat prefix without the slash. Terms number the commits of one seat, so there is
    /// one; further prefixes stay reserved.
    pub fn seat(&self) -> Option<&str> {
        self.seat_prefixes.first().and_then(|prefix| prefix.strip_suffix('/'))
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&GenesisWire(
            VERSION,
            &self.name,
            self.admins.iter().copied().collect(),
            self.members.iter().map(MemberWire::from).collect(),
            self.seat_prefixes.iter().map(String::as_str).collect(),
            LimitsWire::from(self.limits),
        ))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if they are not canonical, or name no admin, a member twice, or limits beyond the format.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: GenesisWire<'_> = codec::decode(bytes, GENESIS_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        let genesis = Self {
            name: wire.1.to_owned(),
            admins: wire.2.iter().copied().collect(),
            members: wire.3.iter().map(Member::try_from).collect::<Result<_, _>>()?,
            seat_prefixes: wire.4.iter().map(|prefix| (*prefix).to_owned()).collect(),
            limits: wire.5.into(),
        };
        genesis.check()?;
        if genesis.encode() != bytes {
            return Err(DecodeError::Invalid("the lists of a genesis must be sorted, without repeats"));
        }
        Ok(genesis)
    }

    /// Checks the rules that a hand-written genesis may break.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] names the first rule broken.
    pub fn check(&self) -> Result<(), DecodeError> {
        let rules = [
            (is_name(&self.name), "the lattice's name must be 1 to 64 bytes of text without control characters"),
            (!self.admins.is_empty(), "a genesis needs at least one admin"),
            (self.admins.len() <= FOUNDERS_MAX, "a genesis names at most 256 admins"),
            (self.members.len() <= FOUNDERS_MAX, "a genesis names at most 256 members"),
            (
                self.members.windows(2).all(|pair| pair[0].author < pair[1].author),
                "members must be sorted by author, each once",
            ),
            (self.seat_prefixes.len() <= SEAT_PREFIXES_MAX, "a genesis names at most 16 seat prefixes"),
            (
                self.seat_prefixes
                    .iter()
                    .all(|prefix| prefix.strip_suffix('/').is_some_and(is_seat_name) && !prefix.starts_with('@')),
                "a seat prefix is 2 to 64 bytes of text, ends in '/', does not start with '@' and is no author's name",
            ),
            (self.limits.are_within_format(), "a limit is zero or beyond what the format allows"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(DecodeError::Invalid(rule)),
            None => self.members.iter().try_for_each(Member::check),
        }
    }
}

/// Whether `text` can name a lattice or a node: short, visible, one line.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether `text` can name a seat: it stands in keys, in notes that operators sign, and in the name of the seat's log,
/// where 32 digits would be a node's.
pub fn is_seat_name(text: &str) -> bool {
    let is_digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (1..NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) && !is_digits
}

impl Member {
    /// Checks name and peer id.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Invalid`] names the rule broken.
    pub fn check(&self) -> Result<(), DecodeError> {
        if !is_name(&self.name) {
            return Err(DecodeError::Invalid(
                "a member's name must be 1 to 64 bytes of text without control characters",
            ));
        }
        if self.peer_id.is_empty() || self.peer_id.len() > 64 {
            return Err(DecodeError::Invalid("a member's peer id must be 1 to 64 bytes"));
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct GenesisWire<'a>(
    u64,
    &'a str,
    Vec<AuthorId>,
    #[serde(borrow)] Vec<MemberWire<'a>>,
    #[serde(borrow)] Vec<&'a str>,
    LimitsWire,
);

/// `[name, author, log key, peer id, [role…]]`
#[derive(Serialize, Deserialize)]
pub(crate) struct MemberWire<'a>(&'a str, AuthorId, LogKey, #[serde(borrow)] &'a Bytes, #[serde(borrow)] Vec<&'a str>);

impl<'a> From<&'a Member> for MemberWire<'a> {
    fn from(member: &'a Member) -> Self {
        let roles = member.roles.iter().map(|role| role.as_str()).collect();
        Self(&member.name, member.author, member.log_key, Bytes::new(&member.peer_id), roles)
    }
}

impl TryFrom<&MemberWire<'_>> for Member {
    type Error = DecodeError;

    fn try_from(wire: &MemberWire<'_>) -> Result<Self, DecodeError> {
        let roles: BTreeSet<Role> = wire
            .4
            .iter()
            .map(|name| Role::from_name(name).ok_or(DecodeError::Invalid("a member has an unknown role")))
            .collect::<Result<_, _>>()?;
        if roles.iter().map(|role| role.as_str()).ne(wire.4.iter().copied()) {
            return Err(DecodeError::Invalid("a member's roles must be sorted, each once"));
        }
        let member = Self { name: wire.0.to_owned(), author: wire.1, log_key: wire.2, peer_id: wire.3.to_vec(), roles };
        member.check()?;
        Ok(member)
    }
}

/// `[key bytes, value bytes, commit ops, commit bytes, max drift ms]`
#[derive(Serialize, Deserialize)]
struct LimitsWire(u64, u64, u64, u64, u64);

impl From<Limits> for LimitsWire {
    fn from(l: Limits) -> Self {
        Self(l.key_bytes, l.value_bytes, l.commit_ops, l.commit_bytes, l.max_drift_ms)
    }
}

impl From<LimitsWire> for Limits {
    fn from(w: LimitsWire) -> Self {
        Self { key_bytes: w.0, value_bytes: w.1, commit_ops: w.2, commit_bytes: w.3, max_drift_ms: w.4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genesis() -> Genesis {
        Genesis::founded_by("test", "one", &NodeKeys::from_seed([1; 32]), vec![1; 38])
    }

    #[test]
    fn bytes_round_trip_and_every_field_moves_the_id() {
        let base = genesis();
        assert_eq!(Genesis::decode(&base.encode()), Ok(base.clone()));
        let mut variants = vec![base.clone(); 5];
        variants[0].name = "other".into();
        variants[1].admins = [AuthorId([9; 32])].into();
        variants[2].members[0].roles.clear();
        variants[3].seat_prefixes.clear();
        variants[4].limits.max_drift_ms = 1;
        for variant in variants {
            assert_ne!(variant.id(), base.id(), "{variant:?}");
            assert_eq!(Genesis::decode(&variant.encode()), Ok(variant));
        }
    }

    #[test]
    fn rules_are_kept() {
        type Break = fn(&mut Genesis);
        let breaks: [(&str, Break); 6] = [
            ("no admin", |g| g.admins.clear()),
            ("member twice", |g| g.members.push(g.members[0].clone())),
            ("seat under @", |g| g.seat_prefixes = ["@x/".to_owned()].into()),
            ("limit beyond format", |g| g.limits.key_bytes = 513),
            ("name of two lines", |g| g.name = "a\nb".into()),
            ("empty peer id", |g| g.members[0].peer_id.clear()),
        ];
        for (what, breaks) in breaks {
            let mut bad = genesis();
            breaks(&mut bad);
            assert!(Genesis::decode(&bad.encode()).is_err(), "{what}");
        }
    }
}
