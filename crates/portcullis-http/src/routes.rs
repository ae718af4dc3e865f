//! Every route, in one table.
//!
//! The router, the OpenAPI document, the printed list and the tests that try every route with every credential are all
//! made from [`ROUTES`]. A route is closed unless the table says `Public`.

mod chat;
mod conversations;
mod documents;
mod health;
mod me;
mod memories;
mod models;
mod search;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use portcullis_core::Action;
use portcullis_guard::{Arrival, Authorised, Code, Credentials, Refusal, Visit, pipeline};

use crate::app::App;
use crate::problem::{Problem, Shape};
use crate::stack::{Context, stack};

/// What a route asks of those who call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: it tells nothing that is not public.
    Public,
    /// A credential whose role and abilities allow the action.
    Needs(Action),
}

/// What a public route works with.
#[derive(Debug)]
pub struct PublicCall {
    /// The instance.
    pub app: Arc<App>,
}

/// What a closed route works with: it cannot be called without a [`Visit<Authorised>`].
#[derive(Debug)]
pub struct Call {
    /// The instance.
    pub app: Arc<App>,
    /// Proof that every phase before the route allowed the request.
    pub visit: Visit<Authorised>,
    /// The path's parameters, in order.
    pub path: Vec<String>,
    /// The query, as it was sent.
    pub query: String,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The body, whole and within the limit.
    pub body: Bytes,
}

impl Call {
    /// The value of a query parameter, if it is there. Nothing is decoded: what these routes take needs no escapes.
    fn query(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(found, _)| *found == name))
            .map(|(_, v)| v)
    }
}

/// The id in a path. One that is malformed is refused as one that does not exist.
fn id<T: std::str::FromStr>(call: &Call) -> Result<T, Refusal> {
    let found = call.path.first().and_then(|text| text.parse().ok());
    found.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such thing here"))
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

/// The code of a route.
#[derive(Clone, Copy)]
enum Handler {
    Public(fn(PublicCall) -> Answer),
    Closed(fn(Call) -> Answer),
}

/// A route.
#[derive(Clone)]
pub struct Route {
    /// Its name, in the OpenAPI document and in tests.
    pub name: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path, with parameters in braces.
    pub path: &'static str,
    /// What it asks of those who call it.
    pub access: Access,
    /// The shape of its errors.
    pub shape: Shape,
    /// What it does, in one line.
    pub summary: &'static str,
    /// A body that it takes, as JSON, for those that take one.
    pub example: Option<&'static str>,
    handler: Handler,
}

impl Route {
    /// The names of the path's parameters. Each is an id.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.method, self.path, self.name)
    }
}

const fn closed(
    name: &'static str,
    method: Method,
    path: &'static str,
    action: Action,
    handler: fn(Call) -> Answer,
    summary: &'static str,
) -> Route {
    let handler = Handler::Closed(handler);
    Route {
        name,
        method,
        path,
        access: Access::Needs(action),
        shape: Shape::Problem,
        summary,
        example: None,
        handler,
    }
}

const fn public(
    name: &'static str,
    path: &'static str,
    handler: fn(PublicCall) -> Answer,
    summary: &'static str,
) -> Route {
    let handler = Handler::Public(handler);
    Route {
        name,
        method: Method::GET,
        path,
        access: Access::Public,
        shape: Shape::Problem,
        summary,
        example: None,
        handler,
    }
}

impl Route {
    const fn openai(mut self) -> Self {
        self.shape = Shape::OpenAi;
        self
    }

    const fn takes(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }
}

/// The table.
pub const ROUTES: &[Route] = &[
    closed(
        "chat",
        Method::POST,
        "/v1/chat/completions",
        Action::Ask,
        |call| Box::pin(chat::complete(call)),
        "Ask a question; compatible with OpenAI's chat completions, streaming and not",
    )
    .openai()
    .takes(r#"{"messages":[{"role":"user","content":"Where do I start?"}]}"#),
    closed(
        "models",
        Method::GET,
        "/v1/models",
        Action::ListModels,
        |call| Box::pin(models::list(call)),
        "List the models that can be asked",
    )
    .openai(),
    closed(
        "search",
        Method::POST,
        "/v1/search",
        Action::Search,
        |call| Box::pin(search::search(call)),
        "Search the community's content, as far as the credential reaches",
    )
    .takes(r#"{"query":"where to start"}"#),
    closed(
        "document",
        Method::GET,
        "/v1/documents/{document}",
        Action::ReadDocument,
        |call| Box::pin(documents::read(call)),
        "Read one document that a citation names",
    ),
    closed(
        "me",
        Method::GET,
        "/v1/me",
        Action::ReadSelf,
        |call| Box::pin(me::read(call)),
        "Who the credential acts for",
    ),
    closed(
        "conversations",
        Method::GET,
        "/v1/conversations",
        Action::ReadOwnConversations,
        |call| Box::pin(conversations::list(call)),
        "One's own conversations, the last used first",
    ),
    closed(
        "conversation",
        Method::GET,
        "/v1/conversations/{conversation}",
        Action::ReadOwnConversations,
        |call| Box::pin(conversations::read(call)),
        "One of one's own conversations with its messages",
    ),
    closed(
        "rename-conversation",
        Method::PATCH,
        "/v1/conversations/{conversation}",
        Action::WriteOwnConversations,
        |call| Box::pin(conversations::rename(call)),
        "Give a conversation another title",
    )
    .takes(r#"{"title":"Where to start"}"#),
    closed(
        "remove-conversation",
        Method::DELETE,
        "/v1/conversations/{conversation}",
        Action::WriteOwnConversations,
        |call| Box::pin(conversations::remove(call)),
        "Remove a conversation and all its messages",
    ),
    closed(
        "memories",
        Method::GET,
        "/v1/memories",
        Action::ReadOwnMemories,
        |call| Box::pin(memories::list(call)),
        "What is remembered for the member who asks",
    ),
    closed(
        "add-memory",
        Method::POST,
        "/v1/memories",
        Action::WriteOwnMemories,
        |call| Box::pin(memories::add(call)),
        "Add a memory",
    )
    .takes(r#"{"text":"I bake with rye."}"#),
    closed(
        "memory",
        Method::GET,
        "/v1/memories/{memory}",
        Action::ReadOwnMemories,
        |call| Box::pin(memories::read(call)),
        "One memory",
    ),
    closed(
        "change-memory",
        Method::PATCH,
        "/v1/memories/{memory}",
        Action::WriteOwnMemories,
        |call| Box::pin(memories::change(call)),
        "Change what a memory says",
    )
    .takes(r#"{"text":"I bake with spelt."}"#),
    closed(
        "remove-memory",
        Method::DELETE,
        "/v1/memories/{memory}",
        Action::WriteOwnMemories,
        |call| Box::pin(memories::remove(call)),
        "Remove a memory",
    ),
    closed(
        "limits",
        Method::GET,
        "/v1/me/limits",
        Action::ReadSelf,
        |call| Box::pin(me::limits(call)),
        "How much of the limits is left",
    ),
    public("live", "/healthz", |_| Box::pin(health::live()), "Whether the process runs"),
    public("ready", "/readyz", |call| Box::pin(health::ready(call)), "Whether everything it needs answers"),
    public(
        "openapi",
        "/openapi.json",
        |_| Box::pin(health::openapi()),
        "This interface, as an OpenAPI document",
    ),
];

/// The router of all routes, with the transport layers around it.
pub fn router(app: &Arc<App>) -> Router {
    let mut router: Router<Arc<App>> = Router::new();
    for route in ROUTES {
        router = router.route(route.path, serve(route.clone()));
    }
    router
        .fallback(|| async { unknown(Code::NotFound, "there is no such route; see /openapi.json") })
        .method_not_allowed_fallback(|| async {
            let mut response =
                unknown(Code::InvalidRequest, "this route does not take that method; see /openapi.json");
            *response.status_mut() = http::StatusCode::METHOD_NOT_ALLOWED;
            response
        })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(app), stack))
        .with_state(Arc::clone(app))
}

fn unknown(code: Code, detail: &'static str) -> Response {
    Problem::new(Refusal::new(code, detail), Shape::Problem).into_response()
}

fn serve(route: Route) -> MethodRouter<Arc<App>> {
    let filter = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::GET);
    let route = Arc::new(route);
    on(filter, move |State(app): State<Arc<App>>, path: RawPathParams, request: Request| async move {
        let context = request.extensions().get::<Context>().copied();
        let answer = match route.handler {
            Handler::Public(handler) => handler(PublicCall { app }).await,
            Handler::Closed(handler) => admitted(app, &route, &path, request, handler).await,
        };
        answer.unwrap_or_else(|refusal| {
            let request = context.map(|context| context.request);
            Problem { refusal, shape: route.shape, request }.into_response()
        })
    })
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
    let context = *request
        .extensions()
        .get::<Context>()
        .ok_or_else(|| Refusal::new(Code::Internal, "a request came around the transport layers"))?;
    let (head, body) = request.into_parts();
    let arrival = Arrival {
        request: context.request,
        address: context.client,
        credentials: Credentials::read(&head.headers),
        action,
        #[cfg(feature = "guard-off")]
        named_community: named_community(&head),
    };
    // The guards come before the body: a stranger's upload is not read.
    let visit = pipeline::admit(app.gate(), arrival).await?;
    let allowance = visit.allowance().copied();
    let path = path.iter().map(|(_, value)| value.to_owned()).collect();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let body = read(&app, &head.headers, body).await?;
    let mut response = handler(Call { app, visit, path, query, headers: head.headers, body }).await?;
    if let Some(allowance) = allowance {
        crate::stack::limit_headers(&allowance, &mut response);
    }
    Ok(response)
}

async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let most = app.settings().body_bytes;
    let too_large =
        || Refusal::new(Code::BodyTooLarge, format!("the body is over the limit of {most} bytes"));
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Refusal::new(Code::InvalidRequest, "the body ended before it was complete")),
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Access, ROUTES};

    #[test]
    fn every_route_is_in_the_table_once_and_only_these_are_public() {
        let names: BTreeSet<_> = ROUTES.iter().map(|route| route.name).collect();
        assert_eq!(names.len(), ROUTES.len());
        let public: Vec<_> =
            ROUTES.iter().filter(|route| route.access == Access::Public).map(|route| route.path).collect();
        assert_eq!(public, ["/healthz", "/readyz", "/openapi.json"]);
    }
}
