//! The machine dies at a random operation, again and again.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use portcullis_audit::{Archive, Event, Journal, Options, Outcome, Receipt, Record};
use portcullis_core::TurnId;
use tokio::task::JoinSet;

use crate::sim_disk::{Plan, Random, SimDisk};
use crate::{Bench, entries, serving, verify};

const SEEDS: u64 = 60;
const ROUNDS: usize = 4;
const DIR: &str = "/journal";

/// The seeds to run: all, or the one in `PORTCULLIS_CRASH_SEED`.
#[expect(clippy::disallowed_methods, reason = "a test's own switch, to replay one seed")]
fn seeds() -> Vec<u64> {
    match std::env::var("PORTCULLIS_CRASH_SEED") {
        Ok(seed) => vec![seed.parse().expect("PORTCULLIS_CRASH_SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    }
}

/// What was acknowledged, and what must follow from it.
#[derive(Debug, Default)]
struct Acknowledged {
    records: Vec<(Receipt, Record)>,
    open: Vec<TurnId>,
}

impl Acknowledged {
    fn add(&mut self, receipt: Receipt, record: Record) {
        match &record.event {
            Event::TurnOpened { turn, .. } => self.open.push(*turn),
            Event::TurnClosed { turn, .. } => self.open.retain(|open| open != turn),
            _ => {}
        }
        self.records.push((receipt, record));
    }
}

fn options(disk: &SimDisk, random: &mut Random) -> Options {
    Options {
        disk: Arc::new(disk.clone()),
        segment_bytes: 500 + random.next() % 8000,
        checkpoint_records: 2 + random.next() % 20,
        ..serving()
    }
}

/// Mostly the machine has died, sometimes only the process.
fn come_back(disk: &SimDisk, random: &mut Random) {
    if random.below(4) == 0 { disk.continue_after_kill() } else { disk.restart(random) }
}

/// Opens the journal, sometimes dying while it is opened.
fn open(bench: &Bench, disk: &SimDisk, random: &mut Random) -> (Journal, portcullis_audit::Recovery) {
    for _ in 0..3 {
        if random.below(3) == 0 {
            let dies_at = Some(disk.operations() + 1 + random.next() % 60);
            disk.plan(Plan { dies_at, ..Plan::default() });
            let opened = bench.open(Path::new(DIR), options(disk, random));
            drop(opened);
            come_back(disk, random);
        }
    }
    bench.open(Path::new(DIR), options(disk, random)).unwrap()
}

fn judge(bench: &Bench, disk: &SimDisk, acknowledged: &mut Acknowledged, random: &mut Random, what: &str) {
    let (journal, _) = open(bench, disk, random);
    let archive = Archive::on(Arc::new(disk.clone()), Path::new(DIR));
    let found = entries(&archive);
    for (receipt, record) in &acknowledged.records {
        let entry = found.get(receipt.seq as usize).unwrap_or_else(|| panic!("{what}: {receipt:?} is lost"));
        assert_eq!(entry.event.as_ref(), Some(&record.event), "{what}: {receipt:?} changed");
        assert_eq!((entry.seq, entry.at, entry.community), (receipt.seq, receipt.at, record.community));
        assert_eq!((entry.community_seq, entry.actor), (receipt.community_seq, record.actor), "{what}");
    }
    let mut ends: HashMap<TurnId, Vec<Outcome>> = HashMap::new();
    for entry in &found {
        if let Some(Event::TurnClosed { turn, outcome, .. }) = &entry.event {
            ends.entry(*turn).or_default().push(outcome.clone());
        }
    }
    for turn in acknowledged.open.drain(..) {
        // One whose closing was written and not acknowledged may have been answered.
        let end = ends.get(&turn).map(Vec::as_slice);
        assert!(
            matches!(end, Some([Outcome::Interrupted | Outcome::Answered])),
            "{what}: turn {turn} ended {end:?}"
        );
    }
    let verified = verify(&archive);
    assert_eq!((verified.records, verified.open_turns.len()), (found.len() as u64, 0), "{what}");
    assert_eq!(verified.signed, verified.records, "{what}: a start signs what it finds");
    journal.close_blocking().unwrap();
}

/// One record after the other: the seed decides everything.
fn one_by_one(bench: &Bench, journal: &Journal, acknowledged: &mut Acknowledged, random: &mut Random) {
    for _ in 0..40 {
        let community = random.below(3);
        let record = match (random.below(3), acknowledged.open.first()) {
            (0, _) => bench.opened(community, random.below(60)).1,
            (1, Some(turn)) => bench.closed(community, *turn),
            _ => bench.refused(community),
        };
        match journal.append_blocking(record.clone()) {
            Ok(receipt) => acknowledged.add(receipt, record),
            Err(_) => {
                assert!(journal.failure().is_some());
                break;
            }
        }
    }
}

/// Many at once, so that frames hold several records. Here the threads' timing has a say too.
fn at_once(bench: &Bench, journal: &Arc<Journal>, acknowledged: &mut Acknowledged, random: &mut Random) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answers = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..40 {
            let (journal, (_, record)) =
                (Arc::clone(journal), bench.opened(random.below(3), random.below(20)));
            tasks.spawn(async move { journal.append(record.clone()).await.map(|receipt| (receipt, record)) });
        }
        tasks.join_all().await
    });
    for (receipt, record) in answers.into_iter().flatten() {
        acknowledged.add(receipt, record);
    }
}

fn crash_again_and_again(seed: u64, work: impl Fn(&Bench, &Arc<Journal>, &mut Acknowledged, &mut Random)) {
    let mut random = Random::seeded(seed);
    let (bench, disk) = (Bench::new(), SimDisk::new());
    let mut acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let what = format!("seed {seed} (PORTCULLIS_CRASH_SEED={seed} replays it), round {round}");
        // The last line that a failing run shows.
        println!("{what}");
        let (journal, _) = open(&bench, &disk, &mut random);
        let journal = Arc::new(journal);
        let dies_at = Some(disk.operations() + 1 + random.next() % 400);
        disk.plan(Plan { dies_at, ..Plan::default() });
        work(&bench, &journal, &mut acknowledged, &mut random);
        drop(journal);
        come_back(&disk, &mut random);
        judge(&bench, &disk, &mut acknowledged, &mut random, &what);
    }
}

#[test]
fn every_acknowledged_record_survives_a_crash_at_any_point() {
    for seed in seeds() {
        crash_again_and_again(seed, |bench, journal, acknowledged, random| {
            one_by_one(bench, journal, acknowledged, random);
        });
    }
}

#[test]
fn every_acknowledged_record_of_a_group_survives_a_crash_at_any_point() {
    for seed in seeds().into_iter().step_by(2) {
        crash_again_and_again(seed, at_once);
    }
}

#[test]
fn a_start_that_dies_while_it_closes_many_turns_is_no_damage() {
    let options =
        |disk: &SimDisk| Options { disk: Arc::new(disk.clone()), checkpoint_records: 100, ..serving() };
    let (mut died, mut all_closed_unsigned) = (true, false);
    for dies_after in 1.. {
        if !died {
            break;
        }
        let (bench, disk) = (Bench::new(), SimDisk::new());
        let (journal, _) = bench.open(Path::new(DIR), options(&disk)).unwrap();
        for _ in 0..600 {
            journal.append_blocking(bench.opened(0, 0).1).unwrap();
        }
        disk.plan(Plan { dies_at: Some(disk.operations() + 1), ..Plan::default() });
        drop(journal);
        disk.continue_after_kill();
        disk.plan(Plan { dies_at: Some(disk.operations() + dies_after), ..Plan::default() });
        died = bench.open(Path::new(DIR), options(&disk)).is_err();
        disk.continue_after_kill();
        let (journal, recovery) = bench.open(Path::new(DIR), options(&disk)).unwrap();
        all_closed_unsigned |= recovery.records == 1200 && recovery.signed < 1200;
        journal.close_blocking().unwrap();
        let archive = Archive::on(Arc::new(disk.clone()), Path::new(DIR));
        let verified = verify(&archive);
        assert_eq!((verified.records, verified.open_turns.len()), (1200, 0), "dies after {dies_after}");
    }
    assert!(all_closed_unsigned);
}
