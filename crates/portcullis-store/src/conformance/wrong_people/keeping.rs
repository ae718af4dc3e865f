//! Wrong conversations and memories.

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{
    AbilitySet, Actor, ApprovalId, ConversationId, Grant, MemoryId, MessageId, Role, Scope,
};

use super::{Flaw, Wrong, grant, owner};
use crate::{Conversation, Conversations, Memories, Memory, NewMessage, Result, Said, StoredMessage};

#[async_trait]
impl Conversations for Wrong {
    async fn begin(&self, own: &Scope, id: ConversationId, title: &str) -> Result<Conversation> {
        self.right.conversations.begin(own, id, title).await
    }

    async fn list(&self, own: &Scope, before: Option<Timestamp>, limit: usize) -> Result<Vec<Conversation>> {
        let mut listed = self.right.conversations.list(own, before, limit).await?;
        if self.is(Flaw::SkippingLists) && before.is_some() && !listed.is_empty() {
            listed.remove(0);
        }
        Ok(listed)
    }

    async fn get(&self, own: &Scope, id: ConversationId) -> Result<Conversation> {
        for scope in self.readers(own).await? {
            if let Ok(found) = self.right.conversations.get(&scope, id).await {
                return Ok(found);
            }
        }
        self.right.conversations.get(own, id).await
    }

    async fn append(&self, own: &Scope, id: ConversationId, messages: Vec<NewMessage>) -> Result<()> {
        let right = &self.right.conversations;
        for message in &messages {
            if self.is(Flaw::PlainMessages) {
                self.copy(own, &message.text).await?;
            }
            if self.is(Flaw::PartialAppend) {
                right.append(own, id, vec![message.clone()]).await?;
            }
        }
        let messages = messages.into_iter().map(|message| self.bent(message)).collect();
        right.append(own, id, messages).await
    }

    async fn messages(&self, own: &Scope, id: ConversationId, limit: usize) -> Result<Vec<StoredMessage>> {
        let mut found = self.right.conversations.messages(own, id, limit).await;
        for scope in self.readers(own).await? {
            if found.is_err() {
                found = self.right.conversations.messages(&scope, id, limit).await;
            }
        }
        let mut found = found?;
        for message in &mut found {
            let Some(new) = self.seen().messages.get(&message.id).cloned() else { continue };
            let all_there = message.sources.len() == new.sources.len();
            match self.flaw {
                Flaw::ForgetfulWithhold => message.said = Said::Text(new.text),
                Flaw::TellingSources => message.sources = new.sources,
                Flaw::GoneIsFine if !all_there => {
                    let operator = self.operator_of_all(own).await?;
                    let mut gone = 0;
                    for source in new.sources.iter().filter(|source| !message.sources.contains(source)) {
                        gone += usize::from(self.right.content.document(&operator, *source).await.is_err());
                    }
                    if message.sources.len() + gone == new.sources.len() {
                        message.said = Said::Text(new.text);
                    }
                }
                _ => {}
            }
        }
        if self.is(Flaw::BackwardMessages) {
            found.reverse();
        }
        Ok(found)
    }

    async fn rename(&self, own: &Scope, id: ConversationId, title: &str) -> Result<()> {
        self.right.conversations.rename(own, id, title).await
    }

    async fn remove(&self, own: &Scope, id: ConversationId) -> Result<Vec<ApprovalId>> {
        if self.is(Flaw::LingeringConversations) {
            return self.right.conversations.get(own, id).await.map(|_| Vec::new());
        }
        self.right.conversations.remove(own, id).await
    }
}

impl Wrong {
    /// The message as this store keeps it.
    fn bent(&self, mut message: NewMessage) -> NewMessage {
        let mut seen = self.seen();
        if self.is(Flaw::DoubleAppend) && seen.messages.contains_key(&message.id) {
            seen.copies += 1;
            let mut bytes = *message.id.as_bytes();
            for (slot, byte) in bytes.iter_mut().zip(seen.copies.to_le_bytes()) {
                *slot ^= byte;
            }
            message.id = MessageId::from_bytes(bytes);
        }
        seen.messages.insert(message.id, message.clone());
        if self.is(Flaw::FirstSourceOnly) {
            message.sources.truncate(1);
        }
        message
    }

    /// An owner's scope with every space of the community.
    async fn operator_of_all(&self, own: &Scope) -> Result<Scope> {
        let spaces = self.right.spaces.list(&owner(own.community())).await?;
        Ok(grant(Grant {
            community: own.community(),
            actor: Actor::Operator,
            role: Role::Owner,
            abilities: AbilitySet::SESSION,
            spaces: spaces.into_iter().map(|space| space.id).collect(),
            tier: own.tier(),
        }))
    }
}

#[async_trait]
impl Memories for Wrong {
    async fn add(&self, own: &Scope, id: MemoryId, text: &str) -> Result<Memory> {
        let added = self.right.memories.add(own, id, text).await?;
        match self.flaw {
            Flaw::PlainMemories => self.copy(own, text).await?,
            Flaw::OverwritingMemories => return self.right.memories.change(own, id, text).await,
            _ => {}
        }
        Ok(added)
    }

    async fn list(&self, own: &Scope) -> Result<Vec<Memory>> {
        self.right.memories.list(own).await
    }

    async fn get(&self, own: &Scope, id: MemoryId) -> Result<Memory> {
        let found = self.right.memories.get(own, id).await;
        if self.is(Flaw::LeakyMemories) && found.is_err() && own.member().is_some() {
            for scope in self.everybody(own).await? {
                if let Ok(found) = self.right.memories.get(&scope, id).await {
                    return Ok(found);
                }
            }
        }
        found
    }

    async fn change(&self, own: &Scope, id: MemoryId, text: &str) -> Result<Memory> {
        self.right.memories.change(own, id, text).await
    }

    async fn remove(&self, own: &Scope, id: MemoryId) -> Result<()> {
        self.right.memories.remove(own, id).await
    }
}
