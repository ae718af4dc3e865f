//! The measures of a window: how often each concept stands in it, which one it begins with, and what it looks like.

use crate::features::MEASURES;
use crate::fold::Signs;
use crate::lexicon::CONCEPTS;

/// What the measures of a window are made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// How many of its words have each concept.
    pub(crate) counts: [u32; 32],
    /// The concepts of its first word.
    pub(crate) first: u32,
    /// The concepts of all its words.
    pub(crate) all: u32,
    /// The concepts of words in quotation marks.
    pub(crate) quoted: u32,
    /// Its words.
    pub(crate) words: usize,
    /// Those with a concept.
    pub(crate) known: usize,
    /// Its characters.
    pub(crate) chars: usize,
    /// Those that are neither letter, digit nor blank.
    pub(crate) marks: usize,
    /// Those that are digits of ASCII.
    pub(crate) digits: usize,
    /// Which of [`SIGNALS`] stand in it.
    pub(crate) signals: u32,
    /// Whether it ends with a question mark.
    pub(crate) asks: bool,
}

/// What is looked for in a window, and which of its bytes it is found by: the rarest. The first [`MARKERS`] are marks by which
/// prompts of models are put together.
pub(crate) const SIGNALS: &[(&str, usize)] = &[
    ("<|", 0),
    ("|>", 0),
    ("[inst", 0),
    ("<<sys", 0),
    ("system:", 6),
    ("assistant:", 9),
    ("user:", 4),
    ("### ", 0),
    ("---", 0),
    ("</", 0),
    ("[system", 0),
    ("(system", 0),
    ("{\"role\"", 0),
    ("begin ", 5),
    ("end of", 3),
    ("<!--", 0),
    ("instruction:", 11),
    ("```", 0),
    ("[[", 0),
    ("note to", 4),
    ("?", 0),
    ("!", 0),
    ("\n", 0),
    ("http", 0),
    ("@", 0),
    ("{", 0),
    ("<", 0),
];
const MARKERS: u32 = 20;
const ASKS: u32 = 1 << 20;
const CALLS: u32 = 1 << 21;
const BREAKS: u32 = 1 << 22;
const LINKS: u32 = 1 << 23;
const MAILS: u32 = 1 << 24;
const OPENS: u32 = 1 << 25 | 1 << 26;

/// The bit of a concept; none if there is no such one.
#[expect(
    clippy::indexing_slicing,
    reason = "it runs when this is built, and a place that is not there stops that"
)]
const fn bit(name: &str) -> u32 {
    let mut at = 0;
    while at < CONCEPTS.len() {
        let (one, other) = (CONCEPTS[at].as_bytes(), name.as_bytes());
        let mut same = one.len() == other.len();
        let mut letter = 0;
        while same && letter < one.len() {
            same = one[letter] == other[letter];
            letter += 1;
        }
        if same {
            return 1 << at;
        }
        at += 1;
    }
    0
}

const OVERRIDE: u32 = bit("override");
const INSTR: u32 = bit("instr");
const REVEAL: u32 = bit("reveal");
const SECRET: u32 = bit("secret");
const PERSONA: u32 = bit("persona");
const YOU: u32 = bit("you");
const UNBOUND: u32 = bit("unbound");
const TECH: u32 = bit("tech");
const ITSELF: u32 = bit("self");
const ASK: u32 = bit("ask");
const MODEL: u32 = bit("model");

impl Form {
    /// Takes in a word's concepts.
    #[inline]
    pub(crate) fn add(&mut self, concepts: impl IntoIterator<Item = u32>, quoted: bool) {
        for concept in concepts {
            if let Some(count) = self.counts.get_mut(concept as usize) {
                *count += 1;
            }
            self.quoted |= u32::from(quoted) << concept;
        }
    }

    /// The measures, each about 0 to 1. `signs` are of the whole message, `layer` is 1 for decoded text.
    pub(crate) fn measures(&self, signs: &Signs, layer: u32) -> [f32; MEASURES] {
        let flag = |yes: bool| if yes { 1.0 } else { 0.0 };
        let share = |thousandths: u32| thousandths.min(1000) as f32 / 1000.0;
        let few = |count: u32, full: f32| (count as f32 / full).min(1.0);
        let share_of = |part: usize, whole: usize| part as f32 / whole.max(1) as f32;
        let has = |concept: u32| self.all & concept != 0;
        let shows = |signal: u32| flag(self.signals & signal != 0);
        let words = u32::try_from(self.words).unwrap_or(u32::MAX);
        let markers = (self.signals & ((1 << MARKERS) - 1)).count_ones();
        let own = [
            few(words, 8.0),
            few(words, 40.0),
            few(words, 80.0),
            flag(words <= 3),
            flag(self.asks),
            shows(ASKS),
            shows(CALLS),
            few(markers, 1.0),
            few(markers, 4.0),
            few(signs.invisible, 4.0),
            few(signs.lookalike, 4.0),
            few(signs.leet, 2.0),
            few(signs.spaced, 1.0),
            share(signs.capitals),
            flag(signs.capitals > 400),
            share(signs.foreign),
            share_of(self.marks, self.chars) * 2.0,
            share_of(self.digits, self.chars) * 2.0,
            flag(layer > 0),
            share_of(self.known, self.words),
            flag(self.quoted != 0),
            flag(self.quoted & 1 != 0),
            shows(BREAKS),
            shows(LINKS),
            flag(has(OVERRIDE) && has(INSTR)),
            flag(has(REVEAL) && (has(INSTR) || has(SECRET))),
            flag(has(PERSONA) && has(YOU) && has(UNBOUND)),
            flag(has(OVERRIDE) && has(TECH) && !has(INSTR)),
            flag(has(ITSELF) && has(ASK)),
            flag(has(MODEL) && has(YOU)),
            shows(MAILS),
            shows(OPENS),
        ];
        let counts = self.counts.iter().map(|&count| count.min(3) as f32 / 3.0);
        let first = (0..32).map(|bit| flag(self.first & 1 << bit != 0));
        let mut measures = [0.0; MEASURES];
        measures.iter_mut().zip(counts.chain(first).chain(own)).for_each(|(place, measure)| *place = measure);
        measures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_concept_that_is_named_here_is_one() {
        let named = [OVERRIDE, INSTR, REVEAL, SECRET, PERSONA, YOU, UNBOUND, TECH, ITSELF, ASK, MODEL];
        assert!(named.iter().all(|bit| bit.count_ones() == 1), "{named:?}");
        assert_eq!(bit("override"), 1);
    }

    #[test]
    fn a_signal_is_found_by_a_byte_of_its_own() {
        for (signal, at) in SIGNALS {
            assert!(signal.as_bytes().get(*at).is_some(), "{signal}");
        }
        for (bits, signal) in [
            (ASKS, "?"),
            (CALLS, "!"),
            (BREAKS, "\n"),
            (LINKS, "http"),
            (MAILS, "@"),
            (1 << 25, "{"),
            (1 << 26, "<"),
        ] {
            assert_eq!(SIGNALS[bits.trailing_zeros() as usize].0, signal);
        }
    }
}
