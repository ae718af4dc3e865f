//! Inline markup: taken off the text, and its links noted.

use std::collections::HashMap;

use crate::folder::addresses;
use crate::links;

/// What the document defines for use in its text.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    /// Addresses by reference name, lower case.
    pub(super) targets: HashMap<String, String>,
    /// Texts by substitution name.
    pub(super) substitutions: HashMap<String, String>,
}

/// The longest name of a reference, footnote or substitution that is looked up, in characters.
const NAME_CHARS: usize = 100;

/// The kinds of markup; for each it is remembered from where on there is no end, so that no search is made twice.
const KINDS: usize = 4;

/// Where each kind of markup was found to have no end any more.
struct Missing([bool; KINDS]);

/// The text without its markup. Targets of links are added to `found`.
pub(super) fn plain(text: &str, definitions: &Definitions, found: &mut Vec<String>, most: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut missing = Missing([false; KINDS]);
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or("");
        let markup = match c {
            '\\' => {
                let mut chars = after.chars();
                match chars.next() {
                    Some(escaped) => {
                        // An escaped blank only separates markup from text.
                        if !escaped.is_whitespace() {
                            out.push(escaped);
                        }
                        before = escaped;
                        rest = chars.as_str();
                    }
                    None => rest = "",
                }
                continue;
            }
            '`' | '*' | '|' | ':' | '[' if may_begin(before, after) => {
                markup(c, rest, after, definitions, found, most, &mut missing)
            }
            _ => None,
        };
        match markup {
            Some((shown, tail)) => {
                before = shown.chars().next_back().unwrap_or(before);
                out.push_str(&shown);
                rest = tail;
            }
            None => {
                // The underscore of a reference such as `name_` is no part of the text.
                let ends_word = c == '_'
                    && before.is_alphanumeric()
                    && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
                if ends_word {
                    reference(&mut out, definitions, found, most);
                } else {
                    out.push(c);
                }
                before = c;
                rest = after;
            }
        }
    }
    if found.len() < most && text.contains("://") {
        found.extend(addresses(text, most - found.len()));
    }
    out
}

/// Markup begins after white space or an opening character, and before text.
fn may_begin(before: char, after: &str) -> bool {
    let opening = before.is_whitespace()
        || matches!(
            before,
            '\'' | '"'
                | '('
                | '['
                | '{'
                | '<'
                | '-'
                | '/'
                | ':'
                | '\u{2018}'
                | '\u{201c}'
                | '«'
                | '–'
                | '—'
                | '\\'
        );
    opening && !after.starts_with(char::is_whitespace) && !after.is_empty()
}

/// The word that a reference's underscore ended: if it is the name of a known target, that is a link. Otherwise the
/// underscore was the text's own.
fn reference(out: &mut String, definitions: &Definitions, found: &mut Vec<String>, most: usize) {
    let in_word = |(_, c): &(usize, char)| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let start =
        out.char_indices().rev().take(NAME_CHARS).take_while(in_word).last().map_or(out.len(), |(at, _)| at);
    let word = out.get(start..).unwrap_or("");
    if let Some(target) = definitions.targets.get(&normal(word)) {
        if found.len() < most {
            found.push(target.clone());
        }
    } else {
        out.push('_');
    }
}

fn markup<'a>(
    c: char,
    rest: &'a str,
    after: &'a str,
    definitions: &Definitions,
    found: &mut Vec<String>,
    most: usize,
    missing: &mut Missing,
) -> Option<(String, &'a str)> {
    let mut note = |target: String| {
        if found.len() < most {
            found.push(target);
        }
    };
    match c {
        '`' if rest.starts_with("``") => {
            let (inner, tail) = missing.until(0, rest.get(2..)?, "``")?;
            Some((inner.trim().to_owned(), tail))
        }
        '`' => {
            let (inner, tail) = missing.until(1, after, "`")?;
            if let Some(tail) = tail.strip_prefix("__").or_else(|| tail.strip_prefix('_')) {
                let (shown, target) = embedded(inner);
                match target {
                    Some(target) => note(target.strip_suffix('_').map_or_else(
                        || target.to_owned(),
                        |name| definitions.targets.get(&normal(name)).cloned().unwrap_or_default(),
                    )),
                    None => definitions.targets.get(&normal(inner)).cloned().into_iter().for_each(note),
                }
                return Some((unescaped(shown), tail));
            }
            // Interpreted text, with its role after it.
            let tail = role(tail).map_or(tail, |(_, tail)| tail);
            Some((unescaped(inner), tail))
        }
        ':' => {
            let (role, tail) = role(rest)?;
            let (inner, tail) = missing.until(1, tail.strip_prefix('`')?, "`")?;
            let (shown, target) = embedded(inner);
            let target = target.unwrap_or(inner).trim();
            let shown = shown.trim_start_matches(['~', '!']);
            let number = target.split('#').next().unwrap_or(target);
            match role {
                "pep" => {
                    note(format!("pep:{number}"));
                    let is_named = shown != target;
                    Some((if is_named { unescaped(shown) } else { format!("PEP {number}") }, tail))
                }
                "rfc" => {
                    if number.bytes().all(|byte| byte.is_ascii_digit()) {
                        note(format!("https://www.rfc-editor.org/rfc/rfc{number}"));
                    }
                    let is_named = shown != target;
                    Some((if is_named { unescaped(shown) } else { format!("RFC {number}") }, tail))
                }
                "doc" => {
                    note(format!("{}.rst", target.trim_end_matches(".rst")));
                    Some((unescaped(shown), tail))
                }
                _ => Some((unescaped(shown), tail)),
            }
        }
        '*' if rest.starts_with("**") => {
            let (inner, tail) = missing.until(2, rest.get(2..)?, "**")?;
            Some((unescaped(inner), tail))
        }
        '*' => {
            let (inner, tail) = missing.until(3, after, "*")?;
            Some((unescaped(inner), tail))
        }
        '|' => {
            let near = after.char_indices().nth(NAME_CHARS).map_or(after.len(), |(at, _)| at);
            let (inner, _) = after.get(..near)?.split_once('|')?;
            let tail = after.get(inner.len() + 1..)?;
            let shown = definitions.substitutions.get(inner)?;
            Some((shown.clone(), tail.trim_start_matches('_')))
        }
        '[' => {
            // A footnote or citation: `[1]_`, `[#name]_`, `[ABC]_`.
            let end = after.bytes().take(64).position(|byte| matches!(byte, b']' | b' ' | b'\n'))?;
            let inner = after.get(..end)?;
            let tail = after.get(end..)?.strip_prefix("]_")?;
            Some((format!("[{}]", inner.trim_start_matches('#')), tail))
        }
        _ => None,
    }
}

impl Missing {
    /// Splits at the next `end` that follows text and is not followed by a letter or digit.
    fn until<'a>(&mut self, kind: usize, text: &'a str, end: &str) -> Option<(&'a str, &'a str)> {
        let missing = self.0.get_mut(kind)?;
        if *missing {
            return None;
        }
        for (at, _) in text.match_indices(end) {
            let (inner, tail) = (text.get(..at)?, text.get(at + end.len()..)?);
            let ends = !inner.is_empty()
                && !inner.ends_with(char::is_whitespace)
                && (end == "``" || !inner.ends_with('\\'))
                && !tail.starts_with(char::is_alphanumeric);
            if ends {
                return Some((inner, tail));
            }
        }
        *missing = true;
        None
    }
}

/// `:name:` or `:domain:name:` at the start of a text; the last part is the role's name.
fn role(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix(':')?;
    let end = inner
        .bytes()
        .take(48)
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'+' | b'.')))
        .unwrap_or(inner.len().min(48));
    let name = inner.get(..end)?.strip_suffix(':')?;
    let tail = inner.get(end..)?;
    Some((name.rsplit(':').next().unwrap_or(name), tail)).filter(|(name, _)| !name.is_empty())
}

/// `text <target>` as text and target; an address alone is both.
fn embedded(inner: &str) -> (&str, Option<&str>) {
    let split = inner.strip_suffix('>').and_then(|inner| inner.rsplit_once('<'));
    match split {
        Some((text, target)) if text.trim().is_empty() => (target, Some(target)),
        Some((text, target)) => (text.trim_end(), Some(target)),
        None => (inner, None),
    }
}

/// A reference's name as names are compared: lower case, single blanks.
pub(super) fn normal(name: &str) -> String {
    name.trim_matches('`').replace('\\', "").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            out.extend(chars.next().filter(|c| !c.is_whitespace()));
        } else {
            out.push(c);
        }
    }
    out
}

/// The address that a target's text is, without the blanks that wrapping put into it.
pub(super) fn target(text: &str) -> Option<String> {
    let text = text.trim().trim_matches('`');
    let (shown, embedded) = embedded(text.trim_end_matches('_').trim_end_matches('`'));
    let address: String = embedded.unwrap_or(shown).split_whitespace().collect();
    links::web(&address)
}
