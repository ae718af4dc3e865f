//! Words: what of a question is looked for and in which forms, and what an identifier is made of.
//!
//! A question is any text at all. Only runs of letters and digits are taken from it, each as one quoted string, so
//! no operator of the engine's query language can come through.

use std::collections::BTreeSet;

use super::spelling::spellings;
use super::stem::stem;
use super::stop_words::is_stop_word;

/// The most words of one question that are looked for: the first ones.
const MOST_TERMS: usize = 32;
/// How much of a question is read, in bytes.
const MOST_BYTES: usize = 16 * 1024;
/// A longer run of letters and digits is no word.
const LONGEST_WORD: usize = 64;
/// What a part of an identifier weighs, where the whole identifier weighs 1.
const PART_WEIGHT: f64 = 0.5;

/// A word to look for, in every form in which it may stand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Term {
    /// The word as it was typed, in small letters.
    word: String,
    /// Other forms: its other spelling, and it joined with its neighbour (`start-up` as `startup`).
    others: Vec<String>,
    /// How much it counts beside the others, 1 for a word as it was typed.
    pub(crate) weight: f64,
}

impl Term {
    /// The word in each of its forms.
    pub(super) fn forms(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.word).chain(&self.others).map(String::as_str)
    }
}

/// The engine's expression for chunks that hold a form of a word.
pub(super) fn expression(form: &str) -> String {
    // Forms hold letters and digits only, so they cannot end the string.
    format!("\"{form}\"")
}

/// The engine's expression for titles that hold a form of a word.
pub(super) fn title_expression(form: &str) -> String {
    format!("title : \"{form}\"")
}

/// The words of a question that are worth looking for, in their order, each once.
pub(crate) fn of_query(text: &str) -> Vec<Term> {
    let end = text.floor_char_boundary(MOST_BYTES);
    let typed: Vec<&str> = words(text.get(..end).unwrap_or_default()).collect();
    let mut chosen = distinct(&typed);
    if chosen.iter().any(|word| !is_stop_word(&word.form)) {
        chosen.retain(|word| !is_stop_word(&word.form));
    }
    chosen.truncate(MOST_TERMS);
    chosen.into_iter().map(|word| word.term(&typed)).collect()
}

/// A word of a question, or a part of one.
#[derive(Debug)]
struct Asked {
    /// In small letters.
    form: String,
    weight: f64,
    /// Which of the words that were typed it is, if it is a whole one.
    whole: Option<usize>,
}

impl Asked {
    /// The word with its other forms.
    fn term(self, typed: &[&str]) -> Term {
        let mut others = spellings(&self.form);
        others.extend(self.whole.into_iter().flat_map(|at| joined(typed, at)));
        Term { word: self.form, others, weight: self.weight }
    }
}

/// The words and their parts, the first of each family.
fn distinct(typed: &[&str]) -> Vec<Asked> {
    let mut stems = BTreeSet::new();
    let mut found = Vec::new();
    for (at, word) in typed.iter().enumerate() {
        let parts = parts(word);
        let parts =
            parts.iter().filter(|part| parts.len() > 1 && part.len() > 1).map(|part| (*part, PART_WEIGHT));
        for (form, weight) in std::iter::once((*word, 1.0)).chain(parts) {
            let whole = (form.len() == word.len()).then_some(at);
            let form = form.to_lowercase();
            if stems.insert(stem(&form)) {
                found.push(Asked { form, weight, whole });
            }
        }
    }
    found
}

/// A word as one with the word before it, and with the one after it.
fn joined(typed: &[&str], at: usize) -> Vec<String> {
    let pair = |first: Option<usize>| {
        let first = first?;
        let (one, next) = (typed.get(first)?, typed.get(first.checked_add(1)?)?);
        let is_short = one.len() < 2 || next.len() < 2 || one.len() + next.len() > LONGEST_WORD;
        (!is_short).then(|| format!("{one}{next}").to_lowercase())
    };
    [pair(at.checked_sub(1)), pair(Some(at))].into_iter().flatten().collect()
}

/// The words inside the identifiers of some texts, such as `rigid body 2 d` for `RigidBody2D`, each once. Where there
/// are more than two, neighbours stand joined too (`rigidbody`). The engine splits at punctuation by itself, so
/// `snake_case` and `dotted.paths` need nothing here.
pub(crate) fn identifier_parts(texts: &[&str]) -> String {
    let mut found = BTreeSet::new();
    for word in texts.iter().flat_map(|text| words(text)) {
        let parts = parts(word);
        if parts.len() < 2 {
            continue;
        }
        found.extend(parts.iter().map(|part| part.to_lowercase()));
        if parts.len() > 2 {
            found.extend(
                parts.iter().zip(parts.iter().skip(1)).map(|(a, b)| format!("{a}{b}").to_lowercase()),
            );
        }
    }
    found.into_iter().collect::<Vec<_>>().join(" ")
}

/// Runs of letters and digits, as the engine's tokenizer cuts them. Marks that combine with a letter belong to it.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let in_word = |c: char| match c {
        '\0'..='\u{7f}' => c.is_ascii_alphanumeric(),
        _ => c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c),
    };
    text.split(move |c| !in_word(c)).filter(|word| !word.is_empty() && word.len() <= LONGEST_WORD)
}

/// Where an identifier changes from small to capital letters, or between letters and digits, a part ends; a capital
/// before a small letter begins one (`HTTPServer` is `HTTP`, `Server`).
fn parts(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before: Option<char> = None;
    let mut rest = word.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let next = rest.peek().map(|(_, next)| *next);
        let boundary = before.is_some_and(|before| {
            before.is_lowercase() && c.is_uppercase()
                || before.is_numeric() != c.is_numeric()
                || before.is_uppercase() && c.is_uppercase() && next.is_some_and(char::is_lowercase)
        });
        if boundary && at > start {
            parts.extend(word.get(start..at));
            start = at;
        }
        before = Some(c);
    }
    parts.extend(word.get(start..).filter(|part| !part.is_empty()));
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LONGEST_WORD, MOST_TERMS, expression, identifier_parts, of_query, parts, title_expression};

    fn words(text: &str) -> Vec<String> {
        of_query(text).into_iter().map(|term| term.word).collect()
    }

    #[test]
    fn a_question_is_cut_down_to_what_it_is_about() {
        assert_eq!(words("How do I make a rigid body bounce?"), ["rigid", "body", "bounce"]);
        assert_eq!(words("What is it?"), ["what", "is", "it"], "stop words count where nothing else is left");
        assert_eq!(words("?!… \0"), <[&str; 0]>::default());
        assert_eq!(words("a segment, two segments"), ["segment", "two"], "one word of a family is enough");
    }

    #[test]
    fn operators_of_the_engine_are_words_or_nothing() {
        assert_eq!(words("\"NEAR(x*, y) OR title:z -w ^v"), ["near", "x", "y", "title", "z", "w", "v"]);
    }

    #[test]
    fn identifiers_come_apart_where_people_see_words() {
        assert_eq!(parts("RigidBody2D"), ["Rigid", "Body", "2", "D"]);
        assert_eq!(parts("HTTPServer"), ["HTTP", "Server"]);
        assert_eq!(parts("plain"), ["plain"]);
        assert_eq!(parts("ÄußereHülle"), ["Äußere", "Hülle"]);
        assert_eq!(
            identifier_parts(&["see RigidBody2D", "and plain text"]),
            "2 2d body body2 d rigid rigidbody"
        );
        assert_eq!(words("RigidBody2D"), ["rigidbody2d", "rigid", "body"]);
    }

    #[test]
    fn a_word_is_looked_for_in_its_other_spelling_and_joined_with_its_neighbours() {
        let forms: Vec<Vec<String>> = of_query("the start-up colour")
            .iter()
            .map(|term| term.forms().map(str::to_owned).collect())
            .collect();
        assert_eq!(forms, [vec!["start", "thestart", "startup"], vec!["colour", "color", "upcolour"]]);
        assert_eq!(expression("startup"), "\"startup\"");
        assert_eq!(title_expression("startup"), "title : \"startup\"");
    }

    proptest! {
        #[test]
        fn whatever_is_typed_becomes_a_bounded_list_of_plain_words(text in any::<String>()) {
            let terms = of_query(&text);
            prop_assert!(terms.len() <= MOST_TERMS);
            for form in terms.iter().flat_map(|term| term.forms()) {
                let plain = |c: char| c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c);
                prop_assert!(!form.is_empty() && form.len() <= 3 * LONGEST_WORD);
                prop_assert!(form.chars().all(plain), "{form:?}");
            }
        }
    }
}
