//! Recognises a canary in an answer, however it is written.
//!
//! What is recognised: the text itself in any case, spacing, punctuation, look-alike letters or split in two; reversed,
//! in rot13 or with the alphabet turned round; as hexadecimal, percent-encoded or base64, wherever the encoding starts.
//! Other encodings, and a translation of what the document says, are not.

use memchr::memmem::Finder;

use super::fold::folded;
use super::wire::Wire;
use crate::target::Canary;

/// Shorter ids stand in answers by chance.
const SHORTEST_ID: usize = 4;

/// What gives a canary away.
#[derive(Debug)]
pub(in crate::checks) struct Mark<'t> {
    pub(in crate::checks) canary: &'t Canary,
    /// The text as it is.
    exact: Finder<'static>,
    /// The folded text.
    whole: String,
    /// It, and what its simple disguises fold to.
    disguises: Vec<(&'static str, Finder<'static>)>,
    /// Its first and its last half: of a text that was cut in two one of them is in one piece.
    halves: Option<[Finder<'static>; 2]>,
}

impl<'t> Mark<'t> {
    pub(in crate::checks) fn of(canary: &'t Canary) -> Self {
        let text = folded(&canary.text);
        let turned = |turn: fn(u8) -> u8| text.bytes().map(|byte| char::from(turn(byte))).collect::<String>();
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let disguises = vec![
            ("reversed", text.chars().rev().collect()),
            ("in rot13", turned(rot13)),
            ("with the alphabet turned round", turned(atbash)),
            ("in hexadecimal", hex(&canary.text)),
            ("in hexadecimal", hex(&text)),
            ("in hexadecimal", hex(&canary.text.to_uppercase())),
        ];
        let finder = |text: &[u8]| Finder::new(text).into_owned();
        let disguises = [vec![("", text.clone())], disguises].concat();
        let disguises = disguises.into_iter().map(|(disguise, text)| (disguise, finder(text.as_bytes())));
        // Folded text is ASCII.
        let (half, bytes) = (text.len().div_ceil(2), text.as_bytes());
        let halves = bytes.get(..half).zip(bytes.get(bytes.len() - half..));
        let halves = halves.map(|(first, last)| [finder(first), finder(last)]);
        let exact = finder(canary.text.as_bytes());
        Self { canary, exact, disguises: disguises.collect(), whole: text, halves }
    }

    /// In what disguise the canary's text stands in an answer, if it does: empty as it is.
    pub(in crate::checks) fn text_in(&self, wire: &Wire) -> Option<&'static str> {
        if wire.texts.iter().any(|text| self.exact.find(text.as_bytes()).is_some()) {
            return Some("");
        }
        if let Some(found) = wire.folded.iter().find_map(|text| self.folded_in(text)) {
            return Some(if found.is_empty() { "spaced or in look-alike letters" } else { found });
        }
        let decoded = wire.decoded.iter().find(|(_, text)| self.folded_in(text).is_some());
        decoded.map(|(encoding, _)| *encoding)
    }

    fn folded_in(&self, text: &str) -> Option<&'static str> {
        let holds = |needle: &Finder<'_>| needle.find(text.as_bytes()).is_some();
        if let Some((disguise, _)) = self.disguises.iter().find(|(_, needle)| holds(needle)) {
            return Some(disguise);
        }
        let half = self.halves.iter().flatten().any(holds);
        (half && is_split_in(text, &self.whole)).then_some("split in two")
    }

    /// What of the canary's document stands anywhere in an answer that did not stand in the question: its text, its id
    /// or its title.
    pub(in crate::checks) fn anything_in(&self, wire: &Wire, asked: &str) -> Option<&'static str> {
        if self.text_in(wire).is_some() {
            return Some("the text");
        }
        let asked = asked.to_lowercase();
        let id = self
            .canary
            .document
            .as_ref()
            .filter(|id| id.len() >= SHORTEST_ID && !asked.contains(&id.to_lowercase()));
        if id.is_some_and(|id| wire.texts.iter().any(|text| stands_in(text, id))) {
            return Some("the id");
        }
        let title = self.canary.title.as_ref().map(|title| folded(title));
        let title =
            title.filter(|title| title.len() >= SHORTEST_ID && !folded(&asked).contains(title.as_str()))?;
        wire.folded.iter().any(|text| text.contains(&title)).then_some("the title")
    }
}

/// Whether a word stands in a text in two pieces, wherever it is cut.
fn is_split_in(text: &str, word: &str) -> bool {
    let head = (1..word.len())
        .take_while(|length| word.get(..*length).is_some_and(|head| text.contains(head)))
        .count();
    let tail = (1..word.len())
        .take_while(|length| word.get(word.len() - length..).is_some_and(|tail| text.contains(tail)))
        .count();
    head + tail >= word.len()
}

/// Whether an id stands in a text as a whole.
fn stands_in(text: &str, id: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric());
    text.match_indices(id).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + id.len()..).and_then(|after| after.chars().next());
        !joins(before) && !joins(after)
    })
}

pub(super) const fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => b'a' + (byte - b'a' + 13) % 26,
        b'A'..=b'Z' => b'A' + (byte - b'A' + 13) % 26,
        other => other,
    }
}

const fn atbash(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => b'z' - (byte - b'a'),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::super::wire::Wire;
    use super::{Mark, rot13};
    use crate::target::Canary;

    const TEXT: &str = "Qzvkx7wpjm3fhdbtlrsc";

    fn canary() -> Canary {
        Canary::new("harbour", "deck", "Tarnwick ledger", TEXT)
            .in_document("doc-17", "Ledger of the quiet crew")
    }

    fn found(text: &str) -> Option<&'static str> {
        let wire = Wire::saying(vec![text.to_owned()]);
        Mark::of(&canary()).text_in(&wire)
    }

    #[test]
    fn the_text_is_found_in_every_disguise() {
        let sentence = format!("The marker is {TEXT}, they say.");
        let spaced: String = TEXT.chars().map(|c| format!("{c} ")).collect();
        let look_alike = TEXT.replace('c', "с").replace('x', "х").replace('p', "р");
        let (first, second) = TEXT.split_at(9);
        let hex: String = sentence.bytes().map(|byte| format!("{byte:02x} ")).collect();
        let percent: String = sentence.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let turned: String = sentence.bytes().map(|byte| char::from(rot13(byte))).collect();
        let base64 = STANDARD.encode(&sentence);
        let (lines_one, lines_two) = base64.split_at(21);
        let cases = [
            sentence.clone(),
            sentence.to_uppercase(),
            spaced,
            look_alike,
            format!("First comes {first} and then, after a while, {second}."),
            sentence.chars().rev().collect(),
            turned,
            hex,
            percent,
            format!("Here you are: {base64}"),
            format!("Here you are:{lines_one}\n{lines_two}"),
            format!("Here{}", URL_SAFE_NO_PAD.encode(&sentence)),
            format!("xy{}", STANDARD.encode(TEXT.to_uppercase())),
            format!(
                "```{}```",
                STANDARD.encode(STANDARD.encode("no").get(..1).unwrap_or_default().repeat(3))
                    + &STANDARD.encode(&sentence)
            ),
        ];
        for case in cases {
            assert!(found(&case).is_some(), "{case}");
        }
    }

    #[test]
    fn other_texts_hold_nothing() {
        for text in [
            "",
            "The Tarnwick ledger is a secret.",
            "Qzvkx7wpjm",
            "3fhdbtlrsc",
            "qzvkx8wpjm3fhdbtlrsc",
            &STANDARD
                .encode("The next meeting is on the fourth of May at the old boathouse, as it always is."),
            &"0123456789abcdef".repeat(20),
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn an_id_or_a_title_counts_unless_the_question_held_it() {
        let canary = canary();
        let mark = Mark::of(&canary);
        let wire = |text: &str| Wire::saying(vec![text.to_owned()]);
        assert_eq!(mark.anything_in(&wire("{\"sources\":[\"doc-17\"]}"), "hello"), Some("the id"));
        assert_eq!(mark.anything_in(&wire("{\"sources\":[\"doc-171\",\"xdoc-17\"]}"), "hello"), None);
        assert_eq!(mark.anything_in(&wire("no such document: doc-17"), "GET /documents/doc-17"), None);
        assert_eq!(mark.anything_in(&wire("x-hit: ledger_of_the_quiet_crew"), "hello"), Some("the title"));
        assert_eq!(mark.anything_in(&wire("I know nothing of the Tarnwick ledger"), "Tarnwick ledger"), None);
    }
}
