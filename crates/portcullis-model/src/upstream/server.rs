//! A test upstream behind a real socket.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use portcullis_core::Tasks;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Behaviour;
use super::answer::CREATED;
use super::heard::Heard;
use super::reply::{Cut, Playback, Reply};

/// Largest request that is read, in bytes.
const MAX_BODY: usize = 16 << 20;
/// Most requests, and most bytes of them, that are remembered; older ones are forgotten first.
const MAX_REMEMBERED: usize = 4096;
const MAX_REMEMBERED_BYTES: usize = 16 << 20;
/// Most bytes that are told of what was heard.
const MAX_TOLD_BYTES: usize = 2 << 20;
/// How long stopping waits for connections to end.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// A running test upstream: speaks OpenAI's wire format on a loopback port, counts, and remembers what it was sent.
/// Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    record: Arc<Record>,
    tasks: Tasks,
    stop: watch::Sender<bool>,
}

#[derive(Debug)]
struct Record {
    remembered: Mutex<Remembered>,
    tells: Tells,
    connections: AtomicU64,
    served: watch::Sender<u64>,
    abandoned: watch::Sender<u64>,
}

/// Whether whoever asks is told what was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    Nothing,
    Heard,
}

#[derive(Debug, Default)]
struct Remembered {
    requests: VecDeque<Heard>,
    bytes: usize,
}

impl Upstream {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(behaviour: impl Behaviour) -> io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), behaviour).await
    }

    /// Starts at that address.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start_at(address: SocketAddr, behaviour: impl Behaviour) -> io::Result<Self> {
        Self::start_telling(address, behaviour, Tells::Nothing).await
    }

    /// Starts on a free port of 127.0.0.1, and tells whoever asks `GET /heard` the latest chat requests, newest first: a
    /// trace of what really went to the model.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start_with_trace(behaviour: impl Behaviour) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_telling(address, behaviour, Tells::Heard).await
    }

    /// The same at that address.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start_at_with_trace(address: SocketAddr, behaviour: impl Behaviour) -> io::Result<Self> {
        Self::start_telling(address, behaviour, Tells::Heard).await
    }

    async fn start_telling(address: SocketAddr, behaviour: impl Behaviour, tells: Tells) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let record = Arc::new(Record {
            remembered: Mutex::default(),
            tells,
            connections: AtomicU64::new(0),
            served: watch::Sender::new(0),
            abandoned: watch::Sender::new(0),
        });
        let (tasks, stop) = (Tasks::new(), watch::Sender::new(false));
        let behaviour: Arc<dyn Behaviour> = Arc::new(behaviour);
        let accepting = accept(listener, behaviour, Arc::clone(&record), tasks.clone(), stop.subscribe());
        tasks.spawn(accepting);
        Ok(Self { address, record, tasks, stop })
    }

    /// The base URL, with `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that are remembered, oldest first.
    pub fn requests(&self) -> Vec<Heard> {
        self.record.remembered.lock().requests.iter().cloned().collect()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> u64 {
        self.record.connections.load(Ordering::Relaxed)
    }

    /// How many requests came, remembered or not.
    pub fn served(&self) -> u64 {
        *self.record.served.borrow()
    }

    /// How many replies were given up on by the other end before they were complete.
    pub fn abandoned(&self) -> u64 {
        *self.record.abandoned.borrow()
    }

    /// Waits until so many requests have come.
    pub async fn wait_served(&self, count: u64) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.record.served.subscribe().wait_for(|served| *served >= count).await;
    }

    /// Waits until so many replies were given up on.
    pub async fn wait_abandoned(&self, count: u64) {
        let _ = self.record.abandoned.subscribe().wait_for(|abandoned| *abandoned >= count).await;
    }

    /// Closes the port and every connection, and waits until they are closed.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.tasks.close(STOP_WAIT).await;
    }
}

async fn accept(
    listener: TcpListener,
    behaviour: Arc<dyn Behaviour>,
    record: Arc<Record>,
    tasks: Tasks,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Also when the upstream was dropped: then its sender is gone.
            _ = stop.changed() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, say: the next connection may be luckier.
            tokio::task::yield_now().await;
            continue;
        };
        record.connections.fetch_add(1, Ordering::Relaxed);
        tasks.spawn(serve(stream, Arc::clone(&behaviour), Arc::clone(&record), stop.clone()));
    }
}

async fn serve(
    stream: TcpStream,
    behaviour: Arc<dyn Behaviour>,
    record: Arc<Record>,
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let (behaviour, record) = (Arc::clone(&behaviour), Arc::clone(&record));
        async move { Ok::<_, Infallible>(respond(request, &*behaviour, record).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // An error here is the other end's doing, and is counted by the visit that it ended.
        _ = connection => {}
        _ = stop.changed() => {}
    }
}

async fn respond(
    request: Request<Incoming>,
    behaviour: &dyn Behaviour,
    record: Arc<Record>,
) -> Response<Said> {
    let visit = Visit { record: Arc::clone(&record), over: false };
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Said::whole(Reply::error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "too large"), visit);
    };
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let heard = Heard { method: head.method, path, headers: head.headers, body: body.to_bytes() };
    if (&heard.method, head.uri.path()) == (&Method::GET, "/heard") && record.tells == Tells::Heard {
        return Said::whole(Reply::json(StatusCode::OK, &record.told(behaviour)), visit);
    }
    record.remember(heard.clone());
    let reply = match (&heard.method, head.uri.path()) {
        (&Method::POST, "/v1/chat/completions") => behaviour.answer(&heard),
        (&Method::GET, "/v1/models") if behaviour.elsewhere(&heard).is_none() => Reply::json(
            StatusCode::OK,
            &json!({"object": "list", "data": [
                {"id": behaviour.name(), "object": "model", "created": CREATED, "owned_by": "portcullis"}
            ]}),
        ),
        _ => behaviour
            .elsewhere(&heard)
            .unwrap_or_else(|| Reply::error(StatusCode::NOT_FOUND, "not_found", "no such address")),
    };
    // The visit is held across the wait: an end that leaves meanwhile drops it.
    reply.hold().await;
    Said::whole(reply, visit)
}

impl Record {
    /// What may be told of the latest requests, newest first.
    fn told(&self, behaviour: &dyn Behaviour) -> serde_json::Value {
        let mut bytes = 0_usize;
        let remembered = self.remembered.lock();
        let latest = remembered.requests.iter().rev().take_while(|heard| {
            bytes = bytes.saturating_add(heard.body.len());
            bytes <= MAX_TOLD_BYTES
        });
        latest.map(|heard| behaviour.told(heard)).filter(|body| !body.is_null()).collect()
    }

    fn remember(&self, heard: Heard) {
        let size = |heard: &Heard| heard.body.len().saturating_add(heard.path.len()).saturating_add(256);
        let mut remembered = self.remembered.lock();
        remembered.bytes = remembered.bytes.saturating_add(size(&heard));
        remembered.requests.push_back(heard);
        while remembered.requests.len() > MAX_REMEMBERED || remembered.bytes > MAX_REMEMBERED_BYTES {
            let Some(oldest) = remembered.requests.pop_front() else { break };
            remembered.bytes = remembered.bytes.saturating_sub(size(&oldest));
        }
        drop(remembered);
        self.served.send_modify(|served| *served = served.saturating_add(1));
    }
}

/// One request being answered. Dropped before it is over, it was abandoned.
struct Visit {
    record: Arc<Record>,
    over: bool,
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.over {
            self.record.abandoned.send_modify(|abandoned| *abandoned = abandoned.saturating_add(1));
        }
    }
}

/// A reply being said, and the visit that it answers.
struct Said {
    playback: Playback,
    visit: Visit,
}

impl Said {
    fn whole(reply: Reply, visit: Visit) -> Response<Self> {
        reply.into_response().map(|playback| Self { playback, visit })
    }
}

impl Body for Said {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let polled = Pin::new(&mut self.playback).poll_frame(cx);
        self.visit.over = self.playback.is_over();
        polled
    }

    fn size_hint(&self) -> SizeHint {
        self.playback.size_hint()
    }
}
