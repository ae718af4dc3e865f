//! The deployment that is judged: where it is, what it offers, who may use it, what it promises.
//!
//! A [`Target`] comes from a `target.toml` ([`Target::load`]) or is built in code; every field is public for that.
//! It holds credentials as [`Secret`]s and sends nothing: only the probe does.

mod alarms;
mod alarms_file;
mod blocklist;
mod blocklist_file;
mod canary;
mod caps;
mod caps_file;
mod display;
mod display_file;
mod edge;
mod edge_file;
mod file;
mod forwarded;
mod forwarded_file;
mod handovers;
mod handovers_file;
mod identity;
mod inventory;
mod load;
mod load_file;
mod owned;
mod problem;
mod read;
mod rehearsal;
mod rehearsal_file;
mod roles;
mod route;
mod sandbox;
mod sandbox_file;
mod screened;
mod screened_file;
mod sign_up;
mod sinks;
mod sinks_file;
mod template;
mod tiers;
mod tiers_file;

use std::collections::BTreeMap;
use std::net::IpAddr;

/// The method of a route and the address of an instance: the `http` crate's.
pub use http::{Method, Uri};
use portcullis_core::Secret;

pub use alarms::Alarms;
pub use blocklist::{AutoBlock, Blocklist, ENTRY, NETWORK};
pub use canary::{Audience, Canary, SHORTEST_CANARY};
pub use caps::{Cap, Capped, TokenPrice};
pub use display::{Display, Wording};
pub use edge::{CertificateFile, Edge, Listener, Place, Protocol};
pub use forwarded::Forwarded;
pub use handovers::{HandoverQueue, LONGEST_HANDOVER, Staffed};
pub use identity::{Credential, Identity, Purpose, State};
pub use inventory::{Confirmation, Inventory, OpenApi};
pub use load::{Drops, Load, Plan};
pub use owned::{ID, MARKER, Owned, OwnedKind, Spot};
pub(crate) use owned::{cookies, query_of, text_at};
pub use problem::{Problem, TargetError};
pub use rehearsal::{
    DeclaredTool, Form, NUMBER, Planted, PlantedKind, Rehearsal, Thread, ToolInventory, WORD,
};
pub use roles::{
    AccountKind, AccountList, Accounts, Declared, Exercise, Matrix, OwnStanding, Roles, SystemMatrix,
};
pub(crate) use route::encode;
use route::substitute;
pub use route::{Auth, Effect, Route, RouteKind};
pub use sandbox::{
    CalledProgram, CalledPrograms, Expected, HostFile, Program, Programs, Runtime, SandboxApi,
};
pub use screened::{Holds, Screened, ScreenedDocument};
pub use sign_up::{Act, NEWCOMERS, NewCredential, SignUp, SignUpBy, Step};
pub(crate) use sign_up::{filled, placeholders};
pub use sinks::{Logged, Logs, Shown, Sink, SinkAt};
pub use tiers::{Here, Hooks, TierPlace};

/// Stands for the asker's community's id in a route's parameters and body. Further names stand for what
/// [`Tenancy::values`] says: `{{document}}` for a document of the asker's community.
pub const COMMUNITY: &str = "{{community}}";
/// Stands for the question in the chat's body.
pub const MESSAGE: &str = "{{message}}";
/// Stands for what is searched for; a route that holds it is a search.
pub const QUERY: &str = "{{query}}";
/// Stands for the id of a document; a route that holds it reads one.
pub const DOCUMENT: &str = "{{document}}";

/// A deployment to judge.
#[derive(Debug, Clone)]
pub struct Target {
    /// What reports call it.
    pub name: String,
    /// Scheme, host and port, and a path prefix if it has one; without a trailing slash.
    pub base_url: Uri,
    /// How it is reached, where the world's names and authorities do not know it.
    pub reached: Option<Reached>,
    /// How a question is asked.
    pub chat: Chat,
    /// What it offers over HTTP.
    pub inventory: Inventory,
    /// Who may use it, and credentials that must not work.
    pub identities: Vec<Identity>,
    /// What it promises about rates.
    pub limits: Limits,
    /// The secrets it runs with.
    pub secrets: Secrets,
    /// How it keeps communities apart.
    pub tenancy: Tenancy,
    /// Text that stands in one space only.
    pub canaries: Vec<Canary>,
    /// Another instance of the same build, one of whose dependencies cannot be reached: scheme, host and port. What its
    /// readiness says shows whether readiness tells the truth.
    pub blocked: Option<Uri>,
    /// Where it meets the network; only the base URL is known when there is none.
    pub edge: Option<Edge>,
    /// Its roles, and what each may do.
    pub roles: Roles,
    /// Where its accounts are listed.
    pub accounts: Accounts,
    /// What belongs to one member.
    pub owned: Vec<Owned>,
    /// Where pages show what somebody wrote.
    pub displays: Vec<Display>,
    /// The ways in which somebody new gets an account.
    pub sign_ups: Vec<SignUp>,
    /// Where it is tried out what the bot can be talked into.
    pub rehearsal: Option<Rehearsal>,
    /// Where questions go that a person should see.
    pub handovers: Option<Box<HandoverQueue>>,
    /// Where addresses are blocked by hand.
    pub blocklist: Option<Box<Blocklist>>,
    /// When addresses are blocked for what they do.
    pub auto_block: Option<Box<AutoBlock>>,
    /// Where the checker is taken for a trusted proxy.
    pub forwarded: Option<Box<Forwarded>>,
    /// How much it may be tried with.
    pub load: Option<Box<Load>>,
    /// Where it is told that somebody tries something.
    pub alarms: Option<Box<Alarms>>,
    /// Where questions are judged before the model is asked.
    pub screen: Option<Screened>,
    /// Where it is written down what was asked.
    pub logs: Logs,
    /// Budgets of a model's use that may be used up.
    pub caps: Vec<Cap>,
    /// Communities of each tier in deployments whose clock may be moved.
    pub tiers: Vec<TierPlace>,
    /// Where code is run that nobody trusts.
    pub sandbox: Option<Box<SandboxApi>>,
    /// What it says that it does not have.
    pub declarations: Vec<Declaration>,
    /// Where some of the checks ask.
    pub elsewhere: Vec<Elsewhere>,
}

/// The same deployment with other communities and people. What a community and whoever keeps it may ask in a minute is soon used
/// up; checks that ask elsewhere need not wait for it.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    /// It.
    pub target: Target,
    /// The checks that ask there, by their ids.
    pub checks: Vec<&'static str>,
}

/// Where the host of a deployment is, whatever DNS says, and whom its certificate may come from.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The address behind the host of the base URL.
    pub address: IpAddr,
    /// Certificates in PEM that are trusted there beside the roots of the web.
    pub roots_pem: Vec<u8>,
}

impl Target {
    /// A target at `base_url` with an OpenAI-compatible chat and nothing else known.
    ///
    /// # Errors
    /// When the URL is not an absolute http or https URL.
    pub fn new(name: impl Into<String>, base_url: &str) -> Result<Self, TargetError> {
        let bad = || {
            TargetError::single(Problem::new(
                "base_url",
                format!("`{base_url}`"),
                "an absolute URL such as `https://bot.example.org`",
            ))
        };
        let uri = base_of(base_url).ok_or_else(bad)?;
        Ok(Self {
            name: name.into(),
            base_url: uri,
            reached: None,
            chat: Chat::openai(),
            inventory: Inventory::default(),
            identities: Vec::new(),
            limits: Limits::default(),
            secrets: Secrets::default(),
            tenancy: Tenancy::default(),
            canaries: Vec::new(),
            blocked: None,
            edge: None,
            roles: Roles::default(),
            accounts: Accounts::default(),
            owned: Vec::new(),
            displays: Vec::new(),
            alarms: None,
            sign_ups: Vec::new(),
            rehearsal: None,
            handovers: None,
            blocklist: None,
            auto_block: None,
            forwarded: None,
            load: None,
            screen: None,
            logs: Logs::default(),
            caps: Vec::new(),
            tiers: Vec::new(),
            sandbox: None,
            declarations: Vec::new(),
            elsewhere: Vec::new(),
        })
    }

    /// The commented file that `portcullis check --init URL` writes.
    pub fn init(url: &str) -> String {
        template::render(url)
    }

    /// The identities whose credentials should work, those set aside for rate limits last.
    pub fn valid(&self) -> Vec<&Identity> {
        let mut valid: Vec<&Identity> =
            self.identities.iter().filter(|identity| identity.state == State::Valid).collect();
        valid.sort_by_key(|identity| identity.purpose);
        valid
    }

    /// The first working identity of each of two communities, or none when there are not two.
    pub fn two_communities(&self) -> Option<(&Identity, &Identity)> {
        let valid = self.valid();
        let first = valid.first()?;
        let second = valid.iter().find(|other| other.community != first.community)?;
        Some((first, second))
    }

    /// What the target says about not having `what`.
    pub fn lacks(&self, what: &str) -> Option<&Declaration> {
        self.declarations.iter().find(|declaration| declaration.lacks.eq_ignore_ascii_case(what))
    }

    /// The id by which the API names a community.
    pub fn community_id<'a>(&'a self, community: &'a str) -> &'a str {
        self.tenancy.ids.get(community).map_or(community, String::as_str)
    }

    /// The canaries of a community.
    pub fn canaries_of<'a>(&'a self, community: &'a str) -> impl Iterator<Item = &'a Canary> {
        self.canaries.iter().filter(move |canary| canary.community == community)
    }

    /// Everyone who may ask what `identity` asks and gets the same: working identities of the same community, role,
    /// plans and spaces, itself first.
    pub fn peers<'a>(&'a self, identity: &'a Identity) -> Vec<&'a Identity> {
        let others =
            self.valid().into_iter().filter(|other| other.name != identity.name && other.is_peer(identity));
        std::iter::once(identity).chain(others).collect()
    }

    /// What the placeholders of routes stand for when a member of `community` asks.
    pub fn values(&self, community: &str) -> BTreeMap<String, String> {
        let mut values = self.tenancy.values.get(community).cloned().unwrap_or_default();
        values.insert("community".to_owned(), self.community_id(community).to_owned());
        values.entry("query".to_owned()).or_insert_with(|| self.tenancy.question.clone());
        values
    }

    /// All known routes, the chat last. What is known about the chat comes from [`Target::chat`], whatever a document
    /// says about the same operation.
    pub fn routes(&self) -> Vec<&Route> {
        let others = self.inventory.routes.iter().filter(|route| !route.is_same(&self.chat.route));
        others.chain([&self.chat.route]).collect()
    }

    /// Whether a request to this path is counted against the promised rates.
    pub fn counts(&self, path: &str) -> bool {
        let asked = path.split('?').next().unwrap_or_default();
        self.limits.counted == Counted::Everything || asked == self.chat.route.path
    }

    /// Whether some requests can be made by nobody else: a route is for them alone, or they have credentials that have ended
    /// beside the one that works. What they may ask for is kept for that.
    pub fn is_spared(&self, identity: &Identity) -> bool {
        let named = self.inventory.routes.iter().any(|route| route.identity.as_ref() == Some(&identity.user));
        let ended = |other: &Identity| {
            other.user == identity.user && matches!(other.state, State::Expired | State::Revoked)
        };
        named || self.identities.iter().any(ended)
    }

    /// Whether it runs on this machine, where a check may choose its own client address.
    pub fn is_on_loopback(&self) -> bool {
        if let Some(reached) = &self.reached {
            return reached.address.is_loopback();
        }
        let host = self.base_url.host().unwrap_or_default();
        host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// An absolute http or https URL without a query.
fn base_of(url: &str) -> Option<Uri> {
    let uri: Uri = url.trim_end_matches('/').parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    (known && uri.authority().is_some() && uri.query().is_none()).then_some(uri)
}

/// How a question is asked and where the answer stands.
#[derive(Debug, Clone)]
pub struct Chat {
    /// The request; `{{message}}` in its body stands for the question.
    pub route: Route,
    /// JSON pointer to the answer's text.
    pub answer: String,
    /// The body that asks for the answer as a stream of events, if it can be streamed.
    pub stream: Option<serde_json::Value>,
}

impl Chat {
    /// `POST /v1/chat/completions` as OpenAI's API has it.
    pub fn openai() -> Self {
        let body = |stream: bool| {
            let mut body = serde_json::json!({
                "model": "default",
                "max_tokens": 256,
                "messages": [{"role": "user", "content": MESSAGE}],
            });
            if let Some(map) = body.as_object_mut().filter(|_| stream) {
                map.insert("stream".to_owned(), true.into());
            }
            body
        };
        let route = Route::new(Method::POST, "/v1/chat/completions").reads().body(body(false));
        Self { route, answer: "/choices/0/message/content".to_owned(), stream: Some(body(true)) }
    }

    /// The chat as it must be sent to ask `message`.
    pub fn asking(&self, message: &str) -> Route {
        let mut route = self.route.clone();
        if let Some(body) = &mut route.body {
            substitute(body, MESSAGE, message);
        }
        route
    }

    /// The chat as it must be sent to get the answer to `message` as a stream; none when it cannot be streamed.
    pub fn streaming(&self, message: &str) -> Option<Route> {
        let mut route = self.route.clone();
        let mut body = self.stream.clone()?;
        substitute(&mut body, MESSAGE, message);
        route.body = Some(body);
        Some(route)
    }
}

/// Which requests the promised rates count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Counted {
    /// All that a user, an address or a session asks for.
    #[default]
    Everything,
    /// Questions to the chat alone.
    Chat,
}

impl Counted {
    /// The words used in files.
    pub const ALL: [(&'static str, Self); 2] = [("everything", Self::Everything), ("chat", Self::Chat)];
}

/// What the target promises about rates, per minute.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// What is counted.
    pub counted: Counted,
    /// Chat requests of one user over all sessions.
    pub user_per_minute: Option<u32>,
    /// Chat requests from one client address.
    pub address_per_minute: Option<u32>,
    /// Chat requests of one session or key.
    pub session_per_minute: Option<u32>,
    /// Requests of a whole community. It is not driven; what is driven stays beneath it.
    pub community_per_minute: Option<u32>,
    /// Text in a header or in the body by which the gate's own 429 is told from a model provider's.
    pub marker: Option<String>,
}

/// The secrets the target runs with, as far as they are known here.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Signs the target's own tokens.
    pub jwt: Option<HeldSecret>,
    /// Encrypts data at rest.
    pub encryption: Option<HeldSecret>,
    /// Protects forms.
    pub csrf: Option<HeldSecret>,
    /// A token that the target issued, to attack offline.
    pub sample_jwt: Option<Secret<String>>,
    /// SHA-256 of secrets of other environments, in hex, for finding reuse without knowing them.
    pub used_elsewhere: Vec<String>,
    /// More words to try, beside the built-in list.
    pub words: Vec<String>,
}

/// How a secret came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Taken from the configuration that the running process serves with.
    Served,
    /// Named in the target file: whether the deployment really uses it must be shown.
    Given,
}

/// A secret, and where it came from.
#[derive(Debug, Clone)]
pub struct HeldSecret {
    /// The secret.
    pub value: Secret<String>,
    /// `env:JWT_SECRET`, `file:jwt_secret`: what a fix names.
    pub origin: String,
    /// How it came here.
    pub held: Held,
}

impl HeldSecret {
    /// A secret of the running process's own configuration.
    pub fn served(value: &str, origin: &str) -> Self {
        Self { value: Secret::new(value.to_owned()), origin: origin.to_owned(), held: Held::Served }
    }
}

/// How the target keeps communities apart.
#[derive(Debug, Clone)]
pub struct Tenancy {
    /// The id by which the API names each community, where it is not the name itself.
    pub ids: BTreeMap<String, String>,
    /// A question whose answer depends on the community's content.
    pub question: String,
    /// By community, what placeholders in routes stand for: ids of its own objects.
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// The name of the parameter or member by which a search is told how many results to give.
    pub how_many: Option<String>,
    /// Further names under which a request may carry a community's id.
    pub id_names: Vec<String>,
}

impl Default for Tenancy {
    fn default() -> Self {
        Self {
            ids: BTreeMap::new(),
            values: BTreeMap::new(),
            how_many: None,
            question: "What is written in this community?".to_owned(),
            id_names: Vec::new(),
        }
    }
}

/// Something the target says that it does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// A control's id, or one of [`Declaration::FEATURES`].
    pub lacks: String,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub approver: String,
}

impl Declaration {
    /// What can be declared missing, beside whole controls and `permission:NAME` for a permission that no request here
    /// exercises.
    pub const FEATURES: &[&str] = &[
        "expired",
        "revoked",
        "wrong-audience",
        "pages",
        "login",
        "assets",
        "user-limit",
        "address-limit",
        "session-limit",
        "search",
        "documents",
        "streaming",
        "lapsed",
        "conversations",
        "memories",
        "uploads",
        "cost-budget",
        "service-keys",
        "self-sign-up",
        "staff-sign-up",
        "flood-plan",
        "shared-cache",
    ];

    /// A declaration.
    pub fn new(lacks: &str, reason: &str, approver: &str) -> Self {
        Self { lacks: lacks.to_owned(), reason: reason.to_owned(), approver: approver.to_owned() }
    }
}
