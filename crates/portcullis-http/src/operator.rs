//! The operator plane: what the operator of the instance reads and sets, on a listener of its own.
//!
//! It wants the operator's token for everything, on loopback too: whoever runs a program on this machine is not its
//! operator. A page in a browser cannot reach it by a name of its own choosing (`Host`) nor from another site
//! (`Origin`). Who is blocked for members is not blocked here. Its routes are in one table, [`OPERATOR_ROUTES`]; the members' listener has none of them but the word
//! whether the process runs.

mod blocklist;
mod communities;
mod front;
pub mod metrics;
mod process;

use std::fmt;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use portcullis_audit::{ActorRef, Change, Event, Record};
use portcullis_core::secret::KnownToken;
use portcullis_core::{CommunityId, RequestId};
use portcullis_guard::refusal::causes;
use portcullis_guard::{Code, Noticed, Refusal, SecurityEvent};
use serde_json::json;

use crate::app::App;
use crate::block_file::BlockFile;
use crate::dispatch::done;
use crate::problem::{Problem, Shape};
use crate::routes::health::json as json_response;
use crate::routes::{Answer, Left};
use crate::stack::{Peer, SECURITY_HEADERS, panicked};
use front::Turnstile;

/// The longest that one answer is waited for.
const TIME: Duration = Duration::from_secs(10);

/// The largest body of a change, in bytes.
const MOST_BYTES: usize = 4 << 10;

/// What an [`Operator`] is made of.
#[derive(Debug)]
pub struct OperatorParts {
    /// The members' plane, which is what is told about.
    pub app: Arc<App>,
    /// What proves to be the operator.
    pub token: KnownToken,
    /// The program's version.
    pub version: &'static str,
    /// Where blocks are kept over restarts.
    pub blocks: Arc<BlockFile>,
}

/// The operator plane of an instance.
#[derive(Debug)]
pub struct Operator {
    parts: OperatorParts,
    turnstile: Mutex<Turnstile>,
    /// Changes of the blocklist come one after the other.
    changing: tokio::sync::Mutex<()>,
    /// When it was made, on the monotonic clock.
    since: Duration,
}

impl Operator {
    /// Puts the parts together.
    pub fn new(parts: OperatorParts) -> Arc<Self> {
        let since = parts.app.gate().clock().monotonic();
        Arc::new(Self { parts, turnstile: Mutex::default(), changing: tokio::sync::Mutex::default(), since })
    }

    fn app(&self) -> &App {
        &self.parts.app
    }

    fn uptime(&self) -> Duration {
        self.app().gate().clock().monotonic().saturating_sub(self.since)
    }
}

/// What a route of the operator plane works with.
#[derive(Debug)]
struct OperatorCall {
    operator: Arc<Operator>,
    /// What stands in the path where the route has a parameter.
    named: String,
    /// The body, whole; empty for routes that only read.
    body: Bytes,
}

/// A route of the operator plane.
#[derive(Clone)]
pub struct OperatorRoute {
    /// Its method.
    pub method: Method,
    /// Its path; at most one part of it stands in braces and is a parameter.
    pub path: &'static str,
    /// What it tells or does, in one line.
    pub summary: &'static str,
    /// A body that it takes, as JSON, where it takes one.
    pub example: Option<&'static str>,
    left: Left,
    handler: fn(OperatorCall) -> Answer,
}

impl fmt::Debug for OperatorRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl OperatorRoute {
    const fn read(path: &'static str, summary: &'static str, handler: fn(OperatorCall) -> Answer) -> Self {
        Self { method: Method::GET, path, summary, example: None, left: Left::Ended, handler }
    }

    /// A change: once begun it is made and recorded, whoever leaves.
    const fn change(
        method: Method,
        path: &'static str,
        summary: &'static str,
        example: Option<&'static str>,
        handler: fn(OperatorCall) -> Answer,
    ) -> Self {
        Self { method, path, summary, example, left: Left::SeenThrough, handler }
    }

    /// What a path names, if it is this route's: empty where the route has no parameter.
    fn matches<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut named = "";
        let (mut own, mut given) = (self.path.split('/'), path.split('/'));
        loop {
            match (own.next(), given.next()) {
                (None, None) => return Some(named),
                (Some(own), Some(given)) if own.starts_with('{') && !given.is_empty() => named = given,
                (Some(own), Some(given)) if own == given => {}
                _ => return None,
            }
        }
    }
}

/// The table.
pub const OPERATOR_ROUTES: &[OperatorRoute] = &[
    OperatorRoute::read("/metrics", "Numbers for Prometheus", |call| Box::pin(read_metrics(call))),
    OperatorRoute::read("/status", "What the instance is and how it stands", |call| Box::pin(status(call))),
    OperatorRoute::read(
        "/blocklist",
        "The addresses and networks that are refused: configured, listed here, blocked for what they did",
        |call| Box::pin(blocklist::list(call)),
    ),
    OperatorRoute::change(
        Method::POST,
        "/blocklist",
        "Refuse an address or a network from now on, for so many seconds or for ever",
        Some(r#"{"network":"192.0.2.0/24","reason":"scans","seconds":3600}"#),
        |call| Box::pin(blocklist::add(call)),
    ),
    OperatorRoute::change(
        Method::DELETE,
        "/blocklist/{block}",
        "Serve a blocked address or network again",
        None,
        |call| Box::pin(blocklist::remove(call)),
    ),
    OperatorRoute::read("/communities", "The communities, with their tiers", |call| {
        Box::pin(communities::list(call))
    }),
    OperatorRoute::read("/communities/{community}/tier", "A community's tier and what it admits", |call| {
        Box::pin(communities::tier(call))
    }),
    OperatorRoute::change(
        Method::PUT,
        "/communities/{community}/tier",
        "Put a community into another tier, from the next request on",
        Some(r#"{"tier":"enhanced"}"#),
        |call| Box::pin(communities::set_tier(call)),
    ),
    OperatorRoute::read("/healthz", "Whether the process runs", |_| {
        Box::pin(async { Ok(json_response(StatusCode::OK, &json!({ "status": "live" }))) })
    }),
];

/// The router of the operator plane. There is one way in, for known and unknown paths alike.
pub fn operator_router(operator: &Arc<Operator>) -> Router {
    let operator = Arc::clone(operator);
    Router::new().fallback(move |request: Request| {
        let operator = Arc::clone(&operator);
        let (head, body) = request.into_parts();
        async move { answer(operator, &head, body).await }
    })
}

async fn answer(operator: Arc<Operator>, head: &http::request::Parts, body: Body) -> Response {
    let id = RequestId::new(operator.app().gate().clock());
    let peer = head.extensions.get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    let found = admit(&operator, head, peer, id).map_err(Unfit::Refused).and_then(|()| route(head));
    let mut response = match found {
        Ok((route, named)) => {
            let named = named.to_owned();
            let work = async {
                let call = |body| OperatorCall { operator: Arc::clone(&operator), named, body };
                // The body of what only reads is not looked at.
                let body = if route.method.is_safe() { Bytes::new() } else { whole(body).await? };
                // The time is for waiting: a change that was begun is made and recorded.
                done(operator.app(), route.left, (route.handler)(call(body))).await
            };
            let late = || Refusal::new(Code::TimedOut, "the request took longer than the limit");
            match tokio::time::timeout(TIME, AssertUnwindSafe(work).catch_unwind()).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(panicked(id)),
                Err(_) => Err(late()),
            }
            .unwrap_or_else(|refusal| problem(refusal, id))
        }
        Err(Unfit::Refused(refusal)) => problem(refusal, id),
        Err(Unfit::Method(allowed)) => {
            let detail = format!("this route takes {allowed}");
            let mut response = problem(Refusal::new(Code::InvalidRequest, detail), id);
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            if let Ok(allowed) = HeaderValue::try_from(allowed) {
                response.headers_mut().insert(header::ALLOW, allowed);
            }
            response
        }
    };
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

fn problem(refusal: Refusal, id: RequestId) -> Response {
    Problem { refusal, shape: Shape::Problem, request: Some(id) }.into_response()
}

/// Why no route takes a request.
enum Unfit {
    Refused(Refusal),
    /// The methods that the path takes.
    Method(String),
}

/// A body of a change, which is small.
async fn whole(body: Body) -> Result<Bytes, Refusal> {
    axum::body::to_bytes(body, MOST_BYTES).await.map_err(|_| {
        Refusal::new(
            Code::BodyTooLarge,
            format!("a body of at most {MOST_BYTES} bytes is taken here, in one piece"),
        )
    })
}

/// Whose request this is: from no foreign page, under no made-up name, and with the operator's token.
fn admit(
    operator: &Operator,
    head: &http::request::Parts,
    peer: IpAddr,
    request: RequestId,
) -> Result<(), Refusal> {
    let gate = operator.app().gate();
    let note = |event| gate.note(Noticed::new(event, "operator-token").in_request(request));
    if let Err(refusal) = front::own_request(head, &operator.app().settings().origin) {
        note(SecurityEvent::ForeignPage);
        return Err(refusal);
    }
    let Some(token) = front::bearer(&head.headers) else {
        return Err(Refusal::new(
            Code::CredentialMissing,
            "send the operator's token as `Authorization: Bearer …`",
        ));
    };
    // The right token always passes: who sends wrong ones from the same address cannot keep the operator out.
    if operator.parts.token.holds(token) {
        return Ok(());
    }
    note(SecurityEvent::CredentialRefused);
    match operator.turnstile.lock().refuse(gate.clock().monotonic(), peer) {
        None => Err(Refusal::new(Code::CredentialInvalid, "the token is not the operator's")),
        Some(wait) => {
            Err(Refusal::new(Code::RateLimited, "too many wrong tokens from this address").retry_after(wait))
        }
    }
}

/// Refuses a change while it could not be recorded: a change that nobody could see later is what an intruder wants.
fn ready(operator: &Operator) -> Result<(), Refusal> {
    if operator.app().gate().journal().failure().is_some() {
        return Err(unrecorded("the audit journal cannot be written, so nothing is changed"));
    }
    Ok(())
}

/// Records a change that was made, or takes it back.
async fn record(
    operator: &Operator,
    community: Option<CommunityId>,
    change: Change,
    undo: impl Future<Output = Result<(), Refusal>>,
) -> Result<(), Refusal> {
    let record = Record { community, actor: ActorRef::Operator, event: Event::Administered(change) };
    let Err(error) = operator.app().gate().journal().append(record).await else { return Ok(()) };
    tracing::error!(error = %causes(&error), "the audit journal cannot be written");
    undo.await?;
    Err(unrecorded("the audit journal could not record the change, so it was taken back"))
}

fn unrecorded(detail: &'static str) -> Refusal {
    Refusal::new(Code::AuditUnavailable, detail).retry_after(Duration::from_secs(30))
}

fn route(head: &http::request::Parts) -> Result<(&'static OperatorRoute, &str), Unfit> {
    let path = head.uri.path();
    let ours = || OPERATOR_ROUTES.iter().filter_map(|route| Some((route, route.matches(path)?)));
    let takes = |route: &OperatorRoute| {
        head.method == route.method || head.method == Method::HEAD && route.method == Method::GET
    };
    if let Some(found) = ours().find(|(route, _)| takes(route)) {
        return Ok(found);
    }
    let allowed: Vec<&str> = ours().map(|(route, _)| route.method.as_str()).collect();
    if allowed.is_empty() {
        return Err(Unfit::Refused(Refusal::new(Code::NotFound, "the operator plane has no such route")));
    }
    Err(Unfit::Method(allowed.join(", ")))
}

async fn read_metrics(call: OperatorCall) -> Result<Response, Refusal> {
    let operator = call.operator;
    let text =
        metrics::read(&operator).map_err(|_| Refusal::new(Code::Internal, "the metrics have no text"))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

async fn status(call: OperatorCall) -> Result<Response, Refusal> {
    let operator = call.operator;
    let app = operator.app();
    let communities = app.stores().directory.list().await?.len();
    let reached = app.gate().journal().meter().reached();
    let model = match app.chat().has_model() {
        false => "none",
        true if app.chat().ping().await => "ready",
        true => "not ready",
    };
    let checkpoint = reached.checkpoint.map(|(size, root)| json!({ "size": size, "root": root.to_string() }));
    let body = json!({
        "version": operator.parts.version,
        "uptime_seconds": operator.uptime().as_secs(),
        "communities": communities,
        "model": model,
        "journal": {
            "records": reached.records,
            "checkpoint": checkpoint,
            "status": if app.gate().journal().failure().is_none() { "ready" } else { "not ready" },
        },
    });
    Ok(json_response(StatusCode::OK, &body))
}
