//! Shows this node's checkpoints to its peers and gathers their cosignatures; and asks, after a start, what they hold of
//! its log, before anything is signed that might contradict it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use http_fallback::heartbeat::PeerBoard;
use lattice::genesis::Member;
use lattice::ids::AuthorId;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::{Beginning, ForkEvidence};
use lattice::log::exchange::{Request, Response};
use lattice::log::note::SignatureLine;
use lattice::log::tree::verify_consistency;
use lattice::log::witness::{AddCheckpoint, parse_conflict, parse_cosignatures};
use libp2p::PeerId;
use node_core::logs::{cosigner_of, log_of, told_enough};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Audit;
use crate::net::swarm::name;
use crate::net::{Command, Protocol};
use crate::writer::job::Job;
use crate::writer::log_key;

/// How often peers are looked at that have not cosigned the last checkpoint, and logs whose checkpoints differ.
const TICK: Duration = Duration::from_secs(2);

/// Time for one answer: a signature and a transaction at the other end, and a round trip around the world.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Rest that a peer is given that did not answer: the cosignatures of the others must not wait for it at each checkpoint.
const SILENT_PAUSE: Duration = Duration::from_secs(10);

/// Requests for one cosignature: one that tells the size that the witness has, and one from there.
const ATTEMPTS: usize = 2;

/// How a member's node is asked.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Over a connection.
    P2p(PeerId),
    /// At a URL.
    Http(String),
}

/// What a peer made of a checkpoint.
enum Shown {
    /// It cosigned.
    Cosigned(Vec<SignatureLine>),
    /// It holds another one of our log, which our key signed.
    Holds(Box<SignedCheckpoint>),
    /// Nothing to use.
    Nothing,
    /// No answer in time.
    Silent,
}

/// The task's memory. All of it can be asked for again.
#[derive(Default)]
struct Memory {
    /// Size that each member cosigned last of our log.
    cosigned: BTreeMap<AuthorId, u64>,
    /// Members that said, since our log has this name, that they hold no more of it than we do.
    told: BTreeSet<AuthorId>,
    /// Members that did not answer, and until when they are left alone.
    silent_until: BTreeMap<AuthorId, Instant>,
    /// Pairs of sizes of a log that were compared: what was cosigned last, and what was heard.
    compared: BTreeMap<String, (u64, u64)>,
}

impl Audit {
    /// Works until `stop` fires.
    pub async fn gather_cosignatures(self, hidden: watch::Receiver<bool>, stop: CancellationToken) {
        let mut memory = Memory::default();
        let mut states = self.writer().watch();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut shown = 0;
        loop {
            let signed = states.wait_for(|state| state.checkpoint_size() > shown);
            tokio::select! {
                Ok(state) = signed => shown = state.checkpoint_size(),
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let is_hidden = *hidden.borrow();
            let round = async {
                if !self.writer().published().may_sign {
                    self.ask_what_others_hold(&mut memory).await;
                }
                if is_hidden {
                    return;
                }
                self.show_checkpoint(&mut memory).await;
                self.compare_checkpoints(&mut memory).await;
            };
            tokio::select! {
                () = round => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Members whose nodes are connected, or answer the heartbeat.
    pub(crate) fn peers(&self) -> Vec<(Way, Member)> {
        let inner = &self.service.inner;
        let (book, published, board) = (inner.net.view().book, self.writer().published(), inner.board.borrow().clone());
        let own = inner.identity.keys.author.id();
        let members = published.membership.members().filter(|member| published.membership.is_active(&member.author));
        let reached = members.filter(|member| member.author != own).filter_map(|member| {
            let peer = PeerId::from_bytes(&member.peer_id).ok()?;
            if book.author(&name(&peer)) == Some(member.author) {
                return Some((Way::P2p(peer), member.clone()));
            }
            let answers = |peer: &&PeerBoard| peer.author == Some(member.author) && peer.error.is_none();
            let url = board.peers.iter().find(answers)?.url.clone();
            Some((Way::Http(url), member.clone()))
        });
        reached.collect()
    }

    async fn ask(&self, way: &Way, request: &Request) -> Option<Response> {
        let question = request.to_string();
        let answer = match way {
            Way::P2p(peer) => {
                let asked = self.service.inner.net.request(*peer, Protocol::Witness, question.into_bytes());
                tokio::time::timeout(ANSWER_TIMEOUT, asked).await.ok()?.ok()?
            }
            Way::Http(url) => {
                tokio::time::timeout(ANSWER_TIMEOUT, self.client.witness(url, question)).await.ok()?.ok()?
            }
        };
        Response::parse(&answer).ok()
    }

    async fn ask_what_others_hold(&self, memory: &mut Memory) {
        let published = self.writer().published();
        let (identity, origin) = (&self.service.inner.identity, &published.origin);
        let own = identity.keys.author.id();
        for (peer, member) in self.peers() {
            if memory.told.contains(&member.author) {
                continue;
            }
            let request = Request::Checkpoint { origin: origin.to_string() };
            let Some(answer) = self.ask(&peer, &request).await else { continue };
            let held = match answer.status {
                200 => SignedCheckpoint::parse(answer.body.as_bytes()).ok(),
                404 => None,
                _ => continue,
            };
            if let Some(held) = held.filter(|held| held.verify(&log_key(identity, origin)).is_ok())
                && !self.is_ours(&held).await
            {
                self.tell_renaming(&held);
                self.writer().send(Job::RenameLog { held: Box::new(held) }).await;
                *memory = Memory::default();
                return;
            }
            memory.told.insert(member.author);
        }
        if told_enough(&published.membership, &own, memory.told.len()) {
            self.writer().send(Job::MaySign).await;
        }
    }

    /// Whether a checkpoint that our key signed is one of the log as this node has it.
    async fn is_ours(&self, held: &SignedCheckpoint) -> bool {
        let head = held.checkpoint();
        // Not being able to read is no sign of another history.
        self.service.inner.reader.log_root(head.size()).await.map_or(true, |root| root.as_ref() == Some(head.root()))
    }

    /// An operator who restored an older database should hear of it where events are read.
    fn tell_renaming(&self, held: &SignedCheckpoint) {
        let head = held.checkpoint();
        let (log, size) = (head.origin().to_owned(), head.size().to_string());
        let words =
            format!("log {log} goes on under a new name: others hold {size} records of it, more than this node");
        self.service.inner.journal.write("log-renamed", words, [("log", log), ("size", size)]);
    }

    /// Shows the last checkpoint to all who have not cosigned it, and tells everybody what came of it.
    async fn show_checkpoint(&self, memory: &mut Memory) {
        let Some(last) = self.writer().published().checkpointed.clone() else { return };
        let size = last.signed.checkpoint().size();
        let now = Instant::now();
        memory.silent_until.retain(|_, until| *until > now);
        let waiting = self.peers().into_iter().filter(|(_, member)| {
            memory.cosigned.get(&member.author) != Some(&size) && !memory.silent_until.contains_key(&member.author)
        });
        let showing = waiting.map(|(peer, member)| {
            let old = memory.cosigned.get(&member.author).copied().unwrap_or(0);
            let signed = &last.signed;
            async move { (self.show(&peer, signed, old).await, member) }
        });
        let (lattice, mut lines) = (self.service.inner.identity.lattice, Vec::new());
        for (shown, member) in join_all(showing.collect::<Vec<_>>()).await {
            match (shown, cosigner_of(&member, &lattice)) {
                (Shown::Cosigned(found), Some(key)) => {
                    memory.cosigned.insert(member.author, size);
                    lines.extend(found.into_iter().filter(|line| line.is_by(&key)).map(|line| (line, key.clone())));
                }
                (Shown::Holds(held), _) if !self.is_ours(&held).await => {
                    self.tell_renaming(&held);
                    self.writer().send(Job::RenameLog { held }).await;
                    *memory = Memory::default();
                    return;
                }
                (Shown::Silent, _) => drop(memory.silent_until.insert(member.author, Instant::now() + SILENT_PAUSE)),
                (Shown::Cosigned(_) | Shown::Holds(_) | Shown::Nothing, _) => {}
            }
        }
        if lines.is_empty() {
            return;
        }
        let (reply, done) = oneshot::channel();
        self.writer().send(Job::Cosigned { lines, reply }).await;
        // A writer that has stopped drops it.
        if done.await.is_err() {
            return;
        }
        if let Some(cosigned) = self.writer().published().checkpointed.clone() {
            let frame = lattice::frame::Frame::Checkpoint(Box::new(cosigned.signed.clone()));
            self.service.inner.net.command(Command::Publish(frame.encode())).await;
        }
    }

    /// Asks one peer to cosign; `old` is what it cosigned last, as far as is known.
    async fn show(&self, peer: &Way, signed: &SignedCheckpoint, mut old: u64) -> Shown {
        let head = signed.checkpoint();
        for _ in 0..ATTEMPTS {
            let proof = match old {
                0 => Vec::new(),
                _ => match self.service.prove_consistency(old, head.size()).await {
                    Ok(proven) => proven.hashes,
                    Err(error) => {
                        tracing::debug!(%error, "no consistency proof for a witness");
                        return Shown::Nothing;
                    }
                },
            };
            let request = AddCheckpoint { old, proof, checkpoint: signed.clone() };
            let Some(answer) = self.ask(peer, &Request::AddCheckpoint(Box::new(request))).await else {
                return Shown::Silent;
            };
            match (answer.status, parse_conflict(answer.body.as_bytes())) {
                (200, _) => {
                    return parse_cosignatures(answer.body.as_bytes()).map_or(Shown::Nothing, Shown::Cosigned);
                }
                (409, Some(latest)) if latest <= head.size() => old = latest,
                // It holds more than we do, or something else.
                (409 | 422, _) => return self.held_by(peer, head.origin()).await,
                (status, _) => {
                    tracing::debug!(status, detail = answer.body, ?peer, "a peer did not cosign");
                    return Shown::Nothing;
                }
            }
        }
        Shown::Nothing
    }

    /// The checkpoint of our log that a peer holds, if our key signed it.
    async fn held_by(&self, peer: &Way, origin: &str) -> Shown {
        let (identity, name) = (&self.service.inner.identity, &self.writer().published().origin);
        let answer = self.ask(peer, &Request::Checkpoint { origin: origin.to_owned() }).await;
        let held = answer.filter(|answer| answer.status == 200);
        let held = held.and_then(|answer| SignedCheckpoint::parse(answer.body.as_bytes()).ok());
        match held.filter(|held| held.verify(&log_key(identity, name)).is_ok()) {
            Some(held) => Shown::Holds(Box::new(held)),
            None => Shown::Nothing,
        }
    }

    /// Has the owners of logs show how what was heard of them grew from what was cosigned, where the two differ. A node
    /// that shows different histories to different peers is found by this.
    async fn compare_checkpoints(&self, memory: &mut Memory) {
        let (published, lattice) = (self.writer().published(), self.service.inner.identity.lattice);
        for heard in self.board.all() {
            let origin = heard.checkpoint().origin().to_owned();
            let Some(held) = published.witnessed.get(&origin) else { continue };
            let sizes = (held.checkpoint().size(), heard.checkpoint().size());
            // Equal sizes were compared on arrival.
            if sizes.0 == sizes.1 || sizes.0 == 0 || memory.compared.get(&origin) == Some(&sizes) {
                continue;
            }
            let Some((member, key)) = log_of(&published.membership, &lattice, &origin) else { continue };
            let Some((peer, _)) = self.peers().into_iter().find(|(_, known)| known.author == member.author) else {
                continue;
            };
            let (first, second) = if sizes.0 < sizes.1 { (held, &heard) } else { (&heard, held) };
            let (first, second) = (first.checkpoint(), second.checkpoint());
            let request = Request::Consistency { old: first.size(), new: second.size() };
            let Some(answer) = self.ask(&peer, &request).await else { continue };
            let Some((old_root, new_root, proof)) = answer.as_consistency() else { continue };
            memory.compared.insert(origin.clone(), sizes);
            let holds = verify_consistency(first.size(), second.size(), &old_root, &new_root, &proof).is_ok();
            if holds && new_root == *second.root() && old_root != *first.root() {
                let beginning = Beginning { root: old_root, proof };
                if let Ok(evidence) = ForkEvidence::new(held, &heard, Some(beginning), &key) {
                    self.keep_fork(evidence).await;
                }
            } else if !holds || new_root != *second.root() {
                tracing::error!(log = origin, "the node of this log can't show that it only grew");
                let fields = [("log", origin.clone()), ("sizes", format!("{} {}", first.size(), second.size()))];
                self.service.inner.journal.write("alarm", format!("alarm log {origin}"), fields);
            }
        }
    }
}
