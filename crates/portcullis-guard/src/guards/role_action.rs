//! Authorise: the table of roles and actions.

use async_trait::async_trait;

use crate::gate::Gate;
use crate::guard::{Felt, Guard, Ruling};
use crate::refusal::{Code, Refusal};
use crate::visit::{Identified, Visit};

/// Lets through what the role allows and the credential was issued for.
#[derive(Debug)]
pub struct RoleAction;

#[async_trait]
impl Guard<Visit<Identified>> for RoleAction {
    fn name(&self) -> &'static str {
        "authorise"
    }

    fn about(&self) -> &'static str {
        "the role allows the route's action, and the credential was issued for it"
    }

    fn felt(&self) -> Felt {
        Felt::AsItSays
    }

    async fn judge(&self, _: &Gate, visit: &mut Visit<Identified>) -> Ruling {
        if visit.state.scope.may(visit.action()) {
            Ruling::Allow
        } else {
            Ruling::Refuse(Refusal::new(Code::NotAllowed, "your role or credential does not allow this"))
        }
    }
}
