//! What a node voted or stood for, and the step between deciding it and saying so: it is stored first (V1).

use lattice::codec::DecodeError;
use lattice::seat::Body;

use crate::seat::named::NamedBody;

const STOOD: u8 = 0;
const VOTED: u8 = 1;

/// Whether a body was only stood for, or voted for as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// This node is a candidate. It does nothing for a lower term, and has not voted.
    Stood,
    /// This node signed.
    Voted,
}

/// The highest body that a node voted or stood for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ballot {
    /// Which of both.
    pub act: Act,
    /// For what.
    pub body: NamedBody,
}

impl Ballot {
    /// What the disk remembers: one byte for the act, then the body.
    pub fn stored_form(&self) -> Vec<u8> {
        let act = match self.act {
            Act::Stood => STOOD,
            Act::Voted => VOTED,
        };
        let mut bytes = vec![act];
        bytes.extend(self.body.encode());
        bytes
    }

    /// Reads what the disk remembers.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]: the disk is damaged. Such a node must not vote: it may have voted for anything.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (act, body) = match bytes.split_first() {
            Some((&STOOD, body)) => (Act::Stood, body),
            Some((&VOTED, body)) => (Act::Voted, body),
            Some(_) | None => return Err(DecodeError::Invalid("a ballot begins with 0 or 1")),
        };
        Ok(Self { act, body: Body::decode(body)?.into() })
    }
}

/// A ballot that is not known to be durable. Store [`Pending::stored_form`]; only when that is on disk call
/// [`Pending::persisted`], which is the only way to what may be signed and sent. Dropped, it is as if never answered.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a ballot is worth nothing before it is stored"]
pub struct Pending(Ballot);

impl Pending {
    pub(super) fn of(ballot: Ballot) -> Self {
        Self(ballot)
    }

    /// The bytes to store in place of any earlier ballot.
    pub fn stored_form(&self) -> Vec<u8> {
        self.0.stored_form()
    }

    /// To be called once the bytes are durable.
    pub fn persisted(self) -> Persisted {
        Persisted(self.0)
    }
}

/// A ballot that is on disk: a vote may now be signed, or others asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persisted(Ballot);

impl Persisted {
    /// The body to sign; `None` if this node only stood for it.
    pub fn vote(&self) -> Option<&NamedBody> {
        (self.0.act == Act::Voted).then_some(&self.0.body)
    }

    /// The body that was voted or stood for.
    pub fn body(&self) -> &NamedBody {
        &self.0.body
    }
}
