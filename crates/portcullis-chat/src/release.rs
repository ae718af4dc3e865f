//! What leaves: the release guards on a whole answer, its citations, and a model's failure in words for the caller.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_core::DocumentId;
use portcullis_guard::guards::citation_fence::{self, CitationFence};
use portcullis_guard::refusal::causes;
use portcullis_guard::{Code, Opened, Refusal, Switches, Turn};
use portcullis_model::{Completion, Kind, ModelError};
use portcullis_store::Passage;
use serde::Serialize;

use crate::prompt::numbered;

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

/// The release guards on a whole answer.
pub(crate) fn release(
    turn: &Turn<Opened>,
    mut completion: Completion,
    context: ContextOf,
    switches: &Switches,
) -> Whole {
    completion.id = format!("chatcmpl-{}", turn.id());
    completion.model.clone_from(&turn.question().model);
    let citations = match context {
        ContextOf::Caller => None,
        ContextOf::Community => {
            let mut cited = BTreeSet::new();
            for choice in &mut completion.choices {
                // No tools were offered and no thinking was asked for: what comes all the same is not passed on.
                choice.message.tool_calls.clear();
                choice.message.reasoning_content = None;
                let Some(content) = &mut choice.message.content else { continue };
                if let Some(mut fence) = fence_for(turn, context, switches) {
                    let mut out = fence.push(content);
                    out.push_str(&fence.finish());
                    *content = out;
                    cited.extend(fence.cited());
                }
            }
            Some(citations(turn.passages(), &cited))
        }
    };
    Whole { completion, citations }
}

pub(crate) fn fence_for(
    turn: &Turn<Opened>,
    context: ContextOf,
    switches: &Switches,
) -> Option<CitationFence> {
    let ours = context == ContextOf::Community;
    ours.then(|| {
        let last = numbered(turn.passages()).into_iter().map(|(number, _)| number).max().unwrap_or(0);
        CitationFence::new(if switches.on(citation_fence::NAME) { last } else { usize::MAX })
    })
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
