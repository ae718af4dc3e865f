//! A client that sends and reads byte by byte, as it likes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Longer than anything here takes; a test that waits so long fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// A receive buffer so small that what is not read soon fills it.
const SMALL_BUFFER: u32 = 4_096;

/// One connection.
pub(crate) struct Raw {
    stream: TcpStream,
    /// What was received and not asked for yet.
    received: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::from(to, "127.0.0.1").await
    }

    /// From that address of this machine.
    pub(crate) async fn from(to: SocketAddr, address: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(SMALL_BUFFER).expect("a small buffer");
        socket.bind(SocketAddr::new(address.parse().expect("an address"), 0)).expect("bound");
        Self { stream: socket.connect(to).await.expect("a connection"), received: Vec::new() }
    }

    /// Sends bytes; whether they could be sent.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Reads until what came ends with that, or the connection ends.
    pub(crate) async fn read_to(&mut self, end: &str) -> String {
        let end = end.as_bytes();
        let reading = async {
            let mut seen = 0;
            loop {
                let found = self.received[seen..].windows(end.len()).position(|window| window == end);
                if let Some(at) = found {
                    return seen + at + end.len();
                }
                seen = (self.received.len() + 1).saturating_sub(end.len());
                let mut piece = vec![0; 16 << 10];
                match self.stream.read(&mut piece).await {
                    Ok(read) if read > 0 => self.received.extend_from_slice(&piece[..read]),
                    _ => return self.received.len(),
                }
            }
        };
        let read =
            tokio::time::timeout(PATIENCE, reading).await.expect("the server says something or closes");
        String::from_utf8_lossy(&self.received.drain(..read).collect::<Vec<_>>()).into_owned()
    }

    /// Waits until the server has said all that fits while this end reads nothing: what it has queued stays the same.
    pub(crate) async fn wait_stalled(&self) {
        let (own, server) = (self.stream.local_addr(), self.stream.peer_addr());
        let port =
            |address: std::io::Result<SocketAddr>| format!(":{:04X}", address.expect("an address").port());
        let (own, server) = (port(own), port(server));
        let queued = || {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("the system's connections");
            table.lines().find_map(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let of_server = fields.get(1)?.ends_with(&server) && fields.get(2)?.ends_with(&own);
                let (queued, _) = fields.get(4)?.split_once(':')?;
                of_server.then(|| u64::from_str_radix(queued, 16).expect("a number"))
            })
        };
        let (mut last, mut same) = (None, 0);
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while same < 10 {
            ticks.tick().await;
            let now = queued();
            same = if now == last && now.is_some_and(|bytes| bytes > 0) { same + 1 } else { 0 };
            last = now;
        }
    }

    /// Reads until the connection ends.
    pub(crate) async fn read_all(&mut self) -> String {
        self.read_to("\u{0}never sent\u{0}").await
    }

    /// Whether the server ends the connection, within the patience of these tests.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 1_024];
        let reading = async { while matches!(self.stream.read(&mut buffer).await, Ok(read) if read > 0) {} };
        tokio::time::timeout(PATIENCE, reading).await.is_ok()
    }

    /// Sends byte after byte with pauses until the server closes; how many it took.
    pub(crate) async fn drip(&mut self, bytes: &[u8], pause: Duration) -> usize {
        let mut ticks = tokio::time::interval(pause);
        for (sent, byte) in bytes.iter().enumerate() {
            let mut answer = [0; 1];
            tokio::select! {
                _ = ticks.tick() => {}
                // An answer before the request is whole, or the end.
                _ = self.stream.peek(&mut answer) => return sent,
            }
            if !self.send(&[*byte]).await {
                return sent;
            }
        }
        bytes.len()
    }
}

/// A request's head with those headers, and a body of that length that is waited for before it is sent.
pub(crate) fn head(method: &str, path: &str, headers: &[(&str, String)], body: usize) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {body}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "expect: 100-continue\r\n\r\n"
}

/// What the server says when it begins to read a body.
pub(crate) const GO_ON: &str = "HTTP/1.1 100 Continue\r\n\r\n";

pub(crate) fn bearer(key: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {key}"))]
}
