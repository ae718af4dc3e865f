//! The guards, one file each, by phase. Their order is in [`crate::pipeline`].

pub mod blocklist;
pub mod citation_fence;
pub mod csrf;
pub mod hand_over;
#[cfg(feature = "guard-off")]
pub mod holes;
mod host_token;
pub mod identify;
pub mod meter;
pub(crate) mod quarantine;
pub mod role_action;
pub mod screen;
pub mod secrets_in;
pub mod sign_in;
pub(crate) mod tool_results;
pub mod tools;
