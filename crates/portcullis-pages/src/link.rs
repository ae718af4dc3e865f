//! Where links lead.
//!
//! A link of a page is either one that this crate builds (the community's base, a page, an id), a path on this site
//! that was handed over, or an outside address in an answer or of a document. Each kind has one function here that
//! makes it, and what does not fit makes no link.

use url::Url;

/// Where a community's pages begin: nothing, or `/c/SLUG`. Anything else is treated as nothing, so that no base can
/// turn a page's links away from this site.
pub(crate) fn base(text: &str) -> &str {
    let slug = text.strip_prefix("/c/").unwrap_or_default();
    let fits = (1..=80).contains(&slug.len())
        && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { text } else { "" }
}

/// The link to a document.
pub(crate) fn document(of: &str, id: &str) -> String {
    format!("{}/documents/{}", base(of), segment(id))
}

/// The link to a conversation.
pub(crate) fn conversation(of: &str, id: &str) -> String {
    format!("{}/chat/{}", base(of), segment(id))
}

/// An id as one segment of a path. Ids hold none of the characters that are replaced here; a dot or a slash would let
/// the link climb to another page.
fn segment(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for c in id.chars().take(80) {
        out.push(if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' });
    }
    if out.is_empty() { "_".to_owned() } else { out }
}

/// A path on this site with its query, as it was handed over. Browsers read `//host` and `/\host` as another site.
pub(crate) fn local(path: &str) -> Option<&str> {
    let rest = path.strip_prefix('/')?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~?=&:%+".contains(&b);
    (!rest.starts_with('/') && rest.bytes().all(fits)).then_some(path)
}

/// An address outside: absolute, `http` or `https`, without a name or password before the host, which could pass for
/// the host. The text is the normalised address and the host in ASCII.
pub(crate) fn outside(address: &str) -> Option<(String, String)> {
    let url = Url::parse(address.trim()).ok()?;
    let known = matches!(url.scheme(), "http" | "https");
    let named = !url.username().is_empty() || url.password().is_some();
    // `https:path` and `https:\\host` are mended by the parser; they are no addresses that people write.
    let plain = address.trim().get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://"));
    let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
    (known && plain && !named).then(|| (String::from(url), host))
}

#[cfg(test)]
mod tests {
    use super::{base, document, local, outside, segment};

    #[test]
    fn a_base_is_a_slug_or_nothing() {
        assert_eq!(base("/c/harbour-rowing"), "/c/harbour-rowing");
        for bad in ["javascript:alert(1)", "//evil.example", "/c/", "/c/a/../..", "/c/a\"b", "/c/A", "/x/a"] {
            assert_eq!(base(bad), "", "{bad}");
        }
    }

    #[test]
    fn an_id_cannot_climb() {
        assert_eq!(document("/c/a", "../../login"), "/c/a/documents/______login");
        assert_eq!(segment(""), "_");
        assert_eq!(segment("0190-ab\"><"), "0190-ab___");
    }

    #[test]
    fn a_local_path_stays_on_this_site() {
        assert_eq!(
            local("/history?before=2026-01-31T00:00:00Z"),
            Some("/history?before=2026-01-31T00:00:00Z")
        );
        for bad in [
            "//evil.example",
            "/\\evil.example",
            "javascript:x",
            "",
            "history",
            "/a b",
            "/a\n",
            "/a\u{202e}",
            "/\"<",
        ] {
            assert_eq!(local(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_plain_web_addresses_lead_outside() {
        assert_eq!(
            outside("https://Example.org/a?b=c"),
            Some(("https://example.org/a?b=c".to_owned(), "example.org".to_owned()))
        );
        // A look-alike host is shown as what it is.
        assert_eq!(
            outside("https://gооgle.example/").map(|(_, host)| host).as_deref(),
            Some("xn--ggle-55da.example")
        );
        for bad in [
            "javascript:alert(1)",
            " java\nscript:alert(1)",
            "data:text/html,<script>",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://a.example/1",
            "//evil.example/",
            "/relative",
            "https:evil.example",
            "https:\\\\evil.example",
            "https://bank.example@evil.example/",
            "https://a:b@evil.example/",
            "https://",
            "mailto:a@b.example",
            "",
        ] {
            assert_eq!(outside(bad), None, "{bad:?}");
        }
    }
}
