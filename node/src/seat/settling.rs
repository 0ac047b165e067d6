//! What operators settle over the voters' heads: a term is drafted, signed by one after the other, and written once enough have.

use axum::Json;
use axum::extract::State;
use lattice::ids::AuthorId;
use lattice::log::note::Note;
use lattice::membership::Change;
use lattice::seat::message::{SeatAnswer, SeatRequest};
use lattice::seat::{Approvals, Body, Certificate, NotWarranted, Warrant};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::admin::{Admin, Admins};
use crate::api::problem::{Kind, Problem};
use crate::clock::now_ms;
use crate::writer::job::Job;
use crate::writer::seat::{Holdings, SeatJob};

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
    /// The number of the term; by default the one above all that this node and the voters that answer know of or are bound to.
    #[serde(default)]
    pub term: Option<u64>,
    /// Why, for people.
    pub reason: Option<String>,
    /// How far it goes.
    #[serde(flatten)]
    pub extent: Extent,
}

/// How far an order of an operator goes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Extent {
    /// Only sign: whoever wants the term settled says so by `promote`, once enough have signed.
    #[serde(default)]
    pub only_signs: bool,
    /// Settle even while a node holds the seat: what it acknowledges and the cut does not know of is cut.
    #[serde(default)]
    pub deposes: bool,
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
    /// How far it goes.
    #[serde(flatten)]
    pub extent: Extent,
}

/// Drafts the first term, signs it as an operator, and writes it if that is enough. Over a seat that is held it would depose
/// the holder, and cut what it acknowledged and this node has not heard of.
pub(super) async fn create(State(admin): Admins, typed: Json<Settlement>) -> Result<Json<Approved>, Problem> {
    if let Some(term) = admin.seat.current() {
        let term = term.certificate.body.term;
        let detail = format!(
            "the seat is in term {term} already: `lattice seat switchover` hands it over and `lattice seat mirrors` changes who \
             mirrors it; `lattice seat settle` is for a seat that nobody can serve"
        );
        return Err(Problem::new(Kind::Conflict, detail));
    }
    settle(State(admin), typed).await
}

/// Drafts the next term, or the first, signs it as an operator, and writes it if that is enough.
pub(super) async fn settle(State(admin): Admins, Json(typed): Json<Settlement>) -> Result<Json<Approved>, Problem> {
    let voters = admin.look_at_voters().await;
    voters.expect_vacant(typed.extent)?;
    let body = admin.drafted(&typed, voters.bound_to).await?;
    admin.approved(&body, None, typed.extent).await.map(Json)
}

/// Adds this operator's signature to a note of another.
pub(super) async fn approve(
    State(admin): Admins,
    Json(Notes { notes, extent }): Json<Notes>,
) -> Result<Json<Approved>, Problem> {
    let (body, approvals) = joined(&notes)?;
    admin.expect_next(&body)?;
    admin.approved(&body, Some(approvals), extent).await.map(Json)
}

/// Writes the certificate that these notes make.
pub(super) async fn promote(
    State(admin): Admins,
    Json(Notes { notes, extent }): Json<Notes>,
) -> Result<Json<Approved>, Problem> {
    let (body, approvals) = joined(&notes)?;
    admin.expect_next(&body)?;
    admin.settled(&body, approvals, extent).await.map(Json)
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

/// What the voters that answer say before operators overrule them.
#[derive(Debug, Default)]
struct Voters {
    /// The highest term that this node or one of them is bound to: who voted or stood for it refuses whatever operators settle
    /// below.
    bound_to: u64,
    /// Of how many of them a node has a lease.
    leased: usize,
    /// Which node.
    holder: Option<AuthorId>,
}

impl Voters {
    /// Operators settle what nobody can serve. A holder that serves goes on acknowledging after the cut was taken.
    fn expect_vacant(&self, extent: Extent) -> Result<(), Problem> {
        let Some(holder) = self.holder.filter(|_| !extent.deposes) else { return Ok(()) };
        let detail = format!(
            "{} holds the seat: its lease runs at {} of the nodes that answer. `lattice seat switchover` and `lattice seat mirrors` \
             move it in good order; stop the holder before operators settle a term. With --depose it is settled all the same, and \
             what the holder acknowledged and this node has not heard of is cut",
            holder.short(),
            self.leased
        );
        Err(Problem::new(Kind::Conflict, detail))
    }
}

impl Admin {
    /// Whether a note is about the next term here. One that was signed before the seat moved by itself would depose, and cut,
    /// a holder of whom its operators did not know.
    fn expect_next(&self, body: &Body) -> Result<(), Problem> {
        let genesis = &self.seat.identity.genesis;
        if body.lattice != self.seat.identity.lattice {
            return Err(Problem::new(Kind::Unprocessable, NotWarranted::OtherLattice.to_string()));
        }
        if genesis.seat() != Some(body.seat.as_str()) {
            return Err(Problem::new(Kind::Unprocessable, NotWarranted::NoSuchSeat(body.seat.clone()).to_string()));
        }
        let published = self.seat.writer.published();
        let seats = published.membership.seats();
        let current = seats.current();
        if seats.knows(&body.hash()) || body.follows == current.map(|term| term.hash) {
            return Ok(());
        }
        let last = current.map_or(0, |term| term.certificate.body.term);
        let detail = format!(
            "the note is about term {}, and does not go on from term {last}, the last one settled as far as this node knows: \
             draft the next term anew",
            body.term
        );
        Err(Problem::new(Kind::Conflict, detail))
    }

    /// Asks the voters, this node among them if it holds the seat.
    async fn look_at_voters(&self) -> Voters {
        let own = self.seat.own();
        let asked = self.seat.body().map(|body| body.voters).unwrap_or_default();
        let asked = asked.into_iter().filter(|voter| *voter != own).map(async |voter| {
            match self.seat.ask(voter, &SeatRequest::Inquire, self.seat.answer_timeout()).await {
                Ok(SeatAnswer::Lease { certified_term, ballot_term, lease, .. }) => {
                    (certified_term.max(ballot_term), lease.map(|(holder, _)| holder))
                }
                Ok(_) | Err(_) => (0, None),
            }
        });
        let answers = futures::future::join_all(asked).await;
        let serving = *self.seat.serving.borrow();
        let here = (serving.floor, serving.is_leased().then_some(own));
        let holders: Vec<_> = answers.iter().chain([&here]).filter_map(|(_, holder)| *holder).collect();
        Voters {
            bound_to: answers.iter().chain([&here]).map(|(term, _)| *term).max().unwrap_or_default(),
            leased: holders.len(),
            holder: holders.first().copied(),
        }
    }

    /// The last commit of a term, if this node has all before it.
    async fn known_cut(&self, body: &Body) -> Result<u64, Problem> {
        let (holder, term) = (body.holder, body.term);
        let (reply, measured) = oneshot::channel();
        self.seat.writer.send(Job::Seat(SeatJob::Measure { holder, term, reply })).await;
        let stopping = |_| Problem::new(Kind::Busy, "this node is stopping");
        let Holdings { whole, highest } = measured.await.map_err(stopping)?;
        if highest <= whole {
            return Ok(whole);
        }
        let detail = format!(
            "this node knows commits of term {term} up to {whole} without a gap, and others up to {highest}: draft it where all \
             are known, or name the cut with --cut; what is beyond it goes to quarantine"
        );
        Err(Problem::new(Kind::Conflict, detail))
    }

    /// The term after the highest one and above what nodes are bound to, or the first.
    async fn drafted(&self, typed: &Settlement, above: u64) -> Result<Body, Problem> {
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
        let last = before.as_ref().map_or(0, |before| before.certificate.body.term);
        let term = typed.term.unwrap_or(last.max(above).saturating_add(1));
        if term <= last {
            let detail = format!("term {last} is settled; a settlement is for a higher one");
            return Err(Problem::new(Kind::Unprocessable, detail));
        }
        let cut = match (&before, typed.cut) {
            (Some(before), None) => self.known_cut(&before.certificate.body).await?,
            (Some(_), Some(cut)) => cut,
            (None, _) => 0,
        };
        let body = Body {
            lattice: self.seat.identity.lattice,
            seat: seat.to_owned(),
            term,
            holder: self.member(&typed.holder)?,
            shadow: typed.shadow.as_deref().map(|shadow| self.member(shadow)).transpose()?,
            spares: many(&typed.spares)?,
            voters,
            electors: before.as_ref().map(|before| before.certificate.body.voters.clone()).unwrap_or_default(),
            follows: before.as_ref().map(|before| before.hash),
            cut,
            log_size: before.as_ref().map_or(0, |_| published.seat.log_size),
            log_root: before.as_ref().map_or([0; 32], |_| published.seat.log_root),
            time_ms: now_ms(),
            reason: typed.reason.clone().unwrap_or_else(|| "settled by operators".to_owned()),
        };
        body.check().map_err(|error| Problem::new(Kind::Unprocessable, error.to_string()))?;
        Ok(body)
    }

    /// Signs a body as an operator, and writes the certificate if enough have.
    async fn approved(&self, body: &Body, others: Option<Approvals>, extent: Extent) -> Result<Approved, Problem> {
        let identity = &self.seat.identity;
        if !identity.genesis.admins.contains(&identity.keys.author.id()) {
            let detail = "this node is no operator: its key is not among the admins of the genesis";
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        let own = Approvals::by(body, &identity.keys, now_ms() / 1000);
        let approvals = others.map_or(own.clone(), |others| others.joined(&own));
        self.settled(body, approvals, extent).await
    }

    async fn settled(&self, body: &Body, approvals: Approvals, extent: Extent) -> Result<Approved, Problem> {
        let genesis = &self.seat.identity.genesis;
        let note = approvals.to_note(body).map_err(|error| Problem::new(Kind::Unprocessable, error.to_string()))?;
        let (signed, needed) =
            (approvals.by_admins(genesis, body).len(), lattice::seat::majority(genesis.admins.len()));
        let is_settled = signed >= needed && !extent.only_signs;
        if is_settled {
            self.look_at_voters().await.expect_vacant(extent)?;
            let certificate = Certificate { body: body.clone(), warrant: Warrant::Operators(approvals) };
            let op = Change::Certify(Box::new(certificate)).to_op()?;
            self.service.write(vec![op], None).await?;
        }
        Ok(Approved { note: note.to_string(), approvals: signed, needed, is_settled })
    }
}
