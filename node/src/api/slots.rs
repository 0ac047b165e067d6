//! Places for connections: how many there are, how many of them one address may take, and who gives way.
//!
//! Strangers elsewhere can't take the places of this machine's own clients, nor one of them those of all others. Where
//! no place is left, the connection that has been idle longest is closed: a new client asks something at once, and one
//! that holds connections for later can open them again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use hyper::body::{Bytes, Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connections at once. Memory: some 100 KiB each while they are served (a guess), a few MiB for those that read the
/// largest pages.
pub const CONNECTIONS_MAX: usize = 256;

/// Of these, connections from other machines: the rest is for clients on this one.
const REMOTE_MAX: usize = 192;

/// Connections of one other address: a browser has six, a node two, and some share an address.
const ADDRESS_MAX: usize = 32;

/// All places of one listening address.
#[derive(Clone, Default)]
pub(super) struct Slots {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    next: u64,
    held: BTreeMap<u64, Held>,
}

struct Held {
    address: IpAddr,
    /// Since when it is between two requests; `None` while it is served.
    idle_since: Option<Instant>,
    close: CancellationToken,
}

/// A place, given back when it is dropped.
pub(super) struct Slot {
    number: u64,
    slots: Slots,
    /// Fires when the connection is to give way.
    pub(super) close: CancellationToken,
}

/// Held from the head of a request to the last byte of its answer.
pub(super) struct Busy {
    number: u64,
    slots: Slots,
}

impl Slots {
    /// A place for a connection from `address`; `None` if all that it might get are busy.
    pub(super) fn take(&self, address: IpAddr) -> Option<Slot> {
        let address = address.to_canonical();
        let mut table = self.lock();
        let is_own = |held: &Held| held.address == address;
        let is_remote = |held: &Held| !held.address.is_loopback();
        if !address.is_loopback() {
            table.make_room(ADDRESS_MAX, is_own)?;
            table.make_room(REMOTE_MAX, is_remote)?;
        }
        table.make_room(CONNECTIONS_MAX, |_| true)?;
        let (number, close) = (table.next, CancellationToken::new());
        table.next += 1;
        table.held.insert(number, Held { address, idle_since: Some(Instant::now()), close: close.clone() });
        Some(Slot { number, slots: self.clone(), close })
    }

    fn mark(&self, number: u64, idle_since: Option<Instant>) {
        if let Some(held) = self.lock().held.get_mut(&number) {
            held.idle_since = idle_since;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Makes sure that fewer than `limit` of the connections that `counts` picks are there.
    fn make_room(&mut self, limit: usize, counts: impl Fn(&Held) -> bool) -> Option<()> {
        let counted = || self.held.iter().filter(|(_, held)| counts(held));
        if counted().count() < limit {
            return Some(());
        }
        let idle = counted().filter_map(|(number, held)| Some((held.idle_since?, *number)));
        let (_, number) = idle.min()?;
        self.held.remove(&number)?.close.cancel();
        Some(())
    }
}

impl Slot {
    /// The connection is served from now on.
    pub(super) fn busy(&self) -> Busy {
        self.slots.mark(self.number, None);
        Busy { number: self.number, slots: self.slots.clone() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().held.remove(&self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.slots.mark(self.number, Some(Instant::now()));
    }
}

/// The body of an answer, which keeps its connection busy to the end.
pub(super) struct BusyBody {
    pub(super) body: Body,
    pub(super) _busy: Busy,
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn remote(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, n).into()
    }

    /// Takes as many places as are given to busy connections.
    fn busy(slots: &Slots, addresses: impl Iterator<Item = IpAddr>) -> Vec<(Slot, Busy)> {
        addresses
            .map_while(|address| slots.take(address))
            .map(|slot| (slot.busy(), slot))
            .map(|(b, s)| (s, b))
            .collect()
    }

    #[test]
    fn strangers_leave_places_for_each_other_and_for_this_machine() {
        let slots = Slots::default();
        let first = busy(&slots, std::iter::repeat(remote(1)));
        assert_eq!(first.len(), ADDRESS_MAX);
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into();
        assert!(slots.take(mapped).is_none(), "the same machine");
        let others = busy(&slots, (2..=255).map(remote));
        assert_eq!(first.len() + others.len(), REMOTE_MAX);
        let own = busy(&slots, std::iter::repeat(LOCAL));
        assert_eq!(own.len(), CONNECTIONS_MAX - REMOTE_MAX);
        drop((first, others, own));
        assert!(slots.lock().held.is_empty(), "every place came back");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_idle_longest_gives_way() {
        // 256 connections that asked something once a second kept every other client out for as long as they liked.
        let slots = Slots::default();
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            held.push(slots.take(LOCAL).expect("room"));
            tokio::time::advance(std::time::Duration::from_millis(1)).await;
        }
        // The first is being served, the second was a moment ago.
        let serving = held[0].busy();
        drop(held[1].busy());
        let new = slots.take(LOCAL).expect("the third gives way");
        let closed: Vec<_> = held.iter().take(4).map(|slot| slot.close.is_cancelled()).collect();
        assert_eq!(closed, [false, false, true, false]);
        drop((serving, new));
    }
}
