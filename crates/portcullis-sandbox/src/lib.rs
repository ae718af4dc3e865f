//! Running code that nobody trusts: the port, a queue before it, and the suite that every backend passes.
//!
//! A [`Sandbox`] runs one [`Job`] and gives what became of it. A job has no network, no environment, no clock and no files
//! but its own, which are empty when it begins and gone when it ends; its time, memory, output and files are limited. Backends
//! are crates of their own, such as `portcullis-sandbox-wasm`. Callers reach one through [`Queue`], which runs so many jobs at
//! once and lets the others wait. Start with [`job`], and `attempts.rs` for what code tries in order to get out.

#[cfg(any(test, feature = "attempts", feature = "conformance"))]
pub mod attempts;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod job;
pub mod queue;

pub use job::{Description, End, Error, Job, Limit, Limits, Ran, Sandbox};
pub use queue::{Held, Place, Queue};
