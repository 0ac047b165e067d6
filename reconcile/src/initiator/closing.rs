//! The end of a session with equal roots: the peer's frontier holds for our state as well.

use lattice::frontier::Chain;
use lattice::ids::StateRoot;

use super::{Awaiting, Initiator, Question, Step, end, fault};
use crate::chains::behind_page;
use crate::effect::Effect;
use crate::message::{ChainId, Request};
use crate::outcome::Outcome;
use crate::view::{Summary, View};

impl<T: Copy> Initiator<T> {
    /// Equal roots are equal states; only what is known about them may still differ.
    pub(super) fn close(&mut self, ours: &Summary, theirs: &Summary) -> Step {
        if ours.frontier == theirs.frontier {
            return equal(ours.root, false);
        }
        self.ask_frontier(ours.root, None)
    }

    fn ask_frontier(&mut self, root: StateRoot, after: Option<ChainId>) -> Step {
        if self.stats.rounds >= self.config.rounds_max {
            return equal(root, false);
        }
        self.ask(Request::Frontier { after }, Question::Frontier { root, after })
    }

    pub(super) fn take_frontier(
        &mut self,
        root: StateRoot,
        after: Option<ChainId>,
        read_at: StateRoot,
        chains: Vec<(ChainId, Chain)>,
        more: bool,
    ) -> Step {
        let next = behind_page(after, &chains, more).map_err(fault)?;
        if read_at != root {
            // The peer has written since: its frontier now tells of a state that is not ours.
            return equal(root, false);
        }
        if chains.is_empty() {
            return equal(root, after.is_some());
        }
        self.awaiting = Awaiting::Raised { root, next };
        Ok(Effect::RaiseFrontier { root, chains })
    }

    pub(super) fn take_raised(&mut self, root: StateRoot, next: Option<ChainId>, view: View<T>) -> Step {
        self.view = view;
        let still_equal = self.view.tree.root() == root;
        match next {
            Some(after) if still_equal => self.ask_frontier(root, Some(after)),
            Some(_) | None => equal(root, still_equal),
        }
    }
}

fn equal(root: StateRoot, frontier_raised: bool) -> Step {
    end(Outcome::Equal { root, frontier_raised })
}
