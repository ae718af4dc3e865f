//! The same search without anything remembered, numbered or left out: each hit is a row that the engine joins with its
//! document, each document is judged and each text is read word by word. Searches must find what it finds, in its order.

use std::collections::{BTreeMap, HashMap};

use portcullis_core::SpaceId;
use rusqlite::{Connection, params};

use super::Bounds;
use super::stem::stem;
use super::terms::{Term, expression, words};
use crate::content::CHUNK_BITS;
use crate::value::space_list;

/// A chunk that holds a word, and how many chunks its document has.
#[derive(Debug, Clone, Copy)]
struct Occurrence {
    chunk: i64,
    length: u32,
}

struct Hits {
    weight: f64,
    chunks: Vec<Occurrence>,
    titles: Vec<Occurrence>,
}

#[derive(Default)]
struct Judged {
    whole: f64,
    title: Vec<usize>,
    /// Score, chunk, and the terms that it holds.
    passages: Vec<(f64, i64, Vec<usize>)>,
}

/// The ids of the chunks that are found, best first.
pub(super) fn chunks(
    conn: &Connection,
    spaces: &[SpaceId],
    terms: &[Term],
    limit: usize,
    bounds: Bounds,
) -> Vec<i64> {
    let spaces = space_list(spaces);
    let (documents, chunks): (f64, f64) = conn
        .query_row(
            "SELECT total(1), total(chunks) FROM documents WHERE space IN (
                 SELECT id FROM spaces WHERE uuid IN (SELECT unhex(value) FROM json_each(?)))",
            [&spaces],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("the extent");
    let mut work = bounds.work;
    let mut hits = Vec::new();
    for term in terms {
        let any = term.forms().map(expression).collect::<Vec<_>>().join(" OR ");
        let chunks = occurrences(conn, &any, &spaces, work.min(bounds.hits));
        work -= chunks.len();
        let titles = occurrences(conn, &format!("title : ({any})"), &spaces, work.min(bounds.hits));
        work -= titles.len();
        hits.push(Hits { weight: term.weight, chunks, titles });
    }
    let usual_length = if documents > 0.0 { f64::max(chunks / documents, 1.0) } else { 1.0 };
    let (judged, rarities) = judge(documents, usual_length, &hits, limit);
    order(conn, &judged, &rarities, terms, limit)
}

fn occurrences(conn: &Connection, expression: &str, spaces: &str, most: usize) -> Vec<Occurrence> {
    let mut statement = conn
        .prepare_cached(
            "SELECT search.rowid, documents.chunks
             FROM search JOIN documents ON documents.id = search.rowid >> 20
             WHERE search MATCH ?1 AND documents.space IN (
                 SELECT id FROM spaces WHERE uuid IN (SELECT unhex(value) FROM json_each(?2)))
             ORDER BY search.rowid LIMIT ?3",
        )
        .expect("a statement");
    let most = i64::try_from(most).expect("small");
    let rows = statement
        .query_map(params![expression, spaces, most], |row| {
            Ok(Occurrence { chunk: row.get(0)?, length: row.get(1)? })
        })
        .expect("rows");
    rows.collect::<Result<_, _>>().expect("occurrences")
}

fn judge(documents: f64, usual_length: f64, hits: &[Hits], limit: usize) -> (Vec<Judged>, Vec<f64>) {
    let mut judged: HashMap<i64, Judged> = HashMap::new();
    let mut passages: BTreeMap<i64, (f64, Vec<usize>)> = BTreeMap::new();
    let mut rarities = Vec::new();
    for (term, hit) in hits.iter().enumerate() {
        let mut by_document: BTreeMap<i64, Vec<Occurrence>> = BTreeMap::new();
        for occurrence in &hit.chunks {
            by_document.entry(occurrence.chunk >> CHUNK_BITS).or_default().push(*occurrence);
        }
        let holding = by_document.len() as f64;
        let all = f64::max(documents, holding);
        let rarity = hit.weight * ((all - holding + 0.5) / (holding + 0.5)).ln_1p().powf(0.65);
        rarities.push(rarity);
        for (document, found) in by_document {
            let in_title = hit.titles.iter().any(|title| title.chunk >> CHUNK_BITS == document);
            let in_lead = found.iter().any(|found| is_lead(found.chunk));
            let density = found.len() as f64 * usual_length / f64::max(f64::from(found[0].length), 1.0);
            let share = density + if in_title { 2.0 } else { 0.0 } + if in_lead { 1.0 } else { 0.0 };
            let judged = judged.entry(document).or_default();
            judged.whole += rarity * (share * 4.0 / (share + 3.0) + if in_title { 0.5 } else { 0.0 });
            if in_title {
                judged.title.push(term);
            }
        }
        for occurrence in &hit.chunks {
            let (held, terms) = passages.entry(occurrence.chunk).or_default();
            *held += rarity;
            terms.push(term);
        }
    }
    for (chunk, (held, terms)) in passages {
        let judged = judged.get_mut(&(chunk >> CHUNK_BITS)).expect("its document is judged");
        judged.passages.push((held * gain(chunk), chunk, terms));
    }
    let mut scored: Vec<(f64, i64, Judged)> = judged
        .into_iter()
        .map(|(document, mut judged)| {
            judged.passages.sort_by(|(a, x, _), (b, y, _)| b.total_cmp(a).then(x.cmp(y)));
            judged.passages.truncate(3);
            (judged.whole + 2.0 * judged.passages[0].0, document, judged)
        })
        .collect();
    scored.sort_by(|(a, x, _), (b, y, _)| b.total_cmp(a).then(x.cmp(y)));
    scored.truncate(limit.max(30));
    (scored.into_iter().map(|(_, _, judged)| judged).collect(), rarities)
}

fn order(conn: &Connection, judged: &[Judged], rarities: &[f64], terms: &[Term], limit: usize) -> Vec<i64> {
    let stems: Vec<Vec<String>> = terms.iter().map(|term| term.forms().map(stem).collect()).collect();
    let mut readings: HashMap<i64, (usize, Vec<Vec<usize>>)> = HashMap::new();
    for (_, chunk, _) in judged.iter().flat_map(|judged| &judged.passages) {
        let text: String = conn
            .query_row("SELECT text FROM chunks WHERE id = ?", [chunk], |row| row.get(0))
            .expect("a text");
        let read: Vec<String> = words(&text).map(|word| stem(&word.to_lowercase())).collect();
        let places = stems
            .iter()
            .map(|stems| (0..read.len()).filter(|place| stems.contains(&read[*place])).collect::<Vec<_>>());
        readings.insert(*chunk, (read.len(), places.collect()));
    }
    let all: usize = readings.values().map(|(words, _)| words).sum();
    let usual_words =
        if readings.is_empty() { 1.0 } else { f64::max(all as f64 / readings.len() as f64, 1.0) };
    let mut scored: Vec<(f64, i64)> = Vec::new();
    for judged in judged {
        let mut passages: Vec<(f64, i64)> = Vec::new();
        for (_, chunk, held) in &judged.passages {
            let (words, places) = &readings[chunk];
            let length = 1.0 - 0.7 + 0.7 * *words as f64 / usual_words;
            let mut said = 0.0;
            for (term, rarity) in rarities.iter().enumerate() {
                let count = places[term].len().max(usize::from(held.contains(&term))) as f64;
                let share = count / length + if judged.title.contains(&term) { 2.0 } else { 0.0 };
                said += rarity * (share * 2.0 / (share + 1.0));
                for apart in 1..=2 {
                    let (Some(other), Some(others)) = (rarities.get(term + apart), places.get(term + apart))
                    else {
                        continue;
                    };
                    let pairs = places[term].iter().flat_map(|a| others.iter().map(|b| a.abs_diff(*b)));
                    if let Some(distance) = pairs.min().filter(|distance| *distance <= 8) {
                        let closeness = 1.0 - distance.saturating_sub(1) as f64 / 8.0;
                        said += 0.6 * rarity.min(*other) * closeness / apart as f64;
                    }
                }
            }
            passages.push((said * gain(*chunk), *chunk));
        }
        passages.sort_by(|(a, x), (b, y)| b.total_cmp(a).then(x.cmp(y)));
        let best = passages[0].0;
        let score = judged.whole + 2.0 * best;
        scored.push((score, passages[0].1));
        if let Some((said, chunk)) = passages.get(1).filter(|(said, _)| *said >= 0.5 * best) {
            assert!(*said <= best);
            scored.push((score * 0.5, *chunk));
        }
    }
    scored.sort_by(|(a, x), (b, y)| b.total_cmp(a).then(x.cmp(y)));
    scored.truncate(limit);
    scored.into_iter().map(|(_, chunk)| chunk).collect()
}

fn is_lead(chunk: i64) -> bool {
    chunk & ((1 << CHUNK_BITS) - 1) < 3
}

fn gain(chunk: i64) -> f64 {
    if is_lead(chunk) { 1.4 } else { 1.0 }
}

mod tests {
    use std::sync::Arc;

    use portcullis_core::{DocumentId, SpaceId};
    use portcullis_store::{Chunk, DocumentText, NewDocument};
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::chunks;
    use crate::content::{CHUNK_BITS, put, remove};
    use crate::file::start_engine;
    use crate::schema::COMMUNITY;
    use crate::search::{BOUNDS, Bounds, Budget, Memory, bounded, terms};

    const SPACES: u8 = 4;
    const KEYS: u8 = 250;
    /// Words with other forms, other spellings, parts and neighbours that join to one word. The first come most often.
    const WORDS: [&str; 24] = [
        "body",
        "the",
        "rigid",
        "start",
        "up",
        "startup",
        "colour",
        "color",
        "coloured",
        "RigidBody2D",
        "bodies",
        "connect",
        "connection",
        "camera",
        "cafe",
        "caf\u{e9}",
        "\u{c9}t\u{e9}",
        "x1",
        "basalt",
        "dune",
        "ember",
        "quagga",
        "\u{432}\u{435}\u{447}\u{435}\u{440}",
        "rigidbody",
    ];

    fn space(number: u8) -> SpaceId {
        SpaceId::from_bytes([number; 16])
    }

    /// What is done to the documents between searches.
    #[derive(Debug, Clone)]
    enum Change {
        Put { key: u8, space: u8, title: Vec<usize>, chunks: Vec<Vec<usize>> },
        Move { key: u8, space: u8 },
        Remove { key: u8 },
    }

    #[derive(Debug, Clone)]
    struct Step {
        changes: Vec<Change>,
        questions: Vec<(Vec<usize>, Vec<u8>, usize)>,
    }

    fn sentence(longest: usize) -> impl Strategy<Value = Vec<usize>> {
        // The lower of two, so that the first words come more often.
        let word = (0..WORDS.len(), 0..WORDS.len()).prop_map(|(one, other)| one.min(other));
        proptest::collection::vec(word, 0..=longest)
    }

    fn change(documents: u8) -> impl Strategy<Value = Change> {
        let put = (0..documents, 0..SPACES, sentence(3), proptest::collection::vec(sentence(14), 0..6));
        prop_oneof![
            8 => put.prop_map(|(key, space, title, chunks)| Change::Put { key, space, title, chunks }),
            1 => (0..documents, 0..SPACES).prop_map(|(key, space)| Change::Move { key, space }),
            1 => (0..documents).prop_map(|key| Change::Remove { key }),
        ]
    }

    /// A few documents that change often, or many.
    fn step(documents: u8, changes: std::ops::Range<usize>) -> impl Strategy<Value = Step> {
        let scope = proptest::collection::vec(0..=SPACES, 0..5);
        let question = (sentence(6), scope, prop_oneof![1..12usize, Just(50)]);
        (proptest::collection::vec(change(documents), changes), proptest::collection::vec(question, 1..6))
            .prop_map(|(changes, questions)| Step { changes, questions })
    }

    fn open() -> Connection {
        start_engine();
        let mut conn = Connection::open_in_memory().expect("it opens");
        COMMUNITY.migrate(&mut conn).expect("the schema is created");
        // The last space of the file has the lowest public id.
        for number in (0..SPACES).rev() {
            conn.execute(
                "INSERT INTO spaces (uuid, slug, name, access) VALUES (?1, hex(?1), 'S', 'staff')",
                [space(number).as_bytes()],
            )
            .expect("a space");
        }
        conn
    }

    fn text(words: &[usize]) -> String {
        words.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ")
    }

    /// The documents as the test knows them, and the store that holds them.
    struct World {
        conn: Connection,
        documents: Vec<Option<NewDocument>>,
    }

    impl World {
        fn new() -> Self {
            Self { conn: open(), documents: vec![None; KEYS.into()] }
        }

        fn id(key: u8) -> DocumentId {
            DocumentId::from_bytes([key; 16])
        }

        fn apply(&mut self, change: &Change, number: usize) {
            let (key, new) = match change {
                Change::Put { key, space: to, title, chunks } => {
                    let mut fingerprint = [0; 32];
                    fingerprint[..8].copy_from_slice(&number.to_be_bytes());
                    let chunk = |words: &Vec<usize>| Chunk {
                        heading: text(&words[..words.len().min(2)]),
                        author: None,
                        text: text(words),
                    };
                    let new = NewDocument {
                        space: space(*to),
                        source: "test".to_owned(),
                        source_key: key.to_string(),
                        fingerprint,
                        title: text(title),
                        url: None,
                        author: None,
                        written: None,
                        text: DocumentText { chunks: chunks.iter().map(chunk).collect() },
                        links: Vec::new(),
                    };
                    (key, Some(new))
                }
                Change::Move { key, space: to } => {
                    let moved = self.documents[usize::from(*key)].clone();
                    (key, moved.map(|document| NewDocument { space: space(*to), ..document }))
                }
                Change::Remove { key } => (key, None),
            };
            match &new {
                Some(new) => {
                    put(&self.conn, Self::id(*key), new).expect("it is stored");
                }
                None => {
                    // Whatever id it was stored under first; a document keeps its id.
                    remove(&self.conn, Self::id(*key)).expect("it is removed");
                }
            }
            self.documents[usize::from(*key)] = new;
        }
    }

    fn check(steps: &[Step], bounds: Bounds, budget_bytes: usize) -> Result<(), TestCaseError> {
        let budget = Budget::new(budget_bytes);
        let memory: Arc<Memory> = Memory::new(&budget);
        let mut world = World::new();
        let mut number = 0;
        for step in steps {
            for change in &step.changes {
                number += 1;
                world.apply(change, number);
            }
            for (question, scope, limit) in &step.questions {
                // A space that does not exist may be named, and one twice.
                let scope: Vec<SpaceId> = scope.iter().copied().map(space).collect();
                let terms = terms::of_query(&text(question));
                let expected = chunks(&world.conn, &scope, &terms, *limit, bounds);
                let found = bounded(&world.conn, &memory, &scope, &terms, *limit, bounds).expect("searched");
                let ids: Vec<i64> = found
                    .iter()
                    .map(|passage| {
                        let row: i64 = world
                            .conn
                            .query_row(
                                "SELECT id FROM documents WHERE uuid = ?",
                                [passage.document.as_bytes()],
                                |row| row.get(0),
                            )
                            .expect("its document");
                        row << CHUNK_BITS | i64::try_from(passage.chunk).expect("small")
                    })
                    .collect();
                prop_assert_eq!(&ids, &expected, "{} in {:?}", text(question), scope);
                for passage in &found {
                    let key = usize::from(passage.document.as_bytes()[0]);
                    let document = world.documents[key].as_ref().expect("it was not removed");
                    let chunk = &document.text.chunks[passage.chunk];
                    prop_assert!(scope.contains(&passage.space));
                    prop_assert_eq!(
                        (passage.space, &passage.title, &passage.heading, &passage.text),
                        (document.space, &document.title, &chunk.heading, &chunk.text)
                    );
                }
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_search_finds_what_the_naive_one_finds_whatever_changed_since_the_last(
            steps in proptest::collection::vec(step(30, 0..30), 1..8),
        ) {
            check(&steps, BOUNDS, 1 << 20)?;
        }

        #[test]
        fn the_first_hits_are_the_same_where_there_are_too_many(
            steps in proptest::collection::vec(step(30, 0..30), 1..6),
            hits in 1..40usize,
            work in 1..80usize,
            window in 1..20usize,
        ) {
            check(&steps, Bounds { hits, work, window }, 1 << 20)?;
        }

        #[test]
        fn a_search_finds_the_same_with_next_to_no_memory(
            steps in proptest::collection::vec(step(30, 0..30), 1..6), budget_bytes in 0..4_000usize,
        ) {
            check(&steps, BOUNDS, budget_bytes)?;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn documents_that_are_passed_over_would_not_have_been_found(
            // As many as it takes until the best are cut down to a shortlist, several times.
            first in step(KEYS, 300..500), then in step(KEYS, 0..30),
        ) {
            check(&[first, then], BOUNDS, 1 << 20)?;
        }
    }
}
