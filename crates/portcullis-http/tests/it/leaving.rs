//! Whoever leaves while something is changed: the change and its records are there, or neither is.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use jiff::{Timestamp, ToSpan as _};
use portcullis_audit::Event;
use portcullis_core::{MemberId, Role, Token, TokenKind};
use portcullis_guard::{Handing, HandoverMode};
use portcullis_http::{OPERATOR_ROUTES, ROUTES, Route, operator_router, router};
use portcullis_store::{Entitlement, NewSignIn, SpaceAccess, Strangers};
use tower::Service as _;

use crate::app::{Person, Setup, TestApp, World, member_scope, question_body};
use crate::operator::{TOKEN, operator};
use crate::routes::path;

/// More than any of these requests waits; one that waits so often never ends.
const MOST_WAITS: usize = 60;
/// How often it is tried to leave in the midst of a request's work, which takes only so few waits.
const ROUNDS: usize = 20;

/// Does the work until it has waited so often, and drops it there, as the listener does with the request of a client that left.
async fn leave_after<T>(waits: usize, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut waited) = (Box::pin(work), 0);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if waited == waits => Poll::Ready(None),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}

/// What was changed and recorded by one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    changed: bool,
    records: usize,
}

struct Stage {
    app: TestApp,
    world: World,
    boss: Person,
    /// Nobody changes them; see [`Stage::state`].
    bystander: MemberId,
}

impl Stage {
    async fn new() -> Self {
        let handing =
            Handing { mode: HandoverMode::HandOver, of_one: 10_000, open: 10_000, ..Handing::default() };
        // On a disk, so that whatever is written is waited for.
        let app = TestApp::start(Setup { handing, ..Setup::default() }).await;
        // The community that strangers may join.
        let world = app.world("two").await;
        let boss = app.person(&world, "boss", Role::Owner).await;
        let bystander = app.member(&world, "bystander", None).await;
        Self { app, world, boss, bystander }
    }

    /// All of the community that its people change, as text.
    async fn state(&self) -> String {
        let (stores, by) = (&self.app.stores, &self.world.operator);
        // Writes of one community come one after the other: once this is done, all that was begun before is.
        stores.members.set_role(by, self.bystander, Role::Member).await.expect("written");
        let members = stores.members.list(by).await.expect("listed");
        let mut sessions = Vec::new();
        for member in &members {
            let own = member_scope(&self.world, member.id);
            let open = stores.sessions.list(&own).await.expect("listed");
            sessions.extend(open.into_iter().map(|session| session.id));
        }
        let state = (
            members,
            sessions,
            stores.spaces.list(by).await.expect("listed"),
            stores.spaces.plans(by).await.expect("listed"),
            stores.keys.list(by).await.expect("listed"),
            stores.sessions.invitations(by).await.expect("listed"),
            stores.handovers.list(by, Timestamp::MIN).await.expect("listed"),
            stores.approvals.list(by, Timestamp::MIN).await.expect("listed"),
            stores.directory.list().await.expect("listed"),
            self.app.served.gate().blocks().entries(self.app.clock.now()),
        );
        format!("{state:?}")
    }

    /// Records of changes, so far.
    fn records(&self) -> usize {
        let of_change = |event: &Event| {
            matches!(
                event,
                Event::Administered(_)
                    | Event::SignedIn { .. }
                    | Event::SignedOut { .. }
                    | Event::HandedOver { .. }
            )
        };
        self.app.records().iter().filter(|entry| entry.event.as_ref().is_some_and(of_change)).count()
    }

    /// Makes requests of one kind and leaves each one wait later than the one before, until one is answered. What that one
    /// changed and recorded, the others did too or did not begin. Where the answer waits less often than those before, none may
    /// have been left in the midst of it, and it is tried again.
    async fn leave_at_every_wait<F: Future<Output = Request<Bytes>>>(
        &self,
        router: &Router,
        request: impl Fn() -> F,
    ) -> Result<(), String> {
        for _ in 0..ROUNDS {
            let (whole, left) = self.leave_later_and_later(router, &request).await;
            let nothing = Seen { changed: false, records: 0 };
            if !whole.changed || whole.records == 0 {
                return Err(format!("one that is answered gives {whole:?}"));
            }
            if !left.iter().all(|left| *left == nothing || *left == whole) {
                return Err(format!(
                    "one that is answered gives {whole:?}, those that were left give {left:?}"
                ));
            }
            if left.contains(&whole) {
                return Ok(());
            }
        }
        Err("none was left in the midst of its work".to_owned())
    }

    /// What the request that is answered gives, and what those that were left give.
    async fn leave_later_and_later<F: Future<Output = Request<Bytes>>>(
        &self,
        router: &Router,
        request: impl Fn() -> F,
    ) -> (Seen, Vec<Seen>) {
        let mut left = Vec::new();
        for waits in 0..MOST_WAITS {
            let request = request().await.map(Body::from);
            let running = self.app.tasks.running();
            let (state, records) = (self.state().await, self.records());
            let answer = leave_after(waits, router.clone().call(request)).await;
            let settled = async {
                while self.app.tasks.running() > running {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), settled).await.expect("what was begun ends");
            let changed = self.state().await != state;
            let seen = Seen { changed, records: self.records() - records };
            let Some(answer) = answer else {
                left.push(seen);
                continue;
            };
            let status = answer.expect("it never fails").status();
            assert!(status.is_success() || status == StatusCode::SEE_OTHER, "{status}");
            return (seen, left);
        }
        panic!("it does not end");
    }

    /// A request that changes something, and has not been made before.
    async fn request(&self, route: &Route) -> Request<Bytes> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (app, world, by) = (&self.app, &self.world, &self.world.operator);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let own = app.person(world, &format!("own-{number}"), Role::Owner).await;
        let mut there = path(app, route, world, &self.boss, &own).await;
        let mut headers = own.headers();
        let body = match route.name {
            "change-member" => r#"{"role":"moderator","status":"suspended"}"#.to_owned(),
            "add-space" => format!(r#"{{"slug":"new-{number}","name":"New","access":"members"}}"#),
            "add-plan" => format!(r#"{{"slug":"new-{number}","name":"New"}}"#),
            "add-key" => r#"{"name":"website","role":"member","abilities":["chat"],"days":90}"#.to_owned(),
            "change-space" => {
                app.stores.spaces.set_access(by, world.paid, SpaceAccess::Members).await.expect("opened");
                r#"{"access":"staff"}"#.to_owned()
            }
            "end-member-plan" => {
                let member = there.split('/').nth(3).expect("a member").parse().expect("an id");
                let plus = Entitlement { plan: "plus".to_owned(), until: None };
                app.stores.members.entitle(by, member, plus).await.expect("entitled");
                String::new()
            }
            "end-member-sessions" => {
                let other = app.person(world, &format!("other-{number}"), Role::Member).await;
                there = format!("/admin/members/{}/sessions", other.member);
                String::new()
            }
            "remove-conversation" => {
                let conversation = there.rsplit('/').next().expect("an id").parse().expect("an id");
                let asker = member_scope(world, own.member);
                app.waiting_in(&asker, "A letter", Some(conversation)).await;
                String::new()
            }
            "chat" => question_body("Nobody knows it, but I want to kill myself.", false).to_string(),
            "use-link" => {
                let (form, mark) = self.link(&format!("new-{number}@example.org")).await;
                headers = vec![("cookie", format!("portcullis-browser={mark}"))];
                form
            }
            _ => route.example.unwrap_or_default().to_owned(),
        };
        let mut request = Request::builder().method(route.method.clone()).uri(there);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(Bytes::from(body)).expect("a request")
    }

    /// A link that was asked for: the form that uses it up, and the mark of the browser that asked.
    async fn link(&self, email: &str) -> (String, String) {
        let locator = &self.world.community.locator;
        let (text, link) = Token::issue(TokenKind::SignIn, locator);
        let (mark, browser) = Token::issue(TokenKind::Browser, locator);
        let new = NewSignIn {
            token: link.hash(),
            browser: browser.hash(),
            email: email.to_owned(),
            expires: self.app.clock.now() + 1.hour(),
        };
        let sessions = &self.app.stores.sessions;
        let sent = sessions.ask(self.world.community.id, new, Strangers::Join, None).await.expect("asked");
        assert!(sent.is_some());
        (format!("token={}", text.expose()), mark.expose().clone())
    }
}

/// Whether what the route changes is recorded. Conversations and memories are their member's own, but for a call that waits, and a link that was asked for
/// opens nothing yet.
fn is_recorded(route: &Route) -> bool {
    match route.name {
        "rename-conversation" | "add-memory" | "change-memory" | "remove-memory" => false,
        "ask-for-link" | "ask-for-community-link" => false,
        // It changes nothing. What goes on with a call is recorded step by step: `approvals.rs`.
        "search" | "resume" => false,
        _ => true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_at_any_wait_leaves_no_change_without_its_records() {
    let stage = Stage::new().await;
    let router = router(&stage.app.served);
    let (mut tried, mut wrong) = (0, Vec::new());
    for route in ROUTES.iter().filter(|route| !route.method.is_safe() && is_recorded(route)) {
        let outcome = stage.leave_at_every_wait(&router, || stage.request(route)).await;
        wrong.extend(outcome.err().map(|why| format!("{}: {why}", route.name)));
        tried += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(tried >= 20, "only {tried} routes change something that is recorded");
    stage.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_leaves_at_any_wait_leaves_no_change_without_its_record() {
    let stage = Stage::new().await;
    let router = operator_router(&operator(&stage.app));
    let asked = |method: Method, path: &str, body: String| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("host", "127.0.0.1").header("authorization", format!("Bearer {TOKEN}"));
        request.body(Bytes::from(body)).expect("a request")
    };
    let (next, mut wrong) = (AtomicU32::new(1), Vec::new());
    let listing = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        format!(r#"{{"network":"198.51.100.{number}","reason":"scans","seconds":3600}}"#)
    };
    let request = async |route: &portcullis_http::OperatorRoute| {
        let path = route.path.replace("{community}", "two");
        let (path, body) = match (route.method.as_str(), route.path) {
            ("POST", "/blocklist") => (path, listing()),
            ("DELETE", "/blocklist/{block}") => {
                let add = asked(Method::POST, "/blocklist", listing()).map(Body::from);
                let added = router.clone().call(add).await.expect("it never fails");
                assert_eq!(added.status(), StatusCode::CREATED);
                let entries = stage.app.served.gate().blocks().entries(stage.app.clock.now());
                (path.replace("{block}", &entries.last().expect("an entry").id.to_string()), String::new())
            }
            ("PUT", "/communities/{community}/tier") => {
                let tier = portcullis_core::Tier::Standard;
                let community = stage.world.community.id;
                stage.app.stores.directory.set_tier(community, tier).await.expect("set");
                (path, route.example.expect("a body").to_owned())
            }
            (method, path) => panic!("the tests do not know how to change something with {method} {path}"),
        };
        asked(route.method.clone(), &path, body)
    };
    for route in OPERATOR_ROUTES.iter().filter(|route| !route.method.is_safe()) {
        let outcome = stage.leave_at_every_wait(&router, || request(route)).await;
        wrong.extend(outcome.err().map(|why| format!("{route:?}: {why}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    stage.app.stop().await;
}
