//! A holder that lies, and what its mirrors make of that.

use std::collections::BTreeMap;

use lattice::clock::Timestamp;
use lattice::commit::{Draft, VerifiedCommit};
use lattice::ids::CommitId;
use lattice::membership::NotAdmitted;
use lattice::record::{Event, Record};
use lattice::seat::message::BATCH_ITEMS_MAX;

use super::super::staged::STAGED_COMMITS_MAX;
use super::*;

fn commit(by: u8, (term, seq): (u64, u64), ops: Vec<Op>) -> VerifiedCommit {
    let time = Timestamp::from_millis(10 + seq);
    let draft = Draft { lattice: genesis().id(), term, seq, prev: CommitId::ZERO, time };
    draft.sign(&keys(by).author, ops).verify(&genesis()).expect("signed")
}

impl Local {
    async fn take_over(&self, batch: MirrorBatch) -> Result<SeatPublished, MirrorError> {
        self.ask(|reply| Job::Seat(SeatJob::Mirror { batch: Box::new(batch), reply })).await
    }

    /// What a holder sends that has staged these.
    async fn stage_all(&self, staged: Vec<VerifiedCommit>) -> Result<SeatPublished, MirrorError> {
        let from = self.handle.published().seat.log_size;
        let staged = staged.into_iter().map(|commit| (commit, None)).collect();
        self.take_over(MirrorBatch { from, records: Vec::new(), staged, fidelity: Fidelity::Twin }).await
    }

    /// What a holder sends that made a record of this commit.
    async fn join(&self, commit: VerifiedCommit, fidelity: Fidelity) -> Result<SeatPublished, MirrorError> {
        let published = self.handle.published();
        let event = Event::Applied { commits: vec![commit.id()] };
        let (before, entries) = (published.root, published.tree.len());
        let record = Record { time_ms: 1, before, after: before, entries, event }.encode();
        let records = vec![Mirrored { record, commits: vec![commit] }];
        self.take_over(MirrorBatch { from: published.seat.log_size, records, staged: Vec::new(), fidelity }).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_not_be_admitted_from_anybody_is_not_from_the_holder_either() {
    let (_a, holder, _b, shadow) = pair().await;
    let before = shadow.handle.published();
    let member = Member {
        name: "forged".to_owned(),
        author: keys(9).author.id(),
        log_key: keys(9).log_key(),
        peer_id: vec![9; 38],
        roles: [].into(),
    };
    let approvals = BTreeMap::new();
    let forged = Body { term: 1 << 60, ..takeover(&first(Some(1)), 0, &before.seat) };
    let forged = Certificate { body: forged, warrant: Warrant::Votes(approvals) }.to_op().expect("small");
    let changes = [
        Change::Add(member).to_op().expect("small"),
        Change::Revoke { author: keys(2).author.id(), last_seq: 0 }.to_op().expect("small"),
        forged,
        put("@reserved", b"v"),
        put("green/of-no-term", b"v"),
    ];
    // Node 2 is no admin.
    for op in changes {
        for fidelity in [Fidelity::Twin, Fidelity::Joined] {
            let key = op.key().to_string();
            let refused = shadow.join(commit(2, (0, 9), vec![op.clone()]), fidelity).await;
            match refused {
                Err(MirrorError::NotAdmitted { .. }) => {}
                // What honest nodes may send is left out of a seed.
                Ok(_) if fidelity == Fidelity::Joined => {}
                other => panic!("{key}, {fidelity:?}: {other:?}"),
            }
        }
    }
    let after = shadow.handle.published();
    assert_eq!((after.root, &after.membership), (before.root, &before.membership));
    holder.stop().await;
    shadow.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_staged_of_a_term_that_its_author_does_not_hold() {
    let (_a, holder, _b, shadow) = pair().await;
    for (by, place, key) in
        [(0, (1 << 60, 1), "green/k"), (2, (1, 1), "green/k"), (0, (1, 1), "plain"), (0, (0, 9), "plain")]
    {
        let refused = shadow.stage_all(vec![commit(by, place, vec![put(key, b"v")])]).await;
        assert!(matches!(refused, Err(MirrorError::NotAdmitted { .. })), "{place:?}: {refused:?}");
    }
    let seat = shadow.handle.published().seat;
    assert_eq!((seat.staged, seat.last), (0, (0, 0)));
    shadow.stage_all(vec![commit(0, (1, 1), vec![put("green/k", b"v")])]).await.expect("the holder's");
    let twice = shadow.stage_all(vec![commit(0, (1, 1), vec![put("green/k", b"w")])]).await;
    assert_eq!(twice, Err(MirrorError::Twice { term: 1, seq: 1 }));
    holder.stop().await;
    shadow.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_stages_no_more_than_a_holder_may_have() {
    let (_a, holder, _b, shadow) = pair().await;
    let most = STAGED_COMMITS_MAX + BATCH_ITEMS_MAX;
    let all: Vec<_> = (1..=most as u64 + 2).map(|seq| commit(0, (1, seq), vec![put("green/k", b"v")])).collect();
    let staged = shadow.stage_all(all[..most + 1].to_vec()).await.expect("as far as there is room");
    assert_eq!((staged.staged, staged.last), (most, (1, most as u64)), "the first of them, without a gap");
    assert_eq!(shadow.stage_all(all[most..].to_vec()).await, Err(MirrorError::TooMuch));
    holder.stop().await;
    shadow.stop().await;
}

#[test]
fn what_an_honest_holder_may_have_sent_is_told_from_what_only_a_liar_sends() {
    let refused = |why| MirrorError::NotAdmitted { commit: CommitId::ZERO, why };
    assert!(refused(NotAdmitted::UnknownTerm { term: 2 }).is_of_nobody());
    assert!(!refused(NotAdmitted::MixedChange).is_of_nobody());
    assert!(!MirrorError::TooMuch.is_of_nobody());
}
