//! What one member of each community has of their own: a conversation, a memory and a call that waits for a person, made once and
//! used by every run, and a question of theirs in the moderators' queue.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::ToSpan as _;
use portcullis_core::{
    AbilitySet, Actor, ApprovalId, ConversationId, Grant, HandoverId, KeyAbility, MemberId, MemoryId,
    MessageId, Role, Scope, TurnId,
};
use portcullis_store::{Author, NewApproval, NewHandover, NewMessage, Room};
use serde_json::json;

use super::ground::Ground;
use crate::instance::Kept;

/// The ids by which a member's own things are asked for.
pub(super) struct Belongings {
    pub(super) conversation: ConversationId,
    pub(super) memory: MemoryId,
    /// Of a tool that there is not, so that nothing can come of it.
    pub(super) approval: ApprovalId,
    pub(super) member: MemberId,
}

const DAY: Duration = Duration::from_secs(86_400);

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
    let approval = waiting(kept, &scope, &own).await?;
    Ok(Belongings { conversation, memory, approval, member })
}

/// A call that is listed today: decided or not, it stands there.
async fn waiting(kept: &Kept, scope: &Scope, own: &str) -> Result<ApprovalId> {
    let (approvals, now) = (&kept.stores.approvals, kept.clock.now());
    if let Some(entry) = approvals.own(scope, now.checked_sub(DAY)?).await?.first() {
        return Ok(entry.id);
    }
    let id = ApprovalId::new(&*kept.clock);
    let new = NewApproval {
        id,
        tool: "none".to_owned(),
        pin: "none".to_owned(),
        arguments: json!({ "what": format!("Something that {own} wants done for a check.") }).to_string(),
        question: json!({ "text": format!("What {own} asked for a check."), "model": "none" }).to_string(),
        expires: now.checked_add(DAY)?,
        conversation: None,
    };
    let room = Room { open: usize::MAX, of_one: usize::MAX, since: now.checked_sub(DAY * 30)? };
    approvals.request(scope, new, room).await?;
    Ok(id)
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
