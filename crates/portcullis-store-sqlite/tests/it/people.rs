//! What members keep, in the files: erased with their key, bound to its place, there after a crash, swept when outdated.

use std::sync::Arc;

use portcullis_core::{ApprovalId, ConversationId, HandoverId, MemoryId, MessageId, Role, Scope, TurnId};
use portcullis_store::conformance::World;
use portcullis_store::{
    Author, Decision, KeptSince, KeyActor, Kind, LAPSED_FOR, NewApproval, NewHandover, NewMessage, Room,
    Said, Step, Stores, Strangers,
};
use rusqlite::Connection;

use crate::harness::Folder;

fn message(world: &World, text: &str) -> NewMessage {
    NewMessage {
        id: MessageId::new(&*world.clock),
        turn: TurnId::new(&*world.clock),
        author: Author::Member,
        text: text.to_owned(),
        sources: Vec::new(),
    }
}

/// A conversation and a memory of a member.
async fn keep(world: &World, scope: &Scope) -> (ConversationId, MemoryId) {
    let (conversation, memory) = (ConversationId::new(&*world.clock), MemoryId::new(&*world.clock));
    let stores = &world.stores;
    stores.conversations.begin(scope, conversation, "A title").await.expect("begun");
    stores.conversations.append(scope, conversation, vec![message(world, "A text")]).await.expect("added");
    stores.memories.add(scope, memory, "A fact").await.expect("added");
    (conversation, memory)
}

fn count(conn: &Connection, table: &str) -> i64 {
    conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("it counts")
}

#[tokio::test]
async fn what_a_destroyed_key_sealed_is_gone_and_nothing_more_is_kept() {
    let folder = Folder::fresh();
    let world = World::new(folder.clone()).await;
    let (own, other) =
        (world.scope(&world.a, world.a.plain).await, world.scope(&world.a, world.a.paying).await);
    let (conversation, memory) = keep(&world, &own).await;
    let (theirs, _) = keep(&world, &other).await;
    let handed = |text: &str| NewHandover {
        id: HandoverId::new(&*world.clock),
        reason: "self-harm",
        text: text.to_owned(),
    };
    let room = Room { open: 9, of_one: 9, since: jiff::Timestamp::MIN };
    let queue = &world.stores.handovers;
    queue.queue(&own, handed("Mine"), room).await.expect("queued");
    queue.queue(&other, handed("Theirs"), room).await.expect("queued");
    let approvals = &world.stores.approvals;
    let until = world.now().checked_add(std::time::Duration::from_secs(60)).expect("a time");
    let call = || NewApproval {
        id: ApprovalId::new(&*world.clock),
        tool: "send_letter".to_owned(),
        pin: "sha256:00".to_owned(),
        arguments: "{\"to\":\"me\"}".to_owned(),
        question: "Send it".to_owned(),
        expires: until,
        conversation: None,
    };
    let waiting = call();
    let waits = waiting.id;
    approvals.request(&own, waiting, room).await.expect("it waits");
    let stores = folder.open_stores(Arc::clone(&world.clock) as _);
    stores.destroy_member_key(world.a.community.id, world.a.plain).await.expect("destroyed");
    // The instance that was running before holds no copy of the key.
    for Stores { conversations, memories, .. } in [world.stores.clone(), stores.stores()] {
        assert_eq!(conversations.list(&own, None, 9).await.expect("listed"), []);
        assert_eq!(memories.list(&own).await.expect("listed"), []);
        let gone = [
            conversations.get(&own, conversation).await.err(),
            conversations.messages(&own, conversation, 9).await.err(),
            conversations.append(&own, conversation, vec![message(&world, "More")]).await.err(),
            conversations.rename(&own, conversation, "Other").await.err(),
            memories.get(&own, memory).await.err(),
            memories.change(&own, memory, "Other").await.err(),
        ];
        assert!(gone.iter().all(|gone| gone.as_ref().is_some_and(|gone| gone.kind() == Kind::NotFound)));
        let refused = [
            conversations.begin(&own, ConversationId::new(&*world.clock), "New").await.err(),
            memories.add(&own, MemoryId::new(&*world.clock), "New").await.err(),
        ];
        assert!(refused.iter().all(|gone| gone.as_ref().is_some_and(|gone| gone.kind() == Kind::Forbidden)));
        assert_eq!(conversations.messages(&other, theirs, 9).await.expect("untouched").len(), 1);
    }
    let moderator = world.scope(&world.a, world.a.moderator).await;
    let listed = queue.list(&moderator, jiff::Timestamp::MIN).await.expect("listed");
    let texts: Vec<_> = listed.iter().map(|entry| entry.text.as_deref()).collect();
    assert_eq!(texts, [None, Some("Theirs")], "the entry stays, without its words");
    let refused = queue.queue(&own, handed("More"), room).await.expect_err("nothing more is kept");
    assert_eq!(refused.kind(), Kind::Forbidden);
    let entry = approvals.get(&moderator, waits).await.expect("the entry stays");
    assert_eq!(entry.arguments, None, "without its words");
    let refused = approvals.request(&own, call(), room).await.expect_err("nothing more is kept");
    assert_eq!(refused.kind(), Kind::Forbidden);
    let blind = approvals.decide(&moderator, waits, Decision::Approve { until }).await.expect("an answer");
    assert!(matches!(blind, Step::NotOpen(_)), "nobody approves what nobody can read");
    world.stores.conversations.remove(&own, conversation).await.expect("what is left is removed");
    world.stores.memories.remove(&own, memory).await.expect("what is left is removed");
}

#[tokio::test]
async fn what_is_moved_to_another_record_or_member_does_not_open() {
    let folder = Folder::fresh();
    let world = World::new(folder.clone()).await;
    let (own, other) =
        (world.scope(&world.a, world.a.plain).await, world.scope(&world.a, world.a.paying).await);
    let (conversation, memory) = keep(&world, &own).await;
    let (second, _) = keep(&world, &own).await;
    keep(&world, &other).await;
    let raw = folder.open_community(world.a.community.id);
    for (table, field) in [("conversations", "title"), ("messages", "text"), ("memories", "text")] {
        let changed = raw.execute(
            &format!("UPDATE {table} SET {field} = (SELECT {field} FROM {table} ORDER BY id DESC LIMIT 1)"),
            [],
        );
        assert_eq!(changed.expect("moved"), 3);
    }
    let Stores { conversations, memories, .. } = &world.stores;
    for id in [conversation, second] {
        let get = conversations.get(&own, id).await;
        assert_eq!(get.expect_err("moved from another member").kind(), Kind::Corrupt);
        let messages = conversations.messages(&own, id, 9).await;
        assert_eq!(messages.expect_err("moved from another member").kind(), Kind::Corrupt);
    }
    assert_eq!(memories.get(&own, memory).await.expect_err("moved").kind(), Kind::Corrupt);
    assert_eq!(conversations.list(&own, None, 9).await.expect_err("moved").kind(), Kind::Corrupt);
    assert_eq!(memories.list(&own).await.expect_err("moved").kind(), Kind::Corrupt);
    assert_eq!(memories.list(&other).await.expect("theirs is where it was").len(), 1);
    raw.execute("UPDATE memories SET member = (SELECT member FROM memories ORDER BY id DESC LIMIT 1)", [])
        .expect("given to another member");
    assert_eq!(memories.list(&other).await.expect_err("not theirs").kind(), Kind::Corrupt);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let folder = Folder::on_disk();
    let world = World::new(folder.clone()).await;
    let own = world.scope(&world.a, world.a.plain).await;
    let (id, _) = keep(&world, &own).await;
    for number in 0..10 {
        let text = format!("Number {number}");
        let pair = vec![message(&world, &text), message(&world, "And an answer")];
        world.stores.conversations.append(&own, id, pair).await.expect("added");
        world.stores.memories.add(&own, MemoryId::new(&*world.clock), &text).await.expect("added");
        let (session, _) = world.sign_in(&world.a, "plain@example.org").await;
        // The files as they are at this moment are what a killed process leaves.
        let crashed = Folder::on_disk();
        crate::at_rest::copy(folder.path(), crashed.path());
        let again = crashed.open_stores(Arc::clone(&world.clock) as _).stores();
        let found = again.conversations.messages(&own, id, 99).await.expect("there");
        assert_eq!(found.len(), 1 + 2 * (number + 1));
        assert!(found.iter().any(|found| found.said == Said::Text(text.clone())));
        assert_eq!(again.memories.list(&own).await.expect("there").len(), 1 + number + 1);
        let session = again.identity.session(world.a.community.id, session, world.now()).await;
        assert_eq!(session.expect("answered").expect("it has begun").member, world.a.plain);
    }
}

#[tokio::test]
async fn a_removed_conversation_leaves_no_row_behind() {
    let folder = Folder::fresh();
    let world = World::new(folder.clone()).await;
    let own = world.scope(&world.a, world.a.plain).await;
    let (id, _) = keep(&world, &own).await;
    let answer = NewMessage { sources: vec![world.a.id("welcome")], ..message(&world, "An answer") };
    world.stores.conversations.append(&own, id, vec![answer]).await.expect("added");
    let raw = folder.open_community(world.a.community.id);
    assert_eq!((count(&raw, "messages"), count(&raw, "message_sources")), (2, 1));
    world.stores.conversations.remove(&own, id).await.expect("removed");
    for table in ["conversations", "messages", "message_sources"] {
        assert_eq!(count(&raw, table), 0, "{table}");
    }
}

#[tokio::test]
async fn outdated_links_and_sessions_are_swept() {
    let folder = Folder::fresh();
    let world = World::new(folder.clone()).await;
    for number in 0..5 {
        world.ask(&world.a, &format!("nobody{number}@example.org"), Strangers::Refuse, None).await;
        world.sign_in(&world.a, "plain@example.org").await;
    }
    let raw = folder.open_community(world.a.community.id);
    assert_eq!((count(&raw, "sign_ins"), count(&raw, "sessions")), (5, 5));
    world.clock.advance(World::IDLE);
    world.ask(&world.a, "plain@example.org", Strangers::Refuse, None).await;
    assert_eq!((count(&raw, "sign_ins"), count(&raw, "sessions")), (1, 0));
    // Of a session its hash stays a while.
    assert_eq!(count(&raw, "ended_sessions"), 5);
    // And without anybody who asks.
    for _ in 0..70 {
        world.sign_in(&world.a, "plain@example.org").await;
    }
    world.ask(&world.a, "plain@example.org", Strangers::Refuse, None).await;
    world.clock.advance(World::IDLE);
    let since = KeptSince { handovers: world.now(), approvals: world.now() };
    let directory = &world.stores.directory;
    directory.remove_due(world.a.community.id, since).await.expect("removed");
    assert_eq!((count(&raw, "sign_ins"), count(&raw, "sessions")), (0, 0));
    assert_eq!(count(&raw, "ended_sessions"), 75);
    world.clock.advance(LAPSED_FOR);
    assert_eq!(directory.remove_due(world.a.community.id, since).await.expect("removed").entries, 75);
    assert_eq!(count(&raw, "ended_sessions"), 0);
}

#[tokio::test]
async fn a_member_who_did_not_join_leaves_no_key_behind() {
    let folder = Folder::fresh();
    let world = World::new(folder.clone()).await;
    let keys = folder.open_file(
        "keys.db",
        &portcullis_core::seal::SealKey::derive(&crate::harness::MASTER, "portcullis/keys.db"),
    );
    let before = count(&keys, "member_keys");
    let (taken, _) = world.sign_in(&world.a, "plain@example.org").await;
    let (visit, _) = world.ask(&world.a, "new@example.org", Strangers::Join, None).await;
    let session = portcullis_store::NewSession { token: taken, ..world.new_session(&world.a) };
    let id = world.a.community.id;
    let redeemed = world.stores.sessions.redeem(id, visit.link, visit.browser, session, world.now()).await;
    assert_eq!(redeemed.expect_err("the session's token is taken").kind(), Kind::Conflict);
    assert_eq!(count(&keys, "member_keys"), before);
    world.redeem(&world.a, visit).await.expect("they join");
    assert_eq!(count(&keys, "member_keys"), before + 1);
    let members = &world.stores.members;
    for _ in 0..3 {
        members.provision(id, "issuer", "subject", "Somebody").await.expect("made once");
    }
    assert_eq!(count(&keys, "member_keys"), before + 2);
}

#[tokio::test]
async fn a_file_of_the_first_schema_is_brought_up_to_date() {
    let folder = Folder::fresh();
    let world = World::new(folder.clone()).await;
    let id = world.a.community.id;
    let (key, _) = world.key(&world.a, KeyActor::Member(world.a.admin), None).await;
    let old = Folder::fresh();
    crate::at_rest::copy(folder.path(), old.path());
    {
        let raw = old.open_community(id);
        for trigger in [
            "members_suspended",
            "members_status_links",
            "sessions_update_epoch",
            "sessions_delete_epoch",
            "subjects_update_epoch",
            "subjects_delete_epoch",
            "documents_insert_epoch",
            "documents_update_epoch",
            "documents_delete_epoch",
        ] {
            raw.execute_batch(&format!("DROP TRIGGER {trigger}")).expect("dropped");
        }
        for table in [
            "content_epoch",
            "approvals",
            "handovers",
            "message_sources",
            "messages",
            "conversations",
            "memories",
            "sessions",
            "ended_sessions",
            "sign_ins",
            "invitation_plans",
            "invitations",
            "subjects",
        ] {
            raw.execute_batch(&format!("DROP TABLE {table}")).expect("dropped");
        }
        for column in ["ceiling", "maker_kind", "maker"] {
            raw.execute_batch(&format!("ALTER TABLE keys DROP COLUMN {column}")).expect("dropped");
        }
        raw.pragma_update(None, "user_version", 1).expect("set");
    }
    let again = old.open_stores(Arc::clone(&world.clock) as _).stores();
    let own = world.scope(&world.a, world.a.plain).await;
    let memory = MemoryId::new(&*world.clock);
    again.memories.add(&own, memory, "A fact").await.expect("the new tables are there");
    assert_eq!(again.members.list(&world.a.operator()).await.expect("and the old ones").len(), 5);
    let found = again.identity.key(id, key, world.now()).await.expect("the store answers");
    assert_eq!(found.expect("a key of before works").standing.role, Role::Admin);
}
