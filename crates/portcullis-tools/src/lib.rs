//! Tools that the model may ask for: which there are, who may use them, what they take, and the one way to call them.
//!
//! The model is never trusted with more than a name and arguments. A tool is what an operator wrote into the
//! configuration: where it is or which program, for which communities and roles, with which description and schema. The hash
//! of these is pinned, so that a tool whose description or program changed is stopped until an operator approves it. What a tool
//! returns is a text of bounded size, and hostile like a document.
//!
//! Nothing here decides whether a call may be made: [`call`] takes a [`Permit`], which only the tool phase of
//! `portcullis-guard` grants. Nothing here prints arguments or results. Start with [`Registry`].

mod call;
mod events;
mod fetch;
mod mcp;
mod pin;
mod program;
mod registry;
mod schema;
mod spec;
mod web;

pub use call::{Fault, FaultKind, Permit, Returned, call};
pub use pin::{MalformedPin, Pin};
pub use program::Program;
pub use registry::{
    ApprovalRule, Egress, Registry, RegistryProblem, Settings, Standing, Stop, Tool, Way, WebMethod,
};
pub use schema::{Mismatch, Schema, SchemaProblem};
pub use spec::{MalformedName, Spec, ToolName};
