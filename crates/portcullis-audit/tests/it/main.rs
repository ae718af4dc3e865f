//! The journal through its public face: on real files, and on a disk that loses, refuses and shortens writes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, in its own functions too, and shows what it printed"
)]

mod archive;
mod crash;
mod faults;
mod model;
mod sharing;
mod sim_disk;
mod tamper;

use std::path::Path;
use std::sync::Arc;

use portcullis_audit::{
    ActorRef, Archive, Entry, Event, Filter, Journal, Options, Outcome, Record, Recovery, Signer, Use,
    Verified, Verifier, VerifyOptions,
};
use portcullis_core::{Clock, CommunityId, DocumentId, ManualClock, MemberId, RequestId, Secret, TurnId};

/// Everything a test needs beside the journal itself.
#[derive(Debug, Clone)]
struct Bench {
    clock: Arc<ManualClock>,
    communities: Vec<CommunityId>,
    member: MemberId,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap()));
        let communities = (0..3).map(|_| CommunityId::new(&*clock)).collect();
        let member = MemberId::new(&*clock);
        Self { clock, communities, member }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    fn record(&self, community: usize, event: Event) -> Record {
        Record { community: Some(self.communities[community]), actor: ActorRef::Member(self.member), event }
    }

    fn opened(&self, community: usize, documents: usize) -> (TurnId, Record) {
        let turn = TurnId::new(&*self.clock);
        let event = Event::TurnOpened {
            turn,
            request: RequestId::new(&*self.clock),
            streaming: true,
            documents: (0..documents).map(|_| DocumentId::new(&*self.clock)).collect(),
            withheld: Vec::new(),
        };
        (turn, self.record(community, event))
    }

    fn closed(&self, community: usize, turn: TurnId) -> Record {
        self.record(community, Event::TurnClosed { turn, outcome: Outcome::Answered, usage: None })
    }

    fn refused(&self, community: usize) -> Record {
        let request = RequestId::new(&*self.clock);
        let event = Event::Refused { request, guard: "rate-limit".into(), code: "rate_limited".into() };
        self.record(community, event)
    }

    fn open(&self, dir: &Path, options: Options) -> Result<(Journal, Recovery), portcullis_audit::Error> {
        Journal::open(dir, options, signer(), self.clock())
    }

    /// A closed journal on real files with that many records, one in a frame.
    fn small(&self, dir: &Path, records: usize, options: Options) {
        let (journal, _) = self.open(dir, options).unwrap();
        for n in 0..records {
            journal.append_blocking(self.refused(n % 3)).unwrap();
        }
        journal.close_blocking().unwrap();
    }
}

fn signer() -> Signer {
    Signer::new("example.org/audit", &Secret::new([7; 32])).unwrap()
}

fn trusted() -> Vec<Verifier> {
    vec![signer().verifier().clone()]
}

fn verify(archive: &Archive) -> Verified {
    archive.verify(&VerifyOptions::new(trusted())).unwrap().unwrap()
}

fn entries(archive: &Archive) -> Vec<Entry> {
    archive.read(Filter::default()).unwrap().collect::<Result<_, _>>().unwrap()
}

fn serving() -> Options {
    Options::new(Use::Serving)
}

fn administering() -> Options {
    Options::new(Use::Administering)
}
