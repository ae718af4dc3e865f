//! The embedded sandbox behind its API, judged by the checks: as it is, and with one wall after the other taken away.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::StatusCode;
use portcullis_check::target::{Credential, HostFile, Runtime, SandboxApi};
use portcullis_check::{Options, Quiet, Selector, Target};
use portcullis_core::{Secret, SystemClock};
use portcullis_egress::{AddressPolicy, Client, Options as ClientOptions};
use portcullis_sandbox::conformance::wrong::{Flaw, Wrong};
use portcullis_sandbox::{Queue, Sandbox};
use portcullis_sandbox_wasm::Wasm;

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
