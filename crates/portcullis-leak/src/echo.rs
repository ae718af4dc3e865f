//! The system text in an answer, as it is or in a disguise.
//!
//! System text and answer are compared as *compact* text: letters and digits only, in small letters, with the digits of
//! leet turned into letters. So spaces, punctuation, letter case and letters spelt apart make no difference. Of the
//! system text and of each of its disguises every window of [`WIDTH`] compact characters is known by its hash, and the
//! answer is looked at through a window of that width. Beside it stands a window of [`PLAIN_WIDTH`] characters as they are,
//! but for case and white space: it is what holds the promise that no 40 consecutive characters leave. Last, the answer's
//! sequences of three words are counted that the system text has too: many of them are the text with words put between.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::policy::Class;
use crate::stream::{Match, Rest, Seen};

/// Compact characters that are no accident.
const WIDTH: usize = 32;
/// A system text shorter than this is not looked for.
const LEAST: usize = 16;
/// Characters as they are: no answer holds so many of the system text in a row.
const PLAIN_WIDTH: usize = 40;
/// The compact width for the canary.
const CANARY_WIDTH: usize = 16;
/// Shared sequences of three words that are no accident, at least; of a long text this part of all.
const LEAST_SHARED: usize = 8;
const SHARED_PART: (usize, usize) = (3, 10);
/// The base of the rolling hashes; any odd number does, since nobody gains by a collision.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

/// Hashes as they are: nothing is gained by hashing them again.
#[derive(Debug, Clone, Copy, Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 =
            bytes.iter().fold(self.0, |hash, byte| hash.wrapping_mul(BASE).wrapping_add(u64::from(*byte)));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash ^ (hash >> 32);
    }
}

type Hashes = HashSet<u64, BuildHasherDefault<Same>>;

/// The windows of a text and of its disguises.
#[derive(Debug)]
struct Windows {
    width: usize,
    /// A bit for each hash, so that nearly every look at prose ends here.
    filter: Vec<u64>,
    hashes: Hashes,
}

impl Windows {
    fn of(width: usize, texts: &[Vec<u32>]) -> Self {
        let mut hashes = Hashes::default();
        for text in texts {
            let mut rolling = Rolling::new(width);
            hashes.extend(text.iter().filter_map(|code| rolling.push(*code)));
        }
        let bits = (hashes.len() * 16).next_power_of_two().max(64);
        let mut filter = vec![0_u64; bits / 64];
        for hash in &hashes {
            let (slot, bit) = place(*hash, bits);
            if let Some(word) = filter.get_mut(slot) {
                *word |= bit;
            }
        }
        Self { width, filter, hashes }
    }

    fn hold(&self, hash: u64) -> bool {
        let (slot, bit) = place(hash, self.filter.len() * 64);
        self.filter.get(slot).is_some_and(|word| word & bit != 0) && self.hashes.contains(&hash)
    }
}

fn place(hash: u64, bits: usize) -> (usize, u64) {
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 24;
    let bit = usize::try_from(mixed).unwrap_or(0) & (bits - 1);
    (bit / 64, 1 << (bit % 64))
}

/// The hash of the last so many characters.
#[derive(Debug, Clone)]
struct Rolling {
    ring: Vec<u32>,
    at: usize,
    filled: bool,
    hash: u64,
    /// The weight of the character that leaves the window.
    oldest: u64,
}

impl Rolling {
    fn new(width: usize) -> Self {
        let oldest = (1..width).fold(1_u64, |power, _| power.wrapping_mul(BASE));
        Self { ring: vec![0; width], at: 0, filled: false, hash: 0, oldest }
    }

    /// Takes a character; the hash, if the window is full.
    fn push(&mut self, code: u32) -> Option<u64> {
        let slot = self.ring.get_mut(self.at)?;
        let old = std::mem::replace(slot, code);
        self.hash = self.hash.wrapping_sub(u64::from(old).wrapping_mul(self.oldest));
        self.hash = self.hash.wrapping_mul(BASE).wrapping_add(u64::from(code));
        self.at += 1;
        if self.at == self.ring.len() {
            self.at = 0;
            self.filled = true;
        }
        self.filled.then_some(self.hash)
    }
}

/// What must not be repeated, prepared: made once and shared by all answers.
#[derive(Debug)]
pub struct SystemText {
    compact: Option<Windows>,
    plain: Option<Windows>,
    /// Of each text the hash of every sequence of three words, and how many of them are too many.
    threes: Vec<(Hashes, usize)>,
}

impl SystemText {
    /// Prepares a text. Of one with fewer than 16 letters and digits nothing is looked for.
    pub fn new(text: &str) -> Self {
        Self::of(&[text], WIDTH.min(compact(text).len()))
    }

    /// Prepares several texts, each to be looked for by itself. One with fewer than 32 letters and digits is a phrase that anybody
    /// may use, and is not.
    pub fn several<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts: Vec<&str> = texts.into_iter().filter(|text| compact(text).len() >= WIDTH).collect();
        Self::of(&texts, WIDTH)
    }

    fn of(texts: &[&str], width: usize) -> Self {
        let disguises: Vec<Vec<u32>> =
            texts.iter().flat_map(|text| disguises(text)).map(|text| compact(&text)).collect();
        let plain = texts.iter().map(|text| Plain::default().all(text));
        let plain: Vec<Vec<u32>> = plain.filter(|plain| plain.len() >= PLAIN_WIDTH).collect();
        Self {
            compact: (width >= LEAST && !disguises.is_empty()).then(|| Windows::of(width, &disguises)),
            plain: (!plain.is_empty()).then(|| Windows::of(PLAIN_WIDTH, &plain)),
            threes: texts.iter().map(|text| threes(text)).collect(),
        }
    }
}

/// The sequences of three words of a text, and how many of them are too many.
fn threes(text: &str) -> (Hashes, usize) {
    let (mut words, mut threes) = (Words::default(), Hashes::default());
    for code in text.chars().map(fold).chain([None]) {
        threes.extend(words.push(code));
    }
    let most = (threes.len() * SHARED_PART.0 / SHARED_PART.1).max(LEAST_SHARED);
    (threes, most)
}

/// A random word in the system text of one answer. It has no other use, so wherever it turns up, the system text leaks.
pub struct Canary {
    word: String,
    windows: Windows,
}

impl std::fmt::Debug for Canary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canary(***)")
    }
}

impl Canary {
    /// A canary of those random bytes, as 24 small letters and digits that no leet and no letter case changes.
    pub fn new(random: [u8; 24]) -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz26789bdfh";
        let letter = |byte: u8| LETTERS.get(usize::from(byte % 32)).copied().map_or('x', char::from);
        Self::of(random.into_iter().map(letter).collect())
    }

    fn of(word: String) -> Self {
        let texts: Vec<Vec<u32>> = disguises(&word).iter().map(|text| compact(text)).collect();
        Self { windows: Windows::of(CANARY_WIDTH, &texts), word }
    }

    /// The word, to be put into the system text.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// Its first letter.
    pub(crate) fn initial(&self) -> u8 {
        self.word.as_bytes().first().copied().unwrap_or_default()
    }

    /// Whether it begins here, as it is.
    pub(crate) fn begins(&self, rest: &str, ended: bool) -> Seen {
        // Asked at every place of an answer.
        if rest.as_bytes().first() != Some(&self.initial()) {
            return Seen::No;
        }
        if rest.starts_with(&self.word) {
            let len = self.word.len();
            return Seen::Match(Match { class: Class::Canary, note: "{withheld}", len, rest: Rest::Nothing });
        }
        if !ended && self.word.starts_with(rest) { Seen::More } else { Seen::No }
    }
}

/// A letter or digit as it is compared.
fn fold(c: char) -> Option<u32> {
    let c = match u32::from(c) {
        // Full-width forms, and the mathematical letters that pass for Latin ones.
        code @ 0xFF01..=0xFF5E => char::from_u32(code - 0xFEE0)?,
        code @ 0x1D400..=0x1D6A3 => {
            let place = u8::try_from((code - 0x1D400) % 52).ok()?;
            char::from(if place < 26 { b'A' + place } else { b'a' + place - 26 })
        }
        code @ 0x24B6..=0x24E9 => char::from(b'a' + u8::try_from((code - 0x24B6) % 26).ok()?),
        _ => c,
    };
    let folded = match c {
        '0' => 'o',
        '1' | 'i' | 'I' | 'l' | 'L' => 'l',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        'a'..='z' => c,
        'A'..='Z' => c.to_ascii_lowercase(),
        _ if c.is_alphanumeric() => c.to_lowercase().next()?,
        _ => return None,
    };
    Some(u32::from(folded))
}

fn compact(text: &str) -> Vec<u32> {
    text.chars().filter_map(fold).collect()
}

/// Characters as they are, but for case and white space.
#[derive(Debug, Clone, Default)]
struct Plain {
    space: bool,
}

impl Plain {
    fn push(&mut self, c: char) -> Option<u32> {
        let space = c.is_whitespace();
        let repeated = space && std::mem::replace(&mut self.space, space);
        self.space = space;
        match c {
            _ if repeated => None,
            _ if space => Some(u32::from(' ')),
            'A'..='Z' => Some(u32::from(c.to_ascii_lowercase())),
            _ if c.is_ascii() => Some(u32::from(c)),
            _ => c.to_lowercase().next().map(u32::from),
        }
    }

    fn all(mut self, text: &str) -> Vec<u32> {
        text.chars().filter_map(|c| self.push(c)).collect()
    }
}

/// The last three words.
#[derive(Debug, Clone, Default)]
struct Words {
    word: u64,
    last: [u64; 2],
}

impl Words {
    /// Takes a folded character, or none for what separates words; the hash of three words at the end of the third.
    fn push(&mut self, code: Option<u32>) -> Option<u64> {
        if let Some(code) = code {
            self.word = self.word.wrapping_mul(BASE).wrapping_add(u64::from(code));
            return None;
        }
        let word = std::mem::take(&mut self.word);
        if word == 0 {
            return None;
        }
        let [first, second] = self.last;
        self.last = [second, word];
        let three = first.wrapping_mul(BASE).wrapping_add(second).wrapping_mul(BASE).wrapping_add(word);
        (first != 0).then_some(three)
    }
}

/// The published list of disguises: the text in each of them.
fn disguises(text: &str) -> Vec<String> {
    let each = |write: fn(&mut String, u8)| {
        text.bytes().fold(String::with_capacity(text.len() * 4), |mut out, byte| {
            write(&mut out, byte);
            out
        })
    };
    let reversed: String = text.chars().rev().collect();
    let words = || text.split_whitespace();
    let mut all = vec![
        text.to_owned(),
        text.chars().map(rot13).collect(),
        reversed.chars().map(rot13).collect(),
        text.chars().map(atbash).collect(),
        words().map(|word| word.chars().rev().collect::<String>()).collect(),
        words().rev().collect(),
        each(|out, byte| push_hex(out, "", byte)),
        each(|out, byte| push_hex(out, "x", byte)),
        each(|out, byte| push_hex(out, "0x", byte)),
        each(|out, byte| out.push_str(&byte.to_string())),
        each(|out, byte| {
            if byte.is_ascii_alphanumeric() {
                out.push(char::from(byte));
            } else {
                push_hex(out, "", byte);
            }
        }),
    ];
    for text in [text, &reversed] {
        // Base64 looks different by where in a group of three the text begins.
        for skipped in 0..3 {
            let bytes = text.as_bytes().get(skipped..).unwrap_or_default();
            let whole = bytes.len() - bytes.len() % 3;
            all.push(STANDARD.encode(bytes.get(..whole).unwrap_or_default()));
        }
    }
    all.push(reversed);
    all
}

fn push_hex(out: &mut String, mark: &str, byte: u8) {
    out.push_str(mark);
    for half in [byte >> 4, byte & 15] {
        out.extend(char::from_digit(u32::from(half), 16));
    }
}

fn rot13(c: char) -> char {
    let turn =
        |base: u8, c: char| u8::try_from(c).map_or(c, |byte| char::from(base + (byte - base + 13) % 26));
    match c {
        'a'..='z' => turn(b'a', c),
        'A'..='Z' => turn(b'A', c),
        _ => c,
    }
}

fn atbash(c: char) -> char {
    let turn = |base: u8, c: char| u8::try_from(c).map_or(c, |byte| char::from(base + 25 - (byte - base)));
    match c {
        'a'..='z' => turn(b'a', c),
        'A'..='Z' => turn(b'A', c),
        _ => c,
    }
}

/// Looks at one text of an answer.
#[derive(Debug)]
pub(crate) struct Echo {
    system: Option<Arc<SystemText>>,
    canary: Option<Arc<Canary>>,
    compact: Option<Rolling>,
    plain: Rolling,
    folded: Plain,
    canary_window: Rolling,
    words: Words,
    /// The sequences of three words that were seen, of each text.
    shared: Vec<Hashes>,
}

impl Echo {
    /// None if there is nothing to look for.
    pub(crate) fn new(system: Option<&Arc<SystemText>>, canary: Option<&Arc<Canary>>) -> Option<Self> {
        (system.is_some() || canary.is_some()).then(|| Self {
            compact: system
                .and_then(|system| system.compact.as_ref())
                .map(|windows| Rolling::new(windows.width)),
            shared: vec![Hashes::default(); system.map_or(0, |system| system.threes.len())],
            system: system.cloned(),
            canary: canary.cloned(),
            plain: Rolling::new(PLAIN_WIDTH),
            folded: Plain::default(),
            canary_window: Rolling::new(CANARY_WIDTH),
            words: Words::default(),
        })
    }

    /// Looks for that no more.
    pub(crate) fn leave(&mut self, class: Class) {
        match class {
            Class::Canary => self.canary = None,
            _ => self.system = None,
        }
    }

    /// Takes a character, and tells what has leaked if it is that one.
    pub(crate) fn take(&mut self, c: char) -> Option<Class> {
        let code = fold(c);
        if let (Some(code), Some(canary)) = (code, &self.canary) {
            let leaks = self.canary_window.push(code).is_some_and(|hash| canary.windows.hold(hash));
            if leaks {
                return Some(Class::Canary);
            }
        }
        let system = self.system.clone()?;
        if let (Some(code), Some(rolling), Some(windows)) = (code, &mut self.compact, &system.compact)
            && rolling.push(code).is_some_and(|hash| windows.hold(hash))
        {
            return Some(Class::SystemText);
        }
        if let (Some(code), Some(windows)) = (self.folded.push(c), &system.plain)
            && self.plain.push(code).is_some_and(|hash| windows.hold(hash))
        {
            return Some(Class::SystemText);
        }
        self.word(code, &system)
    }

    /// Ends the text.
    pub(crate) fn finish(&mut self) -> Option<Class> {
        let system = self.system.clone()?;
        self.word(None, &system)
    }

    fn word(&mut self, code: Option<u32>, system: &SystemText) -> Option<Class> {
        let three = self.words.push(code)?;
        for (shared, (threes, most)) in self.shared.iter_mut().zip(&system.threes) {
            if threes.contains(&three) {
                shared.insert(three);
                if shared.len() >= *most {
                    return Some(Class::SystemText);
                }
            }
        }
        None
    }
}
