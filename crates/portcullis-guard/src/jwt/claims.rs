//! What a token with a good signature may say: who it is for, for how long, and about whom.
//!
//! A claim that is there is judged, also when it is optional: one of another type is never taken for one that is absent.
//! `null` is another type, since a host that writes `"plans": null` for "none" must not be read as "not said".

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use portcullis_core::Role;
use portcullis_store::members::LONGEST_NAME;

use super::json::Json;
use super::{Issuer, LONGEST_TEXT, Rejected, Verified, is_plain};

/// The longest slug of a plan or space, in characters.
const LONGEST_SLUG: usize = 80;
/// No community has so many plans or spaces that a token names; a longer list is something else.
const LONGEST_LIST: usize = 256;

/// Judges the claims of a token that the issuer signed.
pub(super) fn judge<'a>(
    issuer: &'a Issuer,
    claims: &BTreeMap<String, Json>,
    now: Timestamp,
) -> Result<Verified<'a>, Rejected> {
    audience(issuer, claims)?;
    let expires = time(issuer, claims, now)?;
    let subject = match claims.get("sub") {
        Some(Json::Text(subject)) if is_plain(subject, LONGEST_TEXT) => subject.clone(),
        Some(_) => return Err(Rejected::Malformed("sub")),
        None => return Err(Rejected::Missing("sub")),
    };
    let name = match claims.get("name") {
        None => None,
        Some(Json::Text(name)) if !name.chars().any(char::is_control) => shown(name),
        Some(_) => return Err(Rejected::Malformed("name")),
    };
    let role = match claims.get("role") {
        None => None,
        Some(Json::Text(role)) => Some(Role::parse(role).ok_or(Rejected::Malformed("role"))?),
        Some(_) => return Err(Rejected::Malformed("role")),
    };
    Ok(Verified {
        issuer,
        subject,
        community: community(issuer, claims)?,
        name,
        plans: list(claims, "plans", plans)?,
        role,
        spaces: list(claims, "spaces", spaces)?,
        expires,
    })
}

/// A name as far as there is room for it. What a host calls somebody decides nothing, so it keeps nobody out.
fn shown(name: &str) -> Option<String> {
    let name: String = name.trim().chars().take(LONGEST_NAME).collect();
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

fn audience(issuer: &Issuer, claims: &BTreeMap<String, Json>) -> Result<(), Rejected> {
    let meant = |audience: &str| audience == issuer.audience;
    let held = match claims.get("aud") {
        Some(Json::Text(audience)) => meant(audience),
        Some(Json::List(audiences)) if !audiences.is_empty() => {
            let texts: Option<Vec<&str>> = audiences.iter().map(text).collect();
            texts.ok_or(Rejected::Malformed("aud"))?.into_iter().any(meant)
        }
        Some(_) => return Err(Rejected::Malformed("aud")),
        None => return Err(Rejected::Missing("aud")),
    };
    if held { Ok(()) } else { Err(Rejected::Audience) }
}

/// Judges `exp`, `nbf` and `iat` together and gives `exp`.
fn time(issuer: &Issuer, claims: &BTreeMap<String, Json>, now: Timestamp) -> Result<Timestamp, Rejected> {
    let expires = moment(claims, "exp")?.ok_or(Rejected::Missing("exp"))?;
    let not_before = moment(claims, "nbf")?;
    let issued = moment(claims, "iat")?;
    // Nanoseconds in 128 bits: no sum of them overflows. The durations are bounded where issuers are configured; if
    // they were not, these would be strict.
    let now = now.as_nanosecond();
    let leeway = i128::try_from(issuer.leeway.as_nanos()).unwrap_or(0);
    let longest_life = i128::try_from(issuer.longest_life.as_nanos()).unwrap_or(0);
    if now >= expires.as_nanosecond() + leeway {
        return Err(Rejected::Expired);
    }
    if not_before.is_some_and(|not_before| not_before.as_nanosecond() > now + leeway) {
        return Err(Rejected::NotYet);
    }
    if issued.is_some_and(|issued| issued.as_nanosecond() > now + leeway) {
        return Err(Rejected::IssuedLater);
    }
    // A token that does not say when it was issued may not have longer to go than one that was issued now.
    let begins = issued.map_or(now + leeway, Timestamp::as_nanosecond);
    if expires.as_nanosecond() - begins > longest_life {
        return Err(Rejected::LongLived);
    }
    if issued.is_some_and(|issued| issued >= expires) {
        return Err(Rejected::Malformed("exp"));
    }
    Ok(expires)
}

/// A `NumericDate` (RFC 7519 section 2), in whole seconds from 1970 on.
fn moment(claims: &BTreeMap<String, Json>, name: &'static str) -> Result<Option<Timestamp>, Rejected> {
    claims.get(name).map(|value| instant(value).ok_or(Rejected::Malformed(name))).transpose()
}

fn instant(value: &Json) -> Option<Timestamp> {
    match value {
        Json::Integer(seconds @ 0..) => Timestamp::new(*seconds, 0).ok(),
        _ => None,
    }
}

fn text(value: &Json) -> Option<&str> {
    match value {
        Json::Text(text) => Some(text),
        _ => None,
    }
}

fn slug(value: &Json) -> Option<&str> {
    text(value).filter(|slug| is_plain(slug, LONGEST_SLUG))
}

/// The community that the token speaks for. One that is not named is only clear for an issuer of a single community.
fn community(issuer: &Issuer, claims: &BTreeMap<String, Json>) -> Result<String, Rejected> {
    match (claims.get("community"), issuer.communities.as_slice()) {
        (Some(Json::Text(community)), own) if own.contains(community) => Ok(community.clone()),
        (Some(Json::Text(_)), _) => Err(Rejected::Community),
        (Some(_), _) => Err(Rejected::Malformed("community")),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Rejected::Missing("community")),
    }
}

/// A claim that is a list, read by `read`.
fn list<T>(
    claims: &BTreeMap<String, Json>,
    name: &'static str,
    read: impl Fn(&[Json]) -> Option<Vec<T>>,
) -> Result<Option<Vec<T>>, Rejected> {
    let read = |value: &Json| match value {
        Json::List(items) if items.len() <= LONGEST_LIST => read(items),
        _ => None,
    };
    claims.get(name).map(|value| read(value).ok_or(Rejected::Malformed(name))).transpose()
}

fn plans(items: &[Json]) -> Option<Vec<(String, Option<Timestamp>)>> {
    let mut seen = BTreeSet::new();
    // A plan with two ends does not say when it ends.
    let read = |item| plan(item).filter(|(plan, _)| seen.insert(*plan));
    items.iter().map(read).map(|read| read.map(|(plan, until)| (plan.to_owned(), until))).collect()
}

/// A slug, or an object of `plan` and, if the plan ends, `until`. Any other member is refused: a misspelt `until` would
/// be a plan without an end.
fn plan(item: &Json) -> Option<(&str, Option<Timestamp>)> {
    let Json::Object(members) = item else { return slug(item).map(|plan| (plan, None)) };
    if members.keys().any(|name| name != "plan" && name != "until") {
        return None;
    }
    let plan = members.get("plan").and_then(slug)?;
    match members.get("until") {
        None => Some((plan, None)),
        Some(until) => instant(until).map(|until| (plan, Some(until))),
    }
}

fn spaces(items: &[Json]) -> Option<Vec<String>> {
    items.iter().map(|item| slug(item).map(str::to_owned)).collect()
}
