//! How the tests run checks: everything allowed, short waits.

use std::sync::Arc;
use std::time::Duration;

use portcullis_check::{Allow, Budget, Options, Outcome, Report};
use portcullis_core::SystemClock;

/// Everything allowed, short waits.
pub(crate) fn options() -> Options {
    let mut options = Options::new(Arc::new(SystemClock::new()));
    options.allow = Allow { writes: true, load: true, drills: false };
    options.budget = Budget {
        connect_timeout: Duration::from_secs(2),
        answer_timeout: Duration::from_secs(5),
        check_timeout: Duration::from_secs(60),
        longest_wait: Duration::from_secs(2),
        expiry_grace: Duration::from_secs(1),
        block_grace: Duration::from_secs(1),
        ..Budget::default()
    };
    options
}

pub(crate) fn outcome<'r>(report: &'r Report, id: &str) -> &'r Outcome {
    &report.outcomes.iter().find(|judged| judged.id == id).expect("the check is in the report").outcome
}
