//! Release: citations only of what was recalled.
//!
//! A model may write `[7]` when it was given five passages, and a reader would believe that a source stands behind
//! it. The fence drops such marks, in a stream too, and keeps note of which passages were cited.

use std::collections::BTreeSet;

/// The name of this guard.
pub const NAME: &str = "citation-fence";
/// What it stops.
pub const ABOUT: &str = "citation marks of passages that were not recalled for this answer are dropped";

/// The longest mark that is looked at, `[9999]`; longer text in brackets is prose.
const LONGEST: usize = 6;

/// Filters the text of one answer, in pieces of any size. The result does not depend on where it is cut.
#[derive(Debug)]
pub struct CitationFence {
    passages: usize,
    held: String,
    cited: BTreeSet<usize>,
}

impl CitationFence {
    /// A fence for an answer that was given that many passages, numbered from 1.
    pub fn new(passages: usize) -> Self {
        Self { passages, held: String::new(), cited: BTreeSet::new() }
    }

    /// Takes a piece of the answer and returns what may leave now.
    pub fn push(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(self.held.len() + piece.len());
        for c in piece.chars() {
            if self.held.is_empty() {
                if c == '[' { self.held.push(c) } else { out.push(c) }
            } else if c == ']' {
                self.settle(&mut out);
            } else if c.is_ascii_digit() && self.held.len() < LONGEST - 1 {
                self.held.push(c);
            } else {
                // Not a mark after all: prose in brackets, which may itself begin with a bracket.
                out.push_str(&self.held);
                self.held.clear();
                if c == '[' { self.held.push(c) } else { out.push(c) }
            }
        }
        out
    }

    /// Ends the answer and returns what was still held back.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Which passages were cited so far, from 0.
    pub fn cited(&self) -> &BTreeSet<usize> {
        &self.cited
    }

    fn settle(&mut self, out: &mut String) {
        match self.held.trim_start_matches('[').parse::<usize>() {
            Ok(number) if (1..=self.passages).contains(&number) => {
                self.cited.insert(number - 1);
                out.push_str(&self.held);
                out.push(']');
            }
            Ok(_) => {}
            Err(_) => {
                out.push_str(&self.held);
                out.push(']');
            }
        }
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::CitationFence;

    fn whole(text: &str) -> (String, Vec<usize>) {
        let mut fence = CitationFence::new(2);
        let mut out = fence.push(text);
        out.push_str(&fence.finish());
        (out, fence.cited().iter().copied().collect())
    }

    #[test]
    fn only_marks_of_recalled_passages_stay() {
        assert_eq!(whole("Yes [1], no [3], [2][0] [99]."), ("Yes [1], no , [2] .".to_owned(), vec![0, 1]));
        assert_eq!(whole("a[i] = [] [[1]] [12345] [1"), ("a[i] = [] [[1]] [12345] [1".to_owned(), vec![0]));
    }

    proptest! {
        #[test]
        fn where_the_text_is_cut_makes_no_difference(text in "[\\[\\]0-9a é]{0,40}", cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let chars: Vec<char> = text.chars().collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(chars.len() + 1)).collect();
            at.push(chars.len());
            at.sort_unstable();
            let mut fence = CitationFence::new(2);
            let (mut out, mut from) = (String::new(), 0);
            for to in at {
                let piece: String = chars[from..to].iter().collect();
                out.push_str(&fence.push(&piece));
                from = to;
            }
            out.push_str(&fence.finish());
            prop_assert_eq!(out, whole(&text).0);
        }
    }
}
