//! The writer over a real database: what is acknowledged is there, what is refused changes nothing.

mod caught;
mod disk;

use std::collections::BTreeMap;
use std::path::Path;

use lattice::clock::Timestamp;
use lattice::commit::{Commit, Draft, OpSlot};
use lattice::genesis::{Genesis, Member};
use lattice::ids::{CommitId, StateRoot};
use lattice::keys::NodeKeys;
use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::witness::AddCheckpoint;
use lattice::membership::Change;
use lattice::op::{Key, Op};
use lattice::record::{Event, Record};
use tokio::sync::oneshot;

use super::job::{Fate, IdempotencyKey, Job, WriteError, Written};
use super::*;
use crate::store::open::{OpenError, Synchronous, open};
use crate::store::read::Reader;

/// A node without roads: the writer, its readers, and who it is.
struct Local {
    identity: Arc<Identity>,
    handle: WriterHandle,
    reader: Reader,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    /// Kept open, so that gossip has somewhere to go.
    _frames: mpsc::Receiver<Vec<u8>>,
}

fn keys(n: u8) -> NodeKeys {
    NodeKeys::from_seed([n; 32])
}

fn member(n: u8) -> Member {
    let (author, log_key) = (keys(n).author.id(), keys(n).log_key());
    Member { name: n.to_string(), author, log_key, peer_id: vec![n; 38], roles: [].into() }
}

/// Node 0 is founder and admin.
fn genesis() -> Genesis {
    Genesis::founded_by("test", "0", &keys(0), vec![0; 38])
}

async fn start_with(dir: &Path, genesis: Genesis) -> Result<Local, OpenError> {
    start_as(dir, genesis, Start::default()).await
}

async fn start_as(dir: &Path, genesis: Genesis, start: Start) -> Result<Local, OpenError> {
    let identity = Arc::new(Identity { lattice: genesis.id(), genesis, keys: keys(0) });
    let opened =
        open(&dir.join("state.db"), identity.lattice, identity.keys.log_key(), Synchronous::Normal, |_| {}).await?;
    let reader = Reader::new(opened.readers.clone());
    let (task, handle, frames) = writer(identity.clone(), opened, start).await?;
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));
    Ok(Local { identity, handle, reader, stop, task, _frames: frames })
}

async fn start(dir: &Path) -> Local {
    start_with(dir, genesis()).await.expect("a good directory")
}

impl Local {
    async fn write(&self, ops: Vec<Op>) -> Result<Written, WriteError> {
        self.write_as(ops, None).await
    }

    async fn write_as(&self, ops: Vec<Op>, name: Option<&str>) -> Result<Written, WriteError> {
        let (reply, answer) = oneshot::channel();
        let idempotency = name.and_then(IdempotencyKey::new);
        assert!(self.handle.send(Job::Write { ops, idempotency, reply: Reply(reply) }).await);
        answer.await.expect("an answer")
    }

    async fn take(&self, commits: Vec<Commit>) -> Vec<Fate> {
        let verified = commits.into_iter().map(|commit| commit.verify(&self.identity.genesis).expect("well made"));
        let taken = self.handle.take(verified.collect(), false).await.expect("running");
        taken.into_iter().map(|(_, fate)| fate).collect()
    }

    async fn value(&self, key: &str) -> Option<Vec<u8>> {
        let key = Key::new(key).expect("short");
        self.reader.entry(&key).await.expect("readable").and_then(|entry| entry.value)
    }

    fn root(&self) -> StateRoot {
        self.handle.published().root
    }

    async fn stop(self) {
        self.stop.cancel();
        self.reader.close().await;
        self.task.await.expect("no panic");
    }
}

/// A chain of commits by node `n`, each putting `key/seq` at that second.
fn chain(n: u8, count: u64) -> Vec<Commit> {
    let mut prev = CommitId::ZERO;
    (1..=count)
        .map(|seq| {
            let commit = commit(n, seq, prev, 1_000 * seq, vec![put(&format!("{n}/{seq}"), b"v")]);
            prev = commit.id();
            commit
        })
        .collect()
}

fn commit(n: u8, seq: u64, prev: CommitId, millis: u64, ops: Vec<Op>) -> Commit {
    let time = Timestamp::from_millis(millis);
    Draft { lattice: genesis().id(), term: 0, seq, prev, time }.sign(&keys(n).author, ops)
}

fn put(key: &str, value: &[u8]) -> Op {
    Op::put(key, value).expect("small")
}

fn add(n: u8) -> Vec<Op> {
    vec![Change::Add(member(n)).to_op().expect("small")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_everything_acknowledged_and_the_same_root() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    let mut model = BTreeMap::new();
    for i in 0..300u32 {
        let key = format!("k{}", i % 40);
        if i % 7 == 3 {
            node.write(vec![Op::delete(&key).expect("small")]).await.expect("durable");
            model.insert(key, None);
        } else {
            let value = i.to_be_bytes().to_vec();
            node.write(vec![put(&key, &value), put(&format!("{key}/second"), &value)]).await.expect("durable");
            model.insert(key, Some(value));
        }
    }
    let (root, log_size) = (node.root(), node.handle.published().log_size);
    node.stop().await;
    let node = start(dir.path()).await;
    assert_eq!((node.root(), node.handle.published().log_size), (root, log_size));
    for (key, value) in &model {
        assert_eq!(node.value(key).await, *value, "{key}");
    }
    let next = node.write(vec![put("next", b"")]).await.expect("durable");
    assert_eq!(next.seq, 301, "numbers go on where they ended");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transaction_leaves_a_record_that_binds_the_root_before_and_after() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    let first = node.write(vec![put("a", b"1")]).await.expect("durable");
    let second = node.write(vec![put("a", b"2")]).await.expect("durable");
    let record = |at| {
        let reader = node.reader.clone();
        async move { Record::decode(&reader.record(at).await.expect("readable").expect("written")).expect("canonical") }
    };
    assert!(matches!(record(0).await.event, Event::Opened { .. }));
    assert_eq!(record(1).await.event, Event::Applied { commits: vec![first.commit] });
    let last = record(2).await;
    assert_eq!((last.before, last.after, last.entries), (first.root, second.root, 1));
    node.stop().await;
}

/// Four such searches, for commits that are nowhere, kept all connections that answer clients.
#[tokio::test(flavor = "multi_thread")]
async fn one_search_without_an_index_runs_at_a_time_for_all_who_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    let place = node.reader.clone().place_to_search().expect("nobody searches");
    assert!(node.reader.place_to_search().is_none());
    drop(place);
    assert!(node.reader.place_to_search().is_some());
    node.stop().await;
}

/// Each refusal was published: strangers could have every task of the node look at a state that had not changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_refused_wakes_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    let ask = async |old, root| {
        let name = node.handle.published().origin.clone();
        let checkpoint = SignedCheckpoint::sign(&name, 5, [root; 32], &node.identity.keys.log);
        let (reply, answer) = oneshot::channel();
        let request = Box::new(AddCheckpoint { old, proof: Vec::new(), checkpoint });
        let before = node.handle.published();
        assert!(node.handle.send(Job::Witness { request, reply }).await);
        let witnessed = answer.await.expect("an answer").expect("a disk");
        (witnessed.response.status, Arc::ptr_eq(&before, &node.handle.published()))
    };
    assert_eq!(ask(0, 1).await, (200, false), "it is new");
    assert_eq!(ask(5, 1).await, (200, true), "it was cosigned before");
    assert_eq!(ask(0, 1).await, (409, true));
    assert_eq!(ask(9, 1).await, (400, true));
    assert_eq!(ask(5, 2).await, (422, false), "there is evidence now");
    assert_eq!(ask(5, 3).await, (422, true));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_an_unknown_author_waits_until_the_author_is_added() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    assert_eq!(node.take(chain(1, 3)).await, [Fate::Waits, Fate::Waits, Fate::Waits]);
    assert_eq!((node.handle.published().waiting, node.value("1/1").await), (3, None));
    node.write(add(1)).await.expect("an admin adds");
    let mut states = node.handle.watch();
    states.wait_for(|state| state.waiting == 0).await.expect("running");
    assert_eq!(node.value("1/3").await.as_deref(), Some(b"v".as_slice()));
    assert_eq!(node.handle.published().frontier.chain(&keys(1).author.id(), 0).seq(), 3);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_from_the_future_waits_until_its_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut genesis = genesis();
    genesis.limits.max_drift_ms = 1;
    let lattice = genesis.id();
    let node = start_with(dir.path(), genesis).await.expect("a good directory");
    let time = Timestamp::from_millis(now_ms() + 300);
    let draft = Draft { lattice, term: 0, seq: 1, prev: CommitId::ZERO, time };
    let early = draft.sign(&keys(0).author, vec![put("early", b"v")]);
    assert_eq!(node.take(vec![early]).await, [Fate::Waits]);
    node.handle.watch().wait_for(|state| state.tree.len() == 1).await.expect("running");
    assert!(now_ms() + 1 >= time.millis(), "not before its time");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commits_for_one_place_both_merge_and_leave_evidence_that_survives() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    node.write(add(1)).await.expect("an admin adds");
    let one = commit(1, 1, CommitId::ZERO, 1_000, vec![put("one", b"1")]);
    let other = commit(1, 1, CommitId::ZERO, 1_000, vec![put("other", b"2")]);
    node.take(vec![one]).await;
    assert!(node.handle.published().equivocations.is_empty());
    node.take(vec![other]).await;
    assert_eq!(node.handle.published().equivocations.len(), 1);
    assert!(node.value("one").await.is_some() && node.value("other").await.is_some(), "refusing depends on arrival");
    node.stop().await;
    let node = start(dir.path()).await;
    assert!(node.handle.published().equivocations[0].is_proven());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_removes_what_lies_beyond_it_whenever_it_arrives() {
    let (early, late) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let cut = |last_seq| vec![Change::Revoke { author: keys(1).author.id(), last_seq }.to_op().expect("small")];
    let changes: Vec<_> = {
        let first = commit(0, 1, CommitId::ZERO, 1_000, add(1));
        let second = commit(0, 2, first.id(), 2_000, cut(2));
        vec![first, second]
    };
    let cut_late = start(late.path()).await;
    cut_late.take(vec![changes[0].clone()]).await;
    cut_late.take(chain(1, 4)).await;
    assert!(cut_late.value("1/4").await.is_some());
    cut_late.take(vec![changes[1].clone()]).await;
    assert_eq!(cut_late.value("1/4").await, None);

    let cut_first = start(early.path()).await;
    cut_first.take(changes).await;
    let fates = cut_first.take(chain(1, 4)).await;
    assert!(matches!(fates[..], [Fate::Applied, Fate::Applied, Fate::Refused(_), Fate::Refused(_)]), "{fates:?}");
    assert_eq!(cut_first.root(), cut_late.root(), "validity is a function of the set, not of arrival");

    let (root, log_size) = (cut_late.root(), cut_late.handle.published().log_size);
    let last = cut_late.reader.record(log_size - 1).await.expect("readable").expect("written");
    assert!(matches!(Record::decode(&last).expect("canonical").event, Event::Membership { removed: 2, .. }));
    cut_late.stop().await;
    let again = start(late.path()).await;
    assert_eq!(again.root(), root);
    again.stop().await;
    cut_first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_gives_the_same_commit_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    let ops = || vec![put("k", b"v")];
    let (a, b, c) = tokio::join!(
        node.write_as(ops(), Some("once")),
        node.write_as(ops(), Some("once")),
        node.write_as(ops(), Some("once")),
    );
    assert_eq!(a, b);
    assert_eq!(b, c);
    assert_eq!(node.write_as(vec![put("k", b"w")], Some("once")).await, Err(WriteError::KeyReused));
    node.stop().await;
    let node = start(dir.path()).await;
    assert_eq!(node.write_as(ops(), Some("once")).await, a, "also after a restart");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_keys_and_empty_writes_are_refused_and_change_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    let root = node.root();
    for key in ["@seat/green/1", "@anything", "green/k", "@member/abc"] {
        let refused = node.write(vec![put(key, b"v")]).await;
        assert!(matches!(refused, Err(WriteError::NotAdmitted(_))), "{key}: {refused:?}");
    }
    assert_eq!(node.write(Vec::new()).await, Err(WriteError::Empty));
    assert_eq!(node.root(), root);
    assert_eq!(node.write(vec![put("k", b"v")]).await.expect("a good write").seq, 1, "no number was used up");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_commit_of_our_own_that_comes_back_is_not_continued() {
    // A reconcile brought back our commit 1 while we were at 5; a write in the same group was numbered 2 again.
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    let mut first = None;
    for i in 0..5u8 {
        node.write(vec![put(&i.to_string(), b"v")]).await.expect("durable");
        if first.is_none() {
            let rows: Vec<_> = node.handle.published().tree.leaves().map(|leaf| leaf.tag).collect();
            let (commits, _) = node.reader.commits_of(&rows, usize::MAX).await.expect("readable");
            first = commits.into_iter().next();
        }
    }
    let old = first.expect("stored").verify(&node.identity.genesis).expect("ours");
    for round in 0..20u8 {
        // Sent without waiting between them, so that both wait for the writer and go into one group.
        let (reply, answer) = oneshot::channel();
        let take = Job::Take { commits: vec![old.clone()], publish: false, reply: None };
        let write = Job::Write { ops: vec![put("next", &[round])], idempotency: None, reply: Reply(reply) };
        assert!(node.handle.try_send(take) && node.handle.try_send(write));
        assert_eq!(answer.await.expect("an answer").expect("durable").seq, 6 + u64::from(round));
    }
    assert!(node.handle.published().equivocations.is_empty());
    assert_eq!(node.handle.published().damaged, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_for_peers_come_in_part_and_still_verify() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    node.write((0..5).map(|i| put(&format!("k{i}"), &[i; 100])).collect()).await.expect("durable");
    node.write(vec![put("k1", b"later")]).await.expect("durable");
    let published = node.handle.published();
    let rows: Vec<_> = published.tree.leaves().map(|leaf| leaf.tag).collect();
    let (commits, served) = node.reader.commits_of(&rows, usize::MAX).await.expect("readable");
    assert_eq!(served, 5);
    assert_eq!(commits.len(), 2);
    for commit in commits {
        commit.verify(&node.identity.genesis).expect("signed, also in part");
    }
    let (few, served) = node.reader.commits_of(&rows, 1).await.expect("readable");
    assert_eq!(few.len(), 1, "at least one, whatever its size");
    assert!((1..5).contains(&served), "the rows of other commits are not served: {served}");
    let of_one: Vec<_> = few[0].slots().iter().filter(|slot| matches!(slot, OpSlot::Live(_))).collect();
    assert!(of_one.len() == 4 || of_one.len() == 1, "all that stands of it: {}", of_one.len());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_come_once_in_order_and_resume_from_a_log_position() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path()).await;
    let mut positions = Vec::new();
    for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1")] {
        positions.push(node.write(vec![put(key, value.as_bytes())]).await.expect("durable").log_position);
    }
    let from = |position| {
        let reader = node.reader.clone();
        async move {
            let cursor = reader.cursor_at(position).await.expect("readable");
            let changes = reader.changes("", cursor, 100).await.expect("readable");
            (changes.entries.iter().map(|e| e.key.to_string()).collect::<Vec<_>>().concat(), changes.upto)
        }
    };
    assert_eq!(from(0).await, ("bac".to_owned(), positions[3]), "of a key its last change");
    assert_eq!(from(positions[1]).await, ("ac".to_owned(), positions[3]));
    assert_eq!(from(positions[3]).await, (String::new(), positions[3]));
    let cursor = node.reader.cursor_at(0).await.expect("readable");
    let first = node.reader.changes("", cursor, 1).await.expect("readable");
    assert!(first.more && first.upto == positions[1], "one seen whole: {}", first.upto);
    node.stop().await;
}
