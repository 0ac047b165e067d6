//! Clients that write numbered values of the seat at plain members all the time, and ordinary ones at its holder.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::client::{ClientError, Level, Op};
use crate::dataset::RESERVED_PREFIX;
use crate::deadline;
use crate::process::{Node, Reached};
use crate::scenario::ledger::{Ledger, Numbered};
use crate::scenario::{ScenarioError, is_temporary};

/// Writers at each level, and the pause between two writes of one: 130 writes a second keep five debug builds on two cores
/// busy, but not late.
const WRITERS: [(Level, u64); 6] = [
    (Level::Shadow, 30),
    (Level::Shadow, 30),
    (Level::Shadow, 50),
    (Level::Quorum, 100),
    (Level::Local, 50),
    (Level::Local, 70),
];

/// Registers of one writer.
const REGISTERS: u64 = 4;

/// Each such write is sent at both members at once, and each such one sent again later.
const TWICE_EVERY: u64 = 7;
const AGAIN_EVERY: u64 = 5;

/// A write that took this long waited for a takeover: what was acknowledged before it is sent again.
const TAKEOVER: Duration = Duration::from_millis(400);

/// Between two ordinary writes at the holder.
const ORDINARY_PAUSE: Duration = Duration::from_millis(50);

/// The clients and what they saw.
#[derive(Debug)]
pub(super) struct Load {
    nodes: Vec<watch::Receiver<Option<Reached>>>,
    members: [usize; 2],
    holder: watch::Sender<usize>,
    ledger: Mutex<Ledger>,
    patience: Duration,
    stop: watch::Receiver<bool>,
}

impl Load {
    pub(super) fn on(nodes: &[Node], members: [usize; 2], patience: Duration, stop: watch::Receiver<bool>) -> Self {
        let nodes = nodes.iter().map(Node::subscribe).collect();
        Self { nodes, members, holder: watch::Sender::new(0), ledger: Mutex::default(), patience, stop }
    }

    /// What was seen so far. Not to be held while anything waits.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where ordinary writes go from now on.
    pub(super) fn holder_is(&self, node: usize) {
        self.holder.send_replace(node);
    }

    /// Writes until asked to stop.
    pub(super) async fn run(&self) -> Result<(), ScenarioError> {
        let writers = WRITERS.iter().enumerate().map(|(writer, (level, pause))| self.write(writer, *level, *pause));
        tokio::try_join!(try_join_all(writers), self.write_ordinary())?;
        Ok(())
    }

    /// One write at `shadow` beside the others.
    pub(super) async fn probe(&self, name: &str) -> Result<(), ScenarioError> {
        let key = format!("green/probe/{name}");
        let write = Numbered { level: Level::Shadow, key, is_register: false, number: 0 };
        self.acknowledge(&write, self.members[0]).await
    }

    async fn write(&self, writer: usize, level: Level, pause_ms: u64) -> Result<(), ScenarioError> {
        let mut pace = tokio::time::interval(Duration::from_millis(pause_ms));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (here, there) = (self.members[writer % 2], self.members[(writer + 1) % 2]);
        let mut before: Option<Numbered> = None;
        for number in 1_u64.. {
            pace.tick().await;
            if *self.stop.borrow() {
                break;
            }
            let write = numbered(writer, level, number);
            let began = Instant::now();
            if level == Level::Local {
                // Sent again after a takeover it may rightly be another commit.
                self.acknowledge(&write, here).await?;
                continue;
            }
            if number.is_multiple_of(TWICE_EVERY) {
                tokio::try_join!(self.acknowledge(&write, here), self.acknowledge(&write, there))?;
            } else {
                self.acknowledge(&write, here).await?;
            }
            if let Some(before) = &before
                && (number.is_multiple_of(AGAIN_EVERY) || began.elapsed() > TAKEOVER)
            {
                self.acknowledge(before, there).await?;
            }
            before = Some(write);
        }
        Ok(())
    }

    /// Sends a write until it is acknowledged, and notes when.
    async fn acknowledge(&self, write: &Numbered, member: usize) -> Result<(), ScenarioError> {
        let (value, name) = (write.number.to_string(), write.name());
        let answered = deadline::until(self.patience, async || {
            let Some(reached) = self.nodes[member].borrow().clone() else {
                return Err("it does not run".to_owned());
            };
            let began = Instant::now();
            let answer = reached.client.put_at(write.level, &write.key, &value, &name).await;
            let at = Instant::now();
            match answer {
                Ok(receipt) => {
                    self.ledger().acknowledged(write, receipt.commit, began, at);
                    Ok(Ok(()))
                }
                Err(error) => {
                    self.ledger().refused(write, at, &error.to_string());
                    if is_temporary(&error) { Err(error.to_string()) } else { Ok(Err(error)) }
                }
            }
        });
        let node = || format!("node-{}", member + 1);
        let answered = answered.await.map_err(|late| ScenarioError::Silent { node: node(), late })?;
        answered.map_err(|error: ClientError| ScenarioError::Refused { node: node(), error })
    }

    /// Ordinary writes at whoever holds the seat: those that nobody else has when it is killed must come back with it.
    async fn write_ordinary(&self) -> Result<(), ScenarioError> {
        let mut pace = tokio::time::interval(ORDINARY_PAUSE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 1_u64.. {
            pace.tick().await;
            if *self.stop.borrow() {
                break;
            }
            let holder = *self.holder.borrow();
            let Some(reached) = self.nodes[holder].borrow().clone() else { continue };
            let (key, value) = (format!("{RESERVED_PREFIX}ordinary/{number:06}"), format!("at {holder}"));
            // Another one follows: it is not sent again, at another node it would be another commit.
            if reached.client.commit(&[Op::put(&key, &value)], None).await.is_ok() {
                self.ledger().ordinary(key, value);
            }
        }
        Ok(())
    }
}

/// By turns a key of its own, which shows a loss for ever, and a register, which shows an order. What is acknowledged at
/// `local` may be lost, so that registers would show nothing.
fn numbered(writer: usize, level: Level, number: u64) -> Numbered {
    let is_register = level != Level::Local && number.is_multiple_of(2);
    let key = match is_register {
        true => format!("green/register/{writer}/{}", number / 2 % REGISTERS),
        false => format!("green/once/{writer}/{number:06}"),
    };
    Numbered { level, key, is_register, number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_and_keys_of_one_number_take_turns() {
        let keys: Vec<String> = (1..=4).map(|number| numbered(2, Level::Shadow, number).key).collect();
        assert_eq!(
            keys,
            ["green/once/2/000001", "green/register/2/1", "green/once/2/000003", "green/register/2/2"]
                .map(String::from)
        );
        assert!(!numbered(2, Level::Local, 2).is_register);
    }
}
