//! What each page shows. All text in a view is taken as hostile; ids and links that do not look like what they should
//! be lead nowhere.

use jiff::Timestamp;

/// Who a page is for, and how to get around.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The community's name as people read it.
    pub community: &'a str,
    /// `""`, or `/c/SLUG` for a community on a shared host. It stands before every page link; links to `/v1/` and
    /// `/assets/` never have it.
    pub base: &'a str,
    /// What stands before `/login` in the address of the community's sign-in page: like `base`, except that a shared
    /// host asks who is signed in for the pages, and so needs `/c/SLUG` for this one only.
    pub door: &'a str,
    /// What a reader should know about the address they are at.
    pub notice: Option<Notice>,
}

/// What a reader should know about the address they are at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// It has no TLS, and is for trying out on one machine.
    Insecure,
}

/// The page that asks for an address.
///
/// Its form posts `email`, and `invitation` if there is one.
#[derive(Debug, Clone, Copy)]
pub struct SignIn<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Where the form is posted: a path on this site.
    pub action: &'a str,
    /// The token of the invitation that led here.
    pub invitation: Option<&'a str>,
    /// Why the page is shown again.
    pub problem: Option<SignInProblem>,
    /// Whether strangers may join.
    pub open: bool,
}

/// Why the sign-in page is shown again. None of them tells whether an address is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInProblem {
    /// What was typed is no address.
    MalformedAddress,
    /// Too many links were asked for.
    TooOften,
    /// Mail cannot be sent at the moment.
    MailUnavailable,
}

/// The page after a link was asked for. It is the same for every address and does not repeat it.
#[derive(Debug, Clone, Copy)]
pub struct LinkSent<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// How long the link works.
    pub minutes: u64,
}

/// The page that a mailed link opens. Its form posts `token`, so that a mail scanner, which only opens links, does not
/// use it up.
#[derive(Debug, Clone, Copy)]
pub struct Confirm<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Where the form is posted: a path on this site.
    pub action: &'a str,
    /// The link's token.
    pub token: &'a str,
}

/// The page for a link that was used, has expired or was opened in another browser: it does not tell which.
#[derive(Debug, Clone, Copy)]
pub struct LinkRefused<'a> {
    /// The frame.
    pub frame: Frame<'a>,
}

/// The page of a shared host where no community is named. Its form gets `/c` with `community`. It never lists
/// communities.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choose {
    /// Why the page is shown again.
    pub problem: Option<ChooseProblem>,
    /// What a reader should know about the address they are at.
    pub notice: Option<Notice>,
}

/// The page that leads to where a community is signed in to, for who is at another host. It is served with a `Refresh`: a
/// redirect would be followed by no browser that sent a form, since [`POLICY`](crate::POLICY) keeps forms on this site.
#[derive(Debug, Clone, Copy)]
pub struct Elsewhere<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The whole address of the sign-in page.
    pub to: &'a str,
}

/// Why the page that asks for a community is shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChooseProblem {
    /// What was typed cannot be a short name. Whether a well-formed one exists is not told.
    Malformed,
}

/// The chat page.
#[derive(Debug, Clone)]
pub struct Chat<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The member's name as it is shown.
    pub member: &'a str,
    /// The token that goes with every changing request.
    pub csrf: &'a str,
    /// The model to ask for.
    pub model: &'a str,
    /// The conversation to go on with; `None` begins one.
    pub conversation: Option<Conversation<'a>>,
    /// The last conversations, newest first.
    pub recent: &'a [Listed<'a>],
    /// What is left of the member's requests. It is shown when it is little.
    pub allowance: Option<Allowance>,
}

/// How many requests are left, and until when. Opening a page is one too.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Requests left.
    pub remaining: u64,
    /// Requests in a window.
    pub limit: u64,
    /// When the window ends.
    pub resets: Timestamp,
}

/// A conversation with its messages, oldest first.
#[derive(Debug, Clone)]
pub struct Conversation<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its title.
    pub title: &'a str,
    /// What was said.
    pub messages: Vec<Message<'a>>,
}

/// What one side said.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// Who said it.
    pub author: Author,
    /// What was said: plain text of a member, Markdown of the assistant. `None` was withheld.
    pub text: Option<&'a str>,
    /// What an answer relies on, so far as the reader may see it.
    pub sources: Vec<Source<'a>>,
    /// When.
    pub when: Timestamp,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The member.
    Member,
    /// The assistant.
    Assistant,
}

/// A document that an answer relies on.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The base of the frame, for the link.
    pub base: &'a str,
    /// The number that stands for it in square brackets in the text; `None` where it is not known any more.
    pub number: Option<usize>,
    /// The document's id.
    pub document: &'a str,
    /// Its title.
    pub title: &'a str,
}

/// A conversation in a list.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its title.
    pub title: &'a str,
    /// When it was last used.
    pub updated: Timestamp,
}

/// The page of all conversations.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The token that goes with every changing request.
    pub csrf: &'a str,
    /// The conversations of this page, newest first.
    pub conversations: &'a [Listed<'a>],
    /// The path of the page with older ones, with its base, such as `/c/SLUG/history?before=2026-01-31T00:00:00Z`.
    pub older: Option<&'a str>,
}

/// The page of the member's memories.
#[derive(Debug, Clone, Copy)]
pub struct Memories<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The token that goes with every changing request.
    pub csrf: &'a str,
    /// The memories.
    pub memories: &'a [Memory<'a>],
    /// How many there may be.
    pub most: usize,
    /// How long one may be, in characters.
    pub longest: usize,
}

/// Something that is kept for the member at their wish.
#[derive(Debug, Clone, Copy)]
pub struct Memory<'a> {
    /// Its id.
    pub id: &'a str,
    /// What is remembered.
    pub text: &'a str,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// The page of questions that were handed to a person, for those who moderate.
#[derive(Debug, Clone, Copy)]
pub struct Handovers<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The token that goes with every changing request.
    pub csrf: &'a str,
    /// The queue, open ones first.
    pub handovers: &'a [Handover<'a>],
}

/// A question that was handed to a person.
#[derive(Debug, Clone, Copy)]
pub struct Handover<'a> {
    /// Its id.
    pub id: &'a str,
    /// Why it was handed over, as the API names it.
    pub reason: &'a str,
    /// The id of the member who asked; none where it was a key.
    pub asker: Option<&'a str>,
    /// What was asked; none where it is erased.
    pub text: Option<&'a str>,
    /// When it was asked.
    pub created: Timestamp,
    /// When somebody took note.
    pub acknowledged: Option<Timestamp>,
}

/// The page of calls of tools that a person has to approve: those of others, to decide on, or one's own.
#[derive(Debug, Clone, Copy)]
pub struct Approvals<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The token that goes with every changing request.
    pub csrf: &'a str,
    /// For whom the page is.
    pub reader: ApprovalReader,
    /// The calls, in the order in which they are shown.
    pub approvals: &'a [Approval<'a>],
}

/// For whom a page of calls is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalReader {
    /// Those who decide.
    Decider,
    /// Who asked.
    Asker,
}

/// A call that a person has to approve.
#[derive(Debug, Clone, Copy)]
pub struct Approval<'a> {
    /// Its id.
    pub id: &'a str,
    /// The tool.
    pub tool: &'a str,
    /// What it is called with, as JSON; none where it is erased.
    pub arguments: Option<&'a str>,
    /// The id of the member who asked; none where it was a key.
    pub asker: Option<&'a str>,
    /// How it stands, as the API names it.
    pub state: &'a str,
    /// Whether the reader can do something about it.
    pub todo: bool,
    /// Whether its asker may be answered again with what came of it.
    pub again: bool,
    /// When it was asked for.
    pub created: Timestamp,
    /// Until when something can be done.
    pub expires: Timestamp,
    /// When somebody decided.
    pub decided: Option<Timestamp>,
}

/// The page of the member's own account.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// The token that goes with every changing request.
    pub csrf: &'a str,
    /// The member's name as it is shown.
    pub name: &'a str,
    /// Their role.
    pub role: &'a str,
    /// Whether they handle what is handed to a person.
    pub handles: bool,
    /// What they pay for.
    pub plans: &'a [Plan<'a>],
    /// Where they are signed in.
    pub sessions: &'a [Session<'a>],
}

/// A plan that counts for the member.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Its name as people read it.
    pub name: &'a str,
    /// The first moment at which it no longer counts; `None` is without end.
    pub until: Option<Timestamp>,
    /// Whether that moment has passed.
    pub ended: bool,
}

/// A place where the member is signed in.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// Its id.
    pub id: &'a str,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used.
    pub last_used: Timestamp,
    /// When it ends, however it is used.
    pub expires: Timestamp,
    /// Whether it is the one that asks for the page.
    pub current: bool,
}

/// The page of one document.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Its title.
    pub title: &'a str,
    /// Who wrote it.
    pub author: Option<&'a str>,
    /// When it was written.
    pub written: Option<Timestamp>,
    /// Where people read the original. Only `http` and `https` become a link.
    pub url: Option<&'a str>,
    /// What it says.
    pub parts: &'a [Part<'a>],
}

/// A piece of a document. The text is plain; an empty line begins a paragraph.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The heading it stands under, or nothing.
    pub heading: &'a str,
    /// Who wrote it, where that differs within a document.
    pub author: Option<&'a str>,
    /// The text.
    pub text: &'a str,
}

/// The page of an error.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// What happened, in a few words.
    pub title: &'a str,
    /// One sentence.
    pub sentence: &'a str,
    /// The request's id, for who asks the operator.
    pub request: &'a str,
    /// Where to go from here.
    pub way: Way,
}

/// Where to go from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the chat.
    Chat,
    /// To the sign-in page.
    SignIn,
    /// Nowhere: the site itself cannot answer, or nobody is known.
    Nowhere,
}
