//! `[[tier]]` of a target file.

use super::read::Section;
use super::{Chat, Hooks, Identity, State, TierPlace, base_of};

/// The tiers.
pub(super) const TIERS: [&str; 3] = ["standard", "enhanced", "dedicated"];

pub(super) fn read_tiers(
    root: &Section<'_, '_>,
    chat: &Chat,
    question: &str,
    identities: &[Identity],
) -> Vec<TierPlace> {
    root.sections("tier")
        .iter()
        .filter_map(|section| read_tier(section, chat, question, identities))
        .collect()
}

fn read_tier(
    section: &Section<'_, '_>,
    chat: &Chat,
    question: &str,
    identities: &[Identity],
) -> Option<TierPlace> {
    let tier = section.required("tier");
    if tier.is_some_and(|tier| !TIERS.contains(&tier)) {
        section.wrong(
            "tier",
            format!("`{}`", tier.unwrap_or_default()),
            "`standard`, `enhanced` or `dedicated`",
        );
    }
    let url = |key: &'static str| {
        let text = section.text(key)?;
        let base = base_of(text);
        if base.is_none() {
            section.wrong(key, format!("`{text}`"), "an absolute URL such as `http://10.0.0.7:8080/hooks`");
        }
        base
    };
    let (at, hooks) = (url("base_url"), url("hooks"));
    if hooks.is_none() {
        section.wrong("hooks", "nothing", "where the clock of the deployment for tests is moved");
    }
    let names = section.texts("as");
    let usable = |identity: &&Identity| identity.state == State::Valid && names.contains(&identity.name);
    let askers: Vec<Identity> = identities.iter().filter(usable).cloned().collect();
    if askers.is_empty() || askers.len() != names.len() {
        section.wrong(
            "as",
            format!("{} working identities of {}", askers.len(), names.len()),
            "working identities",
        );
    }
    section.finish();
    Some(TierPlace {
        tier: tier?.to_owned(),
        at,
        route: chat.asking(question),
        askers,
        hooks: Hooks::At(hooks?),
    })
}
