//! What a document links to: source keys of documents of the same export, and web addresses. Nothing else leaves here:
//! no `javascript:`, `data:` or `file:` targets, no addresses with a password in them.

use std::collections::HashSet;

use portcullis_core::unseen::is_invisible;

/// The longest address that is kept, in bytes.
const MAX_ADDRESS: usize = 2_048;

/// Links, each once, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Links {
    list: Vec<String>,
    seen: HashSet<String>,
    most: usize,
}

impl Links {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    pub(crate) fn add(&mut self, link: String) {
        if self.list.len() < self.most && self.seen.insert(link.clone()) {
            self.list.push(link);
        }
    }

    pub(crate) fn into_list(self) -> Vec<String> {
        self.list
    }
}

/// A web address without its fragment, if the target is one that may be kept.
pub(crate) fn web(target: &str) -> Option<String> {
    let target = target.trim();
    let target = target.split_once('#').map_or(target, |(before, _)| before);
    let (scheme, rest) = match target.split_once("//") {
        Some(("", rest)) => ("https", rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https:") => ("https", rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http:") => ("http", rest),
        _ => return None,
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let safe = !host.is_empty()
        && !host.contains('@')
        && rest.len() <= MAX_ADDRESS
        && !rest.chars().any(|c| {
            c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\') || is_invisible(c)
        });
    let path = rest.get(host.len()..).unwrap_or_default();
    safe.then(|| format!("{scheme}://{}{path}", host.to_lowercase()))
}

/// The host and the path, with its query, of a web address made by [`web`].
pub(crate) fn host_and_path(address: &str) -> Option<(&str, &str)> {
    let (_, rest) = address.split_once("://")?;
    rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))
}

/// A relative target, read from the file at `from`, as a path below the root: `../a/b.md#x` in `c/d.md` is `a/b.md`.
/// `None` if it is no relative target, names no file or leads out of the root.
pub(crate) fn relative(from: &str, target: &str) -> Option<String> {
    let target = target.trim();
    let target = target.split(['#', '?']).next().unwrap_or_default();
    // A scheme has a colon before any slash.
    if target.is_empty()
        || target.split('/').next().is_some_and(|first| first.contains(':'))
        || target.contains('\\')
    {
        return None;
    }
    let target = percent_decoded(target)?;
    let (mut parts, rest): (Vec<&str>, &str) = match target.strip_prefix('/') {
        Some(rest) => (Vec::new(), rest),
        None => (from.split('/').collect(), target.as_str()),
    };
    if !target.starts_with('/') {
        parts.pop();
    }
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{relative, web};

    #[test]
    fn only_web_addresses_without_a_password_are_kept() {
        assert_eq!(web(" HTTPS://Example.org/A?b=c#d "), Some("https://example.org/A?b=c".into()));
        assert_eq!(web("//example.org"), Some("https://example.org".into()));
        for bad in [
            "javascript:alert(1)",
            "javascript://x",
            "data:text/html,//x",
            "file:///etc/passwd",
            "ftp://x.org/",
            "https://user:word@x.org/",
            "https://",
            "http:///x",
            "/t/1",
            "https://x.org/a b",
            "https://x.org/\u{202e}",
        ] {
            assert_eq!(web(bad), None, "{bad}");
        }
    }

    #[test]
    fn relative_targets_never_lead_out_of_the_root() {
        assert_eq!(relative("book/ch1.md", "ch2.md#top"), Some("book/ch2.md".into()));
        assert_eq!(relative("book/ch1.md", "../rfcs/a%20b.md"), Some("rfcs/a b.md".into()));
        assert_eq!(relative("book/ch1.md", "/x.md"), Some("x.md".into()));
        for bad in ["../../x.md", "#top", "", "https://x.org/y", "mailto:a@b", "/../x", "%zz", "..\\x"] {
            assert_eq!(relative("book/ch1.md", bad), None, "{bad}");
        }
    }
}
