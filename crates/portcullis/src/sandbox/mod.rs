//! The embedded sandbox behind the sandbox API of `docs/sandbox-api.md`, and what checks run in one.
//!
//! [`wire`] is the format of jobs and answers, [`api`] the server on loopback, [`programs`] what is tried in a sandbox for
//! WebAssembly, [`walls`] the sandbox itself. Only builds with the feature `sandbox` have any of it.

pub(crate) mod api;
pub(crate) mod programs;
#[cfg(test)]
mod tests;
pub(crate) mod walls;
mod wire;
