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
async fn an_address_limit_that_is_off_is_seen_by_strangers_too() {
    if !node_is_here().await {
        return;
    }
    let foreign = Foreign::start(Some("no-address-limit")).await;
    let mut target = foreign.target();
    target.identities.retain(|identity| identity.name != "erin");
    let only = vec![Selector::parse("RL-01").expect("an id")];
    let report = run(target, &Options { only, ..options() }, &Quiet).await;
    foreign.stop().await;
    assert_eq!(outcome(&report, "RL-01").word(), "fail", "{}", outcome(&report, "RL-01").reason());
}
