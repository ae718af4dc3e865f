//! A sandbox behind the sandbox API (`docs/sandbox-api.md`), with what the target says of it.

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;

use super::{Chat, Credential, Identity};

/// A shorter text could come back by chance.
pub(super) const SHORTEST_PLANTED: usize = 12;

/// Where jobs are run, and what is promised of that.
#[derive(Debug, Clone)]
pub struct SandboxApi {
    /// Scheme, host and port, and a path prefix if it has one: `POST /jobs` beneath it runs a job.
    pub at: Uri,
    /// What whoever may run jobs sends.
    pub credential: Option<Credential>,
    /// What it runs.
    pub runtime: Runtime,
    /// So many jobs run at a time, as the target says; the next ones wait.
    pub at_once: usize,
    /// Two communities, as the API names them.
    pub tenants: [String; 2],
    /// Addresses of this machine that code which got out could connect to. Needed where the sandbox runs on another machine.
    pub reach: Vec<IpAddr>,
    /// Files of the sandbox's host that no job may read.
    pub planted: Vec<HostFile>,
    /// The other way into such a sandbox, where there is one that is known: calls of a model.
    pub called: Option<Box<CalledPrograms>>,
}

impl SandboxApi {
    /// Whether it runs on this machine.
    pub fn is_here(&self) -> bool {
        let host = self.at.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// A file of the host with a random text in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFile {
    /// Its absolute path there.
    pub path: String,
    /// The text, which stands nowhere else.
    pub text: String,
}

/// What a sandbox runs.
#[derive(Debug, Clone)]
pub enum Runtime {
    /// Python 3, as source.
    Python,
    /// WebAssembly with WASI preview 1, in the binary form. The programs are those that the build brings: none in one without
    /// an assembler.
    Wasm(Option<Arc<Programs>>),
}

impl Runtime {
    /// The word of the API and of target files.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Wasm(_) => "wasm",
        }
    }
}

/// What is run in a sandbox for WebAssembly.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Says `hello `, and what it read.
    pub hello: Vec<u8>,
    /// Writes a file of its own, reads it back and says [`Programs::WRITTEN`].
    pub writes: Vec<u8>,
    /// Tries to open the file that `writes` wrote.
    pub reads: Vec<u8>,
    /// Says what stands in its file before it wrote anything, writes what it read there, says it, and goes on until it is
    /// stopped.
    pub stays: Vec<u8>,
    /// What is tried in order to get out.
    pub attempts: Vec<Program>,
}

impl Programs {
    /// What `writes` says.
    pub const WRITTEN: &'static str = "notes.txt";
    /// What a program says that got out.
    pub const ESCAPED: &'static str = "ESCAPED";
    /// What a program says that was refused.
    pub const HELD: &'static str = "held";
    /// The memory within which the attempts have to stay, in bytes.
    pub const MEMORY: usize = 4 << 20;
}

/// Programs that are the tools of a bot, whose model calls what it is told to: each call runs one in the sandbox.
#[derive(Debug, Clone)]
pub struct CalledPrograms {
    /// Where the bot is: scheme, host and port.
    pub at: Uri,
    /// How it is asked.
    pub chat: Chat,
    /// Whose call leaves a file behind, and whose calls try to get out: members of two communities.
    pub askers: [Identity; 2],
    /// Arguments that fit every one of the tools, in JSON, with [`WORD`](super::WORD) for a word.
    pub arguments: String,
    /// The tool that says hello, and what it read.
    pub hello: String,
    /// The tool that writes a file of its own, reads it back and says [`Programs::WRITTEN`].
    pub writes: String,
    /// What is tried in order to get out.
    pub attempts: Vec<CalledProgram>,
    /// Where it is told in JSON how calls ended: a list, the oldest first, of objects with `tool` and `end`. An end is
    /// `returned` where the model was given what the program said, `refused` where a guard stopped the call, or else the word for what the
    /// call came to nothing by.
    pub ends: Uri,
}

/// A program that a model calls in order to get out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalledProgram {
    /// What it tries.
    pub name: String,
    /// The tool that it is. No two are the same.
    pub tool: String,
    /// What has to become of it.
    pub expect: Expected,
}

/// Something that is tried in order to get out.
#[derive(Debug, Clone)]
pub struct Program {
    /// What it tries.
    pub name: String,
    /// The program.
    pub bytes: Vec<u8>,
    /// What has to become of it.
    pub expect: Expected,
}

/// What has to become of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It says that it was refused.
    Held,
    /// It is stopped by one of these limits, says that it was refused, or breaks off by itself.
    Bounded(Vec<&'static str>),
    /// It does not even begin, or breaks off.
    Refused,
}
