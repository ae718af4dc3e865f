//! Links, images and markup: an answer leads only to hosts on the list.
//!
//! The targets of links are withheld until their host is judged. What is allowed is a small grammar, not what is left when
//! everything dangerous is taken away: `http` or `https`, `//`, a host of the list in plain characters and nothing before
//! it; or a path on the page's own host.

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
            _ if c.is_whitespace() => {}
            _ => self.empty = false,
        }
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
    let word = rest.trim_start_matches([' ', '\t']);
    let (word, whole) = match word.split_once(char::is_whitespace) {
        Some((word, _)) => (word, true),
        None => (word, ended),
    };
    // `[Ada]: note: the kettle leaks` is prose.
    match word.strip_suffix(':').is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        true if whole => Seen::No,
        true => Seen::More,
        false => target(rest, ended, hosts, true, Rest::Token(|c| !c.is_whitespace())),
    }
}

/// The target of a link, after its bracket, or of a definition.
fn target(rest: &str, ended: bool, hosts: &Hosts, image: bool, dropped: Rest) -> Seen {
    let space = rest.chars().take(MOST_SPACE + 1).take_while(|c| c.is_whitespace());
    let (count, space) =
        space.fold((0_usize, 0_usize), |(count, bytes), c| (count + 1, bytes + c.len_utf8()));
    let target = tail(rest, space);
    let pointed = target.strip_prefix('<');
    let len = 1 + space + usize::from(pointed.is_some());
    let drop = Seen::Match(Match { class: Class::Link, note: "", len, rest: dropped });
    if count > MOST_SPACE {
        return drop;
    }
    match judge_target(pointed.unwrap_or(target), ended, hosts, image) {
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

fn judge_target(target: &str, ended: bool, hosts: &Hosts, image: bool) -> Judged {
    let more = if ended { Judged::Pass } else { Judged::More };
    let Some(first) = target.chars().next() else { return more };
    match first {
        ')' | '#' | '?' | '.' | '-' | '_' | '~' | '>' => Judged::Pass,
        '/' => match target.chars().nth(1) {
            None => more,
            Some('/') => judge_host(tail(target, 2), ended, hosts, image),
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
                    Some(authority) => judge_host(authority, ended, hosts, image),
                    None if "//".starts_with(tail(target, run + 1)) && !ended => Judged::More,
                    None => Judged::Drop,
                },
                Some(':' | '&' | '\\') => Judged::Drop,
                Some(c) if c.is_control() && c != '\n' => Judged::Drop,
                Some(_) => Judged::Pass,
            }
        }
        _ if first.is_alphanumeric() => Judged::Pass,
        _ => Judged::Drop,
    }
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

fn slashes(rest: &str) -> Option<&str> {
    rest.strip_prefix("//")
}

/// A host in plain characters, perhaps with a port, and then the path or the end of the address.
fn judge_host(authority: &str, ended: bool, hosts: &Hosts, image: bool) -> Judged {
    match host_of(authority, ended) {
        None => Judged::More,
        Some(Some(host)) if hosts.allow(host, image) => Judged::Pass,
        Some(_) => Judged::Drop,
    }
}

/// A host without the full stop of the sentence that it ends.
fn sentence_end(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// What may follow a host and its port.
fn ends_host(c: char) -> bool {
    c.is_whitespace() || "/?#)><\"'],;!}|*`".contains(c)
}

/// The host: `None` if it takes more text, `Some(None)` if there is no plain one.
fn host_of(authority: &str, ended: bool) -> Option<Option<&str>> {
    let len = authority.bytes().take(LONGEST_HOST + 1).take_while(|byte| is_host_byte(*byte)).count();
    let mut end = len;
    if authority.as_bytes().get(end) == Some(&b':') {
        let port = tail(authority, end + 1).bytes().take(6).take_while(u8::is_ascii_digit).count();
        end += 1 + port;
    }
    let host = authority.get(..len).filter(|host| !host.is_empty() && host.len() <= LONGEST_HOST);
    match tail(authority, end).chars().next() {
        None if !ended => None,
        Some(c) if !ends_host(c) => Some(None),
        _ => Some(host),
    }
}

/// An address that stands alone.
fn bare(before: Option<char>, rest: &str, ended: bool, hosts: &Hosts) -> Seen {
    let drop =
        |len| Seen::Match(Match { class: Class::Link, note: NOTE, len, rest: Rest::Token(address_member) });
    for start in ["https://", "http://", "ftp://", "www.", "javascript:", "vbscript:", "data:"] {
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
            return match host_of(after, ended) {
                None => Seen::More,
                Some(Some(host)) if start != "ftp://" && hosts.allow(sentence_end(host), false) => {
                    Seen::Pass(start.len() + sentence_end(host).len())
                }
                Some(_) if after.chars().next().is_some_and(|c| !c.is_whitespace()) => drop(start.len()),
                Some(_) => Seen::No,
            };
        }
        if start == "www." {
            if before.is_some_and(|c| c.is_alphanumeric() || c == '.') {
                return Seen::No;
            }
            return match host_of(rest, ended) {
                None => Seen::More,
                Some(Some(host)) if hosts.allow(sentence_end(host), false) => Seen::Pass(start.len()),
                Some(_) if after.chars().next().is_some_and(char::is_alphanumeric) => drop(start.len()),
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
        // `<https://...>`: the address is judged as one that stands alone.
        Some((at, ':')) if at == known.len() && (is_web(known) || known.eq_ignore_ascii_case("mailto")) => {
            Seen::No
        }
        Some(_) => Seen::Defuse,
        None if name.chars().count() < LONGEST_ELEMENT && !ended => Seen::More,
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
