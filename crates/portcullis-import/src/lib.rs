//! Brings a community's content in: a Discourse forum's topics, or a folder of Markdown, reStructuredText, HTML and
//! plain text.
//!
//! What it reads was written by strangers. It never follows a link out of the folder, never opens anything but a
//! regular file, never fetches an address, never runs what it reads; its parsers take time in proportion to the input
//! and no stack. One bad file never stops the rest: every file that is not taken stands in the [`Report`] with the
//! reason. Text that a reader of the page would not see is left out, because a model would obey it.
//!
//! Nothing is opened by accident either: without a [`SpaceMap`] all content is for staff alone, and a space that exists
//! is never made more open.
//!
//! Start with [`run`]: [`gather`] reads an export ([`discourse`], [`folder`]), [`plan`] compares it with what is
//! stored, and [`Gathered::store`] writes the difference.

mod chunk;
mod date;
mod decode;
pub mod discourse;
pub mod entry;
pub mod error;
pub mod folder;
mod html;
mod invisible;
pub mod limits;
mod links;
pub mod plan;
mod reader;
pub mod report;
mod rst;
pub mod run;
pub mod space_map;
mod walk;

pub use entry::{Entry, Parsed, Reason, Rejected, Stored};
pub use error::Error;
pub use folder::SpaceFrom;
pub use limits::Limits;
pub use plan::MassRemoval;
pub use reader::{Entries, Export};
pub use report::{Left, Note, Report, SpaceLine};
pub use run::{Gathered, ImportPlan, Phase, Ports, Progress, Source, Step, gather, run};
pub use space_map::{MapError, MapFile, SpaceMap};
