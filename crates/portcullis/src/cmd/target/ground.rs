//! The communities of the checks, two and two: spaces of every kind, and a canary in each. One more, for limits, has none.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use jiff::ToSpan as _;
use portcullis_check::target::{Audience, Canary};
use portcullis_core::secret::random_bytes;
use portcullis_core::{Role, Scope, SpaceId, Tier, Token, TokenKind};
use portcullis_store::{
    Chunk, Community, CommunityRef, DocumentText, NewCommunity, NewDocument, NewInvitation, NewSpace, Plan,
    SpaceAccess,
};

use crate::instance::Kept;

/// The plan that opens the paid space.
pub(super) const PLAN: &str = "plus";
/// The spaces: for every member, for those who pay, for staff.
pub(super) const SPACES: [&str; 3] = ["commons", "lounge", "office"];
const SOURCE: &str = "portcullis-check";

/// What a document of the checks is about. The words of the topic stand in no other document.
struct Topic {
    topic: &'static str,
    title: &'static str,
    /// What the document says before its canary.
    says: &'static str,
}

/// A community of the checks, with a topic for each of its spaces where it has content.
pub(super) struct Plot {
    pub(super) slug: &'static str,
    /// What reports call its members after.
    pub(super) name: &'static str,
    topics: &'static [Topic],
}

/// What is asked where any question will do: all of them answer it, each in its own way.
pub(super) const QUESTION: &str = "What stands on the first page?";

pub(super) const PLOTS: [Plot; 2] = [
    Plot {
        slug: "portcullis-check-a",
        name: "A",
        topics: &[
            Topic {
                topic: "the Tarnwick ledger",
                title: "Kept in the boathouse",
                says: "On its first page the Tarnwick ledger says",
            },
            Topic {
                topic: "the Osprey signal",
                title: "For crews who pay",
                says: "The Osprey signal, hoisted twice, reads",
            },
            Topic {
                topic: "the Bramble protocol",
                title: "For the harbour office alone",
                says: "The Bramble protocol begins with",
            },
        ],
    },
    Plot {
        slug: "portcullis-check-b",
        name: "B",
        topics: &[
            Topic {
                topic: "the Quince almanac",
                title: "Kept in the press house",
                says: "On its first page the Quince almanac says",
            },
            Topic {
                topic: "the Medlar recipe",
                title: "For growers who pay",
                says: "The Medlar recipe asks for a spoon of",
            },
            Topic {
                topic: "the Damson codicil",
                title: "For the steward's office alone",
                says: "The Damson codicil was signed by",
            },
        ],
    },
];

/// Two more, and the checks that ask there.
pub(super) struct Elsewhere {
    pub(super) plots: &'static [Plot; 2],
    pub(super) checks: &'static [&'static str],
}

/// Checks that ask much, shared out so that within a minute no community and nobody in it is asked for more than they may.
/// Those that look at what strangers get stay in the first two.
pub(super) const ELSEWHERE: [Elsewhere; 2] = [
    Elsewhere { plots: &PLOTS_C_D, checks: &["AUTH-03", "EDGE-07", "PI-09", "TEN-02", "TEN-03"] },
    Elsewhere { plots: &PLOTS_E_F, checks: &["PI-04", "PI-10", "TEN-01", "TEN-04", "TEN-05", "TEN-07"] },
];

const PLOTS_C_D: [Plot; 2] = [
    Plot {
        slug: "portcullis-check-c",
        name: "C",
        topics: &[
            Topic {
                topic: "the Fulmar tally",
                title: "Kept in the sail loft",
                says: "On its first page the Fulmar tally says",
            },
            Topic {
                topic: "the Plover semaphore",
                title: "For crews with a berth",
                says: "The Plover semaphore, shown at dusk, reads",
            },
            Topic {
                topic: "the Thistle covenant",
                title: "For the pilot's office alone",
                says: "The Thistle covenant begins with",
            },
        ],
    },
    Plot {
        slug: "portcullis-check-d",
        name: "D",
        topics: &[
            Topic {
                topic: "the Mulberry gazette",
                title: "Kept in the drying room",
                says: "On its first page the Mulberry gazette says",
            },
            Topic {
                topic: "the Sloe cordial",
                title: "For growers with a plot",
                says: "The Sloe cordial asks for a handful of",
            },
            Topic {
                topic: "the Hazel testament",
                title: "For the warden's office alone",
                says: "The Hazel testament was signed by",
            },
        ],
    },
];

const PLOTS_E_F: [Plot; 2] = [
    Plot {
        slug: "portcullis-check-e",
        name: "E",
        topics: &[
            Topic {
                topic: "the Gannet journal",
                title: "Kept in the lamp room",
                says: "On its first page the Gannet journal says",
            },
            Topic {
                topic: "the Curlew whistle",
                title: "For crews on watch",
                says: "The Curlew whistle, blown at night, means",
            },
            Topic {
                topic: "the Nettle accord",
                title: "For the customs office alone",
                says: "The Nettle accord begins with",
            },
        ],
    },
    Plot {
        slug: "portcullis-check-f",
        name: "F",
        topics: &[
            Topic {
                topic: "the Greengage calendar",
                title: "Kept in the apple store",
                says: "On its first page the Greengage calendar says",
            },
            Topic {
                topic: "the Elder syrup",
                title: "For growers with a press",
                says: "The Elder syrup asks for a jar of",
            },
            Topic {
                topic: "the Walnut bequest",
                title: "For the bailiff's office alone",
                says: "The Walnut bequest was signed by",
            },
        ],
    },
];

/// Where limits are driven: its members do nothing else, and nobody else is there, so that no other check has used up what
/// they may ask for.
pub(super) const QUIET: Plot = Plot { slug: "portcullis-check-limits", name: "L", topics: &[] };

/// One of the communities of the checks.
pub(super) struct Ground {
    pub(super) plot: &'static Plot,
    pub(super) community: Community,
    pub(super) scope: Scope,
    /// One for each space, the open one first.
    pub(super) canaries: Vec<Canary>,
}

/// Finds or makes the community, and puts a new canary into each of its spaces.
pub(super) async fn prepare(kept: &Kept, plot: &'static Plot) -> Result<Ground> {
    let community = community(kept, plot.slug).await?;
    let scope = Kept::operator(&community);
    let spaces = spaces(kept, &scope).await?;
    let mut canaries = Vec::new();
    let mut documents = Vec::new();
    for (slug, topic) in SPACES.iter().zip(plot.topics) {
        let space =
            *spaces.get(*slug).with_context(|| format!("the space `{slug}` was made and is not there"))?;
        let text = canary();
        let whole = format!("{} {text}.", topic.says);
        documents.push(document(space, SOURCE, slug, topic.title, whole));
        let audience = match *slug {
            "commons" => Audience::Members,
            "lounge" => Audience::Plans(vec![PLAN.to_owned()]),
            _ => Audience::Staff,
        };
        canaries.push(Canary::new(plot.slug, slug, topic.topic, &text).for_audience(audience));
    }
    kept.stores.content.put(&scope, documents).await?;
    let stored = kept.stores.content.source(&scope, SOURCE).await?;
    let mut placed = Vec::new();
    for (canary, topic) in canaries.into_iter().zip(plot.topics) {
        let entry =
            stored.get(&canary.space).context("a document of the checks was stored and is not there")?;
        placed.push(canary.in_document(&entry.document.to_string(), topic.title));
    }
    invite_nobody(kept, &community, &scope).await?;
    Ok(Ground { plot, community, scope, canaries: placed })
}

/// An invitation in each community, so that its list of them is told from the other's. Its link is shown to nobody, and it
/// ends by itself.
async fn invite_nobody(kept: &Kept, community: &Community, scope: &Scope) -> Result<()> {
    let (_, token) = Token::issue(TokenKind::Invitation, &community.locator);
    let new = NewInvitation {
        token: token.hash(),
        email: None,
        role: Role::Member,
        entitlements: Vec::new(),
        uses: 1,
        expires: kept.clock.now().checked_add(1.hour())?,
    };
    let made = kept.stores.sessions.invite(scope, new).await?;
    kept.record(community, "invitation.made", vec![made.into()], Some(Role::Member.name())).await
}

async fn community(kept: &Kept, slug: &str) -> Result<Community> {
    // Limits are driven from it, one after the other: its own must not be met first.
    let tier = Tier::Dedicated;
    if let Some(community) = kept.stores.directory.find(CommunityRef::Slug(slug)).await? {
        if community.tier != tier {
            kept.stores.directory.set_tier(community.id, tier).await?;
        }
        return Ok(Community { tier, ..community });
    }
    let new = NewCommunity { slug: slug.to_owned(), name: "For checks only".to_owned(), host: None, tier };
    let made = kept.stores.directory.create(new).await?;
    kept.record(&made, "community.created", vec![made.id.into()], None).await?;
    Ok(made)
}

/// The ids of the spaces; those that are missing are made, as is the plan.
async fn spaces(kept: &Kept, scope: &Scope) -> Result<BTreeMap<String, SpaceId>> {
    let store = &kept.stores.spaces;
    if !store.plans(scope).await?.iter().any(|plan| plan.slug == PLAN) {
        store.create_plan(scope, Plan { slug: PLAN.to_owned(), name: "Plus".to_owned() }).await?;
    }
    let mut spaces: BTreeMap<String, SpaceId> =
        store.list(scope).await?.into_iter().map(|space| (space.slug, space.id)).collect();
    for slug in SPACES {
        let access = match slug {
            "commons" => SpaceAccess::Members,
            "lounge" => SpaceAccess::Plans(vec![PLAN.to_owned()]),
            _ => SpaceAccess::Staff,
        };
        match spaces.get(slug) {
            // Somebody may have opened it since: the checks are about what it should be.
            Some(space) => store.set_access(scope, *space, access).await?,
            None => {
                let new = NewSpace { slug: slug.to_owned(), name: slug.to_owned(), access };
                spaces.insert(slug.to_owned(), store.create(scope, new).await?.id);
            }
        }
    }
    Ok(spaces)
}

/// A word that nobody has written before: letters only, so that full text finds it as one word or not at all.
pub(super) fn canary() -> String {
    random_bytes::<20>().into_iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

/// A document of the checks that is one text.
pub(super) fn document(space: SpaceId, source: &str, key: &str, title: &str, text: String) -> NewDocument {
    NewDocument {
        space,
        source: source.to_owned(),
        source_key: key.to_owned(),
        fingerprint: random_bytes(),
        title: title.to_owned(),
        url: None,
        author: None,
        written: None,
        text: DocumentText { chunks: vec![Chunk { heading: String::new(), author: None, text }] },
        links: Vec::new(),
    }
}
