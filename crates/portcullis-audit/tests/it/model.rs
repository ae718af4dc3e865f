//! The journal against a model of it: random records, reopened at random, read back through random filters.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Archive, Entry, Event, Filter, Options, Outcome, Record};
use portcullis_core::{Clock as _, CommunityId, TurnId};
use proptest::prelude::*;

use crate::sim_disk::SimDisk;
use crate::{Bench, entries, serving, verify};

const DIR: &str = "/journal";

#[derive(Debug, Clone)]
enum Step {
    Open { community: usize, documents: usize },
    Close { which: usize },
    Refuse { community: usize },
    Instance,
    Wait { ms: u64 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 0..30_usize).prop_map(|(community, documents)| Step::Open { community, documents }),
        3 => (0..8_usize).prop_map(|which| Step::Close { which }),
        4 => (0..3_usize).prop_map(|community| Step::Refuse { community }),
        1 => Just(Step::Instance),
        2 => (0..90_000_u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Default)]
struct Model {
    records: Vec<Record>,
    next: HashMap<CommunityId, u64>,
    numbers: Vec<Option<u64>>,
    open: Vec<(TurnId, usize)>,
}

impl Model {
    fn add(&mut self, record: Record) -> (u64, Option<u64>) {
        let number = record.community.map(|community| {
            let next = self.next.entry(community).or_default();
            *next += 1;
            *next - 1
        });
        self.records.push(record);
        self.numbers.push(number);
        (self.records.len() as u64 - 1, number)
    }
}

fn turn_of(entry: &Entry) -> Option<TurnId> {
    match entry.event {
        Some(Event::TurnOpened { turn, .. } | Event::TurnClosed { turn, .. }) => Some(turn),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_journal_does_what_its_model_does(
        steps in prop::collection::vec(step(), 1..80),
        segment_bytes in 300..6000_u64,
        checkpoint_records in 1..20_u64,
    ) {
        let (bench, disk) = (Bench::new(), SimDisk::new());
        let options =
            Options { disk: Arc::new(disk.clone()), segment_bytes, checkpoint_records, ..serving() };
        let mut model = Model::default();
        let (mut journal, _) = bench.open(Path::new(DIR), options.clone()).unwrap();
        for step in steps {
            let record = match step {
                Step::Wait { ms } => {
                    bench.clock.advance(Duration::from_millis(ms));
                    continue;
                }
                Step::Reopen => {
                    drop(journal);
                    let (again, recovery) = bench.open(Path::new(DIR), options.clone()).unwrap();
                    journal = again;
                    let open: Vec<TurnId> = model.open.iter().map(|(turn, _)| *turn).collect();
                    prop_assert_eq!(&recovery.interrupted, &open);
                    prop_assert_eq!(recovery.records, model.records.len() as u64);
                    prop_assert_eq!((recovery.signed, recovery.unfinished_bytes), (recovery.records, 0));
                    for (turn, community) in std::mem::take(&mut model.open) {
                        let event = Event::TurnClosed { turn, outcome: Outcome::Interrupted, usage: None };
                        let community = Some(bench.communities[community]);
                        model.add(Record { community, actor: portcullis_audit::ActorRef::Instance, event });
                    }
                    continue;
                }
                Step::Open { community, documents } => {
                    let (turn, record) = bench.opened(community, documents);
                    model.open.push((turn, community));
                    record
                }
                Step::Close { which } => {
                    if which >= model.open.len() {
                        continue;
                    }
                    let (turn, community) = model.open.remove(which);
                    bench.closed(community, turn)
                }
                Step::Refuse { community } => bench.refused(community),
                Step::Instance => Record {
                    community: None,
                    actor: portcullis_audit::ActorRef::Instance,
                    event: Event::ServeStopped,
                },
            };
            let receipt = journal.append_blocking(record.clone()).unwrap();
            prop_assert_eq!((receipt.seq, receipt.community_seq), model.add(record));
            prop_assert_eq!(receipt.at, bench.clock.now());
        }
        journal.close_blocking().unwrap();

        let archive = Archive::on(Arc::new(disk), Path::new(DIR));
        let all = entries(&archive);
        prop_assert_eq!(all.len(), model.records.len());
        for (entry, (record, number)) in all.iter().zip(model.records.iter().zip(&model.numbers)) {
            prop_assert_eq!((entry.community, entry.actor), (record.community, record.actor));
            prop_assert_eq!((entry.event.as_ref(), entry.community_seq), (Some(&record.event), *number));
        }
        let verified = verify(&archive);
        prop_assert_eq!(&verified.communities, &model.next);
        prop_assert_eq!(verified.open_turns.len(), model.open.len());
        prop_assert_eq!(verified.signed, all.len() as u64);
        if let Some(middle) = all.get(all.len() / 2) {
            let filters = [
                Filter { community: middle.community, ..Filter::default() },
                Filter { turn: turn_of(middle), ..Filter::default() },
                Filter { kind: Some("turn.closed".into()), ..Filter::default() },
                Filter { from: Some(middle.at), ..Filter::default() },
                Filter { until: Some(middle.at), ..Filter::default() },
                Filter { from_seq: middle.seq, ..Filter::default() },
            ];
            for filter in filters {
                let taken = |entry: &&Entry| {
                    filter.community.is_none_or(|community| entry.community == Some(community))
                        && filter.turn.is_none_or(|turn| turn_of(entry) == Some(turn))
                        && filter.kind.as_ref().is_none_or(|kind| entry.event.as_ref().unwrap().kind() == kind)
                        && filter.from.is_none_or(|from| entry.at >= from)
                        && filter.until.is_none_or(|until| entry.at < until)
                        && entry.seq >= filter.from_seq
                };
                let expected: Vec<&Entry> = all.iter().filter(taken).collect();
                let found: Vec<Entry> = archive.read(filter.clone()).unwrap().map(Result::unwrap).collect();
                prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            }
        }
    }
}
