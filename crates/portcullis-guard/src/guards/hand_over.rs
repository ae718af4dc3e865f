//! Hand-over: what a person should see goes to the moderators' queue and not to the model.
//!
//! It comes before the guard against injection: somebody who may be in danger is heard however they write. Only the last thing
//! that was said is looked at, since what was said before was looked at then.

use std::sync::Arc;

use async_trait::async_trait;
use portcullis_audit::{Event, Record};
use portcullis_core::HandoverId;
use portcullis_screen::risk::{Risk, risks};
use portcullis_store::{NewHandover, Queued};

use crate::gate::Gate;
use crate::guard::{Felt, Guard, Ruling};
use crate::handing::{Fate, HandoverMode};
use crate::pipeline::unwritable;
use crate::refusal::{Refusal, causes};
use crate::security::{Noticed, SecurityEvent};
use crate::visit::{Asked, HandedOver, Turn};

pub(crate) const NAME: &str = "hand-over";

/// Recognises what a person should see.
#[derive(Debug)]
pub struct HandOver;

#[async_trait]
impl Guard<Turn<Asked>> for HandOver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "what a person should see (self-harm, threats with the law, private data of others) goes to the moderators, not to the model"
    }

    fn felt(&self) -> Felt {
        Felt::AsItSays
    }

    async fn judge(&self, gate: &Gate, turn: &mut Turn<Asked>) -> Ruling {
        let mode = match gate.handover_mode(turn.scope.community()).await {
            Ok(HandoverMode::Off) => return Ruling::Allow,
            Ok(mode) => mode,
            Err(refusal) => return Ruling::Refuse(refusal),
        };
        let handing = &gate.parts.handing;
        if let Some(risk) = risks(&turn.question.text, &handing.kinds, &handing.own) {
            let noticed = Noticed::new(SecurityEvent::RiskyQuestion, NAME);
            gate.note(noticed.by(&turn.scope).in_request(turn.arrival.request));
            gate.switches().felt(NAME);
            turn.state.handed = (mode == HandoverMode::HandOver).then_some(risk);
        }
        Ruling::Allow
    }
}

/// Puts the question into the queue of its community, and records it.
pub(crate) async fn hand_over(
    gate: &Gate,
    turn: Turn<Asked>,
    risk: Risk,
) -> Result<Turn<HandedOver>, Refusal> {
    let handing = &gate.parts.handing;
    let id = HandoverId::new(gate.clock());
    let new = NewHandover { id, reason: risk.name(), text: turn.question.text.clone() };
    let room = handing.room(gate.clock().now());
    let (handovers, journal) = (Arc::clone(&gate.parts.stores.handovers), Arc::clone(gate.journal()));
    let (scope, request) = (turn.scope.clone(), turn.arrival.request);
    let handing_over = gate.see_through(async move {
        let fate = match handovers.queue(&scope, new, room).await {
            Ok(Queued::Kept) => Fate::Queued,
            Ok(Queued::Enough) => Fate::Enough,
            Ok(Queued::Full) => Fate::Full,
            Err(error) => {
                tracing::error!(error = %causes(&error), "a question could not be handed over");
                Fate::Failed
            }
        };
        let (reason, queue) = (risk.name().into(), fate.name().into());
        let event = Event::HandedOver { handover: id, request, reason, queue };
        let record = Record { community: Some(scope.community()), actor: scope.actor().into(), event };
        Ok((fate, journal.append(record).await))
    });
    let (fate, recorded) = handing_over.await?;
    if matches!(fate, Fate::Full | Fate::Failed) {
        let noticed = Noticed::new(SecurityEvent::HandoverLost, NAME);
        gate.note(noticed.by(&turn.scope).in_request(turn.arrival.request));
    }
    recorded.map_err(|error| unwritable(&error))?;
    let words = handing.words(risk, fate);
    Ok(turn.into_state(HandedOver { risk, fate, words }))
}
