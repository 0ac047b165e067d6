//! Being asked to stop, from wherever: whoever waits for it can clean up, which a process that just dies cannot.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, SIGTERM, or a terminal that was closed.
#[derive(Debug)]
pub struct StopRequest {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl StopRequest {
    /// Listens from now on: what came before is not noticed.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until asked.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
