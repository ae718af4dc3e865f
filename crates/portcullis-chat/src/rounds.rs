//! The rounds of a turn that has tools: the model asks for calls, each is ruled on and made, and the model is asked again
//! with what came of them.
//!
//! The model writes the calls and is not trusted with any of it. What goes back to it of its own call is written anew, and
//! what a tool returned goes to it as quoted data, between the marks of the request. The number of rounds and of calls is
//! bounded; after the last the model has to answer with words.

use portcullis_audit::Usage;
use portcullis_guard::tooling::{Asked, Kit, Ruled, Shown};
use portcullis_guard::{Code, Fate, Opened, Refusal, Turn, Waiting, pipeline};
use portcullis_model::{
    AnswerMessage, ChatRequest, Choice, Completion, FinishReason, FunctionCall, FunctionSpec, Json, Message,
    MessageRole, Model, Tool, ToolCall, ToolChoice,
};

use crate::leaving::Pace;
use crate::ledger::Ledger;
use crate::prompt::Marks;
use crate::release::Approval;
use crate::service::{Put, Service};

/// The longest arguments that go back to the model as it wrote them.
const LONGEST_ARGUMENTS: usize = 32 << 10;
/// What a call is named that goes back to the model, where its own name is that of no tool.
const UNKNOWN: &str = "unknown";
/// The answer of a model that asks for calls to the end.
const NO_ANSWER: &str =
    "There is no answer: the assistant asked for more calls of tools than one question may have.";

/// Tells the model of the tools.
pub(crate) fn offer(request: &mut ChatRequest, kit: &Kit) {
    request.tools = kit
        .tools()
        .map(|(name, spec)| Tool {
            function: FunctionSpec {
                name: name.as_str().to_owned(),
                description: Some(spec.description.clone()).filter(|text| !text.is_empty()),
                parameters: Some(Json::from(spec.schema.json().clone())),
                strict: None,
            },
        })
        .collect();
}

impl Service {
    /// Asks the model until it answers with words, or has to.
    pub(crate) async fn in_rounds(
        &self,
        model: &dyn Model,
        request: &mut ChatRequest,
        turn: &Turn<Opened>,
        kit: &mut Kit,
        marks: &Marks,
        ledger: &mut Ledger,
    ) -> Result<Put, Refusal> {
        let mut approvals = Vec::new();
        if let Some(approved) = kit.approved() {
            let (id, tool) = (approved.id(), approved.tool().to_owned());
            self.make_approved(turn, kit, marks, request).await?;
            approvals.push(Approval { id, tool, status: "done" });
        }
        let mut round = 0;
        loop {
            let last = round >= kit.rounds() || kit.left() == 0;
            if last {
                request.tool_choice = Some(ToolChoice::None);
            }
            let reservation = self.reserve(turn, request).await?;
            ledger.hold(reservation);
            let Put::Whole(completion, usage, _) =
                self.put_to(model, request, Pace::Whole, turn.scope(), ledger).await?
            else {
                return Err(Refusal::new(Code::Internal, "an answer that is judged whole came in pieces"));
            };
            let (mut completion, calls) = taken_apart(completion);
            if last || calls.is_empty() {
                self.give_up_the_rest(turn, calls.len()).await?;
                end_in_words(&mut completion, calls.len());
                return Ok(Put::Whole(completion, usage, approvals));
            }
            ledger.settle_round(usage);
            let answer = Completion {
                id: completion.id.clone(),
                created: completion.created,
                model: completion.model.clone(),
                choices: Vec::new(),
                usage: None,
            };
            if let Some(waiting) = self.make(turn, kit, marks, request, completion, calls, round).await? {
                // The model is not asked again: what its asker is told of this is no matter of its words.
                let completion = told(answer, &waiting, &mut approvals);
                return Ok(Put::Whole(completion, None, approvals));
            }
            round += 1;
        }
    }

    /// Goes on with a call that a person approved: it is ruled on and made, once, or what came of it before is taken. The model is
    /// shown it as if it had just asked for it.
    async fn make_approved(
        &self,
        turn: &Turn<Opened>,
        kit: &mut Kit,
        marks: &Marks,
        request: &mut ChatRequest,
    ) -> Result<(), Refusal> {
        const ID: &str = "call_approved";
        let gate = self.gate();
        let Some((name, arguments, made)) = kit.asked_before() else { return Ok(()) };
        let shown = match made {
            Some(shown) => pipeline::again(gate, turn, kit, shown).await?,
            None => {
                let asked = Asked { name: name.clone(), arguments: arguments.clone() };
                match pipeline::permit(gate, turn, kit, asked).await? {
                    Ruled::Permitted(call) => pipeline::call(gate, turn, *call).await?.into_shown(),
                    Ruled::Declined(words) => {
                        let words = format!("the call that was approved cannot be made now: {words}");
                        return Err(Refusal::new(Code::ApprovalNotOpen, words).by("tool-approval"));
                    }
                    Ruled::Waits(_) => {
                        return Err(Refusal::new(Code::Internal, "an approved call was held again"));
                    }
                }
            }
        };
        let mut said = Message::new(MessageRole::Assistant, "");
        said.content = None;
        said.tool_calls.push(written_anew(ID, &name, &arguments));
        let mut answer = Message::new(MessageRole::Tool, quoted(marks, shown));
        answer.tool_call_id = Some(ID.to_owned());
        request.messages.extend([said, answer]);
        Ok(())
    }

    /// Rules on the calls of one round and makes those that may be made, one after the other, in their order. The first that waits
    /// for a person ends it: those after it are given up.
    #[expect(clippy::too_many_arguments, reason = "all of one round")]
    async fn make(
        &self,
        turn: &Turn<Opened>,
        kit: &mut Kit,
        marks: &Marks,
        request: &mut ChatRequest,
        completion: Completion,
        calls: Vec<ToolCall>,
        round: u32,
    ) -> Result<Option<Waiting>, Refusal> {
        let gate = self.gate();
        let (asked, left) = (calls.len(), kit.left());
        let mut said = Message::new(MessageRole::Assistant, "");
        said.content =
            completion.choices.into_iter().next().and_then(|choice| choice.message.content).map(Into::into);
        let mut answers = Vec::new();
        for (place, call) in calls.into_iter().take(left).enumerate() {
            // Ids are ours: those of the model refer to nothing.
            let id = format!("call_{round}_{place}");
            let FunctionCall { name, arguments } = call.function;
            said.tool_calls.push(written_anew(&id, &name, &arguments));
            let words = match pipeline::permit(gate, turn, kit, Asked { name, arguments }).await? {
                Ruled::Permitted(call) => {
                    quoted(marks, pipeline::call(gate, turn, *call).await?.into_shown())
                }
                Ruled::Declined(words) => words,
                Ruled::Waits(waiting) => {
                    self.give_up_the_rest(turn, asked.saturating_sub(place + 1)).await?;
                    return Ok(Some(waiting));
                }
            };
            let mut answer = Message::new(MessageRole::Tool, words);
            answer.tool_call_id = Some(id);
            answers.push(answer);
        }
        request.messages.push(said);
        request.messages.extend(answers);
        self.give_up_the_rest(turn, asked.saturating_sub(left)).await?;
        Ok(None)
    }

    async fn give_up_the_rest(&self, turn: &Turn<Opened>, calls: usize) -> Result<(), Refusal> {
        pipeline::too_many_calls(self.gate(), turn, calls).await
    }
}

/// The answer without its calls, and the calls: those of the one choice that was asked for.
fn taken_apart(mut completion: Completion) -> (Completion, Vec<ToolCall>) {
    completion.choices.retain(|choice| choice.index == 0);
    completion.choices.truncate(1);
    let calls = completion.choices.first_mut().map(|choice| std::mem::take(&mut choice.message.tool_calls));
    (completion, calls.unwrap_or_default())
}

/// What a tool returned, as the model is shown it.
fn quoted(marks: &Marks, shown: Shown) -> String {
    match shown {
        // A result that holds the word of the marks could close them.
        Shown::Result { text, .. } if text.contains(marks.word()) => "the result was withheld".to_owned(),
        Shown::Result { text, cut } => marks.tool_result(&text, cut),
        Shown::Note(words) => words.into_owned(),
    }
}

/// The answer to whoever has a call waiting. It joins those that the answer is about: the one that was gone on with before.
fn told(answer: Completion, waiting: &Waiting, approvals: &mut Vec<Approval>) -> Completion {
    let before = approvals.iter().map(|Approval { tool, .. }| {
        format!("The call of {tool} that was approved was gone on with, and is not made a second time. ")
    });
    let words = before.chain([waiting.words()]).collect();
    let status = if waiting.fate == Fate::Queued { "pending" } else { waiting.fate.name() };
    approvals.push(Approval { id: waiting.id, tool: waiting.tool.clone(), status });
    let message = AnswerMessage { content: Some(words), ..AnswerMessage::default() };
    let choices = vec![Choice { index: 0, message, finish_reason: Some(FinishReason::Stop) }];
    Completion { choices, ..answer }
}

/// Makes an answer of words of the last one, whatever the model wanted.
fn end_in_words(completion: &mut Completion, calls: usize) {
    for choice in &mut completion.choices {
        if choice.finish_reason == Some(FinishReason::ToolCalls) {
            choice.finish_reason = Some(FinishReason::Stop);
        }
        let empty = choice.message.content.as_deref().is_none_or(|text| text.trim().is_empty());
        if empty && calls > 0 {
            choice.message.content = Some(NO_ANSWER.to_owned());
        }
    }
}

/// A call as it goes back to the model: some upstreams refuse a history with arguments that are no JSON.
fn written_anew(id: &str, name: &str, arguments: &str) -> ToolCall {
    let plain = (1..=48).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let read = (arguments.len() <= LONGEST_ARGUMENTS)
        .then(|| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(arguments).ok())
        .flatten();
    ToolCall {
        id: id.to_owned(),
        function: FunctionCall {
            name: if plain { name.to_owned() } else { UNKNOWN.to_owned() },
            arguments: serde_json::Value::Object(read.unwrap_or_default()).to_string(),
        },
    }
}

/// The tokens of several rounds together.
pub(crate) const fn added(one: Usage, other: Usage) -> Usage {
    Usage {
        prompt_tokens: one.prompt_tokens.saturating_add(other.prompt_tokens),
        completion_tokens: one.completion_tokens.saturating_add(other.completion_tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::written_anew;

    #[test]
    fn a_call_goes_back_to_the_model_as_plain_json_under_a_plain_name() {
        for (name, arguments, wanted) in [
            ("tide", "{\"a\":1,\"a\":2}", ("tide", "{\"a\":2}")),
            ("tide", "not json", ("tide", "{}")),
            ("tide", "[1]", ("tide", "{}")),
            ("a b\nc", "{}", ("unknown", "{}")),
            ("", "", ("unknown", "{}")),
        ] {
            let call = written_anew("call_0_0", name, arguments);
            assert_eq!((call.function.name.as_str(), call.function.arguments.as_str()), wanted);
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(40_000));
        assert_eq!(written_anew("call_0_0", &"x".repeat(60), &long).function.arguments, "{}");
    }
}
