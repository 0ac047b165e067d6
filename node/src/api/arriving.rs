//! Bodies of strangers, who show no token, while they arrive: places of their own, and little time.
//!
//! Each holds its connection meanwhile, and there are few of those. Where no place is left, the body that has been arriving
//! longest gives way: an honest one is here at once, and so is never the oldest for long, whoever else sends slowly.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use tokio_util::sync::CancellationToken;

use super::body::Body;
use super::problem::{Kind, Problem};

/// Bodies of strangers at once: an eighth of all connections, so that reads go on beside them (a guess).
pub const ARRIVING_MAX: usize = 32;

/// Time in which such a body must have arrived. A checkpoint with its proof has a few kilobytes and most often comes with the
/// request's head: this is some ten round trips of the slowest links, and a tenth of what it took to keep the API busy.
pub const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The places.
#[derive(Clone, Default)]
pub(super) struct Arriving {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// In the order in which they began.
    under_way: BTreeMap<u64, CancellationToken>,
}

/// A place, given back when it is dropped.
struct Place {
    number: u64,
    arriving: Arriving,
    gives_way: CancellationToken,
}

impl Arriving {
    /// Reads a stranger's body.
    ///
    /// # Errors
    ///
    /// A [`Problem`] if it is too long or too slow, or gave way to others.
    pub(super) async fn body(&self, request: Request) -> Result<Bytes, Problem> {
        let place = self.take();
        tokio::select! {
            biased;
            read = Body::within(ARRIVAL_TIMEOUT, request, &()) => read.map(|Body(bytes)| bytes),
            () = place.gives_way.cancelled() => {
                Err(Problem::new(Kind::Busy, "others came while the body of this request was still to arrive"))
            }
        }
    }

    fn take(&self) -> Place {
        let gives_way = CancellationToken::new();
        let mut table = self.lock();
        while table.under_way.len() >= ARRIVING_MAX
            && let Some((_, oldest)) = table.under_way.pop_first()
        {
            oldest.cancel();
        }
        let number = table.next;
        table.next += 1;
        table.under_way.insert(number, gives_way.clone());
        Place { number, arriving: self.clone(), gives_way }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.arriving.lock().under_way.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::body::Body as Sent;
    use axum::http::StatusCode;

    use super::*;

    fn silent() -> Request {
        Request::new(Sent::from_stream(futures::stream::pending::<io::Result<Bytes>>()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_given_up() {
        let late = Arriving::default().body(silent()).await.expect_err("nothing came");
        assert_eq!(late.status(), StatusCode::REQUEST_TIMEOUT);
        assert!(late.view().detail.contains("within 5 seconds"), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_gives_way_and_who_sends_at_once_is_read() {
        let arriving = Arriving::default();
        let slow = |_| {
            let arriving = arriving.clone();
            tokio::spawn(async move { arriving.body(silent()).await })
        };
        let mut slow: Vec<_> = (0..ARRIVING_MAX).map(slow).collect();
        while arriving.lock().under_way.len() < ARRIVING_MAX {
            tokio::task::yield_now().await;
        }
        let read = arriving.body(Request::new(Sent::from("all of it"))).await;
        assert_eq!(read.as_deref(), Ok(b"all of it".as_slice()));
        let first = slow.remove(0).await.expect("no panic").expect_err("it gave way");
        assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(slow.iter().all(|other| !other.is_finished()), "one is enough");
        for other in slow {
            other.abort();
            let _ = other.await;
        }
        assert!(arriving.lock().under_way.is_empty(), "every place came back");
    }
}
