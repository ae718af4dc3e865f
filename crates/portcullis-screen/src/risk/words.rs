//! Sentences and their words, as phrases are looked for in them.

use crate::lexicon::runs_on;

/// A pause inside a sentence, which no phrase reaches across without a gap.
pub(super) const PAUSE: &str = ",";
/// What stands behind the owner of something.
const OF: &str = "'s";

/// A sentence without its disguise.
#[derive(Debug)]
pub(super) struct Sentence {
    /// Its words in order.
    pub(super) words: Vec<String>,
    /// All of it without blanks, where it holds a script that is written without them.
    pub(super) run: String,
}

impl Sentence {
    /// The sentences of a folded text.
    pub(super) fn all(text: &str) -> impl Iterator<Item = Self> {
        const ENDS: &[char] = &['.', '!', '?', ';', '\n', '…', '。', '！', '？', '؟'];
        text.split(ENDS).filter(|sentence| !sentence.trim().is_empty()).map(Self::read)
    }

    fn read(sentence: &str) -> Self {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut chars = sentence.chars().peekable();
        while let Some(c) = chars.next() {
            if c.is_alphanumeric() {
                word.push(c);
            } else if c == '\'' && !word.is_empty() && chars.peek().is_some_and(|next| next.is_alphanumeric())
            {
                let mut rest = String::new();
                while let Some(next) = chars.next_if(|next| next.is_alphanumeric()) {
                    rest.push(next);
                }
                word = join(word, rest, &mut words);
            } else {
                flush(&mut word, &mut words);
                if matches!(c, ',' | ':' | '(' | ')' | '"' | '،' | '、' | '，')
                    && words.last().is_some_and(|last| last != PAUSE)
                {
                    words.push(PAUSE.to_owned());
                }
            }
        }
        flush(&mut word, &mut words);
        let run = if sentence.chars().any(runs_on) {
            sentence.chars().filter(|c| !c.is_whitespace()).collect()
        } else {
            String::new()
        };
        Self { words, run }
    }
}

/// What two parts around an apostrophe are: one word (`don't`), an owner (`Anna's`), or two words (`l'adresse`). What may go
/// on is given back.
fn join(before: String, after: String, words: &mut Vec<String>) -> String {
    const ONE: &[&str] = &["t", "m", "ll", "ve", "re", "d"];
    const WITH_IS: &[&str] =
        &["what", "where", "who", "how", "it", "that", "there", "here", "he", "she", "let", "when", "why"];
    match after.as_str() {
        "s" if WITH_IS.contains(&before.as_str()) => before + "s",
        "s" => {
            words.push(before);
            words.push(OF.to_owned());
            String::new()
        }
        after if ONE.contains(&after) => before + after,
        _ => {
            words.push(before);
            after
        }
    }
}

/// Digits inside a word stand for the letters that they look like.
fn flush(word: &mut String, words: &mut Vec<String>) {
    if word.is_empty() {
        return;
    }
    let mut whole = std::mem::take(word);
    if whole.bytes().any(|b| b.is_ascii_digit()) && whole.bytes().filter(u8::is_ascii_alphabetic).count() >= 2
    {
        whole = whole
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
    }
    words.push(whole);
}

#[cfg(test)]
mod tests {
    use super::Sentence;

    fn words(text: &str) -> Vec<Vec<String>> {
        Sentence::all(text).map(|sentence| sentence.words).collect()
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
