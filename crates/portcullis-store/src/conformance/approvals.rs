//! Cases of approvals: decided by somebody else, once; begun by who asked, once; bounded, and gone in time.

use std::time::Duration;

use jiff::Timestamp;
use portcullis_core::{AbilitySet, Actor, ApprovalId, ConversationId, KeyAbility, Role, Scope, Tasks};

use super::{World, conversations, refusal};
use crate::approvals::{LONGEST_APPROVAL, LONGEST_UNDER_WAY};
use crate::{
    Approval, ApprovalState, Decision, Ended, KeyActor, Kind, NewApproval, Queued, Room, Status, Step,
};

const PIN: &str = "sha256:00";
const HOUR: Duration = Duration::from_secs(3_600);

fn always() -> Timestamp {
    Timestamp::MIN
}

fn plenty() -> Room {
    Room { open: 100, of_one: 100, since: always() }
}

fn in_an_hour(world: &World) -> Timestamp {
    world.now().checked_add(HOUR).expect("a time")
}

fn new(world: &World, arguments: &str) -> NewApproval {
    NewApproval {
        id: ApprovalId::new(&*world.clock),
        tool: "send_letter".to_owned(),
        pin: PIN.to_owned(),
        arguments: arguments.to_owned(),
        question: format!("Please send {arguments}"),
        expires: in_an_hour(world),
        conversation: None,
    }
}

/// Has a call wait that belongs to a conversation.
pub(super) async fn in_conversation(
    world: &World,
    scope: &Scope,
    conversation: ConversationId,
) -> ApprovalId {
    let new = NewApproval { conversation: Some(conversation), ..new(world, "{}") };
    let id = new.id;
    let queued = world.stores.approvals.request(scope, new, plenty()).await;
    assert_eq!(queued.expect("it waits"), Queued::Kept);
    id
}

/// Has a call wait.
pub(super) async fn requested(world: &World, scope: &Scope, arguments: &str) -> ApprovalId {
    let new = new(world, arguments);
    let id = new.id;
    let queued = world.stores.approvals.request(scope, new, plenty()).await;
    assert_eq!(queued.expect("it waits"), Queued::Kept);
    id
}

async fn listed(world: &World, scope: &Scope) -> Vec<Approval> {
    world.stores.approvals.list(scope, always()).await.expect("listed")
}

fn approve(world: &World) -> Decision {
    Decision::Approve { until: in_an_hour(world) }
}

fn taken(step: crate::Result<Step>) -> Approval {
    let taken = match step.expect("no error") {
        Step::Taken(entry) => Ok(entry),
        Step::NotOpen(entry) => Err(entry.state),
    };
    taken.expect("the step is taken")
}

fn refused(step: crate::Result<Step>) -> ApprovalState {
    let stands = match step.expect("no error") {
        Step::NotOpen(entry) => Some(entry.state),
        Step::Taken(_) => None,
    };
    stands.expect("the step is not taken")
}

async fn state(world: &World, scope: &Scope, id: ApprovalId) -> ApprovalState {
    world.stores.approvals.get(scope, id).await.expect("it is there").state
}

/// A call is asked for, approved by somebody else, begun and ended by who asked. Question and result are for who asked alone.
pub async fn a_call_is_approved_begun_and_ended(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let asker = world.scope(side, side.plain).await;
    let id = requested(world, &asker, "{\"to\":\"m\u{fc}hle\"}").await;
    let (asked, expires) = (world.now(), in_an_hour(world));
    world.clock.advance(Duration::from_secs(5));
    let later = requested(world, &asker, "{\"to\":\"other\"}").await;
    let moderator = world.scope(side, side.moderator).await;
    let waiting = Approval {
        id,
        asker: Actor::Member(side.plain),
        tool: "send_letter".to_owned(),
        pin: PIN.to_owned(),
        arguments: Some("{\"to\":\"m\u{fc}hle\"}".to_owned()),
        question: None,
        result: None,
        created: asked,
        expires,
        state: ApprovalState::Pending,
        decided: None,
    };
    let entries = listed(world, &moderator).await;
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id, later]);
    assert_eq!(entries.first(), Some(&waiting));
    assert_eq!(approvals.get(&moderator, id).await.expect("there"), waiting);
    let question = Some("Please send {\"to\":\"m\u{fc}hle\"}".to_owned());
    let own = Approval { question, ..waiting };
    assert_eq!(approvals.get(&asker, id).await.expect("there"), own);
    let mine = approvals.own(&asker, always()).await.expect("listed");
    assert_eq!(mine.iter().map(|entry| entry.id).collect::<Vec<_>>(), [later, id], "the last first");
    assert_eq!(refused(approvals.begin(&asker, id).await), ApprovalState::Pending);

    let until = in_an_hour(world);
    let approved = taken(approvals.decide(&moderator, id, Decision::Approve { until }).await);
    let decided = approved.decided.expect("somebody decided");
    assert_eq!((decided.by, decided.at), (Actor::Member(side.moderator), world.now()));
    assert_eq!((approved.state, approved.expires), (ApprovalState::Approved, until));
    let there = world.another_instance().await;
    let entries = there.approvals.list(&moderator, always()).await.expect("listed");
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [later, id], "what waits first");

    let begun = taken(approvals.begin(&asker, id).await);
    assert_eq!((begun.state, &begun.question), (ApprovalState::Running, &own.question));
    let done = taken(approvals.finish(&asker, id, Ended::Done, "It was sent".to_owned()).await);
    assert_eq!((done.state, done.result.as_deref()), (ApprovalState::Done, Some("It was sent")));
    let again = approvals.finish(&asker, id, Ended::Failed, "Other".to_owned()).await;
    assert_eq!(refused(again), ApprovalState::Done, "it ended once");
    let kept = there.approvals.get(&asker, id).await.expect("there");
    assert_eq!(kept.result.as_deref(), Some("It was sent"));
    let seen = approvals.get(&moderator, id).await.expect("there");
    assert_eq!((seen.state, seen.result, seen.question), (ApprovalState::Done, None, None));
}

/// Of all who decide at once one decides, and nobody changes it later.
pub async fn one_decision_counts(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let asker = world.scope(side, side.plain).await;
    let [one, other] = [world.scope(side, side.moderator).await, world.scope(side, side.admin).await];
    for round in 0..8 {
        let id = requested(world, &asker, &format!("{{\"round\":{round}}}")).await;
        let tasks = Tasks::new();
        let mut running = Vec::new();
        for number in 0..6 {
            let by = if number % 2 == 0 { one.clone() } else { other.clone() };
            let stores = world.stores.clone();
            let decision = if number % 3 == 0 { Decision::Deny } else { approve(world) };
            running.push(tasks.spawn(async move { stores.approvals.decide(&by, id, decision).await }));
        }
        let mut won = Vec::new();
        for task in running {
            if let Step::Taken(entry) = task.await.expect("no task fails").expect("no error") {
                won.push(entry);
            }
        }
        assert_eq!(won.len(), 1, "one decision counts");
        let first = won.remove(0);
        for by in [&one, &other] {
            assert_eq!(refused(approvals.decide(by, id, Decision::Deny).await), first.state);
            assert_eq!(refused(approvals.decide(by, id, approve(world)).await), first.state);
        }
        assert_eq!(approvals.get(&one, id).await.expect("there").decided, first.decided);
        if first.state == ApprovalState::Denied {
            assert_eq!(refused(approvals.begin(&asker, id).await), ApprovalState::Denied);
        }
    }
}

/// Of all who begin a call at once, here and in another instance, one begins it. A second time nobody does, however it ended.
pub async fn a_call_is_begun_once(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let asker = world.scope(side, side.plain).await;
    let moderator = world.scope(side, side.moderator).await;
    let there = world.another_instance().await;
    for ended in [Some(Ended::Done), Some(Ended::Failed), None] {
        let id = requested(world, &asker, "{}").await;
        taken(approvals.decide(&moderator, id, approve(world)).await);
        let tasks = Tasks::new();
        let mut running = Vec::new();
        for number in 0..8 {
            let stores = if number % 2 == 0 { world.stores.clone() } else { there.clone() };
            let own = asker.clone();
            running.push(tasks.spawn(async move { stores.approvals.begin(&own, id).await }));
        }
        let mut begun = 0;
        for task in running {
            let step = task.await.expect("no task fails").expect("no error");
            begun += usize::from(matches!(step, Step::Taken(_)));
        }
        assert_eq!(begun, 1);
        let Some(ended) = ended else {
            world.clock.advance(LONGEST_UNDER_WAY);
            assert_eq!(state(world, &asker, id).await, ApprovalState::Interrupted);
            assert_eq!(refused(there.approvals.begin(&asker, id).await), ApprovalState::Interrupted);
            continue;
        };
        taken(approvals.finish(&asker, id, ended, "It ended".to_owned()).await);
        for stores in [&world.stores, &there] {
            let stands = refused(stores.approvals.begin(&asker, id).await);
            assert!(matches!(stands, ApprovalState::Done | ApprovalState::Failed), "{stands:?}");
            refused(stores.approvals.decide(&moderator, id, approve(world)).await);
        }
    }
}

/// Who asked does not decide, whatever their role; and who may not decide neither reads nor decides what others asked for.
pub async fn nobody_decides_on_their_own_call_or_below_moderator(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    for own in [side.moderator, side.owner] {
        let own = world.scope(side, own).await;
        let id = requested(world, &own, "{}").await;
        for decision in [approve(world), Decision::Deny] {
            assert_eq!(refusal(approvals.decide(&own, id, decision).await), Some(Kind::Forbidden));
        }
        assert_eq!(state(world, &own, id).await, ApprovalState::Pending);
    }
    let asker = world.scope(side, side.plain).await;
    let id = requested(world, &asker, "{\"only\":\"for moderators\"}").await;
    let chat = AbilitySet::NONE.with(KeyAbility::Chat).with(KeyAbility::Search).with(KeyAbility::Personal);
    let narrow = world.narrow(side, side.moderator, chat).await;
    for scope in [world.scope(side, side.paying).await, narrow] {
        assert_eq!(refusal(approvals.list(&scope, always()).await), Some(Kind::Forbidden));
        assert_eq!(refusal(approvals.get(&scope, id).await), Some(Kind::NotFound));
        let mine = approvals.own(&scope, always()).await.expect("listed");
        assert!(mine.iter().all(|entry| entry.asker == scope.actor()), "{mine:?}");
        assert_eq!(refusal(approvals.decide(&scope, id, approve(world)).await), Some(Kind::Forbidden));
    }
    assert_eq!(refusal(approvals.list(&asker, always()).await), Some(Kind::Forbidden));
    assert_eq!(refusal(approvals.decide(&asker, id, approve(world)).await), Some(Kind::Forbidden));
    let manage = world.narrow(side, side.moderator, AbilitySet::NONE.with(KeyAbility::Manage)).await;
    assert_eq!(approvals.get(&manage, id).await.expect("read").id, id);
    assert_eq!(approvals.expire(&manage, always()).await.expect("marked"), []);
    assert_eq!(taken(approvals.decide(&manage, id, Decision::Deny).await).state, ApprovalState::Denied);
    let silent = world.narrow(side, side.plain, AbilitySet::NONE.with(KeyAbility::Search)).await;
    let asked = approvals.request(&silent, new(world, "{}"), plenty()).await;
    assert_eq!(refusal(asked), Some(Kind::Forbidden), "who may not ask has nothing wait");
}

/// Nobody but who asked begins or ends a call, moderators and owners neither.
pub async fn only_who_asked_goes_on(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let asker = world.scope(side, side.plain).await;
    let id = requested(world, &asker, "{}").await;
    taken(approvals.decide(&world.scope(side, side.moderator).await, id, approve(world)).await);
    let others = [side.paying, side.moderator, side.owner];
    for other in others {
        let other = world.scope(side, other).await;
        assert_eq!(refusal(approvals.begin(&other, id).await), Some(Kind::NotFound));
    }
    assert_eq!(state(world, &asker, id).await, ApprovalState::Approved);
    taken(approvals.begin(&asker, id).await);
    for other in others {
        let other = world.scope(side, other).await;
        let ended = approvals.finish(&other, id, Ended::Done, "Forged".to_owned()).await;
        assert_eq!(refusal(ended), Some(Kind::NotFound));
    }
    assert_eq!(state(world, &asker, id).await, ApprovalState::Running);
}

/// Who has left in the moment in which their call would begin begins nothing, and uses nothing up.
pub async fn who_has_left_begins_nothing(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let (members, keys) = (&world.stores.members, &world.stores.keys);
    let moderator = world.scope(side, side.moderator).await;
    let backend = || KeyActor::Backend { role: Role::Member, plans: Vec::new() };
    let (revoked, revoked_key) = world.key(side, backend(), None).await;
    let (of_member, member_key) = world.key(side, KeyActor::Member(side.paying), None).await;
    let (expired, _) = world.key(side, backend(), world.now().checked_add(HOUR / 2).ok()).await;
    let askers = [
        world.scope(side, side.plain).await,
        world.by_key(side, of_member).await,
        world.by_key(side, revoked).await,
        world.by_key(side, expired).await,
    ];
    let mut ids = Vec::new();
    for asker in &askers {
        let id = requested(world, asker, "{}").await;
        taken(approvals.decide(&moderator, id, approve(world)).await);
        ids.push(id);
    }
    members.set_status(&side.operator(), side.plain, Status::Suspended).await.expect("suspended");
    for key in [member_key, revoked_key] {
        keys.revoke(&side.operator(), key.id).await.expect("revoked");
    }
    world.clock.advance(HOUR / 2);
    let there = world.another_instance().await;
    for (asker, id) in askers.iter().zip(&ids) {
        for stores in [&world.stores, &there] {
            assert_eq!(refusal(stores.approvals.begin(asker, *id).await), Some(Kind::Forbidden));
        }
        assert_eq!(state(world, &moderator, *id).await, ApprovalState::Approved, "it is not used up");
    }
    members.set_status(&side.operator(), side.plain, Status::Active).await.expect("restored");
    let [asker, ..] = &askers;
    taken(approvals.begin(asker, *ids.first().expect("it waits")).await);
}

/// Nobody of one community sees or moves what was asked for in another.
pub async fn the_calls_of_another_community_are_out_of_reach(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let asker = world.scope(side, side.plain).await;
    let id = requested(world, &asker, "{\"ours\":\"alone\"}").await;
    let moderator = world.scope(side, side.moderator).await;
    for scope in [world.scope(&world.b, world.b.owner).await, world.b.operator()] {
        assert_eq!(listed(world, &scope).await, []);
        assert_eq!(approvals.own(&scope, always()).await.expect("listed"), []);
        assert_eq!(refusal(approvals.get(&scope, id).await), Some(Kind::NotFound));
        for decision in [approve(world), Decision::Deny] {
            assert_eq!(refusal(approvals.decide(&scope, id, decision).await), Some(Kind::NotFound));
        }
    }
    taken(approvals.decide(&moderator, id, approve(world)).await);
    for scope in [world.scope(&world.b, world.b.plain).await, world.b.operator()] {
        assert_eq!(refusal(approvals.begin(&scope, id).await), Some(Kind::NotFound));
    }
    world.clock.advance(HOUR);
    let elsewhere = approvals.expire(&world.scope(&world.b, world.b.plain).await, always()).await;
    assert_eq!(elsewhere.expect("marked"), []);
    assert_eq!(approvals.expire(&asker, always()).await.expect("marked"), [id]);
}

/// What nobody decides in time is not decided later, and what is approved and not begun in time is not begun.
pub async fn what_is_not_done_in_time_is_not_done(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let asker = world.scope(side, side.plain).await;
    let moderator = world.scope(side, side.moderator).await;
    let [undecided, unused, used] = [
        requested(world, &asker, "{\"n\":1}").await,
        requested(world, &asker, "{\"n\":2}").await,
        requested(world, &asker, "{\"n\":3}").await,
    ];
    for id in [unused, used] {
        taken(approvals.decide(&moderator, id, approve(world)).await);
    }
    world.clock.advance(HOUR.saturating_sub(Duration::from_millis(1)));
    assert_eq!(approvals.expire(&asker, always()).await.expect("marked"), []);
    taken(approvals.begin(&asker, used).await);
    world.clock.advance(Duration::from_millis(1));
    for decision in [approve(world), Decision::Deny] {
        let late = approvals.decide(&moderator, undecided, decision).await;
        assert_eq!(refused(late), ApprovalState::Expired);
    }
    assert_eq!(refused(approvals.begin(&asker, unused).await), ApprovalState::Expired);
    let mut marked = approvals.expire(&asker, always()).await.expect("marked");
    marked.sort_unstable();
    let mut wanted = [undecided, unused];
    wanted.sort_unstable();
    assert_eq!(marked, wanted);
    assert_eq!(approvals.expire(&moderator, always()).await.expect("marked"), [], "each is told of once");
    assert_eq!(state(world, &asker, undecided).await, ApprovalState::Expired);
    assert_eq!(state(world, &asker, used).await, ApprovalState::Running, "what was begun goes on");
}

/// There is room for so many that wait, and for so many of one asker, however many come at once.
pub async fn what_waits_is_bounded_for_one_and_for_all(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let room = Room { open: 5, of_one: 3, since: always() };
    let own = world.scope(side, side.plain).await;
    let tasks = Tasks::new();
    let mut running = Vec::new();
    for number in 0..8 {
        let (stores, own) = (world.stores.clone(), own.clone());
        let new = new(world, &format!("{{\"n\":{number}}}"));
        running.push(tasks.spawn(async move { stores.approvals.request(&own, new, room).await }));
    }
    let mut kept = 0;
    for task in running {
        match task.await.expect("no task fails").expect("no error") {
            Queued::Kept => kept += 1,
            other => assert_eq!(other, Queued::Enough),
        }
    }
    assert_eq!(kept, 3, "one asker has a share and no more");
    let other = world.scope(side, side.paying).await;
    let put = async |scope: &Scope| approvals.request(scope, new(world, "{}"), room).await.expect("no error");
    assert_eq!(
        [put(&other).await, put(&other).await, put(&other).await],
        [Queued::Kept, Queued::Kept, Queued::Full]
    );
    let moderator = world.scope(side, side.moderator).await;
    let entries = listed(world, &moderator).await;
    assert_eq!(entries.len(), 5);
    let [first, second] = [0, 1].map(|place| entries.get(place).expect("an entry").id);
    taken(approvals.decide(&moderator, first, approve(world)).await);
    assert_eq!(put(&other).await, Queued::Full, "what may still be begun takes its room");
    taken(approvals.decide(&moderator, second, Decision::Deny).await);
    assert_eq!(put(&other).await, Queued::Kept, "what was denied takes none");
    world.clock.advance(HOUR);
    assert_eq!(put(&own).await, Queued::Kept, "nor does what expired");
}

/// What is too old is listed no more, and does not come back.
pub async fn what_was_asked_too_long_ago_is_removed(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let own = world.scope(side, side.plain).await;
    let old = requested(world, &own, "{\"n\":1}").await;
    world.clock.advance(Duration::from_secs(10));
    let since = world.now();
    let fresh = requested(world, &own, "{\"n\":2}").await;
    let moderator = world.scope(side, side.moderator).await;
    let ids = |entries: Vec<Approval>| entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(approvals.list(&moderator, since).await.expect("listed")), [fresh]);
    assert_eq!(ids(approvals.own(&own, since).await.expect("listed")), [fresh]);
    assert_eq!(
        approvals.expire(&own, since).await.expect("marked"),
        [old],
        "it is told what is not made now"
    );
    assert_eq!(approvals.expire(&own, since).await.expect("marked"), [], "once");
    let last = new(world, "{\"n\":3}");
    let wanted = [fresh, last.id];
    let room = Room { since, ..plenty() };
    assert_eq!(approvals.request(&own, last, room).await.expect("no error"), Queued::Kept);
    assert_eq!(ids(listed(world, &moderator).await), wanted, "it was removed");
    assert_eq!(refusal(approvals.get(&own, old).await), Some(Kind::NotFound));
}

/// What has been over longest goes when there is more of it than is kept. A call that is under way is not over, however old.
pub async fn what_has_been_over_longest_is_removed_and_nothing_under_way(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let own = world.scope(side, side.plain).await;
    let moderator = world.scope(side, side.moderator).await;
    let [running, late] =
        [requested(world, &own, "{\"n\":1}").await, requested(world, &own, "{\"n\":2}").await];
    taken(approvals.decide(&moderator, running, approve(world)).await);
    taken(approvals.begin(&own, running).await);
    let room = Room { open: 2, of_one: 2, since: always() };
    let mut denied = Vec::new();
    for _ in 0..12 {
        world.clock.advance(Duration::from_secs(1));
        let call = new(world, "{}");
        denied.push(call.id);
        assert_eq!(approvals.request(&own, call, room).await.expect("no error"), Queued::Kept);
        taken(approvals.decide(&moderator, *denied.last().expect("it waits"), Decision::Deny).await);
    }
    world.clock.advance(Duration::from_secs(1));
    taken(approvals.decide(&moderator, late, Decision::Deny).await);
    approvals.request(&own, new(world, "{}"), room).await.expect("no error");
    assert_eq!(state(world, &own, late).await, ApprovalState::Denied, "it is over since a moment ago");
    for (place, id) in denied.iter().enumerate() {
        // Ten are kept: the one that was decided last, and nine of these.
        let there = approvals.get(&own, *id).await.is_ok();
        assert_eq!(there, place >= 3, "{place}");
    }
    let room = Room { since: world.now(), ..room };
    approvals.request(&own, new(world, "{}"), room).await.expect("no error");
    assert_eq!(refusal(approvals.get(&own, late).await), Some(Kind::NotFound), "it is too old");
    assert_eq!(state(world, &own, running).await, ApprovalState::Running);
    taken(approvals.finish(&own, running, Ended::Done, "It was sent".to_owned()).await);
    approvals.request(&own, new(world, "{}"), room).await.expect("no error");
    assert_eq!(refusal(approvals.get(&own, running).await), Some(Kind::NotFound), "now it is");
}

/// What is asked for twice waits once, and what cannot be kept whole is not kept.
pub async fn a_call_waits_once_and_whole(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let own = world.scope(side, side.plain).await;
    let first = new(world, "{\"n\":1}");
    for arguments in ["{\"n\":1}", "{\"n\":2}"] {
        let again = NewApproval { arguments: arguments.to_owned(), ..first.clone() };
        assert_eq!(approvals.request(&own, again, plenty()).await.expect("no error"), Queued::Kept);
    }
    let other = world.scope(side, side.paying).await;
    assert_eq!(refusal(approvals.request(&other, first.clone(), plenty()).await), Some(Kind::Conflict));
    for wrong in [
        new(world, " "),
        new(world, &"x".repeat(LONGEST_APPROVAL + 1)),
        NewApproval { tool: String::new(), ..new(world, "{}") },
        NewApproval { pin: String::new(), ..new(world, "{}") },
    ] {
        assert_eq!(refusal(approvals.request(&own, wrong, plenty()).await), Some(Kind::Invalid));
    }
    let mine = approvals.own(&own, always()).await.expect("listed");
    let arguments: Vec<_> = mine.iter().map(|entry| entry.arguments.as_deref()).collect();
    assert_eq!(arguments, [Some("{\"n\":1}")], "the first stands");
}

/// No call waits in a conversation that was removed while its model thought, nor in one that is not its asker's.
pub async fn no_call_waits_in_a_conversation_that_is_gone(world: &World) {
    let (side, stores) = (&world.a, &world.stores);
    let own = world.scope(side, side.plain).await;
    let gone = conversations::begin(world, &own, "Mine", &[]).await;
    stores.conversations.remove(&own, gone).await.expect("removed");
    let theirs = conversations::begin(world, &world.scope(side, side.paying).await, "Theirs", &[]).await;
    let (hash, _) = world.key(side, KeyActor::Backend { role: Role::Member, plans: Vec::new() }, None).await;
    let nobody = world.by_key(side, hash).await;
    let mine = conversations::begin(world, &own, "Mine, too", &[]).await;
    for (asker, conversation) in [(&own, gone), (&own, theirs), (&nobody, mine)] {
        let new = NewApproval { conversation: Some(conversation), ..new(world, "{}") };
        let asked = stores.approvals.request(asker, new, plenty()).await;
        assert_eq!(refusal(asked), Some(Kind::NotFound), "{asker:?}");
    }
    assert_eq!(listed(world, &world.scope(side, side.moderator).await).await, []);
    in_conversation(world, &own, mine).await;
}
