//! What speaks against others, or against the node's own disk: forked chains, and entries that should have been here.
//! Wired as the daemon's writer does it.

use std::collections::{BTreeMap, BTreeSet};

use lattice::commit::{Header, SignedHeader, VerifiedCommit};
use lattice::equivocation::Equivocation;
use lattice::ids::{AuthorId, KeyHash};
use node_core::apply::Plan;

use super::database::Database;
use super::state::State;

impl State {
    /// Operations that win although our frontier says that their effect is in. Keys that a cut emptied and authors that
    /// forked their chains don't count.
    pub(crate) fn damage(&self, database: &Database, plan: &Plan<'_>, evidence: &[Equivocation]) -> Vec<KeyHash> {
        let is_forked = |author: &AuthorId| {
            self.equivocations.contains_key(author) || evidence.iter().any(|pair| pair.first.header().author == *author)
        };
        let is_covered = |header: &Header| {
            self.frontier.covers(&header.author, header.term, header.seq) && !is_forked(&header.author)
        };
        let covered: BTreeSet<_> =
            plan.commits.iter().filter(|write| is_covered(write.commit.header())).map(|write| write.row).collect();
        let is_emptied = |key: &KeyHash| self.membership.has_cuts() && database.is_quarantined(key);
        let keys =
            plan.entries.iter().filter(|write| covered.contains(&write.commit)).map(|write| write.op.key().hash());
        keys.filter(|key| !is_emptied(key)).collect()
    }

    /// Pairs of commits at one place of a chain; only places known to be taken are looked up.
    pub(crate) fn find_equivocations(&self, database: &Database, batch: &[VerifiedCommit]) -> Vec<Equivocation> {
        let mut found: BTreeMap<AuthorId, Equivocation> = BTreeMap::new();
        let mut places: BTreeMap<(AuthorId, u64, u64), &SignedHeader> = BTreeMap::new();
        for commit in batch.iter().filter(|commit| !self.equivocations.contains_key(&commit.header().author)) {
            let (header, signed) = (commit.header(), commit.commit().signed());
            let taken = !commit.is_whole() || self.frontier.covers(&header.author, header.term, header.seq);
            let before = places.insert((header.author, header.term, header.seq), signed);
            let in_batch = before.and_then(|other| Equivocation::of(other, signed));
            let pair = in_batch.or_else(|| if taken { self.stored_rival(database, signed) } else { None });
            if let Some(pair) = pair {
                found.entry(header.author).or_insert(pair);
            }
        }
        found.into_values().collect()
    }

    fn stored_rival(&self, database: &Database, signed: &SignedHeader) -> Option<Equivocation> {
        let chain = self.frontier.chain(&signed.header().author, signed.header().term);
        let mut ends = chain.tip.iter().chain(chain.beyond.iter().map(|run| &run.last));
        ends.find_map(|end| Equivocation::of(end, signed))
            .or_else(|| database.rivals(signed).find_map(|stored| Equivocation::of(stored, signed)))
    }
}
