//! Answers what peers ask: reconcile requests of lattice peers, and strangers with an invitation.

use std::sync::Arc;
use std::time::Duration;

use lattice::fault::Fault;
use lattice::hello::{JoinAnswer, JoinRequest};
use reconcile::message::{Request as Question, Response};
use reconcile::responder::{Answer, answer, applied, loaded, read};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Sync;
use super::session::{load, view_of};
use crate::net::{Command, Protocol, Request};
use crate::writer::Reply;
use crate::writer::job::{Job, WriteError};

/// How long a request waits for its turn before the peer is told to come again; a turn takes milliseconds.
const BUSY_AFTER: Duration = Duration::from_secs(2);

/// Requests answered at once; a message of commits in each is at most 8 MiB. Beyond it peers are told to come again.
const ANSWERS_MAX: usize = 4;

impl Sync {
    /// Answers requests until `stop` fires.
    pub async fn serve(self, mut requests: mpsc::Receiver<Request>, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(ANSWERS_MAX));
        let tasks = TaskTracker::new();
        loop {
            let request = tokio::select! {
                Some(request) = requests.recv() => request,
                () = stop.cancelled() => break,
            };
            let (sync, permits) = (self.clone(), permits.clone());
            tasks.spawn(async move {
                let permit = tokio::time::timeout(BUSY_AFTER, permits.acquire()).await;
                let bytes = match (request.protocol, &permit) {
                    (Protocol::Reconcile, Err(_)) => Response::Busy.encode(),
                    (Protocol::Reconcile, Ok(_)) => sync.reconcile(&request).await.encode(),
                    (Protocol::Join, _) => sync.join(&request).await.encode(),
                };
                let Request { protocol, channel, .. } = request;
                sync.net.command(Command::Respond { protocol, channel, bytes }).await;
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn reconcile(&self, request: &Request) -> Response {
        if request.author.is_none() {
            return Response::Refused { reason: "only for peers that proved this lattice".to_owned() };
        }
        let question = match Question::decode(&request.bytes) {
            Ok(question) => question,
            Err(error) => {
                self.net.command(Command::Strike(request.peer)).await;
                return Response::Refused { reason: format!("the request does not decode: {error}") };
            }
        };
        let published = self.writer.published();
        match answer(question, &view_of(&published)) {
            Answer::Reply(response) => response,
            Answer::Load { keys, max_bytes } => match load(&published, &self.reader, &keys, max_bytes).await {
                Ok((commits, served)) => loaded(commits, served),
                Err(reason) => Response::Refused { reason },
            },
            Answer::Apply { commits } => {
                match crate::intake::take(&self.identity, &self.writer, &self.reader, commits).await {
                    Ok(intake) => applied(intake),
                    Err(reason) => Response::Refused { reason },
                }
            }
            Answer::ReadFrontier { after } => {
                let chains = published.frontier.chains().filter(|(id, _)| after.is_none_or(|after| **id > after));
                read(published.root, chains.map(|(id, chain)| (*id, chain.clone())))
            }
        }
    }

    async fn join(&self, request: &Request) -> JoinAnswer {
        let join = match JoinRequest::decode(&request.bytes) {
            Ok(join) => join,
            Err(error) => return JoinAnswer::Refused(error.to_string()),
        };
        if join.lattice != self.identity.lattice {
            return JoinAnswer::Refused("the ticket is for another lattice".to_owned());
        }
        if join.member.peer_id != request.peer.to_bytes() || !join.is_signed() {
            return JoinAnswer::Refused("the request is not signed by the node that sent it".to_owned());
        }
        let (reply, answer) = oneshot::channel();
        let secret_hash = Sha256::digest(join.secret).into();
        self.writer.send(Job::Redeem { secret_hash, member: join.member, reply: Reply(reply) }).await;
        match answer.await.unwrap_or(Err(WriteError::Stopping)) {
            Ok(_) => JoinAnswer::Welcome,
            Err(error) if error.fault() == Fault::Us => JoinAnswer::NotNow(error.to_string()),
            Err(error) => JoinAnswer::Refused(error.to_string()),
        }
    }
}
