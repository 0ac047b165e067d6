//! What must hold of all nodes together, looked at after every step by somebody who sees everything.

use std::collections::BTreeMap;
use std::rc::Rc;

use lattice::ids::AuthorId;
use lattice::seat::{BodyHash, Certificate, Seats, Warrant};
use node_core::seat::timing::BootMs;

use super::message::{Commit, NodeIndex, Place};
use super::node::Part;
use super::world::Machine;
use crate::simulation::oracle::{Holds, Violation};

/// What was promised and signed so far.
pub(super) struct Oracle {
    authors: Rc<[AuthorId]>,
    /// All certificates that are on any disk.
    seats: Seats,
    /// What each node voted or stood for last, and in which term.
    bound: BTreeMap<NodeIndex, (u64, BodyHash)>,
    elected: BTreeMap<u64, BodyHash>,
    signed: BTreeMap<(NodeIndex, Place), Rc<Commit>>,
    promised: BTreeMap<Place, NodeIndex>,
    /// By node, the highest term that it saw certified.
    terms: Vec<u64>,
    /// Promises of what was on one disk alone.
    pub(super) thin: u64,
}

fn broken(what: String) -> Holds {
    Err(Violation(what))
}

impl Oracle {
    pub(super) fn new(authors: Rc<[AuthorId]>) -> Self {
        let terms = vec![0; authors.len()];
        Self {
            authors,
            seats: Seats::default(),
            bound: BTreeMap::new(),
            elected: BTreeMap::new(),
            signed: BTreeMap::new(),
            promised: BTreeMap::new(),
            terms,
            thin: 0,
        }
    }

    /// A certificate is on a disk: no term has two that were voted for, and none, of whomever, cuts what was applied or
    /// promised. Operators may settle a number that is voted for as well: theirs counts, and must cut nothing either.
    pub(super) fn sees_certified(&mut self, certificate: &Certificate, machines: &[Machine]) -> Holds {
        let (term, hash) = (certificate.body.term, certificate.body.hash());
        if self.seats.knows(&hash) {
            return Ok(());
        }
        if let Warrant::Votes(_) = certificate.warrant
            && *self.elected.entry(term).or_insert(hash) != hash
        {
            return broken(format!("term {term} has two bodies that were voted for"));
        }
        self.seats.join([certificate.clone()]);
        for (node, machine) in machines.iter().enumerate().filter(|(_, machine)| !machine.is_lost) {
            for commit in machine.disk().applied.values() {
                self.check_counts(commit.by, commit.place, &format!("applied at node {node}"))?;
            }
        }
        self.promised.iter().try_for_each(|(place, by)| self.check_counts(*by, *place, "acknowledged at `shadow`"))
    }

    /// A node votes or stands for one body in a term, and never in a lower one again, whatever happens to it in between.
    pub(super) fn sees_bound(&mut self, node: NodeIndex, term: u64, body: BodyHash) -> Holds {
        let (before, bound) = self.bound.insert(node, (term, body)).unwrap_or((term, body));
        if term < before {
            return broken(format!("node {node} is bound in term {term}, and was in term {before}"));
        }
        if term == before && body != bound {
            return broken(format!("node {node} is bound to two bodies in term {term}"));
        }
        Ok(())
    }

    fn check_counts(&self, by: NodeIndex, place: Place, what: &str) -> Holds {
        let last = self.seats.last_seq(&self.authors[by], place.0);
        if last.is_some_and(|last| place.1 <= last) {
            return Ok(());
        }
        let (term, seq) = place;
        broken(format!("commit {seq} of term {term} is {what}, and its term ends at {}", last.unwrap_or(0)))
    }

    pub(super) fn sees_staged(&mut self, commit: &Rc<Commit>) -> Holds {
        let first = self.signed.entry((commit.by, commit.place)).or_insert_with(|| commit.clone());
        if first == commit {
            return Ok(());
        }
        let (by, (term, seq)) = (commit.by, commit.place);
        broken(format!("node {by} signed two commits with number {seq} in term {term}"))
    }

    pub(super) fn sees_applied(&mut self, node: NodeIndex, commit: &Rc<Commit>) -> Holds {
        self.sees_staged(commit)?;
        self.check_counts(commit.by, commit.place, &format!("applied at node {node}"))
    }

    /// A client is told that its write will stay.
    pub(super) fn sees_promised(&mut self, place: Place, machines: &[Machine]) -> Holds {
        let Some(by) = self.signed.keys().find(|(_, signed)| *signed == place).map(|(by, _)| *by) else {
            return broken(format!("{place:?} was acknowledged and never signed"));
        };
        let has = |machine: &&Machine| {
            let disk = machine.disk();
            disk.staged.contains_key(&place) || disk.applied.contains_key(&place)
        };
        let has_shadow = self.seats.term(place.0).is_some_and(|term| term.certificate.body.shadow.is_some());
        if machines.iter().filter(has).count() < 2 && has_shadow && !self.promised.contains_key(&place) {
            self.thin += 1;
        }
        self.promised.insert(place, by);
        self.check_counts(by, place, "acknowledged at `shadow`")
    }

    /// After each step: one lease at most, and terms only grow.
    pub(super) fn check_step(&mut self, machines: &[Machine], now_ms: u64) -> Holds {
        let mut serving = None;
        for (index, machine) in machines.iter().enumerate() {
            let Some(node) = &machine.node else { continue };
            let boot = machine.boot(now_ms);
            if node.controller.serves_until().is_some_and(|until| boot < until)
                && let Some(other) = serving.replace(index)
            {
                return broken(format!("the leases of nodes {other} and {index} run at once"));
            }
            let term = node.certified.as_ref().map_or(0, |body| body.term);
            if term < std::mem::replace(&mut self.terms[index], term) {
                return broken(format!("node {index} went back to term {term}"));
            }
        }
        Ok(())
    }

    /// A mirror that follows has the first records of its holder.
    pub(super) fn check_twin(&self, index: NodeIndex, machines: &[Machine]) -> Holds {
        let Some((mirror, term)) = machines[index].node.as_ref().and_then(|node| Some((node, node.copies()?))) else {
            return Ok(());
        };
        let holders = machines.iter().filter_map(|machine| machine.node.as_ref());
        let size = mirror.disk.log.len();
        for holder in holders.filter(|node| node.part == Part::Holder(term)) {
            if holder.disk.log_root(size) != mirror.disk.log_root(size) {
                return broken(format!("the log of mirror {index} is no longer its holder's at {size} records"));
            }
        }
        Ok(())
    }

    /// Everything that was promised.
    pub(super) fn promised(&self) -> impl Iterator<Item = &Place> {
        self.promised.keys()
    }

    /// Whether the clock of a node is before this moment; for whoever asks what is served.
    pub(super) fn is_before(boot: BootMs, until: Option<BootMs>) -> bool {
        until.is_some_and(|until| boot < until)
    }
}
