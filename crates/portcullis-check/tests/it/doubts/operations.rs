//! About operations.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        what: "no instance is blocked",
        change: |target| target.blocked = None,
        id: "DPL-07",
        word: "inconclusive",
        says: "readiness was not seen to say no, although it names documents",
    },
    Case {
        what: "the blocked instance is not blocked",
        change: |target| target.blocked = Some(target.base_url.clone()),
        id: "DPL-07",
        word: "fail",
        says: "where a dependency is blocked",
    },
];
