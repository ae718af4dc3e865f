//! The transport layers, in the order in which a request meets them. They know nothing of what is asked.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, header};
use portcullis_core::RequestId;
use portcullis_guard::{Code, Refusal};

use crate::app::App;
use crate::cookies::Cookies;
use crate::problem::{Problem, Shape};
use crate::routes::STATE;

/// The layers, outermost first, as `portcullis explain pipeline` prints them.
pub const LAYERS: &[(&str, &str)] = &[
    (
        "connection-limits",
        "connections in all and per address, header size, header time and a client that reads nothing are bounded",
    ),
    ("request-id", "every request has an id, in the log, the audit and the response"),
    ("security-headers", "every response, errors too, carries the headers that browsers act on"),
    ("quiet-errors", "an error is told in fixed words, and repeats nothing of what was sent"),
    ("catch-panic", "a bug ends one request with a plain error, not the server"),
    ("drain", "once the server stops, no request is begun"),
    (
        "time-limit",
        "a request that has not begun to answer in time is refused; a change that it has begun is made and recorded",
    ),
    (
        "body-limit",
        "a body over the limit is refused, by its length or as it arrives, and so is one that is too slow",
    ),
];

/// The address of the peer at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// What the outer layers pass to the inner ones.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The request's id.
    pub request: RequestId,
    /// The client's address, as far as trusted proxies tell it.
    pub client: IpAddr,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// All layers in one place: the body reads in the order of [`LAYERS`].
pub async fn stack(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let id = RequestId::new(app.gate().clock());
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    let client = app.settings().proxies.client(peer, request.headers());
    request.extensions_mut().insert(Context { request: id, client });
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let started = app.gate().clock().monotonic();

    #[cfg(feature = "guard-off")]
    let sent = format!("{} {:?}", request.uri(), request.headers());

    let closing = app.gate().tasks().is_closing();
    let begins = !closing || path.as_ref().is_some_and(|path| STATE.contains(&path.as_str()));
    let mut response = if begins { time_limited(&app, id, request, next).await } else { shutting_down(id) };
    if closing {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }

    #[cfg(feature = "guard-off")]
    if response.status().is_client_error() && !app.gate().switches().on("quiet-errors") {
        response = repeating(response, sent).await;
    }
    if app.gate().switches().on("security-headers") {
        security_headers(&app, &mut response);
    }
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let took = app.gate().clock().monotonic().saturating_sub(started);
    app.requests().answered(&method, path.as_ref(), response.status(), took);
    // The matched route, never the path itself: a path can hold an id, and a stranger can write anything into it.
    tracing::info!(
        request.id = %id,
        http.method = %method,
        http.route = path.as_ref().map_or("-", MatchedPath::as_str),
        http.status = response.status().as_u16(),
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    response
}

/// The hole that `quiet-errors` leaves when it is off: an error repeats what was sent.
#[cfg(feature = "guard-off")]
async fn repeating(response: Response, sent: String) -> Response {
    let (mut head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let repeated = match serde_json::from_slice(&body) {
        Ok(serde_json::Value::Object(mut told)) => {
            told.insert("sent".to_owned(), sent.into());
            serde_json::Value::Object(told).to_string()
        }
        _ => String::from_utf8_lossy(&body).into_owned() + &sent,
    };
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(repeated))
}

async fn time_limited(app: &App, id: RequestId, request: Request, next: Next) -> Response {
    let limit = app.settings().request_timeout;
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    let refusal = match tokio::time::timeout(limit, work).await {
        Ok(Ok(response)) => return response,
        Ok(Err(_)) => panicked(id),
        Err(_) => Refusal::new(Code::TimedOut, "the request took longer than the limit")
            .retry_after(Duration::from_secs(1)),
    };
    app.gate().refused(&refusal, id);
    Problem { refusal, shape: Shape::Problem, request: Some(id) }.into_response()
}

/// What becomes of a request whose code panicked. What a panic says may be anybody's words, and is told nobody.
pub(crate) fn panicked(id: RequestId) -> Refusal {
    tracing::error!(request.id = %id, "a request handler panicked");
    Refusal::new(Code::Internal, "something went wrong here; the request id tells the operator where to look")
}

fn shutting_down(id: RequestId) -> Response {
    let refusal =
        Refusal::new(Code::ShuttingDown, "the server is stopping; ask again, another one may answer")
            .retry_after(Duration::from_secs(1))
            .by("drain");
    Problem { refusal, shape: Shape::Problem, request: Some(id) }.into_response()
}

/// The headers that browsers act on. A response that has one of its own keeps it.
pub(crate) const SECURITY_HEADERS: [(HeaderName, HeaderValue); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The headers of control EDGE-07. A response that set its own, such as a page with its own policy, keeps it.
fn security_headers(app: &App, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(value);
    }
    if app.cookies() == Cookies::Secure {
        headers
            .entry(header::STRICT_TRANSPORT_SECURITY)
            .or_insert(HeaderValue::from_static("max-age=63072000; includeSubDomains"));
    }
}
