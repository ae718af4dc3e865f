//! What people and machines read, pinned.

use std::sync::Arc;

use portcullis_check::{Options, Quiet, Report, Selector, report, run};
use portcullis_core::ManualClock;

use crate::foreign::{Foreign, node_is_here};
use crate::settings::options;

/// A run whose time stands still against a chatbot with this fault.
async fn report_of(fault: &str, only: &[&str]) -> (Report, u16) {
    let foreign = Foreign::start(Some(fault)).await;
    let fixed: Options = Options {
        clock: Arc::new(ManualClock::at("2026-01-10T12:00:00Z".parse().expect("a time"))),
        only: only.iter().map(|id| Selector::parse(id).expect("an id")).collect(),
        ..options()
    };
    let mut target = foreign.target();
    // Tokens of the chatbot run by the machine's clock, which this run does not use.
    target.identities.retain(|identity| identity.state != portcullis_check::target::State::Expired);
    target.declarations.push(portcullis_check::target::Declaration::new(
        "expired",
        "time stands still",
        "the test",
    ));
    let report = run(target, &fixed, &Quiet).await;
    let port = foreign.port();
    foreign.stop().await;
    (report, port)
}

const ONLY: &[&str] = &["AUTH-01", "EDGE-07", "TEN-05", "SEC-09", "DR-06"];

#[tokio::test]
async fn the_report_is_the_same_bytes_every_time() {
    if !node_is_here().await {
        return;
    }
    let mut texts = Vec::new();
    for _ in 0..2 {
        let (report, port) = Box::pin(report_of("no-auth-on-history", ONLY)).await;
        let fixed = |text: String| text.replace(&port.to_string(), "PORT");
        texts.push((fixed(report::json(&report)), fixed(report::human(&report, 100))));
    }
    assert_eq!(texts[0], texts[1]);
    let (json, human) = &texts[0];
    insta::assert_snapshot!("report_json", json);
    insta::assert_snapshot!("report_human", human);
}
