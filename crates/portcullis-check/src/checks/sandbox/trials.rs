//! What is tried in a sandbox, whatever it runs: programs, what they are given, and by what it is seen that they got out.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::jobs::{self, Job, MEMORY, OUTPUT};
use super::{escapes, python};
use crate::outcome::Inconclusive;
use crate::probe::Ear;
use crate::target::{Expected, Programs, Runtime, SandboxApi};

/// Whose job tries to get out.
pub(super) const THIEF: usize = 1;
/// Whose file is looked for.
pub(super) const OWNER: usize = 0;
/// How long what is to be stopped may run.
const SHORT: Duration = Duration::from_secs(1);

/// What an attempt is after. A sandbox in which none of one kind could be made is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Somebody outside.
    Network,
    /// What a cloud tells its machines.
    Metadata,
    /// The host itself.
    Host,
    /// Another community's.
    Tenant,
    /// More than a job may have.
    Bounds,
}

impl Kind {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Network => "the network",
            Self::Metadata => "the metadata address",
            Self::Host => "the host",
            Self::Tenant => "another community's files",
            Self::Bounds => "more than a job may have",
        }
    }
}

/// By what it is seen that an attempt succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its word came to the ear of the check.
    Heard,
    /// A web server answered, and its answer came back.
    Web,
    /// The address of a name came back.
    Address,
    /// A text came back that is planted on the host.
    Planted,
    /// The marker came back that another community's job left.
    Marker,
    /// A file was written that the check sees.
    Written,
    /// What this machine has there came back, where the sandbox runs on it.
    Here(&'static str),
    /// It was not stopped in time.
    Time,
    /// More came back than a job may say.
    Output,
    /// It did what nothing outside shows.
    Says,
}

/// Something that is tried.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) judged: Judged,
    pub(super) job: Job,
    /// The word of this trial alone.
    pub(super) token: String,
}

/// How it is judged.
#[derive(Debug, Clone)]
pub(super) enum Judged {
    /// By its frame and a proof.
    By(Proof),
    /// By what a program for WebAssembly says.
    Wasm(Expected),
}

/// What another community's job leaves behind.
#[derive(Debug, Clone)]
pub(super) struct Left {
    pub(super) name: String,
    pub(super) marker: String,
}

impl Left {
    pub(super) fn new() -> Self {
        Self { name: format!("portcullis-left-{}", jobs::word()), marker: jobs::word() }
    }
}

/// The program that must say hello, with what it must say.
pub(super) fn hello(api: &SandboxApi) -> Result<(Job, String), Inconclusive> {
    let token = jobs::word();
    Ok(match &api.runtime {
        Runtime::Python => {
            let said = format!("hello {}", jobs::turned(&token));
            (Job::new(OWNER, python::HELLO, json!({ "token": token }).to_string()), said)
        }
        Runtime::Wasm(programs) => {
            let said = format!("hello {token}");
            (Job::new(OWNER, brought(programs.as_deref())?.hello.clone(), token), said)
        }
    })
}

/// The program that leaves something behind.
pub(super) fn plants(api: &SandboxApi, left: &Left) -> Result<(Job, String), Inconclusive> {
    let token = jobs::word();
    Ok(match &api.runtime {
        Runtime::Python => {
            let given =
                json!({ "token": token, "name": left.name, "marker": left.marker, "places": python::PLACES });
            (Job::new(OWNER, python::PLANTS, given.to_string()), jobs::turned(&token))
        }
        Runtime::Wasm(programs) => {
            let job = Job::new(OWNER, brought(programs.as_deref())?.writes.clone(), token);
            (job, Programs::WRITTEN.to_owned())
        }
    })
}

/// Everything that is tried.
pub(super) fn all(
    api: &SandboxApi,
    ear: &Ear,
    left: &Left,
    starts: Duration,
) -> Result<Vec<Trial>, Inconclusive> {
    match &api.runtime {
        Runtime::Python => {
            Ok(python::ATTEMPTS.iter().map(|attempt| of_python(api, ear, left, starts, attempt)).collect())
        }
        Runtime::Wasm(programs) => Ok(of_wasm(brought(programs.as_deref())?)),
    }
}

/// What the build brings for WebAssembly.
pub(super) fn brought(programs: Option<&Programs>) -> Result<&Programs, Inconclusive> {
    programs.ok_or_else(|| {
        Inconclusive::because(
            "this build brings no programs for a sandbox of `wasm`: take a release, or build with `--features sandbox`",
        )
    })
}

fn of_python(api: &SandboxApi, ear: &Ear, left: &Left, starts: Duration, attempt: &python::Attempt) -> Trial {
    let token = jobs::word();
    let time = if attempt.proof == Proof::Time { SHORT } else { jobs::TIME };
    let addresses: Vec<String> = ear.addresses().iter().map(IpAddr::to_string).collect();
    let paths: Vec<&str> = api.planted.iter().map(|planted| planted.path.as_str()).collect();
    let default = if api.at.scheme_str() == Some("https") { 443 } else { 80 };
    let given: Value = json!({
        "token": token,
        "addresses": addresses,
        "port": ear.port(),
        "api_host": api.at.host().unwrap_or_default().trim_matches(['[', ']']),
        "api_port": api.at.port_u16().unwrap_or(default),
        "paths": paths,
        "places": python::PLACES,
        "name": left.name,
        "sleeps_ms": u64::try_from(escapes::sleeps(time, starts).as_millis()).unwrap_or(u64::MAX),
        "memory": MEMORY,
        "output": OUTPUT,
    });
    Trial {
        name: attempt.name.to_owned(),
        kind: attempt.kind,
        judged: Judged::By(attempt.proof),
        job: Job::new(THIEF, attempt.program(), given.to_string()).within(time),
        token,
    }
}

fn of_wasm(programs: &Programs) -> Vec<Trial> {
    let trial = |name: &str, kind, bytes: &[u8], expect: &Expected| Trial {
        name: name.to_owned(),
        kind,
        judged: Judged::Wasm(expect.clone()),
        job: Job::new(THIEF, bytes, "").within(SHORT).with_memory(Programs::MEMORY),
        token: String::new(),
    };
    let other = trial("another community's file", Kind::Tenant, &programs.reads, &Expected::Held);
    let attempts = programs.attempts.iter().map(|program| {
        let kind = if matches!(program.expect, Expected::Bounded(_)) { Kind::Bounds } else { Kind::Host };
        trial(&program.name, kind, &program.bytes, &program.expect)
    });
    std::iter::once(other).chain(attempts).collect()
}
