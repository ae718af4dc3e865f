//! Where questions go that a person should see, and who says that a person sees them.

use std::time::Duration;

use http::Uri;
use jiff::Timestamp;

use super::{Chat, Identity, Route};

/// The longest that a question may take to the queue, as control PI-06 says.
pub const LONGEST_HANDOVER: Duration = Duration::from_secs(60);

/// An instance on which it is tried out what goes to a person. It may be the target itself.
#[derive(Debug, Clone)]
pub struct HandoverQueue {
    /// Where it is, when it is not the target itself: scheme, host and port.
    pub at: Option<Uri>,
    /// How a question is asked there.
    pub chat: Chat,
    /// Who asks there: members of one community without special standing.
    pub askers: Vec<Identity>,
    /// What lists the queue, the newest entries among them.
    pub list: Route,
    /// Who may list it.
    pub reader: Identity,
    /// Where it is told what really went to the model: the latest requests in JSON, each with `messages`.
    pub trace: Option<Uri>,
    /// How soon a question is in the queue.
    pub within: Duration,
    /// Who says that people read it.
    pub staffed: Option<Staffed>,
}

/// A person's word that people read the queue and answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staffed {
    /// Who says so.
    pub by: String,
    /// Until when that counts.
    pub until: Timestamp,
}
