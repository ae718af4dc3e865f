//! Where the words of a question stand in a text.

use super::stem::stem;
use super::terms::{Term, words};

/// The stems to look for, each with the place of its term in the question.
#[derive(Debug)]
pub(super) struct Reader {
    stems: Vec<(String, usize)>,
    beginnings: Beginnings,
}

/// A text as far as a question is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reading {
    /// How many words it has.
    pub(super) words: usize,
    /// For each term of the question the places of its words, from 0 and rising.
    pub(super) places: Vec<Vec<usize>>,
}

impl Reader {
    /// A reader that looks for every form of the terms.
    pub(super) fn new(terms: &[Term]) -> Self {
        let stems: Vec<(String, usize)> = terms
            .iter()
            .enumerate()
            .flat_map(|(number, term)| term.forms().map(move |form| (stem(form), number)))
            .collect();
        let beginnings = Beginnings::of(stems.iter().map(|(stem, _)| stem.as_str()));
        Self { stems, beginnings }
    }

    /// Reads a text for so many terms.
    pub(super) fn read(&self, text: &str, terms: usize) -> Reading {
        let mut reading = Reading { words: 0, places: vec![Vec::new(); terms] };
        for word in words(text) {
            let place = reading.words;
            reading.words += 1;
            if !self.beginnings.may_begin(word) {
                continue;
            }
            let found = stem(&word.to_lowercase());
            for (_, number) in self.stems.iter().filter(|(stem, _)| *stem == found) {
                if let Some(places) = reading.places.get_mut(*number)
                    && places.last() != Some(&place)
                {
                    places.push(place);
                }
            }
        }
        reading
    }
}

/// With which two letters a word may begin that has one of the stems. Most words of a text begin otherwise, and need
/// not be stemmed to see that.
#[derive(Debug)]
struct Beginnings(Vec<bool>);

impl Beginnings {
    /// Two letters of ASCII, the second 0 for a word of one letter.
    const ALL: usize = 128 * 128;

    fn of<'s>(stems: impl Iterator<Item = &'s str>) -> Self {
        let mut all = Self(vec![false; Self::ALL]);
        for stem in stems {
            // Stemming changes nothing before the last letter of what it leaves.
            let seconds = match stem.as_bytes() {
                [_, second, _, ..] => usize::from(*second)..=usize::from(*second),
                _ => 0..=127,
            };
            for place in seconds.filter_map(|second| Self::place(stem.bytes().next(), second)) {
                if let Some(may_begin) = all.0.get_mut(place) {
                    *may_begin = true;
                }
            }
        }
        all
    }

    fn place(first: Option<u8>, second: usize) -> Option<usize> {
        let first = usize::from(first?);
        (first < 128 && second < 128).then_some(first * 128 + second)
    }

    /// Whether the word may have one of the stems. Words that do not begin with letters of ASCII always may.
    fn may_begin(&self, word: &str) -> bool {
        let mut letters = word.bytes().map(|letter| letter.to_ascii_lowercase());
        let (first, second) = (letters.next(), letters.next().unwrap_or(0));
        Self::place(first, second.into()).is_none_or(|place| self.0.get(place) == Some(&true))
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
    use super::{Reader, Reading};
    use crate::search::terms::of_query;

    fn read(question: &str, text: &str) -> Reading {
        let terms = of_query(question);
        Reader::new(&terms).read(text, terms.len())
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
}
