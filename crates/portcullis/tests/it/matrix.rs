//! The guard matrix: with one guard off, exactly its checks turn red.
//!
//! `docs/guard-matrix.md` is the snapshot. A guard that no check notices, or a check that no guard can turn red, is a gap
//! that the table shows. `PORTCULLIS_TEST_GUARDS=link-fence,csrf` runs these rows alone and compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::stream::{self, StreamExt};
use portcullis_check::Touches;
use portcullis_check::checks::CHECKS;
use portcullis_guard::switches::SWITCHABLE;
use serde_json::Value;

use crate::program::{Program, text};

/// Cannot be judged where an instance is served in plain on loopback.
const NEED_TLS: [&str; 4] = ["EDGE-01", "EDGE-02", "EDGE-03", "EDGE-04"];
/// Waits for a person's word, which no test gives; what a program can see of it fails all the same.
const ATTESTED: &[&str] = &["PI-06"];
/// Cannot be judged in a build without a sandbox.
const NEED_SANDBOX: [&str; 2] = ["SBX-05", "SBX-06"];

/// Guards that are tried at the same time: each run sends hundreds of requests and waits for limits in between, and a
/// machine that is too busy makes limits untestable.
const AT_ONCE: usize = 5;

type Outcomes = BTreeMap<String, String>;

/// The outcome of every check that exists, with these guards off.
async fn judged(off: &[&str]) -> Outcomes {
    let program = Program::new();
    let set = format!("danger.danger_guards_off={}", off.join(","));
    if off.contains(&"secret-strength") {
        std::fs::write(program.path().join("secrets/jwt_secret"), "changeme-changeme-changeme-changeme")
            .expect("a file");
        std::fs::write(program.path().join("secrets/csrf_secret"), "a".repeat(40)).expect("a file");
    }
    // The mail to new members is read from a folder, by who runs the check.
    let mail = ["mail.kind=outbox", "mail.outbox=outbox", "mail.from=no-reply@checks.example"];
    let off = mail.into_iter().chain(Some(set.as_str()).filter(|_| !off.is_empty()));
    let off: Vec<&str> = off.flat_map(|value| ["--set", value]).collect();
    let serving = program.serve(&off).await;
    let at = Program::at(&serving);
    let operator = format!("listen.operator={}", program.operator());
    let check = ["check", "--format", "json", "--allow", "writes,load", "--set", &at, "--set", &operator];
    let args: Vec<String> = check.iter().chain(&off).map(|arg| (*arg).to_owned()).collect();
    let (program, output) = tokio::task::spawn_blocking(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = program.run(&args);
        (program, output)
    })
    .await
    .expect("the check ran");
    let report: Value = serde_json::from_str(&text(&output.stdout)).unwrap_or_else(|error| {
        panic!("{error}: {}{}\n{}", text(&output.stdout), text(&output.stderr), program.log())
    });
    serving.stop();
    let known: BTreeSet<&str> = portcullis_check::checks::CHECKS.iter().map(|check| check.id).collect();
    report["outcomes"]
        .as_array()
        .expect("outcomes")
        .iter()
        .map(|outcome| {
            (outcome["id"].as_str().unwrap_or_default(), outcome["outcome"].as_str().unwrap_or_default())
        })
        .filter(|(id, _)| known.contains(id))
        .map(|(id, outcome)| (id.to_owned(), outcome.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_guard_switched_off_turns_exactly_its_checks_red() {
    let is_drill = |id: &str| CHECKS.iter().any(|check| check.id == id && check.touches == Touches::Drills);
    let no_sandbox = |id: &str| !cfg!(feature = "sandbox") && NEED_SANDBOX.contains(&id);
    let unsure =
        |id: &str| NEED_TLS.contains(&id) || ATTESTED.contains(&id) || is_drill(id) || no_sandbox(id);
    let right = |id: &str, outcome: &str| outcome == if unsure(id) { "inconclusive" } else { "pass" };

    let environment = portcullis_config::Environment::from_process();
    let wanted: Option<Vec<&str>> =
        environment.text("PORTCULLIS_TEST_GUARDS").map(|names| names.split(',').collect());
    let guards: Vec<&str> = match &wanted {
        Some(names) => SWITCHABLE.iter().copied().filter(|guard| names.contains(guard)).collect(),
        None => SWITCHABLE.to_vec(),
    };
    let mut red: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut runs = stream::iter(std::iter::once(None).chain(guards.iter().copied().map(Some)))
        .map(|guard| async move { (guard, Box::pin(judged(guard.as_slice())).await) })
        .buffer_unordered(AT_ONCE);
    while let Some((guard, outcomes)) = runs.next().await {
        let Some(guard) = guard else {
            assert!(
                outcomes.iter().all(|(id, outcome)| right(id, outcome)),
                "with every guard on: {outcomes:?}"
            );
            continue;
        };
        let failed = outcomes.into_iter().filter(|(_, outcome)| outcome == "fail").map(|(id, _)| id);
        red.insert(guard, failed.collect());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guard-matrix.md");
    if let Some(names) = wanted {
        assert_eq!(guards.len(), names.len(), "unknown guards among {names:?}");
        let known = std::fs::read_to_string(&file).unwrap_or_default();
        let other: Vec<String> = red.iter().map(row).filter(|row| !known.contains(row.as_str())).collect();
        assert_eq!(other, Vec::<String>::new(), "these rows changed");
        return;
    }
    let table = table(&red);
    if environment.text("INSTA_UPDATE") == Some("always") {
        std::fs::write(&file, &table).expect("the matrix is written");
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(table, known, "the matrix changed; read the change, then `cargo xtask bless`");
}

fn row((guard, checks): (&&str, &BTreeSet<String>)) -> String {
    let checks = checks.iter().cloned().collect::<Vec<_>>().join(", ");
    let checks = if checks.is_empty() { "none yet".to_owned() } else { checks };
    format!("| `{guard}` | {checks} |\n")
}

fn table(red: &BTreeMap<&str, BTreeSet<String>>) -> String {
    let mut text = String::from(
        "# Guard matrix\n\nWith one guard switched off, these checks turn red. A test makes this table by running each \
         such gate and judging it.\n\n| guard off | checks that fail |\n|---|---|\n",
    );
    for guard in SWITCHABLE {
        text.push_str(&row((guard, red.get(guard).unwrap_or(&BTreeSet::new()))));
    }
    let noticed: BTreeSet<&String> = red.values().flatten().collect();
    let unmoved: Vec<&str> = portcullis_check::checks::CHECKS
        .iter()
        .map(|check| check.id)
        .filter(|id| !noticed.iter().any(|seen| seen.as_str() == *id))
        .collect();
    if !unmoved.is_empty() {
        text.push_str(&format!(
            "\nNo guard of this list turns these red; each is proven on a chatbot with single faults: {}.\n",
            unmoved.join(", ")
        ));
    }
    text
}
