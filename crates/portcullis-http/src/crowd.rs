//! How many connections each address has open: one that could take all of them would keep everybody else out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts connections by address.
#[derive(Debug)]
pub(crate) struct Crowd {
    most: usize,
    seated: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place among those of its address, free again when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    network: IpAddr,
}

impl Crowd {
    /// So many connections for each address.
    pub(crate) fn of(most: usize) -> Arc<Self> {
        Arc::new(Self { most, seated: Mutex::default() })
    }

    /// A place for one more connection of that address, unless it has them all.
    pub(crate) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let network = network(address);
        let mut seated = self.seated.lock();
        let taken = seated.entry(network).or_default();
        if *taken >= self.most {
            return None;
        }
        *taken += 1;
        Some(Seat { crowd: Arc::clone(self), network })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seated = self.crowd.seated.lock();
        if let Some(taken) = seated.get_mut(&self.network) {
            *taken -= 1;
            if *taken == 0 {
                seated.remove(&self.network);
            }
        }
    }
}

/// An address as connections are counted: IPv4 whole, IPv6 by its /64, since one customer holds at least that much.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::Crowd;

    #[test]
    fn addresses_of_one_customer_share_and_neighbours_do_not() {
        let crowd = Crowd::of(2);
        let seat = |text: &str| crowd.seat(text.parse().expect("an address"));
        let first = seat("2001:db8:0:1::1").expect("free");
        let _second = seat("2001:db8:0:1:ffff::2").expect("free");
        assert!(seat("2001:db8:0:1::3").is_none(), "a third of one /64");
        let _other = seat("2001:db8:0:2::1").expect("another /64");
        let _v4 = [seat("192.0.2.1"), seat("::ffff:192.0.2.1")].map(|seat| seat.expect("free"));
        assert!(seat("192.0.2.1").is_none(), "the same IPv4 address, however it is written");
        assert!(seat("192.0.2.2").is_some());
        drop(first);
        assert!(seat("2001:db8:0:1::3").is_some(), "the place is free again");
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let crowd = Crowd::of(2);
        drop(crowd.seat("192.0.2.1".parse().expect("an address")));
        assert!(crowd.seated.lock().is_empty());
    }
}
