//! Who held the seat when: a function of the set of certificates.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Body, BodyHash, Certificate, Warrant};
use crate::ids::AuthorId;

/// One settled term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// What was settled, and by whom.
    pub certificate: Certificate,
    /// The name of its body.
    pub hash: BodyHash,
}

/// All settled terms of a lattice's seat.
///
/// The highest term and what it follows, one after the other, are the *line*: a term on it ends where the next one on it
/// says. A certificate may come to light late, when its last vote was delayed and later voters went on from the one before:
/// it is beside the line, and came to nothing. Were terms to end by the next number, it would cut what a later one showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seats {
    /// Verified certificates by body hash.
    known: BTreeMap<BodyHash, Certificate>,
    /// The line.
    terms: BTreeMap<u64, Term>,
    /// Terms of which a certificate is known that leads to a first one.
    rooted: BTreeSet<u64>,
}

impl Seats {
    /// Adds certificates that verified. The result is the same in any order.
    pub fn join(&mut self, certificates: impl IntoIterator<Item = Certificate>) {
        for certificate in certificates {
            let hash = certificate.body.hash();
            let is_kept = self.known.get(&hash).is_some_and(|known| preference(known) <= preference(&certificate));
            if !is_kept {
                self.known.insert(hash, certificate);
            }
        }
        self.settle();
    }

    /// Whether a certificate of this body is known, on the line or beside it.
    pub fn knows(&self, body: &BodyHash) -> bool {
        self.known.contains_key(body)
    }

    /// The terms of the line, from the first on.
    pub fn terms(&self) -> impl DoubleEndedIterator<Item = &Term> {
        self.terms.values()
    }

    /// The terms of the line from this one on.
    pub fn terms_from(&self, term: u64) -> impl Iterator<Item = &Term> {
        self.terms.range(term..).map(|(_, settled)| settled)
    }

    /// A term of the line.
    pub fn term(&self, term: u64) -> Option<&Term> {
        self.terms.get(&term)
    }

    /// The highest term settled.
    pub fn current(&self) -> Option<&Term> {
        self.terms.values().next_back()
    }

    /// The last number in this author's chain of this term that counts: `u64::MAX` while the term is the highest, 0 if
    /// another holds the seat in it or it is beside the line, `None` if no certificate of it is known.
    pub fn last_seq(&self, author: &AuthorId, term: u64) -> Option<u64> {
        let is_holder = |settled: &&Term| settled.certificate.body.holder == *author;
        match self.terms.get(&term).filter(is_holder) {
            Some(_) => Some(self.after(term).map_or(u64::MAX, |next| next.certificate.body.cut)),
            None => self.rooted.contains(&term).then_some(0),
        }
    }

    /// Whether this body is why [`Seats::last_seq`] of an author in a term is what it is: it settles that term for
    /// another, or the one that came next.
    pub fn is_cut_by(&self, body: &Body, author: &AuthorId, term: u64) -> bool {
        let is_other = |settled: &&Term| settled.certificate.body.holder != *author;
        let cause = self.terms.get(&term).filter(is_other).or_else(|| self.after(term));
        cause.is_some_and(|cause| cause.certificate.body == *body)
    }

    /// Holders of the line with their terms.
    pub fn holders(&self) -> impl Iterator<Item = (AuthorId, u64)> {
        self.terms.iter().map(|(term, settled)| (settled.certificate.body.holder, *term))
    }

    fn after(&self, term: u64) -> Option<&Term> {
        self.terms.range(term.saturating_add(1)..).next().map(|(_, next)| next)
    }

    /// Finds the line anew. Of two certificates for the highest term that lead to a first one the operators' counts before
    /// the voters', then the smaller name.
    fn settle(&mut self) {
        let mut rooted: BTreeMap<BodyHash, &Certificate> = BTreeMap::new();
        let mut by_term: Vec<_> = self.known.iter().collect();
        by_term.sort_unstable_by_key(|(hash, certificate)| (certificate.body.term, **hash));
        for (hash, certificate) in by_term {
            let body = &certificate.body;
            let goes_on_from =
                |before: &&Certificate| before.body.voters == body.electors && before.body.term < body.term;
            if body.follows.is_none_or(|follows| rooted.get(&follows).is_some_and(goes_on_from)) {
                rooted.insert(*hash, certificate);
            }
        }
        let rank = |hash: &BodyHash, certificate: &Certificate| {
            (Reverse(certificate.body.term), !is_by_operators(certificate), *hash)
        };
        let mut next = rooted.iter().min_by_key(|(hash, certificate)| rank(hash, certificate)).map(|(hash, _)| *hash);
        let mut terms = BTreeMap::new();
        while let Some((hash, certificate)) = next.and_then(|hash| rooted.get(&hash).map(|found| (hash, *found))) {
            next = certificate.body.follows;
            terms.insert(certificate.body.term, Term { certificate: certificate.clone(), hash });
        }
        self.rooted = rooted.values().map(|certificate| certificate.body.term).collect();
        self.terms = terms;
    }
}

/// Which of two certificates of one body is kept: they say the same, but all nodes shall keep the same one.
fn preference(certificate: &Certificate) -> (bool, Vec<u8>) {
    (!is_by_operators(certificate), certificate.encode())
}

fn is_by_operators(certificate: &Certificate) -> bool {
    matches!(certificate.warrant, Warrant::Operators(_))
}
