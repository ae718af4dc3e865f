//! What a decision costs: a request of one of many members, counted against member, session, community and address in
//! every window, by one thread and by several at once.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a bench prints what it measured")]

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_core::{Actor, CommunityId, MemberId, SessionId};
use portcullis_limit::{Charge, Limiter, Network, Rates, Subject};

const DECISIONS: u32 = 400_000;
const MEMBERS: u32 = 10_000;

fn id(kind: u8, number: u32) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn charges(member: u32) -> [Charge; 4] {
    let rates = |number| {
        let number = NonZeroU32::new(number);
        Rates { minute: number, hour: number, day: number }
    };
    let community = CommunityId::from_bytes(id(1, member % 20));
    let address = Network::from(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + member)));
    [
        Charge::one(
            Subject::Actor(community, Actor::Member(MemberId::from_bytes(id(2, member)))),
            rates(100_000),
        ),
        Charge::one(Subject::Session(community, SessionId::from_bytes(id(3, member))), rates(100_000)),
        Charge::one(Subject::Community(community), rates(100_000_000)),
        Charge::one(Subject::Address(address), rates(100_000)),
    ]
}

fn main() {
    for threads in [1, 2, 8] {
        let limiter = Limiter::new(64 << 20);
        let begun = Instant::now();
        thread::scope(|scope| {
            for thread in 0..threads {
                let limiter = &limiter;
                scope.spawn(move || {
                    for number in 0..DECISIONS {
                        // A minute in all, so that counts go to many sub-windows.
                        let now = Duration::from_micros(u64::from(number) * 150);
                        let member = (number.wrapping_mul(2_654_435_761) ^ thread) % MEMBERS;
                        limiter.admit(now, &charges(member)).expect("far from the limit");
                    }
                });
            }
        });
        let all = DECISIONS * threads;
        println!(
            "{threads} threads: {:?} a decision, {} counters in {} bytes",
            begun.elapsed() / all,
            limiter.held(),
            limiter.bytes()
        );
    }
}
