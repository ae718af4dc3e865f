//! Networks in CIDR notation.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// A network, such as `10.0.0.0/8`. A single address is a network of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

/// Why a text is no network to trust, as the words that follow the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CidrFault {
    /// Not CIDR notation.
    #[error("must be networks in CIDR notation, such as `10.0.0.0/8`")]
    Form,
    /// Bits are set outside the prefix.
    #[error("must have no bits set outside its prefix: the network is `{0}`")]
    HostBits(IpNet),
    /// It holds so much of the address space that it trusts strangers.
    #[error("must have a prefix of at least {0} bits: a wider network is everybody")]
    Wide(u8),
    /// IPv4 written inside IPv6.
    #[error("must be written as IPv4 where IPv4 is meant")]
    Mapped,
}

/// No network that somebody runs is wider than a legacy class A...
const LEAST_PREFIX_V4: u8 = 8;
/// ... or than `fc00::/7`, the unique local addresses (RFC 4193).
const LEAST_PREFIX_V6: u8 = 7;

impl Cidr {
    /// Parses a network or a single address.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, CidrFault> {
        let net = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| CidrFault::Form)?,
        };
        if let IpNet::V6(v6) = net
            && v6.addr().to_ipv4_mapped().is_some()
        {
            return Err(CidrFault::Mapped);
        }
        let least = if matches!(net, IpNet::V4(_)) { LEAST_PREFIX_V4 } else { LEAST_PREFIX_V6 };
        if net.prefix_len() < least {
            return Err(CidrFault::Wide(least));
        }
        if net.trunc() != net {
            return Err(CidrFault::HostBits(net.trunc()));
        }
        Ok(Self(net))
    }

    /// The network.
    pub const fn network(&self) -> IpNet {
        self.0
    }

    /// Whether the address is in the network. IPv4 inside IPv6 counts as IPv4, which is how a dual-stack listener
    /// reports its peers.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl Cidr {
    /// Whether the two have addresses in common.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.contains(&other.0) || other.0.contains(&self.0)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Cidr, CidrFault};

    #[test]
    fn a_network_holds_its_addresses_in_either_form() {
        let net = Cidr::parse("10.1.0.0/16").expect("a network");
        assert!(net.contains("10.1.2.3".parse().unwrap()));
        assert!(net.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!net.contains("10.2.0.1".parse().unwrap()));
        let one = Cidr::parse("2001:db8::1").expect("an address");
        assert!(one.contains("2001:db8::1".parse().unwrap()));
        assert!(!one.contains("2001:db8::2".parse().unwrap()));
    }

    #[test]
    fn a_network_that_is_none_or_trusts_everyone_is_refused() {
        assert_eq!(Cidr::parse("localhost"), Err(CidrFault::Form));
        assert_eq!(Cidr::parse("10.0.0.0/33"), Err(CidrFault::Form));
        assert_eq!(Cidr::parse("0.0.0.0/0"), Err(CidrFault::Wide(8)));
        assert_eq!(Cidr::parse("128.0.0.0/1"), Err(CidrFault::Wide(8)));
        assert_eq!(Cidr::parse("::/0"), Err(CidrFault::Wide(7)));
        assert_eq!(Cidr::parse("::ffff:0.0.0.0/96"), Err(CidrFault::Mapped));
        assert_eq!(Cidr::parse("10.0.0.1/8"), Err(CidrFault::HostBits("10.0.0.0/8".parse().unwrap())));
    }
}
