//! The listener: accepts connections within their limits, serves them, and drains them when asked to stop.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use portcullis_core::{Lanes, Tasks};
use portcullis_guard::refusal::causes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service as _;

use crate::address::TrustedProxies;
use crate::crowd::{Crowd, Seat};
use crate::patience::Patient;
use crate::stack::Peer;
use crate::tls::Tls;

/// The bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// The most connections at once. More wait in the system's queue.
    pub connections: usize,
    /// The most connections of one address. More are closed at once.
    pub per_address: usize,
    /// The longest time a client may take to send a request's headers, from the moment the connection is free for them, and
    /// for a TLS handshake before the first.
    pub header_timeout: Duration,
    /// The most bytes of headers.
    pub header_bytes: usize,
    /// The longest time that a client may read nothing of what is sent to it.
    pub write_timeout: Duration,
    /// How long a drain waits for running requests.
    pub drain: Duration,
}

/// A listening socket that is not served yet, so that its address is known first.
pub struct Server {
    listener: TcpListener,
    limits: ServerLimits,
    tls: Option<Arc<Tls>>,
    proxies: TrustedProxies,
    told: Told,
    lanes: Option<Arc<Lanes>>,
}

/// Who is told of an address that sent what is no HTTP.
type Told = Arc<dyn Fn(IpAddr) + Send + Sync>;

impl Server {
    /// Listens on an address; port 0 takes a free one. It speaks plain HTTP until it is given a certificate.
    pub async fn bind(address: SocketAddr, limits: ServerLimits) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            listener,
            limits,
            tls: None,
            proxies: TrustedProxies::default(),
            told: Arc::new(|_| {}),
            lanes: None,
        })
    }

    /// Speaks TLS and nothing else.
    #[must_use]
    pub fn with_tls(self, tls: Arc<Tls>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Serves each connection in one of these lanes, and not where it listens.
    #[must_use]
    pub fn in_lanes(self, lanes: Arc<Lanes>) -> Self {
        Self { lanes: Some(lanes), ..self }
    }

    /// Stands behind these proxies, whose connections are many people's and are not counted by address.
    #[must_use]
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// Tells of addresses that send what is no HTTP. A trusted proxy is not told of: what it passes on is not its own.
    #[must_use]
    pub fn telling(self, told: impl Fn(IpAddr) + Send + Sync + 'static) -> Self {
        Self { told: Arc::new(told), ..self }
    }

    /// The address that it listens on.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `tasks` closes, then lets running requests end, at most the drain's time. While they do, new ones are
    /// still taken in, to be told that the server stops; what the router makes of them is its own matter.
    pub async fn serve(self, router: Router, tasks: Tasks) {
        let Self { listener, limits, tls, proxies, told, lanes } = self;
        let acceptor = tls.map(|tls| tls.acceptor());
        let door = Door { router, limits, acceptor, tasks: tasks.clone(), told, lanes };
        let places = Arc::new(Semaphore::new(limits.connections));
        let crowd = Crowd::of(limits.per_address);
        let seat = |peer: SocketAddr| match proxies.holds(peer.ip()) {
            true => Some(None),
            false => crowd.seat(peer.ip()).map(Some),
        };
        let graceful = GracefulShutdown::new();
        // Dropped when serving is over: whatever connection is still open then is closed.
        let (serving, over) = watch::channel(());
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
                    if let Some(seat) = seat(peer) {
                        let held = Held { _place: place, seat };
                        // One that was accepted just as the drain began would be closed without a word.
                        let watcher = (!tasks.is_closing()).then(|| graceful.watcher());
                        door.open(stream, peer, held, watcher, over.clone());
                    }
                }
                (Err(error), _) => exhausted(&error).await,
                (Ok(_), Err(_)) => break,
            }
        }
        let mut drained = std::pin::pin!(tokio::time::timeout(limits.drain, graceful.shutdown()));
        loop {
            let accepted = tokio::select! {
                biased;
                done = &mut drained => {
                    if done.is_err() {
                        tracing::warn!("the drain's time is over; connections that were still open are closed");
                    }
                    break;
                }
                accepted = listener.accept() => accepted,
            };
            match (accepted, Arc::clone(&places).try_acquire_owned()) {
                (Ok((stream, peer)), Ok(place)) => {
                    if let Some(seat) = seat(peer) {
                        let held = Held { _place: place, seat };
                        door.open(stream, peer, held, None, over.clone());
                    }
                }
                (Err(error), _) => exhausted(&error).await,
                (Ok(_), Err(_)) => {}
            }
        }
        drop(serving);
    }
}

/// Out of file descriptors, mostly: wait for some to come free instead of spinning.
async fn exhausted(error: &std::io::Error) {
    tracing::warn!(error = %causes(error), "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// What a connection holds as long as it is open.
struct Held {
    _place: OwnedSemaphorePermit,
    /// None for a trusted proxy.
    seat: Option<Seat>,
}

/// What every connection is served with.
struct Door {
    router: Router,
    limits: ServerLimits,
    acceptor: Option<TlsAcceptor>,
    tasks: Tasks,
    told: Told,
    lanes: Option<Arc<Lanes>>,
}

impl Door {
    /// Serves a connection in a task of its own. One that comes while the server drains has no watcher and may ask once.
    fn open(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        held: Held,
        watcher: Option<Watcher>,
        mut over: watch::Receiver<()>,
    ) {
        let (router, limits, acceptor) = (self.router.clone(), self.limits, self.acceptor.clone());
        // Whoever has a seat of their own is no proxy.
        let told = held.seat.is_some().then(|| Arc::clone(&self.told));
        let closing = watcher.is_some().then(|| self.tasks.closing());
        let place = self.lanes.as_ref().and_then(|lanes| lanes.place());
        let runtime = place.as_ref().map_or_else(Handle::current, |place| place.runtime().clone());
        self.tasks.spawn_on(&runtime, async move {
            let _held = (held, place);
            // A socket belongs to the runtime that waits for it.
            let Ok(stream) = stream.into_std().and_then(TcpStream::from_std) else { return };
            prompt(&stream, limits.write_timeout);
            let stream = Patient::new(stream, limits.write_timeout);
            let served = async {
                let talked = match acceptor {
                    None => talk(stream, peer, router, limits, watcher).await,
                    Some(acceptor) => match secured(acceptor, stream, limits, closing).await {
                        Some(stream) => talk(stream, peer, router, limits, watcher).await,
                        None => Talk::Ended,
                    },
                };
                if let (Talk::Garbage, Some(told)) = (talked, told) {
                    told(peer.ip());
                }
            };
            tokio::select! {
                () = served => {}
                _ = over.changed() => {}
            }
        });
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
    stream: Patient<TcpStream>,
    limits: ServerLimits,
    closing: Option<impl Future<Output = ()>>,
) -> Option<Box<TlsStream<Patient<TcpStream>>>> {
    let closing = async {
        match closing {
            Some(closing) => closing.await,
            None => std::future::pending().await,
        }
    };
    let handshake = tokio::time::timeout(limits.header_timeout, acceptor.accept(stream));
    tokio::select! {
        done = handshake => done.ok()?.ok().map(Box::new),
        () = closing => None,
    }
}

/// Answers are small frames that somebody waits for. What nobody acknowledges is given up by the system too, so that a
/// client that is gone without a word is noticed; later than by [`Patient`], since the system tells nobody.
fn prompt(stream: &TcpStream, timeout: Duration) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        let timeout_ms = u32::try_from(timeout.saturating_mul(2).as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, timeout_ms);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = timeout;
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Talk {
    /// With what was said or with a client that left.
    Ended,
    /// With something that is no HTTP, or with more headers than there may be.
    Garbage,
}

async fn talk<S>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    limits: ServerLimits,
    watcher: Option<Watcher>,
) -> Talk
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes.max(8_192))
        .keep_alive(watcher.is_some())
        .serve_connection(TokioIo::new(stream), service);
    let ended = match watcher {
        Some(watcher) => watcher.watch(connection).await,
        None => connection.await,
    };
    // A client that resets its connection, or leaves it idle, is no event.
    if ended.is_err_and(|error| error.is_parse()) { Talk::Garbage } else { Talk::Ended }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn the_system_gives_up_on_a_client_that_is_gone_without_a_word() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let _client =
            TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        let (stream, _) = listener.accept().await.expect("accepted");
        super::prompt(&stream, Duration::from_secs(30));
        assert_eq!(rustix::net::sockopt::tcp_user_timeout(&stream).expect("read"), 60_000);
        assert!(stream.nodelay().expect("read"));
    }
}
