//! The loop against a peer that answers over a real socket: what the node is told, in which order.

use std::sync::Mutex;

use data_encoding::BASE64;
use lattice::head::ESTIMATOR_BYTES;
use lattice::keys::NodeKeys;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::client::ANSWER_TIMEOUT;
use crate::mode::Mode;
use crate::router::STATE_PATH;

const LATTICE: LatticeId = LatticeId([1; 32]);

/// Entries by which the double takes a peer for itself.
const ITSELF: u64 = 77;

/// A node whose root is `ours`, and that takes over the peer's when it is told to heal.
struct Double {
    ours: Mutex<StateRoot>,
    targets: Vec<Target>,
    lattice_peers: u64,
    /// How a healing ends; without one it panics.
    ends: Option<Ended>,
    events: mpsc::UnboundedSender<Event>,
}

impl Node for Double {
    fn lattice(&self) -> LatticeId {
        LATTICE
    }
    fn summary(&self) -> Summary {
        Summary { root: *self.ours.lock().expect("no panic under it"), frontier: [9; 32] }
    }
    fn lattice_peers(&self) -> u64 {
        self.lattice_peers
    }
    fn targets(&self) -> BoxFuture<'static, Option<Vec<Target>>> {
        let targets = self.targets.clone();
        Box::pin(async move { Some(targets) })
    }
    fn expect(&self, _: &Target, head: &Head) -> Result<(), Unexpected> {
        match head.entries {
            0 => Err(Unexpected::Stranger("an empty peer".to_owned())),
            ITSELF => Err(Unexpected::Itself),
            _ => Ok(()),
        }
    }
    fn heal(self: Arc<Self>, _: Target, peer: Head) -> BoxFuture<'static, Healed> {
        Box::pin(async move {
            let ended = self.ends.expect("this healing breaks");
            *self.ours.lock().expect("no panic under it") = peer.root;
            Healed { ended, outcome: "equal", detail: String::new(), root: peer.root }
        })
    }
    fn tell(&self, event: Event) {
        // The test may have seen enough.
        let _ = self.events.send(event);
    }
}

/// Serves one head for as long as the test runs; gives its URL.
async fn peer(root: StateRoot, entries: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    serve(listener, root, entries);
    format!("http://{address}")
}

/// Answers with a head, and nothing that is for people: nodes read no more.
fn serve(listener: TcpListener, root: StateRoot, entries: u64) {
    let keys = NodeKeys::from_seed([7; 32]);
    let head = Head {
        lattice: LATTICE,
        author: keys.author.id(),
        time_ms: 1,
        root,
        entries,
        frontier: [8; 32],
        checkpoint_size: 0,
        estimator: [0; ESTIMATOR_BYTES],
    };
    let answer =
        serde_json::json!({ "head": BASE64.encode(&head.sign(&keys.author).encode()), "of a later version": 1 });
    let router = axum::Router::new().route(STATE_PATH, axum::routing::get(|| async move { axum::Json(answer) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// A heartbeat of 20 ms beats over one peer; gives what the node is told.
fn beat(url: &str, lattice_peers: u64, ends: Option<Ended>) -> (mpsc::UnboundedReceiver<Event>, CancellationToken) {
    let (events, told) = mpsc::unbounded_channel();
    let targets = vec![Target { url: url.to_owned(), published_by: None }];
    let node = Arc::new(Double { ours: Mutex::new(StateRoot([1; 32])), targets, lattice_peers, ends, events });
    let tracker = tracker::Config { interval_ms: 20, ..tracker::Config::default() };
    let stop = CancellationToken::new();
    let client = Client::new(ANSWER_TIMEOUT).expect("a client");
    let board = watch::channel(Board::default()).0;
    tokio::spawn(run(node, client, Config { tracker, http_after_ms: 100 }, board, stop.clone()));
    (told, stop)
}

/// The next events that `pick` takes.
async fn next<T>(told: &mut mpsc::UnboundedReceiver<Event>, pick: impl Fn(Event) -> Option<T>) -> T {
    loop {
        if let Some(found) = pick(told.recv().await.expect("the heartbeat runs")) {
            return found;
        }
    }
}

/// Everything but the beats themselves, in a word and a number.
fn step(event: Event) -> Option<(&'static str, u64)> {
    match event {
        Event::Mismatch { mismatch, .. } => Some(("mismatch", u64::from(mismatch.count))),
        Event::Started { .. } => Some(("started", 0)),
        Event::Finished { healed, .. } => Some(("finished", u64::from(healed.ended != Ended::Badly))),
        Event::Beat { result: "equal", .. } => Some(("equal", 0)),
        Event::Beat { .. }
        | Event::Useless { .. }
        | Event::Useful { .. }
        | Event::Itself { .. }
        | Event::Peers(_)
        | Event::Mode(_) => None,
    }
}

#[tokio::test]
async fn the_third_mismatch_heals_and_the_next_beat_is_equal() {
    let url = peer(StateRoot([2; 32]), 5).await;
    let (mut told, stop) = beat(&url, 1, Some(Ended::Well { root: StateRoot([1; 32]), is_fruitful: true }));
    for expected in [("mismatch", 1), ("mismatch", 2), ("mismatch", 3), ("started", 0), ("finished", 1), ("equal", 0)] {
        assert_eq!(next(&mut told, step).await, expected);
    }
    stop.cancel();
}

#[tokio::test]
async fn without_a_lattice_peer_the_mode_becomes_http() {
    let url = peer(StateRoot([1; 32]), 5).await;
    let (mut told, stop) = beat(&url, 0, Some(Ended::Well { root: StateRoot([1; 32]), is_fruitful: true }));
    let change = next(&mut told, |event| if let Event::Mode(change) = event { Some(change) } else { None }).await;
    assert_eq!(change.mode, Mode::Http);
    stop.cancel();
}

#[tokio::test]
async fn a_healing_that_breaks_frees_its_place_and_backs_off() {
    // A panic inside a session left the peer for ever marked as being healed, and no other was healed either.
    let url = peer(StateRoot([2; 32]), 5).await;
    let (mut told, stop) = beat(&url, 1, None);
    let started = |event| matches!(event, Event::Started { .. }).then_some(());
    next(&mut told, started).await;
    next(&mut told, started).await;
    stop.cancel();
}

#[tokio::test]
async fn a_peer_that_is_not_expected_is_told_of_and_never_counted() {
    let url = peer(StateRoot([2; 32]), 0).await;
    let (mut told, stop) = beat(&url, 1, Some(Ended::Badly));
    for _ in 0..5 {
        assert_eq!(next(&mut told, beat_or_count).await, "refused");
    }
    stop.cancel();
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_silent_and_never_counted() {
    let (mut told, stop) = beat("http://127.0.0.1:9", 1, Some(Ended::Badly));
    for _ in 0..5 {
        assert_eq!(next(&mut told, beat_or_count).await, "silent");
    }
    stop.cancel();
}

/// A beat's result, or that it was counted.
fn beat_or_count(event: Event) -> Option<&'static str> {
    match event {
        Event::Beat { result, .. } => Some(result),
        Event::Mismatch { .. } => Some("counted"),
        Event::Useless { .. }
        | Event::Useful { .. }
        | Event::Itself { .. }
        | Event::Peers(_)
        | Event::Mode(_)
        | Event::Started { .. }
        | Event::Finished { .. } => None,
    }
}

/// Beats that came back, and what is told of a peer that is of no use.
fn usefulness(event: Event) -> Option<String> {
    match event {
        Event::Beat { result, .. } => Some(result.to_owned()),
        Event::Useless { reason, .. } => Some(format!("useless: {reason}")),
        Event::Useful { .. } => Some("useful".to_owned()),
        Event::Itself { .. } => Some("itself".to_owned()),
        Event::Mismatch { .. } | Event::Peers(_) | Event::Mode(_) | Event::Started { .. } | Event::Finished { .. } => {
            None
        }
    }
}

#[tokio::test]
async fn of_a_peer_that_can_not_be_used_a_node_is_told_once_and_once_more_when_it_can() {
    // It was only to be seen by whoever asked for the status.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let (mut told, stop) = beat(&format!("http://{address}"), 1, Some(Ended::Badly));
    for expected in ["silent", "silent", "useless: ", "silent", "silent", "silent"] {
        let found = next(&mut told, usefulness).await;
        assert!(found.starts_with(expected), "{expected}: {found}");
    }
    let listener = TcpListener::bind(address).await.expect("the same port");
    serve(listener, StateRoot([1; 32]), 5);
    loop {
        match next(&mut told, usefulness).await.as_str() {
            "silent" => {}
            other => break assert_eq!(other, "useful"),
        }
    }
    for _ in 0..3 {
        assert_eq!(next(&mut told, usefulness).await, "equal");
    }
    stop.cancel();
}

#[tokio::test]
async fn a_url_that_leads_to_the_node_itself_is_told_of_once() {
    let url = peer(StateRoot([1; 32]), ITSELF).await;
    let (mut told, stop) = beat(&url, 1, Some(Ended::Badly));
    for expected in ["refused", "itself", "refused", "refused"] {
        assert_eq!(next(&mut told, usefulness).await, expected);
    }
    stop.cancel();
}
