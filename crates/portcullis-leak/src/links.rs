//! Links, images and markup: an answer leads only to hosts on the list.
//!
//! The targets of links are withheld until their host is judged. What is allowed is a small grammar, not what is left when
//! everything dangerous is taken away: `http` or `https`, `//`, a host of the list in plain characters, nothing before it, and
//! behind it the end of the address or what ends a host for a browser too (`/`, `?`, `#`); or a path on the page's own host.

use std::sync::LazyLock;

use crate::pairs::Pairs;
use crate::policy::{Class, Hosts, is_host_byte};
use crate::secrets::address_member;
use crate::stream::{Match, Rest, Seen};
use crate::tail;

/// What stands in the place of an address that stands alone. A link's words need no note.
const NOTE: &str = "{link removed}";
/// Most white space before a target.
const MOST_SPACE: usize = 64;
/// The longest host name.
const LONGEST_HOST: usize = 253;
/// The longest name of an element that is looked at.
const LONGEST_ELEMENT: usize = 32;

/// The longest `<https://...>` that is let be one.
const LONGEST_AUTOLINK: usize = 256;

/// The longest title of a link that is looked through for its end.
const LONGEST_TITLE: usize = 256;
/// White space to every renderer. To some, any other is a part of the address.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Elements that act, or that change how the rest of a page is read, without any attribute.
static ACTING: &[&str] = &[
    "applet",
    "base",
    "body",
    "button",
    "embed",
    "form",
    "frame",
    "frameset",
    "head",
    "html",
    "iframe",
    "input",
    "link",
    "math",
    "meta",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "option",
    "plaintext",
    "script",
    "select",
    "style",
    "svg",
    "template",
    "textarea",
    "title",
    "xmp",
];

/// How an address begins that stands alone.
static ALONE: &[&str] = &["https://", "http://", "ftp://", "www.", "javascript:", "vbscript:", "data:"];

/// The first two letters of an address that stands alone.
pub(crate) fn alone_pairs() -> &'static Pairs {
    static PAIRS: LazyLock<Pairs> = LazyLock::new(|| {
        let mut pairs = Pairs::none();
        ALONE.iter().for_each(|start| pairs.add_in_any_case(start));
        pairs
    });
    &PAIRS
}

/// What of the text so far decides how the next link is judged.
#[derive(Debug, Default)]
pub(crate) struct Wall {
    /// An image has begun since the last empty line: `!` and a bracket. Until then every target is an image's, however
    /// the brackets are nested or escaped.
    image: bool,
    /// The line so far is empty.
    empty: bool,
}

impl Wall {
    /// Notes a character that leaves.
    pub(crate) fn pass(&mut self, c: char, before: Option<char>) {
        match c {
            '[' if before == Some('!') => self.image = true,
            '\n' => {
                self.image &= !self.empty;
                self.empty = true;
            }
            // To a renderer a line of other white space is not empty.
            ' ' | '\t' | '\r' => {}
            _ => self.empty = false,
        }
    }

    /// Notes that words leave in the place of others.
    pub(crate) fn pass_instead(&mut self, words: &str) {
        self.empty &= words.trim().is_empty();
    }

    /// Whether a link begins here that must not be followed.
    pub(crate) fn begins(
        &self,
        first: char,
        before: Option<char>,
        rest: &str,
        ended: bool,
        hosts: &Hosts,
    ) -> Seen {
        match first {
            '(' if before == Some(']') => {
                target(tail(rest, 1), ended, hosts, self.image, Rest::Target { open: 0 })
            }
            ':' if before == Some(']') => definition(tail(rest, 1), ended, hosts),
            '<' => element(tail(rest, 1), ended),
            'h' | 'H' | 'f' | 'F' | 'w' | 'W' | 'j' | 'J' | 'd' | 'D' | 'v' | 'V' => {
                bare(before, rest, ended, hosts)
            }
            _ => Seen::No,
        }
    }
}

/// What a definition of a reference leads to, after its `:`. An image may refer to it from anywhere.
fn definition(rest: &str, ended: bool, hosts: &Hosts) -> Seen {
    let target = || target(rest, ended, hosts, true, Rest::Token(|c| !c.is_whitespace()));
    if rest.chars().take_while(|c| matches!(c, ' ' | '\t')).count() > MOST_SPACE {
        return target();
    }
    let word = rest.trim_start_matches([' ', '\t']);
    let (word, whole) = match word.split_once(SPACE) {
        Some((word, _)) => (word, true),
        None => (word, ended),
    };
    // `[Ada]: note: the kettle leaks` is prose.
    match word.strip_suffix(':').is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        true if whole => Seen::No,
        true => Seen::More,
        false => target(),
    }
}

/// The target of a link, after its bracket, or of a definition.
fn target(rest: &str, ended: bool, hosts: &Hosts, image: bool, dropped: Rest) -> Seen {
    // At the beginning of a line stand the marks of quotations, which are no part of it.
    let mut begins_line = false;
    let space = rest.chars().take(MOST_SPACE + 1).take_while(|c| {
        begins_line |= *c == '\n';
        c.is_whitespace() || (*c == '>' && begins_line)
    });
    let (count, space) =
        space.fold((0_usize, 0_usize), |(count, bytes), c| (count + 1, bytes + c.len_utf8()));
    let target = tail(rest, space);
    let pointed = target.strip_prefix('<');
    let len = 1 + space + usize::from(pointed.is_some());
    let drop = Seen::Match(Match { class: Class::Link, note: "", len, rest: dropped });
    if count > MOST_SPACE {
        return drop;
    }
    let place = match (dropped, pointed) {
        (Rest::Target { .. }, None) => Place::Inline,
        (Rest::Target { .. }, Some(_)) => Place::PointedInline,
        (_, None) => Place::Definition,
        (_, Some(_)) => Place::PointedDefinition,
    };
    match judge_target(pointed.unwrap_or(target), ended, hosts, image, place) {
        Judged::More => Seen::More,
        // What follows is judged again as text, which it is as well.
        Judged::Pass => Seen::Pass(1),
        Judged::Drop => drop,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    More,
    Pass,
    Drop,
}

/// Where an address stands, which decides how it may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a link's round brackets.
    Inline,
    /// There, between `<` and `>`.
    PointedInline,
    /// Behind a reference's `:`.
    Definition,
    /// There, between `<` and `>`.
    PointedDefinition,
    /// In the text.
    Alone,
}

impl Place {
    const fn is_pointed(self) -> bool {
        matches!(self, Self::PointedInline | Self::PointedDefinition)
    }
}

fn judge_target(target: &str, ended: bool, hosts: &Hosts, image: bool, place: Place) -> Judged {
    let more = if ended { Judged::Pass } else { Judged::More };
    let Some(first) = target.chars().next() else { return more };
    match first {
        ')' | '#' | '?' | '.' | '-' | '_' | '~' => Judged::Pass,
        '>' if place.is_pointed() => Judged::Pass,
        '/' => match target.chars().nth(1) {
            None => more,
            Some('/') => judge_host(tail(target, 2), ended, hosts, image, place),
            // A browser takes tabs and line ends out of an address, and takes a backslash for a slash.
            Some(c)
                if c.is_alphanumeric()
                    || matches!(c, ')' | '#' | '?' | '.' | '-' | '_' | '~' | '>' | ' ') =>
            {
                Judged::Pass
            }
            Some(_) => Judged::Drop,
        },
        _ if first.is_ascii_alphanumeric() => {
            let run = target
                .bytes()
                .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
            let run = run.take(LONGEST_ELEMENT + 1).count();
            if run > LONGEST_ELEMENT {
                return Judged::Pass;
            }
            let scheme = target.get(..run).unwrap_or_default();
            match tail(target, run).chars().next() {
                None => more,
                Some(':') if is_web(scheme) => match slashes(tail(target, run + 1)) {
                    Some("") if !ended => Judged::More,
                    Some(authority) => judge_host(authority, ended, hosts, image, place),
                    None if "//".starts_with(tail(target, run + 1)) && !ended => Judged::More,
                    None => Judged::Drop,
                },
                Some(':' | '&' | '\\') => Judged::Drop,
                // Some renderers go on with the next line, and browsers take the line's end out.
                Some('\n') if !matches!(place, Place::Definition | Place::PointedDefinition) => {
                    broken_scheme(tail(target, run), ended)
                }
                Some(c) if c.is_control() && c != '\n' => Judged::Drop,
                Some(_) => Judged::Pass,
            }
        }
        _ if first.is_alphanumeric() => Judged::Pass,
        _ => Judged::Drop,
    }
}

/// What begins like a scheme and goes on in the next line, where quotations have their marks: it may not be one.
fn broken_scheme(rest: &str, ended: bool) -> Judged {
    let part = |c: &char| c.is_ascii_alphanumeric() || "+-.> \t\r\n".contains(*c);
    let run = rest.chars().take(LONGEST_ELEMENT + 1).take_while(part).count();
    match rest.chars().nth(run) {
        _ if run > LONGEST_ELEMENT => Judged::Pass,
        Some(':' | '&' | '\\') => Judged::Drop,
        None if !ended => Judged::More,
        _ => Judged::Pass,
    }
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

fn slashes(rest: &str) -> Option<&str> {
    rest.strip_prefix("//")
}

/// A host in plain characters, perhaps with a port, and then the path or the end of the address.
fn judge_host(authority: &str, ended: bool, hosts: &Hosts, image: bool, place: Place) -> Judged {
    match host_of(authority, ended, place) {
        None => Judged::More,
        Some(Some(host)) if hosts.allow(host, image) => Judged::Pass,
        Some(_) => Judged::Drop,
    }
}

/// A host without the full stop of the sentence that it ends.
fn sentence_end(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// The host: `None` if it takes more text, `Some(None)` if there is no plain one.
fn host_of(authority: &str, ended: bool, place: Place) -> Option<Option<&str>> {
    let len = authority.bytes().take(LONGEST_HOST + 1).take_while(|byte| is_host_byte(*byte)).count();
    let mut end = len;
    if authority.as_bytes().get(end) == Some(&b':') {
        let port = tail(authority, end + 1).bytes().take(6).take_while(u8::is_ascii_digit).count();
        end += 1 + port;
    }
    let host = authority.get(..len).filter(|host| !host.is_empty() && host.len() <= LONGEST_HOST);
    let ends = match place {
        Place::Alone => ends_alone(tail(authority, end), ended),
        _ => ends_in_target(tail(authority, end), ended, place),
    };
    ends.map(|ends| host.filter(|_| ends))
}

/// Whether host and port of a link's target end where `rest` begins; `None` if that takes more text. To a browser only `/`,
/// `?` and `#` end a host: with anything else behind it, it is the name of a user or a part of another host.
fn ends_in_target(rest: &str, ended: bool, place: Place) -> Option<bool> {
    let Some(first) = rest.chars().next() else { return ended.then_some(true) };
    match (first, place) {
        ('/' | '?' | '#', _) => Some(true),
        ('>', Place::PointedInline) => closes(tail(rest, 1), ended, Place::Inline),
        ('>', Place::PointedDefinition) => ends_line(tail(rest, 1), ended),
        (_, Place::Inline | Place::Definition) => closes(rest, ended, place),
        _ => Some(false),
    }
}

/// Whether only a title stands between here and the end of the link or of the line.
fn closes(rest: &str, ended: bool, place: Place) -> Option<bool> {
    let Some(first) = rest.chars().next() else { return ended.then_some(true) };
    if !SPACE.contains(&first) {
        return Some(first == ')' && place == Place::Inline);
    }
    // Some renderers take white space for a part of the target, unless a title or the end follows.
    let space = rest.chars().take(MOST_SPACE + 1).take_while(|c| SPACE.contains(c));
    let (count, line) = space.fold((0_usize, false), |(count, line), c| (count + 1, line || c == '\n'));
    if line && place == Place::Definition {
        return Some(true);
    }
    let rest = tail(rest, count);
    match rest.chars().next() {
        _ if count > MOST_SPACE => Some(false),
        None => ended.then_some(true),
        Some('"' | '\'' | '(') if place == Place::Definition => Some(true),
        Some(mark @ ('"' | '\'' | '(')) => ends_in_title(mark, tail(rest, 1), ended),
        Some(c) => Some(c == ')' && place == Place::Inline),
    }
}

/// Whether a definition's address between `<` and `>` ends here: some renderers go on to the last `>` of the line.
fn ends_line(rest: &str, ended: bool) -> Option<bool> {
    if rest.chars().next().is_some_and(|c| !SPACE.contains(&c)) {
        return Some(false);
    }
    for c in rest.chars().take(LONGEST_TITLE) {
        match c {
            '>' => return Some(false),
            '\n' => return Some(true),
            _ => {}
        }
    }
    if ended { Some(true) } else { ends_here(rest, ended) }
}

/// Whether this is a title, behind the mark that opens it, with the bracket that closes the link. Some renderers know none in round brackets,
/// and take it for a part of the target.
fn ends_in_title(mark: char, rest: &str, ended: bool) -> Option<bool> {
    let close = if mark == '(' { ')' } else { mark };
    let mut chars = rest.chars().take(LONGEST_TITLE);
    let mut escaped = false;
    while let Some(c) = chars.next() {
        if mark == '(' && "@&\\".contains(c) {
            return Some(false);
        }
        if c == close && !escaped {
            return match chars.find(|c| !SPACE.contains(c)) {
                Some(c) => Some(c == ')'),
                None => ends_here(rest, ended),
            };
        }
        escaped = c == '\\' && !escaped;
    }
    ends_here(rest, ended)
}

/// What nothing in the text has decided yet: more may come, as long as that is looked at.
fn ends_here(rest: &str, ended: bool) -> Option<bool> {
    (ended || rest.chars().count() >= LONGEST_TITLE).then_some(false)
}

/// Whether an international domain name has a full stop in the place of this character.
fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{2024}'..='\u{2026}' | '\u{2488}'..='\u{249b}' | '\u{3002}' | '\u{fe52}' | '\u{ff0e}' | '\u{ff61}')
}

/// The same for an address in the text. A sentence goes on behind it, and what renderers take for a part of the address goes on to the
/// next white space: that may be marks and words, and nothing that makes another host of it.
fn ends_alone(rest: &str, ended: bool) -> Option<bool> {
    let Some(first) = rest.chars().next() else { return ended.then_some(true) };
    let ends = |c: char| c.is_ascii_whitespace() || "/?#<".contains(c);
    if ends(first) {
        return Some(true);
    }
    if !first.is_whitespace() && !")><\"'],;!}|*`".contains(first) {
        return Some(false);
    }
    let mut run = rest.char_indices().take_while(|(_, c)| !ends(*c)).peekable();
    let mut end = 0;
    while let Some((at, c)) = run.next() {
        end = at + c.len_utf8();
        let next = run.peek().map(|(_, next)| *next);
        let goes_on = |next: char| next.is_ascii_alphanumeric() || next == '-' || !next.is_ascii();
        if (is_dot(c) && next.is_some_and(goes_on)) || "@&%\\".contains(c) || end > LONGEST_HOST {
            return Some(false);
        }
    }
    (end < rest.len() || ended).then_some(true)
}

/// An address that stands alone.
fn bare(before: Option<char>, rest: &str, ended: bool, hosts: &Hosts) -> Seen {
    let drop =
        |len| Seen::Match(Match { class: Class::Link, note: NOTE, len, rest: Rest::Token(address_member) });
    for start in ALONE {
        let shared =
            start.bytes().zip(rest.bytes()).take_while(|(a, b)| *a == b.to_ascii_lowercase()).count();
        if shared < start.len() {
            if shared == rest.len() && !ended {
                return Seen::More;
            }
            continue;
        }
        let after = tail(rest, start.len());
        if start.ends_with("//") {
            return match host_of(after, ended, Place::Alone) {
                None => Seen::More,
                Some(Some(host)) if *start != "ftp://" && hosts.allow(sentence_end(host), false) => {
                    Seen::Pass(start.len() + sentence_end(host).len())
                }
                Some(_) if after.chars().next().is_some_and(|c| !c.is_whitespace()) => drop(start.len()),
                Some(_) => Seen::No,
            };
        }
        if *start == "www." {
            if before.is_some_and(|c| c.is_alphanumeric() || c == '.') {
                return Seen::No;
            }
            return match host_of(rest, ended, Place::Alone) {
                None => Seen::More,
                Some(Some(host)) if hosts.allow(sentence_end(host), false) => Seen::Pass(start.len()),
                Some(_) if after.chars().next().is_some_and(begins_label) => drop(start.len()),
                Some(_) => Seen::No,
            };
        }
        if before.is_some_and(char::is_alphanumeric) {
            return Seen::No;
        }
        // `data: four numbers` is prose; `data:text/html,...` is none.
        return match after.chars().next() {
            None if !ended => Seen::More,
            Some(c) if !c.is_whitespace() => drop(start.len()),
            _ => Seen::No,
        };
    }
    Seen::No
}

/// Whether a renderer takes this for the beginning of a part of a host's name.
fn begins_label(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_') || (!c.is_ascii() && !c.is_whitespace())
}

/// What follows a `<`: an element without attributes that does nothing is let pass.
fn element(rest: &str, ended: bool) -> Seen {
    let Some(first) = rest.chars().next() else { return if ended { Seen::No } else { Seen::More } };
    let name = match first {
        '/' => tail(rest, 1),
        '!' | '?' => return Seen::Defuse,
        _ if first.is_ascii_alphabetic() => rest,
        _ => return Seen::No,
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let known = name.bytes().take(LONGEST_ELEMENT).take_while(is_name).count();
    let known = name.get(..known).unwrap_or_default();
    // Up to the first of these a browser takes all for the name.
    let ends =
        name.char_indices().take(LONGEST_ELEMENT).find(|(_, c)| c.is_whitespace() || ">/='\":".contains(*c));
    match ends {
        Some((at, '>')) => plain_element(known, at),
        Some((at, '/')) if tail(name, at).starts_with("/>") => plain_element(known, at),
        Some((at, '/')) if tail(name, at) == "/" && !ended => Seen::More,
        Some((at, ':')) if at == known.len() && first != '/' => autolink(known, tail(name, at + 1), ended),
        Some(_) => Seen::Defuse,
        None if name.chars().count() < LONGEST_ELEMENT && !ended => Seen::More,
        None => Seen::Defuse,
    }
}

/// What follows `<https:` and the like: an address that is judged as one that stands alone, and that is no element either. A browser
/// takes `https:` for an element's name, each `/` for the end of a name, and up to the first `=` for an attribute's.
fn autolink(scheme: &str, rest: &str, ended: bool) -> Seen {
    let end = rest.char_indices().take(LONGEST_AUTOLINK).find(|(_, c)| *c == '>').map(|(at, _)| at);
    let address = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    let is_plain = if is_web(scheme) {
        let named = address.split_once('=').map(|(name, _)| name.rsplit('/').next().unwrap_or(name));
        (address.starts_with("//") || (end.is_none() && "//".starts_with(address)))
            && !address.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'`<".contains(c))
            // In a query it is an attribute of no meaning.
            && named.is_none_or(|name| name.contains('?'))
    } else {
        scheme.eq_ignore_ascii_case("mailto")
            && address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@.+-_".contains(&byte))
    };
    match end {
        _ if !is_plain => Seen::Defuse,
        Some(_) => Seen::No,
        None if !ended && rest.chars().count() < LONGEST_AUTOLINK => Seen::More,
        None => Seen::Defuse,
    }
}

/// An element without attributes, whose name begins with `known` and is `len` bytes long.
fn plain_element(known: &str, len: usize) -> Seen {
    let acts = len > 0 && ACTING.iter().any(|acting| known.eq_ignore_ascii_case(acting));
    if acts { Seen::Defuse } else { Seen::No }
}

/// How much of `rest` still belongs to a dropped target, and whether its bracket closes there.
pub(crate) fn target_rest(open: &mut usize, rest: &str) -> (usize, bool) {
    for (at, c) in rest.char_indices() {
        match c {
            '(' => *open = open.saturating_add(1),
            ')' if *open == 0 => return (at + 1, true),
            ')' => *open -= 1,
            '\n' => return (at, true),
            _ => {}
        }
    }
    (rest.len(), false)
}
