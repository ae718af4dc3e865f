//! Made-up content and questions: the same on every run, with the word frequencies of a language.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The words that every language has most of. A question is mostly made of them, and a search has to cope.
const COMMON: &[&str] = &[
    "the", "of", "and", "to", "a", "in", "is", "it", "you", "that", "for", "on", "with", "as", "this", "how",
    "do", "when", "what", "can", "my", "not", "be", "have", "from", "or", "if", "after", "before", "use",
    "more", "than",
];
/// Words beside the common ones.
const RARE: usize = 6_000;
const FOLDERS: usize = 8;
const PARAGRAPHS: usize = 6;
const WORDS: usize = 45;

const FIRST: &[&str] =
    &["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "br", "st", "tr", "pl", "sh"];
const VOWELS: &[&str] = &["a", "e", "i", "o", "u", "ai", "ea", "ou"];
const LAST: &[&str] = &["n", "r", "l", "t", "s", "nd", "rm", "ck", "m", "p"];

/// A small generator of numbers (SplitMix64), so that every run has the same content.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end.max(1)).unwrap_or(u64::MAX)).unwrap_or(0)
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words.get(self.below(words.len())).copied().unwrap_or_default()
    }
}

/// A vocabulary, most frequent word first.
#[derive(Debug)]
struct Vocabulary(Vec<String>);

impl Vocabulary {
    fn new() -> Self {
        let mut dice = Dice(1);
        let mut words: Vec<String> = COMMON.iter().map(|word| (*word).to_owned()).collect();
        words.extend((0..RARE).map(|_| {
            let mut word = String::new();
            for _ in 0..=dice.below(2) {
                word.push_str(dice.one_of(FIRST));
                word.push_str(dice.one_of(VOWELS));
            }
            word.push_str(dice.one_of(LAST));
            word
        }));
        Self(words)
    }

    /// A word of rank r comes about 1/r as often as the first one, as in any text (Zipf).
    fn word(&self, dice: &mut Dice) -> &str {
        let share = f64::from(u32::try_from(dice.roll() >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        let ranks = f64::from(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        // Never negative and at most the number of words, so nothing is lost but the fraction.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the number of words"
        )]
        let rank = (ranks.powf(share) - 1.0) as usize;
        self.0.get(rank).map_or("the", String::as_str)
    }

    /// A word that a person might ask about.
    fn subject(&self, dice: &mut Dice) -> &str {
        let rank = COMMON.len().saturating_add(dice.below(RARE / 4));
        self.0.get(rank).map_or("the", String::as_str)
    }

    fn sentence(&self, dice: &mut Dice, words: usize) -> String {
        let words: Vec<&str> = (0..words).map(|_| self.word(dice)).collect();
        words.join(" ")
    }
}

/// Writes so many Markdown files below `folder`, in a few folders.
pub(super) fn write(folder: &Path, documents: usize) -> Result<()> {
    let vocabulary = Vocabulary::new();
    let mut dice = Dice(2);
    for number in 0..documents {
        let topic = folder.join(format!("topic-{}", number % FOLDERS));
        let title = format!("{} {}", vocabulary.subject(&mut dice), vocabulary.sentence(&mut dice, 4));
        let mut text = format!("# {title}\n");
        for _ in 0..PARAGRAPHS {
            text.push_str(&format!("\n{}.\n", vocabulary.sentence(&mut dice, WORDS)));
        }
        let file = topic.join(format!("document-{number}.md"));
        fs::create_dir_all(&topic)
            .and_then(|()| fs::write(&file, text))
            .with_context(|| format!("`{}` cannot be written", file.display()))?;
    }
    Ok(())
}

/// So many questions about that content.
pub(super) fn questions(count: usize) -> Vec<String> {
    let vocabulary = Vocabulary::new();
    let mut dice = Dice(3);
    (0..count)
        .map(|_| {
            let mut subject = || vocabulary.subject(&mut dice).to_owned();
            format!("How do I use the {} with a {} when it is {}?", subject(), subject(), subject())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_the_same_on_every_run_and_no_two_documents_are() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let read = |root: &tempfile::TempDir, number: usize| {
            let path = format!("topic-{}/document-{number}.md", number % FOLDERS);
            fs::read_to_string(root.path().join(path)).unwrap()
        };
        write(one.path(), 10).unwrap();
        write(other.path(), 10).unwrap();
        assert_eq!(read(&one, 9), read(&other, 9));
        assert_ne!(read(&one, 1), read(&one, 9));
        assert_eq!(questions(3), questions(3));
    }

    #[test]
    fn a_few_words_make_up_much_of_the_text_and_most_words_are_rare() {
        let vocabulary = Vocabulary::new();
        let mut dice = Dice(4);
        let words: Vec<&str> = (0..10_000).map(|_| vocabulary.word(&mut dice)).collect();
        let common = words.iter().filter(|word| COMMON.contains(word)).count();
        assert!((3_000..6_000).contains(&common), "{common}");
        let distinct: std::collections::BTreeSet<&str> = words.iter().copied().collect();
        assert!(distinct.len() > 1_500, "{}", distinct.len());
    }
}
