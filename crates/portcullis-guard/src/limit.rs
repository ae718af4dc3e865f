//! What is limited, by how much, and where it is counted.
//!
//! How counting works is `portcullis-limit`'s; this says what a request is counted against.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::{Actor, Scope, SessionId, Tasks, Tier};
use portcullis_limit::{
    Allowance, Charge, CounterStore, Decision, Limiter, Moment, Network, Rates, Subject, tier,
};

use crate::refusal::causes;
use crate::visit::Arrival;

/// What each tier admits for a whole community.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiers {
    /// Of [`Tier::Standard`].
    pub standard: Rates,
    /// Of [`Tier::Enhanced`].
    pub enhanced: Rates,
    /// Of [`Tier::Dedicated`].
    pub dedicated: Rates,
}

impl Tiers {
    /// What that tier admits.
    pub const fn of(&self, tier: Tier) -> Rates {
        match tier {
            Tier::Standard => self.standard,
            Tier::Enhanced => self.enhanced,
            Tier::Dedicated => self.dedicated,
        }
    }
}

impl Default for Tiers {
    /// The numbers of the deployment checklist.
    fn default() -> Self {
        Self {
            standard: tier::of(Tier::Standard),
            enhanced: tier::of(Tier::Enhanced),
            dedicated: tier::of(Tier::Dedicated),
        }
    }
}

/// The limits of an instance.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For each community, all its members and keys together, by its tier. What is done to manage it does not count.
    pub tiers: Tiers,
    /// For each member, and for each key that acts for no member.
    pub per_actor: Rates,
    /// For each session, and for each key of a member.
    pub per_session: Rates,
    /// For each client address, whatever credentials it uses. Its minute is counted when a request arrives, before
    /// anything is looked up; its hour and its day with everything else.
    pub per_address: Rates,
    /// For requests from one address whose credential was missing or refused.
    pub refused_per_address: Rates,
    /// For sign-in links that one client asks for one address.
    pub links_per_address: Rates,
    /// For sign-in links that one client asks for.
    pub links_per_client: Rates,
    /// Tokens that a model may use for each member, and for each key that acts for none.
    pub tokens_per_actor: Rates,
    /// Tokens that a model may use for each community.
    pub tokens_per_community: Rates,
    /// The most memory that counters may take, in bytes.
    pub memory: usize,
    /// How many instances serve the same communities.
    pub instances: NonZeroU32,
}

/// A limit with what it is of, as headers and `/v1/me/limits` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// What is counted.
    pub subject: Subject,
    /// How much is admitted.
    pub rates: Rates,
}

impl Applied {
    /// What there is a limit for.
    pub const fn what(&self) -> &'static str {
        match self.subject {
            Subject::ActorTokens(..) | Subject::CommunityTokens(_) => "tokens",
            Subject::ActorTool(..) | Subject::CommunityTool(..) => "calls",
            _ => "requests",
        }
    }

    /// Whose it is, in one word.
    pub const fn of(&self) -> &'static str {
        name(&self.subject)
    }
}

/// What is counted, in one word.
pub const fn name(subject: &Subject) -> &'static str {
    match subject {
        Subject::Community(_) | Subject::CommunityTokens(_) => "community",
        Subject::Actor(_, Actor::Member(_)) | Subject::ActorTokens(_, Actor::Member(_)) => "member",
        Subject::Actor(_, Actor::Key(_)) | Subject::ActorTokens(_, Actor::Key(_)) | Subject::Key(..) => "key",
        Subject::Actor(_, Actor::Operator) | Subject::ActorTokens(_, Actor::Operator) => "operator",
        Subject::Session(..) => "session",
        Subject::Address(_) => "address",
        Subject::Refused(_) => "refused",
        Subject::Asking(_) | Subject::AskingFor(..) | Subject::Mailed(..) => "links",
        Subject::ActorTool(..) | Subject::CommunityTool(..) => "tool",
        Subject::Shared(..) => "shared",
    }
}

impl Limits {
    /// Everything that a request of somebody known is counted against in one step, narrowest first.
    ///
    /// What is done to manage a community is not counted against the community: its members' flood must not keep out
    /// those who can end it.
    pub(crate) fn applied(
        &self,
        scope: &Scope,
        session: Option<SessionId>,
        arrival: &Arrival,
        counted: Counted,
    ) -> impl Iterator<Item = Applied> + use<> {
        let (community, actor) = (scope.community(), scope.actor());
        let all = Applied { subject: Subject::Community(community), rates: self.tiers.of(scope.tier()) };
        let own = match (session, scope.key(), actor) {
            (Some(session), ..) => Some(Subject::Session(community, session)),
            // A key that acts for no member is its own actor.
            (None, Some(key), Actor::Member(_)) => Some(Subject::Key(community, key.key)),
            (None, ..) => None,
        };
        let minute = match counted {
            // Its minute was counted when it arrived.
            Counted::Here => None,
            // There it was counted by this instance alone.
            Counted::ForAll => self.per_address.minute,
        };
        let address = Applied {
            subject: Subject::Address(Network::from(arrival.address)),
            rates: Rates { minute, ..self.per_address },
        };
        [
            Some(Applied { subject: Subject::Actor(community, actor), rates: self.per_actor }),
            own.map(|subject| Applied { subject, rates: self.per_session }),
            (!arrival.action.manages()).then_some(all),
            Some(address),
        ]
        .into_iter()
        .flatten()
    }

    /// The token budgets that there are, narrowest first.
    pub(crate) fn budgets(&self, scope: &Scope) -> impl Iterator<Item = Applied> + use<> {
        let community = scope.community();
        [
            Applied { subject: Subject::ActorTokens(community, scope.actor()), rates: self.tokens_per_actor },
            Applied { subject: Subject::CommunityTokens(community), rates: self.tokens_per_community },
        ]
        .into_iter()
        .filter(|budget| budget.rates != Rates::default())
    }
}

/// Whose counters these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// This instance's.
    Here,
    /// All instances'.
    ForAll,
}

/// Where is counted: in this process, or for all instances together.
#[derive(Debug)]
pub struct Counters {
    local: Limiter,
    shared: Option<Arc<dyn CounterStore>>,
    instances: NonZeroU32,
}

impl Counters {
    pub(crate) fn new(limits: &Limits, shared: Option<Arc<dyn CounterStore>>) -> Self {
        Self { local: Limiter::new(limits.memory), shared, instances: limits.instances }
    }

    /// This process's own counters.
    pub fn local(&self) -> &Limiter {
        &self.local
    }

    /// Whose counters decide.
    pub(crate) const fn counted(&self) -> Counted {
        if self.shared.is_some() { Counted::ForAll } else { Counted::Here }
    }

    /// What this instance may admit of a limit that holds for all of them: its part.
    fn admit_part(&self, now: Duration, charges: &[Charge]) -> Decision {
        if self.instances == NonZeroU32::MIN {
            return self.local.admit(now, charges);
        }
        let part = |charge: &Charge| Charge { rates: charge.rates.shared_by(self.instances), ..*charge };
        self.local.admit(now, &charges.iter().map(part).collect::<Vec<_>>())
    }

    /// Decides by this process's counters alone: for what must cost nothing but a look into memory.
    pub(crate) fn admit_here(&self, now: Duration, charges: &[Charge]) -> Decision {
        match self.counted() {
            // What is counted for all instances comes after this.
            Counted::ForAll => self.local.admit(now, charges),
            Counted::Here => self.admit_part(now, charges),
        }
    }

    /// Where the limits of a subject stand that [`Counters::admit_here`] counts.
    pub(crate) fn standing_here(&self, now: Duration, subject: Subject, rates: Rates) -> Vec<Allowance> {
        let rates = match self.counted() {
            Counted::ForAll => rates,
            Counted::Here => rates.shared_by(self.instances),
        };
        self.local.standing(now, subject, rates)
    }

    /// Decides for all instances. Where that cannot be asked, or there is nobody to ask, each instance admits its part.
    pub(crate) async fn admit(&self, now: Duration, charges: &[Charge]) -> (Decision, Held, Reach) {
        let Some(shared) = &self.shared else {
            return (self.admit_part(now, charges), Held::Here(now), Reach::AsWanted);
        };
        match shared.admit(charges).await {
            Ok((decision, moment)) => (decision, Held::ForAll(moment), Reach::AsWanted),
            Err(error) => {
                tracing::error!(error = %causes(&error), "the shared counters cannot be asked; each instance admits its part");
                (self.admit_part(now, charges), Held::Here(now), Reach::PartOnly)
            }
        }
    }

    /// Puts what was used in the place of what was reserved, where that was. It never waits.
    pub(crate) fn settle(&self, tasks: &Tasks, now: Duration, held: Held, charges: Vec<Charge>, used: u32) {
        match (held, &self.shared) {
            (Held::ForAll(moment), Some(shared)) => {
                let shared = Arc::clone(shared);
                tasks.spawn(async move {
                    // It stays reserved then: counted too high, never too low, until the day is over.
                    if let Err(error) = shared.settle(moment, &charges, used).await {
                        tracing::error!(error = %causes(&error), "the shared counters cannot be told what was used");
                    }
                });
            }
            (Held::Here(at), _) => self.local.settle(now, at, &charges, used),
            (Held::ForAll(_), None) => {}
        }
    }

    /// Where the limits of a subject stand.
    pub(crate) async fn standing(&self, now: Duration, subject: Subject, rates: Rates) -> Vec<Allowance> {
        if let Some(shared) = &self.shared
            && let Ok(standing) = shared.standing(subject, rates).await
        {
            return standing;
        }
        self.local.standing(now, subject, rates.shared_by(self.instances))
    }
}

/// Where and when something was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// In this process.
    Here(Duration),
    /// In the counters that all instances share.
    ForAll(Moment),
}

/// Whether the counters that should decide did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// They did.
    AsWanted,
    /// The shared ones could not be asked.
    PartOnly,
}
