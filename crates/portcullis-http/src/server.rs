//! The listener: accepts connections within their limits, serves them, and drains them when asked to stop.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use portcullis_core::Tasks;
use portcullis_guard::refusal::causes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::Service as _;

use crate::stack::Peer;

/// The bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// The most connections at once. More wait in the system's queue.
    pub connections: usize,
    /// The longest time a client may take to send a request's headers.
    pub header_timeout: Duration,
    /// The most bytes of headers.
    pub header_bytes: usize,
    /// How long a drain waits for running requests.
    pub drain: Duration,
}

/// A listening socket that is not served yet, so that its address is known first.
pub struct Server {
    listener: TcpListener,
    limits: ServerLimits,
}

impl Server {
    /// Listens on an address; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, limits: ServerLimits) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, limits })
    }

    /// The address that it listens on.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `tasks` closes, then lets running requests end, at most the drain's time.
    pub async fn serve(self, router: Router, tasks: Tasks) {
        let Self { listener, limits } = self;
        let places = Arc::new(Semaphore::new(limits.connections));
        let graceful = GracefulShutdown::new();
        let mut closing = std::pin::pin!(tasks.closing());
        loop {
            // The place is taken first: at the bound, clients wait in the system's queue and not in our memory.
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place,
                () = &mut closing => break,
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut closing => break,
            };
            match (accepted, place) {
                (Ok((stream, peer)), Ok(place)) => {
                    let connection = connection(stream, peer, router.clone(), limits);
                    let watched = graceful.watch(connection);
                    tasks.spawn(async move {
                        let _place = place;
                        // A client that resets its connection is no event.
                        let _ = watched.await;
                    });
                }
                (Err(error), _) => {
                    // Out of file descriptors, mostly: wait for some to come free instead of spinning.
                    tracing::warn!(
                        error = %causes(&error),
                        "a connection could not be accepted"
                    );
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                (Ok(_), Err(_)) => break,
            }
        }
        drop(listener);
        if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
            tracing::warn!("the drain's time is over; connections that were still open are closed");
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address().ok()).finish_non_exhaustive()
    }
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ServerLimits,
) -> http1::Connection<
    TokioIo<TcpStream>,
    impl hyper::service::Service<
        Request<Incoming>,
        Response = axum::response::Response,
        Error = std::convert::Infallible,
        Future: Send,
    > + use<>,
> {
    // Answers are small frames that somebody waits for.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        router.clone().call(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes.max(8_192))
        .serve_connection(TokioIo::new(stream), service)
}
