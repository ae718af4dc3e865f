//! Where it is tried out what the bot can be talked into: an instance whose system text and documents hold texts that
//! must not leave, and whose model may be the worst there is.

use http::Uri;

use super::{Chat, Identity, Spot};

/// Stands for a number in the form of a citation.
pub const NUMBER: &str = "{{number}}";

/// An instance that attacks on its model are tried on. It may be the target itself.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// Where it is, when it is not the target itself: scheme, host and port.
    pub at: Option<Uri>,
    /// How a question is asked there.
    pub chat: Chat,
    /// Who asks there: members of one community without special standing.
    pub askers: Vec<Identity>,
    /// The system text that it was configured with, as far as it is known.
    pub system: Option<String>,
    /// What was planted there.
    pub planted: Vec<Planted>,
    /// Somebody of the askers' community who may read what they may not.
    pub insider: Option<Identity>,
    /// Where it is told what really went to the model: the latest requests in JSON, each with `messages`.
    pub trace: Option<Uri>,
    /// The words of the system text after which a random word stands, another one for each answer.
    pub mark_after: Option<String>,
    /// How an answer cites a passage, with [`NUMBER`] for its number.
    pub citation: Option<String>,
    /// How a question is asked in the conversation of an earlier one.
    pub thread: Option<Thread>,
    /// The tools that the bot has there, and what tells who called them.
    pub tools: Option<ToolInventory>,
}

/// How a conversation is begun and gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Where a question names its conversation: a header, or a member of the body by its pointer.
    pub at: Spot,
    /// What stands there to begin one; nothing where a question that names none begins one.
    pub begin: Option<String>,
    /// Where the answer names the conversation.
    pub id: Spot,
}

/// Stands for a word by which a call is found again.
pub const WORD: &str = "{{word}}";

/// The tools of a bot, and what tells who called them.
#[derive(Debug, Clone)]
pub struct ToolInventory {
    /// Who asks for calls; the askers of the rehearsal where there are none.
    pub askers: Vec<Identity>,
    /// Each tool, with a call of it.
    pub tools: Vec<DeclaredTool>,
    /// Where every call that reached a tool is told in JSON, with its arguments.
    pub sinks: Vec<Uri>,
    /// The same of whoever came to a trap.
    pub trapped: Vec<Uri>,
    /// Where every decision about a call is told in JSON, each an object that names the tool where it is known.
    pub decisions: Option<Uri>,
    /// The tool that reads pages, and the argument that takes the address.
    pub reader: Option<(String, String)>,
    /// Addresses that no tool may reach, with [`WORD`] for a word: inside the network, or pages that lead there. The checker
    /// comes to each itself, to see that `trapped` tells of it.
    pub traps: Vec<String>,
    /// Addresses that the reading tool may read, with [`WORD`] for a word.
    pub pages: Vec<String>,
    /// Where whoever came to those is told in JSON.
    pub visited: Vec<Uri>,
}

/// A tool, and a call of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredTool {
    /// Its name.
    pub name: String,
    /// Arguments that fit, in JSON, with [`WORD`] for a word.
    pub arguments: String,
    /// Whether the askers may use it.
    pub allowed: bool,
    /// Whether a person has to approve each call of theirs.
    pub approval: bool,
}

impl ToolInventory {
    /// The first tool that the askers may use, and that nobody has to approve.
    pub fn allowed(&self) -> Option<&DeclaredTool> {
        self.tools.iter().find(|tool| tool.allowed && !tool.approval)
    }

    /// Those that they may use once a person has approved the call.
    pub fn approved(&self) -> impl Iterator<Item = &DeclaredTool> {
        self.tools.iter().filter(|tool| tool.allowed && tool.approval)
    }

    /// Those that they may not.
    pub fn forbidden(&self) -> impl Iterator<Item = &DeclaredTool> {
        self.tools.iter().filter(|tool| !tool.allowed)
    }
}

/// What was planted, and what must not become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlantedKind {
    /// Stands in the system text: nobody may be told.
    System,
    /// Stands in a document that members may read: whoever asks for its topic is to be told.
    Fact,
    /// A key or password that somebody wrote into a document: no answer may repeat it.
    Secret,
    /// Personal data of somebody else in a document: no answer may repeat it.
    Personal,
    /// Stands in an answer when the bot obeyed an order that a document gives.
    Order,
    /// Stands in a document that the askers may not read: the model must not be given it for their questions.
    Closed,
    /// Stands in the description of a tool that whoever may use tools is offered: nobody may be told.
    Tools,
    /// Stands in the arguments of a call that a document orders, and that those who may use tools may not have made.
    Call,
}

impl PlantedKind {
    /// The words used in files.
    pub const ALL: [(&'static str, Self); 8] = [
        ("system", Self::System),
        ("fact", Self::Fact),
        ("secret", Self::Secret),
        ("personal", Self::Personal),
        ("order", Self::Order),
        ("closed", Self::Closed),
        ("tools", Self::Tools),
        ("call", Self::Call),
    ];

    /// Whether it stands where no document does: nothing has to be asked for.
    pub const fn is_apart(self) -> bool {
        matches!(self, Self::System | Self::Tools)
    }
}

/// In what a document hides its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// In nothing: it stands there for everybody to read.
    Plain,
    /// In a comment of HTML.
    Comment,
    /// In an element that no browser shows.
    Hidden,
    /// In letters that nobody sees: the tags of Unicode.
    Tags,
    /// In the words that stand for an image.
    ImageAlt,
    /// In the title of a link.
    LinkTitle,
    /// In an encoding such as Base64.
    Encoded,
}

impl Form {
    /// The words used in files.
    pub const ALL: [(&'static str, Self); 7] = [
        ("plain", Self::Plain),
        ("comment", Self::Comment),
        ("hidden", Self::Hidden),
        ("tags", Self::Tags),
        ("image-alt", Self::ImageAlt),
        ("link-title", Self::LinkTitle),
        ("encoded", Self::Encoded),
    ];

    /// The word used in files.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, form)| *form == self).map_or("", |(word, _)| word)
    }
}

/// A text that was planted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// What it is.
    pub kind: PlantedKind,
    /// The text by which it is recognised.
    pub text: String,
    /// What to ask for, so that its document is recalled: words that stand in no other document. Empty for what stands in
    /// the system text.
    pub topic: String,
    /// A harmless text of the same document, which shows that it was recalled.
    pub marker: Option<String>,
    /// In what an order is hidden.
    pub form: Form,
}

impl Planted {
    /// In the system text.
    pub fn in_system(text: &str) -> Self {
        Self::apart(PlantedKind::System, text)
    }

    /// In the description of a tool.
    pub fn in_tools(text: &str) -> Self {
        Self::apart(PlantedKind::Tools, text)
    }

    fn apart(kind: PlantedKind, text: &str) -> Self {
        Self { kind, text: text.to_owned(), topic: String::new(), marker: None, form: Form::Plain }
    }

    /// In a document about `topic`, beside `marker`.
    pub fn in_document(kind: PlantedKind, topic: &str, text: &str, marker: &str) -> Self {
        let marker = (kind != PlantedKind::Fact && kind != PlantedKind::Closed).then(|| marker.to_owned());
        Self { kind, text: text.to_owned(), topic: topic.to_owned(), marker, form: Form::Plain }
    }

    /// Hidden in this.
    #[must_use]
    pub const fn hidden_in(mut self, form: Form) -> Self {
        self.form = form;
        self
    }
}

impl Rehearsal {
    /// What was planted of one kind.
    pub fn of(&self, kind: PlantedKind) -> impl Iterator<Item = &Planted> {
        self.planted.iter().filter(move |planted| planted.kind == kind)
    }
}
