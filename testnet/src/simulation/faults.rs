//! What goes wrong and when it ends, who writes, and what the admin does meanwhile.

use std::collections::BTreeMap;

use lattice::membership::Change;
use lattice::op::Op;

use super::message::{Body, NodeIndex, Road};
use super::network::Quality;
use super::node::Input;
use super::oracle::Holds;
use super::setup::{self, Healing, Trouble};
use super::world::{Happening, World};

/// Milliseconds that trouble lasts, at least and at most.
const TROUBLE_MS: (u64, u64) = (500, 25_000);

/// Milliseconds between two looks of the admin at the membership.
const ADMINISTER_MS: u64 = 7_000;

/// Milliseconds beyond the allowed drift that a clock may be off, either way: what was written by it is let in before
/// the run is over.
const BEYOND_DRIFT_MS: u64 = 20_000;

/// Milliseconds between two lies.
const LIE_MS: (u64, u64) = (500, 4_000);

/// Milliseconds that a slow disk takes for a transaction.
const SLOW_DISK_MS: (u64, u64) = (200, 5_000);

/// The end of one trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Relief {
    Mend(u64),
    Restart(NodeIndex, u64),
    Clock(NodeIndex, u64),
    Disk(NodeIndex, u64),
    Links(u64),
}

/// How often each kind of trouble came: a relief is only for the one it was planned with.
#[derive(Debug, Default)]
pub(crate) struct Reliefs {
    latest: BTreeMap<(u8, u8), u64>,
}

impl Reliefs {
    /// Counts a trouble of a kind at a place.
    fn count(&mut self, kind: u8, place: u8) -> u64 {
        let latest = self.latest.entry((kind, place)).or_default();
        *latest += 1;
        *latest
    }

    fn is_latest(&self, relief: Relief) -> bool {
        let (key, number) = match relief {
            Relief::Mend(number) => ((0, 0), number),
            Relief::Restart(node, number) => ((1, node.0), number),
            Relief::Clock(node, number) => ((2, node.0), number),
            Relief::Disk(node, number) => ((3, node.0), number),
            Relief::Links(number) => ((4, 0), number),
        };
        self.latest.get(&key) == Some(&number)
    }
}

impl World {
    /// A client writes at some node: few keys, so that writers meet.
    pub(crate) fn somebody_writes(&mut self) -> Holds {
        if self.is_healed {
            return Ok(());
        }
        let pause_ms = self.random.between(1, 2 * self.setup.write_each_ms);
        self.schedule(pause_ms, Happening::Write);
        let node = self.any_node();
        let ops = self.some_ops();
        self.give(node, Input::Write(ops))
    }

    fn some_ops(&mut self) -> Vec<Op> {
        let count = if self.random.per_mille(600) { 1 } else { self.random.between(1, self.setup.ops_max) };
        let mut ops = BTreeMap::new();
        for _ in 0..count {
            let key = format!("key/{}", self.random.below(self.setup.keys));
            let op = if self.random.per_mille(100) {
                Op::delete(&key)
            } else {
                Op::put(&key, &self.random.next().to_le_bytes())
            };
            ops.extend(op.ok().map(|op| (key, op)));
        }
        ops.into_values().collect()
    }

    fn any_node(&mut self) -> NodeIndex {
        NodeIndex(u8::try_from(self.random.below(self.machines.len() as u64)).unwrap_or(0))
    }

    /// The admin sees to it that the late member is in and the revoked one is out, as far as its own state shows.
    pub(crate) fn administer(&mut self) -> Holds {
        self.schedule(ADMINISTER_MS, Happening::Administer);
        let Some(admin) = &self.machines[0].node else { return Ok(()) };
        let membership = &admin.state.membership;
        let author = |node: NodeIndex| self.machines[node.place()].identity.author;
        let late = self.setup.late.filter(|late| membership.member(&author(*late)).is_none());
        let revoked = self.setup.revoked.map(author).filter(|author| membership.is_active(author));
        let is_early = self.now_ms < self.setup.safety_ms / 3;
        let change = match (late, revoked) {
            (Some(late), _) => Change::Add(setup::member(late)),
            (None, Some(author)) if !is_early => {
                let known = admin.state.frontier.chain(&author, 0).seq();
                Change::Revoke { author, last_seq: known.saturating_sub(self.random.below(3)) }
            }
            (None, _) => return Ok(()),
        };
        self.trace.note(self.now_ms, format_args!("the admin changes the membership"));
        let Ok(op) = change.to_op() else { return Ok(()) };
        self.give(NodeIndex(0), Input::Write(vec![op]))
    }

    /// The liar makes something up.
    pub(crate) fn lie(&mut self) -> Holds {
        let Some(index) = self.liar.as_ref().map(|liar| liar.index) else { return Ok(()) };
        if self.is_healed {
            // It goes on twisting what it says, but writes nothing more.
            return Ok(());
        }
        let pause_ms = self.random.between(LIE_MS.0, LIE_MS.1);
        self.schedule(pause_ms, Happening::Lie);
        let wall_ms = self.wall_ms(index);
        let peers = self.machines[index.place()].node.as_ref().map(|node| node.linked_peers()).unwrap_or_default();
        let Some(lie) = self.liar.as_mut().map(|liar| liar.lie(wall_ms)) else { return Ok(()) };
        lie.signed.into_iter().for_each(|commit| self.oracle.sees_signed(commit));
        for (place, peer) in peers.into_iter().enumerate() {
            self.send(index, peer, Body::Frame(lie.frames[place % 2].clone()));
        }
        Ok(())
    }

    /// Something goes wrong.
    pub(crate) fn trouble(&mut self) -> Holds {
        if self.is_healed {
            return Ok(());
        }
        let pause_ms = self.random.between(1, 2 * self.setup.trouble_each_ms);
        self.schedule(pause_ms, Happening::Trouble);
        let lasts_ms = self.random.between(TROUBLE_MS.0, TROUBLE_MS.1);
        let node = self.any_node();
        let Some(trouble) = self.random.pick(&self.setup.troubles).copied() else { return Ok(()) };
        self.trace.note(self.now_ms, format_args!("trouble: {trouble:?} at {node} for {lasts_ms} ms"));
        let relief = match trouble {
            Trouble::Partition => self.part(node),
            Trouble::Crash => {
                self.crash(node);
                Relief::Restart(node, self.reliefs.count(1, node.0))
            }
            Trouble::Clock => self.turn_clock(node),
            Trouble::SlowDisk => {
                self.machines[node.place()].disk_ms = SLOW_DISK_MS;
                Relief::Disk(node, self.reliefs.count(3, node.0))
            }
            Trouble::FullDisk => {
                self.machines[node.place()].is_disk_full = true;
                Relief::Disk(node, self.reliefs.count(3, node.0))
            }
            Trouble::BadLinks => {
                let quality = &mut self.network.quality;
                *quality = Quality { lost_per_mille: 400, jitter_ms: 1_500, doubled_per_mille: 300, ..*quality };
                Relief::Links(self.reliefs.count(4, 0))
            }
        };
        self.schedule(lasts_ms, Happening::Relief(relief));
        Ok(())
    }

    /// Cuts a node, or a group of them, off from the rest: on one road or both, one way or both.
    fn part(&mut self, node: NodeIndex) -> Relief {
        let roads: &[Road] = match self.random.below(4) {
            0 => &[Road::P2p],
            1 => &[Road::Http],
            _ => &Road::ALL,
        };
        let both_ways = self.random.per_mille(750);
        let others = self.indexes().into_iter().filter(|other| *other != node);
        let (mut here, mut there) = (vec![node], Vec::new());
        for other in others.collect::<Vec<_>>() {
            if self.random.per_mille(300) { here.push(other) } else { there.push(other) }
        }
        self.network.mend();
        self.network.cut(roads, &here, &there, both_ways);
        Relief::Mend(self.reliefs.count(0, 0))
    }

    /// Sets a clock wrong, within what the lattice allows or beyond.
    fn turn_clock(&mut self, node: NodeIndex) -> Relief {
        let most_ms = self.setup.max_drift_ms + if self.random.per_mille(500) { BEYOND_DRIFT_MS } else { 0 };
        let skew_ms = i64::try_from(self.random.below(most_ms)).unwrap_or(0);
        self.machines[node.place()].skew_ms = if self.random.per_mille(500) { skew_ms } else { -skew_ms };
        Relief::Clock(node, self.reliefs.count(2, node.0))
    }

    /// Ends a trouble, unless another of its kind came after it.
    pub(crate) fn relieve(&mut self, relief: Relief) -> Holds {
        if self.is_healed || !self.reliefs.is_latest(relief) {
            return Ok(());
        }
        self.trace.note(self.now_ms, format_args!("relief: {relief:?}"));
        match relief {
            Relief::Mend(_) => self.network.mend(),
            Relief::Restart(node, _) => return self.start(node),
            Relief::Clock(node, _) => self.machines[node.place()].skew_ms = 0,
            Relief::Disk(node, _) => self.machines[node.place()].heal_disk(),
            Relief::Links(_) => self.network.quality = self.setup.quality,
        }
        Ok(())
    }

    /// Ends all trouble, but for a road that stays cut if the other alone must do.
    pub(crate) fn heal(&mut self) -> Holds {
        self.is_healed = true;
        self.trace.note(self.now_ms, format_args!("healed: {:?}", self.setup.healing));
        self.network.mend();
        self.network.quality = Quality::GOOD;
        self.network.close(match self.setup.healing {
            Healing::Everything => None,
            Healing::P2pAlone => Some(Road::Http),
            Healing::HttpAlone => Some(Road::P2p),
        });
        for node in self.indexes() {
            let machine = &mut self.machines[node.place()];
            machine.skew_ms = 0;
            machine.heal_disk();
            self.start(node)?;
        }
        Ok(())
    }
}
