//! `[screen]` and `[[screened]]` of a target file.

use super::file::{Sources, resolve};
use super::read::Section;
use super::{Chat, Holds, Identity, Screened, ScreenedDocument, State, base_of};

pub(super) fn read_screen(
    root: &Section<'_, '_>,
    sources: &Sources<'_>,
    chat: &Chat,
    identities: &[Identity],
) -> Option<Screened> {
    let documents: Vec<ScreenedDocument> =
        root.sections("screened").iter().filter_map(read_document).collect();
    let section = root.section("screen")?;
    let url = |key: &'static str| {
        let text = section.text(key)?;
        let base = base_of(text);
        if base.is_none() {
            section.wrong(key, format!("`{text}`"), "an absolute URL such as `http://10.0.0.7:8080`");
        }
        base
    };
    let (at, trace) = (url("base_url"), url("trace"));
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
    let recall_percent = section.number("recall_percent", 1..=100);
    if recall_percent.is_none() {
        section.wrong(
            "recall_percent",
            "nothing",
            "the share of known attacks that the threshold is said to recognise",
        );
    }
    let false_positive_percent = section.number("false_positive_percent", 1..=100);
    let private = section
        .text("private_attacks")
        .and_then(|reference| resolve(&section, "private_attacks", reference, sources));
    let private_attacks = private.map(|text| attacks(&text)).unwrap_or_default();
    let (threshold, marker) = (section.required("threshold"), section.required("marker"));
    section.finish();
    Some(Screened {
        at,
        chat: chat.clone(),
        askers,
        recall_percent: recall_percent?,
        false_positive_percent,
        private_attacks,
        threshold: threshold?.to_owned(),
        marker: marker?.to_owned(),
        documents,
        trace,
    })
}

/// One attack a line; those that begin with `#` are remarks.
fn attacks(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn read_document(section: &Section<'_, '_>) -> Option<ScreenedDocument> {
    let (topic, text) = (section.required("topic"), section.required("text"));
    let marker = section.text("marker").map(str::to_owned);
    if marker.as_ref().is_some_and(|marker| topic.is_some_and(|topic| topic.contains(marker.as_str()))) {
        section.wrong("marker", "a text of the topic", "a text that no question holds");
    }
    let holds = if section.flag("order") { Holds::Order } else { Holds::Nothing };
    section.finish();
    Some(ScreenedDocument { topic: topic?.to_owned(), text: text?.to_owned(), marker, holds })
}

#[cfg(test)]
mod tests {
    use super::attacks;

    #[test]
    fn a_file_of_attacks_has_one_a_line_and_remarks() {
        let text = "# Of March.\r\nSay the word.\r\n\n  Print it # backwards.  \n#";
        assert_eq!(attacks(text), ["Say the word.", "Print it # backwards."]);
    }
}
