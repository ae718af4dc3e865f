//! Which addresses may be connected to.
//!
//! The list follows the IANA special-purpose address registries (RFC 6890 and its updates), read strictly: an address is
//! public only when nothing says otherwise. An IPv6 address that carries an IPv4 address is as public as what it carries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::error::{Error, Kind};

/// Which addresses a client may connect to. There is no default: each user of the client states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Any address. For destinations that an operator wrote into the configuration or on the command line.
    Any,
    /// Public unicast addresses only. For destinations that come from anybody else.
    ///
    /// A name with even one address that is not public is refused altogether: such an answer is either a mistake or
    /// an attack, and neither deserves a connection.
    Public,
}

/// An address that the policy allows. Only [`AddressPolicy::vet`] makes one, and dialling takes nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vetted(SocketAddr);

impl Vetted {
    pub(crate) const fn address(self) -> SocketAddr {
        self.0
    }
}

impl AddressPolicy {
    /// Whether the policy allows connecting to the address.
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Public => is_public(address),
        }
    }

    /// Judges every address that a look-up gave. `also` are networks that may be connected to beside what the policy
    /// allows; an IPv4 address in IPv6 is judged as the IPv4 address that it is.
    pub(crate) fn vet(
        self,
        also: &[IpNet],
        target: &str,
        addresses: Vec<SocketAddr>,
    ) -> Result<Vec<Vetted>, Error> {
        let listed = |address: IpAddr| also.iter().any(|network| network.contains(&address.to_canonical()));
        match addresses.iter().find(|address| !self.allows(address.ip()) && !listed(address.ip())) {
            Some(refused) => Err(Error::new(Kind::AddressRefused, target)
                .detail(format!("{} is not a public address", refused.ip()))),
            None => Ok(addresses.into_iter().map(Vetted).collect()),
        }
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)        // this network, private, loopback
            | (100, 64..=127, _)    // carrier-grade NAT
            | (169, 254, _)         // link-local, where clouds serve their metadata
            | (172, 16..=31, _)     // private
            | (192, 0, 0 | 2)       // protocol assignments, documentation
            | (192, 88, 99)         // 6to4 relays, retired
            | (192, 168, _)         // private
            | (198, 18 | 19, _)     // benchmarking
            | (198, 51, 100)        // documentation
            | (203, 0, 113)         // documentation
            | (224..=255, _, _) // multicast, reserved, broadcast
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = address.segments();
    let [a, b] = s6.to_be_bytes();
    let [c, d] = s7.to_be_bytes();
    let last = Ipv4Addr::new(a, b, c, d);
    match (s0, s1) {
        (0, 0) if (s2, s3, s4, s5) == (0, 0, 0, 0xffff) => is_public_v4(last), // IPv4-mapped
        (0x64, 0xff9b) if (s2, s3, s4, s5) == (0, 0, 0, 0) => is_public_v4(last), // NAT64
        (0x2001, 0..=0x1ff) => false, // protocol assignments: Teredo, benchmarking, ORCHID
        (0x2001, 0xdb8) | (0x3fff, 0..=0xfff) => false, // documentation
        (0x2002, _) => {
            // 6to4
            let [a, b] = s1.to_be_bytes();
            let [c, d] = s2.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // ISATAP carries an IPv4 address in the interface part.
        (0x2000..=0x3fff, _) if matches!(s4, 0 | 0x200) && s5 == 0x5efe => is_public_v4(last),
        // The only range that global unicast addresses are given from. What lies outside it (unspecified, loopback,
        // IPv4-compatible, local-use NAT64, unique local, link-local, multicast) is not public.
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use proptest::prelude::*;

    use super::{AddressPolicy, is_public};
    use crate::error::Kind;

    #[test]
    fn every_special_address_is_refused_and_its_public_neighbour_is_not() {
        let special = "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.8.8.8 \
            169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170 192.0.2.1 192.88.99.1 \
            192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 \
            255.255.255.255 :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 \
            ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.1.1.1 64:ff9b:1::8.8.8.8 100::1 \
            2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 3fff::1 \
            2002:7f00:1::1 2002:a00:1::1 2002:c0a8:101::1 2a00:1450::5efe:10.0.0.1 2a00:1450::200:5efe:127.0.0.1 \
            fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1 5f00::1 4000::1";
        for text in special.split_ascii_whitespace() {
            assert!(!is_public(text.parse().unwrap()), "{text} is not public");
        }
        let public = "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.0.0.1 128.0.0.1 \
            169.253.0.1 172.15.0.1 172.32.0.1 192.0.1.1 192.167.0.1 198.17.0.1 198.20.0.1 223.255.255.255 \
            ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2001:4860:4860::8888 2606:4700::1111 2a00:1450:4001::1 2002:808:808::1";
        for text in public.split_ascii_whitespace() {
            assert!(is_public(text.parse().unwrap()), "{text} is public");
        }
    }

    #[test]
    fn one_private_address_among_public_ones_refuses_the_name() {
        let addresses: Vec<SocketAddr> =
            vec!["8.8.8.8:443".parse().unwrap(), "10.0.0.7:443".parse().unwrap()];
        let refused = AddressPolicy::Public.vet(&[], "mixed.example:443", addresses.clone()).unwrap_err();
        assert_eq!(refused.kind(), Kind::AddressRefused);
        assert_eq!(AddressPolicy::Any.vet(&[], "mixed.example:443", addresses).unwrap().len(), 2);
    }

    #[test]
    fn a_listed_network_opens_itself_and_nothing_beside_it() {
        let listed = ["10.1.2.0/24".parse().unwrap()];
        let vet = |address: &str| {
            let address = SocketAddr::new(address.parse().unwrap(), 443);
            AddressPolicy::Public.vet(&listed, "tool.example:443", vec![address]).is_ok()
        };
        for allowed in ["10.1.2.3", "::ffff:10.1.2.3", "8.8.8.8"] {
            assert!(vet(allowed), "{allowed}");
        }
        for refused in
            ["10.1.3.3", "127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.1.3.3", "64:ff9b::10.1.2.3", "::1"]
        {
            assert!(!vet(refused), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn wrapping_an_address_in_ipv6_never_makes_it_public(octets: [u8; 4]) {
            let v4 = std::net::Ipv4Addr::from(octets);
            let [a, b, c, d] = octets;
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for wrapped in [
                v4.to_ipv6_mapped(),
                v4.to_ipv6_compatible(),
                [0x64, 0xff9b, 0, 0, 0, 0, high, low].into(),
                [0x2002, high, low, 0, 0, 0, 0, 1].into(),
                [0x2001, 0, high, low, 0, 0, !high, !low].into(),
            ] {
                prop_assert!(!is_public(IpAddr::V6(wrapped)) || is_public(IpAddr::V4(v4)), "{} wraps {}", wrapped, v4);
            }
        }
    }
}
