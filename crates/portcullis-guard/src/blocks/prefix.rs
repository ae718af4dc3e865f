//! Networks by prefix, IPv4 and IPv6 in one space.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// IPv4 addresses stand where RFC 4291 maps them.
const MAPPED: u128 = 0xffff_0000_0000;
const MAPPED_LENGTH: u8 = 96;
/// No network that somebody would block is wider than a legacy class A ...
const LEAST_V4: u8 = 8;
/// ... or than what a registry gives a provider (RFC 6177 and the registries' policies: /32 and longer), with room.
const LEAST_V6: u8 = 16;

/// Addresses that begin alike. A single address is a network of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    bits: u128,
    /// How many of them count: of IPv4 96 more than people write.
    length: u8,
}

/// Why a text is no network to block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPrefix {
    /// Neither an address nor CIDR notation.
    #[error("must be an address or a network in CIDR notation, such as `192.0.2.7` or `2001:db8::/48`")]
    Form,
    /// Bits are set outside the prefix.
    #[error("must have no bits set outside its prefix")]
    HostBits,
    /// It holds so many addresses that it is a mistake.
    #[error("must have a prefix of at least {LEAST_V4} bits for IPv4 and {LEAST_V6} for IPv6")]
    Wide,
}

impl Prefix {
    /// One address. IPv4 inside IPv6 counts as IPv4.
    pub fn of(address: IpAddr) -> Self {
        let bits = match address.to_canonical() {
            IpAddr::V4(v4) => MAPPED | u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        Self { bits, length: 128 }
    }

    /// The network of that address with a prefix of so many bits; bits outside of it are dropped.
    pub fn around(address: IpAddr, length: u8) -> Self {
        let one = Self::of(address);
        let before = if one.is_v4() && address.is_ipv4() { MAPPED_LENGTH } else { 0 };
        one.widened(before.saturating_add(length).min(128))
    }

    /// What counts as one client: an IPv4 address, or an IPv6 /64, since one customer holds at least that much.
    pub fn of_client(address: IpAddr) -> Self {
        let one = Self::of(address);
        if one.is_v4() || address.to_canonical().is_loopback() { one } else { one.widened(64) }
    }

    /// The clients near it that share what there is no room for: its /24, or its /48.
    pub fn neighbours(self) -> Self {
        self.widened(if self.is_v4() { MAPPED_LENGTH + 24 } else { 48 })
    }

    /// The first bits of it.
    pub(super) fn widened(self, length: u8) -> Self {
        let length = length.min(self.length);
        let rest = 128_u32.saturating_sub(u32::from(length));
        let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
        Self { bits: self.bits & mask, length }
    }

    /// Whether all of the other lies in it.
    pub fn holds(self, other: Self) -> bool {
        self.length <= other.length && other.widened(self.length) == self
    }

    /// Whether it and the other have addresses in common.
    pub fn meets(self, other: Self) -> bool {
        self.holds(other) || other.holds(self)
    }

    pub(super) const fn length(self) -> u8 {
        self.length
    }

    const fn is_v4(self) -> bool {
        self.length >= MAPPED_LENGTH && self.bits >> 32 == MAPPED >> 32
    }
}

impl FromStr for Prefix {
    type Err = MalformedPrefix;

    fn from_str(text: &str) -> Result<Self, MalformedPrefix> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| MalformedPrefix::Form)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            // `+8` and `08` are numbers to the parser and nobody's notation.
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0') => {
                digits.parse().ok().filter(|length| *length <= most).ok_or(MalformedPrefix::Form)?
            }
            Some("0") => return Err(MalformedPrefix::Wide),
            Some(_) => return Err(MalformedPrefix::Form),
            None => most,
        };
        if length < if address.is_ipv4() { LEAST_V4 } else { LEAST_V6 } {
            return Err(MalformedPrefix::Wide);
        }
        let prefix = Self::around(address, length);
        if prefix.bits != Self::of(address).bits {
            return Err(MalformedPrefix::HostBits);
        }
        // `::ffff:0:0/96` and what is wider hold all of IPv4 without saying so.
        if address.is_ipv6() && prefix.holds(Self { bits: MAPPED, length: MAPPED_LENGTH }) {
            return Err(MalformedPrefix::Wide);
        }
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, length, most): (IpAddr, _, _) = if self.is_v4() {
            let low = u32::try_from(self.bits & u128::from(u32::MAX)).unwrap_or(0);
            (Ipv4Addr::from_bits(low).into(), self.length - MAPPED_LENGTH, 32)
        } else {
            (Ipv6Addr::from_bits(self.bits).into(), self.length, 128)
        };
        if length == most { write!(f, "{address}") } else { write!(f, "{address}/{length}") }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{MalformedPrefix, Prefix};

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["192.0.2.7", "192.0.2.0/24", "10.0.0.0/8", "2001:db8::1", "2001:db8::/48", "::1"] {
            assert_eq!(prefix(text).to_string(), text);
            let json = serde_json::to_string(&prefix(text)).expect("JSON");
            assert_eq!(serde_json::from_str::<Prefix>(&json).expect("it reads"), prefix(text));
        }
        assert_eq!(prefix("192.0.2.7/32").to_string(), "192.0.2.7");
        assert_eq!(prefix("::ffff:192.0.2.7"), prefix("192.0.2.7"));
    }

    #[test]
    fn a_text_that_is_none_or_would_block_everybody_is_refused() {
        for text in
            ["", "localhost", "192.0.2.0/33", "192.0.2.0/+24", "192.0.2.0/024", "1.2.3", "::/129", "a/8"]
        {
            assert_eq!(text.parse::<Prefix>(), Err(MalformedPrefix::Form), "{text}");
        }
        for text in ["0.0.0.0/0", "128.0.0.0/1", "::/0", "8000::/1", "2001::/15", "::ffff:0:0/96"] {
            assert_eq!(text.parse::<Prefix>(), Err(MalformedPrefix::Wide), "{text}");
        }
        assert_eq!("192.0.2.1/24".parse::<Prefix>(), Err(MalformedPrefix::HostBits));
        assert_eq!("2001:db8::1/48".parse::<Prefix>(), Err(MalformedPrefix::HostBits));
    }

    #[test]
    fn a_network_holds_its_addresses_and_families_do_not_meet() {
        let net = prefix("192.0.2.0/24");
        assert!(net.holds(Prefix::of(address("192.0.2.7"))));
        assert!(net.holds(Prefix::of(address("::ffff:192.0.2.7"))));
        assert!(!net.holds(Prefix::of(address("192.0.3.7"))));
        assert!(!net.holds(prefix("192.0.0.0/16")) && net.meets(prefix("192.0.0.0/16")));
        assert!(!prefix("2001:db8::/48").meets(net));
    }

    #[test]
    fn an_ipv6_customer_is_one_client_and_an_ipv4_address_is_its_own() {
        let client = |text| Prefix::of_client(address(text));
        assert_eq!(client("2001:db8:0:1::1"), client("2001:db8:0:1:ffff::2"));
        assert_ne!(client("2001:db8:0:1::1"), client("2001:db8:0:2::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("::1").to_string(), "::1");
        assert_eq!(client("2001:db8:0:1::1").neighbours(), client("2001:db8:0:2::1").neighbours());
        assert_eq!(client("192.0.2.1").neighbours().to_string(), "192.0.2.0/24");
    }
}
