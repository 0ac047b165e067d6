//! A holder that was stopped for longer than its lease, and does not know it when it goes on.

use futures::future::join_all;
use testnet::client::Level;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{SOON, World};

/// A request that lies in a node's socket: the kernel takes it, whatever the node does.
struct Laid(TcpStream);

impl Laid {
    async fn at(world: &World, node: usize, line: &str, headers: &str, body: &str) -> Self {
        let node = &world.nodes[node];
        let address = node.reached().expect("it runs").run.http.first().expect("an address").clone();
        let token = std::fs::read_to_string(node.dir().join("api.token")).expect("a token");
        let mut stream = TcpStream::connect(&address).await.expect("the kernel connects");
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n{headers}Content-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            token.trim(),
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("the kernel takes it");
        Self(stream)
    }

    /// The body of the answer, if the request was granted.
    async fn granted(mut self) -> Option<serde_json::Value> {
        let mut answer = Vec::new();
        tokio::time::timeout(SOON, self.0.read_to_end(&mut answer)).await.expect("answered in time").expect("readable");
        let answer = String::from_utf8(answer).expect("text");
        if answer.is_empty() {
            // As the spare of the new holder the node has no API any more, and what it had not read of a connection it has not.
            return None;
        }
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        head.starts_with("HTTP/1.1 2").then(|| serde_json::from_str(body).expect("JSON"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_woken_holder_acknowledges_nothing_of_its_old_term() {
    let world = World::of(5, &[1, 2]).await;
    world.put(0, "green/before", "1").await;
    world.nodes[0].pause();
    // Acknowledged, so that another node holds the seat by now.
    let register = world.put(4, "green/register", "of the second term").await;
    world.term_becomes(4, 2).await;
    // These wait in its sockets and are the first thing that it sees; what was said before the pause still holds for it.
    let writes = (0..12_u64).map(async |number| {
        let (level, key) = if number.is_multiple_of(2) { (Level::Local, "local") } else { (Level::Shadow, "shadow") };
        let key = format!("green/woken/{key}/{number}");
        let line = format!("PUT /api/v1/entries?key={key}&level={}", level.word());
        let headers = format!("Idempotency-Key: {key}\r\nContent-Type: application/octet-stream\r\n");
        (Laid::at(&world, 0, &line, &headers, "of the first term").await, key)
    });
    let writes = join_all(writes).await;
    let read = Laid::at(&world, 0, "GET /api/v1/entries?key=green/register&consistency=seat", "", "").await;
    world.nodes[0].resume();
    let mut granted = Vec::new();
    for (write, key) in writes {
        granted.extend(write.granted().await.map(|receipt| (receipt, key)));
    }
    if let Some(entry) = read.granted().await {
        assert_eq!(entry["commit"], register, "a read under a lease that has run out");
    }
    let standing = world.steady().await;
    assert_eq!((standing.term, standing.holder), (2, 1));
    assert!(standing.spares.contains(&0), "{standing:?}");
    assert_eq!(world.seat.admin(0).quarantine().await.expect("a list"), [], "nothing was written under the old term");
    world.one_root().await;
    // Refused, or forwarded: then it is what the holder of the second term has, once nothing is on its way.
    for (receipt, key) in granted {
        world.has(4, &key, receipt["commit"].as_str().expect("a commit")).await;
    }
}
