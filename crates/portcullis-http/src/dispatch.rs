//! From a request to its route's code: the router, and the one way into a closed route.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use portcullis_core::Secret;
use portcullis_guard::credential::cookie;
use portcullis_guard::{Arrival, Asker, Code, Credentials, Offence, Provenance, Refusal, pipeline};
use tokio::time::Instant;

use crate::app::App;
use crate::limits::LimitHeaders;
use crate::problem::{Problem, Shape};
use crate::routes::{Access, Answer, Call, Handler, Left, OpenCall, PublicCall, ROUTES, Route, sign_in};
use crate::stack::{Context, stack};

const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The router of all routes, with the transport layers around it.
pub fn router(app: &Arc<App>) -> Router {
    let mut router: Router<Arc<App>> = Router::new();
    for route in ROUTES {
        router = router.route(route.path, serve(route.clone()));
    }
    router
        .fallback(|State(app): State<Arc<App>>, request: Request| async move {
            unknown(&app, &request, StatusCode::NOT_FOUND, "there is no such route; see /openapi.json")
        })
        .method_not_allowed_fallback(|State(app): State<Arc<App>>, request: Request| async move {
            let detail = "this route does not take that method; see /openapi.json";
            unknown(&app, &request, StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), stack))
        .with_state(Arc::clone(app))
}

/// The answer to what no route takes. Trying paths is limited like everything else that strangers do.
fn unknown(app: &App, request: &Request, status: StatusCode, detail: &'static str) -> Response {
    let context = request.extensions().get::<Context>().copied();
    let problem = |refusal| Problem { refusal, shape: Shape::Problem, request: None }.into_response();
    if let Some(Context { request: id, client }) = context {
        let foreign = from_elsewhere(request.headers());
        if let Err(refusal) = pipeline::greet(app.gate(), client) {
            app.gate().refused_at(&refusal, id, client, foreign);
            return problem(refusal);
        }
        if !foreign {
            app.gate().offended(client, Offence::Malformed, Some(id));
        }
    }
    let code = if status == StatusCode::NOT_FOUND { Code::NotFound } else { Code::InvalidRequest };
    let mut response = problem(Refusal::new(code, detail));
    *response.status_mut() = status;
    response
}

/// The parameters of a path. One that is no text is no route's, and is refused like a path that is not there.
type Path = Result<RawPathParams, RawPathParamsRejection>;

fn serve(route: Route) -> MethodRouter<Arc<App>> {
    let filter = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::GET);
    let route = Arc::new(route);
    on(filter, move |State(app): State<Arc<App>>, path: Path, request: Request| async move {
        let Ok(path) = path else {
            let detail = "a parameter of the path is not UTF-8 when its escapes are read";
            return unknown(&app, &request, StatusCode::BAD_REQUEST, detail);
        };
        let context = request.extensions().get::<Context>().copied();
        let foreign = from_elsewhere(request.headers());
        let asked = (route.shape == Shape::Page).then(|| request.headers().clone());
        let answer = match route.handler {
            Handler::Public(handler) => handler(PublicCall {}).await,
            Handler::Open(handler) => greeted(Arc::clone(&app), &route, &path, request, handler).await,
            Handler::Closed(handler) => admitted(Arc::clone(&app), &route, &path, request, handler).await,
        };
        let refusal = match answer {
            Ok(response) => return response,
            Err(refusal) => refusal,
        };
        let request = context.map(|context| context.request);
        if let Some(Context { request, client }) = context {
            app.gate().refused_at(&refusal, request, client, foreign);
        }
        // Who opens a page in a browser and is not signed in is shown where to sign in.
        let stranger = matches!(refusal.code, Code::CredentialMissing | Code::CredentialInvalid);
        if stranger
            && let Some(asked) = asked
            && let Ok(mut page) = sign_in::stranger(&app, &asked).await
        {
            // A browser need not bring again what has ended.
            let cookies = app.cookies();
            if refusal.code == Code::CredentialMissing && cookie(&asked, cookies.session()).is_some() {
                page.headers_mut().append(header::SET_COOKIE, cookies.end_session());
            }
            return page;
        }
        Problem { refusal, shape: route.shape, request }.into_response()
    })
}

/// Has a route's code do its work, to the end if it changes something.
pub(crate) async fn done(app: &App, left: Left, work: Answer) -> Result<Response, Refusal> {
    match left {
        Left::SeenThrough => app.gate().see_through(work).await,
        Left::Ended => work.await,
    }
}

/// The largest body of an open route: a form of the sign-in pages, with room to spare. What strangers send is held in
/// memory before anything is known of them.
const FORM_BYTES: usize = 8 << 10;

/// The way to an open route's code. A stranger's body is a small form, and earns no time by what has come.
async fn greeted(
    app: Arc<App>,
    route: &Route,
    path: &RawPathParams,
    request: Request,
    handler: fn(OpenCall) -> Answer,
) -> Result<Response, Refusal> {
    let Context { request: id, client } = context(&request)?;
    pipeline::greet(app.gate(), client)?;
    let (head, body) = request.into_parts();
    let path = path.iter().map(|(_, value)| value.to_owned()).collect();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let most = if head.method.is_safe() { 0 } else { FORM_BYTES.min(app.settings().body_bytes) };
    let timeout = app.settings().body.timeout;
    let Sent { body, .. } = read(&head.headers, body, most, |_| timeout).await?;
    let call =
        OpenCall { app: Arc::clone(&app), request: id, client, path, query, headers: head.headers, body };
    done(&app, route.left(), handler(call)).await
}

/// Whether a browser says that another site's page made it ask. Who lies about it is still limited like everybody else.
pub(crate) fn from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get(&FETCH_SITE).map(HeaderValue::as_bytes);
    matches!(site, Some(b"cross-site" | b"same-site"))
}

fn context(request: &Request) -> Result<Context, Refusal> {
    let context = request.extensions().get::<Context>().copied();
    context.ok_or_else(|| Refusal::new(Code::Internal, "a request came around the transport layers"))
}

/// What the request says of the page that made it. A header that is no text is as good as a wrong one.
pub(crate) fn provenance(method: &Method, headers: &HeaderMap) -> Provenance {
    let text =
        |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default().to_owned());
    Provenance {
        writes: !method.is_safe(),
        token: text(&CSRF_TOKEN).map(Secret::new),
        site: text(&FETCH_SITE),
        origin: text(&header::ORIGIN),
    }
}

/// The one way to a closed route's code.
async fn admitted(
    app: Arc<App>,
    route: &Route,
    path: &RawPathParams,
    request: Request,
    handler: fn(Call) -> Answer,
) -> Result<Response, Refusal> {
    let Access::Needs(action) = route.access else {
        return Err(Refusal::new(Code::Internal, "a closed route names no action"));
    };
    let context = context(&request)?;
    let (head, body) = request.into_parts();
    let arrival = Arrival {
        request: context.request,
        address: context.client,
        credentials: Credentials::read(&head.headers, app.cookies().session()),
        provenance: provenance(&head.method, &head.headers),
        action,
        #[cfg(feature = "guard-off")]
        named_community: named_community(&head),
    };
    // The guards come before the body: a stranger's upload is not read.
    let visit = pipeline::admit(app.gate(), arrival).await?;
    let asker = Asker::authorised(visit.scope(), action);
    let limits = LimitHeaders::of(app.gate(), &visit);
    let path = path.iter().map(|(_, value)| value.to_owned()).collect();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let (most, pace) = (app.settings().body_bytes, app.settings().body);
    let sent = read(&head.headers, body, most, |bytes| pace.time_for(bytes)).await;
    let Sent { body, waited } = sent.map_err(|refusal| refusal.of(asker))?;
    // Its sender chooses when the body is whole, and may have lost by then what they had when it began.
    let visit = if waited { pipeline::confirm(app.gate(), visit).await? } else { visit };
    let call = Call { app: Arc::clone(&app), visit, path, query, headers: head.headers, body };
    let answer = done(&app, route.left(), handler(call)).await;
    let mut response = answer.map_err(|refusal| refusal.of(asker))?;
    limits.write(app.policies(), &mut response);
    Ok(response)
}

/// What was judged so shortly ago is not judged again: a body that came right behind its head.
const JUST_NOW: Duration = Duration::from_millis(10);

/// A body that is whole.
struct Sent {
    body: Bytes,
    /// Whether it was waited for longer than [`JUST_NOW`].
    waited: bool,
}

/// Reads a body of at most so many bytes, within the time that one has of which so many bytes have come.
async fn read(
    headers: &HeaderMap,
    body: Body,
    most: usize,
    time_for: impl Fn(usize) -> Duration,
) -> Result<Sent, Refusal> {
    let too_large =
        || Refusal::new(Code::BodyTooLarge, format!("the body is over the limit of {most} bytes"));
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let (mut body, mut read) = (Limited::new(body, most), BytesMut::new());
    let started = Instant::now();
    while !body.is_end_stream() {
        let piece = tokio::time::timeout_at(started + time_for(read.len()), body.frame()).await;
        let piece = piece.map_err(|_| Refusal::new(Code::TimedOut, "the body did not arrive in time"))?;
        match piece {
            None => break,
            // Trailers are no part of the body.
            Some(Ok(piece)) => read.extend_from_slice(&piece.into_data().unwrap_or_default()),
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
            Some(Err(_)) => {
                return Err(Refusal::new(Code::InvalidRequest, "the body ended before it was complete"));
            }
        }
    }
    Ok(Sent { body: read.freeze(), waited: started.elapsed() > JUST_NOW })
}

/// Where flawed chatbots look for a community's id: headers, query. Read only to prove that TEN-05 notices.
#[cfg(feature = "guard-off")]
fn named_community(head: &http::request::Parts) -> Option<String> {
    const NAMES: &[&str] = &[
        "x-community",
        "x-community-id",
        "x-workspace",
        "x-workspace-id",
        "x-tenant",
        "x-tenant-id",
        "x-org-id",
    ];
    let header = NAMES.iter().find_map(|name| head.headers.get(*name)?.to_str().ok().map(str::to_owned));
    header.or_else(|| {
        let query = head.uri.query()?;
        query.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            ["community", "community_id", "workspace", "workspace_id", "tenant", "tenant_id"]
                .contains(&name)
                .then(|| value.to_owned())
        })
    })
}
