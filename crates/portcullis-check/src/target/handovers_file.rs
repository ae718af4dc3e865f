//! `[handovers]` of a target file.

use std::time::Duration;

use super::file::read_request;
use super::handovers::LONGEST_HANDOVER;
use super::read::Section;
use super::{Chat, HandoverQueue, Identity, Purpose, Staffed, State, base_of};

/// Where questions go that a person should see.
pub(super) fn read_handovers(
    root: &Section<'_, '_>,
    chat: &Chat,
    identities: &[Identity],
) -> Option<HandoverQueue> {
    let section = root.section("handovers")?;
    let url = |key: &'static str| {
        let text = section.text(key)?;
        let base = base_of(text);
        if base.is_none() {
            section.wrong(key, format!("`{text}`"), "an absolute URL such as `http://10.0.0.7:8080`");
        }
        base
    };
    let (at, trace) = (url("base_url"), url("trace"));
    let usable = |identity: &&Identity| identity.state == State::Valid && identity.purpose != Purpose::Limits;
    let names = section.texts("as");
    let askers: Vec<Identity> =
        identities.iter().filter(usable).filter(|identity| names.contains(&identity.name)).cloned().collect();
    if askers.is_empty() || askers.len() != names.len() {
        let found = format!("{} working identities of {}", askers.len(), names.len());
        section.wrong("as", found, "working identities");
    }
    if askers.iter().any(|asker| askers.iter().any(|other| !asker.is_peer(other))) {
        let wanted = "members of one community who may all see the same";
        section.wrong("as", "identities of different standing", wanted);
    }
    let list = section.section("list").and_then(|list| {
        let route = read_request(&list);
        list.finish();
        route
    });
    if list.is_none() {
        let wanted = "what lists the queue, such as `{ method = \"GET\", path = \"/queue\", as = \"stan\" }`";
        section.wrong("list", "nothing", wanted);
    }
    let reader = list
        .as_ref()
        .and_then(|list| list.identity.as_ref())
        .and_then(|name| identities.iter().filter(usable).find(|identity| identity.name == *name).cloned());
    if list.is_some() && reader.is_none() {
        section.wrong("list", "nobody who may list it", "`as` with a working identity");
    }
    let within = section.number("within_seconds", 1..=60);
    let staffed = match (section.text("staffed_by"), section.text("staffed_until")) {
        (Some(by), Some(until)) => match until.parse() {
            Ok(until) => Some(Staffed { by: by.to_owned(), until }),
            Err(_) => {
                section.wrong(
                    "staffed_until",
                    format!("`{until}`"),
                    "a moment such as `2026-06-01T00:00:00Z`",
                );
                None
            }
        },
        (None, None) => None,
        _ => {
            section.wrong("staffed_by", "one of `staffed_by` and `staffed_until`", "both, or neither");
            None
        }
    };
    section.finish();
    let within = within.map_or(LONGEST_HANDOVER, |seconds| Duration::from_secs(seconds.into()));
    Some(HandoverQueue {
        at,
        chat: chat.clone(),
        askers,
        list: list?,
        reader: reader?,
        trace,
        within,
        staffed,
    })
}
