//! The plain-HTTP listener that only sends members to the https address.
//!
//! A request for the public host, or for a community's own, is answered with 308, so that method and body stay what they
//! are (RFC 9110 section 15.4.9), to that host's https address with the request's own path and query. A request for
//! another host is answered with 421: this server does not speak for it (section 15.5.20), and an answer that named a
//! host from the request would send its reader wherever the request's writer wanted. The address in an answer is made
//! from what is configured, never from the request. Nothing of a request stands in a body.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, StatusCode, header};
use portcullis_store::CommunityRef;

use crate::app::App;

/// Answers every method and path.
pub fn redirect(app: &Arc<App>) -> Router {
    let app = Arc::clone(app);
    Router::new().fallback(move |request: Request| {
        let app = Arc::clone(&app);
        // Only its head is wanted, and a body cannot be shared while the directory is asked.
        let (head, _) = request.into_parts();
        async move { answer(&app, &head).await }
    })
}

async fn answer(app: &App, head: &Parts) -> Response {
    let Some(asked) = host(head) else { return empty(StatusCode::BAD_REQUEST) };
    let origin = match origin(app, &asked.to_ascii_lowercase()).await {
        Ok(Some(origin)) => origin,
        Ok(None) => return empty(StatusCode::MISDIRECTED_REQUEST),
        Err(unavailable) => return empty(unavailable),
    };
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let location =
        path.starts_with('/').then(|| HeaderValue::from_str(&format!("{origin}{path}")).ok()).flatten();
    let Some(location) = location else { return empty(StatusCode::BAD_REQUEST) };
    let mut response = empty(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// The https address of a host, if it is one of ours. The port of a request for port 80 says nothing about that of the
/// address, so it is left out.
async fn origin(app: &App, host: &str) -> Result<Option<String>, StatusCode> {
    let public = &app.settings().origin;
    let authority = public.split_once("://").and_then(|(_, authority)| authority.parse::<Authority>().ok());
    if authority.is_some_and(|authority| authority.host().eq_ignore_ascii_case(host)) {
        return Ok(Some(public.clone()));
    }
    match app.stores().directory.find(CommunityRef::Host(host)).await {
        Ok(community) => Ok(community.map(|community| app.origin_of(&community))),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// The host that a request is for: of its target where that is absolute, else of its one `Host` (RFC 9112 section 3.2).
fn host(head: &Parts) -> Option<String> {
    let mut given = head.headers.get_all(header::HOST).iter();
    let (field, more) = (given.next(), given.next());
    if more.is_some() {
        return None;
    }
    if let Some(authority) = head.uri.authority() {
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
