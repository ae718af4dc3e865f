//! A question becomes an answer: recall, prompt, model, release, and the records that open and close a turn.
//!
//! It speaks no HTTP. The only way to the model is [`Service::ask`], which takes a turn that every guard on questions
//! has allowed; what was handed to a person is answered by [`Service::tell`]. Start there; [`frames`] is the same for answers that stream.

pub mod asked;
mod ending;
mod exit;
mod extracts;
pub mod frames;
mod handing;
mod keeping;
pub mod leaving;
mod ledger;
mod places;
mod prompt;
pub mod release;
mod remember;
mod rounds;
pub mod service;
mod watch;

pub use ending::Ending;
pub use frames::Frames;
pub use keeping::Missing;
pub use leaving::{JudgedWhole, Release};
pub use places::{PlaceLimits, Places};
pub use portcullis_leak::{Action, Kind, Policy};
pub use release::{Approval, Citation, Handover, Whole};
pub use service::{Answer, Answered, Service, ServiceParts, Settings};
