//! How values look in the files: times, ids, names of roles, lists of ids as a bound parameter.

use std::fmt::Write as _;

use jiff::Timestamp;
use portcullis_core::{AbilitySet, DocumentId, KeyAbility, Role, SpaceId};
use portcullis_store::Kind;
use portcullis_store::members::LONGEST_NAME;

use crate::fault::Fault;

/// A time as the files keep it: microseconds since 1970, rounded down.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// A time read back.
pub(crate) fn time(micros: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| Fault::because(Kind::Corrupt, "a stored time is out of range"))
}

/// An optional time read back.
pub(crate) fn optional_time(micros: Option<i64>) -> Result<Option<Timestamp>, Fault> {
    micros.map(time).transpose()
}

/// A role read back.
pub(crate) fn role(name: &str) -> Result<Role, Fault> {
    Role::parse(name).ok_or_else(|| Fault::because(Kind::Corrupt, "a stored role is unknown"))
}

/// Abilities as the files keep them.
pub(crate) fn abilities_text(abilities: AbilitySet) -> String {
    abilities.iter().map(KeyAbility::name).collect::<Vec<_>>().join(",")
}

/// Abilities read back.
pub(crate) fn abilities(text: &str) -> Result<AbilitySet, Fault> {
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(KeyAbility::parse)
        .collect::<Option<AbilitySet>>()
        .ok_or_else(|| Fault::because(Kind::Corrupt, "a stored ability is unknown"))
}

/// Spaces as one bound parameter: a JSON array of hexadecimal ids, for
/// `uuid IN (SELECT unhex(value) FROM json_each(?))`. No space gives `[]`, which matches nothing.
pub(crate) fn space_list(spaces: &[SpaceId]) -> String {
    id_list(spaces.iter().map(SpaceId::as_bytes))
}

/// Documents in the same form.
pub(crate) fn document_list(documents: &[DocumentId]) -> String {
    id_list(documents.iter().map(DocumentId::as_bytes))
}

fn id_list<'a>(ids: impl ExactSizeIterator<Item = &'a [u8; 16]>) -> String {
    let mut list = String::with_capacity(ids.len() * 35 + 2);
    list.push('[');
    for (number, id) in ids.enumerate() {
        list.push_str(if number == 0 { "\"" } else { ",\"" });
        for byte in id {
            // Writing to a string cannot fail.
            let _ = write!(list, "{byte:02x}");
        }
        list.push('"');
    }
    list.push(']');
    list
}

/// A short name: `a-z`, `0-9` and `-`, of a length in `chars`.
pub(crate) fn slug(text: &str, chars: std::ops::RangeInclusive<usize>) -> Result<(), Fault> {
    let well_formed = chars.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if well_formed {
        return Ok(());
    }
    Err(Fault::because(
        Kind::Invalid,
        format!("a short name is {} to {} characters of `a-z`, `0-9` and `-`", chars.start(), chars.end()),
    ))
}

/// A name that people read: not empty, at most [`LONGEST_NAME`] characters, one line.
pub(crate) fn name(text: &str) -> Result<(), Fault> {
    let well_formed = !text.trim().is_empty()
        && text.chars().count() <= LONGEST_NAME
        && !text.chars().any(char::is_control);
    if well_formed {
        return Ok(());
    }
    Err(Fault::because(Kind::Invalid, format!("a name is 1 to {LONGEST_NAME} characters on one line")))
}

#[cfg(test)]
mod tests {
    use portcullis_core::{AbilitySet, KeyAbility, SpaceId};

    use super::{abilities, abilities_text, slug, space_list};

    #[test]
    fn an_empty_list_of_spaces_is_an_empty_list() {
        assert_eq!(space_list(&[]), "[]");
        let two = [SpaceId::from_bytes([0xab; 16]), SpaceId::from_bytes([1; 16])];
        assert_eq!(space_list(&two), format!("[\"{}\",\"{}\"]", "ab".repeat(16), "01".repeat(16)));
    }

    #[test]
    fn abilities_read_back_as_they_were_written() {
        for set in [
            AbilitySet::NONE,
            AbilitySet::SESSION,
            KeyAbility::ALL.into_iter().collect(),
            AbilitySet::NONE.with(KeyAbility::Search),
        ] {
            assert_eq!(abilities(&abilities_text(set)).expect("it reads back"), set);
        }
        assert!(abilities("chat,fly").is_err());
    }

    #[test]
    fn a_short_name_holds_no_other_characters() {
        for bad in ["", "a", "Abc", "a b", "a/b", "ä-b", "a_b", &"a".repeat(41)] {
            assert!(slug(bad, 2..=40).is_err(), "{bad:?} was taken");
        }
        assert!(slug("python-circle2", 2..=40).is_ok());
    }
}
