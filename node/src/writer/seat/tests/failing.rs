//! Disks that fail, and what must hold all the same.

use node_core::seat::voter::{Act, Ballot};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::*;
use crate::store::StoreError;

/// Does something to a node's database behind its back.
async fn behind_its_back(dir: &TempDir, sql: &'static str) {
    let url = format!("sqlite://{}", dir.path().join("state.db").display());
    let mut connection = SqliteConnection::connect(&url).await.expect("opens");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("SQL");
    connection.close().await.expect("closes");
}

fn ballot(act: Act, term: u64, reason: &str) -> Vec<u8> {
    let body = Body { term, reason: reason.to_owned(), ..takeover(&first(Some(1)), 0, &SeatPublished::default()) };
    Ballot { act, body: body.into() }.stored_form()
}

impl Local {
    async fn vote(&self, ballot: &[u8]) -> Result<(), BallotError> {
        let ballot = ballot.to_vec();
        self.ask(|reply| Job::Seat(SeatJob::Vote { ballot, reply })).await
    }

    async fn try_serve(&self, term: u64) -> Result<SeatPublished, StoreError> {
        self.ask(|reply| Job::Seat(SeatJob::Serve { term, reply })).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ballot_that_comes_after_a_later_one_is_not_stored_and_not_given() {
    let dir = tempfile::tempdir().expect("a directory");
    let voter = start(dir.path(), 2).await;
    let own = voter.identity.keys.author.id();
    let voted = ballot(Act::Voted, 7, "failed");
    assert_eq!(voter.vote(&ballot(Act::Stood, 7, "failed")).await, Ok(()));
    assert_eq!(voter.vote(&voted).await, Ok(()));
    let overtaken = Err(BallotError::Overtaken { term: 7 });
    assert_eq!(voter.vote(&ballot(Act::Voted, 5, "failed")).await, overtaken, "of a lower term");
    assert_eq!(voter.vote(&ballot(Act::Voted, 7, "another")).await, overtaken, "for another of the same term");
    assert_eq!(voter.vote(&ballot(Act::Stood, 7, "failed")).await, Ok(()), "the vote says as much");
    assert_eq!(voter.reader.ballot(&own).await, Ok(Some(voted)));
    let next = ballot(Act::Stood, 8, "failed");
    assert_eq!(voter.vote(&next).await, Ok(()));
    voter.stop().await;
    let voter = start(dir.path(), 2).await;
    assert_eq!(voter.reader.ballot(&own).await, Ok(Some(next)));
    voter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_is_not_served_before_what_it_began_with_is_in_the_state() {
    let (_a, holder, dir, shadow) = pair().await;
    let (write, staged) = staging("green/acknowledged", Condition::Always, None, true);
    holder.stage(write).await;
    staged.await.expect("an answer").expect("staged");
    let position = shadow.fetch(&holder).await.expect("staged there");
    shadow.settle(&keys(1), certified(&takeover(&first(Some(1)), 1, &position))).await;
    behind_its_back(
        &dir,
        "CREATE TRIGGER failing BEFORE INSERT ON records WHEN new.log = 1 BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    let failed = shadow.try_serve(2).await;
    assert!(matches!(failed, Err(StoreError::Sqlite(_))), "{failed:?}");
    let published = shadow.handle.published();
    assert!(published.trouble.is_some(), "its own health must see it");
    assert_eq!(published.seat.staged, 1);
    let (early, refused) = staging("green/next", Condition::Always, None, true);
    shadow.stage(early).await;
    assert_eq!(refused.await.expect("an answer"), Err(WriteError::NotHolder), "nothing goes on top of it");
    behind_its_back(&dir, "DROP TRIGGER failing").await;
    assert_eq!(shadow.serve(2).await.staged, 0);
    let published = shadow.handle.published();
    assert_eq!((published.trouble.clone(), published.seat.last), (None, (1, 1)));
    let (next, staged) = staging("green/next", Condition::Always, None, true);
    shadow.stage(next).await;
    staged.await.expect("an answer").expect("it takes writes now");
    holder.stop().await;
    shadow.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_whose_log_cannot_be_written_is_trouble_that_everybody_sees() {
    let dir = tempfile::tempdir().expect("a directory");
    let holder = start(dir.path(), 0).await;
    holder.settle(&keys(2), certified(&first(None))).await;
    behind_its_back(
        &dir,
        "CREATE TRIGGER failing BEFORE INSERT ON records WHEN new.log = 2 BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    assert!(holder.try_serve(1).await.is_err());
    assert!(holder.handle.published().trouble.is_some());
    holder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_not_given_twice_when_nobody_knows_whether_its_first_commit_is_durable() {
    let (dir, holder, _b, shadow) = pair().await;
    behind_its_back(&dir, "ALTER TABLE staged RENAME TO away").await;
    let (write, staged) = staging("green/k", Condition::Always, None, true);
    holder.stage(write).await;
    assert!(matches!(staged.await.expect("an answer"), Err(WriteError::Store(_))));
    behind_its_back(&dir, "ALTER TABLE away RENAME TO staged").await;
    let (next, refused) = staging("green/l", Condition::Always, None, true);
    holder.stage(next).await;
    assert_eq!(refused.await.expect("an answer"), Err(WriteError::Store(StoreError::Uncertain)));
    holder.stop().await;
    let holder = start(dir.path(), 0).await;
    let (next, staged) = staging("green/l", Condition::Always, None, true);
    holder.stage(next).await;
    assert_eq!(staged.await.expect("an answer").expect("a restart knows").seq, 1);
    holder.stop().await;
    shadow.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_nobody_knows_the_size_of_is_not_gone_on_with() {
    let (_a, holder, dir, shadow) = pair().await;
    let record =
        holder.handle.with_outbox(|outbox| outbox.records_from(0, usize::MAX)).expect("kept")[0].record.to_vec();
    let append = || MirrorBatch {
        from: 1,
        records: vec![Mirrored { record: record.clone(), commits: Vec::new() }],
        staged: Vec::new(),
        fidelity: Fidelity::Log,
    };
    let mirror = |batch| shadow.ask(|reply| Job::Seat(SeatJob::Mirror { batch: Box::new(batch), reply }));
    behind_its_back(&dir, "ALTER TABLE records RENAME TO away").await;
    assert!(matches!(mirror(append()).await, Err(MirrorError::Store(StoreError::Sqlite(_)))));
    behind_its_back(&dir, "ALTER TABLE away RENAME TO records").await;
    assert_eq!(mirror(append()).await, Err(MirrorError::Store(StoreError::Uncertain)));
    let (term, size, root) = (1, 0, [0; 32]);
    let cut = shadow.ask(|reply| Job::Seat(SeatJob::Copy { term, size, root, reply })).await;
    assert_eq!(cut, Err(StoreError::Uncertain));
    holder.stop().await;
    shadow.stop().await;
}
