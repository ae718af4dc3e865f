//! Quarantine: recalled passages with instructions in them are withheld from the model, and so are the member's own
//! memories and earlier questions.
//!
//! Members and their sources are not to be trusted more than a question is: whoever may post may try to instruct the model
//! of everybody who asks about the subject. What is withheld of these is named in the turn's record, by document. What a member
//! wrote to be shown with later questions is judged as those are.

use std::borrow::Cow;

use portcullis_core::DocumentId;
use portcullis_screen::Finding;
use portcullis_store::Passage;

use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::screening::Mode;
use crate::security::{Noticed, SecurityEvent};
use crate::visit::{Screened, Suspicion, Turn};

pub(crate) const NAME: &str = "quarantine";
pub(crate) const ABOUT: &str =
    "recalled passages, memories and earlier questions that try to instruct the model are withheld from it";

/// What is left of the passages, the documents of those that are withheld, and whether any that is left is suspicious.
pub(crate) async fn quarantine(
    gate: &Gate,
    turn: &Turn<Screened>,
    passages: Vec<Passage>,
) -> Result<(Vec<Passage>, Vec<DocumentId>, Suspicion), Refusal> {
    if passages.is_empty() || !gate.switches().on_unfelt(NAME) {
        return Ok((passages, Vec::new(), Suspicion::None));
    }
    let mode = gate.mode(turn.scope.community()).await.inspect_err(|_| gate.switches().felt(NAME))?;
    if mode == Mode::Off {
        return Ok((passages, Vec::new(), Suspicion::None));
    }
    let (mut left, mut withheld) = (Vec::with_capacity(passages.len()), Vec::new());
    let mut suspicion = Suspicion::None;
    for passage in passages {
        // A title, a heading or an author's name is read by the model as the text is.
        let author = passage.author.as_deref().unwrap_or_default();
        let found = [passage.title.as_str(), &passage.heading, author, &passage.text]
            .into_iter()
            .filter(|text| !text.is_empty())
            .try_fold(Finding::Clear, |worst, text| {
                gate.find(&turn.scope, text).map(|found| worst.max(found))
            })
            .inspect_err(|_| gate.switches().felt(NAME))?;
        if found == Finding::Clear {
            left.push(passage);
            continue;
        }
        gate.switches().felt(NAME);
        let noticed = Noticed::new(SecurityEvent::PassageQuarantined, NAME);
        match (found, mode) {
            (Finding::Block, Mode::Block) => {
                gate.note(noticed.by(&turn.scope).in_request(turn.arrival.request));
                if !withheld.contains(&passage.document) {
                    withheld.push(passage.document);
                    gate.withhold(turn.scope.community(), passage.document);
                }
            }
            (_, mode) => {
                let noticed = Noticed { event: SecurityEvent::PassageSuspicious, ..noticed };
                gate.note(noticed.by(&turn.scope).in_request(turn.arrival.request));
                if mode != Mode::Observe {
                    suspicion = Suspicion::Some;
                }
                left.push(passage);
            }
        }
    }
    Ok((left, withheld, suspicion))
}

/// Takes out of the asker's own texts those that no model may be shown. Whether any that is left is suspicious. An empty text says
/// nothing.
pub(crate) async fn recollect<T>(
    gate: &Gate,
    turn: &Turn<Screened>,
    own: &mut Vec<T>,
    text: impl Fn(&T) -> Cow<'_, str>,
) -> Result<Suspicion, Refusal> {
    if own.is_empty() || !gate.switches().on_unfelt(NAME) {
        return Ok(Suspicion::None);
    }
    let mode = gate.mode(turn.scope.community()).await.inspect_err(|_| gate.switches().felt(NAME))?;
    if mode == Mode::Off {
        return Ok(Suspicion::None);
    }
    let (mut is_clear, mut suspicion) = (true, Suspicion::None);
    for one in std::mem::take(own) {
        let said = text(&one);
        let found = if said.is_empty() {
            Finding::Clear
        } else {
            gate.find_of_asker(&turn.scope, &said).inspect_err(|_| gate.switches().felt(NAME))?
        };
        drop(said);
        is_clear &= found == Finding::Clear;
        match (found, mode) {
            (Finding::Block, Mode::Block) => {}
            (Finding::Clear, _) | (_, Mode::Observe) => own.push(one),
            _ => {
                suspicion = Suspicion::Some;
                own.push(one);
            }
        }
    }
    if !is_clear {
        gate.switches().felt(NAME);
        let noticed = Noticed::new(SecurityEvent::Injection, NAME);
        gate.note(noticed.by(&turn.scope).in_request(turn.arrival.request));
    }
    Ok(suspicion)
}
