//! Dates as exports write them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt};

/// The longest text that is looked at.
const MAX_CHARS: usize = 64;

/// Reads a moment. A date without a time is its midnight in UTC, a time without a zone is in UTC. Years before 1970 and
/// after 2200 are taken for mistakes.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim().trim_matches(['"', '\'']).trim();
    if text.is_empty() || text.chars().count() > MAX_CHARS {
        return None;
    }
    let moment = exact(text)
        .or_else(|| utc(text.strip_suffix("UTC").or_else(|| text.strip_suffix('Z')).unwrap_or(text)))?;
    let year = moment.to_zoned(TimeZone::UTC).year();
    (1970..=2200).contains(&year).then_some(moment)
}

/// Forms that name their zone.
fn exact(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())).or_else(
        || {
            ["%Y-%m-%d %H:%M:%S %z", "%Y-%m-%d %H:%M %z", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%.f %z"]
                .into_iter()
                .find_map(|form| fmt::strtime::parse(form, text).ok()?.to_timestamp().ok())
        },
    )
}

/// Forms that name none.
fn utc(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let time = |form| DateTime::strptime(form, text).ok();
    let date = |form| Date::strptime(form, text).ok().map(|date| date.at(0, 0, 0, 0));
    let civil = text
        .parse()
        .ok()
        .or_else(|| ["%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M"].into_iter().find_map(time))
        .or_else(|| {
            [
                "%Y-%m-%d",
                "%Y/%m/%d",
                "%Y.%m.%d",
                "%d-%b-%Y",
                "%d-%B-%Y",
                "%d %b %Y",
                "%d %B %Y",
                "%b %d, %Y",
                "%B %d, %Y",
                "%b %d %Y",
                "%B %d %Y",
            ]
            .into_iter()
            .find_map(date)
        })?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_forms_that_exports_use_are_read() {
        for (text, expected) in [
            ("2016-09-09T10:39:38.000Z", "2016-09-09T10:39:38Z"),
            ("2019-01-04", "2019-01-04T00:00:00Z"),
            ("2019-01-04 15:44 UTC", "2019-01-04T15:44:00Z"),
            ("2019-01-04 15:44:10 +0200", "2019-01-04T13:44:10Z"),
            ("'2019-01-04T15:44:10+02:00'", "2019-01-04T13:44:10Z"),
            ("22-Feb-2020", "2020-02-22T00:00:00Z"),
            ("5 July 2001", "2001-07-05T00:00:00Z"),
            ("Mar 3, 2021", "2021-03-03T00:00:00Z"),
            ("Tue, 1 Jul 2003 10:52:37 +0200", "2003-07-01T08:52:37Z"),
        ] {
            assert_eq!(parse(text).map(|moment| moment.to_string()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in
            ["", "soon", "2019-13-01", "31-Feb-2020", "0001-01-01", "9999-01-01", "12", &"9".repeat(100)]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
