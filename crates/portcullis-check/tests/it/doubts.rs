//! What a target file leaves out or gets wrong: the checks say so instead of passing, against a chatbot that is in order.

mod auth;
mod edge;
mod injection;
mod limits;
mod operations;
mod roles;
mod sandbox;
mod secrets;
mod tenancy;

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use portcullis_check::target::Forwarded;
use portcullis_check::{Options, Quiet, Selector, Target, run};

use crate::foreign::{Foreign, node_is_here};
use crate::settings::{options, outcome};

fn forwarded(target: &mut Target) -> &mut Forwarded {
    target.forwarded.as_deref_mut().expect("a proxy")
}

/// One change to the target and what the check must say then.
struct Case {
    what: &'static str,
    change: fn(&mut Target),
    id: &'static str,
    word: &'static str,
    says: &'static str,
}

/// A chatbot that is built in another way, and what the check must say of it.
struct Built {
    variant: &'static str,
    change: fn(&mut Target),
    id: &'static str,
    word: &'static str,
    says: &'static str,
}

/// A fault of a chatbot that is built in another way, and what the check must say of it.
struct Hidden {
    fault: &'static str,
    built: Built,
}

/// Those of each area.
const CASES: &[&[Case]] = &[
    auth::CASES,
    edge::CASES,
    injection::CASES,
    limits::CASES,
    operations::CASES,
    roles::CASES,
    sandbox::CASES,
    secrets::CASES,
    tenancy::CASES,
];

#[tokio::test]
async fn what_a_target_file_leaves_out_never_turns_into_a_pass() {
    if !node_is_here().await {
        return;
    }
    let wrong: Vec<String> = stream::iter(CASES.iter().copied().flatten())
        .map(|case| async move {
            let foreign = Foreign::start(None).await;
            let mut target = foreign.target();
            (case.change)(&mut target);
            let only = vec![Selector::parse(case.id).expect("an id")];
            let mut options = Options { only, ..options() };
            options.allow.writes = case.says != "--allow writes";
            options.allow.drills = case.says != "--allow drills";
            let report = run(target, &options, &Quiet).await;
            foreign.stop().await;
            let outcome = outcome(&report, case.id);
            let right = outcome.word() == case.word && outcome.reason().contains(case.says);
            (!right)
                .then(|| format!("{}: {} says {}: {}", case.what, case.id, outcome.word(), outcome.reason()))
        })
        .buffer_unordered(4)
        .filter_map(|wrong| async move { wrong })
        .collect()
        .await;
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_is_built_otherwise_and_not_wrongly_never_fails() {
    if !node_is_here().await {
        return;
    }
    let built = [auth::BUILT, edge::BUILT, injection::BUILT, roles::BUILT, tenancy::BUILT];
    let wrong: Vec<String> = stream::iter(built.into_iter().flatten())
        .map(|built| misjudged(None, built))
        .buffer_unordered(4)
        .filter_map(|wrong| async move { wrong })
        .collect()
        .await;
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_is_built_otherwise_hides_no_fault() {
    if !node_is_here().await {
        return;
    }
    let hidden = [auth::HIDDEN, injection::HIDDEN, roles::HIDDEN];
    let wrong: Vec<String> = stream::iter(hidden.into_iter().flatten())
        .map(|hidden| misjudged(Some(hidden.fault), &hidden.built))
        .buffer_unordered(4)
        .filter_map(|wrong| async move { wrong })
        .collect()
        .await;
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
}

/// What the check says of such a chatbot, where it must say something else.
async fn misjudged(fault: Option<&str>, built: &Built) -> Option<String> {
    let foreign = Foreign::deployed(fault, &[&format!("--variant={}", built.variant)]).await;
    let mut target = foreign.target();
    (built.change)(&mut target);
    let (word, reason) = judged(foreign, target, built.id, options()).await;
    let right = word == built.word && reason.contains(built.says);
    let named = fault.unwrap_or("no fault");
    (!right).then(|| format!("{}, {named}: {} says {word}: {reason}", built.variant, built.id))
}

/// What one check says of a target that this chatbot stands behind: the word, and why. The chatbot is stopped.
async fn judged(foreign: Foreign, target: Target, id: &str, options: Options) -> (&'static str, String) {
    let only = vec![Selector::parse(id).expect("an id")];
    let report = run(target, &Options { only, ..options }, &Quiet).await;
    foreign.stop().await;
    let outcome = outcome(&report, id);
    (outcome.word(), outcome.reason().to_string())
}

#[tokio::test]
async fn an_address_limit_that_is_off_is_seen_by_strangers_too() {
    if !node_is_here().await {
        return;
    }
    let foreign = Foreign::start(Some("no-address-limit")).await;
    let mut target = foreign.target();
    target.identities.retain(|identity| identity.name != "erin");
    let (word, reason) = judged(foreign, target, "RL-01", options()).await;
    assert_eq!(word, "fail", "{reason}");
}

#[tokio::test]
async fn a_filter_in_front_hides_no_search_that_ends_at_a_quote() {
    if !node_is_here().await {
        return;
    }
    let foreign = Foreign::deployed(Some("search-ends-at-a-quote"), &["--filter"]).await;
    let target = foreign.target();
    let (word, reason) = judged(foreign, target, "TEN-03", options()).await;
    assert_eq!(word, "inconclusive", "{reason}");
    assert!(reason.contains("a firewall's page"), "{reason}");
}

#[tokio::test]
async fn a_limit_that_is_over_before_headers_are_tried_shows_nothing_about_them() {
    if !node_is_here().await {
        return;
    }
    let foreign = Foreign::deployed(Some("rate-limit-by-header"), &["--short-windows"]).await;
    let target = foreign.target();
    let (word, reason) = judged(foreign, target, "RL-01", options()).await;
    assert_eq!(word, "inconclusive", "{reason}");
    assert!(reason.contains("was over before `X-Forwarded-For` was tried"), "{reason}");
}

#[tokio::test]
async fn a_budget_that_nothing_else_tells_from_a_limit_of_requests_is_told_by_staying() {
    if !node_is_here().await {
        return;
    }
    for (fault, word) in [(None, "pass"), (Some("costs-are-only-rate-limited"), "fail")] {
        let foreign = Foreign::start(fault).await;
        let mut target = foreign.target();
        target.caps.iter_mut().for_each(|cap| cap.marker = None);
        let mut options = options();
        // The limit is one of two seconds.
        options.budget.limit_window = Duration::from_millis(2_500);
        options.budget.longest_wait = options.budget.limit_window;
        let (said, reason) = judged(foreign, target, "RL-09", options).await;
        assert_eq!(said, word, "{reason}");
    }
}

#[tokio::test]
async fn a_trace_of_the_latest_few_does_not_hide_that_the_model_was_asked_too() {
    if !node_is_here().await {
        return;
    }
    let foreign = Foreign::start(Some("handover-asks-the-model-too")).await;
    let mut target = foreign.target();
    let queue = target.handovers.as_deref_mut().expect("a queue");
    let trace = queue.trace.take().expect("a trace");
    queue.trace = Some(format!("{trace}?latest=10").parse().expect("a URL"));
    let (word, reason) = judged(foreign, target, "PI-06", options()).await;
    assert_eq!(word, "fail", "{reason}");
}
