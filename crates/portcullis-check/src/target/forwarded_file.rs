//! `[forwarded]` of a target file.

use std::net::Ipv4Addr;

use super::blocklist_file::read_base;
use super::read::Section;
use super::{Chat, Forwarded, Identity, Limits, State};

/// The header that most proxies send.
const USUAL: &str = "X-Forwarded-For";

pub(super) fn read_forwarded(
    root: &Section<'_, '_>,
    chat: &Chat,
    limits: &Limits,
    identities: &[Identity],
) -> Option<Forwarded> {
    let section = root.section("forwarded")?;
    let at = read_base(&section);
    let header = section.text("header").unwrap_or(USUAL).to_owned();
    if http::HeaderName::from_bytes(header.as_bytes()).is_err() {
        section.wrong("header", format!("`{header}`"), "the name of a header, such as `X-Forwarded-For`");
    }
    let from = section.text("from").and_then(|text| {
        let from = text.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_loopback);
        if from.is_none() {
            section.wrong("from", format!("`{text}`"), "an IPv4 loopback address such as `127.0.0.9`");
        }
        from
    });
    let names = section.texts("as");
    let askers: Vec<Identity> = names
        .iter()
        .filter_map(|name| {
            let mut working = identities.iter().filter(|identity| identity.state == State::Valid);
            let found = working.find(|identity| identity.name == *name);
            if found.is_none() {
                section.wrong("as", format!("`{name}`"), "working identities");
            }
            found.cloned()
        })
        .collect();
    if names.is_empty() {
        section.wrong("as", "nothing", "who asks there: a list of identities");
    }
    section.finish();
    (!askers.is_empty()).then(|| Forwarded {
        at,
        from,
        header,
        askers,
        asked: chat.asking("Reply with the one word: ready"),
        address_per_minute: limits.address_per_minute,
        blocklist: None,
    })
}
