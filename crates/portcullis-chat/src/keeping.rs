//! The history of a conversation: what is read of it before a question is asked, and what is kept of the answer.

use portcullis_core::{Action, Clock, ConversationId, DocumentId, MemoryId, MessageId, Scope};
use portcullis_guard::{HandedOver, Opened, Refusal, Turn};
use portcullis_model::{ChatRequest, Message};
use portcullis_store::Stores;
use portcullis_store::conversations::{Author, NewMessage, Said};
use portcullis_store::memories::{LONGEST_MEMORY, MOST_MEMORIES};

use crate::remember;

/// How many earlier messages a model is shown.
const EARLIER: usize = 20;
/// How much of a question becomes the conversation's title, in characters.
const TITLE: usize = 80;

/// What is known of the member and the conversation before the model is asked.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) memories: Vec<String>,
    pub(crate) earlier: Vec<Message>,
}

/// Reads memories and history, and keeps what the member asks to be remembered. All of it is the member's own.
pub(crate) async fn read(
    stores: &Stores,
    clock: &dyn Clock,
    scope: &Scope,
    conversation: Option<ConversationId>,
    question: &str,
) -> Result<Known, Refusal> {
    let mut known = Known::default();
    if scope.member().is_some() && scope.may(Action::ReadOwnMemories) {
        let memories = stores.memories.list(scope).await?;
        let wish = remember::asked_for(question).filter(|fact| fact.chars().count() <= LONGEST_MEMORY);
        if let Some(fact) =
            wish.filter(|_| scope.may(Action::WriteOwnMemories) && memories.len() < MOST_MEMORIES)
        {
            stores.memories.add(scope, MemoryId::new(clock), fact).await?;
        }
        known.memories = memories.into_iter().map(|memory| memory.text).collect();
    }
    if let Some(id) = conversation {
        stores.conversations.begin(scope, id, &title(question)).await?;
        let messages = stores.conversations.messages(scope, id, EARLIER).await?;
        known.earlier = messages
            .into_iter()
            .filter_map(|message| match (message.said, message.author) {
                (Said::Text(text), Author::Member) => Some(Message::user(text)),
                (Said::Text(text), Author::Assistant) => Some(Message::assistant(text)),
                (Said::Withheld, _) => None,
            })
            .collect();
    }
    Ok(known)
}

/// Keeps a question and its answer, which is made of the turn's passages and of `also`. They are durable when this returns.
pub(crate) async fn keep(
    stores: &Stores,
    clock: &dyn Clock,
    turn: &Turn<Opened>,
    conversation: ConversationId,
    answer: String,
    also: &[DocumentId],
) -> Result<(), Refusal> {
    let message = |author, text, sources| NewMessage {
        id: MessageId::new(clock),
        turn: turn.id(),
        author,
        text,
        sources,
    };
    // In the order of their numbers; the store keeps each once.
    let sources =
        turn.passages().iter().map(|passage| passage.document).chain(also.iter().copied()).collect();
    let messages = vec![
        message(Author::Member, turn.question().text.clone(), Vec::new()),
        message(Author::Assistant, answer, sources),
    ];
    Ok(stores.conversations.append(turn.scope(), conversation, messages).await?)
}

/// What stands in a conversation in the place of a question that was handed to a person.
const HANDED: &str = "(A message that was handed to the moderators.)";

/// Keeps that a question was handed to a person, and what its asker was told.
pub(crate) async fn keep_handed(
    stores: &Stores,
    clock: &dyn Clock,
    turn: &Turn<HandedOver>,
    conversation: ConversationId,
) -> Result<(), Refusal> {
    let scope = turn.scope();
    stores.conversations.begin(scope, conversation, "Handed to the moderators").await?;
    let message = |author, text: &str| NewMessage {
        id: MessageId::new(clock),
        turn: turn.id(),
        author,
        text: text.to_owned(),
        sources: Vec::new(),
    };
    let messages = vec![message(Author::Member, HANDED), message(Author::Assistant, turn.words())];
    Ok(stores.conversations.append(scope, conversation, messages).await?)
}

/// The first line of the question, cut between words.
fn title(question: &str) -> String {
    let line = question.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TITLE) {
        None if line.is_empty() => "Conversation".to_owned(),
        None => line,
        Some((end, _)) => {
            let head = line.get(..end).unwrap_or(&line);
            format!("{} …", head.rsplit_once(' ').map_or(head, |(head, _)| head))
        }
    }
}

/// Puts earlier messages before the question.
pub(crate) fn recall_into(request: &mut ChatRequest, earlier: Vec<Message>) {
    let asked = std::mem::replace(&mut request.messages, earlier);
    request.messages.extend(asked);
}

#[cfg(test)]
mod tests {
    use super::title;

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!(title("How do\nI start?"), "How do I start?");
        assert_eq!(title(" \n "), "Conversation");
        assert!(title(&"word ".repeat(100)).chars().count() <= 82);
    }
}
