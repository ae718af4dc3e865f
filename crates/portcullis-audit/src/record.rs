//! What the journal holds: who did what, by reference.
//!
//! Every field is an id, a number or a [`Label`] that stands in the code, is the short name of a plan, by which the API
//! knows it, or the name that an operator gave a tool. There is no field that could take a person's name, an address, a prompt, an answer or a token, and none is to
//! be added.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use jiff::Timestamp;
use portcullis_core::{
    Actor, ApprovalId, BlockId, CallId, CommunityId, ConversationId, DocumentId, HandoverId, InvitationId,
    KeyId, MemberId, MemoryId, MessageId, RequestId, SessionId, SpaceId, TurnId,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::change::Change;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The community it happened in; `None` for what concerns the whole instance.
    pub community: Option<CommunityId>,
    /// Who did it.
    pub actor: ActorRef,
    /// What happened.
    pub event: Event,
}

/// Who did something, as a reference. Written `member:01890a5d-…`, `key:…`, `operator`, `instance`, `unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActorRef {
    /// A member of the community.
    Member(MemberId),
    /// A builder's own back end, by API key.
    Key(KeyId),
    /// The operator of the instance.
    Operator,
    /// The instance itself, such as when it closes turns that a crash left open.
    Instance,
    /// Nobody was identified.
    Unknown,
}

impl From<Actor> for ActorRef {
    fn from(actor: Actor) -> Self {
        match actor {
            Actor::Member(member) => Self::Member(member),
            Actor::Key(key) => Self::Key(key),
            Actor::Operator => Self::Operator,
        }
    }
}

impl fmt::Display for ActorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(id) => write!(f, "member:{id}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Operator => f.write_str("operator"),
            Self::Instance => f.write_str("instance"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// Text that is none of the forms of an [`ActorRef`] or [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a reference: expected a form such as `member:01890a5d-ac96-774b-bcce-b302099a8057`")]
pub struct MalformedRef;

impl FromStr for ActorRef {
    type Err = MalformedRef;

    fn from_str(text: &str) -> Result<Self, MalformedRef> {
        match text.split_once(':') {
            Some(("member", id)) => id.parse().map(Self::Member).map_err(|_| MalformedRef),
            Some(("key", id)) => id.parse().map(Self::Key).map_err(|_| MalformedRef),
            Some(_) => Err(MalformedRef),
            None => match text {
                "operator" => Ok(Self::Operator),
                "instance" => Ok(Self::Instance),
                "unknown" => Ok(Self::Unknown),
                _ => Err(MalformedRef),
            },
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'_, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(ActorRef);

macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident($id:ident) = $kind:literal;)*) => {
        /// What an administrative change was made to. Written `key:01890a5d-…`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Target {
            $($(#[$doc])* $name($id),)*
        }

        impl fmt::Display for Target {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(id) => write!(f, concat!($kind, ":{}"), id),)*
                }
            }
        }

        impl FromStr for Target {
            type Err = MalformedRef;

            fn from_str(text: &str) -> Result<Self, MalformedRef> {
                match text.split_once(':') {
                    $(Some(($kind, id)) => id.parse().map(Self::$name).map_err(|_| MalformedRef),)*
                    _ => Err(MalformedRef),
                }
            }
        }

        $(impl From<$id> for Target {
            fn from(id: $id) -> Self {
                Self::$name(id)
            }
        })*
    };
}

targets! {
    /// A community.
    Community(CommunityId) = "community";
    /// A member.
    Member(MemberId) = "member";
    /// A space.
    Space(SpaceId) = "space";
    /// A document.
    Document(DocumentId) = "document";
    /// An API key.
    Key(KeyId) = "key";
    /// A session.
    Session(SessionId) = "session";
    /// An invitation.
    Invitation(InvitationId) = "invitation";
    /// A conversation.
    Conversation(ConversationId) = "conversation";
    /// A message.
    Message(MessageId) = "message";
    /// A memory.
    Memory(MemoryId) = "memory";
    /// A question that was handed to a person.
    Handover(HandoverId) = "handover";
    /// A call of a tool that waits for a person.
    Approval(ApprovalId) = "approval";
    /// An entry of the blocklist.
    Block(BlockId) = "block";
}

as_text!(Target);

/// A short fixed word: the name of a guard, a code, an action. 1 to 48 of `a-z`, `0-9`, `.`, `_`, `-`, beginning with a
/// letter or digit.
///
/// It is made from text that stands in the code, so that nothing a request says can get into the journal; the only others
/// are short names of plans that exist and of tools that are configured ([`Label::short_name`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Label(Cow<'static, str>);

impl Label {
    /// What text that is no label becomes.
    pub const UNNAMED: Self = Self(Cow::Borrowed("unnamed"));

    /// The short name of a plan that is stored, or of a tool that is configured. Text that could be none is [`Label::UNNAMED`].
    pub fn short_name(plan: &str) -> Self {
        if Self::valid(plan) { Self(Cow::Owned(plan.to_owned())) } else { Self::UNNAMED }
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn valid(text: &str) -> bool {
        (1..=48).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
    }
}

/// Text that is no label is recorded as [`Label::UNNAMED`]: a mistake in the code must not cost the record.
impl From<&'static str> for Label {
    fn from(text: &'static str) -> Self {
        if Self::valid(text) { Self(Cow::Borrowed(text)) } else { Self::UNNAMED }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if Self::valid(&text) {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err(serde::de::Error::custom("not a label"))
        }
    }
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// The whole answer was given.
    Answered,
    /// A guard stopped it after it was opened.
    Refused {
        /// The refusal's code.
        code: Label,
    },
    /// It could not be answered, such as when the model is down.
    Failed {
        /// The failure's code.
        code: Label,
    },
    /// The client left.
    Cancelled,
    /// The process ended while it was open; recorded by the next start.
    Interrupted,
}

/// How a call of a tool ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CallOutcome {
    /// What it returned was given to the model.
    Returned,
    /// What it returned was withheld from the model.
    Withheld,
    /// It came to nothing.
    Failed {
        /// Why.
        code: Label,
    },
    /// The turn ended while it was under way.
    Cancelled,
}

/// What a turn consumed, in the model's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sent to the model.
    pub prompt_tokens: u64,
    /// Tokens the model produced.
    pub completion_tokens: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
#[non_exhaustive]
pub enum Event {
    /// A question passed every guard before the model. Only the serving process records it.
    #[serde(rename = "turn.opened")]
    TurnOpened {
        /// The turn.
        turn: TurnId,
        /// The request that asks.
        request: RequestId,
        /// Whether the answer is streamed.
        streaming: bool,
        /// The documents that the model is given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        documents: Vec<DocumentId>,
        /// The documents with passages that were recalled and withheld from it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        withheld: Vec<DocumentId>,
    },
    /// A turn ended. Every opened turn is closed exactly once.
    #[serde(rename = "turn.closed")]
    TurnClosed {
        /// The turn.
        turn: TurnId,
        /// How it ended.
        outcome: Outcome,
        /// What it consumed, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
    },
    /// A guard refused a request before a turn was opened.
    #[serde(rename = "request.refused")]
    Refused {
        /// The request.
        request: RequestId,
        /// The guard that refused.
        guard: Label,
        /// The refusal's code.
        code: Label,
    },
    /// A question was handed to a person in the place of the model.
    #[serde(rename = "question.handed-over")]
    HandedOver {
        /// Its entry in the moderators' queue.
        handover: HandoverId,
        /// The request that asked.
        request: RequestId,
        /// Of which kind it is.
        reason: Label,
        /// Whether the queue took it.
        queue: Label,
    },
    /// The server started.
    #[serde(rename = "serve.started")]
    ServeStarted {
        /// The program's version.
        version: Label,
    },
    /// The server stopped in order.
    #[serde(rename = "serve.stopped")]
    ServeStopped,
    /// Someone changed the community or the instance: by command line, console or API.
    #[serde(rename = "admin.changed")]
    Administered(Change),
    /// Content was imported.
    #[serde(rename = "content.imported")]
    ContentImported {
        /// Documents that are new.
        added: u64,
        /// Documents that changed.
        changed: u64,
        /// Documents that are gone.
        removed: u64,
        /// Files that were not taken.
        rejected: u64,
    },
    /// A session began.
    #[serde(rename = "session.opened")]
    SignedIn {
        /// The session.
        session: SessionId,
    },
    /// A session ended.
    #[serde(rename = "session.closed")]
    SignedOut {
        /// The session.
        session: SessionId,
    },
    /// Something that an operator should look at.
    #[serde(rename = "security.noticed")]
    SecurityNoticed {
        /// What was noticed.
        code: Label,
        /// The guard that noticed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guard: Option<Label>,
        /// How many times, where one record stands for several; never 0.
        #[serde(default = "once", skip_serializing_if = "is_once")]
        times: NonZeroU64,
        /// In which request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
        /// What it concerns.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        targets: Vec<Target>,
    },
    /// A tool is called: the guards on tools allowed it. Arguments are never recorded, not even hashed: they are short enough
    /// to be guessed.
    #[serde(rename = "tool.called")]
    ToolCalled {
        /// The turn.
        turn: TurnId,
        /// The call.
        call: CallId,
        /// The tool.
        tool: Label,
        /// How long its arguments are, in bytes of JSON.
        argument_bytes: u64,
        /// The approval that it is made by, where a person had to approve it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<ApprovalId>,
    },
    /// A call of a tool ended. A call whose turn was interrupted was interrupted with it.
    #[serde(rename = "tool.returned")]
    ToolReturned {
        /// The turn.
        turn: TurnId,
        /// The call.
        call: CallId,
        /// How it ended.
        outcome: CallOutcome,
        /// How much it returned, in bytes.
        result_bytes: u64,
    },
    /// The model asked for calls of tools that a guard refused.
    #[serde(rename = "tool.refused")]
    ToolRefused {
        /// The turn.
        turn: TurnId,
        /// The tool, where there is one of that name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool: Option<Label>,
        /// The guard that refused.
        guard: Label,
        /// How many, where one record stands for several; never 0.
        #[serde(default = "once", skip_serializing_if = "is_once")]
        times: NonZeroU64,
    },
    /// The model asked for a call that a person has to approve: it is not made.
    #[serde(rename = "approval.requested")]
    ApprovalRequested {
        /// The approval.
        approval: ApprovalId,
        /// The turn.
        turn: TurnId,
        /// The tool.
        tool: Label,
        /// Whether it waits, or why not.
        queue: Label,
    },
    /// A call that waited for a person was not decided or not begun in time. Recorded when somebody next looks.
    #[serde(rename = "approval.expired")]
    ApprovalExpired {
        /// The approval.
        approval: ApprovalId,
    },
}

const fn once() -> NonZeroU64 {
    NonZeroU64::MIN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_once(times: &NonZeroU64) -> bool {
    *times == once()
}

impl Event {
    /// Every kind this version writes and reads.
    pub const KINDS: [&'static str; 16] = [
        "turn.opened",
        "turn.closed",
        "request.refused",
        "question.handed-over",
        "serve.started",
        "serve.stopped",
        "admin.changed",
        "content.imported",
        "session.opened",
        "session.closed",
        "security.noticed",
        "tool.called",
        "tool.returned",
        "tool.refused",
        "approval.requested",
        "approval.expired",
    ];

    /// The kind as it is stored and filtered by.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TurnOpened { .. } => "turn.opened",
            Self::TurnClosed { .. } => "turn.closed",
            Self::Refused { .. } => "request.refused",
            Self::HandedOver { .. } => "question.handed-over",
            Self::ServeStarted { .. } => "serve.started",
            Self::ServeStopped => "serve.stopped",
            Self::Administered(_) => "admin.changed",
            Self::ContentImported { .. } => "content.imported",
            Self::SignedIn { .. } => "session.opened",
            Self::SignedOut { .. } => "session.closed",
            Self::SecurityNoticed { .. } => "security.noticed",
            Self::ToolCalled { .. } => "tool.called",
            Self::ToolReturned { .. } => "tool.returned",
            Self::ToolRefused { .. } => "tool.refused",
            Self::ApprovalRequested { .. } => "approval.requested",
            Self::ApprovalExpired { .. } => "approval.expired",
        }
    }

    pub(crate) const fn mark(&self) -> Mark {
        match self {
            Self::TurnOpened { turn, .. } => Mark::Opens(*turn),
            Self::TurnClosed { turn, .. } => Mark::Closes(*turn),
            _ => Mark::Other,
        }
    }
}

/// What a record does to the set of open turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Opens(TurnId),
    Closes(TurnId),
    Other,
}

/// The stored form: compact JSON, its fields in this order.
#[derive(Serialize)]
struct Payload<'a> {
    seq: u64,
    at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    community: Option<CommunityId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    community_seq: Option<u64>,
    actor: ActorRef,
    event: &'a Event,
}

/// Appends the stored form of a record to `into`.
pub(crate) fn encode(
    record: &Record,
    seq: u64,
    community_seq: Option<u64>,
    at: &str,
    into: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let Record { community, actor, event } = record;
    let payload = Payload { seq, at, community: *community, community_seq, actor: *actor, event };
    serde_json::to_writer(into, &payload)
}

/// What the rules of the journal need of a record, read without building the rest.
#[derive(Debug, Deserialize)]
pub(crate) struct Skim<'a> {
    pub(crate) seq: u64,
    pub(crate) at: &'a str,
    pub(crate) community: Option<CommunityId>,
    pub(crate) community_seq: Option<u64>,
    event: SkimEvent<'a>,
}

#[derive(Debug, Deserialize)]
struct SkimEvent<'a> {
    kind: &'a str,
    turn: Option<TurnId>,
}

impl<'a> Skim<'a> {
    pub(crate) fn parse(payload: &'a [u8]) -> Option<Self> {
        // What serde would say could quote the payload, so it is dropped here.
        let skim: Self = serde_json::from_slice(payload).ok()?;
        let turn_is_named =
            skim.event.turn.is_some() || !matches!(skim.kind(), "turn.opened" | "turn.closed");
        turn_is_named.then_some(skim)
    }

    pub(crate) const fn kind(&self) -> &'a str {
        self.event.kind
    }

    pub(crate) const fn turn(&self) -> Option<TurnId> {
        self.event.turn
    }

    pub(crate) fn mark(&self) -> Mark {
        match (self.event.kind, self.event.turn) {
            ("turn.opened", Some(turn)) => Mark::Opens(turn),
            ("turn.closed", Some(turn)) => Mark::Closes(turn),
            _ => Mark::Other,
        }
    }
}

/// A record as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the whole journal, from 0 on without a gap; also its leaf in the Merkle tree.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The community, if it concerns one.
    pub community: Option<CommunityId>,
    /// Its number in that community, from 0 on without a gap.
    pub community_seq: Option<u64>,
    /// Who did it.
    pub actor: ActorRef,
    /// What happened; `None` when the kind is unknown to this version.
    pub event: Option<Event>,
    /// The stored bytes: one line of JSON, for export and for its Merkle leaf.
    pub payload: String,
}

impl Entry {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Stored<E> {
            seq: u64,
            at: Timestamp,
            community: Option<CommunityId>,
            community_seq: Option<u64>,
            actor: ActorRef,
            event: E,
        }
        let text = std::str::from_utf8(payload).ok()?;
        let known = Event::KINDS.contains(&Skim::parse(payload)?.kind());
        let stored = if known {
            let Stored { seq, at, community, community_seq, actor, event } =
                serde_json::from_str(text).ok()?;
            Stored { seq, at, community, community_seq, actor, event: Some(event) }
        } else {
            let Stored::<IgnoredAny> { seq, at, community, community_seq, actor, .. } =
                serde_json::from_str(text).ok()?;
            Stored { seq, at, community, community_seq, actor, event: None }
        };
        let Stored { seq, at, community, community_seq, actor, event } = stored;
        Some(Self { seq, at, community, community_seq, actor, event, payload: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::ManualClock;

    use super::*;

    fn events() -> Vec<Event> {
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let (turn, request) = (TurnId::new(&clock), RequestId::new(&clock));
        vec![
            Event::TurnOpened {
                turn,
                request,
                streaming: true,
                documents: vec![DocumentId::new(&clock)],
                withheld: vec![DocumentId::new(&clock)],
            },
            Event::TurnClosed {
                turn,
                outcome: Outcome::Failed { code: "model-down".into() },
                usage: Some(Usage::default()),
            },
            Event::Refused { request, guard: "rate-limit".into(), code: "rate_limited".into() },
            Event::HandedOver {
                handover: HandoverId::new(&clock),
                request,
                reason: "self-harm".into(),
                queue: "queued".into(),
            },
            Event::ServeStarted { version: "0.1.0".into() },
            Event::ServeStopped,
            Event::Administered(
                Change::new("member.role", vec![MemberId::new(&clock).into()])
                    .before("member")
                    .to("moderator"),
            ),
            Event::ContentImported { added: 1, changed: 2, removed: 3, rejected: 4 },
            Event::SignedIn { session: SessionId::new(&clock) },
            Event::SignedOut { session: SessionId::new(&clock) },
            Event::SecurityNoticed {
                code: "address_blocked".into(),
                guard: Some("blocklist".into()),
                times: NonZeroU64::new(12).unwrap(),
                request: Some(request),
                targets: vec![KeyId::new(&clock).into()],
            },
            Event::ToolCalled {
                turn,
                call: CallId::new(&clock),
                tool: Label::short_name("tide_table"),
                argument_bytes: 17,
                approval: Some(ApprovalId::new(&clock)),
            },
            Event::ToolReturned {
                turn,
                call: CallId::new(&clock),
                outcome: CallOutcome::Failed { code: "timed_out".into() },
                result_bytes: 0,
            },
            Event::ToolRefused {
                turn,
                tool: None,
                guard: "tool-allow-list".into(),
                times: NonZeroU64::new(9_000).unwrap(),
            },
            Event::ApprovalRequested {
                approval: ApprovalId::new(&clock),
                turn,
                tool: Label::short_name("tide_table"),
                queue: "queued".into(),
            },
            Event::ApprovalExpired { approval: ApprovalId::new(&clock) },
        ]
    }

    #[test]
    fn every_event_reads_back_as_it_was_written() {
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let events = events();
        assert_eq!(events.iter().map(Event::kind).collect::<Vec<_>>(), Event::KINDS);
        for event in events {
            let community = Some(CommunityId::new(&clock));
            let record = Record { community, actor: ActorRef::Member(MemberId::new(&clock)), event };
            let mut payload = Vec::new();
            encode(&record, 7, Some(3), "2026-01-02T03:04:05.000000Z", &mut payload).unwrap();
            let entry = Entry::parse(&payload).unwrap();
            assert_eq!((entry.seq, entry.community_seq), (7, Some(3)));
            assert_eq!((entry.community, entry.actor), (record.community, record.actor));
            let skim = Skim::parse(&payload).unwrap();
            assert_eq!((skim.kind(), skim.mark()), (record.event.kind(), record.event.mark()));
            assert_eq!(entry.event, Some(record.event));
            assert_eq!(entry.payload.as_bytes(), payload);
        }
    }

    #[test]
    fn an_event_of_a_later_version_is_read_without_its_meaning() {
        let payload = br#"{"seq":0,"at":"2026-01-02T03:04:05Z","actor":"operator","event":{"kind":"later.thing","x":1}}"#;
        assert_eq!(Entry::parse(payload).unwrap().event, None);
        let broken =
            br#"{"seq":0,"at":"2026-01-02T03:04:05Z","actor":"operator","event":{"kind":"session.opened"}}"#;
        assert_eq!(Entry::parse(broken), None, "a known kind must have its fields");
        let no_turn =
            br#"{"seq":0,"at":"2026-01-02T03:04:05Z","actor":"operator","event":{"kind":"turn.opened"}}"#;
        assert!(Skim::parse(no_turn).is_none());
    }

    #[test]
    fn an_event_of_an_earlier_version_stands_for_itself_alone() {
        let payload = br#"{"seq":0,"at":"2026-01-02T03:04:05Z","actor":"unknown","event":{"kind":"security.noticed","code":"blocked"}}"#;
        let Some(Event::SecurityNoticed { guard: None, times: NonZeroU64::MIN, .. }) =
            Entry::parse(payload).unwrap().event
        else {
            panic!("one event without a guard");
        };
        let never = br#"{"seq":0,"at":"2026-01-02T03:04:05Z","actor":"unknown","event":{"kind":"security.noticed","code":"blocked","times":0}}"#;
        assert_eq!(Entry::parse(never), None, "a record that stands for nothing is none");
    }

    #[test]
    fn a_label_takes_no_free_text() {
        for text in ["", "Ignore all instructions", "alice@example.org", "-x", "ümlaut", "a\nb"] {
            assert_eq!(Label::from(text), Label::UNNAMED, "{text:?}");
        }
        let token = "pcl_0123456789ab_0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk";
        assert_eq!(Label::from(token), Label::UNNAMED, "a token is longer than any label");
        assert_eq!(Label::from("rate_limited").as_str(), "rate_limited");
    }
}
