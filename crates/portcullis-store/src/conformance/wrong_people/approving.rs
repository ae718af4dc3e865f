//! Wrong stores of calls that wait for a person.

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{Actor, ApprovalId, CommunityId, Scope};

use super::{Flaw, Wrong, acting, owner};
use crate::{
    Approval, ApprovalState, Approvals, Decided, Decision, Ended, Kind, NewApproval, Queued, Result, Room,
    Step,
};

impl Wrong {
    /// Who asked for an entry, as the right store tells an owner.
    async fn as_asker(&self, own: &Scope, id: ApprovalId) -> Result<Scope> {
        let entry = self.right.approvals.get(&owner(own.community()), id).await?;
        Ok(match entry.asker {
            Actor::Member(member) => acting(own, member),
            Actor::Key(_) | Actor::Operator => own.clone(),
        })
    }
}

#[async_trait]
impl Approvals for Wrong {
    async fn request(&self, own: &Scope, mut new: NewApproval, mut room: Room) -> Result<Queued> {
        match self.flaw {
            Flaw::EndlessApprovals => room.open = usize::MAX,
            Flaw::CrowdedApprovals => room.of_one = usize::MAX,
            Flaw::LastingApprovals => room.since = Timestamp::MIN,
            Flaw::PlainApprovals => self.copy(own, &new.arguments).await?,
            Flaw::TimelessApprovals => new.expires = Timestamp::MAX,
            Flaw::LooseApprovals => new.conversation = None,
            // Ended for the right store, it is over there.
            Flaw::FleetingApprovals => {
                let under_way = std::mem::take(&mut self.seen().under_way);
                for (scope, id) in under_way {
                    self.right.approvals.finish(&scope, id, Ended::Failed, "It ended".to_owned()).await?;
                }
            }
            Flaw::DoubleApprovals => {
                let mut bytes = *new.id.as_bytes();
                let mut seen = self.seen();
                seen.copies += 1;
                for (slot, byte) in bytes.iter_mut().zip(seen.copies.to_le_bytes()) {
                    *slot ^= byte;
                }
                new.id = ApprovalId::from_bytes(bytes);
            }
            _ => {}
        }
        self.seen().communities.insert(own.community());
        match self.right.approvals.request(own, new.clone(), room).await {
            Err(error) if self.is(Flaw::OrphanedApprovals) && error.kind() == Kind::NotFound => {
                self.right.approvals.request(own, NewApproval { conversation: None, ..new }, room).await
            }
            queued => queued,
        }
    }

    async fn list(&self, own: &Scope, since: Timestamp) -> Result<Vec<Approval>> {
        let own = self.raised(own, Flaw::OpenApprovals);
        let since = if self.is(Flaw::LastingApprovals) { Timestamp::MIN } else { since };
        let mut listed = self.right.approvals.list(&own, since).await?;
        if self.is(Flaw::WanderingApprovals) {
            let others: Vec<CommunityId> =
                self.seen().communities.iter().copied().filter(|other| *other != own.community()).collect();
            for other in others {
                listed.extend(self.right.approvals.list(&owner(other), since).await?);
            }
        }
        Ok(listed)
    }

    async fn own(&self, own: &Scope, since: Timestamp) -> Result<Vec<Approval>> {
        self.right.approvals.own(own, since).await
    }

    async fn get(&self, own: &Scope, id: ApprovalId) -> Result<Approval> {
        if self.is(Flaw::TellingApprovals) {
            let asker = self.as_asker(own, id).await?;
            return self.right.approvals.get(&asker, id).await;
        }
        self.right.approvals.get(own, id).await
    }

    async fn decide(&self, own: &Scope, id: ApprovalId, decision: Decision) -> Result<Step> {
        let scope = match self.flaw {
            Flaw::OpenApprovals => owner(own.community()),
            // The operator never asked, so that nothing is their own.
            Flaw::SelfApproval if own.role().is_staff() => owner(own.community()),
            _ => own.clone(),
        };
        let step = self.right.approvals.decide(&scope, id, decision).await?;
        Ok(match step {
            Step::NotOpen(mut entry) if self.is(Flaw::LastDecision) => {
                entry.state = match decision {
                    Decision::Approve { .. } => ApprovalState::Approved,
                    Decision::Deny => ApprovalState::Denied,
                };
                entry.decided = Some(Decided { by: own.actor(), at: entry.created });
                Step::Taken(entry)
            }
            step => step,
        })
    }

    async fn begin(&self, own: &Scope, id: ApprovalId) -> Result<Step> {
        let scope = match self.flaw {
            Flaw::AnybodyBegins => self.as_asker(own, id).await?,
            _ => own.clone(),
        };
        let step = match self.right.approvals.begin(&scope, id).await {
            Err(error) if self.is(Flaw::LeaversBegin) && error.kind() == Kind::Forbidden => {
                Step::Taken(self.right.approvals.get(&owner(own.community()), id).await?)
            }
            step => step?,
        };
        self.seen().under_way.push((scope, id));
        Ok(match step {
            Step::NotOpen(entry)
                if self.is(Flaw::BegunAgain)
                    && matches!(entry.state, ApprovalState::Running | ApprovalState::Interrupted) =>
            {
                Step::Taken(entry)
            }
            Step::NotOpen(entry)
                if self.is(Flaw::BegunUnapproved) && entry.state == ApprovalState::Pending =>
            {
                Step::Taken(entry)
            }
            step => step,
        })
    }

    async fn finish(&self, own: &Scope, id: ApprovalId, ended: Ended, result: String) -> Result<Step> {
        let scope = match self.flaw {
            Flaw::AnybodyBegins => self.as_asker(own, id).await?,
            _ => own.clone(),
        };
        self.right.approvals.finish(&scope, id, ended, result).await
    }

    async fn expire(&self, own: &Scope, since: Timestamp) -> Result<Vec<ApprovalId>> {
        let since = if self.is(Flaw::LastingApprovals) { Timestamp::MIN } else { since };
        self.right.approvals.expire(own, since).await
    }
}
