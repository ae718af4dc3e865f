//! A running gate on real stores and a real socket, for tests.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::ToSpan as _;
use portcullis_audit::{Archive, Entry, Filter, Journal, Signer};
use portcullis_chat::{PlaceLimits, Places, Policy, Release, Service, ServiceParts};
use portcullis_core::{
    AbilitySet, Actor, ApprovalId, Clock, ConversationId, DocumentId, Grant, HandoverId, KeyAbility, KeyId,
    Lanes, MemberId, Role, Scope, Secret, SessionId, SpaceId, SystemClock, Tasks, Tier, Token, TokenKind,
};
use portcullis_egress::Client;
use portcullis_guard::jwt::Issuers;
use portcullis_guard::{
    BlockSettings, CounterStore, CsrfKey, Gate, GateParts, Handing, HandoverMode, Limits, Mode, Offence,
    Prices, Rates, Screening, Switches, Tiers, ToolLimits,
};
use portcullis_http::{
    App, AppParts, BodyPace, Server, ServerLimits, Settings, SignInSettings, TrustedProxies,
};
use portcullis_mail::{Error, Mail, Message};
use portcullis_model::Model;
use portcullis_store::{
    Chunk, Community, DocumentText, Entitlement, KeyActor, NewApproval, NewCommunity, NewDocument,
    NewHandover, NewKey, NewMember, NewSession, NewSignIn, NewSpace, Plan, Queued, Room, SpaceAccess, Stores,
    Strangers,
};
use portcullis_store_sqlite::{Options, SqliteStores};
use portcullis_tools::Registry;
use serde_json::Value;
use tower::Service as _;

/// What differs from test to test.
pub(crate) struct Setup {
    pub(crate) model: Option<Arc<dyn Model>>,
    pub(crate) per_actor: u32,
    pub(crate) per_address: u32,
    pub(crate) refused_per_address: u32,
    /// All windows of a member, a session and an address, where the above is not enough.
    pub(crate) rates: (Option<Rates>, Option<Rates>, Option<Rates>),
    pub(crate) tiers: Tiers,
    /// Tokens a day of a member and of a community.
    pub(crate) tokens: (Option<u32>, Option<u32>),
    /// Budgets of costs for a member and for a community, in millionths.
    pub(crate) costs: (Option<u32>, Option<u32>),
    pub(crate) prices: Prices,
    pub(crate) instances: u32,
    pub(crate) shared: Option<Arc<dyn CounterStore>>,
    pub(crate) body_bytes: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) body_bytes_per_second: u32,
    pub(crate) header_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) drain: Duration,
    /// Connections at once, in all and from one address.
    pub(crate) connections: (usize, usize),
    pub(crate) places: (usize, usize),
    pub(crate) issuers: Issuers,
    pub(crate) origin: String,
    pub(crate) links: u32,
    /// The system text of answers whose context is ours.
    pub(crate) system: String,
    pub(crate) release: Release,
    /// What is done about attempts to instruct the model: nothing, so that other guards can be tried with them.
    pub(crate) screening: Screening,
    /// What is done about questions for a person: nothing, for the same reason.
    pub(crate) handing: Handing,
    pub(crate) switches: Switches,
    /// The tools that the model may ask for.
    pub(crate) tools: Registry,
    pub(crate) tool_limits: ToolLimits,
    /// Which addresses are refused.
    pub(crate) blocks: BlockSettings,
    /// The networks of trusted proxies.
    pub(crate) proxies: Vec<&'static str>,
    /// The communities that strangers may join.
    pub(crate) open: Vec<String>,
    /// Whether the files are to be where syncing costs nothing, if there is such a place.
    pub(crate) in_memory: bool,
    /// What the gate is given in the place of the stores.
    pub(crate) stores: Box<dyn FnOnce(Stores) -> Stores + Send>,
}

impl Setup {
    /// What the guards before the model must hold alone: nothing that it says is looked at on its way out.
    pub(crate) fn nothing_held_back(self) -> Self {
        let release = Release { ours: Policy::off(), callers: Policy::off(), ..self.release };
        Self { release, ..self }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            model: None,
            per_actor: 1_000_000,
            per_address: 1_000_000,
            refused_per_address: 1_000_000,
            rates: (None, None, None),
            tiers: Tiers {
                standard: Rates::default(),
                enhanced: Rates::default(),
                dedicated: Rates::default(),
            },
            tokens: (None, None),
            costs: (None, None),
            prices: Prices::default(),
            instances: 1,
            shared: None,
            body_bytes: 64 << 10,
            request_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(10),
            body_bytes_per_second: 4_000,
            header_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            connections: (200, 100),
            places: (64, 64),
            issuers: Issuers::new(Vec::new()).expect("no issuers"),
            origin: "http://127.0.0.1".to_owned(),
            links: 1_000,
            system: "SYSTEM-TEXT of the test".to_owned(),
            release: Release::strict(vec!["127.0.0.1".to_owned()]),
            screening: Screening { mode: Mode::Off, ..Screening::default() },
            handing: Handing { mode: HandoverMode::Off, ..Handing::default() },
            switches: Switches::all_on(),
            tools: Registry::default(),
            tool_limits: ToolLimits::default(),
            blocks: BlockSettings::default(),
            proxies: Vec::new(),
            open: vec!["two".to_owned()],
            in_memory: false,
            stores: Box::new(|stores| stores),
        }
    }
}

/// A community of a test: one space for members, one for the plan `plus`, a document in each.
pub(crate) struct World {
    pub(crate) community: Community,
    pub(crate) operator: Scope,
    pub(crate) open: SpaceId,
    pub(crate) paid: SpaceId,
    pub(crate) open_document: DocumentId,
    pub(crate) paid_document: DocumentId,
}

/// Keeps what is sent, as a mail server would.
#[derive(Debug, Default)]
pub(crate) struct Mailbox(Mutex<Vec<Message>>);

#[async_trait::async_trait]
impl Mail for Mailbox {
    async fn send(&self, message: Message) -> Result<(), Error> {
        self.0.lock().expect("not poisoned").push(message);
        Ok(())
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Mailbox {
    /// Takes out what was sent so far.
    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.0.lock().expect("not poisoned"))
    }
}

/// Somebody signed in.
pub(crate) struct Person {
    pub(crate) member: MemberId,
    pub(crate) session: SessionId,
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl Person {
    /// What their browser and our page send with a request.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("cookie", format!("theme=dark; portcullis-session={}", self.cookie)),
            ("x-csrf-token", self.csrf.clone()),
            ("sec-fetch-site", "same-origin".to_owned()),
        ]
    }
}

/// The key that signs the tests' tokens of writes by cookie.
const CSRF: [u8; 32] = [5; 32];

pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    pub(crate) stores: Stores,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) tasks: Tasks,
    pub(crate) mailbox: Arc<Mailbox>,
    /// What the listener serves, for those who serve it otherwise.
    pub(crate) served: Arc<App>,
    client: Client,
    engine: SqliteStores,
    folder: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl TestApp {
    pub(crate) async fn start(setup: Setup) -> Self {
        let folder = folder(setup.in_memory);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let options = Options::new(folder.path().join("data"), Secret::new(vec![7; 32]), Arc::clone(&clock));
        let engine = SqliteStores::open(options).expect("stores open");
        let stores = engine.stores();
        let given = (setup.stores)(stores.clone());
        let journal = Arc::new(open_journal(&folder.path().join("audit"), &clock));
        let tasks = Tasks::new();
        let networks = setup.proxies.iter().map(|text| text.parse().expect("a network"));
        let proxies = TrustedProxies::new(networks);
        let number = |number| NonZeroU32::new(number).expect("not zero");
        let links = Rates::per_hour(number(setup.links));
        let gate = Arc::new(Gate::new(GateParts {
            stores: given.clone(),
            issuers: setup.issuers,
            csrf: CsrfKey::new(&CSRF),
            origin: setup.origin.clone(),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            tasks: tasks.clone(),
            limits: Limits {
                tiers: setup.tiers,
                per_actor: setup.rates.0.unwrap_or(Rates::per_minute(number(setup.per_actor))),
                per_session: setup.rates.1.unwrap_or_default(),
                per_address: setup.rates.2.unwrap_or(Rates::per_minute(number(setup.per_address))),
                refused_per_address: Rates::per_minute(number(setup.refused_per_address)),
                links_per_address: links,
                links_per_client: links,
                tokens_per_actor: setup.tokens.0.map(number).map(Rates::per_day).unwrap_or_default(),
                tokens_per_community: setup.tokens.1.map(number).map(Rates::per_day).unwrap_or_default(),
                cost_per_actor: setup.costs.0.map(number).map(Rates::per_day).unwrap_or_default(),
                cost_per_community: setup.costs.1.map(number).map(Rates::per_day).unwrap_or_default(),
                instances: number(setup.instances),
                memory: 1 << 20,
            },
            shared: setup.shared,
            blocks: setup.blocks,
            models: vec!["test-model".to_owned(), "other-model".to_owned()],
            switches: setup.switches,
            screening: setup.screening,
            tools: Arc::new(setup.tools),
            tool_limits: setup.tool_limits,
            handing: setup.handing,
            prices: setup.prices,
        }));
        let mailbox = Arc::new(Mailbox::default());
        let (places, queue) = setup.places;
        let chat = Service::new(ServiceParts {
            gate: Arc::clone(&gate),
            stores: given.clone(),
            model: setup.model,
            places: Places::new(PlaceLimits {
                places,
                per_member: places,
                per_community: places,
                queue,
                patience: Duration::from_secs(5),
            }),
            settings: portcullis_chat::Settings {
                system: Some(setup.system),
                max_tokens: 512,
                passages: 6,
                watch: Duration::from_millis(50),
                release: setup.release,
                longest: setup.request_timeout,
            },
        });
        let app = App::new(AppParts {
            gate,
            chat,
            stores: given,
            mail: Some(Arc::clone(&mailbox) as Arc<dyn Mail>),
            settings: Settings {
                proxies: proxies.clone(),
                origin: setup.origin.clone(),
                body_bytes: setup.body_bytes,
                body: BodyPace {
                    timeout: setup.body_timeout,
                    bytes_per_second: number(setup.body_bytes_per_second),
                },
                request_timeout: setup.request_timeout,
                idempotency_entries: 1_600,
                idempotency_bytes: 16 << 20,
                idempotency_ttl: Duration::from_secs(60),
                sign_in: SignInSettings {
                    link_life: Duration::from_secs(900),
                    session_life: Duration::from_secs(3_600),
                    session_idle: Duration::from_secs(600),
                    open: setup.open,
                },
            },
        });
        let limits = ServerLimits {
            connections: setup.connections.0,
            per_address: setup.connections.1,
            header_timeout: setup.header_timeout,
            header_bytes: 16 << 10,
            write_timeout: setup.write_timeout,
            drain: setup.drain,
        };
        let server =
            Server::bind("127.0.0.1:0".parse().expect("an address"), limits).await.expect("a free port");
        let address = server.address().expect("an address");
        let told = app.gate_handle();
        let server = server
            .behind(proxies)
            .telling(move |peer| told.offended(peer, Offence::Malformed, None))
            .in_lanes(Arc::new(Lanes::start().expect("threads")));
        tasks.spawn(server.serve(portcullis_http::router(&app), tasks.clone()));
        let client = Client::new(portcullis_egress::Options::new(portcullis_egress::AddressPolicy::Any))
            .expect("a client");
        Self { address, stores, clock, journal, tasks, mailbox, served: app, client, engine, folder }
    }

    /// A question of theirs in the moderators' queue.
    pub(crate) async fn hand_over(&self, asker: &Scope, text: &str) -> HandoverId {
        let id = HandoverId::new(&*self.clock);
        let new = NewHandover { id, reason: "other", text: text.to_owned() };
        let room = Room { open: 10_000, of_one: 10_000, since: jiff::Timestamp::MIN };
        let queued = self.stores.handovers.queue(asker, new, room).await.expect("an answer");
        assert_eq!(queued, Queued::Kept);
        id
    }

    /// A call of theirs that waits for a person.
    pub(crate) async fn waiting(&self, asker: &Scope, what: &str) -> ApprovalId {
        self.waiting_in(asker, what, None).await
    }

    /// The same in a conversation of theirs.
    pub(crate) async fn waiting_in(
        &self,
        asker: &Scope,
        what: &str,
        conversation: Option<ConversationId>,
    ) -> ApprovalId {
        let id = ApprovalId::new(&*self.clock);
        let new = NewApproval {
            id,
            tool: "send_letter".to_owned(),
            pin: "sha256:00".to_owned(),
            arguments: serde_json::json!({ "what": what }).to_string(),
            question: serde_json::json!({ "text": what, "model": "test-model" }).to_string(),
            expires: self.clock.now().checked_add(Duration::from_secs(3_600)).expect("a time"),
            conversation,
        };
        let room = Room { open: 10_000, of_one: 10_000, since: jiff::Timestamp::MIN };
        let queued = self.stores.approvals.request(asker, new, room).await.expect("an answer");
        assert_eq!(queued, Queued::Kept);
        id
    }

    pub(crate) async fn world(&self, slug: &str) -> World {
        self.world_at(slug, slug, None).await
    }

    /// A community with that name, and a host of its own.
    pub(crate) async fn world_at(&self, slug: &str, name: &str, host: Option<&str>) -> World {
        let (name, host) = (name.to_owned(), host.map(str::to_owned));
        let new = NewCommunity { slug: slug.to_owned(), name, host, tier: Tier::Standard };
        let community = self.stores.directory.create(new).await.expect("a community");
        let operator = operator(&community);
        let plus = Plan { slug: "plus".to_owned(), name: "Plus".to_owned() };
        self.stores.spaces.create_plan(&operator, plus).await.expect("a plan");
        let plans = SpaceAccess::Plans(vec!["plus".to_owned()]);
        let open = self.space(&operator, "open", SpaceAccess::Members).await;
        let paid = self.space(&operator, "paid", plans).await;
        let open_document = self.document(&operator, open, &format!("open canary{slug}open kettle")).await;
        let paid_document = self.document(&operator, paid, &format!("paid canary{slug}paid kettle")).await;
        World { community, operator, open, paid, open_document, paid_document }
    }

    async fn space(&self, operator: &Scope, slug: &str, access: SpaceAccess) -> SpaceId {
        let new = NewSpace { slug: slug.to_owned(), name: slug.to_owned(), access };
        self.stores.spaces.create(operator, new).await.expect("a space").id
    }

    pub(crate) async fn document(&self, operator: &Scope, space: SpaceId, text: &str) -> DocumentId {
        self.titled_document(operator, space, &format!("Title of {text}"), text).await
    }

    pub(crate) async fn titled_document(
        &self,
        operator: &Scope,
        space: SpaceId,
        title: &str,
        text: &str,
    ) -> DocumentId {
        let new = NewDocument {
            space,
            source: "test".to_owned(),
            source_key: text.to_owned(),
            fingerprint: [1; 32],
            title: title.to_owned(),
            url: Some("https://example.org/t/1".to_owned()),
            author: Some("Author".to_owned()),
            written: None,
            text: DocumentText {
                chunks: vec![Chunk { heading: String::new(), author: None, text: text.to_owned() }],
            },
            links: Vec::new(),
        };
        self.stores.content.put(operator, vec![new]).await.expect("a document is stored");
        self.stores.content.source(operator, "test").await.expect("a source")[text].document
    }

    pub(crate) async fn member(&self, world: &World, name: &str, plan: Option<&str>) -> MemberId {
        let new = NewMember { name: name.to_owned(), email: None, role: None };
        let member = self.stores.members.add(&world.operator, new).await.expect("a member").id;
        if let Some(plan) = plan {
            let entitlement = Entitlement { plan: plan.to_owned(), until: None };
            self.stores.members.entitle(&world.operator, member, entitlement).await.expect("an entitlement");
        }
        member
    }

    /// A member without plans whom mail reaches.
    pub(crate) async fn member_at(&self, world: &World, name: &str, email: &str) -> MemberId {
        let new = NewMember { name: name.to_owned(), email: Some(email.to_owned()), role: None };
        self.stores.members.add(&world.operator, new).await.expect("a member").id
    }

    /// A key of a member, for everything a member does.
    pub(crate) async fn key_of(&self, world: &World, member: MemberId) -> (String, KeyId) {
        let abilities = [KeyAbility::Chat, KeyAbility::Search, KeyAbility::Personal].into_iter().collect();
        self.key(world, KeyActor::Member(member), abilities, None).await
    }

    /// A member with that role, signed in by mail in a browser of their own.
    pub(crate) async fn person(&self, world: &World, name: &str, role: Role) -> Person {
        let email = format!("{name}@example.org");
        let new = NewMember { name: name.to_owned(), email: Some(email.clone()), role: Some(role) };
        let member = self.stores.members.add(&world.operator, new).await.expect("a member").id;
        self.sign_in(world, member, &email).await
    }

    pub(crate) async fn sign_in(&self, world: &World, member: MemberId, email: &str) -> Person {
        let locator = &world.community.locator;
        let (_, link) = Token::issue(TokenKind::SignIn, locator);
        let (_, browser) = Token::issue(TokenKind::Browser, locator);
        let (cookie, session) = Token::issue(TokenKind::Session, locator);
        let now = self.clock.now();
        let new = NewSignIn {
            token: link.hash(),
            browser: browser.hash(),
            email: email.to_owned(),
            expires: now + 1.hour(),
        };
        let sessions = &self.stores.sessions;
        let sent = sessions.ask(world.community.id, new, Strangers::Refuse, None).await.expect("asked");
        assert!(sent.is_some(), "{email} is known");
        let new =
            NewSession { token: session.hash(), expires: now + 24.hours(), idle: Duration::from_secs(3_600) };
        let signed_in = sessions
            .redeem(world.community.id, link.hash(), browser.hash(), new, now)
            .await
            .expect("redeemed")
            .expect("signed in");
        assert_eq!(signed_in.member, member);
        let csrf = CsrfKey::new(&CSRF).token(signed_in.session);
        Person { member, session: signed_in.session, cookie: cookie.expose().clone(), csrf }
    }

    /// A key of a builder's back end, which owns its requests.
    pub(crate) async fn owner_key(&self, world: &World) -> String {
        let actor = KeyActor::Backend { role: Role::Member, plans: Vec::new() };
        let abilities = [KeyAbility::Chat, KeyAbility::OwnRequest].into_iter().collect();
        self.key(world, actor, abilities, None).await.0
    }

    pub(crate) async fn key(
        &self,
        world: &World,
        actor: KeyActor,
        abilities: AbilitySet,
        expires: Option<jiff::Timestamp>,
    ) -> (String, KeyId) {
        let (text, token) = Token::issue(TokenKind::ApiKey, &world.community.locator);
        let new = NewKey {
            name: "test".to_owned(),
            actor,
            ceiling: None,
            abilities,
            expires,
            hash: token.hash(),
            hint: token.hint(),
        };
        let made = self.stores.keys.create(&world.operator, new).await.expect("a key");
        (text.expose().clone(), made.id)
    }

    pub(crate) fn request(&self, method: Method, path: &str, key: Option<&str>) -> http::request::Builder {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        request
    }

    pub(crate) async fn open(&self, request: Request<Bytes>) -> http::Response<portcullis_egress::Body> {
        self.client.send(request).await.expect("the gate answers")
    }

    pub(crate) async fn send(&self, request: Request<Bytes>) -> Answer {
        let (head, body) = self.open(request).await.into_parts();
        let body = body.collect(16 << 20, Duration::from_secs(30)).await.expect("a whole body");
        Answer { status: head.status, headers: head.headers, body }
    }

    /// What the router answers, around the listener.
    pub(crate) async fn answer(&self, router: &axum::Router, request: Request<Bytes>) -> Answer {
        let request = request.map(axum::body::Body::from);
        let (head, body) = router.clone().call(request).await.expect("it never fails").into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub(crate) async fn get(&self, path: &str, key: &str) -> Answer {
        self.send(self.request(Method::GET, path, Some(key)).body(Bytes::new()).expect("a request")).await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path, Some(key)).header("content-type", "application/json");
        self.send(request.body(Bytes::from(body.to_string())).expect("a request")).await
    }

    pub(crate) async fn ask(&self, key: &str, question: &str) -> Answer {
        self.post("/v1/chat/completions", key, &question_body(question, false)).await
    }

    /// Begins a conversation with a member's key.
    pub(crate) async fn conversation(&self, key: &str) -> String {
        let request = self
            .request(Method::POST, "/v1/chat/completions", Some(key))
            .header("x-conversation-id", "new")
            .body(Bytes::from(question_body("hello", false).to_string()));
        let answer = self.send(request.expect("a request")).await;
        answer.headers["x-conversation-id"].to_str().expect("an id").to_owned()
    }

    /// Waits until the journal holds a record that `wanted` accepts.
    pub(crate) async fn recorded(&self, wanted: impl Fn(&Entry) -> bool) -> Entry {
        for _ in 0..500 {
            if let Some(entry) = self.records().into_iter().find(&wanted) {
                return entry;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the record never came");
    }

    pub(crate) fn records(&self) -> Vec<Entry> {
        let archive = Archive::new(&self.folder.path().join("audit"));
        archive.read(Filter::default()).expect("a journal").map(|entry| entry.expect("an entry")).collect()
    }

    /// The folder of all that it keeps.
    pub(crate) fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Sends a request from that address of this machine.
    pub(crate) async fn send_from(&self, source: &str, request: Request<Bytes>) -> Answer {
        let mut options = portcullis_egress::Options::new(portcullis_egress::AddressPolicy::Any);
        options.source = Some(source.parse().expect("an address"));
        let client = Client::new(options).expect("a client");
        let (head, body) = client.send(request).await.expect("the gate answers").into_parts();
        let body = body.collect(16 << 20, Duration::from_secs(30)).await.expect("a whole body");
        Answer { status: head.status, headers: head.headers, body }
    }

    /// What a store is after a disk has gone: every later call fails.
    pub(crate) async fn close_stores(&self) {
        self.engine.close().await;
    }

    pub(crate) async fn stop(self) {
        self.tasks.close(Duration::from_secs(10)).await;
        self.journal.close().await.expect("the journal closes");
        self.engine.close().await;
    }
}

pub(crate) fn question_body(question: &str, stream: bool) -> Value {
    serde_json::json!({
        "model": "test-model",
        "messages": [{ "role": "user", "content": question }],
        "stream": stream,
    })
}

fn folder(in_memory: bool) -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let folder =
        if in_memory && memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a temporary folder")
}

fn open_journal(dir: &std::path::Path, clock: &Arc<dyn Clock>) -> Journal {
    let signer = Signer::new("test.log", &Secret::new([9; 32])).expect("a signer");
    let options = portcullis_audit::Options::new(portcullis_audit::Use::Serving);
    Journal::open(dir, options, signer, Arc::clone(clock)).expect("a journal").0
}

#[expect(clippy::disallowed_methods, reason = "a test's own operator")]
fn operator(community: &Community) -> Scope {
    Scope::grant(Grant {
        community: community.id,
        actor: Actor::Operator,
        role: Role::Owner,
        abilities: KeyAbility::ALL.into_iter().collect(),
        spaces: Arc::from([]),
        tier: community.tier,
    })
}

/// What a member's own session opens, to change things around the HTTP surface.
#[expect(clippy::disallowed_methods, reason = "a test's own member")]
pub(crate) fn member_scope(world: &World, member: MemberId) -> Scope {
    Scope::grant(Grant {
        community: world.community.id,
        actor: Actor::Member(member),
        role: Role::Member,
        abilities: AbilitySet::SESSION,
        spaces: Arc::from([]),
        tier: world.community.tier,
    })
}
