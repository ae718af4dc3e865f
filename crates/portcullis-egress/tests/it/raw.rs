//! A listener that says given bytes and records what it was sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Request;
use portcullis_core::Tasks;
use portcullis_egress::{AddressPolicy, Client, Options};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What a listener does with each connection.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    /// Says these bytes before it is asked anything, and closes.
    Greet(Vec<u8>),
    /// Answers every request on the connection with these bytes.
    Answer(Vec<u8>),
    /// Answers the first request with these bytes and closes.
    AnswerAndClose(Vec<u8>),
    /// Answers the first request with these bytes and leaves the connection open.
    AnswerAndHang(Vec<u8>),
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    /// Each request's bytes and the address it came from.
    pub(crate) heard: mpsc::UnboundedReceiver<(String, SocketAddr)>,
    /// One message for each connection that the client closed.
    pub(crate) closed: mpsc::UnboundedReceiver<()>,
    _tasks: Tasks,
}

impl Listener {
    pub(crate) async fn start(then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (heard_in, heard) = mpsc::unbounded_channel();
        let (closed_in, closed) = mpsc::unbounded_channel();
        let tasks = Tasks::new();
        let (spawner, count) = (tasks.clone(), Arc::clone(&connections));
        tasks.spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (then, heard_in, closed_in) = (then.clone(), heard_in.clone(), closed_in.clone());
                spawner.spawn(async move {
                    serve(stream, peer, then, heard_in).await;
                    let _ = closed_in.send(());
                });
            }
        });
        Self { address, connections, heard, closed, _tasks: tasks }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    then: Then,
    heard: mpsc::UnboundedSender<(String, SocketAddr)>,
) {
    if let Then::Greet(bytes) = &then {
        stream.write_all(bytes).await.unwrap();
        return;
    }
    loop {
        let Some(request) = read_request(&mut stream).await else { return };
        heard.send((request, peer)).unwrap();
        match &then {
            Then::Greet(_) => return,
            Then::Answer(bytes) => stream.write_all(bytes).await.unwrap(),
            Then::AnswerAndClose(bytes) => {
                stream.write_all(bytes).await.unwrap();
                return;
            }
            Then::AnswerAndHang(bytes) => {
                stream.write_all(bytes).await.unwrap();
                let _ = stream.read(&mut [0; 1]).await;
                return;
            }
        }
    }
}

/// Reads a head and, when it announces one, a body.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse::<usize>().unwrap());
            if body.len() >= length {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub(crate) fn client(change: impl FnOnce(&mut Options)) -> Client {
    let mut options = Options::new(AddressPolicy::Any);
    change(&mut options);
    Client::new(options).unwrap()
}

pub(crate) fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}
