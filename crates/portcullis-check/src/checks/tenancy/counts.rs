//! Numbers by which an answer tells how much there is: totals, and how long its lists are.

use std::collections::BTreeMap;

use portcullis_core::secret::random_bytes;
use serde_json::Value;

use crate::probe::Seen;

/// Parts of names under which numbers of hits go.
const NAMES: &[&str] = &["count", "total", "hits", "matches", "found", "results", "size", "pages"];

/// Last parts of names under which times go, whatever stands before.
const TIMES: &[&str] = &[
    "ms", "us", "ns", "time", "seconds", "secs", "millis", "micros", "nanos", "duration", "elapsed",
    "latency", "took",
];

const LENGTH: &str = "the length of";

/// Every such number of an answer, by its place.
pub(super) fn counts(seen: &Seen) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (name, value) in &seen.headers {
        let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        if let Some(number) = number.filter(|_| is_named(name.as_str())) {
            counts.insert(format!("header `{name}`"), number);
        }
    }
    if let Some(body) = seen.json() {
        gather(&body, "", &mut counts);
    }
    counts
}

/// How long the lists of an answer are, by their places.
pub(super) fn lengths(seen: &Seen) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    if let Some(body) = seen.json() {
        gather(&body, "", &mut counts);
    }
    counts.retain(|place, _| place.starts_with(LENGTH));
    counts
}

fn is_named(name: &str) -> bool {
    let lower = name.to_lowercase();
    NAMES.iter().any(|part| lower.contains(part)) && !is_a_time(name)
}

/// How long something took, and not how much there is: `total_ms`, `foundInMs`, `totaltime`.
fn is_a_time(name: &str) -> bool {
    TIMES.iter().any(|unit| {
        let at = name.len().saturating_sub(unit.len());
        let Some((before, last)) = name.split_at_checked(at) else { return false };
        let before_lower = before.to_lowercase();
        let is_apart = before.ends_with(['_', '-', '.', ' ']) || last.starts_with(char::is_uppercase);
        last.eq_ignore_ascii_case(unit) && (is_apart || NAMES.iter().any(|part| before_lower.ends_with(part)))
    })
}

fn gather(value: &Value, place: &str, counts: &mut BTreeMap<String, u64>) {
    match value {
        Value::Array(items) => {
            *counts.entry(format!("{LENGTH} `{place}`")).or_default() += items.len() as u64;
            items.iter().for_each(|item| gather(item, &format!("{place}[]"), counts));
        }
        Value::Object(map) => {
            for (name, item) in map {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                if let Some(number) = item.as_u64().filter(|_| is_named(name)) {
                    *counts.entry(format!("`{place}`")).or_default() += number;
                }
                gather(item, &place, counts);
            }
        }
        _ => {}
    }
}

/// A random text of the same form: letters for letters, digits for digits.
pub(super) fn decoy(text: &str) -> String {
    let mut random = random_bytes::<256>().into_iter().cycle();
    let mut pick = |first: u8, of: u8| char::from(first + random.next().unwrap_or(0) % of);
    text.chars()
        .map(|c| match c {
            'a'..='z' => pick(b'a', 26),
            'A'..='Z' => pick(b'A', 26),
            '0'..='9' => pick(b'0', 10),
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{decoy, is_named};

    #[test]
    fn a_time_counts_nothing_whatever_it_is_called() {
        for name in
            ["total", "hits", "total_items", "resultCount", "x-total-count", "TOTAL", "pages", "campus_count"]
        {
            assert!(is_named(name), "{name}");
        }
        for name in
            ["total_ms", "totalMs", "total-time", "foundInUs", "totalms", "hits_ns", "count_seconds", "query"]
        {
            assert!(!is_named(name), "{name}");
        }
    }

    #[test]
    fn a_decoy_has_the_form_of_the_text_and_not_its_letters() {
        let text = "Qzvk-7wpjm 3fhd";
        let other = decoy(text);
        assert_ne!(other, text);
        let form = |text: &str| -> String {
            text.chars()
                .map(|c| {
                    if c.is_ascii_digit() {
                        '0'
                    } else if c.is_ascii_lowercase() {
                        'a'
                    } else if c.is_ascii_uppercase() {
                        'A'
                    } else {
                        c
                    }
                })
                .collect()
        };
        assert_eq!(form(&other), form(text));
    }
}
