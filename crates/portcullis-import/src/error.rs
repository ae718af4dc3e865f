//! Why an import did not happen, or stopped.

use std::io;

use crate::report::Report;

/// An import did not happen, or stopped. All but [`Error::Interrupted`] are found before anything is written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder cannot be listed.
    #[error("`{path}` cannot be listed: {kind}")]
    Directory {
        /// The folder.
        path: String,
        /// The system's kind of error.
        kind: io::ErrorKind,
    },
    /// The forum's address is not one.
    #[error("the forum's address is not understood; wanted one such as `https://forum.example.org`")]
    BaseUrl,
    /// The file with the names of categories cannot be read.
    #[error(
        "`{file}` tells which categories are not for everybody, but it is not understood; fetch it again or remove it"
    )]
    Categories {
        /// The file.
        file: String,
    },
    /// There is nothing to import.
    #[error("none of the {files} files in the folder can be imported{}", first.as_ref().map(|first| format!(": {first}")).unwrap_or_default())]
    Nothing {
        /// How many files there are.
        files: usize,
        /// The first of them and why it was not taken.
        first: Option<String>,
    },
    /// Most of what the store holds would be removed.
    #[error(
        "{removed} of {stored} stored documents would be removed; if the folder is the right one, allow mass removal"
    )]
    MassRemoval {
        /// How many would go.
        removed: usize,
        /// How many there are of this source.
        stored: usize,
    },
    /// The map opens a space to a plan that does not exist.
    #[error("the space map names the plan `{plan}`, which does not exist; create the plan first")]
    UnknownPlan {
        /// The plan.
        plan: String,
    },
    /// A space is more open than the content that would go into it may be.
    #[error(
        "the space `{space}` is open to {is}, but what goes into it is meant for {wanted}; change one of the two first"
    )]
    MoreOpen {
        /// The space.
        space: String,
        /// Who may read it.
        is: String,
        /// Who was meant to.
        wanted: String,
    },
    /// Two categories become one space but not with the same access.
    #[error(
        "`{category}` and another category become the space `{space}`, but not for the same readers; name the spaces in a space map"
    )]
    Disagree {
        /// The space.
        space: String,
        /// The second category.
        category: String,
    },
    /// The store refused before anything was written.
    #[error("nothing was imported: {0}")]
    Store(#[source] portcullis_store::Error),
    /// The store refused after something was written.
    #[error(
        "the import stopped: {cause}; {} added, {} changed and {} removed are stored; run it again to go on",
        report.added, report.changed, report.removed
    )]
    Interrupted {
        /// What was stored before.
        report: Box<Report>,
        /// What the store said.
        #[source]
        cause: portcullis_store::Error,
    },
}
