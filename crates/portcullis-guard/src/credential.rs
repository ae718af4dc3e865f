//! Finding the one credential of a request in its headers.

use http::header::{AUTHORIZATION, COOKIE, HeaderMap};
use portcullis_core::Secret;

/// The longest credential that is read, in bytes.
const LONGEST: usize = 8_192;

/// A credential as it was presented; nothing about it is verified yet.
#[derive(Debug, Clone)]
pub enum Presented {
    /// `Authorization: Bearer …`: an API key or a token.
    Bearer(Secret<String>),
    /// The session cookie of a signed-in browser.
    Session(Secret<String>),
    /// An `Authorization` header that is not a bearer token.
    Unreadable,
}

/// The credentials of a request.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// None at all.
    Missing,
    /// Exactly one.
    One(Presented),
    /// More than one, which is refused whatever they are: two readers could disagree on which one counts.
    Ambiguous,
}

impl Credentials {
    /// Reads the credentials of a request. Only `Authorization` and the cookie of that name count: a token in a path,
    /// query, body or another header is not a credential.
    pub fn read(headers: &HeaderMap, session_cookie: &str) -> Self {
        let authorizations = headers
            .get_all(AUTHORIZATION)
            .iter()
            .map(|value| bearer(value.as_bytes()).unwrap_or(Presented::Unreadable));
        let sessions =
            cookies(headers, session_cookie).map(|value| Presented::Session(Secret::new(value.to_owned())));
        let mut all = authorizations.chain(sessions);
        match (all.next(), all.next()) {
            (None, _) => Self::Missing,
            (Some(_), Some(_)) => Self::Ambiguous,
            (Some(only), None) => Self::One(only),
        }
    }
}

/// The value of the cookie of that name, if the request carries exactly one such cookie.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut found = cookies(headers, name);
    let value = found.next()?;
    found.next().is_none().then_some(value)
}

/// Every cookie of that name: RFC 6265 section 4.2.1. A value that is not text counts as an empty one, so that it is
/// refused and not overlooked.
///
/// Only the white space of RFC 9110 is taken off a name: a browser lets any host of the domain set a cookie whose name is
/// `__Host-…` behind some other space, and such a one must not pass for ours.
fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|b| *b == b';'));
    pairs.filter_map(move |pair| {
        let at = pair.iter().position(|b| *b == b'=')?;
        let (found, value) = pair.split_at(at);
        let value = value.get(1..)?;
        (trimmed(found) == name.as_bytes()).then(|| std::str::from_utf8(trimmed(value)).unwrap_or_default())
    })
}

/// Without spaces and tabs around it.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !blank(b)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

fn bearer(value: &[u8]) -> Option<Presented> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    // RFC 6750 section 2.1 gives the characters of a token; a comma or a space would let two readers see two tokens.
    let readable = !token.is_empty()
        && token.len() <= LONGEST
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
    (scheme.eq_ignore_ascii_case("bearer") && readable)
        .then(|| Presented::Bearer(Secret::new(token.to_owned())))
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};

    use super::{Credentials, Presented, cookie};

    fn read(values: &[&[u8]]) -> Credentials {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).expect("a header value"));
        }
        Credentials::read(&headers, "session")
    }

    fn with_cookies(bearer: Option<&str>, lists: &[&[u8]]) -> Credentials {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(COOKIE, HeaderValue::from_bytes(list).expect("a header value"));
        }
        if let Some(bearer) = bearer {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(bearer).expect("a header value"));
        }
        Credentials::read(&headers, "session")
    }

    #[test]
    fn the_session_cookie_is_read_among_others() {
        for list in
            [&b"session=abc"[..], b"a=b; session=abc; c=d", b"x; session = abc ;", b"Session=x; session=abc"]
        {
            let read = with_cookies(None, &[list]);
            assert!(
                matches!(&read, Credentials::One(Presented::Session(t)) if t.expose() == "abc"),
                "{read:?}"
            );
        }
        assert!(matches!(with_cookies(None, &[b"other=abc; xsession=1"]), Credentials::Missing));
    }

    #[test]
    fn a_cookie_that_only_looks_like_the_session_is_another_one() {
        for space in ["\u{2000}", "\u{a0}", "\u{3000}", "\u{85}"] {
            let planted = format!("{space}session=planted");
            let read = with_cookies(None, &[planted.as_bytes()]);
            assert!(matches!(read, Credentials::Missing), "{space:?} {read:?}");
            let beside = format!("{planted}; session=own; x=\u{ff}");
            let read = with_cookies(None, &[beside.as_bytes(), b"y=\xff"]);
            assert!(
                matches!(&read, Credentials::One(Presented::Session(t)) if t.expose() == "own"),
                "{read:?}"
            );
        }
    }

    #[test]
    fn a_cookie_beside_another_credential_is_ambiguous() {
        let lists: [&[&[u8]]; 3] = [
            &[b"session=a; session=a"],
            &[b"session=a", b"session=b"],
            &[b"session=a; x=y", b"session=\xff"],
        ];
        for list in lists {
            assert!(matches!(with_cookies(None, list), Credentials::Ambiguous), "{list:?}");
        }
        assert!(matches!(with_cookies(Some("Bearer k"), &[b"session=a"]), Credentials::Ambiguous));
        assert!(matches!(with_cookies(Some("nonsense"), &[b"session=a"]), Credentials::Ambiguous));
    }

    #[test]
    fn a_cookie_that_is_there_twice_has_no_value() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; b=2"));
        assert_eq!((cookie(&headers, "a"), cookie(&headers, "c")), (Some("1"), None));
        headers.append(COOKIE, HeaderValue::from_static("a=1"));
        assert_eq!(cookie(&headers, "a"), None);
    }

    #[test]
    fn exactly_one_bearer_token_is_read() {
        assert!(
            matches!(read(&[b"Bearer abc"]), Credentials::One(Presented::Bearer(t)) if t.expose() == "abc")
        );
        assert!(
            matches!(read(&[b"bearer  abc"]), Credentials::One(Presented::Bearer(t)) if t.expose() == "abc")
        );
        assert!(matches!(read(&[]), Credentials::Missing));
    }

    #[test]
    fn two_tokens_are_ambiguous_even_when_they_are_the_same() {
        assert!(matches!(read(&[b"Bearer abc", b"Bearer abc"]), Credentials::Ambiguous));
        assert!(matches!(read(&[b"Bearer abc", b"Basic abc"]), Credentials::Ambiguous));
    }

    #[test]
    fn anything_else_is_unreadable_and_not_missing() {
        for value in [
            &b"Basic abc"[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer a,b",
            b"Bearer a b",
            b"abc",
            b"",
            b"Bearer \xff",
        ] {
            assert!(matches!(read(&[value]), Credentials::One(Presented::Unreadable)), "{value:?}");
        }
    }
}
