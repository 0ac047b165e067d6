//! One stored commit and its entries: whether they are what its author signed, and where they belong.

use std::collections::{BTreeMap, BTreeSet};

use lattice::commit::{Commit, OpSlot, SignedHeader};
use lattice::entry::{Entry, Version};
use lattice::ids::{AuthorId, OpHash};
use lattice::op::Op;
use lattice::tree::Leaf;
use sqlx::sqlite::SqliteRow;

use super::Subject;
use super::flaws::Flaws;
use super::packed::{Bytes, Packed};
use super::rows::{array, column, expect, number};

/// A row of table commits.
#[derive(Debug, Clone)]
pub(super) struct CommitRow {
    pub(super) id: i64,
    author: i64,
    term: u64,
    seq: u64,
    header: Vec<u8>,
    signature: [u8; 64],
    op_hashes: Option<Vec<u8>>,
    live: u64,
    pub(super) first_entry: u64,
    span: u64,
}

/// The columns of a commit.
pub(super) const COMMITS: &str =
    "SELECT id, author, term, seq, header, signature, op_hashes, live, first_entry, span FROM commits ORDER BY id";

impl CommitRow {
    /// Reads [`COMMITS`].
    pub(super) fn of(row: &SqliteRow) -> Result<Self, String> {
        Ok(Self {
            id: column(row, 0)?,
            author: column(row, 1)?,
            term: number(row, 2)?,
            seq: number(row, 3)?,
            header: column(row, 4)?,
            signature: array(row, 5)?,
            op_hashes: column(row, 6)?,
            live: number(row, 7)?,
            first_entry: number(row, 8)?,
            span: number(row, 9)?,
        })
    }

    /// The first number behind those that its entries have.
    pub(super) const fn end(&self) -> u64 {
        self.first_entry.saturating_add(self.span)
    }
}

/// A row of table entries.
#[derive(Debug, Clone)]
pub(super) struct EntryRow {
    pub(super) id: u64,
    key: String,
    value: Option<Vec<u8>>,
    commit_id: u64,
    op_index: u64,
}

impl Packed for EntryRow {
    const TABLE: &'static str = "entries";
    const NUMBERS: &'static [&'static str] = &["commit_id", "op_index"];
    const BYTES: &'static [Bytes] = &[Bytes::Text("key"), Bytes::Blob("value")];

    fn of(row: i64, numbers: &[u64], bytes: &[Option<&[u8]>]) -> Result<Self, String> {
        // Column id is the rowid.
        let id = u64::try_from(row).map_err(|_| "column id is below zero")?;
        let (&[commit_id, op_index], &[key, value]) = (numbers, bytes) else {
            return Err("not the columns of an entry".to_owned());
        };
        let key = key.ok_or("column key is null")?;
        let key = str::from_utf8(key).map_err(|error| format!("column key: {error}"))?.to_owned();
        Ok(Self { id, key, value: value.map(<[u8]>::to_vec), commit_id, op_index })
    }
}

impl EntryRow {
    /// How it is named in a flaw.
    pub(super) fn name(&self) -> String {
        format!("{} (key {:?})", self.id, self.key)
    }
}

/// A commit and the entries that stand where it wrote.
#[derive(Debug, Clone)]
pub(super) struct Gathered {
    pub(super) commit: CommitRow,
    pub(super) entries: Vec<EntryRow>,
}

/// What commits amount to.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What does not hold.
    pub(super) flaws: Flaws,
    /// The leaves that their entries make in the state.
    pub(super) leaves: Vec<Leaf<()>>,
    /// By which numbers they name their authors.
    pub(super) named: BTreeSet<(AuthorId, i64)>,
}

/// What commits are judged by.
pub(super) struct Judge<'a> {
    pub(super) subject: &'a Subject,
    /// Authors by their number in the database.
    pub(super) authors: &'a BTreeMap<i64, AuthorId>,
}

impl Judge<'_> {
    /// Judges a commit with its entries.
    pub(super) fn judge(&self, gathered: &Gathered, judged: &mut Judged) {
        let Judged { flaws, leaves, named } = judged;
        let Gathered { commit, entries } = gathered;
        let (signed, hashes) = match header_of(commit) {
            Ok(read) => read,
            Err(what) => {
                flaws.note("commits", commit.id, what);
                return;
            }
        };
        named.insert((signed.header().author, commit.author));
        flaws.check("commits", commit.id, self.columns(commit, &signed));
        flaws.check("commits", commit.id, counts(commit, entries, &signed));
        let Subject { genesis, lattice, membership, .. } = self.subject;
        // The hashes beside the header give its root. If the operations do so too, each is the one that is signed.
        let mut joined = join(gathered, &signed, &hashes, |_, _| true);
        let mut verified = joined.commit.verify_for(genesis, *lattice);
        if verified.is_err() {
            joined = join(gathered, &signed, &hashes, |op, hash| op.hash() == *hash);
            verified = joined.commit.verify_for(genesis, *lattice);
        }
        leaves.extend(joined.leaves);
        joined.unfit.into_iter().for_each(|(entry, what)| flaws.note("entries", entry, what));
        let admitted = verified.map_err(|error| error.to_string()).and_then(|verified| {
            let admitted = membership.admit(genesis, *lattice, &verified);
            admitted.map_err(|error| format!("it stands in the state and does not count: {error}"))
        });
        flaws.check("commits", commit.id, admitted);
    }

    /// What stands beside a header says what is in it.
    fn columns(&self, commit: &CommitRow, signed: &SignedHeader) -> Result<(), String> {
        let header = signed.header();
        let author = self.authors.get(&commit.author);
        expect(author == Some(&header.author), "column author is not the author of the header")?;
        expect(commit.term == header.term, "column term is not the term of the header")?;
        expect(commit.seq == header.seq, "column seq is not the number in the header")
    }
}

/// The header and the hashes of its operations.
fn header_of(commit: &CommitRow) -> Result<(SignedHeader, Vec<OpHash>), String> {
    let signed = SignedHeader::decode(&commit.header, commit.signature);
    let signed = signed.map_err(|error| format!("column header does not decode: {error}"))?;
    let hashes = op_hashes(&signed, commit.op_hashes.as_deref())?;
    Ok((signed, hashes))
}

/// The hashes of a commit's operations, as many as it has: of a single one the header has it.
pub(super) fn op_hashes(signed: &SignedHeader, stored: Option<&[u8]>) -> Result<Vec<OpHash>, String> {
    let header = signed.header();
    let hashes: Vec<_> = match stored {
        None => vec![OpHash(header.ops_root)],
        Some(stored) => stored.as_chunks::<32>().0.iter().copied().map(OpHash).collect(),
    };
    let is_whole = stored.is_none_or(|stored| stored.len() == hashes.len() * 32 && hashes.len() > 1);
    expect(is_whole && hashes.len() == header.op_count as usize, "column op_hashes has not one hash per operation")?;
    let all: Vec<_> = hashes.iter().map(|hash| hash.0).collect();
    expect(lattice::merkle::root(&all) == header.ops_root, "column op_hashes is not what the author signed")?;
    Ok(hashes)
}

/// Columns live, first_entry and span against the entries that are there.
fn counts(commit: &CommitRow, entries: &[EntryRow], signed: &SignedHeader) -> Result<(), String> {
    let live = entries.len() as u64;
    expect(commit.live == live, &format!("column live is {}, and {live} of its entries are there", commit.live))?;
    expect(live > 0, "none of its entries is there")?;
    let most = u64::from(signed.header().op_count);
    expect((live..=most).contains(&commit.span), "column span is not a number of its entries")
}

/// A commit with the operations that its entries give.
struct Joined {
    commit: Commit,
    leaves: Vec<Leaf<()>>,
    /// Entries that give none, by name, and why.
    unfit: Vec<(String, String)>,
}

/// Puts the operations of entries where they say that they belong, if they fit the hashes there.
fn join(gathered: &Gathered, signed: &SignedHeader, hashes: &[OpHash], fits: impl Fn(&Op, &OpHash) -> bool) -> Joined {
    let Gathered { commit, entries } = gathered;
    let mut slots: Vec<_> = hashes.iter().copied().map(OpSlot::Dead).collect();
    let (mut leaves, mut unfit) = (Vec::with_capacity(entries.len()), Vec::new());
    for (entry, before) in entries.iter().zip(std::iter::once(None).chain(entries.iter().map(Some))) {
        match operation(entry, before, commit, hashes, &fits) {
            Ok(op) => {
                let version = Version::of(signed.header(), signed.id(), entry.op_index as u32);
                let made = Entry::of(&op, version);
                leaves.push(Leaf { key: made.key_hash(), leaf: made.leaf(), tag: () });
                slots[entry.op_index as usize] = OpSlot::Live(op);
            }
            Err(what) => unfit.push((entry.name(), what)),
        }
    }
    Joined { commit: Commit::from_parts(signed.clone(), slots), leaves, unfit }
}

/// The operation of an entry, if it is the one that its commit holds at its place.
fn operation(
    entry: &EntryRow,
    before: Option<&EntryRow>,
    commit: &CommitRow,
    hashes: &[OpHash],
    fits: impl Fn(&Op, &OpHash) -> bool,
) -> Result<Op, String> {
    if i64::try_from(entry.commit_id) != Ok(commit.id) {
        return Err(format!("its number lies among those of commit {}", commit.id));
    }
    // Entries of a commit were numbered in the order of its operations.
    expect(before.is_none_or(|before| before.op_index < entry.op_index), "it is not in the order of its commit")?;
    let op = match &entry.value {
        Some(value) => Op::put(&entry.key, value),
        None => Op::delete(&entry.key),
    };
    let op = op.map_err(|error| error.to_string())?;
    let hash = usize::try_from(entry.op_index).ok().and_then(|at| hashes.get(at));
    let hash = hash.ok_or("column op_index is beyond the operations of its commit")?;
    expect(fits(&op, hash), "key, value or place are not what its author signed")?;
    Ok(op)
}
