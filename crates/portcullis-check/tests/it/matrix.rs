//! Each single fault turns exactly the checks red that name it, and nothing else changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use portcullis_check::checks::CHECKS;
use portcullis_check::{Area, Check, Quiet, Selector, Touches, report, run};

use crate::foreign::{Foreign, breaks, node_is_here};
use crate::settings::options;

/// Faults that are tried at the same time. Most of its time each run waits: for a credential to end, for a limit.
const AT_ONCE: usize = 8;
/// Between the beginnings of the first of them.
const APART: Duration = Duration::from_secs(4);

/// A fault under which the checks take longer than this has shown that one of them waits for ever.
const LONGEST: Duration = Duration::from_mins(4);

/// Faults that leave hardly any request to anybody: whether a check that does not name them gets enough answers to pass
/// depends on how many the others got just before. None may turn red; one that names the fault is tried by itself.
const STARVING: [&str; 2] = ["rate-limit-too-low", "shared-bucket"];

/// Checks that measure what others would disturb: nobody runs them unasked, and they are proven one after the other.
fn is_drill(check: &Check) -> bool {
    check.touches == Touches::Drills
}

/// The outcome of every check against the chatbot with this fault.
async fn words(fault: Option<&str>, only: &[&str]) -> BTreeMap<&'static str, (&'static str, String)> {
    let foreign = Foreign::start(fault).await;
    let words = Box::pin(judged(&foreign, only)).await;
    foreign.stop().await;
    words
}

async fn judged(foreign: &Foreign, only: &[&str]) -> BTreeMap<&'static str, (&'static str, String)> {
    let mut options = options();
    options.only = only.iter().map(|id| Selector::parse(id).expect("a check")).collect();
    options.allow.drills = !only.is_empty();
    let report = run(foreign.target(), &options, &Quiet).await;
    let checked = report.outcomes.into_iter().filter(|judged| judged.has_check);
    checked.map(|judged| (judged.id, (judged.outcome.word(), judged.outcome.reason()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_unbroken_chatbot_passes_every_check() {
    if !node_is_here().await {
        return;
    }
    let mut wrong = Vec::new();
    for (id, (word, reason)) in Box::pin(words(None, &[])).await {
        let check = CHECKS.iter().find(|check| check.id == id).expect("known");
        let wanted = if is_drill(check) { "inconclusive" } else { "pass" };
        if check.cases.passes_on.contains(&"foreign") && word != wanted {
            wrong.push(format!("{id} is {word}: {reason}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_turns_exactly_the_checks_red_that_name_it() {
    if !node_is_here().await {
        return;
    }
    let faults = breaks().await;
    let named: BTreeSet<&str> = CHECKS.iter().flat_map(|check| check.cases.fails_on).copied().collect();
    assert_eq!(faults.iter().map(String::as_str).collect::<BTreeSet<_>>(), named, "every fault has a check");
    // Some of them alone: `PORTCULLIS_TEST_FAULTS=no-csp,no-nosniff`.
    let only = only();
    let faults = faults.into_iter().filter(|fault| only.is_empty() || only.contains(fault));
    let faults: Vec<String> = faults.collect();
    assert!(only.is_empty() || only.len() == faults.len(), "unknown faults among {only:?}");
    // Somebody who tries a few does so with every check.
    let asked = if only.is_empty() { asked().await } else { BTreeMap::new() };
    let asked = &asked;
    // What only a drill notices is tried by that drill alone: it is about load, and would slow all others down.
    let faults = faults.iter().filter(|fault| {
        CHECKS.iter().any(|check| !is_drill(check) && check.cases.fails_on.contains(&fault.as_str()))
    });
    let wrong: Vec<String> = stream::iter(faults.enumerate())
        .map(|(nth, fault)| async move {
            // The first ones apart from each other, since each begins with credentials that end within seconds.
            let behind = APART * u32::try_from(nth % AT_ONCE).expect("a few");
            tokio::time::sleep(if nth < AT_ONCE { behind } else { Duration::ZERO }).await;
            let checks = beside(fault, asked);
            let ids: Vec<_> = checks.iter().map(|check| check.id).collect();
            let began = std::time::Instant::now();
            let judging = tokio::time::timeout(LONGEST, Box::pin(words(Some(fault), &ids)));
            let Ok(mut seen) = judging.await else {
                return vec![format!("{fault}: the checks did not end within {LONGEST:?}")];
            };
            if STARVING.contains(&fault.as_str()) {
                let named = CHECKS.iter().filter(|check| check.cases.fails_on.contains(&fault.as_str()));
                let named: Vec<_> = named.map(|check| check.id).collect();
                seen.extend(
                    Box::pin(words(Some(fault), &named))
                        .await
                        .into_iter()
                        .filter(|(id, _)| named.contains(id)),
                );
            }
            let mut wrong = Vec::new();
            for check in checks {
                let names = |faults: &[&str]| faults.contains(&fault.as_str());
                let wanted = match check.cases {
                    cases if names(cases.fails_on) => "fail",
                    cases if names(cases.inconclusive_on) => "inconclusive",
                    _ => "pass",
                };
                let (word, reason) = seen.get(check.id).expect("it ran");
                let starved =
                    STARVING.contains(&fault.as_str()) && (wanted, *word) == ("pass", "inconclusive");
                if *word != wanted && !starved {
                    wrong.push(format!("{fault}: {} is {word}, not {wanted}: {reason}", check.id));
                }
            }
            // So that a run that is ended from outside has told what it saw.
            println!("{fault}: {} checks, {} s; {wrong:?}", ids.len(), began.elapsed().as_secs());
            wrong
        })
        .buffer_unordered(AT_ONCE)
        .flat_map(stream::iter)
        .collect()
        .await;
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
}

/// The faults that the unbroken chatbot asks for while each of the checks judges it by itself.
async fn asked() -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut foreign = Foreign::start(None).await;
    foreign.asked().await;
    let mut all = BTreeMap::new();
    for check in CHECKS.iter().filter(|check| !is_drill(check)) {
        Box::pin(judged(&foreign, &[check.id])).await;
        all.insert(check.id, foreign.asked().await);
    }
    foreign.stop().await;
    all
}

/// The checks that a fault is tried with: those that name it, and those under which the chatbot comes to it at all; to every
/// other it is the unbroken one. A fault that it comes to only when it starts may change whatever follows, so all are tried.
/// The sandbox is a server of its own, and a fault of it changes nothing for those who ask the chatbot.
fn beside(fault: &str, asked: &BTreeMap<&str, BTreeSet<String>>) -> Vec<&'static Check> {
    let names =
        |check: &Check| check.cases.fails_on.contains(&fault) || check.cases.inconclusive_on.contains(&fault);
    let in_sandbox = CHECKS.iter().any(|check| check.area == Area::Sandbox && names(check));
    let of_its_server =
        CHECKS.iter().filter(|check| !is_drill(check) && (check.area == Area::Sandbox) == in_sandbox);
    let comes_to_it = |check: &Check| asked.get(check.id).is_some_and(|faults| faults.contains(fault));
    let is_met = CHECKS.iter().any(comes_to_it);
    of_its_server.filter(|check| !is_met || names(check) || comes_to_it(check)).collect()
}

/// The faults that somebody wants to try alone; none to try them all.
fn only() -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "a test asks what it is to try")]
    let named = std::env::var("PORTCULLIS_TEST_FAULTS").unwrap_or_default();
    named.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_drill_passes_in_order_and_fails_on_each_of_its_faults() {
    if !node_is_here().await {
        return;
    }
    let mut wrong = Vec::new();
    for check in CHECKS.iter().filter(|check| is_drill(check)) {
        let faults = check.cases.fails_on.iter().map(|fault| (Some(*fault), "fail"));
        for (fault, wanted) in std::iter::once((None, "pass")).chain(faults) {
            let (word, reason) = Box::pin(words(fault, &[check.id])).await.remove(check.id).expect("it ran");
            if word != wanted {
                wrong.push(format!("{fault:?}: {} is {word}, not {wanted}: {reason}", check.id));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn no_secret_reaches_a_report_or_an_evidence_file() {
    if !node_is_here().await {
        return;
    }
    let foreign = Foreign::start(Some("accepts-expired")).await;
    let report = run(foreign.target(), &options(), &Quiet).await;
    let dir = tempfile::TempDir::new().expect("a folder");
    let folder = report::write_evidence(&report, dir.path()).expect("it is written");
    let mut texts = vec![report::json(&report), report::human(&report, 100), format!("{report:?}")];
    let mut files = 0;
    for area in std::fs::read_dir(&folder).expect("folders") {
        for file in std::fs::read_dir(area.expect("one").path()).expect("files") {
            texts.push(std::fs::read_to_string(file.expect("one").path()).expect("text"));
            files += 1;
        }
    }
    assert!(files > 100, "{files} evidence files");
    for name in [
        "jwt_secret",
        "encryption_key",
        "csrf_secret",
        "alice.jwt",
        "bob.cookie",
        "alice-expired.jwt",
        "dave.jwt",
    ] {
        let secret = foreign.secret(name);
        assert!(texts.iter().all(|text| !text.contains(&secret)), "{name} was recorded");
    }
    assert!(texts.iter().all(|text| !text.contains("eyJ")), "a token was recorded");
    foreign.stop().await;
}
