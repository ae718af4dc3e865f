//! Where the target meets the network: hosts, what stands behind them, other listeners, certificates in files.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Target;

/// What a listener speaks before TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TLS from the first byte: HTTPS, Redis, Qdrant, Vault, Bolt and most others.
    Tls,
    /// PostgreSQL: the client asks for TLS with an `SSLRequest`.
    Postgres,
    /// Mail: the client asks for TLS with `STARTTLS` (RFC 3207).
    SmtpStartTls,
}

impl Protocol {
    /// All, with the words of the target file.
    pub const WORDS: [(&'static str, Self); 3] =
        [("tls", Self::Tls), ("postgres", Self::Postgres), ("smtp-starttls", Self::SmtpStartTls)];

    /// The word of the target file.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, protocol)| *protocol == self).map_or("tls", |(word, _)| word)
    }
}

/// A host and a port; the host is a name or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The host, without the brackets of an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Place {
    /// Reads `host:port`; an IPv6 address stands in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let plain = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|inner| inner.parse::<IpAddr>().is_ok())?,
            None => host,
        };
        is_host(plain).then(|| Self { host: plain.to_owned(), port })
    }
}

/// Whether it can be the name or the address of a host.
pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.parse::<IpAddr>().is_ok() || text.len() <= 253 && text.split('.').all(is_label)
}

/// Another listener of the deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it is.
    pub place: Place,
    /// What it speaks before TLS.
    pub protocol: Protocol,
}

/// Certificates in PEM, and where they came from.
#[derive(Debug, Clone)]
pub struct CertificateFile {
    /// `file:certs/bot.pem`: what reports name.
    pub origin: String,
    /// Its text.
    pub pem: String,
}

/// Where the target meets the network.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    /// The hosts that people and clients use, beside that of the base URL.
    pub hosts: Vec<String>,
    /// The port of plain HTTP; 80 when none is named.
    pub http_port: Option<u16>,
    /// The port of HTTPS; the base URL's or 443 when none is named.
    pub https_port: Option<u16>,
    /// Servers behind a content delivery network or a balancer, which answer for the same hosts.
    pub origins: Vec<Place>,
    /// Databases, caches, mail: everything else that listens.
    pub listeners: Vec<Listener>,
    /// Certificates that are not served here but will be.
    pub certificates: Vec<CertificateFile>,
    /// Roots that are trusted beside the public ones.
    pub ca: Option<CertificateFile>,
    /// Addresses of hosts, instead of what the resolver says.
    pub resolve: BTreeMap<String, Vec<IpAddr>>,
    /// Who answers for it that nothing is missing from the lists above.
    pub complete_by: Option<String>,
}

impl Target {
    /// The hosts to look at: those that are named, and the base URL's own unless it is on loopback and others are named.
    pub fn edge_hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = self.edge.iter().flat_map(|edge| edge.hosts.clone()).collect();
        let base = self.base_url.host().unwrap_or_default().trim_matches(['[', ']']).to_lowercase();
        if hosts.is_empty() || !self.is_on_loopback() {
            hosts.push(base);
        }
        hosts = hosts.into_iter().map(|host| host.to_lowercase()).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// The port of plain HTTP. A base URL that is plain HTTP on a public host is itself what must be redirected.
    pub fn http_port(&self) -> u16 {
        let named = self.edge.as_ref().and_then(|edge| edge.http_port);
        let is_plain = self.base_url.scheme_str() == Some("http") && !self.is_on_loopback();
        named.or_else(|| self.base_url.port_u16().filter(|_| is_plain)).unwrap_or(80)
    }

    /// The port of HTTPS.
    pub fn https_port(&self) -> u16 {
        let named = self.edge.as_ref().and_then(|edge| edge.https_port);
        let is_tls = self.base_url.scheme_str() == Some("https");
        named.or_else(|| self.base_url.port_u16().filter(|_| is_tls)).unwrap_or(443)
    }

    /// Whether nothing is known of it but a plain address on this machine, where no TLS can be looked at.
    pub fn is_plain_on_loopback(&self) -> bool {
        self.edge.is_none() && self.is_on_loopback() && self.base_url.scheme_str() == Some("http")
    }
}

#[cfg(test)]
mod tests {
    use super::{Edge, Place};
    use crate::target::Target;

    #[test]
    fn a_place_is_a_host_and_a_port() {
        for (text, host, port) in [
            ("db.example.org:5432", "db.example.org", 5432),
            ("[::1]:6380", "::1", 6380),
            ("10.0.0.7:1", "10.0.0.7", 1),
        ] {
            assert_eq!(Place::parse(text), Some(Place { host: host.to_owned(), port }));
        }
        for text in
            ["db.example.org", "db:0", "db:99999", ":5432", "https://a:1", "a b:1", "[db]:1", "a..b:1"]
        {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_public_base_url_is_looked_at_whatever_other_hosts_are_named() {
        let named = |url: &str| {
            let mut target = Target::new("t", url).unwrap();
            target.edge = Some(Edge { hosts: vec!["Api.example.org".to_owned()], ..Edge::default() });
            target
        };
        let public = named("http://bot.example.org:8080");
        assert_eq!(public.edge_hosts(), ["api.example.org", "bot.example.org"]);
        assert_eq!((public.http_port(), public.https_port()), (8080, 443));
        let local = named("http://127.0.0.1:8088");
        assert_eq!(local.edge_hosts(), ["api.example.org"]);
        assert_eq!((local.http_port(), local.https_port()), (80, 443));
        assert!(Target::new("t", "http://127.0.0.1:8088").unwrap().is_plain_on_loopback());
        assert_eq!(named("https://bot.example.org:8443").https_port(), 8443);
    }
}
