//! What auditors get from this node: a log that is signed while it grows, and proofs made from it.
//!
//! Formats and judgements are those of `lattice::log` and `lattice::bundle`.
//!
//! # Reading order
//!
//! 1. [`keep_signed`]: checkpoints in time. [`proofs`]: what is shown at them.
//! 2. [`cosigning`]: our checkpoints before others' eyes, and [`asking`]: several at once. [`asked`]: others' before ours,
//!    and `recalling`: what of them may be forgotten.
//! 3. [`board`]: what is known of all. [`comparing`]: whether that is one history of each.

pub mod proofs;
pub mod cosigning;
pub mod asking;
pub mod asked;
mod recalling;
pub mod board;
pub mod comparing;

pub use board::Board;

use std::time::Duration;

use http_fallback::client::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::service::Service;
use crate::settings::Settings;
use crate::writer::WriterHandle;
use crate::writer::job::Job;

/// What this node knows and does about logs, its own and others'. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    /// Store, network and keys.
    pub service: Service,
    /// What was heard of all logs.
    pub board: Board,
    /// Asks members that libp2p does not reach.
    pub client: Client,
}

impl Audit {
    fn writer(&self) -> &WriterHandle {
        &self.service.inner.writer
    }
}

/// Has the log signed whenever it has grown, but never twice within the interval of the settings.
pub async fn keep_signed(writer: WriterHandle, settings: watch::Receiver<Settings>, stop: CancellationToken) {
    let mut states = writer.watch();
    loop {
        let signing = async {
            let grown =
                states.wait_for(|state| state.may_sign && state.log_size > state.checkpoint_size()).await.is_ok();
            // A writer that is gone, or a disk that takes nothing, is told elsewhere; the next round tries again.
            if grown {
                writer.send(Job::Checkpoint).await;
            }
            let interval_ms = settings.borrow().checkpoint_ms;
            tokio::time::sleep(Duration::from_millis(interval_ms)).await;
        };
        tokio::select! {
            () = signing => {}
            () = stop.cancelled() => return,
        }
    }
}
