//! Base URLs that cannot be wrong: absolute, http or https, with a real host, without credentials.

use std::fmt;
use std::net::IpAddr;

/// An http or https base URL without user name, password, query and fragment, and without a slash at its end.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Scheme,
    host: Host,
    port: Option<u16>,
    /// Empty, or segments that each start with a slash.
    path: String,
    /// The whole, in its one form.
    text: String,
}

/// How a base URL is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// The host of a base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Why a text is no base URL, as the words that follow the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// It is not of the form of an absolute URL.
    #[error("must be an absolute URL, such as `https://chat.example.org`")]
    NotAbsolute,
    /// Another scheme.
    #[error("must start with `https://` or `http://`")]
    Scheme,
    /// A user name or password stands in it.
    #[error("must not carry a user name or a password")]
    Credentials,
    /// A query or fragment stands in it.
    #[error("must not carry a query or a fragment")]
    Query,
    /// The host is no DNS name and no address.
    #[error("must name a host by DNS name or address")]
    Host,
    /// The port is not between 1 and 65535.
    #[error("must have a port between 1 and 65535, or none")]
    Port,
    /// The path has empty, `.` or `..` segments or characters that need encoding.
    #[error("must have a plain path, without empty, `.` or `..` parts")]
    Path,
}

impl BaseUrl {
    /// Parses a base URL.
    ///
    /// # Errors
    /// What is wrong with the text; never the text itself, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        // `http::Uri` drops a fragment and accepts credentials, so both are looked for first.
        if text.contains(['?', '#']) {
            return Err(UrlFault::Query);
        }
        if text.contains('@') {
            return Err(UrlFault::Credentials);
        }
        let uri: http::Uri = text.parse().map_err(|_| UrlFault::NotAbsolute)?;
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            Some(_) => return Err(UrlFault::Scheme),
            None => return Err(UrlFault::NotAbsolute),
        };
        let authority = uri.authority().ok_or(UrlFault::NotAbsolute)?;
        let host = host(authority.host()).ok_or(UrlFault::Host)?;
        let port = match authority.as_str().get(authority.host().len()..) {
            None | Some("") => None,
            Some(rest) => {
                let digits = rest.strip_prefix(':').ok_or(UrlFault::Port)?;
                Some(digits.parse().ok().filter(|port| *port != 0).ok_or(UrlFault::Port)?)
            }
        };
        let path = uri.path().strip_suffix('/').unwrap_or(uri.path());
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        };
        if !path.split('/').skip(1).all(plain) {
            return Err(UrlFault::Path);
        }
        let text = format!("{}{path}", origin(scheme, &host, port));
        Ok(Self { scheme, host, port, path: path.to_owned(), text })
    }

    /// How it is spoken to.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether it is https.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// The host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, the scheme's own if none is given.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.port())
    }

    /// The path, empty or starting with a slash, never ending with one.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Scheme, host and port, as an `Origin` header has them.
    pub fn origin(&self) -> String {
        origin(self.scheme, &self.host, self.port)
    }

    /// The URL, with its scheme's port left out.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL of a path below this one; `path` starts with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// Whether the host is this machine by its address or by the name `localhost`.
    pub fn is_loopback(&self) -> bool {
        self.host.is_loopback()
    }
}

impl Host {
    /// Parses a DNS name or an address, the newer kind in brackets.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        host(text)
    }

    /// Whether it is this machine by its address or by the name `localhost`.
    pub fn is_loopback(&self) -> bool {
        match self {
            // RFC 6761 section 6.3 keeps `localhost` and everything below it for loopback.
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => address.to_canonical().is_loopback(),
        }
    }
}

impl Scheme {
    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

fn origin(scheme: Scheme, host: &Host, port: Option<u16>) -> String {
    let name = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    match port.filter(|port| *port != scheme.port()) {
        Some(port) => format!("{name}://{host}:{port}"),
        None => format!("{name}://{host}"),
    }
}

fn host(text: &str) -> Option<Host> {
    if let Some(inner) = text.strip_prefix('[') {
        return inner.strip_suffix(']')?.parse().ok().map(|v6| Host::Address(IpAddr::V6(v6)));
    }
    if let Ok(v4) = text.parse() {
        return Some(Host::Address(IpAddr::V4(v4)));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // `127.1` and `0x7f.1` are addresses to some resolvers; a name whose last part is a number is neither.
    let last = text.rsplit('.').next()?;
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    (text.len() <= 253 && !numeric && text.split('.').all(label))
        .then(|| Host::Name(text.to_ascii_lowercase()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(v4)) => write!(f, "{v4}"),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The address that members type: https, or http on a loopback address, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(BaseUrl);

impl PublicUrl {
    /// The public URL, if the URL may be one.
    pub(crate) fn new(url: BaseUrl) -> Result<Self, PublicUrlFault> {
        if !url.path.is_empty() {
            Err(PublicUrlFault::Path)
        } else if url.is_https() || url.is_loopback() {
            Ok(Self(url))
        } else {
            Err(PublicUrlFault::Plain)
        }
    }

    /// The URL.
    pub const fn url(&self) -> &BaseUrl {
        &self.0
    }

    /// Whether members come over TLS, so that cookies are `Secure`.
    pub fn is_https(&self) -> bool {
        self.0.is_https()
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a base URL cannot be the public one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublicUrlFault {
    /// Plain http to another machine.
    Plain,
    /// It has a path, which `__Host-` cookies cannot be bound to.
    Path,
}

#[cfg(test)]
mod tests {
    use super::{BaseUrl, PublicUrl, PublicUrlFault, UrlFault};

    fn parse(text: &str) -> Result<String, UrlFault> {
        BaseUrl::parse(text).map(|url| url.to_string())
    }

    #[test]
    fn a_base_url_is_kept_in_one_form() {
        assert_eq!(parse("https://Chat.Example.org/").as_deref(), Ok("https://chat.example.org"));
        assert_eq!(parse("https://chat.example.org:443/v1/").as_deref(), Ok("https://chat.example.org/v1"));
        assert_eq!(parse("http://[::1]:8000/v1").as_deref(), Ok("http://[::1]:8000/v1"));
        assert_eq!(parse("http://model_1:11434").as_deref(), Ok("http://model_1:11434"));
    }

    #[test]
    fn what_is_no_base_url_is_refused_for_the_right_reason() {
        for (text, fault) in [
            ("", UrlFault::NotAbsolute),
            ("chat.example.org", UrlFault::NotAbsolute),
            ("/v1", UrlFault::NotAbsolute),
            ("ftp://example.org", UrlFault::Scheme),
            ("https://user:pass@example.org", UrlFault::Credentials),
            ("https://example.org?key=1", UrlFault::Query),
            ("https://example.org/#x", UrlFault::Query),
            ("https://127.1/", UrlFault::Host),
            ("https://0x7f.0x1/", UrlFault::Host),
            ("https://a..b/", UrlFault::Host),
            ("https://-a.b/", UrlFault::Host),
            ("https://example.org:0/", UrlFault::Port),
            ("https://example.org:/", UrlFault::Port),
            ("https://example.org//v1", UrlFault::Path),
            ("https://example.org/a/../b", UrlFault::Path),
            ("https://example.org/%2e%2e/b", UrlFault::Path),
        ] {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn only_this_machine_counts_as_loopback() {
        let loopback = |text| BaseUrl::parse(text).expect("a base URL").is_loopback();
        for text in [
            "http://localhost",
            "http://a.localhost",
            "http://127.9.9.9",
            "http://[::1]",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(loopback(text), "{text}");
        }
        for text in [
            "http://0.0.0.0",
            "http://localhost.example.org",
            "http://10.0.0.1",
            "http://notlocalhost",
            "http://[::]",
        ] {
            assert!(!loopback(text), "{text}");
        }
    }

    #[test]
    fn plain_http_is_public_only_on_loopback() {
        let public = |text| PublicUrl::new(BaseUrl::parse(text).expect("a base URL"));
        assert!(public("http://127.0.0.1:8080").is_ok());
        assert!(public("https://chat.example.org").is_ok());
        assert_eq!(public("http://chat.example.org"), Err(PublicUrlFault::Plain));
        assert_eq!(public("https://chat.example.org/bot"), Err(PublicUrlFault::Path));
    }
}
