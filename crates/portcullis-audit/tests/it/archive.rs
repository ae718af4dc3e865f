//! Proofs out of the stored journal, and checkpoints for keeping elsewhere.

use portcullis_audit::merkle::Frontier;
use portcullis_audit::{
    Archive, Checkpoint, Error, Fault, Journal, Options, Signer, TreeHash, VerifyOptions, verify_consistency,
    verify_inclusion,
};
use portcullis_core::Secret;

use crate::{Bench, entries, serving, trusted, verify};

#[test]
fn every_record_can_be_proved_against_every_later_size() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    bench.small(dir.path(), 40, Options { segment_bytes: 2000, ..serving() });
    let archive = Archive::new(dir.path());
    let leaves: Vec<TreeHash> =
        entries(&archive).iter().map(|entry| TreeHash::leaf(entry.payload.as_bytes())).collect();
    let root = |size: u64| {
        let mut tree = Frontier::new();
        leaves.iter().take(size as usize).for_each(|leaf| tree.push(*leaf));
        tree.root()
    };
    assert_eq!(archive.size().unwrap(), 40);
    assert_eq!(verify(&archive).root, root(40));
    for size in [1, 2, 3, 17, 32, 33, 40] {
        for index in (0..size).step_by(3) {
            let (leaf, proof) = archive.prove_inclusion(index, size).unwrap();
            assert_eq!(leaf, leaves[index as usize]);
            assert!(verify_inclusion(leaf, index, size, &proof, root(size)), "record {index} of {size}");
        }
        for old in 0..=size {
            let proof = archive.prove_consistency(old, size).unwrap();
            assert!(verify_consistency(old, root(old), size, root(size), &proof), "{old} to {size}");
        }
    }
    assert!(matches!(archive.prove_inclusion(40, 41), Err(Error::OutOfRange { size: 40 })));
    assert!(matches!(archive.prove_inclusion(3, 41), Err(Error::OutOfRange { size: 40 })));
    assert!(matches!(archive.prove_consistency(3, 41), Err(Error::OutOfRange { size: 40 })));
    assert!(matches!(archive.prove_consistency(5, 4), Err(Error::OutOfRange { size: 40 })));
}

#[test]
fn the_latest_checkpoint_opens_elsewhere_with_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    bench.small(dir.path(), 9, Options { checkpoint_records: 2, ..serving() });
    let archive = Archive::new(dir.path());
    let (checkpoint, note) = archive.latest_checkpoint(&trusted()).unwrap().unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (9, verify(&archive).root));
    assert_eq!(Checkpoint::open(&note, &trusted()).unwrap(), checkpoint);
    assert!(note.starts_with("example.org/audit\n9\n") && note.lines().count() == 5, "{note}");
    assert!(Checkpoint::open(&note.replace("\n9\n", "\n8\n"), &trusted()).is_err());
}

#[test]
fn a_journal_that_was_cut_back_with_its_checkpoints_fails_against_an_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    bench.small(dir.path(), 5, serving());
    let archive = Archive::new(dir.path());
    let kept: Vec<_> = ["00000000000000000000.log", "checkpoints"]
        .map(|name| (name, std::fs::read(dir.path().join(name)).unwrap()))
        .into();
    bench.small(dir.path(), 5, serving());
    let (anchor, _) = archive.latest_checkpoint(&trusted()).unwrap().unwrap();
    let options = VerifyOptions { anchors: vec![anchor], ..VerifyOptions::new(trusted()) };
    assert!(archive.verify(&options).unwrap().is_ok());
    for (name, bytes) in kept {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    assert_eq!(verify(&archive).records, 5, "nothing inside shows the cut");
    let problems = archive.verify(&options).unwrap().unwrap_err();
    assert_eq!(problems.listed.len(), 1);
    assert_eq!(problems.listed[0].to_string(), "`anchor` at byte 0: 10 records were signed, 5 are there");
}

#[test]
fn a_journal_goes_on_under_a_new_key_when_the_earlier_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let options = Options { segment_bytes: 1000, ..serving() };
    bench.small(dir.path(), 10, options.clone());
    let new = || Signer::new("example.org/audit", &Secret::new([9; 32])).unwrap();
    let unnamed = Journal::open(dir.path(), options.clone(), new(), bench.clock());
    assert!(matches!(unnamed, Err(Error::Damaged { fault: Fault::NoteSignature, .. })), "{unnamed:?}");
    let options = Options { earlier_keys: trusted(), ..options };
    let (journal, recovery) = Journal::open(dir.path(), options, new(), bench.clock()).unwrap();
    assert_eq!(recovery.records, 10);
    for _ in 0..10 {
        journal.append_blocking(bench.refused(0)).unwrap();
    }
    journal.close_blocking().unwrap();
    let verify = |keys| Archive::new(dir.path()).verify(&VerifyOptions::new(keys)).unwrap();
    let both = [trusted(), vec![new().verifier().clone()]].concat();
    assert_eq!(verify(both).unwrap().signed, 20);
    for one in [trusted(), vec![new().verifier().clone()]] {
        let problems = verify(one).unwrap_err();
        assert!(problems.listed.iter().any(|problem| problem.fault == Fault::NoteSignature), "{problems}");
    }
}
