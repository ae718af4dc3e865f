//! The conversation service.

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Outcome, Usage};
use portcullis_core::{Action, ConversationId, DocumentId, Scope};
use portcullis_guard::{
    Approved, Code, Gate, Opened, Phase, Refusal, Reservation, Screened, Suspicion, Turn, pipeline,
};
use portcullis_model::{
    AnswerMessage, AnswerRole, ChatRequest, Choice, ChunkStream, Completion, FinishReason, Made, Message,
    Model, ModelError,
};
use portcullis_store::conversations::MOST_SOURCES;
use portcullis_store::{Passage, Query, Stores};

use crate::asked::as_judged;
use crate::ending::Ending;
use crate::exit::Exit;
use crate::frames::{Frames, Live};
use crate::keeping::{self, Known, Missing};
use crate::leaving::{Leaving, Pace, Prepared, Release};
use crate::ledger::{Ledger, outcome_of, recorded};
use crate::places::{Place, Places};
use crate::prompt::Marks;
use crate::release::{Approval, ContextOf, Released, STOPPED, Whole, refused, release, report, text_of};
use crate::watch::Watch;
use crate::{extracts, prompt, rounds};

/// What a [`Service`] is made of.
#[derive(Debug)]
pub struct ServiceParts {
    /// The guards.
    pub gate: Arc<Gate>,
    /// Where content is recalled from and history is kept.
    pub stores: Stores,
    /// The model; without one, answers are extracts.
    pub model: Option<Arc<dyn Model>>,
    /// Places at the model.
    pub places: Places,
    /// The service's own settings.
    pub settings: Settings,
}

/// The service's own settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The system text of answers whose context is ours.
    pub system: Option<String>,
    /// The most tokens of one answer.
    pub max_tokens: u32,
    /// The most passages recalled for one question.
    pub passages: usize,
    /// How often it is asked whether the access that a question came under still holds.
    pub watch: Duration,
    /// What may leave.
    pub release: Release,
    /// The longest time from a question to the end of its answer, however slowly it is read.
    pub longest: Duration,
}

/// Answers questions.
#[derive(Debug)]
pub struct Service {
    parts: ServiceParts,
    leaving: Leaving,
}

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// Complete, its closing record durable.
    Whole(Whole),
    /// Still to come, frame by frame.
    Stream(Frames),
}

/// An answer, and what it was made from.
#[derive(Debug)]
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// Every document that the model was shown for it, each once: it may be read as long as all of these may.
    pub sources: Vec<DocumentId>,
}

impl Service {
    /// Puts the parts together.
    pub fn new(parts: ServiceParts) -> Self {
        let Settings { system, release, .. } = &parts.settings;
        let system = system.as_deref().unwrap_or(prompt::SYSTEM);
        let leaving = Leaving::new(release.clone(), system, parts.gate.switches());
        Self { parts, leaving }
    }

    pub(crate) const fn parts(&self) -> &ServiceParts {
        &self.parts
    }

    /// Whether the model answers. Without a model there is nothing to wait for.
    pub async fn ping(&self) -> bool {
        match &self.parts.model {
            Some(model) => model.ping().await.is_ok(),
            None => true,
        }
    }

    /// Whether there is a model, or answers are extracts.
    pub fn has_model(&self) -> bool {
        self.parts.model.is_some()
    }

    /// The places at the model.
    pub fn places(&self) -> &Places {
        &self.parts.places
    }

    /// Searches within the scope.
    pub async fn recall(&self, scope: &Scope, query: &Query) -> Result<Vec<Passage>, Refusal> {
        let _timer = self.parts.gate.time(Phase::Recall);
        #[cfg(feature = "guard-off")]
        let widened = if self.parts.gate.switches().on("recall-scope") {
            scope.clone()
        } else {
            portcullis_guard::guards::holes::every_space(&self.parts.gate, scope).await
        };
        #[cfg(feature = "guard-off")]
        let scope = &widened;
        #[cfg(feature = "guard-off")]
        if !self.parts.gate.switches().on("community-file") {
            let mut found = self.parts.stores.content.search(scope, query).await?;
            for other in portcullis_guard::guards::holes::other_communities(&self.parts.gate, scope).await {
                found.extend(self.parts.stores.content.search(&other, query).await?);
            }
            return Ok(found);
        }
        Ok(self.parts.stores.content.search(scope, query).await?)
    }

    /// Answers one question.
    ///
    /// Whose the context is follows from the credential: one with the `own-request` ability owns its whole request, and
    /// it goes to the model as it is; for every other the system text and the recalled content are ours.
    /// With a conversation, the question follows on what was said in it, and both are kept there.
    ///
    /// `ending` tells from when on the answer should be waited for to its end, also when its client has left.
    pub async fn ask(
        &self,
        turn: Turn<Screened>,
        request: ChatRequest,
        conversation: Option<ConversationId>,
        ending: Ending,
    ) -> Result<Answered, Refusal> {
        self.answer(turn, request, conversation, None, ending).await
    }

    /// Goes on with a question whose call a person approved: the call is made, once, and the model is asked again with what came
    /// of it. Where it was made before, its result is shown again.
    pub async fn go_on(
        &self,
        turn: Turn<Screened>,
        request: ChatRequest,
        approved: Approved,
        ending: Ending,
    ) -> Result<Answered, Refusal> {
        if turn.scope().may(Action::OwnRequest) || self.parts.model.is_none() {
            return Err(Refusal::new(
                Code::ApprovalNotOpen,
                "tools are for questions whose context is the community's, and for a model",
            ));
        }
        let conversation = approved.conversation();
        self.answer(turn, request, conversation, Some(approved), ending).await
    }

    async fn answer(
        &self,
        mut turn: Turn<Screened>,
        mut request: ChatRequest,
        conversation: Option<ConversationId>,
        approved: Option<Approved>,
        ending: Ending,
    ) -> Result<Answered, Refusal> {
        let parts = &self.parts;
        let tells_usage = request.include_usage;
        let asked = parts.gate.clock().monotonic();
        let context =
            if turn.scope().may(Action::OwnRequest) { ContextOf::Caller } else { ContextOf::Community };
        if context == ContextOf::Caller && parts.model.is_none() {
            return Err(Refusal::new(
                Code::ModelUnavailable,
                "no model is configured, so there is nothing to pass on to",
            ));
        }
        let (passages, known, also) = match context {
            ContextOf::Community => {
                let question = &turn.question().text;
                let missing = if approved.is_some() { Missing::StaysAway } else { Missing::Begins };
                let clock = parts.gate.clock();
                // None of these needs what another finds, and each waits for a thread of the store: the longest is first.
                let (mut passages, mut known, address) = tokio::try_join!(
                    self.recall_for(&turn),
                    keeping::read(&parts.stores, turn.scope(), conversation.zip(Some(missing)), question),
                    self.leaving.address(&parts.stores, turn.scope()),
                )?;
                known.address = address;
                // A question that is gone on with was asked before, and its wish was kept then.
                if approved.is_none() {
                    keeping::remember(&parts.stores, clock, turn.scope(), &known, question).await?;
                }
                let mut also = approved.as_ref().map(|call| call.documents().to_vec()).unwrap_or_default();
                passages.truncate(MOST_SOURCES.saturating_sub(also.len()));
                // Without a model nothing is made of what was said before.
                if parts.model.is_some() {
                    known.judge(&parts.gate, &mut turn).await?;
                    let documents = passages.iter().map(|passage| passage.document);
                    let earlier = known.fit(documents.chain(also.iter().copied()));
                    also.extend(earlier);
                }
                (passages, known, also)
            }
            ContextOf::Caller if conversation.is_some() => {
                return Err(Refusal::new(
                    Code::InvalidRequest,
                    "a key with the `own-request` ability keeps its own conversations",
                ));
            }
            ContextOf::Caller => (Vec::new(), Known::default(), Vec::new()),
        };
        let turn = pipeline::ground(&parts.gate, turn, passages).await?.made_of(also);
        let Prepared { mut exit, canary, pace } = match context {
            ContextOf::Community => {
                let (scope, question) = (turn.scope(), turn.question());
                self.leaving.ours(&parts.stores, scope, question, turn.passages(), &known).await?
            }
            ContextOf::Caller => self.leaving.callers(&request),
        };
        let pace = if turn.suspicion() == Suspicion::Some { Pace::Whole } else { pace };
        let (turn, mut ledger) = Ledger::open(&parts.gate, turn).await?;
        let sources = turn.documents();
        let answered = |answer| Answered { answer, sources };
        let watch = || {
            let spent = parts.gate.clock().monotonic().saturating_sub(asked);
            Watch { every: parts.settings.watch, left: parts.settings.longest.saturating_sub(spent) }
        };
        let outcome = match &parts.model {
            None => {
                let created = u64::try_from(parts.gate.clock().now().as_second()).unwrap_or(0);
                Ok(Put::Whole(extract(&turn, &request, created), None, Vec::new()))
            }
            Some(model) => {
                let marks =
                    canary.map(|canary| self.put_in_context(&turn, &mut request, known, canary.word()));
                request.cap_tokens(parts.settings.max_tokens);
                let context = Context { marks, exit: &mut exit, pace, conversation, approved };
                let asking = self.put(&**model, &mut request, &turn, context, &mut ledger);
                tokio::select! {
                    // Who waits for a place, for a model that thinks or for a tool, may lose access meanwhile.
                    biased;
                    refusal = watch().ends(&parts.gate, &turn) => Err(refusal),
                    asked = Box::pin(asking) => asked,
                }
            }
        };
        match outcome {
            Ok(Put::Whole(completion, usage, approvals)) => {
                let released = {
                    let _timer = parts.gate.time(Phase::Release);
                    release(&turn, completion, &mut exit)
                };
                report(&parts.gate, &turn, &exit);
                let Released { mut whole, stopped } = match released {
                    Ok(released) => released,
                    Err(refusal) => {
                        ledger.close(Outcome::Failed { code: refusal.code.name().into() }, usage).await?;
                        return Err(refusal);
                    }
                };
                ending.begin();
                whole.approvals = approvals;
                if let Some(id) = conversation {
                    let kept =
                        keeping::keep(&parts.stores, parts.gate.clock(), &turn, id, text_of(&whole)).await;
                    if let Err(refusal) = kept {
                        ledger.close(Outcome::Failed { code: refusal.code.name().into() }, usage).await?;
                        return Err(refusal);
                    }
                }
                let outcome = match stopped {
                    Some(_) => Outcome::Refused { code: STOPPED.into() },
                    None => Outcome::Answered,
                };
                ledger.close(outcome, usage).await?;
                if turn.question().streaming && !tells_usage {
                    whole.completion.usage = None;
                }
                Ok(answered(if turn.question().streaming {
                    Answer::Stream(Frames::of_whole(whole))
                } else {
                    Answer::Whole(whole)
                }))
            }
            Ok(Put::Stream { chunks, place, asked }) => {
                let live = Live {
                    gate: Arc::clone(&parts.gate),
                    exit,
                    keeping: conversation.map(|id| (id, parts.stores.clone())),
                    turn,
                    ledger,
                    chunks,
                    place,
                    asked,
                    tells_usage,
                    ending,
                    watch: watch(),
                };
                Ok(answered(Answer::Stream(Frames::live(live))))
            }
            Err(refusal) => {
                ledger.close(outcome_of(&refusal), None).await?;
                Err(refusal)
            }
        }
    }

    async fn recall_for(&self, turn: &Turn<Screened>) -> Result<Vec<Passage>, Refusal> {
        let text = turn.question().text.clone();
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        self.recall(turn.scope(), &Query { text, limit: self.parts.settings.passages }).await
    }

    /// Puts the request to the model: once, or in rounds where there are tools for it.
    async fn put(
        &self,
        model: &dyn Model,
        request: &mut ChatRequest,
        turn: &Turn<Opened>,
        context: Context<'_>,
        ledger: &mut Ledger,
    ) -> Result<Put, Refusal> {
        let Context { marks, exit, pace, conversation, approved } = context;
        let goes_on = approved.is_some();
        if let Some(marks) = marks {
            let keep = |told: &[String]| {
                let vault = self.leaving.keeping(exit.vault(), told);
                exit.judge_by(Arc::clone(&vault));
                vault
            };
            let mut kit = pipeline::offer(&self.parts.gate, turn, marks.word(), keep).await?;
            kit.go_on(conversation, approved);
            if !kit.is_empty() {
                rounds::offer(request, &kit);
                // Apart, so that a turn without tools does not carry the room for them.
                return Box::pin(self.in_rounds(model, request, turn, &mut kit, &marks, ledger)).await;
            }
        }
        if goes_on {
            return Err(Refusal::new(Code::ApprovalNotOpen, "the tool of this call is not available now"));
        }
        let reservation = self.reserve(turn, request).await?;
        ledger.hold(reservation);
        self.put_to(model, request, pace, turn.scope(), ledger).await
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.parts.gate
    }

    fn put_in_context(
        &self,
        turn: &Turn<Opened>,
        request: &mut ChatRequest,
        known: Known,
        canary: &str,
    ) -> Marks {
        let words = self.parts.settings.system.as_deref().unwrap_or(prompt::SYSTEM);
        let texts =
            turn.passages().iter().flat_map(|passage| [&passage.title, &passage.heading, &passage.text]);
        let marks = Marks::between(texts.chain(&known.memories).map(String::as_str));
        as_judged(request);
        keeping::recall_into(request, known.earlier);
        let asked = std::mem::take(&mut request.messages);
        request.messages.push(Message::system(marks.system(words, canary)));
        if !known.memories.is_empty() {
            request.messages.push(Message::user(marks.memories(&known.memories)));
        }
        if !turn.passages().is_empty() {
            request.messages.push(Message::user(marks.passages(turn.passages())));
        }
        request.messages.extend(asked);
        marks
    }

    /// Reserves what the answer may cost. Where there is a budget the upstream is asked to tell what it used.
    pub(crate) async fn reserve(
        &self,
        turn: &Turn<Opened>,
        request: &mut ChatRequest,
    ) -> Result<Option<Reservation>, Refusal> {
        let gate = &self.parts.gate;
        if !gate.has_budgets(turn.scope()) {
            return Ok(None);
        }
        request.include_usage = true;
        let answers = request.n.unwrap_or(1).max(1);
        let answer = request.token_limit().unwrap_or(self.parts.settings.max_tokens).saturating_mul(answers);
        Reservation::make(gate, turn.scope(), &request.model, request.to_json().len(), answer).await
    }

    pub(crate) async fn put_to(
        &self,
        model: &dyn Model,
        request: &ChatRequest,
        pace: Pace,
        scope: &Scope,
        ledger: &mut Ledger,
    ) -> Result<Put, Refusal> {
        let gate = &self.parts.gate;
        let place = {
            let _timer = gate.time(Phase::Queue);
            self.parts.places.take(scope).await?
        };
        if let Some(reservation) = ledger.reservation() {
            reservation.begin();
        }
        if request.stream && pace == Pace::Streams {
            let asked = gate.clock().monotonic();
            let chunks = model.stream(request).await.map_err(|error| failed(ledger, &error))?;
            if let Some(reservation) = ledger.reservation().filter(|_| !chunks.is_made()) {
                reservation.comes_in_pieces();
            }
            Ok(Put::Stream { chunks, place, asked })
        } else {
            let _timer = gate.time(Phase::Ask);
            let completion = model.complete(request).await.map_err(|error| failed(ledger, &error))?;
            let usage = completion.usage.as_ref().map(recorded);
            if let Some(reservation) = ledger.reservation() {
                reservation
                    .produced(completion.choices.iter().map(|choice| choice.message.text_bytes()).sum());
            }
            Ok(Put::Whole(completion, usage, Vec::new()))
        }
    }
}

/// What a model that failed has cost, and what its asker is told.
fn failed(ledger: &mut Ledger, error: &ModelError) -> Refusal {
    if let Some(reservation) = ledger.reservation() {
        match error.made() {
            Made::NotAsked => reservation.not_asked(),
            Made::NoAnswer => reservation.produced(0),
            Made::Unknown => {}
        }
    }
    refused(error)
}

/// What an answer is made in.
struct Context<'a> {
    /// The marks of a context that is ours; a caller's own context has none, and no tools of ours.
    marks: Option<Marks>,
    /// What will judge the answer. It learns what the model is told of tools.
    exit: &'a mut Exit,
    pace: Pace,
    conversation: Option<ConversationId>,
    /// What the turn goes on with.
    approved: Option<Approved>,
}

/// What the model answers with.
pub(crate) enum Put {
    /// All of it, and how the calls stand that it is about, where a person has to approve them.
    Whole(Completion, Option<Usage>, Vec<Approval>),
    /// Piece by piece.
    Stream {
        /// The pieces.
        chunks: ChunkStream,
        /// The place that the model's work takes.
        place: Place,
        /// When it was asked.
        asked: Duration,
    },
}

fn extract(turn: &Turn<Opened>, request: &ChatRequest, created: u64) -> Completion {
    Completion {
        id: String::new(),
        created,
        model: request.model.clone(),
        choices: vec![Choice {
            index: 0,
            message: AnswerMessage {
                role: AnswerRole::Assistant,
                content: Some(extracts::answer(turn.passages())),
                reasoning_content: None,
                refusal: None,
                tool_calls: Vec::new(),
            },
            finish_reason: Some(FinishReason::Stop),
        }],
        usage: None,
    }
}
