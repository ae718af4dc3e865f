//! Checks of the sandbox: code that nobody trusts stays where it is, and many jobs run side by side.
//!
//! Jobs go through the sandbox API of [`jobs`]. What is tried stands in [`python`] and, for WebAssembly, in the suite that our own
//! backends pass; [`escapes`] judges what became of it, by effects where there are any. [`called`] tries the same as calls of a
//! model, where programs are tools.

mod called;
mod escapes;
mod jobs;
mod overlap;
mod python;
pub(super) mod sbx_05_sandboxed_code_cannot_get_out;
pub(super) mod sbx_06_sandboxes_run_side_by_side;
mod trials;
