//! Whether what clients saw of the registers can be put in one order: linearizability, register by register.
//!
//! The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) with Lowe's memory of what was tried
//! ("Testing for linearizability", 2017): of the operations that began before any other ended, one is taken as the next.
//! Every value is written by one operation only, so one that nobody learnt the fate of, and whose value nobody saw, never
//! needs to be placed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::message::{Came, OpId, Wish};

/// Operations on one register that the search can hold: bits of a word.
pub(super) const OPERATIONS_MAX: usize = 128;

/// Stands for any value that nobody saw.
const HIDDEN: u64 = u64::MAX;

/// What one client asked, and what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) key: u8,
    pub(super) wish: Wish,
    pub(super) began_ms: u64,
    /// When it was answered, and how; `None` if it never was.
    pub(super) ended: Option<(u64, Came)>,
}

/// All operations of a run.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) operations: BTreeMap<OpId, Operation>,
    /// Sent more than once, and so perhaps to two holders: that one of them deposed it says nothing of the other.
    pub(super) repeated: BTreeSet<OpId>,
}

/// What an operation does to a register, once it is known.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// The register has this value.
    Shows(Option<u64>),
    Writes(u64),
    /// It has the first value, then the second.
    Swaps(Option<u64>, u64),
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    effect: Effect,
    began_ms: u64,
    /// `u64::MAX` if it may take effect at any time later, or never.
    ended_ms: u64,
}

impl Operation {
    /// What it did or may have done; `None` if it did nothing that can be known.
    fn placed(&self, seen: &BTreeSet<u64>) -> Option<Placed> {
        let done =
            |effect| Some(Placed { effect, began_ms: self.began_ms, ended_ms: self.ended.map_or(u64::MAX, |e| e.0) });
        match (self.wish, self.ended.map(|(_, came)| came)) {
            (Wish::Read, Some(Came::Value(value))) => done(Effect::Shows(value)),
            (Wish::Swap(..), Some(Came::Otherwise(found))) => done(Effect::Shows(found)),
            (Wish::Put(value), Some(Came::Written)) => done(Effect::Writes(value)),
            (Wish::Swap(before, value), Some(Came::Written)) => done(Effect::Swaps(before, value)),
            (Wish::Put(value), None) if seen.contains(&value) => done(Effect::Writes(value)),
            (Wish::Swap(before, value), None) if seen.contains(&value) => done(Effect::Swaps(before, value)),
            _ => None,
        }
    }

    /// The value that it shows to have stood there.
    fn shows(&self) -> Option<u64> {
        match (self.wish, self.ended?.1) {
            (_, Came::Value(value) | Came::Otherwise(value)) | (Wish::Swap(value, _), Came::Written) => value,
            _ => None,
        }
    }
}

impl History {
    /// The first register that no order explains.
    pub(super) fn unexplained(&self) -> Option<u8> {
        let keys: BTreeSet<u8> = self.operations.values().map(|operation| operation.key).collect();
        keys.into_iter().find(|key| !self.is_linearizable(*key))
    }

    fn is_linearizable(&self, key: u8) -> bool {
        let of_key: Vec<_> = self.operations.values().filter(|operation| operation.key == key).collect();
        let mut seen: BTreeSet<u64> = of_key.iter().filter_map(|operation| operation.shows()).collect();
        // A swap of unknown fate whose value was seen shows, in turn, what stood there before.
        let swapped = of_key.iter().filter_map(|operation| match (operation.wish, operation.ended) {
            (Wish::Swap(Some(before), _), Some((_, Came::Written))) => Some(before),
            _ => None,
        });
        seen.extend(swapped.collect::<Vec<_>>());
        loop {
            let before = of_key.iter().filter_map(|operation| match (operation.wish, operation.ended) {
                (Wish::Swap(Some(before), value), None) if seen.contains(&value) => Some(before),
                _ => None,
            });
            let more: Vec<u64> = before.filter(|before| !seen.contains(before)).collect();
            if more.is_empty() {
                break;
            }
            seen.extend(more);
        }
        let placed: Vec<_> = of_key.iter().filter_map(|operation| operation.placed(&seen)).collect();
        is_ordered(&placed, &seen)
    }
}

/// The search over operations on one register: which are taken, and what stands there then.
struct Search<'a> {
    operations: &'a [Placed],
    /// Those that were answered, and so happened.
    must: u128,
    /// Writes whose value nobody saw: where one is taken, all that can be are, as each only hides the one before.
    unseen: u128,
}

fn is_ordered(operations: &[Placed], seen: &BTreeSet<u64>) -> bool {
    let those = |is_one: &dyn Fn(&Placed) -> bool| {
        operations.iter().enumerate().filter(|(_, op)| is_one(op)).map(|(at, _)| 1_u128 << at).sum()
    };
    let must = those(&|op| op.ended_ms < u64::MAX);
    let unseen = those(&|op| matches!(op.effect, Effect::Writes(value) if !seen.contains(&value)));
    let search = Search { operations, must, unseen };
    let mut tried = HashSet::new();
    let mut stack = vec![(0_u128, None::<u64>)];
    while let Some((taken, value)) = stack.pop() {
        if taken & must == must {
            return true;
        }
        if tried.insert((taken, value)) {
            search.next(taken, value, &mut stack);
        }
    }
    false
}

impl Search<'_> {
    fn next(&self, taken: u128, value: Option<u64>, stack: &mut Vec<(u128, Option<u64>)>) {
        let ready = self.ready(taken);
        // What only shows what is there now may come at once: whatever follows could follow it, too.
        let shows_now = |op: &Placed| matches!(op.effect, Effect::Shows(shown) if shown == value);
        if let Some((at, _)) = self.of(ready).find(|(_, op)| shows_now(op)) {
            return stack.push((taken | (1 << at), value));
        }
        let mut next: Vec<_> = self.of(ready & !self.unseen).collect();
        // The one that ended first is tried first, and so is pushed last.
        next.sort_unstable_by_key(|(_, op)| std::cmp::Reverse(op.ended_ms));
        let is_left = self.needs(taken, value);
        let hidden = self.hide(taken);
        if hidden != taken && !is_left {
            stack.push((hidden, Some(HIDDEN)));
        }
        for (at, op) in next {
            match op.effect {
                Effect::Writes(written) if !is_left => stack.push((hidden | (1 << at), Some(written))),
                Effect::Swaps(before, written) if before == value => {
                    let taken = taken | (1 << at);
                    if !self.needs(taken, value) {
                        stack.push((taken, Some(written)));
                    }
                }
                Effect::Shows(_) | Effect::Writes(_) | Effect::Swaps(..) => {}
            }
        }
    }

    fn of(&self, set: u128) -> impl Iterator<Item = (usize, &Placed)> {
        self.operations.iter().enumerate().filter(move |(at, _)| set & (1 << at) != 0)
    }

    /// Those that began before any other ended.
    fn ready(&self, taken: u128) -> u128 {
        let first_end = self.of(!taken).map(|(_, op)| op.ended_ms).min().unwrap_or(u64::MAX);
        self.of(!taken).filter(|(_, op)| op.began_ms <= first_end).map(|(at, _)| 1 << at).sum()
    }

    /// Takes unseen writes for as long as there are any.
    fn hide(&self, mut taken: u128) -> u128 {
        loop {
            let more = self.ready(taken) & self.unseen;
            if more == 0 {
                return taken;
            }
            taken |= more;
        }
    }

    /// Whether an answered operation is left that a value must stand there for: once it is gone it never comes back.
    fn needs(&self, taken: u128, value: Option<u64>) -> bool {
        self.of(self.must & !taken).any(|(_, op)| match op.effect {
            Effect::Shows(shown) => shown == value,
            Effect::Swaps(before, _) => before == value,
            Effect::Writes(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = (Wish, u64, Option<(u64, Came)>);

    fn history(operations: &[Told]) -> History {
        let operation = |(wish, began_ms, ended): &(Wish, u64, _)| Operation {
            key: 0,
            wish: *wish,
            began_ms: *began_ms,
            ended: *ended,
        };
        History { operations: (0..).zip(operations.iter().map(operation)).collect(), repeated: BTreeSet::new() }
    }

    fn shows(value: u64) -> Came {
        Came::Value(Some(value))
    }

    #[test]
    fn reads_in_the_order_of_writes_are_explained() {
        let good = history(&[
            (Wish::Put(1), 0, Some((10, Came::Written))),
            (Wish::Put(2), 5, Some((20, Came::Written))),
            (Wish::Read, 8, Some((12, shows(2)))),
            (Wish::Read, 13, Some((30, shows(1)))),
            (Wish::Swap(Some(1), 3), 31, Some((32, Came::Written))),
        ]);
        assert_eq!(good.unexplained(), None, "2, then 1, both open when they were read");
    }

    #[test]
    fn an_old_value_after_a_new_one_was_seen_is_noticed() {
        let stale = history(&[
            (Wish::Put(1), 0, Some((1, Came::Written))),
            (Wish::Put(2), 2, None),
            (Wish::Read, 3, Some((4, shows(2)))),
            (Wish::Read, 5, Some((6, shows(1)))),
        ]);
        assert_eq!(stale.unexplained(), Some(0));
    }

    #[test]
    fn a_lost_write_and_one_that_counts_though_it_was_said_not_to_are_noticed() {
        let lost =
            history(&[(Wish::Put(1), 0, Some((1, Came::Written))), (Wish::Read, 2, Some((3, Came::Value(None))))]);
        assert_eq!(lost.unexplained(), Some(0));
        let undead = history(&[(Wish::Put(1), 0, Some((1, Came::Deposed))), (Wish::Read, 2, Some((3, shows(1))))]);
        assert_eq!(undead.unexplained(), Some(0));
    }

    #[test]
    fn a_write_that_takes_effect_twice_is_noticed() {
        let twice = history(&[
            (Wish::Put(1), 0, None),
            (Wish::Read, 1, Some((2, shows(1)))),
            (Wish::Put(2), 3, Some((4, Came::Written))),
            (Wish::Read, 5, Some((6, shows(2)))),
            (Wish::Read, 7, Some((8, shows(1)))),
        ]);
        assert_eq!(twice.unexplained(), Some(0));
    }

    #[test]
    fn a_write_of_unknown_fate_may_take_effect_late_or_never() {
        let open =
            |read: Option<u64>| history(&[(Wish::Put(1), 0, None), (Wish::Read, 50, Some((60, Came::Value(read))))]);
        assert_eq!((open(None).unexplained(), open(Some(1)).unexplained()), (None, None));
    }
}
