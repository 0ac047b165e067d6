//! Holder and shadow watch each other and themselves, and the holder its mirrors.

use lattice::ids::AuthorId;
use node_core::resume::Doubt;
use node_core::seat::controller::Role;
use node_core::seat::event::{Event, Fetched};
use node_core::seat::health::{Health, Monitor, Probe};
use node_core::seat::timing::BootMs;

use super::asking::NoAnswer;
use super::driver::{Driver, Told};
use crate::clock::boot_ms;

/// Leases for which the silence of a node in a new term says nothing.
const GRACE_LEASES: u64 = 2;

/// What is known of the node on the other side.
#[derive(Default)]
pub(super) struct Watch {
    /// Whom it watches, since which term: what failed while the seat moved says nothing of the new term.
    monitor: Option<(AuthorId, u64, Monitor)>,
    own: Option<Monitor>,
    probed_at: Option<BootMs>,
    told_at: Option<BootMs>,
    /// From when on its silence counts: since it first answered, or after a grace.
    first_answer: Option<BootMs>,
}

impl Driver {
    /// Probes the other side of holder and shadow, and reads its health once a probe.
    pub(super) fn probe(&mut self) {
        let now = boot_ms();
        let other = self.other_side();
        if self.watch.monitor.as_ref().map(|(node, term, _)| (*node, *term)) != other {
            self.watch.monitor = other.map(|(node, term)| (node, term, Monitor::new(now, &self.seat.timing)));
            self.watch.first_answer = None;
        }
        let is_due = self.watch.probed_at.is_none_or(|at| now.since_ms(at) >= self.seat.timing.probe_ms);
        if !is_due || other.is_none() {
            return;
        }
        self.watch.probed_at = Some(now);
        let own = self.watch.own.get_or_insert_with(|| Monitor::new(now, &self.seat.timing));
        own.answered(now, self.seat.own_probe());
        self.queue.push_back(Event::OwnHealth(own.read(now)));
        let Some((node, _, monitor)) = self.watch.monitor.as_mut() else { return };
        let node = *node;
        monitor.connected(now, self.seat.is_connected(&node));
        let health = monitor.read(now);
        // A node that was hidden a moment ago has to be found first: its silence says nothing yet.
        let began = *self.watch.first_answer.get_or_insert(now.after(GRACE_LEASES * self.seat.timing.lease_ms));
        // Who won a term before others said what it signed could not write the certificate.
        let is_judged = now >= began && self.seat.writer.published().doubt <= Some(Doubt::Usual);
        self.queue.push_back(Event::OtherHealth(if is_judged { health } else { Health::default() }));
        let (seat, told) = (self.seat.clone(), self.told.clone());
        self.tasks.spawn(async move {
            let probe = seat.probe(node).await;
            let _ = told.send(Told::Probed(node, probe)).await;
        });
    }

    /// A mirror that was not heard of in this term may not know of it: it is in no mesh, and its holder may be gone.
    pub(super) fn tell_mirrors(&mut self) {
        let now = boot_ms();
        let (role, term) = self.controller.role();
        let is_due = self.watch.told_at.is_none_or(|at| now.since_ms(at) >= self.seat.timing.renew_ms);
        let Some(body) = self.certified.as_ref().filter(|_| role == Role::Holder && is_due) else { return };
        self.watch.told_at = Some(now);
        let silent_ms = self.seat.timing.shadow_silent_ms();
        for mirror in body.mirrors().copied().filter(|mirror| !self.outlook.hears(*mirror, term, silent_ms)) {
            let seat = self.seat.clone();
            self.tasks.spawn(async move {
                // What it answers does not matter: it knows the term then.
                let _ = seat.probe(mirror).await;
            });
        }
    }

    /// The holder watches its shadow, the shadow its holder; with the term.
    fn other_side(&self) -> Option<(AuthorId, u64)> {
        let body = self.certified.as_ref()?;
        let other = match self.controller.role().0 {
            Role::Holder => body.shadow,
            Role::Shadow => Some(body.holder),
            Role::Spare | Role::Voter | Role::Outsider => None,
        };
        other.map(|node| (node, body.term))
    }

    pub(super) fn probed(&mut self, node: AuthorId, probe: Result<Probe, NoAnswer>) {
        let Some((_, _, monitor)) = self.watch.monitor.as_mut().filter(|(watched, ..)| *watched == node) else {
            return;
        };
        match probe {
            Ok(probe) => {
                let now = boot_ms();
                monitor.answered(now, probe);
                self.watch.first_answer = self.watch.first_answer.map(|began| began.min(now));
            }
            // Silence is judged by itself, and sooner.
            Err(NoAnswer::Late { .. }) => {}
            Err(NoAnswer::Stranger(_) | NoAnswer::Lost { .. } | NoAnswer::Garbled { .. }) => monitor.failed(),
        }
    }

    /// Whether writes at `shadow` can be acknowledged: there is a shadow that fetches, or the term has none.
    pub(super) fn has_shadow_in_reach(&self) -> bool {
        let Some(body) = &self.certified else { return false };
        let Some(shadow) = body.shadow else { return true };
        self.outlook.copies(shadow, body.term, self.seat.timing.shadow_silent_ms())
    }

    /// A mirror fetched at this holder.
    pub(super) fn fetched_by(&mut self, fetched: Fetched) {
        let size = self.seat.writer.published().seat.log_size;
        self.outlook.fetched(&fetched, size);
        self.queue.push_back(Event::FetchedBy(fetched));
        if let Some(position) = self.position(fetched.term) {
            self.look_at_drain(position);
        }
    }
}
