//! Connections that begin a request and never end it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use super::Probe;

/// How long one connection may take to open.
const LONGEST: Duration = Duration::from_secs(2);

/// Open connections, each in the middle of a request's head.
#[derive(Debug)]
pub struct Dawdlers(Vec<TcpStream>);

impl Probe {
    /// Opens so many connections from that address, each with the beginning of a request. Fewer where the target takes fewer.
    pub async fn dawdle(&self, count: usize, source: Option<Ipv4Addr>) -> Dawdlers {
        let base = &self.target.base_url;
        let host = base.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = base.port_u16().unwrap_or(if base.scheme_str() == Some("https") { 443 } else { 80 });
        let address = match (&self.target.reached, host.parse::<IpAddr>()) {
            (Some(reached), _) => Some(SocketAddr::new(reached.address, port)),
            (None, Ok(address)) => Some(SocketAddr::new(address, port)),
            (None, Err(_)) => {
                let found = tokio::net::lookup_host((host.as_str(), port)).await;
                found.ok().and_then(|mut addresses| addresses.next())
            }
        };
        // To whoever speaks TLS, a client that says nothing is as slow as one that says half a head.
        let first: &[u8] = match base.scheme_str() {
            Some("https") => b"",
            _ => b"GET / HTTP/1.1\r\nHost: slow.invalid\r\nX-A: ",
        };
        let mut open = Vec::new();
        for _ in 0..count {
            let opened = tokio::time::timeout(LONGEST, connect(address, source)).await;
            if let Ok(Some(mut stream)) = opened
                && stream.write_all(first).await.is_ok()
            {
                open.push(stream);
            }
        }
        Dawdlers(open)
    }
}

async fn connect(address: Option<SocketAddr>, source: Option<Ipv4Addr>) -> Option<TcpStream> {
    let address = address?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.ok()?;
    if let Some(source) = source.filter(|_| address.is_ipv4()) {
        socket.bind(SocketAddr::new(source.into(), 0)).ok()?;
    }
    socket.connect(address).await.ok()
}

impl Dawdlers {
    /// How many are held.
    pub const fn held(&self) -> usize {
        self.0.len()
    }

    /// Sends one more byte on each that is still open.
    pub async fn drip(&mut self) {
        for stream in &mut self.0 {
            // One that was closed is what was hoped for.
            let _ = stream.try_write(b"a");
        }
    }
}
