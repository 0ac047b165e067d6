//! Clients: what is asked of which node, and what was told.

use super::history::{OPERATIONS_MAX, Operation};
use super::message::{Came, OpId, Wish};
use super::node::Input;
use super::world::{Happening, World};
use crate::simulation::oracle::Holds;

/// Operations on one register: some bits are left for the last look.
const ASKED_MAX: usize = OPERATIONS_MAX - 4;

/// Milliseconds until a client comes again.
const AGAIN_MS: u64 = 3_000;

impl World {
    /// A client asks a node that is up for something.
    pub(super) fn somebody_asks(&mut self) -> Holds {
        if self.is_healed {
            return Ok(());
        }
        let pause_ms = self.random.between(1, 2 * self.setup.ask_each_ms);
        self.schedule(pause_ms, Happening::Ask);
        let key = u8::try_from(self.random.below(u64::from(self.setup.keys))).unwrap_or(0);
        let asked = self.history.operations.values().filter(|operation| operation.key == key).count();
        let up: Vec<_> = (0..self.machines.len()).filter(|node| self.machines[*node].node.is_some()).collect();
        let Some(node) = self.random.pick(&up).copied().filter(|_| asked < ASKED_MAX) else { return Ok(()) };
        let op = self.history.operations.len() as OpId + 1;
        let wish = match self.random.below(10) {
            0..=3 => Wish::Read,
            4..=6 => Wish::Put(op),
            _ => Wish::Swap(self.somebody_saw(key), op),
        };
        self.trace.note(self.now_ms, format_args!("operation {op}: {key} {wish:?} at {node}"));
        self.history.operations.insert(op, Operation { key, wish, began_ms: self.now_ms, ended: None });
        self.give(node, Input::Wish { op, key, wish })
    }

    /// A client comes again with what nobody took in time.
    pub(super) fn ask_again(&mut self, op: OpId) {
        let delay_ms = self.random.between(1, AGAIN_MS);
        self.schedule(delay_ms, Happening::AskAgain(op));
    }

    pub(super) fn somebody_asks_again(&mut self, op: OpId) -> Holds {
        let node = usize::try_from(self.random.below(self.machines.len() as u64)).unwrap_or(0);
        let Some(Operation { key, wish, .. }) = self.history.operations.get(&op).copied() else { return Ok(()) };
        if self.is_healed {
            return Ok(());
        }
        self.history.repeated.insert(op);
        self.give(node, Input::Wish { op, key, wish })
    }

    /// The value of a register that was seen last, as a client would compare with it.
    fn somebody_saw(&self, key: u8) -> Option<u64> {
        let of_key = self.history.operations.values().filter(|operation| operation.key == key);
        let seen = of_key.filter_map(|operation| match (operation.ended, operation.wish) {
            (Some((at, Came::Value(value) | Came::Otherwise(value))), _) => Some((at, value)),
            (Some((at, Came::Written)), Wish::Put(value) | Wish::Swap(_, value)) => Some((at, Some(value))),
            _ => None,
        });
        seen.max_by_key(|(at, _)| *at).and_then(|(_, value)| value)
    }

    /// A client is answered.
    pub(super) fn done(&mut self, op: OpId, came: Came) {
        self.trace.note(self.now_ms, format_args!("operation {op}: {came:?}"));
        let now_ms = self.now_ms;
        if came == Came::Deposed && self.history.repeated.contains(&op) {
            return;
        }
        if let Some(operation) = self.history.operations.get_mut(&op) {
            operation.ended.get_or_insert((now_ms, came));
        }
        self.figures.answered += 1;
        self.figures.deposed += u64::from(came == Came::Deposed);
    }

    /// At the end the registers are read once more, all at one moment.
    pub(super) fn read_all(&mut self, holder: usize) {
        for key in 0..self.setup.keys {
            let value = self.machines[holder].disk().registers.get(&key).map(|(_, value)| *value);
            let op = self.history.operations.len() as OpId + 1;
            let (began_ms, ended) = (self.now_ms + 1, Some((self.now_ms + 2, Came::Value(value))));
            self.history.operations.insert(op, Operation { key, wish: Wish::Read, began_ms, ended });
        }
    }
}
