//! Characters that a reader cannot see, or that change how others are shown.
//!
//! `U+202E` turns `exe.pdf` round, an escape sequence has a terminal print over what it printed, and with tag characters text is
//! hidden in text. Who only reads a text is spared them; who decides on exactly this text is shown each of them by its number.

/// Whether the character is drawn as nothing: Unicode's `Default_Ignorable_Code_Point`, and the marks of annotations.
pub const fn is_invisible(c: char) -> bool {
    matches!(c,
        // A soft hyphen, a joiner of graphemes, a mark of direction, fillers, vowels that are not shown, selectors of Mongolian.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        // Zero-width spaces and joiners, embeddings and overrides of direction, invisible operators, isolates.
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // Fillers, selectors of variants, the mark of byte order; what is kept free for more of them; annotations.
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        // Controls of shorthand and of music; tags, with which text is hidden in text, and more selectors.
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a reader cannot see this character, or it changes how others are shown. Line ends and tabs are kept, and so
/// are the joiners that scripts and emoji need.
pub fn is_unseen(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Line and paragraph separators.
        '\u{2028}' | '\u{2029}' => true,
        c => (is_invisible(c) && !writes(c)) || c.is_control() || is_noncharacter(c),
    }
}

/// Of what is drawn as nothing, what changes how a script, an emoji or a score is written.
const fn writes(c: char) -> bool {
    matches!(c, '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}' | '\u{200d}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
}

/// Code points that are never characters; HTML parsers report them as errors.
pub fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

/// The text with what a reader cannot see written out, for whoever decides on exactly this text: joiners and the like too.
/// Line feeds stay.
pub fn visible(text: &str) -> String {
    written_out(text, |c| c != '\n' && hides(c))
}

/// The same as one line, for a message about what somebody else has said.
pub fn visible_line(text: &str) -> String {
    written_out(text, hides)
}

fn hides(c: char) -> bool {
    is_unseen(c)
        || is_invisible(c)
        || matches!(c, '\n' | '\t' | '\u{a0}')
        // Spaces that are none of the keyboard's.
        || matches!(c, '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{2800}' | '\u{3000}')
}

fn written_out(text: &str, hides: impl Fn(char) -> bool) -> String {
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

#[cfg(test)]
mod tests {
    use super::{visible, visible_line};

    #[test]
    fn who_decides_on_a_text_sees_every_character_of_it() {
        assert_eq!(visible("{\n  \"to\": \"Müller & Co\"\n}"), "{\n  \"to\": \"Müller & Co\"\n}");
        assert_eq!(visible_line("a\nb c"), "a\\u{a}b c");
        for (hidden, wanted) in [
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("a\u{200d}b", "a\\u{200d}b"),
            ("a\u{e0041}b", "a\\u{e0041}b"),
            ("a\u{1b}[8mb\u{9b}1A", "a\\u{1b}[8mb\\u{9b}1A"),
            ("a\u{a0}b\u{3000}", "a\\u{a0}b\\u{3000}"),
            ("a\u{17b5}b\u{1d173}\u{180b}", "a\\u{17b5}b\\u{1d173}\\u{180b}"),
            ("a\u{fff0}b\u{1bca0}", "a\\u{fff0}b\\u{1bca0}"),
            ("a\rb\0\t", "a\\u{d}b\\u{0}\\u{9}"),
            ("a\u{1b}[2Jb\u{202e}c é", "a\\u{1b}[2Jb\\u{202e}c é"),
        ] {
            assert_eq!(visible(hidden), wanted);
            assert_eq!(visible_line(hidden), wanted);
        }
    }
}
