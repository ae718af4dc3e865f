//! The community's own administration. Its routes are disjoint from the member's, and every change is recorded.

pub(super) mod invitations;
pub(super) mod keys;
pub(super) mod members;
pub(super) mod quarantine;
pub(super) mod roles;
pub(super) mod spaces;

use std::time::Duration;

use jiff::Timestamp;
use portcullis_audit::{Change, Event, Record, Target};
use portcullis_core::Actor;
use portcullis_core::mail_address::is_mail_address;
use portcullis_guard::refusal::causes;
use portcullis_guard::{Code, Refusal};
use portcullis_store::{Error, Kind};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Call;
use super::search::unreadable;

/// The longest time that something given by days may last: ten years.
const MOST_DAYS: u32 = 3_660;

/// The most plans that one thing may name. Far more than a community has, and few enough to be recorded.
const MOST_PLANS: usize = 100;

/// Plans as they are given, in order and each once.
fn plans<T: Ord>(mut given: Vec<T>, slug: impl Fn(&T) -> &str) -> Result<Vec<T>, Refusal> {
    let wrong = |detail: String| Err(Refusal::new(Code::InvalidRequest, detail).param("plans"));
    given.sort();
    given.dedup();
    if given.len() > MOST_PLANS {
        return wrong(format!("`plans` may name at most {MOST_PLANS} plans"));
    }
    let mut pairs = given.iter().zip(given.iter().skip(1));
    if pairs.any(|(one, next)| slug(one) == slug(next)) {
        return wrong("`plans` names a plan twice, with two ends; name it once".to_owned());
    }
    Ok(given)
}

/// What is wrong with an address that no mail reaches.
fn address(email: Option<&str>) -> Result<(), Refusal> {
    if email.is_none_or(|email| is_mail_address(email.trim())) {
        return Ok(());
    }
    let detail = "`email` must be an address such as `mia@example.org`, of at most 254 bytes: no spaces, no quotes, and no \
        dot that begins, ends or follows another";
    Err(Refusal::new(Code::InvalidRequest, detail).param("email"))
}

/// What the store refused, told by the field that is at fault. Whoever may not do it at all is told that, and not what is wrong with
/// what they sent.
fn or_unfit(error: Error, fit: Result<(), Refusal>) -> Refusal {
    match (error.kind(), fit) {
        (Kind::Invalid, Err(refusal)) => refusal,
        _ => error.into(),
    }
}

/// Who made something, for those who administer it.
fn maker(maker: Actor) -> Value {
    match maker {
        Actor::Member(member) => json!({ "kind": "member", "id": member }),
        Actor::Key(key) => json!({ "kind": "key", "id": key }),
        Actor::Operator => json!({ "kind": "operator", "id": null }),
    }
}

/// The body of a change. With the journal broken nothing is changed: a change that nobody could see later is what an
/// intruder wants.
fn change<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    ready(call)?;
    serde_json::from_slice(&call.body).map_err(|error| unreadable(&error))
}

/// Refuses a change while it could not be recorded.
pub(super) fn ready(call: &Call) -> Result<(), Refusal> {
    if call.app.gate().journal().failure().is_some() {
        return Err(unrecorded("the audit journal cannot be written, so nothing is changed"));
    }
    Ok(())
}

/// Records a change that was made.
async fn record(
    call: &Call,
    action: &'static str,
    targets: Vec<Target>,
    detail: Option<&'static str>,
) -> Result<(), Refusal> {
    let change = Change::new(action, targets);
    record_in_full(call, detail.into_iter().fold(change, Change::to)).await
}

/// Records a change that was made, with more than one word on it.
pub(super) async fn record_in_full(call: &Call, change: Change) -> Result<(), Refusal> {
    note(call, Event::Administered(change)).await
}

/// Records what a signed-in person did.
pub(super) async fn note(call: &Call, event: Event) -> Result<(), Refusal> {
    let scope = call.visit.scope();
    let record = Record { community: Some(scope.community()), actor: scope.actor().into(), event };
    call.app.gate().journal().append(record).await.map(|_| ()).map_err(|error| {
        tracing::error!(error = %causes(&error), "the audit journal cannot be written");
        unrecorded("the change was made, but the audit journal could not record it")
    })
}

fn unrecorded(detail: &'static str) -> Refusal {
    Refusal::new(Code::AuditUnavailable, detail).retry_after(Duration::from_secs(30))
}

/// A value that is none of those that are known.
fn unknown(param: &'static str, known: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("`{param}` must be one of {known}")).param(param)
}

/// The moment that is so many days away.
fn in_days(call: &Call, days: u32) -> Result<Timestamp, Refusal> {
    let wrong =
        || Refusal::new(Code::InvalidRequest, format!("`days` must be 1 to {MOST_DAYS}")).param("days");
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(wrong());
    }
    let away = Duration::from_secs(u64::from(days) * 86_400);
    call.app.gate().clock().now().checked_add(away).map_err(|_| wrong())
}
