//! How text becomes HTML text.
//!
//! Escaping alone keeps markup out. It does not keep out characters that a reader cannot see and that change what they
//! see: `U+202E` turns `exe.pdf` round, and a zero-width character makes two names look alike.

use std::borrow::Cow;
use std::fmt::{self, Write};

use askama::filters::Escaper;
use portcullis_core::unseen::is_unseen;

/// The escaper of all templates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown;

impl Escaper for Shown {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_escaped_char(&mut dest, c))
    }

    fn write_escaped_char<W: Write>(&self, mut dest: W, c: char) -> fmt::Result {
        match c {
            '<' => dest.write_str("&lt;"),
            '>' => dest.write_str("&gt;"),
            '&' => dest.write_str("&amp;"),
            '"' => dest.write_str("&quot;"),
            '\'' => dest.write_str("&#39;"),
            c if is_unseen(c) => Ok(()),
            c => dest.write_char(c),
        }
    }
}

/// The text without what a reader cannot see.
pub(crate) fn seen(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unseen) {
        Cow::Owned(text.chars().filter(|c| !is_unseen(*c)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// One line of text: a name or a title, never empty.
pub(crate) fn line<'a>(text: &'a str, otherwise: &'a str) -> Cow<'a, str> {
    let text = match seen(text) {
        // Joiners alone show nothing.
        text if text.chars().all(|c| c.is_whitespace() || matches!(c, '\u{200c}' | '\u{200d}')) => {
            return Cow::Borrowed(otherwise);
        }
        text => text,
    };
    if text.contains(['\n', '\t']) {
        Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use askama::filters::Escaper;

    use portcullis_core::unseen::visible;

    use super::{Shown, line, seen};

    fn shown(text: &str) -> String {
        let mut out = String::new();
        Shown.write_escaped_str(&mut out, text).unwrap();
        out
    }

    #[test]
    fn what_acts_in_markup_is_escaped() {
        assert_eq!(shown(r#"<a b="c" d='e'>&"#), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
    }

    #[test]
    fn who_decides_on_a_text_sees_every_character_of_it() {
        for (hidden, wanted) in
            [("a\u{202e}b", "a\\u{202e}b"), ("a\u{e0041}b", "a\\u{e0041}b"), ("a\rb\0", "a\\u{d}b\\u{0}")]
        {
            assert_eq!(shown(&visible(hidden)), wanted, "the escaper takes nothing out");
        }
    }

    #[test]
    fn what_a_reader_cannot_see_is_taken_out() {
        for hidden in [
            '\0',
            '\u{8}',
            '\r',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{200b}',
            '\u{200f}',
            '\u{202e}',
            '\u{2066}',
            '\u{feff}',
            '\u{fffe}',
            '\u{e0041}',
        ] {
            assert_eq!(shown(&format!("a{hidden}b")), "ab", "{hidden:?}");
        }
    }

    #[test]
    fn taking_out_does_not_make_markup() {
        assert_eq!(shown("<\u{202e}script>&\0lt;"), "&lt;script&gt;&amp;lt;");
    }

    #[test]
    fn what_scripts_and_emoji_need_stays() {
        for text in ["می\u{200c}خواهم", "👩\u{200d}👧", "a\n\tb", "naïve café 日本語"] {
            assert_eq!(seen(text), text);
        }
    }

    #[test]
    fn a_line_is_never_empty_and_has_no_line_end() {
        assert_eq!(line(" \u{202e}\u{200d}\0 ", "Untitled"), "Untitled");
        assert_eq!(line("a\nb\t c", "Untitled"), "a b c");
    }
}
