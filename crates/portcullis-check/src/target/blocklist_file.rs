//! `[blocklist]` and `[auto_block]` of a target file.

use std::time::Duration;

use http::Uri;

use super::blocklist::{ENTRY, NETWORK};
use super::file::{Sources, read_request, resolve};
use super::read::Section;
use super::{AutoBlock, Blocklist, Credential, Identity, Purpose, Route, State, base_of};

/// A marker that is shorter stands in many an answer.
pub(super) const SHORTEST_MARKER: usize = 6;

pub(super) fn read_blocklist(root: &Section<'_, '_>, sources: &Sources<'_>) -> Option<Blocklist> {
    let section = root.section("blocklist")?;
    let at = read_base(&section);
    let operator =
        section.required("operator").and_then(|reference| resolve(&section, "operator", reference, sources));
    let entry = section.text("entry").map(str::to_owned);
    if let Some(pointer) = entry.as_ref().filter(|pointer| !pointer.starts_with('/')) {
        section.wrong("entry", format!("`{pointer}`"), "a JSON pointer such as `/id`");
    }
    let (add, remove) = (read_route(&section, "add"), read_route(&section, "remove"));
    let (list, asked) = (read_route(&section, "list"), read_route(&section, "asked"));
    if add.as_ref().is_some_and(|route| !route.holds(NETWORK)) {
        section.wrong(
            "add",
            "a request without `{{network}}`",
            "a request that says what to block: `{{network}}`",
        );
    }
    if remove.as_ref().is_some_and(|route| !route.holds(ENTRY) && !route.holds(NETWORK)) {
        section.wrong(
            "remove",
            "a request without `{{entry}}`",
            "a request that says which entry: `{{entry}}` or `{{network}}`",
        );
    }
    if remove.as_ref().is_some_and(|route| route.holds(ENTRY)) && entry.is_none() {
        section.wrong("entry", "nothing", "where the answer says the entry's id, such as `/id`");
    }
    let marker = read_marker(&section);
    section.finish();
    Some(Blocklist {
        at,
        operator: Credential::bearer(operator?),
        add: add?,
        entry,
        remove: remove?,
        list: list?,
        asked: asked?,
        marker: marker?,
    })
}

pub(super) fn read_auto_block(root: &Section<'_, '_>, identities: &[Identity]) -> Option<AutoBlock> {
    let section = root.section("auto_block")?;
    let at = read_base(&section);
    let name = section.required("as");
    let usable = |identity: &&Identity| identity.state == State::Valid && identity.purpose != Purpose::Limits;
    let asker =
        identities.iter().filter(usable).find(|identity| Some(identity.name.as_str()) == name).cloned();
    if asker.is_none() && name.is_some() {
        section.wrong("as", format!("`{}`", name.unwrap_or_default()), "a working identity");
    }
    let asked = read_route(&section, "asked");
    let number = |key: &'static str, most: u32| {
        let number = section.number(key, 1..=most);
        if number.is_none() && section.number(key, 0..=u32::MAX).is_none() {
            section.wrong(key, "nothing", "a value: this key is required");
        }
        number
    };
    let (threshold, lasts) = (number("threshold", 10_000), number("lasts_seconds", 31_536_000));
    let marker = read_marker(&section);
    section.finish();
    Some(AutoBlock {
        at,
        asker: asker?,
        asked: asked?,
        threshold: threshold?,
        lasts: Duration::from_secs(lasts?.into()),
        marker: marker?,
    })
}

pub(super) fn read_base(section: &Section<'_, '_>) -> Option<Uri> {
    let text = section.text("base_url")?;
    let base = base_of(text);
    if base.is_none() {
        section.wrong("base_url", format!("`{text}`"), "an absolute URL such as `http://10.0.0.7:8081`");
    }
    base
}

pub(super) fn read_route(section: &Section<'_, '_>, name: &'static str) -> Option<Route> {
    let Some(inner) = section.section(name) else {
        section.wrong(name, "nothing", "a table with `method` and `path`");
        return None;
    };
    let route = read_request(&inner);
    inner.finish();
    route
}

fn read_marker(section: &Section<'_, '_>) -> Option<String> {
    let marker = section.required("marker")?;
    if marker.chars().filter(|c| c.is_alphanumeric()).count() < SHORTEST_MARKER {
        let wanted =
            "text of at least 6 letters that stands in the answer to a blocked address and in no other";
        section.wrong("marker", format!("`{marker}`"), wanted);
    }
    Some(marker.to_owned())
}
