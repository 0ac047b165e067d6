//! Addresses of members met before, kept over a restart: after all links were down and addresses changed, one
//! that still answers is enough to find all others.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use tokio_util::sync::CancellationToken;

use crate::home::Home;
use crate::net::NetHandle;

const FILE: &str = "peers.json";

/// How often the file is written at most. Of a node that dies soon after it began, what it knew is there as well.
const INTERVAL: Duration = Duration::from_secs(1);

type Book = BTreeMap<String, Vec<String>>;

/// The addresses kept; none if the file is absent or unreadable, since it is only a memory aid.
pub fn load(home: &Home) -> Vec<(PeerId, Multiaddr)> {
    let book: Book = home.read(FILE).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    book.iter()
        .filter_map(|(peer, addresses)| peer.parse::<PeerId>().ok().map(|peer| (peer, addresses)))
        // Oldest first, so that the newest is learnt last and dialled first.
        .flat_map(|(peer, addresses)| addresses.iter().rev().filter_map(move |a| Some((peer, a.parse().ok()?))))
        .collect()
}

/// Writes the file whenever something changed, until `stop` fires.
pub async fn keep(home: Home, net: NetHandle, stop: CancellationToken) {
    let (mut kept, mut views) = (Book::new(), net.watch());
    loop {
        let stopping = tokio::select! {
            Ok(()) = views.changed() => false,
            () = stop.cancelled() => true,
        };
        let view = views.borrow_and_update().clone();
        let book: Book = view
            .book
            .addresses()
            .into_iter()
            .filter_map(|(name, addresses)| Some((PeerId::from_bytes(&name.0).ok()?.to_string(), addresses)))
            .collect();
        if book != kept {
            match serde_json::to_vec_pretty(&book).map(|bytes| home.write(FILE, 0o644, &bytes)) {
                Ok(Ok(())) => kept = book,
                // A full disk is told by the writer; the next change tries again.
                Ok(Err(error)) => tracing::debug!(%error, "peers.json was not written"),
                Err(error) => tracing::debug!(%error, "peers.json was not written"),
            }
        }
        if stopping {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}
