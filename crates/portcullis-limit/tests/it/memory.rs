//! A ceiling of memory: neighbours share, nobody who counts is forgotten.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use portcullis_core::{Actor, CommunityId, KeyId};
use portcullis_limit::conformance::Random;
use portcullis_limit::{Charge, Limiter, Network, Rates, Subject};

use crate::{community, minute, number};

const CEILING: usize = 200_000;

pub(crate) fn address_of(number: u32) -> Network {
    Network::from(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)))
}

fn address(number: u32) -> Subject {
    Subject::Address(address_of(number))
}

pub(crate) fn key(number: u64) -> Subject {
    Subject::Key(community(number % 50), key_id(number))
}

fn key_id(number: u64) -> KeyId {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    KeyId::from_bytes(bytes)
}

fn one(subject: Subject, limit: u32) -> [Charge; 1] {
    [Charge::one(subject, minute(limit))]
}

/// More addresses than there is memory for, each once. Returns how many have their own counter.
fn fill(limiter: &Limiter, now: Duration) -> u32 {
    // One address in each /24, so that those without a counter share with nobody yet.
    for number in 0..u32::MAX {
        let before = limiter.standing(now, address(number << 8), minute(10));
        assert_eq!(before[0].remaining, 10);
        assert!(limiter.admit(now, &one(address(number << 8), 10)).is_ok());
        // Its neighbour has used nothing, unless they share.
        if limiter.standing(now, address((number << 8) + 1), minute(10))[0].remaining < 10 {
            return number;
        }
    }
    unreachable!("the memory ends before the addresses")
}

#[test]
fn a_full_table_counts_neighbours_together_and_forgets_nobody_who_counts() {
    let limiter = Limiter::new(CEILING);
    let now = Duration::from_secs(1);
    let own = fill(&limiter, now);
    assert!(own > 100, "{own} counters");
    for number in 0..own {
        assert_eq!(
            limiter.standing(now, address(number << 8), minute(10))[0].remaining,
            9,
            "{number} was forgotten"
        );
    }
    // Strangers of one network share its counter, those of another network are not touched.
    let (one_net, other_net) = ((own + 5) << 8, (own + 6) << 8);
    let admitted =
        (0..100).filter(|last| limiter.admit(now, &one(address(one_net + last), 10)).is_ok()).count();
    // The first few may have found the last gaps.
    assert!((10..30).contains(&admitted), "{admitted}");
    assert!(limiter.admit(now, &one(address(other_net), 10)).is_ok());
    // Who shared is not given a fresh counter while what they used may still count.
    let soon = now + Duration::from_secs(30);
    assert!(limiter.admit(soon, &one(address(one_net + 99), 10)).is_err());
    // Once nothing counts any more everybody has room again.
    let later = now + Duration::from_secs(62);
    assert!(limiter.admit(later, &one(address(one_net), 10)).is_ok());
    assert_eq!(limiter.standing(later, address(one_net + 1), minute(10))[0].remaining, 10);
}

#[test]
fn a_flood_of_addresses_takes_no_room_from_members() {
    let limiter = Limiter::new(CEILING);
    let now = Duration::from_secs(1);
    fill(&limiter, now);
    for number in 0..100 {
        assert!(limiter.admit(now, &one(key(number), 1)).is_ok(), "{number} shares with another");
    }
    assert!(limiter.bytes() <= CEILING, "{}", limiter.bytes());
}

#[test]
fn members_beyond_the_ceiling_share_within_their_community() {
    let limiter = Limiter::new(CEILING);
    let now = Duration::from_secs(1);
    let (mut refused, many) = (0, 20_000);
    for number in 0..many {
        refused += u64::from(limiter.admit(now, &one(key(number), 1)).is_err());
    }
    assert!(refused > many / 2, "they share");
    for number in 0..many {
        assert!(limiter.admit(now, &one(key(number), 1)).is_err(), "{number} is admitted twice");
    }
    assert!(limiter.bytes() <= CEILING, "{}", limiter.bytes());
}

/// Any mix of subjects in any amount of memory: each of them is held to its limit.
#[test]
fn nobody_is_ever_over_their_limit_whatever_the_memory() {
    for ceiling in [0, 3_000, 20_000, 100_000, 1_000_000] {
        let limiter = Limiter::new(ceiling);
        let mut random = Random::new(ceiling as u64);
        let mut now = Duration::from_secs(500);
        let mut admitted: Vec<Vec<Duration>> = vec![Vec::new(); 2_000];
        for _ in 0..60_000 {
            now += Duration::from_millis(random.below(12));
            // Some come often and some hardly ever.
            let who = (random.below(2_000) * random.below(2_000) / 2_000) as usize;
            if limiter.admit(now, &one(address(who as u32 * 37), 8)).is_ok() {
                let own = &mut admitted[who];
                own.push(now);
                let held = own.iter().rev().take_while(|&&at| now - at < Duration::from_secs(60)).count();
                assert!(held <= 8, "{held} in a minute with {ceiling} bytes");
            }
        }
    }
}

/// Counters come and go for a long time at the ceiling: it is never passed, and no room is lost over it.
#[test]
fn counters_that_come_and_go_neither_pass_the_ceiling_nor_lose_room() {
    for seed in 1..=12 {
        let limiter = Limiter::new(CEILING);
        let mut random = Random::new(seed);
        let mut now = Duration::from_secs(1);
        let mut most = [0; 2];
        for step in 0..60_000 {
            // Crowded and quiet minutes in turn, so that tables are emptied and filled again.
            let crowded = step / 5_000 % 2 == 0;
            now += Duration::from_millis(if crowded { 20 } else { 400 });
            let stranger = address(random.below(1 << 31) as u32);
            let _ = limiter.admit(now, &[one(stranger, 10), one(key(random.below(10_000)), 10)].concat());
            let bytes = limiter.bytes();
            assert!(bytes <= CEILING, "{bytes} bytes at step {step} of seed {seed}");
            let late = usize::from(step >= 30_000);
            most[late] = most[late].max(limiter.held());
        }
        let [early, late] = most;
        assert!(late * 20 >= early * 19, "seed {seed}: room for {early} counters, later for {late}");
    }
}

/// Resident memory of this process.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<usize>().ok()? * 4_096)
}

/// More than a million requests by a hundred thousand keys, and addresses without end: memory stays under its ceiling, and once
/// that is full, and each key has come so often that its counter has room for what is still to come, it grows no more.
#[test]
fn memory_stays_under_its_ceiling() {
    const CEILING: usize = 64 << 20;
    const WARM: u32 = 900_000;
    let limiter = Limiter::new(CEILING);
    let community_id = |number: u64| -> CommunityId { community(number % 50) };
    let before = resident();
    let mut random = Random::new(3);
    let mut now = Duration::from_secs(1);
    let rates = Rates { minute: number(60), hour: number(2_000), day: number(20_000) };
    let begun = Instant::now();
    // The most while it warms up, and after.
    let mut most = [0; 2];
    for request in 0..1_500_000_u32 {
        now += Duration::from_micros(600);
        let who = u64::from(request) % 100_000;
        let charges = [
            Charge::one(
                Subject::Community(community_id(who)),
                Rates { minute: number(1_000_000), hour: None, day: None },
            ),
            Charge::one(Subject::Actor(community_id(who), Actor::Key(key_id(who))), rates),
            Charge::one(
                Subject::Address(Network::from(IpAddr::V4(Ipv4Addr::from(random.next() as u32)))),
                minute(300),
            ),
        ];
        let _ = limiter.admit(now, &charges);
        let warm = &mut most[usize::from(request >= WARM)];
        *warm = limiter.bytes().max(*warm);
    }
    let took = begun.elapsed();
    let (bytes, grown) =
        (limiter.bytes(), resident().zip(before).map(|(now, then)| now.saturating_sub(then)));
    println!(
        "{} counters, {bytes} bytes, resident {grown:?}, {:?} a decision",
        limiter.held(),
        took / 1_500_000
    );
    let [warm, after] = most;
    assert!(warm <= CEILING && after <= CEILING, "{warm} and {after} bytes");
    assert!(
        warm >= CEILING / 100 * 95,
        "only {warm} bytes: it is not full, and nothing shows what happens then"
    );
    assert!(after * 100 <= warm * 101, "{warm} bytes at most while it warmed up, {after} after");
    if let Some(grown) = grown {
        assert!(grown <= CEILING + CEILING / 4, "{grown} bytes more are resident, {bytes} are counted");
    }
}
