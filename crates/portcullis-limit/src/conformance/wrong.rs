//! Stores that are wrong on purpose, each in one way that was seen in real limiters.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use portcullis_core::Clock;

use crate::limiter::{Bound, Charge, Decision, Limiter};
use crate::store::{CounterStore, Moment, Unavailable};
use crate::subject::Subject;
use crate::window::{Allowance, Rates, Window};

/// How a store is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Windows begin at fixed times: two of them full, side by side, are one too many.
    FixedWindows,
    /// It looks, and counts a moment later.
    LooksThenCounts,
    /// Each charge is counted as it is met, whether or not a later one refuses.
    CountsAsItGoes,
    /// Each instance has counters of its own.
    CountsApart,
    /// Only the shortest window is looked at.
    ShortestOnly,
    /// What was not used stays counted.
    KeepsReservations,
    /// What was used beyond the reservation is not counted.
    ForgetsExcess,
    /// A refused request counts too, so that who goes on asking is never admitted again.
    CountsRefusals,
    /// To ask counts.
    AskingCounts,
}

impl Flaw {
    /// Every flaw, and the case that was written against it.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::FixedWindows, "no_rolling_window_holds_more_than_the_limit"),
        (Self::LooksThenCounts, "all_at_once_get_exactly_the_limit"),
        (Self::CountsAsItGoes, "what_is_refused_counts_nowhere"),
        (Self::CountsApart, "instances_share_their_counters"),
        (Self::ShortestOnly, "every_window_holds"),
        (Self::KeepsReservations, "what_was_not_used_is_given_back"),
        (Self::ForgetsExcess, "what_was_used_beyond_counts"),
        (Self::CountsRefusals, "who_never_rests_gets_nearly_all"),
        (Self::AskingCounts, "asking_counts_nothing"),
    ];
}

/// A store with one flaw.
#[derive(Debug)]
pub struct Wrong {
    flaw: Flaw,
    limiter: Limiter,
    fixed: Mutex<HashMap<Subject, (u64, u32)>>,
    clock: Arc<dyn Clock>,
}

impl Wrong {
    /// A store with that flaw.
    pub fn new(flaw: Flaw, clock: Arc<dyn Clock>) -> Self {
        Self { flaw, limiter: Limiter::new(8 << 20), fixed: Mutex::default(), clock }
    }

    fn in_fixed_windows(&self, now: Duration, charge: &Charge) -> Decision {
        let mut counts = self.fixed.lock();
        let number = now.as_secs() / Window::Minute.length().as_secs();
        let (window, count) = counts.entry(charge.subject).or_default();
        if std::mem::replace(window, number) != number {
            *count = 0;
        }
        let limit = charge.rates.minute.map_or(u32::MAX, |limit| limit.get());
        let window = Window::Minute;
        let allowance = Allowance { window, limit, remaining: 0, resets_in: window.length() };
        if *count + charge.amount > limit {
            return Err(Bound { subject: charge.subject, allowance });
        }
        *count += charge.amount;
        Ok(Some(Bound { subject: charge.subject, allowance }))
    }

    async fn looks_then_counts(&self, now: Duration, charges: &[Charge]) -> Decision {
        for charge in charges {
            let standing = self.limiter.standing(now, charge.subject, charge.rates);
            if let Some(allowance) = standing.into_iter().find(|left| left.remaining < charge.amount) {
                return Err(Bound { subject: charge.subject, allowance });
            }
        }
        // Where others run in between, as they do while a database answers.
        tokio::task::yield_now().await;
        self.limiter.settle(
            now,
            now,
            &charges.iter().map(|charge| Charge { amount: 0, ..*charge }).collect::<Vec<_>>(),
            1,
        );
        Ok(None)
    }
}

fn shortest(rates: Rates) -> Rates {
    match rates.iter().next() {
        Some((Window::Minute, limit)) => Rates::per_minute(limit),
        Some((Window::Hour, limit)) => Rates::per_hour(limit),
        Some((Window::Day, limit)) => Rates::per_day(limit),
        None => rates,
    }
}

#[async_trait]
impl CounterStore for Wrong {
    async fn admit(&self, charges: &[Charge]) -> Result<(Decision, Moment), Unavailable> {
        let now = self.clock.monotonic();
        let decision = match (self.flaw, charges) {
            (Flaw::FixedWindows, [charge, ..]) => self.in_fixed_windows(now, charge),
            (Flaw::LooksThenCounts, _) => self.looks_then_counts(now, charges).await,
            (Flaw::CountsAsItGoes, _) => charges
                .iter()
                .try_fold(None, |_, charge| self.limiter.admit(now, std::slice::from_ref(charge))),
            (Flaw::ShortestOnly, _) => {
                let short = charges.iter().map(|charge| Charge { rates: shortest(charge.rates), ..*charge });
                self.limiter.admit(now, &short.collect::<Vec<_>>())
            }
            (Flaw::CountsRefusals, _) => {
                let decision = self.limiter.admit(now, charges);
                if decision.is_err() {
                    let none = charges.iter().map(|charge| Charge { amount: 0, ..*charge });
                    self.limiter.settle(now, now, &none.collect::<Vec<_>>(), 1);
                }
                decision
            }
            _ => self.limiter.admit(now, charges),
        };
        Ok((decision, Moment(now)))
    }

    async fn settle(&self, at: Moment, charges: &[Charge], used: u32) -> Result<(), Unavailable> {
        let reserved = charges.first().map_or(0, |charge| charge.amount);
        let used = match self.flaw {
            Flaw::KeepsReservations => used.max(reserved),
            Flaw::ForgetsExcess => used.min(reserved),
            _ => used,
        };
        self.limiter.settle(self.clock.monotonic(), at.0, charges, used);
        Ok(())
    }

    async fn standing(&self, subject: Subject, rates: Rates) -> Result<Vec<Allowance>, Unavailable> {
        let now = self.clock.monotonic();
        if self.flaw == Flaw::AskingCounts {
            let _ = self.limiter.admit(now, &[Charge::one(subject, rates)]);
        }
        Ok(self.limiter.standing(now, subject, rates))
    }
}
