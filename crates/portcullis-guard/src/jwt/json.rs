//! JSON read strictly: one object, each member named once at every depth, whole numbers kept apart from others.
//!
//! Two readers of one text must not see two different things. A member that stands twice is where they differ, so it is
//! refused here, however the name is escaped.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Switch,
    /// A whole number written without fraction and exponent.
    Integer(i64),
    /// Any other number. Its value is never used.
    Number,
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// Its type only: it may be a token's or a key's content.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Switch => "switch",
            Self::Integer(_) | Self::Number => "number",
            Self::Text(_) => "text",
            Self::List(_) => "list",
            Self::Object(_) => "object",
        })
    }
}

/// Reads one object and nothing after it.
pub(super) fn object(text: &[u8]) -> Option<BTreeMap<String, Json>> {
    match serde_json::from_slice(text) {
        Ok(Json::Object(members)) => Some(members),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Switch)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(i64::try_from(number).map_or(Json::Number, Json::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((name, value)) = members.next_entry()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is named twice"));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, object};

    #[test]
    fn only_one_object_with_members_named_once_is_read() {
        assert!(object(br#" {"a": {"b": 1}, "b": [1, "x", null, true]} "#).is_some());
        for bad in [
            &br#"{"a":1,"a":1}"#[..],
            br#"{"a":1,"\u0061":2}"#,
            br#"{"x":{"a":1,"a":1}}"#,
            br#"{"x":[{"a":1,"a":1}]}"#,
            br#"{"a":1}{}"#,
            br#"{"a":1} x"#,
            b"\xef\xbb\xbf{}",
            b"[]",
            b"\"text\"",
            b"",
            b"{",
            br#"{"a":1,}"#,
            br#"{a:1}"#,
            b"{\"a\":\"\xff\"}",
            br#"{"a":"\ud800"}"#,
            br#"{"a":NaN}"#,
        ] {
            assert_eq!(object(bad), None, "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(object("[".repeat(100_000).as_bytes()), None);
        assert_eq!(object("{\"a\":".repeat(100_000).as_bytes()), None);
    }

    #[test]
    fn only_plain_whole_numbers_are_whole_numbers() {
        let number =
            |text: &str| object(format!(r#"{{"n":{text}}}"#).as_bytes()).expect("an object")["n"].clone();
        assert_eq!(number("0"), Json::Integer(0));
        assert_eq!(number("-7"), Json::Integer(-7));
        assert_eq!(number("9223372036854775807"), Json::Integer(i64::MAX));
        for other in
            ["1.0", "1e3", "1E0", "-0", "-0.0", "9223372036854775808", "18446744073709551616", "1e300"]
        {
            assert_eq!(number(other), Json::Number, "{other}");
        }
    }
}
