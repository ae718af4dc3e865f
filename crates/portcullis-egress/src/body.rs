//! The body of an answer, as a stream or collected within bounds.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Kind, Phase};

/// The body of an answer. Dropping it before its end closes the connection, which tells the server to stop.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    peer: Option<SocketAddr>,
    target: String,
}

/// The beginning of a body, and why it is not the whole.
#[derive(Debug)]
pub struct Prefix {
    /// What was read, at most as much as was asked for.
    pub bytes: Bytes,
    /// Why reading stopped; nothing when the body is complete.
    pub stopped: Option<Error>,
}

impl Body {
    pub(crate) const fn new(incoming: Incoming, peer: Option<SocketAddr>, target: String) -> Self {
        Self { incoming, peer, target }
    }

    /// The address that the answer came from.
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The next piece as it arrives, without a time-out; nothing at the end of the body.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match self.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The whole body: at most `limit` bytes, all of them within `within`.
    ///
    /// # Errors
    /// [`Kind::TooLarge`] (at once when the server announces more), [`Kind::TimedOut`], [`Kind::Closed`],
    /// [`Kind::Malformed`].
    pub async fn collect(self, limit: usize, within: Duration) -> Result<Bytes, Error> {
        let announced = http_body::Body::size_hint(&self.incoming).lower();
        if usize::try_from(announced).map_or(true, |announced| announced > limit) {
            return Err(Error::new(Kind::TooLarge, self.target));
        }
        let prefix = self.collect_prefix(limit, within).await;
        prefix.stopped.map_or(Ok(prefix.bytes), Err)
    }

    /// As much of the body as fits into `limit` bytes and arrives within `within`, and why there is no more. For a
    /// reader that has a use for part of an answer, such as the start of a stream that never ends.
    pub async fn collect_prefix(mut self, limit: usize, within: Duration) -> Prefix {
        let deadline = Instant::now() + within;
        let mut bytes = BytesMut::new();
        let stopped = loop {
            match timeout_at(deadline, self.chunk()).await {
                Err(_) => break Some(Error::new(Kind::TimedOut(Phase::Body), self.target)),
                Ok(None) => break None,
                Ok(Some(Err(error))) => break Some(error),
                Ok(Some(Ok(mut data))) => {
                    let room = limit.saturating_sub(bytes.len());
                    if data.len() > room {
                        data.truncate(room);
                        bytes.extend_from_slice(&data);
                        break Some(Error::new(Kind::TooLarge, self.target));
                    }
                    bytes.extend_from_slice(&data);
                }
            }
        };
        Prefix { bytes: bytes.freeze(), stopped }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| Error::from_body(error, &this.target))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
