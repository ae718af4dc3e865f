//! Words that say nothing about what a question is about.

use std::sync::LazyLock;

/// In the order of the alphabet, so that a word is found and seen once.
const STOP_WORDS: &str = "\
    a about after all also am an and another any anybody anyone anything are around as at \
    be because been before being but by \
    can cannot could \
    did do does doing don \
    each else even ever every everything \
    few for from further \
    get getting give go going got \
    had has have having he hello help her here hers hi him his how \
    i if in instead into is isn it its itself \
    just kind know let like ll lot \
    m make may maybe me might more most much must my \
    need no not of off on once one only or other our out over own \
    please possible re really \
    s same say see shall she should so some somebody somehow someone something sort still such \
    t tell than thank thanks that the their them then there these they thing things this those through to together \
    too trying \
    under until up use used using \
    ve very via \
    want was way we well were what when where whether which while who whom why will with without would \
    yes yet you your";

/// Whether the word, in small letters, is one of them.
pub(super) fn is_stop_word(word: &str) -> bool {
    static SORTED: LazyLock<Vec<&str>> = LazyLock::new(|| STOP_WORDS.split(' ').collect());
    SORTED.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{STOP_WORDS, is_stop_word};

    #[test]
    fn each_stands_once_and_in_order() {
        let words: Vec<&str> = STOP_WORDS.split(' ').collect();
        assert!(words.is_sorted_by(|one, next| one < next), "{words:?}");
        assert!(words.iter().all(|word| is_stop_word(word) && !word.is_empty()));
    }

    #[test]
    fn words_that_a_question_may_be_about_are_not_among_them() {
        // `try` and `new` are what questions about code are asked about.
        for word in ["try", "new", "import", "loop", "error", "fail"] {
            assert!(!is_stop_word(word), "{word}");
        }
    }
}
