//! What is made of answers that bring nothing, in words that an operator can act on.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

/// Gives every question this answer; gives its own URL.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Read first: a connection closed with bytes unread is reset, and the answer is lost with it.
            let mut question = [0; 4096];
            assert!(stream.read(&mut question).await.expect("a question") > 0);
            stream.write_all(answer.as_bytes()).await.expect("it reads");
        }
    });
    url
}

#[tokio::test]
async fn answers_that_bring_nothing_say_what_to_do() {
    let table = [
        (
            "HTTP/1.1 302 Found\r\nLocation: http://elsewhere\r\nContent-Length: 0\r\n\r\n",
            "the peer answered 302: redirects are not followed; give the URL it leads to",
        ),
        ("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", "the peer answered 404: Not Found"),
        ("HTTP/1.1 404 X\r\nContent-Length: 6\r\n\r\n<html>", "the peer answered 404: Not Found"),
        ("HTTP/1.1 401 X\r\nContent-Length: 16\r\n\r\n{\"detail\":\"why\"}", "the peer answered 401: why"),
        ("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", "the peer has no room now"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "the answer does not decode: missing field `head`"),
    ];
    let client = Client::new(ANSWER_TIMEOUT).expect("a client");
    for (answer, words) in table {
        let error = client.state(&answering(answer).await).await.expect_err(words).to_string();
        assert!(error.starts_with(words), "{words}: {error}");
    }
}

#[tokio::test]
async fn an_answer_may_have_so_many_bytes_and_no_more() {
    let url = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    let client = Client::new(ANSWER_TIMEOUT).expect("a client");
    assert_eq!(client.get(&url, "/checkpoint", 5).await, Ok(b"hello".to_vec()));
    let longer = NoAnswer::Unreadable("it is longer than 4 bytes".to_owned());
    assert_eq!(client.get(&url, "/checkpoint", 4).await, Err(longer));
}

#[tokio::test]
async fn of_a_state_only_the_head_is_read() {
    // Nodes refused an answer without the fields that are for people.
    let url = answering("HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{\"head\":\"AA==\",\"mode\":[]}").await;
    let view = Client::new(ANSWER_TIMEOUT).expect("a client").state(&url).await.expect("a head");
    assert_eq!(view, HeadView { head: "AA==".to_owned() });
}

#[test]
fn a_side_that_answers_no_tls_is_said_to() {
    // The words of rustls for plain HTTP where a TLS record should be.
    let told = explained("received corrupt message of type InvalidContentType".to_owned());
    assert_eq!(told, "the other side answers no TLS; try http:// instead of https://");
    assert_eq!(explained("connection refused".to_owned()), "connection refused");
}
