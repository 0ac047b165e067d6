//! What the routes say of themselves.

use super::*;
use crate::rate::Remote;

struct Nobody;

impl Source for Nobody {
    fn lattice(&self) -> LatticeId {
        LatticeId([1; 32])
    }
    fn author(&self) -> AuthorId {
        AuthorId([2; 32])
    }
    fn now_ms(&self) -> u64 {
        0
    }
    fn state(&self) -> StateView {
        StateView {
            lattice_id: "aa".repeat(32),
            name: "one".into(),
            author: "bb".repeat(32),
            merkle_root: "cc".repeat(32),
            entries: 3,
            peers: 2,
            mode: "p2p".into(),
            frontier: "dd".repeat(32),
            log_size: 7,
            time_ms: 1_000,
            head: String::new(),
        }
    }
    fn may_reconcile(&self, _: &AuthorId) -> bool {
        false
    }
    fn is_read_token(&self, _: &[u8]) -> bool {
        false
    }
    fn witness(&self, _: Vec<u8>) -> BoxFuture<'_, String> {
        Box::pin(async { "404\n".to_owned() })
    }
    fn place(&self, _: AuthorId) -> Option<Place> {
        None
    }
    fn reconcile(&self, _: AuthorId, _: Vec<u8>) -> BoxFuture<'_, Reply> {
        Box::pin(async { Reply::Busy })
    }
    fn full(&self, _: Cursor) -> BoxStream<'static, io::Result<Bytes>> {
        Box::pin(futures::stream::empty())
    }
}

#[test]
fn the_routes_are_documented_and_the_state_with_every_field() {
    let documented = serde_json::to_value(router(Arc::new(Nobody)).into_openapi()).expect("plain data");
    for (path, method) in [(STATE_PATH, "get"), (FULL_PATH, "get"), (RECONCILE_PATH, "post"), (WITNESS_PATH, "post")] {
        assert!(documented["paths"][path][method].is_object(), "{path}: {documented}");
    }
    let shown = serde_json::to_value(Nobody.state()).expect("plain data");
    let fields = &documented["components"]["schemas"]["StateView"]["properties"];
    for field in shown.as_object().expect("a struct").keys() {
        assert!(fields[field].is_object(), "{field} is missing in {fields}");
    }
}

#[test]
fn zstd_is_given_to_those_who_ask_for_it() {
    let table = [("zstd", true), ("gzip, ZSTD;q=0.5", true), ("zstd;q=0", false), ("gzip", false), ("", false)];
    for (value, expected) in table {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        assert_eq!(accepts_zstd(&headers), expected, "{value}");
    }
}

#[test]
fn the_cursor_is_the_only_parameter() {
    assert_eq!(cursor(None), Ok(Cursor::default()));
    assert_eq!(cursor(Some("after=00000000000000ab-12")), Ok(Cursor { epoch: 0xab, row: 12 }));
    for bad in ["after=", "after=12", "before=1", "after=00000000000000ab-12&x=1"] {
        assert!(matches!(cursor(Some(bad)), Err(Refusal::BadRequest(_))), "{bad}");
    }
}

#[test]
fn a_flood_of_questions_is_refused_and_told_when_to_come_again() {
    let gate = Gate::default();
    let let_in = (0..10_000).take_while(|_| gate.open(1_000, Remote::default()).is_ok()).count();
    assert!((1..10_000).contains(&let_in), "{let_in}");
    let refused = gate.open(1_000, Remote::default()).expect_err("the same moment").into_response();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(gate.open(2_000, Remote::default()), Ok(()), "a second later");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_whether_or_not_it_says_so() {
    let said = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from(MESSAGE_BYTES_MAX + 1))]);
    for headers in [said, HeaderMap::new()] {
        let refused = whole(&headers, Body::from(vec![0; MESSAGE_BYTES_MAX + 1]), MESSAGE_BYTES_MAX).await;
        assert_eq!(refused, Err(Refusal::TooLarge { limit: MESSAGE_BYTES_MAX }));
    }
    assert!(whole(&HeaderMap::new(), Body::from(vec![0; MESSAGE_BYTES_MAX]), MESSAGE_BYTES_MAX).await.is_ok());
}

#[tokio::test]
async fn questions_beyond_their_places_are_refused_before_they_are_read() {
    let questions = Arc::new(Semaphore::new(QUESTIONS_MAX));
    let full_places = Arc::new(Semaphore::new(FULL_STREAMS_MAX));
    let shared = Shared { source: Arc::new(Nobody), gate: Arc::default(), full_places, questions: questions.clone() };
    // A body that never comes must not be waited for.
    let silent = || Request::new(Body::from_stream(futures::stream::pending::<io::Result<Bytes>>()));
    let taken = questions.acquire_many_owned(QUESTIONS_MAX as u32).await.expect("open");
    let refused = witness_question(State(shared.clone()), silent()).await.expect_err("no place").into_response();
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key(header::RETRY_AFTER)), (503, true));
    drop(taken);
    let answer = witness_question(State(shared), Request::new(Body::from("checkpoint a\n"))).await.expect("a place");
    assert_eq!(axum::body::to_bytes(answer.into_body(), 99).await.expect("a body"), "404\n");
}
