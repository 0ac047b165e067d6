//! What clients and operators are told of the seat.

use std::collections::BTreeMap;

use lattice::ids::AuthorId;
use lattice::membership::Membership;
use lattice::seat::{Body, BodyHash, Certificate, Term, Warrant};
use node_core::seat::controller::Role;
use node_core::seat::event::Fetched;
use node_core::seat::takeover::{Loss, WhyNot};
use node_core::seat::timing::BootMs;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Seat;
use super::mirror::Progress;
use crate::clock::boot_ms;
use crate::view::SeatTermView;

/// The seat, as one node knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeatStatus {
    /// The seat; `None` before an operator has created it.
    pub seat: Option<String>,
    /// The highest term settled.
    pub term: u64,
    /// Who holds it: an author key, 64 hexadecimal digits.
    pub holder: Option<String>,
    /// Who stands by.
    pub shadow: Option<String>,
    /// Further mirrors.
    pub spares: Vec<String>,
    /// Who votes.
    pub voters: Vec<String>,
    /// What this node is: `holder`, `shadow`, `spare`, `voter` or `none`.
    pub role: String,
    /// What it is in the middle of.
    pub doing: String,
    /// Whether this node serves the seat under a lease now.
    pub is_serving: bool,
    /// Commits staged here.
    pub staged: u64,
    /// Records in the seat's log here.
    pub log_size: u64,
    /// Root of the state here: a mirror has no API that would tell it.
    pub state_root: String,
    /// How far this node is behind its holder, if it is a mirror; how far each mirror is behind this node, if it holds.
    pub lag: Vec<MirrorLag>,
    /// What would be lost if the holder died now, and whether a takeover is possible, and if not why. Only the holder knows.
    pub takeover: Option<String>,
    /// Whether the shadow could take over now. Only the holder knows.
    pub is_takeover_possible: Option<bool>,
    /// Milliseconds for which this node takes nothing over by order of an operator.
    #[serde(default)]
    pub paused_ms: u64,
    /// Why the term changed last.
    pub reason: String,
    /// What members call the nodes that are named here, by author key.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// What this node alarmed of last, since it started.
    #[serde(default)]
    pub last_alarm: Option<SeatAlarm>,
}

/// Something that people should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeatAlarm {
    /// What.
    pub what: String,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
}

/// How far a mirror is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MirrorLag {
    /// The mirror.
    pub mirror: String,
    /// Records that it lacks.
    pub records: u64,
    /// Bytes of these records and their commits, as far as they are kept.
    pub bytes: u64,
    /// Milliseconds since it last had everything.
    pub behind_ms: u64,
    /// Milliseconds since it was last heard of.
    pub silent_ms: u64,
    /// Whether it is being seeded.
    pub is_seeding: bool,
}

/// What a driver saw of its mirrors, or, as a mirror, of its holder.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// By mirror: the term, records, when it last fetched, and when it last had everything.
    mirrors: BTreeMap<AuthorId, Seen>,
    /// As a mirror: what the holder said last.
    own: Option<Seen>,
    is_seeding: bool,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    term: u64,
    staged_seq: u64,
    log_size: u64,
    holder_size: u64,
    heard: BootMs,
    level: BootMs,
    /// Whether its copy is a twin's; else it is being seeded.
    is_twin: bool,
}

impl Outlook {
    /// A mirror fetched.
    pub(super) fn fetched(&mut self, fetched: &Fetched, holder_size: u64) {
        let Fetched { mirror, term, staged_seq, log_size, is_twin, paused_ms: _ } = *fetched;
        let heard = boot_ms();
        let before = self.mirrors.get(&mirror).map(|seen| seen.level);
        let level = if log_size >= holder_size { heard } else { before.unwrap_or(heard) };
        self.mirrors.insert(mirror, Seen { term, staged_seq, log_size, holder_size, heard, level, is_twin });
    }

    /// Whether this mirror fetches in this term, and did so within so many milliseconds.
    pub(super) fn hears(&self, mirror: AuthorId, term: u64, silent_ms: u64) -> bool {
        let now = boot_ms();
        self.mirrors.get(&mirror).is_some_and(|seen| seen.term == term && now.since_ms(seen.heard) < silent_ms)
    }

    /// Whether this mirror is heard of in this term, within so many milliseconds, and has a copy that it could take over with.
    pub(super) fn copies(&self, mirror: AuthorId, term: u64, silent_ms: u64) -> bool {
        self.hears(mirror, term, silent_ms) && self.mirrors.get(&mirror).is_some_and(|seen| seen.is_twin)
    }

    /// Whether this mirror has staged everything of a term up to a number.
    pub(super) fn has_staged(&self, mirror: AuthorId, (term, seq): (u64, u64)) -> bool {
        self.mirrors.get(&mirror).is_some_and(|seen| seen.term == term && seen.staged_seq >= seq)
    }

    /// Whether this mirror has so many records of a term's log, and the state that belongs to them.
    pub(super) fn has_records(&self, mirror: AuthorId, term: u64, size: u64) -> bool {
        self.mirrors.get(&mirror).is_some_and(|seen| seen.term == term && seen.log_size >= size && seen.is_twin)
    }

    /// This node, a mirror, got on.
    pub(super) fn progressed(&mut self, term: u64, progress: &Progress) {
        match progress {
            Progress::Seeding => self.is_seeding = true,
            Progress::At { here, log_size, .. } => {
                self.is_seeding = false;
                let heard = boot_ms();
                let before = self.own.map(|seen| seen.level);
                let level = if here.log_size >= *log_size { heard } else { before.unwrap_or(heard) };
                let (holder_size, log_size) = (*log_size, here.log_size);
                self.own = Some(Seen { term, staged_seq: 0, log_size, holder_size, heard, level, is_twin: true });
            }
            Progress::Silent(_)
            | Progress::Refused(_)
            | Progress::Differs(_)
            | Progress::Trouble(_)
            | Progress::Unfit(_) => {}
        }
    }

    fn lag(&self, seat: &Seat, role: Role) -> Vec<MirrorLag> {
        let (now, silent_ms) = (boot_ms(), seat.timing.shadow_silent_ms());
        let shown = |mirror: AuthorId, seen: &Seen, is_seeding: bool, holder_size: u64| MirrorLag {
            mirror: mirror.to_string(),
            records: holder_size.saturating_sub(seen.log_size),
            bytes: seat.writer.with_outbox(|outbox| outbox.bytes_from(seen.log_size)),
            // Of one that is silent nobody knows whether it still has everything.
            behind_ms: if seen.log_size >= holder_size && now.since_ms(seen.heard) < silent_ms {
                0
            } else {
                now.since_ms(seen.level)
            },
            silent_ms: now.since_ms(seen.heard),
            is_seeding,
        };
        let Some(body) = seat.body() else { return Vec::new() };
        match role {
            Role::Holder => {
                let size = seat.writer.published().seat.log_size;
                let mirrors = body.mirrors().filter_map(|mirror| Some((*mirror, self.mirrors.get(mirror)?)));
                mirrors
                    .map(|(mirror, seen)| shown(mirror, seen, seen.term != body.term || !seen.is_twin, size))
                    .collect()
            }
            Role::Shadow | Role::Spare => {
                let own = self.own.iter().filter(|seen| seen.term == body.term);
                own.map(|seen| shown(seat.own(), seen, self.is_seeding, seen.holder_size)).collect()
            }
            Role::Voter | Role::Outsider => Vec::new(),
        }
    }
}

impl SeatStatus {
    pub(super) fn of(
        seat: &Seat,
        role: Role,
        doing: String,
        (takeover, paused_ms): (Option<Result<Loss, WhyNot>>, u64),
        outlook: &Outlook,
        last_alarm: Option<SeatAlarm>,
    ) -> Self {
        let Some(body) = seat.body() else { return Self { role: word(Role::Outsider).to_owned(), ..Self::default() } };
        let state = seat.writer.published();
        let published = state.seat;
        let all = |authors: &[AuthorId]| authors.iter().map(ToString::to_string).collect();
        let serving = *seat.serving.borrow();
        Self {
            seat: Some(body.seat.clone()),
            term: body.term,
            holder: Some(body.holder.to_string()),
            shadow: body.shadow.map(|shadow| shadow.to_string()),
            spares: all(&body.spares),
            voters: all(&body.voters),
            role: word(role).to_owned(),
            doing,
            is_serving: serving.term == Some(body.term) && serving.is_leased() && !serving.is_draining,
            staged: published.staged as u64,
            log_size: published.log_size,
            state_root: state.root.to_string(),
            lag: outlook.lag(seat, role),
            is_takeover_possible: takeover.as_ref().map(Result::is_ok),
            takeover: takeover.map(|takeover| match takeover {
                Ok(loss) => loss.to_string(),
                Err(why) if published.staged > 0 => {
                    format!("nobody could take over: {why}; {} staged commits may be here alone", published.staged)
                }
                Err(why) => format!("nobody could take over: {why}"),
            }),
            paused_ms,
            names: names(&state.membership, &body),
            last_alarm,
            reason: body.reason,
        }
    }
}

/// What the nodes of a term are called.
fn names(membership: &Membership, body: &Body) -> BTreeMap<String, String> {
    let authors = [body.holder].into_iter().chain(body.mirrors().copied()).chain(body.voters.iter().copied());
    let named = |author: AuthorId| Some((author.to_string(), membership.member(&author)?.name.clone()));
    authors.filter_map(named).collect()
}

/// All terms of the line, each checked against the one before.
pub(super) fn history(seat: &Seat) -> Vec<SeatTermView> {
    let published = seat.writer.published();
    let (genesis, lattice) = (&seat.identity.genesis, seat.identity.lattice);
    let mut before: Option<BodyHash> = None;
    let shown = |term: &Term| {
        let Certificate { body, warrant } = &term.certificate;
        let (word, signatures) = match warrant {
            Warrant::Votes(votes) => ("voters", votes.len()),
            Warrant::Operators(approvals) => ("operators", approvals.by_admins(genesis, body).len()),
        };
        let follows = body.follows == before;
        before = Some(term.hash);
        SeatTermView {
            term: body.term,
            holder: body.holder.to_string(),
            shadow: body.shadow.map(|shadow| shadow.to_string()),
            spares: body.spares.iter().map(ToString::to_string).collect(),
            cut: body.cut,
            log_size: body.log_size,
            reason: body.reason.clone(),
            time_ms: body.time_ms,
            warrant: word.to_owned(),
            signatures: signatures as u64,
            holds: follows && term.certificate.verify(genesis, lattice).is_ok(),
            key: term.certificate.to_op().map(|op| op.key().to_string()).unwrap_or_default(),
        }
    };
    published.membership.seats().terms().map(shown).collect()
}

const fn word(role: Role) -> &'static str {
    match role {
        Role::Holder => "holder",
        Role::Shadow => "shadow",
        Role::Spare => "spare",
        Role::Voter => "voter",
        Role::Outsider => "none",
    }
}
