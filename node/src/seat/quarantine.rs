//! What cuts took away here: shown beside what stands there now, written again, dismissed.
//!
//! Two kinds of commits are in quarantine. Those that were in the state, and left it since they lie beyond a cut: every node
//! that had them keeps them. And those that were staged here, and never were in any state.

use axum::Json;
use axum::extract::{Path, Query, State};
use data_encoding::BASE64;
use lattice::entry::wins;
use lattice::ids::CommitId;
use lattice::op::Op;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::admin::{Admin, Admins};
use super::write_error::{SeatProblem, SeatWriteError};
use super::writing::{Level, SeatWrite};
use crate::api::problem::{Kind, Problem};
use crate::store::StoredEntry;
use crate::store::quarantine::{
    After, ID_DIGITS_MAX, ID_DIGITS_MIN, Listed, NoPlace, Origin, QuarantineSize, Quarantined,
};
use crate::writer::job::Job;
use crate::writer::seat::{Condition, EntryTag};

/// How much is in quarantine that nobody has dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct QuarantineView {
    /// Entries that cuts took out of the state here.
    pub entries: u64,
    /// Commits of the seat that were staged here beyond a cut, and never entered the state.
    pub staged_commits: u64,
}

impl From<QuarantineSize> for QuarantineView {
    fn from(size: QuarantineSize) -> Self {
        Self { entries: size.entries, staged_commits: size.staged }
    }
}

/// A page of what is in quarantine: first what was in the state, then what was only staged, each with the oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuarantinePage {
    /// The commits.
    pub commits: Vec<ListedView>,
    /// If there may be more: what to give as `after`.
    pub next: Option<String>,
}

/// A commit in quarantine, without its values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListedView {
    /// Its id.
    pub commit: String,
    /// Whether it was in the state until a cut took it out; else it was only staged.
    pub was_in_state: bool,
    /// The term it was written in; 0 if it is none of the seat.
    pub term: u64,
    /// Its number there.
    pub seq: u64,
    /// Who signed it.
    pub author: String,
    /// When it was written, in milliseconds since 1970.
    pub time_ms: u64,
    /// What it wrote or deleted; of one that was in the state, what still stood of it.
    pub keys: Vec<String>,
}

/// A commit in quarantine, with all that is known of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuarantinedView {
    /// The same as in the list.
    #[serde(flatten)]
    pub listed: ListedView,
    /// What it wrote, in the order of `keys`.
    pub operations: Vec<OperationView>,
}

/// An operation of a commit in quarantine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OperationView {
    /// The key.
    pub key: String,
    /// The value, if it is text that can be shown.
    pub value: Option<String>,
    /// The value in base64, if it is not; neither for a delete.
    pub value_base64: Option<String>,
    /// What stands there now.
    pub now: Now,
}

/// What stands at a key now, beside an operation in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Now {
    /// What the operation says.
    Same,
    /// Nothing, and nobody has deleted it since.
    Absent,
    /// Another value, from before: the operation would have replaced it.
    Older,
    /// Another value, written since.
    Newer,
    /// Nothing: it was deleted since.
    Deleted,
}

impl Now {
    fn of(wins_over: impl Fn(&StoredEntry) -> bool, op: &Op, standing: Option<&StoredEntry>) -> Self {
        let value = standing.and_then(|entry| entry.value.as_deref());
        let is_newer = standing.is_some_and(|entry| !wins_over(entry));
        match (value, op.value()) {
            (standing, wanted) if standing == wanted => Self::Same,
            (Some(_), _) if is_newer => Self::Newer,
            (Some(_), _) => Self::Older,
            (None, _) if is_newer => Self::Deleted,
            (None, _) => Self::Absent,
        }
    }

    /// Whether somebody has written the key since.
    const fn has_changed(self) -> bool {
        matches!(self, Self::Newer | Self::Deleted)
    }
}

/// Where a page begins.
#[derive(Debug, Deserialize)]
pub(super) struct PageQuery {
    after: Option<String>,
}

/// How to write again.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Resubmit {
    /// Also over what was written since.
    #[serde(default)]
    pub overwrite: bool,
}

/// What was written again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Resubmitted {
    /// The new commits; none if everything stood there already.
    pub commits: Vec<String>,
}

pub(super) async fn size(State(admin): Admins) -> Json<QuarantineView> {
    Json(admin.seat.writer.published().quarantine.into())
}

pub(super) async fn list(
    State(admin): Admins,
    Query(query): Query<PageQuery>,
) -> Result<Json<QuarantinePage>, Problem> {
    let after = query.after.as_deref().map_or(Ok(After::START), str::parse);
    let after = after.map_err(|error: NoPlace| Problem::new(Kind::BadRequest, error.to_string()))?;
    let page = admin.seat.reader.quarantine_page(after).await?;
    let commits = page.commits.iter().map(listed_view).collect();
    Ok(Json(QuarantinePage { commits, next: page.next.map(|next| next.to_string()) }))
}

pub(super) async fn show(State(admin): Admins, Path(digits): Path<String>) -> Result<Json<QuarantinedView>, Problem> {
    let found = admin.quarantined(&digits).await?;
    let mut operations = Vec::with_capacity(found.ops.len());
    for (at, op) in &found.ops {
        let (now, _) = admin.compared(&found, *at, op).await?;
        let (value, value_base64) = match op.value().map(shown) {
            None => (None, None),
            Some(Ok(text)) => (Some(text), None),
            Some(Err(encoded)) => (None, Some(encoded)),
        };
        operations.push(OperationView { key: op.key().to_string(), value, value_base64, now });
    }
    let keys = found.ops.iter().map(|(_, op)| op.key().clone()).collect();
    let Quarantined { id, header, origin, .. } = found;
    Ok(Json(QuarantinedView { listed: listed_view(&Listed { id, header, origin, keys }), operations }))
}

/// Takes a commit off the list.
pub(super) async fn drop_one(State(admin): Admins, Path(digits): Path<String>) -> Result<Json<String>, Problem> {
    let found = admin.quarantined(&digits).await?;
    admin.dismiss(&found).await?;
    Ok(Json(found.id.to_string()))
}

/// Writes again what a commit in quarantine wrote: what is the seat's at whoever holds it now, all else as a write of this node.
pub(super) async fn resubmit(
    State(admin): Admins,
    Path(digits): Path<String>,
    Json(Resubmit { overwrite }): Json<Resubmit>,
) -> Result<Json<Resubmitted>, Problem> {
    let found = admin.quarantined(&digits).await?;
    let mut wanted = Vec::new();
    for (at, op) in &found.ops {
        let (now, standing) = admin.compared(&found, *at, op).await?;
        if now != Now::Same {
            wanted.push((op.clone(), now, standing));
        }
    }
    let changed: Vec<_> = wanted.iter().filter(|(_, now, _)| now.has_changed()).map(|(op, ..)| op.key()).collect();
    if !changed.is_empty() && !overwrite {
        let keys = changed.iter().map(|key| format!("{:?}", key.as_str())).collect::<Vec<_>>().join(", ");
        let detail = format!("written since: {keys}; --overwrite writes over what stands there now");
        return Err(Problem::new(Kind::Conflict, detail));
    }
    let genesis = &admin.seat.identity.genesis;
    let (of_seat, others): (Vec<_>, Vec<_>) =
        wanted.into_iter().partition(|(op, ..)| genesis.is_seat_key(op.key().as_str()));
    let mut commits = Vec::new();
    for (op, _, standing) in of_seat {
        let condition = if overwrite { Condition::Always } else { still(standing) };
        commits.push(admin.write_again(op, condition).await?);
    }
    if !others.is_empty() {
        let ops = others.into_iter().map(|(op, ..)| op).collect();
        commits.push(admin.service.write(ops, None).await?.commit);
    }
    admin.dismiss(&found).await?;
    Ok(Json(Resubmitted { commits: commits.iter().map(CommitId::to_string).collect() }))
}

/// That nobody writes the key between the look at it and the write.
fn still(standing: Option<StoredEntry>) -> Condition {
    match standing.filter(|entry| entry.value.is_some()) {
        None => Condition::Absent,
        Some(entry) => Condition::Is(EntryTag { commit: entry.version.commit, op_index: entry.version.op_index }),
    }
}

fn listed_view(listed: &Listed) -> ListedView {
    let Listed { id, header, origin, keys } = listed;
    ListedView {
        commit: id.to_string(),
        was_in_state: *origin == Origin::State,
        term: header.term,
        seq: header.seq,
        author: header.author.to_string(),
        time_ms: header.time.millis(),
        keys: keys.iter().map(ToString::to_string).collect(),
    }
}

/// A value as text if a person can read it; else in base64.
fn shown(value: &[u8]) -> Result<String, String> {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    match std::str::from_utf8(value) {
        Ok(text) if text.chars().all(is_plain) => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(BASE64.encode(value)),
    }
}

/// Whether a text may be the beginning of an id.
pub fn is_id_prefix(text: &str) -> bool {
    (ID_DIGITS_MIN..=ID_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Admin {
    /// The one commit in quarantine whose id begins so.
    async fn quarantined(&self, digits: &str) -> Result<Quarantined, Problem> {
        if !is_id_prefix(digits) {
            let detail = format!("a commit is named by {ID_DIGITS_MIN} to {ID_DIGITS_MAX} hexadecimal digits");
            return Err(Problem::new(Kind::BadRequest, detail));
        }
        let mut found = self.seat.reader.quarantined(&digits.to_ascii_lowercase()).await?;
        match (found.pop(), found.pop()) {
            (Some(only), None) => Ok(only),
            (None, _) => {
                Err(Problem::new(Kind::NoSuchEntry, format!("no commit {digits} is in quarantine at this node")))
            }
            (Some(_), Some(_)) => {
                let detail = format!("several commits in quarantine begin with {digits}: give more digits");
                Err(Problem::new(Kind::BadRequest, detail))
            }
        }
    }

    /// What stands at an operation's key now.
    async fn compared(&self, of: &Quarantined, at: u32, op: &Op) -> Result<(Now, Option<StoredEntry>), Problem> {
        let standing = self.service.get(op.key()).await?;
        let genesis = &self.seat.identity.genesis;
        let wins_over = |entry: &StoredEntry| wins(genesis, op.key(), &of.version(at), &entry.version);
        Ok((Now::of(wins_over, op, standing.as_ref()), standing))
    }

    /// One write of the seat. It has no name: what it is compared with keeps it from counting twice.
    async fn write_again(&self, op: Op, condition: Condition) -> Result<CommitId, Problem> {
        let key = op.key().clone();
        let write = SeatWrite { ops: vec![op], condition, name: None, level: Level::default() };
        self.seat.write(write).await.map(|written| written.commit).map_err(|error: SeatWriteError| match error.kind() {
            SeatProblem::Condition => {
                let detail = format!("written at the seat's holder a moment ago: {:?}; look again", key.as_str());
                Problem::new(Kind::Conflict, detail)
            }
            SeatProblem::KeyReused
            | SeatProblem::Invalid
            | SeatProblem::Busy
            | SeatProblem::Disk
            | SeatProblem::Uncertain
            | SeatProblem::NoSeat
            | SeatProblem::NoHolder => error.into(),
        })
    }

    async fn dismiss(&self, commit: &Quarantined) -> Result<(), Problem> {
        let (reply, done) = oneshot::channel();
        self.seat.writer.send(Job::Dismiss { commit: commit.id, rows: commit.rows.clone(), reply }).await;
        match done.await {
            Ok(done) => Ok(done?),
            Err(_) => Err(Problem::new(Kind::Busy, "this node is stopping")),
        }
    }
}

#[cfg(test)]
mod tests {
    use lattice::clock::Timestamp;
    use lattice::entry::Version;
    use lattice::ids::AuthorId;
    use lattice::op::Key;

    use super::*;

    #[test]
    fn values_that_a_person_can_read_are_text_and_all_others_base64() {
        for text in ["plain", "two\nlines\tand a tab", "ärger", ""] {
            assert_eq!(shown(text.as_bytes()), Ok(text.to_owned()));
        }
        assert_eq!(shown(b"\x1b[2J"), Err("G1sySg==".to_owned()), "it would act on the terminal");
        assert_eq!(shown(&[0xff]), Err("/w==".to_owned()));
    }

    fn standing(value: Option<&str>) -> StoredEntry {
        let version = Version {
            time: Timestamp::from_millis(1),
            author: AuthorId([1; 32]),
            term: 1,
            seq: 1,
            commit: CommitId([1; 32]),
            op_index: 0,
        };
        StoredEntry { key: Key::new("k").expect("a key"), value: value.map(|text| text.as_bytes().to_vec()), version }
    }

    #[test]
    fn a_key_has_changed_since_if_somebody_wrote_or_deleted_it_later() {
        let (put, delete) = (Op::put("k", b"x").expect("small"), Op::delete("k").expect("small"));
        let (x, y, gone) = (Some(standing(Some("x"))), Some(standing(Some("y"))), Some(standing(None)));
        // What is wanted, what stands, whether that is newer.
        let table = [
            (&put, &None, false, Now::Absent),
            (&put, &x, false, Now::Same),
            (&put, &x, true, Now::Same),
            (&put, &y, false, Now::Older),
            (&put, &y, true, Now::Newer),
            (&put, &gone, false, Now::Absent),
            (&put, &gone, true, Now::Deleted),
            (&delete, &None, false, Now::Same),
            (&delete, &gone, true, Now::Same),
            (&delete, &y, false, Now::Older),
            (&delete, &y, true, Now::Newer),
        ];
        for (op, standing, is_newer, now) in table {
            let found = Now::of(|_| !is_newer, op, standing.as_ref());
            assert_eq!(found, now, "{op:?} {standing:?} {is_newer}");
            assert_eq!(found.has_changed(), matches!(now, Now::Newer | Now::Deleted));
        }
    }

    #[test]
    fn an_id_is_named_by_enough_of_its_digits() {
        let whole = "ab".repeat(32);
        for (text, is_one) in [("0123456", false), ("01234567", true), ("0123456g", false), (whole.as_str(), true)] {
            assert_eq!(is_id_prefix(text), is_one, "{text}");
        }
        assert!(!is_id_prefix(&format!("{whole}0")));
    }
}
