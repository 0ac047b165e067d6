//! What speaks against other authors: two commits at one place of a chain, found, looked up and kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use lattice::commit::{SignedHeader, VerifiedCommit};
use lattice::equivocation::Equivocation;
use lattice::ids::AuthorId;

use super::state::State;
use crate::store::{StoreError, write};

impl State {
    pub(super) async fn stored_evidence(&mut self) -> Result<Vec<Equivocation>, StoreError> {
        let stored: Vec<Vec<u8>> = sqlx::query_scalar("SELECT evidence FROM equivocations ORDER BY author")
            .fetch_all(&mut self.connection)
            .await?;
        stored.iter().map(|bytes| Equivocation::decode(bytes).map_err(StoreError::damaged)).collect()
    }

    /// Pairs of commits at one place of a chain; only places known to be taken are looked up.
    pub(super) async fn find_equivocations(
        &mut self,
        batch: &[&VerifiedCommit],
    ) -> Result<Vec<Equivocation>, StoreError> {
        let mut found: BTreeMap<AuthorId, Equivocation> = BTreeMap::new();
        let mut places: BTreeMap<(AuthorId, u64, u64), &SignedHeader> = BTreeMap::new();
        for commit in batch {
            let (header, signed) = (commit.header(), commit.commit().signed());
            let known = self.equivocations.iter().any(|pair| pair.first.header().author == header.author);
            let taken = !commit.is_whole() || self.frontier.covers(&header.author, header.term, header.seq);
            let before = places.insert((header.author, header.term, header.seq), signed);
            let in_batch = before.and_then(|other| Equivocation::of(other, signed));
            let pair = match in_batch {
                _ if known => None,
                Some(pair) => Some(pair),
                None if taken => self.stored_rival(signed).await?,
                None => None,
            };
            if let Some(pair) = pair {
                found.entry(header.author).or_insert(pair);
            }
        }
        Ok(found.into_values().collect())
    }

    async fn stored_rival(&mut self, signed: &SignedHeader) -> Result<Option<Equivocation>, StoreError> {
        let header = signed.header();
        let chain = self.frontier.chain(&header.author, header.term);
        let ends = chain.tip.iter().chain(chain.beyond.iter().map(|run| &run.last));
        if let Some(pair) = ends.filter_map(|end| Equivocation::of(end, signed)).next() {
            return Ok(Some(pair));
        }
        let Some(author) = self.authors.get(&header.author) else { return Ok(None) };
        let stored = write::headers_at(&mut self.connection, *author, header.term, header.seq).await?;
        for (bytes, signature) in stored {
            let signature = signature.as_slice().try_into().map_err(StoreError::damaged)?;
            let other = SignedHeader::decode(&bytes, signature).map_err(StoreError::damaged)?;
            if let Some(pair) = Equivocation::of(&other, signed) {
                return Ok(Some(pair));
            }
        }
        Ok(None)
    }

    /// Keeps evidence that a peer sent, if there is none against that author yet.
    pub(super) async fn keep_evidence(&mut self, pair: &Equivocation) -> Result<(), StoreError> {
        if write::keep_evidence(&mut self.connection, pair).await? {
            let mut known = self.equivocations.as_ref().clone();
            known.push(pair.clone());
            known.sort_by_key(|pair| pair.first.header().author);
            self.equivocations = Arc::new(known);
        }
        Ok(())
    }
}
