//! Stores that are wrong on purpose about people: sign-in, sessions, subjects, conversations, memories, handovers, approvals. As those in
//! [`wrong`](super::wrong), each wraps right stores and must fail the case that was written against it.

mod approving;
mod handing;
mod keeping;
mod sign_in;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use portcullis_core::{
    AbilitySet, Actor, ApprovalId, CommunityId, Grant, MemberId, MessageId, Role, Scope, Tier, TokenHash,
};

use super::world::document;
use crate::{Kind, NewMessage, NewSignIn, Result, SessionIdentity, Stores, Strangers};

/// How a store is wrong about people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A link works again and again.
    ReusableLinks,
    /// A link is looked up first and used up later.
    RacingLinks,
    /// A link works in any browser.
    AnyBrowser,
    /// A link is used up by any browser.
    BurningLinks,
    /// A link still works at the moment it ends.
    LateLinks,
    /// Links of any community work in each.
    WanderingLinks,
    /// A link that was asked for before a suspension works after it.
    OutlivingLinks,
    /// A link goes to the address as it was typed.
    TypedAddresses,
    /// Letters outside ASCII are looked up without regard to case.
    FoldedAddresses,
    /// Whoever asks may join.
    OpenDoor,
    /// An invitation lets any number in.
    UncountedInvitations,
    /// An invitation for one address lets anybody in.
    LooseInvitations,
    /// A withdrawal of an invitation is acknowledged and forgotten.
    LastingInvitations,
    /// Whoever may invite may invite staff.
    RaisingInvitations,
    /// Whoever may withdraw invitations withdraws those for staff.
    LevellingInvitations,
    /// Who made an invitation is not remembered.
    NamelessInvitations,
    /// Invitations of every community are listed in each.
    WanderingInvitations,
    /// Sessions of any community are accepted in each.
    WanderingSessions,
    /// A session lasts for ever.
    EndlessSessions,
    /// A session that is not used goes on.
    TirelessSessions,
    /// A session ends that long after it began, though it is used.
    UnusedSessions,
    /// The end of a session is acknowledged and forgotten.
    ForgetfulEnd,
    /// What a session once opened stays open, also for a suspended member.
    StaleSessions,
    /// A restored member's old sessions work again.
    ResurrectedSessions,
    /// That a session has ended is forgotten.
    ForgottenLapses,
    /// A token that was never given out is one whose session has ended.
    MadeUpLapses,
    /// What has ended in any community has ended in each.
    WanderingLapses,
    /// Whoever knows a session's id ends it.
    EndsAnybodys,
    /// Anyone ends all sessions of anyone.
    EndsEverybodys,
    /// A subject is the same member whoever issued it.
    LooseSubjects,
    /// A subject goes to the member it was linked to last.
    MovingSubjects,
    /// A member is made for every call.
    DoubleProvision,
    /// Whoever may link members may link staff.
    RaisingLinks,
    /// Conversations are read by whoever knows the id.
    LeakyConversations,
    /// Staff read everybody's conversations.
    CuriousStaff,
    /// A repeated message is stored again.
    DoubleAppend,
    /// Messages are added one by one.
    PartialAppend,
    /// Messages come newest first.
    BackwardMessages,
    /// A list that goes on leaves one out.
    SkippingLists,
    /// A removed conversation comes back with its id.
    LingeringConversations,
    /// A text that could be read once can always be read.
    ForgetfulWithhold,
    /// Only the first source counts.
    FirstSourceOnly,
    /// A removed source no longer counts.
    GoneIsFine,
    /// Sources are named whether they may be read or not.
    TellingSources,
    /// Memories are read by whoever knows the id.
    LeakyMemories,
    /// A memory added twice is changed.
    OverwritingMemories,
    /// A second copy of each memory is kept where it is found by search.
    PlainMemories,
    /// A second copy of each message is kept where it is found by search.
    PlainMessages,
    /// The queue is read by whoever asks.
    OpenHandovers,
    /// Entries of every community are listed in each.
    WanderingHandovers,
    /// Whoever takes note last stands there.
    ForgetfulHandovers,
    /// The queue has no end.
    EndlessHandovers,
    /// One asker fills the queue.
    CrowdedHandovers,
    /// What is too old stays.
    LastingHandovers,
    /// What is too old to be listed is taken note of.
    LateHandovers,
    /// A question that is queued twice stands there twice.
    DoubleHandovers,
    /// A second copy of each question is kept where it is found by search.
    PlainHandovers,
    /// Calls that wait are read and decided by whoever asks.
    OpenApprovals,
    /// Calls of every community are listed in each.
    WanderingApprovals,
    /// Whoever may decide reads what is for the asker alone.
    TellingApprovals,
    /// Staff decide on their own calls.
    SelfApproval,
    /// Whoever decides last is told that it counts.
    LastDecision,
    /// A call is begun again.
    BegunAgain,
    /// A call is begun that nobody decided on.
    BegunUnapproved,
    /// Whoever knows the id of a call begins and ends it.
    AnybodyBegins,
    /// Who has left begins what they asked for all the same.
    LeaversBegin,
    /// A call waits for ever.
    TimelessApprovals,
    /// What waits has no end.
    EndlessApprovals,
    /// One asker fills the room.
    CrowdedApprovals,
    /// What was asked for too long ago stays.
    LastingApprovals,
    /// A call under way goes as those that are over.
    FleetingApprovals,
    /// A call stays when its conversation goes.
    LooseApprovals,
    /// A call waits though its conversation is gone.
    OrphanedApprovals,
    /// A call that is asked for twice waits twice.
    DoubleApprovals,
    /// A second copy of the arguments is kept where it is found by search.
    PlainApprovals,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 75] = [
        Self::ReusableLinks,
        Self::RacingLinks,
        Self::AnyBrowser,
        Self::BurningLinks,
        Self::LateLinks,
        Self::WanderingLinks,
        Self::OutlivingLinks,
        Self::TypedAddresses,
        Self::FoldedAddresses,
        Self::OpenDoor,
        Self::UncountedInvitations,
        Self::LooseInvitations,
        Self::LastingInvitations,
        Self::RaisingInvitations,
        Self::LevellingInvitations,
        Self::NamelessInvitations,
        Self::WanderingInvitations,
        Self::WanderingSessions,
        Self::EndlessSessions,
        Self::TirelessSessions,
        Self::UnusedSessions,
        Self::ForgetfulEnd,
        Self::StaleSessions,
        Self::ResurrectedSessions,
        Self::ForgottenLapses,
        Self::MadeUpLapses,
        Self::WanderingLapses,
        Self::EndsAnybodys,
        Self::EndsEverybodys,
        Self::LooseSubjects,
        Self::MovingSubjects,
        Self::DoubleProvision,
        Self::RaisingLinks,
        Self::LeakyConversations,
        Self::CuriousStaff,
        Self::DoubleAppend,
        Self::PartialAppend,
        Self::BackwardMessages,
        Self::SkippingLists,
        Self::LingeringConversations,
        Self::ForgetfulWithhold,
        Self::FirstSourceOnly,
        Self::GoneIsFine,
        Self::TellingSources,
        Self::LeakyMemories,
        Self::OverwritingMemories,
        Self::PlainMemories,
        Self::PlainMessages,
        Self::OpenHandovers,
        Self::WanderingHandovers,
        Self::ForgetfulHandovers,
        Self::EndlessHandovers,
        Self::CrowdedHandovers,
        Self::LastingHandovers,
        Self::LateHandovers,
        Self::DoubleHandovers,
        Self::PlainHandovers,
        Self::OpenApprovals,
        Self::WanderingApprovals,
        Self::TellingApprovals,
        Self::SelfApproval,
        Self::LastDecision,
        Self::BegunAgain,
        Self::BegunUnapproved,
        Self::AnybodyBegins,
        Self::LeaversBegin,
        Self::TimelessApprovals,
        Self::EndlessApprovals,
        Self::CrowdedApprovals,
        Self::LastingApprovals,
        Self::FleetingApprovals,
        Self::LooseApprovals,
        Self::OrphanedApprovals,
        Self::DoubleApprovals,
        Self::PlainApprovals,
    ];

    /// The same stores with this flaw.
    pub fn into_stores(self, right: Stores) -> Stores {
        let wrong = Arc::new(Wrong { flaw: self, right: right.clone(), seen: Mutex::default() });
        Stores {
            identity: Arc::clone(&wrong) as _,
            members: Arc::clone(&wrong) as _,
            sessions: Arc::clone(&wrong) as _,
            conversations: Arc::clone(&wrong) as _,
            memories: Arc::clone(&wrong) as _,
            handovers: Arc::clone(&wrong) as _,
            approvals: wrong,
            ..right
        }
    }
}

#[derive(Debug)]
struct Wrong {
    flaw: Flaw,
    right: Stores,
    seen: Mutex<Seen>,
}

/// What a wrong store remembers and should not use.
#[derive(Debug, Default)]
struct Seen {
    links: HashMap<TokenHash, (NewSignIn, Strangers, Option<TokenHash>)>,
    burnt: HashSet<TokenHash>,
    sessions: HashMap<TokenHash, SessionIdentity>,
    begun: HashMap<TokenHash, Timestamp>,
    messages: HashMap<MessageId, NewMessage>,
    communities: HashSet<CommunityId>,
    copies: u64,
    under_way: Vec<(Scope, ApprovalId)>,
}

impl Wrong {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An owner's scope where the flaw is, else the caller's.
    fn raised(&self, own: &Scope, flaw: Flaw) -> Scope {
        if self.is(flaw) { owner(own.community()) } else { own.clone() }
    }

    /// The scopes of all members of the scope's community, the scope's own first.
    async fn everybody(&self, own: &Scope) -> Result<Vec<Scope>> {
        let members = self.right.members.list(&owner(own.community())).await?;
        let others = members.iter().map(|member| acting(own, member.id));
        Ok(std::iter::once(own.clone()).chain(others).collect())
    }

    /// Whose things this store reads for a scope.
    async fn readers(&self, own: &Scope) -> Result<Vec<Scope>> {
        let staff = self.is(Flaw::CuriousStaff) && own.role().is_staff();
        if own.member().is_some() && (staff || self.is(Flaw::LeakyConversations)) {
            return self.everybody(own).await;
        }
        Ok(vec![own.clone()])
    }

    /// Keeps a readable copy of a text.
    async fn copy(&self, own: &Scope, text: &str) -> Result<()> {
        let key = {
            let mut seen = self.seen();
            seen.copies += 1;
            format!("copy {}", seen.copies)
        };
        let operator = owner(own.community());
        let spaces = self.right.spaces.list(&operator).await?;
        let space = spaces.first().ok_or(crate::Error::new(Kind::Invalid, "wrong.copy"))?.id;
        self.right.content.put(&operator, vec![document(space, &key, "A copy", &[text])]).await.map(drop)
    }
}

fn owner(community: CommunityId) -> Scope {
    grant(Grant {
        community,
        actor: Actor::Operator,
        role: Role::Owner,
        abilities: AbilitySet::SESSION,
        spaces: [].into(),
        tier: Tier::Standard,
    })
}

fn acting(own: &Scope, member: MemberId) -> Scope {
    grant(Grant {
        community: own.community(),
        actor: Actor::Member(member),
        role: Role::Owner,
        abilities: AbilitySet::SESSION,
        spaces: own.spaces().into(),
        tier: own.tier(),
    })
}

#[expect(clippy::disallowed_methods, reason = "a wrong store grants itself what nobody gave it")]
fn grant(grant: Grant) -> Scope {
    Scope::grant(grant)
}
