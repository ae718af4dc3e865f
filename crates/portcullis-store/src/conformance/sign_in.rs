//! Cases of signing in: a link works once, for its address, in its browser, in its time.

use std::sync::Arc;

use jiff::SignedDuration;
use portcullis_core::{CommunityId, Role, Tasks, TokenHash, TokenKind};
use tokio::sync::Barrier;

use super::visits::Visit;
use super::{World, refusal};
use crate::{Kind, NewMember, NewSession, Status, Strangers};

/// A link signs the member with that address in, once.
pub async fn a_link_signs_its_member_in_once(world: &World) {
    let side = &world.a;
    let (visit, send) = world.ask(side, "plain@example.org", Strangers::Refuse, None).await;
    assert!(send, "a member's link is sent");
    let (token, signed_in) = world.redeem(side, visit).await.expect("it works");
    assert_eq!((signed_in.member, signed_in.joined), (side.plain, false));
    let found = world.session(side, token).await.expect("the session has begun");
    assert_eq!((found.session, found.member), (signed_in.session, side.plain));
    assert_eq!(world.redeem(side, visit).await, None, "a used link works no more");
    let (another, _) = world.ask(side, "plain@example.org", Strangers::Refuse, None).await;
    assert_eq!(world.redeem(side, visit).await, None, "not after another was asked for either");
    assert!(world.redeem(side, another).await.is_some());
}

/// Of sixty-four that use one link at once, one begins a session.
pub async fn one_of_many_at_once_uses_a_link_up(world: &World) {
    let side = &world.a;
    let (visit, _) = world.ask(side, "plain@example.org", Strangers::Refuse, None).await;
    let tasks = Tasks::new();
    let start = Arc::new(Barrier::new(64));
    let mut running = Vec::new();
    for _ in 0..64 {
        let (stores, session, now, id) =
            (world.stores.clone(), world.new_session(side), world.now(), side.community.id);
        let start = Arc::clone(&start);
        running.push(tasks.spawn(async move {
            start.wait().await;
            let token = session.token;
            let signed_in = stores.sessions.redeem(id, visit.link, visit.browser, session, now).await;
            signed_in.expect("the store answers").map(|signed_in| (token, signed_in.session))
        }));
    }
    let mut won = Vec::new();
    for task in running {
        won.extend(task.await.expect("no task fails"));
    }
    assert_eq!(won.len(), 1);
    let own = world.scope(side, side.plain).await;
    let listed = world.stores.sessions.list(&own).await.expect("listed");
    assert_eq!(
        listed.iter().map(|info| info.id).collect::<Vec<_>>(),
        won.iter().map(|(_, session)| *session).collect::<Vec<_>>()
    );
}

/// A browser other than the one that asked is refused, and the link is still there for the one that did.
pub async fn another_browser_is_refused_and_uses_nothing_up(world: &World) {
    let side = &world.a;
    let (visit, _) = world.ask(side, "plain@example.org", Strangers::Refuse, None).await;
    let (others, _) = world.ask(side, "paying@example.org", Strangers::Refuse, None).await;
    for browser in [others.browser, visit.link, TokenHash::from_bytes([0; 32])] {
        for _ in 0..3 {
            let elsewhere = Visit { browser, ..visit };
            assert_eq!(world.redeem(side, elsewhere).await, None);
        }
    }
    let unknown = Visit { link: TokenHash::from_bytes([0; 32]), ..visit };
    assert_eq!(world.redeem(side, unknown).await, None, "nor does a browser get in with another link");
    assert!(world.redeem(side, visit).await.is_some(), "the right browser still gets in");
}

/// The last moment before a link's end still counts, the end itself does not.
pub async fn a_link_ends_exactly_when_it_expires(world: &World) {
    let side = &world.a;
    let end = world.after(World::LINK);
    let just_before = end.checked_sub(SignedDuration::from_millis(1)).expect("a time in range");
    for (at, works) in [(end, false), (just_before, true)] {
        let (visit, _) = world.ask(side, "plain@example.org", Strangers::Refuse, None).await;
        let session = world.new_session(side);
        let redeemed =
            world.stores.sessions.redeem(side.community.id, visit.link, visit.browser, session, at).await;
        assert_eq!(redeemed.expect("the store answers").is_some(), works, "at {at}");
    }
}

/// A link of one community is unknown in another, and not used up by trying.
pub async fn a_link_counts_in_its_own_community_only(world: &World) {
    let (visit, _) = world.ask(&world.a, "plain@example.org", Strangers::Join, None).await;
    assert_eq!(world.redeem(&world.b, visit).await, None);
    let (_, signed_in) = world.redeem(&world.a, visit).await.expect("it works where it was asked for");
    assert_eq!(signed_in.member, world.a.plain);
    let nowhere = CommunityId::from_bytes([3; 16]);
    let sessions = &world.stores.sessions;
    let asked =
        sessions.ask(nowhere, world.new_sign_in(&world.a, "plain@example.org"), Strangers::Join, None);
    assert_eq!(refusal(asked.await), Some(Kind::NotFound));
    let session = world.new_session(&world.a);
    let redeemed = sessions.redeem(nowhere, visit.link, visit.browser, session, world.now());
    assert_eq!(refusal(redeemed.await), Some(Kind::NotFound));
}

/// Who is no member gets no link, and one that was asked for lets nobody in; where strangers may join, they do.
pub async fn a_stranger_joins_only_where_strangers_may(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let scope = side.operator();
    let count = members.list(&scope).await.expect("listed").len();
    let (visit, send) = world.ask(side, "new.face@example.org", Strangers::Refuse, None).await;
    assert!(!send);
    assert_eq!(world.redeem(side, visit).await, None);
    assert_eq!(members.list(&scope).await.expect("listed").len(), count);

    let (visit, send) = world.ask(side, "New.Face@example.org", Strangers::Join, None).await;
    assert!(send);
    assert_eq!(members.list(&scope).await.expect("listed").len(), count, "asking makes nobody a member");
    let (token, signed_in) = world.redeem(side, visit).await.expect("they join");
    assert!(signed_in.joined);
    let member = members.get(&scope, signed_in.member).await.expect("there");
    assert_eq!((member.role, member.status), (Role::Member, Status::Active));
    assert_eq!((member.name.as_str(), member.email.as_deref()), ("New.Face", Some("New.Face@example.org")));
    assert_eq!(member.entitlements, []);
    let found = world.session(side, token).await.expect("the session has begun");
    assert_eq!(*found.standing.spaces, [side.open]);

    let (_, again) = world.sign_in(side, "new.face@example.org").await;
    assert_eq!((again.member, again.joined), (signed_in.member, false), "one address is one member");
}

/// A suspended member gets no link, and neither one that was asked for before nor one from meanwhile works once they are
/// restored.
pub async fn a_suspended_member_gets_neither_link_nor_session(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let scope = side.operator();
    let (before, _) = world.ask(side, "plain@example.org", Strangers::Refuse, None).await;
    let (others, _) = world.ask(side, "paying@example.org", Strangers::Refuse, None).await;
    members.set_status(&scope, side.plain, Status::Suspended).await.expect("suspended");
    let (invitation, _) = world.invite(side, world.new_invitation(side)).await;
    let mut meanwhile = Vec::new();
    for (strangers, invitation) in
        [(Strangers::Refuse, None), (Strangers::Join, None), (Strangers::Join, Some(invitation))]
    {
        let (visit, send) = world.ask(side, "plain@example.org", strangers, invitation).await;
        assert!(!send, "{strangers:?}");
        assert_eq!(world.redeem(side, visit).await, None);
        meanwhile.push(visit);
    }
    assert_eq!(world.redeem(side, before).await, None);
    members.set_status(&scope, side.plain, Status::Active).await.expect("restored");
    for visit in meanwhile.into_iter().chain([before]) {
        assert_eq!(world.redeem(side, visit).await, None, "it is no longer asked for");
    }
    world.sign_in(side, "plain@example.org").await;
    assert!(world.redeem(side, others).await.is_some(), "nobody else's link is touched");
}

/// A link is sent to the address that is kept for the member, however it was typed; letters outside ASCII are no others.
pub async fn a_link_goes_to_the_address_that_is_kept(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    let members = &world.stores.members;
    for email in ["Kim@kilo.example", "zo\u{eb}@example.org"] {
        let new = NewMember { name: "Somebody".to_owned(), email: Some(email.to_owned()), role: None };
        members.add(&side.operator(), new).await.expect("added");
    }
    let sent_to = async |typed: &str, strangers| {
        let new = world.new_sign_in(side, typed);
        sessions.ask(side.community.id, new, strangers, None).await.expect("the store answers")
    };
    for (typed, kept) in [
        ("plain@example.org", "Plain@example.org"),
        (" PLAIN@EXAMPLE.ORG ", "Plain@example.org"),
        ("kim@KILO.example", "Kim@kilo.example"),
        ("ZO\u{eb}@example.org", "zo\u{eb}@example.org"),
    ] {
        for strangers in [Strangers::Refuse, Strangers::Join] {
            assert_eq!(sent_to(typed, strangers).await.as_deref(), Some(kept), "{typed:?}");
        }
    }
    for other in ["\u{212a}im@kilo.example", "kim@\u{212a}ilo.example", "zo\u{cb}@example.org"] {
        assert_eq!(sent_to(other, Strangers::Refuse).await, None, "{other:?}");
        let found = members.find_by_email(&side.operator(), other).await.expect("the store answers");
        assert_eq!(found, None, "{other:?}");
        assert_eq!(sent_to(other, Strangers::Join).await.as_deref(), Some(other), "a stranger's own address");
    }
}

/// An address is the same whatever its case and the space around it.
pub async fn an_address_is_one_whatever_its_case(world: &World) {
    for email in ["PLAIN@example.org", " Plain@Example.Org "] {
        let (visit, send) = world.ask(&world.a, email, Strangers::Refuse, None).await;
        assert!(send, "{email:?}");
        let (_, signed_in) = world.redeem(&world.a, visit).await.expect("it works");
        assert_eq!(signed_in.member, world.a.plain);
    }
}

/// What mail cannot reach is refused, for known and unknown alike; so is a link's token in use.
pub async fn malformed_addresses_and_tokens_in_use_are_refused(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    for email in ["", "nobody", "@host", "name@", "a@b@c", "two words@example.org", "a@b\nBcc: c@d"] {
        let asked = sessions.ask(side.community.id, world.new_sign_in(side, email), Strangers::Join, None);
        assert_eq!(refusal(asked.await), Some(Kind::Invalid), "{email:?}");
    }
    let new = world.new_sign_in(side, "plain@example.org");
    let mut stolen = world.new_sign_in(side, "paying@example.org");
    stolen.token = new.token;
    sessions.ask(side.community.id, new.clone(), Strangers::Refuse, None).await.expect("asked");
    let asked = sessions.ask(side.community.id, stolen.clone(), Strangers::Refuse, None).await;
    assert_eq!(refusal(asked), Some(Kind::Conflict));
    let visit = Visit { link: new.token, browser: stolen.browser };
    assert_eq!(world.redeem(side, visit).await, None, "the second asker got nothing");
}

/// Somebody who uses several links for a new address at once becomes one member.
pub async fn one_address_at_once_is_one_member(world: &World) {
    let side = &world.a;
    let mut visits = Vec::new();
    for _ in 0..16 {
        visits.push(world.ask(side, "twin@example.org", Strangers::Join, None).await.0);
    }
    let tasks = Tasks::new();
    let mut running = Vec::new();
    for visit in visits {
        let (stores, session, now, id) =
            (world.stores.clone(), world.new_session(side), world.now(), side.community.id);
        running.push(tasks.spawn(async move {
            let signed_in = stores.sessions.redeem(id, visit.link, visit.browser, session, now).await;
            signed_in.expect("the store answers").expect("each link works")
        }));
    }
    let mut signed_in = Vec::new();
    for task in running {
        signed_in.push(task.await.expect("no task fails"));
    }
    assert_eq!(signed_in.iter().filter(|signed_in| signed_in.joined).count(), 1);
    let member = signed_in.first().expect("sixteen").member;
    assert!(signed_in.iter().all(|signed_in| signed_in.member == member));
    let found = world.stores.members.get(&side.operator(), member).await.expect("there");
    assert_eq!(found.email.as_deref(), Some("twin@example.org"), "and reads back");
    assert_eq!(world.stores.members.list(&side.operator()).await.expect("listed").len(), 6);
}

/// A session that cannot begin uses no link up and makes nobody a member.
pub async fn a_session_that_cannot_begin_changes_nothing(world: &World) {
    let side = &world.a;
    let (taken, _) = world.sign_in(side, "plain@example.org").await;
    let (visit, _) = world.ask(side, "new.face@example.org", Strangers::Join, None).await;
    let session = NewSession { token: taken, ..world.new_session(side) };
    let sessions = &world.stores.sessions;
    let redeemed = sessions.redeem(side.community.id, visit.link, visit.browser, session, world.now());
    assert_eq!(refusal(redeemed.await), Some(Kind::Conflict));
    assert_eq!(world.stores.members.list(&side.operator()).await.expect("listed").len(), 5);
    assert_eq!(world.session(side, taken).await.expect("still theirs").member, side.plain);
    assert!(world.redeem(side, visit).await.expect("the link still works").1.joined);
}

/// A token of one kind opens nothing as another.
pub async fn a_token_counts_as_its_own_kind_only(world: &World) {
    let side = &world.a;
    let (invitation, _) = world.invite(side, world.new_invitation(side)).await;
    let (visit, _) = world.ask(side, "plain@example.org", Strangers::Refuse, Some(invitation)).await;
    for token in [visit.link, visit.browser, invitation, world.token(side, TokenKind::Session)] {
        assert_eq!(world.session(side, token).await, None);
        let key = world.stores.identity.key(side.community.id, token, world.now()).await;
        assert_eq!(key.expect("the store answers"), None);
    }
    let (session, _) = world.redeem(side, visit).await.expect("it works");
    let key = world.stores.identity.key(side.community.id, session, world.now()).await;
    assert_eq!(key.expect("the store answers"), None);
    let as_link = Visit { link: session, ..visit };
    assert_eq!(world.redeem(side, as_link).await, None);
    let as_invitation = Visit { link: invitation, ..visit };
    assert_eq!(world.redeem(side, as_invitation).await, None);
}
