//! What one member of each community has of their own: a conversation and a memory, made once and used by every
//! run, and a question of theirs in the moderators' queue.

use std::sync::Arc;

use anyhow::Result;
use jiff::ToSpan as _;
use portcullis_core::{
    AbilitySet, Actor, ConversationId, Grant, HandoverId, KeyAbility, MemberId, MemoryId, MessageId, Role,
    Scope, TurnId,
};
use portcullis_store::{Author, NewHandover, NewMessage, Room};

use super::ground::Ground;
use crate::instance::Kept;

/// The ids by which a member's own things are asked for.
pub(super) struct Belongings {
    pub(super) conversation: ConversationId,
    pub(super) memory: MemoryId,
    pub(super) member: MemberId,
}

/// Finds or makes them.
pub(super) async fn prepare(kept: &Kept, ground: &Ground, member: MemberId) -> Result<Belongings> {
    let scope = scope(ground, member);
    let own = format!("a member of {}", ground.plot.name);
    let conversations = &kept.stores.conversations;
    // The first one is named by its id. What is said of another shows in lists, where ids alone are no mark.
    let conversation = match conversations.list(&scope, None, 2).await?.last() {
        Some(conversation) => conversation.id,
        None => {
            let id = ConversationId::new(&*kept.clock);
            conversations.begin(&scope, id, &format!("What {own} asked for a check")).await?;
            let turn = TurnId::new(&*kept.clock);
            let said = |author, text| NewMessage {
                id: MessageId::new(&*kept.clock),
                turn,
                author,
                text,
                sources: Vec::new(),
            };
            let messages = vec![
                said(Author::Member, format!("Does this belong to {own}?")),
                said(Author::Assistant, format!("It does, to {own} and to nobody else.")),
            ];
            conversations.append(&scope, id, messages).await?;
            let other = ConversationId::new(&*kept.clock);
            conversations.begin(&scope, other, &format!("What else {own} asked for a check")).await?;
            id
        }
    };
    let memories = &kept.stores.memories;
    let memory = match memories.list(&scope).await?.first() {
        Some(memory) => memory.id,
        None => {
            let id = MemoryId::new(&*kept.clock);
            memories.add(&scope, id, &format!("Something that {own} wants kept for a check.")).await?.id
        }
    };
    Ok(Belongings { conversation, memory, member })
}

/// A question of the member's in the queue of their community, so that its list and its page are told from those of another
/// community. What an earlier run left there is removed.
pub(super) async fn hand_over(kept: &Kept, ground: &Ground, member: MemberId) -> Result<()> {
    let new = NewHandover {
        id: HandoverId::new(&*kept.clock),
        reason: "private-data",
        text: format!("Where does a member of {} live? (Asked by a check.)", ground.plot.name),
    };
    let room = Room { open: 500, of_one: 500, since: kept.clock.now().checked_sub(1.hour())? };
    kept.stores.handovers.queue(&scope(ground, member), new, room).await?;
    Ok(())
}

/// The member's own reach: what is theirs is kept under it.
fn scope(ground: &Ground, member: MemberId) -> Scope {
    #[expect(
        clippy::disallowed_methods,
        reason = "a member of the checks' own community, made by the checks"
    )]
    Scope::grant(Grant {
        community: ground.community.id,
        actor: Actor::Member(member),
        role: Role::Owner,
        abilities: [KeyAbility::Chat, KeyAbility::Personal].into_iter().collect::<AbilitySet>(),
        spaces: Arc::from([]),
        tier: ground.community.tier,
    })
}
