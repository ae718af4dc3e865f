//! The plain-HTTP listener that only sends members to the https address.
//!
//! A request for the public host is answered with 308, so that method and body stay what they are (RFC 9110 section
//! 15.4.9), to the public address with the request's own path and query. A request for another host is answered with 421:
//! this server does not speak for it (section 15.5.20), and an answer that named a host from the request would send
//! its reader wherever the request's writer wanted. Nothing of a request stands in a body.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::uri::Authority;
use http::{HeaderValue, StatusCode, header};

/// Answers every method and path. `origin` is scheme, host and port of the public address, without a slash at its end.
pub fn redirect(origin: &str) -> Router {
    let to: String = origin.to_owned();
    let host = origin.split_once("://").and_then(|(_, authority)| authority.parse::<Authority>().ok());
    let host = host.map(|authority| authority.host().to_ascii_lowercase());
    Router::new().fallback(move |request: Request| {
        let response = answer(&request, &to, host.as_deref());
        async move { response }
    })
}

fn answer(request: &Request, to: &str, public: Option<&str>) -> Response {
    let Some(asked) = host(request) else { return empty(StatusCode::BAD_REQUEST) };
    // The port of a request for port 80 says nothing about that of the address.
    if !public.is_some_and(|public| asked.eq_ignore_ascii_case(public)) {
        return empty(StatusCode::MISDIRECTED_REQUEST);
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let location =
        path.starts_with('/').then(|| HeaderValue::from_str(&format!("{to}{path}")).ok()).flatten();
    let Some(location) = location else { return empty(StatusCode::BAD_REQUEST) };
    let mut response = empty(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// The host that a request is for: of its target where that is absolute, else of its one `Host` (RFC 9112 section 3.2).
fn host(request: &Request) -> Option<String> {
    let mut given = request.headers().get_all(header::HOST).iter();
    let (field, more) = (given.next(), given.next());
    if more.is_some() {
        return None;
    }
    if let Some(authority) = request.uri().authority() {
        return Some(authority.host().to_owned());
    }
    let authority: Authority = field?.to_str().ok()?.parse().ok()?;
    // `user@host` is a host to some readers and none to others.
    (!authority.as_str().contains('@')).then(|| authority.host().to_owned())
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
