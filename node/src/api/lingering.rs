//! A connection that gives up on clients that do not read, and that is closed gently: what still comes in is read and
//! thrown away for a moment.
//!
//! A request may be refused before its body was read (too long, no token). A system that closes a socket with
//! unread bytes resets the connection (RFC 1122, 4.2.2.13), and the reset overtakes the answer: the client
//! would see a broken pipe instead of the reason.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Time for which a closed connection is still read; a node that stops waits as long for idle ones.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that are thrown away at most: what a client sends in that time on a slow link.
const LINGER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes thrown away at once.
const DISCARD_BYTES: usize = 8 * 1024;

/// Time without a byte taken after which a client that does not read is given up: its answer holds memory and one of
/// few places. A slow reader that reads at all is served for as long as it takes.
const WRITE_STALL: Duration = Duration::from_secs(10);

/// A stream whose shutdown waits until the other side has read the answer and closed, within bounds.
pub(super) struct Lingering {
    stream: TcpStream,
    /// Set while the other side takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Set once our side is closed.
    until: Option<Pin<Box<Sleep>>>,
    discarded_bytes: usize,
}

impl Lingering {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, stalled: None, until: None, discarded_bytes: 0 }
    }

    /// Passes on what a write gave, and fails it once nothing was taken for too long.
    fn unless_stalled<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_STALL)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }

    /// Reads until the other side closes or a bound is reached.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut buffer = [0; DISCARD_BYTES];
        while self.discarded_bytes < LINGER_BYTES_MAX {
            let mut read = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.stream).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => self.discarded_bytes += read.filled().len(),
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_stalled(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.unless_stalled(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.until.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.until = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        let late = self.until.as_mut().is_some_and(|until| until.as_mut().poll(context).is_ready());
        if late || self.poll_discard(context).is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.unless_stalled(context, written)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_reads_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("accepted");
        let mut stream = Lingering::new(listener.accept().await.expect("a client").0);
        let error = loop {
            // More than any socket buffer takes; the clock is paused, so that it runs while nothing else can.
            if let Err(error) = stream.write_all(&vec![0; 1024 * 1024]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(client);
    }

    #[tokio::test]
    async fn an_answer_given_before_the_request_was_read_arrives() {
        // Closed at once, the unread bytes would reset the connection under the answer.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let answer = async {
            let mut stream = Lingering::new(listener.accept().await.expect("a client").0);
            stream.write_all(b"too long").await.expect("room");
            stream.shutdown().await.expect("an end");
        };
        let ask = async {
            let mut stream = TcpStream::connect(address).await.expect("accepted");
            stream.write_all(&vec![0; 4 * 1024 * 1024]).await.expect("taken to the last byte");
            let mut text = String::new();
            stream.read_to_string(&mut text).await.expect("no reset");
            assert_eq!(text, "too long");
        };
        tokio::join!(answer, ask);
    }
}
