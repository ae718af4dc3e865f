//! About limits.

use super::{Case, forwarded};

pub(super) const CASES: &[Case] = &[
    Case {
        what: "a user has one session only",
        change: |target| target.identities.retain(|identity| identity.name != "carol-2"),
        id: "RL-01",
        word: "inconclusive",
        says: "one user with 2 sessions is needed",
    },
    Case {
        what: "nothing tells the gate's 429 from a provider's",
        change: |target| target.limits.marker = None,
        id: "RL-01",
        word: "inconclusive",
        says: "cannot be told",
    },
    Case {
        what: "no limit for addresses is promised",
        change: |target| target.limits.address_per_minute = None,
        id: "RL-01",
        word: "inconclusive",
        says: "no limit for each address",
    },
    Case {
        what: "there are too few users to reach an address's limit, so strangers show it",
        change: |target| target.identities.retain(|identity| identity.name != "erin"),
        id: "RL-01",
        word: "pass",
        says: "3 of 3 limits",
    },
    Case {
        what: "nothing tells the 429 of a budget from one of a limit, and there is no time to see which it is",
        change: |target| target.caps.iter_mut().for_each(|cap| cap.marker = None),
        id: "RL-09",
        word: "inconclusive",
        says: "POST /api/chat answers 429, which may be a limit of requests",
    },
    Case {
        what: "no header is believed where the limit of an IPv6 network would be tried",
        change: |target| forwarded(target).header = "X-Nothing".to_owned(),
        id: "RL-06",
        word: "inconclusive",
        says: "nothing shows that `X-Nothing` is believed",
    },
    Case {
        what: "no limit for each address is promised, so that none of a network is tried",
        change: |target| forwarded(target).address_per_minute = None,
        id: "RL-06",
        word: "pass",
        says: "no network of IPv6 addresses was tried: no limit for each address is promised",
    },
];
