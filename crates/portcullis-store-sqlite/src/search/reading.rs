//! Where the words of a question stand in a text.

use std::collections::HashMap;

use super::stem::stem;
use super::terms::words;

/// The stems to look for, and what was found out about words so far.
#[derive(Debug)]
pub(super) struct Reader {
    /// Each stem with the place of its term in the question.
    stems: Vec<(String, usize)>,
    /// With what the words begin that have to be looked at. Most words of a text begin otherwise.
    beginnings: Vec<StemBeginning>,
    terms: usize,
    /// The terms of words that were looked at, as the words stand in the texts.
    known: HashMap<String, Vec<usize>>,
}

/// A text that can be read for one question after the other: its words are found already.
#[derive(Debug)]
pub(super) struct Text {
    text: Box<str>,
    /// Where each word begins.
    starts: Box<[u32]>,
    /// With what each word begins.
    beginnings: Box<[Beginning]>,
}

/// A text as far as a question is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reading {
    /// How many words it has.
    pub(super) words: usize,
    /// For each term of the question the places of its words, from 0 and rising.
    pub(super) places: Vec<Vec<usize>>,
}

/// So many words are compared in one go.
const BLOCK: usize = 32;

impl Reader {
    /// A reader for so many terms that looks for these forms, each with the place of its term in the question. The forms of
    /// a term stand together.
    pub(super) fn new<'f>(terms: usize, forms: impl Iterator<Item = (usize, &'f str)>) -> Self {
        let stems: Vec<(String, usize)> = forms.map(|(term, form)| (stem(form), term)).collect();
        let mut beginnings: Vec<StemBeginning> =
            stems.iter().map(|(stem, _)| StemBeginning::of(stem)).chain([StemBeginning::ANY]).collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        Self { stems, beginnings, terms, known: HashMap::new() }
    }

    /// Reads a text.
    pub(super) fn read(&mut self, text: &Text) -> Reading {
        let mut reading = Reading { words: text.beginnings.len(), places: vec![Vec::new(); self.terms] };
        for (number, block) in text.beginnings.chunks(BLOCK).enumerate() {
            // Without a branch, so that the processor compares several words at once.
            let mut alike = [0; BLOCK];
            for beginning in &self.beginnings {
                for (alike, word) in alike.iter_mut().zip(block) {
                    *alike |= u32::from(beginning.may_be_of(*word));
                }
            }
            if alike.iter().fold(0, |any, alike| any | alike) == 0 {
                continue;
            }
            for (at, _) in alike.iter().enumerate().filter(|(_, alike)| **alike != 0) {
                let place = number * BLOCK + at;
                for term in text.word(place).map(|word| self.terms_of(word)).unwrap_or_default() {
                    if let Some(places) = reading.places.get_mut(*term) {
                        places.push(place);
                    }
                }
            }
        }
        reading
    }

    /// The terms of which a word is a form, each once.
    fn terms_of(&mut self, word: &str) -> &[usize] {
        // Looked up twice where it is new, as a borrow that is returned lasts.
        if !self.known.contains_key(word) {
            let found = stem(&word.to_lowercase());
            let mut terms: Vec<usize> =
                self.stems.iter().filter(|(stem, _)| *stem == found).map(|(_, term)| *term).collect();
            terms.dedup();
            self.known.insert(word.to_owned(), terms);
        }
        self.known.get(word).map_or(&[], Vec::as_slice)
    }
}

impl Text {
    /// Finds the words of a text.
    pub(super) fn new(text: &str) -> Self {
        // A word with the space behind it is longer than this in most texts.
        let mut starts = Vec::with_capacity(text.len() / 5);
        let mut beginnings = Vec::with_capacity(text.len() / 5);
        for word in words(text) {
            let start = word.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
            starts.push(u32::try_from(start).unwrap_or(u32::MAX));
            beginnings.push(Beginning::of(word));
        }
        Self { text: text.into(), starts: starts.into(), beginnings: beginnings.into() }
    }

    fn word(&self, place: usize) -> Option<&str> {
        let start = usize::try_from(*self.starts.get(place)?).ok()?;
        words(self.text.get(start..)?).next()
    }

    #[cfg(test)]
    fn words(&self) -> impl Iterator<Item = &str> {
        (0..self.starts.len()).filter_map(|place| self.word(place))
    }

    /// How much memory it takes.
    pub(super) fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.text.len() + size_of_val(&*self.starts) + size_of_val(&*self.beginnings)
    }
}

/// The first four letters of a word, small, the first one lowest; 0 where it has fewer. [`Beginning::ANY`] where one of the four
/// bytes is no letter of ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Beginning(u32);

impl Beginning {
    const ANY: Self = Self(u32::MAX);

    fn of(word: &str) -> Self {
        let mut bytes = [0; 4];
        for (slot, byte) in bytes.iter_mut().zip(word.bytes()) {
            *slot = byte.to_ascii_lowercase();
        }
        if bytes.is_ascii() { Self(u32::from_le_bytes(bytes)) } else { Self::ANY }
    }
}

/// With what all words begin that have a stem. Stemming changes nothing before the last letter of what it leaves, so that is the
/// stem's own beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct StemBeginning {
    beginning: u32,
    mask: u32,
}

impl StemBeginning {
    /// Words that may be of any stem.
    const ANY: Self = Self { beginning: Beginning::ANY.0, mask: u32::MAX };

    fn of(stem: &str) -> Self {
        let kept = stem.len().saturating_sub(1).clamp(1, 4);
        let (mut beginning, mut mask) = ([0; 4], [0; 4]);
        for ((byte, mask), letter) in beginning.iter_mut().zip(&mut mask).zip(stem.bytes().take(kept)) {
            (*byte, *mask) = (letter, u8::MAX);
        }
        if beginning.is_ascii() {
            return Self { beginning: u32::from_le_bytes(beginning), mask: u32::from_le_bytes(mask) };
        }
        // Words that begin with other letters than those of ASCII may be of any stem.
        Self::ANY
    }

    const fn may_be_of(self, word: Beginning) -> bool {
        word.0 & self.mask == self.beginning
    }
}

impl Reading {
    /// How many words lie from a word of one term to the nearest of another, if the text holds both.
    pub(super) fn distance(&self, one: usize, other: usize) -> Option<usize> {
        let (ones, others) = (self.places.get(one)?, self.places.get(other)?);
        let nearest = |place: &usize| {
            let after = others.partition_point(|other| other < place);
            let around = [after.checked_sub(1), Some(after)].into_iter().flatten();
            around.filter_map(|at| Some(others.get(at)?.abs_diff(*place))).min()
        };
        ones.iter().filter_map(nearest).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Beginning, Reader, Reading, Text};
    use crate::search::stem::stem;
    use crate::search::terms::{of_query, words};

    fn read(question: &str, text: &str) -> Reading {
        let terms = of_query(question);
        let forms = terms.iter().enumerate();
        let forms = forms.flat_map(|(number, term)| term.forms().map(move |form| (number, form)));
        Reader::new(terms.len(), forms).read(&Text::new(text))
    }

    /// The same without leaving any word out.
    fn read_all(question: &str, text: &str) -> Reading {
        let terms = of_query(question);
        let read: Vec<String> = words(text).map(|word| stem(&word.to_lowercase())).collect();
        let places = terms.iter().map(|term| {
            let stems: Vec<String> = term.forms().map(stem).collect();
            (0..read.len()).filter(|place| stems.contains(&read[*place])).collect()
        });
        Reading { words: read.len(), places: places.collect() }
    }

    #[test]
    fn words_are_found_by_their_stems_and_in_every_form() {
        let reading = read("segmenting colours", "The Segmentation has a color, all segments have colours.");
        assert_eq!(reading.words, 9);
        assert_eq!(reading.places, [vec![1, 6], vec![4, 8]]);
        assert_eq!(read("ÉTÉ", "un été").places, [vec![1]]);
        assert_eq!(read("start-up", "at startup").places, [vec![1]]);
    }

    #[test]
    fn the_distance_is_that_of_the_nearest_two() {
        let reading = read("one rigid body", "body of this and that rigid thing with a body");
        assert_eq!(reading.distance(0, 1), Some(4));
        assert_eq!(reading.distance(1, 0), Some(4));
        assert_eq!(reading.distance(0, 2), None);
        assert_eq!(read("rigid body", "rigid only").distance(0, 1), None);
    }

    proptest! {
        #[test]
        fn no_word_is_missed_that_reading_each_word_finds(
            text in "([a-eA-E\u{e9}\u{c9}\u{212a}\u{130}1]{1,6}(s|es|ed|ing|y|ies|ation|ational|ability|ive|)[ .,\u{301}-]){0,30}",
            picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
            other in "[a-e\u{e9}k]{1,4}(s|ed|ing|y)?",
        ) {
            let all: Vec<&str> = words(&text).collect();
            let mut asked: Vec<&str> =
                picks.iter().filter(|_| !all.is_empty()).map(|pick| all[pick.index(all.len())]).collect();
            asked.push(&other);
            let question = asked.join(" ");
            prop_assert_eq!(read(&question, &text), read_all(&question, &text), "{}", question);
        }

        #[test]
        fn any_text_is_cut_as_its_words_are(text in any::<String>(), question in any::<String>()) {
            prop_assert_eq!(read(&question, &text), read_all(&question, &text));
            let cut = Text::new(&text);
            prop_assert_eq!(cut.words().collect::<Vec<_>>(), words(&text).collect::<Vec<_>>());
            let beginnings: Vec<Beginning> = words(&text).map(Beginning::of).collect();
            prop_assert_eq!(&*cut.beginnings, beginnings);
        }
    }
}
