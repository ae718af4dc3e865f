//! Full disks, short writes, disks that do not sync.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis_audit::disk::{Access, Disk as _};
use portcullis_audit::{Archive, Change, Error, Event, Options, Target};
use portcullis_core::MemberId;
use tokio::task::JoinSet;

use crate::sim_disk::{Plan, SimDisk};
use crate::{Bench, administering, entries, serving, verify};

const DIR: &str = "/journal";

fn on(disk: &SimDisk) -> Options {
    Options { disk: Arc::new(disk.clone()), ..serving() }
}

fn archive(disk: &SimDisk) -> Archive {
    Archive::on(Arc::new(disk.clone()), Path::new(DIR))
}

#[test]
fn after_a_failed_write_nothing_is_recorded_until_the_journal_is_opened_again() {
    let plans = [
        Plan { room: Some(2500), ..Plan::default() },
        Plan { room: Some(2500), refuses_cuts: true, ..Plan::default() },
        Plan { room: Some(0), ..Plan::default() },
        Plan { refuses_syncs: true, ..Plan::default() },
    ];
    for plan in plans {
        let (bench, disk) = (Bench::new(), SimDisk::new());
        let (journal, _) = bench.open(Path::new(DIR), on(&disk)).unwrap();
        journal.append_blocking(bench.refused(0)).unwrap();
        disk.plan(plan);
        let mut written = 1;
        let error = loop {
            match journal.append_blocking(bench.refused(1)) {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Stopped { .. }), "{plan:?}: {error:?}");
        disk.plan(Plan::default());
        for _ in 0..3 {
            let again = journal.append_blocking(bench.refused(2)).unwrap_err();
            assert!(matches!(again, Error::Stopped { .. }), "there is room again, yet no one looked");
        }
        assert!(journal.failure().is_some());
        assert!(journal.close_blocking().is_err(), "a close that could not sign says so");
        drop(journal);

        let (journal, recovery) = bench.open(Path::new(DIR), on(&disk)).unwrap();
        assert!(recovery.records >= written, "{plan:?}: {recovery:?}");
        let partial = plan.refuses_cuts;
        assert_eq!(recovery.unfinished_bytes > 0, partial, "{plan:?}: {recovery:?}");
        journal.append_blocking(bench.refused(0)).unwrap();
        journal.close_blocking().unwrap();
        assert_eq!(verify(&archive(&disk)).records, recovery.records + 1);
    }
}

#[test]
fn writes_that_are_cut_short_are_finished() {
    let (bench, disk) = (Bench::new(), SimDisk::new());
    disk.plan(Plan { at_most: Some(7), ..Plan::default() });
    let options = Options { segment_bytes: 600, ..on(&disk) };
    let (journal, _) = bench.open(Path::new(DIR), options).unwrap();
    for n in 0..30 {
        assert_eq!(journal.append_blocking(bench.refused(0)).unwrap().seq, n);
    }
    journal.close_blocking().unwrap();
    assert_eq!(verify(&archive(&disk)).records, 30);
}

#[test]
fn records_that_wait_together_share_one_sync() {
    let (bench, disk) = (Bench::new(), SimDisk::new());
    let options = Options { checkpoint_records: 1_000_000, ..on(&disk) };
    let (journal, _) = bench.open(Path::new(DIR), options).unwrap();
    let journal = Arc::new(journal);
    journal.append_blocking(bench.refused(0)).unwrap();
    // Whoever holds the lock keeps the writer waiting, so the rest queues up.
    let mut lock = disk.open_lock(&Path::new(DIR).join("journal.lock"), Access::Append).unwrap();
    lock.lock().unwrap();
    let before = disk.syncs();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let numbers = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        let queued = Arc::new(AtomicUsize::new(0));
        for _ in 0..200 {
            let (journal, record, queued) = (Arc::clone(&journal), bench.refused(1), Arc::clone(&queued));
            tasks.spawn(async move {
                // There is room in the queue, so the record is in it when this task first waits.
                queued.fetch_add(1, Ordering::SeqCst);
                journal.append(record).await.unwrap().seq
            });
        }
        while queued.load(Ordering::SeqCst) < 200 {
            tokio::task::yield_now().await;
        }
        lock.unlock().unwrap();
        tasks.join_all().await
    });
    assert_eq!(numbers.len(), 200);
    assert!(disk.syncs() - before <= 4, "{} syncs for 200 records", disk.syncs() - before);
    journal.close_blocking().unwrap();
    assert_eq!(entries(&archive(&disk)).len(), 201);
}

#[test]
fn a_record_that_breaks_a_rule_is_refused_and_the_journal_goes_on() {
    let (bench, disk) = (Bench::new(), SimDisk::new());
    let (journal, _) = bench.open(Path::new(DIR), on(&disk)).unwrap();
    let (turn, opened) = bench.opened(0, 0);
    assert!(
        matches!(journal.append_blocking(bench.closed(0, turn)), Err(Error::TurnNotOpen(id)) if id == turn)
    );
    journal.append_blocking(opened.clone()).unwrap();
    assert!(matches!(journal.append_blocking(opened), Err(Error::TurnAlreadyOpen(id)) if id == turn));
    journal.append_blocking(bench.closed(0, turn)).unwrap();
    assert!(matches!(journal.append_blocking(bench.closed(0, turn)), Err(Error::TurnNotOpen(_))));
    let mut large = Change::new("member.added", Vec::new());
    large.targets = (0..1000).map(|_| Target::from(MemberId::new(&*bench.clock))).collect();
    let refused = journal.append_blocking(bench.record(0, Event::Administered(large)));
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    assert_eq!(journal.append_blocking(bench.refused(0)).unwrap().community_seq, Some(2));

    let options = Options { disk: Arc::new(disk.clone()), ..administering() };
    let (command, _) = bench.open(Path::new(DIR), options).unwrap();
    assert!(matches!(command.append_blocking(bench.opened(0, 0).1), Err(Error::NotServing)));
    drop(command);
    journal.close_blocking().unwrap();
    assert!(matches!(journal.append_blocking(bench.refused(0)), Err(Error::Closed)));
    journal.close_blocking().unwrap();
    assert_eq!(verify(&archive(&disk)).records, 3);
}

#[test]
fn a_checkpoint_is_signed_by_count_by_time_and_at_the_end() {
    let (bench, disk) = (Bench::new(), SimDisk::new());
    let signed = |disk: &SimDisk| {
        archive(disk)
            .latest_checkpoint(&crate::trusted())
            .unwrap()
            .map_or(0, |(checkpoint, _)| checkpoint.size)
    };
    let options =
        Options { checkpoint_records: 5, checkpoint_interval: Duration::from_secs(60), ..on(&disk) };
    let (journal, _) = bench.open(Path::new(DIR), options).unwrap();
    // The answer comes before the checkpoint, so each is looked for after one more answer.
    let append = || journal.append_blocking(bench.refused(0)).unwrap().seq + 1;
    append();
    append();
    assert_eq!(signed(&disk), 1, "the first record is signed at once");
    while append() < 7 {}
    assert_eq!(signed(&disk), 6, "then every five");
    bench.clock.advance(Duration::from_secs(61));
    append();
    append();
    let after_a_minute = signed(&disk);
    assert!(after_a_minute == 7 || after_a_minute == 8, "and after a minute, not only at {after_a_minute}");
    journal.close_blocking().unwrap();
    assert_eq!(signed(&disk), 9, "and at the end");
}

#[test]
fn a_checkpoint_is_signed_by_time_without_another_record() {
    let (bench, disk) = (Bench::new(), SimDisk::new());
    let options = Options { checkpoint_interval: Duration::from_millis(1), ..on(&disk) };
    let (journal, _) = bench.open(Path::new(DIR), options).unwrap();
    journal.append_blocking(bench.refused(0)).unwrap();
    journal.append_blocking(bench.refused(0)).unwrap();
    bench.clock.advance(Duration::from_secs(1));
    let start = Instant::now();
    let signed =
        || archive(&disk).latest_checkpoint(&crate::trusted()).unwrap().map(|(newest, _)| newest.size);
    while signed() != Some(2) {
        assert!(start.elapsed() < Duration::from_secs(30), "the second record is never signed");
        std::thread::yield_now();
    }
    journal.close_blocking().unwrap();
}
