//! A peer that takes no sessions and whose streams break off: the whole state comes all the same, piece by piece.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use testnet::client::Op;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Apart, event, holds};

/// Bytes of a stream that are let through each time; the state takes several times that.
const LET_THROUGH: usize = 3 * 1024 * 1024;

/// Stands before a node, refuses sessions, and cuts streams of the whole state. Gives its address and the requests for
/// the whole state that it saw.
async fn cutting_proxy(behind: SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(one_request(stream, behind, asked.clone()));
        }
    });
    (format!("http://{address}"), seen)
}

/// One request on each connection.
async fn one_request(mut client: TcpStream, behind: SocketAddr, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match client.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => head.extend_from_slice(&buffer[..length]),
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let line = text.lines().next().unwrap_or_default().to_owned();
    if line.starts_with("POST") {
        let _ = client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        return;
    }
    // Each answer ends with its connection; and no compression, so that the cut comes where it should.
    let plain = text.replacen("\r\n", "\r\nConnection: close\r\n", 1).replace("accept-encoding: zstd\r\n", "");
    let mut node = TcpStream::connect(behind).await.expect("the node listens");
    node.write_all(plain.as_bytes()).await.expect("it reads");
    let is_full = line.contains("/state/full");
    if is_full {
        seen.lock().expect("whole").push(line);
    }
    let limit = if is_full { LET_THROUGH } else { usize::MAX };
    let _ = tokio::io::copy(&mut node.take(limit as u64), &mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_state_whose_stream_is_cut_is_resumed_where_it_broke() {
    let mut apart = Apart::of(2).await;
    let behind = apart.start(1, &[]).await;
    let value = "v".repeat(10_000);
    for commit in 0..40 {
        let ops: Vec<_> = (0..20).map(|n| Op::put(format!("much/{commit:02}/{n:02}"), value.as_str())).collect();
        behind.commit(&ops, None).await.expect("acknowledged");
    }
    let address = apart.node(1).launch_mut().http.parse().expect("an address");
    let (url, seen) = cutting_proxy(address).await;
    let one = apart.start(0, &["--node", &url]).await;
    let finished = event(&one, |event| event.fields.get("outcome").is_some_and(|outcome| outcome == "full")).await;
    assert_eq!(finished.fields["peer"], url);
    holds(&one, "much/39/19").await;
    apart.equal_roots().await;
    let seen = seen.lock().expect("whole").clone();
    assert!(seen.len() >= 3, "8 MB in pieces of 3 MiB: {seen:?}");
    assert!(!seen[0].contains("after="), "{seen:?}");
    let cursors: Vec<_> = seen[1..].iter().map(|line| line.split("after=").nth(1).expect("a cursor")).collect();
    assert!(cursors.windows(2).all(|pair| pair[0] != pair[1]), "each goes on behind the last: {cursors:?}");
    let fallback = one.fallback().await.expect("it answers");
    assert_eq!(fallback.peers[0].divergence_count, 0, "{fallback:?}");
}
