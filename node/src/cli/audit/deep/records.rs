//! All records of a log: hashed up to each checkpoint's root, each beginning where the one before ended, and the tiles that
//! are served compared with those that they give.

use futures::StreamExt;
use futures::future::join_all;
use http_fallback::client::NoAnswer;
use lattice::ids::StateRoot;
use lattice::log::checkpoint::{SignedCheckpoint, origin};
use lattice::log::edge::Edge;
use lattice::log::tile::{BundleId, TILE_HASHES, Tile};
use lattice::merkle::leaf_hash;
use lattice::record::{Event, Record};

use super::super::fetch::Fetch;
use crate::terminal::entries_bar;

/// Bundles asked for at once: they hide the way there and back, and hold at most 128 MiB.
const BUNDLES_AT_ONCE: usize = 8;

/// Tiles asked for at once.
const TILES_AT_ONCE: usize = 8;

/// Attempts for one bundle or tile that did not come through.
const ATTEMPTS: u32 = 5;
const ATTEMPT_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

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
    /// What is wrong with the first tile that is not as it should be, and how many are not.
    wrong: Option<(String, u64)>,
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
        }
    }

    /// How many were read.
    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// State after the last one read.
    pub(super) const fn last(&self) -> Option<StateRoot> {
        self.chain.last()
    }

    /// What is wrong with the tiles that are served, if anything.
    pub(super) fn wrong_tiles(&self) -> Option<String> {
        let (first, count) = self.wrong.as_ref()?;
        let more = if *count > 1 { format!("; and {} more", count - 1) } else { String::new() };
        Some(format!("{first}{more}: proofs made of them don't hold; the node's disk is damaged, or it lies"))
    }

    /// Reads on up to a checkpoint that the log signed; gives which of the wanted states the records read now tell of.
    pub(super) async fn read(
        &mut self,
        fetch: &Fetch,
        signed: &SignedCheckpoint,
        wanted: &[StateRoot],
    ) -> Result<Vec<StateRoot>, Trouble> {
        let (size, root) = (signed.checkpoint().size(), *signed.checkpoint().root());
        let bar = entries_bar("hashing records");
        bar.set_length(size);
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
        while let Some(records) = bundles.next().await {
            let records = records.map_err(Trouble::NoAnswer)?;
            // Of a bundle that was read in part before, the rest is new; the root covers both.
            let known = (self.edge.size() % width) as usize;
            for bytes in records.iter().skip(known) {
                let index = self.edge.size();
                let record =
                    self.chain.follow(bytes).map_err(|why| Trouble::Wrong(format!("record {index}: {why}")))?;
                told.extend(wanted.contains(&record.after).then_some(record.after));
                self.given.extend(self.edge.append(leaf_hash(bytes)));
            }
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
            let first = || (format!("tile {} {wrong}", tile.id()), 0);
            self.wrong.get_or_insert_with(first).1 += 1;
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

/// What a record must be, after the one before it. Pure.
pub(in crate::cli::audit) struct RecordChain {
    /// The name of the log.
    name: String,
    /// State after the last record.
    last: Option<StateRoot>,
}

impl RecordChain {
    /// The chain of the log of this name.
    pub(in crate::cli::audit) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), last: None }
    }

    /// Takes the next record.
    ///
    /// # Errors
    ///
    /// Why it can't follow, in words.
    pub(in crate::cli::audit) fn follow(&mut self, bytes: &[u8]) -> Result<Record, String> {
        let record = Record::decode(bytes).map_err(|error| error.to_string())?;
        self.link(&record)?;
        Ok(record)
    }

    /// Takes the next record, decoded.
    ///
    /// # Errors
    ///
    /// Why it can't follow, in words.
    pub(in crate::cli::audit) fn link(&mut self, record: &Record) -> Result<(), String> {
        match (self.last, &record.event) {
            (None, Event::Opened { lattice, author }) => {
                let first = origin(lattice, author, 1);
                let rest = self.name.strip_prefix(first.as_str());
                if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                    return Err("it opens another log than the one whose name the checkpoint bears".to_owned());
                }
            }
            (None, _) => return Err("a log begins with a record of whose it is, and this one is another".to_owned()),
            (Some(last), _) if last != record.before => {
                return Err(format!(
                    // Whole: two that differ in a byte at their end would look the same.
                    "it begins at state {}, and the record before ends at {last}",
                    record.before
                ));
            }
            (Some(_), _) => {}
        }
        self.last = Some(record.after);
        Ok(())
    }

    /// State after the last record.
    pub(in crate::cli::audit) const fn last(&self) -> Option<StateRoot> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use lattice::ids::{AuthorId, LatticeId};

    use super::*;

    #[test]
    fn records_begin_with_whose_log_it_is_and_follow_each_other() {
        let (lattice, author) = (LatticeId([1; 32]), AuthorId([2; 32]));
        let record = |before, after, event| {
            let (before, after) = (StateRoot([before; 32]), StateRoot([after; 32]));
            Record { time_ms: 1, before, after, entries: 1, event }.encode()
        };
        let opened = || record(0, 0, Event::Opened { lattice, author });
        let applied = |before, after| record(before, after, Event::Applied { commits: vec![] });
        let name = origin(&lattice, &author, 3).to_string();
        for (name, records, expected) in [
            (&name, vec![opened(), applied(0, 1), record(1, 1, Event::Stated), applied(1, 2)], Ok(())),
            (&name, vec![applied(0, 1)], Err("begins with a record of whose it is")),
            (&name.replace("02", "03"), vec![opened()], Err("opens another log")),
            (&name, vec![opened(), applied(0, 1), applied(0, 2)], Err("the record before ends at")),
            (&name, vec![b"no record".to_vec()], Err("")),
        ] {
            let mut chain = RecordChain::of(name);
            let followed = records.iter().try_for_each(|bytes| chain.follow(bytes).map(drop));
            match (followed, expected) {
                (Ok(()), Ok(())) => {}
                (Err(why), Err(words)) => assert!(why.contains(words), "{why}"),
                (other, expected) => panic!("{other:?} instead of {expected:?}"),
            }
        }
    }
}
