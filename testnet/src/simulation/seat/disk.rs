//! What is durable at one node. Each change here is one transaction; a crash leaves it done or not begun.

use std::collections::BTreeMap;
use std::rc::Rc;

use lattice::merkle::Digest;
use lattice::seat::{Body, Certificate, Seats};
use node_core::seat::candidacy::Position;
use node_core::seat::named::NamedBody;

use super::message::{Commit, OpId, Place, Record, mix};

/// A disk.
#[derive(Debug, Default, Clone)]
pub(super) struct Disk {
    pub(super) ballot: Option<Vec<u8>>,
    pub(super) certificates: Vec<Rc<Certificate>>,
    pub(super) seats: Seats,
    pub(super) staged: BTreeMap<Place, (Rc<Commit>, Option<OpId>)>,
    pub(super) applied: BTreeMap<Place, Rc<Commit>>,
    pub(super) registers: BTreeMap<u8, (Place, u64)>,
    /// Clients' names of what is applied, as far as they came along.
    pub(super) names: BTreeMap<OpId, Place>,
    pub(super) quarantine: BTreeMap<Place, Rc<Commit>>,
    pub(super) log: Vec<Record>,
    pub(super) root: u64,
    /// By term, up to where its chain is applied without a gap.
    tips: BTreeMap<u64, u64>,
}

impl Disk {
    /// The highest settlement known here.
    pub(super) fn body(&self) -> Option<NamedBody> {
        self.seats.current().map(|term| NamedBody::from(term.certificate.body.clone()))
    }

    pub(super) fn current(&self) -> Option<&Body> {
        self.seats.current().map(|term| &term.certificate.body)
    }

    /// Whether a term is known here that does not count, since one before it is not known.
    pub(super) fn lacks_terms(&self) -> bool {
        let term = self.current().map_or(0, |body| body.term);
        self.certificates.iter().any(|certificate| certificate.body.term > term)
    }

    /// The certificate of that settlement.
    pub(super) fn carrier(&self) -> Option<Rc<Certificate>> {
        let hash = self.seats.current()?.hash;
        self.certificates.iter().find(|known| known.body.hash() == hash).cloned()
    }

    /// Takes certificates up; gives those that were news.
    pub(super) fn certify(&mut self, certificates: &[Rc<Certificate>]) -> Vec<Rc<Certificate>> {
        let is_news = |certificate: &&Rc<Certificate>| !self.seats.knows(&certificate.body.hash());
        let news: Vec<_> = certificates.iter().filter(is_news).cloned().collect();
        if !news.is_empty() {
            self.seats.join(news.iter().map(|certificate| (**certificate).clone()));
            self.certificates.extend(news.iter().cloned());
        }
        news
    }

    /// Applies a commit unless it is there.
    pub(super) fn apply(&mut self, commit: &Rc<Commit>, name: Option<OpId>) -> bool {
        let staged = self.staged.remove(&commit.place);
        if let Some(name) = name.or(staged.and_then(|(_, name)| name)) {
            self.names.insert(name, commit.place);
        }
        if self.applied.contains_key(&commit.place) {
            return false;
        }
        self.applied.insert(commit.place, commit.clone());
        self.root = self.root.wrapping_add(mix(mix(commit.place.0, commit.place.1), commit.value));
        let register = self.registers.entry(commit.key).or_insert((commit.place, commit.value));
        *register = (*register).max((commit.place, commit.value));
        let tip = self.tips.entry(commit.place.0).or_default();
        while self.applied.contains_key(&(commit.place.0, *tip + 1)) {
            *tip += 1;
        }
        true
    }

    /// Up to where a term's chain is applied.
    pub(super) fn tip(&self, term: u64) -> u64 {
        self.tips.get(&term).copied().unwrap_or(0)
    }

    /// The last commit that is staged or applied.
    pub(super) fn last(&self) -> Place {
        let staged = self.staged.keys().next_back().copied().unwrap_or_default();
        let tips = self.seats.holders().map(|(_, term)| (term, self.tip(term))).filter(|(_, seq)| *seq > 0);
        tips.max().unwrap_or_default().max(staged)
    }

    /// What stands at a key once all that is staged is applied, and whether it is applied.
    pub(super) fn standing(&self, key: u8) -> (Option<u64>, bool) {
        let staged = self.staged.values().rev().find(|(commit, _)| commit.key == key);
        match staged {
            Some((commit, _)) => (Some(commit.value), false),
            None => (self.registers.get(&key).map(|(_, value)| *value), true),
        }
    }

    pub(super) fn append(&mut self, commits: Vec<Rc<Commit>>) {
        let (after, before) = (self.root, self.log_root(self.log.len()).unwrap_or(0));
        let named = commits.iter().fold(after, |sum, commit| mix(sum, mix(commit.place.0, commit.place.1)));
        self.log.push(Record { commits, after, log_root: mix(before, named) });
    }

    /// The log's root at a size; `None` beyond its end.
    pub(super) fn log_root(&self, size: usize) -> Option<u64> {
        match size.checked_sub(1) {
            None => Some(0),
            Some(last) => self.log.get(last).map(|record| record.log_root),
        }
    }

    /// Cuts the log to a size; all of it if it has another root there.
    pub(super) fn cut_log(&mut self, size: usize, root: u64) {
        let is_same = self.log.len() < size || self.log_root(size) == Some(root);
        self.log.truncate(if is_same { size } else { 0 });
    }

    /// Whether the state is the one that the last record left.
    pub(super) fn is_twin_of_log(&self) -> bool {
        self.log.last().is_some_and(|record| record.after == self.root)
    }

    /// What is staged of older terms and beyond their cuts.
    pub(super) fn beyond_cut(&self, authors: &[lattice::ids::AuthorId], term: u64) -> Vec<Place> {
        let is_beyond = |commit: &Commit| {
            let last = self.seats.last_seq(&authors[commit.by], commit.place.0);
            commit.place.0 < term && last.is_none_or(|last| commit.place.1 > last)
        };
        self.staged.iter().filter(|(_, (commit, _))| is_beyond(commit)).map(|(place, _)| *place).collect()
    }

    /// Whether everything is here up to the cut with which a term began.
    pub(super) fn holds_cut_of(&self, body: &Body) -> bool {
        let before = self.seats.terms().find(|term| Some(term.hash) == body.follows);
        let Some(before) = before.map(|before| before.certificate.body.term) else { return true };
        let staged = self.last();
        body.cut <= self.tip(before) || (staged.0 == before && body.cut <= staged.1)
    }

    /// Whether everything is here that the line counts of terms before this one.
    fn holds_line_before(&self, term: u64) -> bool {
        let mut line = self.seats.terms().map(|term| &term.certificate.body).take_while(|body| body.term <= term);
        let Some(mut before) = line.next() else { return true };
        line.all(|next| {
            let of_term = std::mem::replace(&mut before, next).term;
            (self.tip(of_term) + 1..=next.cut).all(|seq| self.staged.contains_key(&(of_term, seq)))
        })
    }

    /// Where this node stands in a term.
    pub(super) fn position(&self, term: u64) -> Option<Position> {
        let body = &self.seats.term(term)?.certificate.body;
        let (of_term, seq) = self.last();
        Some(Position {
            term,
            staged_seq: if of_term == term { seq } else { 0 },
            holds_opening_cut: self.holds_cut_of(body) && self.holds_line_before(term),
            log_size: self.log.len() as u64,
            log_root: digest(self.log_root(self.log.len()).unwrap_or(0)),
        })
    }
}

/// A number as the digest that a certificate names, and back.
pub(super) fn digest(root: u64) -> Digest {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&root.to_le_bytes());
    digest
}

pub(super) fn root_of(digest: &Digest) -> u64 {
    digest.iter().take(8).rev().fold(0, |root, byte| (root << 8) | u64::from(*byte))
}
