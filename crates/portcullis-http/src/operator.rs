//! The operator plane: what the operator of the instance reads, on a listener of its own.
//!
//! It wants the operator's token for everything, on loopback too: whoever runs a program on this machine is not its
//! operator. A page in a browser cannot reach it by a name of its own choosing (`Host`) nor from another site
//! (`Origin`). Its routes are in one table, [`OPERATOR_ROUTES`]; the members' listener has none of them but the word
//! whether the process runs.

mod front;
pub mod metrics;
mod process;

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use portcullis_core::RequestId;
use portcullis_guard::guards::operator::OperatorToken;
use portcullis_guard::{Code, Noticed, Refusal, SecurityEvent};
use serde_json::json;

use crate::app::App;
use crate::problem::{Problem, Shape};
use crate::routes::health::json as json_response;
use crate::stack::{Peer, SECURITY_HEADERS};
use front::Turnstile;

/// The longest that one answer may take.
const TIME: Duration = Duration::from_secs(10);

/// What an [`Operator`] is made of.
#[derive(Debug)]
pub struct OperatorParts {
    /// The members' plane, which is what is told about.
    pub app: Arc<App>,
    /// What proves to be the operator.
    pub token: OperatorToken,
    /// The program's version.
    pub version: &'static str,
}

/// The operator plane of an instance.
#[derive(Debug)]
pub struct Operator {
    parts: OperatorParts,
    turnstile: Mutex<Turnstile>,
    /// When it was made, on the monotonic clock.
    since: Duration,
}

impl Operator {
    /// Puts the parts together.
    pub fn new(parts: OperatorParts) -> Arc<Self> {
        let since = parts.app.gate().clock().monotonic();
        Arc::new(Self { parts, turnstile: Mutex::default(), since })
    }

    fn app(&self) -> &App {
        &self.parts.app
    }

    fn uptime(&self) -> Duration {
        self.app().gate().clock().monotonic().saturating_sub(self.since)
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

/// A route of the operator plane. Each is read with GET.
#[derive(Clone, Copy)]
pub struct OperatorRoute {
    /// Its path.
    pub path: &'static str,
    /// What it tells, in one line.
    pub summary: &'static str,
    handler: fn(Arc<Operator>) -> Answer,
}

impl fmt::Debug for OperatorRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}", self.path)
    }
}

/// The table.
pub const OPERATOR_ROUTES: &[OperatorRoute] = &[
    OperatorRoute {
        path: "/metrics",
        summary: "Numbers for Prometheus",
        handler: |operator| Box::pin(read_metrics(operator)),
    },
    OperatorRoute {
        path: "/status",
        summary: "What the instance is and how it stands",
        handler: |operator| Box::pin(status(operator)),
    },
    OperatorRoute {
        path: "/healthz",
        summary: "Whether the process runs",
        handler: |_| Box::pin(async { Ok(json_response(StatusCode::OK, &json!({ "status": "live" }))) }),
    },
];

/// The router of the operator plane. There is one way in, for known and unknown paths alike.
pub fn operator_router(operator: &Arc<Operator>) -> Router {
    let operator = Arc::clone(operator);
    Router::new().fallback(move |request: Request| {
        let operator = Arc::clone(&operator);
        // Only its head is wanted; a body is not read.
        let (head, _) = request.into_parts();
        async move { answer(operator, &head).await }
    })
}

async fn answer(operator: Arc<Operator>, head: &http::request::Parts) -> Response {
    let id = RequestId::new(operator.app().gate().clock());
    let peer = head.extensions.get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    let answer = match admit(&operator, head, peer, id).and_then(|()| route(head)) {
        Ok(route) => {
            let work = tokio::time::timeout(TIME, (route.handler)(Arc::clone(&operator)));
            let late = || Refusal::new(Code::TimedOut, "the request took longer than the limit");
            work.await.unwrap_or_else(|_| Err(late()))
        }
        Err(refusal) => Err(refusal),
    };
    let mut response = answer.unwrap_or_else(|refusal| {
        let wrong_method = refusal.code == Code::InvalidRequest;
        let problem = Problem { refusal, shape: Shape::Problem, request: Some(id) };
        let mut response = problem.into_response();
        if wrong_method {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        response
    });
    for (name, value) in SECURITY_HEADERS {
        let name = http::HeaderName::from_static(name);
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
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

fn route(head: &http::request::Parts) -> Result<&'static OperatorRoute, Refusal> {
    let found = OPERATOR_ROUTES.iter().find(|route| route.path == head.uri.path());
    let route = found.ok_or_else(|| Refusal::new(Code::NotFound, "the operator plane has no such route"))?;
    if matches!(head.method, http::Method::GET | http::Method::HEAD) {
        Ok(route)
    } else {
        Err(Refusal::new(Code::InvalidRequest, "this route is read with GET"))
    }
}

async fn read_metrics(operator: Arc<Operator>) -> Result<Response, Refusal> {
    let text =
        metrics::read(&operator).map_err(|_| Refusal::new(Code::Internal, "the metrics have no text"))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

async fn status(operator: Arc<Operator>) -> Result<Response, Refusal> {
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
