//! Shows this node's checkpoints to its peers and gathers their cosignatures; and asks, after a start, what they hold of
//! its log, before anything is signed that might contradict it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http_fallback::heartbeat::PeerBoard;
use lattice::genesis::Member;
use lattice::ids::AuthorId;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::exchange::{Request, Response};
use lattice::log::note::SignatureLine;
use lattice::log::witness::{AddCheckpoint, parse_conflict, parse_cosignatures};
use libp2p::PeerId;
use node_core::logs::{cosigner_of, told_enough};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Audit;
use super::asking::Asking;
use crate::net::swarm::name;
use crate::net::{Command, Protocol};
use crate::writer::job::Job;
use crate::writer::log_key;

/// How often peers are looked at that have not cosigned the last checkpoint, and logs whose checkpoints differ.
pub(super) const TICK: Duration = Duration::from_secs(2);

/// Time for one answer: a signature and a transaction at the other end, and a round trip around the world.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Rest that a peer is given that did not answer: the cosignatures of the others must not wait for it at each checkpoint.
const SILENT_PAUSE: Duration = Duration::from_secs(10);

/// Rest for one that did not cosign: it is asked again in a moment, and not at once over and over.
const REFUSED_PAUSE: Duration = Duration::from_millis(500);

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

/// What a member made of the checkpoint over so many records.
struct Told {
    member: Member,
    size: u64,
    shown: Shown,
}

/// How to go on after answers.
#[derive(PartialEq, Eq)]
enum Next {
    /// As before.
    On,
    /// The log has another name, of which nobody has seen anything.
    Anew,
}

/// The task's memory. All of it can be asked for again.
#[derive(Default)]
struct Memory {
    /// Size that each member cosigned last of our log.
    cosigned: BTreeMap<AuthorId, u64>,
    /// Members that said, since our log has this name, that they hold no more of it than we do.
    told: BTreeSet<AuthorId>,
    /// Members that did not answer or cosign, and until when they are left alone.
    left_alone_until: BTreeMap<AuthorId, Instant>,
}

impl Memory {
    fn leave_alone(&mut self, member: AuthorId, pause: Duration) {
        self.left_alone_until.insert(member, Instant::now() + pause);
    }
}

impl Audit {
    /// Works until `stop` fires.
    pub async fn gather_cosignatures(self, hidden: watch::Receiver<bool>, stop: CancellationToken) {
        // Apart from each other: a log whose node is slow to show how it grew must not hold up cosignatures of ours.
        tokio::select! {
            () = self.show_checkpoints(hidden.clone()) => {}
            () = self.compare_checkpoints(hidden) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn show_checkpoints(&self, hidden: watch::Receiver<bool>) {
        let (mut memory, mut asking) = (Memory::default(), Asking::default());
        let mut states = self.writer().watch();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut shown = 0;
        loop {
            let signed = states.wait_for(|state| state.checkpoint_size() > shown);
            let answers = tokio::select! {
                Ok(state) = signed => {
                    shown = state.checkpoint_size();
                    Vec::new()
                }
                answers = asking.answers() => answers,
                _ = tick.tick() => Vec::new(),
            };
            if self.take_answers(&mut memory, answers).await == Next::Anew {
                (memory, asking) = (Memory::default(), Asking::default());
            }
            if !self.writer().published().may_sign {
                self.ask_what_others_hold(&mut memory).await;
            }
            if !*hidden.borrow() {
                self.show_last(&mut memory, &mut asking);
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

    pub(super) async fn ask(&self, way: &Way, request: &Request) -> Option<Response> {
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
            if answer.status == 200 {
                // What is no checkpoint of ours says nothing of what its sender holds.
                let held = SignedCheckpoint::parse(answer.body.as_bytes()).ok();
                let Some(held) = held.filter(|held| held.verify(&log_key(identity, origin)).is_ok()) else { continue };
                match self.is_ours(&held).await {
                    Some(true) => {}
                    Some(false) => {
                        self.tell_renaming(&held);
                        self.writer().send(Job::RenameLog { held: Box::new(held) }).await;
                        *memory = Memory::default();
                        return;
                    }
                    None => continue,
                }
            } else if answer.status != 404 {
                continue;
            }
            memory.told.insert(member.author);
        }
        // Who is a member may be news to an older copy: where its chain ends is settled first.
        let published = self.writer().published();
        let others = published.membership.members().map(|member| member.author);
        let others = others.filter(|author| *author != own && published.membership.is_active(author));
        let others: BTreeSet<_> = others.collect();
        let told = memory.told.intersection(&others).count();
        if published.doubt.is_none() && told_enough(others.len(), told, published.started) {
            self.writer().send(Job::MaySign).await;
        }
    }

    /// Whether a checkpoint that our key signed is one of the log as this node has it; `None` if that can't be read, which is
    /// no sign of another history, nor of this one.
    async fn is_ours(&self, held: &SignedCheckpoint) -> Option<bool> {
        let head = held.checkpoint();
        match self.service.inner.reader.log_root(head.size()).await {
            Ok(root) => Some(root.as_ref() == Some(head.root())),
            Err(error) => {
                tracing::warn!(%error, "this node's log can't be read, to be held against what others have of it");
                None
            }
        }
    }

    /// An operator who restored an older database should hear of it where events are read.
    fn tell_renaming(&self, held: &SignedCheckpoint) {
        let head = held.checkpoint();
        let (log, size) = (head.origin().to_owned(), head.size().to_string());
        let words =
            format!("log {log} goes on under a new name: others hold {size} records of it, more than this node");
        self.service.inner.journal.write("log-renamed", words, [("log", log), ("size", size)]);
    }

    /// Shows the last checkpoint to all who have not cosigned it and are not thinking about another.
    fn show_last(&self, memory: &mut Memory, asking: &mut Asking<Told>) {
        let Some(last) = self.writer().published().checkpointed.clone() else { return };
        let size = last.signed.checkpoint().size();
        let now = Instant::now();
        memory.left_alone_until.retain(|_, until| *until > now);
        for (way, member) in self.peers() {
            let author = member.author;
            let old = memory.cosigned.get(&author).copied().unwrap_or(0);
            if old == size || memory.left_alone_until.contains_key(&author) || asking.is_waiting_for(&author) {
                continue;
            }
            let (audit, last) = (self.clone(), last.clone());
            asking.begin(author, async move {
                let shown = audit.show(&way, &last.signed, old).await;
                Told { member, size, shown }
            });
        }
    }

    /// Hands over what peers answered, as it comes, and tells everybody what came of it.
    async fn take_answers(&self, memory: &mut Memory, answers: Vec<Told>) -> Next {
        let (lattice, mut lines) = (self.service.inner.identity.lattice, Vec::new());
        for Told { member, size, shown } in answers {
            match (shown, cosigner_of(&member, &lattice)) {
                (Shown::Cosigned(found), Some(key)) => {
                    memory.cosigned.insert(member.author, size);
                    lines.extend(found.into_iter().filter(|line| line.is_by(&key)).map(|line| (line, key.clone())));
                }
                (Shown::Holds(held), _) if self.is_ours(&held).await == Some(false) => {
                    self.tell_renaming(&held);
                    self.writer().send(Job::RenameLog { held }).await;
                    return Next::Anew;
                }
                (Shown::Silent, _) => memory.leave_alone(member.author, SILENT_PAUSE),
                (Shown::Cosigned(_) | Shown::Holds(_) | Shown::Nothing, _) => {
                    memory.leave_alone(member.author, REFUSED_PAUSE);
                }
            }
        }
        if lines.is_empty() {
            return Next::On;
        }
        let (reply, done) = oneshot::channel();
        self.writer().send(Job::Cosigned { lines, reply }).await;
        // Lines over a checkpoint that is no longer the last are nothing new; a writer that has stopped drops the reply.
        if !done.await.unwrap_or(false) {
            return Next::On;
        }
        if let Some(cosigned) = self.writer().published().checkpointed.clone() {
            let frame = lattice::frame::Frame::Checkpoint(Box::new(cosigned.signed.clone()));
            self.service.inner.net.command(Command::Publish(frame.encode())).await;
        }
        Next::On
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
}
