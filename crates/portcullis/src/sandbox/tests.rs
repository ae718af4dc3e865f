//! The embedded sandbox behind its API, judged by the checks: as it is, and with one wall after the other taken away.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::StatusCode;
use portcullis_check::target::{
    CalledProgram, CalledPrograms, Chat, Credential, Expected, HostFile, Identity, Runtime, SandboxApi, WORD,
};
use portcullis_check::{Options, Quiet, Selector, Target};
use portcullis_core::{Secret, SystemClock};
use portcullis_egress::{AddressPolicy, Client, Options as ClientOptions};
use portcullis_model::upstream::{Reply, Sink, Upstream};
use portcullis_sandbox::conformance::wrong::{Flaw, Wrong};
use portcullis_sandbox::{Queue, Sandbox};
use portcullis_sandbox_wasm::Wasm;
use serde_json::{Value, json};

use super::api::Api;
use super::programs;

const KEY: &str = "a-key-of-the-test-alone";
const SAID: usize = 3;
const BOTH: [&str; 2] = ["SBX-05", "SBX-06"];

fn wasm() -> Wasm {
    Wasm::new().expect("an engine")
}

async fn start(sandbox: Arc<dyn Sandbox>, at_once: usize, waiting: usize) -> Api {
    let queue = Queue::new(sandbox, Arc::new(SystemClock::new()), at_once, waiting);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Api::start(address, Secret::new(KEY.to_owned()), queue).await.expect("it listens")
}

/// What these checks say of a sandbox that is said to run three jobs at a time.
async fn judged<const N: usize>(
    sandbox: Arc<dyn Sandbox>,
    at_once: usize,
    waiting: usize,
    checks: [&str; N],
) -> [(&'static str, String); N] {
    judged_with(sandbox, at_once, waiting, checks, None).await
}

/// The same, and of what a model may call.
async fn judged_with<const N: usize>(
    sandbox: Arc<dyn Sandbox>,
    at_once: usize,
    waiting: usize,
    checks: [&str; N],
    called: Option<CalledPrograms>,
) -> [(&'static str, String); N] {
    let api = start(sandbox, at_once, waiting).await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("canary");
    std::fs::write(&file, "wqzvkxjpmfhd").expect("a file");
    let planted = vec![HostFile { path: file.display().to_string(), text: "wqzvkxjpmfhd".to_owned() }];
    let at = format!("http://{}", api.address());
    let mut target = Target::new("the sandbox", &at).expect("a URL");
    target.sandbox = Some(Box::new(SandboxApi {
        at: at.parse().expect("a URL"),
        credential: Some(Credential::bearer(KEY)),
        runtime: Runtime::Wasm(Some(programs::all(&planted).expect("programs"))),
        at_once: SAID,
        tenants: ["sailors", "gardeners"].map(str::to_owned),
        reach: Vec::new(),
        planted,
        called: called.map(Box::new),
    }));
    let mut options = Options::new(Arc::new(SystemClock::new()));
    options.only = checks.iter().map(|id| Selector::parse(id).expect("a check")).collect();
    (options.allow.writes, options.allow.load) = (true, true);
    let report = portcullis_check::run(target, &options, &Quiet).await;
    api.stop().await;
    checks.map(|id| {
        let judged = report.outcomes.iter().find(|judged| judged.id == id).expect("it is in the report");
        (judged.outcome.word(), judged.outcome.reason())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_sandbox_passes_both_checks() {
    let [escapes, beside] = Box::pin(judged(Arc::new(wasm()), SAID, 64, BOTH)).await;
    assert_eq!(escapes.0, "pass", "{}", escapes.1);
    assert_eq!(beside.0, "pass", "{}", beside.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wall_that_is_taken_away_turns_the_check_of_escapes_red() {
    for flaw in Flaw::ALL {
        let wrong = Arc::new(Wrong::new(flaw, wasm()));
        let [escapes] = Box::pin(judged(wrong, SAID, 64, ["SBX-05"])).await;
        match flaw {
            // What is given beside a job is none of the API's, and nobody gets a program ready for it.
            Flaw::Forgetful | Flaw::Stale => assert_eq!(escapes.0, "pass", "{flaw:?}: {}", escapes.1),
            // The API answers that the sandbox failed, so nothing can be said of it.
            Flaw::Dead | Flaw::Fragile => assert_eq!(escapes.0, "inconclusive", "{flaw:?}: {}", escapes.1),
            // Files without end are stopped by another limit, which shows nothing of their own.
            Flaw::Hoarding => assert_eq!(escapes.0, "inconclusive", "{flaw:?}: {}", escapes.1),
            _ => assert_eq!(escapes.0, "fail", "{flaw:?}: {}", escapes.1),
        }
    }
}

/// What a bot answers whose model is asked for calls: `None` is a fault of the bot.
type Says = fn(tool: &str, word: &str) -> Option<String>;

/// What the check of escapes says of the embedded sandbox and of such a bot, which tells of these ends of its calls.
async fn judged_of_bot(says: Says, ends: Value) -> (&'static str, String) {
    let bot = Sink::new(move |heard| {
        let asked = heard.json()["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
        let tool = asked.split(' ').nth(4).unwrap_or_default();
        match says(tool, asked.split('"').nth(3).unwrap_or_default()) {
            Some(said) => {
                Reply::json(StatusCode::OK, &json!({ "choices": [{ "message": { "content": said } }] }))
            }
            None => Reply::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({})),
        }
    });
    let bot = Upstream::start(bot).await.expect("a bot");
    let told =
        Upstream::start(Sink::new(move |_| Reply::json(StatusCode::OK, &ends))).await.expect("a server");
    let asker = |name: &str| Identity::new(name, "sailors", Credential::bearer(name));
    let attempt = |name: &str, tool: &str, expect| CalledProgram {
        name: name.to_owned(),
        tool: tool.to_owned(),
        expect,
    };
    let called = CalledPrograms {
        at: format!("http://{}", bot.address()).parse().expect("a URL"),
        chat: Chat::openai(),
        askers: [asker("owner"), asker("thief")],
        arguments: format!("{{\"word\":\"{WORD}\"}}"),
        hello: "greets".to_owned(),
        writes: "writes".to_owned(),
        attempts: vec![
            attempt("a file", "opens", Expected::Held),
            attempt("a loop", "loops", Expected::Bounded(vec!["time"])),
        ],
        ends: format!("http://{}/", told.address()).parse().expect("a URL"),
    };
    let [judged] = Box::pin(judged_with(Arc::new(wasm()), SAID, 64, ["SBX-05"], Some(called))).await;
    bot.stop().await;
    told.stop().await;
    judged
}

fn held(tool: &str, word: &str) -> Option<String> {
    let said = match tool {
        "greets" => format!("It says: hello {word}"),
        "writes" => "It says: notes.txt".to_owned(),
        "opens" => "It says: held".to_owned(),
        _ => "It could not be used.".to_owned(),
    };
    Some(said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_model_may_call_is_judged_beside_the_sandbox_itself() {
    let ends = || json!([{ "tool": "opens", "end": "returned" }, { "tool": "loops", "end": "time_limit" }]);
    let found =
        |tool: &str, word: &str| if tool == "opens" { Some("ESCAPED".to_owned()) } else { held(tool, word) };
    let breaks = |tool: &str, word: &str| match tool {
        "opens" => Some("ESCAPED".to_owned()),
        "loops" => None,
        _ => held(tool, word),
    };
    let mute =
        |tool: &str, word: &str| if tool == "greets" { Some(word.to_owned()) } else { held(tool, word) };
    let no_files =
        |tool: &str, word: &str| if tool == "writes" { Some(String::new()) } else { held(tool, word) };
    let cases: [(Says, Value, &str, &str); 8] = [
        (held, ends(), "pass", "2 of them as calls of a model"),
        (found, ends(), "fail", "a file was got at from a call of a model"),
        // What got out before the bot broke stays found.
        (breaks, json!([]), "fail", "a file was got at from a call of a model"),
        (
            held,
            json!([{ "tool": "opens", "end": "returned" }, { "tool": "loops", "end": "returned" }]),
            "fail",
            "a loop was got at",
        ),
        // Where nothing runs, and where nobody tells, nothing can be seen to be held.
        (mute, ends(), "inconclusive", "nothing shows that such calls run"),
        (no_files, ends(), "inconclusive", "another community's call"),
        (held, json!([{ "tool": "opens", "end": "returned" }]), "inconclusive", "nothing tells how it ended"),
        (held, json!({}), "inconclusive", "how calls ended was wanted"),
    ];
    for (says, ends, word, why) in cases {
        let (outcome, reason) = Box::pin(judged_of_bot(says, ends)).await;
        assert_eq!(outcome, word, "{reason}");
        assert!(reason.contains(why), "{why}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_that_are_not_as_they_are_said_turn_the_check_of_many_jobs_red() {
    for (at_once, waiting, says) in [
        (1, 64, "do not run beside each other"),
        (64, 64, "jobs ran at a time, the target says 3"),
        (SAID, 0, "did not run"),
    ] {
        let [escapes, beside] = Box::pin(judged(Arc::new(wasm()), at_once, waiting, BOTH)).await;
        assert_eq!(escapes.0, "pass", "{at_once} at once: {}", escapes.1);
        assert_eq!(beside.0, "fail", "{at_once} at once: {}", beside.1);
        assert!(beside.1.contains(says), "{at_once} at once: {}", beside.1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_key_or_sends_no_job_runs_nothing() {
    let api = start(Arc::new(wasm()), 1, 1).await;
    let client = Client::new(ClientOptions::new(AddressPolicy::Any)).expect("a client");
    let whole = format!("Bearer {KEY}");
    let half = format!("Bearer {}", KEY.trim_end_matches("alone"));
    let more = format!("Bearer {KEY}x");
    let job = r#"{"tenant":"a","runtime":"wasm","program":""}"#;
    for (method, path, key, body, wanted) in [
        ("POST", "/jobs", None, job, StatusCode::UNAUTHORIZED),
        ("POST", "/jobs", Some("Bearer "), job, StatusCode::UNAUTHORIZED),
        ("POST", "/jobs", Some(half.as_str()), job, StatusCode::UNAUTHORIZED),
        ("POST", "/jobs", Some(more.as_str()), job, StatusCode::UNAUTHORIZED),
        ("POST", "/jobs", Some(KEY), job, StatusCode::UNAUTHORIZED),
        ("POST", "/other", Some(whole.as_str()), job, StatusCode::NOT_FOUND),
        ("GET", "/jobs", Some(whole.as_str()), "", StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "/jobs", Some(whole.as_str()), "tamarisk", StatusCode::UNPROCESSABLE_ENTITY),
        ("POST", "/jobs", Some(whole.as_str()), job, StatusCode::OK),
    ] {
        let mut request =
            http::Request::builder().method(method).uri(format!("http://{}{path}", api.address()));
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        let answer =
            client.send(request.body(body.to_owned().into()).expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), wanted, "{method} {path} {key:?}");
    }
    api.stop().await;
}

#[tokio::test]
async fn the_api_is_served_on_loopback_alone_and_never_without_a_key() {
    let queue = || Queue::new(Arc::new(wasm()), Arc::new(SystemClock::new()), 1, 1);
    let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let refused =
        Api::start(anywhere, Secret::new(KEY.to_owned()), queue()).await.expect_err("it is refused");
    assert!(refused.to_string().contains("loopback"), "{refused}");
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let refused = Api::start(here, Secret::new(String::new()), queue()).await.expect_err("it is refused");
    assert!(refused.to_string().contains("key"), "{refused}");
}
