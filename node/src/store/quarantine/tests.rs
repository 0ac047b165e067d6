//! What is listed of a quarantine, and what stays of it once somebody has dealt with it.

use lattice::clock::Timestamp;
use lattice::commit::Draft;
use lattice::ids::LatticeId;
use lattice::keys::NodeKeys;

use super::*;
use crate::store::open::{Opened, Synchronous, open};

fn keys() -> NodeKeys {
    NodeKeys::from_seed([1; 32])
}

async fn opened(dir: &tempfile::TempDir) -> Opened {
    let path = dir.path().join("state.db");
    open(&path, LatticeId::ZERO, keys().log_key(), Synchronous::Normal, |_| {}).await.expect("opens")
}

fn commit(seq: u64, keys_of_commit: &[&str]) -> Commit {
    let time = Timestamp::from_millis(seq);
    let draft = Draft { lattice: LatticeId::ZERO, term: 1, seq, prev: CommitId([0; 32]), time };
    let put = |key: &&str| Op::put(key, format!("value of {key}").as_bytes()).expect("small");
    draft.sign(&keys().author, keys_of_commit.iter().map(put).collect())
}

/// As a cut leaves it: a row for each operation.
async fn cut(connection: &mut SqliteConnection, commit: &Commit) {
    for (at, slot) in commit.slots().iter().enumerate() {
        let OpSlot::Live(op) = slot else { panic!("whole") };
        let sql = "INSERT INTO quarantine (key, value, op_index, header, signature) VALUES (?, ?, ?, ?, ?)";
        let row = sqlx::query(sql).bind(op.key().to_string()).bind(op.value().map(<[u8]>::to_vec)).bind(at as i64);
        let signed = commit.signed();
        let row = row.bind(signed.header_bytes().to_vec()).bind(signed.signature().to_vec());
        row.execute(&mut *connection).await.expect("SQL");
    }
}

async fn depose(connection: &mut SqliteConnection, commit: &Commit) {
    let row = sqlx::query("INSERT INTO deposed (term, seq, id, bytes) VALUES (1, ?, ?, ?)");
    let row = row.bind(commit.signed().header().seq as i64).bind(commit.id().0.to_vec()).bind(commit.encode());
    row.execute(&mut *connection).await.expect("SQL");
}

/// Seqs of all pages, as a caller walks them who carries the place as text; and how many pages were read.
async fn walked(reader: &Reader) -> (Vec<u64>, usize) {
    let (mut seqs, mut pages, mut after) = (Vec::new(), 0, After::START);
    loop {
        let page = reader.quarantine_page(after).await.expect("readable");
        assert!(page.commits.len() <= PAGE_COMMITS_MAX);
        seqs.extend(page.commits.iter().map(|commit| commit.header.seq));
        pages += 1;
        let Some(next) = page.next else { return (seqs, pages) };
        after = next.to_string().parse().expect("a place");
    }
}

#[tokio::test]
async fn pages_name_every_commit_once_first_what_was_in_the_state() {
    let dir = tempfile::tempdir().expect("a directory");
    let Opened { writer: mut connection, readers, .. } = opened(&dir).await;
    let reader = Reader::new(readers);
    assert_eq!(walked(&reader).await, (vec![], 2), "one page of each kind");
    let of_state = 2 * PAGE_COMMITS_MAX as u64;
    let last = of_state + PAGE_COMMITS_MAX as u64 + 1;
    for seq in 1..=of_state {
        cut(&mut connection, &commit(seq, &["a", "b"])).await;
    }
    for seq in of_state + 1..=last {
        depose(&mut connection, &commit(seq, &["c"])).await;
    }
    assert_eq!(walked(&reader).await, ((1..=last).collect(), 4));
    let size = size(&mut connection).await.expect("SQL");
    assert_eq!((size.entries, size.staged), (2 * of_state, PAGE_COMMITS_MAX as u64 + 1));
}

#[tokio::test]
async fn a_page_ends_early_with_many_keys_and_never_within_a_commit() {
    let dir = tempfile::tempdir().expect("a directory");
    let Opened { writer: mut connection, readers, .. } = opened(&dir).await;
    let names: Vec<_> = (0..1000).map(|n| format!("key/{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for seq in 1..=6 {
        cut(&mut connection, &commit(seq, &names)).await;
        depose(&mut connection, &commit(6 + seq, &names)).await;
    }
    let reader = Reader::new(readers);
    let page = reader.quarantine_page(After::START).await.expect("readable");
    assert_eq!(page.commits.iter().map(|commit| commit.keys.len()).collect::<Vec<_>>(), [1000; 5]);
    assert_eq!(walked(&reader).await, ((1..=12).collect(), 4));
}

#[tokio::test]
async fn what_was_dealt_with_is_listed_no_more_and_still_says_why_older_commits_may_come() {
    let dir = tempfile::tempdir().expect("a directory");
    let Opened { writer: mut connection, readers, .. } = opened(&dir).await;
    let [one, two, both] = [commit(1, &["a", "b"]), commit(2, &["a"]), commit(3, &["c"])];
    for commit in [&one, &both] {
        cut(&mut connection, commit).await;
    }
    for commit in [&two, &both] {
        depose(&mut connection, commit).await;
    }
    let reader = Reader::new(readers);
    assert_eq!(reader.quarantined("").await.expect("readable").len(), 2, "several begin so");
    for (commit, origin, ops) in [(&one, Origin::State, 2), (&two, Origin::Staging, 1), (&both, Origin::State, 1)] {
        let found = reader.quarantined(&commit.id().to_string()[..ID_DIGITS_MIN]).await.expect("readable");
        let [found] = &found[..] else { panic!("{found:?}") };
        assert_eq!((found.id, found.origin, found.ops.len()), (commit.id(), origin, ops));
        assert_eq!(found.ops[0].1.value(), Some(format!("value of {}", found.ops[0].1.key()).as_bytes()));
        dismiss(&mut connection, found.id, &found.rows).await.expect("SQL");
        assert_eq!(reader.quarantined(&commit.id().to_string()).await.expect("readable").len(), 0);
    }
    assert_eq!(size(&mut connection).await.expect("SQL"), QuarantineSize::default());
    assert_eq!(walked(&reader).await.0, Vec::<u64>::new());
    assert!(write::is_quarantined(&mut connection, "a").await.expect("SQL"), "a cut emptied it all the same");
}

#[test]
fn a_place_that_no_page_gave_is_none() {
    for text in ["", "state", "state-x", "staging-1-2", "staging-1-2-zz", "cut-1", "state-1-2"] {
        assert_eq!(text.parse::<After>(), Err(NoPlace), "{text}");
    }
}
