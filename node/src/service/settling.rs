//! Writes that come in the first moments of a start wait for what the node waits for.

use node_core::resume::Doubt;

use super::Service;

impl Service {
    /// Waits for what every start waits for, which is soon over: a client that comes in these seconds is not refused.
    pub(super) async fn settled_start(&self) {
        let mut states = self.states();
        let is_settled = states.wait_for(|state| state.doubt != Some(Doubt::Usual));
        tokio::select! {
            // An error means that the writer is gone, which the job is answered with.
            _ = is_settled => {}
            () = self.inner.stop.cancelled() => {}
        }
    }
}
