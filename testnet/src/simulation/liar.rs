//! A member that lies: its node works like the others, but what it says is twisted on the way out, and it sends what no
//! honest node sends.

use std::sync::Arc;

use lattice::clock::Timestamp;
use lattice::commit::{Commit, Draft, SignedHeader, VerifiedCommit};
use lattice::frame::Frame;
use lattice::ids::{CommitId, KeyHash, LeafHash, StateRoot};
use lattice::keys::NodeKeys;
use lattice::membership::Change;
use lattice::op::Op;
use reconcile::message::{Compared, Intake, Refusal, RefusedFor, Request, Response};
use reconcile::sketch::Symbol;
use reconcile::view::{KeyLeaf, Summary};

use super::message::{Body, NodeIndex};
use super::node::Identity;
use super::random::Random;
use super::setup;

/// Of a thousand messages, so many are twisted: the rest keeps sessions going, so that lies come late in them too.
const TWISTED_PER_MILLE: u64 = 350;

/// Milliseconds between two twisted frames. Each is a new one to gossip and comes back to the liar, who could make new ones
/// of it for ever.
const FRAME_PAUSE_MS: u64 = 200;

/// Milliseconds beyond the allowed drift that a commit from the future may be dated: it is still to be let in before the
/// run is over.
const FUTURE_MS: u64 = 20_000;

/// The lies of one node.
pub(crate) struct Liar {
    pub(crate) index: NodeIndex,
    identity: Arc<Identity>,
    random: Random,
    next_frame_ms: u64,
}

/// Something made up, for everybody or for some.
pub(crate) struct Lie {
    /// One frame for each half of the peers; the same twice if all are to hear the same.
    pub(crate) frames: [Arc<[u8]>; 2],
    /// Commits in them that the liar really signed.
    pub(crate) signed: Vec<VerifiedCommit>,
}

impl Liar {
    pub(crate) fn new(identity: Arc<Identity>, random: Random) -> Self {
        Self { index: identity.index, identity, random, next_frame_ms: 0 }
    }

    /// What leaves the liar's node in place of what it wanted to say.
    pub(crate) fn twist(&mut self, now_ms: u64, body: Body) -> Body {
        if !self.random.per_mille(TWISTED_PER_MILLE) {
            return body;
        }
        match body {
            Body::Frame(bytes) if now_ms >= self.next_frame_ms => {
                self.next_frame_ms = now_ms + FRAME_PAUSE_MS;
                Body::Frame(self.twist_frame(&bytes).unwrap_or(bytes))
            }
            Body::Ask { road, id, author, bytes } => {
                let Ok(mut request) = Request::decode(&bytes) else { return Body::Ask { road, id, author, bytes } };
                self.twist_request(&mut request);
                Body::Ask { road, id, author, bytes: request.encode() }
            }
            Body::Answer { road, id, bytes } => {
                let Ok(mut response) = Response::decode(&bytes) else { return Body::Answer { road, id, bytes } };
                self.twist_response(&mut response);
                Body::Answer { road, id, bytes: response.encode() }
            }
            Body::State { id, mut summary } => {
                summary.root = self.root();
                Body::State { id, summary }
            }
            Body::Frame(_) | Body::Ping | Body::Pong | Body::Hello { .. } | Body::AskState { .. } | Body::Reset => body,
        }
    }

    fn twist_frame(&mut self, bytes: &[u8]) -> Option<Arc<[u8]>> {
        let frame = match Frame::decode(bytes).ok()? {
            Frame::Head(head) => {
                let mut head = head.verified()?;
                // Another's head can't be signed anew: it is spoken as one's own.
                (head.author, head.root) = (self.identity.author, self.root());
                Frame::Head(Box::new(head.sign(&self.identity.keys.author)))
            }
            Frame::Commits(mut commits) => {
                commits.iter_mut().for_each(|commit| self.tamper(commit));
                Frame::Commits(commits)
            }
            Frame::Equivocation(mut pair) => {
                pair.second = pair.first.clone();
                Frame::Equivocation(pair)
            }
            // Nodes of the simulation keep no logs.
            frame @ (Frame::Checkpoint(_) | Frame::Fork(_)) => frame,
        };
        Some(frame.encode().into())
    }

    fn twist_request(&mut self, request: &mut Request) {
        match request {
            Request::Push { commits } => commits.iter_mut().for_each(|commit| self.tamper(commit)),
            Request::Open { summary, .. } => self.twist_summary(summary),
            Request::Symbols { .. }
            | Request::FetchShort { .. }
            | Request::Compare { .. }
            | Request::List { .. }
            | Request::Fetch { .. }
            | Request::Frontier { .. } => {}
        }
    }

    fn twist_response(&mut self, response: &mut Response) {
        match response {
            Response::Opened { summary, flight } => {
                self.twist_summary(summary);
                flight.iter_mut().for_each(|flight| self.twist_symbols(&mut flight.symbols));
            }
            Response::Symbols { parts, .. } => parts.iter_mut().for_each(|part| self.twist_symbols(part)),
            Response::Compared { answers } => {
                if let Some(answer) = answers.first_mut() {
                    *answer = Compared::Leaves(self.leaves());
                }
            }
            Response::Listed { leaves, .. } => {
                leaves.extend(self.leaves());
                leaves.sort_unstable();
            }
            Response::Commits { commits, .. } => commits.iter_mut().for_each(|commit| self.tamper(commit)),
            Response::Pushed(intake) => self.twist_intake(intake),
            // Claims that each chain begins behind a gap.
            Response::Frontier { chains, .. } => chains.iter_mut().for_each(|(_, chain)| chain.tip = None),
            Response::Busy | Response::Refused { .. } => {}
        }
    }

    /// Gives a commit another signature, which is nobody's.
    fn tamper(&mut self, commit: &mut Commit) {
        let mut signature = *commit.signed().signature();
        signature[usize::try_from(self.random.below(64)).unwrap_or(0)] ^= 1 << self.random.below(8);
        if let Ok(signed) = SignedHeader::decode(commit.signed().header_bytes(), signature) {
            *commit = Commit::from_parts(signed, commit.slots().to_vec());
        }
    }

    fn twist_intake(&mut self, intake: &mut Intake) {
        let commit = CommitId(self.random.bytes());
        let refusal = |why| Refusal { commit, why, reason: "because".to_owned(), evidence: None };
        match self.random.below(3) {
            0 => intake.refused = vec![refusal(RefusedFor::BeyondCut)],
            1 => intake.refused = vec![refusal(RefusedFor::NotAdmitted)],
            _ => intake.waiting = self.random.next() >> 1,
        }
    }

    fn twist_summary(&mut self, summary: &mut Summary) {
        match self.random.below(3) {
            0 => summary.members = self.root(),
            1 => summary.entries = self.random.below(1 << 40),
            _ => summary.root = self.root(),
        }
    }

    /// Turns symbols round: they are well-formed and decode to nothing, or to entries that nobody has.
    fn twist_symbols(&mut self, symbols: &mut [Symbol]) {
        let turn = usize::try_from(self.random.below(symbols.len() as u64)).unwrap_or(0);
        symbols.rotate_left(turn);
    }

    fn root(&mut self) -> StateRoot {
        StateRoot(self.random.bytes())
    }

    fn leaves(&mut self) -> Vec<KeyLeaf> {
        let count = self.random.between(1, 5);
        let leaf = |random: &mut Random| KeyLeaf { key: KeyHash(random.bytes()), leaf: LeafHash(random.bytes()) };
        let mut leaves: Vec<_> = (0..count).map(|_| leaf(&mut self.random)).collect();
        leaves.sort_unstable();
        leaves
    }

    /// Makes something up.
    pub(crate) fn lie(&mut self, wall_ms: u64) -> Lie {
        match self.random.below(7) {
            0 => self.fork(wall_ms),
            1 => self.alike(wall_ms + self.identity.genesis.limits.max_drift_ms + FUTURE_MS, "future"),
            2 => self.alike(wall_ms, "@url/not-mine"),
            3 => self.alike(wall_ms, "green/not-mine"),
            4 => self.stranger(wall_ms),
            5 => self.usurp(wall_ms),
            _ => self.noise(),
        }
    }

    /// Two commits for one place in the chain, one for each half of the peers.
    fn fork(&mut self, wall_ms: u64) -> Lie {
        let seq = self.random.between(1, 20);
        let prev = if seq == 1 { CommitId::ZERO } else { CommitId(self.random.bytes()) };
        let pair = [0, 1].map(|_| {
            let op = self.put("forked");
            self.sign(wall_ms, seq, prev, op)
        });
        let frames = pair.each_ref().map(|commit| Frame::Commits(vec![commit.clone()]).encode().into());
        Lie { frames, signed: pair.into_iter().filter_map(|commit| self.verified(commit)).collect() }
    }

    /// One commit for all, signed as it should be: whether it may enter is another question.
    fn alike(&mut self, wall_ms: u64, key: &str) -> Lie {
        let op = self.put(key);
        self.said_to_all(wall_ms, op)
    }

    /// Adds a member without being an admin.
    fn usurp(&mut self, wall_ms: u64) -> Lie {
        let accomplice = setup::member(NodeIndex(200));
        let op = Change::Add(accomplice).to_op().unwrap_or_else(|_| self.put("usurped"));
        self.said_to_all(wall_ms, op)
    }

    fn said_to_all(&mut self, wall_ms: u64, op: Op) -> Lie {
        let (seq, prev) = (self.random.between(100, 200), CommitId(self.random.bytes()));
        let commit = self.sign(wall_ms, seq, prev, op);
        let frame: Arc<[u8]> = Frame::Commits(vec![commit.clone()]).encode().into();
        Lie { frames: [frame.clone(), frame], signed: self.verified(commit).into_iter().collect() }
    }

    /// A commit of somebody who is no member.
    fn stranger(&mut self, wall_ms: u64) -> Lie {
        let keys = NodeKeys::from_seed(self.random.bytes());
        let draft = Draft {
            lattice: self.identity.lattice,
            term: 0,
            seq: 1,
            prev: CommitId::ZERO,
            time: Timestamp::from_millis(wall_ms),
        };
        let commit = draft.sign(&keys.author, vec![self.put("strange")]);
        let frame: Arc<[u8]> = Frame::Commits(vec![commit.clone()]).encode().into();
        Lie { frames: [frame.clone(), frame], signed: self.verified(commit).into_iter().collect() }
    }

    fn noise(&mut self) -> Lie {
        let frame: Arc<[u8]> = self.random.bytes().into();
        Lie { frames: [frame.clone(), frame], signed: Vec::new() }
    }

    fn put(&mut self, key: &str) -> Op {
        let value = self.random.bytes();
        Op::put(key, &value).unwrap_or_else(|_| unreachable!("the keys here are short"))
    }

    fn sign(&self, wall_ms: u64, seq: u64, prev: CommitId, op: Op) -> Commit {
        let draft = Draft { lattice: self.identity.lattice, term: 0, seq, prev, time: Timestamp::from_millis(wall_ms) };
        draft.sign(&self.identity.keys.author, vec![op])
    }

    fn verified(&self, commit: Commit) -> Option<VerifiedCommit> {
        commit.verify_for(&self.identity.genesis, self.identity.lattice).ok()
    }
}
