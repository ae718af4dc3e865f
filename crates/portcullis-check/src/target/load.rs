//! How much a deployment may be tried with, and who allowed it.

use http::Uri;
use jiff::Timestamp;

use super::{Credential, Route};

/// What may be sent to see whether a flood takes the service down.
#[derive(Debug, Clone)]
pub struct Load {
    /// Who allowed it in writing, and when.
    pub consent: String,
    /// The most requests a second that were agreed on.
    pub requests_per_second: u32,
    /// A harmless route that a good client asks meanwhile: as somebody known, unless it is public.
    pub asked: Route,
    /// Where it is counted what was refused.
    pub drops: Option<Drops>,
    /// What stands in front against floods that are larger than what may be sent.
    pub plan: Option<Plan>,
}

/// Where it is counted what was refused: lines of text that end with a number.
#[derive(Debug, Clone)]
pub struct Drops {
    /// Where, when it is not the target itself: scheme, host and port.
    pub at: Option<Uri>,
    /// What whoever may read it sends.
    pub operator: Credential,
    /// The request.
    pub route: Route,
    /// Stands in the lines that count.
    pub line: String,
}

/// The word of a person for what a check cannot see.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who says so.
    pub who: String,
    /// What it is and where it is written.
    pub evidence: String,
    /// When it was looked at; it counts for a year.
    pub seen: Timestamp,
}
