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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service as _;

use crate::stack::Peer;
use crate::tls::Tls;

/// The bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// The most connections at once. More wait in the system's queue.
    pub connections: usize,
    /// The longest time a client may take to send a request's headers, and for a TLS handshake before the first.
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
    tls: Option<Arc<Tls>>,
}

impl Server {
    /// Listens on an address; port 0 takes a free one. It speaks plain HTTP until it is given a certificate.
    pub async fn bind(address: SocketAddr, limits: ServerLimits) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, limits, tls: None })
    }

    /// Speaks TLS and nothing else.
    #[must_use]
    pub fn with_tls(self, tls: Arc<Tls>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// The address that it listens on.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `tasks` closes, then lets running requests end, at most the drain's time.
    pub async fn serve(self, router: Router, tasks: Tasks) {
        let Self { listener, limits, tls } = self;
        let acceptor = tls.map(|tls| tls.acceptor());
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
                    let (watcher, router, acceptor) = (graceful.watcher(), router.clone(), acceptor.clone());
                    let closing = tasks.closing();
                    tasks.spawn(async move {
                        let _place = place;
                        // A client that resets its connection is no event.
                        match acceptor {
                            None => {
                                prompt(&stream);
                                let connection = connection(TokioIo::new(stream), peer, router, limits);
                                let _ = watcher.watch(connection).await;
                            }
                            Some(acceptor) => {
                                if let Some(stream) = secured(acceptor, stream, limits, closing).await {
                                    let connection = connection(TokioIo::new(stream), peer, router, limits);
                                    let _ = watcher.watch(connection).await;
                                }
                            }
                        }
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

/// The handshake, which holds its connection's place and nobody else's time. One that is not done when headers would
/// have to be, or when the listener closes, ends without an answer.
async fn secured(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    limits: ServerLimits,
    closing: impl Future<Output = ()>,
) -> Option<Box<TlsStream<TcpStream>>> {
    prompt(&stream);
    let handshake = tokio::time::timeout(limits.header_timeout, acceptor.accept(stream));
    tokio::select! {
        done = handshake => done.ok()?.ok().map(Box::new),
        () = closing => None,
    }
}

/// Answers are small frames that somebody waits for.
fn prompt(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

fn connection<S>(
    stream: TokioIo<S>,
    peer: SocketAddr,
    router: Router,
    limits: ServerLimits,
) -> http1::Connection<
    TokioIo<S>,
    impl hyper::service::Service<
        Request<Incoming>,
        Response = axum::response::Response,
        Error = std::convert::Infallible,
        Future: Send,
    > + use<S>,
>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        router.clone().call(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes.max(8_192))
        .serve_connection(stream, service)
}
