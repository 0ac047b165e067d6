//! What operators sign when they settle a term over the voters' heads, as a signed note (C2SP signed-note).
//!
//! The operators are the admins of the genesis, and more than half of them must sign. Each signs with the key that its
//! node cosigns checkpoints with (C2SP tlog-cosignature), so the same tools and the same policy grammar check it. The
//! first line can't be the name of any log: a checkpoint never reads like an approval.

use std::collections::BTreeSet;

use data_encoding::BASE64;

use super::Body;
use crate::base64;
use crate::codec::DecodeError;
use crate::genesis::{Genesis, Member};
use crate::ids::AuthorId;
use crate::keys::NodeKeys;
use crate::log::checkpoint::origin;
use crate::log::note::{KeyKind, Note, SignatureLine, VerifierKey};

const FIRST_LINE: &str = "lattice/seat-approval/v1";

/// The text that operators sign: a function of the body, so that nobody signs words that say something else.
pub fn approval_text(body: &Body) -> String {
    let shadow = body.shadow.map_or_else(|| "none".to_owned(), |shadow| shadow.to_string());
    format!(
        "{FIRST_LINE}\nlattice {}\nseat {}\nterm {}\nholder {}\nshadow {shadow}\ncut {}\nbody {}\n",
        body.lattice,
        body.seat,
        body.term,
        body.holder,
        body.cut,
        BASE64.encode(&body.encode())
    )
}

/// Signature lines of operators under the text of one body; at first none, which settles nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approvals(pub(super) Vec<SignatureLine>);

impl Approvals {
    /// One operator's approval, at this time in seconds since 1970.
    pub fn by(body: &Body, keys: &NodeKeys, time_s: u64) -> Self {
        let name = origin(&body.lattice, &keys.author.id(), 1);
        Self(vec![SignatureLine::of_cosigner(&approval_text(body), time_s, &name, &keys.log)])
    }

    /// The body that a note is about: its last line has it whole. The words above it are checked by
    /// [`Approvals::from_note`].
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn body_of(note: &Note) -> Result<Body, DecodeError> {
        let last = note.text().trim_end().rsplit('\n').next().and_then(|line| line.strip_prefix("body "));
        let bytes = last.and_then(base64::decode).ok_or(DecodeError::Invalid("a note without the body of a term"))?;
        Body::decode(&bytes)
    }

    /// The lines of a note, if its text is that of this body.
    pub fn from_note(body: &Body, note: &Note) -> Option<Self> {
        (note.text() == approval_text(body)).then(|| Self(note.signatures().to_vec()))
    }

    /// The note that an operator saves and sends around.
    ///
    /// # Errors
    ///
    /// [`crate::log::note::BadNote`] without any line.
    pub fn to_note(&self, body: &Body) -> Result<Note, crate::log::note::BadNote> {
        Note::new(approval_text(body), self.0.clone())
    }

    /// These lines and those of `other`, each once, in the order of their text.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let lines: BTreeSet<_> = self.0.iter().chain(&other.0).map(ToString::to_string).collect();
        Self(lines.iter().filter_map(|line| SignatureLine::parse(line)).collect())
    }

    /// The admins of the genesis whose signatures hold. A line by an admin's key that does not hold
    /// takes that admin's word, no other's.
    pub fn by_admins(&self, genesis: &Genesis, body: &Body) -> BTreeSet<AuthorId> {
        let Ok(note) = self.to_note(body) else { return BTreeSet::new() };
        let admins = genesis.members.iter().filter(|member| genesis.admins.contains(&member.author));
        let signed = |member: &&Member| {
            let key = operator_key(body, member)?;
            note.signed_by(&key).ok()?.map(|_| member.author)
        };
        admins.filter_map(|member| signed(&member)).collect()
    }
}

/// The key that an operator's approvals are checked with.
fn operator_key(body: &Body, operator: &Member) -> Option<VerifierKey> {
    let name = origin(&body.lattice, &operator.author, 1);
    VerifierKey::new(name, KeyKind::Cosigner, operator.log_key.0).ok()
}
