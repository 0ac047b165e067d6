//! Orders about the seat, by a unix socket that only this node's user may open. The public API never takes them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Path as InPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::BASE64;
use lattice::ids::{AuthorId, CommitId};
use lattice::log::note::Note;
use lattice::membership::Change;
use lattice::seat::{Approvals, Body, Certificate, Term, Warrant};
use node_core::seat::event::Order;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Seat;
use super::driver::SeatHandle;
use super::status::SeatStatus;
use super::writing::{Level, SeatWrite};
use crate::api::auth::{ApiToken, bearer};
use crate::api::problem::{Kind, Problem};
use crate::clock::now_ms;
use crate::service::Service;
use crate::view::SeatTermView;
use crate::writer::job::Job;
use crate::writer::seat::{Condition, SeatJob};

/// Name of the socket in a node's directory.
pub const SOCKET: &str = "admin.sock";

/// What the admin routes share.
#[derive(Clone)]
pub struct Admin {
    /// The seat here.
    pub seat: Seat,
    /// The driver.
    pub handle: SeatHandle,
    /// Where certificates are written.
    pub service: Service,
}

/// A seat to be created, or a term to be settled by operators. Nodes are author keys or names of members.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settlement {
    /// Who holds it.
    pub holder: String,
    /// Its shadow; none for a seat without.
    pub shadow: Option<String>,
    /// Further mirrors.
    #[serde(default)]
    pub spares: Vec<String>,
    /// Who votes; if empty, those who did before.
    #[serde(default)]
    pub voters: Vec<String>,
    /// The last number of the old holder's chain that counts; by default all that this node knows of.
    pub cut: Option<u64>,
    /// Why, for people.
    pub reason: Option<String>,
}

/// What operators sign, and how far it has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Approved {
    /// The signed note.
    pub note: String,
    /// Operators who signed.
    pub approvals: usize,
    /// Operators who must.
    pub needed: usize,
    /// Whether the certificate was written into the state.
    pub is_settled: bool,
}

/// Signed notes of operators over one body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notes {
    /// The notes.
    pub notes: Vec<String>,
}

/// How long takeovers are paused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pause {
    /// Seconds.
    pub seconds: u64,
}

/// Other mirrors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mirrors {
    /// The shadow: an author key, or a member's name.
    pub shadow: String,
    /// Spares in their order.
    #[serde(default)]
    pub spares: Vec<String>,
}

/// A commit in quarantine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its id.
    pub commit: String,
    /// The term it was written in.
    pub term: u64,
    /// Its number there.
    pub seq: u64,
    /// When it was written, in milliseconds since 1970.
    pub time_ms: u64,
    /// What it would have written: keys with their values, text or base64.
    pub operations: Vec<QuarantinedOp>,
}

/// An operation of a commit in quarantine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuarantinedOp {
    /// The key.
    pub key: String,
    /// The value in base64; none for a delete.
    pub value_base64: Option<String>,
}

/// How long an order may take whose end is another term.
const MOVED_WITHIN: std::time::Duration = std::time::Duration::from_secs(15);

/// Serves the socket until `stop` fires, with `more` routes beside those of the seat.
///
/// # Errors
///
/// If the socket can't be made.
pub fn serve(
    admin: Admin,
    more: Router,
    dir: &Path,
    stop: CancellationToken,
) -> std::io::Result<impl Future<Output = ()> + use<>> {
    let path = dir.join(SOCKET);
    // One of a process that was killed; the directory's lock says that no other runs.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // The directory is this user's alone, so nobody comes in before the mode is set.
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let router = router(admin).merge(more);
    Ok(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::warn!(%error, "the admin socket is closed");
        }
        // Gone already is as good.
        let _ = std::fs::remove_file(&path);
    })
}

/// The same routes for a loopback port, for whoever shows the token.
pub fn guarded(admin: Admin, more: Router, token: ApiToken) -> Router {
    let token = Arc::new(token);
    router(admin).merge(more).layer(middleware::from_fn(move |request: Request, next: Next| {
        let token = token.clone();
        async move {
            let shown = request.headers().get(AUTHORIZATION).and_then(|header| bearer(header.as_bytes()));
            if shown.is_some_and(|shown| token.is(shown)) {
                return next.run(request).await;
            }
            let detail = "orders need the header \"Authorization: Bearer TOKEN\"; the token is in the file admin.token \
                of the node's directory";
            Problem::new(Kind::Unauthorized, detail).into_response()
        }
    }))
}

/// The admin routes.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/seat", get(status))
        .route("/seat/create", post(settle))
        .route("/seat/settle", post(settle))
        .route("/seat/approve", post(approve))
        .route("/seat/promote", post(promote))
        .route("/seat/switchover", post(switchover))
        .route("/seat/pause", post(pause))
        .route("/seat/resume", post(resume))
        .route("/seat/mirrors", post(mirrors))
        .route("/seat/degrade", post(degrade))
        .route("/seat/history", get(history))
        .route("/quarantine", get(quarantine))
        .route("/quarantine/{commit}/drop", post(drop_quarantined))
        .route("/quarantine/{commit}/resubmit", post(resubmit))
        .with_state(Arc::new(admin))
}

type Admins = State<Arc<Admin>>;

async fn status(State(admin): Admins) -> Json<SeatStatus> {
    Json(admin.handle.status())
}

/// Drafts the next term, or the first, signs it as an operator, and writes it if that is enough.
async fn settle(State(admin): Admins, Json(typed): Json<Settlement>) -> Result<Json<Approved>, Problem> {
    let body = admin.drafted(&typed)?;
    admin.approved(&body, None).await.map(Json)
}

/// Adds this operator's signature to a note of another.
async fn approve(State(admin): Admins, Json(Notes { notes }): Json<Notes>) -> Result<Json<Approved>, Problem> {
    let (body, approvals) = joined(&notes)?;
    admin.approved(&body, Some(approvals)).await.map(Json)
}

/// Writes the certificate that these notes make.
async fn promote(State(admin): Admins, Json(Notes { notes }): Json<Notes>) -> Result<Json<Approved>, Problem> {
    let (body, approvals) = joined(&notes)?;
    admin.settled(&body, approvals).await.map(Json)
}

async fn switchover(State(admin): Admins) -> Result<Json<SeatStatus>, Problem> {
    admin.moved_by(Order::Switchover).await
}

async fn pause(State(admin): Admins, Json(Pause { seconds }): Json<Pause>) -> Result<Json<SeatStatus>, Problem> {
    admin.order(Order::Pause { for_ms: seconds.saturating_mul(1000) }).await
}

async fn resume(State(admin): Admins) -> Result<Json<SeatStatus>, Problem> {
    admin.order(Order::Resume).await
}

async fn degrade(State(admin): Admins) -> Result<Json<SeatStatus>, Problem> {
    admin.moved_by(Order::Degrade).await
}

async fn mirrors(State(admin): Admins, Json(typed): Json<Mirrors>) -> Result<Json<SeatStatus>, Problem> {
    let shadow = admin.member(&typed.shadow)?;
    let spares = typed.spares.iter().map(|spare| admin.member(spare)).collect::<Result<_, _>>()?;
    admin.moved_by(Order::ChangeShadow { shadow, spares }).await
}

async fn history(State(admin): Admins) -> Json<Vec<SeatTermView>> {
    Json(super::status::history(&admin.seat))
}

async fn quarantine(State(admin): Admins) -> Result<Json<Vec<Quarantined>>, Problem> {
    let deposed = admin.seat.reader.deposed().await?;
    let shown = deposed.iter().map(|commit| {
        let header = commit.signed().header();
        let operations = commit.slots().iter().filter_map(|slot| match slot {
            lattice::commit::OpSlot::Live(op) => Some(QuarantinedOp {
                key: op.key().to_string(),
                value_base64: op.value().map(|value| BASE64.encode(value)),
            }),
            lattice::commit::OpSlot::Dead(_) => None,
        });
        Quarantined {
            commit: commit.id().to_string(),
            term: header.term,
            seq: header.seq,
            time_ms: header.time.millis(),
            operations: operations.collect(),
        }
    });
    Ok(Json(shown.collect()))
}

async fn drop_quarantined(State(admin): Admins, InPath(commit): InPath<String>) -> Result<Json<bool>, Problem> {
    let commit = commit_of(&commit)?;
    admin.forget(commit).await.map(Json)
}

/// Writes the operations of a quarantined commit again, as a new commit at whoever holds the seat now.
async fn resubmit(State(admin): Admins, InPath(commit): InPath<String>) -> Result<Json<String>, Problem> {
    let id = commit_of(&commit)?;
    let deposed = admin.seat.reader.deposed().await?;
    let Some(commit) = deposed.into_iter().find(|commit| commit.id() == id) else {
        return Err(Problem::new(Kind::NoSuchEntry, "no such commit is in quarantine"));
    };
    let live = commit.slots().iter().filter_map(|slot| match slot {
        lattice::commit::OpSlot::Live(op) => Some(op.clone()),
        lattice::commit::OpSlot::Dead(_) => None,
    });
    // Named after the commit: sent twice it is written once.
    let name = crate::writer::job::IdempotencyKey::new(&format!("resubmit-{id}"));
    let write = SeatWrite { ops: live.collect(), condition: Condition::Always, name, level: Level::default() };
    let written = admin.seat.write(write).await?;
    admin.forget(id).await?;
    Ok(Json(written.commit.to_string()))
}

fn commit_of(text: &str) -> Result<CommitId, Problem> {
    text.parse().map_err(|error: lattice::ids::BadHex| Problem::new(Kind::BadRequest, error.to_string()))
}

/// The body that these notes are about, and their signatures together.
fn joined(notes: &[String]) -> Result<(Body, Approvals), Problem> {
    let bad = |detail: String| Problem::new(Kind::Unprocessable, detail);
    let mut all: Option<(Body, Approvals)> = None;
    for text in notes {
        let note = Note::parse(text.as_bytes()).map_err(|error| bad(error.to_string()))?;
        let body = Approvals::body_of(&note).map_err(|error| bad(error.to_string()))?;
        let approvals = Approvals::from_note(&body, &note)
            .ok_or_else(|| bad("the words of the note are not its body's".to_owned()))?;
        all = match all {
            None => Some((body, approvals)),
            Some((first, joined)) if first == body => Some((first, joined.joined(&approvals))),
            Some(_) => return Err(bad("the notes are about different terms".to_owned())),
        };
    }
    all.ok_or_else(|| bad("give at least one note".to_owned()))
}

impl Admin {
    async fn order(&self, order: Order) -> Result<Json<SeatStatus>, Problem> {
        match self.handle.order(order).await {
            Some(Ok(())) => Ok(Json(self.handle.status())),
            Some(Err(refused)) => Err(Problem::new(Kind::Conflict, refused.to_string())),
            None => Err(Problem::new(Kind::Busy, "this node is stopping")),
        }
    }

    async fn forget(&self, commit: CommitId) -> Result<bool, Problem> {
        let (reply, done) = oneshot::channel();
        self.seat.writer.send(Job::Seat(SeatJob::Drop { commit, reply })).await;
        match done.await {
            Ok(done) => Ok(done?),
            Err(_) => Err(Problem::new(Kind::Busy, "this node is stopping")),
        }
    }

    /// The member of this author key, or the one member of this name.
    fn member(&self, typed: &str) -> Result<AuthorId, Problem> {
        let published = self.seat.writer.published();
        let membership = &published.membership;
        if let Ok(author) = typed.parse::<AuthorId>() {
            return membership
                .member(&author)
                .map(|member| member.author)
                .ok_or_else(|| Problem::new(Kind::Unprocessable, format!("{typed} is no member of this lattice")));
        }
        let mut named =
            membership.members().filter(|member| member.name == typed && membership.is_active(&member.author));
        match (named.next(), named.next()) {
            (Some(member), None) => Ok(member.author),
            (None, _) => Err(Problem::new(Kind::Unprocessable, format!("no member is called {typed:?}"))),
            (Some(_), Some(_)) => {
                let detail = format!("several members are called {typed:?}; give the author key");
                Err(Problem::new(Kind::Unprocessable, detail))
            }
        }
    }

    /// Gives an order whose end is the next term, and waits for that; the driver gives up by itself.
    async fn moved_by(&self, order: Order) -> Result<Json<SeatStatus>, Problem> {
        let term = self.handle.status().term;
        let Json(_before) = self.order(order).await?;
        let mut changes = self.handle.watch();
        let moved = changes.wait_for(|status| status.term > term);
        match tokio::time::timeout(MOVED_WITHIN, moved).await {
            Ok(Ok(status)) => Ok(Json(status.clone())),
            Ok(Err(_)) => Err(Problem::new(Kind::Busy, "this node is stopping")),
            Err(_) => Err(Problem::new(Kind::TooSlow, "the seat did not move; see `lattice seat status`")),
        }
    }

    /// The term after the highest one, or the first.
    fn drafted(&self, typed: &Settlement) -> Result<Body, Problem> {
        let many = |names: &[String]| names.iter().map(|name| self.member(name)).collect::<Result<Vec<_>, _>>();
        let seat = self.seat.identity.genesis.seat();
        let seat = seat.ok_or_else(|| Problem::new(Kind::Conflict, "the genesis of this lattice names no seat"))?;
        let before = self.seat.current();
        let published = self.seat.writer.published();
        let mut voters = many(&typed.voters)?;
        voters.sort_unstable();
        if let (true, Some(before)) = (voters.is_empty(), &before) {
            voters.clone_from(&before.certificate.body.voters);
        }
        let known_cut = |before: &Term| {
            let body = &before.certificate.body;
            let in_state = published.frontier.chain(&body.holder, body.term).seq();
            let (of_term, staged) = published.seat.last;
            if of_term == body.term { staged.max(in_state) } else { in_state }
        };
        let body = Body {
            lattice: self.seat.identity.lattice,
            seat: seat.to_owned(),
            term: before.as_ref().map_or(0, |before| before.certificate.body.term) + 1,
            holder: self.member(&typed.holder)?,
            shadow: typed.shadow.as_deref().map(|shadow| self.member(shadow)).transpose()?,
            spares: many(&typed.spares)?,
            voters,
            electors: before.as_ref().map(|before| before.certificate.body.voters.clone()).unwrap_or_default(),
            follows: before.as_ref().map(|before| before.hash),
            cut: before.as_ref().map_or(0, |before| typed.cut.unwrap_or_else(|| known_cut(before))),
            log_size: before.as_ref().map_or(0, |_| published.seat.log_size),
            log_root: before.as_ref().map_or([0; 32], |_| published.seat.log_root),
            time_ms: now_ms(),
            reason: typed.reason.clone().unwrap_or_else(|| "settled by operators".to_owned()),
        };
        body.check().map_err(|error| Problem::new(Kind::Unprocessable, error.to_string()))?;
        Ok(body)
    }

    /// Signs a body as an operator, and writes the certificate if enough have.
    async fn approved(&self, body: &Body, others: Option<Approvals>) -> Result<Approved, Problem> {
        let identity = &self.seat.identity;
        if !identity.genesis.admins.contains(&identity.keys.author.id()) {
            let detail = "this node is no operator: its key is not among the admins of the genesis";
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        let own = Approvals::by(body, &identity.keys, now_ms() / 1000);
        let approvals = others.map_or(own.clone(), |others| others.joined(&own));
        self.settled(body, approvals).await
    }

    async fn settled(&self, body: &Body, approvals: Approvals) -> Result<Approved, Problem> {
        let genesis = &self.seat.identity.genesis;
        let note = approvals.to_note(body).map_err(|error| Problem::new(Kind::Unprocessable, error.to_string()))?;
        let (signed, needed) =
            (approvals.by_admins(genesis, body).len(), lattice::seat::majority(genesis.admins.len()));
        let is_settled = signed >= needed;
        if is_settled {
            let certificate = Certificate { body: body.clone(), warrant: Warrant::Operators(approvals) };
            let op = Change::Certify(Box::new(certificate)).to_op()?;
            self.service.write(vec![op], None).await?;
        }
        Ok(Approved { note: note.to_string(), approvals: signed, needed, is_settled })
    }
}
