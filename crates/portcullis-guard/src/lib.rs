//! Who may pass, how often, and what they may ask: the guards and the one place that orders them.
//!
//! It speaks no HTTP and asks no model. Start with [`pipeline`]: the phases from top to bottom, in the order in which
//! they run. [`visit`] holds the states that make skipping a phase a compile error.

pub mod approving;
pub mod blocks;
pub mod budget;
pub mod credential;
pub mod gate;
pub mod guard;
pub mod guards;
pub mod handing;
pub mod jwt;
pub mod limit;
pub mod measures;
mod named;
pub mod pipeline;
pub mod refusal;
pub mod screening;
pub mod security;
pub mod switches;
pub mod tooling;
pub mod visit;

pub use approving::{Approved, Approving, Waiting};
pub use blocks::{
    AutomaticBlock, BlockEntry, BlockSettings, Blocked, Blocks, CannotBlock, KeptBlocks, MalformedPrefix,
    Offence, Pardoned, Prefix, Removed, Thresholds, UnreadableBlocks,
};
pub use budget::{Price, Prices, Reservation, Tokens};
pub use credential::{Credentials, Presented};
pub use gate::{Gate, GateParts, origin_of};
pub use guard::{Felt, Guard, Ruling};
pub use guards::csrf::{CsrfKey, Provenance};
pub use handing::{Fate, Handing, HandoverMode};
pub use limit::{Applied, Counted, Counters, Limits, Tiers};
pub use measures::{Measures, Phase};
pub use pipeline::Judged;
pub use portcullis_limit::{
    Allowance, Bound, Charge, CounterStore, Decision, MemoryCounters, Moment, Rates, Snapshot, Subject,
    Unavailable, Window,
};
pub use refusal::{Code, Refusal};
pub use screening::{Custom, Mode, Screening, SecretMode, Withheld};
pub use security::{Asker, Noticed, SecurityEvent, SecurityEvents};
pub use switches::{Switches, UnknownGuard};
pub use tooling::ToolLimits;
pub use visit::{
    Arrival, Authorised, Grounded, HandedOver, Opened, Question, Screened, Suspicion, Turn, Visit,
};
