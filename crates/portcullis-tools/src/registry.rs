//! Which tools there are, for whom, and whether each is as it was approved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;
use parking_lot::Mutex;
use portcullis_core::unseen::visible_line;
use portcullis_core::{Role, Secret};
use portcullis_egress::{AddressPolicy, Client, Options, Resolver};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::call::{FaultKind, bounded};
use crate::fetch;
use crate::mcp::Server;
use crate::pin::Pin;
use crate::program::{self, Program};
use crate::schema::{Schema, SchemaProblem};
use crate::spec::{Spec, ToolName};

/// How long what an MCP server said of a tool counts, before it is asked again; and where it may not run by that.
const FRESH: Duration = Duration::from_secs(60);
const FRESH_STOPPED: Duration = Duration::from_secs(5);
/// As much as is told of what is wrong with a server's schema.
const PROBLEM_BYTES: usize = 500;
/// The longest time to connect to a tool.
const CONNECT: Duration = Duration::from_secs(5);

/// One tool, as an operator configured it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the model calls it.
    pub name: ToolName,
    /// What the model is told that it does. Those of MCP servers say so themselves.
    pub description: String,
    /// The JSON Schema of its arguments. In the place of what an MCP server says, if it is set for one.
    pub schema: Option<Value>,
    /// Where it is.
    pub way: Way,
    /// The communities that may use it, by short name.
    pub communities: BTreeSet<String>,
    /// The roles that may use it.
    pub roles: BTreeSet<Role>,
    /// The hash of what was approved; without one it is stopped.
    pub pin: Option<Pin>,
    /// Who approves each call of it, beside the guards.
    pub approval: ApprovalRule,
    /// Networks that it may be in beside public ones.
    pub networks: Vec<IpNet>,
    /// The most calls of it in one turn.
    pub per_turn: u32,
    /// The most calls of it by one member in any hour.
    pub per_hour: Option<NonZeroU32>,
    /// The most calls of it by a whole community in any day.
    pub per_day: Option<NonZeroU32>,
    /// The longest time of one call.
    pub timeout: Duration,
    /// The most bytes that are read of what it returns.
    pub result_bytes: usize,
}

/// Who approves a call before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApprovalRule {
    /// Nobody: what the guards allow is made.
    #[default]
    None,
    /// A person, for each call.
    Human,
}

/// How a tool is called.
#[derive(Debug, Clone)]
pub enum Way {
    /// By one HTTP request to one address.
    Http {
        /// The address.
        url: String,
        /// How the arguments go there.
        method: WebMethod,
        /// Goes with it as a bearer token.
        key: Option<Secret<String>>,
    },
    /// A page that the model names is read, from hosts of a list.
    Fetch {
        /// The hosts, each with its port where that is not the scheme's own.
        hosts: BTreeSet<String>,
    },
    /// By the Model Context Protocol over streamable HTTP.
    Mcp {
        /// The server's address.
        url: String,
        /// Goes with every request as a bearer token.
        key: Option<Secret<String>>,
        /// What the server calls the tool.
        remote: String,
    },
    /// A program is run in the sandbox.
    Program(Program),
}

/// How arguments go to an HTTP tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebMethod {
    /// In the query of the address. Redirects within the same host are followed.
    Get,
    /// As a JSON body. No redirect is followed.
    Post,
}

/// How tools are reached.
#[derive(Debug, Clone)]
pub struct Egress {
    /// Which addresses may be connected to, beside the networks of each tool.
    pub policy: AddressPolicy,
    /// Who looks names up in the place of the system.
    pub resolver: Option<Arc<dyn Resolver>>,
}

impl Default for Egress {
    fn default() -> Self {
        Self { policy: AddressPolicy::Public, resolver: None }
    }
}

/// Why a tool does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// No pin is configured.
    NotApproved(Pin),
    /// What it says is not what was approved.
    Changed(Pin),
    /// Its server does not list it any more.
    Gone,
    /// Its server's schema is one that arguments cannot be checked with.
    Unsupported(SchemaProblem),
    /// Its server cannot be asked.
    Unreachable,
    /// Its server says more than is read of a list of tools.
    TooMuch,
    /// The file of its program is another than the one that was read with the configuration.
    Replaced,
    /// The file of its program cannot be read any more.
    Missing,
    /// Its program does not run here, and why.
    Unrunnable(String),
}

impl Stop {
    /// In one word, for the journal.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotApproved(_) => "not_approved",
            Self::Changed(_) => "changed",
            Self::Gone => "gone",
            Self::Unsupported(_) => "schema_unsupported",
            Self::Unreachable => "unreachable",
            Self::TooMuch => "list_too_long",
            Self::Replaced => "program_replaced",
            Self::Missing => "program_missing",
            Self::Unrunnable(_) => "program_unrunnable",
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApproved(now) => {
                write!(f, "it was not approved: read what it is and takes, then set `pin = \"{now}\"`")
            }
            Self::Changed(now) => write!(
                f,
                "its description, schema or program is not what was approved: read it, then set `pin = \"{now}\"`"
            ),
            Self::Gone => f.write_str("its server does not list it any more"),
            Self::Unsupported(problem) => {
                // It names places of the schema, and these are the server's words.
                let problem = bounded(visible_line(&problem.to_string()).as_bytes(), PROBLEM_BYTES);
                write!(f, "its schema cannot be checked, {problem}; give a narrower one with `schema`")
            }
            Self::Unreachable => f.write_str("its server cannot be asked"),
            Self::TooMuch => f.write_str(
                "its server says more than is read of a list of tools: 256 KiB in 16 pages, 1,000 events each",
            ),
            Self::Replaced => f.write_str(
                "the file of its program is not what was read at the start: put the old one back, or start again and approve it",
            ),
            Self::Missing => f.write_str("the file of its program cannot be read: put it back"),
            Self::Unrunnable(why) => f.write_str(&visible_line(why)),
        }
    }
}

/// Whether a tool may be used as it stands.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Its server was not asked yet.
    Unknown,
    /// As it was approved.
    Ready(Arc<Spec>),
    /// It may not.
    Stopped(Stop),
}

/// A tool.
pub struct Tool {
    settings: Settings,
    pub(crate) client: Client,
    pub(crate) server: Option<Server>,
    standing: Mutex<(Standing, Option<Instant>)>,
    /// Held by the one who asks what it says now.
    asking: tokio::sync::Mutex<()>,
    /// What came of getting its program ready, which is tried once.
    ready: OnceCell<Result<(), Stop>>,
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tool({})", self.settings.name)
    }
}

/// A tool that cannot be used as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tool `{tool}`: {why}")]
pub struct RegistryProblem {
    /// Its name.
    pub tool: String,
    /// What is wrong.
    pub why: String,
}

/// All tools.
#[derive(Debug, Default)]
pub struct Registry {
    tools: BTreeMap<ToolName, Arc<Tool>>,
}

impl Registry {
    /// The tools of these settings. Nothing is connected to yet.
    ///
    /// # Errors
    /// The first that cannot be used: a name that stands twice, an address or a schema that cannot be read.
    pub fn new(settings: Vec<Settings>, egress: &Egress) -> Result<Self, RegistryProblem> {
        let mut tools = BTreeMap::new();
        for settings in settings {
            let name = settings.name.clone();
            let problem = |why: String| RegistryProblem { tool: name.to_string(), why };
            let tool = Tool::new(settings, egress).map_err(problem)?;
            if tools.insert(name.clone(), Arc::new(tool)).is_some() {
                return Err(problem("there is another of that name".to_owned()));
            }
        }
        Ok(Self { tools })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The tool of that name, whoever may use it.
    pub fn find(&self, name: &str) -> Option<&Arc<Tool>> {
        self.tools.get(&name.parse().ok()?)
    }

    /// Every tool, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Tool>> {
        self.tools.values()
    }
}

impl Tool {
    fn new(settings: Settings, egress: &Egress) -> Result<Self, String> {
        let mut options = Options::new(egress.policy);
        options.also_networks.clone_from(&settings.networks);
        options.resolver.clone_from(&egress.resolver);
        options.connect_timeout = CONNECT.min(settings.timeout);
        options.head_timeout = settings.timeout;
        options.pool_idle_per_host = 4;
        options.user_agent =
            Some(http::HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"))));
        let client = Client::new(options).map_err(|error| error.to_string())?;
        let (server, standing) = match &settings.way {
            Way::Mcp { url, key, .. } => {
                if let Some(schema) = &settings.schema {
                    Schema::read(schema).map_err(|problem| format!("its schema, {problem}"))?;
                }
                (Some(Server::new(address(url)?, bearer(key.as_ref())?)), Standing::Unknown)
            }
            Way::Fetch { .. } => (None, settings.judge(&settings.description, &fetch::schema())),
            Way::Http { url, method, key } => {
                address(url)?;
                bearer(key.as_ref())?;
                let json = settings.schema.clone().ok_or("it has no schema")?;
                let schema = Schema::read(&json).map_err(|problem| format!("its schema, {problem}"))?;
                if *method == WebMethod::Get && !schema.is_flat() {
                    return Err(
                        "arguments in a query must be plain values; use `method = \"POST\"`".to_owned()
                    );
                }
                (None, settings.judge(&settings.description, &json))
            }
            Way::Program(_) => {
                let json = settings.schema.as_ref().ok_or("it has no schema")?;
                Schema::read(json).map_err(|problem| format!("its schema, {problem}"))?;
                (None, settings.judge(&settings.description, json))
            }
        };
        let standing = Mutex::new((standing, None));
        let asking = tokio::sync::Mutex::new(());
        Ok(Self { settings, client, server, standing, asking, ready: OnceCell::new() })
    }

    /// Its name.
    pub const fn name(&self) -> &ToolName {
        &self.settings.name
    }

    /// What was configured.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether that community and role may use it.
    pub fn allows(&self, community: &str, role: Role) -> bool {
        self.settings.communities.contains(community) && self.settings.roles.contains(&role)
    }

    /// Whether it may be used as it stands, as far as is known without asking anybody.
    pub fn standing(&self) -> Standing {
        self.standing.lock().0.clone()
    }

    /// What it says of itself now, whether that was approved or not: description and schema. It stands by what was said here from
    /// then on, so that the pin which somebody reads beside it is of the same words.
    ///
    /// # Errors
    /// Why that cannot be known.
    pub async fn told(&self) -> Result<(String, Value), Stop> {
        match (&self.settings.way, &self.server) {
            (Way::Mcp { remote, .. }, Some(server)) => {
                let listed = self.listed(server, remote).await?;
                let judged = self.settings.judge(&listed.description, &listed.schema);
                *self.standing.lock() = (judged, Some(Instant::now()));
                Ok((listed.description, listed.schema))
            }
            (Way::Fetch { .. }, _) => Ok((self.settings.description.clone(), fetch::schema())),
            _ => Ok((self.settings.description.clone(), self.settings.schema.clone().unwrap_or_default())),
        }
    }

    /// Whether it may be used as it stands. The server of an MCP tool is asked what it says of it now, and the file of a program
    /// looked at, once a minute. A program is got ready to run the first time.
    ///
    /// # Errors
    /// Why it may not.
    pub async fn verify(&self) -> Result<Arc<Spec>, Stop> {
        if !self.is_fresh() {
            // One asks, and whoever comes meanwhile waits for what comes of it.
            let _alone = self.asking.lock().await;
            if !self.is_fresh()
                && let Some(judged) = self.judge_now().await
            {
                *self.standing.lock() = (judged, Some(Instant::now()));
            }
        }
        match self.standing() {
            Standing::Ready(spec) => Ok(spec),
            Standing::Stopped(stop) => Err(stop),
            Standing::Unknown => Err(Stop::Unreachable),
        }
    }

    /// Whether what is known of it still counts.
    fn is_fresh(&self) -> bool {
        if matches!(self.settings.way, Way::Http { .. } | Way::Fetch { .. }) {
            return true;
        }
        let (standing, asked) = &*self.standing.lock();
        let counts = if matches!(standing, Standing::Ready(_)) { FRESH } else { FRESH_STOPPED };
        asked.is_some_and(|asked| asked.elapsed() < counts)
    }

    /// How it stands by what its server says now, or by the file of its program. None where there is nobody to ask.
    async fn judge_now(&self) -> Option<Standing> {
        match (&self.settings.way, &self.server) {
            (Way::Program(program), _) => Some(self.judge_program(program).await),
            (Way::Mcp { remote, .. }, Some(server)) => Some(match self.listed(server, remote).await {
                Ok(listed) => self.settings.judge(&listed.description, &listed.schema),
                Err(stop) => Standing::Stopped(stop),
            }),
            _ => None,
        }
    }

    /// What its server says of it.
    async fn listed(&self, server: &Server, remote: &str) -> Result<Listed, Stop> {
        match tokio::time::timeout(self.settings.timeout, server.find(self, remote)).await {
            Ok(Ok(listed)) => listed.ok_or(Stop::Gone),
            Ok(Err(fault)) if fault.kind == FaultKind::TooLarge => Err(Stop::TooMuch),
            Ok(Err(_)) | Err(_) => Err(Stop::Unreachable),
        }
    }

    /// Its file is what was read, what was read is what was approved, and that runs here.
    async fn judge_program(&self, program: &Program) -> Standing {
        if let Some(stop) = program.differs(&self.settings).await {
            return Standing::Stopped(stop);
        }
        let schema = self.settings.schema.as_ref().unwrap_or(&Value::Null);
        let judged = self.settings.judge(&self.settings.description, schema);
        // What nobody approved is not even compiled.
        if !matches!(judged, Standing::Ready(_)) {
            return judged;
        }
        match self.ready.get_or_init(|| program.prepare()).await {
            Ok(()) => judged,
            Err(stop) => Standing::Stopped(stop.clone()),
        }
    }
}

/// A tool as its server describes it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) description: String,
    pub(crate) schema: Value,
}

impl Settings {
    /// The hash of what there is, against the hash of what was approved.
    fn judge(&self, description: &str, schema: &Value) -> Standing {
        let name = match &self.way {
            Way::Mcp { remote, .. } => remote.as_str(),
            Way::Http { .. } | Way::Fetch { .. } | Way::Program(_) => self.name.as_str(),
        };
        let now = match &self.way {
            Way::Program(program) => program::pin(name, description, schema, program),
            Way::Http { .. } | Way::Fetch { .. } | Way::Mcp { .. } => Pin::of(name, description, schema),
        };
        match self.pin {
            None => Standing::Stopped(Stop::NotApproved(now)),
            Some(pin) if pin != now => Standing::Stopped(Stop::Changed(now)),
            Some(_) => match Schema::read(self.schema.as_ref().unwrap_or(schema)) {
                Ok(schema) => Standing::Ready(Arc::new(Spec { description: description.to_owned(), schema })),
                Err(problem) => Standing::Stopped(Stop::Unsupported(problem)),
            },
        }
    }
}

fn address(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|_| "its address cannot be read".to_owned())?;
    let sound = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    sound
        .then_some(uri)
        .ok_or_else(|| "its address must begin with `https://` and a host, without a user name".to_owned())
}

pub(crate) fn bearer(key: Option<&Secret<String>>) -> Result<Option<http::HeaderValue>, String> {
    let value = key.map(|key| {
        http::HeaderValue::try_from(format!("Bearer {}", key.expose())).map(|mut value| {
            value.set_sensitive(true);
            value
        })
    });
    value.transpose().map_err(|_| "its key holds characters that a header cannot hold".to_owned())
}
