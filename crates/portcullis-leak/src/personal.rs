//! Mail addresses and bank accounts.

use crate::policy::{Class, Kind};
use crate::stream::{Match, Rest, Seen};
use crate::tail;

/// The longest part before the `@`, in bytes (RFC 5321).
const LONGEST_LOCAL: usize = 64;
/// The longest host name.
const LONGEST_DOMAIN: usize = 253;

/// What is known of the run of characters that begins here.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Address {
    /// No address begins here, for its first part would be too long: so many bytes are of it. One may begin at the next
    /// character.
    Long(usize),
    /// No address begins within so many bytes.
    Clear(usize),
    /// It takes more text; so many bytes are of the first part.
    More(usize),
    Is(Match),
}

/// A character of the part before the `@`. Of other scripts only those that write words apart, so that running text
/// in the others is not held back.
pub(crate) fn local(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '.' | '_' | '%' | '+' | '-')
        || ('\u{c0}'..'\u{590}').contains(&c) && c.is_alphanumeric()
}

fn domain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-')
}

/// Judges the run of characters that begins here, of which `known` bytes are known to be of the first part.
pub(crate) fn address(rest: &str, known: usize, ended: bool) -> Address {
    let known = if rest.is_char_boundary(known) { known } else { 0 };
    let mut at = None;
    for (place, c) in tail(rest, known).char_indices() {
        let place = known + place;
        if local(c) {
            if place >= LONGEST_LOCAL {
                return Address::Long(place);
            }
        } else if c == '@' {
            at = Some(place);
            break;
        } else {
            return Address::Clear(place);
        }
    }
    let Some(at) = at else {
        let run = rest.len();
        return if ended { Address::Clear(run) } else { Address::More(run) };
    };
    if at > LONGEST_LOCAL {
        return Address::Long(at);
    }
    let after = tail(rest, at + 1);
    let run = after.char_indices().take(LONGEST_DOMAIN).find(|(_, c)| !domain(*c)).map(|(place, _)| place);
    let whole = after.chars().take(LONGEST_DOMAIN + 1).count();
    let host = match run {
        Some(run) => after.get(..run).unwrap_or_default(),
        None if whole > LONGEST_DOMAIN => {
            return Address::Is(found(at + 1, Rest::Token(domain)));
        }
        None if !ended => return Address::More(at),
        None => after,
    };
    let host = host.trim_end_matches(['.', '-']);
    let Some((name, top)) = host.rsplit_once('.') else { return Address::Clear(at + 1) };
    let is_top = top.chars().count() >= 2 && top.chars().any(char::is_alphabetic);
    if name.is_empty() || !is_top {
        return Address::Clear(at + 1);
    }
    Address::Is(found(at + 1 + host.len(), Rest::Nothing))
}

fn found(len: usize, rest: Rest) -> Match {
    Match { class: Class::Personal, note: Kind::Email.note(), len, rest }
}

/// Countries with the length of their account numbers, from the registry of ISO 13616.
static IBAN_LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// Whether an account number begins here: a country, two check digits, and what makes the remainder by 97 one.
pub(crate) fn iban(rest: &str, ended: bool) -> Seen {
    let checked = |place| rest.as_bytes().get(place).is_none_or(u8::is_ascii_digit);
    if !checked(2) || !checked(3) {
        return Seen::No;
    }
    let mut head = rest.bytes().map(|byte| byte.to_ascii_uppercase());
    let (Some(first), second) = (head.next(), head.next()) else { return Seen::No };
    let mut countries = IBAN_LENGTHS.iter().filter(|(country, _)| country[0] == first);
    let Some(second) = second else {
        return if !ended && countries.next().is_some() { Seen::More } else { Seen::No };
    };
    let Some((_, length)) = countries.find(|(country, _)| country[1] == second) else { return Seen::No };
    let (mut taken, mut separated) = (0_usize, false);
    // The remainder of what follows the first four characters, and those four at the end.
    let (mut remainder, mut front) = (0_u32, 0_u32);
    let fold = |remainder: u32, c: char| match c.to_digit(36) {
        Some(digit) if digit < 10 => (remainder * 10 + digit) % 97,
        Some(digit) => (remainder * 100 + digit) % 97,
        None => remainder,
    };
    for (place, c) in rest.char_indices() {
        if matches!(c, ' ' | '-' | '\u{a0}') && taken >= 4 && !separated {
            separated = true;
            continue;
        }
        let wrong = !c.is_ascii_alphanumeric() || (2..4).contains(&taken) && !c.is_ascii_digit();
        if wrong {
            return Seen::No;
        }
        separated = false;
        if taken < 4 {
            front = fold(front, c);
        } else {
            remainder = fold(remainder, c);
        }
        taken += 1;
        if taken == *length {
            // Two letters and two digits are six digits.
            let whole = (remainder * (1_000_000 % 97) + front) % 97;
            let len = place + 1;
            let found = Match { class: Class::Personal, note: Kind::Iban.note(), len, rest: Rest::Nothing };
            return if whole == 1 { Seen::Match(found) } else { Seen::No };
        }
    }
    if ended { Seen::No } else { Seen::More }
}
