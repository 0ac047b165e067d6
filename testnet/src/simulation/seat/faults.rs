//! What goes wrong and when it ends.

use node_core::seat::event::Order;

use super::message::NodeIndex;
use super::node::Input;
use super::setup::{Quality, Trouble};
use super::world::{Happening, World};
use crate::simulation::oracle::Holds;

/// Milliseconds that trouble lasts; a lease lasts 1500.
const TROUBLE_MS: (u64, u64) = (200, 9_000);

/// The end of one trouble, if no other of its kind came after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relief {
    what: Trouble,
    node: NodeIndex,
    number: u64,
}

impl World {
    /// Something goes wrong.
    pub(super) fn trouble(&mut self) -> Holds {
        if self.is_healed {
            return Ok(());
        }
        let pause_ms = self.random.between(1, 2 * self.setup.trouble_each_ms);
        self.schedule(pause_ms, Happening::Trouble);
        let lasts_ms = self.random.between(TROUBLE_MS.0, TROUBLE_MS.1);
        // The interesting ones are hit more often.
        let any = usize::try_from(self.random.below(self.machines.len() as u64)).unwrap_or(0);
        let holder = self.highest().map(|body| self.index_of(&body.holder));
        let node = holder.filter(|_| self.random.per_mille(400)).unwrap_or(any);
        let Some(what) = self.random.pick(&self.setup.troubles).copied() else { return Ok(()) };
        self.trace.note(self.now_ms, format_args!("trouble: {what:?} at {node} for {lasts_ms} ms"));
        match what {
            Trouble::Partition => self.part(node),
            Trouble::Pause => {
                self.machines[node].stopped.get_or_insert_default();
            }
            Trouble::Crash => self.crash(node)?,
            Trouble::BadLinks => self.quality = Quality::BAD,
            Trouble::SlowDisk => self.machines[node].is_slow = true,
            Trouble::DiskLoss => return self.lose_disk(),
            Trouble::Switchover | Trouble::ChangeShadow | Trouble::PauseSeat => return self.order(what),
        }
        let place = if matches!(what, Trouble::Partition | Trouble::BadLinks) { 0 } else { node };
        let number = self.reliefs.entry((what as u8, place)).or_default();
        *number += 1;
        let relief = Relief { what, node: place, number: *number };
        self.schedule(lasts_ms, Happening::Relief(relief));
        Ok(())
    }

    pub(super) fn relieve(&mut self, relief: Relief) -> Holds {
        let Relief { what, node, number } = relief;
        if self.is_healed || self.reliefs.get(&(what as u8, node)) != Some(&number) {
            return Ok(());
        }
        self.trace.note(self.now_ms, format_args!("relief: {what:?} at {node}"));
        match what {
            Trouble::Partition => self.cuts.clear(),
            Trouble::Pause => return self.wake(node),
            Trouble::Crash => self.start(node),
            Trouble::BadLinks => self.quality = self.setup.quality,
            Trouble::SlowDisk => self.machines[node].is_slow = false,
            Trouble::DiskLoss | Trouble::Switchover | Trouble::ChangeShadow | Trouble::PauseSeat => {}
        }
        Ok(())
    }

    /// Cuts a node, or a group, off from the rest, one way or both; or one link alone.
    fn part(&mut self, node: NodeIndex) {
        let both_ways = self.random.per_mille(650);
        let is_link = self.random.per_mille(250);
        let mut here = vec![node];
        let mut there = Vec::new();
        for other in (0..self.machines.len()).filter(|other| *other != node) {
            if self.random.per_mille(300) { here.push(other) } else { there.push(other) }
        }
        if is_link {
            here.truncate(1);
            there.truncate(1);
        }
        if self.random.per_mille(700) {
            self.cuts.clear();
        }
        for (a, b) in here.iter().flat_map(|a| there.iter().map(move |b| (*a, *b))) {
            let (a, b) = if self.random.per_mille(500) || both_ways { (a, b) } else { (b, a) };
            self.cuts.insert((a, b));
            if both_ways {
                self.cuts.insert((b, a));
            }
        }
    }

    /// A node that won a term is cut off from all before anyone hears of it, and goes down soon.
    pub(super) fn cut_off(&mut self, node: NodeIndex) {
        self.trace.note(self.now_ms, format_args!("{node} is cut off"));
        for other in (0..self.machines.len()).filter(|other| *other != node) {
            self.cuts.extend([(node, other), (other, node)]);
        }
        let delay_ms = self.random.between(50, 1_500);
        self.schedule(delay_ms, Happening::Ambush(node));
    }

    pub(super) fn ambush(&mut self, node: NodeIndex) -> Holds {
        if self.is_healed {
            return Ok(());
        }
        self.crash(node)?;
        self.cuts.clear();
        let what = Trouble::Crash;
        let number = self.reliefs.entry((what as u8, node)).or_default();
        *number += 1;
        let (relief, lasts_ms) = (Relief { what, node, number: *number }, self.random.between(5_000, 25_000));
        self.schedule(lasts_ms, Happening::Relief(relief));
        Ok(())
    }

    /// A node that was stopped goes on: it takes in at once what came meanwhile.
    pub(super) fn wake(&mut self, node: NodeIndex) -> Holds {
        let waiting = self.machines[node].stopped.take();
        waiting.unwrap_or_default().into_iter().try_for_each(|input| self.give(node, input))
    }

    /// The holder's disk is gone for good, once in a run, and only where the seat promised to survive it: what its term began
    /// with is at its shadow, too.
    fn lose_disk(&mut self) -> Holds {
        let Some(body) = self.highest() else { return Ok(()) };
        let (holder, shadow) = (self.index_of(&body.holder), body.shadow.map(|shadow| self.index_of(&shadow)));
        let Some(shadow) = shadow.filter(|_| self.machines.iter().all(|machine| !machine.is_lost)) else {
            return Ok(());
        };
        let held = |node: NodeIndex| {
            let disk = self.machines[node].disk();
            move |place: &(u64, u64)| disk.staged.contains_key(place) || disk.applied.contains_key(place)
        };
        let position = self.machines[shadow].disk().position(body.term);
        let is_in_term = position.is_some_and(|at| at.holds_opening_cut && at.log_size >= body.log_size);
        if !is_in_term || !self.oracle.promised().all(held(shadow)) {
            return Ok(());
        }
        self.trace.note(self.now_ms, format_args!("{holder} loses its disk"));
        self.figures.lost += 1;
        self.crash(holder)?;
        self.machines[holder].is_lost = true;
        Ok(())
    }

    /// An operator gives an order.
    fn order(&mut self, what: Trouble) -> Holds {
        let Some(body) = self.highest() else { return Ok(()) };
        let holder = self.index_of(&body.holder);
        match what {
            Trouble::Switchover => self.give(holder, Input::Order(Order::Switchover)),
            Trouble::PauseSeat => {
                let for_ms = self.random.between(500, 6_000);
                (0..self.machines.len()).try_for_each(|node| self.give(node, Input::Order(Order::Pause { for_ms })))
            }
            Trouble::ChangeShadow
            | Trouble::Partition
            | Trouble::Pause
            | Trouble::Crash
            | Trouble::BadLinks
            | Trouble::SlowDisk
            | Trouble::DiskLoss => self.change_shadow(holder),
        }
    }

    /// Names other mirrors, among the nodes whose disks are whole.
    pub(super) fn change_shadow(&mut self, holder: NodeIndex) -> Holds {
        let mut others: Vec<_> =
            (0..self.machines.len()).filter(|node| *node != holder && !self.machines[*node].is_lost).collect();
        let count = 1 + usize::try_from(self.random.below(2)).unwrap_or(0);
        let mut chosen = Vec::new();
        while chosen.len() < count && !others.is_empty() {
            let at = usize::try_from(self.random.below(others.len() as u64)).unwrap_or(0);
            chosen.push(self.authors[others.swap_remove(at)]);
        }
        let Some((shadow, spares)) = chosen.split_first() else { return Ok(()) };
        self.give(holder, Input::Order(Order::ChangeShadow { shadow: *shadow, spares: spares.to_vec() }))
    }

    pub(super) fn index_of(&self, author: &lattice::ids::AuthorId) -> NodeIndex {
        self.authors.iter().position(|known| known == author).unwrap_or(0)
    }

    /// Ends all trouble, but for a disk that is gone.
    pub(super) fn heal(&mut self) -> Holds {
        self.is_healed = true;
        self.trace.note(self.now_ms, format_args!("healed"));
        self.cuts.clear();
        self.quality = Quality::GOOD;
        self.served_ms = self.now_ms;
        for node in 0..self.machines.len() {
            self.machines[node].is_slow = false;
            self.wake(node)?;
            self.start(node);
        }
        Ok(())
    }
}
