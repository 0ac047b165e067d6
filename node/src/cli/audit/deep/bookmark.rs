//! How far the records of a node were read, kept for a later run to go on from there.
//!
//! Kept is the right edge of the tree behind the first record of the last bundle that was hashed, the checkpoint that was
//! read up to, and the proof that it begins with that edge. Nobody but the log makes such a checkpoint for other records;
//! that somebody *read* them is the word of the file alone. The last record is read again with its bundle: its hash is the
//! last one of the edge, so that what it says of the state is bound by the same signature.

use std::time::Duration;

use data_encoding::BASE64;
use lattice::base64;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::edge::Edge;
use lattice::log::tree::verify_consistency;
use lattice::log::witness::Seen;
use lattice::merkle::Digest;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::super::known::{Known, seen};

/// Pause between two bookmarks: each costs a question and a write to the disk, and its lack that much reading.
const EVERY: Duration = Duration::from_secs(1);

/// How far the records of a node were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli::audit) struct Bookmark {
    signed: SignedCheckpoint,
    edge: Edge,
    proof: Vec<Digest>,
    wrong: Option<WrongTiles>,
    at_ms: u64,
}

/// Tiles that were served and are not those of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli::audit) struct WrongTiles {
    /// What is wrong with the first.
    pub(super) first: String,
    /// How many are.
    pub(super) count: u64,
}

/// A bookmark as the state file has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli::audit) struct BookmarkView {
    pub(in crate::cli::audit) url: String,
    at_ms: u64,
    records: u64,
    /// Per level of tiles the hashes of the one that is not full.
    edge: Vec<String>,
    proof: Vec<String>,
    checkpoint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrong_tiles: Option<WrongTiles>,
}

impl Bookmark {
    /// A bookmark at an edge.
    ///
    /// # Errors
    ///
    /// Why the checkpoint does not begin with it, in words.
    pub(super) fn new(
        signed: SignedCheckpoint,
        edge: Edge,
        proof: Vec<Digest>,
        wrong: Option<WrongTiles>,
        at_ms: u64,
    ) -> Result<Self, String> {
        let (old, new) = (seen_at(&edge), seen(&signed));
        if old.size == 0 {
            return Err("it is over no records".to_owned());
        }
        let holds = verify_consistency(old.size, new.size, &old.root, &new.root, &proof);
        holds.map_err(|error| format!("its {} records are not the first of its checkpoint: {error}", old.size))?;
        Ok(Self { signed, edge, proof, wrong, at_ms })
    }

    /// Reads what a file has; the signature is the caller's to check.
    ///
    /// # Errors
    ///
    /// Why it is none, in words.
    pub(in crate::cli::audit) fn of(view: BookmarkView) -> Result<Self, String> {
        let signed = SignedCheckpoint::parse(view.checkpoint.as_bytes()).map_err(|error| error.to_string())?;
        let levels = view.edge.iter().map(|level| hashes(level)).collect::<Option<Vec<_>>>();
        let levels = levels.ok_or("a level of its edge is no hashes in base64")?;
        let edge = Edge::restore(view.records, levels).map_err(|error| error.to_string())?;
        let proof = view.proof.iter().map(|line| hashes(line)).collect::<Option<Vec<_>>>();
        let proof = proof.ok_or("its proof is no hashes in base64")?.concat();
        Self::new(signed, edge, proof, view.wrong_tiles, view.at_ms)
    }

    /// As the file has it.
    pub(in crate::cli::audit) fn view(&self, url: &str) -> BookmarkView {
        let level = |level| BASE64.encode(self.edge.partial(level).as_flattened());
        let mut edge: Vec<String> = (0..lattice::log::tile::TILE_LEVELS).map(level).collect();
        edge.truncate(edge.iter().rposition(|level| !level.is_empty()).map_or(0, |last| last + 1));
        BookmarkView {
            url: url.to_owned(),
            at_ms: self.at_ms,
            records: self.edge.size(),
            edge,
            proof: self.proof.iter().map(|hash| BASE64.encode(hash)).collect(),
            checkpoint: self.signed.to_string(),
            wrong_tiles: self.wrong.clone(),
        }
    }

    /// The checkpoint that was read up to.
    pub(in crate::cli::audit) const fn signed(&self) -> &SignedCheckpoint {
        &self.signed
    }

    /// The edge behind the records that need not be read again.
    pub(super) const fn edge(&self) -> &Edge {
        &self.edge
    }

    /// What was wrong with tiles up to there.
    pub(super) const fn wrong(&self) -> Option<&WrongTiles> {
        self.wrong.as_ref()
    }

    /// When it was made, in milliseconds since 1970.
    pub(super) const fn at_ms(&self) -> u64 {
        self.at_ms
    }
}

/// Size and root of an edge.
pub(super) fn seen_at(edge: &Edge) -> Seen {
    Seen { size: edge.size(), root: edge.root() }
}

fn hashes(text: &str) -> Option<Vec<Digest>> {
    let bytes = base64::decode(text)?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}

/// Keeps the bookmark of the one node that is being read.
pub(super) struct Keeper<'a> {
    known: &'a mut Known,
    url: &'a str,
    due: Interval,
}

impl<'a> Keeper<'a> {
    /// For the node at this URL.
    pub(super) fn of(url: &'a str, known: &'a mut Known) -> Self {
        let mut due = interval_at(Instant::now() + EVERY, EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { known, url, due }
    }

    /// Waits until another bookmark is due.
    pub(super) async fn due(&mut self) {
        self.due.tick().await;
    }

    /// Keeps a bookmark instead of the one before.
    pub(super) fn keep(&mut self, bookmark: Bookmark) {
        self.known.keep_bookmark(self.url, bookmark);
        // What can't be written is an alarm of the next save, which follows every look and every reading.
        let _ = self.known.save();
    }

    /// All was read: the next reading begins anew.
    pub(super) fn forget(&mut self) {
        self.known.forget_bookmark(self.url);
    }
}

#[cfg(test)]
mod tests {
    use lattice::keys::NodeKeys;
    use lattice::log::tile::Tile;
    use lattice::log::tree::{TileSet, consistency};
    use lattice::merkle::leaf_hash;

    use super::*;

    fn log(size: u64) -> (Edge, TileSet) {
        let (mut edge, mut full) = (Edge::default(), Vec::<Tile>::new());
        for index in 0..size {
            full.extend(edge.append(leaf_hash(&index.to_be_bytes())));
        }
        let tiles = full.into_iter().chain(edge.partial_tiles()).collect();
        (edge, tiles)
    }

    fn bookmark(at: u64, size: u64) -> Bookmark {
        let ((edge, _), (whole, tiles)) = (log(at), log(size));
        let (keys, name) = (NodeKeys::from_seed([1; 32]), "test/log".parse().expect("a name"));
        let signed = SignedCheckpoint::sign(&name, size, whole.root(), &keys.log);
        let proof = consistency(at, size, &tiles).expect("tiles");
        Bookmark::new(signed, edge, proof, None, 7).expect("it holds")
    }

    #[test]
    fn a_bookmark_comes_back_as_it_was_kept_and_in_no_other_form() {
        for (at, size) in [(1, 2), (257, 300), (513, 70_000), (66_049, 70_000)] {
            let kept = bookmark(at, size);
            assert_eq!(Bookmark::of(kept.view("u")), Ok(kept.clone()), "{at} of {size}");
            type Alter = fn(&mut BookmarkView);
            let alterations: [(&str, Alter); 5] = [
                ("another size", |view| view.records += 1),
                ("another size", |view| view.records -= 1),
                ("another edge", |view| view.edge[0] = BASE64.encode(&[9; 32])),
                ("no hash", |view| view.edge[0].push('A')),
                ("no proof", |view| drop(view.proof.pop())),
            ];
            for (what, alter) in alterations {
                let mut view = kept.view("u");
                alter(&mut view);
                assert!(Bookmark::of(view).is_err(), "{what}: {at} of {size}");
            }
            // The records of another log, under this one's signature.
            let foreign = bookmark(at, size + 1);
            let mut view = kept.view("u");
            view.checkpoint = foreign.view("u").checkpoint;
            assert!(Bookmark::of(view).is_err_and(|why| why.contains("not the first of its checkpoint")));
        }
    }
}
