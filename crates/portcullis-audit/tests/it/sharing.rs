//! Several processes on one journal, as far as locks can tell: every opening of a lock file excludes every other.

use std::collections::HashMap;
use std::path::Path;
use std::thread;

use portcullis_audit::{Archive, Error, Fault, Options, Use, VerifyOptions};
use portcullis_core::CommunityId;

use crate::{Bench, administering, entries, serving, trusted, verify};

#[test]
fn two_writers_interleave_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let small = |options: Options| Options { segment_bytes: 4000, checkpoint_records: 7, ..options };
    let (server, _) = bench.open(dir.path(), small(serving())).unwrap();
    let (command, _) = bench.open(dir.path(), small(administering())).unwrap();
    let receipts: Vec<_> = thread::scope(|scope| {
        let writers = [&server, &command].map(|journal| {
            let bench = &bench;
            scope.spawn(move || {
                let write = |n: usize| (n % 3, journal.append_blocking(bench.refused(n % 3)).unwrap());
                (0..150).map(write).collect::<Vec<_>>()
            })
        });
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    server.close_blocking().unwrap();
    command.close_blocking().unwrap();

    let archive = Archive::new(dir.path());
    let found = entries(&archive);
    assert_eq!(found.len(), 300);
    let mut numbers: HashMap<CommunityId, Vec<u64>> = HashMap::new();
    for (community, receipt) in receipts {
        let entry = &found[receipt.seq as usize];
        assert_eq!((entry.seq, entry.community_seq), (receipt.seq, receipt.community_seq));
        numbers.entry(bench.communities[community]).or_default().push(receipt.community_seq.unwrap());
    }
    for numbers in numbers.values_mut() {
        numbers.sort_unstable();
        assert_eq!(*numbers, (0..100).collect::<Vec<_>>());
    }
    assert_eq!(verify(&archive).signed, 300);
}

#[test]
fn only_one_process_serves_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let (first, _) = bench.open(dir.path(), serving()).unwrap();
    let refused = bench.open(dir.path(), serving()).unwrap_err();
    assert!(matches!(refused, Error::AlreadyServing { .. }), "{refused:?}");
    let (command, recovery) = bench.open(dir.path(), administering()).unwrap();
    assert_eq!(recovery.records, 0);
    drop(command);
    first.close_blocking().unwrap();
    let (second, _) = bench.open(dir.path(), serving()).unwrap();
    drop(second);
    bench.open(dir.path(), serving()).unwrap();
}

#[test]
fn a_command_beside_a_server_does_not_close_its_turns() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let (server, _) = bench.open(dir.path(), serving()).unwrap();
    let (turn, opened) = bench.opened(0, 3);
    server.append_blocking(opened).unwrap();
    let (command, recovery) = bench.open(dir.path(), administering()).unwrap();
    assert_eq!((recovery.records, recovery.interrupted), (1, Vec::new()));
    command.append_blocking(bench.refused(0)).unwrap();
    command.close_blocking().unwrap();
    server.append_blocking(bench.closed(0, turn)).unwrap();
    drop(server);
    let (_server, recovery) = bench.open(dir.path(), serving()).unwrap();
    assert_eq!((recovery.records, recovery.interrupted), (3, Vec::new()));
}

#[test]
fn what_a_server_with_a_larger_number_leaves_unsigned_is_no_damage_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let (server, _) = bench.open(dir.path(), Options { checkpoint_records: 10_000, ..serving() }).unwrap();
    for n in 0..600 {
        server.append_blocking(bench.refused(n % 3)).unwrap();
    }
    // The number was lowered in the configuration meanwhile.
    let lowered = || Options { checkpoint_records: 1, ..administering() };
    let judged = |dir: &Path| {
        Archive::new(dir)
            .verify(&VerifyOptions { checkpoint_records: 1, ..VerifyOptions::new(trusted()) })
            .unwrap()
    };
    assert_eq!(judged(dir.path()).unwrap().records, 600);
    // What was left so and has no server any more is judged by the number that is given.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    assert!(judged(copy.path()).is_err());
    for options in [lowered(), Options { used_for: Use::Serving, ..lowered() }] {
        let refused = bench.open(copy.path(), options).unwrap_err();
        assert!(
            matches!(refused, Error::Damaged { fault: Fault::Unsigned { records: 599 }, .. }),
            "{refused:?}"
        );
    }
    let (command, _) = bench.open(dir.path(), lowered()).unwrap();
    command.append_blocking(bench.refused(0)).unwrap();
    command.close_blocking().unwrap();
    server.close_blocking().unwrap();
    assert_eq!(verify(&Archive::new(dir.path())).records, 601);
}

#[test]
fn the_journal_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("deeper").join("audit");
    let bench = Bench::new();
    bench.small(&dir, 5, Options { segment_bytes: 500, ..serving() });
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&dir).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[test]
fn reading_works_on_a_copy_while_a_server_runs_and_without_write_access() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let (server, _) = bench.open(dir.path(), serving()).unwrap();
    server.append_blocking(bench.refused(0)).unwrap();
    server.append_blocking(bench.refused(0)).unwrap();
    assert_eq!(verify(&Archive::new(dir.path())).records, 2);
    let copy = tempfile::tempdir().unwrap();
    for name in ["00000000000000000000.log", "checkpoints"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let before: Vec<_> = std::fs::read_dir(copy.path()).unwrap().collect();
    assert_eq!(verify(&Archive::new(copy.path())).records, 2);
    assert_eq!(std::fs::read_dir(copy.path()).unwrap().count(), before.len(), "reading creates no file");
}
