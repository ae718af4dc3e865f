//! Markup of strangers in pages: what is put in, what a browser's parser makes of it, and what the page's policy lets happen then.

pub(in crate::checks) mod payloads;
pub(in crate::checks) mod policy;
pub(in crate::checks) mod reflected;
pub(in crate::checks) mod sinks;
pub(in crate::checks) mod stored;
mod tree;

use http::header::CONTENT_TYPE;

use crate::probe::Seen;

/// Whether a browser would open an answer as a page: by its type, or by guessing where it has none.
pub(in crate::checks) fn opens_as_page(seen: &Seen) -> bool {
    let typed = seen.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = typed.split(';').next().unwrap_or_default().trim().to_lowercase();
    match essence.as_str() {
        "" | "unknown/unknown" | "application/unknown" | "*/*" => {
            !is_not_guessed(seen) && seen.body.trim_start().starts_with('<')
        }
        typed => is_pages(typed),
    }
}

/// Whether a type is one of pages. Feeds are read by feed readers: what they hold is text to a browser.
fn is_pages(essence: &str) -> bool {
    match essence {
        "text/html" | "application/xhtml+xml" | "image/svg+xml" => true,
        "application/rss+xml" | "application/atom+xml" => false,
        other => other.ends_with("/xml") || other.ends_with("+xml"),
    }
}

/// Whether browsers are told to take an answer for what it says it is.
pub(in crate::checks) fn is_not_guessed(seen: &Seen) -> bool {
    seen.header("x-content-type-options").trim().eq_ignore_ascii_case("nosniff")
}

#[cfg(test)]
mod tests {
    use super::is_pages;

    #[test]
    fn feeds_are_no_pages_and_other_xml_is() {
        for page in ["text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/x+xml"] {
            assert!(is_pages(page), "{page}");
        }
        for other in ["application/rss+xml", "application/atom+xml", "application/json", "text/plain"] {
            assert!(!is_pages(other), "{other}");
        }
    }
}
