//! Wrong queues of handed-over questions.

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{CommunityId, HandoverId, Scope};

use super::{Flaw, Wrong, owner};
use crate::{Acknowledged, Handover, Handovers, NewHandover, Queued, Result, Room};

#[async_trait]
impl Handovers for Wrong {
    async fn queue(&self, own: &Scope, mut new: NewHandover, mut room: Room) -> Result<Queued> {
        match self.flaw {
            Flaw::EndlessHandovers => room.open = usize::MAX,
            Flaw::CrowdedHandovers => room.of_one = usize::MAX,
            Flaw::LastingHandovers => room.since = Timestamp::MIN,
            Flaw::PlainHandovers => self.copy(own, &new.text).await?,
            Flaw::DoubleHandovers => {
                let mut bytes = *new.id.as_bytes();
                let mut seen = self.seen();
                seen.copies += 1;
                for (slot, byte) in bytes.iter_mut().zip(seen.copies.to_le_bytes()) {
                    *slot ^= byte;
                }
                new.id = HandoverId::from_bytes(bytes);
            }
            _ => {}
        }
        self.seen().communities.insert(own.community());
        self.right.handovers.queue(own, new, room).await
    }

    async fn list(&self, own: &Scope, since: Timestamp) -> Result<Vec<Handover>> {
        let own = self.raised(own, Flaw::OpenHandovers);
        let since = if self.is(Flaw::LastingHandovers) { Timestamp::MIN } else { since };
        let mut listed = self.right.handovers.list(&own, since).await?;
        if self.is(Flaw::WanderingHandovers) {
            let others: Vec<CommunityId> =
                self.seen().communities.iter().copied().filter(|other| *other != own.community()).collect();
            for other in others {
                listed.extend(self.right.handovers.list(&owner(other), since).await?);
            }
        }
        Ok(listed)
    }

    async fn acknowledge(&self, own: &Scope, id: HandoverId, since: Timestamp) -> Result<Handover> {
        let scope = self.raised(own, Flaw::OpenHandovers);
        let since = if self.is(Flaw::LateHandovers) { Timestamp::MIN } else { since };
        let mut noted = self.right.handovers.acknowledge(&scope, id, since).await?;
        if self.is(Flaw::ForgetfulHandovers) {
            let at = noted.acknowledged.map_or(noted.created, |before| before.at);
            noted.acknowledged = Some(Acknowledged { by: own.actor(), at });
        }
        Ok(noted)
    }
}
