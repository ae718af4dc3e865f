//! Cases of invitations: who may join, as what, and how many of them.

use std::time::Duration;

use portcullis_core::{Actor, InvitationId, Role, Tasks};

use super::{World, refusal};
use crate::sessions::MOST_USES;
use crate::{Entitlement, InvitationInfo, KeyActor, Kind, NewInvitation, Strangers};

/// Who joins by an invitation gets its role and plans, once.
pub async fn an_invitation_gives_its_role_and_plans(world: &World) {
    let side = &world.a;
    let until = Some(world.after(World::TERM));
    let entitlements = vec![
        Entitlement { plan: "gold".to_owned(), until },
        Entitlement { plan: "silver".to_owned(), until: None },
    ];
    let new = NewInvitation {
        role: Role::Moderator,
        entitlements: entitlements.clone(),
        ..world.new_invitation(side)
    };
    let (invitation, _) = world.invite(side, new).await;
    let (visit, send) = world.ask(side, "guest@example.org", Strangers::Refuse, Some(invitation)).await;
    assert!(send);
    let (token, signed_in) = world.redeem(side, visit).await.expect("they join");
    assert!(signed_in.joined);
    let member = world.stores.members.get(&side.operator(), signed_in.member).await.expect("there");
    assert_eq!((member.role, member.entitlements), (Role::Moderator, entitlements));
    let found = world.session(side, token).await.expect("the session has begun");
    assert_eq!((found.standing.role, found.standing.spaces.len()), (Role::Moderator, 3));
    let (_, send) = world.ask(side, "second@example.org", Strangers::Refuse, Some(invitation)).await;
    assert!(!send, "its one use is spent");
}

/// However many accept an invitation at once, as many join as it has uses.
pub async fn uses_are_counted_however_many_try_at_once(world: &World) {
    let side = &world.a;
    let (invitation, _) = world.invite(side, NewInvitation { uses: 3, ..world.new_invitation(side) }).await;
    let mut visits = Vec::new();
    for number in 0..12 {
        let email = format!("guest{number}@example.org");
        let (visit, send) = world.ask(side, &email, Strangers::Refuse, Some(invitation)).await;
        assert!(send, "asking spends no use");
        visits.push(visit);
    }
    let tasks = Tasks::new();
    let mut running = Vec::new();
    for visit in visits {
        let (stores, session, now, id) =
            (world.stores.clone(), world.new_session(side), world.now(), side.community.id);
        running.push(tasks.spawn(async move {
            let signed_in = stores.sessions.redeem(id, visit.link, visit.browser, session, now).await;
            signed_in.expect("the store answers").is_some()
        }));
    }
    let mut joined = 0;
    for task in running {
        joined += usize::from(task.await.expect("no task fails"));
    }
    assert_eq!(joined, 3);
    assert_eq!(world.stores.members.list(&side.operator()).await.expect("listed").len(), 5 + 3);
    assert_eq!(world.join_by(side, invitation, "late@example.org").await, None);
}

/// An invitation for one address lets nobody else in.
pub async fn an_invitation_for_an_address_is_for_nobody_else(world: &World) {
    let side = &world.a;
    let email = Some("Guest@example.org".to_owned());
    let (invitation, _) = world.invite(side, NewInvitation { email, ..world.new_invitation(side) }).await;
    let (_, send) = world.ask(side, "other@example.org", Strangers::Refuse, Some(invitation)).await;
    assert!(!send);
    assert_eq!(world.join_by(side, invitation, "other@example.org").await, None);
    let (visit, send) = world.ask(side, "other@example.org", Strangers::Join, Some(invitation)).await;
    assert!(send, "where strangers may join, they join as strangers");
    let (_, stranger) = world.redeem(side, visit).await.expect("they join");
    let stranger = world.stores.members.get(&side.operator(), stranger.member).await.expect("there");
    assert_eq!((stranger.role, stranger.entitlements), (Role::Member, Vec::new()));
    let guest = world.join_by(side, invitation, "guest@EXAMPLE.org").await.expect("it is for them");
    assert!(guest.joined);
}

/// After its end, or once withdrawn, an invitation lets nobody in, by a link that was asked for before neither.
pub async fn an_ended_or_withdrawn_invitation_lets_nobody_in(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    let (invitation, id) = world.invite(side, NewInvitation { uses: 9, ..world.new_invitation(side) }).await;
    let (before, _) = world.ask(side, "early@example.org", Strangers::Refuse, Some(invitation)).await;
    sessions.withdraw(&side.operator(), id).await.expect("withdrawn");
    sessions.withdraw(&side.operator(), id).await.expect("twice is no error");
    assert_eq!(world.redeem(side, before).await, None);
    let (_, send) = world.ask(side, "late@example.org", Strangers::Refuse, Some(invitation)).await;
    assert!(!send);
    let expires = world.after(World::LINK / 2);
    let (invitation, _) = world.invite(side, NewInvitation { expires, ..world.new_invitation(side) }).await;
    let (before, send) = world.ask(side, "early@example.org", Strangers::Refuse, Some(invitation)).await;
    assert!(send);
    world.clock.advance(World::LINK / 2);
    assert_eq!(world.redeem(side, before).await, None);
    assert_eq!(world.join_by(side, invitation, "late@example.org").await, None);
    assert_eq!(world.stores.members.list(&side.operator()).await.expect("listed").len(), 5);
}

/// For who is a member already an invitation changes nothing and stays unused.
pub async fn an_invitation_changes_nothing_for_a_member(world: &World) {
    let side = &world.a;
    let new = NewInvitation { role: Role::Owner, ..world.new_invitation(side) };
    let (invitation, _) = world.invite(side, new).await;
    let before = world.stores.members.get(&side.operator(), side.plain).await.expect("there");
    let signed_in = world.join_by(side, invitation, "plain@example.org").await.expect("they sign in");
    assert_eq!((signed_in.member, signed_in.joined), (side.plain, false));
    assert_eq!(world.stores.members.get(&side.operator(), side.plain).await.expect("there"), before);
    assert!(world.join_by(side, invitation, "guest@example.org").await.expect("it is unused").joined);
}

/// Who is no admin invites nobody, and only owners invite staff.
pub async fn only_admins_invite_and_only_owners_invite_staff(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    let (_, id) = world.invite(side, world.new_invitation(side)).await;
    for scope in world.lesser(side).await {
        let invited = sessions.invite(&scope, world.new_invitation(side)).await;
        assert_eq!(refusal(invited), Some(Kind::Forbidden), "{scope:?}");
        assert_eq!(refusal(sessions.withdraw(&scope, id).await), Some(Kind::Forbidden), "{scope:?}");
    }
    let admin = world.scope(side, side.admin).await;
    for role in [Role::Moderator, Role::Admin, Role::Owner] {
        let new = NewInvitation { role, ..world.new_invitation(side) };
        let token = new.token;
        assert_eq!(refusal(sessions.invite(&admin, new).await), Some(Kind::Forbidden), "{role:?}");
        assert_eq!(world.join_by(side, token, "guest@example.org").await, None);
    }
    sessions.invite(&admin, world.new_invitation(side)).await.expect("an admin invites members");
    let owner = world.scope(side, side.owner).await;
    let new = NewInvitation { role: Role::Admin, ..world.new_invitation(side) };
    sessions.invite(&owner, new).await.expect("an owner invites staff");
}

/// Who could not have made an invitation does not withdraw it either; whoever could have does.
pub async fn nobody_withdraws_what_they_could_not_have_made(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    let (admin, owner) = (world.scope(side, side.admin).await, world.scope(side, side.owner).await);
    for role in [Role::Moderator, Role::Admin, Role::Owner] {
        let new = NewInvitation { role, ..world.new_invitation(side) };
        let (token, id) = world.invite(side, new).await;
        assert_eq!(refusal(sessions.withdraw(&admin, id).await), Some(Kind::Forbidden), "{role:?}");
        let (_, send) = world.ask(side, "guest@example.org", Strangers::Refuse, Some(token)).await;
        assert!(send, "it still lets in");
        sessions.withdraw(&owner, id).await.expect("an owner may");
        assert_eq!(world.join_by(side, token, "guest@example.org").await, None);
    }
    let id = sessions.invite(&owner, world.new_invitation(side)).await.expect("an owner invites a member");
    sessions.withdraw(&admin, id).await.expect("an admin could have made it");
}

/// Invitations are listed newest first, each with who made it, until they run out; those of others are not there.
pub async fn invitations_are_listed_with_who_made_them(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    let (admin, owner) = (world.scope(side, side.admin).await, world.scope(side, side.owner).await);
    let new = world.new_key(side, KeyActor::Backend { role: Role::Admin, plans: Vec::new() }, None);
    let hash = new.hash;
    let key = world.stores.keys.create(&side.operator(), new).await.expect("a key").id;
    let by_key = world.by_key(side, hash).await;
    world.invite(&world.b, world.new_invitation(&world.b)).await;
    let until = Some(world.after(World::TERM));
    let silver = Entitlement { plan: "silver".to_owned(), until };
    let gold = Entitlement { plan: "gold".to_owned(), until: None };
    let mut made = Vec::new();
    for (scope, maker, role, email) in [
        (&owner, Actor::Member(side.owner), Role::Moderator, None),
        (&admin, Actor::Member(side.admin), Role::Member, Some("Guest@example.org".to_owned())),
        (&by_key, Actor::Key(key), Role::Member, None),
        (&side.operator(), Actor::Operator, Role::Owner, None),
    ] {
        let addressed = email.is_some();
        let entitlements = vec![silver.clone(), gold.clone()];
        let new = NewInvitation { role, email, entitlements, uses: 3, ..world.new_invitation(side) };
        let expires = new.expires;
        let id = sessions.invite(scope, new).await.expect("written");
        made.push(InvitationInfo {
            id,
            made_by: Some(maker),
            role,
            entitlements: vec![gold.clone(), silver.clone()],
            addressed,
            uses: 3,
            created: world.now(),
            expires,
            withdrawn: None,
        });
        world.clock.advance(Duration::from_secs(1));
    }
    let last = NewInvitation { uses: 2, ..world.new_invitation(side) };
    let (created, expires) = (world.now(), last.expires);
    let (token, id) = world.invite(side, NewInvitation { entitlements: Vec::new(), ..last }).await;
    world.join_by(side, token, "guest@example.org").await.expect("they join");
    sessions.withdraw(&side.operator(), id).await.expect("withdrawn");
    let withdrawn = Some(world.now());
    let (made_by, role) = (Some(Actor::Operator), Role::Member);
    let (entitlements, addressed, uses) = (Vec::new(), false, 1);
    made.push(InvitationInfo {
        id,
        made_by,
        role,
        entitlements,
        addressed,
        uses,
        created,
        expires,
        withdrawn,
    });
    made.reverse();
    assert_eq!(sessions.invitations(&admin).await.expect("listed"), made);
    for scope in world.lesser(side).await {
        assert_eq!(refusal(sessions.invitations(&scope).await), Some(Kind::Forbidden), "{scope:?}");
    }
    world.clock.advance(World::TERM);
    assert_eq!(sessions.invitations(&side.operator()).await.expect("listed"), [], "they have run out");
}

/// What cannot be accepted is refused, and nothing of it is kept.
pub async fn malformed_invitations_are_refused_and_not_kept(world: &World) {
    let (side, sessions) = (&world.a, &world.stores.sessions);
    let right = || world.new_invitation(side);
    let unknown = Entitlement { plan: "platinum".to_owned(), until: None };
    let wrong = [
        NewInvitation { uses: 0, ..right() },
        NewInvitation { uses: MOST_USES + 1, ..right() },
        NewInvitation { email: Some("nobody".to_owned()), ..right() },
        NewInvitation { entitlements: vec![unknown], ..right() },
    ];
    for new in wrong {
        let token = new.token;
        assert_eq!(refusal(sessions.invite(&side.operator(), new).await), Some(Kind::Invalid));
        assert_eq!(world.join_by(side, token, "guest@example.org").await, None);
    }
    let (token, _) = world.invite(side, right()).await;
    let twice = NewInvitation { token, role: Role::Owner, ..right() };
    assert_eq!(refusal(sessions.invite(&side.operator(), twice).await), Some(Kind::Conflict));
    let guest = world.join_by(side, token, "guest@example.org").await.expect("the first holds");
    let guest = world.stores.members.get(&side.operator(), guest.member).await.expect("there");
    assert_eq!(guest.role, Role::Member);
}

/// An invitation of one community is unknown in another, and its id withdraws nothing there.
pub async fn an_invitation_counts_in_its_own_community_only(world: &World) {
    let (invitation, id) = world.invite(&world.a, world.new_invitation(&world.a)).await;
    let (visit, send) = world.ask(&world.b, "guest@example.org", Strangers::Refuse, Some(invitation)).await;
    assert!(!send);
    assert_eq!(world.redeem(&world.b, visit).await, None);
    for id in [id, InvitationId::from_bytes([5; 16])] {
        let withdrawn = world.stores.sessions.withdraw(&world.b.operator(), id).await;
        assert_eq!(refusal(withdrawn), Some(Kind::NotFound));
    }
    assert!(world.join_by(&world.a, invitation, "guest@example.org").await.is_some());
}
