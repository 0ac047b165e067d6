//! The nodes, and the faults done to them: each begins with one order to the system and ends with another.

use std::collections::BTreeMap;
use std::path::Path;

use super::clock::WrongClock;
use super::plan::{Fault, Kind, MAX_DRIFT_MS};
use crate::disk::SmallDisk;
use crate::network::{Block, Direction, HTTP_PORT, Network, P2P_PORT, Traffic};
use crate::process::{Launch, Node, StartError, lasting_port};
use crate::scenario::ScenarioError;

/// Holder, shadow, spare, and two plain members at first.
pub(super) const NODES: usize = 5;

/// Nodes whose directory is a disk of its own: the first holder, and a plain member.
pub(super) const WITH_DISK: [usize; 2] = [0, 3];

/// More than what a holder wants free.
const DISK_MEBIBYTES: u32 = 512;

/// Soon in HTTP mode and soon back, so that short cuts are long enough for it.
const OPTIONS: [&str; 6] = ["--seat-timing", "lan", "--heartbeat-ms", "1000", "--http-mode-after-ms", "3000"];

/// What this machine gives, and why it does not give the rest.
#[derive(Debug)]
pub(super) struct Means {
    network: Option<Network>,
    clock: Option<WrongClock>,
    disks: BTreeMap<usize, SmallDisk>,
    /// By kind of fault, why there will be none.
    pub(super) missing: BTreeMap<Kind, String>,
}

impl Means {
    /// Finds out, and makes networks and disks below `root`. `is_apart` is what became of `network::apart`.
    pub(super) fn find(root: &Path, program: &Path, is_apart: Result<(), String>) -> Self {
        let mut means = Self { network: None, clock: None, disks: BTreeMap::new(), missing: BTreeMap::new() };
        let nodes = u8::try_from(NODES).unwrap_or(u8::MAX);
        match is_apart.and_then(|()| Network::with_firewalls(nodes).map_err(|error| error.to_string())) {
            Ok(network) => means.network = Some(network),
            Err(reason) => drop(means.missing.insert(Kind::Cut, reason)),
        }
        match WrongClock::find(program) {
            Ok(clock) => means.clock = Some(clock),
            Err(reason) => drop(means.missing.insert(Kind::Skew, reason.to_string())),
        }
        for node in WITH_DISK {
            if let Err(reason) = means.mount(root, node) {
                means.missing.insert(Kind::FullDisk, reason);
            }
        }
        means
    }

    fn mount(&mut self, root: &Path, node: usize) -> Result<(), String> {
        let dir = root.join(name(node));
        std::fs::create_dir(&dir).map_err(|error| error.to_string())?;
        let disk = SmallDisk::mount(&dir, DISK_MEBIBYTES).map_err(|error| error.to_string())?;
        self.disks.insert(node, disk);
        Ok(())
    }
}

/// The lattice while it is disturbed. Dropping it ends the nodes first, then what they stand on.
pub(super) struct Lattice {
    pub(super) nodes: Vec<Node>,
    means: Means,
}

impl Lattice {
    /// Starts all nodes of one lattice, each at an address that it keeps.
    pub(super) async fn found(root: &Path, program: &Path, means: Means) -> Result<Self, StartError> {
        let genesis = root.join("genesis.toml");
        std::fs::write(&genesis, format!("name = \"testnet\"\n[limits]\nmax_drift_ms = {MAX_DRIFT_MS}\n"))
            .map_err(|source| StartError::Io { what: format!("cannot write {}", genesis.display()), source })?;
        let mut nodes: Vec<Node> = Vec::new();
        for index in 0..NODES {
            let mut node = Node::new(launch(root, program, &means, index));
            match nodes.first() {
                None => node.found_by(&genesis).await?,
                Some(first) => node.join(&first.invite().await?).await?,
            }
            node.start().await?;
            nodes.push(node);
        }
        Ok(Self { nodes, means })
    }

    /// Lets a fault begin at a node that is under none.
    pub(super) async fn begin(&mut self, index: usize, fault: Fault) -> Result<(), ScenarioError> {
        let node = &mut self.nodes[index];
        match fault {
            Fault::Kill => node.kill().await,
            Fault::Pause => node.pause(),
            Fault::Cut => self.block(index, Some(Block::EVERYTHING))?,
            Fault::CutLibp2p => self.block(index, Some(Block::LIBP2P))?,
            Fault::CutSending => {
                let sending = Block { traffic: Traffic::Everything, direction: Direction::Sent, peer: None };
                self.block(index, Some(sending))?;
            }
            Fault::Skew { ahead_ms } => self.restart(index, Some(ahead_ms)).await?,
            Fault::FullDisk => self.on_disk(index, SmallDisk::fill)?,
        }
        Ok(())
    }

    /// Ends a fault: the node runs as it did before. Says so if the process had ended by itself meanwhile.
    pub(super) async fn end(&mut self, index: usize, fault: Fault) -> Result<Option<String>, ScenarioError> {
        let died = self.died(index);
        match fault {
            Fault::Kill => self.restart(index, None).await?,
            Fault::Pause => self.nodes[index].resume(),
            Fault::Cut | Fault::CutLibp2p | Fault::CutSending => self.block(index, None)?,
            Fault::Skew { .. } => self.restart(index, None).await?,
            Fault::FullDisk => self.on_disk(index, |disk| disk.make_room(DISK_MEBIBYTES))?,
        }
        if died.is_some() && !matches!(fault.kind(), Kind::Kill | Kind::Skew) {
            self.restart(index, None).await?;
        }
        Ok(died)
    }

    /// What a node said last that ended without having been killed.
    pub(super) fn died(&mut self, index: usize) -> Option<String> {
        let node = &mut self.nodes[index];
        let status = node.ended_by_itself()?;
        Some(format!("{} ended by itself with {status}: {}", node.name(), node.log_tail()))
    }

    /// Kills the node and starts it, with a clock that is so far ahead.
    pub(super) async fn restart(&mut self, index: usize, ahead_ms: Option<i64>) -> Result<(), ScenarioError> {
        let mut within = self.means.network.as_ref().map(|network| network.within(number(index))).unwrap_or_default();
        if let (Some(ahead_ms), Some(clock)) = (ahead_ms, &self.means.clock) {
            within.extend(clock.within(ahead_ms));
        }
        let node = &mut self.nodes[index];
        node.kill().await;
        node.launch_mut().within = within;
        // A mirror has no API that could say that it is ready.
        node.listen().await.map(drop).map_err(ScenarioError::NotLetIn)
    }

    /// Stops the nodes whose disks go with this process, and copies what is on them to where it can be looked at.
    pub(super) async fn save_disks(&mut self, root: &Path) {
        for (index, disk) in &self.means.disks {
            self.nodes[*index].kill().await;
            let to = root.join(format!("{}.saved", name(*index)));
            // What cannot be copied is missed by whoever looks; the verdict stands without it.
            let _ = copied(disk.path(), &to);
        }
    }

    fn block(&self, index: usize, block: Option<Block>) -> Result<(), ScenarioError> {
        let Some(network) = &self.means.network else { return Ok(()) };
        match block {
            Some(block) => network.block(number(index), block)?,
            None => network.unblock(number(index))?,
        }
        Ok(())
    }

    fn on_disk(
        &self,
        index: usize,
        order: impl FnOnce(&SmallDisk) -> std::io::Result<()>,
    ) -> Result<(), ScenarioError> {
        let Some(disk) = self.means.disks.get(&index) else { return Ok(()) };
        order(disk).map_err(|error| ScenarioError::Fault(format!("the disk of {}: {error}", name(index))))
    }
}

/// Copies the files of a node's directory, which has no further directories.
fn copied(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn launch(root: &Path, program: &Path, means: &Means, index: usize) -> Launch {
    let mut launch = Launch::new(program, name(index), root.join(name(index)));
    // Not on the node's disk: what it says when that is full is of most interest.
    launch.log = root.join(format!("{}.log", name(index)));
    launch.options = OPTIONS.map(String::from).to_vec();
    match &means.network {
        Some(network) => {
            launch.within = network.within(number(index));
            launch.p2p = vec![format!("{}:{P2P_PORT}", network.ip(number(index)))];
            launch.http = format!("{}:{HTTP_PORT}", network.ip(number(index)));
            let others = (0..NODES).filter(|other| *other != index);
            launch.options.extend(others.flat_map(|other| ["--node".to_owned(), network.url(number(other))]));
        }
        None => {
            launch.p2p = vec![format!("127.0.0.1:{}", lasting_port())];
            launch.http = format!("127.0.0.1:{}", lasting_port());
        }
    }
    launch
}

pub(super) fn name(index: usize) -> String {
    format!("node-{}", index + 1)
}

/// As a network numbers its nodes.
fn number(index: usize) -> u8 {
    u8::try_from(index + 1).unwrap_or(u8::MAX)
}
