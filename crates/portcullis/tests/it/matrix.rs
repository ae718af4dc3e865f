//! The guard matrix: with one guard off, exactly its checks turn red.
//!
//! `docs/guard-matrix.md` is the snapshot. A guard that no check notices, or a check that no guard can turn red, is a gap
//! that the table shows.
//!
//! First everything is judged with every guard on, and it is written down under which checks each guard makes a difference
//! (`Switches::felt`). A check under which a guard makes none is the same without it, and is not tried without it.
//! `PORTCULLIS_TEST_GUARDS=link-fence,csrf` runs these rows alone, each with every check, and compares them;
//! `PORTCULLIS_TEST_GUARDS=all` does so with every row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use portcullis_check::checks::CHECKS;
use portcullis_check::{Area, Touches};
use portcullis_guard::switches::{ALL, SWITCHABLE};
use serde_json::Value;

use crate::program::{Program, free_port, text};

/// Cannot be judged where an instance is served in plain on loopback.
const NEED_TLS: [&str; 4] = ["EDGE-01", "EDGE-02", "EDGE-03", "EDGE-04"];
/// Waits for a person's word, which no test gives; what a program can see of it fails all the same.
const ATTESTED: &[&str] = &["PI-06"];
/// Is about secrets that sign tokens, and none signs those of an instance.
const NOT_HERE: [&str; 1] = ["SEC-08"];
/// Cannot be judged in a build without a sandbox.
const NEED_SANDBOX: [&str; 2] = ["SBX-05", "SBX-06"];

/// Guards that are tried at the same time: each run sends hundreds of requests and waits for limits in between, and a
/// machine that is too busy makes limits untestable.
const AT_ONCE: usize = 5;

/// Guards that no program of the gate asks for: they are walls of the sandbox, of which nobody is told when they make a difference.
const OF_THE_SANDBOX: [&str; 2] = ["sandbox-apart", "sandbox-places"];

/// Guards of the pipeline without a switch, and why none would show anything.
const WITHOUT_SWITCH: &[(&str, &str)] = &[
    ("connection-limits", "only a drill holds so many connections, and this table is made without drills"),
    ("request-id", "it stops nothing: it gives requests their names"),
    ("catch-panic", "no check can make the program panic"),
    ("drain", "it acts while the program stops, when no check runs"),
    ("time-limit", "a request that never ends would stop the check with it, and no verdict would come of it"),
    ("body-limit", "only a drill sends bodies that are too large"),
    (
        "still-authorised",
        "it acts between the first and the last byte of a body, which the checks send at once",
    ),
    ("audit-open", "no check can make the journal fail"),
    ("model-places", "the models of the checks answer at once, so nobody waits for a place"),
    ("tool-limit", "the checks call each tool less often than it may be called"),
    (
        "tool-pin",
        "without it there is no approved schema that arguments could be checked against, and no tool is called",
    ),
    ("tool-sandbox", "its walls have switches of their own, `sandbox-apart` and `sandbox-places`"),
    (
        "frame-rebuild",
        "an answer is made from the fields that may leave, so there is nothing to let through instead",
    ),
    ("access-watch", "it acts while an answer lasts, and those of the checks' models are over at once"),
    ("audit-close", "no check can make the journal fail"),
];

/// Checks that no guard turns red, and why none could.
const UNMOVED: &[(&str, &str)] = &[
    ("EDGE-11", "it is a drill, and this table is made without drills"),
    ("PI-08", "it fails where too much is refused, and a guard that is off refuses nothing"),
];

/// The outcome of each check, and why.
type Outcomes = BTreeMap<String, (String, String)>;
/// The guards that make a difference under each check, and under none of them while the instances are made ready.
type Felt = BTreeMap<String, BTreeSet<String>>;

/// The outcome of these checks, or of every one that exists where none is named, with these guards off. And where guards were
/// felt.
async fn judged(off: &[&str], only: &[&str]) -> (Outcomes, Felt) {
    let (report, felt) = reported(off, only).await;
    let known: BTreeSet<&str> = CHECKS.iter().map(|check| check.id).collect();
    let outcomes = report["outcomes"]
        .as_array()
        .expect("outcomes")
        .iter()
        .map(|outcome| ["id", "outcome", "reason"].map(|name| outcome[name].as_str().unwrap_or_default()))
        .filter(|[id, ..]| known.contains(id))
        .map(|[id, outcome, reason]| (id.to_owned(), (outcome.to_owned(), reason.to_owned())))
        .collect();
    (outcomes, felt)
}

/// The whole report, and where guards were felt.
async fn reported(off: &[&str], only: &[&str]) -> (Value, Felt) {
    let program = Program::new();
    let ledger = program.path().join("felt");
    let variables = [("PORTCULLIS_TEST_GUARDS_FELT", ledger.clone())];
    // Each line costs little, and only whoever tries every guard at once reads them.
    let variables = if off.is_empty() { variables.to_vec() } else { Vec::new() };
    let set = format!("danger.danger_guards_off={}", off.join(","));
    if off.contains(&"secret-strength") {
        std::fs::write(program.path().join("secrets/csrf_secret"), "a".repeat(40)).expect("a file");
    }
    // The mail to new members is read from a folder, by who runs the check.
    let mail = ["mail.kind=outbox", "mail.outbox=outbox", "mail.from=no-reply@checks.example"];
    let off = mail.into_iter().chain(Some(set.as_str()).filter(|_| !off.is_empty()));
    let off: Vec<&str> = off.flat_map(|value| ["--set", value]).collect();
    let options = portcullis_egress::Options::new(portcullis_egress::AddressPolicy::Any);
    let serving = program.serve_under(&variables, free_port(), options, "http://127.0.0.1", &off).await;
    let at = Program::at(&serving);
    let operator = format!("listen.operator={}", program.operator());
    let check = ["check", "--format", "json", "--allow", "writes,load", "--set", &at, "--set", &operator];
    let only = only.iter().flat_map(|id| ["--only", id]);
    let args: Vec<String> = check.into_iter().chain(only).chain(off).map(str::to_owned).collect();
    let (program, output) = tokio::task::spawn_blocking(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = program.run_under(&variables, &args);
        (program, output)
    })
    .await
    .expect("the check ran");
    let report: Value = serde_json::from_str(&text(&output.stdout)).unwrap_or_else(|error| {
        panic!("{error}: {}{}\n{}", text(&output.stdout), text(&output.stderr), program.log())
    });
    serving.stop();
    (report, felt(&std::fs::read_to_string(ledger).unwrap_or_default()))
}

/// What `crates/portcullis/src/felt.rs` wrote.
fn felt(ledger: &str) -> Felt {
    let mut felt = Felt::new();
    let mut check = "";
    for line in ledger.lines() {
        match line.strip_prefix("check ") {
            Some(id) => check = id,
            None => _ = felt.entry(check.to_owned()).or_default().insert(line.to_owned()),
        }
    }
    felt
}

/// The checks that a guard is tried with: those under which it makes a difference, and those that its row names already. Where it
/// makes one before the first check, or where none is told, whatever follows may be another, and all are tried. The walls of
/// the sandbox change nothing for those who ask the gate, and a guard of the gate changes something for what is run in the sandbox only
/// where it is felt there.
fn beside(guard: &str, felt: &Felt, row: &str) -> Vec<&'static str> {
    let is_wall = OF_THE_SANDBOX.contains(&guard);
    let felt_in = |check: &str| felt.get(check).is_some_and(|guards| guards.contains(guard));
    let everywhere = felt_in("") || !felt.keys().any(|check| felt_in(check));
    let is_tried = |area: Area, id: &str| match (area == Area::Sandbox) == is_wall {
        true => everywhere || felt_in(id) || row.contains(id),
        false => !is_wall && felt_in(id),
    };
    CHECKS.iter().filter(|check| is_tried(check.area, check.id)).map(|check| check.id).collect()
}

#[cfg(feature = "sandbox")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_gets_out_of_the_sandbox_is_found_by_its_api_and_by_calls_of_a_model() {
    let (outcomes, _) = Box::pin(judged(&[], &["SBX-05"])).await;
    let (outcome, reason) = &outcomes["SBX-05"];
    assert_eq!(outcome, "pass", "{reason}");
    assert!(reason.contains("of them as calls of a model") && !reason.contains(", 0 of them"), "{reason}");

    let (report, _) = Box::pin(reported(&["sandbox-apart"], &["SBX-05"])).await;
    let findings = report["outcomes"][0]["findings"].to_string();
    for way in ["from a job", "from a call of a model"] {
        assert!(
            findings.contains(&format!("another community's file was got at {way}")),
            "{way}: {findings}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_guard_switched_off_turns_exactly_its_checks_red() {
    let is_drill = |id: &str| CHECKS.iter().any(|check| check.id == id && check.touches == Touches::Drills);
    let no_sandbox = |id: &str| !cfg!(feature = "sandbox") && NEED_SANDBOX.contains(&id);
    let unsure =
        |id: &str| NEED_TLS.contains(&id) || ATTESTED.contains(&id) || is_drill(id) || no_sandbox(id);
    let right = |id: &str, outcome: &str| match outcome {
        "not_applicable" => NOT_HERE.contains(&id),
        "inconclusive" => unsure(id),
        other => other == "pass" && !unsure(id) && !NOT_HERE.contains(&id),
    };

    let (outcomes, felt) = Box::pin(judged(&[], &[])).await;
    let wrong: Vec<_> = outcomes.iter().filter(|(id, (outcome, _))| !right(id, outcome)).collect();
    assert!(wrong.is_empty(), "with every guard on: {wrong:?}");

    let environment = portcullis_config::Environment::from_process();
    let wanted: Option<Vec<&str>> =
        environment.text("PORTCULLIS_TEST_GUARDS").map(|names| names.split(',').collect());
    let is_wanted =
        |guard: &str| wanted.as_ref().is_none_or(|names| names.contains(&guard) || names.contains(&ALL));
    let file = page();
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let guards: Vec<&str> = SWITCHABLE.iter().copied().filter(|guard| is_wanted(guard)).collect();
    let known_row = |guard: &str| {
        known.lines().find(|line| line.starts_with(&format!("| `{guard}` |"))).unwrap_or_default()
    };
    let checks = |guard: &'static str| match &wanted {
        None => beside(guard, &felt, known_row(guard)),
        Some(_) => Vec::new(),
    };
    let mut tries: Vec<_> = guards.iter().map(|guard| (*guard, checks(guard))).collect();
    // The long ones first, so that none is left alone at the end.
    tries.sort_by_key(|(_, only)| std::cmp::Reverse(only.len()));
    let mut red: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut runs = stream::iter(tries)
        .map(|(guard, only)| {
            async move {
                let began = Instant::now();
                let (outcomes, _) = Box::pin(judged(&[guard], &only)).await;
                let tried = if only.is_empty() { outcomes.len() } else { only.len() };
                // So that a run that is ended from outside has told what it saw.
                println!("{guard}: {tried} checks, {} s", began.elapsed().as_secs());
                (guard, outcomes)
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some((guard, outcomes)) = runs.next().await {
        let row = known_row(guard);
        let mut failed = BTreeSet::new();
        for (id, (outcome, reason)) in outcomes {
            if (outcome == "fail") != row.contains(&id) {
                println!("{guard}: {id} is {outcome}: {reason}");
            }
            if outcome == "fail" {
                failed.insert(id);
            }
        }
        red.insert(guard, failed);
    }
    if let Some(names) = &wanted {
        assert!(*names == [ALL] || guards.len() == names.len(), "unknown guards among {names:?}");
        let other: Vec<String> = red.iter().map(row).filter(|row| !known.contains(row.as_str())).collect();
        assert_eq!(other, Vec::<String>::new(), "these rows changed");
        return;
    }
    let table = table(&red);
    if environment.text("INSTA_UPDATE") == Some("always") {
        std::fs::write(&file, &table).expect("the matrix is written");
        return;
    }
    assert_eq!(table, known, "the matrix changed; read the change, then `cargo xtask bless`");
}

#[test]
fn a_guard_is_tried_with_the_checks_under_which_it_makes_a_difference_and_with_all_where_that_is_not_told() {
    let felt =
        felt("rate-limit\ncheck PI-11\ncsrf\nrate-limit\ncheck TEN-01\ncheck RL-01\nrate-limit\ncsrf\n");
    assert_eq!(beside("csrf", &felt, ""), ["PI-11", "RL-01"]);
    assert_eq!(beside("csrf", &felt, "| `csrf` | TEN-01 |"), ["PI-11", "RL-01", "TEN-01"]);
    let gate = CHECKS.iter().filter(|check| check.area != Area::Sandbox).count();
    for everywhere in ["rate-limit", "secret-strength"] {
        assert_eq!(beside(everywhere, &felt, "").len(), gate, "{everywhere}");
    }
    assert_eq!(beside("sandbox-apart", &felt, ""), NEED_SANDBOX);
    let felt = self::felt("check PI-11\ncsrf\ncheck SBX-05\ncsrf\n");
    assert_eq!(beside("csrf", &felt, ""), ["PI-11", "SBX-05"]);
}

#[test]
fn every_guard_of_the_pipeline_has_a_switch_or_a_reason_why_not() {
    let order = portcullis_guard::pipeline::order(portcullis_http::stack::LAYERS);
    for step in &order {
        let without = WITHOUT_SWITCH.iter().any(|(guard, _)| *guard == step.guard);
        assert_ne!(SWITCHABLE.contains(&step.guard), without, "{}", step.guard);
    }
    for (guard, _) in WITHOUT_SWITCH {
        assert!(order.iter().any(|step| step.guard == *guard), "{guard} is no guard");
    }
}

/// Whatever its rows say, the page is the one that this test writes.
#[test]
fn the_page_is_written_by_the_test() {
    let known = std::fs::read_to_string(page()).expect("the page");
    let known_row = |guard: &str| known.lines().find(|line| line.starts_with(&format!("| `{guard}` |")));
    let red = SWITCHABLE.iter().map(|guard| {
        let row = known_row(guard).unwrap_or_else(|| panic!("`{guard}` has no row"));
        let is_red = |check: &&str| row.contains(check);
        (*guard, CHECKS.iter().map(|check| check.id).filter(is_red).map(str::to_owned).collect())
    });
    assert_eq!(table(&red.collect()), known);
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guard-matrix.md")
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
        for (check, why) in UNMOVED.iter().filter(|(check, _)| unmoved.contains(check)) {
            text.push_str(&format!("{check}: {why}.\n"));
        }
    }
    text.push_str("\nThese guards have no switch:\n\n");
    for (guard, why) in WITHOUT_SWITCH {
        text.push_str(&format!("- `{guard}`: {why}.\n"));
    }
    text
}
