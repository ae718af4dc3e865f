//! Turns launch checklists into executable checks against any chatbot deployment.
//!
//! [`Target`] says what is judged, [`run`] runs the checks and gives one [`Report`], [`report`] renders it. A check
//! reaches the target only through its [`probe::Probe`], which records everything, and can pass only with coverage, a
//! positive control and evidence in hand ([`outcome::Verdict`]): an unreachable, silent or indifferent target never
//! passes. This crate never prints, never exits and reads no environment. Start with [`checks::CHECKS`], the list.

mod certificate;
mod check;
mod classify;
mod jwt;
mod run;
mod words;

pub mod catalogue;
pub mod checks;
pub mod generate;
pub mod launch;
pub mod outcome;
pub mod probe;
pub mod report;
pub mod target;

pub use check::{Area, Cases, Check, Need, Touches};
pub use classify::Kind;
pub use generate::explain;
pub use outcome::{Outcome, Severity};
pub use probe::Budget;
pub use report::{Gate, Report};
pub use run::{Allow, Attestation, Options, Profile, Progress, Quiet, Selector, run};
pub use target::{Target, TargetError};
