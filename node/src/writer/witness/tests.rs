//! A witness that holds as much as it may: it goes on with the logs that it knows, and takes no other.

use lattice::genesis::Genesis;
use lattice::keys::NodeKeys;

use super::*;
use crate::store::open::{Synchronous, open};
use crate::writer::log_key;

/// A founder alone: its own log is the one that it knows a key of.
async fn alone(dir: &std::path::Path) -> (Identity, State) {
    let keys = NodeKeys::from_seed([1; 32]);
    let genesis = Genesis::founded_by("test", "one", &keys, vec![0; 38]);
    let identity = Identity { lattice: genesis.id(), genesis, keys };
    let (path, log_key) = (dir.join("state.db"), identity.keys.log_key());
    let opened = open(&path, identity.lattice, log_key, Synchronous::Normal, |_| {}).await.expect("a good directory");
    let state = State::resume(&identity, opened, crate::home::Start::default(), 1).await.expect("a good database");
    (identity, state)
}

fn signed(identity: &Identity, size: u64, root: u8) -> SignedCheckpoint {
    let name = origin(&identity.lattice, &identity.keys.author.id(), 1);
    SignedCheckpoint::sign(&name, size, [root; 32], &identity.keys.log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_witness_refuses_new_logs_and_answers_those_that_it_knows() {
    let dir = tempfile::tempdir().expect("a directory");
    let (identity, mut state) = alone(dir.path()).await;
    let first = signed(&identity, 5, 1);
    let others = (0..WITNESSED_MAX).map(|n| (format!("other/{n}"), first.clone()));
    state.witnessed = Arc::new(others.collect());
    let request = AddCheckpoint { old: 0, proof: vec![], checkpoint: first.clone() };
    let refused = state.witness(&identity, &request, 1).await.expect("it answers");
    assert_eq!((refused.response.status, refused.is_stored), (503, false), "{:?}", refused.response);
    assert_eq!(state.witnessed.len(), WITNESSED_MAX);
    // With one place left the same request is granted, and again when there is none.
    Arc::make_mut(&mut state.witnessed).remove("other/0");
    let granted = state.witness(&identity, &request, 1).await.expect("it answers");
    assert_eq!((granted.response.status, granted.is_stored), (200, true), "{:?}", granted.response);
    let again = AddCheckpoint { old: 5, ..request };
    let granted = state.witness(&identity, &again, 1).await.expect("it answers");
    assert_eq!((granted.response.status, granted.is_stored), (200, false), "{:?}", granted.response);
    state.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_kept_against_so_many_logs_and_the_first_of_each_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let (identity, mut state) = alone(dir.path()).await;
    let key = log_key(&identity, &origin(&identity.lattice, &identity.keys.author.id(), 1));
    let fork = |root| {
        let (one, other) = (signed(&identity, 5, 1), signed(&identity, 5, root));
        ForkEvidence::new(&one, &other, None, &key).expect("a fork")
    };
    let others = (0..WITNESSED_MAX).map(|n| (format!("other/{n}"), fork(2)));
    state.forks = Arc::new(others.collect());
    assert_eq!(state.keep_fork(fork(2), 1).await, Ok(None), "no place is left");
    Arc::make_mut(&mut state.forks).remove("other/0");
    assert_eq!(state.keep_fork(fork(2), 1).await, Ok(Some(fork(2))));
    assert_eq!(state.keep_fork(fork(3), 1).await, Ok(None), "the first stays");
    assert_eq!(state.forks[fork(2).origin()], fork(2));
    state.close().await;
}
