//! Screen: what may be asked, before anything is recalled for it.

use async_trait::async_trait;
use portcullis_core::Action;
use portcullis_screen::{Finding, patterns};

use crate::gate::Gate;
use crate::guard::{Felt, Guard, Ruling};
use crate::refusal::{Code, Refusal};
use crate::screening::Mode;
use crate::security::{Noticed, SecurityEvent};
use crate::visit::{Asked, Suspicion, Turn};

/// Keeps `system`, `developer`, earlier `assistant` and `tool` turns, tools, schemas and `n` above 1 to those who own their
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

    fn felt(&self) -> Felt {
        Felt::AsItSays
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

    fn felt(&self) -> Felt {
        Felt::Always
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

/// Tells the operator of messages that look like attacks on a database or on a reader's browser. It stops none of them:
/// statements are bound and output is encoded, and people ask about both.
#[derive(Debug)]
pub struct AttackPatterns;

#[async_trait]
impl Guard<Turn<Asked>> for AttackPatterns {
    fn name(&self) -> &'static str {
        "attack-patterns"
    }

    fn about(&self) -> &'static str {
        "messages with injected SQL or script are told to the operator, and stop nothing"
    }

    fn felt(&self) -> Felt {
        Felt::AsItSays
    }

    async fn judge(&self, gate: &Gate, turn: &mut Turn<Asked>) -> Ruling {
        let found = gate.patterns_in_question(turn);
        if !found.is_empty() {
            gate.switches().felt(self.name());
        }
        for pattern in found {
            let event = match pattern {
                patterns::Pattern::Sql => SecurityEvent::SqlPattern,
                patterns::Pattern::Script => SecurityEvent::ScriptPattern,
            };
            gate.note(Noticed::new(event, self.name()).by(&turn.scope).in_request(turn.arrival.request));
        }
        Ruling::Allow
    }
}

/// Stops questions, and results of tools that a caller passes on, which try to instruct the model against its instructions.
#[derive(Debug)]
pub struct Injection;

#[async_trait]
impl Guard<Turn<Asked>> for Injection {
    fn name(&self) -> &'static str {
        "injection"
    }

    fn about(&self) -> &'static str {
        "questions that try to instruct the model against its instructions are refused"
    }

    fn felt(&self) -> Felt {
        Felt::AsItSays
    }

    async fn judge(&self, gate: &Gate, turn: &mut Turn<Asked>) -> Ruling {
        if turn.state.handed.is_some() {
            // No model will read it.
            return Ruling::Allow;
        }
        let mode = match gate.mode(turn.scope.community()).await {
            Ok(Mode::Off) => return Ruling::Allow,
            Ok(mode) => mode,
            Err(refusal) => return Ruling::Refuse(refusal),
        };
        let worst = match gate.find_in_question(turn) {
            Ok(worst) => worst,
            Err(refusal) => return Ruling::Refuse(refusal),
        };
        if worst != Finding::Clear {
            gate.switches().felt(self.name());
        }
        match (worst, mode) {
            (Finding::Clear, _) | (_, Mode::Off) => Ruling::Allow,
            // The refusal is the event.
            (Finding::Block, Mode::Block) => Ruling::Refuse(Refusal::new(
                Code::QuestionRefused,
                "this reads like an attempt to change how the assistant works, so it was not put to the model; say what you \
                 want to know in other words, or ask a moderator",
            )),
            (_, mode) => {
                let noticed = Noticed::new(SecurityEvent::Injection, self.name());
                gate.note(noticed.by(&turn.scope).in_request(turn.arrival.request));
                if mode != Mode::Observe {
                    turn.state.suspicion = Suspicion::Some;
                }
                Ruling::Allow
            }
        }
    }
}
