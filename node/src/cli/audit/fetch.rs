//! What an auditor asks nodes for, bounded in bytes and time.

use std::time::Duration;

use futures::future::try_join_all;
use http_fallback::client::{Client, NoAnswer};
use lattice::base64;
use lattice::head::Head;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::note::NOTE_BYTES_MAX;
use lattice::log::tile::{BUNDLE_BYTES_MAX, BundleId, TILE_HASHES, Tile, TileId, decode_bundle};
use lattice::log::tree::{PROOF_HASHES_MAX, TileSet};
use lattice::log::witness::Seen;
use lattice::merkle::Digest;
use serde::de::DeserializeOwned;

use super::growth::{self, Asked, Growth};
use crate::api::log::{Checkpoints, ForksView};
use crate::api::proofs::ConsistencyView;

/// Time to connect, and for what a node holds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a consistency proof in JSON: 65 hashes of 44 characters, and names.
const CONSISTENCY_BYTES_MAX: usize = 1024 + PROOF_HASHES_MAX * 64;

/// Bytes of a list of evidence or of checkpoints: what 256 logs have, as many as a policy names, with 256 cosignatures of
/// 160 bytes each, and room for JSON.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Asks nodes.
pub(super) struct Fetch {
    nodes: Client,
}

impl Fetch {
    /// Makes the client.
    ///
    /// # Errors
    ///
    /// If this machine can make none.
    pub(super) fn new() -> Result<Self, String> {
        Client::new(CONNECT_TIMEOUT).map(|nodes| Self { nodes })
    }

    /// The client that knows the routes between nodes.
    pub(super) const fn nodes(&self) -> &Client {
        &self.nodes
    }

    /// The head of a node, if the node that it names signed it.
    pub(super) async fn head(&self, url: &str) -> Result<Head, NoAnswer> {
        let view = self.nodes.state(url).await?;
        view.signed_head().map_err(|error| NoAnswer::Unreadable(error.to_string()))
    }

    /// The last checkpoint of a node, nothing of it checked.
    pub(super) async fn checkpoint(&self, url: &str) -> Result<SignedCheckpoint, NoAnswer> {
        let bytes = self.nodes.get(url, "/checkpoint", NOTE_BYTES_MAX).await?;
        SignedCheckpoint::parse(&bytes).map_err(|error| NoAnswer::Unreadable(error.to_string()))
    }

    /// The evidence of forks that a node holds, nothing of it checked.
    pub(super) async fn forks(&self, url: &str) -> Result<Vec<String>, NoAnswer> {
        self.listed::<ForksView>(url, "/api/v1/forks").await.map(|view| view.forks)
    }

    /// The last checkpoints that a node knows of all logs, nothing of them checked.
    pub(super) async fn checkpoints(&self, url: &str) -> Result<Vec<String>, NoAnswer> {
        self.listed::<Checkpoints>(url, "/api/v1/checkpoints").await.map(|view| view.checkpoints)
    }

    async fn listed<T: DeserializeOwned>(&self, url: &str, path: &str) -> Result<T, NoAnswer> {
        let bytes = self.nodes.get(url, path, LIST_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| NoAnswer::Unreadable(error.to_string()))
    }

    /// Whether the log that is shown at a URL grew from the one tree to the other.
    pub(super) async fn growth(&self, url: &str, old: &Seen, new: &Seen) -> Growth {
        if old.size == 0 {
            // All logs grow from nothing.
            return Growth::Proven;
        }
        let asked = self.consistency(url, old.size, new.size).await;
        if growth::is_proven(old, new, &asked).is_ok() {
            return Growth::Proven;
        }
        growth::judge(old, new, &asked, &self.tiles_for(url, old, new).await)
    }

    /// A proof that it did: the one that the node gives, or one made of its tiles. `None` if neither holds.
    pub(super) async fn proof(&self, url: &str, old: &Seen, new: &Seen) -> Option<Vec<Digest>> {
        let asked = self.consistency(url, old.size, new.size).await;
        if growth::is_proven(old, new, &asked).is_ok() {
            return asked.ok();
        }
        let tiles = self.tiles_for(url, old, new).await.ok()?;
        let beginning = growth::beginning(old, new, &tiles).ok()?;
        (beginning.root == old.root).then_some(beginning.proof)
    }

    /// The node's proof that its log only grew.
    async fn consistency(&self, url: &str, old: u64, new: u64) -> Asked {
        let path = format!("/api/v1/proof/consistency/{old}/{new}");
        let bytes = self.nodes.get(url, &path, CONSISTENCY_BYTES_MAX).await.map_err(|error| error.to_string())?;
        let view: ConsistencyView = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let hash = |text: &String| -> Option<Digest> { base64::decode(text)?.try_into().ok() };
        view.proof.iter().map(hash).collect::<Option<_>>().ok_or_else(|| "a line of it is no hash".to_owned())
    }

    /// The tiles of a node's log that tell how the new tree begins.
    async fn tiles_for(&self, url: &str, old: &Seen, new: &Seen) -> Result<TileSet, String> {
        let ids = growth::tiles_for(old, new).map_err(|error| error.to_string())?;
        let tile = async |id: TileId| self.tile(url, id).await.map_err(|error| error.to_string());
        Ok(try_join_all(ids.into_iter().map(tile)).await?.into_iter().collect())
    }

    /// One tile.
    pub(super) async fn tile(&self, url: &str, id: TileId) -> Result<Tile, NoAnswer> {
        let bytes = self.nodes.get(url, &format!("/tile/{id}"), TILE_HASHES * size_of::<Digest>()).await?;
        Tile::decode(id, &bytes).map_err(|error| NoAnswer::Unreadable(error.to_string()))
    }

    /// Records of a node's log.
    pub(super) async fn records(&self, url: &str, id: BundleId) -> Result<Vec<Vec<u8>>, NoAnswer> {
        let bytes = self.nodes.get(url, &format!("/tile/entries/{id}"), BUNDLE_BYTES_MAX).await?;
        let records = decode_bundle(id, &bytes).map_err(|error| NoAnswer::Unreadable(error.to_string()))?;
        Ok(records.into_iter().map(<[u8]>::to_vec).collect())
    }
}
