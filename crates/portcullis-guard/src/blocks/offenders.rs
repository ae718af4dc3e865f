//! Who did what must not be done, how often, and who is blocked for it.
//!
//! For each kind of offence a client has a debt that decays with time: each offence adds a step, so many steps at once
//! are the threshold, and in the time of the window all of it has decayed (the generic cell rate algorithm, run
//! backwards). A debt that has decayed is nothing, so its entry can go; one that has not is never dropped. When there is
//! no room, clients share the entry of their network.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use portcullis_core::{BlockId, Clock};

use super::prefix::Prefix;

/// How many clients have an entry of their own.
pub(super) const OWN: usize = 32_768;
/// How many networks have an entry for those who have none.
pub(super) const SHARED: usize = 4_096;

/// What must not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// A credential that is not valid, or a sign-in link that did not work.
    Credential,
    /// A request that a limit of the address refused, and that came all the same.
    Refused,
    /// A request that nothing here takes: no route, no HTTP, a body that is too large or never ends.
    Malformed,
}

impl Offence {
    /// Every offence.
    pub const ALL: [Self; 3] = [Self::Credential, Self::Refused, Self::Malformed];

    /// The name in metrics and lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credential => "credentials",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
        }
    }

    /// The offence of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|offence| offence.name() == name)
    }
}

/// When somebody is blocked, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// So many refused credentials and failed sign-ins.
    pub credentials: NonZeroU32,
    /// So many requests beyond the limits of the address.
    pub refused: NonZeroU32,
    /// So many malformed requests.
    pub malformed: NonZeroU32,
    /// The time in which an offence decays with all others of its kind.
    pub window: Duration,
    /// How long a block lasts.
    pub lasts: Duration,
}

impl Thresholds {
    const fn of(&self, offence: Offence) -> NonZeroU32 {
        match offence {
            Offence::Credential => self.credentials,
            Offence::Refused => self.refused,
            Offence::Malformed => self.malformed,
        }
    }
}

/// A block that began by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Automatic {
    pub(super) id: BlockId,
    /// What it is for.
    pub(super) offence: Offence,
    /// On the monotonic clock.
    pub(super) until_ms: u64,
}

/// What is kept of a client or a network.
#[derive(Debug, Default)]
struct Offender {
    /// Until when something of each debt is left, on the monotonic clock.
    debts_ms: [u64; Offence::ALL.len()],
    block: Option<Box<Automatic>>,
}

impl Offender {
    fn is_live(&self, now_ms: u64) -> bool {
        self.debts_ms.iter().any(|until| *until > now_ms) || self.is_blocked(now_ms)
    }

    fn is_blocked(&self, now_ms: u64) -> bool {
        self.block.as_ref().is_some_and(|block| block.until_ms > now_ms)
    }
}

/// Everybody who did something lately.
#[derive(Debug)]
pub(super) struct Offenders {
    own: HashMap<Prefix, Offender>,
    shared: HashMap<Prefix, Offender>,
    /// When what is decayed was last looked for because there was no room.
    swept_ms: Option<u64>,
    room: (usize, usize),
}

/// Looking for what is decayed costs a walk over all entries, so it is done at most so often.
const SWEEP_MS: u64 = 1_000;

impl Default for Offenders {
    fn default() -> Self {
        Self::with_room(OWN, SHARED)
    }
}

impl Offenders {
    pub(super) fn with_room(own: usize, shared: usize) -> Self {
        Self { own: HashMap::new(), shared: HashMap::new(), swept_ms: None, room: (own, shared) }
    }

    /// Who answers for a client: itself, or its network where it has found no room.
    pub(super) fn find(&self, client: Prefix, now_ms: u64) -> Option<&Automatic> {
        let own = self.own.get(&client);
        let shared = || self.shared.get(&client.neighbours());
        [own, shared()]
            .into_iter()
            .flatten()
            .find_map(|offender| offender.block.as_deref().filter(|block| block.until_ms > now_ms))
    }

    /// Counts an offence. Says whom it blocks, if it is the last that was missing.
    pub(super) fn offend(
        &mut self,
        client: Prefix,
        offence: Offence,
        thresholds: &Thresholds,
        clock: &dyn Clock,
    ) -> Option<(Prefix, Automatic)> {
        let now_ms = millis(clock.monotonic());
        let (who, offender) = self.entry(client, now_ms)?;
        if offender.is_blocked(now_ms) {
            return None;
        }
        let threshold = u64::from(thresholds.of(offence).get());
        let step_ms = (millis(thresholds.window) / threshold).max(1);
        let debt = offender.debts_ms.get_mut(offence as usize)?;
        *debt = (*debt).max(now_ms).saturating_add(step_ms);
        // More than all steps but one: so many at once, however little time they took.
        if *debt - now_ms <= step_ms.saturating_mul(threshold - 1) {
            return None;
        }
        // What was paid for with a block is not held against anybody again.
        offender.debts_ms = [0; Offence::ALL.len()];
        let until_ms = now_ms.saturating_add(millis(thresholds.lasts));
        let block = Automatic { id: BlockId::new(clock), offence, until_ms };
        offender.block = Some(Box::new(block));
        Some((who, block))
    }

    /// The entry that counts for a client. None when there is no room for any: limits hold all the same.
    fn entry(&mut self, client: Prefix, now_ms: u64) -> Option<(Prefix, &mut Offender)> {
        if !self.own.contains_key(&client) && self.own.len() >= self.room.0 {
            self.sweep(now_ms);
        }
        if self.own.contains_key(&client) || self.own.len() < self.room.0 {
            return Some((client, self.own.entry(client).or_default()));
        }
        let network = client.neighbours();
        if self.shared.contains_key(&network) || self.shared.len() < self.room.1 {
            return Some((network, self.shared.entry(network).or_default()));
        }
        None
    }

    /// Drops what has decayed.
    pub(super) fn sweep(&mut self, now_ms: u64) {
        if self.swept_ms.is_some_and(|swept| now_ms < swept.saturating_add(SWEEP_MS)) {
            return;
        }
        self.swept_ms = Some(now_ms);
        self.own.retain(|_, offender| offender.is_live(now_ms));
        self.shared.retain(|_, offender| offender.is_live(now_ms));
    }

    /// Ends a block, and forgets what it was for. Says whose it was.
    pub(super) fn pardon(&mut self, id: BlockId) -> Option<(Prefix, Automatic)> {
        for table in [&mut self.own, &mut self.shared] {
            let is_it = |offender: &Offender| offender.block.as_ref().is_some_and(|block| block.id == id);
            let found = table.iter().find(|(_, offender)| is_it(offender)).map(|(prefix, _)| *prefix);
            if let Some(prefix) = found {
                let block = table.remove(&prefix)?.block?;
                return Some((prefix, *block));
            }
        }
        None
    }

    /// Who is blocked.
    pub(super) fn blocked(&self, now_ms: u64) -> impl Iterator<Item = (Prefix, &Automatic)> {
        self.own.iter().chain(&self.shared).filter_map(move |(prefix, offender)| {
            offender.block.as_deref().filter(|block| block.until_ms > now_ms).map(|block| (*prefix, block))
        })
    }

    /// Takes in a block of an earlier run, or one that was ended and is not, if there is room.
    pub(super) fn restore(&mut self, prefix: Prefix, block: Automatic) {
        let (table, room) = if prefix.neighbours() == prefix {
            (&mut self.shared, self.room.1)
        } else {
            (&mut self.own, self.room.0)
        };
        if table.len() < room {
            table.entry(prefix).or_default().block = Some(Box::new(block));
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.own.len(), self.shared.len())
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroU32;
    use std::time::Duration;

    use portcullis_core::{Clock as _, ManualClock};

    use super::{Offence, Offenders, Thresholds, millis};
    use crate::blocks::Prefix;

    const THRESHOLDS: Thresholds = Thresholds {
        credentials: NonZeroU32::new(10).expect("not zero"),
        refused: NonZeroU32::new(20).expect("not zero"),
        malformed: NonZeroU32::new(30).expect("not zero"),
        window: Duration::from_secs(600),
        lasts: Duration::from_secs(60),
    };

    fn clock() -> ManualClock {
        ManualClock::at("2026-01-02T03:04:05Z".parse().expect("a moment"))
    }

    fn client(text: &str) -> Prefix {
        Prefix::of_client(text.parse::<IpAddr>().expect("an address"))
    }

    /// After how many offences the block begins; `most` when it does not.
    fn until_blocked(
        offenders: &mut Offenders,
        who: Prefix,
        what: Offence,
        pause: u64,
        most: usize,
    ) -> usize {
        let clock = clock();
        (1..=most)
            .find(|_| {
                clock.advance(Duration::from_secs(pause));
                offenders.offend(who, what, &THRESHOLDS, &clock).is_some()
            })
            .unwrap_or(most + 1)
    }

    #[test]
    fn the_threshold_is_exact_for_each_offence_and_none_counts_for_another() {
        for (what, threshold) in [(Offence::Credential, 10), (Offence::Refused, 20), (Offence::Malformed, 30)]
        {
            let mut offenders = Offenders::default();
            assert_eq!(until_blocked(&mut offenders, client("192.0.2.1"), what, 0, 100), threshold);
        }
        let (mut offenders, clock) = (Offenders::default(), clock());
        for _ in 0..9 {
            for what in Offence::ALL {
                assert!(offenders.offend(client("192.0.2.1"), what, &THRESHOLDS, &clock).is_none());
            }
        }
    }

    #[test]
    fn what_was_done_decays() {
        let slow = |pause| {
            until_blocked(&mut Offenders::default(), client("192.0.2.1"), Offence::Credential, pause, 10_000)
        };
        assert_eq!(slow(60), 10_001, "as fast as it decays: never");
        assert!((10..=12).contains(&slow(5)), "a little of it decays meanwhile: {}", slow(5));
        assert!((15..=22).contains(&slow(30)), "{}", slow(30));
    }

    #[test]
    fn a_block_ends_by_itself_and_the_count_begins_anew() {
        let (mut offenders, clock) = (Offenders::default(), clock());
        let who = client("192.0.2.1");
        for _ in 0..10 {
            offenders.offend(who, Offence::Credential, &THRESHOLDS, &clock);
        }
        let blocked = |offenders: &Offenders| offenders.find(who, millis(clock.monotonic())).is_some();
        assert!(blocked(&offenders));
        assert!(
            offenders.find(client("192.0.2.2"), millis(clock.monotonic())).is_none(),
            "a neighbour is not"
        );
        for _ in 0..100 {
            assert!(
                offenders.offend(who, Offence::Credential, &THRESHOLDS, &clock).is_none(),
                "it is not prolonged"
            );
        }
        clock.advance(Duration::from_secs(59));
        assert!(blocked(&offenders));
        clock.advance(Duration::from_secs(2));
        assert!(!blocked(&offenders));
        for _ in 0..9 {
            assert!(offenders.offend(who, Offence::Credential, &THRESHOLDS, &clock).is_none());
        }
        assert!(offenders.offend(who, Offence::Credential, &THRESHOLDS, &clock).is_some());
    }

    #[test]
    fn a_whole_ipv6_customer_is_one() {
        let (mut offenders, clock) = (Offenders::default(), clock());
        for number in 0..10 {
            offenders.offend(
                client(&format!("2001:db8:0:1::{number}")),
                Offence::Credential,
                &THRESHOLDS,
                &clock,
            );
        }
        let now = millis(clock.monotonic());
        assert!(offenders.find(client("2001:db8:0:1:ffff::9"), now).is_some());
        assert!(offenders.find(client("2001:db8:0:2::9"), now).is_none());
    }

    #[test]
    fn tables_are_bounded_nobody_who_counts_is_dropped_and_neighbours_share() {
        let (mut offenders, clock) = (Offenders::with_room(100, 10), clock());
        let blocked = client("203.0.113.1");
        for _ in 0..10 {
            offenders.offend(blocked, Offence::Credential, &THRESHOLDS, &clock);
        }
        for number in 0..100_000_u32 {
            let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            offenders.offend(Prefix::of_client(address), Offence::Malformed, &THRESHOLDS, &clock);
        }
        assert_eq!(offenders.held(), (100, 10));
        let now = millis(clock.monotonic());
        assert!(offenders.find(blocked, now).is_some(), "a live entry is never dropped");
        let shared: Vec<Prefix> = offenders.blocked(now).map(|(prefix, _)| prefix).collect();
        assert!(shared.iter().any(|prefix| prefix.to_string().ends_with("/24")), "{shared:?}");
        assert!(offenders.find(client("172.16.0.1"), now).is_none(), "others are not blocked for it");
        clock.advance(Duration::from_secs(3_600));
        assert!(offenders.offend(client("192.0.2.1"), Offence::Malformed, &THRESHOLDS, &clock).is_none());
        assert_eq!(offenders.held(), (1, 0), "what has decayed makes room");
    }
}
