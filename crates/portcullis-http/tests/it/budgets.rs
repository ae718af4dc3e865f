//! Budgets of tokens and of costs: reserved before the model is asked, settled by what was used, also when the client leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::{Method, StatusCode};
use portcullis_audit::Event;
use portcullis_chat::{JudgedWhole, Release};
use portcullis_core::Role;
use portcullis_guard::{Price, Prices};
use portcullis_model::upstream::{Hold, Reply, Scripted, Slow, Step, Upstream};
use portcullis_model::{OpenAi, OpenAiOptions};
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, World, question_body};

/// Where the answers come from: what the upstream counts for one is the same each time.
struct Rig {
    app: TestApp,
    upstream: Upstream,
    world: World,
}

impl Rig {
    async fn start(member: Option<u32>, community: Option<u32>) -> Self {
        Self::with(Setup { tokens: (member, community), ..Setup::default() }).await
    }

    /// With budgets of costs, where a million tokens cost 0.4 of a question and 2 of an answer.
    async fn costing(member: Option<u32>, community: Option<u32>) -> Self {
        let any = Some(Price { input: 400_000, output: 2_000_000 });
        let prices = Prices { own: BTreeMap::new(), any, currency: "EUR".to_owned() };
        let plenty = Some(1_000_000_000);
        Self::with(Setup { tokens: (plenty, plenty), costs: (member, community), prices, ..Setup::default() })
            .await
    }

    async fn with(setup: Setup) -> Self {
        let script = Scripted::text(&"word ".repeat(40));
        let upstream =
            Upstream::start(Slow::new(script).between(Duration::from_millis(5))).await.expect("an upstream");
        let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
        let setup = Setup { model: Some(Arc::new(model)), ..setup };
        let app = TestApp::start(setup.nothing_held_back()).await;
        let world = app.world("one").await;
        Self { app, upstream, world }
    }

    async fn key(&self, name: &str) -> String {
        self.app.key_of(&self.world, self.app.member(&self.world, name, None).await).await.0
    }

    /// What remains of a budget of tokens.
    async fn remaining(&self, key: &str, of: &str) -> u64 {
        self.remaining_of(key, "tokens", of).await
    }

    async fn remaining_of(&self, key: &str, what: &str, of: &str) -> u64 {
        let told = self.app.get("/v1/me/limits", key).await.json();
        let limits = told["limits"].as_array().expect("a list");
        let budget = limits.iter().find(|limit| limit["what"] == what && limit["of"] == of);
        let budget = budget.unwrap_or_else(|| panic!("no budget of the {of} in {limits:?}"));
        assert_eq!((&budget["window"], &budget["window_seconds"]), (&json!("day"), &json!(86_400)));
        assert!(budget["resets_at"].is_string());
        let money = json!({ "currency": "EUR", "unit": "0.000001" });
        assert_eq!(
            json!({ "currency": budget["currency"], "unit": budget["unit"] }) == money,
            what == "cost",
            "{budget}"
        );
        budget["remaining"].as_u64().expect("a number")
    }

    async fn stop(self) {
        self.app.stop().await;
        self.upstream.stop().await;
    }
}

fn used(answer: &Answer) -> u64 {
    answer.json()["usage"]["total_tokens"].as_u64().expect("the upstream tells it")
}

fn is_refused(answer: &Answer, whose: &str) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    let body = answer.json();
    let error = &body["error"];
    assert_eq!(error["code"], "budget_exhausted", "{body}");
    assert_eq!(error["type"], "insufficient_quota", "{body}");
    assert!(error["message"].as_str().expect("text").contains(whose), "{body}");
    let resets: jiff::Timestamp = error["resets_at"].as_str().expect("a time").parse().expect("a time");
    assert!(resets > jiff::Timestamp::UNIX_EPOCH);
    let wait: u64 = answer.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=87_200).contains(&wait), "{wait}");
    assert!(answer.headers["ratelimit"].to_str().expect("text").contains("-day-tokens\";r="));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_costs_what_the_upstream_says_and_a_spent_budget_refuses() {
    let rig = Rig::start(Some(2_500), None).await;
    let key = rig.key("Ada").await;
    let mut left = 2_500;
    let refused = loop {
        let answer = rig.app.ask(&key, "kettle").await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        left -= used(&answer);
        assert_eq!(rig.remaining(&key, "member").await, left, "what was not used is given back");
    };
    is_refused(&refused, "this member");
    assert!(left < 512 + 512, "refused while {left} were left");
    assert_eq!(rig.remaining(&key, "member").await, left, "a refused question costs nothing");
    // For fewer tokens there is still enough.
    let mut small = question_body("kettle", false);
    small["max_tokens"] = json!(20);
    assert_eq!(rig.app.post("/v1/chat/completions", &key, &small).await.status, StatusCode::OK);
    let other = rig.key("Bo").await;
    assert_eq!(
        rig.app.ask(&other, "kettle").await.status,
        StatusCode::OK,
        "another member has another budget"
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_past_a_budget_by_asking_at_once() {
    let rig = Rig::start(None, Some(8_000)).await;
    let keys = [rig.key("Ada").await, rig.key("Bo").await, rig.key("Cy").await];
    let answers = stream::iter(0..192)
        .map(|number| rig.app.ask(&keys[number % keys.len()], "kettle"))
        .buffer_unordered(64)
        .collect::<Vec<_>>()
        .await;
    let spent: u64 = answers.iter().filter(|answer| answer.status == StatusCode::OK).map(used).sum();
    assert!(spent <= 8_000, "{spent}");
    assert_eq!(rig.remaining(&keys[0], "community").await, 8_000 - spent, "nothing stays reserved");
    for refused in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        is_refused(refused, "this community");
    }
    assert!(answers.iter().any(|answer| answer.status != StatusCode::OK));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_not_exempt() {
    let rig = Rig::start(Some(100), None).await;
    let owner = rig.app.person(&rig.world, "Olga", Role::Owner).await;
    let request = rig.app.request(Method::POST, "/v1/chat/completions", None);
    let request =
        owner.headers().into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let body = Bytes::from(question_body("kettle", false).to_string());
    is_refused(&rig.app.send(request.body(body).expect("a request")).await, "this member");
    assert_eq!(rig.upstream.served(), 0, "the model is not asked");
    rig.stop().await;
}

/// The usage that a stream tells, if it does.
async fn streamed(rig: &Rig, key: &str, include: bool) -> Option<u64> {
    let mut body = question_body("kettle", true);
    if include {
        body["stream_options"] = json!({ "include_usage": true });
    }
    let answer = rig.app.post("/v1/chat/completions", key, &body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let text = answer.text();
    let frames: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .collect();
    // A client that did not ask for it takes the first choice of every frame.
    let without =
        frames.iter().filter(|frame| frame["choices"].as_array().is_some_and(Vec::is_empty)).count();
    assert_eq!(without, usize::from(include), "{text}");
    frames.iter().filter_map(|frame| frame["usage"]["total_tokens"].as_u64()).next_back()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_settled_by_what_was_used_and_tells_it_only_who_asked() {
    let rig = Rig::start(Some(100_000), Some(100_000)).await;
    let key = rig.key("Ada").await;
    let told = streamed(&rig, &key, true).await.expect("it was asked for");
    assert_eq!(rig.remaining(&key, "member").await, 100_000 - told);
    assert_eq!(streamed(&rig, &key, false).await, None, "nobody asked");
    let left = rig.remaining(&key, "member").await;
    assert!(left < 100_000 - told && left > 100_000 - told - 512, "settled all the same: {left}");
    assert_eq!(rig.remaining(&key, "community").await, left);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_is_told_to_who_asked_alone_also_without_a_budget_and_where_an_answer_is_judged_whole()
{
    for tokens in [(None, None), (Some(100_000), None)] {
        for whole in [JudgedWhole::All, JudgedWhole::Of(BTreeSet::new())] {
            let release = Release { whole, ..Release::strict(Vec::new()) };
            let rig = Rig::with(Setup { tokens, release, ..Setup::default() }).await;
            let key = rig.key("Ada").await;
            assert!(streamed(&rig, &key, true).await.is_some(), "it was asked for");
            assert_eq!(streamed(&rig, &key, false).await, None, "nobody asked");
            rig.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_pays_for_what_was_produced() {
    let script = Scripted::text(&"word ".repeat(400));
    let upstream =
        Upstream::start(Slow::new(script).between(Duration::from_millis(20))).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let setup = Setup { model: Some(Arc::new(model)), tokens: (Some(10_000), None), ..Setup::default() };
    let app = TestApp::start(setup.nothing_held_back()).await;
    let world = app.world("one").await;
    let rig = Rig { app, upstream, world };
    let key = rig.key("Ada").await;
    let request = rig.app.request(Method::POST, "/v1/chat/completions", Some(&key));
    let body = Bytes::from(question_body("kettle", true).to_string());
    let mut stream = rig.app.open(request.body(body).expect("a request")).await.into_body();
    for _ in 0..5 {
        stream.chunk().await.expect("a frame").expect("a frame");
    }
    let reserved = 10_000 - rig.remaining(&key, "member").await;
    assert!(reserved > 512, "reserved while it runs: {reserved}");
    drop(stream);
    let settled = async {
        loop {
            let spent = 10_000 - rig.remaining(&key, "member").await;
            if spent < reserved {
                break spent;
            }
        }
    };
    let spent = tokio::time::timeout(Duration::from_secs(20), settled).await.expect("it is settled");
    assert!(spent > 8, "the question and five pieces cost something: {spent}");
    assert!(spent < reserved - 300, "not the whole answer: {spent} of {reserved}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_no_model_was_asked_costs_nothing() {
    let rig = Rig::start(Some(10_000), None).await;
    let key = rig.key("Ada").await;
    let model = json!({ "model": "unknown", "messages": [{ "role": "user", "content": "kettle" }] });
    assert_ne!(rig.app.post("/v1/chat/completions", &key, &model).await.status, StatusCode::OK);
    assert_eq!(rig.remaining(&key, "member").await, 10_000);
    rig.stop().await;
}

/// What the upstream's numbers cost at the prices of [`Rig::costing`], in millionths.
fn cost(answer: &Answer) -> u64 {
    let usage = &answer.json()["usage"];
    let of = |name: &str| usage[name].as_u64().expect("the upstream tells it");
    (of("prompt_tokens") * 400_000 + of("completion_tokens") * 2_000_000).div_ceil(1_000_000)
}

fn costs_too_much(answer: &Answer, whose: &str) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["error"]["code"], "budget_exhausted", "{body}");
    let message = body["error"]["message"].as_str().expect("text");
    assert!(
        message.contains(whose) && message.contains("budget of costs") && message.contains("EUR"),
        "{message}"
    );
    assert!(answer.headers["ratelimit"].to_str().expect("text").contains("-day-cost\";r="));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_costs_what_its_tokens_cost_and_nothing_is_passed_at_once() {
    let rig = Rig::costing(None, Some(8_000)).await;
    let keys = [rig.key("Ada").await, rig.key("Bo").await, rig.key("Cy").await];
    let answers = stream::iter(0..192)
        .map(|number| rig.app.ask(&keys[number % keys.len()], "kettle"))
        .buffer_unordered(64)
        .collect::<Vec<_>>()
        .await;
    let spent: u64 = answers.iter().filter(|answer| answer.status == StatusCode::OK).map(cost).sum();
    assert!(spent > 0 && spent <= 8_000, "{spent}");
    assert_eq!(
        rig.remaining_of(&keys[0], "cost", "community").await,
        8_000 - spent,
        "nothing stays reserved"
    );
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != StatusCode::OK).collect();
    assert!(!refused.is_empty());
    refused.into_iter().for_each(|refused| costs_too_much(refused, "this community"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_pays_too_and_the_model_is_not_asked_beyond_the_budget() {
    let rig = Rig::costing(Some(100), None).await;
    let owner = rig.app.person(&rig.world, "Olga", Role::Owner).await;
    let request = rig.app.request(Method::POST, "/v1/chat/completions", None);
    let request =
        owner.headers().into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let body = Bytes::from(question_body("kettle", false).to_string());
    costs_too_much(&rig.app.send(request.body(body).expect("a request")).await, "this member");
    assert_eq!(rig.upstream.served(), 0, "the model is not asked");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_pays_the_cost_of_what_was_produced() {
    let rig = Rig::costing(Some(1_000_000), None).await;
    let key = rig.key("Ada").await;
    let request = rig.app.request(Method::POST, "/v1/chat/completions", Some(&key));
    let body = Bytes::from(question_body("kettle", true).to_string());
    let mut stream = rig.app.open(request.body(body).expect("a request")).await.into_body();
    stream.chunk().await.expect("a frame").expect("a frame");
    let reserved = 1_000_000 - rig.remaining_of(&key, "cost", "member").await;
    drop(stream);
    let settled = async {
        loop {
            let spent = 1_000_000 - rig.remaining_of(&key, "cost", "member").await;
            if spent < reserved {
                break spent;
            }
        }
    };
    let spent = tokio::time::timeout(Duration::from_secs(20), settled).await.expect("it is settled");
    assert!(spent > 0 && spent < reserved, "{spent} of {reserved}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_count_beside_money_and_a_model_without_a_price_is_not_asked() {
    let any = Some(Price { input: 1, output: 1 });
    let stale = Prices { any, currency: "EUR".to_owned(), ..Prices::default() };
    let setup = Setup {
        tokens: (Some(600), None),
        costs: (Some(1_000_000), None),
        prices: stale,
        ..Setup::default()
    };
    let rig = Rig::with(setup).await;
    let key = rig.key("Ada").await;
    let refused = loop {
        let answer = rig.app.ask(&key, "kettle").await;
        if answer.status != StatusCode::OK {
            break answer;
        }
    };
    is_refused(&refused, "this member");
    rig.stop().await;
    let rig = Rig::with(Setup { costs: (Some(1_000_000), None), ..Setup::default() }).await;
    let key = rig.key("Ada").await;
    let refused = rig.app.ask(&key, "kettle").await;
    assert_eq!(refused.json()["error"]["code"], "budget_exhausted", "{}", refused.text());
    assert_eq!(rig.upstream.served(), 0);
    rig.stop().await;
}

/// How a question ended, and what it cost of a budget of tokens.
async fn charged(model: OpenAi, setup: Setup, stream: bool) -> (StatusCode, u64) {
    let setup = Setup { model: Some(Arc::new(model)), tokens: (Some(10_000), None), ..setup };
    let app = TestApp::start(setup.nothing_held_back()).await;
    let world = app.world("one").await;
    let key = app.key_of(&world, app.member(&world, "Ada", None).await).await.0;
    let answer = app.post("/v1/chat/completions", &key, &question_body("kettle", stream)).await;
    let told = app.get("/v1/me/limits", &key).await.json();
    let limits = told["limits"].as_array().expect("a list");
    let budget = limits.iter().find(|limit| limit["what"] == "tokens").expect("a budget");
    let spent = 10_000 - budget["remaining"].as_u64().expect("a number");
    app.stop().await;
    (answer.status, spent)
}

/// The same where the upstream says that.
async fn charged_by(reply: Reply, setup: Setup, stream: bool) -> (StatusCode, u64) {
    let upstream = Upstream::start(Scripted::raw(reply)).await.expect("an upstream");
    let mut options = OpenAiOptions::new(upstream.url());
    options.timeouts.total = Duration::from_millis(800);
    let charged = charged(OpenAi::new(options).expect("a client"), setup, stream).await;
    upstream.stop().await;
    charged
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_whole_and_does_not_come_costs_what_was_reserved_unless_none_was_made() {
    let refusing = |status| Reply::error(StatusCode::from_u16(status).expect("a status"), "no", "not that");
    let broken = |steps| Reply { steps, ..Reply::json(StatusCode::OK, &json!({})) };
    // An upstream that refuses a question has read it, and made nothing.
    let (status, question) = charged_by(refusing(429), Setup::default(), false).await;
    assert_ne!(status, StatusCode::OK);
    assert!((1..400).contains(&question), "{question}");
    for status in [400, 401, 403, 404, 422, 503, 529] {
        assert_eq!(charged_by(refusing(status), Setup::default(), false).await.1, question, "{status}");
    }
    let half = Step::Send(Bytes::from_static(b"{\"id\":"));
    let hang = Reply { hold: Hold::Forever, ..broken(Vec::new()) };
    for (what, reply) in [
        ("it hangs", hang.clone()),
        ("it hangs half way", broken(vec![half.clone(), Step::Hang])),
        ("it breaks off", broken(vec![half.clone(), Step::Cut])),
        ("it is no answer", broken(vec![half])),
        ("it fails", refusing(500)),
        ("something between was not answered as it should be", refusing(502)),
        ("something between has waited long enough", refusing(504)),
        ("the same by another number", refusing(408)),
    ] {
        let (status, spent) = charged_by(reply, Setup::default(), false).await;
        assert_ne!(status, StatusCode::OK, "{what}");
        assert_eq!(spent, question + 512, "{what}");
    }
    // Ended by us.
    let setup = Setup { request_timeout: Duration::from_millis(300), ..Setup::default() };
    assert_eq!(charged_by(hang, setup, false).await.1, question + 512, "its time was over");
    // What never got there has cost nothing.
    let gone = Upstream::start(Scripted::text("gone")).await.expect("an upstream");
    let url = gone.url();
    gone.stop().await;
    for stream in [false, true] {
        let model = OpenAi::new(OpenAiOptions::new(url.clone())).expect("a client");
        let (status, spent) = charged(model, Setup::default(), stream).await;
        assert_ne!(status, StatusCode::OK);
        assert_eq!(spent, 0, "nobody was there to ask; streamed: {stream}");
    }
    let streamed = charged_by(refusing(429), Setup::default(), true).await.1;
    // It is asked for a stream in a few more bytes.
    assert!((question..question + 20).contains(&streamed), "streamed, refused: {streamed}, {question}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_before_a_stream_begins_pays_for_the_answer_that_may_have_been_made() {
    let refusing = Reply::error(StatusCode::TOO_MANY_REQUESTS, "no", "no");
    let question = charged_by(refusing, Setup::default(), true).await.1;
    // Asked for a stream it answers with the whole, which takes its time.
    let half = vec![Step::Send(Bytes::from_static(b"{\"id\":")), Step::Hang];
    let reply = Reply { steps: half, ..Reply::json(StatusCode::OK, &json!({})) };
    let upstream = Upstream::start(Scripted::raw(reply)).await.expect("an upstream");
    let model = OpenAi::new(OpenAiOptions::new(upstream.url())).expect("a client");
    let setup = Setup { model: Some(Arc::new(model)), tokens: (Some(10_000), None), ..Setup::default() };
    let app = TestApp::start(setup.nothing_held_back()).await;
    let world = app.world("one").await;
    let rig = Rig { app, upstream, world };
    let key = rig.key("Ada").await;
    let request = rig.app.request(Method::POST, "/v1/chat/completions", Some(&key));
    let body = Bytes::from(question_body("kettle", true).to_string());
    let asked = async {
        while rig.upstream.served() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = rig.app.open(request.body(body).expect("a request")) => panic!("it cannot be answered"),
        () = asked => {}
    }
    rig.app.recorded(|entry| matches!(&entry.event, Some(Event::TurnClosed { .. }))).await;
    assert_eq!(10_000 - rig.remaining(&key, "member").await, question + 512);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_upstream_does_not_count_costs_what_it_is_taken_to_be() {
    let answer = json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "finish_reason": "stop",
                      "message": { "role": "assistant", "content": "x".repeat(30) } }],
    });
    let question =
        charged_by(Reply::error(StatusCode::TOO_MANY_REQUESTS, "no", "no"), Setup::default(), false);
    let question = question.await.1;
    let (status, spent) = charged_by(Reply::json(StatusCode::OK, &answer), Setup::default(), false).await;
    assert_eq!((status, spent), (StatusCode::OK, question + 10));
}
