//! Meter: how much one address and one actor may use.

use std::net::IpAddr;

use async_trait::async_trait;
use portcullis_limit::{Bound, Charge, Network, Rates, Subject};

use crate::gate::Gate;
use crate::guard::{Felt, Guard, Ruling};
use crate::limit::Reach;
use crate::refusal::{Code, Refusal};
use crate::security::{Noticed, SecurityEvent};
use crate::visit::{Arrived, Identified, Visit};

pub(crate) const PRE_METER: &str = "pre-meter";

/// Counts a request against its address before anything is looked up for it.
#[derive(Debug)]
pub struct PreMeter;

#[async_trait]
impl Guard<Visit<Arrived>> for PreMeter {
    fn name(&self) -> &'static str {
        PRE_METER
    }

    fn about(&self) -> &'static str {
        "requests per address, and refused credentials per address, before any look-up"
    }

    fn felt(&self) -> Felt {
        Felt::Always
    }

    async fn judge(&self, gate: &Gate, visit: &mut Visit<Arrived>) -> Ruling {
        arrive(gate, visit.arrival.address)
    }
}

/// Counts a request against its address.
pub(crate) fn arrive(gate: &Gate, address: IpAddr) -> Ruling {
    let network = Network::from(address);
    let limits = gate.parts.limits;
    let now = gate.clock().monotonic();
    // Refusals are only read here; a refused credential is counted where it is refused.
    let refused = Subject::Refused(network);
    for allowance in gate.counters.standing_here(now, refused, limits.refused_per_address) {
        if allowance.remaining == 0 {
            return Ruling::Refuse(too_many(gate, &Bound { subject: refused, allowance }));
        }
    }
    let minute = Rates { minute: limits.per_address.minute, ..Rates::default() };
    match gate.counters.admit_here(now, &[Charge::one(Subject::Address(network), minute)]) {
        Ok(_) => Ruling::Allow,
        Err(reached) => Ruling::Refuse(too_many(gate, &reached)),
    }
}

/// Counts a request against everything that it is of: member or key, session, community, address; minute, hour and day of
/// each, in one step. A request that one of them refuses is counted against none.
#[derive(Debug)]
pub struct RateLimit;

#[async_trait]
impl Guard<Visit<Identified>> for RateLimit {
    fn name(&self) -> &'static str {
        "rate-limit"
    }

    fn about(&self) -> &'static str {
        "requests per member or key, session, community and address in any rolling minute, hour and day, in one step"
    }

    fn felt(&self) -> Felt {
        Felt::Always
    }

    async fn judge(&self, gate: &Gate, visit: &mut Visit<Identified>) -> Ruling {
        let Identified { scope, session, .. } = &visit.state;
        let (limits, counters) = (&gate.parts.limits, &gate.counters);
        let applied = limits.applied(scope, *session, &visit.arrival, counters.counted());
        let charges: Vec<_> = applied.map(|applied| Charge::one(applied.subject, applied.rates)).collect();
        let (decision, _, reach) = counters.admit(gate.clock().monotonic(), &charges).await;
        if reach == Reach::PartOnly {
            let noticed = Noticed::new(SecurityEvent::StoreFailed, self.name()).by(scope);
            gate.note(noticed.in_request(visit.arrival.request));
        }
        match decision {
            Ok(tightest) => {
                visit.state.tightest = tightest;
                Ruling::Allow
            }
            Err(reached) => Ruling::Refuse(too_many(gate, &reached)),
        }
    }
}

/// Counts a refused credential against its address.
///
/// # Errors
/// As many as are allowed were counted while this one was looked up. That it is refused is not told then: of many that come at
/// once, no more are answered than of as many one after the other.
pub(crate) fn count_refused(gate: &Gate, visit: &Visit<Arrived>) -> Result<(), Refusal> {
    let subject = Subject::Refused(Network::from(visit.arrival.address));
    let charge = Charge::one(subject, gate.parts.limits.refused_per_address);
    match gate.counters.admit_here(gate.clock().monotonic(), &[charge]) {
        Err(reached) if gate.switches().on(PRE_METER) => Err(too_many(gate, &reached).by(PRE_METER)),
        _ => Ok(()),
    }
}

fn too_many(gate: &Gate, reached: &Bound) -> Refusal {
    let detail = match reached.subject {
        Subject::Community(_) => "too many requests in this community",
        // Tokens and costs are refused where they are reserved.
        Subject::ActorTokens(..) | Subject::CommunityTokens(_) => "the token budget is used up",
        Subject::ActorTool(..) | Subject::CommunityTool(..) => "too many calls of this tool",
        Subject::ActorCost(..) | Subject::CommunityCost(_) => "the budget of costs is used up",
        Subject::Actor(..) => "too many requests with this credential",
        Subject::Session(..) => "too many requests in this session",
        Subject::Key(..) => "too many requests with this key",
        Subject::Address(_) | Subject::Shared(..) => "too many requests from this address",
        Subject::Refused(_) => "too many refused credentials from this address",
        Subject::Asking(_) | Subject::AskingFor(..) | Subject::Mailed(..) => {
            "too many sign-in links were asked for"
        }
    };
    Refusal::new(Code::RateLimited, detail).limited(*reached, gate.clock().now())
}
