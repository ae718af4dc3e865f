//! The pages: each function lays a view into its template.

use askama::Template;
use portcullis_core::unseen::visible;

use crate::answer::Answer;
use crate::assets::{MARK, SCRIPT, STYLE};
use crate::escape::line;
use crate::link;
use crate::view::{
    Account, Allowance, ApprovalReader, Approvals, Author, Chat, Choose, ChooseProblem, Confirm, Document,
    Elsewhere, Frame, Handovers, History, LinkRefused, LinkSent, Memories, Notice, Refused, SignIn,
    SignInProblem, Way,
};
use crate::when::When;

/// Which place of the navigation a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Chat,
    History,
    Memories,
    Account,
    Other,
}

/// What every page has around it.
struct Site {
    community: String,
    base: String,
    /// The address of the sign-in page.
    login: String,
    insecure: bool,
    /// `None` for pages without navigation.
    place: Option<Place>,
    /// `None` for pages that change nothing.
    csrf: Option<String>,
    style: String,
    script: String,
    mark: String,
}

impl Site {
    fn new(frame: &Frame<'_>) -> Self {
        let versioned = |asset: &crate::Asset| format!("{}?v={}", asset.path, asset.etag);
        Self {
            community: line(frame.community, "This community").into_owned(),
            base: link::base(frame.base).to_owned(),
            login: format!("{}/login", link::base(frame.door)),
            insecure: frame.notice == Some(Notice::Insecure),
            place: None,
            csrf: None,
            style: versioned(&STYLE),
            script: versioned(&SCRIPT),
            mark: versioned(&MARK),
        }
    }

    fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    fn changing(mut self, csrf: &str) -> Self {
        self.csrf = Some(csrf.to_owned());
        self
    }

    /// What the attribute of a link in the navigation needs.
    fn is(&self, name: &str) -> bool {
        match self.place {
            Some(Place::Chat) => name == "chat",
            Some(Place::History) => name == "history",
            Some(Place::Memories) => name == "memories",
            Some(Place::Account) => name == "account",
            Some(Place::Other) | None => false,
        }
    }
}

/// What a browser is shown if a template cannot be written, which memory running out would be the only cause of.
const BROKEN: &str = "<!doctype html><title>Something went wrong</title><h1>Something went wrong</h1>";

fn rendered(page: &impl Template) -> String {
    page.render().unwrap_or_else(|_| BROKEN.to_owned())
}

/// A path of this site that a form is posted to, or the one that it should be.
fn action(handed: &str, site: &Site, otherwise: &str) -> String {
    link::local(handed).map_or_else(|| format!("{}{otherwise}", site.base), str::to_owned)
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    site: Site,
    action: String,
    invitation: Option<&'a str>,
    problem: Option<&'static str>,
    open: bool,
}

/// The page that asks for an address.
pub fn sign_in(view: &SignIn<'_>) -> String {
    let site = Site::new(&view.frame);
    let problem = view.problem.map(|problem| match problem {
        SignInProblem::MalformedAddress => "That does not look like an e-mail address. Please check it.",
        SignInProblem::TooOften => "Too many links were asked for. Please wait some minutes and try again.",
        SignInProblem::MailUnavailable => "Mail cannot be sent at the moment. Please try again later.",
    });
    rendered(&SignInPage {
        action: action(view.action, &site, "/login"),
        site,
        invitation: view.invitation,
        problem,
        open: view.open,
    })
}

#[derive(Template)]
#[template(path = "link_sent.html")]
struct LinkSentPage {
    site: Site,
    minutes: u64,
}

/// The page after a link was asked for.
pub fn link_sent(view: &LinkSent<'_>) -> String {
    rendered(&LinkSentPage { site: Site::new(&view.frame), minutes: view.minutes })
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage<'a> {
    site: Site,
    action: String,
    token: &'a str,
}

/// The page that a mailed link opens.
pub fn confirm(view: &Confirm<'_>) -> String {
    let site = Site::new(&view.frame);
    rendered(&ConfirmPage { action: action(view.action, &site, "/login"), site, token: view.token })
}

#[derive(Template)]
#[template(path = "link_refused.html")]
struct LinkRefusedPage {
    site: Site,
}

/// The page for a link that does not work.
pub fn link_refused(view: &LinkRefused<'_>) -> String {
    rendered(&LinkRefusedPage { site: Site::new(&view.frame) })
}

#[derive(Template)]
#[template(path = "choose.html")]
struct ChoosePage {
    site: Site,
    problem: bool,
}

/// The page of a shared host where no community is named.
pub fn choose(view: &Choose) -> String {
    let frame = Frame { community: "Portcullis", base: "", door: "", notice: view.notice };
    rendered(&ChoosePage {
        site: Site::new(&frame),
        problem: matches!(view.problem, Some(ChooseProblem::Malformed)),
    })
}

#[derive(Template)]
#[template(path = "elsewhere.html")]
struct ElsewherePage {
    site: Site,
    address: String,
    host: String,
}

/// The page that leads to where a community is signed in to.
pub fn elsewhere(view: &Elsewhere<'_>) -> String {
    let site = Site::new(&view.frame);
    let (address, host) = link::outside(view.to).unwrap_or_else(|| (site.login.clone(), String::new()));
    rendered(&ElsewherePage { site, address, host })
}

/// A conversation in a list.
struct Row {
    id: String,
    href: String,
    title: String,
    updated: When,
    current: bool,
}

impl Row {
    fn new(base: &str, listed: &crate::Listed<'_>, current: Option<&str>) -> Self {
        Self {
            id: listed.id.to_owned(),
            href: link::conversation(base, listed.id),
            title: line(listed.title, "Untitled").into_owned(),
            updated: When::new(&listed.updated),
            current: current == Some(listed.id),
        }
    }
}

/// What one side said.
struct Said<'a> {
    by_member: bool,
    /// A member's own words; plain.
    text: Option<&'a str>,
    answer: Option<Answer>,
    when: When,
}

#[derive(Template)]
#[template(path = "chat.html")]
struct ChatPage<'a> {
    site: Site,
    member: String,
    model: &'a str,
    id: &'a str,
    title: Option<String>,
    messages: Vec<Said<'a>>,
    recent: Vec<Row>,
    allowance: Option<(u64, u64, When)>,
}

/// Whether somebody should know what is left: a page does not count along, so a number on it is soon out of date.
const fn is_little(left: &Allowance) -> bool {
    left.remaining.saturating_mul(4) <= left.limit
}

/// The chat page.
pub fn chat(view: &Chat<'_>) -> String {
    let site = Site::new(&view.frame).at(Place::Chat).changing(view.csrf);
    let said = view.conversation.iter().flat_map(|conversation| &conversation.messages);
    let messages = said.map(|message| {
        let (own, answer) = match message.author {
            Author::Member => (message.text, None),
            Author::Assistant => (None, message.text.map(|text| Answer::new(text, &message.sources))),
        };
        Said {
            by_member: message.author == Author::Member,
            text: own,
            answer,
            when: When::new(&message.when),
        }
    });
    let current = view.conversation.as_ref().map(|conversation| conversation.id);
    rendered(&ChatPage {
        recent: view.recent.iter().map(|listed| Row::new(view.frame.base, listed, current)).collect(),
        site,
        member: line(view.member, "Member").into_owned(),
        model: view.model,
        id: current.unwrap_or_default(),
        title: view.conversation.as_ref().map(|it| line(it.title, "Untitled").into_owned()),
        messages: messages.collect(),
        allowance: view
            .allowance
            .filter(is_little)
            .map(|left| (left.remaining, left.limit, When::new(&left.resets))),
    })
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    site: Site,
    rows: Vec<Row>,
    older: Option<String>,
}

/// The page of all conversations.
pub fn history(view: &History<'_>) -> String {
    let site = Site::new(&view.frame).at(Place::History).changing(view.csrf);
    rendered(&HistoryPage {
        rows: view.conversations.iter().map(|listed| Row::new(view.frame.base, listed, None)).collect(),
        older: view.older.map(|older| action(older, &site, "/history")),
        site,
    })
}

struct Kept<'a> {
    id: &'a str,
    text: &'a str,
    updated: When,
}

#[derive(Template)]
#[template(path = "memories.html")]
struct MemoriesPage<'a> {
    site: Site,
    memories: Vec<Kept<'a>>,
    most: usize,
    longest: usize,
}

/// The page of the member's memories.
pub fn memories(view: &Memories<'_>) -> String {
    let kept = view.memories.iter().map(|memory| Kept {
        id: memory.id,
        text: memory.text,
        updated: When::new(&memory.updated),
    });
    rendered(&MemoriesPage {
        site: Site::new(&view.frame).at(Place::Memories).changing(view.csrf),
        memories: kept.collect(),
        most: view.most,
        longest: view.longest,
    })
}

struct Handed<'a> {
    id: &'a str,
    reason: &'static str,
    asker: Option<&'a str>,
    text: Option<&'a str>,
    created: When,
    acknowledged: Option<When>,
}

#[derive(Template)]
#[template(path = "handovers.html")]
struct HandoversPage<'a> {
    site: Site,
    open: usize,
    handovers: Vec<Handed<'a>>,
}

/// Why a question was handed over, in words.
fn reason(name: &str) -> &'static str {
    match name {
        "self-harm" => "May harm themselves",
        "legal-threat" => "Threatens with the law",
        "private-data" => "Asks for private data of others",
        _ => "For a person to see",
    }
}

/// The page of questions that were handed to a person.
pub fn handovers(view: &Handovers<'_>) -> String {
    let handed = view.handovers.iter().map(|handover| Handed {
        id: handover.id,
        reason: reason(handover.reason),
        asker: handover.asker,
        text: handover.text,
        created: When::new(&handover.created),
        acknowledged: handover.acknowledged.as_ref().map(When::new),
    });
    rendered(&HandoversPage {
        site: Site::new(&view.frame).at(Place::Other).changing(view.csrf),
        open: view.handovers.iter().filter(|handover| handover.acknowledged.is_none()).count(),
        handovers: handed.collect(),
    })
}

struct Waits<'a> {
    id: &'a str,
    tool: &'a str,
    arguments: Option<String>,
    asker: Option<&'a str>,
    state: &'static str,
    todo: bool,
    again: bool,
    go_on: &'static str,
    created: When,
    until: Option<When>,
    decided: Option<When>,
}

#[derive(Template)]
#[template(path = "approvals.html")]
struct ApprovalsPage<'a> {
    site: Site,
    title: &'static str,
    todo: &'static str,
    own: bool,
    open: usize,
    approvals: Vec<Waits<'a>>,
}

/// How a call stands, in words.
fn standing(name: &str) -> &'static str {
    match name {
        "pending" => "waits for a person",
        "approved" => "approved",
        "denied" => "denied",
        "expired" => "expired",
        "running" => "being done",
        "done" => "done",
        "failed" => "no result; it may have been made",
        _ => "cut off",
    }
}

/// The page of calls that a person has to approve. Who decides sees every character of what would be sent.
pub fn approvals(view: &Approvals<'_>) -> String {
    let own = view.reader == ApprovalReader::Asker;
    let waits = view.approvals.iter().map(|approval| Waits {
        id: approval.id,
        tool: approval.tool,
        arguments: approval.arguments.map(visible),
        asker: approval.asker,
        state: standing(approval.state),
        todo: approval.todo,
        again: own && approval.again,
        go_on: if approval.again { "Answer again" } else { "Go on" },
        created: When::new(&approval.created),
        until: approval.todo.then(|| When::new(&approval.expires)),
        decided: approval.decided.as_ref().map(When::new),
    });
    rendered(&ApprovalsPage {
        site: Site::new(&view.frame).at(Place::Other).changing(view.csrf),
        title: if own { "Your waiting calls" } else { "Calls to approve" },
        todo: if own { "go on with" } else { "decide" },
        own,
        open: view.approvals.iter().filter(|approval| approval.todo).count(),
        approvals: waits.collect(),
    })
}

struct Paid {
    name: String,
    until: Option<When>,
    ended: bool,
}

struct SignedIn<'a> {
    id: &'a str,
    created: When,
    last_used: When,
    expires: When,
    current: bool,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    site: Site,
    name: String,
    role: String,
    handles: bool,
    plans: Vec<Paid>,
    sessions: Vec<SignedIn<'a>>,
}

/// The page of the member's own account.
pub fn account(view: &Account<'_>) -> String {
    let plans = view.plans.iter().map(|plan| Paid {
        name: line(plan.name, "Unnamed plan").into_owned(),
        until: plan.until.as_ref().map(When::new),
        ended: plan.ended,
    });
    let sessions = view.sessions.iter().map(|session| SignedIn {
        id: session.id,
        created: When::new(&session.created),
        last_used: When::new(&session.last_used),
        expires: When::new(&session.expires),
        current: session.current,
    });
    rendered(&AccountPage {
        site: Site::new(&view.frame).at(Place::Account).changing(view.csrf),
        name: line(view.name, "Member").into_owned(),
        role: line(view.role, "member").into_owned(),
        handles: view.handles,
        plans: plans.collect(),
        sessions: sessions.collect(),
    })
}

struct Piece<'a> {
    heading: Option<String>,
    author: Option<String>,
    paragraphs: Vec<&'a str>,
}

#[derive(Template)]
#[template(path = "document.html")]
struct DocumentPage<'a> {
    site: Site,
    title: String,
    author: Option<String>,
    written: Option<When>,
    /// The address and its host.
    original: Option<(String, String)>,
    pieces: Vec<Piece<'a>>,
}

/// The page of one document.
pub fn document(view: &Document<'_>) -> String {
    let mut last = "";
    let pieces = view.parts.iter().map(|part| {
        // A long section is several pieces under one heading; it is said once.
        let again = std::mem::replace(&mut last, part.heading) == part.heading;
        Piece {
            heading: named(part.heading).filter(|_| !again),
            author: part.author.filter(|author| view.author != Some(author)).and_then(named),
            paragraphs: paragraphs(part.text),
        }
    });
    rendered(&DocumentPage {
        pieces: pieces.collect(),
        site: Site::new(&view.frame).at(Place::Other),
        title: line(view.title, "Untitled").into_owned(),
        author: view.author.and_then(named),
        written: view.written.as_ref().map(When::new),
        original: view.url.and_then(link::outside),
    })
}

/// One line, or nothing.
fn named(text: &str) -> Option<String> {
    let text = line(text, "");
    (!text.is_empty()).then(|| text.into_owned())
}

/// Text at its empty lines.
fn paragraphs(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() {
            found.extend(text.get(start..at));
            start = at + line.len();
        }
        at += line.len();
    }
    found.extend(text.get(start..));
    found.retain(|paragraph| !paragraph.trim().is_empty());
    found
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    site: Site,
    title: String,
    sentence: &'a str,
    request: &'a str,
    way: Way,
}

/// The page of an error.
pub fn refused(view: &Refused<'_>) -> String {
    rendered(&RefusedPage {
        site: Site::new(&view.frame),
        title: line(view.title, "Something went wrong").into_owned(),
        sentence: view.sentence,
        request: view.request,
        way: view.way,
    })
}

#[cfg(test)]
mod tests {
    use super::paragraphs;

    #[test]
    fn paragraphs_are_what_stands_between_empty_lines() {
        assert_eq!(paragraphs("a\nb\n \n\nc"), ["a\nb\n", "c"]);
        assert_eq!(paragraphs("\n\n"), Vec::<&str>::new());
        assert_eq!(paragraphs("a"), ["a"]);
    }
}
