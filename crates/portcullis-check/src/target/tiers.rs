//! Where the limits of a whole community can be driven, with a clock that can be moved.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::{Identity, Route};

/// A community of one tier in a deployment whose clock a check may move: a test build or a staging copy, never production.
#[derive(Debug, Clone)]
pub struct TierPlace {
    /// The tier: `standard`, `enhanced`, `dedicated`.
    pub tier: String,
    /// Where it is, when it is not the target itself: scheme, host and port.
    pub at: Option<Uri>,
    /// What is asked.
    pub route: Route,
    /// Who asks, each of this community.
    pub askers: Vec<Identity>,
    /// The clock and the counters.
    pub hooks: Hooks,
}

/// What a deployment for tests lets a check do.
#[derive(Clone)]
pub enum Hooks {
    /// Below this address: `GET /limits` tells `minute`, `hour` and `day` as they are configured, `POST /advance` takes
    /// `seconds` and moves the clock, `POST /preload` takes `amount` and counts so many requests at once.
    At(Uri),
    /// In this process.
    Here(Arc<dyn Here>),
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::At(_) => "At",
            Self::Here(_) => "Here",
        })
    }
}

/// The hooks of an instance in this process.
pub trait Here: Send + Sync {
    /// Minute, hour and day, as the instance that is judged has them configured.
    fn limits(&self) -> [u64; 3];
    /// Moves the clock.
    fn advance(&self, by: Duration);
    /// Counts so many requests of the community at once.
    fn preload(&self, amount: u32);
}
