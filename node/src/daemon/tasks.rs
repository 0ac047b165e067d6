//! Small tasks that carry something from one part of the node to another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::home::{CATCHING_UP, DOUBTFUL, Home};
use crate::net::{Command, NetHandle};
use crate::writer::{Identity, Published};

/// How often it is written down how far the database has come. A copy of a database that is younger than this and no longer
/// the latest can only be told by the others.
const HIGH_WATER_INTERVAL: Duration = Duration::from_secs(5);

/// Tells the swarm when this node hides, and when it is shown again.
pub(super) async fn hide(net: NetHandle, mut hidden: watch::Receiver<bool>, stop: CancellationToken) {
    loop {
        let is_hidden = *hidden.borrow_and_update();
        net.command(Command::Hide(is_hidden)).await;
        tokio::select! {
            Ok(()) = hidden.changed() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Gossips what the writer made durable.
pub(super) async fn tell_frames(net: NetHandle, mut frames: mpsc::Receiver<Vec<u8>>, stop: CancellationToken) {
    loop {
        tokio::select! {
            Some(frame) = frames.recv() => net.command(Command::Publish(frame)).await,
            () = stop.cancelled() => return,
        }
    }
}

/// Removes the marks of a database that may be an older one once others have said what this node signed.
pub(super) async fn forget_doubt(home: Home, mut states: watch::Receiver<Arc<Published>>, stop: CancellationToken) {
    tokio::select! {
        Ok(_) = states.wait_for(|state| !state.is_catching_up && state.doubt.is_none()) => {
            for mark in [CATCHING_UP, DOUBTFUL] {
                if let Err(error) = home.remove(mark) {
                    tracing::warn!(%error, "the mark of an older database stays behind; the next start asks others again");
                }
            }
        }
        () = stop.cancelled() => {}
    }
}

/// Writes down now and then how far the database has come, so that an older copy of it is known for one.
pub(super) async fn keep_high_water(
    home: Home,
    states: watch::Receiver<Arc<Published>>,
    identity: Arc<Identity>,
    stop: CancellationToken,
) {
    let mut written = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(HIGH_WATER_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        let published = states.borrow().clone();
        if published.log_size != written {
            write_high_water(&home, &published, &identity);
            written = published.log_size;
        }
    }
}

/// Writes down how far the database has come.
pub(super) fn write_high_water(home: &Home, published: &Published, identity: &Identity) {
    let seq = published.frontier.chain(&identity.keys.author.id(), 0).highest();
    if let Err(error) = home.write_high_water(published.log_size, seq) {
        // A full disk is told by the writer. An older mark is still a true one.
        tracing::debug!(%error, "how far the database has come was not written down");
    }
}
