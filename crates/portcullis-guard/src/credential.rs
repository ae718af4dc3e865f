//! Finding the one credential of a request in its headers.

use http::header::{AUTHORIZATION, HeaderMap};
use portcullis_core::Secret;

/// A credential as it was presented; nothing about it is verified yet.
#[derive(Debug, Clone)]
pub enum Presented {
    /// `Authorization: Bearer …`: an API key or a token.
    Bearer(Secret<String>),
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
    /// Reads the credentials of a request. Only headers count: a token in a path, query or body is not a credential.
    pub fn read(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (first, second) = (values.next(), values.next());
        match (first, second) {
            (None, _) => Self::Missing,
            (Some(_), Some(_)) => Self::Ambiguous,
            (Some(value), None) => Self::One(bearer(value.as_bytes()).unwrap_or(Presented::Unreadable)),
        }
    }
}

fn bearer(value: &[u8]) -> Option<Presented> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    // RFC 6750 section 2.1 gives the characters of a token; a comma or a space would let two readers see two tokens.
    let readable = !token.is_empty()
        && token.len() <= 8_192
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
    (scheme.eq_ignore_ascii_case("bearer") && readable)
        .then(|| Presented::Bearer(Secret::new(token.to_owned())))
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::{Credentials, Presented};

    fn read(values: &[&[u8]]) -> Credentials {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).expect("a header value"));
        }
        Credentials::read(&headers)
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
