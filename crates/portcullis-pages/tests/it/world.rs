//! Every page, with every text of its view given by name.

use jiff::Timestamp;
use portcullis_pages::{
    Account, Allowance, Approval, ApprovalReader, Approvals, Author, Chat, Choose, ChooseProblem, Confirm,
    Conversation, Document, Elsewhere, Frame, Handover, Handovers, History, LinkRefused, LinkSent, Listed,
    Memories, Memory, Message, Notice, Part, Plan, Refused, Session, SignIn, SignInProblem, Source, Way,
    account, approvals, chat, choose, confirm, document, elsewhere, handovers, history, link_refused,
    link_sent, memories, refused, sign_in,
};

pub(crate) const ID: &str = "0193a5c4-7d1e-7c44-9f00-2b1c6a5e8d10";
pub(crate) const BASE: &str = "/c/harbour-rowing";
pub(crate) const OLDER: &str = "/c/harbour-rowing/history?before=2026-01-31T00:00:00Z";

/// Every text of a view that somebody outside may have written, or that may be mistaken for one that they did.
pub(crate) const FIELDS: [&str; 40] = [
    "community",
    "base",
    "door",
    "action",
    "invitation",
    "token",
    "member",
    "csrf",
    "model",
    "conversation",
    "title",
    "question",
    "answer",
    "source",
    "source title",
    "recent",
    "recent title",
    "older",
    "memory",
    "memory text",
    "name",
    "role",
    "plan",
    "session",
    "document title",
    "author",
    "url",
    "heading",
    "part author",
    "part",
    "refusal",
    "request",
    "handover",
    "reason",
    "asker",
    "handed text",
    "approval",
    "tool",
    "arguments",
    "state",
];

/// A text for each field, as it should be.
pub(crate) fn usual(field: &str) -> String {
    match field {
        "base" | "door" => BASE,
        "action" => "/c/harbour-rowing/login",
        "older" => OLDER,
        "url" => "https://forum.example/t/tides/12",
        "conversation" | "source" | "recent" | "memory" | "session" | "handover" | "asker" | "approval" => ID,
        "answer" => "At **slack water** [1].",
        "part" => "One paragraph.\n\nAnother one.",
        other => other,
    }
    .to_owned()
}

pub(crate) fn moment() -> Timestamp {
    "2026-11-23T18:05:00Z".parse().unwrap()
}

/// All pages with these texts, each by name. Every variant of a view is among them.
pub(crate) fn pages(text: &dyn Fn(&str) -> String) -> Vec<(&'static str, String)> {
    let texts: Vec<(&str, String)> = FIELDS.iter().map(|field| (*field, text(field))).collect();
    let of = |field: &str| texts.iter().find(|(name, _)| *name == field).unwrap().1.as_str();

    let frame = Frame { community: of("community"), base: of("base"), door: of("door"), notice: None };
    let plain = Frame { notice: Some(Notice::Insecure), ..frame };
    let (csrf, at) = (of("csrf"), moment());

    let ask = SignIn { frame, action: of("action"), invitation: None, problem: None, open: false };
    let sources = vec![
        Source { base: of("base"), number: Some(1), document: of("source"), title: of("source title") },
        Source { base: of("base"), number: None, document: of("source"), title: of("source title") },
    ];
    let said = |author, text, sources| Message { author, text, sources, when: at };
    let conversation = Conversation {
        id: of("conversation"),
        title: of("title"),
        messages: vec![
            said(Author::Member, Some(of("question")), vec![]),
            said(Author::Assistant, Some(of("answer")), sources),
            said(Author::Member, None, vec![]),
            said(Author::Assistant, None, vec![]),
        ],
    };
    let rows = [Listed { id: of("recent"), title: of("recent title"), updated: at }];
    let fresh = Chat {
        frame,
        member: of("member"),
        csrf,
        model: of("model"),
        conversation: None,
        recent: &[],
        allowance: None,
    };
    let going = Chat {
        conversation: Some(conversation),
        recent: &rows,
        allowance: Some(Allowance { remaining: 15, limit: 60, resets: at }),
        ..fresh.clone()
    };
    let parts = [
        Part { heading: of("heading"), author: Some(of("part author")), text: of("part") },
        Part { heading: "", author: None, text: of("part") },
    ];
    let read = Document {
        frame,
        title: of("document title"),
        author: Some(of("author")),
        written: Some(at),
        url: Some(of("url")),
        parts: &parts,
    };
    let kept = [Memory { id: of("memory"), text: of("memory text"), updated: at }];
    let plans = [
        Plan { name: of("plan"), until: Some(at), ended: false },
        Plan { name: of("plan"), until: Some(at), ended: true },
        Plan { name: of("plan"), until: None, ended: false },
    ];
    let session = |current| Session { id: of("session"), created: at, last_used: at, expires: at, current };
    let mine = Account {
        frame,
        csrf,
        name: of("name"),
        role: of("role"),
        handles: true,
        plans: &plans,
        sessions: &[session(true), session(false)],
    };
    let handed = |asker, text, acknowledged| Handover {
        id: of("handover"),
        reason: of("reason"),
        asker,
        text,
        created: at,
        acknowledged,
    };
    let queue = [
        handed(Some(of("asker")), Some(of("handed text")), None),
        handed(None, Some(of("handed text")), Some(at)),
        handed(Some(of("asker")), None, Some(at)),
    ];
    let waits = |asker, arguments, todo, decided| Approval {
        id: of("approval"),
        tool: of("tool"),
        arguments,
        asker,
        state: of("state"),
        todo,
        again: !todo && arguments.is_some(),
        created: at,
        expires: at,
        decided,
    };
    let calls = [
        waits(Some(of("asker")), Some(of("arguments")), true, None),
        waits(None, Some(of("arguments")), false, Some(at)),
        waits(Some(of("asker")), None, false, Some(at)),
    ];
    let to_decide = Approvals { frame, csrf, reader: ApprovalReader::Decider, approvals: &calls };
    let remembered = Memories { frame, csrf, memories: &kept, most: 200, longest: 1_000 };
    let error = Refused {
        frame,
        title: of("refusal"),
        sentence: of("refusal"),
        request: of("request"),
        way: Way::Chat,
    };
    let invited = SignIn { invitation: Some(of("invitation")), ..ask };

    vec![
        ("sign in", sign_in(&ask)),
        ("sign in, insecure", sign_in(&SignIn { frame: plain, ..ask })),
        ("sign in, open", sign_in(&SignIn { open: true, ..ask })),
        ("sign in, invited", sign_in(&invited)),
        ("sign in, malformed", sign_in(&SignIn { problem: Some(SignInProblem::MalformedAddress), ..ask })),
        ("sign in, often", sign_in(&SignIn { problem: Some(SignInProblem::TooOften), ..ask })),
        ("sign in, no mail", sign_in(&SignIn { problem: Some(SignInProblem::MailUnavailable), ..invited })),
        ("link sent", link_sent(&LinkSent { frame, minutes: 15 })),
        ("confirm", confirm(&Confirm { frame, action: of("action"), token: of("token") })),
        ("link refused", link_refused(&LinkRefused { frame })),
        ("choose", choose(&Choose::default())),
        (
            "choose, malformed",
            choose(&Choose { problem: Some(ChooseProblem::Malformed), notice: plain.notice }),
        ),
        ("elsewhere", elsewhere(&Elsewhere { frame, to: of("url") })),
        ("chat, new", chat(&fresh)),
        ("chat", chat(&going)),
        ("history", history(&History { frame, csrf, conversations: &rows, older: Some(of("older")) })),
        ("history, empty", history(&History { frame, csrf, conversations: &[], older: None })),
        ("memories", memories(&remembered)),
        ("memories, none", memories(&Memories { memories: &[], ..remembered })),
        ("handovers", handovers(&Handovers { frame, csrf, handovers: &queue })),
        ("handovers, none", handovers(&Handovers { frame, csrf, handovers: &[] })),
        ("approvals", approvals(&to_decide)),
        ("approvals, none", approvals(&Approvals { approvals: &[], ..to_decide })),
        ("waiting", approvals(&Approvals { reader: ApprovalReader::Asker, ..to_decide })),
        ("account", account(&mine)),
        ("account, no plan", account(&Account { plans: &[], handles: false, ..mine })),
        ("document", document(&read)),
        (
            "document, bare",
            document(&Document { author: None, written: None, url: None, parts: &[], ..read }),
        ),
        ("refused", refused(&error)),
        ("refused, signed out", refused(&Refused { way: Way::SignIn, ..error })),
        ("refused, nowhere", refused(&Refused { way: Way::Nowhere, ..error })),
    ]
}
