//! `[alarms]` of a target file.

use super::blocklist_file::{read_base, read_route};
use super::file::{Sources, resolve};
use super::read::Section;
use super::{Alarms, Chat, Credential, Identity, State, base_of};

pub(super) fn read_alarms(
    root: &Section<'_, '_>,
    sources: &Sources<'_>,
    chat: &Chat,
    identities: &[Identity],
) -> Option<Alarms> {
    let section = root.section("alarms")?;
    let at = read_base(&section);
    let told_at = section.text("told_at").and_then(|text| {
        let base = base_of(text);
        if base.is_none() {
            section.wrong("told_at", format!("`{text}`"), "an absolute URL such as `http://10.0.0.7:9090`");
        }
        base
    });
    let asker = section.required("as").and_then(|name| {
        let found =
            identities.iter().find(|identity| identity.state == State::Valid && identity.name == name);
        if found.is_none() {
            section.wrong("as", format!("`{name}`"), "a working identity");
        }
        found.cloned()
    });
    let operator =
        section.text("operator").and_then(|reference| resolve(&section, "operator", reference, sources));
    let route = read_route(&section, "route");
    let (sql, script) = (section.required("sql"), section.required("script"));
    section.finish();
    Some(Alarms {
        at,
        chat: chat.clone(),
        asker: asker?,
        told_at,
        operator: operator.map(Credential::bearer),
        route: route?,
        sql: sql?.to_owned(),
        script: script?.to_owned(),
    })
}
