//! Bytes on a request's stream: one message each way, ended by closing, never longer than the protocol allows.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;

/// Reads and writes whole messages of at most `limit` bytes. What they mean is for others.
#[derive(Debug, Clone, Copy)]
pub struct WholeMessages {
    /// Bytes of the longest message allowed.
    pub limit: usize,
}

impl WholeMessages {
    async fn read<T: AsyncRead + Unpin + Send>(self, io: &mut T) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.take(self.limit as u64 + 1).read_to_end(&mut bytes).await?;
        if bytes.len() > self.limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than the protocol allows"));
        }
        if bytes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended without a message"));
        }
        Ok(bytes)
    }

    async fn write<T: AsyncWrite + Unpin + Send>(self, io: &mut T, bytes: Vec<u8>) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.close().await
    }
}

impl Codec for WholeMessages {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        self.read(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        self.read(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        self.write(io, bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        self.write(io, bytes).await
    }
}
