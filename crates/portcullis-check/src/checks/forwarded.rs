//! Requests from addresses that nobody here has, where the target takes the checker for a proxy that it trusts.
//!
//! This machine has one IPv6 address at most, and a network of them cannot be tried from it. What a target does with an address
//! that its proxy reports is what it does with that of a connection.

use std::net::{Ipv6Addr, UdpSocket};

use crate::outcome::Inconclusive;
use crate::probe::Call;
use crate::target::{Forwarded, Identity, Route, Target};

/// A network that no one has (RFC 3849), as large as what one customer gets.
pub(super) const NETWORK: &str = "2001:db8:70:9::/64";
/// The one next to it.
pub(super) const NEXT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x70, 0xa, 0, 0, 0, 1);
/// An address far away from both (RFC 9637).
pub(super) const ELSEWHERE: Ipv6Addr = Ipv6Addr::new(0x3fff, 0, 0x70, 9, 0, 0, 0, 1);
/// Headers by which a client may claim to be at another address, and what stands before the address there.
pub(super) const CLAIMS: [(&str, &str); 6] = [
    ("X-Forwarded-For", ""),
    ("X-Real-IP", ""),
    ("Forwarded", "for="),
    ("X-Client-IP", ""),
    ("CF-Connecting-IP", ""),
    ("True-Client-IP", ""),
];
/// Odd, so that numbers one after the other differ in every part of an address.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// An address of [`NETWORK`], another one for each number.
pub(super) fn within(number: u64) -> Ipv6Addr {
    let network = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0x70, 9, 0, 0, 0, 0));
    // The first of a network is nobody's.
    Ipv6Addr::from(network | u128::from(number.wrapping_add(1).wrapping_mul(SPREAD)))
}

/// The same address with every zero, in capitals.
pub(super) fn in_full(address: Ipv6Addr) -> String {
    address.segments().map(|segment| format!("{segment:04X}")).join(":")
}

/// A way in on which addresses are believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind<'t> {
    target: &'t Target,
    pub(super) forwarded: &'t Forwarded,
}

impl<'t> Behind<'t> {
    /// The way in, or why there is none.
    pub(super) fn of(target: &'t Target) -> Result<Self, String> {
        let forwarded = target
            .forwarded
            .as_deref()
            .ok_or("target.toml has no [forwarded], and this machine has no network of its own")?;
        match forwarded.from {
            Some(from) if UdpSocket::bind((from, 0)).is_err() => {
                Err(format!("`{from}` of [forwarded] is no address of this machine"))
            }
            _ => Ok(Self { target, forwarded }),
        }
    }

    /// A request by somebody, as if it came from what stands in the header.
    pub(super) fn call(&self, route: &Route, asker: &Identity, claimed: &str) -> Result<Call, Inconclusive> {
        let call = Call::by(self.target, route, asker)?.from(self.forwarded.from);
        let call = call.header(&self.forwarded.header, claimed)?;
        Ok(match &self.forwarded.at {
            Some(at) => call.at(at),
            None => call,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv6Addr;

    use super::{ELSEWHERE, NETWORK, NEXT, in_full, within};

    #[test]
    fn addresses_are_of_one_network_and_differ_in_every_part() {
        let all: Vec<Ipv6Addr> = (0..500).map(within).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        let (first, bits) = NETWORK.split_once('/').unwrap();
        assert_eq!(bits, "64");
        let of = |address: &Ipv6Addr| address.segments()[..4].to_vec();
        let network = of(&first.parse().unwrap());
        assert!(all.iter().all(|address| of(address) == network));
        assert!([NEXT, ELSEWHERE].iter().all(|address| of(address) != network));
        let parts: BTreeSet<u16> = all.iter().map(|address| address.segments()[4]).collect();
        assert!(parts.len() > 400, "{}", parts.len());
    }

    #[test]
    fn an_address_in_full_is_the_same_one() {
        let text = in_full(within(0));
        assert_eq!(text.len(), 39);
        assert_eq!(text.parse::<Ipv6Addr>().unwrap(), within(0));
    }
}
