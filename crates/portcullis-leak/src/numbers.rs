//! Telephone numbers, payment cards and social security numbers.

use crate::leak::Kinds;
use crate::policy::{Class, Kind};
use crate::stream::{Match, Rest, Seen};
use crate::tail;

/// Whether such a number begins here. `first` is a digit, `+` or `(`.
pub(crate) fn begins(first: char, before: Option<char>, rest: &str, ended: bool, kinds: Kinds) -> Seen {
    let begins_run = !before.is_some_and(|c| c.is_ascii_digit());
    if !begins_run {
        return Seen::No;
    }
    if first.is_ascii_digit() {
        if kinds.has(Kind::Card) {
            match card(rest, ended) {
                Seen::No => {}
                seen => return seen,
            }
        }
        if kinds.has(Kind::Ssn) {
            match grouped(rest, ended, Kind::Ssn, "-", &[3, 2, 4], is_area_of_ssn) {
                Seen::No => {}
                seen => return seen,
            }
        }
    }
    if kinds.has(Kind::Phone) { phone(first, rest, ended) } else { Seen::No }
}

fn found(kind: Kind, len: usize) -> Seen {
    Seen::Match(Match { class: Class::Personal, note: kind.note(), len, rest: Rest::Nothing })
}

/// 13 to 19 digits, alone or in groups, whose last one is the check digit (Luhn, ISO/IEC 7812-1).
fn card(rest: &str, ended: bool) -> Seen {
    const MOST: usize = 19;
    if !matches!(rest.bytes().next(), Some(b'2'..=b'6')) {
        return Seen::No;
    }
    let mut digits = [0_u8; MOST];
    let (mut taken, mut separated) = (0_usize, false);
    let mut last = None;
    let mut over = false;
    for (place, c) in rest.char_indices() {
        match (c, c.to_digit(10).and_then(|digit| u8::try_from(digit).ok())) {
            (_, Some(digit)) => {
                let Some(slot) = digits.get_mut(taken) else {
                    // A longer number: the groups before may be one.
                    over = true;
                    break;
                };
                *slot = digit;
                taken += 1;
                separated = false;
                continue;
            }
            (' ' | '-' | '\u{a0}', None) if !separated => separated = true,
            _ => over = true,
        }
        if (separated != over) && luhn(digits.get(..taken).unwrap_or_default()) {
            last = Some(place);
        }
        if over {
            break;
        }
    }
    match (over, ended) {
        (false, false) => return Seen::More,
        (false, true) if !separated && luhn(digits.get(..taken).unwrap_or_default()) => {
            last = Some(rest.len())
        }
        _ => {}
    }
    last.map_or(Seen::No, |len| found(Kind::Card, len))
}

fn luhn(digits: &[u8]) -> bool {
    if digits.len() < 13 || digits.iter().all(|digit| Some(digit) == digits.first()) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (1, digit @ 5..) => digit * 2 - 9,
            (1, digit) => digit * 2,
            (_, digit) => digit,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Groups of so many digits with one of the separators between them, the same each time, and no digit after.
fn grouped(
    rest: &str,
    ended: bool,
    kind: Kind,
    separators: &str,
    groups: &[usize],
    fits: fn(&str) -> bool,
) -> Seen {
    let mut at = 0;
    let mut separator = None;
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            match tail(rest, at).chars().next() {
                None => return if ended { Seen::No } else { Seen::More },
                Some(c) if separators.contains(c) && separator.is_none_or(|first| first == c) => {
                    separator = Some(c);
                    at += c.len_utf8();
                }
                Some(_) => return Seen::No,
            }
        }
        let digits = tail(rest, at).bytes().take(*group).take_while(u8::is_ascii_digit).count();
        if digits < *group {
            let exhausted = at + digits == rest.len();
            return if exhausted && !ended { Seen::More } else { Seen::No };
        }
        if index == 0 && !fits(rest) {
            return Seen::No;
        }
        at += group;
    }
    match tail(rest, at).bytes().next() {
        None if !ended => Seen::More,
        Some(byte) if byte.is_ascii_digit() => Seen::No,
        _ => found(kind, at),
    }
}

fn is_area_of_ssn(rest: &str) -> bool {
    rest.get(..3).is_some_and(|area| area != "000" && area != "666" && !area.starts_with('9'))
}

fn is_area_of_phone(rest: &str) -> bool {
    matches!(rest.bytes().next(), Some(b'2'..=b'9'))
}

/// `+` or `00` and a country, an area code in brackets or with a leading nought, or 3-3-4.
fn phone(first: char, rest: &str, ended: bool) -> Seen {
    let wait = |least: usize| rest.len() < least && !ended;
    let bytes = rest.as_bytes();
    let digit_at = |place: usize| bytes.get(place).is_some_and(|byte| byte.is_ascii_digit());
    match first {
        '+' if wait(2) => Seen::More,
        '+' if digit_at(1) && bytes.get(1) != Some(&b'0') => run(rest, ended, 8, 15, true),
        '(' if wait(2) => Seen::More,
        '(' if digit_at(1) || bytes.get(1) == Some(&b'+') => bracketed(rest, ended),
        '0' if wait(3) => {
            if rest.bytes().all(|byte| byte.is_ascii_digit()) {
                Seen::More
            } else {
                Seen::No
            }
        }
        '0' if digit_at(1) && bytes.get(1) == Some(&b'0') && digit_at(2) => run(rest, ended, 10, 17, true),
        '0' if digit_at(1) && digit_at(2) => national(rest, ended),
        '1'..='9' => grouped(rest, ended, Kind::Phone, "-. ", &[3, 3, 4], is_area_of_phone),
        _ => Seen::No,
    }
}

/// Digits with separators between them: from `least` on they are a number, and at `most` it ends.
fn run(rest: &str, ended: bool, least: usize, most: usize, dots: bool) -> Seen {
    let (mut digits, mut separators, mut end) = (0_usize, 0_usize, 0_usize);
    for (place, c) in rest.char_indices() {
        if c.is_ascii_digit() {
            digits += 1;
            separators = 0;
            end = place + 1;
            if digits == most {
                return found(Kind::Phone, end);
            }
        } else if place > 0
            && separators < 3
            && (matches!(c, ' ' | '-' | '/' | '(' | ')' | '\u{a0}') || dots && c == '.')
        {
            separators += 1;
        } else if place > 0 {
            return if digits >= least { found(Kind::Phone, end) } else { Seen::No };
        }
    }
    match (ended, digits >= least) {
        (false, _) => Seen::More,
        (true, true) => found(Kind::Phone, end),
        (true, false) => Seen::No,
    }
}

/// `(030) 1234567`, `(555) 123-4567`, `(+49) ...`.
fn bracketed(rest: &str, ended: bool) -> Seen {
    let inside = tail(rest, 1);
    let area = inside.bytes().take(6).take_while(|byte| byte.is_ascii_digit() || *byte == b'+').count();
    match inside.as_bytes().get(area) {
        None => {
            if ended {
                Seen::No
            } else {
                Seen::More
            }
        }
        Some(b')') if (2..=5).contains(&area) => run(rest, ended, 9, 15, false),
        _ => Seen::No,
    }
}

/// An area code of three to five digits with its leading nought, then at least two groups or one long one.
fn national(rest: &str, ended: bool) -> Seen {
    let area = rest.bytes().take(6).take_while(u8::is_ascii_digit).count();
    match rest.as_bytes().get(area) {
        None => {
            if ended || area > 5 {
                Seen::No
            } else {
                Seen::More
            }
        }
        Some(b' ' | b'-' | b'/') if (3..=5).contains(&area) => run(rest, ended, 9, 13, false),
        _ => Seen::No,
    }
}
