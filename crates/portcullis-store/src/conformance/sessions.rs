//! Cases of sessions: who they are, how long they last, and that an end is an end.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use portcullis_core::{AbilitySet, CommunityId, KeyAbility, MemberId, Role, SessionId, Tasks, TokenHash};

use super::{World, refusal};
use crate::{Entitlement, KeptSince, Kind, LAPSED_FOR, NewSession, SpaceAccess, Status, Strangers};

/// The longest that a case waits for what happens in the background.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session is its member as they are now, in its own community, and nobody else anywhere.
pub async fn a_session_tells_who_acts(world: &World) {
    let side = &world.a;
    for (email, member) in [("paying@example.org", side.paying), ("owner@example.org", side.owner)] {
        let (token, signed_in) = world.sign_in(side, email).await;
        let standing = world.stores.identity.standing(side.community.id, member, world.now()).await;
        for _ in 0..2 {
            let found = world.session(side, token).await.expect("it has begun");
            assert_eq!((found.session, found.member), (signed_in.session, member));
            assert_eq!(Some(&found.standing), standing.as_ref().expect("the store answers").as_ref());
            assert_eq!(found.expires, world.after(World::SESSION));
            assert_eq!(world.session(&world.b, token).await, None);
            let nowhere = CommunityId::from_bytes([3; 16]);
            assert_eq!(world.session_at(nowhere, token, world.now()).await, None);
        }
    }
    assert_eq!(world.session(side, TokenHash::from_bytes([3; 32])).await, None);
}

/// The last moment before a session's end still counts, the end itself does not, however much it is used.
pub async fn a_session_ends_exactly_at_its_end(world: &World) {
    let side = &world.a;
    let (visit, _) = world.ask(side, "plain@example.org", Strangers::Refuse, None).await;
    let session = NewSession { idle: 2 * World::SESSION, ..world.new_session(side) };
    let (token, end) = (session.token, session.expires);
    let id = side.community.id;
    let redeemed = world.stores.sessions.redeem(id, visit.link, visit.browser, session, world.now()).await;
    assert!(redeemed.expect("the store answers").is_some());
    let just_before = end.checked_sub(SignedDuration::from_millis(1)).expect("a time in range");
    for (at, counts) in [(world.now(), true), (end, false), (just_before, true), (end, false)] {
        assert_eq!(world.session_at(id, token, at).await.is_some(), counts, "at {at}");
    }
}

/// A session that is not used ends exactly at its idle limit, also for who has just seen it.
pub async fn an_unused_session_ends_exactly_when_idle(world: &World) {
    let side = &world.a;
    let id = side.community.id;
    for seen_before in [true, false] {
        let (token, _) = world.sign_in(side, "plain@example.org").await;
        if seen_before {
            assert!(world.session(side, token).await.is_some());
        }
        let end = world.after(World::IDLE);
        assert_eq!(world.session_at(id, token, end).await, None);
        let just_before = end.checked_sub(SignedDuration::from_millis(1)).expect("a time in range");
        assert!(world.session_at(id, token, just_before).await.is_some());
    }
}

/// A session that is used keeps on, beyond its first idle limit, and ends when it no longer is.
pub async fn use_keeps_a_session_alive(world: &World) {
    let side = &world.a;
    let (token, _) = world.sign_in(side, "plain@example.org").await;
    for _ in 0..12 {
        world.clock.advance(World::IDLE / 2);
        assert!(world.session(side, token).await.is_some());
    }
    world.clock.advance(World::IDLE);
    assert_eq!(world.session(side, token).await, None);
}

/// When a session was last used shows within a minute, and a use just before does not count as another.
pub async fn a_use_shows_within_a_minute(world: &World) {
    let side = &world.a;
    let (token, _) = world.sign_in(side, "plain@example.org").await;
    let own = world.scope(side, side.plain).await;
    let begun = world.now();
    let last_used = async || {
        let listed = world.stores.sessions.list(&own).await.expect("listed");
        listed.first().expect("one session").last_used
    };
    world.clock.advance(Duration::from_secs(20));
    assert!(world.session(side, token).await.is_some());
    assert_eq!(last_used().await, begun, "it is not written with every use");
    world.clock.advance(Duration::from_secs(40));
    assert!(world.session(side, token).await.is_some());
    // No request waits for it to be written.
    let asked = Instant::now();
    while last_used().await != world.now() {
        assert!(asked.elapsed() < PATIENCE, "the use never shows");
        tokio::task::yield_now().await;
    }
}

/// A session that was ended is refused from the next call on; the member's others go on.
pub async fn an_ended_session_is_refused_at_once(world: &World) {
    let side = &world.a;
    let own = world.scope(side, side.plain).await;
    let (token, signed_in) = world.sign_in(side, "plain@example.org").await;
    let (other, _) = world.sign_in(side, "plain@example.org").await;
    assert!(world.session(side, token).await.is_some());
    world.stores.sessions.end(&own, signed_in.session).await.expect("ended");
    assert_eq!(world.session(side, token).await, None);
    assert!(world.session(side, other).await.is_some());
    let again = world.stores.sessions.end(&own, signed_in.session).await;
    assert_eq!(refusal(again), Some(Kind::NotFound));
}

/// With the id of a session nobody but its member ends it or sees it, staff neither.
pub async fn only_its_member_sees_and_ends_a_session(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    let (token, signed_in) = world.sign_in(side, "plain@example.org").await;
    for scope in world.everyone_else(side, &world.b).await {
        assert_eq!(refusal(sessions.end(&scope, signed_in.session).await), Some(Kind::NotFound), "{scope:?}");
        assert_eq!(sessions.list(&scope).await.expect("listed"), [], "{scope:?}");
    }
    for side in [side, &world.b] {
        let operator = side.operator();
        assert_eq!(refusal(sessions.end(&operator, signed_in.session).await), Some(Kind::Forbidden));
        assert_eq!(refusal(sessions.list(&operator).await), Some(Kind::Forbidden));
    }
    let chat = AbilitySet::NONE.with(KeyAbility::Chat);
    let narrow = world.narrow(side, side.plain, chat).await;
    assert_eq!(refusal(sessions.end(&narrow, signed_in.session).await), Some(Kind::Forbidden));
    assert_eq!(refusal(sessions.list(&narrow).await), Some(Kind::Forbidden));
    let own = world.scope(side, side.plain).await;
    let unknown = sessions.end(&own, SessionId::from_bytes([5; 16])).await;
    assert_eq!(refusal(unknown), Some(Kind::NotFound));
    assert!(world.session(side, token).await.is_some());
}

/// All sessions of a member end together, with the links they asked for; nobody else's do.
pub async fn all_sessions_of_a_member_end_together(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    let (kept, _) = world.sign_in(side, "paying@example.org").await;
    for by in [side.plain, side.admin, side.owner] {
        let mut tokens = Vec::new();
        for _ in 0..3 {
            tokens.push(world.sign_in(side, "plain@example.org").await.0);
        }
        let (pending, _) = world.ask(side, "plain@example.org", Strangers::Refuse, None).await;
        let scope = world.scope(side, by).await;
        assert_eq!(sessions.end_all(&scope, side.plain).await.expect("ended"), 3);
        for token in tokens {
            assert_eq!(world.session(side, token).await, None);
        }
        assert_eq!(world.redeem(side, pending).await, None, "a link asked for before works no more");
        assert_eq!(sessions.end_all(&scope, side.plain).await.expect("there are none"), 0);
    }
    assert!(world.session(side, kept).await.is_some());
    world.sign_in(side, "plain@example.org").await;
    world.clock.advance(World::IDLE);
    let own = world.scope(side, side.plain).await;
    assert_eq!(sessions.end_all(&own, side.plain).await.expect("ended"), 0, "it had ended by itself");
}

/// Another's sessions are ended by admins, staff's by owners, and with the ids of another community nobody's.
pub async fn others_sessions_end_as_members_are_changed(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    let mut tokens = Vec::new();
    for email in ["paying@example.org", "moderator@example.org", "owner@example.org"] {
        tokens.push(world.sign_in(side, email).await.0);
    }
    let mut lesser = world.lesser(side).await;
    lesser.push(world.narrow(side, side.paying, AbilitySet::NONE.with(KeyAbility::Chat)).await);
    for scope in lesser {
        for member in [side.paying, side.moderator, side.owner] {
            if scope.member() == Some(member) && scope.may(portcullis_core::Action::WriteSelf) {
                continue;
            }
            assert_eq!(
                refusal(sessions.end_all(&scope, member).await),
                Some(Kind::Forbidden),
                "{scope:?} {member:?}"
            );
        }
    }
    let admin = world.scope(side, side.admin).await;
    for member in [side.moderator, side.owner] {
        assert_eq!(refusal(sessions.end_all(&admin, member).await), Some(Kind::Forbidden));
    }
    for member in [side.paying, side.owner, MemberId::from_bytes([5; 16])] {
        let elsewhere = sessions.end_all(&world.b.operator(), member).await;
        assert_eq!(refusal(elsewhere), Some(Kind::NotFound));
    }
    for token in tokens {
        assert!(world.session(side, token).await.is_some());
    }
    let owner = world.scope(side, side.owner).await;
    assert_eq!(sessions.end_all(&owner, side.moderator).await.expect("an owner may"), 1);
}

/// A suspension ends all sessions of a member at once; being restored means signing in again.
pub async fn a_suspension_ends_sessions_for_good(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let scope = side.operator();
    let (token, _) = world.sign_in(side, "plain@example.org").await;
    let (other, _) = world.sign_in(side, "paying@example.org").await;
    assert!(world.session(side, token).await.is_some());
    members.set_status(&scope, side.plain, Status::Suspended).await.expect("suspended");
    assert_eq!(world.session(side, token).await, None);
    members.set_status(&scope, side.plain, Status::Active).await.expect("restored");
    assert_eq!(world.session(side, token).await, None);
    assert!(world.session(side, other).await.is_some());
    let (token, _) = world.sign_in(side, "plain@example.org").await;
    assert!(world.session(side, token).await.is_some());
}

/// What a session opens follows role, plans and spaces from the next call on, and the end of a plan by itself.
pub async fn a_session_opens_what_its_member_may_read_now(world: &World) {
    let (side, members) = (&world.a, &world.stores.members);
    let scope = side.operator();
    let (token, _) = world.sign_in(side, "plain@example.org").await;
    let standing = async || world.session(side, token).await.expect("it goes on").standing;
    assert_eq!((standing().await.role, standing().await.spaces.len()), (Role::Member, 1));
    let soon = world.after(Duration::from_secs(60));
    let gold = Entitlement { plan: "gold".to_owned(), until: Some(soon) };
    members.entitle(&scope, side.plain, gold).await.expect("given");
    assert_eq!(standing().await.spaces.len(), 2);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(standing().await.spaces.len(), 1, "the plan has ended");
    members.set_role(&scope, side.plain, Role::Moderator).await.expect("appointed");
    assert_eq!((standing().await.role, standing().await.spaces.len()), (Role::Moderator, 3));
    members.set_role(&scope, side.plain, Role::Member).await.expect("dismissed");
    assert_eq!((standing().await.role, standing().await.spaces.len()), (Role::Member, 1));
    world.stores.spaces.set_access(&scope, side.open, SpaceAccess::Staff).await.expect("closed");
    assert_eq!(standing().await.spaces.len(), 0);
}

/// A member sees their own sessions that go on, newest first.
pub async fn own_sessions_are_listed_newest_first(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    world.sign_in(side, "paying@example.org").await;
    let mut begun = Vec::new();
    for _ in 0..3 {
        let (_, signed_in) = world.sign_in(side, "plain@example.org").await;
        begun.push((signed_in.session, world.now()));
        world.clock.advance(World::IDLE / 3);
    }
    begun.reverse();
    let own = world.scope(side, side.plain).await;
    let listed = sessions.list(&own).await.expect("listed");
    // The oldest has not been used for as long as it may lie unused.
    let expected: Vec<_> = begun.iter().take(2).copied().collect();
    assert_eq!(listed.iter().map(|info| (info.id, info.created)).collect::<Vec<_>>(), expected);
    for info in listed {
        assert_eq!(info.last_used, info.created);
        let end = info.created.checked_add(World::SESSION).expect("a time in range");
        assert_eq!(info.expires, end);
    }
}

/// A session that another instance ends, or whose member it suspends, is refused from the next call on.
pub async fn an_end_elsewhere_holds_for_the_next_call(world: &World) {
    let (side, other) = (&world.a, world.another_instance().await);
    let own = world.scope(side, side.plain).await;
    for how in 0..3 {
        let (token, signed_in) = world.sign_in(side, "plain@example.org").await;
        assert!(world.session(side, token).await.is_some());
        let there = other.identity.session(side.community.id, token, world.now()).await;
        assert!(there.expect("the store answers").is_some(), "it has begun there too");
        let ended = match how {
            0 => other.sessions.end(&own, signed_in.session).await,
            1 => other.sessions.end_all(&own, side.plain).await.map(drop),
            _ => other.members.set_status(&side.operator(), side.plain, Status::Suspended).await.map(drop),
        };
        ended.expect("ended");
        assert_eq!(world.session(side, token).await, None);
    }
}

/// A session that is ended while it is being used is refused by every call that begins after the end.
pub async fn no_call_after_the_end_lets_the_session_in(world: &World) {
    let side = &world.a;
    let own = world.scope(side, side.plain).await;
    for _ in 0..10 {
        let (token, signed_in) = world.sign_in(side, "plain@example.org").await;
        let tasks = Tasks::new();
        let (stores, now, id) = (world.stores.clone(), world.now(), side.community.id);
        let busy = tasks.spawn(async move {
            while stores.identity.session(id, token, now).await.expect("answered").is_some() {
                tokio::task::yield_now().await;
            }
        });
        world.stores.sessions.end(&own, signed_in.session).await.expect("ended");
        for _ in 0..20 {
            assert_eq!(world.session(side, token).await, None);
        }
        busy.await.expect("the user of the session was refused");
    }
}

/// A session that has ended by itself or was ended is known as such for a while, in its own community, and lets nobody in. One that
/// goes on, that a suspension ended, or that never was is not.
pub async fn a_session_that_has_ended_is_told_from_one_that_never_was(world: &World) {
    let (side, sessions, directory) = (&world.a, &world.stores.sessions, &world.stores.directory);
    let (unused, _) = world.sign_in(side, "plain@example.org").await;
    assert!(!world.lapsed(side, unused).await, "it goes on");
    world.clock.advance(World::IDLE);
    assert!(world.lapsed(side, unused).await, "from its end on");
    let (ended, signed_in) = world.sign_in(side, "plain@example.org").await;
    let (all, _) = world.sign_in(side, "moderator@example.org").await;
    let (suspended, _) = world.sign_in(side, "paying@example.org").await;
    let own = world.scope(side, side.plain).await;
    sessions.end(&own, signed_in.session).await.expect("ended");
    sessions.end_all(&side.operator(), side.moderator).await.expect("ended");
    let members = &world.stores.members;
    members.set_status(&side.operator(), side.paying, Status::Suspended).await.expect("suspended");
    let never = TokenHash::from_bytes([3; 32]);
    let remove_due = async || {
        let since = KeptSince { handovers: world.now(), approvals: world.now() };
        directory.remove_due(side.community.id, since).await.expect("removed");
    };
    for swept in [false, true] {
        if swept {
            remove_due().await;
        }
        for token in [unused, ended, all] {
            assert!(world.lapsed(side, token).await, "swept: {swept}");
            assert!(!world.lapsed(&world.b, token).await, "another community's");
            assert_eq!(world.session(side, token).await, None);
        }
        for token in [suspended, never] {
            assert!(!world.lapsed(side, token).await, "swept: {swept}");
        }
    }
    let moment = Duration::from_millis(1);
    world.clock.advance(LAPSED_FOR - moment);
    remove_due().await;
    assert!(world.lapsed(side, ended).await && world.lapsed(side, all).await);
    world.clock.advance(moment);
    for token in [unused, ended, all] {
        assert!(!world.lapsed(side, token).await, "it is too long ago");
    }
}
