//! What follows from the records so far: the Merkle frontier, the next number of each community, the open turns, the newest time. And
//! the seal: that state, signed, beside a finished segment, so that a start reads only what came after it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use portcullis_core::{CommunityId, TurnId};
use serde::{Deserialize, Serialize};

use crate::error::Violation;
use crate::merkle::{Frontier, TreeHash};
use crate::note::{self, NoteError, Signer, Verifier};
use crate::record::{Mark, Skim};

/// A turn that was opened and not closed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTurn {
    /// The turn.
    pub turn: TurnId,
    /// Its community.
    pub community: Option<CommunityId>,
    /// The number of the record that opened it.
    pub seq: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    tree: Frontier,
    /// The number that the next record should have: the tree's size, as long as no rule was broken.
    next: u64,
    /// The next number of each community.
    communities: HashMap<CommunityId, u64>,
    open: HashMap<TurnId, OpenTurn>,
    /// The newest time of a record.
    last_at: Option<Timestamp>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) const fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn root(&self) -> TreeHash {
        self.tree.root()
    }

    pub(crate) fn communities(&self) -> &HashMap<CommunityId, u64> {
        &self.communities
    }

    pub(crate) const fn last_at(&self) -> Option<Timestamp> {
        self.last_at
    }

    pub(crate) fn next_in(&self, community: CommunityId) -> u64 {
        self.communities.get(&community).copied().unwrap_or(0)
    }

    pub(crate) fn is_open(&self, turn: TurnId) -> bool {
        self.open.contains_key(&turn)
    }

    /// The open turns in the order in which they were opened.
    pub(crate) fn open_turns(&self) -> Vec<OpenTurn> {
        let mut turns: Vec<_> = self.open.values().copied().collect();
        turns.sort_by_key(|turn| turn.seq);
        turns
    }

    /// Takes in a record that was just made by the rules.
    pub(crate) fn push(
        &mut self,
        community: Option<CommunityId>,
        mark: Mark,
        at: Option<Timestamp>,
        leaf: TreeHash,
    ) {
        self.last_at = self.last_at.max(at);
        let seq = self.next;
        self.next += 1;
        self.tree.push(leaf);
        if let Some(community) = community {
            *self.communities.entry(community).or_default() += 1;
        }
        match mark {
            Mark::Opens(turn) => {
                self.open.insert(turn, OpenTurn { turn, community, seq });
            }
            Mark::Closes(turn) => {
                self.open.remove(&turn);
            }
            Mark::Other => {}
        }
    }

    /// Takes in a record that was read, and reports each rule it breaks. What it says is then taken as given, so that
    /// one flaw is reported once.
    pub(crate) fn take(&mut self, record: &Skim<'_>, leaf: TreeHash, mut report: impl FnMut(Violation)) {
        let (expected, found) = (self.next, record.seq);
        if found != expected {
            report(Violation::Sequence { expected, found });
            self.next = found;
        }
        match (record.community, record.community_seq) {
            (Some(community), Some(found)) => {
                let expected = self.next_in(community);
                if found != expected {
                    report(Violation::CommunitySequence { community, expected, found });
                    self.communities.insert(community, found);
                }
            }
            (None, None) => {}
            _ => report(Violation::CommunityUnnumbered),
        }
        match record.mark() {
            Mark::Opens(turn) if self.is_open(turn) => report(Violation::TurnOpenedTwice(turn)),
            Mark::Closes(turn) if !self.is_open(turn) => report(Violation::TurnNotOpen(turn)),
            _ => {}
        }
        self.push(record.community, record.mark(), record.at.parse().ok(), leaf);
    }

    /// Takes in a record that cannot be read, so that the tree and the numbers go on.
    pub(crate) fn take_unreadable(&mut self, leaf: TreeHash) {
        self.next += 1;
        self.tree.push(leaf);
    }

    /// The number that the next record should have.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Expects another number next, after records that cannot be read. The tree no longer tells anything then.
    pub(crate) fn expect(&mut self, next: u64) {
        self.next = next;
    }
}

/// The first line of a seal's text. A signer's name holds no space, so no checkpoint begins like this.
const SEAL: &str = "portcullis audit seal v1";

/// The state at the end of a finished segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    /// The journal's name.
    origin: String,
    /// The number of the segment's first record.
    pub(crate) first: u64,
    /// How many records the journal had at the segment's end.
    pub(crate) size: u64,
    /// Where in the file of checkpoints the one for this size begins.
    pub(crate) checkpoint_at: u64,
    frontier: Vec<TreeHash>,
    communities: BTreeMap<CommunityId, u64>,
    open: Vec<OpenTurn>,
    last_at: Option<Timestamp>,
}

impl Seal {
    pub(crate) fn new(origin: &str, first: u64, checkpoint_at: u64, state: &State) -> Self {
        Self {
            origin: origin.to_owned(),
            first,
            size: state.size(),
            checkpoint_at,
            frontier: state.tree.nodes().to_vec(),
            communities: state.communities.iter().map(|(id, next)| (*id, *next)).collect(),
            open: state.open_turns(),
            last_at: state.last_at,
        }
    }

    pub(crate) fn sign(&self, signer: &Signer) -> Result<String, serde_json::Error> {
        Ok(signer.sign(&format!("{SEAL}\n{}\n", serde_json::to_string(self)?)))
    }

    pub(crate) fn open(bytes: &[u8], trusted: &[Verifier]) -> Result<Self, NoteError> {
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed)?;
        let text = note::open(note, trusted)?;
        let json = text.strip_prefix(SEAL).and_then(|rest| rest.strip_prefix('\n'));
        let seal: Self = json.and_then(|json| serde_json::from_str(json).ok()).ok_or(NoteError::Malformed)?;
        let ours = trusted.iter().any(|verifier| verifier.name() == seal.origin);
        if ours { Ok(seal) } else { Err(NoteError::Malformed) }
    }

    pub(crate) fn state(&self) -> Option<State> {
        Some(State {
            tree: Frontier::from_parts(self.size, self.frontier.clone())?,
            next: self.size,
            communities: self.communities.iter().map(|(id, next)| (*id, *next)).collect(),
            open: self.open.iter().map(|turn| (turn.turn, *turn)).collect(),
            last_at: self.last_at,
        })
    }

    /// Whether the seal is the one of this segment and state.
    pub(crate) fn matches(&self, first: u64, state: &State) -> bool {
        *self == Self::new(&self.origin, first, self.checkpoint_at, state)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::{Clock as _, ManualClock, Secret};

    use super::*;

    fn skim(payload: &str) -> Skim<'_> {
        Skim::parse(payload.as_bytes()).unwrap()
    }

    #[test]
    fn a_seal_gives_back_the_state_and_no_changed_seal_opens() {
        let clock = ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let signer = Signer::new("log", &Secret::new([7; 32])).unwrap();
        let trusted = [signer.verifier().clone()];
        let mut state = State::new();
        for n in 0..5 {
            let mark = Mark::Opens(TurnId::new(&clock));
            state.push(Some(CommunityId::new(&clock)), mark, Some(clock.now()), TreeHash::leaf(&[n]));
        }
        assert_eq!(state.last_at(), Some(clock.now()));
        let note = Seal::new("log", 0, 77, &state).sign(&signer).unwrap();
        let seal = Seal::open(note.as_bytes(), &trusted).unwrap();
        assert_eq!(seal.state().unwrap(), state);
        assert!(seal.matches(0, &state) && !seal.matches(1, &state));
        for at in 0..note.len() {
            let mut changed = note.clone().into_bytes();
            changed[at] ^= 1;
            assert!(Seal::open(&changed, &trusted).is_err(), "byte {at}");
        }
    }

    #[test]
    fn every_broken_rule_is_reported() {
        let (a, t) = ("01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058");
        let record = |seq: u64, community: &str, event: &str| {
            format!(
                r#"{{"seq":{seq},"at":"2026-01-02T03:04:05Z"{community},"actor":"operator","event":{event}}}"#
            )
        };
        let opens = format!(r#"{{"kind":"turn.opened","turn":"{t}"}}"#);
        let closes = format!(r#"{{"kind":"turn.closed","turn":"{t}"}}"#);
        let in_a = |n: u64| format!(r#","community":"{a}","community_seq":{n}"#);
        let mut state = State::new();
        let mut seen = |payload: &str| {
            let mut all = Vec::new();
            state.take(&skim(payload), TreeHash::empty(), |violation| all.push(violation));
            all
        };
        assert_eq!(seen(&record(0, &in_a(0), &opens)), []);
        let (community, turn) = (a.parse().unwrap(), t.parse().unwrap());
        assert_eq!(
            seen(&record(3, &in_a(5), &opens)),
            [
                Violation::Sequence { expected: 1, found: 3 },
                Violation::CommunitySequence { community, expected: 1, found: 5 },
                Violation::TurnOpenedTwice(turn),
            ]
        );
        assert_eq!(seen(&record(4, &in_a(6), &closes)), [], "one flaw is reported once");
        assert_eq!(seen(&record(5, &in_a(7), &closes)), [Violation::TurnNotOpen(turn)]);
        let unnumbered = format!(r#","community":"{a}""#);
        assert_eq!(seen(&record(6, &unnumbered, r#"{"kind":"x"}"#)), [Violation::CommunityUnnumbered]);
    }
}
