//! Answers what peers ask: reconcile requests of lattice peers, and strangers with an invitation.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lattice::commit::SignedHeader;
use lattice::fault::Fault;
use lattice::frontier::Chain;
use lattice::hello::{JoinAnswer, JoinRequest};
use lattice::ids::{AuthorId, StateRoot};
use libp2p::PeerId;
use reconcile::message::{ChainId, Request as Question, Response};
use reconcile::responder::{Answer, answer, applied, loaded, read};
use sha2::{Digest, Sha256};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Sync;
use super::session::{load, view_of};
use crate::net::swarm::name;
use crate::net::{Command, Protocol, Request};
use crate::writer::Reply;
use crate::writer::job::{Job, WriteError};

/// How long a request waits for its turn before the peer is told to come again; a turn takes milliseconds.
const BUSY_AFTER: Duration = Duration::from_secs(2);

/// Requests answered at once; a message of commits in each is at most 8 MiB. Beyond it they wait for a turn.
const ANSWERS_MAX: usize = 4;

/// Requests that wait for their turn, 2 MiB each at most. Beyond it peers are told at once to come again.
const WAITING_MAX: usize = 16;

/// Places that one peer may hold: a session over each road, and one that crosses ours.
const PLACES_EACH: usize = 3;

/// Long answers at once, each a walk through half a million entries: the others must get on beside it.
const LONG_ANSWERS_MAX: usize = 1;

/// Strangers with an invitation heard at once. Beyond it they come again by themselves.
const JOINS_MAX: usize = 2;

/// Who asks: a member, over whichever road, or a peer of whom no more is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asker {
    Member(AuthorId),
    Peer(PeerId),
}

/// A place that an asker holds until its request is answered.
struct Place {
    _permit: OwnedSemaphorePermit,
    held: Arc<Mutex<BTreeMap<Asker, usize>>>,
    asker: Asker,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut places) = held.entry(self.asker) {
            *places.get_mut() -= 1;
            if *places.get() == 0 {
                places.remove();
            }
        }
    }
}

/// Who is being answered. A place is taken before a task is made for the request, so that a burst can't outrun it. Both
/// roads share the places: one burst more is no more memory.
pub struct Turns {
    answers: Semaphore,
    long_answers: Semaphore,
    places: Arc<Semaphore>,
    held: Arc<Mutex<BTreeMap<Asker, usize>>>,
    joins: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            answers: Semaphore::new(ANSWERS_MAX),
            long_answers: Semaphore::new(LONG_ANSWERS_MAX),
            held: Arc::default(),
            places: Arc::new(Semaphore::new(ANSWERS_MAX + WAITING_MAX)),
            joins: Arc::new(Semaphore::new(JOINS_MAX)),
        }
    }
}

impl Sync {
    /// Answers requests until `stop` fires.
    pub async fn serve(self, mut requests: mpsc::Receiver<Request>, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        loop {
            let request = tokio::select! {
                Some(request) = requests.recv() => request,
                () = stop.cancelled() => break,
            };
            let is_known = self.is_known(&request);
            match self.turns.place_for(&request, is_known) {
                Ok(place) => {
                    let sync = self.clone();
                    tasks.spawn(async move { sync.answer(request, place).await });
                }
                Err(refusal) => self.respond(request, refusal).await,
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Whether the asker is a lattice peer. A node that lost its database knows no members any more, so whoever its
    /// configuration or its address book names may bring it the state; each commit is judged as ever.
    fn is_known(&self, request: &Request) -> bool {
        let is_configured = || {
            let book = self.net.view().book;
            let asker = name(&request.peer);
            book.peers().any(|(known, peer)| *known == asker && peer.configured && peer.proved.is_some())
        };
        request.author.is_some() || (self.writer.published().is_catching_up && is_configured())
    }

    fn must_wait(&self, peer: PeerId, question: &Question) -> bool {
        let own = (self.writer.published().tree.len(), self.net.own);
        self.crossing.must_wait(own, peer, question)
    }

    /// Answers in turn; the place is given back at the end.
    async fn answer(&self, request: Request, _place: Admitted) {
        let bytes = match request.protocol {
            Protocol::Join => self.join(&request).await.encode(),
            Protocol::Witness => self.audit.answer(&request.bytes).await.to_string().into_bytes(),
            // These have a queue of their own.
            Protocol::Seat => Vec::new(),
            Protocol::Reconcile => match Question::decode(&request.bytes) {
                // A mirror takes from its holder alone; what it has of a chain it says to everybody.
                Ok(question) if *self.hidden.borrow() && !matches!(question, Question::Frontier { .. }) => {
                    Response::Busy.encode()
                }
                Ok(question) if self.must_wait(request.peer, &question) => Response::Busy.encode(),
                Ok(question) => self.in_turn(question, request.author).await.encode(),
                Err(error) => {
                    if error.fault() == Fault::Sender {
                        self.net.command(Command::Strike(request.peer)).await;
                    }
                    Response::Refused { reason: format!("the request does not decode: {error}") }.encode()
                }
            },
        };
        self.respond(request, bytes).await;
    }

    /// A place for a message that a member is about to send over HTTP.
    pub(crate) fn place_over_http(&self, author: AuthorId) -> Option<http_fallback::router::Place> {
        let place = self.turns.place_of(Asker::Member(author))?;
        Some(Box::new(place))
    }

    /// Answers a message that came over HTTP.
    pub(crate) async fn answer_over_http(&self, author: AuthorId, message: Vec<u8>) -> http_fallback::router::Reply {
        use http_fallback::router::Reply;
        let question = match Question::decode(&message) {
            Ok(question) => question,
            Err(error) => return Reply::Unreadable(format!("the message does not decode: {error}")),
        };
        let response = self.in_turn(question, Some(author)).await;
        if response == Response::Busy { Reply::Busy } else { Reply::Answer(response.encode()) }
    }

    async fn respond(&self, request: Request, bytes: Vec<u8>) {
        let Request { protocol, channel, .. } = request;
        self.net.command(Command::Respond { protocol, channel, bytes }).await;
    }

    /// Waits for a turn, not for long.
    async fn in_turn(&self, question: Question, asker: Option<AuthorId>) -> Response {
        let turn = async {
            let long = if question.is_long() { Some(self.turns.long_answers.acquire().await?) } else { None };
            Ok::<_, AcquireError>((long, self.turns.answers.acquire().await?))
        };
        match tokio::time::timeout(BUSY_AFTER, turn).await {
            Ok(Ok(_turn)) => self.reconcile(question, asker).await,
            Ok(Err(_)) | Err(_) => Response::Busy,
        }
    }

    async fn reconcile(&self, question: Question, asker: Option<AuthorId>) -> Response {
        let published = self.writer.published();
        let view = view_of(&published);
        let is_long = question.is_long();
        let answer = || answer(question, &view);
        match if is_long { tokio::task::block_in_place(answer) } else { answer() } {
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
                let chains = chains.map(|(id, chain)| (*id, chain.clone()));
                match self.last_that_waits(asker).await {
                    None => read(published.root, chains),
                    // It may have forgotten that it signed it. A root that is none says that more is told than what is in.
                    Some(header) => read(StateRoot::ZERO, with_waiting(chains, &header, after)),
                }
            }
        }
    }

    /// The last commit of the asker's own chain that waits here for a time or a member.
    async fn last_that_waits(&self, asker: Option<AuthorId>) -> Option<SignedHeader> {
        let author = asker.filter(|_| self.writer.published().waiting > 0)?;
        let (reply, told) = oneshot::channel();
        self.writer.send(Job::Waiting { author, reply }).await;
        told.await.ok().flatten()
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
        let secret_hash: [u8; 32] = Sha256::digest(join.secret).into();
        // Guesses are answered by the read pool; they never reach the writer.
        match self.reader.knows_invitation(secret_hash).await {
            Ok(true) => {}
            Ok(false) => return JoinAnswer::Refused(WriteError::NoInvitation.to_string()),
            Err(error) => return JoinAnswer::NotNow(error.to_string()),
        }
        let (reply, answer) = oneshot::channel();
        self.writer.send(Job::Redeem { secret_hash, member: join.member, reply: Reply(reply) }).await;
        match answer.await.unwrap_or(Err(WriteError::Stopping)) {
            Ok(_) => JoinAnswer::Welcome,
            Err(error) if error.fault() == Fault::Us => JoinAnswer::NotNow(error.to_string()),
            Err(error) => JoinAnswer::Refused(error.to_string()),
        }
    }
}

/// What a request holds while it is answered.
enum Admitted {
    Peer(#[expect(dead_code, reason = "held, not read")] Place),
    Stranger(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
}

impl Turns {
    /// A place for one who asks, unless all are taken or it holds its share.
    fn place_of(&self, asker: Asker) -> Option<Place> {
        let permit = self.places.clone().try_acquire_owned().ok()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let places = held.entry(asker).or_default();
        if *places >= PLACES_EACH {
            return None;
        }
        *places += 1;
        Some(Place { _permit: permit, held: self.held.clone(), asker })
    }

    /// A place for a request; or the refusal, before any work or memory is spent, for strangers and for whoever comes
    /// when all places are taken.
    fn place_for(&self, request: &Request, is_known: bool) -> Result<Admitted, Vec<u8>> {
        match request.protocol {
            Protocol::Reconcile if !is_known => {
                Err(Response::Refused { reason: "only for peers that proved this lattice".to_owned() }.encode())
            }
            Protocol::Seat => Err(Vec::new()),
            Protocol::Witness if !is_known => Err(b"403\nonly for peers that proved this lattice\n".to_vec()),
            Protocol::Witness => {
                let asker = request.author.map_or(Asker::Peer(request.peer), Asker::Member);
                self.place_of(asker).map(Admitted::Peer).ok_or_else(|| b"503\ncome again\n".to_vec())
            }
            Protocol::Reconcile => {
                let asker = request.author.map_or(Asker::Peer(request.peer), Asker::Member);
                self.place_of(asker).map(Admitted::Peer).ok_or_else(|| Response::Busy.encode())
            }
            Protocol::Join => self
                .joins
                .clone()
                .try_acquire_owned()
                .map(Admitted::Stranger)
                .map_err(|_| JoinAnswer::NotNow("the inviting node is busy".to_owned()).encode()),
        }
    }
}

/// These chains, from behind `after` on, and among them what waits of its author's.
fn with_waiting(
    chains: impl Iterator<Item = (ChainId, Chain)>,
    header: &SignedHeader,
    after: Option<ChainId>,
) -> BTreeMap<ChainId, Chain> {
    let mut chains: BTreeMap<_, _> = chains.collect();
    let id = (header.header().author, header.header().term);
    if after.is_none_or(|after| id > after) {
        chains.entry(id).or_default().note(header);
    }
    chains
}

#[cfg(test)]
mod tests {
    use lattice::clock::Timestamp;
    use lattice::commit::Draft;
    use lattice::ids::{CommitId, LatticeId};
    use lattice::keys::NodeKeys;
    use lattice::op::Op;

    use super::*;

    #[test]
    fn what_waits_stands_in_the_chain_of_its_author_and_on_its_page() {
        let keys = NodeKeys::from_seed([1; 32]);
        let draft =
            Draft { lattice: LatticeId::ZERO, term: 0, seq: 7, prev: CommitId::ZERO, time: Timestamp::from_millis(1) };
        let commit = draft.sign(&keys.author, vec![Op::put("k", b"v").expect("small")]);
        let (header, id) = (commit.signed(), (keys.author.id(), 0));
        let told = with_waiting(std::iter::empty(), header, None);
        assert_eq!(told.get(&id).map(Chain::highest), Some(7));
        assert_eq!(told.get(&id).map(Chain::seq), Some(0), "those before it are not known");
        assert!(with_waiting(std::iter::empty(), header, Some(id)).is_empty(), "it stood on the page before");
    }

    #[tokio::test]
    async fn nobody_takes_all_places_and_all_are_given_back() {
        let turns = Turns::default();
        let one = Asker::Member(AuthorId([1; 32]));
        let mut held: Vec<_> = (0..PLACES_EACH).filter_map(|_| turns.place_of(one)).collect();
        assert_eq!(held.len(), PLACES_EACH);
        assert!(turns.place_of(one).is_none(), "its share is taken");
        let others = (2..).map(|n| Asker::Member(AuthorId([n; 32])));
        held.extend(others.map_while(|asker| turns.place_of(asker)));
        assert_eq!(held.len(), ANSWERS_MAX + WAITING_MAX);
        assert!(turns.place_of(Asker::Peer(PeerId::random())).is_none(), "all are taken");
        held.clear();
        assert!(turns.held.lock().expect("whole").is_empty());
        assert!(turns.place_of(one).is_some());
    }
}
