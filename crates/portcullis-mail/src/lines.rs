//! A connection that is read a line at a time.
//!
//! Between `STARTTLS` and the handshake nothing may be read ahead: what a stranger in the middle sends behind the
//! server's `220` would otherwise lie in a buffer and count as the server's first words within TLS. This
//! stream gives its reader no byte behind a line's end until the reader has used the line, so such words fall to the
//! handshake, which they break.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lines {
    inner: BufReader<TcpStream>,
    peer: SocketAddr,
}

impl Lines {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        Ok(Self { peer: stream.peer_addr()?, inner: BufReader::new(stream) })
    }
}

impl AsyncRead for Lines {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &mut self.get_mut().inner;
        let ahead = ready!(Pin::new(&mut *inner).poll_fill_buf(cx))?;
        let line = ahead.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let given = line.get(..into.remaining()).unwrap_or(line);
        into.put_slice(given);
        let used = given.len();
        Pin::new(inner).consume(used);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lines {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().inner.get_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().inner.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().inner.get_mut()).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Lines {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}
