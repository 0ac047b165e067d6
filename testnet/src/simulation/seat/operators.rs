//! Operators: they settle a term where the nodes have bound each other (V3), and name other mirrors for one that is gone.

use lattice::seat::{Approvals, Certificate, Warrant, majority};
use node_core::seat::candidacy::Position;
use node_core::seat::event::Order;
use node_core::seat::named::NamedBody;

use super::message::NodeIndex;
use super::node::Input;
use super::world::{Happening, World};
use crate::simulation::oracle::Holds;

/// Milliseconds between two looks.
const LOOK_MS: u64 = 2_500;

/// Milliseconds for which the seat is not served after the end of all faults until operators settle a term: longer than
/// a cool-down.
const HEALED_PATIENCE_MS: u64 = 60_000;

impl World {
    pub(super) fn operators_look(&mut self) -> Holds {
        self.schedule(LOOK_MS, Happening::Operators);
        if self.serving().is_some() {
            self.served_ms = self.now_ms;
        }
        let Some(body) = self.highest() else { return Ok(()) };
        // After the end of all faults the nodes have as long as they can need.
        let patience_ms = if self.is_healed { HEALED_PATIENCE_MS } else { self.setup.patience_ms };
        if self.now_ms - self.served_ms >= patience_ms {
            return self.settle(&body);
        }
        let holder = self.index_of(&body.holder);
        let is_gone = |node: &lattice::ids::AuthorId| self.machines[self.index_of(node)].is_lost;
        let needs_shadow = body.shadow.is_none() || body.mirrors().any(is_gone);
        if self.is_healed && needs_shadow && self.serving() == Some(holder) {
            return self.change_shadow(holder);
        }
        Ok(())
    }

    /// The highest settlement that a majority of its voters is asked for goes on with its holder, or with its shadow if the
    /// holder is off for certain.
    fn settle(&mut self, before: &NamedBody) -> Holds {
        let is_there = |node: NodeIndex| self.machines[node].is_up();
        let there = before.voters.iter().filter(|voter| is_there(self.index_of(voter))).count();
        let (holder, shadow) = (self.index_of(&before.holder), before.shadow.map(|shadow| self.index_of(&shadow)));
        let is_off = self.machines[holder].node.is_none();
        // What was acknowledged in the term is at its shadow: a spare must have staged as much.
        let staged = |node: NodeIndex| self.machines[node].disk().position(before.term).map(|at| at.staged_seq);
        let at_shadow = shadow.filter(|shadow| is_there(*shadow)).and_then(staged);
        let has_all = |node: &NodeIndex| {
            let position = self.machines[*node].disk().position(before.term);
            let is_whole = |at: Position| is_copy(before, &at) && Some(at.staged_seq) >= at_shadow;
            is_there(*node) && at_shadow.is_some() && position.is_some_and(is_whole)
        };
        let spares = before.spares.iter().map(|spare| self.index_of(spare));
        let mut mirrors = shadow.into_iter().chain(spares).filter(|_| is_off);
        let chosen = if is_there(holder) { Some(holder) } else { mirrors.find(has_all) };
        let Some(chosen) = chosen.filter(|_| there >= majority(before.voters.len())) else { return Ok(()) };
        let Some(node) = &self.machines[chosen].node else { return Ok(()) };
        let is_at_rest = node.jobs.is_empty() && node.busy.is_empty();
        let position = node.disk.position(before.term);
        let Some(position) = position.filter(|position| is_at_rest && is_copy(before, position)) else {
            return Ok(());
        };
        let floors = self.machines.iter_mut().filter_map(|machine| machine.node.as_mut());
        let term = floors.map(|node| node.controller.voter().floor()).max().unwrap_or(0) + 1;
        let mut body = before.body().clone();
        let mut mirrors: Vec<_> = before.mirrors().chain([&before.holder]).copied().collect();
        mirrors.retain(|mirror| self.index_of(mirror) != chosen && !self.machines[self.index_of(mirror)].is_lost);
        (body.term, body.holder) = (term, self.authors[chosen]);
        (body.follows, body.electors) = (Some(before.name()), before.voters.clone());
        (body.cut, body.log_size, body.log_root) = (position.staged_seq, position.log_size, position.log_root);
        body.shadow = mirrors.first().copied();
        body.spares = mirrors.into_iter().skip(1).collect();
        body.reason = "operators".to_owned();
        self.trace.note(self.now_ms, format_args!("operators settle term {term} for {chosen}"));
        self.figures.settled += u64::from(!self.is_healed);
        self.figures.locked += u64::from(self.is_healed);
        self.served_ms = self.now_ms;
        // Their signatures are not what is simulated; that they are operators is: their settlement counts before an election
        // of the same number, which the nodes may hold at the same time.
        let certificate = Certificate { body, warrant: Warrant::Operators(Approvals::default()) };
        self.give(chosen, Input::Order(Order::Promote(Box::new(certificate))))
    }
}

/// Whether a node has what the term began with, its commits and its log. One that has the commits alone does not know clients'
/// names for them, and would count a write again that is sent again.
fn is_copy(before: &NamedBody, at: &Position) -> bool {
    at.holds_opening_cut && at.log_size >= before.log_size
}
