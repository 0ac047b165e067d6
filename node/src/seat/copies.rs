//! The driver's side of mirroring: it begins and ends the task that copies the holder, and hears how that goes.

use std::sync::atomic::AtomicBool;

use lattice::ids::AuthorId;
use node_core::seat::event::Event;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::driver::{Driver, Told};
use super::mirror::{Mirror, Progress};
use crate::net::Command;

/// A mirror's messages that wait for the driver.
const PROGRESS_MAX: usize = 16;

/// A mirror that runs.
pub(super) struct Mirroring {
    pub(super) number: u64,
    pub(super) term: u64,
    pub(super) stop: CancellationToken,
}

impl Driver {
    pub(super) fn start_mirroring(&mut self, holder: AuthorId, term: u64) {
        let Some(body) = self.seat.body().filter(|body| body.term == term && body.holder == holder) else { return };
        if let Some(before) = self.mirroring.take() {
            before.stop.cancel();
        }
        self.hidden.send_replace(true);
        if let Some(peer) = self.seat.peer_of(&holder) {
            let net = self.seat.net.clone();
            self.tasks.spawn(async move { net.command(Command::Want(peer)).await });
        }
        let stop = CancellationToken::new();
        let (progress, mut progressed) = mpsc::channel(PROGRESS_MAX);
        let mirror = Mirror { seat: self.seat.clone(), body, progress, is_as_whole: AtomicBool::new(false) };
        self.mirrors += 1;
        let number = self.mirrors;
        let (begin, stopped, inbox) = (self.handing.fence(), stop.clone(), self.told.clone());
        self.tasks.spawn(async move {
            let telling = async {
                while let Some(progress) = progressed.recv().await {
                    let _ = inbox.send(Told::Progress(term, progress)).await;
                }
            };
            let mirroring = async {
                // What it asks of the writer comes behind what ends the term before, or the writer would rest again.
                if stopped.run_until_cancelled(begin).await.is_some() {
                    mirror.run(stopped.clone()).await;
                }
            };
            tokio::join!(mirroring, telling);
            let _ = inbox.send(Told::MirrorStopped(number)).await;
        });
        (self.mirroring, self.awaited_mirror) = (Some(Mirroring { number, term, stop }), None);
    }

    /// The mirror says when it has come to rest; one that ended by itself has said so already.
    pub(super) fn stop_mirroring(&mut self) {
        match self.mirroring.take() {
            Some(mirroring) => {
                mirroring.stop.cancel();
                self.awaited_mirror = Some(mirroring.number);
            }
            None if self.awaited_mirror.is_none() => self.tell_rest(),
            None => {}
        }
    }

    pub(super) fn mirror_stopped(&mut self, number: u64) {
        if self.mirroring.as_ref().is_some_and(|mirroring| mirroring.number == number) {
            self.mirroring = None;
        }
        if self.awaited_mirror == Some(number) {
            self.awaited_mirror = None;
            self.tell_rest();
        }
    }

    fn tell_rest(&mut self) {
        let (_, term) = self.controller.role();
        if let Some(position) = self.position(term) {
            self.queue.push_back(Event::MirrorStopped(position));
        }
    }

    pub(super) fn progressed(&mut self, term: u64, progress: Progress) {
        if self.mirroring.as_ref().is_none_or(|mirroring| mirroring.term != term) {
            return;
        }
        self.outlook.progressed(term, &progress);
        match progress {
            Progress::At { here, log_size, is_released, last, .. } => {
                if let Some(position) = self.position(term) {
                    let commits = if last.0 == term { last.1.saturating_sub(position.staged_seq) } else { 0 };
                    let behind = commits + log_size.saturating_sub(here.log_size);
                    self.queue.push_back(Event::StagedUpTo { position, behind });
                    let from = self.certified.as_ref().filter(|body| body.term == term).map(|body| body.holder);
                    if let (true, Some(from)) = (is_released, from) {
                        let staged_seq = if last.0 == term { last.1 } else { 0 };
                        self.queue.push_back(Event::HandedOver { from, term, staged_seq });
                    }
                }
            }
            Progress::Differs(why) => {
                self.alarm(&format!("the copy here differs from the holder's and is made anew: {why}"))
            }
            Progress::Refused(refusal) => {
                if let Some(holder) = self.certified.as_ref().map(|body| body.holder) {
                    self.learn_of(holder, refusal.carrier.as_deref());
                }
            }
            Progress::Silent(why) => {
                tracing::debug!(why, "the holder does not answer its mirror");
                self.ask_voters_for_news(term);
            }
            Progress::Trouble(error) => self.alarm(&format!("this mirror can't store what comes: {error}")),
            Progress::Unfit(why) => self.alarm(&format!("this mirror takes nothing over: {why}")),
            Progress::Seeding => {}
        }
    }
}
