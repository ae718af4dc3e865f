//! The server: one route, `POST /jobs`, on loopback, for the holder of a key.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_core::secret::KnownToken;
use portcullis_core::{Secret, Tasks};
use portcullis_sandbox::{Error, Queue};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::wire;

/// The largest request: a program of 16 MiB in base64, and its input.
const LARGEST: usize = 28 << 20;
/// The most connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 64;
/// The longest time for a request's head, and for its body.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long stopping waits for jobs.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// A running API; dropping it leaves it running until the process ends, so it is stopped.
#[derive(Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    tasks: Tasks,
}

#[derive(Debug)]
struct Shared {
    key: KnownToken,
    queue: Queue,
}

impl Api {
    /// Serves the jobs of this queue on a loopback address, to whoever sends this key.
    pub(crate) async fn start(address: SocketAddr, key: Secret<String>, queue: Queue) -> Result<Self> {
        ensure!(
            address.ip().is_loopback(),
            "`--api` is {address}, wanted a loopback address: put what others reach in front of it"
        );
        ensure!(!key.expose().is_empty(), "the key is empty, wanted one that cannot be guessed");
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr().context("it listens nowhere")?;
        let tasks = Tasks::new();
        let shared = Arc::new(Shared { key: KnownToken::new(key.expose().as_bytes()), queue });
        tasks.spawn(accept(listener, shared, tasks.clone()));
        Ok(Self { address, tasks })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more and waits for what runs.
    pub(crate) async fn stop(self) {
        self.tasks.close(STOP_WAIT).await;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks.closing() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, say: the next one may be luckier.
            tokio::task::yield_now().await;
            continue;
        };
        tasks.spawn(serve(stream, Arc::clone(&shared), tasks.clone(), place));
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, tasks: Tasks, _place: OwnedSemaphorePermit) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(respond(request, &shared).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // What breaks a connection is the other end's doing.
        _ = connection.as_mut() => {}
        () = tasks.closing() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn respond(request: Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let sent = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    if !sent.strip_prefix(b"Bearer ").is_some_and(|token| shared.key.holds(token)) {
        return answer(StatusCode::UNAUTHORIZED, &error("send the key of this sandbox as a bearer token"));
    }
    if request.uri().path() != "/jobs" {
        return answer(StatusCode::NOT_FOUND, &error("there is `POST /jobs` alone"));
    }
    if request.method() != Method::POST {
        return answer(StatusCode::METHOD_NOT_ALLOWED, &error("jobs are sent with POST"));
    }
    let body = Limited::new(request.into_body(), LARGEST).collect();
    let body = match tokio::time::timeout(PATIENCE, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return answer(StatusCode::PAYLOAD_TOO_LARGE, &error("the body is too large, or broke off"));
        }
        Err(_) => return answer(StatusCode::REQUEST_TIMEOUT, &error("the body took too long")),
    };
    let job = match wire::read(&body) {
        Ok(job) => job,
        Err(why) => return answer(StatusCode::UNPROCESSABLE_ENTITY, &error(why)),
    };
    match shared.queue.run(job).await {
        Ok(held) => answer(StatusCode::OK, &wire::ran(&held)),
        Err(Error::Refused(why)) => answer(StatusCode::OK, &wire::refused(&why)),
        Err(Error::Busy) => {
            answer(StatusCode::SERVICE_UNAVAILABLE, &error("too many jobs wait; try again later"))
        }
        Err(failed) => {
            tracing::error!(%failed, "the sandbox failed");
            answer(StatusCode::INTERNAL_SERVER_ERROR, &error("the sandbox failed"))
        }
    }
}

fn error(why: &str) -> Value {
    json!({ "error": why })
}

fn answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
