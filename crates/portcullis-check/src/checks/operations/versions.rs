//! Finds versions in what a service says of itself.

use serde_json::Value;

use crate::probe::Seen;

/// Names of members that tell what runs.
const NAMES: &[&str] = &[
    "version",
    "build",
    "commit",
    "revision",
    "sha",
    "git",
    "release",
    "tag",
    "image",
    "hostname",
    "node_version",
];
/// Headers by which servers name themselves.
const HEADERS: &[&str] =
    &["server", "x-powered-by", "via", "x-aspnet-version", "x-generator", "x-runtime-version"];

/// What an answer tells of versions, in words; none when nothing.
pub(super) fn told(seen: &Seen) -> Option<String> {
    for (name, value) in &seen.headers {
        let name = name.as_str();
        let text = value.to_str().unwrap_or_default();
        let numbered = text
            .split(|c: char| c.is_whitespace() || c == ',')
            .any(|word| is_version(word) || is_product(word));
        if numbered && (HEADERS.contains(&name) || name.contains("version")) {
            return Some(format!("the header `{name}`"));
        }
    }
    match seen.json() {
        Some(body) => in_json(&body, ""),
        None => words(&seen.body)
            .any(|word| is_version(word) || is_product(word))
            .then(|| "the body's text".to_owned()),
    }
}

fn in_json(value: &Value, place: &str) -> Option<String> {
    match value {
        Value::Object(map) => map.iter().find_map(|(name, item)| {
            let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            let lower = name.to_lowercase();
            let named = NAMES.iter().any(|known| {
                lower == *known || lower.ends_with(&format!("_{known}")) || lower.ends_with("version")
            });
            let says =
                matches!(item, Value::Number(_)) || item.as_str().is_some_and(|text| !text.trim().is_empty());
            if named && says { Some(format!("`{place}`")) } else { in_json(item, &place) }
        }),
        Value::Array(items) => items.iter().find_map(|item| in_json(item, &format!("{place}[]"))),
        Value::String(text) => {
            words(text).any(|word| is_version(word) || is_product(word)).then(|| format!("`{place}`"))
        }
        _ => None,
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | '<' | '>' | ',' | ';' | '=')
    })
}

/// `1.2.3`, `v1.2.3-rc1`; not an address (`10.0.0.1`), not a date.
fn is_version(word: &str) -> bool {
    let word = word.strip_prefix(['v', 'V']).unwrap_or(word);
    let head = word.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = head.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| (1..=5).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}

/// `nginx/1.25`, `PHP/8`.
fn is_product(word: &str) -> bool {
    word.split_once('/').is_some_and(|(name, rest)| {
        name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-' || b == b'_')
            && !name.is_empty()
            && rest.starts_with(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{in_json, is_product, is_version};

    #[test]
    fn versions_are_told_from_other_numbers() {
        assert!(["1.2.3", "v0.9.12", "2.0.0-rc.1"].iter().all(|word| is_version(word)));
        assert!(["10.0.0.1", "12.5", "2026-01-10", "42", "a.b.c", ""].iter().all(|word| !is_version(word)));
        assert!(is_product("nginx/1.25.3") && is_product("Express/4"));
        assert!(!is_product("application/json") && !is_product("/v1/models") && !is_product("10/12"));
    }

    #[test]
    fn a_member_that_names_what_runs_is_found_wherever_it_stands() {
        assert!(in_json(&json!({"parts": [{"name": "store", "server_version": "16"}]}), "").is_some());
        assert!(in_json(&json!({"status": "up", "commit": "9f31c2a"}), "").is_some());
        assert!(in_json(&json!({"status": "up", "note": "running 3.2.1 now"}), "").is_some());
        assert_eq!(
            in_json(&json!({"status": "ready", "parts": {"stores": "ready"}, "uptime": 12.5}), ""),
            None
        );
    }
}
