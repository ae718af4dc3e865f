//! The sandbox API as a client: a job becomes a request, an answer what became of the job. The format is that of
//! `docs/sandbox-api.md`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use portcullis_core::secret::random_bytes;
use serde_json::{Value, json};

use crate::outcome::Inconclusive;
use crate::probe::{Call, Probe, ProbeError, Seen};
use crate::target::SandboxApi;

/// How long a job may run that has no reason to run long.
pub(super) const TIME: Duration = Duration::from_secs(4);
/// How much memory a job may take.
pub(super) const MEMORY: usize = 64 << 20;
/// How much a job may say.
pub(super) const OUTPUT: usize = 64 << 10;

/// How much its files may hold.
const FILES: usize = 256 << 10;

/// Something to run.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) tenant: usize,
    pub(super) program: Vec<u8>,
    pub(super) input: Vec<u8>,
    pub(super) time: Duration,
    pub(super) memory: usize,
}

impl Job {
    pub(super) fn new(tenant: usize, program: impl Into<Vec<u8>>, input: impl Into<Vec<u8>>) -> Self {
        Self { tenant, program: program.into(), input: input.into(), time: TIME, memory: MEMORY }
    }

    pub(super) const fn within(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    pub(super) const fn with_memory(mut self, memory: usize) -> Self {
        self.memory = memory;
        self
    }

    pub(super) fn call(&self, api: &SandboxApi) -> Call {
        let mut call = Call::new(Method::POST, "/jobs").at(&api.at);
        call.body = Some(json!({
            "tenant": api.tenants.get(self.tenant),
            "runtime": api.runtime.word(),
            "limits": {
                "time_ms": u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX),
                "memory_bytes": self.memory,
                "output_bytes": OUTPUT,
                "files_bytes": FILES,
            },
            "input": STANDARD.encode(&self.input),
            "program": STANDARD.encode(&self.program),
        }));
        match &api.credential {
            Some(credential) => call.with(credential, "who may run jobs"),
            None => call,
        }
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this code.
    Exited(i64),
    /// By a fault of its own, or because it did what ends a job.
    Trapped,
    /// By this limit.
    Stopped(String),
    /// It was not even begun.
    Refused,
}

/// What became of a job.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    pub(super) end: End,
    pub(super) output: Vec<u8>,
    /// When it began and ended, in milliseconds on a clock of the sandbox's; none where it did not run.
    pub(super) times: Option<(u64, u64)>,
    /// How long the whole request took.
    pub(super) elapsed: Duration,
    pub(super) number: usize,
}

impl Ran {
    /// What it said, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// The rest of the line that begins with this word.
    pub(super) fn line(&self, word: &str) -> Option<String> {
        let text = self.text();
        let mut rests = text.lines().filter_map(|line| line.strip_prefix(word));
        rests.find(|rest| rest.is_empty() || rest.starts_with(' ')).map(|rest| rest.trim().to_owned())
    }

    /// End and the beginning of what it said, for messages.
    pub(super) fn says(&self) -> String {
        let end = match &self.end {
            End::Exited(code) => format!("ended with {code}"),
            End::Trapped => "broke off".to_owned(),
            End::Stopped(limit) => format!("was stopped for its {limit}"),
            End::Refused => "was refused".to_owned(),
        };
        let said: String =
            self.text().chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if said.is_empty() { end } else { format!("{end} and said `{}`", said.trim()) }
    }

    fn of(seen: &Seen) -> Option<Self> {
        let body = seen.json()?;
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let end = match text("status")? {
            "exited" => End::Exited(body.get("code").and_then(Value::as_i64)?),
            "trapped" => End::Trapped,
            "stopped" => End::Stopped(text("limit")?.to_owned()),
            "refused" => End::Refused,
            _ => return None,
        };
        let output = match text("output") {
            Some(output) => STANDARD.decode(output).ok()?,
            None if end == End::Refused => Vec::new(),
            None => return None,
        };
        let time = |key: &str| body.get(key).and_then(Value::as_u64);
        let times = time("started_ms").zip(time("ended_ms"));
        if end != End::Refused && times.is_none_or(|(started, ended)| ended < started) {
            return None;
        }
        Some(Self { end, output, times, elapsed: seen.elapsed, number: seen.number() })
    }
}

/// What became of a job that was asked for.
pub(super) fn read(answer: Result<Seen, ProbeError>) -> Result<Ran, Inconclusive> {
    let seen = answer?;
    if !seen.status.is_success() {
        return Err(Inconclusive::because(format!(
            "{} answers {}: it runs no job",
            seen.request_line(),
            seen.says()
        )));
    }
    Ran::of(&seen).ok_or_else(|| {
        Inconclusive::because(format!(
            "{} answers {}, which does not say what became of a job: docs/sandbox-api.md has the format",
            seen.request_line(),
            seen.says()
        ))
    })
}

/// Runs one job.
pub(super) async fn run(probe: &mut Probe, api: &SandboxApi, job: &Job) -> Result<Ran, Inconclusive> {
    let answer = probe.send_once(job.call(api)).await;
    read(answer)
}

/// A word that stands nowhere else.
pub(super) fn word() -> String {
    random_bytes::<9>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A word from its end to its beginning: nobody says that who did not run what turns it.
pub(super) fn turned(word: &str) -> String {
    word.chars().rev().collect()
}
