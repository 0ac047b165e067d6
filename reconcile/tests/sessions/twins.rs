//! Entries whose key hashes share the eight bytes that a sketch tells of them.

use lattice::ids::{KeyHash, LeafHash};
use lattice::op::Op;
use lattice::tree::Leaf;
use reconcile::{Answer, Config, Effect, Event, Initiator, Request, responder};

use crate::node::{Node, Pen};
use crate::talk::{is_fetch, with};

/// Keys that share their first eight bytes are one in 2^64, or made on purpose: then the descent, which compares whole
/// hashes, asks for the one that a short key does not reach.
#[test]
fn of_two_entries_with_one_short_key_the_second_is_found_by_descent() {
    let mut pen = Pen::new();
    let shared = pen.put_all(2, (0..100).map(|i| format!("key/{i}")));
    let first = pen.put(3, "twin", "1");
    let (mut ours, mut theirs) = (Node::with([&shared]), Node::with([&shared, &first]));
    let mut twin = Op::delete("twin").expect("small").key().hash();
    twin.0[8..].fill(0xff);
    // No commit has such a key, so the twin stands in the peer's tree alone, and goes once it is asked for.
    let mut view = theirs.view();
    view.tree.insert(Leaf { key: twin, leaf: LeafHash([9; 32]), tag: () });
    let mut exact = 0;
    let talk = with(&mut ours, Config::default(), |_, request| {
        if let Request::Fetch { keys } = &request {
            assert_eq!(keys, &[twin], "the descent names the whole key");
            exact += 1;
            view = theirs.view();
        }
        Ok(match responder::answer(request, &view) {
            Answer::Reply(response) => response,
            Answer::Load { keys, max_bytes } => {
                let (commits, served) = theirs.load(&keys, max_bytes);
                responder::loaded(commits, served)
            }
            Answer::Apply { commits } => responder::applied(theirs.apply(commits)),
            Answer::ReadFrontier { .. } => responder::read(theirs.root(), []),
        })
    });
    assert_eq!((exact, talk.stats.passes), (1, 3), "{}", talk.text());
    assert_eq!((talk.outcome.word(), ours.root()), ("equal", theirs.root()), "{}", talk.text());
}

#[test]
fn entries_of_ours_with_one_short_key_are_both_pushed() {
    let mut ours = Node::new().view();
    let mut theirs = Node::new().view();
    for n in 0..100u8 {
        let leaf = Leaf { key: KeyHash([n; 32]), leaf: LeafHash([n; 32]), tag: () };
        ours.tree.insert(leaf);
        theirs.tree.insert(leaf);
    }
    let twins = [1, 2].map(|last| {
        let mut key = KeyHash([0x77; 32]);
        key.0[31] = last;
        key
    });
    for (key, leaf) in twins.iter().zip([3, 4]) {
        ours.tree.insert(Leaf { key: *key, leaf: LeafHash([leaf; 32]), tag: () });
    }
    let mut session = Initiator::new(ours, Config::default());
    let mut event = Event::Start;
    let loaded = loop {
        event = match session.step(event) {
            Effect::Send(request) => {
                assert!(!is_fetch(&request));
                match responder::answer(request, &theirs) {
                    Answer::Reply(response) => Event::Received(response),
                    other => panic!("{other:?}"),
                }
            }
            Effect::Load { mut keys, .. } => {
                keys.sort_unstable();
                break keys;
            }
            other => panic!("{other:?}"),
        };
    };
    assert_eq!(loaded, twins);
}
