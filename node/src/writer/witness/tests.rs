//! What a witness keeps: the log's own lines and no stranger's, a few logs of each member, and one proof against each.

use std::collections::BTreeMap;

use ed25519_dalek::Signer as _;
use lattice::genesis::Genesis;
use lattice::keys::NodeKeys;
use node_core::logs::LOGS_EACH_MAX;

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

/// A checkpoint of the founder's log number `opening`.
fn signed_as(identity: &Identity, opening: u64, size: u64, root: u8) -> SignedCheckpoint {
    let name = origin(&identity.lattice, &identity.keys.author.id(), opening);
    SignedCheckpoint::sign(&name, size, [root; 32], &identity.keys.log)
}

fn signed(identity: &Identity, size: u64, root: u8) -> SignedCheckpoint {
    signed_as(identity, 1, size, root)
}

fn asked(checkpoint: SignedCheckpoint) -> AddCheckpoint {
    AddCheckpoint { old: 0, proof: vec![], checkpoint }
}

/// Names were taken for ever: a member who used up the table kept all later logs out of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_s_oldest_log_gives_way_and_is_never_cosigned_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (identity, mut state) = alone(dir.path()).await;
    let last = LOGS_EACH_MAX as u64 + 1;
    for opening in 1..=last {
        let request = asked(signed_as(&identity, opening, 5, 1));
        let granted = state.witness(&identity, &request, 1).await.expect("it answers");
        assert_eq!((granted.response.status, granted.is_stored), (200, true), "{:?}", granted.response);
    }
    for witnessed in [&*state.witnessed, &checkpoints::witnessed(&mut state.connection).await.expect("readable")] {
        let first = signed(&identity, 5, 1);
        assert_eq!(witnessed.len(), LOGS_EACH_MAX);
        assert!(!witnessed.contains_key(first.checkpoint().origin()));
    }
    // Whoever forgot what it cosigned must not cosign another history.
    let other = state.witness(&identity, &asked(signed(&identity, 5, 9)), 1).await.expect("it answers");
    assert_eq!((other.response.status, other.is_stored), (503, false), "{:?}", other.response);
    // What is held is cosigned again, without a word to the disk.
    let again = AddCheckpoint { old: 5, ..asked(signed_as(&identity, last, 5, 1)) };
    let granted = state.witness(&identity, &again, 1).await.expect("it answers");
    assert_eq!((granted.response.status, granted.is_stored), (200, false), "{:?}", granted.response);
    state.close().await;
}

/// It cosigned whatever it was shown first after its memory was gone.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_have_forgotten_what_it_cosigned_cosigns_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (identity, mut state) = alone(dir.path()).await;
    for (is_catching_up, doubt, status) in
        [(true, None, 503), (false, Some(Doubt::Copied), 503), (false, Some(Doubt::Usual), 200), (false, None, 200)]
    {
        (state.is_catching_up, state.doubt) = (is_catching_up, doubt);
        let answered = state.witness(&identity, &asked(signed(&identity, 5, 1)), 1).await.expect("it answers");
        assert_eq!(answered.response.status, status, "{is_catching_up} {doubt:?}");
        state.witnessed = Arc::default();
    }
    state.close().await;
}

/// It never learnt what it had cosigned, though it stood under its own signature in front of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_bears_its_own_line_comes_back_to_a_witness_that_forgot() {
    let dir = tempfile::tempdir().expect("a directory");
    let (identity, mut state) = alone(dir.path()).await;
    let name = origin(&identity.lattice, &identity.keys.author.id(), 1);
    let cosigned = |size, root, by: &NodeKeys| {
        let mut checkpoint = signed(&identity, size, root);
        let key = VerifierKey::new(name.clone(), KeyKind::Cosigner, by.log_key().0).expect("a key");
        checkpoint.add(checkpoint.cosign(1, &name, &by.log), &key).expect("it holds");
        checkpoint
    };
    let other = NodeKeys::from_seed([9; 32]);
    for (what, shown, expected, held) in [
        ("none's", signed(&identity, 5, 1), false, None),
        ("another's, by this node's name", cosigned(5, 1, &other), false, None),
        ("its own", cosigned(5, 1, &identity.keys), true, Some(5)),
        ("less", cosigned(4, 1, &identity.keys), false, Some(5)),
        ("more", cosigned(7, 1, &identity.keys), true, Some(7)),
    ] {
        assert_eq!(state.recall(&identity, &shown).await, Ok(expected), "{what}");
        let size = |held: &Arc<SignedCheckpoint>| held.checkpoint().size();
        assert_eq!(state.witnessed.values().map(size).next(), held, "{what}");
    }
    let stored = checkpoints::witnessed(&mut state.connection).await.expect("readable");
    assert_eq!(*state.witnessed, stored);
    // From there on, and not from nothing, it cosigns.
    let forked = state.witness(&identity, &asked(signed(&identity, 6, 9)), 1).await.expect("it answers");
    assert_eq!((forked.response.status, forked.response.body.as_str()), (409, "7\n"));
    state.close().await;
}

/// The note was kept as whoever asked had sent it: an audit of the files then called its other lines forged.
#[tokio::test(flavor = "multi_thread")]
async fn lines_of_strangers_are_not_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let (identity, mut state) = alone(dir.path()).await;
    let (stranger, name) = (NodeKeys::from_seed([9; 32]), "stranger".parse().expect("a name"));
    let key = VerifierKey::new("stranger".parse().expect("a name"), KeyKind::Cosigner, stranger.log_key().0);
    let bare = signed(&identity, 5, 1);
    let mut sent = bare.clone();
    sent.add(bare.cosign(1, &name, &stranger.log), &key.expect("a key")).expect("it holds");
    let granted = state.witness(&identity, &asked(sent), 1).await.expect("it answers");
    assert_eq!(granted.response.status, 200);
    let stored = checkpoints::witnessed(&mut state.connection).await.expect("readable");
    assert_eq!((&*state.witnessed[bare.checkpoint().origin()], &stored), (&bare, &*state.witnessed));
    state.close().await;
}

/// Evidence that could not be made was dropped in silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_contradiction_without_evidence_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let (identity, mut state) = alone(dir.path()).await;
    let (held, name) = (signed(&identity, 5, 1), signed(&identity, 5, 1).checkpoint().origin().to_owned());
    // Written by a version that took in whatever a log signed.
    let text = format!("{}{}\n", held.note().text(), "x".repeat(20_000));
    let signature = identity.keys.log.sign(text.as_bytes()).to_bytes();
    let key = log_key(&identity, &name.parse().expect("a name"));
    let line = data_encoding::BASE64.encode(&[key.id().to_be_bytes().as_slice(), &signature].concat());
    let long = SignedCheckpoint::parse(format!("{text}\n— {name} {line}\n").as_bytes()).expect("a checkpoint");
    Arc::make_mut(&mut state.witnessed).insert(name, Arc::new(long));
    let request = AddCheckpoint { old: 5, ..asked(signed(&identity, 5, 2)) };
    let refused = state.witness(&identity, &request, 1).await.expect("it answers");
    assert!(matches!(refused.fork, Some(Err(_))), "{:?}", refused.fork);
    assert_eq!((refused.response.status, refused.is_stored), (422, false));
    state.close().await;
}

/// With a name for each, one member's forks kept out the evidence against all others.
#[tokio::test(flavor = "multi_thread")]
async fn one_proof_is_kept_against_a_member_and_it_is_the_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let (identity, mut state) = alone(dir.path()).await;
    let fork = |opening, root| {
        let key = log_key(&identity, &origin(&identity.lattice, &identity.keys.author.id(), opening));
        let (one, other) = (signed_as(&identity, opening, 5, 1), signed_as(&identity, opening, 5, root));
        ForkEvidence::new(&one, &other, None, &key).expect("a fork")
    };
    assert_eq!(state.keep_fork(fork(1, 2), 1).await, Ok(Some(fork(1, 2))));
    assert_eq!(state.keep_fork(fork(1, 3), 1).await, Ok(None), "the first stays");
    assert_eq!(state.keep_fork(fork(7, 2), 1).await, Ok(None), "of whichever log");
    assert_eq!(*state.forks, BTreeMap::from([(fork(1, 2).origin().to_owned(), fork(1, 2))]));
    state.close().await;
}
