//! Moments as people read them.

use jiff::Timestamp;

/// A moment for a `<time>` element. The text is in UTC; the script shows it in the reader's own zone.
pub(crate) struct When {
    /// For machines: RFC 3339, to the second.
    pub(crate) exact: String,
    /// For people: `23 Nov 2026, 22:31 UTC`.
    pub(crate) text: String,
}

impl When {
    pub(crate) fn new(at: &Timestamp) -> Self {
        Self {
            exact: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            text: at.strftime("%-d %b %Y, %H:%M UTC").to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::When;

    #[test]
    fn a_moment_is_told_in_utc() {
        let when = When::new(&"2026-11-03T09:05:01.5+01:00".parse().unwrap());
        assert_eq!(
            (when.exact.as_str(), when.text.as_str()),
            ("2026-11-03T08:05:01Z", "3 Nov 2026, 08:05 UTC")
        );
    }
}
