//! What is counted, and what counts for many when memory is short.

use std::net::IpAddr;

use portcullis_core::{Actor, CommunityId, KeyId, SessionId};

/// What a counter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Requests of all members and keys of a community.
    Community(CommunityId),
    /// Requests of a member of a community, or of a key that acts for none.
    Actor(CommunityId, Actor),
    /// Requests of one signed-in browser.
    Session(CommunityId, SessionId),
    /// Requests by one API key.
    Key(CommunityId, KeyId),
    /// Requests from an address.
    Address(Network),
    /// Refused credentials from an address.
    Refused(Network),
    /// Sign-in links that an address asked for.
    Asking(Network),
    /// Sign-in links that an address asked for a mailbox of a community, by what stands for it.
    AskingFor(CommunityId, u128, Network),
    /// Sign-in links for a mailbox of a community, whoever asked.
    Mailed(CommunityId, u128),
    /// Tokens that a model uses for a member of a community, or for a key that acts for none.
    ActorTokens(CommunityId, Actor),
    /// Tokens that a model uses for all members and keys of a community.
    CommunityTokens(CommunityId),
    /// Calls of a tool for a member of a community, or for a key that acts for none, by what stands for both.
    ActorTool(CommunityId, u128),
    /// Calls of a tool for all members and keys of a community, by what stands for the tool.
    CommunityTool(CommunityId, u128),
    /// What a model costs for a member of a community, or for a key that acts for none, in millionths of a currency's unit.
    ActorCost(CommunityId, Actor),
    /// What a model costs for all members and keys of a community, in the same.
    CommunityCost(CommunityId),
    /// Everything of a kind that found no room for a counter of its own, and shares this one.
    Shared(Kind, Share),
}

/// Kinds of subjects, as far as they share counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Subject::Community`].
    Community,
    /// [`Subject::Actor`].
    Actor,
    /// [`Subject::Session`] and [`Subject::Key`].
    Credential,
    /// [`Subject::Address`].
    Address,
    /// [`Subject::Refused`].
    Refused,
    /// [`Subject::Asking`].
    Asking,
    /// [`Subject::AskingFor`].
    AskingFor,
    /// [`Subject::Mailed`].
    Mailed,
    /// [`Subject::ActorTokens`].
    ActorTokens,
    /// [`Subject::CommunityTokens`].
    CommunityTokens,
    /// [`Subject::ActorTool`].
    ActorTool,
    /// [`Subject::CommunityTool`].
    CommunityTool,
    /// [`Subject::ActorCost`].
    ActorCost,
    /// [`Subject::CommunityCost`].
    CommunityCost,
}

impl Kind {
    pub(crate) const ALL: [Self; 14] = [
        Self::Community,
        Self::Actor,
        Self::Credential,
        Self::Address,
        Self::Refused,
        Self::Asking,
        Self::AskingFor,
        Self::Mailed,
        Self::ActorTokens,
        Self::CommunityTokens,
        Self::ActorTool,
        Self::CommunityTool,
        Self::ActorCost,
        Self::CommunityCost,
    ];

    /// How a snapshot names it.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Community => 0,
            Self::Actor => 1,
            Self::Credential => 2,
            Self::Address => 3,
            Self::Refused => 4,
            Self::Asking => 5,
            Self::AskingFor => 6,
            Self::Mailed => 7,
            Self::ActorTokens => 8,
            Self::CommunityTokens => 9,
            Self::ActorTool => 10,
            Self::CommunityTool => 11,
            Self::ActorCost => 12,
            Self::CommunityCost => 13,
        }
    }
}

/// Who shares a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Share {
    /// Everybody in a community.
    Of(CommunityId),
    /// Everybody in a network: its first address and the length of its prefix.
    In(Network, u8),
    /// Everybody.
    All,
}

/// An address as limits count it: IPv4 whole, IPv6 by its /64, since one customer holds at least that much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(u128);

/// IPv4 addresses stand where RFC 4291 maps them; no IPv6 network of a client is there.
const MAPPED: u128 = 0xffff_0000_0000;

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(MAPPED | u128::from(v4.to_bits())),
            // Its /64 is that of the mapped addresses.
            IpAddr::V6(v6) if v6.is_loopback() => Self(1),
            IpAddr::V6(v6) => Self(v6.to_bits() & !u128::from(u64::MAX)),
        }
    }
}

impl Network {
    /// The network of so many bits, fewer than 64, that an IPv6 address of a customer lies in: where a limit is to hold for
    /// all that one of them may have. It is no /64, also where both begin with the same address.
    pub fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                Some(Self((v6.to_bits() & mask(prefix.min(63))) | u128::from(prefix)))
            }
            _ => None,
        }
    }

    pub(crate) const fn bits(self) -> u128 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    const fn is_v4(self) -> bool {
        self.0 >> 32 == MAPPED >> 32
    }

    /// The networks that it lies in and shares a counter with, narrowest first: /24 and /16, or /48 and /32.
    fn wider(self) -> [Share; 2] {
        let prefixes: [u8; 2] = if self.is_v4() { [96 + 24, 96 + 16] } else { [48, 32] };
        prefixes.map(|prefix| Share::In(Self(self.0 & mask(prefix)), prefix))
    }
}

/// The first so many bits of an address.
fn mask(prefix: u8) -> u128 {
    let rest = 128_u32.saturating_sub(u32::from(prefix));
    u128::MAX.checked_shl(rest).unwrap_or(0)
}

impl Subject {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Community(_) => Kind::Community,
            Self::Actor(..) => Kind::Actor,
            Self::Session(..) | Self::Key(..) => Kind::Credential,
            Self::Address(_) => Kind::Address,
            Self::Refused(_) => Kind::Refused,
            Self::Asking(_) => Kind::Asking,
            Self::AskingFor(..) => Kind::AskingFor,
            Self::Mailed(..) => Kind::Mailed,
            Self::ActorTokens(..) => Kind::ActorTokens,
            Self::CommunityTokens(_) => Kind::CommunityTokens,
            Self::ActorTool(..) => Kind::ActorTool,
            Self::CommunityTool(..) => Kind::CommunityTool,
            Self::ActorCost(..) => Kind::ActorCost,
            Self::CommunityCost(_) => Kind::CommunityCost,
            Self::Shared(kind, _) => *kind,
        }
    }

    /// The counters that it shares when there is no room for its own, narrowest first. The last is there for everybody.
    pub(crate) fn shares(&self) -> impl Iterator<Item = Self> + use<> {
        let kind = self.kind();
        let narrower = match self {
            Self::Actor(community, _) | Self::Session(community, _) | Self::Key(community, _) => {
                [Some(Share::Of(*community)), None]
            }
            Self::Mailed(community, _)
            | Self::ActorTokens(community, _)
            | Self::ActorCost(community, _)
            | Self::ActorTool(community, _)
            | Self::CommunityTool(community, _) => [Some(Share::Of(*community)), None],
            Self::Address(network)
            | Self::Refused(network)
            | Self::Asking(network)
            | Self::AskingFor(_, _, network) => network.wider().map(Some),
            // Where its members look next.
            Self::Shared(_, Share::In(network, prefix)) => network
                .wider()
                .map(|share| matches!(share, Share::In(_, wider) if wider < *prefix).then_some(share)),
            Self::Community(_) | Self::CommunityTokens(_) | Self::CommunityCost(_) | Self::Shared(..) => {
                [None, None]
            }
        };
        narrower.into_iter().flatten().chain([Share::All]).map(move |share| Self::Shared(kind, share))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Kind, Network, Share, Subject};

    fn network(text: &str) -> Network {
        Network::from(text.parse::<IpAddr>().expect("an address"))
    }

    #[test]
    fn an_ipv6_customer_is_one_network_and_ipv4_is_counted_whole() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1:2:3"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"), "one client, one counter");
        assert_ne!(network("::1"), network("127.0.0.1"));
        assert_ne!(network("::1"), network("0.0.0.1"));
    }

    #[test]
    fn all_that_a_customer_may_hold_is_one_network_where_that_is_wanted() {
        let around = |text: &str, prefix| Network::around(text.parse().expect("an address"), prefix);
        assert_eq!(around("2001:db8:0:100::1", 56), around("2001:db8:0:1ff:1::9", 56));
        assert_ne!(around("2001:db8:0:100::1", 56), around("2001:db8:0:200::1", 56));
        assert_eq!(around("2001:db8:0:100::1", 48), around("2001:db8:0:200::1", 48));
        assert_ne!(around("2001:db8:0:100::1", 48), around("2001:db8:1:100::1", 48));
        // They begin with the same address, and are three networks.
        let first = "2001:db8::1";
        assert_ne!(around(first, 48), around(first, 56));
        assert_ne!(around(first, 56), Some(network(first)));
        for whole in ["192.0.2.1", "::ffff:192.0.2.1", "::1"] {
            assert_eq!(around(whole, 48), None, "{whole}");
        }
    }

    #[test]
    fn neighbours_share_and_families_do_not_meet() {
        let shares = |text| Subject::Address(network(text)).shares().collect::<Vec<_>>();
        let [one, two] = ["192.0.2.1", "192.0.2.200"].map(shares);
        assert_eq!(one, two);
        assert_eq!(one.len(), 3);
        let other = shares("192.0.3.1");
        assert_ne!(one.first(), other.first());
        assert_eq!(one.get(1), other.get(1));
        assert_eq!(one.last(), Some(&Subject::Shared(Kind::Address, Share::All)));
        let six = shares("2001:db8:1:2::9");
        assert_eq!(six.first(), shares("2001:db8:1:ffff::1").first());
        assert_ne!(six.first(), shares("2001:db8:2::1").first());
        assert!(six.iter().take(2).all(|share| !one.contains(share)));
    }
}
