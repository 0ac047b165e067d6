//! Small tasks that carry something from one part of the node to another.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::home::{CATCHING_UP, Home};
use crate::net::{Command, NetHandle};
use crate::writer::Published;

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

/// Removes the mark of a lost database once the writer knows what it signed before.
pub(super) async fn forget_catching_up(
    home: Home,
    mut states: watch::Receiver<Arc<Published>>,
    stop: CancellationToken,
) {
    tokio::select! {
        Ok(_) = states.wait_for(|state| !state.is_catching_up) => match home.remove(CATCHING_UP) {
            Ok(()) => tracing::info!("caught up with a peer; this node writes again"),
            Err(error) => tracing::warn!(%error, "the mark of a lost database stays behind"),
        },
        () = stop.cancelled() => {}
    }
}
