//! About communities that are apart.

use portcullis_check::Target;
use portcullis_check::target::{Credential, Identity, OwnedKind, State};

use super::{Built, Case, judged};
use crate::foreign::{Foreign, node_is_here};
use crate::settings::options;

pub(super) const CASES: &[Case] = &[
    Case {
        what: "the member's own credential does not work",
        change: |target| {
            for identity in &mut target.identities {
                if identity.state == State::Valid {
                    identity.credential = Credential::bearer("wrong");
                }
            }
        },
        id: "TEN-05",
        word: "inconclusive",
        says: "the positive control failed",
    },
    Case {
        what: "both members are of one community",
        change: |target| {
            target.identities.iter_mut().for_each(|identity| identity.community = "harbour".to_owned())
        },
        id: "TEN-05",
        word: "inconclusive",
        says: "two communities",
    },
    Case {
        what: "a route answers both communities alike",
        change: |target| {
            target
                .inventory
                .routes
                .iter_mut()
                .for_each(|route| _ = route.query.insert("q".to_owned(), "nothing".to_owned()))
        },
        id: "TEN-05",
        word: "inconclusive",
        says: "GET /api/search answers both communities alike",
    },
    Case {
        what: "the bot tells nobody anything of the canaries",
        change: |target| {
            for (number, canary) in target.canaries.iter_mut().enumerate() {
                canary.text = format!("neverwrittenanywhere{number}");
            }
        },
        id: "TEN-01",
        word: "inconclusive",
        says: "no owner of a canary is told it",
    },
    Case {
        what: "the bot knows one canary of a community only",
        change: |target| {
            for canary in target.canaries.iter_mut().filter(|canary| canary.space == "office") {
                canary.topic = "the nothing at all".to_owned();
            }
        },
        id: "TEN-01",
        word: "inconclusive",
        says: "the chat tells nobody the canary in space `office` of harbour",
    },
    Case {
        what: "there is a canary in one community only",
        change: |target| target.canaries.retain(|canary| canary.community == "harbour"),
        id: "TEN-01",
        word: "inconclusive",
        says: "in two communities",
    },
    Case {
        what: "one of those who are of another community has a credential that does not work",
        change: |target| {
            // Nobody who asks for their own notices it.
            target.canaries.retain(|canary| canary.community == "harbour" || canary.space != "commons");
            target.identities.push(Identity::new("bruno", "orchard", Credential::bearer("wrong")));
        },
        id: "TEN-03",
        word: "inconclusive",
        says: "as `bruno` was answered 401",
    },
    Case {
        what: "how the chat streams is not known",
        change: |target| target.chat.stream = None,
        id: "TEN-02",
        word: "inconclusive",
        says: "how an answer is streamed is not known",
    },
    Case {
        what: "what should stream does not",
        change: |target| target.chat.stream.clone_from(&target.chat.route.body),
        id: "TEN-02",
        word: "inconclusive",
        says: "answered without events",
    },
    Case {
        what: "everyone pays",
        change: |target| {
            target.identities.retain(|identity| !identity.plans.is_empty() || !identity.spaces.is_empty())
        },
        id: "TEN-07",
        word: "inconclusive",
        says: "no working identity may not read space `lounge`",
    },
    Case {
        what: "nobody is staff",
        change: |target| target.identities.retain(|identity| identity.spaces.is_empty()),
        id: "TEN-07",
        word: "inconclusive",
        says: "no working identity may read space `office`",
    },
    Case {
        what: "how files are uploaded is not known",
        change: |target| target.owned.retain(|owned| owned.kind != OwnedKind::File),
        id: "TEN-06",
        word: "inconclusive",
        says: "how a file is made and read is not known",
    },
    Case {
        what: "the owner has no expired credential",
        change: |target| target.identities.retain(|identity| identity.state != State::Expired),
        id: "TEN-06",
        word: "inconclusive",
        says: "no expired credential of `alice`",
    },
    Case {
        what: "another parameter is said to tell how many results are wanted",
        change: |target| target.tenancy.how_many = Some("n".to_owned()),
        id: "TEN-04",
        word: "inconclusive",
        says: "gives as many results",
    },
];

/// What is searched for, as a route of the target file says.
fn search_for(target: &mut Target, words: &str) {
    for route in target.inventory.routes.iter_mut().filter(|route| route.path == "/api/search") {
        route.query.insert("q".to_owned(), words.to_owned());
    }
}

pub(super) const BUILT: &[Built] = &[
    Built {
        variant: "brings-news-to-one-community-later",
        change: |target| search_for(target, "nothing"),
        id: "TEN-05",
        word: "inconclusive",
        says: "GET /api/search answers both communities alike",
    },
    Built { variant: "says-how-long-a-search-took", change: |_| {}, id: "TEN-02", word: "pass", says: "" },
    Built {
        variant: "names-the-reader-of-a-search",
        change: |target| search_for(target, "nothing"),
        id: "TEN-05",
        word: "inconclusive",
        says: "GET /api/search answers both communities alike",
    },
    Built {
        variant: "breaks-for-members-in-the-admin-plane",
        change: |_| {},
        id: "TEN-06",
        word: "inconclusive",
        says: "was answered 500",
    },
    Built {
        variant: "answers-members-emptily-in-the-admin-plane",
        change: |_| {},
        id: "TEN-06",
        word: "inconclusive",
        says: "without the text, a refusal was wanted",
    },
];

#[tokio::test]
async fn a_name_of_who_asks_does_not_hide_that_a_filter_emptied_the_answer() {
    if !node_is_here().await {
        return;
    }
    let names = "--variant=names-the-reader-of-a-search";
    for (fault, wanted) in [(Some("filter-hides-honoured-workspace"), "fail"), (None, "pass")] {
        let foreign = Foreign::deployed(fault, &[names]).await;
        let mut target = foreign.target();
        // Of which the asker's own community has nothing.
        search_for(&mut target, "grafting growers");
        let (word, reason) = judged(foreign, target, "TEN-05", options()).await;
        assert_eq!(word, wanted, "{fault:?}: {reason}");
    }
}
