//! All records of a log: hashed up to each checkpoint's root, and the tiles that are served compared with those that they
//! give.

use futures::StreamExt;
use futures::future::join_all;
use http_fallback::client::NoAnswer;
use indicatif::ProgressBar;
use lattice::ids::StateRoot;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::edge::Edge;
use lattice::log::tile::{BundleId, TILE_HASHES, Tile};
use lattice::merkle::leaf_hash;
use lattice::record::Record;

use super::super::fetch::Fetch;
use super::super::known::seen;
use super::bookmark::{Bookmark, Keeper, WrongTiles, seen_at};
use super::chain::{RecordChain, State};
use crate::cli::text::grouped;
use crate::terminal::records_bar;

/// Bundles asked for at once: they hide the way there and back, and hold at most 128 MiB.
const BUNDLES_AT_ONCE: usize = 8;

/// Tiles asked for at once.
const TILES_AT_ONCE: usize = 8;

/// Attempts for one bundle or tile that did not come through.
const ATTEMPTS: u32 = 5;
const ATTEMPT_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Which of the wanted states a record tells of. The root binds the count, so that of one root only one count is true.
fn told_of(record: &Record, wanted: &[State]) -> Result<Option<StateRoot>, String> {
    match wanted.iter().find(|wanted| wanted.root == record.after) {
        Some(wanted) if wanted.entries != record.entries => {
            Err(format!("it counts {} entries in state {}, which has {}", record.entries, wanted.root, wanted.entries))
        }
        found => Ok(found.map(|wanted| wanted.root)),
    }
}

/// Why records were not read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// They did not come.
    NoAnswer(NoAnswer),
    /// They are not what they must be.
    Wrong(String),
}

/// The records of a log, as far as they have been read.
pub(super) struct Records {
    url: String,
    chain: RecordChain,
    edge: Edge,
    /// Tiles that the records give, to be compared with those that are served.
    given: Vec<Tile>,
    wrong: Option<WrongTiles>,
    /// The edge behind the first record of the last bundle: where a later run can go on.
    mark: Edge,
    /// Records under the bookmark that was kept last.
    marked: u64,
}

impl Records {
    /// None yet.
    pub(super) fn of(url: &str, name: &str) -> Self {
        Self {
            url: url.to_owned(),
            chain: RecordChain::of(name),
            edge: Edge::default(),
            given: Vec::new(),
            wrong: None,
            mark: Edge::default(),
            marked: 0,
        }
    }

    /// Those behind a bookmark, of the log that this is the name of.
    pub(super) fn behind(bookmark: &Bookmark, url: &str, name: &str) -> Self {
        let edge = bookmark.edge().clone();
        let (wrong, marked) = (bookmark.wrong().cloned(), edge.size());
        Self { wrong, mark: edge.clone(), edge, marked, ..Self::of(url, name) }
    }

    /// How many were read.
    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// State after the last one read.
    pub(super) const fn last(&self) -> Option<State> {
        self.chain.last()
    }

    /// What is wrong with the tiles that are served, if anything.
    pub(super) fn wrong_tiles(&self) -> Option<String> {
        let WrongTiles { first, count } = self.wrong.as_ref()?;
        let more = if *count > 1 { format!("; and {} more", count - 1) } else { String::new() };
        Some(format!("{first}{more}: proofs made of them don't hold; the node's disk is damaged, or it lies"))
    }

    /// Reads on up to a checkpoint that the log signed; gives which of the wanted states the records read now tell of.
    /// How far it came is kept while it does.
    pub(super) async fn read(
        &mut self,
        fetch: &Fetch,
        signed: &SignedCheckpoint,
        wanted: &[State],
        keeper: &mut Keeper<'_>,
    ) -> Result<Vec<StateRoot>, Trouble> {
        let (size, root) = (signed.checkpoint().size(), *signed.checkpoint().root());
        let bar = self.bar(size);
        let width = TILE_HASHES as u64;
        let bundles = (self.size() / width..size.div_ceil(width))
            .filter_map(|index| BundleId::new(index, (size - index * width).min(width) as u16));
        let url = self.url.clone();
        let mut bundles = futures::stream::iter(bundles)
            .map(|id| {
                let url = &url;
                async move { bundle(fetch, url, id).await }
            })
            .buffered(BUNDLES_AT_ONCE);
        let mut told = Vec::new();
        loop {
            let records = tokio::select! {
                records = bundles.next() => records,
                () = keeper.due() => {
                    self.keep(fetch, signed, keeper).await?;
                    continue;
                }
            };
            let Some(records) = records else { break };
            self.take(&records.map_err(Trouble::NoAnswer)?, wanted, &mut told)?;
            if self.given.len() >= TILES_AT_ONCE {
                self.compare(fetch).await?;
            }
            bar.set_position(self.edge.size());
        }
        bar.finish_and_clear();
        if self.edge.root() != root {
            let sentence = format!(
                "the {size} records that are served don't give the root that the log signed: one at least was altered, \
                 dropped or added"
            );
            return Err(Trouble::Wrong(sentence));
        }
        // Those that grow are served as wide as they were when the log was signed.
        self.given.extend(self.edge.partial_tiles());
        self.compare(fetch).await?;
        Ok(told)
    }

    fn bar(&self, size: u64) -> ProgressBar {
        let bar = match self.size() {
            0 => records_bar("hashing records"),
            from => records_bar(&format!("hashing records, on from {}", grouped(from))),
        };
        bar.set_length(size);
        bar.with_position(self.size())
    }

    /// Takes a bundle. Of one that was read in part before, the rest is new; the root covers both.
    fn take(&mut self, records: &[Vec<u8>], wanted: &[State], told: &mut Vec<StateRoot>) -> Result<(), Trouble> {
        let width = TILE_HASHES as u64;
        let known = (self.edge.size() % width) as usize;
        let wrong = |index: u64, why: String| Trouble::Wrong(format!("record {index}: {why}"));
        if self.chain.last().is_none()
            && let Some(last) = known.checked_sub(1).and_then(|last| records.get(last))
        {
            let taken_up = self.take_up(last).and_then(|record| told_of(&record, wanted));
            told.extend(taken_up.map_err(|why| wrong(self.edge.size() - 1, why))?);
        }
        for bytes in records.iter().skip(known) {
            let index = self.edge.size();
            let followed = self.chain.follow(bytes).and_then(|record| told_of(&record, wanted));
            told.extend(followed.map_err(|why| wrong(index, why))?);
            self.given.extend(self.edge.append(leaf_hash(bytes)));
            if index.is_multiple_of(width) {
                self.mark = self.edge.clone();
            }
        }
        Ok(())
    }

    /// Takes the last record under a bookmark, read again, for what it says of the state.
    fn take_up(&mut self, bytes: &[u8]) -> Result<Record, String> {
        if self.edge.partial(0).last() != Some(&leaf_hash(bytes)) {
            return Err("it is another than the one that was read before, and that the log signed".to_owned());
        }
        let record = Record::decode(bytes).map_err(|error| error.to_string())?;
        self.chain.take_up(&record);
        Ok(record)
    }

    /// Keeps how far it came, if that is farther than before. Without a proof that the log signed this much, nothing is
    /// kept: the next run reads more.
    async fn keep(&mut self, fetch: &Fetch, signed: &SignedCheckpoint, keeper: &mut Keeper<'_>) -> Result<(), Trouble> {
        if self.mark.size() <= self.marked.max(1) || self.mark.size() >= signed.checkpoint().size() {
            return Ok(());
        }
        // Tiles below the mark are not compared again.
        self.compare(fetch).await?;
        let Some(proof) = fetch.proof(&self.url, &seen_at(&self.mark), &seen(signed)).await else { return Ok(()) };
        let (mark, wrong) = (self.mark.clone(), self.wrong.clone());
        if let Ok(bookmark) = Bookmark::new(signed.clone(), mark, proof, wrong, crate::clock::now_ms()) {
            self.marked = self.mark.size();
            keeper.keep(bookmark);
        }
        Ok(())
    }

    /// Compares the tiles that are served with those that the records give.
    async fn compare(&mut self, fetch: &Fetch) -> Result<(), Trouble> {
        let given = std::mem::take(&mut self.given);
        let url = self.url.as_str();
        for (tile, served) in given.iter().zip(join_all(given.iter().map(|tile| served(fetch, url, tile))).await) {
            let is_full = usize::from(tile.id().width()) == TILE_HASHES;
            let wrong = match served {
                Ok(served) if served == *tile => continue,
                Ok(_) => "is not what the records give".to_owned(),
                Err(error @ (NoAnswer::Busy | NoAnswer::Lost(_))) => return Err(Trouble::NoAnswer(error)),
                // A server need not keep a narrow one once it has a wider one.
                Err(NoAnswer::Declined { .. }) if !is_full => continue,
                Err(error @ (NoAnswer::Declined { .. } | NoAnswer::Unreadable(_))) => format!("is not given: {error}"),
            };
            let first = || WrongTiles { first: format!("tile {} {wrong}", tile.id()), count: 0 };
            self.wrong.get_or_insert_with(first).count += 1;
        }
        Ok(())
    }
}

async fn served(fetch: &Fetch, url: &str, tile: &Tile) -> Result<Tile, NoAnswer> {
    let mut attempt = 1;
    loop {
        match fetch.tile(url, tile.id()).await {
            Err(NoAnswer::Busy | NoAnswer::Lost(_)) if attempt < ATTEMPTS => attempt += 1,
            answer => return answer,
        }
        tokio::time::sleep(ATTEMPT_PAUSE).await;
    }
}

async fn bundle(fetch: &Fetch, url: &str, id: BundleId) -> Result<Vec<Vec<u8>>, NoAnswer> {
    let mut attempt = 1;
    loop {
        match fetch.records(url, id).await {
            Err(NoAnswer::Busy | NoAnswer::Lost(_)) if attempt < ATTEMPTS => attempt += 1,
            answer => return answer,
        }
        tokio::time::sleep(ATTEMPT_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use lattice::record::Event;

    use super::*;

    #[test]
    fn a_record_that_counts_another_number_of_entries_than_its_state_has_is_wrong() {
        let record = |entries| {
            let (before, after) = (StateRoot([1; 32]), StateRoot([2; 32]));
            Record { time_ms: 1, before, after, entries, event: Event::Applied { commits: vec![] } }
        };
        let wanted = |root| [State { root: StateRoot([root; 32]), entries: 7 }];
        assert_eq!(told_of(&record(7), &wanted(2)), Ok(Some(StateRoot([2; 32]))));
        assert_eq!(told_of(&record(8), &wanted(3)), Ok(None));
        assert!(told_of(&record(8), &wanted(2)).is_err_and(|why| why.contains("counts 8 entries")));
    }
}
