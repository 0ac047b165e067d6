//! Clients that write all the time: numbered values of the seat at whoever answers, and ordinary ones at each node.
//!
//! A write that is not answered is sent again under its name, the seat's at the next node, an ordinary one at its own. Now
//! and then all clients rest for a moment, so that it can be seen whether the nodes agree.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::lattice::name;
use super::promises::Promises;
use crate::client::{ClientError, Level, Op, Receipt};
use crate::dataset::RESERVED_PREFIX;
use crate::process::{Node, Reached};
use crate::scenario::ledger::{Ledger, Numbered};
use crate::scenario::{ScenarioError, is_temporary};

/// Clients of the seat.
const SEAT_WRITERS: usize = 3;

/// Registers of one of them.
const REGISTERS: u64 = 4;

/// Between two writes of one client: together they keep five debug builds on two cores busy, but not late.
const SEAT_PAUSE: Duration = Duration::from_millis(60);
const ORDINARY_PAUSE: Duration = Duration::from_millis(120);

/// A request that takes longer is sent again: a takeover takes about so long, a paused node answers never.
const ATTEMPT: Duration = Duration::from_secs(3);

/// Between two attempts where nobody listens.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Each such write is sent once more after it was acknowledged.
const AGAIN_EVERY: u64 = 5;

/// What clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Write,
    Rest,
    Stop,
}

/// The clients and what they saw.
#[derive(Debug)]
pub(super) struct Load {
    nodes: Vec<watch::Receiver<Option<Reached>>>,
    seen: Mutex<Seen>,
    orders: watch::Receiver<Order>,
}

/// What was acknowledged.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) seat: Ledger,
    pub(super) ordinary: Promises,
}

impl Load {
    pub(super) fn on(nodes: &[Node], orders: watch::Receiver<Order>) -> Self {
        Self { nodes: nodes.iter().map(Node::subscribe).collect(), seen: Mutex::default(), orders }
    }

    /// What was seen so far. Not to be held while anything waits.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until told to stop; what is not acknowledged by then is promised to nobody.
    pub(super) async fn run(&self) -> Result<(), ScenarioError> {
        let at_seat = (0..SEAT_WRITERS).map(|writer| self.write_at_seat(writer));
        let ordinary = (0..self.nodes.len()).map(|node| self.write_ordinary(node));
        tokio::try_join!(try_join_all(at_seat), try_join_all(ordinary))?;
        Ok(())
    }

    /// One write at `shadow` once all is healed; it is judged with the others.
    pub(super) async fn probe(&self, limit: Duration) -> Result<(), ScenarioError> {
        let write = Numbered { level: Level::Shadow, key: "green/probe".into(), is_register: false, number: 0 };
        let acknowledged = tokio::time::timeout(limit, self.acknowledge_at_seat(&write, 0)).await;
        acknowledged.map_err(|_| ScenarioError::Seat("no write is acknowledged after healing".to_owned()))?
    }

    async fn write_at_seat(&self, writer: usize) -> Result<(), ScenarioError> {
        let mut pace = pace(SEAT_PAUSE);
        for number in 1_u64.. {
            pace.tick().await;
            if self.told().await == Order::Stop {
                break;
            }
            let write = numbered(writer, number);
            let (first, other) = (writer + usize::try_from(number / 8).unwrap_or(0), writer + 1);
            if self.unless_stopped(self.acknowledge_at_seat(&write, first)).await?.is_none() {
                break;
            }
            if number.is_multiple_of(AGAIN_EVERY) {
                self.unless_stopped(self.acknowledge_at_seat(&write, other)).await?;
            }
        }
        Ok(())
    }

    async fn write_ordinary(&self, node: usize) -> Result<(), ScenarioError> {
        let mut pace = pace(ORDINARY_PAUSE);
        for number in 1_u64.. {
            pace.tick().await;
            if self.told().await == Order::Stop {
                break;
            }
            let (key, value) = (format!("{RESERVED_PREFIX}chaos/{}/{number:06}", name(node)), number.to_string());
            let times = if number.is_multiple_of(AGAIN_EVERY) { 2 } else { 1 };
            for _ in 0..times {
                let acknowledged = self.unless_stopped(self.acknowledge_ordinary(node, &key, &value)).await?;
                if let Some(receipt) = acknowledged {
                    self.seen().ordinary.acknowledged(&key, &value, receipt.commit);
                }
            }
        }
        Ok(())
    }

    /// Sends a write of the seat to one node after the other until it is acknowledged.
    async fn acknowledge_at_seat(&self, write: &Numbered, first: usize) -> Result<(), ScenarioError> {
        let (value, name) = (write.number.to_string(), write.name());
        let mut node = first;
        loop {
            node = (node + 1) % self.nodes.len();
            let began = Instant::now();
            let put = async |reached: Reached| reached.client.put_at(write.level, &write.key, &value, &name).await;
            if let Some(receipt) = self.attempt(node, put).await? {
                self.seen().seat.acknowledged(write, receipt.commit, began, Instant::now());
                return Ok(());
            }
        }
    }

    /// Sends an ordinary write to its node until it is acknowledged: at another one it would be another commit.
    async fn acknowledge_ordinary(&self, node: usize, key: &str, value: &str) -> Result<Receipt, ScenarioError> {
        loop {
            let ops = [Op::put(key, value)];
            let commit = async |reached: Reached| reached.client.commit(&ops, Some(key)).await;
            if let Some(receipt) = self.attempt(node, commit).await? {
                return Ok(receipt);
            }
        }
    }

    /// One attempt; `None` if it may be made again.
    async fn attempt(
        &self,
        node: usize,
        send: impl AsyncFnOnce(Reached) -> Result<Receipt, ClientError>,
    ) -> Result<Option<Receipt>, ScenarioError> {
        let reached = self.nodes[node].borrow().clone();
        if let Some(reached) = reached {
            match tokio::time::timeout(ATTEMPT, send(reached)).await {
                Ok(Ok(receipt)) => return Ok(Some(receipt)),
                Ok(Err(error)) if is_temporary(&error) => {}
                Ok(Err(error)) => return Err(ScenarioError::Refused { node: name(node), error }),
                Err(_) => return Ok(None),
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
        Ok(None)
    }

    /// Waits while there is to be rest. A harness that has gone wants an end.
    async fn told(&self) -> Order {
        let mut orders = self.orders.clone();
        orders.wait_for(|order| *order != Order::Rest).await.map_or(Order::Stop, |order| *order)
    }

    /// What comes of it, or nothing if the order to stop came first.
    async fn unless_stopped<T>(
        &self,
        wanted: impl Future<Output = Result<T, ScenarioError>>,
    ) -> Result<Option<T>, ScenarioError> {
        let mut orders = self.orders.clone();
        tokio::select! {
            done = wanted => done.map(Some),
            _ = orders.wait_for(|order| *order == Order::Stop) => Ok(None),
        }
    }
}

fn pace(pause: Duration) -> tokio::time::Interval {
    let mut pace = tokio::time::interval(pause);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// By turns a key of its own, which shows a loss for ever, and a register, which shows an order.
fn numbered(writer: usize, number: u64) -> Numbered {
    let is_register = number.is_multiple_of(2);
    let key = match is_register {
        true => format!("green/register/{writer}/{}", number / 2 % REGISTERS),
        false => format!("green/once/{writer}/{number:06}"),
    };
    Numbered { level: Level::Shadow, key, is_register, number }
}
