//! Limits of the running program: they outlive it, tiers are set from the command line, and several instances say so.

use http::{Method, StatusCode};
use portcullis_model::upstream::{Scripted, Upstream};
use serde_json::Value;

use crate::program::{Program, Serving, text};

/// A program with one community and a key for one of its members.
fn program() -> (Program, String) {
    let program = Program::new();
    program.ok(&["community", "create", "bakers"]);
    let added = program.ok(&["member", "add", "--community", "bakers", "Ada"]);
    let member = added
        .split(|c: char| !c.is_ascii_hexdigit() && c != '-')
        .find(|word| word.len() == 36)
        .expect("the member's id")
        .to_owned();
    let args =
        ["key", "create", "--community", "bakers", "ada", "--ability", "chat,personal", "--member", &member];
    let key = program.ok(&args).trim().to_owned();
    (program, key)
}

/// What remains of each limit, by what it is of and its window.
async fn remaining(serving: &Serving, key: &str) -> Vec<((String, String), i64)> {
    let (status, body) = serving.send(Method::GET, "/v1/me/limits", key, None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let told: Value = serde_json::from_str(&body).expect("JSON");
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let limits = told["limits"].as_array().expect("a list").iter();
    limits
        .map(|limit| {
            ((word(&limit["of"]), word(&limit["window"])), limit["remaining"].as_i64().expect("a number"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_and_days_outlive_the_process_and_a_crash_gives_nothing() {
    let (program, key) = program();
    let serving = program.serve(&[]).await;
    for _ in 0..25 {
        let (status, body) = serving.send(Method::GET, "/v1/me", &key, None).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let before = remaining(&serving, &key).await;
    assert_eq!(serving.stop(), Some(0));

    let serving = program.serve(&[]).await;
    let after = remaining(&serving, &key).await;
    for ((of, window), before) in &before {
        let (_, after) =
            after.iter().find(|(limit, _)| (&limit.0, &limit.1) == (of, window)).expect("it is told");
        let wanted = if window == "minute" { 59 } else { before - 1 };
        assert_eq!(*after, wanted, "{of} {window}: the minute begins anew, hours and days go on");
    }
    assert!(!program.log().contains("did not end in order"), "{}", program.log());

    // Whatever was counted since the file was written last is lost with the process, and made good for.
    for _ in 0..10 {
        serving.send(Method::GET, "/v1/me", &key, None).await;
    }
    let before = remaining(&serving, &key).await;
    serving.kill();
    let serving = program.serve(&[]).await;
    let after = remaining(&serving, &key).await;
    for ((of, window), before) in
        before.iter().filter(|((of, window), _)| window != "minute" && of != "address")
    {
        let (_, after) =
            after.iter().find(|(limit, _)| (&limit.0, &limit.1) == (of, window)).expect("it is told");
        assert!(after < before, "{of} {window}: {after} after the crash, {before} before");
        assert!(*after >= before - 61, "{of} {window}: {after} after the crash, {before} before");
    }
    assert!(program.log().contains("did not end in order"), "{}", program.log());
    assert_eq!(serving.stop(), Some(0));
}

/// What remains of each budget, by whose it is and of what.
async fn budgets(serving: &Serving, key: &str) -> Vec<(String, i64)> {
    let (status, body) = serving.send(Method::GET, "/v1/me/limits", key, None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let told: Value = serde_json::from_str(&body).expect("JSON");
    let limits = told["limits"].as_array().expect("a list").iter();
    let budgets = limits.filter(|limit| limit["what"] != "requests");
    budgets
        .map(|limit| {
            (format!("{} {}", limit["of"], limit["what"]), limit["remaining"].as_i64().expect("a number"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_outlive_the_process() {
    let (program, key) = program();
    let upstream = Upstream::start(Scripted::text(&"boat ".repeat(80))).await.expect("an upstream");
    let settings = [
        format!("model.url={}", upstream.url()),
        "model.name=scripted".to_owned(),
        "model.max_tokens=100".to_owned(),
        "model.prices=scripted=1.00/4.00".to_owned(),
        "limits.tokens_per_member_per_day=3000".to_owned(),
        "limits.tokens_per_community_per_day=6000".to_owned(),
        "limits.cost_per_member_per_day=1.00".to_owned(),
        "limits.cost_per_community_per_day=2.00".to_owned(),
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    let ask = async |serving: &Serving| {
        let body = serde_json::json!({
            "model": "scripted", "messages": [{ "role": "user", "content": "Tell me of boats." }],
        });
        serving.send(Method::POST, "/v1/chat/completions", &key, Some(body)).await
    };
    let serving = program.serve(&settings).await;
    let full = budgets(&serving, &key).await;
    assert_eq!(full.len(), 4, "{full:?}");
    for _ in 0..3 {
        let (status, body) = ask(&serving).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let before = budgets(&serving, &key).await;
    for ((what, full), (_, before)) in full.iter().zip(&before) {
        assert!(before < full, "{what}: {before} of {full} are left");
    }
    assert_eq!(serving.stop(), Some(0));

    let serving = program.serve(&settings).await;
    assert_eq!(budgets(&serving, &key).await, before);
    // What is left is what the member gets, start by start: the day does not begin anew with any of them.
    let mut answered = 3;
    let mut serving = serving;
    loop {
        let (status, body) = ask(&serving).await;
        if status != StatusCode::OK {
            assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{body}");
            assert!(body.contains("budget_exhausted"), "{body}");
            break;
        }
        answered += 1;
        assert!(answered < 30, "the budget is used up by no number of questions");
        if answered % 4 == 0 {
            assert_eq!(serving.stop(), Some(0));
            serving = program.serve(&settings).await;
        }
    }
    assert_eq!(serving.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_whose_journal_cannot_be_written_is_no_crash() {
    let (program, key) = program();
    let serving = program.serve(&[]).await;
    let before = remaining(&serving, &key).await;
    let checkpoints = program.path().join("data").join("audit").join("checkpoints");
    let whole = std::fs::read(&checkpoints).expect("there are some");
    std::fs::write(&checkpoints, b"").expect("written");
    assert_eq!(serving.stop(), Some(2), "it is told");
    std::fs::write(&checkpoints, whole).expect("written");
    let serving = program.serve(&[]).await;
    let after = remaining(&serving, &key).await;
    let lasting = |all: Vec<((String, String), i64)>, less: i64| -> Vec<_> {
        let lasting = all.into_iter().filter(|((_, window), _)| window != "minute");
        lasting.map(|(limit, remaining)| (limit, remaining - less)).collect()
    };
    assert_eq!(lasting(after, 0), lasting(before, 1), "nothing was lost, so nothing is made good for");
    assert_eq!(serving.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_that_somebody_changed_are_not_believed() {
    let (program, key) = program();
    let serving = program.serve(&[]).await;
    serving.send(Method::GET, "/v1/me", &key, None).await;
    assert_eq!(serving.stop(), Some(0));
    let path = program.path().join("data").join("limits.sealed");
    let mut sealed = std::fs::read(&path).expect("the counts are kept");
    *sealed.last_mut().expect("not empty") ^= 1;
    std::fs::write(&path, sealed).expect("written");
    let listen = format!("listen.member=127.0.0.1:{}", crate::program::free_port());
    let refused = program.run(&["serve", "--set", &listen, "--set", "listen.operator=127.0.0.1:0"]);
    assert!(!refused.status.success());
    let told = text(&refused.stderr);
    assert!(told.contains("limits.sealed") && told.contains("remove it"), "{told}");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(program.serve(&[]).await.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_is_set_from_the_command_line_and_several_instances_are_told_of() {
    let (program, key) = program();
    assert!(program.ok(&["community", "tier", "bakers", "enhanced"]).contains("standard -> enhanced"));
    let refused = program.run(&["community", "tier", "bakers", "golden"]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("standard, enhanced, dedicated"), "{}", text(&refused.stderr));
    let serving = program.serve(&["--set", "limits.instances=3"]).await;
    assert!(program.log().contains("LIMITS ARE NOT SHARED"), "{}", program.log());
    let told = remaining(&serving, &key).await;
    let minute =
        |who: &str| told.iter().find(|((of, window), _)| of == who && window == "minute").expect("told").1;
    assert_eq!(minute("community"), 99, "a third of 300");
    assert_eq!(minute("member"), 19, "a third of 60");
    assert_eq!(serving.stop(), Some(0));
    let serving = program.serve(&[]).await;
    assert!(!program.log().contains("NOT SHARED"), "{}", program.log());
    assert_eq!(serving.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_that_fail_use_up_nobodys_hour() {
    let (program, key) = program();
    let serving = program.serve(&[]).await;
    let (status, body) = serving.send(Method::GET, "/v1/me", &key, None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let before = remaining(&serving, &key).await;
    // What a crash may have lost is made good for once, however many starts it takes.
    serving.kill();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = format!("listen.member={}", taken.local_addr().expect("an address"));
    let kept =
        || std::fs::read(program.path().join("data").join("limits.sealed")).expect("the counts are kept");
    let mut files = std::collections::BTreeSet::from([kept()]);
    // Enough to use up an hour, at one minute's limit each.
    for _ in 0..40 {
        let refused = program.run(&["serve", "--set", &listen, "--set", "listen.operator=127.0.0.1:0"]);
        assert!(!refused.status.success());
        assert!(text(&refused.stderr).contains("cannot listen"), "{}", text(&refused.stderr));
        files.insert(kept());
    }
    assert_eq!(files.len(), 2, "what was made good for is kept, once");
    let serving = program.serve(&[]).await;
    let after = remaining(&serving, &key).await;
    for ((of, window), before) in before.iter().filter(|((_, window), _)| window != "minute") {
        let (_, after) =
            after.iter().find(|(limit, _)| (&limit.0, &limit.1) == (of, window)).expect("it is told");
        let lost = before - after;
        // One minute's limit, and the request that asks.
        let most = if of == "address" { 301 } else { 61 };
        assert!((1..=most).contains(&lost), "{of} {window}: {lost} of {before} are gone");
    }
    assert_eq!(serving.stop(), Some(0));
}
