//! About authentication and what belongs to somebody.

use portcullis_check::target::{Confirmation, Credential, Identity, Route, RouteKind, Spot, State};

use super::{Built, Case, Hidden};

pub(super) const CASES: &[Case] = &[
    Case {
        what: "nothing confirms the list of routes",
        change: |target| target.inventory.openapi = None,
        id: "AUTH-01",
        word: "inconclusive",
        says: "nothing confirms",
    },
    Case {
        what: "the document that should confirm it is not there",
        change: |target| {
            target.inventory.openapi =
                Some(portcullis_check::target::OpenApi::OnTarget("/no-such.json".to_owned()));
        },
        id: "AUTH-01",
        word: "inconclusive",
        says: "no OpenAPI document",
    },
    Case {
        what: "the log knows a route that the list does not",
        change: |target| {
            let text = "- - - [x] \"GET /api/export HTTP/1.1\" 200 5".to_owned();
            target
                .inventory
                .confirmations
                .push(Confirmation::AccessLog { origin: "file:log".to_owned(), text });
        },
        id: "AUTH-01",
        word: "inconclusive",
        says: "GET /api/export",
    },
    Case {
        what: "no credential was revoked",
        change: |target| target.identities.retain(|identity| identity.state != State::Revoked),
        id: "AUTH-01",
        word: "inconclusive",
        says: "no credential that is revoked",
    },
    Case {
        what: "the revoked credential is the expired one",
        change: |target| {
            let expired = target.identities.iter().find(|identity| identity.state == State::Expired);
            let credential = expired.expect("one has expired").credential.clone();
            for identity in &mut target.identities {
                if identity.state == State::Revoked {
                    identity.credential = credential.clone();
                }
            }
        },
        id: "AUTH-01",
        word: "inconclusive",
        says: "does not show that it was revoked",
    },
    Case {
        what: "a route that writes may not be asked",
        change: |target| target.inventory.routes.iter_mut().for_each(|route| route.succeeds_with = None),
        id: "AUTH-01",
        word: "inconclusive",
        says: "--allow writes",
    },
    Case {
        what: "a path has no value for its parameter",
        change: |target| target.inventory.routes.iter_mut().for_each(|route| route.params.clear()),
        id: "AUTH-01",
        word: "inconclusive",
        says: "needs a value for `",
    },
    Case {
        what: "no credential ends during the run",
        change: |target| target.identities.retain(|identity| identity.state != State::Expiring),
        id: "AUTH-02",
        word: "inconclusive",
        says: "needs a credential that ends",
    },
    Case {
        what: "the credential has ended before the run",
        change: |target| {
            let old = target.identities.iter().find(|identity| identity.state == State::Expired);
            let old = old.expect("one has expired").clone();
            let ended = old.clone().expiring(jiff::Timestamp::from_second(1_000_000_000).expect("a time"));
            target.identities.retain(|identity| identity.state != State::Expiring);
            target.identities.push(Identity { credential: Credential::bearer("opaque"), ..ended });
        },
        id: "AUTH-02",
        word: "inconclusive",
        says: "had ended before",
    },
    Case {
        what: "the token ends at another time than is said",
        change: |target| {
            for identity in target.identities.iter_mut().filter(|identity| identity.state == State::Expiring)
            {
                identity.ends = identity.ends.map(|ends| ends + jiff::SignedDuration::from_secs(9));
            }
        },
        id: "AUTH-02",
        word: "inconclusive",
        says: "ends at another time",
    },
    Case {
        what: "the canaries are not indexed",
        change: |target| {
            for (number, canary) in target.canaries.iter_mut().enumerate() {
                canary.text = format!("neverwrittenanywhere{number}");
            }
        },
        id: "AUTH-05",
        word: "inconclusive",
        says: "does not find its canary",
    },
    Case {
        what: "nobody's payment has ended",
        change: |target| target.identities.retain(|identity| identity.state != State::Lapsed),
        id: "AUTH-05",
        word: "inconclusive",
        says: "no member whose payment",
    },
    Case {
        what: "the lapsed member's credential never was one",
        change: |target| {
            for identity in target.identities.iter_mut().filter(|identity| identity.state == State::Lapsed) {
                identity.credential = Credential::bearer("made-up-credential");
            }
        },
        id: "AUTH-05",
        word: "inconclusive",
        says: "refused like a credential that never was",
    },
    Case {
        what: "the target names no search",
        change: |target| target.inventory.routes.retain(|route| route.path != "/api/search"),
        id: "AUTH-05",
        word: "inconclusive",
        says: "no route for search is known",
    },
    Case {
        what: "nobody of the admin role works",
        change: |target| target.identities.retain(|identity| identity.role != "admin"),
        id: "AUTH-03",
        word: "inconclusive",
        says: "no working identity may use",
    },
    Case {
        what: "the credential of the staff is not known",
        change: |target| {
            for identity in target.identities.iter_mut().filter(|identity| identity.role == "staff") {
                identity.credential = Credential::bearer("wrong");
            }
        },
        id: "AUTH-03",
        word: "inconclusive",
        says: "the positive control failed",
    },
    Case {
        what: "no route is in the admin plane",
        change: |target| target.roles.admin_paths = vec!["/manage".to_owned()],
        id: "AUTH-03",
        word: "fail",
        says: "stands outside the admin plane",
    },
    Case {
        what: "the id of a new conversation is not where it is said to be",
        change: |target| {
            target.owned.iter_mut().for_each(|owned| owned.id = Spot::Pointer("/uuid".to_owned()))
        },
        id: "AUTH-04",
        word: "inconclusive",
        says: "the id of a new conversation is not where",
    },
    Case {
        what: "a conversation is read where there is none",
        change: |target| {
            target.owned.iter_mut().for_each(|owned| owned.read.path = "/api/talks/{id}".to_owned());
        },
        id: "AUTH-04",
        word: "inconclusive",
        says: "the positive control failed",
    },
    Case {
        what: "two sessions of one member stand for two members",
        change: |target| {
            target.identities.iter_mut().for_each(|identity| identity.user.clone_from(&identity.community));
        },
        id: "AUTH-04",
        word: "inconclusive",
        says: "no two members of one community",
    },
    Case {
        what: "how a conversation is changed is not known",
        change: |target| target.owned.iter_mut().for_each(|owned| owned.update = None),
        id: "AUTH-04",
        word: "inconclusive",
        says: "`update` of a conversation is not known",
    },
    Case {
        what: "a batch has another form than is said",
        change: |target| {
            for owned in &mut target.owned {
                owned.batch = owned
                    .batch
                    .take()
                    .map(|batch| Route { path: format!("{}/of/many", batch.path), ..batch });
            }
        },
        id: "AUTH-04",
        word: "inconclusive",
        says: "gives its owner neither its text nor its id",
    },
    Case {
        what: "a list is not where it is said to be",
        change: |target| {
            for owned in &mut target.owned {
                owned.list = owned.list.take().map(|list| Route { path: "/api/me".to_owned(), ..list });
            }
        },
        id: "AUTH-04",
        word: "inconclusive",
        says: "gives its owner neither its text nor its id",
    },
];

pub(super) const BUILT: &[Built] = &[
    Built {
        variant: "hides-the-admin-plane",
        change: |_| {},
        id: "AUTH-03",
        word: "pass",
        says: "none got in",
    },
    Built {
        variant: "hides-the-admin-plane",
        change: |_| {},
        id: "RBAC-03",
        word: "pass",
        says: "cells of roles and permissions hold",
    },
    Built {
        variant: "hides-the-admin-plane-in-one-word",
        change: |_| {},
        id: "AUTH-03",
        word: "inconclusive",
        says: "as a path at which there is nothing",
    },
    Built {
        variant: "refuses-strangers-with-a-page",
        change: |_| {},
        id: "AUTH-01",
        word: "pass",
        says: "protected routes refuse",
    },
    Built {
        variant: "answers-unknown-paths-with-a-shell",
        change: |target| {
            let page = Route::new(http::Method::GET, "/api/admin/overview").kind(RouteKind::Page);
            target.inventory.routes.push(page.only_for("ada").needs("read-members"));
        },
        id: "AUTH-03",
        word: "pass",
        says: "none got in",
    },
    Built {
        variant: "takes-writes-of-anyone-and-drops-them",
        change: |_| {},
        id: "AUTH-04",
        word: "inconclusive",
        says: "PUT /api/conversations/",
    },
    Built {
        variant: "names-who-asked-in-the-admin-plane",
        change: |_| {},
        id: "AUTH-03",
        word: "pass",
        says: "none got in",
    },
    Built {
        variant: "refuses-strangers-in-a-frame",
        change: |_| {},
        id: "AUTH-01",
        word: "pass",
        says: "protected routes refuse",
    },
    Built {
        variant: "repeats-the-conversation-asked-for",
        change: |_| {},
        id: "AUTH-04",
        word: "pass",
        says: "open to nobody else",
    },
];

pub(super) const HIDDEN: &[Hidden] = &[Hidden {
    fault: "member-removal-unguarded",
    built: Built {
        variant: "names-who-asked-in-the-admin-plane",
        change: |_| {},
        id: "AUTH-03",
        word: "inconclusive",
        says: "DELETE /api/admin/members/no-such-member as `",
    },
}];
