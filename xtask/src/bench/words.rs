//! Made-up words, and text and questions of them: the same on every run, with the word frequencies of a language.
//!
//! Both who measures the program from outside and the bench of the search in `portcullis-store-sqlite` take them from here, so that
//! their figures are about the same content. Its tests stand in `content.rs`: a bench has none.

/// The words that every language has most of. A question is mostly made of them, and a search has to cope.
pub(super) const COMMON: &[&str] = &[
    "the", "of", "and", "to", "a", "in", "is", "it", "you", "that", "for", "on", "with", "as", "this", "how",
    "do", "when", "what", "can", "my", "not", "be", "have", "from", "or", "if", "after", "before", "use",
    "more", "than",
];
/// Words beside the common ones.
const RARE: usize = 6_000;

const FIRST: &[&str] =
    &["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "br", "st", "tr", "pl", "sh"];
const VOWELS: &[&str] = &["a", "e", "i", "o", "u", "ai", "ea", "ou"];
const LAST: &[&str] = &["n", "r", "l", "t", "s", "nd", "rm", "ck", "m", "p"];

/// A small generator of numbers (SplitMix64), so that every run has the same content.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
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
pub(super) struct Vocabulary(Vec<String>);

impl Vocabulary {
    pub(super) fn new() -> Self {
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
    pub(super) fn word(&self, dice: &mut Dice) -> &str {
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
    pub(super) fn subject(&self, dice: &mut Dice) -> &str {
        let rank = COMMON.len().saturating_add(dice.below(RARE / 4));
        self.0.get(rank).map_or("the", String::as_str)
    }

    pub(super) fn sentence(&self, dice: &mut Dice, words: usize) -> String {
        let words: Vec<&str> = (0..words).map(|_| self.word(dice)).collect();
        words.join(" ")
    }

    /// So many questions about texts of these words.
    pub(super) fn questions(&self, dice: &mut Dice, count: usize) -> Vec<String> {
        (0..count)
            .map(|_| {
                let mut subject = || self.subject(dice).to_owned();
                format!("How do I use the {} with a {} when it is {}?", subject(), subject(), subject())
            })
            .collect()
    }
}
