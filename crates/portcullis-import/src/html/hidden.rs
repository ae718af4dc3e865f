//! Whether an element is hidden from a reader by its own attributes.

use std::borrow::Cow;

use super::token::Attributes;

/// Class names that mean "not shown" in the frameworks that forums and sites use.
const HIDDEN_CLASSES: [&str; 6] =
    ["hidden", "d-none", "invisible", "is-hidden", "sr-only", "visually-hidden"];

/// Whether the attributes hide the element. In doubt it is hidden: text that some reader sees is less of a loss than
/// text that none sees and the model does.
pub(crate) fn hides(attributes: &Attributes<'_>) -> bool {
    attributes.value("hidden").is_some()
        || attributes.value("style").is_some_and(style_hides)
        || attributes.value("class").is_some_and(|classes| {
            classes.split_ascii_whitespace().any(|class| HIDDEN_CLASSES.contains(&class))
        })
}

/// Whether any declaration hides, whichever would win.
fn style_hides(style: &str) -> bool {
    let style = without_comments(style);
    let style = unescape(&style).to_lowercase();
    style.split(';').any(|declaration| {
        let Some((property, value)) = declaration.split_once(':') else { return false };
        let value = value.replace("!important", "");
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        match property.trim() {
            "display" => value == "none",
            "visibility" => matches!(value.as_str(), "hidden" | "collapse"),
            "content-visibility" => value == "hidden",
            "opacity" => is_zero(&value),
            "font-size" | "max-height" | "height" | "max-width" | "width" | "line-height" => is_zero(&value),
            "font" => value.split([' ', '/']).any(is_zero),
            "color" => value == "transparent" || alpha_is_zero(&value),
            "left" | "right" | "top" | "bottom" | "text-indent" | "margin-left" | "margin-top" => {
                is_far_off(&value)
            }
            "clip" => value.replace(' ', "").starts_with("rect(0"),
            "clip-path" => {
                value.replace(' ', "").starts_with("inset(50%")
                    || value.replace(' ', "").starts_with("inset(100%")
            }
            "transform" => value.replace(' ', "").contains("scale(0"),
            _ => false,
        }
    })
}

fn number(value: &str) -> Option<f64> {
    let end =
        value.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

/// Zero, or so small that nothing can be read.
fn is_zero(value: &str) -> bool {
    let least = if value.ends_with("px") || value.ends_with("pt") { 2.0 } else { 0.05 };
    number(value).is_some_and(|number| number.abs() < least)
}

fn alpha_is_zero(value: &str) -> bool {
    let inner = value.strip_prefix("rgba(").or_else(|| value.strip_prefix("hsla("));
    inner.and_then(|inner| inner.strip_suffix(')')).is_some_and(|inner| {
        inner
            .rsplit([',', '/', ' '])
            .find(|part| !part.is_empty())
            .is_some_and(|alpha| number(alpha) == Some(0.0))
    })
}

fn is_far_off(value: &str) -> bool {
    number(value).is_some_and(|number| number <= -900.0 || (number <= -100.0 && !value.ends_with("px")))
}

fn without_comments(style: &str) -> Cow<'_, str> {
    if !style.contains("/*") {
        return Cow::Borrowed(style);
    }
    let mut out = String::with_capacity(style.len());
    let mut rest = style;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Resolves CSS escapes: a backslash and up to six hex digits and one blank, or a backslash and any other character.
fn unescape(style: &str) -> Cow<'_, str> {
    if !style.contains('\\') {
        return Cow::Borrowed(style);
    }
    let mut out = String::with_capacity(style.len());
    let mut chars = style.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let mut code = 0u32;
        let mut digits = 0;
        while digits < 6
            && let Some(digit) = chars.peek().and_then(|c| c.to_digit(16))
        {
            code = code * 16 + digit;
            digits += 1;
            chars.next();
        }
        if digits == 0 {
            out.extend(chars.next());
        } else {
            out.extend(char::from_u32(code));
            if chars.peek().is_some_and(|c| c.is_ascii_whitespace()) {
                chars.next();
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::hides;
    use crate::html::token::{Token, Tokens};

    fn is_hidden(attributes: &str) -> bool {
        match Tokens::new(&format!("<p {attributes}>")).next() {
            Some(Token::Open { attributes, .. }) => hides(&attributes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_usual_way_to_hide_text_is_seen() {
        for attributes in [
            "hidden",
            "hidden=until-found",
            "style='display:none'",
            "style='DISPLAY : None !important'",
            "style='d\\69 splay:none'",
            "style='dis/**/play:none'",
            "style='display&colon;none'",
            "style='display:none;display:block'",
            "style='color:red; visibility: hidden'",
            "style='opacity:0.0'",
            "style='font-size:0'",
            "style='font-size:1px'",
            "style='font:0/0 a'",
            "style='color:rgba(0,0,0,0)'",
            "style='position:absolute;left:-9999px'",
            "style='text-indent:-100em'",
            "style='height:0;overflow:hidden'",
            "style='clip:rect(0 0 0 0)'",
            "class='excerpt hidden'",
            "class=sr-only",
        ] {
            assert!(is_hidden(attributes), "{attributes}");
        }
    }

    #[test]
    fn ordinary_styles_hide_nothing() {
        for attributes in [
            "",
            "style='color:#333;font-size:12px;margin-left:-4px;opacity:.8'",
            "style='font-size:0.9em; width: 100%; line-height:1.5'",
            "style='clear: both'",
            "style='margin:0;padding:0;left:0;top:0'",
            "class='hidden-gem'",
            "aria-hidden=true",
            "style='font:italic 12px/30px serif'",
        ] {
            assert!(!is_hidden(attributes), "{attributes}");
        }
    }
}
