//! A lattice of some members on this machine, for the measurements: real nodes in this process, on loopback.

use std::path::Path;
use std::time::Duration;

use lattice::clock::Timestamp;
use lattice::commit::{Commit, Draft};
use lattice::genesis::{Genesis, Member};
use lattice::ids::CommitId;
use lattice::keys::NodeKeys;
use lattice::log::checkpoint::origin;
use lattice::log::note::{KeyKind, VerifierKey};
use lattice::op::Op;
use libp2p::identity::Keypair;
use node::daemon::Node;
use node::home::{Home, Seed};
use node::settings::Settings;
use node::settings::typed::Typed;

/// Founders and their keys.
pub(crate) struct World {
    pub(crate) genesis: Genesis,
    pub(crate) seeds: Vec<Seed>,
}

/// The middle of some durations.
pub(crate) fn median(took: &mut [Duration]) -> Duration {
    percentile(took, 50)
}

/// The duration below which `percent` of them lie.
pub(crate) fn percentile(took: &mut [Duration], percent: usize) -> Duration {
    took.sort_unstable();
    took[(took.len() * percent / 100).min(took.len() - 1)]
}

impl World {
    /// A lattice founded by `members` nodes.
    pub(crate) fn new(members: usize) -> Self {
        let seeds: Vec<_> = (0..members).map(|_| Seed::random().expect("randomness")).collect();
        let mut genesis = Genesis::founded_by("bench", "0", &seeds[0].keys(), peer_id(&seeds[0].keys()));
        genesis.members = seeds.iter().map(|seed| member(&seed.keys())).collect();
        genesis.members.sort_by_key(|member| member.author);
        Self { genesis, seeds }
    }

    /// `count` commits of `ops` puts with 200-byte values, a chain of member `author` from `first` on.
    pub(crate) fn commits(&self, author: usize, first: u64, count: u64, ops: u64) -> Vec<Commit> {
        let keys = self.seeds[author].keys();
        let lattice = self.genesis.id();
        let mut prev = if first == 1 { CommitId::ZERO } else { CommitId([1; 32]) };
        (first..first + count)
            .map(|seq| {
                let op = |i: u64| {
                    let key = (seq * 1024 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    Op::put(&format!("bench/{key:016x}"), &[seq as u8; 200]).expect("within limits")
                };
                let draft = Draft { lattice, term: 0, seq, prev, time: Timestamp::from_millis(seq) };
                let commit = draft.sign(&keys.author, (0..ops).map(op).collect());
                prev = commit.id();
                commit
            })
            .collect()
    }

    /// The key that checks the checkpoints of member `index`.
    pub(crate) fn log_key(&self, index: usize) -> VerifierKey {
        let keys = self.seeds[index].keys();
        let name = origin(&self.genesis.id(), &keys.author.id(), 1);
        VerifierKey::new(name, KeyKind::Log, keys.log_key().0).expect("a key")
    }

    /// Starts member `index` in `dir`, dialling `peers`.
    pub(crate) async fn start(&self, index: usize, dir: &Path, peers: &[String]) -> anyhow::Result<Node> {
        if Home::open(dir).is_err() {
            Home::create(dir, &self.seeds[index], &self.genesis, None)?;
        }
        Node::start(&settings(dir, peers)?).await
    }
}

/// Settings of a node on free loopback ports.
pub(crate) fn settings(dir: &Path, peers: &[String]) -> anyhow::Result<Settings> {
    let mut settings = Settings::resolve(dir.to_owned(), Typed::default(), true)?;
    settings.p2p = vec!["/ip4/127.0.0.1/tcp/0".parse()?];
    settings.http = vec!["127.0.0.1:0".parse()?];
    settings.peers = peers.iter().map(|peer| peer.parse()).collect::<Result<_, _>>()?;
    settings.mdns = false;
    Ok(settings)
}

fn peer_id(keys: &NodeKeys) -> Vec<u8> {
    let keypair = Keypair::ed25519_from_bytes(keys.p2p.0).expect("32 bytes");
    keypair.public().to_peer_id().to_bytes()
}

fn member(keys: &NodeKeys) -> Member {
    let (author, log_key) = (keys.author.id(), keys.log_key());
    Member { name: author.short(), author, log_key, peer_id: peer_id(keys), roles: [].into() }
}
