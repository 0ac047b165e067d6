//! The end of a session with equal roots: the peer's frontier holds for our state as well.

use lattice::commit::SignedHeader;
use lattice::frontier::Chain;
use lattice::ids::StateRoot;

use super::{Awaiting, Initiator, Question, Step, end, fault};
use crate::effect::Effect;
use crate::limits::FRONTIER_CHAINS_MAX;
use crate::message::{ChainId, Request};
use crate::outcome::{Outcome, PeerFault};
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
        let ids: Vec<_> = after.into_iter().chain(chains.iter().map(|(id, _)| *id)).collect();
        let are_their_own = chains.iter().all(|(id, chain)| is_chain_of(id, chain));
        if !ids.is_sorted_by(|a, b| a < b) || !are_their_own || chains.len() > FRONTIER_CHAINS_MAX {
            return Err(fault(PeerFault::BadChains));
        }
        if more && chains.is_empty() {
            return Err(fault(PeerFault::EmptyPage));
        }
        if read_at != root {
            // The peer has written since: its frontier now tells of a state that is not ours.
            return equal(root, false);
        }
        if chains.is_empty() {
            return equal(root, after.is_some());
        }
        let next = ids.last().copied().filter(|_| more);
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

/// Whether all headers of a chain are of the author and term it stands under.
fn is_chain_of(id: &ChainId, chain: &Chain) -> bool {
    let lasts = chain.beyond.iter().map(|run| &run.last);
    let mut headers = chain.tip.iter().chain(lasts).map(SignedHeader::header);
    headers.all(|header| (header.author, header.term) == *id)
}
