//! Cases of conversations: one member's own, whole, in order.

use std::time::Duration;

use jiff::Timestamp;
use portcullis_core::{AbilitySet, ConversationId, DocumentId, KeyAbility, MessageId, Scope, Tasks, TurnId};

use super::{World, approvals, refusal};
use crate::conversations::{
    LONGEST_MESSAGE, LONGEST_TITLE, MOST_AT_ONCE, MOST_LISTED, MOST_MESSAGES, MOST_SOURCES,
};
use crate::{Author, Decision, Ended, Kind, NewMessage, Said, Step, StoredMessage};

/// A message of the member, or of the chatbot where it relied on documents.
pub(super) fn message(world: &World, text: &str, sources: &[DocumentId]) -> NewMessage {
    NewMessage {
        id: MessageId::new(&*world.clock),
        turn: TurnId::new(&*world.clock),
        author: if sources.is_empty() { Author::Member } else { Author::Assistant },
        text: text.to_owned(),
        sources: sources.to_vec(),
    }
}

/// Begins a conversation with these messages.
pub(super) async fn begin(
    world: &World,
    scope: &Scope,
    title: &str,
    messages: &[NewMessage],
) -> ConversationId {
    let (id, conversations) = (ConversationId::new(&*world.clock), &world.stores.conversations);
    conversations.begin(scope, id, title).await.expect("begun");
    conversations.append(scope, id, messages.to_vec()).await.expect("added");
    id
}

/// All messages of a conversation.
pub(super) async fn all(world: &World, scope: &Scope, id: ConversationId) -> Vec<StoredMessage> {
    world.stores.conversations.messages(scope, id, MOST_MESSAGES).await.expect("the store answers")
}

/// What the messages of a conversation say, `None` for what is withheld.
pub(super) async fn said(world: &World, scope: &Scope, id: ConversationId) -> Vec<Option<String>> {
    let messages = all(world, scope, id).await.into_iter();
    messages
        .map(|message| match message.said {
            Said::Text(text) => Some(text),
            Said::Withheld => None,
        })
        .collect()
}

/// A conversation reads back as it was written, and under its new title once renamed.
pub async fn a_conversation_reads_back(world: &World) {
    let (side, conversations) = (&world.a, &world.stores.conversations);
    let own = world.scope(side, side.plain).await;
    let id = ConversationId::new(&*world.clock);
    let begun = conversations.begin(&own, id, "Über Laternen").await.expect("begun");
    assert_eq!((begun.id, begun.title.as_str(), begun.created), (id, "Über Laternen", world.now()));
    assert_eq!(conversations.get(&own, id).await.expect("there"), begun);
    assert_eq!(all(world, &own, id).await, []);

    world.clock.advance(Duration::from_secs(5));
    let turn = TurnId::new(&*world.clock);
    let question = NewMessage { turn, ..message(world, "What burns?\n\0 \u{1f56f}", &[]) };
    let answer = NewMessage { turn, ..message(world, "", &[side.id("rules"), side.id("welcome")]) };
    conversations.append(&own, id, vec![question.clone(), answer.clone()]).await.expect("added");
    let stored = all(world, &own, id).await;
    for (new, stored) in [question, answer].into_iter().zip(&stored) {
        assert_eq!((stored.id, stored.turn, stored.author), (new.id, turn, new.author));
        assert_eq!((&stored.said, &stored.sources), (&Said::Text(new.text), &new.sources));
        assert_eq!(stored.created, world.now());
    }
    assert_eq!(stored.len(), 2);
    let used = conversations.get(&own, id).await.expect("there");
    assert_eq!((used.created, used.updated), (begun.created, world.now()));
    conversations.rename(&own, id, "About lanterns").await.expect("renamed");
    assert_eq!(conversations.get(&own, id).await.expect("there").title, "About lanterns");
    assert_eq!(all(world, &own, id).await, stored);
    let again = world.another_instance().await;
    assert_eq!(again.conversations.messages(&own, id, 9).await.expect("there"), stored);
}

/// Nobody but its member reads, changes or finds a conversation: no other member, no staff, nobody of another community.
pub async fn nobody_else_reaches_a_conversation(world: &World) {
    let (side, conversations) = (&world.a, &world.stores.conversations);
    let own = world.scope(side, side.plain).await;
    let id = begin(world, &own, "Mine", &[message(world, "My secret is moonwick.", &[])]).await;
    for scope in world.everyone_else(side, &world.b).await {
        let refused = [
            refusal(conversations.get(&scope, id).await),
            refusal(conversations.messages(&scope, id, 9).await),
            refusal(conversations.append(&scope, id, vec![message(world, "Theirs", &[])]).await),
            refusal(conversations.rename(&scope, id, "Theirs").await),
            refusal(conversations.remove(&scope, id).await),
        ];
        assert_eq!(refused, [Some(Kind::NotFound); 5], "{scope:?}");
        assert_eq!(conversations.list(&scope, None, 9).await.expect("listed"), [], "{scope:?}");
    }
    for scope in [side.operator(), world.b.operator()] {
        let refused = [
            refusal(conversations.begin(&scope, ConversationId::new(&*world.clock), "Nobody's").await),
            refusal(conversations.list(&scope, None, 9).await),
            refusal(conversations.get(&scope, id).await),
            refusal(conversations.messages(&scope, id, 9).await),
            refusal(conversations.append(&scope, id, vec![message(world, "Theirs", &[])]).await),
            refusal(conversations.rename(&scope, id, "Theirs").await),
            refusal(conversations.remove(&scope, id).await),
        ];
        assert_eq!(refused, [Some(Kind::Forbidden); 7], "{scope:?}");
    }
    assert_eq!(said(world, &own, id).await, [Some("My secret is moonwick.".to_owned())]);
    assert_eq!(conversations.get(&own, id).await.expect("there").title, "Mine");
}

/// An id that another member uses is free, and tells nothing about theirs.
pub async fn an_id_in_use_by_another_member_is_free(world: &World) {
    let (side, conversations) = (&world.a, &world.stores.conversations);
    let own = world.scope(side, side.plain).await;
    let first = message(world, "Mine", &[]);
    let id = begin(world, &own, "Mine", std::slice::from_ref(&first)).await;
    let other = world.scope(side, side.paying).await;
    let begun = conversations.begin(&other, id, "Theirs").await.expect("begun");
    assert_eq!(begun.title, "Theirs");
    assert_eq!(said(world, &other, id).await, []);
    let second = NewMessage { id: first.id, ..message(world, "Theirs", &[]) };
    conversations.append(&other, id, vec![second]).await.expect("added");
    assert_eq!(said(world, &other, id).await, [Some("Theirs".to_owned())]);
    conversations.remove(&other, id).await.expect("removed");
    assert_eq!(said(world, &own, id).await, [Some("Mine".to_owned())]);
}

/// A credential does what it was issued for: to ask is to begin and to add, to be personal is to read and to change.
pub async fn calls_need_their_ability(world: &World) {
    let (side, conversations) = (&world.a, &world.stores.conversations);
    let own = world.scope(side, side.plain).await;
    let id = begin(world, &own, "Mine", &[message(world, "Hello", &[])]).await;
    let chat = world.narrow(side, side.plain, AbilitySet::NONE.with(KeyAbility::Chat)).await;
    let refused = [
        refusal(conversations.list(&chat, None, 9).await),
        refusal(conversations.get(&chat, id).await),
        refusal(conversations.messages(&chat, id, 9).await),
        refusal(conversations.rename(&chat, id, "Other").await),
        refusal(conversations.remove(&chat, id).await),
    ];
    assert_eq!(refused, [Some(Kind::Forbidden); 5]);
    begin(world, &chat, "By key", &[message(world, "Hello", &[])]).await;
    conversations.append(&chat, id, vec![message(world, "More", &[])]).await.expect("added");
    let personal = world.narrow(side, side.plain, AbilitySet::NONE.with(KeyAbility::Personal)).await;
    let refused = [
        refusal(conversations.begin(&personal, ConversationId::new(&*world.clock), "New").await),
        refusal(conversations.append(&personal, id, vec![message(world, "More", &[])]).await),
    ];
    assert_eq!(refused, [Some(Kind::Forbidden); 2]);
    assert_eq!(conversations.list(&personal, None, 9).await.expect("listed").len(), 2);
    conversations.rename(&personal, id, "Other").await.expect("renamed");
    conversations.remove(&personal, id).await.expect("removed");
}

/// What is sent twice is kept once, as it was first.
pub async fn what_is_sent_twice_is_kept_once(world: &World) {
    let (side, conversations) = (&world.a, &world.stores.conversations);
    let own = world.scope(side, side.plain).await;
    let first = message(world, "First", &[]);
    let id = begin(world, &own, "Mine", std::slice::from_ref(&first)).await;
    let before = conversations.get(&own, id).await.expect("there");
    world.clock.advance(Duration::from_secs(5));
    let again = conversations.begin(&own, id, "Another title").await.expect("there");
    assert_eq!(again, before);
    conversations.append(&own, id, vec![first.clone()]).await.expect("no error");
    assert_eq!(conversations.get(&own, id).await.expect("there"), before, "nothing was used");
    let changed = NewMessage { text: "Changed".to_owned(), ..first.clone() };
    let second = message(world, "Second", &[]);
    let twice = vec![changed, second.clone(), second];
    conversations.append(&own, id, twice).await.expect("added");
    assert_eq!(said(world, &own, id).await, [Some("First".to_owned()), Some("Second".to_owned())]);
    let tasks = Tasks::new();
    let same = message(world, "Third", &[]);
    let mut running = Vec::new();
    for _ in 0..16 {
        let (stores, own, same) = (world.stores.clone(), own.clone(), same.clone());
        running.push(tasks.spawn(async move { stores.conversations.append(&own, id, vec![same]).await }));
    }
    for task in running {
        task.await.expect("no task fails").expect("no error");
    }
    assert_eq!(said(world, &own, id).await.len(), 3);
}

/// If one message cannot be kept, none of its call is.
pub async fn an_append_is_all_or_nothing(world: &World) {
    let (side, conversations) = (&world.a, &world.stores.conversations);
    let own = world.scope(side, side.plain).await;
    let id = begin(world, &own, "Mine", &[message(world, "First", &[])]).await;
    let many = vec![side.id("welcome"); MOST_SOURCES + 1];
    for wrong in [message(world, &"x".repeat(LONGEST_MESSAGE + 1), &[]), message(world, "Many", &many)] {
        let messages = vec![message(world, "Before", &[]), wrong, message(world, "After", &[])];
        let added = conversations.append(&own, id, messages).await;
        assert_eq!(refusal(added), Some(Kind::Invalid));
    }
    let too_many = (0..=MOST_AT_ONCE).map(|_| message(world, "One of many", &[])).collect();
    assert_eq!(refusal(conversations.append(&own, id, too_many).await), Some(Kind::Invalid));
    assert_eq!(said(world, &own, id).await, [Some("First".to_owned())]);
    let most = message(world, &"x".repeat(LONGEST_MESSAGE), &[]);
    conversations.append(&own, id, vec![most]).await.expect("the longest is kept");
}

/// Messages come in the order they were added, the last ones where not all are wanted.
pub async fn messages_keep_their_order(world: &World) {
    let (side, conversations) = (&world.a, &world.stores.conversations);
    let own = world.scope(side, side.plain).await;
    let id = begin(world, &own, "Mine", &[]).await;
    let texts: Vec<String> = (0..12).map(|number| format!("Number {number}")).collect();
    for pair in texts.chunks(3) {
        // Their ids run the other way.
        let mut messages: Vec<_> = pair.iter().map(|text| message(world, text, &[])).collect();
        let mut ids: Vec<_> = messages.iter().map(|message| message.id).collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        messages.iter_mut().zip(ids).for_each(|(message, id)| message.id = id);
        conversations.append(&own, id, messages).await.expect("added");
    }
    for limit in [0, 1, 5, 12, 500] {
        let found = conversations.messages(&own, id, limit).await.expect("the store answers");
        let found: Vec<_> = found.into_iter().map(|message| message.said).collect();
        let last = texts.iter().skip(12usize.saturating_sub(limit));
        assert_eq!(found, last.map(|text| Said::Text(text.clone())).collect::<Vec<_>>(), "limit {limit}");
    }
}

/// The list begins with the last used, and goes on from any of its entries without a gap and without an end too soon.
pub async fn a_list_goes_on_where_it_stopped(world: &World) {
    let (side, conversations) = (&world.a, &world.stores.conversations);
    let own = world.scope(side, side.plain).await;
    let mut ids = Vec::new();
    // The clock stands still, so they are told apart by more than the time.
    for number in 0..7 {
        ids.push(begin(world, &own, &format!("Number {number}"), &[]).await);
    }
    let touched = ids.remove(2);
    conversations.append(&own, touched, vec![message(world, "Again", &[])]).await.expect("added");
    ids.push(touched);
    ids.reverse();
    for limit in [1, 2, 3, 7, 100] {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let page = conversations.list(&own, before, limit).await.expect("listed");
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            before = Some(last.updated);
            listed.extend(page.into_iter().map(|conversation| conversation.id));
        }
        assert_eq!(listed, ids, "limit {limit}");
    }
    assert_eq!(conversations.list(&own, None, 0).await.expect("listed"), []);
    assert!(conversations.list(&own, None, usize::MAX).await.expect("listed").len() <= MOST_LISTED);
}

/// What is no title is refused, and nothing is kept under it.
pub async fn malformed_titles_are_invalid(world: &World) {
    let (side, conversations) = (&world.a, &world.stores.conversations);
    let own = world.scope(side, side.plain).await;
    let id = begin(world, &own, "Mine", &[]).await;
    for title in ["", "  ", "two\nlines", "nul\0", &"ü".repeat(LONGEST_TITLE + 1)] {
        let begun = conversations.begin(&own, ConversationId::new(&*world.clock), title).await;
        assert_eq!(refusal(begun), Some(Kind::Invalid), "{title:?}");
        assert_eq!(refusal(conversations.rename(&own, id, title).await), Some(Kind::Invalid), "{title:?}");
    }
    conversations.rename(&own, id, &"ü".repeat(LONGEST_TITLE)).await.expect("the longest is kept");
    assert_eq!(conversations.list(&own, None, 9).await.expect("listed").len(), 1);
}

/// A removed conversation is gone with all its messages, also for who begins one with its id again.
pub async fn a_removed_conversation_is_gone(world: &World) {
    let (side, conversations) = (&world.a, &world.stores.conversations);
    let own = world.scope(side, side.plain).await;
    let id = begin(world, &own, "Mine", &[message(world, "Gone", &[side.id("welcome")])]).await;
    let kept = begin(world, &own, "Kept", &[message(world, "Kept", &[])]).await;
    conversations.remove(&own, id).await.expect("removed");
    let refused = [
        refusal(conversations.get(&own, id).await),
        refusal(conversations.messages(&own, id, 9).await),
        refusal(conversations.append(&own, id, vec![message(world, "More", &[])]).await),
        refusal(conversations.rename(&own, id, "Other").await),
        refusal(conversations.remove(&own, id).await),
    ];
    assert_eq!(refused, [Some(Kind::NotFound); 5]);
    let listed = conversations.list(&own, None, 9).await.expect("listed");
    assert_eq!(listed.iter().map(|conversation| conversation.id).collect::<Vec<_>>(), [kept]);
    conversations.begin(&own, id, "Anew").await.expect("begun");
    assert_eq!(said(world, &own, id).await, []);
    assert_eq!(said(world, &own, kept).await, [Some("Kept".to_owned())]);
}

/// A call of a tool goes with the conversation that it belongs to: nobody reads, decides or makes it any more. One that is under way
/// goes once it ends, and those of other conversations stay.
pub async fn the_calls_of_a_removed_conversation_go_with_it(world: &World) {
    let (side, approvals) = (&world.a, &world.stores.approvals);
    let own = world.scope(side, side.plain).await;
    let moderator = world.scope(side, side.moderator).await;
    let (id, kept) = (begin(world, &own, "Mine", &[]).await, begin(world, &own, "Kept", &[]).await);
    let other = world.scope(side, side.paying).await;
    world.stores.conversations.begin(&other, id, "Theirs").await.expect("the same id");
    let until = world.now().checked_add(World::LINK).expect("a time");
    let asked =
        async |scope: &Scope, conversation| approvals::in_conversation(world, scope, conversation).await;
    let approved = async |id| {
        let step = approvals.decide(&moderator, id, Decision::Approve { until }).await.expect("decided");
        assert!(matches!(step, Step::Taken(_)));
    };
    let [waits, ready, denied, running] =
        [asked(&own, id).await, asked(&own, id).await, asked(&own, id).await, asked(&own, id).await];
    approved(ready).await;
    approved(running).await;
    approvals.decide(&moderator, denied, Decision::Deny).await.expect("decided");
    assert!(matches!(approvals.begin(&own, running).await, Ok(Step::Taken(_))));
    let stay =
        [asked(&own, kept).await, asked(&other, id).await, approvals::requested(world, &own, "{}").await];
    let mut withdrawn = world.stores.conversations.remove(&own, id).await.expect("removed");
    withdrawn.sort_unstable();
    let mut wanted = [waits, ready];
    wanted.sort_unstable();
    assert_eq!(withdrawn, wanted, "those are told that are not made now");
    for gone in [waits, ready, denied] {
        assert_eq!(refusal(approvals.get(&own, gone).await), Some(Kind::NotFound));
        let decided = approvals.decide(&moderator, gone, Decision::Deny).await;
        assert_eq!(refusal(decided), Some(Kind::NotFound));
        assert_eq!(refusal(approvals.begin(&own, gone).await), Some(Kind::NotFound));
    }
    let ended = approvals.finish(&own, running, Ended::Done, "It was sent".to_owned()).await;
    assert!(matches!(ended, Ok(Step::Taken(_))), "its end is noted");
    assert_eq!(refusal(approvals.get(&own, running).await), Some(Kind::NotFound));
    let listed = approvals.list(&moderator, Timestamp::MIN).await.expect("listed");
    assert_eq!(listed.iter().map(|entry| entry.id).collect::<Vec<_>>(), stay);
    let [kept, ..] = stay;
    approved(kept).await;
    assert!(matches!(approvals.begin(&own, kept).await, Ok(Step::Taken(_))));
    approvals.finish(&own, kept, Ended::Done, "It was sent".to_owned()).await.expect("ended");
    assert_eq!(approvals.get(&own, kept).await.expect("there").id, kept, "its conversation is there");
}

/// Calls that come at once lose nothing and keep each other's messages apart.
pub async fn appends_at_once_lose_nothing(world: &World) {
    let side = &world.a;
    let own = world.scope(side, side.plain).await;
    let other = world.scope(side, side.paying).await;
    let mine = begin(world, &own, "Mine", &[]).await;
    let theirs = begin(world, &other, "Theirs", &[]).await;
    let tasks = Tasks::new();
    let mut running = Vec::new();
    for number in 0..48 {
        let stores = world.stores.clone();
        let (scope, id) = if number % 2 == 0 { (own.clone(), mine) } else { (other.clone(), theirs) };
        let pair =
            [format!("{number} asks"), format!("{number} answers")].map(|text| message(world, &text, &[]));
        running.push(tasks.spawn(async move {
            stores.conversations.append(&scope, id, pair.to_vec()).await.expect("added");
            let found = stores.conversations.messages(&scope, id, MOST_MESSAGES).await.expect("answered");
            assert!(pair.iter().all(|new| found.iter().any(|found| found.id == new.id)), "acknowledged");
        }));
    }
    for task in running {
        task.await.expect("no task fails");
    }
    for (scope, id, rest) in [(&own, mine, 0), (&other, theirs, 1)] {
        let found = said(world, scope, id).await;
        assert_eq!(found.len(), 48);
        for pair in found.chunks(2) {
            let [Some(asks), Some(answers)] = pair else { unreachable!("nothing is withheld") };
            let number = asks.strip_suffix(" asks").expect("a question comes first");
            assert_eq!(*answers, format!("{number} answers"), "a call's messages stay together");
            assert_eq!(number.parse::<usize>().expect("a number") % 2, rest, "they stay apart");
        }
    }
}
