//! The client's address, as far as trusted proxies tell it.
//!
//! `X-Forwarded-For` is believed only from a peer on the list, and only back to the first address that is not: what
//! stands further left was written by somebody who could write anything, and is not even looked at.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// Networks whose word about the client's address is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// The proxies in these networks.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whether the address is a trusted proxy's.
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address for a request that came from `peer`.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.holds(client) {
            return client;
        }
        let values: Vec<&[u8]> =
            headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes).collect();
        for hop in values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b',')) {
            // Something unreadable ends the chain: the last proxy that could be read is as far as is known.
            let Some(address) = address(hop) else { break };
            client = address.to_canonical();
            if !self.holds(client) {
                break;
            }
        }
        client
    }
}

/// The address that a proxy wrote: some write its port behind it, and an IPv6 address in brackets then.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.unwrap_or(text).parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::TrustedProxies;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let bytes: Vec<&[u8]> = forwarded.iter().map(|value| value.as_bytes()).collect();
        client_of(peer, &bytes)
    }

    fn client_of(peer: &str, forwarded: &[&[u8]]) -> String {
        let network = |text: &str| text.parse().expect("a network");
        let proxies = TrustedProxies::new([network("10.0.0.0/8"), network("::1/128")]);
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(value).expect("a header value"));
        }
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_its_own_address() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("::1", &["::ffff:198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn what_a_stranger_writes_in_front_does_not_hide_what_a_proxy_wrote_behind_it() {
        for stranger in [&b"\xff"[..], b"\xc3\xa4", b"\t", b"", b"unknown", b"\xff, 10.0.0.2", b"1.1.1.1:1"] {
            let line = [stranger, b", 198.51.100.7"].concat();
            assert_eq!(client_of("10.0.0.1", &[&line]), "198.51.100.7", "{stranger:?}");
            assert_eq!(client_of("10.0.0.1", &[stranger, b"198.51.100.7"]), "198.51.100.7", "{stranger:?}");
            // A proxy that writes a line of its own, behind one that nobody can read.
            assert_eq!(client_of("10.0.0.1", &[b"1.1.1.1", &line]), "198.51.100.7", "{stranger:?}");
        }
        assert_eq!(
            client_of("10.0.0.1", &[b"1.1.1.1", b"\xff"]),
            "10.0.0.1",
            "nobody who is trusted wrote 1.1.1.1"
        );
    }

    #[test]
    fn a_port_behind_an_address_is_not_part_of_it() {
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.7:51234"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["[2001:db8::7]:443, 10.0.0.2:80"]), "2001:db8::7");
        assert_eq!(client("10.0.0.1", &["[2001:db8::7]"]), "2001:db8::7");
        assert_eq!(client("10.0.0.1", &["2001:db8::7"]), "2001:db8::7");
        for wrong in ["198.51.100.7:", "198.51.100.7:x", "[198.51.100.7", "198.51.100.7]", "[2001:db8::7]443"]
        {
            assert_eq!(client("10.0.0.1", &[wrong]), "10.0.0.1", "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_chain() {
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["unknown, 10.0.0.9"]), "10.0.0.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.7, <script>"]), "10.0.0.1");
    }
}
