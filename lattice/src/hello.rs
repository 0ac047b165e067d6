//! The handshake: proof that the node behind a peer id is a member of this lattice, and how a new one enters.
//!
//! The transport proves the peer id; a member's author key signs lattice id and both peer ids, so the statement
//! holds for this pair of nodes only and can't be passed on.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, Bytes};

use crate::codec::{self, DecodeError, Extensions};
use crate::genesis::{Member, MemberWire};
use crate::ids::{AuthorId, LatticeId};
use crate::keys::{AuthorKey, SIGNATURE_BYTES, is_signed_by};
use crate::limits::HELLO_BYTES_MAX;

const VERSION: u64 = 1;
const HELLO_DOMAIN: &[u8] = b"lattice/hello/v1\0";
const JOIN_DOMAIN: &[u8] = b"lattice/join/v1\0";

/// Bytes of the secret inside an invitation.
pub const INVITATION_SECRET_BYTES: usize = 16;

/// "I am this author, at this peer id, and I mean you."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The lattice.
    pub lattice: LatticeId,
    /// Who speaks.
    pub author: AuthorId,
    signature: [u8; SIGNATURE_BYTES],
}

impl Hello {
    /// Signs a hello from the node with peer id `from` to the one with peer id `to`.
    pub fn sign(key: &AuthorKey, lattice: LatticeId, from: &[u8], to: &[u8]) -> Self {
        let signature = key.sign(HELLO_DOMAIN, &hello_message(lattice, from, to));
        Self { lattice, author: key.id(), signature }
    }

    /// Whether the author said this from `from` to `to`.
    pub fn is_from(&self, from: &[u8], to: &[u8]) -> bool {
        is_signed_by(&self.author, HELLO_DOMAIN, &hello_message(self.lattice, from, to), &self.signature)
    }

    /// Canonical bytes: `[version, lattice, author, signature, extensions]`.
    pub fn encode(&self) -> Vec<u8> {
        let signature = ByteArray::new(self.signature);
        codec::encode(&HelloWire(VERSION, self.lattice, self.author, signature, Extensions::new()))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: HelloWire<'_> = codec::decode(bytes, HELLO_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        codec::expect_small(&wire.4)?;
        Ok(Self { lattice: wire.1, author: wire.2, signature: wire.3.into_array() })
    }
}

/// Lengths first, so that no two pairs of peer ids give the same message.
fn hello_message(lattice: LatticeId, from: &[u8], to: &[u8]) -> Vec<u8> {
    codec::encode(&(lattice, Bytes::new(from), Bytes::new(to)))
}

#[derive(Serialize, Deserialize)]
struct HelloWire<'a>(u64, LatticeId, AuthorId, ByteArray<SIGNATURE_BYTES>, #[serde(borrow)] Extensions<'a>);

/// A stranger with an invitation asks to be added.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The lattice.
    pub lattice: LatticeId,
    /// The secret out of the invitation.
    pub secret: [u8; INVITATION_SECRET_BYTES],
    /// Who wants in.
    pub member: Member,
    signature: [u8; SIGNATURE_BYTES],
}

impl JoinRequest {
    /// Signs a request; the signature proves that the asker holds the author key.
    pub fn sign(key: &AuthorKey, lattice: LatticeId, secret: [u8; INVITATION_SECRET_BYTES], member: Member) -> Self {
        let signature = key.sign(JOIN_DOMAIN, &join_message(lattice, &secret, &member));
        Self { lattice, secret, member, signature }
    }

    /// Whether the asker holds the key of the author it names.
    pub fn is_signed(&self) -> bool {
        let message = join_message(self.lattice, &self.secret, &self.member);
        is_signed_by(&self.member.author, JOIN_DOMAIN, &message, &self.signature)
    }

    /// Canonical bytes: `[version, lattice, secret, member, signature, extensions]`.
    pub fn encode(&self) -> Vec<u8> {
        let member = MemberWire::from(&self.member);
        let (secret, signature) = (ByteArray::new(self.secret), ByteArray::new(self.signature));
        codec::encode(&JoinWire(VERSION, self.lattice, secret, member, signature, Extensions::new()))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wire: JoinWire<'_> = codec::decode(bytes, HELLO_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        codec::expect_small(&wire.5)?;
        Ok(Self {
            lattice: wire.1,
            secret: wire.2.into_array(),
            member: Member::try_from(&wire.3)?,
            signature: wire.4.into_array(),
        })
    }
}

fn join_message(lattice: LatticeId, secret: &[u8; INVITATION_SECRET_BYTES], member: &Member) -> Vec<u8> {
    codec::encode(&(lattice, Bytes::new(secret), MemberWire::from(member)))
}

#[derive(Serialize, Deserialize)]
struct JoinWire<'a>(
    u64,
    LatticeId,
    ByteArray<INVITATION_SECRET_BYTES>,
    #[serde(borrow)] MemberWire<'a>,
    ByteArray<SIGNATURE_BYTES>,
    #[serde(borrow)] Extensions<'a>,
);

/// The answer to a request to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinAnswer {
    /// The asker is a member; the commit that says so reaches it by reconcile.
    Welcome,
    /// It is not, and asking again with this ticket is of no use; the text tells a person why.
    Refused(String),
    /// It is not yet; the answering node can't do it now. The text tells a person why.
    NotNow(String),
}

impl JoinAnswer {
    /// Canonical bytes: `[version, 0 | 1 | 2, reason]`; a welcome's reason is empty.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, reason) = match self {
            Self::Welcome => (WELCOME, ""),
            Self::Refused(reason) => (REFUSED, reason.as_str()),
            Self::NotNow(reason) => (NOT_NOW, reason.as_str()),
        };
        codec::encode(&(VERSION, kind, reason))
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (version, kind, reason): (u64, u64, String) = codec::decode(bytes, HELLO_BYTES_MAX)?;
        codec::expect_version(version, VERSION)?;
        match kind {
            WELCOME if reason.is_empty() => Ok(Self::Welcome),
            REFUSED => Ok(Self::Refused(reason)),
            NOT_NOW => Ok(Self::NotNow(reason)),
            _ => Err(DecodeError::Invalid("the answer to a request to join is of unknown kind")),
        }
    }
}

const WELCOME: u64 = 0;
const REFUSED: u64 = 1;
const NOT_NOW: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NodeKeys;

    #[test]
    fn a_hello_holds_for_its_two_peers_and_its_direction() {
        let key = NodeKeys::from_seed([8; 32]).author;
        let hello = Hello::sign(&key, LatticeId([1; 32]), b"from", b"to");
        let hello = Hello::decode(&hello.encode()).expect("its own bytes");
        assert!(hello.is_from(b"from", b"to"));
        assert!(!hello.is_from(b"to", b"from"));
        assert!(!hello.is_from(b"fro", b"mto"));
    }

    #[test]
    fn a_request_to_join_proves_the_key_it_names() {
        let (keys, other) = (NodeKeys::from_seed([8; 32]), NodeKeys::from_seed([9; 32]));
        let member = Member {
            name: "new".into(),
            author: keys.author.id(),
            log_key: keys.log_key(),
            peer_id: vec![1; 38],
            roles: [].into(),
        };
        let request = JoinRequest::sign(&keys.author, LatticeId([1; 32]), [7; 16], member.clone());
        assert!(JoinRequest::decode(&request.encode()).is_ok_and(|request| request.is_signed()));
        assert!(!JoinRequest::sign(&other.author, LatticeId([1; 32]), [7; 16], member).is_signed());
        for answer in [JoinAnswer::Welcome, JoinAnswer::Refused("used".into()), JoinAnswer::NotNow("full".into())] {
            assert_eq!(JoinAnswer::decode(&answer.encode()), Ok(answer));
        }
    }
}
