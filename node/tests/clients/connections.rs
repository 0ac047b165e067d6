//! Connections that never become a request: the node outlives them, and so do its clients.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::program::SOON;
use crate::running::Running;

#[tokio::test(flavor = "multi_thread")]
async fn half_requests_and_random_bytes_harm_nobody() {
    let node = Running::alone().await;
    let address = node.base.trim_start_matches("http://").to_owned();
    let connect = || async { TcpStream::connect(&address).await.expect("accepted by the system") };
    for seed in 0..64_u8 {
        let mut stream = connect().await;
        let noise: Vec<u8> =
            (0..512_u16).map(|n| (n as u8).wrapping_mul(seed.wrapping_add(31)).rotate_left(3)).collect();
        // Both may fail once the node has closed its end, which is as good.
        let _ = stream.write_all(&noise).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{:?}", String::from_utf8_lossy(&answer));
    }
    // More half requests than the node has places for: each is closed after a while, and makes room.
    let mut half = Vec::new();
    for _ in 0..node::api::serve::CONNECTIONS_MAX + 1 {
        let mut stream = connect().await;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost").await.expect("taken by the system");
        half.push(stream);
    }
    let health = tokio::time::timeout(SOON, node.get("/health")).await;
    assert_eq!(health.expect("in time")["status"], "alive");
    let mut end = Vec::new();
    let closed = tokio::time::timeout(SOON, half[0].read_to_end(&mut end)).await;
    assert!(closed.is_ok(), "a half request is not kept for ever");
}

/// Each connection that sent a body byte by byte, without a token, was kept for half a minute: with as many of them as there
/// are places, nobody was answered.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_send_slowly_leave_the_api_to_others() {
    let node = Running::alone().await;
    let address = node.base.trim_start_matches("http://").to_owned();
    let head = format!("POST /witness/add-checkpoint HTTP/1.1\r\nhost: {address}\r\ncontent-length: 3000\r\n\r\no");
    let mut answers = JoinSet::new();
    for _ in 0..=node::api::serve::CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(&address).await.expect("accepted by the system");
        stream.write_all(head.as_bytes()).await.expect("taken by the system");
        answers.spawn(async move {
            let mut start = [0; 12];
            stream.read_exact(&mut start).await.map(|_| start)
        });
    }
    // All but those that may arrive at once are told to come again, while nobody has sent any more.
    while answers.len() > node::api::arriving::ARRIVING_MAX {
        let answer = tokio::time::timeout(SOON, answers.join_next()).await.expect("in time").expect("one of many");
        let status = answer.expect("no panic").expect("an answer");
        assert!([b"HTTP/1.1 503", b"HTTP/1.1 408"].contains(&&status), "{:?}", String::from_utf8_lossy(&status));
    }
    for path in ["/health", "/api/v1/status", "/metrics"] {
        assert_eq!(node.request(reqwest::Method::GET, path).send().await.expect("an answer").status(), 200, "{path}");
    }
}
