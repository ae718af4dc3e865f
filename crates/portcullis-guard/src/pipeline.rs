//! THE order: every phase and every guard from top to bottom, as they run.
//!
//! `portcullis explain pipeline` prints [`order`], and a snapshot pins it. The functions below are the only way from
//! one state of a request to the next.

mod tools;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Event, Record};
use portcullis_core::{DocumentId, Scope, TurnId};
use portcullis_store::Passage;

use crate::gate::Gate;
use crate::guard::{Felt, Guard, Ruling};
use crate::guards::blocklist::{self, Blocklist};
use crate::guards::csrf::Csrf;
use crate::guards::hand_over::{HandOver, hand_over};
use crate::guards::identify::Known;
use crate::guards::meter::{PreMeter, RateLimit, count_refused};
use crate::guards::role_action::RoleAction;
use crate::guards::screen::{AttackPatterns, Injection, ModelAllowed, RequestOwner};
use crate::guards::secrets_in::{self, SecretsIn};
use crate::guards::tools::{ToolAllowList, ToolApproval, ToolArguments, ToolLeaks, ToolLimit, ToolPin};
use crate::guards::{citation_fence, identify, meter, quarantine, tool_results};
use crate::measures::Phase;
use crate::refusal::{Code, Refusal, causes};
use crate::security::{Asker, Noticed, SecurityEvent};
use crate::tooling::{Call, Named};
use crate::visit::{
    Arrival, Arrived, Asked, Authorised, Grounded, HandedOver, Identified, Opened, Question, Screened,
    Suspicion, Turn, Visit,
};

pub use tools::{again, call, offer, permit, too_many_calls};

/// Before anything is looked up: cheap, and the only cost that a stranger can cause.
pub const ARRIVE: &[&dyn Guard<Visit<Arrived>>] = &[&Blocklist, &PreMeter];
/// Who asks is known: do they know that they ask?
pub const INTEND: &[&dyn Guard<Visit<Identified>>] = &[&Csrf];
/// May they ask so often?
pub const METER: &[&dyn Guard<Visit<Identified>>] = &[&RateLimit];
/// May they do what the route does?
pub const AUTHORISE: &[&dyn Guard<Visit<Identified>>] = &[&RoleAction];
/// May this be asked? Cheap before dear.
pub const SCREEN: &[&dyn Guard<Turn<Asked>>] =
    &[&RequestOwner, &ModelAllowed, &AttackPatterns, &HandOver, &SecretsIn, &Injection];

/// May the model call this? Cheap before dear.
pub const TOOLS: &[&dyn Guard<Call<Named>>] =
    &[&ToolAllowList, &ToolLimit, &ToolPin, &ToolArguments, &ToolLeaks, &ToolApproval];

/// What the one outgoing client does for every call.
const ADDRESSES: (&str, &str) = (
    "tool-addresses",
    "a call goes to the tool's own hosts alone, redirects too, and to no address inside networks that are not listed",
);

/// What the sandbox does for every call of a program.
const SANDBOX: (&str, &str) = (
    "tool-sandbox",
    "a program runs within its time, memory and output, with no network, no files but its own and nothing of another call",
);

/// What happens once a body is there: its name and what it stops.
const CONFIRM: (&str, &str) = (
    "still-authorised",
    "who sends a body is identified and authorised again once it is whole, unless it came within 10 ms: it may have been held back",
);

/// One line of the printed order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The phase.
    pub phase: &'static str,
    /// The guard.
    pub guard: &'static str,
    /// What it stops.
    pub about: &'static str,
}

/// Every guard in the order in which a chat turn meets them. `http` are the layers before the pipeline, outermost
/// first, as the HTTP crate lists them.
pub fn order(http: &[(&'static str, &'static str)]) -> Vec<Step> {
    fn steps<'a, T: Send>(
        phase: &'static str,
        guards: &'a [&dyn Guard<T>],
    ) -> impl Iterator<Item = Step> + use<'a, T> {
        guards.iter().map(move |guard| Step { phase, guard: guard.name(), about: guard.about() })
    }
    let one = |phase, guard, about| std::iter::once(Step { phase, guard, about });
    http.iter()
        .map(|&(guard, about)| Step { phase: "transport", guard, about })
        .chain(steps("arrive", ARRIVE))
        .chain(one("arrive", blocklist::AUTOMATIC, blocklist::AUTOMATIC_ABOUT))
        .chain(one("identify", identify::NAME, identify::ABOUT))
        .chain(steps("identify", INTEND))
        .chain(steps("meter", METER))
        .chain(steps("authorise", AUTHORISE))
        .chain(one("confirm", CONFIRM.0, CONFIRM.1))
        .chain(steps("screen", SCREEN))
        .chain(one(
            "recall",
            "community-file",
            "a search reads the file of the credential's community, and of no other",
        ))
        .chain(one("recall", "recall-scope", "the scope's spaces are part of the search itself"))
        .chain(one("recall", quarantine::NAME, quarantine::ABOUT))
        .chain(one(
            "open",
            "audit-open",
            "the journal durably holds that the turn was opened, else nothing is asked",
        ))
        .chain(one(
            "ask",
            "token-budget",
            "tokens of a member and a community in any rolling day are reserved before the model is asked, settled after",
        ))
        .chain(one(
            "ask",
            "cost-budget",
            "what they cost, where prices are configured, is reserved and settled in the same step",
        ))
        .chain(one(
            "ask",
            "model-places",
            "places at the model are limited, the queue is bounded, waiting ends",
        ))
        .chain(steps("tool", TOOLS))
        .chain(one("tool", ADDRESSES.0, ADDRESSES.1))
        .chain(one("tool", SANDBOX.0, SANDBOX.1))
        .chain(one("tool", tool_results::NAME, tool_results::ABOUT))
        .chain(one(
            "release",
            "frame-rebuild",
            "what the model sends is rebuilt from an allow-list of fields",
        ))
        .chain(one("release", citation_fence::NAME, citation_fence::ABOUT))
        .chain(one("release", "canary", "an answer ends before the random word of its system text"))
        .chain(one(
            "release",
            "secrets-out",
            "keys, tokens, private keys and passwords in addresses are taken out, whatever the frames",
        ))
        .chain(one(
            "release",
            "link-fence",
            "links and images lead to listed hosts only; other markup is made text",
        ))
        .chain(one("release", "personal-data", "personal data of others is taken out"))
        .chain(one(
            "release",
            "system-echo",
            "an answer ends before 40 characters of the system text, disguised or not",
        ))
        .chain(one("release", "access-watch", "a stream ends when the access it began under ends"))
        .chain(one(
            "close",
            "audit-close",
            "the journal durably holds how the turn ended before the last frame leaves",
        ))
        .collect()
}

/// The printed order, one phase after the other.
pub fn explain(http: &[(&'static str, &'static str)]) -> String {
    let mut text = String::new();
    let mut phase = "";
    for step in order(http) {
        if step.phase != phase {
            phase = step.phase;
            let _ = writeln!(text, "{phase}");
        }
        let _ = writeln!(text, "  {:<22} {}", step.guard, step.about);
    }
    text
}

/// Every phase that comes before a route's own work. There is no other way to a [`Visit<Authorised>`].
pub async fn admit(gate: &Gate, arrival: Arrival) -> Result<Visit<Authorised>, Refusal> {
    let _timer = gate.time(Phase::Admit);
    let mut visit = Visit { arrival: Arc::new(arrival), state: Arrived(()) };
    phase(gate, ARRIVE, &mut visit).await?;
    let Known { scope, session } = identify::identify(gate, &visit.arrival).await.map_err(|refusal| {
        let refused = matches!(
            refusal.code,
            Code::CredentialInvalid | Code::CredentialAmbiguous | Code::CredentialMissing
        );
        if refused && let Err(too_many) = count_refused(gate, &visit) {
            return too_many;
        }
        refusal.by(identify::NAME)
    })?;
    let mut visit = Visit { arrival: visit.arrival, state: Identified { scope, session, tightest: None } };
    let asker = Asker::identified(&visit.state.scope);
    let known = |refusal: Refusal| refusal.of(asker);
    phase(gate, INTEND, &mut visit).await.map_err(known)?;
    phase(gate, METER, &mut visit).await.map_err(known)?;
    phase(gate, AUTHORISE, &mut visit).await.map_err(known)?;
    let Identified { scope, session, tightest } = visit.state;
    Ok(Visit { arrival: visit.arrival, state: Authorised { scope, session, tightest } })
}

/// Who asks and what they may, asked again: a body may take as long as its sender likes, and what is done with it is done under
/// what holds then. The request was counted when it came, and is not again.
pub async fn confirm(gate: &Gate, visit: Visit<Authorised>) -> Result<Visit<Authorised>, Refusal> {
    let Visit { arrival, state: Authorised { scope: before, session: same, tightest } } = visit;
    blocklist::admits(gate, arrival.address).map_err(|refusal| refusal.by(blocklist::NAME))?;
    let again = identify::identify(gate, &arrival).await.map_err(|refusal| refusal.by(CONFIRM.0))?;
    let Known { scope, session } = again;
    if scope.community() != before.community() || scope.actor() != before.actor() || session != same {
        return Err(
            Refusal::new(Code::AccessEnded, "the credential stands for somebody else by now").by(CONFIRM.0)
        );
    }
    let asker = Asker::identified(&scope);
    let mut visit = Visit { arrival, state: Identified { scope, session, tightest } };
    phase(gate, AUTHORISE, &mut visit).await.map_err(|refusal| refusal.of(asker))?;
    let Identified { scope, session, tightest } = visit.state;
    Ok(Visit { arrival: visit.arrival, state: Authorised { scope, session, tightest } })
}

/// The phase before anybody is known, for the routes that nobody needs to be known for and that cost something: the
/// pages on which people sign in.
pub fn greet(gate: &Gate, address: IpAddr) -> Result<(), Refusal> {
    blocklist::admits(gate, address).map_err(|refusal| refusal.by(blocklist::NAME))?;
    if !gate.switches().on(meter::PRE_METER) {
        return Ok(());
    }
    match meter::arrive(gate, address) {
        Ruling::Allow => Ok(()),
        Ruling::Refuse(refusal) => Err(refusal.by(meter::PRE_METER)),
    }
}

/// A question that no guard refused.
#[derive(Debug)]
pub enum Judged {
    /// The model may be asked, once more is known.
    ForTheModel(Turn<Screened>),
    /// It was handed to a person, and its asker is to be told so.
    ForAPerson(Turn<HandedOver>),
}

/// Judges a question. A refusal is recorded, since it came from somebody known, and so is what is handed to a person.
pub async fn screen(gate: &Gate, visit: Visit<Authorised>, question: Question) -> Result<Judged, Refusal> {
    let _timer = gate.time(Phase::Screen);
    let id = TurnId::new(gate.clock());
    let Visit { arrival, state } = visit;
    let mut turn = Turn {
        id,
        arrival,
        scope: state.scope,
        question,
        state: Asked { suspicion: Suspicion::None, handed: None, keys: None },
    };
    if let Err(refusal) = phase(gate, SCREEN, &mut turn).await {
        let event = Event::Refused {
            request: turn.arrival.request,
            guard: refusal.guard.into(),
            code: refusal.code.name().into(),
        };
        append(gate, &turn, event).await?;
        return Err(refusal.of(Asker::identified(&turn.scope)));
    }
    if let Some(risk) = turn.state.handed {
        return Ok(Judged::ForAPerson(hand_over(gate, turn, risk).await?));
    }
    let suspicion = turn.state.suspicion;
    Ok(Judged::ForTheModel(turn.into_state(Screened { suspicion })))
}

/// Takes out of the asker's own texts that a model is shown beside the question, memories or earlier questions, those that try to
/// instruct it, as far as the community's mode withholds anything, and those with secrets, where a question with them is refused.
pub async fn recollect<T>(
    gate: &Gate,
    turn: &mut Turn<Screened>,
    own: &mut Vec<T>,
    text: impl Fn(&T) -> Cow<'_, str>,
) -> Result<(), Refusal> {
    secrets_in::recollect(gate, turn, own, &text);
    let found = quarantine::recollect(gate, turn, own, text)
        .await
        .map_err(|refusal| refusal.by(quarantine::NAME).of(Asker::identified(&turn.scope)))?;
    if found == Suspicion::Some {
        turn.state.suspicion = found;
    }
    Ok(())
}

/// Takes in what was recalled for the question, and withholds what tries to instruct the model.
pub async fn ground(
    gate: &Gate,
    turn: Turn<Screened>,
    passages: Vec<Passage>,
) -> Result<Turn<Grounded>, Refusal> {
    let _timer = gate.time(Phase::Ground);
    let (passages, withheld, found) = quarantine::quarantine(gate, &turn, passages)
        .await
        .map_err(|refusal| refusal.by(quarantine::NAME).of(Asker::identified(&turn.scope)))?;
    let suspicion = if found == Suspicion::None { turn.state.suspicion } else { found };
    Ok(turn.into_state(Grounded { passages, withheld, suspicion, also: Vec::new() }))
}

/// Opens the turn in the journal. Without a durable record no model is asked.
pub async fn open(gate: &Gate, turn: Turn<Grounded>) -> Result<Turn<Opened>, Refusal> {
    let _timer = gate.time(Phase::Open);
    let event = Event::TurnOpened {
        turn: turn.id,
        request: turn.arrival.request,
        streaming: turn.question.streaming,
        documents: turn.state.passages.iter().map(|passage| passage.document).collect(),
        withheld: turn.state.withheld.clone(),
    };
    append(gate, &turn, event).await?;
    let Turn { id, arrival, scope, question, state } = turn;
    Ok(Turn { id, arrival, scope, question, state: Opened { passages: state.passages, also: state.also } })
}

/// Tells the operator that the named guard found in an answer what must not leave. Of what it was no word is kept.
pub fn leak_found(gate: &Gate, turn: &Turn<Opened>, guard: &'static str) {
    let noticed = Noticed::new(SecurityEvent::LeakStopped, guard);
    gate.note(noticed.by(&turn.scope).in_request(turn.arrival.request));
}

/// Whether the access that a turn began under still holds. Asked again while an answer streams.
pub async fn still_holds(gate: &Gate, turn: &Turn<Opened>) -> Result<(), Refusal> {
    let blocked = blocklist::admits(gate, turn.arrival.address).is_err();
    let now = identify::identify(gate, &turn.arrival).await;
    let holds = match now {
        Ok(Known { scope, .. }) => {
            let spaces = turn.state.passages.iter().all(|passage| scope.spaces().contains(&passage.space));
            scope.may(turn.arrival.action)
                && scope.role() == turn.scope.role()
                && spaces
                && all_readable(gate, &scope, &turn.documents()).await
        }
        Err(_) => false,
    };
    if holds && !blocked {
        Ok(())
    } else {
        Err(Refusal::new(Code::AccessEnded, "the access that this answer was given under has ended")
            .by("access-watch")
            .of(Asker::identified(&turn.scope)))
    }
}

/// Whether the scope may read all of these documents now.
async fn all_readable(gate: &Gate, scope: &Scope, documents: &[DocumentId]) -> bool {
    if documents.is_empty() {
        return true;
    }
    let titles = gate.parts.stores.content.titles(scope, documents).await;
    titles.is_ok_and(|readable| documents.iter().all(|document| readable.contains_key(document)))
}

async fn phase<T: Send>(gate: &Gate, guards: &[&dyn Guard<T>], subject: &mut T) -> Result<(), Refusal> {
    let switches = gate.switches();
    for guard in guards {
        let name = guard.name();
        if !crate::switches::SWITCHABLE.contains(&name) || switches.on_unfelt(name) {
            let ruling = guard.judge(gate, subject).await;
            if guard.felt() == Felt::Always || matches!(ruling, Ruling::Refuse(_)) {
                switches.felt(name);
            }
            match ruling {
                Ruling::Allow => {}
                Ruling::Refuse(refusal) => return Err(refusal.by(name)),
            }
        }
    }
    Ok(())
}

pub(crate) async fn append<S>(gate: &Gate, turn: &Turn<S>, event: Event) -> Result<(), Refusal> {
    let record = Record { community: Some(turn.scope.community()), actor: turn.scope.actor().into(), event };
    gate.journal().append(record).await.map(|_| ()).map_err(|error| unwritable(&error))
}

pub(crate) fn unwritable(error: &dyn std::error::Error) -> Refusal {
    tracing::error!(error = %causes(error), "the audit journal cannot be written");
    Refusal::new(Code::AuditUnavailable, "the audit journal cannot be written, so nothing is answered")
        .retry_after(Duration::from_secs(30))
        .by("audit-open")
}
