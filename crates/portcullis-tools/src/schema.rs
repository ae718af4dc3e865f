//! What a tool takes: a strict part of JSON Schema (draft 2020-12).
//!
//! It is a part and not all of it on purpose. What a model sends is checked with it thousands of times an hour, so nothing
//! in it can be made slow (no `pattern`), nothing is fetched (no `$ref`), and nothing means something else to the program
//! behind the tool (no `anyOf`, no `if`). A keyword that is not known refuses the schema when it is read, so that no rule is
//! believed to hold that is not looked at. Objects are closed: a property that the schema does not name is refused,
//! whatever `additionalProperties` says, and so it may only say `false`.

use std::fmt;

use serde_json::{Map, Value};

/// Deepest nesting of a schema.
const DEEPEST: usize = 8;
/// The longest schema, in bytes of JSON.
pub(crate) const LONGEST_SCHEMA: usize = 64 * 1024;

/// Keywords that say something to people and to models, and rule nothing.
const REMARKS: &[&str] =
    &["$schema", "$id", "$comment", "title", "description", "default", "examples", "format", "deprecated"];

/// A schema for the arguments of a tool. `Debug` shows none of it.
#[derive(Clone)]
pub struct Schema {
    json: Value,
    root: Node,
}

/// Why a schema cannot be used, with the place as a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at `{at}` {why}")]
pub struct SchemaProblem {
    /// The place in the schema.
    pub at: String,
    /// What is wrong there.
    pub why: String,
}

/// Why arguments do not fit. It names properties that the schema names, and holds nothing of the arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {wanted}", if at.is_empty() { "the arguments" } else { at })]
pub struct Mismatch {
    /// The place in the arguments, such as `place.city`; empty for all of them.
    pub at: String,
    /// What is wanted there: `must be text of at most 40 characters`.
    pub wanted: String,
}

#[derive(Clone)]
struct Node {
    kinds: Vec<Kind>,
    /// The only values there may be.
    values: Option<Vec<Value>>,
    properties: Vec<(String, Node)>,
    required: Vec<String>,
    items: Option<Box<Node>>,
    length: Range<u64>,
    count: Range<u64>,
    number: Range<f64>,
    above: Option<f64>,
    below: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
    Text,
    Number,
    Integer,
    Switch,
    Null,
}

#[derive(Debug, Clone, Copy)]
struct Range<T> {
    least: Option<T>,
    most: Option<T>,
}

impl Kind {
    const WORDS: [(&'static str, Self, &'static str); 7] = [
        ("object", Self::Object, "an object"),
        ("array", Self::Array, "a list"),
        ("string", Self::Text, "text"),
        ("number", Self::Number, "a number"),
        ("integer", Self::Integer, "a whole number"),
        ("boolean", Self::Switch, "true or false"),
        ("null", Self::Null, "null"),
    ];

    fn words(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind, _)| *kind == self).map_or("a value", |(_, _, words)| words)
    }

    fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Object, Value::Object(_))
            | (Self::Array, Value::Array(_))
            | (Self::Text, Value::String(_))
            | (Self::Number, Value::Number(_))
            | (Self::Switch, Value::Bool(_))
            | (Self::Null, Value::Null) => true,
            (Self::Integer, Value::Number(number)) => number.is_i64() || number.is_u64(),
            _ => false,
        }
    }
}

impl Schema {
    /// Reads a schema. Its root is an object, since arguments have names.
    ///
    /// # Errors
    /// The first place that says something which is not known here.
    pub fn read(json: &Value) -> Result<Self, SchemaProblem> {
        let problem = |why: &str| SchemaProblem { at: String::new(), why: why.to_owned() };
        if json.to_string().len() > LONGEST_SCHEMA {
            return Err(problem("it is longer than 64 KiB"));
        }
        let root = Node::read(json, "", 0)?;
        if root.kinds != [Kind::Object] {
            return Err(problem("the type must be `object`: arguments have names"));
        }
        Ok(Self { json: json.clone(), root })
    }

    /// The schema as it was read: what a model is shown.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Whether the arguments fit.
    ///
    /// # Errors
    /// The first place that does not.
    pub fn check(&self, arguments: &Map<String, Value>) -> Result<(), Mismatch> {
        self.root.check_object(arguments, "")
    }

    /// Whether every argument is one plain value, so that it can stand in the query of an address.
    pub fn is_flat(&self) -> bool {
        let nested = |node: &Node| {
            let plain = |kind: &Kind| !matches!(kind, Kind::Object | Kind::Array);
            node.kinds.is_empty() && node.values.is_none() || !node.kinds.iter().all(plain)
        };
        !self.root.properties.iter().any(|(_, node)| nested(node))
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<a schema of {} properties>", self.root.properties.len())
    }
}

impl Node {
    fn read(json: &Value, at: &str, depth: usize) -> Result<Self, SchemaProblem> {
        let problem = |key: &str, why: String| SchemaProblem { at: format!("{at}/{key}"), why };
        let Value::Object(map) = json else {
            return Err(SchemaProblem { at: at.to_owned(), why: "there must be an object".to_owned() });
        };
        if depth > DEEPEST {
            return Err(problem("", format!("it is nested deeper than {DEEPEST} levels")));
        }
        let mut node = Self::empty();
        for (key, value) in map {
            let wrong = |wanted: &str| problem(key, format!("there must be {wanted}"));
            match key.as_str() {
                "type" => {
                    node.kinds = kinds(value).ok_or_else(|| wrong("a known type, or a list of them"))?
                }
                "enum" => {
                    let values = value.as_array().filter(|values| !values.is_empty());
                    node.values =
                        Some(values.ok_or_else(|| wrong("a list with at least one value"))?.clone());
                }
                "const" => node.values = Some(vec![value.clone()]),
                "properties" => {
                    let properties = value.as_object().ok_or_else(|| wrong("an object"))?;
                    for (name, schema) in properties {
                        let child = Self::read(schema, &format!("{at}/properties/{name}"), depth + 1)?;
                        node.properties.push((name.clone(), child));
                    }
                }
                "required" => {
                    let names = value.as_array().ok_or_else(|| wrong("a list of names"))?;
                    let names = names.iter().map(|name| name.as_str().map(str::to_owned));
                    node.required = names.collect::<Option<_>>().ok_or_else(|| wrong("a list of names"))?;
                }
                "additionalProperties" if *value == Value::Bool(false) => {}
                "additionalProperties" => return Err(wrong("`false`: what is not named is refused")),
                "items" => node.items = Some(Box::new(Self::read(value, &format!("{at}/items"), depth + 1)?)),
                "minLength" => {
                    node.length.least = Some(value.as_u64().ok_or_else(|| wrong("a whole number"))?)
                }
                "maxLength" => {
                    node.length.most = Some(value.as_u64().ok_or_else(|| wrong("a whole number"))?)
                }
                "minItems" => node.count.least = Some(value.as_u64().ok_or_else(|| wrong("a whole number"))?),
                "maxItems" => node.count.most = Some(value.as_u64().ok_or_else(|| wrong("a whole number"))?),
                "minimum" => node.number.least = Some(value.as_f64().ok_or_else(|| wrong("a number"))?),
                "maximum" => node.number.most = Some(value.as_f64().ok_or_else(|| wrong("a number"))?),
                "exclusiveMinimum" => node.above = Some(value.as_f64().ok_or_else(|| wrong("a number"))?),
                "exclusiveMaximum" => node.below = Some(value.as_f64().ok_or_else(|| wrong("a number"))?),
                remark if REMARKS.contains(&remark) => {}
                _ => {
                    return Err(problem(key, "there is a keyword that is not looked at here: say it with `type`, `enum`, `const`, \
                        `properties`, `required`, `items` and bounds".to_owned()));
                }
            }
        }
        let known = |name: &&String| node.properties.iter().any(|(known, _)| known == *name);
        if let Some(unknown) = node.required.iter().find(|name| !known(name)) {
            return Err(problem("required", format!("`{unknown}` is required and no property")));
        }
        if node.kinds.is_empty() && node.values.is_none() {
            return Err(problem("type", "a type is missing: anything would fit".to_owned()));
        }
        if node.kinds.contains(&Kind::Array) && node.items.is_none() {
            return Err(problem("items", "a list must say what it holds".to_owned()));
        }
        Ok(node)
    }

    const fn empty() -> Self {
        Self {
            kinds: Vec::new(),
            values: None,
            properties: Vec::new(),
            required: Vec::new(),
            items: None,
            length: Range { least: None, most: None },
            count: Range { least: None, most: None },
            number: Range { least: None, most: None },
            above: None,
            below: None,
        }
    }

    fn check(&self, value: &Value, at: &str) -> Result<(), Mismatch> {
        let mismatch = |wanted: String| Err(Mismatch { at: format!("`{at}`"), wanted });
        if !self.kinds.is_empty() && !self.kinds.iter().any(|kind| kind.fits(value)) {
            let wanted: Vec<&str> = self.kinds.iter().map(|kind| kind.words()).collect();
            return mismatch(format!("must be {}", wanted.join(" or ")));
        }
        if self.values.as_ref().is_some_and(|values| !values.contains(value)) {
            return mismatch("must be one of the values that its schema lists".to_owned());
        }
        match value {
            Value::Object(map) => self.check_object(map, at),
            Value::Array(items) => {
                let count = items.len() as u64;
                if let Some(wanted) = self.count.misses(count, "entries") {
                    return mismatch(wanted);
                }
                let Some(item) = &self.items else { return mismatch("must hold nothing".to_owned()) };
                items
                    .iter()
                    .enumerate()
                    .try_for_each(|(place, value)| item.check(value, &format!("{at}[{place}]")))
            }
            Value::String(text) => match self.length.misses(text.chars().count() as u64, "characters") {
                Some(wanted) => mismatch(wanted),
                None => Ok(()),
            },
            Value::Number(number) => {
                // JSON has no numbers that are none.
                let number = number.as_f64().unwrap_or(f64::MAX);
                let open = self.above.is_some_and(|above| number <= above)
                    || self.below.is_some_and(|below| number >= below);
                match self.number.misses(number, "") {
                    Some(wanted) => mismatch(wanted),
                    None if open => mismatch("must lie within its bounds".to_owned()),
                    None => Ok(()),
                }
            }
            Value::Bool(_) | Value::Null => Ok(()),
        }
    }

    fn check_object(&self, map: &Map<String, Value>, at: &str) -> Result<(), Mismatch> {
        let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        if let Some(missing) = self.required.iter().find(|name| !map.contains_key(*name)) {
            return Err(Mismatch { at: format!("`{}`", below(missing)), wanted: "is missing".to_owned() });
        }
        for (name, value) in map {
            match self.properties.iter().find(|(known, _)| known == name) {
                Some((known, node)) => node.check(value, &below(known))?,
                // Its name is the model's and is not repeated.
                None => {
                    let at = if at.is_empty() { String::new() } else { format!("`{at}`") };
                    let wanted = "must hold nothing that the schema does not name".to_owned();
                    return Err(Mismatch { at, wanted });
                }
            }
        }
        Ok(())
    }
}

impl<T: PartialOrd + fmt::Display + Copy> Range<T> {
    /// What is wanted in the place of a value outside.
    fn misses(&self, value: T, of: &str) -> Option<String> {
        let unit = if of.is_empty() { String::new() } else { format!(" {of}") };
        match (self.least, self.most) {
            (Some(least), _) if value < least => Some(format!("must be at least {least}{unit}")),
            (_, Some(most)) if value > most => Some(format!("must be at most {most}{unit}")),
            _ => None,
        }
    }
}

fn kinds(value: &Value) -> Option<Vec<Kind>> {
    let kind = |value: &Value| {
        let word = value.as_str()?;
        Kind::WORDS.iter().find(|(known, ..)| *known == word).map(|(_, kind, _)| *kind)
    };
    match value {
        Value::Array(all) if !all.is_empty() => all.iter().map(kind).collect(),
        one => kind(one).map(|kind| vec![kind]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::Schema;

    fn tide() -> Schema {
        let json = json!({
            "type": "object",
            "properties": {
                "place": {"type": "string", "minLength": 2, "maxLength": 20, "description": "Where."},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
                "unit": {"enum": ["m", "ft"]},
                "at": {"type": "object", "properties": {"lat": {"type": "number", "exclusiveMaximum": 90}}, "required": ["lat"]},
                "names": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2},
            },
            "required": ["place"],
            "additionalProperties": false,
        });
        Schema::read(&json).expect("a schema")
    }

    fn check(value: &Value) -> Result<(), String> {
        let map = value.as_object().expect("an object").clone();
        tide().check(&map).map_err(|mismatch| mismatch.to_string())
    }

    #[test]
    fn what_fits_is_taken_and_everything_else_is_refused_with_its_place() {
        let good = json!({"place": "Hull", "days": 7, "unit": "m", "at": {"lat": 53.7}, "names": ["a", "b"]});
        assert_eq!(check(&good), Ok(()));
        for (bad, wanted) in [
            (json!({}), "`place` is missing"),
            (json!({"place": 1}), "`place` must be text"),
            (json!({"place": "X"}), "`place` must be at least 2 characters"),
            (json!({"place": "x".repeat(21)}), "`place` must be at most 20 characters"),
            (json!({"place": "Hull", "days": 0}), "`days` must be at least 1"),
            (json!({"place": "Hull", "days": 8}), "`days` must be at most 7"),
            (json!({"place": "Hull", "days": 1.5}), "`days` must be a whole number"),
            (json!({"place": "Hull", "days": "1"}), "`days` must be a whole number"),
            (
                json!({"place": "Hull", "unit": "miles"}),
                "`unit` must be one of the values that its schema lists",
            ),
            (json!({"place": "Hull", "at": {}}), "`at.lat` is missing"),
            (json!({"place": "Hull", "at": {"lat": 90}}), "`at.lat` must lie within its bounds"),
            (
                json!({"place": "Hull", "at": {"lat": 1, "PRIVATE": 2}}),
                "`at` must hold nothing that the schema does not name",
            ),
            (json!({"place": "Hull", "names": ["a", "b", "c"]}), "`names` must be at most 2 entries"),
            (json!({"place": "Hull", "names": ["a", "long"]}), "`names[1]` must be at most 3 characters"),
            (
                json!({"place": "Hull", "url": "http://127.0.0.1"}),
                "the arguments must hold nothing that the schema does not name",
            ),
            (
                json!({"place": "Hull", "__proto__": {}}),
                "the arguments must hold nothing that the schema does not name",
            ),
            (json!({"place": null}), "`place` must be text"),
        ] {
            assert_eq!(check(&bad), Err(wanted.to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_schema_that_says_what_is_not_looked_at_is_refused() {
        for (bad, at) in [
            (json!({"type": "string"}), ""),
            (
                json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}}}),
                "/properties/a/pattern",
            ),
            (
                json!({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1/x"}}}),
                "/properties/a/$ref",
            ),
            (json!({"type": "object", "properties": {"a": {"anyOf": []}}}), "/properties/a/anyOf"),
            (json!({"type": "object", "additionalProperties": true}), "/additionalProperties"),
            (json!({"type": "object", "additionalProperties": {"type": "string"}}), "/additionalProperties"),
            (json!({"type": "object", "properties": {"a": {}}}), "/properties/a/type"),
            (json!({"type": "object", "properties": {"a": true}}), "/properties/a"),
            (json!({"type": "object", "properties": {"a": {"type": "array"}}}), "/properties/a/items"),
            (json!({"type": "object", "required": ["a"]}), "/required"),
            (json!({"type": "thing"}), "/type"),
            (json!({"type": "object", "minProperties": 1}), "/minProperties"),
            (json!([]), ""),
        ] {
            assert_eq!(Schema::read(&bad).expect_err("refused").at, at, "{bad}");
        }
        let mut deep = json!({"type": "string"});
        for _ in 0..20 {
            deep = json!({"type": "object", "properties": {"a": deep}});
        }
        assert!(Schema::read(&deep).is_err());
    }

    #[test]
    fn flat_arguments_are_told_from_nested_ones() {
        assert!(!tide().is_flat());
        let flat =
            json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": {"enum": [1]}}});
        assert!(Schema::read(&flat).expect("a schema").is_flat());
    }

    proptest! {
        #[test]
        fn whatever_a_model_sends_is_judged(text in "\\PC{0,40}") {
            if let Ok(Value::Object(map)) = serde_json::from_str(&text) {
                let _ = tide().check(&map);
            }
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                let _ = Schema::read(&value);
            }
        }
    }
}
