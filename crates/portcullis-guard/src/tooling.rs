//! Calls of tools that the model asks for: what a turn may call, and the states of one call.
//!
//! A call moves forward only through `pipeline`: it is asked for, ruled on, made, and what came back is judged. Code that
//! wants a tool called has to come through every one of these, since the types of later states cannot be made by hand:
//! ```compile_fail,E0308
//! # use portcullis_guard::{Gate, Opened, Refusal, Turn, pipeline, tooling::{Call, Named}};
//! async fn unruled(gate: &Gate, turn: &Turn<Opened>, call: Call<Named>) {
//!     let _ = pipeline::call(gate, turn, call).await;
//! }
//! ```
//! With the ruling in its place it compiles:
//! ```
//! # use portcullis_guard::{Gate, Opened, Refusal, Turn, pipeline, tooling::{Asked, Kit, Ruled}};
//! async fn ruled(gate: &Gate, turn: &Turn<Opened>, kit: &mut Kit, asked: Asked) -> Result<(), Refusal> {
//!     if let Ruled::Permitted(call) = pipeline::permit(gate, turn, kit, asked).await? {
//!         pipeline::call(gate, turn, *call).await?;
//!     }
//!     Ok(())
//! }
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use portcullis_audit::{ActorRef, CallOutcome, Event, Label, Record};
use portcullis_core::{ApprovalId, CallId, CommunityId, ConversationId, RequestId, Scope, TurnId};
use portcullis_leak::Vault;
use portcullis_tools::{Permit, Spec, Tool, ToolName};
use serde_json::{Map, Value};

use crate::approving::{Approved, Approving, Waiting};
use crate::gate::Gate;
use crate::pipeline::unwritable;
use crate::refusal::Refusal;
use crate::visit::{Opened, Turn};

/// How much one turn may make of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolLimits {
    /// How often the model may answer with calls; after that it has to answer with words.
    pub rounds: u32,
    /// The most calls of all tools together, those that are refused among them.
    pub calls: u32,
    /// How calls wait that a person has to approve.
    pub approving: Approving,
}

impl Default for ToolLimits {
    fn default() -> Self {
        Self { rounds: 4, calls: 8, approving: Approving::default() }
    }
}

/// What one turn may call, and how often it has.
#[derive(Debug)]
pub struct Kit {
    pub(crate) community: String,
    pub(crate) tools: Vec<(Arc<Tool>, Arc<Spec>)>,
    pub(crate) limits: ToolLimits,
    pub(crate) vault: Arc<Vault>,
    pub(crate) mark: String,
    pub(crate) made: BTreeMap<ToolName, u32>,
    pub(crate) asked: u32,
    /// Where the question belongs to.
    pub(crate) conversation: Option<ConversationId>,
    /// What the turn goes on with.
    pub(crate) approved: Option<Approved>,
}

impl Kit {
    /// Says in which conversation the question is asked, and what was approved that the turn goes on with.
    pub fn go_on(&mut self, conversation: Option<ConversationId>, approved: Option<Approved>) {
        self.conversation = conversation;
        self.approved = approved;
    }

    /// What the turn goes on with, if it does.
    pub fn approved(&self) -> Option<&Approved> {
        self.approved.as_ref()
    }

    /// Name and arguments of what the turn goes on with, and what came of it if it was made before.
    pub fn asked_before(&mut self) -> Option<(String, String, Option<Shown>)> {
        let approved = self.approved.as_mut()?;
        let arguments = Value::Object(approved.arguments().clone()).to_string();
        Some((approved.tool().to_owned(), arguments, approved.take_made()))
    }

    /// Whether there is nothing to call.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// What the model is told of: the tools that this community and role may use and that stand as they were approved.
    pub fn tools(&self) -> impl Iterator<Item = (&ToolName, &Spec)> {
        self.tools.iter().map(|(tool, spec)| (tool.name(), &**spec))
    }

    /// How often the model may answer with calls.
    pub const fn rounds(&self) -> u32 {
        self.limits.rounds
    }

    /// How many calls more it may ask for.
    pub const fn left(&self) -> usize {
        self.limits.calls.saturating_sub(self.asked) as usize
    }
}

/// The words that a tool is described with: its own and those within its schema. What it and its arguments are named, and the
/// shape of the schema, are not among them.
pub(crate) fn told(spec: &Spec) -> String {
    fn add(schema: &Value, words: &mut String) {
        match schema {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| match (key.as_str(), value) {
                ("description" | "title" | "$comment", Value::String(text)) => {
                    words.push('\n');
                    words.push_str(text);
                }
                _ => add(value, words),
            }),
            Value::Array(items) => items.iter().for_each(|item| add(item, words)),
            _ => {}
        }
    }
    let mut words = spec.description.clone();
    add(spec.schema.json(), &mut words);
    words
}

/// What the model wrote. `Debug` shows none of it.
pub struct Asked {
    /// The tool's name.
    pub name: String,
    /// The arguments, JSON if the model did well.
    pub arguments: String,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("argument_bytes", &self.arguments.len()).finish_non_exhaustive()
    }
}

/// One call of a tool, in state `S`.
#[derive(Debug)]
pub struct Call<S> {
    pub(crate) id: CallId,
    pub(crate) state: S,
}

/// The model asked for it and nothing was decided yet.
pub struct Named {
    pub(crate) asked: Asked,
    pub(crate) scope: Scope,
    pub(crate) request: RequestId,
    pub(crate) community: String,
    pub(crate) vault: Arc<Vault>,
    pub(crate) mark: String,
    /// How often the turn has called the tool.
    pub(crate) made: BTreeMap<ToolName, u32>,
    /// Known once the allow-list has let it through.
    pub(crate) tool: Option<Arc<Tool>>,
    /// Known once it stands as it was approved.
    pub(crate) spec: Option<Arc<Spec>>,
    /// Known once they fit the schema.
    pub(crate) arguments: Map<String, Value>,
    /// What a person approved, where the turn goes on with that.
    pub(crate) approved: Option<Approved>,
    /// Whether a person has to approve it first.
    pub(crate) waits: bool,
}

/// Every guard on tools has allowed it.
#[derive(Debug)]
pub struct Permitted {
    pub(crate) permit: Permit,
    pub(crate) approval: Option<ApprovalId>,
}

/// It was made, and what came back was judged.
pub struct Judged {
    pub(crate) shown: Shown,
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Named").field("tool", &self.tool).finish_non_exhaustive()
    }
}

impl fmt::Debug for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judged").finish_non_exhaustive()
    }
}

/// What the model may be shown of a call.
pub enum Shown {
    /// What the tool returned: quoted data, and whether there was more of it.
    Result {
        /// The text.
        text: String,
        /// Whether it was cut.
        cut: bool,
    },
    /// That there is nothing to show, in fixed words.
    Note(Cow<'static, str>),
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Result { text, cut } => write!(f, "Result(<{} bytes>, cut: {cut})", text.len()),
            Self::Note(words) => write!(f, "Note({words})"),
        }
    }
}

impl Call<Judged> {
    /// What the model may be shown.
    pub fn into_shown(self) -> Shown {
        self.state.shown
    }
}

impl Call<Permitted> {
    /// The tool.
    pub fn tool(&self) -> &ToolName {
        self.state.permit.tool().name()
    }

    /// The arguments as they were judged.
    pub const fn arguments(&self) -> &Map<String, Value> {
        self.state.permit.arguments()
    }
}

/// What became of a call that the model asked for.
#[derive(Debug)]
pub enum Ruled {
    /// It may be made.
    Permitted(Box<Call<Permitted>>),
    /// It may not. The words are safe to show to the model: nothing of the call stands in them.
    Declined(String),
    /// A person has to approve it first.
    Waits(Waiting),
}

/// The duty to record how a call ended. Dropped before that, as when the client leaves, it records the call as
/// cancelled in the background.
pub(crate) struct Closing<'g> {
    gate: &'g Gate,
    community: CommunityId,
    actor: ActorRef,
    turn: TurnId,
    call: CallId,
    closed: bool,
}

impl<'g> Closing<'g> {
    /// Records that the call is made. Who leaves while that is written leaves it with an end: the duty to record one is there
    /// before the record is.
    pub(crate) async fn open(
        gate: &'g Gate,
        turn: &Turn<Opened>,
        call: CallId,
        tool: Label,
        argument_bytes: u64,
        approval: Option<ApprovalId>,
    ) -> Result<Self, Refusal> {
        let (community, actor) = (turn.scope.community(), turn.scope.actor().into());
        let mut closing = Self { gate, community, actor, turn: turn.id, call, closed: false };
        let event = Event::ToolCalled { turn: turn.id, call, tool, argument_bytes, approval };
        let written = append_whoever_waits(gate, Record { community: Some(community), actor, event }).await;
        // Where nothing was opened there is nothing to close.
        closing.closed = written.is_err();
        written.map(|()| closing)
    }

    /// Records that end.
    pub(crate) async fn close(mut self, outcome: CallOutcome, result_bytes: usize) -> Result<(), Refusal> {
        // A caller who leaves during the write changes nothing: the record is on its way with the true outcome.
        self.closed = true;
        append_whoever_waits(self.gate, self.made(outcome, result_bytes)).await
    }

    fn made(&self, outcome: CallOutcome, result_bytes: usize) -> Record {
        let result_bytes = result_bytes as u64;
        let event = Event::ToolReturned { turn: self.turn, call: self.call, outcome, result_bytes };
        Record { community: Some(self.community), actor: self.actor, event }
    }
}

/// Makes a record durable. It is on its way once this is first polled, also where the journal's queue has no room for it now,
/// and whoever waits for it.
async fn append_whoever_waits(gate: &Gate, record: Record) -> Result<(), Refusal> {
    let written = match gate.journal().append_now(record) {
        Ok(written) => written.await,
        Err(record) => {
            let journal = Arc::clone(gate.journal());
            let later = gate.tasks().spawn(async move { journal.append(*record).await });
            later.await.unwrap_or(Err(portcullis_audit::Error::Closed))
        }
    };
    written.map(|_| ()).map_err(|error| unwritable(&error))
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if !self.closed {
            let record = self.made(CallOutcome::Cancelled, 0);
            let journal = Arc::clone(self.gate.journal());
            self.gate.tasks().spawn(async move { journal.append(record).await.is_ok() });
        }
    }
}
