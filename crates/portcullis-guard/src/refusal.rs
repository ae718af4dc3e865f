//! Why a request was refused: a stable code, and words that are safe to show.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use portcullis_limit::Bound;
use serde::Serialize;

use crate::named::named;
use crate::security::Asker;

named! {
    /// The stable code of a refusal. `portcullis-http` maps each to a status and a text; a new code does not compile until
    /// it is mapped.
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Code {
        /// No credential was presented.
        CredentialMissing = "credential_missing",
        /// A credential was presented and is not valid: malformed, unknown, expired, revoked, suspended. Which of these
        /// is not told.
        CredentialInvalid = "credential_invalid",
        /// More than one credential was presented.
        CredentialAmbiguous = "credential_ambiguous",
        /// A change by session cookie that no page of ours made.
        ForeignPage = "foreign_page",
        /// The role or the credential does not allow the action.
        NotAllowed = "not_allowed",
        /// The community's last active owner cannot be demoted or suspended.
        LastOwner = "last_owner",
        /// The address is on a blocklist, or is blocked for what it did.
        AddressBlocked = "address_blocked",
        /// A limit was reached.
        RateLimited = "rate_limited",
        /// A budget of tokens or of what they cost is used up.
        BudgetExhausted = "budget_exhausted",
        /// The request is not one that this endpoint takes.
        InvalidRequest = "invalid_request",
        /// A parameter is not known here.
        UnknownParameter = "unknown_parameter",
        /// Only a key with the `own-request` ability may send this.
        OwnRequestOnly = "own_request_only",
        /// The question looks like an attempt to instruct the model against its instructions, or holds what looks like a key or a
        /// password.
        QuestionRefused = "question_refused",
        /// A call of a tool is not allowed. The model is told, no caller is.
        ToolRefused = "tool_refused",
        /// A call that waits for a person does not stand so that this could be done.
        ApprovalNotOpen = "approval_not_open",
        /// The model asked for is not on the list.
        ModelNotFound = "model_not_found",
        /// The thing does not exist, or the scope does not reach it.
        NotFound = "not_found",
        /// The body is larger than the limit.
        BodyTooLarge = "body_too_large",
        /// The same idempotency key is being worked on.
        IdempotencyInFlight = "idempotency_in_flight",
        /// The same idempotency key was used with another body.
        IdempotencyMismatch = "idempotency_mismatch",
        /// The stores cannot be reached.
        StoreUnavailable = "store_unavailable",
        /// The audit journal cannot be written, so nothing is answered.
        AuditUnavailable = "audit_unavailable",
        /// All places at the model are taken and the queue is full, or the wait was too long.
        ModelBusy = "model_busy",
        /// The model cannot be reached or answered with an error.
        ModelUnavailable = "model_unavailable",
        /// The model did not answer in time.
        ModelTimedOut = "model_timed_out",
        /// The model refused the request as it stands, such as one longer than its context.
        ModelRejected = "model_rejected",
        /// The request took longer than the limit.
        TimedOut = "timed_out",
        /// The access that the answer was given under has ended.
        AccessEnded = "access_ended",
        /// The server is stopping.
        ShuttingDown = "shutting_down",
        /// Something that should not happen.
        Internal = "internal",
    }
}

/// A limit that refused, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// The limit.
    pub limit: Bound,
    /// When what was refused may be admitted.
    pub resets_at: Option<Timestamp>,
}

/// A refusal on its way to the caller. It never repeats what the caller sent, beyond the name of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.name())]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// One sentence that is safe to show to anyone.
    pub detail: Cow<'static, str>,
    /// Which parameter of the request is meant.
    pub param: Option<Box<str>>,
    /// How long to wait before trying again.
    pub retry_after: Option<Duration>,
    /// The limit that was reached, if it was one.
    pub limit: Option<Box<Stop>>,
    /// The guard that refused, for the audit and the log.
    pub guard: &'static str,
    /// Who was refused, where that is known, for the stream of security events.
    pub asker: Option<Asker>,
}

impl Refusal {
    /// A refusal with that code and sentence.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            param: None,
            retry_after: None,
            limit: None,
            guard: "",
            asker: None,
        }
    }

    /// Names the parameter that is meant.
    #[must_use]
    pub fn param(mut self, param: impl Into<Box<str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says how long to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says which limit was reached, and so how long to wait.
    #[must_use]
    pub fn limited(self, limit: Bound, now: Timestamp) -> Self {
        let wait = limit.allowance.resets_in;
        let resets_at = now.checked_add(wait).ok();
        Self { limit: Some(Box::new(Stop { limit, resets_at })), ..self.retry_after(wait) }
    }

    /// Says who was refused, unless that was said before.
    #[must_use]
    pub fn of(mut self, asker: Asker) -> Self {
        self.asker.get_or_insert(asker);
        self
    }

    /// Names the guard that refused.
    #[must_use]
    pub fn by(mut self, guard: &'static str) -> Self {
        self.guard = guard;
        self
    }
}

/// A store that fails refuses: an outage is never a login failure and never a pass.
impl From<portcullis_store::Error> for Refusal {
    fn from(error: portcullis_store::Error) -> Self {
        use portcullis_store::Kind;
        match error.kind() {
            Kind::NotFound => Self::new(Code::NotFound, "there is no such thing here"),
            Kind::Forbidden => Self::new(Code::NotAllowed, "your role does not allow this"),
            Kind::LastOwner => Self::new(
                Code::LastOwner,
                "this is the community's last active owner; make somebody else an owner first",
            ),
            Kind::Conflict | Kind::Invalid => {
                Self::new(Code::InvalidRequest, "the values given cannot be stored")
            }
            _ => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    op = error.op(),
                    "store call failed"
                );
                Self::new(Code::StoreUnavailable, "the store cannot be reached; try again later")
                    .retry_after(Duration::from_secs(5))
            }
        }
    }
}

/// An error and all its causes on one line, for the operator's log.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
