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

/// One guard of a phase, named for what it stops or does. A guard that cannot decide refuses.
///
/// `T` is the request in the state in which this guard sees it; a guard may narrow it, never widen it.
#[async_trait]
pub trait Guard<T: Send>: Send + Sync {
    /// The name in the printed pipeline, in the audit and in the guard matrix.
    fn name(&self) -> &'static str;

    /// One line that says what it stops.
    fn about(&self) -> &'static str;

    /// Rules on one request.
    async fn judge(&self, gate: &Gate, subject: &mut T) -> Ruling;
}
