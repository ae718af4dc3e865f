//! What leaves: the release guards on a whole answer, its citations, and a model's failure in words for the caller.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_core::{ApprovalId, DocumentId};
use portcullis_guard::refusal::causes;
use portcullis_guard::{Code, Gate, Opened, Refusal, Turn, pipeline};
use portcullis_leak::Class;
use portcullis_model::{AnswerMessage, Choice, Completion, FinishReason, Kind, ModelError};
use portcullis_store::Passage;
use serde::Serialize;

use crate::exit::Exit;
use crate::prompt::numbered;

/// What stands in the place of an answer that was stopped.
pub(crate) const WITHHELD: &str =
    "This answer was withheld, because it held something that is not to be shown.";
/// The code of a turn whose answer was stopped.
pub(crate) const STOPPED: &str = "answer_withheld";

/// Whose system text and content the model is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContextOf {
    /// The community's.
    Community,
    /// The caller's own, as a builder's back end sends it.
    Caller,
}

/// A complete answer.
#[derive(Debug)]
pub struct Whole {
    /// The answer in OpenAI's shape.
    pub completion: Completion,
    /// What it relies on, when the context was ours.
    pub citations: Option<Vec<Citation>>,
    /// That a person answers in the model's place, and why.
    pub handover: Option<Handover>,
    /// The calls that it is about which a person has to approve, in their order: one that was gone on with, one that waits.
    pub approvals: Vec<Approval>,
}

/// How a call stands that a person has to approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// The approval, to be read at `/v1/me/approvals/{approval}`.
    pub id: ApprovalId,
    /// The tool.
    pub tool: String,
    /// `pending` while a person can decide, `done` once it was gone on with, else why it does not wait.
    pub status: &'static str,
}

/// That a question was handed to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Handover {
    /// Why.
    pub reason: &'static str,
    /// Whether the moderators' queue has it.
    pub queued: bool,
}

/// A document that an answer relies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Citation {
    /// The number in square brackets in the text.
    pub number: usize,
    /// The document, to be read at `/v1/documents/{document}`.
    pub document: DocumentId,
    /// Its title.
    pub title: String,
    /// Where people read it.
    pub url: Option<String>,
}

/// A whole answer as it leaves, and whether it was stopped.
pub(crate) struct Released {
    pub(crate) whole: Whole,
    pub(crate) stopped: Option<Class>,
}

/// The release guards on a whole answer. Of one that is stopped nothing leaves.
pub(crate) fn release(
    turn: &Turn<Opened>,
    completion: Completion,
    exit: &mut Exit,
) -> Result<Released, Refusal> {
    let mut completion = exit.whole(completion).map_err(|error| refused(&error))?;
    completion.id = format!("chatcmpl-{}", turn.id());
    completion.model.clone_from(&turn.question().model);
    let stopped = exit.stopped();
    if stopped.is_some() {
        let message = AnswerMessage { content: Some(WITHHELD.to_owned()), ..AnswerMessage::default() };
        completion.choices =
            vec![Choice { index: 0, message, finish_reason: Some(FinishReason::ContentFilter) }];
    }
    let cited = match stopped {
        Some(_) => Vec::new(),
        None => citations(turn.passages(), &exit.cited()),
    };
    let whole =
        Whole { completion, citations: exit.cites().then_some(cited), handover: None, approvals: Vec::new() };
    Ok(Released { whole, stopped })
}

/// Tells the operator what was found in an answer: each class once, and no word of it.
pub(crate) fn report(gate: &Gate, turn: &Turn<Opened>, exit: &Exit) {
    for class in exit.found() {
        let guard = match class {
            Class::Canary => "canary",
            Class::SystemText => "system-echo",
            Class::Secret => "secrets-out",
            Class::Personal => "personal-data",
            Class::Link => "link-fence",
        };
        pipeline::leak_found(gate, turn, guard);
    }
}

/// The text that is kept of an answer.
pub(crate) fn text_of(whole: &Whole) -> String {
    whole.completion.choices.first().and_then(|choice| choice.message.content.clone()).unwrap_or_default()
}

/// The cited documents; all that were given, if the answer marks none. `cited` counts from 0.
pub(crate) fn citations(passages: &[Passage], cited: &BTreeSet<usize>) -> Vec<Citation> {
    let mut listed = 0;
    numbered(passages)
        .into_iter()
        .filter(|(number, _)| {
            // The first passage of a document stands for it.
            let first = *number > listed;
            listed = listed.max(*number);
            first && (cited.is_empty() || cited.contains(&(number - 1)))
        })
        .map(|(number, passage)| Citation {
            number,
            document: passage.document,
            title: passage.title.clone(),
            url: passage.url.clone(),
        })
        .collect()
}

/// A model's failure as the caller is told it. The model's own words stay inside.
pub(crate) fn refused(error: &ModelError) -> Refusal {
    tracing::warn!(error = %causes(error), "the model did not answer");
    let refusal = match error.kind() {
        Kind::TimedOut(_) => Refusal::new(Code::ModelTimedOut, "the model did not answer in time"),
        Kind::Overloaded { retry_after } => {
            Refusal::new(Code::ModelBusy, "the model has too much to do; try again later")
                .retry_after(retry_after.unwrap_or(Duration::from_secs(5)))
        }
        Kind::Rejected(_) => Refusal::new(
            Code::ModelRejected,
            "the model refused the request as it stands; it may be too long",
        ),
        _ => {
            Refusal::new(Code::ModelUnavailable, "the model cannot be reached or did not answer as it should")
        }
    };
    refusal.by("ask")
}
