//! What a guard is: it looks at a request in one state and gives a ruling.

use async_trait::async_trait;

use crate::gate::Gate;
use crate::refusal::Refusal;

/// What a guard says.
#[derive(Debug)]
pub enum Ruling {
    /// This guard has nothing against it.
    Allow,
    /// The request ends here.
    Refuse(Refusal),
}

/// When leaving a guard out would change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Felt {
    /// Whenever it is asked: it counts, or it narrows what it sees.
    Always,
    /// Where it refuses, and where it says so itself with [`Switches::felt`](crate::Switches::felt).
    AsItSays,
}

/// One guard of a phase, named for what it stops or does. A guard that cannot decide refuses.
///
/// `T` is the request in the state in which this guard sees it; a guard may narrow it, never widen it.
#[async_trait]
pub trait Guard<T: Send>: Send + Sync {
    /// The name in the printed pipeline, in the audit and in the guard matrix.
    fn name(&self) -> &'static str;

    /// One line that says what it stops.
    fn about(&self) -> &'static str;

    /// When leaving it out would change anything.
    fn felt(&self) -> Felt;

    /// Rules on one request.
    async fn judge(&self, gate: &Gate, subject: &mut T) -> Ruling;
}
