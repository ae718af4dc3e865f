//! What an adversary of the limiter would do: many charges in one step, restarts into less memory, all kinds at once.

use std::num::NonZeroU32;
use std::time::Duration;

use portcullis_core::{Actor, KeyId};
use portcullis_limit::{Charge, Limiter, Rates, Subject};

use crate::memory::{address_of, key};
use crate::{community, minute, number};

/// A kind of subject that has wider networks, and no part in what else these tests count.
fn refused(number: u32) -> Subject {
    Subject::Refused(address_of(number))
}

fn mailed(number: u32) -> Subject {
    Subject::Mailed(community(9), number.into())
}

#[test]
fn what_one_charge_was_given_another_of_the_step_does_not_sweep() {
    // Who comes again still counts in an hour; in a minute, what was counted has become stale since the step before.
    for (again_after, rates) in [(700, Rates { hour: number(1), ..Rates::default() }), (101, minute(1))] {
        for more in 0..40_usize {
            let limiter = Limiter::new(48_192 + more * 7);
            let mut now = Duration::from_secs(1);
            for step in 0..3_000_u32 {
                now += Duration::from_millis(600);
                let again = refused((step % again_after) << 8);
                let new = Subject::Address(address_of((100_000 + step) << 8));
                if limiter.admit(now, &[Charge::one(again, rates), Charge::one(new, minute(1))]).is_ok() {
                    let left = limiter.standing(now, again, rates)[0].remaining;
                    assert_eq!(left, 0, "admitted in step {step}, and counted nowhere");
                }
            }
        }
    }
}

#[test]
fn two_who_are_new_in_one_step_are_counted_where_they_are_looked_for() {
    let day = Rates::per_day(NonZeroU32::new(5).expect("5"));
    for memory in (20_000..60_000).step_by(40) {
        let limiter = Limiter::new(memory);
        let now = Duration::from_secs(1);
        for other in 0..150 {
            let _ = limiter.admit(now, &[Charge::one(mailed(other), day)]);
        }
        for net in 0..30_u32 {
            let [one, two] = [net << 16, net << 16 | 1].map(refused);
            let both = [Charge::one(one, day), Charge { subject: two, rates: day, amount: 3 }];
            if limiter.admit(now, &both).is_ok() {
                let left = limiter.standing(now, two, day)[0].remaining;
                assert!(left <= 2, "{left} of 5 are left after 3, with {memory} bytes");
            }
        }
    }
}

#[test]
fn a_network_that_finds_no_room_after_a_restart_is_counted_where_its_members_are_looked_for() {
    let day = Rates::per_day(NonZeroU32::new(50).expect("50"));
    let now = Duration::from_secs(1);
    let charge = |number, amount| [Charge { subject: refused(number), rates: day, amount }];
    for round in 0..3_000_usize {
        let memory = 45_000 + round * 2 % 2_000 * 10;
        let before = Limiter::new(memory);
        for other in 0..150 {
            let _ = before.admit(now, &[Charge::one(mailed(other), day)]);
        }
        let busy: Vec<u32> = (0..3_u32)
            .map(|wide| wide << 16 | 1 << 8)
            .filter(|number| before.admit(now, &charge(*number, 40)).is_ok())
            .collect();
        for net in 0..40_u32 {
            let _ = before.admit(now, &[Charge::one(Subject::Asking(address_of(net << 16)), day)]);
        }
        for wide in 0..3_u32 {
            let _ = before.admit(now, &charge(wide << 16 | 2 << 8, 1));
        }
        let after = Limiter::new(memory * (6 + round % 5) / 10);
        after.restore(now, 5, &before.snapshot(now, 5));
        for number in busy {
            let left = after.standing(now, refused(number), day)[0].remaining;
            assert!(left <= 10, "{left} of 50 are left after 40, with {memory} bytes");
        }
    }
}

#[test]
fn the_last_resort_of_all_kinds_fits_what_is_kept_for_it() {
    let rates = Rates { minute: number(1_000), hour: number(1_000), day: number(1_000) };
    let (community, actor, network) = (community(1), Actor::Operator, address_of(1));
    for _ in 0..100 {
        let limiter = Limiter::new(0);
        for subject in [
            Subject::Community(community),
            Subject::Actor(community, actor),
            Subject::Key(community, KeyId::from_bytes([1; 16])),
            Subject::Address(network),
            Subject::Refused(network),
            Subject::Asking(network),
            Subject::AskingFor(community, 1, network),
            Subject::Mailed(community, 1),
            Subject::ActorTokens(community, actor),
            Subject::CommunityTokens(community),
            Subject::ActorTool(community, 1),
            Subject::CommunityTool(community, 1),
            Subject::ActorCost(community, actor),
            Subject::CommunityCost(community),
        ] {
            for slot in 1..120 {
                let _ = limiter.admit(Duration::from_secs(slot * 720), &[Charge::one(subject, rates)]);
            }
        }
        assert!(limiter.held() >= 10, "{}", limiter.held());
        assert!(limiter.bytes() <= 8 << 10, "{}", limiter.bytes());
    }
}

#[test]
fn minutes_that_come_after_a_restart_stay_under_the_ceiling() {
    const CEILING: usize = 200_000;
    let rates = Rates { minute: number(9), hour: number(90), day: number(900) };
    let now = Duration::from_secs(1);
    let before = Limiter::new(CEILING * 4);
    for number in 0..1_000 {
        let _ = before.admit(now, &[Charge::one(key(number), rates)]);
    }
    let after = Limiter::new(CEILING);
    after.restore(now, 5, &before.snapshot(now, 5));
    for number in 0..1_000 {
        let _ = after.admit(now, &[Charge::one(key(number), rates)]);
        assert!(after.bytes() <= CEILING, "{}", after.bytes());
    }
}

#[test]
fn what_a_crash_lost_counts_for_who_is_counted_by_minute_first_and_by_hour_and_day_later() {
    let limiter = Limiter::new(1 << 20);
    limiter.make_good(Duration::from_secs(1), 0, 0, NonZeroU32::MIN);
    let now = Duration::from_secs(2);
    let address = Subject::Address(address_of(1));
    let later = Rates { minute: None, hour: number(100), day: number(100) };
    assert!(limiter.admit(now, &[Charge::one(address, minute(9))]).is_ok());
    assert!(limiter.admit(now, &[Charge::one(address, later)]).is_ok());
    for allowance in limiter.standing(now, address, later) {
        assert_eq!(allowance.remaining, 100 - 9 - 1, "what a minute admits may be lost, and one came now");
    }
}
