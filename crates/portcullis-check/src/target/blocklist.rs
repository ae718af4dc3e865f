//! How addresses are blocked: by an entry that somebody makes, and by what an address does.

use std::time::Duration;

use http::Uri;

use super::{Credential, Identity, Route};

/// Stands for what an entry is to block: an address, or a network in CIDR notation.
pub const NETWORK: &str = "{{network}}";
/// Stands for the id that an entry got when it was made.
pub const ENTRY: &str = "{{entry}}";

/// Where entries are made, and how a block is told.
#[derive(Debug, Clone)]
pub struct Blocklist {
    /// Where entries are made, when it is not the target itself: scheme, host and port.
    pub at: Option<Uri>,
    /// What whoever may make them sends.
    pub operator: Credential,
    /// Makes an entry; [`NETWORK`] stands for what it blocks.
    pub add: Route,
    /// JSON pointer to the entry's id in the answer, where it gets one.
    pub entry: Option<String>,
    /// Takes an entry off; [`ENTRY`] or [`NETWORK`] stands for which.
    pub remove: Route,
    /// Tells which entries there are.
    pub list: Route,
    /// A harmless route that members may ask.
    pub asked: Route,
    /// Text in a header or the body by which the answer to a blocked address is told from every other refusal.
    pub marker: String,
}

/// When an address is blocked for what it did.
#[derive(Debug, Clone)]
pub struct AutoBlock {
    /// Where it is tried, when it is not the target itself: an instance of the same build with the same threshold.
    pub at: Option<Uri>,
    /// Somebody who may ask there.
    pub asker: Identity,
    /// A harmless route that they may ask.
    pub asked: Route,
    /// So many requests in a row whose credential is wrong are too many.
    pub threshold: u32,
    /// How long a block lasts.
    pub lasts: Duration,
    /// Text in a header or the body by which the answer to a blocked address is told from every other refusal.
    pub marker: String,
}
