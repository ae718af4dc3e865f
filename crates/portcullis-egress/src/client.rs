//! The pooled client and its options.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;

use crate::address::AddressPolicy;
use crate::body::Body;
use crate::connect::{Connector, Peer, Resolver, Target};
use crate::error::{Error, Kind, Phase};
use crate::tls;

/// Largest head of an answer (status line and headers) that is read, in bytes.
const HEAD_BYTES: usize = 128 * 1024;

/// How a client connects and how long it waits.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which addresses may be connected to.
    pub address_policy: AddressPolicy,
    /// Networks that may be connected to beside what the policy allows, as an operator lists them.
    pub also_networks: Vec<IpNet>,
    /// Who looks names up in the place of the system. The address policy judges what it gives like everything else.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// Longest time for look-up, TCP connection and TLS handshake together.
    pub connect_timeout: Duration,
    /// Longest time from the call until the answer's headers are there, connecting included.
    pub head_timeout: Duration,
    /// The local address to connect from; the system chooses when there is none.
    pub source: Option<IpAddr>,
    /// Names that are answered from here instead of from DNS, such as a host that is not in DNS yet.
    /// The address policy judges these addresses like any others.
    pub pins: Vec<Pin>,
    /// Certificates in PEM that are trusted as roots besides the public web roots.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// Accepts any certificate for any name: whoever is on the way can read and change everything.
    pub danger_accept_invalid_certificates: bool,
    /// Sent with requests that name no user agent of their own.
    pub user_agent: Option<HeaderValue>,
    /// Idle connections kept per host; with 0 every request has a connection of its own.
    pub pool_idle_per_host: usize,
    /// How long an idle connection is kept. Common servers close theirs after 5 s.
    pub pool_idle_timeout: Duration,
    /// Which version of HTTP is spoken.
    pub version: HttpVersion,
}

impl Options {
    /// Ten seconds to connect, sixty for the answer to begin, a pool of idle connections, and nothing weakened.
    pub const fn new(address_policy: AddressPolicy) -> Self {
        Self {
            address_policy,
            also_networks: Vec::new(),
            resolver: None,
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(60),
            source: None,
            pins: Vec::new(),
            extra_roots_pem: None,
            danger_accept_invalid_certificates: false,
            user_agent: None,
            pool_idle_per_host: 64,
            pool_idle_timeout: Duration::from_secs(4),
            version: HttpVersion::One,
        }
    }
}

/// Which version of HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    One,
    /// HTTP/2, and nothing else: over TLS as agreed on there, without TLS because it is known to be spoken. All requests to
    /// one origin are streams of one connection.
    Two,
}

/// A name with the addresses that it is to have, whatever DNS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The host, as in the address.
    pub host: String,
    /// The addresses, tried in this order.
    pub addresses: Vec<IpAddr>,
}

/// The HTTP client. Clones are cheap and share one pool of connections.
#[derive(Clone)]
pub struct Client {
    pool: hyper_util::client::legacy::Client<Connector, Full<Bytes>>,
    policy: AddressPolicy,
    head_timeout: Duration,
    user_agent: Option<HeaderValue>,
}

impl Client {
    /// A client with a pool of its own.
    ///
    /// # Errors
    /// [`Kind::Malformed`] when the extra root certificates cannot be used.
    pub fn new(options: Options) -> Result<Self, Error> {
        let connector = Connector::new(&options, tls::connector(&options)?);
        let pool = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.pool_idle_timeout)
            .pool_max_idle_per_host(options.pool_idle_per_host)
            .http1_max_buf_size(HEAD_BYTES)
            .http2_only(options.version == HttpVersion::Two)
            .build(connector);
        Ok(Self {
            pool,
            policy: options.address_policy,
            head_timeout: options.head_timeout,
            user_agent: options.user_agent,
        })
    }

    /// Sends one request and waits for the head of its answer. Dropping the future, or the body of the answer before
    /// its end, closes the connection.
    ///
    /// Added to the request: `Host` and `Content-Length` where missing, and `User-Agent` when the options name one and
    /// the request does not. Of several `User-Agent` headers only the first is sent.
    ///
    /// # Errors
    /// One of [`Kind`]. A redirect is an answer like any other.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Body>, Error> {
        let target = Target::of(request.uri())?.to_string();
        self.settle_user_agent(&mut request);
        let exchange = self.pool.request(request.map(Full::new));
        let response = tokio::time::timeout(self.head_timeout, exchange)
            .await
            .map_err(|_| Error::new(Kind::TimedOut(Phase::Head), &target))?
            .map_err(|error| Error::from_exchange(error, &target))?;
        let peer = response.extensions().get::<Peer>().map(|peer| peer.0);
        Ok(response.map(|incoming| Body::new(incoming, peer, target)))
    }

    fn settle_user_agent(&self, request: &mut Request<Bytes>) {
        let own = request.headers().get(USER_AGENT).or(self.user_agent.as_ref()).cloned();
        if let Some(value) = own {
            request.headers_mut().insert(USER_AGENT, value);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("policy", &self.policy)
            .field("head_timeout", &self.head_timeout)
            .finish_non_exhaustive()
    }
}
