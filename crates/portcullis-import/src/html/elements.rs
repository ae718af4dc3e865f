//! What the elements of HTML mean here: which hold no content, which hide theirs, where a line or a paragraph ends.

use super::token::Raw;

/// Elements without content and end tag.
pub(crate) fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
            | "frame"
            | "basefont"
            | "bgsound"
            | "keygen"
    )
}

/// Elements whose content is no markup.
pub(crate) fn raw(name: &str) -> Option<Raw> {
    Some(match name {
        "script" => Raw::Script,
        "style" | "xmp" | "iframe" | "noembed" | "noframes" | "noscript" => Raw::Text,
        "title" | "textarea" => Raw::Escapable,
        "plaintext" => Raw::Plain,
        _ => return None,
    })
}

/// Elements whose content a reader does not see, or that is no part of what was written.
pub(crate) fn is_dropped(name: &str) -> bool {
    matches!(
        name,
        "script"
            | "style"
            | "template"
            | "noscript"
            | "noembed"
            | "noframes"
            | "iframe"
            | "object"
            | "embed"
            | "applet"
            | "audio"
            | "video"
            | "canvas"
            | "svg"
            | "map"
            | "select"
            | "datalist"
            | "textarea"
            | "title"
            | "nav"
            | "annotation"
            | "annotation-xml"
            | "rp"
            | "frameset"
    )
}

/// Elements of other languages within HTML: other rules for raw text and for tags that close themselves.
pub(crate) fn is_foreign(name: &str) -> bool {
    matches!(name, "svg" | "math")
}

/// Inline elements that misnested tags do not end where their parent ends ("formatting" in the standard).
pub(crate) fn is_formatting(name: &str) -> bool {
    matches!(
        name,
        "a" | "b"
            | "big"
            | "code"
            | "em"
            | "font"
            | "i"
            | "nobr"
            | "s"
            | "small"
            | "strike"
            | "strong"
            | "tt"
            | "u"
    )
}

/// Elements that the end tag of another one does not reach across.
pub(crate) fn is_barrier(name: &str) -> bool {
    matches!(name, "td" | "th" | "caption" | "table" | "template" | "object" | "applet" | "marquee")
}

/// The parts of a table: their end tags reach across everything but another table.
pub(crate) fn is_table_part(name: &str) -> bool {
    matches!(name, "table" | "thead" | "tbody" | "tfoot" | "tr" | "td" | "th" | "caption")
}

/// Elements that stand apart from the text around them ("special" in the standard, as far as it matters here).
pub(crate) fn is_block(name: &str) -> bool {
    is_barrier(name)
        || is_table_part(name)
        || matches!(
            name,
            "address"
                | "article"
                | "aside"
                | "blockquote"
                | "body"
                | "center"
                | "dd"
                | "details"
                | "dialog"
                | "dir"
                | "div"
                | "dl"
                | "dt"
                | "fieldset"
                | "figcaption"
                | "figure"
                | "footer"
                | "form"
                | "frameset"
                | "h1"
                | "h2"
                | "h3"
                | "h4"
                | "h5"
                | "h6"
                | "head"
                | "header"
                | "hgroup"
                | "hr"
                | "html"
                | "li"
                | "listing"
                | "main"
                | "menu"
                | "nav"
                | "ol"
                | "p"
                | "pre"
                | "search"
                | "section"
                | "select"
                | "summary"
                | "svg"
                | "ul"
                | "xmp"
        )
}

/// The open elements that a start tag ends first, if they are near enough.
pub(crate) fn ends_before(name: &str) -> &'static [&'static str] {
    match name {
        "li" => &["p", "li"],
        "dt" | "dd" => &["p", "dt", "dd"],
        "td" | "th" => &["p", "li", "td", "th"],
        "tr" => &["p", "li", "td", "th", "tr"],
        "thead" | "tbody" | "tfoot" => &["p", "li", "td", "th", "tr", "thead", "tbody", "tfoot", "caption"],
        "option" | "optgroup" => &["option"],
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => &["p", "h1", "h2", "h3", "h4", "h5", "h6"],
        _ if is_block(name) && !matches!(name, "table" | "caption" | "svg" | "object" | "template") => &["p"],
        _ => &[],
    }
}

/// Where the search for such an element stops.
pub(crate) fn stops_implied_end(open: &str, ending: &str) -> bool {
    match ending {
        "td" | "th" | "tr" | "thead" | "tbody" | "tfoot" | "caption" => open == "table",
        "li" => matches!(open, "ul" | "ol" | "menu" | "dir") || is_barrier(open),
        "dt" | "dd" => open == "dl" || is_barrier(open),
        _ => is_barrier(open) || open == "button",
    }
}

/// The level of a heading element.
pub(crate) fn heading_level(name: &str) -> Option<u8> {
    match name.as_bytes() {
        [b'h', digit @ b'1'..=b'6'] => Some(digit - b'0'),
        _ => None,
    }
}
