//! About roles and accounts.

use portcullis_check::Target;
use portcullis_check::target::{AccountKind, NewCredential, SignUpBy};

use super::{Built, Case, Hidden, judged};
use crate::foreign::{Foreign, node_is_here};
use crate::settings::options;

pub(super) const CASES: &[Case] = &[
    Case {
        what: "nobody signed who may do what",
        change: |target| target.roles.declared = None,
        id: "RBAC-01",
        word: "inconclusive",
        says: "write each role's permissions into a file",
    },
    Case {
        what: "the declared file was changed after it was signed",
        change: |target| {
            let declared = target.roles.declared.as_mut().expect("one is declared");
            declared.sha256 = "0".repeat(64);
        },
        id: "RBAC-01",
        word: "fail",
        says: "is not the file that the owner of the foreign chatbot, 2026-01-10 signed",
    },
    Case {
        what: "the system does not say who may do what",
        change: |target| target.roles.system = None,
        id: "RBAC-01",
        word: "inconclusive",
        says: "add `system` to [roles]",
    },
    Case {
        what: "the list of members ends after its first page",
        change: |target| target.accounts.lists.iter_mut().for_each(|list| list.next = None),
        id: "RBAC-02",
        word: "inconclusive",
        says: "it is not whole",
    },
    Case {
        what: "service keys are not listed",
        change: |target| target.accounts.lists.retain(|list| list.kind == AccountKind::People),
        id: "RBAC-02",
        word: "inconclusive",
        says: "where keys are listed is not known",
    },
    Case {
        what: "one community's accounts are not listed",
        change: |target| target.accounts.lists.iter_mut().for_each(|list| list.askers.truncate(1)),
        id: "RBAC-02",
        word: "inconclusive",
        says: "nobody reads GET /api/admin/members for orchard",
    },
    Case {
        what: "two users have one credential",
        change: |target| {
            let of = |target: &Target, name: &str| {
                let mut all = target.identities.iter();
                all.find(|identity| identity.name == name).expect("known").credential.clone()
            };
            let credential = of(target, "ann");
            for identity in target.identities.iter_mut().filter(|identity| identity.name == "abe") {
                identity.credential = credential.clone();
            }
        },
        id: "RBAC-02",
        word: "fail",
        says: "`ann` and `abe` use one credential",
    },
    Case {
        what: "no request exercises a permission",
        change: |target| target.inventory.permission_key = None,
        id: "RBAC-03",
        word: "inconclusive",
        says: "no request exercises `ask`",
    },
    Case {
        what: "nobody has one of the roles",
        change: |target| target.identities.retain(|identity| identity.role != "staff"),
        id: "RBAC-03",
        word: "inconclusive",
        says: "no working identity has the role `staff`",
    },
    Case {
        what: "there is one way to an account only",
        change: |target| target.sign_ups.retain(|sign_up| sign_up.by == SignUpBy::Self_),
        id: "RBAC-04",
        word: "inconclusive",
        says: "that is begun by staff is known",
    },
    Case {
        what: "a new member is known by what somebody else has",
        change: |target| {
            for sign_up in &mut target.sign_ups {
                sign_up.credential =
                    NewCredential::Header { name: "X-Nothing".to_owned(), value: "x".to_owned() };
            }
        },
        id: "RBAC-04",
        word: "inconclusive",
        says: "GET /api/me",
    },
];

pub(super) const BUILT: &[Built] = &[
    Built {
        variant: "hides-the-admin-plane",
        change: |_| {},
        id: "RBAC-04",
        word: "pass",
        says: "give the least role",
    },
    Built {
        variant: "names-who-asked-in-the-admin-plane",
        change: |_| {},
        id: "RBAC-03",
        word: "pass",
        says: "cells of roles and permissions hold",
    },
    Built {
        variant: "takes-nothing-but-a-token",
        change: |_| {},
        id: "RBAC-04",
        word: "pass",
        says: "give the least role",
    },
];

/// What the check says of somebody who asked to be more while signing up.
const fn honoured(variant: &'static str, word: &'static str, says: &'static str) -> Hidden {
    let built = Built { variant, change: |_| {}, id: "RBAC-04", word, says };
    Hidden { fault: "sign-up-honours-role", built }
}

pub(super) const HIDDEN: &[Hidden] = &[
    Hidden {
        fault: "member-removal-unguarded",
        built: Built {
            variant: "names-who-asked-in-the-admin-plane",
            change: |_| {},
            id: "RBAC-03",
            word: "inconclusive",
            says: "whether `member` may `write-members` is not shown",
        },
    },
    Hidden {
        fault: "member-removal-unguarded",
        built: Built {
            variant: "names-who-asked-in-the-admin-plane",
            change: |_| {},
            id: "RBAC-04",
            word: "inconclusive",
            says: "may `write-members` is not shown",
        },
    },
    honoured("asks-new-staff-for-a-second-factor-first", "inconclusive", "refused nothing"),
    honoured("filters-roles", "inconclusive", "refused nothing"),
    honoured("takes-nothing-but-a-token", "fail", "asked to be `admin` while signing up and is `admin`"),
];

#[tokio::test]
async fn a_sign_up_that_is_refused_for_something_else_shows_nothing_about_roles() {
    if !node_is_here().await {
        return;
    }
    for (how, says) in [
        ("--one-sign-up", "without asking for a role"),
        ("--staff-enrol-first", "tells the new member by by-mail no role"),
    ] {
        let foreign = Foreign::deployed(Some("sign-up-honours-role"), &[how]).await;
        let target = foreign.target();
        let (word, reason) = judged(foreign, target, "RBAC-04", options()).await;
        assert_eq!(word, "inconclusive", "{how}: {reason}");
        assert!(reason.contains(says), "{how}: {reason}");
    }
}
