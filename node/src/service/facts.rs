//! What a node says of itself and of its peers, put into the shapes that clients are given.

use std::sync::PoisonError;

use data_encoding::BASE64;
use http_fallback::heartbeat::{Board, PeerBoard};
use http_fallback::state::StateView;
use libp2p::PeerId;
use node_core::peers::Awaited;
use tokio::sync::watch;

use super::Service;
use crate::clock::{now_ms, steady_ms};
use crate::net::address::with_peer;
use crate::seat::status::SeatStatus;
use crate::sync::signed_head;
use crate::view;
use crate::writer::Published;

impl Service {
    /// What this node says of itself.
    pub fn status(&self) -> view::Status {
        let inner = &self.inner;
        let (published, net) = (inner.writer.published(), inner.net.view());
        let (identity, author) = (&inner.identity, inner.identity.keys.author.id());
        let ready = self.ready();
        let board = inner.board.borrow().clone();
        let max_drift_ms = identity.genesis.limits.max_drift_ms;
        let clock_refusal = || published.clock.refusal(now_ms(), max_drift_ms).map(|behind| behind.to_string());
        view::Status {
            name: inner.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            lattice_id: identity.lattice.to_string(),
            lattice_name: identity.genesis.name.clone(),
            author: author.to_string(),
            peer_id: inner.net.own.to_string(),
            state_root: published.root.to_string(),
            entries: published.tree.len(),
            log_size: published.log_size,
            mode: board.mode.word().to_owned(),
            mode_since_ms: now_ms().saturating_sub(board.age_ms(board.since_ms)),
            mode_reason: board.reason.clone(),
            http_peers: http_peers(&board),
            ready: ready.is_ok(),
            not_ready_reason: ready.err(),
            write_refusal: published.trouble.as_ref().map(ToString::to_string).or_else(clock_refusal),
            uptime_seconds: inner.started.elapsed().as_secs(),
            peers: self.counts(),
            members: published.membership.members().filter(|m| published.membership.is_active(&m.author)).count()
                as u64,
            seq: published.frontier.chain(&author, 0).highest(),
            waiting: published.waiting as u64,
            equivocations: published.equivocations.iter().map(equivocation_view).collect(),
            checkpoint: checkpoint_view(&published),
            confirmed_root: self.confirmed_root(),
            forks: published.forks.keys().cloned().collect(),
            seat: self.seat(),
            quarantine: published.quarantine.into(),
            divergences: inner.counters.divergences() + published.damaged,
            last_reconcile: inner.counters.last_reconcile(),
            addresses: net.listening.iter().map(|address| with_peer(address, inner.net.own).to_string()).collect(),
            refusals: inner.counters.refusals().into_iter().map(|(reason, n)| (reason.to_owned(), n)).collect(),
        }
    }

    /// What the seat looks like from here.
    pub fn seat(&self) -> SeatStatus {
        self.inner.seat.get().map(|status| status.borrow().clone()).unwrap_or_default()
    }

    /// Changes with the seat; `None` before its driver runs.
    pub(crate) fn seat_changed(&self) -> Option<watch::Receiver<SeatStatus>> {
        self.inner.seat.get().cloned()
    }

    /// The last root that more than half of the members have stated.
    fn confirmed_root(&self) -> Option<view::ConfirmedRoot> {
        let confirmations = self.inner.confirmations.lock().unwrap_or_else(PoisonError::into_inner);
        confirmations.last().map(|confirmed| view::ConfirmedRoot {
            root: confirmed.root.to_string(),
            entries: confirmed.entries,
            time_ms: confirmed.time_ms,
            by: confirmed.by.iter().map(ToString::to_string).collect(),
        })
    }

    pub(crate) fn counts(&self) -> view::PeerCounts {
        let root = self.inner.writer.published().root;
        let counts = self.inner.net.view().book.counts(steady_ms(), &root);
        view::PeerCounts {
            configured: counts.configured,
            connected: counts.connected,
            lattice: counts.lattice,
            mesh: counts.mesh,
            in_sync: counts.in_sync,
        }
    }

    /// Peers as this node sees them: connected or configured ones and members.
    pub fn peers(&self) -> Vec<view::Peer> {
        let (published, now, book) = (self.inner.writer.published(), steady_ms(), self.inner.net.view().book);
        book.peers()
            .map(|(name, peer)| {
                let author = book.author(name);
                let link = peer.links.values().next();
                let awaited = book.awaited(name);
                let dialled_at = awaited.and_then(|awaited| awaited.address).map(str::to_owned);
                let head = peer.head.as_ref();
                view::Peer {
                    peer_id: PeerId::from_bytes(&name.0).map_or_else(|_| "?".to_owned(), |id| id.to_string()),
                    author: author.map(|author| author.to_string()),
                    name: author.and_then(|author| published.membership.member(&author)).map(|m| m.name.clone()),
                    configured: book.is_configured(name),
                    connected: !peer.links.is_empty(),
                    lattice: author.is_some(),
                    mesh: author.is_some() && peer.mesh,
                    in_sync: book.is_in_sync(now, name, &published.root),
                    connections: peer.links.len() as u64,
                    address: link.map(|link| link.address.clone()).or(dialled_at),
                    direction: link.map(|link| if link.outbound { "outbound" } else { "inbound" }.to_owned()),
                    rtt_ms: peer.rtt_ms,
                    state_root: head.map(|(head, _)| head.root.to_string()),
                    entries: head.map(|(head, _)| head.entries),
                    same_root: head.map(|(head, _)| head.root == published.root),
                    head_age_ms: head.map(|(_, at)| now.saturating_sub(*at)),
                    refusal: peer.refusal.clone(),
                    error: awaited.and_then(|awaited| awaited.error).map(str::to_owned),
                    next_dial_ms: awaited.and_then(|awaited| awaited.next_dial_ms).map(|at| at.saturating_sub(now)),
                    heard_age_ms: peer.heard_age_ms(now),
                    strikes: u64::from(peer.strikes(now)),
                    clock_ahead_ms: head.map(|(head, at)| {
                        let arrived_ms = now_ms().saturating_sub(now.saturating_sub(*at));
                        i64::try_from(i128::from(head.time_ms) - i128::from(arrived_ms)).unwrap_or(i64::MAX)
                    }),
                }
            })
            .collect()
    }

    /// Configured addresses at which no peer has answered yet.
    pub fn unanswered(&self) -> Vec<view::Unanswered> {
        let (now, book) = (steady_ms(), self.inner.net.view().book);
        let shown = |awaited: Awaited<'_>| view::Unanswered {
            address: awaited.address.unwrap_or_default().to_owned(),
            error: awaited.error.map(str::to_owned),
            next_dial_ms: awaited.next_dial_ms.map(|at| at.saturating_sub(now)),
        };
        book.unanswered().map(shown).collect()
    }

    /// What other nodes are told over HTTP.
    pub fn state(&self) -> StateView {
        let published = self.inner.writer.published();
        StateView {
            lattice_id: self.inner.identity.lattice.to_string(),
            name: self.inner.name.clone(),
            author: self.inner.identity.keys.author.id().to_string(),
            merkle_root: published.root.to_string(),
            entries: published.tree.len(),
            peers: self.counts().lattice,
            mode: self.inner.board.borrow().mode.word().to_owned(),
            frontier: data_encoding::HEXLOWER.encode(&published.frontier_digest),
            log_size: published.log_size,
            time_ms: now_ms(),
            head: StateView::head_text(&signed_head(&self.inner.identity, &published)),
        }
    }

    /// The second road: mode, why, and each peer that is asked over HTTP.
    pub fn fallback(&self) -> view::Fallback {
        let board = self.inner.board.borrow().clone();
        view::Fallback {
            mode: board.mode.word().to_owned(),
            mode_since_ms: now_ms().saturating_sub(board.age_ms(board.since_ms)),
            mode_reason: board.reason.clone(),
            peers: http_peers(&board),
        }
    }
}

fn http_peers(board: &Board) -> Vec<view::HttpPeer> {
    let peer = |peer: &PeerBoard| view::HttpPeer {
        url: peer.url.clone(),
        author: peer.author.map(|author| author.to_string()),
        published: peer.is_published,
        divergence_count: u64::from(peer.count),
        kind: peer.kind.map(|kind| kind.word().to_owned()),
        state_root: peer.root.map(|root| root.to_string()),
        answer_age_ms: peer.answered_ms.map(|at| board.age_ms(at)),
        breaker: peer.breaker.word().to_owned(),
        error: peer.error.clone(),
    };
    board.peers.iter().map(peer).collect()
}

fn equivocation_view(pair: &lattice::equivocation::Equivocation) -> view::EquivocationView {
    let header = pair.first.header();
    view::EquivocationView {
        author: header.author.to_string(),
        term: header.term,
        seq: header.seq,
        commits: [pair.first.id().to_string(), pair.second.id().to_string()],
    }
}

fn checkpoint_view(published: &Published) -> view::CheckpointView {
    let signed = published.checkpointed.as_ref().map(|last| &last.signed);
    view::CheckpointView {
        origin: published.origin.to_string(),
        size: published.checkpoint_size(),
        log_root: signed.map(|signed| BASE64.encode(signed.checkpoint().root())),
        // The first line is the log's own.
        cosignatures: signed.map_or(0, |signed| signed.note().signatures().len() as u64 - 1),
        withheld: (!published.may_sign).then(|| {
            "after its start this node signs its log again once enough other nodes have said what they hold of it"
                .to_owned()
        }),
    }
}
