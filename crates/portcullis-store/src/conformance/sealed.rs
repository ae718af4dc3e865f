//! Cases of what can be read at rest by who has the database's key but not a member's.

use std::time::Duration;

use portcullis_core::{MemoryId, TokenKind};

use super::World;
use super::approvals::requested;
use super::conversations::{begin, message};
use super::handovers::queued;
use crate::{Decision, Ended, NewInvitation, Strangers};

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

/// Nothing that a member says or keeps, and no address or subject, is anywhere in the tables and indexes.
pub async fn nothing_of_a_member_is_readable_without_their_key(world: &World) {
    let side = &world.a;
    let own = world.scope(side, side.plain).await;
    let sources = [side.id("welcome")];
    let messages =
        [message(world, "Does kestrelwood burn?", &[]), message(world, "It does, says larchmoor.", &sources)];
    let id = begin(world, &own, "About finchdale", &messages).await;
    world.stores.conversations.rename(&own, id, "About heronfield").await.expect("renamed");
    let memory = MemoryId::new(&*world.clock);
    world.stores.memories.add(&own, memory, "Likes ospreyton").await.expect("added");
    world.stores.memories.change(&own, memory, "Likes plovergate").await.expect("changed");
    queued(world, &own, "At the end of knotgrove").await;
    let call = requested(world, &own, "{\"to\":\"redshankby\"}").await;
    let moderator = world.scope(side, side.moderator).await;
    let until = world.now().checked_add(Duration::from_secs(60)).expect("a time");
    let approvals = &world.stores.approvals;
    approvals.decide(&moderator, call, Decision::Approve { until }).await.expect("approved");
    approvals.begin(&own, call).await.expect("begun");
    approvals.finish(&own, call, Ended::Done, "Sent by smewfield".to_owned()).await.expect("ended");
    let members = &world.stores.members;
    let issuer = "https://forum.siskinham.example";
    members.link(&side.operator(), side.plain, issuer, "ternbridge").await.expect("linked");
    members.provision(side.community.id, issuer, "wrenmouth", "Dunlin Avocet").await.expect("made");
    world.ask(side, "whimbrel@curlew.example", Strangers::Refuse, None).await;
    let (visit, _) = world.ask(side, "godwit@sanderling.example", Strangers::Join, None).await;
    world.redeem(side, visit).await.expect("they join");
    let email = Some("turnstone@phalarope.example".to_owned());
    world.invite(side, NewInvitation { email, ..world.new_invitation(side) }).await;
    let (kept, _) = world.ask(side, "plain@example.org", Strangers::Refuse, None).await;

    let stored = world.at_rest(side.community.id).await;
    assert!(contains(&stored, "Welcome to the lantern garden"), "there is something to look at");
    assert!(stored.windows(32).any(|window| window == kept.link.as_bytes()), "the new tables too");
    let unused = world.token(side, TokenKind::SignIn);
    assert!(!stored.windows(32).any(|window| window == unused.as_bytes()));
    for word in [
        "kestrelwood",
        "larchmoor",
        "finchdale",
        "heronfield",
        "ospreyton",
        "plovergate",
        "knotgrove",
        "redshankby",
        "smewfield",
        "siskinham",
        "ternbridge",
        "wrenmouth",
        "Dunlin",
        "Avocet",
        "whimbrel",
        "curlew",
        "godwit",
        "sanderling",
        "turnstone",
        "phalarope",
    ] {
        assert!(!contains(&stored, word), "`{word}` is readable");
    }
}
