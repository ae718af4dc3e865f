//! Killed at any moment under load, the program loses nothing that it acknowledged.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use portcullis_core::secret::random_bytes;
use serde_json::Value;

use crate::program::Program;

/// How often it is killed.
const KILLS: usize = 100;
/// Clients that ask at the same time.
const CLIENTS: usize = 6;

/// The turns that were answered whole until the server was gone.
async fn ask_until_gone(serving: &crate::program::Serving, key: &str) -> Vec<String> {
    let mut answered = Vec::new();
    while let Some((status, body)) = serving.try_ask(key, "anything").await {
        if status == StatusCode::OK {
            let answer: Value = serde_json::from_str(&body).expect("an acknowledged answer is whole");
            let id = answer["id"].as_str().unwrap_or_default().to_owned();
            answered.push(id.trim_start_matches("chatcmpl-").to_owned());
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_under_load_lose_nothing_that_was_acknowledged() {
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    let printed = program.ok(&["member", "add", "--community", "bakers", "Ada"]);
    let member = printed.split_whitespace().nth(1).expect("an id").to_owned();
    let create = ["key", "create", "--community", "bakers", "k", "--member", &member];
    let key = program.ok(&create).trim().to_owned();
    let mut answered: BTreeSet<String> = BTreeSet::new();
    for _ in 0..KILLS {
        let serving = program
            .serve(&[
                "--set",
                "limits.per_key_per_minute=1000000",
                "--set",
                "limits.per_address_per_minute=1000000",
            ])
            .await;
        let pid = serving.id();
        let [random] = random_bytes::<1>();
        let kill = async {
            // Any moment of the first quarter of a second: what is going on then differs from run to run.
            tokio::time::sleep(Duration::from_millis(u64::from(random))).await;
            crate::program::signal(pid, "KILL");
        };
        let clients = futures_util::future::join_all((0..CLIENTS).map(|_| ask_until_gone(&serving, &key)));
        let ((), turns) = tokio::join!(kill, clients);
        answered.extend(turns.into_iter().flatten());
        serving.kill();
    }
    let serving = program.serve(&[]).await;
    assert_eq!(serving.stop(), Some(0));
    let verified = program.ok(&["audit", "verify"]);
    assert!(verified.contains("0 turns are open"), "{verified}");

    let (mut opened, mut closed, mut interrupted) = (BTreeSet::new(), BTreeSet::new(), 0);
    for line in program.ok(&["audit", "query"]).lines() {
        let record: Value = serde_json::from_str(line).expect("a record");
        let event = &record["event"];
        let turn = event["turn"].as_str().unwrap_or_default().to_owned();
        match (event["kind"].as_str(), event["outcome"]["result"].as_str()) {
            (Some("turn.opened"), _) => assert!(opened.insert(turn)),
            (Some("turn.closed"), Some("answered")) => assert!(closed.insert(turn)),
            (Some("turn.closed"), Some("interrupted")) => interrupted += 1,
            _ => {}
        }
    }
    assert!(answered.len() > KILLS, "only {} answers were acknowledged: the load was none", answered.len());
    let lost: Vec<_> = answered.difference(&closed).collect();
    assert!(lost.is_empty(), "acknowledged and not in the journal: {lost:?}");
    assert!(closed.is_subset(&opened));
    println!(
        "{} answers acknowledged, {} turns opened, {interrupted} interrupted",
        answered.len(),
        opened.len()
    );
}
