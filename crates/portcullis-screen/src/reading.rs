//! A text read once, for all its windows: its words with what they weigh, and what stands between the places where windows
//! begin and end.
//!
//! Windows overlap. What is summed over the words of a window is summed over the text once, and a window takes the difference
//! of two sums: they are whole numbers, so the difference is exactly the sum.

use crate::features::{is_word, mix, mix_spread, spread};
use crate::form::SIGNALS;
use crate::lexicon::{self, Lexicon, Spelling};
use crate::model::{Model, VECTOR};

/// Sums over the words before one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    /// Weights of their character n-grams.
    pub(crate) letters: i32,
    /// How many these are.
    pub(crate) letter_count: usize,
    /// Weights of the words, of pairs that end in them, and of triples.
    pub(crate) words: i32,
    /// Vectors.
    pub(crate) deep: [i32; VECTOR],
}

/// A word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    /// Of the words before it.
    pub(crate) sums: Sums,
    /// Of the pair, and of the triple, that end in it.
    pub(crate) pair: i32,
    pub(crate) triple: i32,
    start: usize,
    end: usize,
    hash: u64,
}

/// A word with a concept, or one that has some together with the word before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Which word.
    pub(crate) at: usize,
    /// Its own concepts.
    concepts: u32,
    /// If the word before is torn off it: that word, and the concepts of both.
    torn: Option<(usize, u32)>,
    /// How many quotation marks stand before it.
    pub(crate) quotes: usize,
}

impl Known {
    /// Its concepts in a window that begins with that word.
    pub(crate) fn concepts(&self, first: usize) -> u32 {
        match self.torn {
            Some((before, concepts)) if before >= first => concepts,
            _ => self.concepts,
        }
    }
}

/// A place where a window may begin or end, and what stands before it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) at: usize,
    pub(crate) chars: usize,
    pub(crate) marks: usize,
    pub(crate) digits: usize,
    pub(crate) quotes: usize,
    /// Which of [`SIGNALS`] stand between the place before and this one.
    pub(crate) signals: u32,
    pub(crate) words: usize,
    pub(crate) known: usize,
    /// Whether it is inside of a word, so that sums say nothing.
    pub(crate) torn: bool,
}

/// A text that was read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) words: Vec<Word>,
    pub(crate) known: Vec<Known>,
    pub(crate) places: Vec<Place>,
    /// Over all words.
    pub(crate) total: Sums,
    /// Signals that stand across a place, in order: where they begin and end, and which.
    across: Vec<(usize, usize, u32)>,
}

const MARK: u8 = 1;
const DIGIT: u8 = 2;
const QUOTE: u8 = 4;
const SIGNAL: u8 = 8;
const SPELLS: u8 = 16;

/// What a byte of ASCII is.
#[expect(
    clippy::indexing_slicing,
    reason = "it runs when this is built, and a place that is not there stops that"
)]
const KINDS: [u8; 128] = {
    let mut kinds = [0; 128];
    let mut byte = 0;
    while byte < 128_u8 {
        let mut kind = 0;
        if !byte.is_ascii_alphanumeric() && !(byte == b' ' || byte >= 9 && byte <= 13) {
            kind |= MARK;
        }
        if byte.is_ascii_digit() {
            kind |= DIGIT;
        }
        if byte == b'"' {
            kind |= QUOTE;
        }
        if byte.is_ascii_alphanumeric() || byte == b'\'' {
            kind |= SPELLS;
        }
        let mut at = 0;
        while at < SIGNALS.len() {
            if SIGNALS[at].0.as_bytes()[SIGNALS[at].1] == byte {
                kind |= SIGNAL;
            }
            at += 1;
        }
        kinds[byte as usize] = kind;
        byte += 1;
    }
    kinds
};

impl Reading {
    /// Reads a folded text for windows that begin and end at these places, which are in order.
    pub(crate) fn of(text: &str, places: impl Iterator<Item = usize>, model: &Model) -> Self {
        let mut reading = Self::default();
        reading.words.reserve(text.len() / 4 + 1);
        reading.known.reserve(text.len() / 10 + 1);
        reading.look(text, places);
        Reader { lexicon: lexicon::shipped(), model, out: &mut reading, before: None, quotes: 0 }.read(text);
        reading.locate();
        reading
    }

    /// Counts what is counted by character, and finds signals.
    fn look(&mut self, text: &str, places: impl Iterator<Item = usize>) {
        let mut place = Place::default();
        self.places.push(place);
        for end in places.filter(|end| *end > 0) {
            let (start, segment) = (place.at, text.get(place.at..end).unwrap_or_default());
            if segment.is_empty() {
                continue;
            }
            place.at = end;
            place.signals = 0;
            if segment.is_ascii() {
                place.chars += segment.len();
                for (at, byte) in segment.bytes().enumerate() {
                    let kind = KINDS.get(usize::from(byte)).copied().unwrap_or_default();
                    place.marks += usize::from(kind & MARK);
                    place.digits += usize::from(kind & DIGIT) / usize::from(DIGIT);
                    if kind & (QUOTE | SIGNAL) != 0 {
                        place.quotes += usize::from(kind & QUOTE != 0);
                        self.signals(text.as_bytes(), byte, start + at, &mut place, start);
                    }
                }
            } else {
                for (at, c) in segment.char_indices() {
                    place.chars += 1;
                    let kind = u8::try_from(c).ok().and_then(|byte| KINDS.get(usize::from(byte))).copied();
                    let kind = kind
                        .unwrap_or_else(|| if c.is_alphanumeric() || c.is_whitespace() { 0 } else { MARK });
                    place.marks += usize::from(kind & MARK);
                    place.digits += usize::from(kind & DIGIT) / usize::from(DIGIT);
                    place.quotes += usize::from(kind & QUOTE != 0);
                    if kind & SIGNAL != 0 {
                        self.signals(
                            text.as_bytes(),
                            u8::try_from(c).unwrap_or_default(),
                            start + at,
                            &mut place,
                            start,
                        );
                    }
                }
            }
            self.places.push(place);
        }
        // Each was found by a byte inside of it.
        self.across.sort_unstable();
    }

    /// Signals that stand across a place and begin there or later.
    pub(crate) fn across_from(&self, at: usize) -> impl Iterator<Item = &(usize, usize, u32)> {
        let first = self.across.partition_point(|(start, ..)| *start < at);
        self.across.iter().skip(first)
    }

    /// Signals that are found by the byte at that place.
    fn signals(&mut self, text: &[u8], byte: u8, at: usize, place: &mut Place, start: usize) {
        if byte == b' '
            && !at.checked_sub(1).and_then(|at| text.get(at)).is_some_and(|b| matches!(b, b'n' | b'd' | b'e'))
        {
            return;
        }
        for (bit, (signal, found_by)) in SIGNALS.iter().enumerate() {
            let signal = signal.as_bytes();
            if signal.get(*found_by) != Some(&byte) {
                continue;
            }
            let Some(from) = at.checked_sub(*found_by) else { continue };
            let to = from + signal.len();
            if text.get(from..to) == Some(signal) {
                if from >= start && to <= place.at {
                    place.signals |= 1 << bit;
                } else {
                    self.across.push((from, to, 1 << bit));
                }
            }
        }
    }

    /// Says of each place which words stand before it.
    fn locate(&mut self) {
        let (mut words, mut known) = (0, 0);
        for place in &mut self.places {
            while self.words.get(words).is_some_and(|word| word.start < place.at) {
                words += 1;
            }
            while self.known.get(known).is_some_and(|word| word.at < words) {
                known += 1;
            }
            let last = words.checked_sub(1).and_then(|at| self.words.get(at));
            (place.words, place.known) = (words, known);
            place.torn = last.is_some_and(|word| word.end > place.at);
        }
    }

    /// The sums over the words before that one.
    pub(crate) fn sums(&self, word: usize) -> &Sums {
        self.words.get(word).map_or(&self.total, |word| &word.sums)
    }
}

/// What the word before was, as long as it may have been torn off the next.
#[derive(Debug, Clone, Copy)]
struct Before {
    word: usize,
    spelling: Spelling,
    concepts: u32,
}

/// Reads words.
struct Reader<'a> {
    lexicon: &'a Lexicon,
    model: &'a Model,
    out: &'a mut Reading,
    before: Option<Before>,
    quotes: usize,
}

impl Reader<'_> {
    fn read(&mut self, text: &str) {
        let mut chars = text.char_indices();
        let mut ahead = chars.next();
        while let Some((at, c)) = ahead {
            if c == '"' {
                self.quotes += 1;
            } else if lexicon::runs_on(c) {
                let rest = text.get(at..).unwrap_or_default();
                let (concepts, len) = self.lexicon.run(rest.chars()).unwrap_or((0, 1));
                let mut grams = Grams::new(self.model);
                let mut hash = 7;
                let mut end = at;
                for c in rest.chars().take(len) {
                    let code = spread(u64::from(u32::from(c)));
                    hash = mix_spread(hash, code);
                    grams.push(code);
                    end += c.len_utf8();
                }
                for _ in 1..len {
                    chars.next();
                }
                self.keep(at, end, hash, concepts, None, grams);
            } else if spells(c) {
                ahead = self.spelled(text, at, c, &mut chars);
                continue;
            }
            ahead = chars.next();
        }
    }

    /// Reads a word that is spelled; what comes after it.
    fn spelled(
        &mut self,
        text: &str,
        start: usize,
        first: char,
        chars: &mut std::str::CharIndices<'_>,
    ) -> Option<(usize, char)> {
        let mut grams = Grams::new(self.model);
        let mut spelling = Spelling::START;
        let mut torn = self
            .before
            .filter(|before| before.spelling.len() <= 5 && before.concepts == 0)
            .map(|b| (b.word, b.spelling));
        let (mut hash, mut digits, mut length, mut c) = (7, true, 0, first);
        let ahead = loop {
            let code = spread(u64::from(u32::from(c)));
            grams.push(code);
            length += 1;
            // `don't` is `dont`: the lexicon and messages write it both ways.
            if c != '\'' {
                hash = mix_spread(hash, code);
                digits &= c.is_ascii_digit();
                self.lexicon.spell(&mut spelling, c);
                if let Some((_, joined)) = &mut torn {
                    self.lexicon.spell(joined, c);
                }
            }
            match chars.next() {
                Some((_, next)) if spells(next) => c = next,
                ahead => break ahead,
            }
        };
        if spelling.len() == 0 {
            return ahead;
        }
        if digits {
            // A number is a number: which one says nothing.
            hash = mix(11, spelling.len().min(5) as u64);
        }
        let concepts = self.lexicon.of(&spelling);
        let torn = torn.filter(|(_, joined)| {
            concepts == 0 && spelling.len() <= 5 && length >= 2 && (5..=10).contains(&joined.len())
        });
        let torn = torn.map(|(word, joined)| (word, self.lexicon.of(&joined)));
        self.before = Some(Before { word: self.out.words.len(), spelling, concepts });
        let end = ahead.map_or(text.len(), |(at, _)| at);
        self.keep(start, end, hash, concepts, torn, grams);
        ahead
    }

    fn keep(
        &mut self,
        start: usize,
        end: usize,
        hash: u64,
        concepts: u32,
        torn: Option<(usize, u32)>,
        mut grams: Grams<'_>,
    ) {
        grams.push(SPACE);
        let at = self.out.words.len();
        let mut back = self.out.words.iter().rev().map(|word| word.hash);
        let (first, second) = (back.next(), back.next());
        let pair = first.map_or(0, |first| self.model.weight(mix(mix(first, hash), 103)));
        let triple = first
            .zip(second)
            .map_or(0, |(first, second)| self.model.weight(mix(mix(mix(second, first), hash), 104)));
        let torn = torn.filter(|(_, concepts)| *concepts != 0);
        if concepts != 0 || torn.is_some() {
            self.out.known.push(Known { at, concepts, torn, quotes: self.quotes });
        }
        self.out.words.push(Word { sums: self.out.total, pair, triple, start, end, hash });
        let total = &mut self.out.total;
        total.letters += grams.sum;
        total.letter_count += grams.count;
        total.words += self.model.weight(mix(hash, 101)) + pair + triple;
        self.model.add_vector(mix(hash, 102), &mut total.deep);
    }
}

fn spells(c: char) -> bool {
    match u8::try_from(c) {
        Ok(byte @ ..0x80) => KINDS.get(usize::from(byte)).is_some_and(|kind| kind & SPELLS != 0),
        _ => is_word(c) && !lexicon::runs_on(c),
    }
}

const SPACE: u64 = spread(b' ' as u64);
const OF_THREE: u64 = spread(2);
const OF_FOUR: u64 = spread(3);
const OF_FIVE: u64 = spread(4);

/// The character n-grams of a word, of three, four and five, from each of its ends backwards.
struct Grams<'a> {
    model: &'a Model,
    /// The last four characters, newest first.
    past: [u64; 4],
    seen: usize,
    sum: i32,
    count: usize,
}

impl<'a> Grams<'a> {
    fn new(model: &'a Model) -> Self {
        Self { model, past: [SPACE, 0, 0, 0], seen: 1, sum: 0, count: 0 }
    }

    #[inline]
    fn push(&mut self, code: u64) {
        let [one, two, three, four] = self.past;
        self.past = [code, one, two, three];
        self.seen += 1;
        if self.seen < 3 {
            return;
        }
        let hash = mix_spread(mix_spread(mix_spread(0, code), one), two);
        self.sum += self.model.weight(mix_spread(hash, OF_THREE));
        self.count += 1;
        if self.seen < 4 {
            return;
        }
        let hash = mix_spread(hash, three);
        self.sum += self.model.weight(mix_spread(hash, OF_FOUR));
        self.count += 1;
        if self.seen < 5 {
            return;
        }
        let hash = mix_spread(hash, four);
        self.sum += self.model.weight(mix_spread(hash, OF_FIVE));
        self.count += 1;
    }
}
