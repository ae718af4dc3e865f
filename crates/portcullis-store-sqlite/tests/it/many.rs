//! Many communities, few open files.

use std::sync::Arc;

use portcullis_core::{Clock, MemberId, SystemClock, Tasks, Tier};
use portcullis_store::{CommunityRef, NewCommunity};
use portcullis_store_sqlite::{Options, SqliteStores};

use crate::harness::Folder;

fn few(folder: &Folder, clock: &Arc<dyn Clock>) -> SqliteStores {
    let options = Options { max_open: 3, ..folder.options(Arc::clone(clock)) };
    SqliteStores::open(options).expect("the stores open")
}

#[tokio::test]
async fn the_only_community_is_found_until_there_is_another() {
    let (folder, clock) = (Folder::fresh(), Arc::new(SystemClock::new()) as Arc<dyn Clock>);
    let stores = few(&folder, &clock);
    let directory = stores.stores().directory;
    let only = async || directory.find(CommunityRef::Only).await.expect("answered");
    assert_eq!(only().await, None);
    let new = |slug: &str| NewCommunity {
        slug: slug.to_owned(),
        name: slug.to_owned(),
        host: None,
        tier: Tier::Standard,
    };
    let first = directory.create(new("one")).await.expect("created");
    for _ in 0..2 {
        assert_eq!(only().await.as_ref(), Some(&first));
    }
    directory.create(new("two")).await.expect("created");
    assert_eq!(only().await, None);
    stores.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_communities_than_open_files_all_work_and_nothing_opens_at_start() {
    let folder = Folder::fresh();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let stores = few(&folder, &clock);
    let mut ids = Vec::new();
    for number in 0..24 {
        let new = NewCommunity {
            slug: format!("community-{number}"),
            name: "Many".to_owned(),
            host: None,
            tier: Tier::Standard,
        };
        ids.push(stores.stores().directory.create(new).await.expect("created").id);
    }
    assert_eq!(stores.open_communities(), 0, "creating keeps no file open");
    let tasks = Tasks::new();
    let mut running = Vec::new();
    for number in 0..192usize {
        let (shared, now) = (stores.clone(), clock.now());
        let id = *ids.get(number * 7 % ids.len()).expect("there are that many");
        running.push(tasks.spawn(async move {
            let nobody = MemberId::from_bytes([1; 16]);
            let found = shared.stores().identity.standing(id, nobody, now).await;
            assert_eq!(found.expect("answered"), None);
            assert!(shared.open_communities() <= 3, "{} open", shared.open_communities());
        }));
    }
    for task in running {
        task.await.expect("no task fails");
    }
    assert_eq!(stores.open_communities(), 3, "what was used last stays open");
    stores.close().await;

    let again = few(&folder, &clock);
    assert_eq!(again.open_communities(), 0);
    let found = again.stores().directory.find(CommunityRef::Slug("community-23")).await.expect("answered");
    assert_eq!(found.map(|community| community.id), ids.last().copied());
    assert_eq!(again.open_communities(), 0, "a name is found without opening anything");
}
