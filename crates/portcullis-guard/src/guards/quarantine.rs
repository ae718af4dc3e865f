//! Quarantine: recalled passages with instructions in them are withheld from the model.
//!
//! Members and their sources are not to be trusted more than a question is: whoever may post may try to instruct the model
//! of everybody who asks about the subject. What is withheld is named in the turn's record, by document.

use portcullis_core::DocumentId;
use portcullis_screen::Finding;
use portcullis_store::Passage;

use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::screening::Mode;
use crate::security::{Noticed, SecurityEvent};
use crate::visit::{Screened, Suspicion, Turn};

pub(crate) const NAME: &str = "quarantine";
pub(crate) const ABOUT: &str = "recalled passages that try to instruct the model are withheld from it";

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
