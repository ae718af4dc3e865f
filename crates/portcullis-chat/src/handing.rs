//! The answer to a question that was handed to a person: what its asker is told, in the shape of any other answer, so that
//! every client shows it.

use portcullis_core::Action;
use portcullis_core::ConversationId;
use portcullis_guard::{Fate, HandedOver, Refusal, Turn};
use portcullis_model::{AnswerMessage, Choice, Completion, FinishReason};

use crate::frames::Frames;
use crate::keeping::{self, Missing};
use crate::release::{Handover, Whole};
use crate::service::{Answer, Answered, Service};

impl Service {
    /// Tells who asked that a person will read it. In their conversation stands what they are told, and of the question only
    /// that it was handed over: what is in a conversation is shown to the model later.
    pub async fn tell(
        &self,
        turn: Turn<HandedOver>,
        conversation: Option<(ConversationId, Missing)>,
    ) -> Result<Answered, Refusal> {
        let parts = self.parts();
        let scope = turn.scope();
        let ours = !scope.may(Action::OwnRequest);
        if let Some(conversation) = conversation.filter(|_| ours) {
            keeping::keep_handed(&parts.stores, parts.gate.clock(), &turn, conversation).await?;
        }
        let message = AnswerMessage { content: Some(turn.words().to_owned()), ..AnswerMessage::default() };
        let completion = Completion {
            id: format!("chatcmpl-{}", turn.id()),
            created: u64::try_from(parts.gate.clock().now().as_second()).unwrap_or(0),
            model: turn.question().model.clone(),
            choices: vec![Choice { index: 0, message, finish_reason: Some(FinishReason::Stop) }],
            usage: None,
        };
        let handover = Handover { reason: turn.reason(), queued: turn.fate() == Fate::Queued };
        let whole = Whole {
            completion,
            citations: ours.then(Vec::new),
            handover: Some(handover),
            approvals: Vec::new(),
        };
        let answer = if turn.question().streaming {
            Answer::Stream(Frames::of_whole(whole))
        } else {
            Answer::Whole(whole)
        };
        Ok(Answered { answer, sources: Vec::new() })
    }
}
