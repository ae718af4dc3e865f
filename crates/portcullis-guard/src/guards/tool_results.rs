//! What a tool returned is judged like a document: it may try to instruct the model, whoever runs the tool.

use portcullis_audit::CallOutcome;
use portcullis_screen::Finding;
use portcullis_tools::Returned;

use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::screening::Mode;
use crate::security::{Noticed, SecurityEvent};
use crate::tooling::Shown;
use crate::visit::{Opened, Turn};

pub(crate) const NAME: &str = "tool-results";
pub(crate) const ABOUT: &str =
    "what tools return is cut to its bound, and withheld from the model where it tries to instruct it";

/// What the model is told in the place of a result.
const WITHHELD: &str = "the result was withheld, because it reads like instructions";

/// What of a result the model may be shown.
pub(crate) async fn judge(
    gate: &Gate,
    turn: &Turn<Opened>,
    returned: Returned,
) -> Result<(Shown, CallOutcome), Refusal> {
    let Returned { text, cut } = returned;
    let mode = gate.mode(turn.scope.community()).await?;
    let found = if mode == Mode::Off { Finding::Clear } else { gate.find(&turn.scope, &text)? };
    let note = |event| {
        gate.note(Noticed::new(event, NAME).by(&turn.scope).in_request(turn.arrival.request));
    };
    match (found, mode) {
        (Finding::Clear, _) => {}
        (Finding::Block, Mode::Block) => {
            note(SecurityEvent::ToolResultWithheld);
            return Ok((Shown::Note(WITHHELD.into()), CallOutcome::Withheld));
        }
        _ => note(SecurityEvent::ToolResultSuspicious),
    }
    Ok((Shown::Result { text, cut }, CallOutcome::Returned))
}
