//! What is counted in hours and days, as bytes that a later run reads.
//!
//! It holds ids and network addresses and is to be sealed by whoever keeps it.

use std::num::NonZeroU32;

use portcullis_core::{Actor, CommunityId, KeyId, MemberId, SessionId};

use crate::subject::{Kind, Network, Share, Subject};

/// How the bytes begin; the last is the version of what follows.
const HEAD: &[u8; 8] = b"PCLLIM\0\x02";

/// Age in milliseconds at the moment of the snapshot, and how much.
pub(crate) type Aged = (u32, u32);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) subject: Subject,
    pub(crate) losses_seen: u32,
    pub(crate) hour: Vec<Aged>,
    pub(crate) day: Vec<Aged>,
}

/// What a limiter has counted in hours and days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub(crate) wall_ms: i64,
    /// How far into the longest sub-window that was, in milliseconds.
    pub(crate) phase_ms: u32,
    /// Number, age in milliseconds and minutes of what earlier crashes may have lost.
    pub(crate) losses: Vec<(u32, u32, NonZeroU32)>,
    pub(crate) last_loss: u32,
    pub(crate) kept: Vec<Kept>,
}

/// The bytes are no snapshot of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a snapshot of limits that this version can read")]
pub struct Unreadable;

impl Snapshot {
    /// When it was taken, in milliseconds of the wall clock.
    pub const fn taken_ms(&self) -> i64 {
        self.wall_ms
    }

    /// Of how many subjects it holds something.
    pub const fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether it holds nothing.
    pub const fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer(HEAD.to_vec());
        to.0.extend(self.wall_ms.to_be_bytes());
        to.0.extend(self.phase_ms.to_be_bytes());
        to.0.extend(self.last_loss.to_be_bytes());
        to.length(self.losses.len());
        for (number, age, minutes) in &self.losses {
            to.0.extend([*number, *age, minutes.get()].into_iter().flat_map(u32::to_be_bytes));
        }
        to.length(self.kept.len());
        for Kept { subject, losses_seen, hour, day } in &self.kept {
            to.subject(subject);
            to.0.extend(losses_seen.to_be_bytes());
            for track in [hour, day] {
                to.length(track.len());
                for (age, count) in track {
                    to.0.extend(age.to_be_bytes());
                    to.0.extend(count.to_be_bytes());
                }
            }
        }
        to.0
    }

    /// What [`Snapshot::encode`] made.
    ///
    /// # Errors
    /// Anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut from = Reader(bytes);
        if &from.array::<8>()? != HEAD {
            return Err(Unreadable);
        }
        let wall_ms = i64::from_be_bytes(from.array()?);
        let (phase_ms, last_loss) = (from.number32()?, from.number32()?);
        let mut losses = Vec::new();
        for _ in 0..from.number32()? {
            let (number, age) = (from.number32()?, from.number32()?);
            losses.push((number, age, NonZeroU32::new(from.number32()?).ok_or(Unreadable)?));
        }
        let mut kept = Vec::new();
        for _ in 0..from.number32()? {
            let (subject, losses_seen) = (from.subject()?, from.number32()?);
            kept.push(Kept { subject, losses_seen, hour: from.track()?, day: from.track()? });
        }
        if from.0.is_empty() {
            Ok(Self { wall_ms, phase_ms, losses, last_loss, kept })
        } else {
            Err(Unreadable)
        }
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn length(&mut self, length: usize) {
        self.0.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn put(&mut self, tag: u8, parts: &[&[u8]]) {
        self.0.push(tag);
        self.0.extend(parts.iter().copied().flatten());
    }

    fn subject(&mut self, subject: &Subject) {
        let bits = |network: &Network| network.bits().to_be_bytes();
        match subject {
            Subject::Community(community) => self.put(0, &[community.as_bytes()]),
            Subject::Actor(community, Actor::Member(member)) => {
                self.put(1, &[community.as_bytes(), member.as_bytes()]);
            }
            Subject::Actor(community, Actor::Key(key)) => {
                self.put(2, &[community.as_bytes(), key.as_bytes()])
            }
            Subject::Actor(community, Actor::Operator) => self.put(3, &[community.as_bytes()]),
            Subject::Session(community, session) => {
                self.put(4, &[community.as_bytes(), session.as_bytes()]);
            }
            Subject::Key(community, key) => self.put(5, &[community.as_bytes(), key.as_bytes()]),
            Subject::Address(network) => self.put(6, &[&bits(network)]),
            Subject::Refused(network) => self.put(7, &[&bits(network)]),
            Subject::Asking(network) => self.put(8, &[&bits(network)]),
            Subject::AskingFor(community, mailbox, network) => {
                self.put(9, &[community.as_bytes(), &mailbox.to_be_bytes(), &bits(network)]);
            }
            Subject::Mailed(community, mailbox) => {
                self.put(10, &[community.as_bytes(), &mailbox.to_be_bytes()]);
            }
            Subject::CommunityTokens(community) => self.put(14, &[community.as_bytes()]),
            Subject::ActorTokens(community, Actor::Member(member)) => {
                self.put(15, &[community.as_bytes(), member.as_bytes()]);
            }
            Subject::ActorTokens(community, Actor::Key(key)) => {
                self.put(16, &[community.as_bytes(), key.as_bytes()]);
            }
            Subject::ActorTokens(community, Actor::Operator) => self.put(17, &[community.as_bytes()]),
            Subject::ActorTool(community, both) => {
                self.put(18, &[community.as_bytes(), &both.to_be_bytes()]);
            }
            Subject::CommunityTool(community, tool) => {
                self.put(19, &[community.as_bytes(), &tool.to_be_bytes()]);
            }
            Subject::CommunityCost(community) => self.put(20, &[community.as_bytes()]),
            Subject::ActorCost(community, Actor::Member(member)) => {
                self.put(21, &[community.as_bytes(), member.as_bytes()]);
            }
            Subject::ActorCost(community, Actor::Key(key)) => {
                self.put(22, &[community.as_bytes(), key.as_bytes()]);
            }
            Subject::ActorCost(community, Actor::Operator) => self.put(23, &[community.as_bytes()]),
            Subject::Shared(kind, share) => {
                let kind = [kind.number()];
                match share {
                    Share::Of(community) => self.put(11, &[&kind, community.as_bytes()]),
                    Share::In(network, prefix) => self.put(12, &[&kind, &bits(network), &[*prefix]]),
                    Share::All => self.put(13, &[&kind]),
                }
            }
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number32(&mut self) -> Result<u32, Unreadable> {
        self.array().map(u32::from_be_bytes)
    }

    fn track(&mut self) -> Result<Vec<Aged>, Unreadable> {
        let mut track = Vec::new();
        for _ in 0..self.number32()? {
            track.push((self.number32()?, self.number32()?));
        }
        Ok(track)
    }

    fn community(&mut self) -> Result<CommunityId, Unreadable> {
        self.array().map(CommunityId::from_bytes)
    }

    fn number(&mut self) -> Result<u128, Unreadable> {
        self.array().map(u128::from_be_bytes)
    }

    fn network(&mut self) -> Result<Network, Unreadable> {
        self.number().map(Network::from_bits)
    }

    fn kind(&mut self) -> Result<Kind, Unreadable> {
        let number = self.byte()?;
        Kind::ALL.into_iter().find(|kind| kind.number() == number).ok_or(Unreadable)
    }

    fn subject(&mut self) -> Result<Subject, Unreadable> {
        Ok(match self.byte()? {
            0 => Subject::Community(self.community()?),
            1 => Subject::Actor(self.community()?, Actor::Member(MemberId::from_bytes(self.array()?))),
            2 => Subject::Actor(self.community()?, Actor::Key(KeyId::from_bytes(self.array()?))),
            3 => Subject::Actor(self.community()?, Actor::Operator),
            4 => Subject::Session(self.community()?, SessionId::from_bytes(self.array()?)),
            5 => Subject::Key(self.community()?, KeyId::from_bytes(self.array()?)),
            6 => Subject::Address(self.network()?),
            7 => Subject::Refused(self.network()?),
            8 => Subject::Asking(self.network()?),
            9 => Subject::AskingFor(self.community()?, self.number()?, self.network()?),
            10 => Subject::Mailed(self.community()?, self.number()?),
            11 => Subject::Shared(self.kind()?, Share::Of(self.community()?)),
            12 => Subject::Shared(self.kind()?, Share::In(self.network()?, self.byte()?)),
            13 => Subject::Shared(self.kind()?, Share::All),
            14 => Subject::CommunityTokens(self.community()?),
            15 => Subject::ActorTokens(self.community()?, Actor::Member(MemberId::from_bytes(self.array()?))),
            16 => Subject::ActorTokens(self.community()?, Actor::Key(KeyId::from_bytes(self.array()?))),
            17 => Subject::ActorTokens(self.community()?, Actor::Operator),
            18 => Subject::ActorTool(self.community()?, self.number()?),
            19 => Subject::CommunityTool(self.community()?, self.number()?),
            20 => Subject::CommunityCost(self.community()?),
            21 => Subject::ActorCost(self.community()?, Actor::Member(MemberId::from_bytes(self.array()?))),
            22 => Subject::ActorCost(self.community()?, Actor::Key(KeyId::from_bytes(self.array()?))),
            23 => Subject::ActorCost(self.community()?, Actor::Operator),
            _ => return Err(Unreadable),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::num::NonZeroU32;

    use portcullis_core::{Actor, CommunityId, KeyId, MemberId, SessionId};
    use proptest::prelude::*;

    use super::{Kept, Snapshot, Unreadable};
    use crate::subject::{Kind, Network, Share, Subject};

    fn whole() -> Snapshot {
        let community = CommunityId::from_bytes([1; 16]);
        let network = Network::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
        let subjects = [
            Subject::Community(community),
            Subject::Actor(community, Actor::Member(MemberId::from_bytes([2; 16]))),
            Subject::Actor(community, Actor::Key(KeyId::from_bytes([3; 16]))),
            Subject::Actor(community, Actor::Operator),
            Subject::Session(community, SessionId::from_bytes([4; 16])),
            Subject::Key(community, KeyId::from_bytes([5; 16])),
            Subject::Address(network),
            Subject::Refused(network),
            Subject::Asking(network),
            Subject::AskingFor(community, 9, network),
            Subject::Mailed(community, 9),
            Subject::CommunityTokens(community),
            Subject::ActorTokens(community, Actor::Member(MemberId::from_bytes([2; 16]))),
            Subject::ActorTokens(community, Actor::Key(KeyId::from_bytes([3; 16]))),
            Subject::ActorTokens(community, Actor::Operator),
            Subject::ActorTool(community, 9),
            Subject::CommunityTool(community, 9),
            Subject::CommunityCost(community),
            Subject::ActorCost(community, Actor::Member(MemberId::from_bytes([2; 16]))),
            Subject::ActorCost(community, Actor::Key(KeyId::from_bytes([3; 16]))),
            Subject::ActorCost(community, Actor::Operator),
            Subject::Shared(Kind::Actor, Share::Of(community)),
            Subject::Shared(Kind::Address, Share::In(network, 120)),
        ];
        let all = Kind::ALL.map(|kind| Subject::Shared(kind, Share::All));
        let kept = subjects.into_iter().chain(all).enumerate();
        let kept = kept.map(|(at, subject)| Kept {
            subject,
            losses_seen: at as u32,
            hour: vec![(at as u32, 7); at % 3],
            day: vec![(at as u32, u32::MAX), (0, 1)],
        });
        let losses = vec![(3, 77, NonZeroU32::MIN), (4, 5, NonZeroU32::MAX)];
        Snapshot { wall_ms: -5, phase_ms: 719_999, losses, last_loss: 4, kept: kept.collect() }
    }

    #[test]
    fn what_was_written_is_read_back() {
        assert_eq!(Snapshot::decode(&whole().encode()), Ok(whole()));
    }

    #[test]
    fn a_part_of_a_snapshot_is_none_nor_is_one_with_more_behind() {
        let bytes = whole().encode();
        for end in 0..bytes.len() {
            assert_eq!(Snapshot::decode(&bytes[..end]), Err(Unreadable), "{end} bytes");
        }
        assert_eq!(Snapshot::decode(&[bytes.as_slice(), &[0]].concat()), Err(Unreadable));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn foreign_bytes_are_refused_or_read_and_never_worse(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = Snapshot::decode(&bytes);
            bytes.splice(0..0, *super::HEAD);
            let _ = Snapshot::decode(&bytes);
        }
    }
}
