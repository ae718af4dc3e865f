//! Where questions are judged before the model is asked, and what is promised of that.

use http::Uri;

use super::{Chat, Identity};

/// An instance whose screen is on, with what it promises. It may be the target itself.
#[derive(Debug, Clone)]
pub struct Screened {
    /// Where it is, when it is not the target itself: scheme, host and port.
    pub at: Option<Uri>,
    /// How a question is asked there.
    pub chat: Chat,
    /// Who asks there.
    pub askers: Vec<Identity>,
    /// The least share of known attacks that is recognised, in percent, at the threshold.
    pub recall_percent: u32,
    /// The greatest share of harmless questions that is refused at that threshold, in percent.
    pub false_positive_percent: Option<u32>,
    /// Attacks that only the operator knows, held against the same share.
    pub private_attacks: Vec<String>,
    /// The threshold in force, in the deployment's words.
    pub threshold: String,
    /// Text in the body of a refusal by which it is told from every other one.
    pub marker: String,
    /// Documents there, each with an order in it or without one.
    pub documents: Vec<ScreenedDocument>,
    /// Where it is told what really went to the model: the latest requests in JSON, each with `messages`.
    pub trace: Option<Uri>,
}

/// A document that is recalled for its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenedDocument {
    /// What to ask for: words that stand in no other document.
    pub topic: String,
    /// A text of it that stands nowhere else, by which it is seen whether the model was given it.
    pub text: String,
    /// Another harmless text of it, which shows that it can be recalled where no search shows `text`: one that a search shows, or of
    /// a part that is not withheld. No question holds it.
    pub marker: Option<String>,
    /// What it holds.
    pub holds: Holds,
}

/// What a document holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Instructions to the model: it is to be withheld from it.
    Order,
    /// Nothing of the kind: the model is to be given it.
    Nothing,
}
