//! The tool phase: what the model may be told of, the ruling on each call that it asks for, and the call itself.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use portcullis_audit::{CallOutcome, Event, Label};
use portcullis_core::CallId;
use portcullis_leak::Vault;
use portcullis_store::{CommunityRef, Ended};
use portcullis_tools::{FaultKind, Permit, Returned, Standing, Tool, Way};
use serde_json::Map;

use super::{ADDRESSES, SANDBOX, TOOLS, append, phase};
use crate::approving;
use crate::gate::Gate;
#[cfg(feature = "guard-off")]
use crate::guards::holes;
use crate::guards::tool_results;
use crate::measures::Phase;
use crate::refusal::{Code, Refusal};
use crate::security::{Noticed, SecurityEvent};
use crate::tooling::{Asked, Call, Closing, Judged, Kit, Named, Permitted, Ruled, Shown, told};
use crate::visit::{Opened, Turn};

/// What the model may be told of, in this turn: the tools of this community and role that stand as they were approved.
///
/// `mark` is the word by which quoted data is told from words, and `vault` makes of the words that each tool is described with
/// what must not leave; no argument may hold either.
pub async fn offer(
    gate: &Gate,
    turn: &Turn<Opened>,
    mark: &str,
    vault: impl FnOnce(&[String]) -> Arc<Vault>,
) -> Result<Kit, Refusal> {
    let registry = &gate.parts.tools;
    let community = match registry.is_empty() {
        true => None,
        false => gate.parts.stores.directory.find(CommunityRef::Id(turn.scope.community())).await?,
    };
    let community = community.map(|community| community.slug);
    let allows = |slug: &String, tool: &Tool| tool.allows(slug, turn.scope.role());
    let own = registry.all().filter(|tool| community.as_ref().is_some_and(|slug| allows(slug, tool)));
    let tools: Vec<_> = own
        .filter_map(|tool| match tool.standing() {
            Standing::Ready(spec) => Some((Arc::clone(tool), spec)),
            Standing::Unknown | Standing::Stopped(_) => None,
        })
        .collect();
    let told: Vec<String> = tools.iter().map(|(_, spec)| told(spec)).collect();
    Ok(Kit {
        community: community.unwrap_or_default(),
        tools,
        limits: gate.parts.tool_limits,
        vault: Arc::new(vault(&told).without_links()),
        mark: mark.to_owned(),
        made: BTreeMap::new(),
        asked: 0,
        conversation: None,
        approved: None,
    })
}

/// Rules on a call that the model asked for. Whatever comes of it is in the journal: a call that is refused here, one that
/// is made by its opening record.
///
/// # Errors
/// The journal cannot be written.
pub async fn permit(gate: &Gate, turn: &Turn<Opened>, kit: &mut Kit, asked: Asked) -> Result<Ruled, Refusal> {
    let _timer = gate.time(Phase::Tool);
    kit.asked = kit.asked.saturating_add(1);
    let mut call = Call {
        id: CallId::new(gate.clock()),
        state: Named {
            asked,
            scope: turn.scope.clone(),
            request: turn.arrival.request,
            community: kit.community.clone(),
            vault: Arc::clone(&kit.vault),
            mark: kit.mark.clone(),
            made: kit.made.clone(),
            tool: None,
            spec: None,
            arguments: Map::new(),
            // One call is made by it: the next that the model asks for is ruled on by itself.
            approved: kit.approved.take(),
            waits: false,
        },
    };
    #[cfg(feature = "guard-off")]
    holes::any_tool(gate, &mut call);
    let ruling = phase(gate, TOOLS, &mut call).await;
    let Call { id, state: Named { tool, arguments, asked, approved, waits, .. } } = call;
    // Who may not use a tool is not told that there is one; the journal names it.
    let known = gate.parts.tools.find(&asked.name).map(|tool| Label::short_name(tool.name().as_str()));
    let refusal = match (ruling, tool) {
        (Ok(()), Some(tool)) => {
            let made = kit.made.entry(tool.name().clone()).or_default();
            *made = made.saturating_add(1);
            if waits {
                let waiting = approving::hold(gate, turn, &tool, &arguments, kit.conversation).await?;
                return Ok(Ruled::Waits(waiting));
            }
            #[expect(clippy::disallowed_methods, reason = "every guard of the tool phase has allowed it")]
            let permit = Permit::grant(tool, arguments, id.to_string(), kit.community.clone());
            let approval = approved.map(|approved| approved.id());
            return Ok(Ruled::Permitted(Box::new(Call { id, state: Permitted { permit, approval } })));
        }
        (Ok(()), None) => Refusal::new(Code::ToolRefused, "there is no such tool here").by("tool-allow-list"),
        (Err(refusal), _) => refusal,
    };
    declined(gate, turn, known, refusal.guard, NonZeroU64::MIN).await?;
    Ok(Ruled::Declined(refusal.detail.into_owned()))
}

/// What came of an approved call that was made before, as the model may be shown it now: the tool is still for this community and
/// role and stands as it did, and what it returned is judged again, by what holds today.
///
/// # Errors
/// The tool is not available so, or what it returned cannot be judged.
pub async fn again(gate: &Gate, turn: &Turn<Opened>, kit: &mut Kit, shown: Shown) -> Result<Shown, Refusal> {
    let approved = kit.approved.take();
    let tool = approved.as_ref().and_then(|approved| {
        let (tool, _) = kit.tools.iter().find(|(tool, _)| tool.name().as_str() == approved.tool())?;
        approved.covers(tool, approved.arguments()).then_some(tool)
    });
    if tool.is_none() {
        return Err(Refusal::new(Code::ApprovalNotOpen, "the tool of this call is not available now")
            .by(approving::NAME));
    }
    match shown {
        Shown::Result { text, cut } => Ok(tool_results::judge(gate, turn, Returned { text, cut }).await?.0),
        note @ Shown::Note(_) => Ok(note),
    }
}

/// Refuses calls beyond the number that one turn may ask for, all at once.
///
/// # Errors
/// The journal cannot be written.
pub async fn too_many_calls(gate: &Gate, turn: &Turn<Opened>, calls: usize) -> Result<(), Refusal> {
    match NonZeroU64::new(calls as u64) {
        Some(times) => declined(gate, turn, None, "tool-limit", times).await,
        None => Ok(()),
    }
}

async fn declined(
    gate: &Gate,
    turn: &Turn<Opened>,
    tool: Option<Label>,
    guard: &'static str,
    times: NonZeroU64,
) -> Result<(), Refusal> {
    gate.note(
        Noticed::new(SecurityEvent::ToolRefused, guard).by(&turn.scope).in_request(turn.arrival.request),
    );
    append(gate, turn, Event::ToolRefused { turn: turn.id, tool, guard: guard.into(), times }).await
}

/// Makes a call, and judges what it returns. One that a person approved is begun first, durably and once. The opening record is
/// durable before anything is sent, the closing record before the model is shown what came back.
///
/// # Errors
/// The journal cannot be written, or what came back cannot be judged.
pub async fn call(gate: &Gate, turn: &Turn<Opened>, call: Call<Permitted>) -> Result<Call<Judged>, Refusal> {
    let Call { id, state: Permitted { permit, approval } } = call;
    // From here on an approved call is never made again, whatever happens.
    let begun = match approval {
        Some(approval) => Some(approving::begin(gate, &turn.scope, approval).await?),
        None => None,
    };
    let tool = Label::short_name(permit.tool().name().as_str());
    let argument_bytes = serde_json::to_string(permit.arguments()).map_or(0, |text| text.len() as u64);
    let closing = Closing::open(gate, turn, id, tool, argument_bytes, approval).await?;
    // Where it may go is decided by what sends it.
    gate.switches().felt(ADDRESSES.0);
    let returned = {
        let _timer = gate.time(Phase::Tool);
        portcullis_tools::call(&permit).await
    };
    let (shown, outcome, bytes) = match returned {
        Ok(returned) => {
            let bytes = returned.text.len();
            let (shown, outcome) = tool_results::judge(gate, turn, returned).await?;
            (shown, outcome, bytes)
        }
        Err(fault) => {
            let noticed = match fault.kind {
                FaultKind::ProgramRefused => Some((SecurityEvent::ToolRefused, SANDBOX.0)),
                kind if kind.is_limit() => Some((SecurityEvent::SandboxLimit, SANDBOX.0)),
                kind if kind.is_refusal() => Some((SecurityEvent::ToolRefused, ADDRESSES.0)),
                _ => None,
            };
            if let Some((event, guard)) = noticed {
                let noticed = Noticed::new(event, guard);
                gate.note(noticed.by(&turn.scope).in_request(turn.arrival.request));
            }
            tracing::warn!(
                tool = permit.tool().name().as_str(),
                why = fault.kind.name(),
                "a call of a tool failed"
            );
            // A request that was sent may have been acted on, whatever came back. For a call that a person approved that is said.
            // A program has nothing outside to act on.
            let sent = !fault.kind.is_refusal() && !matches!(permit.tool().settings().way, Way::Program(_));
            let words =
                if begun.is_some() && sent { approving::CUT_OFF } else { "the tool could not be used" };
            (Shown::Note(words.into()), CallOutcome::Failed { code: fault.kind.name().into() }, 0)
        }
    };
    if let Some(begun) = begun {
        let failed = matches!(outcome, CallOutcome::Failed { .. });
        begun.finish(if failed { Ended::Failed } else { Ended::Done }, &shown).await;
    }
    closing.close(outcome, bytes).await?;
    Ok(Call { id, state: Judged { shown } })
}
