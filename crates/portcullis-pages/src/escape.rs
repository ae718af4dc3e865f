//! How text becomes HTML text.
//!
//! Escaping alone keeps markup out. It does not keep out characters that a reader cannot see and that change what they
//! see: `U+202E` turns `exe.pdf` round, and a zero-width character makes two names look alike.

use std::borrow::Cow;
use std::fmt::{self, Write};

use askama::filters::Escaper;

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

/// Whether a reader cannot see this character, or it changes how others are shown. Line ends and tabs are kept, and so
/// are the joiners that scripts and emoji need.
pub(crate) fn is_unseen(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Not for joining: a soft hyphen, a mark of direction, the zero-width space, an invisible operator, a filler.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200e}'
        | '\u{200f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' => true,
        // Line and paragraph separators; embeddings and overrides of direction.
        '\u{2028}'..='\u{202e}' => true,
        // Invisible operators, isolates of direction, and deprecated format characters.
        '\u{2060}'..='\u{206f}' => true,
        // Annotations; tags, with which text is hidden in text.
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => true,
        c => c.is_control() || is_noncharacter(c),
    }
}

/// Code points that are never characters; HTML parsers report them as errors.
fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

/// The text without what a reader cannot see.
pub(crate) fn seen(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unseen) {
        Cow::Owned(text.chars().filter(|c| !is_unseen(*c)).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// The text with what a reader cannot see written out, for whoever decides on exactly this text: joiners and the like too.
pub(crate) fn visible(text: &str) -> String {
    let hides = |c: char| {
        is_unseen(c)
            || matches!(c, '\t' | '\u{a0}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
            || matches!(c, '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{2800}' | '\u{3000}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
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

    use super::{Shown, line, seen, visible};

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
        assert_eq!(visible("{\n  \"to\": \"Müller & Co\"\n}"), "{\n  \"to\": \"Müller & Co\"\n}");
        for (hidden, wanted) in [
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("a\u{200d}b", "a\\u{200d}b"),
            ("a\u{e0041}b", "a\\u{e0041}b"),
            ("a\u{a0}b\u{3000}", "a\\u{a0}b\\u{3000}"),
            ("a\rb\0", "a\\u{d}b\\u{0}"),
        ] {
            assert_eq!(visible(hidden), wanted);
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
