//! From a request's address to a connection: one look-up, every address judged, then TCP, then TLS.
//!
//! Dialling takes a [`Vetted`] address, so nothing is connected to that the policy has not seen.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::address::{AddressPolicy, Vetted};
use crate::client::Options;
use crate::error::{Error, Kind, Phase};

/// Addresses of a name, some time soon.
pub type Found<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Looks names up, once for each connection.
pub trait Resolver: Send + Sync + fmt::Debug {
    /// The addresses of a host, which is no address itself.
    fn look_up<'a>(&'a self, host: &'a str) -> Found<'a>;
}

/// Where a request goes, read from its address.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The host without the brackets of an IPv6 literal.
    host: String,
    port: u16,
    scheme: Scheme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Target {
    /// Reads the address; refuses one that is not absolute, not HTTP, or that carries a user name.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Error> {
        let malformed = |detail: &str| Error::new(Kind::Malformed, "").detail(detail);
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(_) => return Err(malformed("the address must begin with `http://` or `https://`")),
            None => return Err(malformed("the address must be absolute, such as `https://host/path`")),
        };
        // `http://good.example@evil.example/` reads as one host to people and as another to programs.
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(malformed(
                "the address must not hold a user name or password, send a header instead",
            ));
        }
        let written = uri.host().unwrap_or_default();
        let host = written.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(written);
        if host.is_empty() {
            return Err(malformed("the address names no host"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let port = match authority.strip_prefix(written).unwrap_or(authority).strip_prefix(':') {
            None if scheme == Scheme::Http => 80,
            None => 443,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(malformed("the port must be a number from 1 to 65535")),
                Ok(port) => port,
            },
        };
        Ok(Self { host: host.to_owned(), port, scheme })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Makes connections for the pool. Clones share everything.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: Arc<Inner>,
}

struct Inner {
    policy: AddressPolicy,
    also: Vec<IpNet>,
    resolver: Option<Arc<dyn Resolver>>,
    source: Option<IpAddr>,
    timeout: Duration,
    pins: HashMap<String, Vec<IpAddr>>,
    tls: TlsConnector,
}

impl Connector {
    pub(crate) fn new(options: &Options, tls: TlsConnector) -> Self {
        let pins = options
            .pins
            .iter()
            .map(|pin| (pin.host.to_ascii_lowercase(), pin.addresses.clone()))
            .collect::<HashMap<_, _>>();
        let inner = Inner {
            policy: options.address_policy,
            also: options.also_networks.clone(),
            resolver: options.resolver.clone(),
            source: options.source,
            timeout: options.connect_timeout,
            pins,
            tls,
        };
        Self { inner: Arc::new(inner) }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = Link;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Link, Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.connect(&Target::of(&uri)?).await })
    }
}

impl Inner {
    async fn connect(&self, target: &Target) -> Result<Link, Error> {
        let name = target.to_string();
        let timed_out = |phase| move |_| Error::new(Kind::TimedOut(phase), target.to_string());
        let deadline = Instant::now() + self.timeout;

        let found = timeout_at(deadline, self.look_up(target))
            .await
            .map_err(timed_out(Phase::Dns))?
            .map_err(|error| Error::new(Kind::Dns, &name).cause(error))?;
        if found.is_empty() {
            return Err(Error::new(Kind::Dns, name).detail("it has no address"));
        }
        let vetted = self.policy.vet(&self.also, &name, found)?;
        let stream = self.dial_any(&name, &vetted, deadline).await?;
        let peer = stream.peer_addr().map_err(|error| Error::new(Kind::Refused, &name).cause(error))?;
        let transport = match target.scheme {
            Scheme::Http => Transport::Plain(TokioIo::new(stream)),
            Scheme::Https => {
                let server_name = ServerName::try_from(target.host.clone()).map_err(|error| {
                    Error::new(Kind::Tls, &name).detail("no certificate can be for this host").cause(error)
                })?;
                let stream = timeout_at(deadline, self.tls.connect(server_name, stream))
                    .await
                    .map_err(timed_out(Phase::Tls))?
                    .map_err(|error| Error::new(Kind::Tls, &name).cause(error))?;
                Transport::Tls(Box::new(TokioIo::new(stream)))
            }
        };
        Ok(Link { peer, transport })
    }

    /// The only look-up of a connection. Odd spellings of a number (`0x7f.1`, `2130706433`) are read here, by the
    /// system's resolver, so that what they mean is judged and not how they look.
    async fn look_up(&self, target: &Target) -> io::Result<Vec<SocketAddr>> {
        let at_port = |address: IpAddr| SocketAddr::new(address, target.port);
        if let Some(pinned) = self.pins.get(&target.host.to_ascii_lowercase()) {
            return Ok(pinned.iter().copied().map(at_port).collect());
        }
        if let Ok(literal) = target.host.parse::<IpAddr>() {
            return Ok(vec![at_port(literal)]);
        }
        if let Some(resolver) = &self.resolver {
            return Ok(resolver.look_up(&target.host).await?.into_iter().map(at_port).collect());
        }
        Ok(tokio::net::lookup_host((target.host.as_str(), target.port)).await?.collect())
    }

    /// Tries the addresses in the order given. Each gets an equal share of the time left.
    async fn dial_any(&self, name: &str, vetted: &[Vetted], deadline: Instant) -> Result<TcpStream, Error> {
        let mut last = Error::new(Kind::Refused, name)
            .detail("no address of it is of the same family as the local address to connect from");
        let mut left = u32::try_from(vetted.len()).unwrap_or(u32::MAX);
        for address in vetted {
            let now = Instant::now();
            let share = deadline.saturating_duration_since(now).checked_div(left).unwrap_or_default();
            left = left.saturating_sub(1);
            if self.source.is_some_and(|source| source.is_ipv4() != address.address().is_ipv4()) {
                continue;
            }
            last = match timeout_at(now + share, self.dial(*address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                    Error::new(Kind::TimedOut(Phase::Connect), name).cause(error)
                }
                Ok(Err(error)) => Error::new(Kind::Refused, name).cause(error),
                Err(_) => Error::new(Kind::TimedOut(Phase::Connect), name),
            };
        }
        Err(last)
    }

    async fn dial(&self, vetted: Vetted) -> io::Result<TcpStream> {
        let address = vetted.address();
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.set_nodelay(true)?;
        socket.connect(address).await
    }
}

/// The address at the other end of a connection, handed to each response on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// One connection of the pool.
pub(crate) struct Link {
    peer: SocketAddr,
    transport: Transport,
}

enum Transport {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().extra(Peer(self.peer))
    }
}

impl hyper::rt::Read for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Transport::Tls(io) => Pin::new(&mut **io).poll_read(cx, buffer),
        }
    }
}

// No vectored writes: a head and a small body in one buffer are cheaper to send than as two.
impl hyper::rt::Write for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Transport::Tls(io) => Pin::new(&mut **io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(io) => Pin::new(io).poll_flush(cx),
            Transport::Tls(io) => Pin::new(&mut **io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Transport::Tls(io) => Pin::new(&mut **io).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::error::Kind;

    #[test]
    fn an_address_is_read_as_host_and_port_or_refused() {
        let good = [
            ("http://a.example/x", "a.example:80"),
            ("https://a.example", "a.example:443"),
            ("http://a.example:8080/?q=1", "a.example:8080"),
            ("http://[::1]:9/", "[::1]:9"),
        ];
        for (uri, wanted) in good {
            assert_eq!(Target::of(&uri.parse().unwrap()).unwrap().to_string(), wanted);
        }
        for uri in [
            "/path",
            "ftp://a.example/",
            "http://user:pw@a.example/",
            "a.example:80",
            "http://a.example:99999/",
            "http://a.example:0/",
            "http://a.example:/",
        ] {
            let Ok(parsed) = uri.parse() else { continue };
            let refused = Target::of(&parsed).unwrap_err();
            assert_eq!(refused.kind(), Kind::Malformed, "{uri}");
            assert!(!refused.to_string().contains("pw"));
        }
    }
}
