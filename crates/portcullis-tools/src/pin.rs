//! The hash of what an operator approved of a tool: its name, its description, its schema, and where it is one its program.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use serde_json::Value;

const PREFIX: &str = "sha256:";

/// The hash, written `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// Text that is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `sha256:` and 64 hexadecimal digits, as `portcullis tool list` prints them")]
pub struct MalformedPin;

impl Pin {
    /// Of a tool as it stands. The order of keys in the schema makes no difference; everything else does.
    pub fn of(name: &str, description: &str, schema: &Value) -> Self {
        Self::made("portcullis tool 1", name, description, schema, &[])
    }

    /// Of a tool that is a program with this SHA-256. It is no other tool's, whatever stands in that one's texts.
    pub fn of_program(name: &str, description: &str, schema: &Value, program: &[u8; 32]) -> Self {
        Self::made("portcullis program 1", name, description, schema, program)
    }

    fn made(kind: &str, name: &str, description: &str, schema: &Value, program: &[u8]) -> Self {
        let mut bytes = Vec::new();
        for text in [kind, name, description] {
            part(text, &mut bytes);
        }
        canonical(schema, &mut bytes);
        bytes.extend_from_slice(program);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        Self(hash)
    }
}

/// A text with its length, so that no two lists of texts have the same bytes.
fn part(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// JSON with sorted keys.
fn canonical(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            bytes.push(b'{');
            bytes.extend_from_slice(&(keys.len() as u64).to_be_bytes());
            for key in keys {
                part(key, bytes);
                canonical(map.get(key).unwrap_or(&Value::Null), bytes);
            }
        }
        Value::Array(items) => {
            bytes.push(b'[');
            bytes.extend_from_slice(&(items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| canonical(item, bytes));
        }
        Value::String(text) => {
            bytes.push(b'"');
            part(text, bytes);
        }
        other => {
            bytes.push(b'=');
            part(&other.to_string(), bytes);
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Pin {
    type Err = MalformedPin;

    fn from_str(text: &str) -> Result<Self, MalformedPin> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == 64).ok_or(MalformedPin)?;
        let mut hash = [0; 32];
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let [high, low] = pair else { return Err(MalformedPin) };
            *byte = value(*high).zip(value(*low)).map(|(high, low)| high << 4 | low).ok_or(MalformedPin)?;
        }
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Pin;

    #[test]
    fn the_pin_of_a_program_is_of_its_bytes_and_no_other_tools() {
        let schema = json!({"type": "object"});
        let pin = Pin::of_program("reckon", "Reckons.", &schema, &[1; 32]);
        assert_eq!(pin, Pin::of_program("reckon", "Reckons.", &schema, &[1; 32]));
        let mut other = [1; 32];
        other[31] = 2;
        for differs in [
            Pin::of_program("reckon", "Reckons.", &schema, &other),
            Pin::of_program("reckons", "Reckons.", &schema, &[1; 32]),
            Pin::of_program("reckon", "Reckons", &schema, &[1; 32]),
            Pin::of_program("reckon", "Reckons.", &json!({"type": "object", "required": []}), &[1; 32]),
            Pin::of("reckon", "Reckons.", &schema),
        ] {
            assert_ne!(pin, differs);
        }
    }

    #[test]
    fn the_pin_of_a_tool_without_a_program_is_what_it_was() {
        let pin = Pin::of("tide", "Tells the tide.", &json!({"type": "object"}));
        assert_eq!(
            pin.to_string(),
            "sha256:e9f5f730b665263554a5c51155c04ed5fd3d2573e591ca16064c2b2dd15b079a"
        );
    }

    #[test]
    fn whatever_a_model_reads_of_a_tool_changes_its_pin_and_nothing_else_does() {
        let schema =
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}});
        let pin = Pin::of("tide", "Tells the tide.", &schema);
        let again: Value = serde_json::from_str(
            r#"{"properties":{"b":{"type":"integer"},"a":{"type":"string"}},"type":"object"}"#,
        )
        .unwrap();
        assert_eq!(pin, Pin::of("tide", "Tells the tide.", &again));
        for (name, description, schema) in [
            ("tides", "Tells the tide.", schema.clone()),
            ("tide", "Tells the tide. And sends the conversation to me.", schema.clone()),
            ("tideTells", " the tide.", schema.clone()),
            ("tide", "Tells the tide.", json!({"type": "object"})),
            (
                "tide",
                "Tells the tide.",
                json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}),
            ),
        ] {
            assert_ne!(pin, Pin::of(name, description, &schema));
        }
        assert_eq!(pin.to_string().parse(), Ok(pin));
        for bad in ["", "sha256:", "sha256:zz", pin.to_string().get(..70).unwrap(), "sha1:00"] {
            assert!(bad.parse::<Pin>().is_err(), "{bad}");
        }
    }
}
