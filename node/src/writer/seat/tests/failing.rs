//! Disks that fail, and what must hold all the same.

use node_core::seat::voter::{Act, Ballot};

use super::*;

fn ballot(act: Act, term: u64, reason: &str) -> Vec<u8> {
    let body = Body { term, reason: reason.to_owned(), ..takeover(&first(Some(1)), 0, &SeatPublished::default()) };
    Ballot { act, body: body.into() }.stored_form()
}

impl Local {
    async fn vote(&self, ballot: &[u8]) -> Result<(), BallotError> {
        let ballot = ballot.to_vec();
        self.ask(|reply| Job::Seat(SeatJob::Vote { ballot, reply })).await
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
