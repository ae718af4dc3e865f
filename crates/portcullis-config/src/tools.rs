//! The tools that the model may ask for: `[tools]` and `[[tool]]`.
//!
//! What is read here is judged by its form. Whether a schema is one that arguments can be checked with, and whether a pin is
//! that of the tool, is for `portcullis-tools` to say.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::{Role, Secret};

use crate::codes::Code;
use crate::config::Reader;
use crate::diagnostic::{Origin, Severity};
use crate::entry::EntryReader;
use crate::issuers::{read_public, read_public_bytes};
use crate::keys;
use crate::network::Cidr;
use crate::shape::{Fault, Shape, list, show_list, text};
use crate::text::Name;
use crate::url::{BaseUrl, Host};
use crate::value::{Value, quote, shown};

/// How much one question may make of tools, and the tools.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tools {
    /// How often the model may answer with calls.
    pub rounds: NonZeroU32,
    /// The most calls of all tools in one turn.
    pub calls: NonZeroU32,
    /// How long a call waits for a person, and then for its asker.
    pub approval: Duration,
    /// How long it is kept what became of it.
    pub approvals_keep: Duration,
    /// How many calls of a community may wait.
    pub approvals_most_open: NonZeroU32,
    /// How many of them may be of one asker.
    pub approvals_most_of_one: NonZeroU32,
    /// How many programs run at a time.
    pub programs_at_once: NonZeroU32,
    /// How many calls of programs may wait.
    pub programs_most_waiting: NonZeroU32,
    /// The tools.
    pub list: Vec<Tool>,
}

/// A tool that the model may ask for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tool {
    /// What the model calls it.
    pub name: Name,
    /// How it is called.
    pub way: ToolWay,
    /// What the model is told that it does; an MCP server says so itself.
    pub description: Option<String>,
    /// The text of its schema; an MCP server has its own.
    pub schema: Option<String>,
    /// The communities that may use it.
    pub communities: Vec<Name>,
    /// The roles that may use it.
    pub roles: Vec<Role>,
    /// The hash of what was approved.
    pub pin: Option<Name>,
    /// Who approves each call.
    pub approval: ToolApproval,
    /// Networks that it may be in beside public ones.
    pub networks: Vec<Cidr>,
    /// The most calls in one turn.
    pub per_turn: NonZeroU32,
    /// The most calls of one member in an hour.
    pub per_hour: Option<NonZeroU32>,
    /// The most calls of one community in a day.
    pub per_day: Option<NonZeroU32>,
    /// The longest time of one call.
    pub timeout: Duration,
    /// The most bytes that are read of a result.
    pub result_bytes: usize,
}

/// Who approves each call of a tool, beside the guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolApproval {
    /// Nobody.
    None,
    /// A person.
    Human,
}

impl ToolApproval {
    pub(crate) const WORDS: &[(&str, Self)] = &[("none", Self::None), ("human", Self::Human)];
}

/// How a tool is called.
#[derive(Debug, Clone)]
pub enum ToolWay {
    /// By an HTTP request with the arguments as a JSON body.
    Post {
        /// Where.
        url: BaseUrl,
        /// Goes with it.
        key: Option<Secret<String>>,
    },
    /// By an HTTP request with the arguments in the query.
    Get {
        /// Where.
        url: BaseUrl,
        /// Goes with it.
        key: Option<Secret<String>>,
    },
    /// A page that the model names is read.
    Fetch {
        /// From these hosts.
        hosts: Vec<String>,
    },
    /// By the Model Context Protocol.
    Mcp {
        /// The server.
        url: BaseUrl,
        /// Goes with every request.
        key: Option<Secret<String>>,
        /// What the server calls the tool.
        remote: Option<Name>,
    },
    /// A program is run in the sandbox.
    Program {
        /// The program.
        program: ProgramFile,
        /// The most memory of one call.
        memory_bytes: usize,
        /// The most that one call may write.
        output_bytes: usize,
    },
}

/// A file with a program, and what stood there when it was read.
#[derive(Clone)]
pub struct ProgramFile {
    /// The file.
    pub path: PathBuf,
    /// The program.
    pub bytes: Arc<[u8]>,
}

impl fmt::Debug for ProgramFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramFile").field("path", &self.path).field("bytes", &self.bytes.len()).finish()
    }
}

/// The kinds of tools that may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolKind {
    Post,
    Get,
    Fetch,
    Mcp,
    Program,
}

impl ToolKind {
    pub(crate) const WORDS: &[(&str, Self)] = &[
        ("http-post", Self::Post),
        ("http-get", Self::Get),
        ("fetch", Self::Fetch),
        ("mcp", Self::Mcp),
        ("program", Self::Program),
    ];
}

/// How much a program may use unless its table says otherwise, in bytes.
pub(crate) const PROGRAM_MEMORY: u32 = 64 << 20;
pub(crate) const PROGRAM_OUTPUT: u32 = 64 << 10;
/// The largest program of a tool, in bytes.
const LARGEST_PROGRAM: u64 = 16 << 20;

/// A list of roles.
#[derive(Debug)]
pub(crate) struct Roles;

impl Shape for Roles {
    type Value = Vec<Role>;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let roles = list(value, "a list of roles in quotes", |text| {
            Role::parse(text).ok_or_else(|| {
                Fault::new(Code::NotAChoice, format!("must be {}", self.range())).found(shown(text))
            })
        })?;
        if roles.is_empty() {
            return Err(vec![Fault::new(Code::Malformed, "must name at least one").found("none")]);
        }
        Ok(roles)
    }

    fn show(&self, value: &Self::Value) -> String {
        show_list(value.iter().map(|role| role.name().to_owned()))
    }

    fn kind(&self) -> &'static str {
        "list of roles"
    }

    fn range(&self) -> String {
        "`member`, `moderator`, `admin` or `owner`".to_owned()
    }
}

/// A list of hosts, each with its port where that is not the scheme's own.
#[derive(Debug)]
pub(crate) struct HostsAndPorts;

impl Shape for HostsAndPorts {
    type Value = Vec<String>;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        list(value, "a list of hosts in quotes", |text| {
            let lower = text.to_ascii_lowercase();
            // The newer kind of address has colons of its own, in brackets.
            let digits = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let split = lower.rsplit_once(':').filter(|(_, port)| digits(port));
            let (host, port) = match split {
                Some((host, port)) => (host, port.parse::<u16>().is_ok_and(|port| port > 0)),
                None => (lower.as_str(), true),
            };
            let fault = || {
                Fault::new(
                    Code::Malformed,
                    "must be a host, without scheme and path, with its port if that is not the scheme's own",
                )
                .found(shown(text))
            };
            if port && Host::parse(host).is_some() { Ok(lower.clone()) } else { Err(fault()) }
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        show_list(value.iter().cloned())
    }

    fn kind(&self) -> &'static str {
        "list of hosts"
    }
}

/// What a model is told that a tool does.
#[derive(Debug)]
pub(crate) struct Description;

impl Shape for Description {
    type Value = String;

    fn read(&self, value: &Value) -> Result<Self::Value, Vec<Fault>> {
        let text = text(value, "text in quotes")?;
        let chars = text.chars().count();
        if text.trim().is_empty() || chars > 2_000 {
            return Err(vec![
                Fault::new(Code::Malformed, "must have 1 to 2000 characters").found(chars.to_string()),
            ]);
        }
        Ok(text.to_owned())
    }

    fn show(&self, value: &Self::Value) -> String {
        quote(value)
    }

    fn kind(&self) -> &'static str {
        "text"
    }

    fn range(&self) -> String {
        "1 to 2000 characters".to_owned()
    }
}

pub(crate) fn read(r: &mut Reader<'_>) -> Option<Tools> {
    let rounds = r.required(&keys::TOOLS_ROUNDS);
    let calls = r.required(&keys::TOOLS_CALLS);
    let (approval, keep) = (r.required(&keys::TOOLS_APPROVAL), r.required(&keys::TOOLS_APPROVALS_KEEP));
    let open = r.required(&keys::TOOLS_APPROVALS_OPEN);
    let of_one = r.required(&keys::TOOLS_APPROVALS_OF_ONE);
    let (at_once, waiting) = (r.required(&keys::TOOLS_PROGRAMS), r.required(&keys::TOOLS_PROGRAMS_WAITING));
    if let (Some(approval), Some(keep)) = (approval, keep)
        && keep < approval * 2
    {
        let wanted = format!(
            "must be at least twice `{}` ({} minutes): so long a call waits to be decided, and then to be gone on with",
            keys::TOOLS_APPROVAL.name,
            approval.as_secs() / 60
        );
        let fault = Fault::new(Code::OutOfRange, wanted)
            .found(format!("{} days", keep.as_secs() / 86_400))
            .help(format!("keep them for longer, or lower `{}`", keys::TOOLS_APPROVAL.name));
        r.report(keys::TOOLS_APPROVALS_KEEP.name, fault, Severity::Error);
    }
    let resolved = r.resolved;
    let entries = resolved.entries("tool");
    let read: Vec<Option<Tool>> = entries.iter().map(|entry| EntryReader { r, entry }.tool()).collect();
    let mut named: BTreeMap<Name, Origin> = BTreeMap::new();
    for entry in entries {
        let Some(given) = entry.keys.get(keys::TOOL_NAME.name) else { continue };
        let Ok(name) = keys::TOOL_NAME.shape.read(&given.value) else { continue };
        if let Some(first) = named.get(&name) {
            let fault = Fault::new(Code::Duplicate, format!("names a tool that stands at {first} already"))
                .help("give one table all of its communities, or the tools different names");
            r.report_at(given.origin.clone(), keys::TOOL_NAME.name, fault, Severity::Error);
        } else {
            named.insert(name, given.origin.clone());
        }
    }
    Some(Tools {
        rounds: rounds?,
        calls: calls?,
        approval: approval?,
        approvals_keep: keep?,
        approvals_most_open: open?,
        approvals_most_of_one: of_one?,
        programs_at_once: at_once?,
        programs_most_waiting: waiting?,
        list: read.into_iter().collect::<Option<_>>()?,
    })
}

/// One `[[tool]]`.
impl EntryReader<'_, '_> {
    fn tool(mut self) -> Option<Tool> {
        let name = self.required(&keys::TOOL_NAME);
        if let Some(name) = &name
            && !is_tool_name(name.as_str())
        {
            let fault = Fault::new(
                Code::Malformed,
                "must be 1 to 48 characters of `a-z`, `0-9`, `_` and `-`, beginning with a letter or digit",
            )
            .found(shown(name.as_str()));
            self.r.report_at(self.origin(keys::TOOL_NAME.name), keys::TOOL_NAME.name, fault, Severity::Error);
            return None;
        }
        let way = self.way();
        let communities = self.required(&keys::TOOL_COMMUNITIES);
        let roles = self.required(&keys::TOOL_ROLES);
        let description = self.optional(&keys::TOOL_DESCRIPTION);
        let schema = self.optional(&keys::TOOL_SCHEMA);
        let pin = self.optional(&keys::TOOL_PIN);
        let approval = self.required(&keys::TOOL_APPROVAL);
        let networks = self.required(&keys::TOOL_NETWORKS);
        let per_turn = self.required(&keys::TOOL_PER_TURN);
        let per_hour = self.optional(&keys::TOOL_PER_HOUR);
        let per_day = self.optional(&keys::TOOL_PER_DAY);
        let timeout = self.required(&keys::TOOL_TIMEOUT);
        let result_bytes = self.required(&keys::TOOL_RESULT_BYTES);
        let (description, schema) = (description?, schema?);
        let mcp = matches!(way, Some(ToolWay::Mcp { .. }));
        if description.is_none() && !mcp && way.is_some() {
            self.missing(&keys::TOOL_DESCRIPTION, "only an MCP server says itself what a tool does");
            return None;
        }
        if matches!(way, Some(ToolWay::Program { .. }))
            && networks.as_ref().is_some_and(|networks| !networks.is_empty())
        {
            self.excluded(keys::TOOL_NETWORKS.name, "is not for `program`, which has no network");
        }
        let takes = matches!(way, Some(ToolWay::Post { .. } | ToolWay::Get { .. } | ToolWay::Program { .. }));
        if schema.is_none() && takes {
            self.missing(&keys::TOOL_SCHEMA, "only an MCP server says itself what a tool takes");
            return None;
        }
        if mcp && description.is_some() {
            self.excluded(keys::TOOL_DESCRIPTION.name, "is what the MCP server says itself");
        }
        let schema = match schema {
            Some(path) => Some(self.file(&path)?),
            None => None,
        };
        Some(Tool {
            name: name?,
            way: way?,
            description,
            schema,
            communities: communities?,
            roles: roles?,
            pin: pin?,
            approval: approval?,
            networks: networks?,
            per_turn: per_turn?,
            per_hour: per_hour?,
            per_day: per_day?,
            timeout: timeout?,
            result_bytes: result_bytes?,
        })
    }

    fn way(&mut self) -> Option<ToolWay> {
        let kind = self.required(&keys::TOOL_KIND);
        let url = self.optional(&keys::TOOL_URL);
        let reference = self.optional(&keys::TOOL_KEY);
        let hosts = self.optional(&keys::TOOL_HOSTS);
        let remote = self.optional(&keys::TOOL_REMOTE);
        let program = self.optional(&keys::TOOL_PROGRAM);
        let limits = (self.required(&keys::TOOL_MEMORY), self.required(&keys::TOOL_OUTPUT));
        let (kind, url, reference, hosts, remote) = (kind?, url?, reference?, hosts?, remote?);
        if kind == ToolKind::Program {
            for (given, key) in [
                (url.is_some(), keys::TOOL_URL.name),
                (reference.is_some(), keys::TOOL_KEY.name),
                (hosts.is_some_and(|hosts| !hosts.is_empty()), keys::TOOL_HOSTS.name),
                (remote.is_some(), keys::TOOL_REMOTE.name),
            ] {
                if given {
                    self.excluded(key, "is not for `program`, which has no network");
                }
            }
            let (memory_bytes, output_bytes) = (limits.0?, limits.1?);
            return self.program(program?, memory_bytes, output_bytes);
        }
        // A limit that is none of this tool would be believed in; its default, written out, says nothing.
        let other =
            |limit: Option<usize>, preset: u32| limit.is_some_and(|limit| limit as u64 != preset.into());
        for (given, key) in [
            (program.is_some_and(|program| program.is_some()), keys::TOOL_PROGRAM.name),
            (other(limits.0, PROGRAM_MEMORY), keys::TOOL_MEMORY.name),
            (other(limits.1, PROGRAM_OUTPUT), keys::TOOL_OUTPUT.name),
        ] {
            if given {
                self.excluded(key, "is for `program`");
            }
        }
        if remote.is_some() && kind != ToolKind::Mcp {
            self.excluded(keys::TOOL_REMOTE.name, "is for `mcp`");
        }
        if kind == ToolKind::Fetch {
            for (given, key) in
                [(url.is_some(), keys::TOOL_URL.name), (reference.is_some(), keys::TOOL_KEY.name)]
            {
                if given {
                    self.excluded(key, "is not for `fetch`, which reads pages of `hosts`");
                }
            }
            let Some(hosts) = hosts.filter(|hosts| !hosts.is_empty()) else {
                self.missing(&keys::TOOL_HOSTS, "`fetch` reads pages of these hosts and no others");
                return None;
            };
            return Some(ToolWay::Fetch { hosts });
        }
        if hosts.is_some_and(|hosts| !hosts.is_empty()) {
            self.excluded(keys::TOOL_HOSTS.name, "is for `fetch`; every other tool has one `url`");
        }
        let Some(url) = url else {
            self.missing(&keys::TOOL_URL, "it is where the tool is");
            return None;
        };
        let key = match reference {
            Some(reference) => match reference.fetch(self.r.base, self.r.environment) {
                Ok(key) => Some(key),
                Err(fault) => {
                    self.r.report_at(
                        self.origin(keys::TOOL_KEY.name),
                        keys::TOOL_KEY.name,
                        fault,
                        Severity::Error,
                    );
                    return None;
                }
            },
            None => None,
        };
        Some(match kind {
            ToolKind::Post => ToolWay::Post { url, key },
            ToolKind::Get => ToolWay::Get { url, key },
            ToolKind::Mcp | ToolKind::Fetch | ToolKind::Program => ToolWay::Mcp { url, key, remote },
        })
    }

    fn program(
        &mut self,
        program: Option<PathBuf>,
        memory_bytes: usize,
        output_bytes: usize,
    ) -> Option<ToolWay> {
        if !cfg!(feature = "sandbox") {
            let fault = Fault::new(Code::NoSandbox, "must not be `program`: this build has no sandbox")
                .help("take a release, or build with `--features sandbox`");
            self.r.report_at(self.origin(keys::TOOL_KIND.name), keys::TOOL_KIND.name, fault, Severity::Error);
            return None;
        }
        let Some(program) = program else {
            self.missing(&keys::TOOL_PROGRAM, "it is what is run");
            return None;
        };
        let path = self.r.base.join(program);
        let read = read_public_bytes(&path, LARGEST_PROGRAM, "16 MiB")
            .and_then(|bytes| judge_program(&bytes).map(|()| Arc::from(bytes)));
        let read = read.map_err(|fault| {
            self.r.report_at(
                self.origin(keys::TOOL_PROGRAM.name),
                keys::TOOL_PROGRAM.name,
                fault,
                Severity::Error,
            );
        });
        read.ok().map(|bytes| ToolWay::Program {
            program: ProgramFile { path, bytes },
            memory_bytes,
            output_bytes,
        })
    }

    fn file(&mut self, path: &Path) -> Option<String> {
        let read = read_public(&self.r.base.join(path)).and_then(|text| {
            if text.trim_start().starts_with('{') {
                Ok(text)
            } else {
                Err(Fault::new(
                    Code::Malformed,
                    "must name a file with a JSON Schema, which is a JSON object",
                ))
            }
        });
        read.map_err(|fault| {
            self.r.report_at(
                self.origin(keys::TOOL_SCHEMA.name),
                keys::TOOL_SCHEMA.name,
                fault,
                Severity::Error,
            );
        })
        .ok()
    }
}

/// Whether it is WebAssembly by its first bytes; whether it runs is for the sandbox to say.
fn judge_program(bytes: &[u8]) -> Result<(), Fault> {
    let Some(rest) = bytes.strip_prefix(b"\0asm") else {
        let wanted = "must name a file with a WebAssembly program in its binary form";
        return Err(Fault::new(Code::Malformed, wanted).help("build it for `wasm32-wasip1`"));
    };
    // The version, and behind it whether it is a component.
    if !rest.starts_with(&[1, 0, 0, 0]) {
        let wanted =
            "must name a file with a WebAssembly module, and this is a component or of another version";
        return Err(Fault::new(Code::Malformed, wanted).help("build it for `wasm32-wasip1`"));
    }
    Ok(())
}

fn is_tool_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    (1..=48).contains(&text.len())
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}
