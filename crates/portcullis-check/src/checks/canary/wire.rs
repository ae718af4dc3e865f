//! An answer as a reader could read it: its bytes, and what its JSON and its events say when they are put together.

use std::collections::BTreeMap;

use serde_json::Value;

use super::decode::{base64_decoded, percent_decoded};
use super::fold::{folded, folded_bytes};
use crate::probe::Seen;

/// Headers that no content reaches, and whose values are long enough to be mistaken for something.
const TRANSPORT: &[&str] =
    &["date", "content-length", "content-type", "connection", "transfer-encoding", "keep-alive"];

/// Everything an answer says, read once for all that is looked for in it.
#[derive(Debug)]
pub(in crate::checks) struct Wire {
    /// Headers and body as they came; and what JSON or events carry: each text by its place, pieces of one place joined,
    /// and all of them joined.
    pub(super) texts: Vec<String>,
    /// The same, folded.
    pub(super) folded: Vec<String>,
    /// What stands in them encoded, folded, with the encoding in words.
    pub(super) decoded: Vec<(&'static str, String)>,
}

impl Wire {
    /// Of a whole answer.
    pub(in crate::checks) fn of(seen: &Seen) -> Self {
        let mut raw = String::new();
        for (name, value) in &seen.headers {
            if !TRANSPORT.contains(&name.as_str()) {
                raw.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
            }
        }
        raw.push('\n');
        raw.push_str(&seen.body);
        let mut all = vec![raw];
        all.extend(texts(&seen.body));
        Self::saying(all)
    }

    /// What the body says, apart from how it is written down: each text by its place, and all of them joined. The body
    /// itself where it is neither JSON nor events.
    pub(in crate::checks) fn said(&self) -> &[String] {
        let read = self.texts.get(1..).unwrap_or_default();
        if read.iter().all(String::is_empty) { &self.texts } else { read }
    }

    /// Of these texts.
    pub(in crate::checks) fn saying(texts: Vec<String>) -> Self {
        let mut decoded = Vec::new();
        for text in &texts {
            if text.contains('%') {
                decoded.push(("percent-encoded", folded_bytes(&percent_decoded(text))));
            }
            decoded.extend(base64_decoded(text).iter().map(|bytes| ("in base64", folded_bytes(bytes))));
        }
        let folded = texts.iter().map(|text| folded(text)).collect();
        Self { texts, folded, decoded }
    }
}

fn texts(body: &str) -> Vec<String> {
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    let mut all = String::new();
    for value in values(body) {
        gather(&value, String::new(), &mut places, &mut all);
    }
    let mut texts: Vec<String> = places.into_values().collect();
    texts.push(all);
    texts
}

/// The JSON values of a body: the body itself, or the data of its events (WHATWG server-sent events).
fn values(body: &str) -> Vec<Value> {
    if let Ok(value) = serde_json::from_str(body) {
        return vec![value];
    }
    let data = body
        .lines()
        .filter_map(|line| line.strip_prefix("data:").or(Some(line).filter(|l| l.starts_with('{'))));
    data.map(|data| {
        let data = data.strip_prefix(' ').unwrap_or(data);
        serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()))
    })
    .collect()
}

fn gather(value: &Value, place: String, places: &mut BTreeMap<String, String>, all: &mut String) {
    match value {
        Value::String(text) => {
            places.entry(place).or_default().push_str(text);
            all.push_str(text);
        }
        // Items of a list are pieces of one text as often as not.
        Value::Array(items) => items.iter().for_each(|item| gather(item, format!("{place}[]"), places, all)),
        Value::Object(map) => {
            for (name, item) in map {
                gather(item, format!("{place}.{name}"), places, all);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::texts;

    #[test]
    fn pieces_of_a_stream_are_put_together() {
        let body = "data: {\"id\":\"a\",\"choices\":[{\"delta\":{\"content\":\"mar\"}}]}\n\n\
                    data: {\"id\":\"a\",\"choices\":[{\"delta\":{\"content\":\"ker\"}}]}\n\ndata: [DONE]\n\n";
        assert!(texts(body).contains(&"marker".to_owned()));
    }

    #[test]
    fn escapes_of_json_are_undone() {
        assert!(texts(r#"{"a":"m\u0061rker"}"#).contains(&"marker".to_owned()));
    }
}
