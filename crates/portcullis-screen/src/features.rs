//! What the scorer sees of a window of text: hashed n-grams, hashed pairs of concepts, and a row of measures.
//!
//! The same function serves training and judging. A window is at most [`WINDOW`] characters, so its cost is bounded.

use crate::fold::Signs;
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
const REACH: usize = 6;

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
    measures(window, &chars, &words, signs, layer, &mut features.measures);
    // Which concepts stand together counts, not how often they do.
    features.concepts.sort_unstable();
    features.concepts.dedup();
    features
}

fn mix(hash: u64, more: u64) -> u64 {
    let mixed = (hash ^ more.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 32)
}

fn bucket(hash: u64, size: usize) -> u32 {
    // The size is a power of two that fits.
    u32::try_from((hash >> 20) as usize & (size - 1)).unwrap_or(0)
}

fn vector(hash: u64) -> u16 {
    u16::try_from(bucket(hash, DEEP)).unwrap_or(0)
}

fn is_word(c: char) -> bool {
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
            let (concepts, len) = lexicon.run(rest).unwrap_or((0, 1));
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
    let mut before = [0_u64; 2];
    for word in words {
        let [second, first] = before;
        features.words.push(bucket(mix(word.hash, 101), WIDE));
        features.deep_words.push(vector(mix(word.hash, 102)));
        if first != 0 {
            features.words.push(bucket(mix(mix(first, word.hash), 103), WIDE));
        }
        if second != 0 {
            features.words.push(bucket(mix(mix(mix(second, first), word.hash), 104), WIDE));
        }
        before = [first, word.hash];
    }
}

/// The concepts of a word, one number each, at most two.
fn of(bits: u32) -> impl Iterator<Item = u32> {
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

/// Marks by which prompts of models are put together.
const MARKERS: &[&str] = &[
    "<|",
    "|>",
    "[inst",
    "<<sys",
    "system:",
    "assistant:",
    "user:",
    "### ",
    "---",
    "</",
    "[system",
    "(system",
    "{\"role\"",
    "begin ",
    "end of",
    "<!--",
    "instruction:",
    "```",
    "[[",
    "note to",
];

fn measures(text: &str, chars: &[char], words: &[Word], signs: &Signs, layer: u32, out: &mut Vec<f32>) {
    let mut counts = [0_u32; 32];
    let mut quoted = [false; 32];
    for word in words {
        for concept in of(word.concepts) {
            if let (Some(count), Some(inside)) =
                (counts.get_mut(concept as usize), quoted.get_mut(concept as usize))
            {
                *count += 1;
                *inside |= word.quoted;
            }
        }
    }
    out.reserve(MEASURES);
    out.extend(counts.iter().map(|count| count.min(&3).to_owned() as f32 / 3.0));
    let first = words.first().map_or(0, |word| word.concepts);
    out.extend((0..32).map(|bit| if first & 1 << bit != 0 { 1.0 } else { 0.0 }));

    let flag = |yes: bool| if yes { 1.0 } else { 0.0 };
    let share = |thousandths: u32| thousandths.min(1000) as f32 / 1000.0;
    let few = |count: u32, full: f32| (count as f32 / full).min(1.0);
    let len = words.len();
    let marker = MARKERS.iter().filter(|marker| text.contains(**marker)).count();
    let known = words.iter().filter(|word| word.concepts != 0).count();
    let bits = words.iter().fold(0, |bits, word| bits | word.concepts);
    let has = |name: &str| {
        CONCEPTS.iter().position(|concept| *concept == name).is_some_and(|at| bits & 1 << at != 0)
    };
    let digits = chars.iter().filter(|c| c.is_ascii_digit()).count();
    let marks = chars.iter().filter(|c| !c.is_alphanumeric() && !c.is_whitespace()).count();
    let share_of = |part: usize, whole: usize| part as f32 / whole.max(1) as f32;
    let own = [
        few(short(len), 8.0),
        few(short(len), 40.0),
        few(short(len), 80.0),
        flag(len <= 3),
        flag(text.trim_end().ends_with('?')),
        flag(text.contains('?')),
        flag(text.contains('!')),
        few(short(marker), 1.0),
        few(short(marker), 4.0),
        few(signs.invisible, 4.0),
        few(signs.lookalike, 4.0),
        few(signs.leet, 2.0),
        few(signs.spaced, 1.0),
        share(signs.capitals),
        flag(signs.capitals > 400),
        share(signs.foreign),
        share_of(marks, chars.len()) * 2.0,
        share_of(digits, chars.len()) * 2.0,
        flag(layer > 0),
        share_of(known, len),
        flag(quoted.iter().any(|inside| *inside)),
        flag(quoted.first().copied().unwrap_or(false)),
        flag(text.contains('\n')),
        flag(text.contains("http")),
        flag(has("override") && has("instr")),
        flag(has("reveal") && (has("instr") || has("secret"))),
        flag(has("persona") && has("you") && has("unbound")),
        flag(has("override") && has("tech") && !has("instr")),
        flag(has("self") && has("ask")),
        flag(has("model") && has("you")),
        flag(text.contains('@')),
        flag(text.contains('{') || text.contains('<')),
    ];
    out.extend(own);
}
