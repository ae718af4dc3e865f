//! Cases of many callers at once.

use std::sync::Arc;

use portcullis_core::{Role, Tasks};

use super::World;
use super::world::document;
use crate::{KeyActor, Kind, NewMember, PutOutcome, Query};

/// A word that has no parts and no endings, different for every number below 676.
fn word(number: usize) -> String {
    let letter = |number: usize| char::from(b'a' + u8::try_from(number % 26).unwrap_or(0));
    format!("gnu{}{}x", letter(number / 26), letter(number))
}

/// Sixty-four tasks that read and write at once lose nothing and see nothing half done.
pub async fn readers_and_writers_at_once_lose_nothing(world: &World) {
    let tasks = Tasks::new();
    let mut running = Vec::new();
    for number in 0..64 {
        let stores = world.stores.clone();
        let side = if number % 2 == 0 { world.a.clone() } else { world.b.clone() };
        running.push(tasks.spawn(async move {
            let (scope, word) = (side.operator(), word(number));
            let chunks = [word.as_str(), word.as_str()];
            let new = document(side.open, &word, &word, &chunks);
            let put = stores.content.put(&scope, vec![new]).await.expect("stored");
            assert_eq!(put, [PutOutcome::Added]);
            let query = Query { text: word.clone(), limit: 5 };
            let found = stores.content.search(&scope, &query).await.expect("searched");
            assert_eq!(found.len(), 2, "what was acknowledged is found whole");
            let email = Some(format!("{word}@example.org"));
            let new = NewMember { name: word.clone(), email, role: None };
            let added = stores.members.add(&scope, new).await.expect("added");
            let got = stores.members.get(&scope, added.id).await.expect("there");
            assert_eq!(got, added);
            stores.members.set_role(&scope, added.id, Role::Moderator).await.expect("set");
            let standing = stores.identity.standing(side.community.id, added.id, added.created).await;
            assert_eq!(standing.expect("answered").expect("active").role, Role::Moderator);
        }));
    }
    for task in running {
        task.await.expect("no task fails");
    }
    for (side, offset) in [(&world.a, 0), (&world.b, 1)] {
        let members = world.stores.members.list(&side.operator()).await.expect("listed");
        assert_eq!(members.len(), 5 + 32);
        for number in (offset..64).step_by(2) {
            assert_eq!(world.found(&side.operator(), &word(number)).await.len(), 1);
        }
    }
}

/// Of writes that come at once, those that fail take nothing of the others with them.
pub async fn a_failing_write_takes_no_other_with_it(world: &World) {
    let tasks = Tasks::new();
    let mut running = Vec::new();
    for number in 0..48 {
        let members = Arc::clone(&world.stores.members);
        let scope = world.a.operator();
        running.push(tasks.spawn(async move {
            let email = if number % 3 == 0 {
                "plain@example.org".to_owned()
            } else {
                format!("n{number}@example.org")
            };
            let new = NewMember { name: format!("Number {number}"), email: Some(email), role: None };
            (number, members.add(&scope, new).await)
        }));
    }
    for task in running {
        let (number, added) = task.await.expect("no task panics");
        match added {
            Ok(_) => assert_ne!(number % 3, 0, "a taken address was taken again"),
            Err(error) => assert_eq!((number % 3, error.kind()), (0, Kind::Conflict)),
        }
    }
    let members = world.stores.members.list(&world.a.operator()).await.expect("listed");
    assert_eq!(members.len(), 5 + 32);
}

/// A key that is revoked while it is being used is refused by every call that begins after the revocation.
pub async fn no_call_after_a_revocation_lets_the_key_in(world: &World) {
    let side = &world.a;
    for _ in 0..10 {
        let (hash, info) = world.key(side, KeyActor::Member(side.paying), None).await;
        let tasks = Tasks::new();
        let (stores, now, id) = (world.stores.clone(), world.now(), side.community.id);
        let busy = tasks.spawn(async move {
            // It keeps the key in whatever cache there is, until it is refused.
            while stores.identity.key(id, hash, now).await.expect("answered").is_some() {
                tokio::task::yield_now().await;
            }
        });
        world.stores.keys.revoke(&side.operator(), info.id).await.expect("revoked");
        for _ in 0..20 {
            let found = world.stores.identity.key(id, hash, now).await.expect("answered");
            assert_eq!(found, None);
        }
        busy.await.expect("the user of the key was refused");
    }
}
