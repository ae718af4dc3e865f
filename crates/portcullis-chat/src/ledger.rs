//! The closing record of a turn: written exactly once, however the turn ends.

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{ActorRef, Event, Outcome, Receipt, Record, Usage};
use portcullis_core::{CommunityId, TurnId};
use portcullis_guard::refusal::causes;
use portcullis_guard::{Code, Gate, Grounded, Opened, Phase, Refusal, Reservation, Tokens, Turn, pipeline};
use tokio::task::JoinHandle;

use crate::rounds::added;

/// The duty to close one opened turn. Dropped before [`Ledger::close`], as when the client leaves, it records the turn
/// as cancelled in the background.
#[derive(Debug)]
pub(crate) struct Ledger {
    gate: Arc<Gate>,
    community: CommunityId,
    actor: ActorRef,
    turn: TurnId,
    closed: bool,
    /// What of a budget the turn holds. It settles itself when it is dropped.
    reservation: Option<Reservation>,
    /// What rounds before this one used, which are settled.
    earlier: Option<Usage>,
}

impl Ledger {
    /// Opens the turn. Who leaves while the record is written cannot leave it open: the duty to close it is there before the
    /// record is, and what is queued later is written later.
    pub(crate) async fn open(
        gate: &Arc<Gate>,
        turn: Turn<Grounded>,
    ) -> Result<(Turn<Opened>, Self), Refusal> {
        let scope = turn.scope();
        let (community, actor) = (scope.community(), scope.actor().into());
        let mut ledger = Self {
            gate: Arc::clone(gate),
            community,
            actor,
            turn: turn.id(),
            closed: false,
            reservation: None,
            earlier: None,
        };
        let opened = pipeline::open(gate, turn).await;
        // Where nothing was opened there is nothing to close.
        ledger.closed = opened.is_err();
        Ok((opened?, ledger))
    }

    /// Takes over what was reserved for the turn.
    pub(crate) fn hold(&mut self, reservation: Option<Reservation>) {
        self.reservation = reservation;
    }

    /// What the turn holds of a budget.
    pub(crate) fn reservation(&mut self) -> Option<&mut Reservation> {
        self.reservation.as_mut()
    }

    /// Settles a round after which the model is asked again.
    pub(crate) fn settle_round(&mut self, usage: Option<Usage>) {
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(usage.map(tokens));
        }
        self.earlier = together(self.earlier, usage);
    }

    /// Records how the turn ended. Until this has returned, the last frame must not leave.
    pub(crate) async fn close(mut self, outcome: Outcome, usage: Option<Usage>) -> Result<(), Refusal> {
        // A caller who leaves during the write changes nothing: the record is on its way with the true outcome.
        self.closed = true;
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(usage.map(tokens));
        }
        let usage = together(self.earlier, usage);
        let own = Arc::clone(&self.gate);
        let _timer = own.time(Phase::Close);
        let written = match own.journal().append_now(self.record(outcome, usage)) {
            Ok(written) => written.await,
            Err(record) => self.append_later(*record).await.unwrap_or(Err(portcullis_audit::Error::Closed)),
        };
        written.map(|_| ()).map_err(|error| {
            tracing::error!(error = %causes(&error), "a turn's closing record cannot be written");
            unwritable()
        })
    }

    /// Waits for room in the journal's queue in a task of its own, which nobody's leaving ends.
    fn append_later(&self, record: Record) -> JoinHandle<Result<Receipt, portcullis_audit::Error>> {
        let gate = Arc::clone(&self.gate);
        self.gate.tasks().spawn(async move { gate.journal().append(record).await })
    }

    fn record(&self, outcome: Outcome, usage: Option<Usage>) -> Record {
        let event = Event::TurnClosed { turn: self.turn, outcome, usage };
        Record { community: Some(self.community), actor: self.actor, event }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if !self.closed {
            let record = self.record(Outcome::Cancelled, self.earlier);
            // The journal logs its own failure, and then refuses every later turn.
            if let Err(record) = self.gate.journal().append_now(record) {
                drop(self.append_later(*record));
            }
        }
    }
}

fn tokens(usage: Usage) -> Tokens {
    let counted = |tokens| u32::try_from(tokens).unwrap_or(u32::MAX);
    Tokens { question: counted(usage.prompt_tokens), answer: counted(usage.completion_tokens) }
}

fn together(one: Option<Usage>, other: Option<Usage>) -> Option<Usage> {
    match (one, other) {
        (Some(one), Some(other)) => Some(added(one, other)),
        (one, other) => one.or(other),
    }
}

/// How a turn ended that a refusal ended.
pub(crate) fn outcome_of(refusal: &Refusal) -> Outcome {
    let code = refusal.code.name().into();
    if refusal.guard == "access-watch" { Outcome::Refused { code } } else { Outcome::Failed { code } }
}

fn unwritable() -> Refusal {
    Refusal::new(Code::AuditUnavailable, "the audit journal cannot be written, so the answer is not complete")
        .retry_after(Duration::from_secs(30))
        .by("audit-close")
}

/// Usage as the journal records it.
pub(crate) fn recorded(usage: &portcullis_model::Usage) -> Usage {
    Usage { prompt_tokens: usage.prompt_tokens.into(), completion_tokens: usage.completion_tokens.into() }
}
