//! Where it is told that somebody tries something.

use http::Uri;

use super::{Chat, Credential, Identity, Route};

/// What counts questions that look like attacks: lines of text that end with a number.
#[derive(Debug, Clone)]
pub struct Alarms {
    /// Where questions are asked, when it is not the target itself: scheme, host and port.
    pub at: Option<Uri>,
    /// How a question is asked there.
    pub chat: Chat,
    /// Who asks there.
    pub asker: Identity,
    /// Where the counts are told, when it is not the target itself.
    pub told_at: Option<Uri>,
    /// What whoever may read them sends.
    pub operator: Option<Credential>,
    /// The request that reads them.
    pub route: Route,
    /// Stands in the line that counts questions with injected SQL.
    pub sql: String,
    /// Stands in the line that counts questions with injected markup or script.
    pub script: String,
}
