//! A connection that ends when its client does not read.
//!
//! Whoever asks and then reads nothing would otherwise hold the connection, and all that waits behind it, for as long as
//! they like: TCP itself never gives up on a window that stays closed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// A stream that can be cut off.
pub(crate) trait Cut {
    /// When it is dropped, what was not sent is thrown away, and the other end is told so.
    fn cut(&self);
}

impl Cut for TcpStream {
    fn cut(&self) {
        // Where that fails the system goes on offering what is left, until its own time is over.
        let _ = self.set_zero_linger();
    }
}

/// A stream whose writes fail once they have made no progress for so long.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    stalled: bool,
}

impl<S> Patient<S> {
    pub(crate) const fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, timer: None, stalled: false }
    }
}

impl<S: Cut> Patient<S> {
    /// What a write came to: progress, or one more look at how long there was none.
    fn judged<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = false;
            return written;
        }
        let until = Instant::now() + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if !self.stalled {
            timer.as_mut().reset(until);
            self.stalled = true;
        }
        ready!(timer.as_mut().poll(cx));
        // Nobody keeps megabytes for somebody who does not read, and whoever reads after all does not wait for the rest.
        self.stream.cut();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

// No vectored writes: a head and a small body in one buffer are cheaper to send than as two.
impl<S: AsyncWrite + Cut + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judged(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judged(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judged(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::{Cut, Patient};

    impl Cut for tokio::io::DuplexStream {
        fn cut(&self) {}
    }

    #[tokio::test]
    async fn whoever_does_not_read_is_told_that_there_is_no_more() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut far = tokio::net::TcpStream::connect(address).await.expect("connected");
        let (near, _) = listener.accept().await.expect("accepted");
        let mut writer = Patient::new(near, Duration::from_millis(50));
        let stalled = writer.write_all(&vec![7; 64 << 20]).await.expect_err("nobody reads");
        assert_eq!(stalled.kind(), std::io::ErrorKind::TimedOut);
        drop(writer);
        let end = far.read_to_end(&mut Vec::new()).await.expect_err("it was cut off");
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_reader_who_stops_is_given_up_on_and_a_slow_one_is_not() {
        const LIMIT: Duration = Duration::from_millis(400);
        let (near, mut far) = tokio::io::duplex(16);
        let mut writer = Patient::new(near, LIMIT);
        let started = Instant::now();
        // Slower than the limit in all, and never without progress for so long.
        let slow = async {
            let (mut buffer, mut ticks) = ([0; 16], tokio::time::interval(LIMIT / 4));
            for _ in 0..10 {
                ticks.tick().await;
                far.read_exact(&mut buffer).await.expect("read");
            }
            far
        };
        let (written, _far) = tokio::join!(writer.write_all(&[7; 160]), slow);
        written.expect("written");
        assert!(started.elapsed() > LIMIT * 2);
        let started = Instant::now();
        let stalled = writer.write_all(&[7; 160]).await.expect_err("nobody reads");
        assert_eq!(stalled.kind(), std::io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= LIMIT);
    }
}
