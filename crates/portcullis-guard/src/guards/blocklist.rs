//! Refuses addresses that are blocked, and says what brings an address there.

use std::net::IpAddr;

use async_trait::async_trait;

use crate::blocks::{Blocked, Offence};
use crate::gate::Gate;
use crate::guard::{Felt, Guard, Ruling};
use crate::refusal::{Code, Refusal};
use crate::visit::{Arrived, Visit};

/// The name of this guard.
pub(crate) const NAME: &str = "blocklist";
/// The name of what blocks by itself.
pub(crate) const AUTOMATIC: &str = "auto-block";
/// What that stops.
pub(crate) const AUTOMATIC_ABOUT: &str =
    "addresses with too many refused credentials, refused or malformed requests are blocked for a while";

/// Refuses requests from addresses and networks that are blocked. It comes first: it costs a look into memory.
#[derive(Debug)]
pub struct Blocklist;

#[async_trait]
impl Guard<Visit<Arrived>> for Blocklist {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "addresses and networks that the configuration or the operator lists, or that are blocked for what they did"
    }

    fn felt(&self) -> Felt {
        Felt::AsItSays
    }

    async fn judge(&self, gate: &Gate, visit: &mut Visit<Arrived>) -> Ruling {
        match admits(gate, visit.arrival.address) {
            Ok(()) => Ruling::Allow,
            Err(refusal) => Ruling::Refuse(refusal),
        }
    }
}

/// Whether requests from that address are served.
pub(crate) fn admits(gate: &Gate, address: IpAddr) -> Result<(), Refusal> {
    if !gate.switches().on_unfelt(NAME) {
        return Ok(());
    }
    let found = gate.blocks().find(gate.clock(), address);
    if found.is_some() {
        gate.switches().felt(NAME);
    }
    if matches!(found, Some(Blocked::Automatic(_))) {
        // Without the guard that blocks by itself there would be nothing to find.
        gate.switches().felt(AUTOMATIC);
    }
    match found {
        None => Ok(()),
        Some(Blocked::Listed) => Err(Refusal::new(
            Code::AddressBlocked,
            "requests from this address are not served; whoever runs this service can say why",
        )),
        Some(Blocked::Automatic(wait)) => Err(Refusal::new(
            Code::AddressBlocked,
            "too many refused or malformed requests came from this address; it is served again after a while",
        )
        .retry_after(wait)),
    }
}

/// What a refusal says about the address that it is for.
///
/// What somebody known does is held against their credential by other limits, and not against everybody who is behind the
/// same address. That nothing was presented is no offence: every browser begins so.
pub(crate) fn offence(refusal: &Refusal) -> Option<Offence> {
    if refusal.asker.is_some() {
        return None;
    }
    match refusal.code {
        Code::CredentialInvalid | Code::CredentialAmbiguous => Some(Offence::Credential),
        Code::RateLimited => Some(Offence::Refused),
        Code::InvalidRequest
        | Code::UnknownParameter
        | Code::NotFound
        | Code::BodyTooLarge
        | Code::TimedOut => Some(Offence::Malformed),
        Code::CredentialMissing
        | Code::ForeignPage
        | Code::NotAllowed
        | Code::LastOwner
        | Code::ApprovalNotOpen
        | Code::AddressBlocked
        | Code::BudgetExhausted
        | Code::OwnRequestOnly
        | Code::QuestionRefused
        | Code::ToolRefused
        | Code::ModelNotFound
        | Code::IdempotencyInFlight
        | Code::IdempotencyMismatch
        | Code::StoreUnavailable
        | Code::AuditUnavailable
        | Code::ModelBusy
        | Code::ModelUnavailable
        | Code::ModelTimedOut
        | Code::ModelRejected
        | Code::AccessEnded
        | Code::ShuttingDown
        | Code::Internal => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portcullis_core::{
        AbilitySet, Action, Actor, CommunityId, Grant, MemberId, Role, Scope, SystemClock, Tier,
    };

    use super::offence;
    use crate::blocks::Offence;
    use crate::refusal::{Code, Refusal};
    use crate::security::Asker;

    #[test]
    fn strangers_answer_with_their_address_and_members_do_not() {
        let refused = |code| Refusal::new(code, "no");
        for &code in Code::ALL {
            let wanted = match code {
                Code::CredentialInvalid | Code::CredentialAmbiguous => Some(Offence::Credential),
                Code::RateLimited => Some(Offence::Refused),
                Code::InvalidRequest
                | Code::UnknownParameter
                | Code::NotFound
                | Code::BodyTooLarge
                | Code::TimedOut => Some(Offence::Malformed),
                _ => None,
            };
            assert_eq!(offence(&refused(code)), wanted, "{code:?}");
            let clock = SystemClock::new();
            #[expect(clippy::disallowed_methods, reason = "test support")]
            let scope = Scope::grant(Grant {
                community: CommunityId::new(&clock),
                actor: Actor::Member(MemberId::new(&clock)),
                role: Role::Member,
                abilities: AbilitySet::SESSION,
                spaces: Arc::from([]),
                tier: Tier::Standard,
            });
            assert_eq!(offence(&refused(code).of(Asker::authorised(&scope, Action::Ask))), None, "{code:?}");
        }
    }
}
