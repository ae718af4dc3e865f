//! Every route, in one table.
//!
//! The router (`dispatch.rs`), the OpenAPI document, the printed list and the tests that try every route with every
//! credential are all made from [`ROUTES`]. A route is closed unless the table says `Public` or `Open`.

mod admin;
mod approvals;
mod chat;
mod conversations;
mod documents;
mod handovers;
pub(crate) mod health;
mod me;
mod memories;
mod models;
mod pages;
mod search;
mod sessions;
pub(crate) mod sign_in;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method};
use portcullis_core::{Action, RequestId};
use portcullis_guard::{Authorised, Code, Refusal, Visit};

pub(crate) use health::Readiness;

use crate::app::App;
use crate::problem::Shape;

/// What a route asks of those who call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing, and it costs nothing: whether the process runs. An orchestrator that was refused here would restart it.
    Public,
    /// Nothing, but how often an address may call it is limited.
    Open,
    /// A credential whose role and abilities allow the action.
    Needs(Action),
}

/// What a public route works with: nothing.
#[derive(Debug)]
pub struct PublicCall {}

/// The paths that tell how the instance is: the only ones that are answered while it stops.
pub(crate) const STATE: [&str; 2] = ["/healthz", "/readyz"];

/// What an open route works with.
#[derive(Debug)]
pub struct OpenCall {
    /// The instance.
    pub app: Arc<App>,
    /// The request's id.
    pub request: RequestId,
    /// The client's address, as far as trusted proxies tell it.
    pub client: IpAddr,
    /// The path's parameters, in order.
    pub path: Vec<String>,
    /// The query, as it was sent.
    pub query: String,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The body, whole and within the limit.
    pub body: Bytes,
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

pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

/// The code of a route.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    Public(fn(PublicCall) -> Answer),
    Open(fn(OpenCall) -> Answer),
    Closed(fn(Call) -> Answer),
}

/// What becomes of a request whose client leaves, or whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// It is done to its end: what changes something changes it as a whole and records it.
    SeenThrough,
    /// It ends there, unless it says otherwise itself.
    Ended,
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
    /// The headers that it takes beside those that every closed route takes.
    pub headers: &'static [&'static str],
    pub(crate) left: Left,
    pub(crate) handler: Handler,
}

impl Route {
    /// What becomes of a request that nobody waits for any more. What only reads changes nothing.
    pub(crate) fn left(&self) -> Left {
        if self.method.is_safe() { Left::Ended } else { self.left }
    }

    /// The names of the path's parameters. Each is an id, or a short name, see [`is_short_name`].
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// Whether that parameter of a path is a short name, of a plan or a community. All others are ids.
pub(crate) fn is_short_name(parameter: &str) -> bool {
    matches!(parameter, "plan" | "community")
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.method, self.path, self.name)
    }
}

const fn route(
    name: &'static str,
    method: Method,
    path: &'static str,
    access: Access,
    handler: Handler,
    summary: &'static str,
) -> Route {
    let (shape, example, left) = (Shape::Problem, None, Left::SeenThrough);
    Route { name, method, path, access, shape, summary, example, headers: &[], left, handler }
}

/// A row of the table whose route wants a credential.
macro_rules! closed {
    ($name:literal: $method:ident $path:literal needs $action:ident, $handler:path, $summary:literal) => {
        route(
            $name,
            Method::$method,
            $path,
            Access::Needs(Action::$action),
            Handler::Closed(|call| Box::pin($handler(call))),
            $summary,
        )
    };
}

/// A row of the table whose route is for everybody, so often a minute.
macro_rules! open {
    ($name:literal: $method:ident $path:literal, $handler:path, $summary:literal) => {
        route(
            $name,
            Method::$method,
            $path,
            Access::Open,
            Handler::Open(|call| Box::pin($handler(call))),
            $summary,
        )
    };
}

/// A row of the table whose route is for everybody, however often.
macro_rules! public {
    ($name:literal: $method:ident $path:literal, $handler:path, $summary:literal) => {
        route(
            $name,
            Method::$method,
            $path,
            Access::Public,
            Handler::Public(|call| Box::pin($handler(call))),
            $summary,
        )
    };
}

impl Route {
    const fn openai(mut self) -> Self {
        self.shape = Shape::OpenAi;
        self
    }

    /// Who leaves ends it: it changes nothing, or sees through by itself what it changes.
    const fn ends(mut self) -> Self {
        self.left = Left::Ended;
        self
    }

    const fn page(mut self) -> Self {
        self.shape = Shape::Page;
        self
    }

    const fn takes(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }

    const fn reads(mut self, headers: &'static [&'static str]) -> Self {
        self.headers = headers;
        self
    }
}

/// The table.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    closed!("chat": POST "/v1/chat/completions" needs Ask, chat::complete,
        "Ask a question; compatible with OpenAI's chat completions, streaming and not")
        .openai().takes(r#"{"messages":[{"role":"user","content":"Where do I start?"}]}"#)
        .reads(&["Idempotency-Key", "X-Conversation-Id"]).ends(),
    closed!("models": GET "/v1/models" needs ListModels, models::list,
        "List the models that can be asked").openai(),
    closed!("search": POST "/v1/search" needs Search, search::search,
        "Search the community's content, as far as the credential reaches")
        .takes(r#"{"query":"where to start"}"#).ends(),
    closed!("document": GET "/v1/documents/{document}" needs ReadDocument, documents::read,
        "Read one document that a citation names"),

    closed!("me": GET "/v1/me" needs ReadSelf, me::read, "Who the credential acts for"),
    closed!("limits": GET "/v1/me/limits" needs ReadSelf, me::limits, "How much of the limits is left"),
    closed!("session": GET "/v1/session" needs ReadSelf, sessions::current,
        "The session that asks, and the token that its writes carry"),
    closed!("sign-out": DELETE "/v1/session" needs WriteSelf, sessions::sign_out, "Sign this browser out"),
    closed!("sessions": GET "/v1/sessions" needs ReadSelf, sessions::list, "One's own sessions, newest first"),
    closed!("end-sessions": DELETE "/v1/sessions" needs WriteSelf, sessions::end_all, "Sign out everywhere"),
    closed!("end-session": DELETE "/v1/sessions/{session}" needs WriteSelf, sessions::end,
        "End one of one's own sessions"),

    closed!("conversations": GET "/v1/conversations" needs ReadOwnConversations, conversations::list,
        "One's own conversations, the last used first"),
    closed!("conversation": GET "/v1/conversations/{conversation}" needs ReadOwnConversations, conversations::read,
        "One of one's own conversations with its messages"),
    closed!("rename-conversation": PATCH "/v1/conversations/{conversation}" needs WriteOwnConversations,
        conversations::rename, "Give a conversation another title").takes(r#"{"title":"Where to start"}"#),
    closed!("remove-conversation": DELETE "/v1/conversations/{conversation}" needs WriteOwnConversations,
        conversations::remove, "Remove a conversation and all its messages"),

    closed!("memories": GET "/v1/memories" needs ReadOwnMemories, memories::list,
        "What is remembered for the member who asks"),
    closed!("add-memory": POST "/v1/memories" needs WriteOwnMemories, memories::add, "Add a memory")
        .takes(r#"{"text":"I bake with rye."}"#),
    closed!("memory": GET "/v1/memories/{memory}" needs ReadOwnMemories, memories::read, "One memory"),
    closed!("change-memory": PATCH "/v1/memories/{memory}" needs WriteOwnMemories, memories::change,
        "Change what a memory says").takes(r#"{"text":"I bake with spelt."}"#),
    closed!("remove-memory": DELETE "/v1/memories/{memory}" needs WriteOwnMemories, memories::remove,
        "Remove a memory"),

    closed!("handovers": GET "/v1/handovers" needs HandleHandovers, handovers::list,
        "Questions that were handed to a person, those first that nobody has taken note of"),
    closed!("acknowledge-handover": POST "/v1/handovers/{handover}/acknowledge" needs HandleHandovers,
        handovers::acknowledge, "Take note of a question that was handed to a person"),

    closed!("approvals": GET "/v1/approvals" needs DecideApprovals, approvals::list,
        "Calls of tools that wait for a person, those first that nobody has decided on"),
    closed!("approval": GET "/v1/approvals/{approval}" needs DecideApprovals, approvals::read,
        "One call that waits for a person"),
    closed!("approve": POST "/v1/approvals/{approval}/approve" needs DecideApprovals, approvals::approve,
        "Approve a call that somebody else asked for"),
    closed!("deny": POST "/v1/approvals/{approval}/deny" needs DecideApprovals, approvals::deny,
        "Deny a call that somebody else asked for"),
    closed!("own-approvals": GET "/v1/me/approvals" needs ReadOwnConversations, approvals::own,
        "One's own calls that wait for a person, the last first"),
    closed!("own-approval": GET "/v1/me/approvals/{approval}" needs ReadOwnConversations, approvals::read_own,
        "One of one's own calls that wait for a person"),
    closed!("resume": POST "/v1/me/approvals/{approval}/resume" needs Ask, approvals::resume,
        "Go on with one's own question: the approved call is made once, and answered with").openai().ends(),

    closed!("members": GET "/admin/members" needs ReadMembers, admin::members::list,
        "Members, those who joined first first"),
    closed!("add-member": POST "/admin/members" needs WriteMembers, admin::members::add, "Add a member")
        .takes(r#"{"name":"Mia"}"#),
    closed!("member": GET "/admin/members/{member}" needs ReadMembers, admin::members::read, "One member"),
    closed!("change-member": PATCH "/admin/members/{member}" needs WriteMembers, admin::members::update,
        "Give a member another role, suspend or restore them; staff's takes an owner")
        .takes(r#"{"status":"active"}"#),
    closed!("entitle-member": PUT "/admin/members/{member}/plans/{plan}" needs WriteMembers,
        admin::members::entitle, "Give a member a plan, without end or until a moment")
        .takes(r#"{"until":"2031-01-31T00:00:00Z"}"#),
    closed!("end-member-plan": DELETE "/admin/members/{member}/plans/{plan}" needs WriteMembers,
        admin::members::end_entitlement, "End a member's plan now"),
    closed!("end-member-sessions": DELETE "/admin/members/{member}/sessions" needs WriteMembers,
        admin::members::end_sessions, "Sign a member out everywhere"),
    closed!("invitations": GET "/admin/invitations" needs WriteMembers, admin::invitations::list,
        "Invitations with who made them, without their links"),
    closed!("invite": POST "/admin/invitations" needs WriteMembers, admin::invitations::add,
        "Make an invitation link").takes(r#"{"uses":1,"days":7}"#),
    closed!("withdraw-invitation": DELETE "/admin/invitations/{invitation}" needs WriteMembers,
        admin::invitations::withdraw, "Withdraw an invitation"),
    closed!("spaces": GET "/admin/spaces" needs ReadSpaces, admin::spaces::list, "Spaces and what opens them"),
    closed!("add-space": POST "/admin/spaces" needs WriteSpaces, admin::spaces::add, "Make a space")
        .takes(r#"{"slug":"workshops","name":"Workshops","access":"members"}"#),
    closed!("change-space": PATCH "/admin/spaces/{space}" needs WriteSpaces, admin::spaces::update,
        "Change what opens a space").takes(r#"{"access":"staff"}"#),
    closed!("quarantine": GET "/admin/quarantine" needs ReadSpaces, admin::quarantine::list,
        "Documents with passages that were withheld from the model since the start, the last first"),
    closed!("plans": GET "/admin/plans" needs ReadSpaces, admin::spaces::plans, "The plans there are"),
    closed!("add-plan": POST "/admin/plans" needs WriteSpaces, admin::spaces::add_plan, "Make a plan")
        .takes(r#"{"slug":"gold","name":"Gold"}"#),
    closed!("keys": GET "/admin/keys" needs WriteKeys, admin::keys::list, "API keys, without their secrets"),
    closed!("add-key": POST "/admin/keys" needs WriteKeys, admin::keys::add, "Make an API key; it is shown once")
        .takes(r#"{"name":"website","role":"member","abilities":["chat"],"days":90}"#),
    closed!("revoke-key": DELETE "/admin/keys/{key}" needs WriteKeys, admin::keys::revoke, "Revoke an API key"),
    closed!("roles": GET "/admin/roles" needs ReadMembers, admin::roles::read,
        "Which role may do what, and what each route asks for"),

    open!("sign-in-page": GET "/login", sign_in::page, "The page that asks for an address").page(),
    open!("ask-for-link": POST "/login", sign_in::ask, "Ask for a sign-in link by mail").page(),
    open!("community-sign-in-page": GET "/c/{community}/login", sign_in::page,
        "The same for a community on a shared host").page(),
    open!("ask-for-community-link": POST "/c/{community}/login", sign_in::ask,
        "Ask a community on a shared host for a sign-in link").page(),
    open!("link-page": GET "/login/link", sign_in::link, "The page that a mailed link opens").page(),
    open!("use-link": POST "/login/link", sign_in::redeem, "Use a link up and begin a session").page(),
    open!("join-page": GET "/join", sign_in::join, "The page that an invitation opens").page(),
    open!("choose-page": GET "/c", sign_in::choose, "The page that asks for a community").page(),

    closed!("chat-page": GET "/" needs ReadOwnConversations, pages::chat, "The chat").page(),
    closed!("conversation-page": GET "/chat/{conversation}" needs ReadOwnConversations, pages::conversation,
        "The chat with an earlier conversation").page(),
    closed!("last-answer": GET "/chat/{conversation}/last" needs ReadOwnConversations, pages::last,
        "The last answer of a conversation, as a piece of a page").page(),
    closed!("history-page": GET "/history" needs ReadOwnConversations, pages::history,
        "One's own conversations").page(),
    closed!("memories-page": GET "/memories" needs ReadOwnMemories, pages::memories,
        "What is remembered for the member").page(),
    closed!("account-page": GET "/account" needs ReadSelf, pages::account,
        "The member's plans and sessions").page(),
    closed!("handovers-page": GET "/handovers" needs HandleHandovers, handovers::page,
        "The questions that were handed to a person").page(),
    closed!("approvals-page": GET "/approvals" needs DecideApprovals, approvals::page,
        "The calls of tools that wait for a person").page(),
    closed!("waiting-page": GET "/waiting" needs ReadOwnConversations, approvals::own_page,
        "One's own calls that wait for a person").page(),
    closed!("document-page": GET "/documents/{document}" needs ReadDocument, pages::document,
        "One document that an answer relies on").page(),
    open!("style": GET "/assets/portcullis.css", pages::style, "How the pages look"),
    open!("script": GET "/assets/portcullis.js", pages::script, "What the pages do"),
    open!("mark": GET "/assets/portcullis.svg", pages::mark, "The mark in the browser's tab"),

    public!("live": GET "/healthz", health::live, "Whether the process runs"),
    open!("ready": GET "/readyz", health::ready, "Whether everything it needs answers"),
    open!("openapi": GET "/openapi.json", health::openapi, "This interface, as an OpenAPI document"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Access, ROUTES};

    #[test]
    fn every_route_is_in_the_table_once_and_only_these_want_no_credential() {
        let names: BTreeSet<_> = ROUTES.iter().map(|route| route.name).collect();
        assert_eq!(names.len(), ROUTES.len());
        let with = |access| -> Vec<_> {
            ROUTES.iter().filter(|route| route.access == access).map(|route| route.path).collect()
        };
        assert_eq!(with(Access::Public), ["/healthz"]);
        let open: BTreeSet<_> = with(Access::Open).into_iter().collect();
        let wanted = BTreeSet::from([
            "/login",
            "/c/{community}/login",
            "/login/link",
            "/join",
            "/c",
            "/assets/portcullis.css",
            "/assets/portcullis.js",
            "/assets/portcullis.svg",
            "/readyz",
            "/openapi.json",
        ]);
        assert_eq!(open, wanted);
    }
}
