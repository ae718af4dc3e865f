//! The two cookies: a signed-in browser's session, and what ties a sign-in link to the browser that asked for it.
//!
//! Under https their names begin with `__Host-`: browsers then take them over https only, for this host alone and the
//! whole of it, so that neither another host of the same domain nor an eavesdropper can plant one (RFC 6265bis section
//! 4.1.3). On loopback without TLS, for trying out, names are plain and `Secure` is left away; `check` shows that.

use std::time::Duration;

use http::HeaderValue;
use portcullis_core::Secret;

/// How the cookies are called and what protects them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookies {
    /// Browsers reach this instance by https.
    Secure,
    /// They reach it on loopback without TLS.
    Plain,
}

impl Cookies {
    /// The name of the session's cookie.
    pub const fn session(self) -> &'static str {
        match self {
            Self::Secure => "__Host-portcullis-session",
            Self::Plain => "portcullis-session",
        }
    }

    /// The name of the cookie of a browser that asked for a link.
    pub const fn browser(self) -> &'static str {
        match self {
            Self::Secure => "__Host-portcullis-browser",
            Self::Plain => "portcullis-browser",
        }
    }

    /// Begins a session in a browser.
    pub(crate) fn begin_session(self, token: &Secret<String>, lasts: Duration) -> HeaderValue {
        self.set(self.session(), token.expose(), lasts)
    }

    /// Removes the session from the browser.
    pub(crate) fn end_session(self) -> HeaderValue {
        self.set(self.session(), "", Duration::ZERO)
    }

    /// Marks the browser that asked for a link.
    pub(crate) fn mark_browser(self, token: &Secret<String>, lasts: Duration) -> HeaderValue {
        self.set(self.browser(), token.expose(), lasts)
    }

    /// Removes that mark.
    pub(crate) fn unmark_browser(self) -> HeaderValue {
        self.set(self.browser(), "", Duration::ZERO)
    }

    /// `SameSite=Lax` and not `Strict`: a link in a mail must find the browser that asked for it.
    fn set(self, name: &str, value: &str, lasts: Duration) -> HeaderValue {
        let secure = match self {
            Self::Secure => "; Secure",
            Self::Plain => "",
        };
        let text =
            format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", lasts.as_secs());
        let mut header = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_core::Secret;

    use super::Cookies;

    #[test]
    fn a_cookie_is_for_this_host_alone_and_for_no_script() {
        let token = Secret::new("pcs_x".to_owned());
        let text = |cookies: Cookies| {
            cookies.begin_session(&token, Duration::from_secs(60)).to_str().expect("text").to_owned()
        };
        assert_eq!(
            text(Cookies::Secure),
            "__Host-portcullis-session=pcs_x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            text(Cookies::Plain),
            "portcullis-session=pcs_x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
        assert!(!format!("{:?}", Cookies::Secure.begin_session(&token, Duration::ZERO)).contains("pcs_x"));
    }
}
