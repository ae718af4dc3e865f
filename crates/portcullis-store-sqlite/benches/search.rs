//! What a search costs in a community of 4,000 documents, or of as many as the command line says: the same few questions again
//! and again, questions that were never asked before, the first one after a change and the first one after a start. And what
//! the import of the documents costs.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a bench prints what it measured")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::{
    AbilitySet, Action, Actor, Clock, CommunityId, Grant, KeyAbility, Role, Scope, Secret, SpaceId,
    SystemClock, Tier,
};
use portcullis_store::{
    Chunk, DocumentText, NewCommunity, NewDocument, NewSpace, Query, SpaceAccess, Stores,
};
use portcullis_store_sqlite::{Options, SqliteStores};

/// The content that the program is measured with from outside. The file is shared, since no crate may use the other.
#[path = "../../../xtask/src/bench/words.rs"]
mod words;

use words::{Dice, Vocabulary};

const DOCUMENTS: usize = 4_000;
const SPACES: usize = 8;
/// How many passages a search is asked for, as by a chat turn.
const LIMIT: usize = 8;
const PARAGRAPHS: usize = 6;
const WORDS: usize = 45;
/// The most characters of a chunk, as the importers cut them.
const CHUNK: usize = 1_200;

fn document(vocabulary: &Vocabulary, dice: &mut Dice, spaces: &[SpaceId], number: usize) -> NewDocument {
    let title = format!("{} {}", vocabulary.subject(dice), vocabulary.sentence(dice, 4));
    let mut texts = vec![String::new()];
    for _ in 0..PARAGRAPHS {
        let paragraph = vocabulary.sentence(dice, WORDS);
        match texts.last_mut().filter(|text| text.len() + paragraph.len() < CHUNK) {
            Some(text) => text.push_str(&format!("{paragraph}.\n\n")),
            None => texts.push(paragraph),
        }
    }
    let mut fingerprint = [0; 32];
    fingerprint.fill_with(|| dice.roll().to_le_bytes()[0]);
    let chunk = |text| Chunk { heading: title.clone(), author: None, text };
    NewDocument {
        space: *spaces.get(number % spaces.len()).expect("a space"),
        source: "bench".to_owned(),
        source_key: number.to_string(),
        fingerprint,
        text: DocumentText { chunks: texts.into_iter().map(chunk).collect() },
        title,
        url: None,
        author: None,
        written: None,
        links: Vec::new(),
    }
}

fn scope(community: CommunityId, spaces: &[SpaceId]) -> Scope {
    #[expect(clippy::disallowed_methods, reason = "a bench stands in for the identify phase")]
    Scope::grant(Grant {
        community,
        actor: Actor::Operator,
        role: Role::Owner,
        abilities: KeyAbility::ALL.into_iter().collect::<AbilitySet>(),
        spaces: spaces.into(),
        tier: Tier::Standard,
    })
}

/// Processor time of all threads of this process so far.
fn processor_time() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let nanos = tasks.flatten().filter_map(|task| {
        let line = fs::read_to_string(task.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

async fn ask(stores: &Stores, scope: &Scope, text: &str) -> usize {
    let query = Query { text: text.to_owned(), limit: LIMIT };
    stores.content.search(scope, &query).await.expect("it is searched").len()
}

async fn all(what: &str, stores: &Stores, scope: &Scope, questions: &[String], rounds: usize) {
    let (begun, used) = (Instant::now(), processor_time());
    let mut found = 0;
    for _ in 0..rounds {
        for question in questions {
            found += ask(stores, scope, question).await;
        }
    }
    let searches = u32::try_from(questions.len() * rounds).expect("not many");
    println!(
        "{what:44} {:>9.1?} each, {:>9.1?} of processor time, {:.1} passages",
        begun.elapsed() / searches,
        (processor_time() - used) / searches,
        f64::from(u32::try_from(found).expect("not many")) / f64::from(searches),
    );
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let open =
        || SqliteStores::open(Options::new(folder.path(), Secret::new(vec![7; 32]), Arc::clone(&clock)));
    let opened = open().expect("the stores open");
    let stores = opened.stores();
    let new =
        NewCommunity { slug: "bench".to_owned(), name: "Bench".to_owned(), host: None, tier: Tier::Standard };
    let community = stores.directory.create(new).await.expect("created").id;
    let operator = scope(community, &[]);
    assert!(operator.may(Action::WriteContent));
    let mut spaces = Vec::new();
    for number in 0..SPACES {
        let new = NewSpace {
            slug: format!("space-{number}"),
            name: "A space".to_owned(),
            access: SpaceAccess::Staff,
        };
        spaces.push(stores.spaces.create(&operator, new).await.expect("created").id);
    }
    let vocabulary = Vocabulary::new();
    let mut dice = Dice(2);
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(DOCUMENTS);
    let documents: Vec<NewDocument> =
        (0..count).map(|number| document(&vocabulary, &mut dice, &spaces, number)).collect();
    let (begun, used) = (Instant::now(), processor_time());
    for batch in documents.chunks(100) {
        stores.content.put(&operator, batch.to_vec()).await.expect("stored");
    }
    println!(
        "import of {count} documents: {:.2?}, {:.2?} of processor time",
        begun.elapsed(),
        processor_time() - used
    );

    let (everything, half) =
        (scope(community, &spaces), scope(community, spaces.get(..SPACES / 2).unwrap_or_default()));
    let few = vocabulary.questions(&mut Dice(3), 64);
    let many = vocabulary.questions(&mut Dice(4), 4_096);
    all("64 questions, first time", &stores, &everything, &few, 1).await;
    all("64 questions, again and again", &stores, &everything, &few, 60).await;
    all("64 questions, half of the spaces", &stores, &half, &few, 60).await;
    all("4,096 questions, first time", &stores, &everything, &many, 1).await;
    all("4,096 questions, again", &stores, &everything, &many, 1).await;

    let (mut changed, mut used) = (Duration::ZERO, Duration::ZERO);
    for (number, question) in few.iter().enumerate() {
        let next = document(&vocabulary, &mut dice, &spaces, number);
        stores.content.put(&operator, vec![next]).await.expect("stored");
        let (begun, before) = (Instant::now(), processor_time());
        ask(&stores, &everything, question).await;
        changed += begun.elapsed();
        used += processor_time() - before;
    }
    println!(
        "{:44} {:>9.1?} each, {:>9.1?} of processor time",
        "the first after a change",
        changed / 64,
        used / 64
    );

    opened.close().await;
    let mut cold = Vec::new();
    for question in few.iter().take(20) {
        let opened = open().expect("the stores open");
        let begun = Instant::now();
        ask(&opened.stores(), &everything, question).await;
        cold.push(begun.elapsed());
        opened.close().await;
    }
    cold.sort_unstable();
    let (middle, worst) = (cold.get(cold.len() / 2), cold.last());
    let [middle, worst] = [middle, worst].map(|time| time.copied().unwrap_or_default());
    println!("{:44} {middle:>9.1?} the middle one, {worst:>9.1?} the worst", "the first after a start");
}
