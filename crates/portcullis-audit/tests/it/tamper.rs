//! What someone who can write the files might try. They know the format; they do not have the key.

use std::fs;
use std::path::Path;

use portcullis_audit::{
    Archive, Error, Fault, Filter, Options, Problems, Signer, Use, VerifyOptions, Violation,
};
use portcullis_core::{Clock as _, Secret};
use ring::digest::{SHA256, digest};

use crate::{Bench, administering, entries, serving, trusted, verify};

const LOG: &str = "00000000000000000000.log";
const CHECKPOINTS: &str = "checkpoints";

/// The documented layout of a frame, written a second time, as an attacker would.
fn frame(first: u64, records: &[Vec<u8>]) -> Vec<u8> {
    let mut leaves = Vec::new();
    let mut body = Vec::new();
    for record in records {
        leaves.extend(digest(&SHA256, &[&[0], record.as_slice()].concat()).as_ref());
        body.extend((record.len() as u32).to_le_bytes());
        body.extend(record);
    }
    let mut bytes = b"PAJ1".to_vec();
    bytes.extend((records.len() as u32).to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(&digest(&SHA256, &leaves).as_ref()[..16]);
    let check = digest(&SHA256, &bytes);
    bytes.extend(&check.as_ref()[..8]);
    bytes.extend(body);
    bytes
}

fn frames(payloads: &[String]) -> Vec<u8> {
    (0..).zip(payloads).flat_map(|(n, payload)| frame(n, &[payload.as_bytes().to_vec()])).collect()
}

fn problems(dir: &Path) -> Problems {
    Archive::new(dir).verify(&VerifyOptions::new(trusted())).unwrap().unwrap_err()
}

fn has(problems: &Problems, fault: impl Fn(&Fault) -> bool) -> bool {
    problems.listed.iter().any(|problem| fault(&problem.fault))
}

/// A directory with a small closed journal, and the payloads of its records.
fn journal(records: usize) -> (tempfile::TempDir, Bench, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    bench.small(dir.path(), records, serving());
    let payloads = entries(&Archive::new(dir.path())).into_iter().map(|entry| entry.payload).collect();
    (dir, bench, payloads)
}

#[test]
fn the_documented_layout_is_the_one_that_is_written() {
    let (dir, _, payloads) = journal(6);
    assert_eq!(fs::read(dir.path().join(LOG)).unwrap(), frames(&payloads));
}

#[test]
fn no_byte_can_be_changed_unnoticed() {
    let (dir, bench, _) = journal(4);
    for name in [LOG, CHECKPOINTS] {
        let path = dir.path().join(name);
        let original = fs::read(&path).unwrap();
        for at in 0..original.len() {
            for flip in [0x01, 0x20, 0xff, original[at]] {
                let mut bytes = original.clone();
                bytes[at] ^= flip;
                if bytes == original {
                    continue;
                }
                fs::write(&path, &bytes).unwrap();
                let problems = problems(dir.path());
                assert!(problems.listed.iter().any(|p| p.file == name), "{name} byte {at}: {problems}");
                if flip == 0xff {
                    let opened = bench.open(dir.path(), serving());
                    assert!(matches!(opened, Err(Error::Damaged { .. })), "{name} byte {at}: {opened:?}");
                    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing is repaired");
                }
            }
        }
        fs::write(&path, &original).unwrap();
    }
    assert_eq!(verify(&Archive::new(dir.path())).records, 4);
}

#[test]
fn a_log_cut_anywhere_below_its_last_checkpoint_is_neither_opened_nor_verified() {
    let (dir, bench, _) = journal(4);
    let path = dir.path().join(LOG);
    let original = fs::read(&path).unwrap();
    for len in 0..original.len() {
        fs::write(&path, &original[..len]).unwrap();
        assert!(has(&problems(dir.path()), |fault| matches!(fault, Fault::Missing { signed: 4, .. })));
        for options in [serving(), administering()] {
            let opened = bench.open(dir.path(), options);
            let missing = matches!(opened, Err(Error::Damaged { fault: Fault::Missing { .. }, .. }));
            assert!(missing, "cut to {len}: {opened:?}");
        }
        assert_eq!(fs::read(&path).unwrap(), original[..len], "nothing is repaired");
    }
}

#[test]
fn records_cannot_be_swapped_dropped_or_doubled() {
    let (dir, bench, payloads) = journal(6);
    let mut rearranged = vec![payloads.clone(); 4];
    rearranged[0].swap(2, 3);
    rearranged[1].remove(2);
    rearranged[2].insert(2, payloads[2].clone());
    rearranged[3].rotate_left(1);
    for payloads in rearranged {
        fs::write(dir.path().join(LOG), frames(&payloads)).unwrap();
        let found = problems(dir.path());
        assert!(has(&found, |fault| matches!(fault, Fault::Record(Violation::Sequence { .. }))), "{found}");
        assert!(bench.open(dir.path(), serving()).is_err());
    }
    // Whole frames dropped, with the numbers in their headers left as they were.
    let mut bytes = frames(&payloads);
    let len = frame(0, &[payloads[0].as_bytes().to_vec()]).len();
    bytes.drain(..len);
    fs::write(dir.path().join(LOG), bytes).unwrap();
    let found = problems(dir.path());
    assert!(has(&found, |fault| *fault == Fault::Discontinuous { expected: 0, found: 1 }), "{found}");
}

#[test]
fn a_log_rewritten_from_end_to_end_fails_its_checkpoints() {
    let (dir, bench, payloads) = journal(6);
    let forged: Vec<String> =
        payloads.iter().map(|payload| payload.replace("rate_limited", "quite_harmless")).collect();
    assert_ne!(forged, payloads);
    fs::write(dir.path().join(LOG), frames(&forged)).unwrap();
    let found = problems(dir.path());
    assert!(has(&found, |fault| *fault == Fault::Root { size: 6 }), "{found}");
    let opened = bench.open(dir.path(), serving()).unwrap_err();
    assert!(matches!(opened, Error::Damaged { fault: Fault::Root { .. }, .. }), "{opened:?}");

    // Without the checkpoints that tell.
    let checkpoints = fs::read_to_string(dir.path().join(CHECKPOINTS)).unwrap();
    fs::remove_file(dir.path().join(CHECKPOINTS)).unwrap();
    assert!(has(&problems(dir.path()), |fault| *fault == Fault::Unsigned { records: 6 }));
    let opened = bench.open(dir.path(), serving()).unwrap_err();
    assert!(matches!(opened, Error::Damaged { fault: Fault::Unsigned { .. }, .. }), "{opened:?}");

    // With checkpoints by a key of the same name.
    let mallory = Signer::new("example.org/audit", &Secret::new([8; 32])).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (journal, _) =
        portcullis_audit::Journal::open(elsewhere.path(), serving(), mallory, bench.clock()).unwrap();
    journal.append_blocking(bench.refused(0)).unwrap();
    journal.close_blocking().unwrap();
    for name in [LOG, CHECKPOINTS] {
        fs::copy(elsewhere.path().join(name), dir.path().join(name)).unwrap();
    }
    let found = problems(dir.path());
    assert!(has(&found, |fault| *fault == Fault::NoteSignature), "{found}");
    assert!(has(&found, |fault| matches!(fault, Fault::Unsigned { .. })), "{found}");
    assert!(bench.open(dir.path(), serving()).is_err());

    // With the true checkpoints in another order.
    let halves: Vec<&str> = checkpoints.split_inclusive("\n\n").collect();
    let mut notes: Vec<&[&str]> = halves.chunks(2).collect();
    assert!(notes.len() > 1, "{checkpoints}");
    notes.reverse();
    let notes = notes.concat();
    fs::write(dir.path().join(LOG), frames(&payloads)).unwrap();
    fs::write(dir.path().join(CHECKPOINTS), notes.concat()).unwrap();
    assert!(has(&problems(dir.path()), |fault| matches!(fault, Fault::NoteOrder { .. })));
}

#[test]
fn finished_segments_and_their_seals_are_guarded_too() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new();
    let options = Options { segment_bytes: 1500, ..serving() };
    bench.small(dir.path(), 20, options.clone());
    let archive = Archive::new(dir.path());
    let sealed = verify(&archive);
    assert_eq!(sealed.records, 20);
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".log") || name.ends_with(".seal"))
        .collect();
    names.sort();
    let logs: Vec<_> = names.iter().filter(|name| name.ends_with(".log")).cloned().collect();
    assert!(logs.len() >= 3 && names.len() == 2 * logs.len() - 1, "{names:?}");

    for name in &names {
        let path = dir.path().join(name);
        let original = fs::read(&path).unwrap();
        for at in (0..original.len()).step_by(37) {
            let mut bytes = original.clone();
            bytes[at] ^= 0x11;
            fs::write(&path, bytes).unwrap();
            assert!(problems(dir.path()).listed.iter().any(|p| p.file == *name), "{name} byte {at}");
        }
        fs::write(&path, &original).unwrap();
    }
    for name in &logs {
        let (path, away) = (dir.path().join(name), dir.path().join("away"));
        fs::rename(&path, &away).unwrap();
        let found = problems(dir.path());
        let told = |fault: &Fault| matches!(fault, Fault::Discontinuous { .. } | Fault::Missing { .. });
        assert!(has(&found, told), "{name}: {found}");
        if Some(name) == logs.last() {
            let opened = bench.open(dir.path(), options.clone());
            assert!(matches!(opened, Err(Error::Damaged { .. })), "{opened:?}");
        }
        fs::rename(&away, &path).unwrap();
    }
    assert_eq!(verify(&archive), sealed);

    // A seal is derived and can be done without, but not be wrong.
    let seals: Vec<_> = names.iter().filter(|name| name.ends_with(".seal")).collect();
    let last = dir.path().join(seals[seals.len() - 1]);
    fs::copy(dir.path().join(seals[0]), &last).unwrap();
    assert!(has(&problems(dir.path()), |fault| *fault == Fault::Seal));
    assert!(bench.open(dir.path(), options.clone()).is_err());
    fs::remove_file(&last).unwrap();
    let (_journal, recovery) = bench.open(dir.path(), options).unwrap();
    assert_eq!(recovery.records, 20);
}

/// Cuts the checkpoints to the first `kept`, removes every seal, and changes every record after the first, consistently.
fn rewrite_after(dir: &Path, kept: usize) {
    let checkpoints = fs::read_to_string(dir.join(CHECKPOINTS)).unwrap();
    let lines: Vec<&str> = checkpoints.split_inclusive("\n\n").collect();
    fs::write(dir.join(CHECKPOINTS), lines[..2 * kept].concat()).unwrap();
    let mut segments = Vec::new();
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("seal") => fs::remove_file(path).unwrap(),
            Some("log") => segments.push(path),
            _ => {}
        }
    }
    segments.sort();
    let firsts: Vec<usize> =
        segments.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().parse().unwrap()).collect();
    let payloads: Vec<String> = entries(&Archive::new(dir)).into_iter().map(|entry| entry.payload).collect();
    for (place, path) in segments.iter().enumerate() {
        let end = firsts.get(place + 1).copied().unwrap_or(payloads.len());
        let forged: Vec<u8> = (firsts[place]..end)
            .flat_map(|n| {
                let payload = payloads[n].replace("rate_limited", "quite_harmless");
                let payload = if n == 0 { payloads[0].clone() } else { payload };
                frame(n as u64, &[payload.into_bytes()])
            })
            .collect();
        fs::write(path, forged).unwrap();
    }
}

#[test]
fn a_journal_rewritten_after_an_early_checkpoint_is_neither_opened_nor_verified() {
    // One record is signed at once, then every ten; a frame that was written last may hold 512.
    let options = |used_for| Options { checkpoint_records: 10, ..Options::new(used_for) };
    for (unsigned, is_seen) in [(521, false), (522, true), (700, true)] {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::new();
        bench.small(dir.path(), 1 + unsigned as usize, options(Use::Serving));
        rewrite_after(dir.path(), 1);
        let judged = Archive::new(dir.path())
            .verify(&VerifyOptions { checkpoint_records: 10, ..VerifyOptions::new(trusted()) })
            .unwrap();
        let fault = Fault::Unsigned { records: unsigned };
        assert_eq!(
            judged.as_ref().is_err_and(|found| has(found, |told| *told == fault)),
            is_seen,
            "{judged:?}"
        );
        assert_eq!(judged.is_err(), is_seen, "{judged:?}");
        let before = fs::read(dir.path().join(CHECKPOINTS)).unwrap();
        for used_for in [Use::Administering, Use::Serving] {
            let opened = bench.open(dir.path(), options(used_for));
            let refused = matches!(&opened, Err(Error::Damaged { fault: told, .. }) if *told == fault);
            assert_eq!((refused, opened.is_err()), (is_seen, is_seen), "{unsigned}: {opened:?}");
            drop(opened);
            assert!(
                !is_seen || fs::read(dir.path().join(CHECKPOINTS)).unwrap() == before,
                "nothing is signed"
            );
        }
    }
}

#[test]
fn a_finished_segment_without_a_checkpoint_at_its_end_is_neither_opened_nor_verified() {
    let bench = Bench::new();
    let options = Options { segment_bytes: 1500, ..serving() };
    for kept in [1, 2, 3] {
        let dir = tempfile::tempdir().unwrap();
        bench.small(dir.path(), 30, options.clone());
        rewrite_after(dir.path(), kept);
        let found = problems(dir.path());
        assert!(has(&found, |fault| matches!(fault, Fault::UnsignedEnd { .. })), "{found}");
        for options in [options.clone(), Options { segment_bytes: 1500, ..administering() }] {
            let opened = bench.open(dir.path(), options);
            let fault = match &opened {
                Err(Error::Damaged { fault, .. }) => Some(*fault),
                _ => None,
            };
            // The first of these covers what was not changed.
            let told = match kept {
                1 => matches!(fault, Some(Fault::UnsignedEnd { .. })),
                _ => matches!(fault, Some(Fault::Root { .. })),
            };
            assert!(told, "{kept}: {opened:?}");
        }
    }
}

#[test]
fn every_problem_is_reported_not_only_the_first() {
    let (dir, _, payloads) = journal(12);
    let path = dir.path().join(LOG);
    let mut bytes = frames(&payloads);
    let ends: Vec<usize> = payloads
        .iter()
        .scan(0, |end, payload| {
            *end += 48 + payload.len();
            Some(*end)
        })
        .collect();
    bytes[ends[1] + 100] ^= 1; // the body of record 2
    bytes[ends[4] + 2] ^= 1; // the header of record 5
    bytes[ends[7] + 300] ^= 1; // the body of record 8
    fs::write(&path, bytes).unwrap();
    let found = problems(dir.path());
    let at = |offset: usize, fault: Fault| {
        found.listed.iter().any(|p| (p.file.as_str(), p.offset, p.fault) == (LOG, offset as u64, fault))
    };
    assert!(at(ends[1], Fault::FrameBody), "{found}");
    assert!(at(ends[4], Fault::FrameHeader), "{found}");
    assert!(at(ends[5], Fault::Discontinuous { expected: 5, found: 6 }), "{found}");
    assert!(at(ends[7], Fault::FrameBody), "{found}");
    assert!(has(&found, |fault| *fault == Fault::Unjudged), "later checkpoints cannot be judged");
    assert_eq!(found.records, 9);
}

#[test]
fn time_that_goes_back_further_than_the_tolerance_is_a_problem() {
    let (dir, _, payloads) = journal(1);
    let early = payloads[0].replace("\"seq\":0", "\"seq\":1").replace("_seq\":0", "_seq\":1");
    let early = early.replace("T03:04:05", "T02:04:05");
    assert_eq!(early.len(), payloads[0].len());
    fs::write(dir.path().join(LOG), frames(&[payloads[0].clone(), early])).unwrap();
    let found = problems(dir.path());
    let back = Fault::Record(Violation::TimeWentBack { back_ms: 3_600_000 });
    assert!(found.listed.len() == 1 && has(&found, |fault| *fault == back), "{found}");
    let options = VerifyOptions {
        clock_tolerance: std::time::Duration::from_secs(3600),
        ..VerifyOptions::new(trusted())
    };
    assert!(Archive::new(dir.path()).verify(&options).unwrap().is_ok());
}

#[test]
fn the_times_of_a_journal_never_go_back_whatever_the_clock_does() {
    let dir = tempfile::tempdir().unwrap();
    let (bench, hour) = (Bench::new(), std::time::Duration::from_secs(3600));
    let ahead = Bench::new();
    ahead.clock.advance(hour);
    ahead.small(dir.path(), 2, serving());
    let (journal, _) = bench.open(dir.path(), serving()).unwrap();
    let at = |bench: &Bench| journal.append_blocking(bench.refused(0)).unwrap().at;
    assert_eq!(at(&bench), ahead.clock.now(), "the time that was reached is kept");
    bench.clock.advance(hour / 2);
    assert_eq!(at(&bench), ahead.clock.now());
    bench.clock.advance(hour);
    assert_eq!(at(&bench), bench.clock.now(), "until the clock has passed it");
    // Another process on the same clock, which went on meanwhile.
    let (command, _) = ahead.open(dir.path(), administering()).unwrap();
    assert_eq!(command.append_blocking(ahead.refused(0)).unwrap().at, bench.clock.now());
    command.close_blocking().unwrap();
    journal.close_blocking().unwrap();
    let verified = verify(&Archive::new(dir.path()));
    assert_eq!((verified.records, verified.last_at), (6, Some(bench.clock.now())));
    assert!(entries(&Archive::new(dir.path())).is_sorted_by_key(|entry| entry.at));
}

#[test]
fn no_error_repeats_what_a_record_holds() {
    const CANARY: &str = "PRIVATE-CANARY";
    let payloads = [
        format!("{CANARY} is no JSON"),
        format!(r#"{{"seq":"{CANARY}"}}"#),
        format!(r#"{{"seq":0,"at":"{CANARY}","actor":"operator","event":{{"kind":"serve.stopped"}}}}"#),
        format!(r#"{{"seq":0,"at":"2026-01-02T03:04:05Z","actor":"{CANARY}","event":{{"kind":"x"}}}}"#),
        format!(
            r#"{{"seq":0,"at":"2026-01-02T03:04:05Z","actor":"operator","event":{{"kind":"serve.started","version":"{CANARY}"}}}}"#
        ),
        format!(
            r#"{{"seq":3,"at":"2026-01-02T03:04:05Z","actor":"operator","event":{{"kind":"{CANARY}"}}}}"#
        ),
    ];
    let mut said = String::new();
    for payload in &payloads {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOG), frame(0, &[payload.as_bytes().to_vec()])).unwrap();
        fs::write(dir.path().join(CHECKPOINTS), format!("{CANARY}\n\n{CANARY}\n\n")).unwrap();
        let found = problems(dir.path());
        said += &format!("{found} {found:?} {found:#?}");
        fs::write(dir.path().join(CHECKPOINTS), "").unwrap();
        for entry in Archive::new(dir.path())
            .read(Filter { from: Some(jiff::Timestamp::MIN), ..Filter::default() })
            .unwrap()
        {
            if let Err(error) = entry {
                said += &format!("{error} {error:?}");
            }
        }
        if let Err(error) = Bench::new().open(dir.path(), serving()) {
            said += &format!("{error} {error:?}");
        }
    }
    assert!(said.contains("not a record of this journal") && said.contains(LOG), "{said}");
    assert!(!said.contains(CANARY), "{said}");
}
