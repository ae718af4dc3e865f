//! HTML source to tags and text, after the tokenizer of the HTML standard (section 13.2.5). It never looks back, so
//! its work is linear, and it drops what the standard drops: comments, doctypes, processing instructions, a tag that
//! the file ends in.

use std::borrow::Cow;

/// The attributes that anything here asks for; the rest are passed over.
const WANTED: [&str; 18] = [
    "alt",
    "aria-hidden",
    "class",
    "content",
    "data-username",
    "data-youtube-id",
    "data-youtube-title",
    "hidden",
    "href",
    "itemprop",
    "name",
    "open",
    "property",
    "rel",
    "src",
    "start",
    "style",
    "title",
];

/// The attributes of a tag, of those that are wanted; the first of a name counts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Attributes<'a>(Vec<(&'static str, Cow<'a, str>)>);

impl Attributes<'_> {
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref())
    }

    /// Whether the `class` attribute lists the class.
    pub(crate) fn has_class(&self, class: &str) -> bool {
        self.value("class").is_some_and(|classes| classes.split_ascii_whitespace().any(|one| one == class))
    }
}

/// A piece of HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// Text, with character references resolved.
    Text(Cow<'a, str>),
    /// A start tag; its name is lower case.
    Open { name: Cow<'a, str>, attributes: Attributes<'a>, closes_itself: bool },
    /// An end tag; its name is lower case.
    Close { name: Cow<'a, str> },
}

/// How the text of an element is read, where it is not markup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raw {
    /// Up to the element's end tag.
    Text,
    /// Up to the element's end tag, with character references.
    Escapable,
    /// Up to `</script>`, but for the standard's rule on scripts within comments within scripts.
    Script,
    /// All the rest of the file.
    Plain,
}

/// Reads HTML from its start to its end.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self { rest: source }
    }

    /// The text of the element that was just opened, for elements whose content is no markup. Its end tag comes next.
    pub(crate) fn raw(&mut self, name: &str, raw: Raw) -> Cow<'a, str> {
        let length = match raw {
            Raw::Plain => self.rest.len(),
            Raw::Script => script_length(self.rest),
            Raw::Text | Raw::Escapable => end_tag_at(self.rest, name).unwrap_or(self.rest.len()),
        };
        let text = self.take(length);
        if raw == Raw::Escapable { htmlize::unescape(text) } else { Cow::Borrowed(text) }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Passes over everything up to and including `end`, or the rest if there is none.
    fn skip_past(&mut self, end: &str) {
        let length = memchr::memmem::find(self.rest.as_bytes(), end.as_bytes())
            .map_or(self.rest.len(), |at| at + end.len());
        self.take(length);
    }

    fn comment(&mut self) {
        self.take("<!--".len());
        if self.rest.starts_with('>') || self.rest.starts_with("->") {
            self.skip_past(">");
            return;
        }
        // `--` and then `>` or `!>`.
        let mut from = 0;
        let end = loop {
            let tail = self.rest.get(from..).unwrap_or("");
            match memchr::memmem::find(tail.as_bytes(), b"--") {
                None => break self.rest.len(),
                Some(at) => {
                    let after = tail.get(at + 2..).unwrap_or("");
                    if after.starts_with('>') {
                        break from + at + 3;
                    }
                    if after.starts_with("!>") {
                        break from + at + 4;
                    }
                    from += at + 1;
                }
            }
        };
        self.take(end);
    }

    /// Reads from `<` or `</` and a letter to the end of the tag; `None` if the file ends first.
    fn tag(&mut self) -> Option<Token<'a>> {
        let closing = self.rest.starts_with("</");
        self.take(if closing { 2 } else { 1 });
        let length = self.rest.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>')?;
        let name = lower(self.take(length));
        let mut attributes = Attributes::default();
        let mut closes_itself = false;
        loop {
            let blank =
                self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace()).len();
            self.take(blank);
            match self.rest.as_bytes().first()? {
                b'>' => {
                    self.take(1);
                    break;
                }
                b'/' => {
                    self.take(1);
                    closes_itself = self.rest.starts_with('>');
                }
                _ => self.attribute(&mut attributes)?,
            }
        }
        Some(if closing { Token::Close { name } } else { Token::Open { name, attributes, closes_itself } })
    }

    fn attribute(&mut self, attributes: &mut Attributes<'a>) -> Option<()> {
        // A leading `=` belongs to the name.
        let skip = usize::from(self.rest.starts_with('='));
        let length = self
            .rest
            .get(skip..)?
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '='))
            .map(|at| at + skip)?;
        let name = self.take(length);
        let after = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let value = match after.strip_prefix('=') {
            None => "",
            Some(after) => {
                self.rest = after.trim_start_matches(|c: char| c.is_ascii_whitespace());
                match self.rest.as_bytes().first()? {
                    quote @ (b'"' | b'\'') => {
                        self.take(1);
                        let length = memchr::memchr(*quote, self.rest.as_bytes())?;
                        let value = self.take(length);
                        self.take(1);
                        value
                    }
                    _ => {
                        let length = self.rest.find(|c: char| c.is_ascii_whitespace() || c == '>')?;
                        self.take(length)
                    }
                }
            }
        };
        if let Some(wanted) = WANTED.into_iter().find(|wanted| wanted.eq_ignore_ascii_case(name))
            && attributes.value(wanted).is_none()
        {
            attributes.0.push((wanted, htmlize::unescape_attribute(value)));
        }
        Some(())
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let bytes = self.rest.as_bytes();
            // The text before the next `<` that begins something.
            let mut from = 0;
            let markup = loop {
                let tail = bytes.get(from..).unwrap_or_default();
                match memchr::memchr(b'<', tail) {
                    None => break bytes.len(),
                    Some(at) => {
                        let begins = match (tail.get(at + 1), tail.get(at + 2)) {
                            (Some(b'!' | b'?'), _) => true,
                            (Some(b'/'), Some(_)) => true,
                            (Some(next), _) => next.is_ascii_alphabetic(),
                            (None, _) => false,
                        };
                        if begins {
                            break from + at;
                        }
                        from += at + 1;
                    }
                }
            };
            if markup > 0 {
                return Some(Token::Text(htmlize::unescape(self.take(markup))));
            }
            match (bytes.get(1), bytes.get(2)) {
                (Some(b'!'), _) if self.rest.starts_with("<!--") => self.comment(),
                (Some(b'!' | b'?'), _) => self.skip_past(">"),
                (Some(b'/'), Some(next)) if !next.is_ascii_alphabetic() => self.skip_past(">"),
                (Some(_), _) => {
                    let tag = self.tag();
                    if tag.is_none() {
                        self.rest = "";
                    }
                    return tag;
                }
                (None, _) => return None,
            }
        }
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether the text begins with the tag `<name` or `</name`, and no longer name.
fn begins_tag(text: &str, open: &str, name: &str) -> bool {
    text.strip_prefix(open).is_some_and(|rest| {
        rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name))
            && matches!(rest.as_bytes().get(name.len()), Some(b'>' | b'/' | b' ' | b'\t' | b'\n' | b'\x0c'))
    })
}

fn end_tag_at(text: &str, name: &str) -> Option<usize> {
    memchr::memchr_iter(b'<', text.as_bytes())
        .find(|&at| text.get(at..).is_some_and(|rest| begins_tag(rest, "</", name)))
}

/// How long a script is. Within `<!--` a `<script>` opens another one, whose end tag is not the script's.
fn script_length(text: &str) -> usize {
    let (mut commented, mut doubled) = (false, false);
    for at in memchr::memchr2_iter(b'<', b'-', text.as_bytes()) {
        let Some(rest) = text.get(at..) else { continue };
        if commented && rest.starts_with("-->") {
            (commented, doubled) = (false, false);
        } else if !commented && rest.starts_with("<!--") {
            commented = true;
        } else if commented && !doubled && begins_tag(rest, "<", "script") {
            doubled = true;
        } else if begins_tag(rest, "</", "script") {
            if !doubled {
                return at;
            }
            doubled = false;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{Raw, Token, Tokens};

    fn show(source: &str) -> String {
        let mut out = String::new();
        let mut tokens = Tokens::new(source);
        while let Some(token) = tokens.next() {
            match token {
                Token::Text(text) => out.push_str(&format!("[{text}]")),
                Token::Open { name, attributes, .. } => {
                    out.push_str(&format!("<{name} {:?}>", attributes.0));
                    if name == "script" {
                        out.push_str(&format!("raw[{}]", tokens.raw("script", Raw::Script)));
                    }
                }
                Token::Close { name } => out.push_str(&format!("</{name}>")),
            }
        }
        out
    }

    #[test]
    fn tags_text_and_references_are_told_apart() {
        assert_eq!(show("a &lt;b&gt; &amp; 1 < 2 <B>x</B>"), "[a <b> & 1 < 2 ]<b []>[x]</b>");
        assert_eq!(
            show("<a href='x>y' HREF=z class=c/d hidden title = \"&quot;\">"),
            r#"<a [("href", "x>y"), ("class", "c/d"), ("hidden", ""), ("title", "\"")]>"#
        );
        assert_eq!(show("<br/><p =x href=q>"), r#"<br []><p [("href", "q")]>"#);
    }

    #[test]
    fn what_the_standard_drops_is_dropped() {
        assert_eq!(
            show("a<!-- x -->b<!-->c<!--->d<!-- --!>e<!doctype html>f<?php x ?>g</ x>h"),
            "[a][b][c][d][e][f][g][h]"
        );
        assert_eq!(show("a<!-- never closed <b>x</b>"), "[a]");
        assert_eq!(show("a<b title=\"never closed>x"), "[a]");
        assert_eq!(show("a <"), "[a <]");
        assert_eq!(show("a </"), "[a </]");
    }

    #[test]
    fn a_script_ends_where_a_browser_ends_it() {
        assert_eq!(
            show("<script>if (a</b) x</scripty></SCRIPT >t"),
            "<script []>raw[if (a</b) x</scripty>]</script>[t]"
        );
        assert_eq!(
            show("<script><!-- <script></script> still --></script>t"),
            "<script []>raw[<!-- <script></script> still -->]</script>[t]"
        );
    }
}
