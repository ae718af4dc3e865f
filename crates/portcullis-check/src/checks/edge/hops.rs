//! Where a redirect leads, and whether a chain of them forces HTTPS.

/// Most redirects until HTTPS (control EDGE-01).
pub(super) const MOST_HOPS: usize = 2;

/// A place that a redirect may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) secure: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query.
    pub(super) path: String,
}

impl Spot {
    /// Where `location` leads from here (RFC 3986, as far as redirects use it).
    ///
    /// # Errors
    /// When it is no place that HTTP can lead to.
    pub(super) fn follow(&self, location: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{}`, which is no place to go", location.chars().take(120).collect::<String>());
        // Browsers read a backslash as a slash, and skip spaces and control characters.
        let odd = |c: char| c == '\\' || c.is_whitespace() || c.is_control();
        if location.is_empty() || location.contains(odd) {
            return Err(wrong());
        }
        let location = location.split('#').next().unwrap_or(location);
        let (secure, rest) = if let Some((scheme, rest)) =
            location.split_once("://").filter(|(scheme, _)| is_scheme(scheme))
        {
            let secure = match scheme.to_ascii_lowercase().as_str() {
                "https" => true,
                "http" => false,
                _ => return Err(wrong()),
            };
            (secure, rest)
        } else if let Some(rest) = location.strip_prefix("//") {
            (self.secure, rest)
        } else if location.starts_with('/') {
            return Ok(Self { path: location.to_owned(), ..self.clone() });
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let path = if location.starts_with('?') {
                format!("{path}{location}")
            } else {
                format!("{folder}/{location}")
            };
            return Ok(Self { path, ..self.clone() });
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(wrong());
        }
        let usual = if secure { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (authority, usual),
        };
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_lowercase();
        if host.is_empty() {
            return Err(wrong());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { secure, host, port, path })
    }

    /// For messages.
    pub(super) fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::Spot;

    #[test]
    fn a_location_is_read_as_browsers_read_it_or_refused() {
        let here =
            Spot { secure: false, host: "bot.example".to_owned(), port: 8080, path: "/a/b?q=1".to_owned() };
        let leads = |location: &str| here.follow(location).map(|spot| spot.url());
        for (location, wanted) in [
            ("https://bot.example/x", "https://bot.example:443/x"),
            ("HTTPS://BOT.example.", "https://bot.example:443/"),
            ("https://bot.example:8443?q#f", "https://bot.example:8443/?q"),
            ("//other.example/x", "http://other.example:80/x"),
            ("/x", "http://bot.example:8080/x"),
            ("x", "http://bot.example:8080/a/x"),
            ("?p", "http://bot.example:8080/a/b?p"),
            ("https://[::1]:9/", "https://::1:9/"),
            ("https://bot.example.evil.example/", "https://bot.example.evil.example:443/"),
        ] {
            assert_eq!(leads(location).as_deref(), Ok(wanted), "{location}");
        }
        for location in [
            "",
            "https://bot.example@evil.example/",
            "https:\\\\bot.example/",
            "https://bot.example\\@evil.example/",
            "ftp://bot.example/",
            "https:///x",
            "https://bot.example:port/",
            "/\u{9}/evil.example",
        ] {
            assert!(leads(location).is_err(), "{location}");
        }
    }
}
