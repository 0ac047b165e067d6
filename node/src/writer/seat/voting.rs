//! This node's ballot on its way to the disk: a later one is never replaced by an earlier one.
//!
//! Two ballots that were cast one after the other may come here in any order. Were the last one to come what stays, a
//! restart would forget the higher promise.

use lattice::codec::DecodeError;
use node_core::seat::voter::{Act, Ballot};

use super::job::BallotError;
use super::staging::BALLOT_DOMAIN;
use crate::store::{StoreError, staged as table};
use crate::writer::Writer;

impl Writer {
    /// Stores what this node is about to vote or stand for, unless that is behind what is stored.
    pub(super) async fn vote(&mut self, ballot: &[u8]) -> Result<(), BallotError> {
        let damaged = |error: DecodeError| StoreError::damaged(error);
        let cast = Ballot::from_stored(ballot).map_err(damaged)?;
        if let Some((stored, _)) = table::ballot(&mut self.state.connection).await? {
            let stored = Ballot::from_stored(&stored).map_err(damaged)?;
            match relation(&stored, &cast) {
                Relation::GoesOn => {}
                Relation::Said => return Ok(()),
                Relation::Behind => return Err(BallotError::Overtaken { term: stored.body.term }),
            }
        }
        let signature = self.identity.keys.author.sign(BALLOT_DOMAIN, ballot);
        Ok(table::write_ballot(&mut self.state.connection, ballot, &signature).await?)
    }
}

/// What a ballot is to the one that is stored.
#[derive(Debug, PartialEq, Eq)]
enum Relation {
    /// It is the next one.
    GoesOn,
    /// The stored one promises the same, or more of the same.
    Said,
    /// The stored one is of a higher term, or binds this node to another body.
    Behind,
}

fn relation(stored: &Ballot, cast: &Ballot) -> Relation {
    if cast.body.term > stored.body.term {
        return Relation::GoesOn;
    }
    if cast.body != stored.body {
        return Relation::Behind;
    }
    match (stored.act, cast.act) {
        (Act::Stood, Act::Voted) => Relation::GoesOn,
        (Act::Stood, Act::Stood) | (Act::Voted, Act::Stood | Act::Voted) => Relation::Said,
    }
}
