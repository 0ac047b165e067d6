//! After a start: asks the others what they hold of this node's own chain, before it goes on with it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use lattice::genesis::Member;
use lattice::ids::AuthorId;
use libp2p::PeerId;
use node_core::resume::{Doubt, Heard, may_sign};
use reconcile::message::{ChainId, Request, Response};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Sync;
use super::road::{HttpRoad, Road};
use crate::audit::cosigning::Way;
use crate::writer::job::Job;

/// How often those are asked that have not answered.
const TICK: Duration = Duration::from_millis(200);

/// Time for one answer, which takes the other side no work: some round trips around the world.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// How often others are asked what this node cosigned: a log whose peers are all silent must not keep it from writing.
const RECALLS_MAX: usize = 3;

impl Sync {
    /// Works until this node may sign, or `stop` fires. `is_known_elsewhere` says whether this node ever met another.
    pub async fn settle_doubt(self, is_known_elsewhere: bool, stop: CancellationToken) {
        let started = Instant::now();
        let mut told = BTreeSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let Some(doubt) = self.writer.published().doubt else { return };
            let heard = self.heard(&told, is_known_elsewhere, started);
            if may_sign(doubt, heard) && !self.is_waiting_for_a_state(heard) {
                if doubt > Doubt::Usual {
                    tokio::select! {
                        () = self.recall_cosigned() => {}
                        () = stop.cancelled() => return,
                    }
                }
                self.writer.send(Job::Sure).await;
                if doubt > Doubt::Usual {
                    tracing::info!(
                        told = heard.told,
                        others = heard.others,
                        "others said what this node signed; it writes again"
                    );
                }
                return;
            }
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = self.ask_for_own_chain(&mut told) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Learns what this node cosigned. Who is a member is known by now.
    async fn recall_cosigned(&self) {
        for _ in 0..RECALLS_MAX {
            let ways: Vec<_> = self.reached().into_iter().map(|(way, _)| way).collect();
            if self.audit.recall_cosigned(&ways).await {
                return;
            }
        }
        tracing::warn!("nobody answered about some logs, of which this node may have cosigned more than it knows");
    }

    fn heard(&self, told: &BTreeSet<AuthorId>, is_known_elsewhere: bool, started: Instant) -> Heard {
        let (published, own) = (self.writer.published(), self.identity.keys.author.id());
        let others = published.membership.members().map(|member| member.author);
        let others = others.filter(|author| *author != own && published.membership.is_active(author));
        let others: BTreeSet<_> = others.collect();
        let is_met = self.net.view().book.peers().any(|(_, peer)| peer.configured || !peer.links.is_empty());
        Heard {
            told: told.intersection(&others).count(),
            others: others.len(),
            is_alone: !is_known_elsewhere && !is_met,
            waited_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// An older or lost state must equal a peer's first: who is a member stands in it. One that is alone has nobody to wait
    /// for, if its database was not lost altogether.
    fn is_waiting_for_a_state(&self, heard: Heard) -> bool {
        let published = self.writer.published();
        published.is_catching_up && (heard.others > 0 || published.tree.is_empty())
    }

    async fn ask_for_own_chain(&self, told: &mut BTreeSet<AuthorId>) {
        let own: ChainId = (self.identity.keys.author.id(), 0);
        let request = Request::Frontier { after: just_before(own) };
        let asking = self.reached().into_iter().filter(|(_, member)| !told.contains(&member.author));
        let asking = asking.map(|(way, member)| {
            let (road, request) = (self.road(way, member.author), &request);
            async move {
                let answer = tokio::time::timeout(ANSWER_TIMEOUT, road.ask(self, request)).await;
                (member.author, answer)
            }
        });
        for (author, answer) in join_all(asking.collect::<Vec<_>>()).await {
            // Whoever is busy or silent is asked again.
            let Ok(Ok(Response::Frontier { chains, .. })) = answer else { continue };
            if let Some((_, chain)) = chains.into_iter().find(|(id, _)| *id == own) {
                self.writer.send(Job::Learnt { chain: Box::new(chain) }).await;
            }
            told.insert(author);
        }
    }

    /// Who can be asked: lattice peers, by whatever road. A mirror is hidden, and asks whom it knows.
    fn reached(&self) -> Vec<(Way, Member)> {
        if !*self.hidden.borrow() {
            return self.audit.peers();
        }
        let (published, own) = (self.writer.published(), self.identity.keys.author.id());
        let others = published.membership.members().filter(|member| member.author != own);
        let others = others.filter(|member| published.membership.is_active(&member.author));
        let way = |member: &Member| Some((Way::P2p(PeerId::from_bytes(&member.peer_id).ok()?), member.clone()));
        others.filter_map(way).collect()
    }

    fn road(&self, way: Way, receiver: AuthorId) -> Road {
        match way {
            Way::P2p(peer) => Road::P2p(peer),
            Way::Http(url) => {
                let client = self.audit.client.clone();
                Road::Http(HttpRoad { client, identity: self.identity.clone(), url, receiver })
            }
        }
    }
}

/// The chain that a page must begin behind for `chain` to be the first on it; `None` if it is the first of all.
fn just_before((author, term): ChainId) -> Option<ChainId> {
    if let Some(term) = term.checked_sub(1) {
        return Some((author, term));
    }
    let mut bytes = author.0;
    for byte in bytes.iter_mut().rev() {
        let (less, borrows) = byte.overflowing_sub(1);
        *byte = less;
        if !borrows {
            return Some((AuthorId(bytes), u64::MAX));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_between_a_chain_and_the_one_just_before() {
        let author = |first: u8, last: u8| {
            let mut bytes = [0; 32];
            (bytes[0], bytes[31]) = (first, last);
            AuthorId(bytes)
        };
        assert_eq!(just_before((author(0, 0), 0)), None);
        assert_eq!(just_before((author(0, 1), 0)), Some((author(0, 0), u64::MAX)));
        assert_eq!(just_before((author(7, 7), 3)), Some((author(7, 7), 2)));
        let before = just_before((author(1, 0), 0)).expect("not the first");
        assert!(before < (author(1, 0), 0) && before.0.0 == [[0].as_slice(), &[0xff; 31]].concat()[..], "{before:?}");
    }
}
