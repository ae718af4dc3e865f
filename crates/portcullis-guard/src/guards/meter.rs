//! Meter: how much one address and one actor may use.

use std::net::IpAddr;

use async_trait::async_trait;

use crate::gate::Gate;
use crate::guard::{Guard, Ruling};
use crate::limit::{Network, Reached, Subject};
use crate::refusal::{Code, Refusal};
use crate::visit::{Arrived, Identified, Visit};

/// Counts a request against its address before anything is looked up for it.
#[derive(Debug)]
pub struct PreMeter;

#[async_trait]
impl Guard<Visit<Arrived>> for PreMeter {
    fn name(&self) -> &'static str {
        "pre-meter"
    }

    fn about(&self) -> &'static str {
        "requests per address, and refused credentials per address, before any look-up"
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
    let allowance = gate.limiter.peek(now, refused, limits.refused_per_address);
    if allowance.remaining == 0 {
        return too_many(&Reached { subject: refused, allowance });
    }
    match gate.limiter.admit(now, &[(Subject::Address(network), limits.per_address)]) {
        Ok(_) => Ruling::Allow,
        Err(reached) => too_many(&reached),
    }
}

/// Counts a request against the member, or the key, that makes it.
#[derive(Debug)]
pub struct RateLimit;

#[async_trait]
impl Guard<Visit<Identified>> for RateLimit {
    fn name(&self) -> &'static str {
        "rate-limit"
    }

    fn about(&self) -> &'static str {
        "requests per member, or per key that acts for no member, in any rolling minute"
    }

    async fn judge(&self, gate: &Gate, visit: &mut Visit<Identified>) -> Ruling {
        let scope = &visit.state.scope;
        let subject = Subject::Actor(scope.community(), scope.actor());
        match gate.limiter.admit(gate.clock().monotonic(), &[(subject, gate.parts.limits.per_actor)]) {
            Ok(allowance) => {
                visit.state.allowance = allowance;
                Ruling::Allow
            }
            Err(reached) => too_many(&reached),
        }
    }
}

/// Counts a refused credential against its address.
pub(crate) fn count_refused(gate: &Gate, visit: &Visit<Arrived>) {
    let subject = Subject::Refused(Network::from(visit.arrival.address));
    // At the limit nothing more is counted; the pre-meter refuses from here on.
    let _ = gate.limiter.admit(gate.clock().monotonic(), &[(subject, gate.parts.limits.refused_per_address)]);
}

fn too_many(reached: &Reached) -> Ruling {
    let detail = match reached.subject {
        Subject::Actor(..) => "too many requests with this credential",
        Subject::Address(_) | Subject::Overflow => "too many requests from this address",
        Subject::Refused(_) => "too many refused credentials from this address",
    };
    Ruling::Refuse(Refusal::new(Code::RateLimited, detail).retry_after(reached.allowance.resets_in))
}
