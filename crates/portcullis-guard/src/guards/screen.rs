//! Screen: what may be asked, before anything is recalled for it.

use async_trait::async_trait;
use portcullis_core::Action;

use crate::gate::Gate;
use crate::guard::{Guard, Ruling};
use crate::refusal::{Code, Refusal};
use crate::visit::{Asked, Turn};

/// Keeps `system`, `developer`, earlier `assistant` and `tool` turns, tools and `n` above 1 to those who own their
/// requests.
#[derive(Debug)]
pub struct RequestOwner;

#[async_trait]
impl Guard<Turn<Asked>> for RequestOwner {
    fn name(&self) -> &'static str {
        "request-owner"
    }

    fn about(&self) -> &'static str {
        "only a key with the `own-request` ability sends more than user content"
    }

    async fn judge(&self, _: &Gate, turn: &mut Turn<Asked>) -> Ruling {
        match &turn.question.owner_only {
            Some(param) if !turn.scope.may(Action::OwnRequest) => Ruling::Refuse(
                Refusal::new(
                    Code::OwnRequestOnly,
                    "only a key with the `own-request` ability may send this; send `user` messages alone",
                )
                .param(param.clone()),
            ),
            _ => Ruling::Allow,
        }
    }
}

/// Lets only the configured models be asked for.
#[derive(Debug)]
pub struct ModelAllowed;

#[async_trait]
impl Guard<Turn<Asked>> for ModelAllowed {
    fn name(&self) -> &'static str {
        "model-allowed"
    }

    fn about(&self) -> &'static str {
        "the model asked for is one of those configured"
    }

    async fn judge(&self, gate: &Gate, turn: &mut Turn<Asked>) -> Ruling {
        if gate.models().contains(&turn.question.model) {
            Ruling::Allow
        } else {
            Ruling::Refuse(
                Refusal::new(Code::ModelNotFound, "this model is not offered here; see GET /v1/models")
                    .param("model"),
            )
        }
    }
}
