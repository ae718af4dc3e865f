//! The one way to call a tool: with a permit, within its time, for a text of bounded size.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http::header::CONTENT_TYPE;
use portcullis_egress as egress;
use portcullis_sandbox::Limit;
use serde_json::{Map, Value};

use crate::registry::{Tool, Way};
use crate::{fetch, mcp, program, web};

/// What one call was allowed to be. `Debug` shows no arguments.
pub struct Permit {
    pub(crate) tool: Arc<Tool>,
    pub(crate) arguments: Map<String, Value>,
    /// Its id, which the tool is told.
    pub(crate) call: String,
    /// Whose question it is for, by short name, which the tool is told.
    pub(crate) community: String,
}

impl Permit {
    /// Allows one call. Only the tool phase of the guards and tests grant one (`clippy.toml`).
    pub fn grant(tool: Arc<Tool>, arguments: Map<String, Value>, call: String, community: String) -> Self {
        Self { tool, arguments, call, community }
    }

    /// The tool.
    pub fn tool(&self) -> &Arc<Tool> {
        &self.tool
    }

    /// The arguments, as they were judged.
    pub const fn arguments(&self) -> &Map<String, Value> {
        &self.arguments
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("tool", &self.tool).field("call", &self.call).finish_non_exhaustive()
    }
}

/// What a tool returned. `Debug` shows no text.
#[derive(Clone, PartialEq, Eq)]
pub struct Returned {
    /// The text: hostile, whoever runs the tool.
    pub text: String,
    /// Whether there was more than is read.
    pub cut: bool,
}

impl fmt::Debug for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returned").field("bytes", &self.text.len()).field("cut", &self.cut).finish()
    }
}

/// Why a call came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The tool is at an address that it may not be at.
    AddressRefused,
    /// The page is on a host that is not on the list.
    HostRefused,
    /// It led to another place, which is not followed.
    RedirectRefused,
    /// It took longer than it may.
    TimedOut,
    /// No connection could be made, or it broke.
    Unreachable,
    /// It answered with an error.
    BadStatus,
    /// It returned something that is no text.
    NotText,
    /// It did not speak as its kind of tool does.
    Malformed,
    /// It said more than is read.
    TooLarge,
    /// It says that the call failed.
    Failed,
    /// The program reached a limit of the sandbox and was stopped.
    Limit(Limit),
    /// The program ended by a fault of its own.
    BrokeOff,
    /// The program is none that the sandbox runs within these limits.
    ProgramRefused,
    /// No place in the sandbox came free in time.
    Busy,
    /// The sandbox itself failed.
    SandboxFailed,
}

impl FaultKind {
    /// In one word, for the journal and the model.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddressRefused => "address_refused",
            Self::HostRefused => "host_refused",
            Self::RedirectRefused => "redirect_refused",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::BadStatus => "bad_status",
            Self::NotText => "not_text",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Failed => "failed",
            Self::Limit(Limit::Time) => "time_limit",
            Self::Limit(Limit::Memory) => "memory_limit",
            Self::Limit(Limit::Output) => "output_limit",
            Self::Limit(Limit::Files) => "files_limit",
            Self::BrokeOff => "broke_off",
            Self::ProgramRefused => "program_refused",
            Self::Busy => "busy",
            Self::SandboxFailed => "sandbox_failed",
        }
    }

    /// Whether a guard stopped it on its way.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::AddressRefused | Self::HostRefused | Self::RedirectRefused)
    }

    /// Whether it reached a limit of the sandbox.
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::Limit(_))
    }
}

/// A call came to nothing. It holds no address, no arguments, and nothing of what came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the call came to nothing: {}", kind.name())]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self { kind }
    }
}

impl From<egress::Error> for Fault {
    fn from(error: egress::Error) -> Self {
        Self {
            kind: match error.kind() {
                egress::Kind::AddressRefused => FaultKind::AddressRefused,
                egress::Kind::TimedOut(_) => FaultKind::TimedOut,
                egress::Kind::Malformed | egress::Kind::TooLarge => FaultKind::Malformed,
                _ => FaultKind::Unreachable,
            },
        }
    }
}

/// Calls the tool, once. Dropping the future closes the connection. A program that has begun is left to its limits.
///
/// # Errors
/// Why it came to nothing. Whether the tool had acted before is not known then.
pub async fn call(permit: &Permit) -> Result<Returned, Fault> {
    let settings = permit.tool.settings();
    match &settings.way {
        Way::Http { url, method, key } => {
            within(settings.timeout, web::call(permit, url, *method, key.as_ref())).await
        }
        Way::Fetch { hosts } => within(settings.timeout, fetch::call(permit, hosts)).await,
        Way::Mcp { remote, .. } => within(settings.timeout, mcp::call(permit, remote)).await,
        // The sandbox ends it when its time is over, and that is told from a wait for a place.
        Way::Program(program) => program::call(permit, program).await,
    }
}

async fn within(
    time: Duration,
    calling: impl Future<Output = Result<Returned, Fault>>,
) -> Result<Returned, Fault> {
    tokio::time::timeout(time, calling).await.unwrap_or(Err(FaultKind::TimedOut.into()))
}

/// The body of an answer as text, as much of it as may be read.
pub(crate) async fn read(
    response: Response<egress::Body>,
    most: usize,
    within: Duration,
) -> Result<Returned, Fault> {
    if !response.status().is_success() {
        return Err(FaultKind::BadStatus.into());
    }
    let form = response.headers().get(CONTENT_TYPE).and_then(|form| form.to_str().ok()).unwrap_or_default();
    let form = form.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let textual = form.starts_with("text/")
        || matches!(form.as_str(), "application/json" | "application/xml" | "application/xhtml+xml")
        || form.ends_with("+json")
        || form.ends_with("+xml");
    if !textual {
        return Err(FaultKind::NotText.into());
    }
    let prefix = response.into_body().collect_prefix(most, within).await;
    let cut = match prefix.stopped {
        None => false,
        Some(error) if error.kind() == egress::Kind::TooLarge => true,
        Some(error) => return Err(error.into()),
    };
    Ok(Returned { text: bounded(&prefix.bytes, most), cut })
}

/// Bytes as text that is no longer than they may be: what is no UTF-8 is longer when it is replaced.
pub(crate) fn bounded(bytes: &[u8], most: usize) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.truncate(text.floor_char_boundary(most));
    text
}
