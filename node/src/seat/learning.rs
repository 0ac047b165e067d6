//! How a node hears of terms that it missed: their certificates travel with questions and refusals.
//!
//! Mirrors are in no mesh, and a new holder can't dial them: whoever speaks with one tells it of the highest term. Where that
//! does not lead back to a term known here, those in between are asked for.

use std::sync::PoisonError;
use std::time::Duration;

use lattice::commit::{Commit, OpSlot};
use lattice::ids::AuthorId;
use lattice::seat::message::{MirrorPosition, SeatAnswer, SeatRequest, TERMS_MAX};
use lattice::seat::{Body, BodyHash, Certificate, Term};

use super::driver::{Driver, Told};
use super::refusal::{Refused, refused};
use super::{Carrier, Seat};
use crate::intake;
use crate::net::Request;

/// How long another node may take to read the terms that we missed.
const TERMS_TIMEOUT: Duration = Duration::from_secs(5);

impl Driver {
    /// A message that bears a certificate unknown here teaches it.
    pub(super) fn learn_of(&self, from: AuthorId, carrier: Option<&[u8]>) {
        let Some(news) = carrier.and_then(|bytes| self.seat.news_in(bytes)) else { return };
        let Some(place) = self.learning.take(from) else { return };
        let seat = self.seat.clone();
        self.tasks.spawn(async move {
            seat.take_news(from, news).await;
            drop(place);
        });
    }

    /// If a question bears a certificate that is news, its commit is applied first, and the question comes again; else it
    /// is given back.
    pub(super) fn learn_first(&self, request: Request, from: AuthorId, carrier: Option<Vec<u8>>) -> Option<Request> {
        let Some(news) = carrier.and_then(|bytes| self.seat.news_in(&bytes)) else { return Some(request) };
        // Without it the question is answered by what is known here, and comes again.
        let Some(place) = self.learning.take(from) else { return Some(request) };
        let (seat, told) = (self.seat.clone(), self.told.clone());
        self.tasks.spawn(async move {
            seat.take_news(from, news).await;
            drop(place);
            let request = Request { bytes: without_carrier(&request.bytes), ..request };
            // The driver is gone only at the end.
            let _ = told.send(Told::Learnt(Box::new(request))).await;
        });
        None
    }

    /// A mirror is in no mesh: where its holder is gone, others know who holds the seat now. None of them holds it in this
    /// term, so each refuses the fetch, with the highest certificate that it knows.
    pub(super) fn ask_voters_for_news(&self, term: u64) {
        let Some(body) = self.seat.body().filter(|body| body.term == term) else { return };
        let own = self.seat.own();
        for voter in body.voters.iter().copied().filter(|voter| *voter != own && *voter != body.holder) {
            let seat = self.seat.clone();
            self.tasks.spawn(async move {
                let position = MirrorPosition { log_size: 0, log_root: [0; 32], staged: (0, 0) };
                let request =
                    SeatRequest::Fetch { term, position, is_bare: true, wait_ms: 0, is_twin: false, paused_ms: 0 };
                if let Ok(answer) = seat.ask(voter, &request, seat.answer_timeout()).await {
                    seat.learn_of_refusal(voter, &answer).await;
                }
            });
        }
    }

    /// Finds the commit that carries the highest certificate, to be sent along with questions, and tells the mirrors.
    pub(super) fn find_carrier(&self) {
        let seat = self.seat.clone();
        let mirrors: Vec<AuthorId> = seat.body().iter().flat_map(Body::mirrors).copied().collect();
        let told: Vec<AuthorId> = mirrors.into_iter().filter(|mirror| seat.is_connected(mirror)).collect();
        self.tasks.spawn(async move {
            seat.find_carrier().await;
            // What they answer does not matter.
            let _ = futures::future::join_all(told.iter().map(|mirror| seat.probe(*mirror))).await;
        });
    }
}

/// The same question without the commit: one that was not taken the first time would be tried for ever.
fn without_carrier(bytes: &[u8]) -> Vec<u8> {
    match SeatRequest::decode(bytes) {
        Ok(SeatRequest::Vote { body, .. }) => SeatRequest::Vote { body, carrier: None }.encode(),
        Ok(SeatRequest::Renew { body, ticket, lease_ms, carrier: _ }) => {
            SeatRequest::Renew { body, ticket, carrier: None, lease_ms }.encode()
        }
        Ok(_) | Err(_) => bytes.to_vec(),
    }
}

/// The certificate that a commit carries.
fn certificate_in(commit: &Commit) -> Option<Certificate> {
    let carried = |slot: &OpSlot| match slot {
        OpSlot::Live(op) => op.value().and_then(|value| Certificate::decode(value).ok()),
        OpSlot::Dead(_) => None,
    };
    commit.slots().iter().find_map(carried)
}

impl Seat {
    /// A commit that carries a certificate which is not known here, or one that is and does not lead back to those before.
    pub(super) fn news_in(&self, bytes: &[u8]) -> Option<Commit> {
        let commit = Commit::decode(bytes).ok()?;
        let body = certificate_in(&commit)?.body;
        let is_news = !self.writer.published().membership.seats().knows(&body.hash()) || body.term > self.term();
        is_news.then_some(commit)
    }

    /// Applies a commit that carries a certificate, like any other's; `from` is asked for what lies between it and the terms
    /// known here. One that its voters or operators did not sign costs nothing but that look.
    pub(super) async fn take_news(&self, from: AuthorId, commit: Commit) {
        let Some(certificate) = certificate_in(&commit) else { return };
        let term = certificate.body.term;
        let identity = self.identity.clone();
        let checking = tokio::task::spawn_blocking(move || certificate.verify(&identity.genesis, identity.lattice));
        // A check that panicked is a bug; the certificate counts as not received.
        match checking.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::debug!(from = %from.short(), term, %error, "what came as news is none"),
            Err(_) => return,
        }
        self.take_certificates(vec![commit]).await;
        while self.term() < term {
            let before = self.term();
            let request = SeatRequest::Terms { after: before };
            let Ok(SeatAnswer::Terms(commits)) = self.ask(from, &request, TERMS_TIMEOUT).await else { return };
            let commits = commits.iter().filter_map(|bytes| Commit::decode(bytes).ok());
            self.take_certificates(commits.filter(|commit| certificate_in(commit).is_some()).collect()).await;
            if self.term() <= before {
                return tracing::debug!(from = %from.short(), term, "the terms before a certificate did not come");
            }
        }
    }

    /// Who refuses may know of a term that is news here.
    pub(super) async fn learn_of_refusal(&self, from: AuthorId, answer: &SeatAnswer) {
        if let SeatAnswer::Refused(refusal) = answer
            && let Some(news) = refusal.carrier.as_deref().and_then(|bytes| self.news_in(bytes))
        {
            self.take_news(from, news).await;
        }
    }

    async fn take_certificates(&self, commits: Vec<Commit>) {
        for checked in intake::verify(&self.identity, commits).await {
            match checked {
                Ok(commit) => drop(self.writer.take(vec![commit], true).await),
                Err((commit, error)) => {
                    tracing::debug!(commit = %commit.short(), %error, "what came as a certificate is refused");
                }
            }
        }
    }

    /// The number of the highest term settled, 0 if there is none.
    fn term(&self) -> u64 {
        let published = self.writer.published();
        published.membership.seats().current().map_or(0, |term| term.certificate.body.term)
    }

    /// The commit that carries the highest certificate, if it was found.
    pub(super) fn carrier(&self) -> Option<Vec<u8>> {
        let carrier = self.carrier.lock().unwrap_or_else(PoisonError::into_inner);
        carrier.as_ref().map(|carrier| carrier.commit.clone())
    }

    /// The same, after a look whether there is a newer one, if it is of another body than this: a holder that has just begun asks
    /// for a lease faster than the commit is read.
    pub(super) async fn carrier_of(&self, body: BodyHash) -> Option<Vec<u8>> {
        let is_found =
            self.carrier.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|it| it.body == body);
        if !is_found {
            self.find_carrier().await;
        }
        self.carrier()
    }

    /// Reads that commit out of the state.
    async fn find_carrier(&self) {
        let Some(current) = self.current() else { return };
        let (body, term) = (current.hash, current.certificate.body.term);
        let Ok(commits) = self.carriers(&[current]).await else { return };
        let Some(commit) = commits.into_iter().next() else { return };
        let mut known = self.carrier.lock().unwrap_or_else(PoisonError::into_inner);
        // Two may look at once, and the one that looked first come last.
        if known.as_ref().is_none_or(|known| known.term <= term) {
            *known = Some(Carrier { body, term, commit });
        }
    }

    /// Answers who missed terms.
    pub(super) async fn terms_after(&self, after: u64) -> SeatAnswer {
        let published = self.writer.published();
        let terms = published.membership.seats().terms().filter(|term| term.certificate.body.term > after);
        let terms: Vec<Term> = terms.take(TERMS_MAX).cloned().collect();
        match self.carriers(&terms).await {
            Ok(commits) => SeatAnswer::Terms(commits),
            Err(error) => refused(Refused::Trouble(error.to_string()), None),
        }
    }

    /// The commits that carry the certificates of these terms.
    async fn carriers(&self, terms: &[Term]) -> Result<Vec<Vec<u8>>, crate::store::StoreError> {
        let published = self.writer.published();
        let row = |term: &Term| {
            let op = term.certificate.to_op().ok()?;
            published.tree.get(&op.key().hash()).map(|leaf| leaf.tag)
        };
        let rows: Vec<_> = terms.iter().filter_map(row).collect();
        let (commits, _) = self.reader.commits_of(&rows, usize::MAX).await?;
        Ok(commits.iter().map(Commit::encode).collect())
    }
}
