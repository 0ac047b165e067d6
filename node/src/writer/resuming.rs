//! What others have of this node's chain and of the state: where the frontier is raised, and where our own chain goes on.

use std::sync::Arc;

use lattice::frontier::{Chain, Frontier};
use lattice::ids::{AuthorId, LatticeId, StateRoot};

use super::Identity;
use super::job::WriteError;
use super::state::{State, end_of};
use crate::store::{StoreError, write};

impl State {
    /// Raises the frontier to a peer's, if the state is still the one that equals the peer's; tells whether it was.
    pub(super) async fn raise(
        &mut self,
        lattice: LatticeId,
        root: &StateRoot,
        chains: &[((AuthorId, u64), Chain)],
    ) -> Result<bool, StoreError> {
        if self.tree.root() != *root {
            return Ok(false);
        }
        let mut frontier = self.frontier.clone();
        let touched = tokio::task::block_in_place(|| self.join_chains(lattice, Arc::make_mut(&mut frontier), chains));
        write::begin(&mut self.connection).await?;
        let mut written = Ok(());
        for (author, term) in touched {
            let chain = frontier.chain(&author, term);
            written = written.and(write::write_chain(&mut self.connection, &author, term, &chain).await);
        }
        // Whether or not a failed commit took place: what a peer's equal state covers, ours covers too.
        if let Err(error) = written.and(write::commit(&mut self.connection).await) {
            write::roll_back(&mut self.connection).await;
            return Err(error);
        }
        self.frontier = frontier;
        self.is_catching_up = false;
        Ok(true)
    }

    /// The state equals a peer's, and so does the frontier.
    pub(super) fn caught_up(&mut self) {
        self.is_catching_up = false;
    }

    /// Whether this node knows where its chain ends.
    pub(super) fn expect_sure(&self) -> Result<(), WriteError> {
        match self.doubt {
            _ if self.is_catching_up => Err(WriteError::CatchingUp),
            Some(doubt) => Err(WriteError::Unsure(doubt)),
            None => Ok(()),
        }
    }

    /// Takes note of how far a peer has this node's own chain. What it holds beyond ours comes by reconcile; the numbers
    /// are taken from now on.
    pub(super) fn learn(&mut self, identity: &Identity, chain: &Chain) {
        let author = identity.keys.author.id();
        let known = self.floor.map_or(0, |(seq, _)| seq).max(end_of(&self.frontier.chain(&author, 0)).0);
        let end = end_of(chain);
        if end.0 <= known || !is_chain_of(chain, identity.lattice, &author, 0) {
            return;
        }
        let last = chain.beyond.last().map(|run| &run.last).or(chain.tip.as_ref());
        if let Some(last) = last {
            self.clock.observe(last.header().time);
        }
        tracing::warn!(
            known,
            learnt = end.0,
            "others hold more commits of this node than it does; it goes on behind them"
        );
        self.floor = Some(end);
    }

    /// Others have said what they hold: the chain goes on.
    pub(super) fn be_sure(&mut self) {
        (self.doubt, self.is_catching_up) = (None, false);
    }

    /// Joins a peer's chains into `raised` as far as members of this lattice signed them; gives those that changed.
    fn join_chains(
        &self,
        lattice: LatticeId,
        raised: &mut Frontier,
        chains: &[((AuthorId, u64), Chain)],
    ) -> Vec<(AuthorId, u64)> {
        let mut touched = Vec::new();
        for ((author, term), chain) in chains {
            let ours = raised.chain(author, *term);
            let mut joined = ours.clone();
            joined.raise_to(chain);
            let is_known = self.membership.last_seq_in(author, *term).is_some();
            if joined != ours && is_known && is_chain_of(chain, lattice, author, *term) {
                *raised.chain_mut(author, *term) = joined;
                touched.push((*author, *term));
            }
        }
        touched
    }
}

/// Whether every header of a chain is of this lattice, author and term, and signed.
fn is_chain_of(chain: &Chain, lattice: LatticeId, author: &AuthorId, term: u64) -> bool {
    let mut ends = chain.tip.iter().chain(chain.beyond.iter().map(|run| &run.last));
    ends.all(|end| {
        let header = end.header();
        (header.lattice, header.author, header.term) == (lattice, *author, term) && end.is_signed()
    })
}
