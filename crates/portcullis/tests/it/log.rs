//! What the program tells of each request, on standard error.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::Value;

use crate::program::Program;

/// The ids of the requests for an answer that the log tells of, each of which it tells once.
fn told(log: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    // What stands behind the last end of a line is a line that is not written yet.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    // It greets in plain words.
    for line in whole.lines().filter(|line| line.contains("request")) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if line["message"] == "request" && line["http.route"] == "/v1/chat/completions" {
            let id = line["request.id"].as_str().expect("an id").to_owned();
            assert!(ids.insert(id), "told twice: {line}");
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_one_whole_line_and_stands_there_as_soon_as_its_thread_rests() {
    const ROUNDS: usize = 20;
    const AT_ONCE: usize = 32;
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    let key = program.ok(&["key", "create", "--community", "bakers", "k"]).trim().to_owned();
    let serving = program.serve(&["--set", "log.format=json"]).await;
    for round in 1..=ROUNDS {
        let asked = (0..AT_ONCE).map(|number| {
            let question = format!("question {round} {number}");
            let (serving, key) = (&serving, &key);
            async move { serving.ask(key, &question).await.0 }
        });
        for status in futures_util::future::join_all(asked).await {
            // Not the key of anybody who may ask: what is told of it is the same.
            assert!(matches!(status, StatusCode::OK | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS));
        }
        let since = Instant::now();
        while told(&program.log()).len() < round * AT_ONCE {
            assert!(since.elapsed() < Duration::from_secs(10), "{}", program.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(told(&program.log()).len(), ROUNDS * AT_ONCE);
    assert_eq!(serving.stop(), Some(0));
    assert_eq!(told(&program.log()).len(), ROUNDS * AT_ONCE);
}
