//! Sentences and their words, as phrases are looked for in them.

use std::hash::Hasher as _;

use crate::lexicon::{Already, runs_on};

/// A pause inside a sentence, which no phrase reaches across without a gap.
pub(super) const PAUSE: &str = ",";
/// What stands behind the owner of something.
const OF: &str = "'s";

/// A word with its hash, which tells most others apart at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said<'a> {
    pub(super) text: &'a str,
    pub(super) key: u64,
}

/// The hash of a word.
pub(super) fn key(word: &str) -> u64 {
    let mut hasher = Already::default();
    hasher.write(word.as_bytes());
    hasher.finish()
}

/// A sentence without its disguise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sentence<'a> {
    /// Its words in order.
    pub(super) words: &'a [Said<'a>],
    /// All of it without blanks, where it holds a script that is written without them.
    pub(super) run: &'a str,
}

/// The words of a text, one behind the other, and where its sentences end.
#[derive(Debug, Default)]
pub(super) struct Sentences {
    letters: String,
    /// Where each word begins and ends.
    words: Vec<(usize, usize)>,
    /// How many words there are up to the end of each sentence, and its [`Sentence::run`].
    ends: Vec<(usize, String)>,
    /// Where the word begins that is being read.
    from: usize,
}

impl Sentences {
    /// Reads a folded text.
    pub(super) fn read(text: &str) -> Self {
        const ENDS: &[char] = &['.', '!', '?', ';', '\n', '…', '。', '！', '？', '؟'];
        let mut read = Self { letters: String::with_capacity(text.len() + 8), ..Self::default() };
        read.words.reserve(text.len() / 4 + 1);
        let mut start = 0;
        let mut has_run = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c.is_alphanumeric() {
                read.letters.push(c);
                has_run |= !c.is_ascii() && runs_on(c);
            } else if c == '\''
                && read.is_in_word()
                && chars.peek().is_some_and(|(_, next)| next.is_alphanumeric())
            {
                let middle = read.letters.len();
                while let Some((_, next)) = chars.next_if(|(_, next)| next.is_alphanumeric()) {
                    read.letters.push(next);
                    has_run |= !next.is_ascii() && runs_on(next);
                }
                read.join(middle);
            } else if ENDS.contains(&c) {
                read.flush();
                read.end(text.get(start..at).filter(|_| has_run));
                (start, has_run) = (at + c.len_utf8(), false);
            } else {
                has_run |= !c.is_ascii() && runs_on(c);
                read.flush();
                if matches!(c, ',' | ':' | '(' | ')' | '"' | '،' | '、' | '，') {
                    read.pause();
                }
            }
        }
        read.flush();
        read.end(text.get(start..).filter(|_| has_run));
        read
    }

    /// Calls `see` with each sentence that has words.
    pub(super) fn each(&self, mut see: impl FnMut(Sentence<'_>)) {
        let said = |(from, to): &(usize, usize)| {
            let text = self.letters.get(*from..*to).unwrap_or_default();
            Said { text, key: key(text) }
        };
        let words: Vec<Said<'_>> = self.words.iter().map(said).collect();
        let mut from = 0;
        for (end, run) in &self.ends {
            see(Sentence { words: words.get(from..*end).unwrap_or_default(), run });
            from = *end;
        }
    }

    fn is_in_word(&self) -> bool {
        self.letters.len() > self.from
    }

    fn end(&mut self, with_run: Option<&str>) {
        let before = self.ends.last().map_or(0, |(end, _)| *end);
        if self.words.len() > before {
            let run = with_run.map(|sentence| sentence.chars().filter(|c| !c.is_whitespace()).collect());
            self.ends.push((self.words.len(), run.unwrap_or_default()));
        }
    }

    /// A pause, if words of the sentence came before and no pause.
    fn pause(&mut self) {
        let before = self.ends.last().map_or(0, |(end, _)| *end);
        let last = self.words.get(before..).and_then(<[_]>::last);
        if last.is_some_and(|(from, to)| self.letters.get(*from..*to) != Some(PAUSE)) {
            self.letters.push_str(PAUSE);
            self.keep();
        }
    }

    /// What has been read since the last word is one.
    fn keep(&mut self) {
        self.words.push((self.from, self.letters.len()));
        self.from = self.letters.len();
    }

    /// Decides what two parts around an apostrophe are: one word (`don't`), an owner (`Anna's`), or two words
    /// (`l'adresse`). What may go on is still being read.
    fn join(&mut self, middle: usize) {
        const ONE: &[&str] = &["t", "m", "ll", "ve", "re", "d"];
        const WITH_IS: &[&str] = &[
            "what", "where", "who", "how", "it", "that", "there", "here", "he", "she", "let", "when", "why",
        ];
        let before = self.letters.get(self.from..middle).unwrap_or_default();
        match self.letters.get(middle..).unwrap_or_default() {
            "s" if WITH_IS.contains(&before) => {}
            "s" => {
                self.words.push((self.from, middle));
                self.letters.truncate(middle);
                self.letters.push_str(OF);
                self.words.push((middle, self.letters.len()));
                self.from = self.letters.len();
            }
            after if ONE.contains(&after) => {}
            _ => {
                self.words.push((self.from, middle));
                self.from = middle;
            }
        }
    }

    /// Ends the word that is being read. Digits inside of it stand for the letters that they look like.
    fn flush(&mut self) {
        let word = self.letters.get(self.from..).unwrap_or_default();
        if word.is_empty() {
            return;
        }
        if word.bytes().any(|b| b.is_ascii_digit())
            && word.bytes().filter(u8::is_ascii_alphabetic).count() >= 2
        {
            let spelled: String = word
                .chars()
                .map(|c| match c {
                    '0' => 'o',
                    '1' => 'i',
                    '3' => 'e',
                    '4' => 'a',
                    '5' => 's',
                    '7' => 't',
                    c => c,
                })
                .collect();
            self.letters.truncate(self.from);
            self.letters.push_str(&spelled);
        }
        self.keep();
    }
}

#[cfg(test)]
mod tests {
    use super::Sentences;

    fn words(text: &str) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        Sentences::read(text).each(|sentence| {
            found.push(sentence.words.iter().map(|word| word.text.to_owned()).collect());
        });
        found
    }

    #[test]
    fn apostrophes_join_own_or_part() {
        assert_eq!(words("i don't, i'm"), [["i", "dont", ",", "im"]]);
        assert_eq!(words("what's anna's number"), [["whats", "anna", "'s", "number"]]);
        assert_eq!(words("donne l'adresse d'anna"), [["donne", "l", "adresse", "d", "anna"]]);
        assert_eq!(words("the members' room"), [["the", "members", "room"]]);
    }

    #[test]
    fn sentences_end_and_digits_in_words_are_letters() {
        assert_eq!(words("one. two\nthree?").len(), 3);
        assert_eq!(words("k1ll 2024 h264"), [["kill", "2024", "h264"]]);
    }
}
