//! What words do in an instruction: about thirty concepts, in the languages that members write (`lexicon.txt`).
//!
//! A concept lets the scorer carry over what it learnt about "ignore the rules above" to languages and words it has seen
//! little of. It decides nothing alone.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::OnceLock;

use crate::fold;

/// The names of the concepts, in the order of their bits.
pub const CONCEPTS: &[&str] = &[
    "override", "instr", "prior", "all", "reveal", "secret", "system", "persona", "you", "now", "model",
    "unbound", "limits", "mode", "neg", "say", "only", "send", "data", "tool", "urgent", "task", "tech",
    "life", "ask", "self", "polite", "fiction", "harm", "claim", "quote", "obey",
];

/// The longest entry, in characters.
pub(crate) const LONGEST: usize = 24;
/// The longest ending of a stem, in characters: `restrict*`, restrictions.
const ENDING: usize = 4;
const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Keys are hashes already.
#[derive(Debug, Default)]
pub struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key ^ (key >> 29);
    }
}

type Table = HashMap<u64, u32, BuildHasherDefault<Already>>;

/// What most keys that are asked for are not in, told by one bit: a word has no concept more often than not.
#[derive(Debug, Clone)]
pub(crate) struct Sieve(Box<[u64; SIEVE / 64]>);

/// Bits of a sieve: few enough to stay close to the processor.
const SIEVE: usize = 1 << 16;

impl Default for Sieve {
    fn default() -> Self {
        Self(Box::new([0; SIEVE / 64]))
    }
}

impl Sieve {
    const fn place(key: u64) -> (usize, u64) {
        let bit = (key >> 24) as usize % SIEVE;
        (bit / 64, 1 << (bit % 64))
    }

    pub(crate) fn add(&mut self, key: u64) {
        let (at, bit) = Self::place(key);
        if let Some(bits) = self.0.get_mut(at) {
            *bits |= bit;
        }
    }

    /// Whether the key may be one of those that were added.
    pub(crate) fn may_hold(&self, key: u64) -> bool {
        let (at, bit) = Self::place(key);
        self.0.get(at).is_some_and(|bits| bits & bit != 0)
    }
}

/// Concepts by the hashes of their words.
#[derive(Debug, Default)]
struct Entries {
    table: Table,
    sieve: Sieve,
}

impl Entries {
    fn add(&mut self, key: u64, bit: u32) {
        *self.table.entry(key).or_default() |= bit;
        self.sieve.add(key);
    }

    fn get(&self, key: u64) -> Option<u32> {
        if self.sieve.may_hold(key) { self.table.get(&key).copied() } else { None }
    }

    fn has(&self, key: u64) -> bool {
        self.get(key).is_some()
    }
}

/// Words and stems by concept.
#[derive(Debug, Default)]
pub struct Lexicon {
    whole: Entries,
    stems: Entries,
    /// Entries of scripts that are written without spaces.
    runs: Entries,
}

/// A word that is read letter by letter: its hash so far, and the concepts of the longest stem that it began with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spelling {
    hash: u64,
    stem: u32,
    len: usize,
}

impl Spelling {
    pub(crate) const START: Self = Self { hash: SEED, stem: 0, len: 0 };

    /// How many letters were read.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}

/// The lexicon that ships.
pub fn shipped() -> &'static Lexicon {
    static LEXICON: OnceLock<Lexicon> = OnceLock::new();
    LEXICON.get_or_init(|| Lexicon::read(include_str!("lexicon.txt")))
}

/// Whether the character is of a script that is written without spaces between words.
pub const fn runs_on(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

const fn step(hash: u64, c: char) -> u64 {
    (hash ^ (c as u64)).wrapping_mul(PRIME)
}

impl Lexicon {
    fn read(text: &str) -> Self {
        let mut lexicon = Self::default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        for (concept, words) in lines.filter_map(|line| line.split_once(": ")) {
            let bit = CONCEPTS.iter().position(|name| *name == concept).map_or(0, |at| 1_u32 << at);
            for word in words.split_whitespace() {
                let (word, stem) = word.strip_suffix('*').map_or((word, false), |word| (word, true));
                let word = fold::plain(word);
                let key = word.chars().fold(SEED, step);
                let entries = if word.chars().any(runs_on) {
                    &mut lexicon.runs
                } else if stem {
                    &mut lexicon.stems
                } else {
                    &mut lexicon.whole
                };
                entries.add(key, bit);
            }
        }
        lexicon
    }

    /// The concepts of a folded word: of the whole word, else of its longest stem.
    pub fn concepts(&self, word: &[char]) -> u32 {
        let mut spelling = Spelling::START;
        word.iter().for_each(|&c| self.spell(&mut spelling, c));
        self.of(&spelling)
    }

    /// Reads one letter more.
    #[inline]
    pub(crate) fn spell(&self, spelling: &mut Spelling, c: char) {
        spelling.len += 1;
        if spelling.len <= LONGEST {
            spelling.hash = step(spelling.hash, c);
            if let Some(bits) = self.stems.get(spelling.hash) {
                spelling.stem = bits;
            }
        }
    }

    /// The concepts of what was read.
    #[inline]
    pub(crate) fn of(&self, spelling: &Spelling) -> u32 {
        if spelling.len > LONGEST {
            return spelling.stem;
        }
        self.whole.get(spelling.hash).unwrap_or(spelling.stem)
    }

    /// The longest entry of a script without spaces that these characters begin with, and its length.
    pub fn run(&self, chars: impl IntoIterator<Item = char>) -> Option<(u32, usize)> {
        let mut hash = SEED;
        let mut found = None;
        for (at, c) in chars.into_iter().enumerate().take(6) {
            hash = step(hash, c);
            if let Some(bits) = self.runs.get(hash) {
                found = Some((bits, at + 1));
            }
        }
        found
    }

    /// Whether the word, of at least three letters, has a concept.
    pub(crate) fn knows(&self, word: &str) -> bool {
        let chars: Vec<char> = word.chars().collect();
        chars.len() >= 3 && self.concepts(&chars) != 0
    }

    /// Whether the word is an entry, or begins with a stem and goes on with no more than an ending.
    pub(crate) fn is_entry(&self, word: &str) -> bool {
        let (mut hash, mut stem, mut length) = (SEED, None, 0);
        for c in word.chars() {
            hash = step(hash, c);
            length += 1;
            if self.stems.has(hash) {
                stem = Some(length);
            }
        }
        self.whole.has(hash) || stem.is_some_and(|stem| length - stem <= ENDING)
    }

    /// Words that were run together, apart again wherever an entry of at least three letters begins and ends.
    pub(crate) fn split(&self, joined: &str) -> String {
        let chars: Vec<char> = joined.chars().collect();
        let mut out = String::with_capacity(joined.len() + 8);
        let mut at = 0;
        while let Some(rest) = chars.get(at..).filter(|rest| !rest.is_empty()) {
            let (mut hash, mut longest) = (SEED, None);
            for (before, &c) in rest.iter().enumerate().take(LONGEST) {
                hash = step(hash, c);
                if (before >= 2 && self.whole.has(hash)) || (before >= 3 && self.stems.has(hash)) {
                    longest = Some(before + 1);
                }
            }
            match longest {
                Some(len) => {
                    if !out.is_empty() && !out.ends_with(' ') {
                        out.push(' ');
                    }
                    out.extend(rest.iter().take(len));
                    at += len;
                    // A stem goes on to the end of its word, which nobody marked: its usual endings.
                    let tail: String = chars.iter().skip(at).take(4).collect();
                    let ending = ["ions", "ion", "ing", "ous", "es", "ed", "s", "e"]
                        .into_iter()
                        .find(|e| tail.starts_with(e));
                    if let Some(ending) = ending {
                        let word: Vec<char> = rest.iter().copied().take(len + ending.len()).collect();
                        if self.concepts(&word) != 0 && self.whole_or_stem(&word) {
                            out.push_str(ending);
                            at += ending.len();
                        }
                    }
                    out.push(' ');
                }
                None => {
                    out.extend(rest.first());
                    at += 1;
                }
            }
        }
        out.trim_end().to_owned()
    }

    fn whole_or_stem(&self, word: &[char]) -> bool {
        let key = word.iter().copied().fold(SEED, step);
        self.whole.has(key)
            || (1..word.len()).any(|len| {
                word.get(..len).is_some_and(|stem| self.stems.has(stem.iter().copied().fold(SEED, step)))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(word: &str) -> Vec<&'static str> {
        let chars: Vec<char> = word.chars().collect();
        let bits = shipped().concepts(&chars);
        CONCEPTS.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0).map(|(_, name)| *name).collect()
    }

    #[test]
    fn every_line_of_the_file_names_a_concept() {
        let lines = include_str!("lexicon.txt").lines().filter(|line| !line.starts_with('#'));
        for line in lines {
            let concept = line.split_once(": ").map(|(concept, _)| concept);
            assert!(concept.is_some_and(|concept| CONCEPTS.contains(&concept)), "{line}");
        }
        assert_eq!(CONCEPTS.len(), 32, "a concept is a bit of a 32-bit word");
    }

    #[test]
    fn words_of_several_languages_share_a_concept() {
        for word in ["ignore", "ignoriere", "olvida", "oubliez", "dimentica", "forget", "игнорируй"]
        {
            assert!(named(word).contains(&"override"), "{word}");
        }
        assert_eq!(named("table"), Vec::<&str>::new());
    }

    #[test]
    fn a_script_without_spaces_is_read_from_each_character() {
        let chars: Vec<char> = "忽略所有".chars().collect();
        let (bits, len) = shipped().run(chars).unwrap();
        assert_eq!((bits & 1, len), (1, 2));
    }
}
