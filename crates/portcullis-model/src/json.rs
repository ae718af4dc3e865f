//! JSON read strictly: UTF-8, no key twice in one object, bounded nesting, order kept.
//!
//! A key that stands twice is read one way by one program and the other way by the next, which is how a checked value
//! and a used value come to differ. So it is refused here, at any depth.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Number;

/// Deepest nesting of arrays and objects that is read.
pub(crate) const MAX_DEPTH: usize = 32;

/// A JSON value whose objects keep their order and hold no key twice. `Debug` shows its shape, not its texts.
#[derive(Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A finite number.
    Number(Number),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object, in the order written.
    Object(Vec<(String, Self)>),
}

/// Why bytes are not acceptable JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    NotUtf8 { at: usize },
    Syntax { line: usize, column: usize },
    TooDeep,
    DuplicateKey(String),
}

impl Json {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Flaw> {
        let text = std::str::from_utf8(bytes).map_err(|error| Flaw::NotUtf8 { at: error.valid_up_to() })?;
        let flaw = Cell::new(None);
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = Reader { depth: 0, flaw: &flaw }
            .deserialize(&mut reader)
            .and_then(|json| reader.end().map(|()| json));
        read.map_err(|error| {
            flaw.take().unwrap_or(Flaw::Syntax { line: error.line(), column: error.column() })
        })
    }

    /// What kind of value it is, for messages.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// A value that was read elsewhere, where no key can stand twice.
impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(on) => Self::Bool(on),
            serde_json::Value::Number(number) => Self::Number(number),
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(map) => {
                Self::Object(map.into_iter().map(|(key, value)| (key, Self::from(value))).collect())
            }
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(items) => write!(f, "<an array of {}>", items.len()),
            Self::Object(fields) => write!(f, "<an object of {}>", fields.len()),
            scalar => write!(f, "<{}>", scalar.type_name()),
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    depth: usize,
    flaw: &'a Cell<Option<Flaw>>,
}

impl Reader<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            self.flaw.set(Some(Flaw::TooDeep));
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth: self.depth.saturating_add(1), ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut fields = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            fields.push((key, entries.next_value_seed(inner)?));
        }
        if let Some(key) = repeated_key(&fields) {
            self.flaw.set(Some(Flaw::DuplicateKey(key.to_owned())));
            return Err(de::Error::custom("duplicate key"));
        }
        Ok(Json::Object(fields))
    }
}

/// Objects with so few fields, which nearly all are, are compared key by key.
const FEW: usize = 8;

fn repeated_key(fields: &[(String, Json)]) -> Option<&str> {
    if fields.len() <= FEW {
        let repeated = |(at, (key, _)): &(usize, &(String, Json))| {
            fields.iter().take(*at).any(|(before, _)| before == key)
        };
        return fields.iter().enumerate().find(repeated).map(|(_, (key, _))| key.as_str());
    }
    let mut keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.iter().zip(keys.iter().skip(1)).find(|(key, next)| key == next).map(|(key, _)| *key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Flaw, Json, MAX_DEPTH};

    #[test]
    fn what_is_not_plain_json_is_refused_with_its_reason() {
        let syntax = |bytes: &[u8]| matches!(Json::parse(bytes), Err(Flaw::Syntax { .. }));
        for bytes in [
            "",
            "{",
            "{}x",
            "{} {}",
            "NaN",
            "[1e999]",
            "'a'",
            "{a:1}",
            "[1,]",
            "\u{feff}{}",
            r#""\ud800""#,
            "\"\n\"",
        ] {
            assert!(syntax(bytes.as_bytes()), "{bytes:?}");
        }
        assert_eq!(Json::parse(b"\"\xff\""), Err(Flaw::NotUtf8 { at: 1 }));
        for twice in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"c":2,"a":null}}]"#, r#"{"a":1,"\u0061":2}"#] {
            assert_eq!(Json::parse(twice.as_bytes()), Err(Flaw::DuplicateKey("a".into())), "{twice}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(Json::parse(nested(MAX_DEPTH + 1).as_bytes()), Err(Flaw::TooDeep));
        assert_eq!(Json::parse("[".repeat(1_000_000).as_bytes()), Err(Flaw::TooDeep));
        assert_eq!(Json::parse(r#"{"a":"#.repeat(100_000).as_bytes()), Err(Flaw::TooDeep));
    }

    #[test]
    fn a_key_that_stands_twice_is_found_wherever_it_stands_among_few_and_many() {
        for fields in 2..=super::FEW + 4 {
            for second in 1..fields {
                for first in 0..second {
                    let named = |at: usize| if at == second { first } else { at };
                    let keys: Vec<_> = (0..fields).map(|at| format!("\"k{}\":{at}", named(at))).collect();
                    let twice = format!("{{{}}}", keys.join(","));
                    let wanted = Err(Flaw::DuplicateKey(format!("k{first}")));
                    assert_eq!(Json::parse(twice.as_bytes()), wanted, "{twice}");
                }
            }
            let keys: Vec<_> = (0..fields).map(|at| format!("\"k{at}\":0")).collect();
            assert!(Json::parse(format!("{{{}}}", keys.join(",")).as_bytes()).is_ok());
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back_the_same(text in "[\\PC]{0,20}", number: i64, float in -1e9..1e9_f64) {
            let written = serde_json::json!({"z": [text, null, {"b": number, "a": float}], "a": true}).to_string();
            let read = Json::parse(written.as_bytes()).unwrap();
            let again = serde_json::to_string(&read).unwrap();
            prop_assert_eq!(
                serde_json::from_str::<serde_json::Value>(&again).unwrap(),
                serde_json::from_str::<serde_json::Value>(&written).unwrap()
            );
        }
    }

    #[test]
    fn the_order_of_keys_is_kept_and_texts_are_not_shown() {
        let json = Json::parse(br#"{"z":1,"a":"PRIVATE"}"#).unwrap();
        assert_eq!(serde_json::to_string(&json).unwrap(), r#"{"z":1,"a":"PRIVATE"}"#);
        assert!(!format!("{json:?}").contains("PRIVATE"));
    }
}
