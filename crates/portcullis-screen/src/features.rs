//! What the scorer sees of a window of text: hashed n-grams, hashed pairs of concepts, and a row of measures.
//!
//! Training reads windows here, as lists. [`crate::scorer`] judges the same windows without making lists; a test holds one
//! against the other, bit by bit. A window is at most [`WINDOW`] characters, so its cost is bounded.

use crate::fold::Signs;
use crate::form::{Form, SIGNALS};
use crate::lexicon::{self, CONCEPTS};

/// The longest window, in characters.
pub const WINDOW: usize = 400;
/// Buckets of n-grams.
pub const WIDE: usize = 1 << 17;
/// Buckets of words and concept pairs that have a vector of their own.
pub const DEEP: usize = 1 << 13;
/// Measures of a window.
pub const MEASURES: usize = CONCEPTS.len() * 2 + 32;
/// The farthest apart, in words, that two concepts count as a pair.
pub(crate) const REACH: usize = 6;

/// What the scorer sees.
#[derive(Debug, Clone, Default)]
pub struct Features {
    /// Buckets of character n-grams within words.
    pub letters: Vec<u32>,
    /// Buckets of words, pairs and triples of words.
    pub words: Vec<u32>,
    /// Buckets of concepts in their order.
    pub concepts: Vec<u32>,
    /// Vectors of words.
    pub deep_words: Vec<u16>,
    /// Vectors of pairs of concepts.
    pub deep_concepts: Vec<u16>,
    /// Measures, each about 0 to 1.
    pub measures: Vec<f32>,
}

/// A word of a window, or an entry of the lexicon in a script without spaces.
#[derive(Debug, Clone, Copy)]
struct Word {
    hash: u64,
    concepts: u32,
    start: u32,
    end: u32,
    quoted: bool,
}

/// The features of a folded window. `signs` are of the whole message, `layer` is 1 for decoded text.
pub fn features(window: &str, signs: &Signs, layer: u32) -> Features {
    let chars: Vec<char> = window.chars().collect();
    let words = words(&chars);
    let mut features = Features::default();
    letters(&chars, &words, &mut features.letters);
    grams(&words, &mut features);
    pairs(&words, &mut features);
    features.measures = form(window, &chars, &words).measures(signs, layer).to_vec();
    // Which concepts stand together counts, not how often they do.
    features.concepts.sort_unstable();
    features.concepts.dedup();
    features
}

/// A number spread over all bits, as [`mix_spread`] takes it.
#[inline]
pub(crate) const fn spread(more: u64) -> u64 {
    more.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline]
pub(crate) const fn mix_spread(hash: u64, spread: u64) -> u64 {
    let mixed = (hash ^ spread).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 32)
}

#[inline]
pub(crate) const fn mix(hash: u64, more: u64) -> u64 {
    mix_spread(hash, spread(more))
}

#[inline]
pub(crate) fn bucket(hash: u64, size: usize) -> u32 {
    // The size is a power of two that fits.
    u32::try_from((hash >> 20) as usize & (size - 1)).unwrap_or(0)
}

fn vector(hash: u64) -> u16 {
    u16::try_from(bucket(hash, DEEP)).unwrap_or(0)
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '\'' || matches!(c, '\u{900}'..='\u{dff}')
}

fn words(chars: &[char]) -> Vec<Word> {
    let lexicon = lexicon::shipped();
    let mut words = Vec::with_capacity(chars.len() / 5 + 1);
    let mut quoted = false;
    let mut at = 0;
    let mut spelled: Vec<char> = Vec::with_capacity(24);
    let mut before: Vec<char> = Vec::with_capacity(24);
    while let Some(&c) = chars.get(at) {
        if c == '"' {
            quoted = !quoted;
            at += 1;
        } else if lexicon::runs_on(c) {
            let rest = chars.get(at..).unwrap_or_default();
            let (concepts, len) = lexicon.run(rest.iter().copied()).unwrap_or((0, 1));
            let hash = rest.iter().take(len).fold(7, |hash, &c| mix(hash, u64::from(u32::from(c))));
            words.push(Word { hash, concepts, start: short(at), end: short(at + len), quoted });
            at += len;
        } else if is_word(c) {
            let start = at;
            spelled.clear();
            while let Some(&c) = chars.get(at).filter(|c| is_word(**c) && !lexicon::runs_on(**c)) {
                // `don't` is `dont`: the lexicon and messages write it both ways.
                if c != '\'' {
                    spelled.push(c);
                }
                at += 1;
            }
            if !spelled.is_empty() {
                let digits = spelled.iter().all(char::is_ascii_digit);
                let hash = if digits {
                    // A number is a number: which one says nothing.
                    mix(11, spelled.len().min(5) as u64)
                } else {
                    spelled.iter().fold(7, |hash, &c| mix(hash, u64::from(u32::from(c))))
                };
                let mut concepts = lexicon.concepts(&spelled);
                if concepts == 0 && spelled.len() <= 5 {
                    concepts = torn(&before, &spelled, lexicon, at - start);
                }
                std::mem::swap(&mut before, &mut spelled);
                words.push(Word { hash, concepts, start: short(start), end: short(at), quoted });
            }
        } else {
            at += 1;
        }
    }
    words
}

/// The concepts of a word that was torn in two: `re veal`, `by pass`.
fn torn(before: &[char], end: &[char], lexicon: &lexicon::Lexicon, length: usize) -> u32 {
    let whole = before.len() + end.len();
    if before.is_empty()
        || before.len() > 5
        || !(5..=10).contains(&whole)
        || length < 2
        || lexicon.concepts(before) != 0
    {
        return 0;
    }
    let joined: Vec<char> = before.iter().chain(end).copied().collect();
    lexicon.concepts(&joined)
}

fn short(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn letters(chars: &[char], words: &[Word], out: &mut Vec<u32>) {
    out.reserve(chars.len() * 3);
    for word in words {
        let spelled = chars.get(word.start as usize..word.end as usize).unwrap_or_default();
        let mut with_edges = std::iter::once(' ').chain(spelled.iter().copied()).chain(std::iter::once(' '));
        // The last four characters, newest last, packed: each end gives its n-grams of three, four and five.
        let mut past = [0_u64; 5];
        let mut seen = 0;
        for c in &mut with_edges {
            past.rotate_left(1);
            if let Some(last) = past.last_mut() {
                *last = u64::from(u32::from(c));
            }
            seen += 1;
            let mut hash = 0;
            for (back, code) in past.iter().rev().enumerate().take(seen) {
                hash = mix(hash, *code);
                if back >= 2 {
                    out.push(bucket(mix(hash, back as u64), WIDE));
                }
            }
        }
    }
}

fn grams(words: &[Word], features: &mut Features) {
    for word in words {
        features.words.push(bucket(mix(word.hash, 101), WIDE));
        features.deep_words.push(vector(mix(word.hash, 102)));
    }
    for pair in words.windows(2) {
        let hash = pair.iter().map(|word| word.hash).reduce(mix).unwrap_or_default();
        features.words.push(bucket(mix(hash, 103), WIDE));
    }
    for triple in words.windows(3) {
        let hash = triple.iter().map(|word| word.hash).reduce(mix).unwrap_or_default();
        features.words.push(bucket(mix(hash, 104), WIDE));
    }
}

/// The concepts of a word, one number each, at most two.
pub(crate) fn of(bits: u32) -> impl Iterator<Item = u32> {
    let first = bits.trailing_zeros();
    let rest = bits & bits.wrapping_sub(1);
    let second = rest.trailing_zeros();
    [(bits != 0).then_some(first), (rest != 0).then_some(second)].into_iter().flatten()
}

fn pairs(words: &[Word], features: &mut Features) {
    for (at, word) in words.iter().enumerate() {
        if word.concepts == 0 {
            continue;
        }
        let opens = at == 0;
        for one in of(word.concepts) {
            let own = u64::from(one) | u64::from(opens) << 8 | u64::from(word.quoted) << 9;
            features.concepts.push(bucket(mix(own, 201), WIDE));
            features.concepts.push(bucket(mix(u64::from(one), 202), WIDE));
            features.deep_concepts.push(vector(mix(u64::from(one), 203)));
            let ahead =
                words.iter().skip(at + 1).take(REACH).enumerate().filter(|(_, word)| word.concepts != 0);
            for (gap, next) in ahead {
                for other in of(next.concepts) {
                    let pair = u64::from(one) << 8 | u64::from(other);
                    features.concepts.push(bucket(mix(pair, 204), WIDE));
                    features.concepts.push(bucket(mix(pair << 4 | (gap as u64 / 2), 205), WIDE));
                    features.deep_concepts.push(vector(mix(pair, 206)));
                    let after = words.iter().skip(at + gap + 2).take(3).filter(|word| word.concepts != 0);
                    for third in after.filter_map(|word| of(word.concepts).next()) {
                        features.concepts.push(bucket(mix(pair << 8 | u64::from(third), 207), WIDE));
                    }
                }
            }
        }
    }
}

fn form(text: &str, chars: &[char], words: &[Word]) -> Form {
    let mut form = Form {
        first: words.first().map_or(0, |word| word.concepts),
        all: words.iter().fold(0, |all, word| all | word.concepts),
        words: words.len(),
        known: words.iter().filter(|word| word.concepts != 0).count(),
        chars: chars.len(),
        marks: chars.iter().filter(|c| !c.is_alphanumeric() && !c.is_whitespace()).count(),
        digits: chars.iter().filter(|c| c.is_ascii_digit()).count(),
        asks: text.trim_end().ends_with('?'),
        ..Form::default()
    };
    for word in words {
        form.add(of(word.concepts), word.quoted);
    }
    for (at, (signal, _)) in SIGNALS.iter().enumerate() {
        form.signals |= u32::from(text.contains(signal)) << at;
    }
    form
}
