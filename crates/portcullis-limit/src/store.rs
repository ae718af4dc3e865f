//! The port to counters that several instances share, and an implementation of it in one process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portcullis_core::Clock;

use crate::limiter::{Charge, Decision, Limiter};
use crate::subject::Subject;
use crate::window::{Allowance, Rates};

/// The store of counters could not be asked. Nobody is admitted on its word then.
#[derive(Debug, thiserror::Error)]
#[error("the shared counters cannot be reached")]
pub struct Unavailable {
    /// Why, for the operator.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// When something was counted, by the store's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Duration);

/// Counters that several instances share.
///
/// Every call is one atomic step for all instances, by the store's own clock. An implementation passes the suite in
/// `conformance`.
#[async_trait]
pub trait CounterStore: Send + Sync + fmt::Debug {
    /// Counts every charge in each of its windows, or, if any limit would be passed, none in any: see
    /// [`Limiter::admit`].
    async fn admit(&self, charges: &[Charge]) -> Result<(Decision, Moment), Unavailable>;

    /// Replaces what was counted for each charge at that moment by what it was in the end: see [`Limiter::settle`].
    async fn settle(&self, at: Moment, charges: &[Charge], used: u32) -> Result<(), Unavailable>;

    /// Where each limit of a subject stands, shortest window first, without counting anything.
    async fn standing(&self, subject: Subject, rates: Rates) -> Result<Vec<Allowance>, Unavailable>;
}

/// Counters that the gates of one process share.
#[derive(Debug)]
pub struct MemoryCounters {
    limiter: Limiter,
    clock: Arc<dyn Clock>,
}

impl MemoryCounters {
    /// Counters that take at most `memory` bytes.
    pub fn new(memory: usize, clock: Arc<dyn Clock>) -> Self {
        Self { limiter: Limiter::new(memory), clock }
    }
}

#[async_trait]
impl CounterStore for MemoryCounters {
    async fn admit(&self, charges: &[Charge]) -> Result<(Decision, Moment), Unavailable> {
        let now = self.clock.monotonic();
        Ok((self.limiter.admit(now, charges), Moment(now)))
    }

    async fn settle(&self, at: Moment, charges: &[Charge], used: u32) -> Result<(), Unavailable> {
        self.limiter.settle(self.clock.monotonic(), at.0, charges, used);
        Ok(())
    }

    async fn standing(&self, subject: Subject, rates: Rates) -> Result<Vec<Allowance>, Unavailable> {
        Ok(self.limiter.standing(self.clock.monotonic(), subject, rates))
    }
}
