//! Stems of English words, by M. F. Porter's algorithm ("An algorithm for suffix stripping", Program 14, 1980), which
//! the index uses too: `connected` and `connection` are both `connect`.
//!
//! The index stems for itself; this is for comparing words outside of it, so both sides must only agree with
//! themselves. Words of other letters than `a` to `z` are their own stems.

/// Shorter words are their own stems.
const SHORTEST: usize = 3;

/// The stem of a word in small letters.
pub(super) fn stem(word: &str) -> String {
    if word.len() < SHORTEST || !word.bytes().all(|letter| letter.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let mut word = Word(word.to_owned());
    word.plurals();
    word.past_and_progress();
    word.last_y();
    word.replace_first(DOUBLE_SUFFIXES, 0);
    word.replace_first(FULL_SUFFIXES, 0);
    word.strip_suffix();
    word.tidy();
    word.0
}

/// Suffixes made of two, and what stays of them (step 2).
const DOUBLE_SUFFIXES: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("logi", "log"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
];

/// Step 3.
const FULL_SUFFIXES: &[(&str, &str)] = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];

/// Suffixes that fall from a stem that is long enough (step 4); `ion` only after `s` or `t`.
const LAST_SUFFIXES: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism",
    "ate", "iti", "ous", "ive", "ize",
];

struct Word(String);

impl Word {
    /// Step 1a.
    fn plurals(&mut self) {
        if ["sses", "ies"].iter().any(|end| self.stem_before(end).is_some()) {
            self.cut(2);
        } else if self.0.ends_with('s') && !self.0.ends_with("ss") {
            self.cut(1);
        }
    }

    /// Step 1b.
    fn past_and_progress(&mut self) {
        if let Some(stem) = self.stem_before("eed") {
            if measure(stem) > 0 {
                self.cut(1);
            }
            return;
        }
        let stem = self.0.strip_suffix("ed").or_else(|| self.0.strip_suffix("ing"));
        let Some(stem) = stem.filter(|stem| has_vowel(stem)).map(str::to_owned) else { return };
        self.0 = stem;
        if ["at", "bl", "iz"].iter().any(|end| self.0.ends_with(end)) {
            self.0.push('e');
        } else if ends_in_double_consonant(&self.0) && !self.0.ends_with(['l', 's', 'z']) {
            self.cut(1);
        } else if measure(&self.0) == 1 && ends_in_short_syllable(&self.0) {
            self.0.push('e');
        }
    }

    /// Step 1c.
    fn last_y(&mut self) {
        if self.0.strip_suffix('y').is_some_and(has_vowel) {
            self.cut(1);
            self.0.push('i');
        }
    }

    /// Replaces the longest suffix of the list that the word ends with, if enough of the word stays.
    fn replace_first(&mut self, suffixes: &[(&str, &str)], more_than: usize) {
        let longest = suffixes
            .iter()
            .filter(|(suffix, _)| self.0.ends_with(suffix))
            .max_by_key(|(suffix, _)| suffix.len());
        let Some((suffix, by)) = longest else { return };
        if self.0.strip_suffix(suffix).is_some_and(|stem| measure(stem) > more_than) {
            self.cut(suffix.len());
            self.0.push_str(by);
        }
    }

    /// Step 4.
    fn strip_suffix(&mut self) {
        let longest =
            LAST_SUFFIXES.iter().filter(|suffix| self.0.ends_with(*suffix)).max_by_key(|suffix| suffix.len());
        let Some((suffix, stem)) = longest.and_then(|suffix| Some((suffix, self.0.strip_suffix(suffix)?)))
        else {
            return;
        };
        if measure(stem) > 1 && (*suffix != "ion" || stem.ends_with(['s', 't'])) {
            self.cut(suffix.len());
        }
    }

    /// Step 5.
    fn tidy(&mut self) {
        if let Some(stem) = self.0.strip_suffix('e')
            && (measure(stem) > 1 || measure(stem) == 1 && !ends_in_short_syllable(stem))
        {
            self.cut(1);
        }
        if self.0.ends_with("ll") && measure(&self.0) > 1 {
            self.cut(1);
        }
    }

    /// What stands before a suffix, if that is anything.
    fn stem_before(&self, suffix: &str) -> Option<&str> {
        self.0.strip_suffix(suffix).filter(|stem| !stem.is_empty())
    }

    /// Drops letters from the end.
    fn cut(&mut self, letters: usize) {
        self.0.truncate(self.0.len().saturating_sub(letters));
    }
}

/// For each letter whether it is a vowel: `a e i o u`, and `y` after a consonant.
fn vowels(word: &str) -> impl Iterator<Item = bool> {
    word.bytes().scan(true, |before, letter| {
        let vowel = match letter {
            b'a' | b'e' | b'i' | b'o' | b'u' => true,
            b'y' => !*before,
            _ => false,
        };
        *before = vowel;
        Some(vowel)
    })
}

fn has_vowel(word: &str) -> bool {
    vowels(word).any(|vowel| vowel)
}

/// How often a consonant follows a vowel: Porter's `m`.
fn measure(word: &str) -> usize {
    vowels(word).zip(vowels(word).skip(1)).filter(|(one, next)| *one && !next).count()
}

/// Ends in the same consonant twice; `y` counts as one here, wherever it stands.
fn ends_in_double_consonant(word: &str) -> bool {
    let mut end = word.bytes().rev();
    let last = end.next();
    last == end.next() && last.is_some_and(|letter| !b"aeiou".contains(&letter))
}

/// Ends in consonant, vowel, consonant, and the last is not `w`, `x` or `y`.
fn ends_in_short_syllable(word: &str) -> bool {
    let kinds: Vec<bool> = vowels(word).collect();
    kinds.ends_with(&[false, true, false]) && !word.ends_with(['w', 'x', 'y'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::stem;

    /// What the engine's own stemmer makes of a word.
    struct Engine(Connection);

    impl Engine {
        fn new() -> Self {
            let conn = Connection::open_in_memory().expect("it opens");
            conn.execute_batch(
                "CREATE VIRTUAL TABLE words USING fts5 (word, tokenize = 'porter unicode61 remove_diacritics 2');
                 CREATE VIRTUAL TABLE stems USING fts5vocab (words, 'row');",
            )
            .expect("the tables are created");
            Self(conn)
        }

        fn stem(&self, word: &str) -> String {
            self.0.execute("DELETE FROM words", []).expect("it is emptied");
            self.0.execute("INSERT INTO words VALUES (?)", [word]).expect("it is indexed");
            self.0.query_row("SELECT term FROM stems", [], |row| row.get(0)).expect("a stem")
        }
    }

    #[test]
    fn words_of_one_family_share_a_stem() {
        let families = [
            "connect connected connecting connection connections",
            "segment segments segmented segmenting segmentation segmentations",
            "generalization generalizations generalize",
            "hopping hopped hop hops",
            "library libraries",
            "delete deleted deleting deletion deletions",
        ];
        for family in families {
            let mut stems: Vec<String> = family.split(' ').map(stem).collect();
            stems.dedup();
            assert_eq!(stems.len(), 1, "{stems:?}");
        }
        assert_eq!(["sky", "as", "x1", "été"].map(stem), ["sky", "as", "x1", "été"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_stems_are_those_of_the_index(
            words in proptest::collection::vec(
                "[a-z]{1,5}(ational|tional|enci|anci|izer|bly|ally|ently|ously|ization|ation|ator|alism|iveness\
                 |fulness|ousness|ality|ivity|bility|icate|ative|alize|icity|ical|ful|ness|ance|ence|able|ible|ement\
                 |ment|ent|sion|tion|ism|ate|ous|ive|ize|s|es|ies|sses|ed|eed|ing|y|er|ll|e)?",
                40,
            ),
        ) {
            let engine = Engine::new();
            for word in words {
                let stem = stem(&word);
                prop_assert_eq!(&stem, &engine.stem(&word), "{}", word);
                // What reading a text relies on.
                let kept = stem.len().saturating_sub(1).max(1);
                prop_assert_eq!(stem.get(..kept), word.get(..kept), "{}", word);
            }
        }
    }
}
