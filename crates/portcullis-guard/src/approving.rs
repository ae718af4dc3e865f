//! Calls of tools that a person has to approve: how they wait, who goes on with them, and what their askers are told.
//!
//! Whether a call waits is ruled by `guards/tools.rs`. It is made later, in a turn of whoever asked for it: under a credential
//! that counts then, past every guard again, and once. The store moves it from step to step; what is here never makes a call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portcullis_audit::{ActorRef, Event, Journal, Label, Record};
use portcullis_core::{ApprovalId, CommunityId, ConversationId, DocumentId, Scope, Tasks};
use portcullis_store::{Approval, ApprovalState, Approvals, Ended, Kind, NewApproval, Queued, Room, Step};
use portcullis_tools::{Pin, Tool};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::gate::Gate;
use crate::handing::Fate;
use crate::pipeline::unwritable;
use crate::refusal::{Code, Refusal, causes};
use crate::security::{Noticed, SecurityEvent};
use crate::tooling::Shown;
use crate::visit::{Opened, Turn};

pub(crate) const NAME: &str = "tool-approval";
/// What is kept and told of a call that was begun and of whose end nothing is known: who believes that it was not made asks for it
/// again, and has it made twice.
pub(crate) const CUT_OFF: &str = "the call was cut off; whether it was made is not known";
/// The longest question that is kept with a call, in bytes; of a longer one the beginning is.
const LONGEST_QUESTION: usize = 16 << 10;

/// How calls wait for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approving {
    /// How long somebody may decide, and after that how long who asked may go on.
    pub wait: Duration,
    /// How long an entry is kept.
    pub keep: Duration,
    /// How many calls of a community may wait, to be decided or to be gone on with.
    pub open: usize,
    /// How many of them may be of one asker.
    pub of_one: usize,
}

impl Default for Approving {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(24 * 3_600),
            keep: Duration::from_secs(30 * 86_400),
            open: 200,
            of_one: 10,
        }
    }
}

/// A call that waits, as far as its asker is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its id.
    pub id: ApprovalId,
    /// The tool.
    pub tool: String,
    /// Whether somebody can decide on it.
    pub fate: Fate,
}

impl Waiting {
    /// What its asker is told. Nothing of the arguments stands in it.
    pub fn words(&self) -> String {
        let tool = &self.tool;
        let fate = match self.fate {
            Fate::Queued => {
                "It waits for the moderators of this community now. Once one of them has approved it, you can go on with it."
            }
            Fate::Enough => {
                "As many calls of yours as may be wait already, so this one was not added. Nothing more will come of it."
            }
            Fate::Full | Fate::Failed => {
                "It could not be put before the moderators just now, so nothing more will come of it."
            }
        };
        format!(
            "For this the assistant would use {tool}, which a person has to approve first. This call was not made. {fate}"
        )
    }
}

/// A call that a person approved, or what came of it, as its asker goes on with it.
pub struct Approved {
    id: ApprovalId,
    tool: String,
    pin: String,
    arguments: Map<String, Value>,
    question: Kept,
    made: Option<Shown>,
}

/// The question that a call belongs to, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    text: String,
    model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conversation: Option<ConversationId>,
    /// What the model had been shown when it asked for the call: whoever may not read all of it any more does not read the call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    documents: Vec<DocumentId>,
}

/// What a call returned, as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeptResult {
    Text { text: String, cut: bool },
    Note(String),
}

impl fmt::Debug for Approved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Approved").field("id", &self.id).field("tool", &self.tool).finish_non_exhaustive()
    }
}

impl Approved {
    /// The approval.
    pub const fn id(&self) -> ApprovalId {
        self.id
    }

    /// The tool.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// What it is called with.
    pub const fn arguments(&self) -> &Map<String, Value> {
        &self.arguments
    }

    /// The question.
    pub fn question(&self) -> &str {
        &self.question.text
    }

    /// The model that was asked.
    pub fn model(&self) -> &str {
        &self.question.model
    }

    /// Where it was asked.
    pub const fn conversation(&self) -> Option<ConversationId> {
        self.question.conversation
    }

    /// The documents that the call may hold something of.
    pub fn documents(&self) -> &[DocumentId] {
        &self.question.documents
    }

    /// What came of the call, if it was made before.
    pub fn take_made(&mut self) -> Option<Shown> {
        self.made.take()
    }

    /// Whether this is the very call: the same tool, described as it was, with the same arguments.
    pub(crate) fn covers(&self, tool: &Tool, arguments: &Map<String, Value>) -> bool {
        let pin = tool.settings().pin.as_ref().map(Pin::to_string);
        self.tool == tool.name().as_str()
            && pin.as_deref() == Some(self.pin.as_str())
            && self.arguments == *arguments
    }
}

impl Gate {
    /// The moment before which nothing that waited counts any more.
    pub fn approvals_since(&self) -> Timestamp {
        let keep = self.parts.tool_limits.approving.keep;
        self.clock().now().checked_sub(keep).unwrap_or(Timestamp::MIN)
    }

    /// Until when what is approved now may be gone on with.
    pub fn approved_until(&self) -> Timestamp {
        let wait = self.parts.tool_limits.approving.wait;
        self.clock().now().checked_add(wait).unwrap_or(Timestamp::MAX)
    }

    /// Marks what was not decided or not gone on with in time, and records it. Whoever reads or moves what waits calls this first.
    ///
    /// # Errors
    /// Store or journal cannot be written.
    pub async fn expire_approvals(&self, scope: &Scope) -> Result<(), Refusal> {
        let (approvals, journal) = (Arc::clone(&self.parts.stores.approvals), Arc::clone(self.journal()));
        let (scope, since) = (scope.clone(), self.approvals_since());
        self.see_through(async move {
            let expired = approvals.expire(&scope, since).await?;
            record_expired(&journal, scope.community(), expired).await
        })
        .await
    }

    /// Takes out of an asker's own entries what was made of documents that they may not read any more. Entries of others stay as
    /// they are: whoever decides sees what would be sent.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn within_reach(
        &self,
        scope: &Scope,
        mut entries: Vec<Approval>,
    ) -> Result<Vec<Approval>, Refusal> {
        let documents = |entry: &Approval| {
            let kept = entry.question.as_deref().and_then(|text| serde_json::from_str::<Kept>(text).ok());
            kept.map(|kept| kept.documents).unwrap_or_default()
        };
        let own = |entry: &Approval| entry.asker == scope.actor();
        let mut wanted: Vec<DocumentId> =
            entries.iter().filter(|entry| own(entry)).flat_map(documents).collect();
        if wanted.is_empty() {
            return Ok(entries);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let readable = self.parts.stores.content.titles(scope, &wanted).await?;
        for entry in entries.iter_mut().filter(|entry| own(entry)) {
            if documents(entry).iter().any(|document| !readable.contains_key(document)) {
                (entry.arguments, entry.question, entry.result) = (None, None, None);
            }
        }
        Ok(entries)
    }

    /// What whoever asks may go on with: their own, approved or made before.
    ///
    /// # Errors
    /// It is not theirs or not there, it does not stand so, or store or journal fail.
    pub async fn approved(&self, scope: &Scope, id: ApprovalId) -> Result<Approved, Refusal> {
        self.expire_approvals(scope).await?;
        let entry = self.parts.stores.approvals.get(scope, id).await?;
        if entry.asker != scope.actor() {
            return Err(Refusal::new(Code::NotFound, "there is no such thing here").by(NAME));
        }
        if entry.created < self.approvals_since() {
            return Err(Refusal::new(Code::NotFound, "there is no such thing here").by(NAME));
        }
        if !matches!(entry.state, ApprovalState::Approved | ApprovalState::Done | ApprovalState::Failed) {
            return Err(not_open(entry.state));
        }
        let Some(entry) = self.within_reach(scope, vec![entry]).await?.pop() else {
            return Err(Refusal::new(Code::Internal, "what was approved cannot be read").by(NAME));
        };
        if entry.arguments.is_none() {
            let words = "this call was made of content that you may not read any more, or cannot be opened";
            return Err(Refusal::new(Code::ApprovalNotOpen, words).by(NAME));
        }
        let unreadable = || Refusal::new(Code::Internal, "what was approved cannot be read").by(NAME);
        let read = |text: Option<String>| text.ok_or_else(unreadable);
        let arguments = serde_json::from_str(&read(entry.arguments)?).map_err(|_| unreadable())?;
        let question = serde_json::from_str(&read(entry.question)?).map_err(|_| unreadable())?;
        let made =
            entry.result.map(|text| serde_json::from_str::<KeptResult>(&text).map_err(|_| unreadable()));
        let made = made.transpose()?.map(|made| match made {
            KeptResult::Text { text, cut } => Shown::Result { text, cut },
            KeptResult::Note(words) => Shown::Note(words.into()),
        });
        Ok(Approved { id, tool: entry.tool, pin: entry.pin, arguments, question, made })
    }
}

/// Records calls that waited and are not made now.
pub(crate) async fn record_expired(
    journal: &Journal,
    community: CommunityId,
    expired: Vec<ApprovalId>,
) -> Result<(), Refusal> {
    for approval in expired {
        let event = Event::ApprovalExpired { approval };
        let record = Record { community: Some(community), actor: ActorRef::Instance, event };
        journal.append(record).await.map_err(|error| unwritable(&error))?;
    }
    Ok(())
}

/// Why nothing can be done about a call that stands so.
pub fn not_open(state: ApprovalState) -> Refusal {
    let words = match state {
        ApprovalState::Pending => "nobody has decided on this call yet",
        ApprovalState::Approved => "this call is approved already",
        ApprovalState::Denied => "this call was denied, so it is not made",
        ApprovalState::Expired => {
            "this call was not decided on or not gone on with in time, so it is not made"
        }
        ApprovalState::Running => "this call is being made",
        ApprovalState::Done | ApprovalState::Failed => "this call was made already; no call is made twice",
        ApprovalState::Interrupted => {
            "this call was begun and how it ended is not known; it is not made again"
        }
    };
    Refusal::new(Code::ApprovalNotOpen, words).by(NAME)
}

/// Puts a call before a person. What comes of it is in the journal.
pub(crate) async fn hold(
    gate: &Gate,
    turn: &Turn<Opened>,
    tool: &Tool,
    arguments: &Map<String, Value>,
    conversation: Option<ConversationId>,
) -> Result<Waiting, Refusal> {
    let approving = gate.parts.tool_limits.approving;
    gate.expire_approvals(&turn.scope).await?;
    let id = ApprovalId::new(gate.clock());
    let asked = &turn.question.text;
    let question = Kept {
        text: asked.get(..asked.floor_char_boundary(LONGEST_QUESTION)).unwrap_or_default().to_owned(),
        model: turn.question.model.clone(),
        conversation,
        documents: turn.documents(),
    };
    let new = NewApproval {
        id,
        tool: tool.name().as_str().to_owned(),
        pin: tool.settings().pin.as_ref().map(Pin::to_string).unwrap_or_default(),
        arguments: Value::Object(arguments.clone()).to_string(),
        question: serde_json::to_string(&question).unwrap_or_default(),
        expires: gate.approved_until(),
        conversation: conversation.filter(|_| turn.scope.member().is_some()),
    };
    let room = Room { open: approving.open, of_one: approving.of_one, since: gate.approvals_since() };
    let (approvals, journal) = (Arc::clone(&gate.parts.stores.approvals), Arc::clone(gate.journal()));
    let (scope, turn_id, label) = (turn.scope.clone(), turn.id, Label::short_name(tool.name().as_str()));
    let holding = gate.see_through(async move {
        let fate = match approvals.request(&scope, new, room).await {
            Ok(Queued::Kept) => Fate::Queued,
            Ok(Queued::Enough) => Fate::Enough,
            Ok(Queued::Full) => Fate::Full,
            // Its conversation was removed meanwhile, and its answer finds no place there either.
            Err(error) if error.kind() == Kind::NotFound => return Err(error.into()),
            Err(error) => {
                tracing::error!(error = %causes(&error), "a call could not be put before a person");
                Fate::Failed
            }
        };
        let event =
            Event::ApprovalRequested { approval: id, turn: turn_id, tool: label, queue: fate.name().into() };
        let record = Record { community: Some(scope.community()), actor: scope.actor().into(), event };
        journal.append(record).await.map_err(|error| unwritable(&error))?;
        Ok(fate)
    });
    let fate = holding.await?;
    let event =
        if fate == Fate::Queued { SecurityEvent::ApprovalRequested } else { SecurityEvent::ApprovalLost };
    gate.note(Noticed::new(event, NAME).by(&turn.scope).in_request(turn.arrival.request));
    Ok(Waiting { id, tool: tool.name().as_str().to_owned(), fate })
}

/// A call that was begun. Dropped before its end is noted, as when its asker leaves, it is noted as failed.
pub(crate) struct Begun {
    approvals: Arc<dyn Approvals>,
    tasks: Tasks,
    scope: Scope,
    id: ApprovalId,
    ended: bool,
}

/// Begins an approved call. Whoever gets this has begun it, and nobody else has or will.
pub(crate) async fn begin(gate: &Gate, scope: &Scope, id: ApprovalId) -> Result<Begun, Refusal> {
    let (approvals, tasks, scope) =
        (Arc::clone(&gate.parts.stores.approvals), gate.tasks().clone(), scope.clone());
    // Whoever leaves while the store writes leaves nothing that is begun and has no end.
    let beginning = gate.see_through(async move {
        match approvals.begin(&scope, id).await? {
            Step::Taken(_) => Ok(Begun { approvals, tasks, scope, id, ended: false }),
            Step::NotOpen(entry) => Err(not_open(entry.state)),
        }
    });
    beginning.await
}

impl Begun {
    /// Notes how it ended and what may be shown of it. A store that fails here leaves it begun, which is safe: it is not made
    /// again, and the answer that was made of it is given.
    pub(crate) async fn finish(mut self, ended: Ended, shown: &Shown) {
        finish(&*self.approvals, &self.scope, self.id, ended, shown).await;
        self.ended = true;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.ended {
            let (approvals, scope, id) = (Arc::clone(&self.approvals), self.scope.clone(), self.id);
            self.tasks.spawn(async move {
                finish(&*approvals, &scope, id, Ended::Failed, &Shown::Note(CUT_OFF.into())).await;
            });
        }
    }
}

async fn finish(approvals: &dyn Approvals, scope: &Scope, id: ApprovalId, ended: Ended, shown: &Shown) {
    let kept = match shown {
        Shown::Result { text, cut } => KeptResult::Text { text: text.clone(), cut: *cut },
        Shown::Note(words) => KeptResult::Note(words.clone().into_owned()),
    };
    let text = serde_json::to_string(&kept).unwrap_or_default();
    if let Err(error) = approvals.finish(scope, id, ended, text).await {
        tracing::error!(error = %causes(&error), "the end of an approved call could not be noted");
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::SystemClock;

    use super::*;

    #[test]
    fn who_waits_is_told_whether_somebody_can_decide() {
        for fate in [Fate::Queued, Fate::Enough, Fate::Full, Fate::Failed] {
            let id = ApprovalId::new(&SystemClock::new());
            let words = Waiting { id, tool: "send_letter".to_owned(), fate }.words();
            assert!(words.contains("send_letter") && words.contains("This call was not made."), "{words}");
            assert_eq!(words.contains("you can go on"), fate == Fate::Queued, "{words}");
        }
    }

    #[test]
    fn every_state_but_those_that_go_on_is_told_in_its_own_words() {
        let mut told: Vec<_> = ApprovalState::ALL.map(|state| not_open(state).detail).to_vec();
        told.sort_unstable();
        told.dedup();
        // Done and failed are told alike.
        assert_eq!(told.len(), ApprovalState::ALL.len() - 1);
    }
}
