//! The history of a conversation: what is read of it before a question is asked, and what is kept of the answer.

use std::borrow::Cow;
use std::collections::BTreeSet;

use portcullis_core::{Action, Clock, ConversationId, DocumentId, MemoryId, MessageId, Scope};
use portcullis_guard::{Gate, HandedOver, Opened, Refusal, Screened, Turn, pipeline};
use portcullis_model::{ChatRequest, Message, MessageRole};
use portcullis_store::Stores;
use portcullis_store::conversations::{Author, MOST_SOURCES, NewMessage, Said};
use portcullis_store::memories::{LONGEST_MEMORY, MOST_MEMORIES};

use crate::remember;

/// How many earlier messages a model is shown.
const EARLIER: usize = 20;
/// How much of a question becomes the conversation's title, in characters.
const TITLE: usize = 80;

/// What becomes of a conversation that is asked in and is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It begins.
    Begins,
    /// It was removed, and stays so: nothing is answered in it.
    StaysAway,
}

/// What is known of the member and the conversation before the model is asked.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The member's own address, where what may leave depends on it.
    pub(crate) address: Option<String>,
    pub(crate) memories: Vec<String>,
    pub(crate) earlier: Vec<Earlier>,
}

/// An earlier message of the conversation.
#[derive(Debug)]
pub(crate) struct Earlier {
    pub(crate) message: Message,
    /// What it was made of.
    pub(crate) sources: Vec<DocumentId>,
}

impl Earlier {
    /// What the member said in it: nothing in an answer.
    pub(crate) fn asked(&self) -> Cow<'_, str> {
        if self.message.role == MessageRole::User { self.message.text() } else { Cow::Borrowed("") }
    }
}

impl Known {
    /// Leaves out what of it the member wrote and no model may be shown: memories, and questions that were asked while that was
    /// judged in another way. Answers went through the release guards.
    pub(crate) async fn judge(&mut self, gate: &Gate, turn: &mut Turn<Screened>) -> Result<(), Refusal> {
        pipeline::recollect(gate, turn, &mut self.memories, |memory| memory.as_str().into()).await?;
        pipeline::recollect(gate, turn, &mut self.earlier, Earlier::asked).await
    }

    /// Leaves out messages, the oldest first, whose sources with those of the others and `beside` are more than are kept of one answer.
    /// What the member said has none and stays. Returns the sources of the messages that are left, each once.
    pub(crate) fn fit(&mut self, beside: impl IntoIterator<Item = DocumentId>) -> Vec<DocumentId> {
        let mut all: BTreeSet<DocumentId> = beside.into_iter().collect();
        let mut sources = BTreeSet::new();
        let mut left: Vec<_> = std::mem::take(&mut self.earlier)
            .into_iter()
            .rev()
            .filter(|earlier| {
                let more: Vec<_> = earlier.sources.iter().filter(|source| !all.contains(*source)).collect();
                let fits = all.len() + more.len() <= MOST_SOURCES;
                if fits {
                    all.extend(more);
                    sources.extend(&earlier.sources);
                }
                fits
            })
            .collect();
        left.reverse();
        self.earlier = left;
        sources.into_iter().collect()
    }
}

/// Reads memories and history, at once. All of it is the member's own.
pub(crate) async fn read(
    stores: &Stores,
    scope: &Scope,
    conversation: Option<(ConversationId, Missing)>,
    question: &str,
) -> Result<Known, Refusal> {
    let (memories, earlier) =
        tokio::try_join!(memories(stores, scope), earlier(stores, scope, conversation, question))?;
    Ok(Known { address: None, memories, earlier })
}

async fn memories(stores: &Stores, scope: &Scope) -> Result<Vec<String>, Refusal> {
    if scope.member().is_none() || !scope.may(Action::ReadOwnMemories) {
        return Ok(Vec::new());
    }
    let memories = stores.memories.list(scope).await?;
    Ok(memories.into_iter().map(|memory| memory.text).collect())
}

async fn earlier(
    stores: &Stores,
    scope: &Scope,
    conversation: Option<(ConversationId, Missing)>,
    question: &str,
) -> Result<Vec<Earlier>, Refusal> {
    let Some((id, missing)) = conversation else { return Ok(Vec::new()) };
    if missing == Missing::Begins {
        stores.conversations.begin(scope, id, &title(question)).await?;
    }
    let messages = stores.conversations.messages(scope, id, EARLIER).await?;
    let said = messages.into_iter().filter_map(|stored| {
        let message = match (stored.said, stored.author) {
            (Said::Text(text), Author::Member) => Message::user(text),
            (Said::Text(text), Author::Assistant) => Message::assistant(text),
            (Said::Withheld, _) => return None,
        };
        Some(Earlier { message, sources: stored.sources })
    });
    Ok(said.collect())
}

/// Keeps what the question asks to be remembered, for the questions after it.
pub(crate) async fn remember(
    stores: &Stores,
    clock: &dyn Clock,
    scope: &Scope,
    known: &Known,
    question: &str,
) -> Result<(), Refusal> {
    let may = scope.member().is_some()
        && scope.may(Action::ReadOwnMemories)
        && scope.may(Action::WriteOwnMemories)
        && known.memories.len() < MOST_MEMORIES;
    let wish = remember::asked_for(question).filter(|fact| may && fact.chars().count() <= LONGEST_MEMORY);
    if let Some(fact) = wish {
        stores.memories.add(scope, MemoryId::new(clock), fact).await?;
    }
    Ok(())
}

/// Keeps a question and its answer, which is made of the turn's documents. They are durable when this returns.
pub(crate) async fn keep(
    stores: &Stores,
    clock: &dyn Clock,
    turn: &Turn<Opened>,
    conversation: ConversationId,
    answer: String,
) -> Result<(), Refusal> {
    let message = |author, text, sources| NewMessage {
        id: MessageId::new(clock),
        turn: turn.id(),
        author,
        text,
        sources,
    };
    let messages = vec![
        message(Author::Member, turn.question().text.clone(), Vec::new()),
        message(Author::Assistant, answer, turn.documents()),
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
    (conversation, missing): (ConversationId, Missing),
) -> Result<(), Refusal> {
    let scope = turn.scope();
    if missing == Missing::Begins {
        stores.conversations.begin(scope, conversation, "Handed to the moderators").await?;
    }
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
pub(crate) fn recall_into(request: &mut ChatRequest, earlier: Vec<Earlier>) {
    let earlier = earlier.into_iter().map(|earlier| earlier.message).collect();
    let asked = std::mem::replace(&mut request.messages, earlier);
    request.messages.extend(asked);
}

#[cfg(test)]
mod tests {
    use portcullis_core::DocumentId;
    use portcullis_model::Message;
    use portcullis_store::conversations::MOST_SOURCES;

    use super::{Earlier, Known, title};

    fn documents(range: std::ops::Range<usize>) -> Vec<DocumentId> {
        range.map(|number| DocumentId::from_bytes((number as u128).to_be_bytes())).collect()
    }

    #[test]
    fn an_answer_is_made_of_no_more_sources_than_are_kept_of_one() {
        let said = |range| Earlier { message: Message::assistant(String::new()), sources: documents(range) };
        let mut known = Known {
            earlier: vec![said(0..20), said(100..300), said(290..310), said(0..0)],
            ..Known::default()
        };
        let sources = known.fit(documents(300..340));
        assert_eq!(known.earlier.len(), 3, "the oldest has no room");
        assert_eq!(sources, documents(100..310));
        let mut known = Known { earlier: vec![said(0..0), said(0..1), said(1..2)], ..Known::default() };
        assert_eq!(known.fit(documents(2..MOST_SOURCES + 1)), documents(1..2));
        assert_eq!(known.earlier.len(), 2, "what has no sources stays");
    }

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!(title("How do\nI start?"), "How do I start?");
        assert_eq!(title(" \n "), "Conversation");
        assert!(title(&"word ".repeat(100)).chars().count() <= 82);
    }
}
