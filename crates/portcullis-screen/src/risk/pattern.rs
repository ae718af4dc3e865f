//! Phrases: how they are written, and how they are found in a sentence.
//!
//! ```text
//! [self-harm]
//! + want|wanna ?to .. die     a phrase: words in their order
//! - die of laughter           where this stands in the same sentence, no phrase of the kind counts
//! ```
//! `a|b` is one of several, `?` before it may be absent, `*` stands for the rest of a word, `..` for up to three words and
//! `...` for up to six. A phrase begins with a word. In scripts without spaces each part is looked for as it is written, in
//! order, a few characters apart.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;

use super::Risk;
use super::words::{PAUSE, Said, Sentence, key};
use crate::fold;
use crate::lexicon::{Already, Sieve, runs_on};

/// The most parts of a phrase.
pub const MOST_WORDS: usize = 24;
/// How far apart the parts of a phrase may be in a script without spaces, in characters.
const APART: usize = 12;

/// A phrase that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong;

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "a phrase is 1 to {MOST_WORDS} words, begins with a word, and may hold `*` at the end of words and `..` between them"
        )
    }
}

impl std::error::Error for Wrong {}

/// A word, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    key: u64,
    stem: bool,
}

impl Word {
    fn is(&self, word: &Said<'_>) -> bool {
        if self.stem {
            word.text.starts_with(&self.text)
        } else {
            word.key == self.key && word.text == self.text
        }
    }
}

#[derive(Debug, Clone)]
enum Part {
    One { of: Vec<Word>, optional: bool },
    Gap(usize),
}

#[derive(Debug, Clone)]
struct Phrase {
    risk: Risk,
    parts: Vec<Part>,
    /// Whether it excuses, where others accuse.
    excuses: bool,
    /// For each part that has to be there as a whole word, the [`mark`]s of the words that it may be; in a script without spaces
    /// those of their first characters.
    needs: Vec<u64>,
}

/// Phrases by their first words.
#[derive(Debug, Clone, Default)]
pub(super) struct Patterns {
    phrases: Vec<Phrase>,
    /// By the hash of the whole first word.
    by_word: HashMap<u64, Vec<usize>, BuildHasherDefault<Already>>,
    sieve: Sieve,
    /// By the first byte of a first word of which only the beginning is written.
    by_stem: HashMap<u8, Vec<usize>, BuildHasherDefault<Already>>,
    /// Those of scripts without spaces.
    runs: Vec<usize>,
}

impl Patterns {
    /// The file that ships. Lines that are none are left out; a test finds them.
    pub(super) fn read(text: &str) -> Self {
        let mut patterns = Self::default();
        for (risk, sign, phrase) in lines(text) {
            let _ = patterns.add(risk, phrase, sign == '+');
        }
        patterns
    }

    /// Adds a phrase.
    pub(super) fn add(&mut self, risk: Risk, phrase: &str, accuses: bool) -> Result<(), Wrong> {
        let parts: Vec<Part> = phrase.split_whitespace().map(part).collect::<Option<_>>().ok_or(Wrong)?;
        let Some(Part::One { of: first, optional: false }) = parts.first() else { return Err(Wrong) };
        if parts.len() > MOST_WORDS || matches!(parts.last(), Some(Part::Gap(_))) {
            return Err(Wrong);
        }
        let place = self.phrases.len();
        let runs = first.iter().any(|word| word.text.chars().any(runs_on));
        if runs {
            self.runs.push(place);
        } else {
            for word in first {
                if word.stem {
                    self.by_stem.entry(initial(&word.text)).or_default().push(place);
                } else {
                    self.by_word.entry(word.key).or_default().push(place);
                    self.sieve.add(word.key);
                }
            }
        }
        let needs = parts.iter().filter_map(if runs { written } else { needed }).collect();
        self.phrases.push(Phrase { risk, parts, excuses: !accuses, needs });
        Ok(())
    }

    /// Takes in the kinds that the sentence is of.
    pub(super) fn find(&self, sentence: Sentence<'_>, kinds: &[Risk], found: &mut BTreeSet<Risk>) {
        let (mut accused, mut excused) = (BTreeSet::new(), BTreeSet::new());
        let mut hold = |phrase: &Phrase| {
            if phrase.excuses {
                excused.insert(phrase.risk)
            } else {
                accused.insert(phrase.risk)
            };
        };
        let said = sentence.words.iter().fold(0, |said, word| said | mark(word.key));
        let may_stand = |phrase: &Phrase, said: u64| phrase.needs.iter().all(|one| one & said != 0);
        for (at, word) in sentence.words.iter().enumerate() {
            let rest = sentence.words.get(at..).unwrap_or_default();
            let whole = if self.sieve.may_hold(word.key) { self.by_word.get(&word.key) } else { None };
            let stem = self.by_stem.get(&initial(word.text));
            for phrase in whole.into_iter().chain(stem).flatten().filter_map(|at| self.phrases.get(*at)) {
                if may_stand(phrase, said) && kinds.contains(&phrase.risk) && begins(&phrase.parts, rest) {
                    hold(phrase);
                }
            }
        }
        if !sentence.run.is_empty() {
            let said = sentence.run.chars().fold(0, |said, c| said | mark(u64::from(c)));
            for phrase in self.runs.iter().filter_map(|at| self.phrases.get(*at)) {
                if may_stand(phrase, said)
                    && kinds.contains(&phrase.risk)
                    && runs(&phrase.parts, sentence.run)
                {
                    hold(phrase);
                }
            }
        }
        found.extend(accused.difference(&excused));
    }
}

/// The phrases of the file with their kinds and signs.
fn lines(text: &str) -> impl Iterator<Item = (Risk, char, &str)> {
    let mut risk = None;
    text.lines().filter_map(move |line| {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            risk = Risk::parse(name);
            return None;
        }
        let sign = line.chars().next().filter(|sign| matches!(sign, '+' | '-'))?;
        Some((risk?, sign, line.get(1..)?.trim()))
    })
}

/// A bit for a word. Two words may share one, so it tells what cannot be in a sentence, and no more.
const fn mark(key: u64) -> u64 {
    1 << (key % 64)
}

/// The marks of the words of which one must be in the sentence; none of a part that may be absent, or that the beginning of a
/// word is enough for.
fn needed(part: &Part) -> Option<u64> {
    match part {
        Part::One { of, optional: false } if of.iter().all(|word| !word.stem) => {
            Some(of.iter().fold(0, |marks, word| marks | mark(word.key)))
        }
        Part::One { .. } | Part::Gap(_) => None,
    }
}

/// The marks of the first characters of the words of which one must be in a text without spaces.
fn written(part: &Part) -> Option<u64> {
    match part {
        Part::One { of, optional: false } => Some(
            of.iter()
                .filter_map(|word| word.text.chars().next())
                .fold(0, |marks, c| marks | mark(u64::from(c))),
        ),
        Part::One { .. } | Part::Gap(_) => None,
    }
}

fn initial(word: &str) -> u8 {
    word.bytes().next().unwrap_or_default()
}

fn part(text: &str) -> Option<Part> {
    match text {
        ".." => return Some(Part::Gap(3)),
        "..." => return Some(Part::Gap(6)),
        _ => {}
    }
    let (text, optional) = text.strip_prefix('?').map_or((text, false), |text| (text, true));
    let of = text.split('|').map(|word| {
        let (word, stem) = word.strip_suffix('*').map_or((word, false), |word| (word, true));
        let text = fold::plain(word);
        let plain = text.chars().all(|c| c.is_alphanumeric() || c == '\'') && !text.is_empty();
        plain.then(|| Word { key: key(&text), text, stem })
    });
    Some(Part::One { of: of.collect::<Option<_>>()?, optional })
}

/// Whether the words begin with the phrase.
fn begins(parts: &[Part], words: &[Said<'_>]) -> bool {
    match parts.split_first() {
        None => true,
        Some((Part::Gap(most), rest)) => (0..=(*most).min(words.len()))
            .any(|skipped| begins(rest, words.get(skipped..).unwrap_or_default())),
        Some((Part::One { of, optional }, rest)) => {
            let taken = words.split_first().is_some_and(|(word, after)| {
                word.text != PAUSE && of.iter().any(|one| one.is(word)) && begins(rest, after)
            });
            taken || (*optional && begins(rest, words))
        }
    }
}

/// Whether the parts stand in the text in their order, each a few characters behind the one before.
fn runs(parts: &[Part], text: &str) -> bool {
    let mut parts = parts.iter().filter_map(|part| match part {
        Part::One { of, optional } => Some((of, *optional)),
        Part::Gap(_) => None,
    });
    let Some((first, _)) = parts.next() else { return false };
    // Where what was found so far may end, in order and each place once: no more than the text has, however many ways lead there.
    let mut ends: Vec<usize> =
        first.iter().flat_map(|word| places(&word.text, text).map(|at| at + word.text.len())).collect();
    for (of, optional) in parts {
        ends.sort_unstable();
        ends.dedup();
        let next = of.iter().flat_map(|word| {
            places(&word.text, text).filter(|at| follows(&ends, *at, text)).map(|at| at + word.text.len())
        });
        let next: Vec<usize> = next.collect();
        if optional {
            ends.extend(next);
        } else {
            ends = next;
        }
        if ends.is_empty() {
            return false;
        }
    }
    !ends.is_empty()
}

/// Every place where the word begins.
fn places<'a>(word: &'a str, text: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.find(word)?;
        from = at + text.get(at..)?.chars().next()?.len_utf8();
        Some(at)
    })
}

/// Whether the place is a few characters behind one of these, which are in order.
fn follows(ends: &[usize], at: usize, text: &str) -> bool {
    let nearest = ends.partition_point(|end| *end <= at).checked_sub(1).and_then(|place| ends.get(place));
    let between = nearest.and_then(|end| text.get(*end..at));
    between.is_some_and(|between| between.chars().take(APART).count() < APART)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::words::Sentences;

    #[test]
    fn every_line_of_the_file_is_a_phrase() {
        let text = include_str!("../risks.txt");
        let mut count = 0;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '['])) {
            assert!(line.starts_with("+ ") || line.starts_with("- "), "{line}");
            count += 1;
        }
        let mut patterns = Patterns::default();
        let mut read = 0;
        for (risk, sign, phrase) in lines(text) {
            assert_eq!(patterns.add(risk, phrase, sign == '+'), Ok(()), "{phrase}");
            read += 1;
        }
        assert_eq!(count, read);
        assert!(read > 250, "{read}");
    }

    #[test]
    fn parts_are_optional_apart_and_one_of_several() {
        let mut patterns = Patterns::default();
        patterns.add(Risk::Other, "red|blue ?old .. boat*", true).expect("a phrase");
        patterns.add(Risk::Other, "boat of paper", false).expect("a phrase");
        let holds = |text: &str| {
            let mut found = BTreeSet::new();
            Sentences::read(text).each(|sentence| patterns.find(sentence, &Risk::ALL, &mut found));
            !found.is_empty()
        };
        for text in ["a red boat", "blue old wooden boathouse", "red one two three boat"] {
            assert!(holds(text), "{text}");
        }
        for text in ["green boat", "red one two three four boat", "red. boat", "a red boat of paper"] {
            assert!(!holds(text), "{text}");
        }
    }

    /// What [`runs`] does, written plainly and slowly.
    fn runs_slowly(parts: &[Part], text: &str, within: usize) -> bool {
        let Some((part, rest)) = parts.split_first() else { return true };
        let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]).take(within);
        match part {
            Part::Gap(_) => runs_slowly(rest, text, within),
            Part::One { of, optional } => {
                let mut ends = starts
                    .flat_map(|at| of.iter().map(move |word| (at, word)))
                    .filter(|(at, word)| text.split_at(*at).1.starts_with(&word.text))
                    .map(|(at, word)| at + word.text.len());
                ends.any(|end| runs_slowly(rest, text.split_at(end).1, APART))
                    || *optional && runs_slowly(rest, text, within)
            }
        }
    }

    /// The phrases of scripts without spaces, and every word of them.
    fn run_phrases(patterns: &Patterns) -> (Vec<&Phrase>, Vec<&str>) {
        let phrases: Vec<&Phrase> = patterns.runs.iter().map(|at| &patterns.phrases[*at]).collect();
        let words: BTreeSet<&str> = phrases
            .iter()
            .flat_map(|phrase| &phrase.parts)
            .filter_map(|part| match part {
                Part::One { of, .. } => Some(of),
                Part::Gap(_) => None,
            })
            .flatten()
            .map(|word| word.text.as_str())
            .collect();
        (phrases, words.into_iter().collect())
    }

    #[test]
    fn phrases_without_spaces_are_found_as_they_are_character_by_character() {
        let mut patterns = Patterns::read(include_str!("../risks.txt"));
        for own in ["哈哈 ?哈 .. 我", "我 ?哈哈 哈哈哈|x ?y 哈", "x我 y ... z"] {
            patterns.add(Risk::Other, own, true).expect("a phrase");
        }
        let (phrases, words) = run_phrases(&patterns);
        let (mut state, mut found) = (7_usize, 0);
        let mut below = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        for phrase in phrases {
            let own: Vec<&str> = phrase
                .parts
                .iter()
                .filter_map(|part| if let Part::One { of, .. } = part { Some(of) } else { None })
                .flatten()
                .map(|word| word.text.as_str())
                .collect();
            for _ in 0..300 {
                let text: String = (0..=below(12))
                    .map(|_| match below(8) {
                        0 => words[below(words.len())],
                        1 => ["哈", "哈哈", "x", "y", "ö", "。"][below(6)],
                        2 => "一二三四五六七八九十",
                        _ => own[below(own.len())],
                    })
                    .collect();
                let plainly = runs_slowly(&phrase.parts, &text, usize::MAX);
                assert_eq!(runs(&phrase.parts, &text), plainly, "{text} {:?}", phrase.parts);
                found += usize::from(plainly);
            }
        }
        assert!(found > 1_000, "{found}");
    }

    #[test]
    fn a_long_run_of_one_word_is_read_to_its_end() {
        let patterns = Patterns::read(include_str!("../risks.txt"));
        let (_, words) = run_phrases(&patterns);
        let kinds = |text: &str| {
            let mut found = BTreeSet::new();
            Sentences::read(text).each(|sentence| patterns.find(sentence, &Risk::ALL, &mut found));
            found
        };
        let every: String = words.concat();
        for word in &words {
            let many = word.repeat((1 << 16) / word.len());
            assert_eq!(kinds(&many), kinds(&word.repeat(40)), "{word}");
            // With every other word of a phrase there, somewhere.
            let few = kinds(&[&word.repeat(40), "一二三四五六七八九十一二", &every].concat());
            assert_eq!(kinds(&[&many, "一二三四五六七八九十一二", &every].concat()), few, "{word}");
        }
        let longest = "我".repeat(349_000);
        assert_eq!(kinds(&longest), BTreeSet::new());
        assert_eq!(kinds(&(longest + "想死")), BTreeSet::from([Risk::SelfHarm]));
    }

    #[test]
    fn each_phrase_is_found_that_begins_at_a_word() {
        let patterns = Patterns::read(include_str!("../risks.txt"));
        let texts =
            [include_str!("../../tests/risks/risky.txt"), include_str!("../../tests/risks/benign.txt")]
                .concat();
        let mut accused = 0;
        for line in texts.lines() {
            let folded = fold::fold(line).text;
            Sentences::read(&folded).each(|sentence| {
                let stands = |(place, phrase): &(usize, &Phrase)| {
                    if patterns.runs.contains(place) {
                        runs(&phrase.parts, sentence.run)
                    } else {
                        (0..sentence.words.len()).any(|at| begins(&phrase.parts, &sentence.words[at..]))
                    }
                };
                let held: Vec<&Phrase> =
                    patterns.phrases.iter().enumerate().filter(stands).map(|(_, phrase)| phrase).collect();
                let of = |excuses: bool| -> BTreeSet<Risk> {
                    held.iter().filter(|phrase| phrase.excuses == excuses).map(|phrase| phrase.risk).collect()
                };
                let mut found = BTreeSet::new();
                patterns.find(sentence, &Risk::ALL, &mut found);
                assert_eq!(found, of(false).difference(&of(true)).copied().collect(), "{line}");
                accused += found.len();
            });
        }
        assert!(accused > 100, "{accused}");
    }
}
