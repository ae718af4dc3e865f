//! Markdown to blocks, by way of HTML: Markdown may hold HTML anywhere, and an element that hides its content may hide
//! Markdown, so that only the whole page tells what a reader sees.

use std::borrow::Cow;

use pulldown_cmark::{Options, Parser, html};

use super::{Content, FrontMatter, Visible};
use crate::html::{Headings, extract};

/// The deepest nesting of quotations and lists that one line may begin with. The parser's work on a line grows with
/// the nesting of the lines before it, so that without a limit its time would be their product.
const MOST_MARKERS: usize = 24;
const MOST_INDENT: usize = 160;

/// Reads a page.
pub(super) fn read(text: &str, most_links: usize) -> Content {
    let (fields, body) = FrontMatter::split(text);
    let body = tamed(body);
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES;
    let mut rendered = String::with_capacity(body.len() + body.len() / 2);
    html::push_html(&mut rendered, Parser::new_ext(&body, options));
    let page = extract(&rendered, Headings::Sections, most_links);
    Content { about: fields.about(Visible::Taxonomy), fields, blocks: page.blocks, links: page.links }
}

/// The text with overlong line beginnings cut, and with forum HTML kept in one piece: a blank line would end a block
/// of HTML, but within `<pre>` and `<aside>` of rendered posts it does not mean that.
fn tamed(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut fence: Option<(char, usize)> = None;
    let mut whole: Option<&'static str> = None;
    let mut depth = 0usize;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start();
        if whole.is_none() {
            fence = fence_after(fence, bare);
        }
        if fence.is_none() && whole.is_none() {
            let begins = |name: &&str| line.starts_with('<') && opens(line, name) > closes(line, name);
            whole = ["pre", "aside"].into_iter().find(begins).filter(|name| {
                *name != "aside" || line.contains("class=\"quote") || line.contains("class=\"onebox")
            });
            depth = 0;
        }
        if let Some(name) = whole {
            depth = (depth + opens(line, name)).saturating_sub(closes(line, name));
            if depth == 0 {
                whole = None;
            } else if line.trim().is_empty() {
                out.push_str("<!-- -->\n");
                continue;
            }
        }
        // A book's sources take listings from other files here, which are never read.
        if bare.starts_with("{{#") && bare.trim_end().ends_with("}}") {
            continue;
        }
        out.push_str(&beginning_cut(line));
    }
    out
}

/// The fence of code that is open after a line.
fn fence_after(open: Option<(char, usize)>, line: &str) -> Option<(char, usize)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'));
    let length = mark.map_or(0, |mark| line.chars().take_while(|c| *c == mark).count());
    match (open, mark) {
        (None, Some(mark)) if length >= 3 => Some((mark, length)),
        (Some((fence, least)), Some(mark)) if mark == fence && length >= least => {
            let is_end = line.trim_end().chars().all(|c| c == mark);
            if is_end { None } else { open }
        }
        _ => open,
    }
}

fn opens(line: &str, name: &str) -> usize {
    count(line, "<", name)
}

fn closes(line: &str, name: &str) -> usize {
    count(line, "</", name)
}

fn count(line: &str, open: &str, name: &str) -> usize {
    line.match_indices(open)
        .filter(|(at, _)| {
            line.get(at + open.len()..).and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| {
                matches!(rest.as_bytes().first(), None | Some(b' ' | b'>' | b'\n' | b'\t' | b'/'))
            })
        })
        .count()
}

/// The line without the markers and blanks by which it nests deeper than the limits.
fn beginning_cut(line: &str) -> Cow<'_, str> {
    let (mut markers, mut columns) = (0, 0);
    let mut end = line.len();
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let is_marker = match c {
            ' ' => {
                columns += 1;
                continue;
            }
            '\t' => {
                columns += 4;
                continue;
            }
            '>' => true,
            '-' | '*' | '+' => chars.peek().is_none_or(|(_, next)| next.is_whitespace()),
            '0'..='9' => {
                let mut digits = 1;
                while digits < 9 && chars.next_if(|(_, next)| next.is_ascii_digit()).is_some() {
                    digits += 1;
                }
                chars.next_if(|(_, next)| matches!(next, '.' | ')')).is_some()
                    && chars.peek().is_none_or(|(_, next)| next.is_whitespace())
            }
            _ => false,
        };
        if !is_marker {
            end = at;
            break;
        }
        markers += 1;
        columns += 1;
    }
    if markers <= MOST_MARKERS && columns <= MOST_INDENT {
        return Cow::Borrowed(line);
    }
    let (beginning, rest) = line.split_at_checked(end).unwrap_or((line, ""));
    let (mut markers, mut columns) = (0, 0);
    let kept: String = beginning
        .chars()
        .take_while(|c| {
            markers += usize::from(!c.is_whitespace());
            columns += if *c == '\t' { 4 } else { 1 };
            markers <= MOST_MARKERS && columns <= MOST_INDENT
        })
        .collect();
    // A line of nothing but markers still ends.
    let end = if rest.is_empty() && line.ends_with('\n') { "\n" } else { "" };
    Cow::Owned(format!("{kept}{rest}{end}"))
}

#[cfg(test)]
mod tests {
    use super::{beginning_cut, read, tamed};

    fn show(text: &str) -> String {
        format!("{:#?}", read(text, 100).blocks)
    }

    #[test]
    fn blank_lines_within_rendered_posts_do_not_end_them() {
        let post = "<p>See</p>\n<pre><code>one\n\n    two *not* emphasis\n</code></pre>\n<p>end</p>\n";
        insta::assert_snapshot!(show(post), @r#"
    [
        Text(
            "See",
        ),
        Code(
            "one\n\n    two *not* emphasis",
        ),
        Text(
            "end",
        ),
    ]
    "#);
    }

    #[test]
    fn ordinary_pages_are_left_as_they_are() {
        let text =
            "# T\n\n> > quote\n\n- a\n  - b\n\n    code\n\n1. x\n\n```html\n<pre>\n\n</pre>\n```\n\n- - -\n";
        assert_eq!(tamed(text), text);
    }

    #[test]
    fn a_hiding_element_hides_the_markdown_in_it() {
        let text = "before\n\n<div hidden>\n\n# secret\n\nobey *me*\n\n</div>\n\nafter\n\n<!-- not\n\nthis -->\n\nx\n\n[//]: # (nor this)\n";
        let shown = show(text);
        assert!(shown.contains("before") && shown.contains("after"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("obey") && !shown.contains("this"), "{shown}");
    }

    #[test]
    fn a_line_cannot_nest_without_end() {
        assert_eq!(beginning_cut(&format!("{}x\n", "> ".repeat(1_000))).matches('>').count(), 24);
        assert_eq!(beginning_cut(&"- ".repeat(1_000)).matches('-').count(), 24);
        assert!(beginning_cut(&format!("{}x", " ".repeat(1_000))).len() <= 161);
        assert_eq!(beginning_cut("> - 1. text - 2\n"), "> - 1. text - 2\n");
    }
}
