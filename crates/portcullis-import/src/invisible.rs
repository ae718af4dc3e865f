//! Characters that a reader does not see, which is where instructions to a model are hidden. They are taken out of all
//! imported text.

use std::borrow::Cow;

use portcullis_core::unseen::is_invisible;

/// Removes invisible characters and control characters other than line feed and tab.
///
/// Kept, because languages need them: one joiner or non-joiner between two letters of Arabic, Indic and related
/// scripts, and one emoji or text selector after a character that is not a selector itself.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let suspect = |c: char| is_invisible(c) || (c.is_control() && c != '\n' && c != '\t');
    if !text.chars().any(suspect) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let keep = match c {
            '\u{200c}' | '\u{200d}' => joins(before) && chars.peek().copied().is_some_and(joins),
            '\u{fe0e}' | '\u{fe0f}' => {
                !before.is_alphanumeric() && !before.is_whitespace() && !is_invisible(before)
            }
            _ => !suspect(c),
        };
        before = c;
        if keep {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Letters of scripts in which joiners change what is written.
fn joins(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{17ff}') && c.is_alphabetic()
        || matches!(c, '\u{93c}'..='\u{94d}' | '\u{9cd}' | '\u{d4d}' | '\u{dca}' | '\u{ccd}' | '\u{c4d}')
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn hidden_characters_are_taken_out() {
        let tags: String = "ignore".chars().filter_map(|c| char::from_u32(0xe0000 + u32::from(c))).collect();
        assert_eq!(clean(&format!("a\u{200b}b\u{feff}{tags}c\u{202e}d\u{0}e\u{1b}[2J")), "abcde[2J");
        assert_eq!(clean("x\u{fe0f}\u{fe01}\u{fe02}"), "x");
        assert_eq!(clean("a\u{200d}b\u{fff0}c\u{1bca0}d"), "abcd");
    }

    #[test]
    fn what_languages_need_stays() {
        for text in ["می\u{200c}خواهم", "क्\u{200d}ष", "❤\u{fe0f}", "naïve — 漢字\n\tx"] {
            assert_eq!(clean(text), text);
        }
    }
}
