//! Where pages show what somebody wrote, or what somebody made the model write.

use http::Uri;

use super::{Identity, Route, Spot};

/// Whose words a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wording {
    /// A member's own, as they were sent.
    Member,
    /// The model's: it was asked to say something.
    Model,
}

impl Wording {
    /// The words used in files.
    pub const ALL: [(&'static str, Self); 2] = [("member", Self::Member), ("model", Self::Model)];
}

/// A text that is put in and shown again. It may be shown by another instance than the target, whose model obeys.
#[derive(Debug, Clone)]
pub struct Display {
    /// What it is, in words: `the title of a conversation`.
    pub what: String,
    /// Whose words it is.
    pub wording: Wording,
    /// Where it is, when it is not the target itself: scheme, host and port.
    pub at: Option<Uri>,
    /// Who writes it.
    pub writer: Identity,
    /// Puts it in; [`super::MARKER`] stands for the text, or for the question to the model.
    pub create: Route,
    /// Where the id of what was made stands in the answer, where pages are told apart by it.
    pub id: Option<Spot>,
    /// Puts it in afterwards, by [`super::ID`]: the first request then holds no text.
    pub change: Option<Route>,
    /// Takes away what was made.
    pub remove: Option<Route>,
    /// The pages that show it.
    pub pages: Vec<Route>,
    /// Who opens them.
    pub reader: Identity,
}
