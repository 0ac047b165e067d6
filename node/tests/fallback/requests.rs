//! Requests that are signed wrongly, come twice, are too long, or are no requests.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use http_fallback::client::{Client, full_path};
use http_fallback::router::{FULL_PATH, RECONCILE_PATH, STATE_PATH};
use lattice::authorization::{Asked, Authorization, SCHEME};
use lattice::genesis::Genesis;
use lattice::head::Head;
use lattice::ids::LatticeId;
use lattice::keys::NodeKeys;
use lattice::transfer::{Part, Parts};
use reconcile::limits::MESSAGE_BYTES_MAX;
use reconcile::message::Request;
use reqwest::{Method, StatusCode};
use testnet::process::Node;

use crate::world::Apart;

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the end of time")
}

fn keys_of(node: &Node) -> NodeKeys {
    let text = std::fs::read_to_string(node.dir().join("node.key")).expect("its key");
    let seed = HEXLOWER.decode(text.trim().as_bytes()).expect("hex");
    NodeKeys::from_seed(seed.try_into().expect("32 bytes"))
}

fn lattice_of(dir: &Path) -> LatticeId {
    Genesis::decode(&std::fs::read(dir.join("genesis.cbor")).expect("its genesis")).expect("own bytes").id()
}

/// A member that asks a node by hand.
struct Asker {
    http: reqwest::Client,
    url: String,
    keys: NodeKeys,
    receiver: Head,
}

impl Asker {
    fn asked<'a>(&self, method: &'a str, path: &'a str) -> Asked<'a> {
        Asked { lattice: self.receiver.lattice, receiver: self.receiver.author, method, path }
    }

    fn signed(&self, method: &str, path: &str, body: &[u8], time_ms: u64) -> Authorization {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).expect("random");
        Authorization::sign(&self.keys.author, &self.asked(method, path), body, time_ms, nonce)
    }

    /// What the node answers to a message of a session with these credentials.
    async fn post(&self, credentials: Option<&str>, body: Vec<u8>) -> (StatusCode, String) {
        self.send(Method::POST, RECONCILE_PATH, credentials, body).await
    }

    async fn send(&self, method: Method, path: &str, header: Option<&str>, body: Vec<u8>) -> (StatusCode, String) {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).body(body);
        if let Some(header) = header {
            request = request.header("Authorization", header);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        (status, String::from_utf8_lossy(&response.bytes().await.expect("whole")).into_owned())
    }
}

fn lattice_scheme(credentials: &Authorization) -> String {
    format!("{SCHEME} {}", credentials.to_text())
}

/// A node that runs, and another member's keys to ask it with.
async fn asker(apart: &mut Apart) -> Asker {
    apart.start(0, &[]).await;
    let url = apart.url(0);
    let lattice = lattice_of(apart.node(0).dir());
    let head = Client::new(crate::world::SOON).expect("a client").state(&url).await.expect("an answer");
    let receiver = head.verified_head(lattice).expect("signed by the node");
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    // What stands beside the head is for people, and says the same.
    let shown = http.get(format!("{url}{STATE_PATH}")).send().await.expect("an answer").bytes().await.expect("whole");
    let shown: serde_json::Value = serde_json::from_slice(&shown).expect("JSON");
    assert_eq!((&shown["mode"], &shown["merkle_root"]), (&"p2p".into(), &receiver.root.to_string().into()));
    Asker { http, url, keys: keys_of(apart.node(1)), receiver }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_member_is_answered_and_each_signed_request_once() {
    let mut apart = Apart::of(2).await;
    let asker = asker(&mut apart).await;
    let body = Request::Frontier { after: None }.encode();
    let good = lattice_scheme(&asker.signed("POST", RECONCILE_PATH, &body, now_ms()));
    assert_eq!(asker.post(Some(&good), body.clone()).await.0, StatusCode::OK);
    let stranger =
        Asker { http: asker.http.clone(), url: asker.url.clone(), keys: NodeKeys::from_seed([9; 32]), ..asker };
    let foreign = lattice_scheme(&stranger.signed("POST", RECONCILE_PATH, &body, now_ms()));
    let asker = Asker { keys: keys_of(apart.node(1)), ..stranger };
    let sign = |method: &str, path: &str, time_ms: u64| lattice_scheme(&asker.signed(method, path, &body, time_ms));
    let table = [
        (None, body.clone(), 401, "needs a member's signature"),
        (Some(good), body.clone(), 401, "came before"),
        (Some(foreign), body.clone(), 403, "no member"),
        (Some(sign("POST", RECONCILE_PATH, now_ms() - 61_000)), body.clone(), 401, "s ahead of the request's"),
        (Some(sign("POST", RECONCILE_PATH, now_ms() + 120_000)), body.clone(), 401, "s behind the request's"),
        (Some(sign("GET", RECONCILE_PATH, now_ms())), body.clone(), 401, "does not cover"),
        (Some(sign("POST", FULL_PATH, now_ms())), body.clone(), 401, "does not cover"),
        (Some(sign("POST", RECONCILE_PATH, now_ms())), b"another".to_vec(), 401, "not the one that was signed"),
        (Some(sign("POST", RECONCILE_PATH, now_ms())), vec![0; MESSAGE_BYTES_MAX + 1], 413, "longer than 2097152"),
        (Some("Lattice nonsense".to_owned()), body.clone(), 401, "credentials"),
        (Some("Bearer token".to_owned()), body.clone(), 401, "needs a member's signature"),
        (Some("Lattice".to_owned()), body.clone(), 401, "needs a member's signature"),
    ];
    for (header, body, status, why) in table {
        let (found, text) = asker.post(header.as_deref(), body).await;
        assert_eq!(found.as_u16(), status, "{why}: {text}");
        assert!(text.contains(why), "{why}: {text}");
        assert!(text.contains("urn:problem-type:lattice:"), "{text}");
    }
    let nonsense = lattice_scheme(&asker.signed("POST", RECONCILE_PATH, b"nonsense", now_ms()));
    assert_eq!(asker.post(Some(&nonsense), b"nonsense".to_vec()).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_state_is_for_members_and_auditors_and_ends_with_its_root() {
    let mut apart = Apart::of(2).await;
    let token = "7".repeat(64);
    let file = apart.node(0).dir().join("read.token");
    std::fs::write(&file, &token).expect("written");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
    let asker = asker(&mut apart).await;
    let wrong = format!("Bearer {}", "8".repeat(64));
    for (header, why) in [
        (None, "Authorization: Bearer TOKEN"),
        (Some("Basic YTpi"), "Authorization: Bearer TOKEN"),
        (Some("Bearer"), "there is no token in the header"),
        (Some("Lattice"), "needs a member's signature"),
        (Some(&wrong), "restart the node after writing it"),
    ] {
        let (status, text) = asker.send(Method::GET, FULL_PATH, header, vec![]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{header:?}");
        assert!(text.contains(why), "{header:?}: {text}");
        assert!(!text.contains("A member's signature"), "an auditor has none: {text}");
    }
    let good = format!("Bearer {token}");
    assert_eq!(asker.send(Method::GET, FULL_PATH, Some(&good), vec![]).await.0, StatusCode::OK);
    for path in [&format!("{FULL_PATH}?before=1"), &format!("{FULL_PATH}?after=x")] {
        let header = format!("Bearer {token}");
        assert_eq!(asker.send(Method::GET, path, Some(&header), vec![]).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    // As a member, compressed.
    let client = Client::new(crate::world::SOON).expect("a client");
    let credentials = asker.signed("GET", &full_path(None), b"", now_ms());
    let mut stream = client.full(&asker.url, &credentials, None).await.expect("a stream");
    let (mut commits, mut end) = (0, None);
    while let Some(part) = stream.next_part().await.expect("whole") {
        match part {
            Part::Header { root, .. } => assert_eq!(root, asker.receiver.root),
            Part::Commit { .. } => commits += 1,
            Part::End { root, entries } => end = Some((root, entries)),
        }
    }
    assert_eq!(end, Some((asker.receiver.root, asker.receiver.entries)));
    assert!(commits > 0, "the other node's membership at least");
    // As an auditor, plain: the same parts.
    let url = format!("{}{FULL_PATH}", asker.url);
    let bytes = asker.http.get(url).bearer_auth(&token).send().await.expect("an answer").bytes().await.expect("whole");
    let mut parts = Parts::default();
    parts.push(&bytes);
    let mut seen = 0;
    while parts.next_part().expect("own bytes").is_some() {
        seen += 1;
    }
    assert!(parts.is_over());
    assert_eq!(seen, commits + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_their_own_serves_nodes_and_nothing_else() {
    let mut apart = Apart::of(1).await;
    let port = testnet::process::lasting_port();
    let own = format!("127.0.0.1:{port}");
    apart.start(0, &["--lattice-http", &own]).await;
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let status = async |base: &str, path: &str| {
        http.get(format!("{base}{path}")).send().await.expect("an answer").status().as_u16()
    };
    let (api, nodes) = (apart.url(0), format!("http://{own}"));
    assert_eq!((status(&api, STATE_PATH).await, status(&nodes, STATE_PATH).await), (404, 200));
    assert_eq!((status(&api, "/api/v1/status").await, status(&nodes, "/api/v1/status").await), (200, 404));
}
