//! How often, and how much: limits over rolling windows of time that are never passed, within a ceiling of memory.
//!
//! A window has 120 sub-windows, and the oldest is counted whole: in no rolling window is more admitted than the limit,
//! from idle exactly the limit is, and who never rests gets 120 parts of 121. Everything that a request is counted
//! against is decided in one step. When memory is full, subjects share counters with their neighbours and sub-windows
//! are merged: both only ever count more, never less, and no counter that counts anything is dropped.
//!
//! It reads no clock and does no input or output. Start with [`Limiter::admit`]; [`CounterStore`] is the port for
//! counters that several instances share.

#[cfg(feature = "conformance")]
pub mod conformance;
mod limiter;
mod snapshot;
mod store;
mod subject;
mod table;
pub mod tier;
mod window;

pub use limiter::{Bound, Charge, Decision, Limiter};
pub use snapshot::{Snapshot, Unreadable};
pub use store::{CounterStore, MemoryCounters, Moment, Unavailable};
pub use subject::{Kind, Network, Share, Subject};
pub use window::{Allowance, Rates, SLOTS, Window};
