//! The checks of the sandbox against the foreign one, by themselves: each of its faults turns exactly those red that name it.

use portcullis_check::checks::CHECKS;
use portcullis_check::{Area, Options, Quiet, Selector, run};

use crate::foreign::{Foreign, breaks, node_is_here};
use crate::settings::{options, outcome};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_the_sandbox_turns_exactly_the_checks_red_that_name_it() {
    if !node_is_here().await {
        return;
    }
    let faults = breaks().await;
    let faults: Vec<&str> =
        faults.iter().map(String::as_str).filter(|name| name.starts_with("sandbox-")).collect();
    assert!(faults.len() >= 6, "{faults:?}");
    let mut wrong = Vec::new();
    for fault in std::iter::once(None).chain(faults.into_iter().map(Some)) {
        let foreign = Foreign::start(fault).await;
        let options = Options { only: vec![Selector::Area(Area::Sandbox)], ..options() };
        let report = run(foreign.target(), &options, &Quiet).await;
        foreign.stop().await;
        for check in CHECKS.iter().filter(|check| check.area == Area::Sandbox) {
            let names = |faults: &[&str]| fault.is_some_and(|fault| faults.contains(&fault));
            let wanted = match check.cases {
                cases if names(cases.fails_on) => "fail",
                cases if names(cases.inconclusive_on) => "inconclusive",
                _ => "pass",
            };
            let outcome = outcome(&report, check.id);
            println!("{fault:?}: {} is {}: {}", check.id, outcome.word(), outcome.reason());
            if outcome.word() != wanted {
                wrong.push(format!(
                    "{fault:?}: {} is {}, not {wanted}: {}",
                    check.id,
                    outcome.word(),
                    outcome.reason()
                ));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.join("\n"));
}
