//! A holder and its mirror, without a network: what is staged, released, copied, cut off.

use std::path::Path;

use lattice::genesis::{Genesis, Member};
use lattice::keys::NodeKeys;
use lattice::membership::Change;
use lattice::seat::message::KeptName;
use lattice::seat::{Approvals, Body, Certificate, Warrant};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::store::open::{Synchronous, open};
use crate::writer::job::{IdempotencyKey, Job, WriteError, Written};
use crate::writer::{Identity, Reply, WriterHandle, writer};
use lattice::commit::{Commit, VerifiedCommit};
use lattice::op::Op;

/// A node of the seat: its writer over a database.
struct Local {
    identity: Arc<Identity>,
    handle: WriterHandle,
    reader: crate::store::read::Reader,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _frames: mpsc::Receiver<Vec<u8>>,
}

fn keys(n: u8) -> NodeKeys {
    NodeKeys::from_seed([n + 60; 32])
}

/// Nodes 0, 1 and 2; 0 founded.
fn genesis() -> Genesis {
    let mut genesis = Genesis::founded_by("test", "0", &keys(0), vec![0; 38]);
    genesis.members = (0..3u8)
        .map(|n| Member {
            name: n.to_string(),
            author: keys(n).author.id(),
            log_key: keys(n).log_key(),
            peer_id: vec![n; 38],
            roles: [].into(),
        })
        .collect();
    genesis.members.sort_by_key(|member| member.author);
    genesis
}

/// Term 1: 0 holds, 1 is its shadow if there is one.
fn first(shadow: Option<u8>) -> Body {
    let mut voters: Vec<_> = (0..3).map(|n| keys(n).author.id()).collect();
    voters.sort_unstable();
    Body {
        lattice: genesis().id(),
        seat: "green".to_owned(),
        term: 1,
        holder: keys(0).author.id(),
        shadow: shadow.map(|n| keys(n).author.id()),
        spares: Vec::new(),
        voters,
        electors: Vec::new(),
        follows: None,
        cut: 0,
        log_size: 0,
        log_root: [0; 32],
        time_ms: 1,
        reason: "created".to_owned(),
    }
}

/// Term 2: 1 takes over from 0, of whom `cut` commits count.
fn takeover(before: &Body, cut: u64, seat: &SeatPublished) -> Body {
    Body {
        term: before.term + 1,
        holder: keys(1).author.id(),
        shadow: Some(keys(0).author.id()),
        electors: before.voters.clone(),
        follows: Some(before.hash()),
        cut,
        log_size: seat.log_size,
        log_root: seat.log_root,
        ..before.clone()
    }
}

fn certified(body: &Body) -> Vec<Op> {
    let warrant = if body.follows.is_none() {
        Warrant::Operators(Approvals::by(body, &keys(0), 1))
    } else {
        Warrant::Votes((0..3).map(|n| (keys(n).author.id(), body.vote(&keys(n).author))).collect())
    };
    vec![Certificate { body: body.clone(), warrant }.to_op().expect("small")]
}

async fn start(dir: &Path, n: u8) -> Local {
    let identity = Arc::new(Identity { lattice: genesis().id(), genesis: genesis(), keys: keys(n) });
    let path = dir.join("state.db");
    let opened = open(&path, identity.lattice, identity.keys.log_key(), Synchronous::Normal, |_| {});
    let opened = opened.await.expect("opens");
    let reader = crate::store::read::Reader::new(opened.readers.clone());
    let (task, handle, frames) = writer(identity.clone(), opened, crate::home::Start::default()).await.expect("starts");
    let stop = CancellationToken::new();
    let task = tokio::spawn(task.run(stop.clone()));
    Local { identity, handle, reader, stop, task, _frames: frames }
}

impl Local {
    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> T {
        let (reply, answer) = oneshot::channel();
        assert!(self.handle.send(job(reply)).await);
        answer.await.expect("an answer")
    }

    async fn write(&self, ops: Vec<Op>) -> Commit {
        let written = self.ask(|reply| Job::Write { ops: ops.clone(), idempotency: None, reply: Reply(reply) }).await;
        let written = written.expect("durable");
        let reader = self.recent();
        reader.into_iter().find(|commit| commit.id() == written.commit).unwrap_or_else(|| {
            let draft = lattice::commit::Draft {
                lattice: self.identity.lattice,
                term: 0,
                seq: written.seq,
                prev: lattice::ids::CommitId::ZERO,
                time: lattice::clock::Timestamp::from_millis(written.time_ms),
            };
            draft.sign(&self.identity.keys.author, ops)
        })
    }

    /// Writes one ordinary value under a client's name.
    async fn named(&self, key: &str, name: &str) -> Result<Written, WriteError> {
        let (ops, idempotency) = (vec![put(key, b"v")], IdempotencyKey::new(name));
        self.ask(|reply| Job::Write { ops, idempotency, reply: Reply(reply) }).await
    }

    /// Applies what another wrote.
    async fn settle(&self, by: &NodeKeys, ops: Vec<Op>) {
        self.handle.take(vec![self.first_of(by, ops)], false).await.expect("running");
    }

    /// The first ordinary commit of another member.
    fn first_of(&self, by: &NodeKeys, ops: Vec<Op>) -> VerifiedCommit {
        let draft = lattice::commit::Draft {
            lattice: self.identity.lattice,
            term: 0,
            seq: 1,
            prev: lattice::ids::CommitId::ZERO,
            time: lattice::clock::Timestamp::from_millis(5),
        };
        draft.sign(&by.author, ops).verify(&self.identity.genesis).expect("signed")
    }

    fn recent(&self) -> Vec<Commit> {
        let records = self.handle.with_outbox(|outbox| outbox.records_from(0, usize::MAX)).unwrap_or_default();
        let bytes = records.into_iter().flat_map(|recent| recent.commits);
        bytes.map(|carried| Commit::decode(&carried.bytes).expect("canonical")).collect()
    }

    async fn serve(&self, term: u64) -> SeatPublished {
        self.ask(|reply| Job::Seat(SeatJob::Serve { term, reply })).await.expect("serves")
    }

    async fn copy(&self, body: &Body) -> SeatPublished {
        let (term, size, root) = (body.term, body.log_size, body.log_root);
        self.ask(|reply| Job::Seat(SeatJob::Copy { term, size, root, reply })).await.expect("copies")
    }

    /// Begins a write of the seat; the answer comes later.
    async fn stage(&self, staging: Staging) {
        assert!(self.handle.send(Job::Seat(SeatJob::Stage(staging))).await);
    }

    async fn release(&self, term: u64, upto: u64) {
        assert!(self.handle.send(Job::Seat(SeatJob::Release { term, upto })).await);
    }

    /// Fetches once from `holder`: what came into the log, and what is staged.
    async fn fetch(&self, holder: &Self) -> Result<SeatPublished, MirrorError> {
        let published = self.handle.published().seat;
        let (records, staged) = holder.handle.with_outbox(|outbox| {
            (outbox.records_from(published.log_size, usize::MAX), outbox.staged_behind(published.last, usize::MAX))
        });
        let verified =
            |bytes: &[u8]| Commit::decode(bytes).expect("canonical").verify(&self.identity.genesis).expect("signed");
        let mirrored = |recent: super::outbox::Recent| Mirrored {
            record: recent.record.to_vec(),
            // What is staged here needs not come again.
            commits: recent
                .commits
                .iter()
                .filter(|commit| commit.place.0 == 0 || commit.place > published.last)
                .map(|commit| verified(&commit.bytes))
                .collect(),
        };
        let batch = MirrorBatch {
            from: published.log_size,
            records: records.expect("kept").into_iter().map(mirrored).collect(),
            staged: staged.iter().map(|commit| (verified(&commit.bytes), commit.name.clone())).collect(),
            fidelity: Fidelity::Twin,
        };
        self.ask(|reply| Job::Seat(SeatJob::Mirror { batch: Box::new(batch), reply })).await
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic");
    }
}

fn put(key: &str, value: &[u8]) -> Op {
    Op::put(key, value).expect("small")
}

type Answer = oneshot::Receiver<Result<Written, WriteError>>;

fn staging(key: &str, condition: Condition, name: Option<&str>, is_local: bool) -> (Staging, Answer) {
    let (reply, answer) = oneshot::channel();
    let idempotency = name.and_then(IdempotencyKey::new);
    let ops = vec![put(key, b"v")];
    (Staging { ops, condition, idempotency, is_local, reply: Reply(reply) }, answer)
}

/// A holder with its shadow, equal states and logs.
async fn pair() -> (TempDir, Local, TempDir, Local) {
    let (first_dir, second_dir) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    let (holder, shadow) = (start(first_dir.path(), 0).await, start(second_dir.path(), 1).await);
    for node in [&holder, &shadow] {
        node.settle(&keys(2), certified(&first(Some(1)))).await;
    }
    holder.serve(1).await;
    shadow.copy(&first(Some(1))).await;
    shadow.fetch(&holder).await.expect("the first record");
    (first_dir, holder, second_dir, shadow)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_the_seat_enters_no_state_before_the_shadow_has_it() {
    let (_a, holder, _b, shadow) = pair().await;
    let before = holder.handle.published().root;
    let (write, answer) = staging("green/k", Condition::Always, Some("once"), false);
    holder.stage(write).await;
    // The answer of a write at level `local` says that what came before it is staged as well.
    let (local, staged) = staging("green/l", Condition::Always, None, true);
    holder.stage(local).await;
    assert_eq!(staged.await.expect("an answer").expect("staged").seq, 2);
    assert_eq!((holder.handle.published().root, holder.handle.published().seat.last), (before, (1, 2)));

    let fetched = shadow.fetch(&holder).await.expect("staged there");
    assert_eq!((fetched.last, fetched.staged), ((1, 2), 2));
    holder.release(1, 2).await;
    let written = answer.await.expect("an answer").expect("in the state");
    let after = holder.handle.published();
    assert_eq!((after.root, after.seat.staged), (written.root, 0));

    let fetched = shadow.fetch(&holder).await.expect("the same record");
    assert_eq!((fetched.log_size, fetched.log_root, fetched.staged), (after.seat.log_size, after.seat.log_root, 0));
    assert_eq!(shadow.handle.published().root, after.root);
    // The name of the write went with it: repeated at the next holder, it is the same write.
    shadow.settle(&keys(2), certified(&takeover(&first(Some(1)), 2, &fetched))).await;
    shadow.serve(2).await;
    let (again, answer) = staging("green/k", Condition::Always, Some("once"), false);
    shadow.stage(again).await;
    assert_eq!(answer.await.expect("an answer").expect("known").commit, written.commit);
    holder.stop().await;
    shadow.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_write_that_comes_by_gossip_first_keeps_its_name() {
    let (_a, holder, _b, shadow) = pair().await;
    let (write, answer) = staging("green/k", Condition::Always, Some("once"), false);
    holder.stage(write).await;
    let (flush, staged) = staging("green/l", Condition::Always, None, true);
    holder.stage(flush).await;
    staged.await.expect("an answer").expect("staged");
    let position = shadow.fetch(&holder).await.expect("staged there");
    holder.release(1, 2).await;
    let written = answer.await.expect("an answer").expect("in the state");
    // Another node has it from the old holder's gossip before the new one takes up what it staged.
    let gossiped = holder.recent().into_iter().find(|commit| commit.id() == written.commit).expect("applied there");
    shadow.settle(&keys(2), certified(&takeover(&first(Some(1)), 2, &position))).await;
    shadow.handle.take(vec![gossiped.verify(&genesis()).expect("signed")], false).await.expect("running");
    shadow.serve(2).await;
    let (again, answer) = staging("green/k", Condition::Always, Some("once"), false);
    shadow.stage(again).await;
    assert_eq!(answer.await.expect("an answer").expect("known").commit, written.commit);
    holder.stop().await;
    shadow.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_commits_and_membership_changes_come_out_the_same_at_the_mirror() {
    let (_a, holder, _b, shadow) = pair().await;
    for n in 0..20u8 {
        holder.write(vec![put(&format!("k{}", n % 7), &[n])]).await;
    }
    let cut = Change::Revoke { author: keys(2).author.id(), last_seq: 1 };
    holder.write(vec![cut.to_op().expect("small")]).await;
    let fetched = shadow.fetch(&holder).await.expect("the same records");
    let (held, copied) = (holder.handle.published(), shadow.handle.published());
    assert_eq!((fetched.log_size, fetched.log_root), (held.seat.log_size, held.seat.log_root));
    assert_eq!((held.root, held.seat.log_size), (copied.root, copied.seat.log_size));
    assert!(held.seat.log_size > 21, "the cut took effect in a record of its own");
    holder.stop().await;
    shadow.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_whose_state_differs_stops_before_it_copies_the_record() {
    let (_a, holder, _b, shadow) = pair().await;
    shadow.settle(&keys(1), vec![put("only/here", b"v")]).await;
    holder.write(vec![put("k", b"v")]).await;
    let before = shadow.handle.published();
    let refused = shadow.fetch(&holder).await.expect_err("another root");
    assert!(matches!(refused, MirrorError::Differs { position: 1 }), "{refused}");
    assert_eq!(shadow.handle.published().seat.log_size, before.seat.log_size);
    holder.stop().await;
    shadow.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_look_at_what_is_staged() {
    let (_a, holder, _b, shadow) = pair().await;
    let (create, created) = staging("green/k", Condition::Absent, None, true);
    holder.stage(create).await;
    let written = created.await.expect("an answer").expect("absent");
    let tag = EntryTag { commit: written.commit, op_index: 0 };
    let wrong = Condition::Is(EntryTag { commit: lattice::ids::CommitId([9; 32]), op_index: 0 });
    // What fails because of a staged write is not told: that write may come to nothing.
    for condition in [Condition::Absent, wrong] {
        let (write, answer) = staging("green/k", condition, None, true);
        holder.stage(write).await;
        assert_eq!(answer.await.expect("an answer"), Err(WriteError::ConditionOpen), "{condition:?}");
    }
    let (behind, staged) = staging("green/k", Condition::Is(tag), None, true);
    holder.stage(behind).await;
    let second = staged.await.expect("an answer").expect("what it changes is staged before it");
    let position = shadow.fetch(&holder).await.expect("staged there");
    holder.release(1, position.last.1).await;
    // One transaction for both.
    holder.write(vec![put("plain", b"v")]).await;
    let found = Some(EntryTag { commit: second.commit, op_index: 0 });
    for condition in [Condition::Absent, wrong, Condition::Is(tag)] {
        let (write, answer) = staging("green/k", condition, None, true);
        holder.stage(write).await;
        let failed = Err(WriteError::ConditionFailed { found });
        assert_eq!(answer.await.expect("an answer"), failed, "{condition:?}");
    }
    holder.stop().await;
    shadow.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_takes_over_the_answers_to_named_writes_and_keeps_its_own() {
    let (_a, holder, _b, shadow) = pair().await;
    for (key, name) in [("green/k", "first"), ("green/l", "second")] {
        let (write, _) = staging(key, Condition::Always, Some(name), false);
        holder.stage(write).await;
    }
    let (flush, staged) = staging("green/m", Condition::Always, None, true);
    holder.stage(flush).await;
    staged.await.expect("an answer").expect("staged");
    holder.write(vec![put("plain", b"v")]).await;
    let position = shadow.fetch(&holder).await.expect("staged there");
    holder.release(1, position.last.1).await;
    let (again, answer) = staging("green/l", Condition::Always, Some("second"), false);
    holder.stage(again).await;
    let second = answer.await.expect("an answer").expect("known").commit;

    let of_seat = holder.reader.seat_names(0, 10).await.expect("readable");
    let names: Vec<_> = of_seat.names.iter().map(|kept| kept.name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), of_seat.log_size),
        (&["first", "second"][..], holder.handle.published().seat.log_size)
    );
    let rest = holder.reader.seat_names(of_seat.upto, 10).await.expect("readable");
    assert_eq!((rest.names.len(), rest.upto), (0, of_seat.upto), "no more");
    let one = holder.reader.seat_names(0, 1).await.expect("readable");
    assert_eq!((one.names.as_slice(), one.upto < of_seat.upto), (&of_seat.names[..1], true));

    // A mirror that got the commits without their names, as a session brings them.
    let dir = tempfile::tempdir().expect("a directory");
    let late = start(dir.path(), 2).await;
    late.settle(&keys(2), certified(&first(Some(2)))).await;
    let own = late.named("plain/own", "first").await.expect("durable").commit;
    let strange = vec![KeptName { answer: vec![1], ..of_seat.names[0].clone() }];
    let refused = late.ask(|reply| Job::Seat(SeatJob::TakeNames { names: strange, reply })).await;
    assert!(refused.is_err(), "an answer that can't be given is not kept");
    let names = of_seat.names;
    late.ask(|reply| Job::Seat(SeatJob::TakeNames { names, reply })).await.expect("kept");
    late.serve(1).await;
    let (again, answer) = staging("green/l", Condition::Always, Some("second"), false);
    late.stage(again).await;
    let told = answer.await.expect("an answer").expect("known");
    let here = late.handle.published();
    let where_it_is = (here.log_size, here.root, here.tree.len());
    assert_eq!((told.commit, (told.log_position, told.root, told.entries)), (second, where_it_is));
    let (other, answer) = staging("green/other", Condition::Always, Some("second"), false);
    late.stage(other).await;
    assert_eq!(answer.await.expect("an answer"), Err(WriteError::KeyReused));
    assert_eq!(late.named("plain/own", "first").await.expect("known").commit, own, "what was answered here stays so");
    let kept = late.reader.seat_names(0, 10).await.expect("readable").names;
    let kept: Vec<_> = kept.iter().map(|kept| kept.name.as_str()).collect();
    assert_eq!(kept, ["second"], "to be handed on");
    for node in [holder, shadow, late] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_cut_goes_into_quarantine_and_what_is_within_enters_the_state() {
    let (dir, holder, _b, shadow) = pair().await;
    let (known, kept) = staging("green/kept", Condition::Always, None, false);
    holder.stage(known).await;
    let (flush, staged) = staging("green/also", Condition::Always, None, true);
    holder.stage(flush).await;
    staged.await.expect("an answer").expect("staged");
    let position = shadow.fetch(&holder).await.expect("staged there");
    // What comes now reaches nobody.
    let (late, lost) = staging("green/late", Condition::Always, None, false);
    holder.stage(late).await;
    let body = takeover(&first(Some(1)), position.last.1, &position);
    for node in [&holder, &shadow] {
        node.settle(&keys(1), certified(&body)).await;
    }
    let served = shadow.serve(2).await;
    assert_eq!((served.staged, shadow.handle.published().tree.len()), (0, 4), "two certificates and two entries");
    holder.copy(&body).await;
    assert_eq!(lost.await.expect("an answer"), Err(WriteError::Deposed));
    holder.fetch(&shadow).await.expect("the new holder's records");
    assert!(kept.await.expect("an answer").is_ok(), "the shadow had it");
    let (old, new) = (holder.handle.published(), shadow.handle.published());
    assert_eq!((old.root, old.seat.log_root), (new.root, new.seat.log_root));
    holder.stop().await;
    shadow.stop().await;
    let holder = start(dir.path(), 0).await;
    assert_eq!(holder.handle.published().root, new.root);
    holder.stop().await;
}

/// Operators cut below what the shadow had. Its fetch came after the certificate, and the holder kept in its state for ever what
/// counted nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_shadow_has_and_a_new_term_cuts_is_released_no_more() {
    let (_a, holder, _b, shadow) = pair().await;
    let (kept, _kept) = staging("green/kept", Condition::Always, None, false);
    let (cut, lost) = staging("green/cut", Condition::Always, None, false);
    holder.stage(kept).await;
    holder.stage(cut).await;
    let (flush, staged) = staging("green/flush", Condition::Always, None, true);
    holder.stage(flush).await;
    staged.await.expect("an answer").expect("staged");
    let position = shadow.fetch(&holder).await.expect("staged there");
    assert_eq!(position.last.0, 1);
    let body = takeover(&first(Some(1)), 1, &position);
    for node in [&holder, &shadow] {
        node.settle(&keys(1), certified(&body)).await;
    }
    holder.release(1, position.last.1).await;
    shadow.serve(2).await;
    // Answered once what was released before it is in the state.
    holder.copy(&body).await;
    assert_eq!(holder.handle.published().root, shadow.handle.published().root, "the one that counts, at both");
    assert_eq!(lost.await.expect("an answer"), Err(WriteError::Deposed));
    assert_eq!(holder.handle.published().seat.staged, 0);
    holder.stop().await;
    shadow.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_shadow_a_write_is_in_the_state_when_it_is_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    let holder = start(dir.path(), 0).await;
    holder.settle(&keys(2), certified(&first(None))).await;
    let (early, refused) = staging("green/k", Condition::Always, None, false);
    holder.stage(early).await;
    assert_eq!(refused.await.expect("an answer"), Err(WriteError::NotHolder));
    holder.serve(1).await;
    let (write, answer) = staging("green/k", Condition::Always, None, false);
    holder.stage(write).await;
    let written = answer.await.expect("an answer").expect("written");
    assert_eq!(written.root, holder.handle.published().root);
    holder.stop().await;
}

mod failing;
mod leaving;
mod lying;
mod returning;
