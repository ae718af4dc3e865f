//! Cases of search: whatever is asked, in whatever world, within the scope and in a sensible order.

use portcullis_core::{DocumentId, SpaceId};

use super::World;
use super::world::document;
use crate::{NewDocument, NewSpace, Query, SpaceAccess};

/// A small generator for random worlds. The seed is in every message, and the same seed gives the same world.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // SplitMix64: public domain, by Sebastiano Vigna.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap_or(0)
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        items.get(self.below(items.len())).expect("there is something to pick")
    }
}

const WORDS: [&str; 12] = [
    "anchor", "basalt", "cinder", "dune", "ember", "fjord", "glade", "harbor", "islet", "jungle", "kelp",
    "lagoon",
];

/// Text written to break out of a query is searched for as words, or finds nothing; it never fails.
pub async fn hostile_questions_are_only_words(world: &World) {
    let side = &world.a;
    let scope = world.scope(side, side.plain).await;
    let long = "lantern \"' OR ) NEAR( ".repeat(5_000);
    let many: String = (0..20_000).map(|number| format!("w{number} ")).collect();
    for text in [
        "lantern",
        "lantern\"",
        "\"lantern",
        "lantern' OR '1'='1",
        "lantern AND NOT moonwick",
        "lantern NEAR/2 midnight",
        "NEAR(lantern, 5)",
        "lantern*",
        "^lantern",
        "title : lantern",
        "{title text} : lantern",
        "- lantern + (",
        "lantern\0moonwick",
        "\0",
        "lantern; DROP TABLE documents; --",
        "%lantern_",
        "lantern \u{1f3ee}\u{200d}\u{1f525}",
        "\u{202e}nretnal lantern",
        "\\\"lantern\\\"",
        "",
        "   \n\t",
        "?!.,;:()[]{}<>|&^*~`'\"",
        "\u{fffd}\u{feff}\u{10ffff}",
        "ﬁ ǅ ß İ ı \u{345} \u{301}\u{301}",
        &long,
        &many,
        &"x".repeat(100_000),
        &"\u{1f980}".repeat(25_000),
    ] {
        let shown: String = text.chars().take(40).collect();
        for passage in world.search(&scope, text).await {
            assert_eq!(passage.space, side.open, "{shown:?}");
        }
    }
    for text in ["lantern\"", "lantern*", "title : lantern", "- lantern + (", &long] {
        assert_eq!(world.found(&scope, text).await.len(), 2, "the word in it is still found");
    }
}

/// However well it fits, one document gives at most two passages.
pub async fn at_most_two_passages_come_of_one_document(world: &World) {
    let side = &world.a;
    let chunks: Vec<String> =
        (0..30).map(|number| format!("zebrawood quagga okapi, part {number}")).collect();
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    let documents = ["one", "two"].map(|key| document(side.open, key, "Zebrawood", &chunks));
    world.stores.content.put(&side.operator(), documents.to_vec()).await.expect("stored");
    for text in ["zebrawood", "zebrawood quagga okapi", "part 7 zebrawood"] {
        let passages = world.search(&side.operator(), text).await;
        for key in ["one", "two"] {
            let id = world.document(side, key).await;
            let of_it: Vec<_> = passages.iter().filter(|passage| passage.document == id).collect();
            assert!((1..=2).contains(&of_it.len()), "{} passages for {text:?}", of_it.len());
            if let [first, second] = *of_it {
                assert_ne!(first.chunk, second.chunk, "the same passage twice for {text:?}");
            }
        }
    }
}

/// No more passages come than were asked for.
pub async fn a_limit_is_kept(world: &World) {
    for limit in [1, 2, 3] {
        let query = Query { text: "lantern".to_owned(), limit };
        let found = world.stores.content.search(&world.a.operator(), &query).await.expect("searched");
        assert_eq!(found.len(), limit);
    }
}

/// A passage says where it is from, and that is what the document says there.
pub async fn a_passage_is_what_its_document_says(world: &World) {
    let side = &world.a;
    let mut new = document(side.open, "note", "A note", &["Nothing here.", "Here is zebrawood."]);
    if let Some(chunk) = new.text.chunks.get_mut(1) {
        chunk.heading = "The second part".to_owned();
        chunk.author = Some("Grace".to_owned());
    }
    world.stores.content.put(&side.operator(), vec![new]).await.expect("stored");
    let found = world.search(&side.operator(), "zebrawood").await;
    assert_eq!(found.len(), 1);
    let passage = found.first().expect("there is one");
    let read = world.stores.content.document(&side.operator(), passage.document).await.expect("there");
    assert_eq!((passage.chunk, passage.space), (1, side.open));
    assert_eq!((&passage.title, &passage.url), (&read.title, &read.url));
    assert_eq!(read.text.chunks.get(1).map(|chunk| &chunk.text), Some(&passage.text));
    assert_eq!((passage.heading.as_str(), passage.author.as_deref()), ("The second part", Some("Grace")));
    let first = world.search(&side.operator(), "nothing here").await;
    assert_eq!(
        first.first().and_then(|passage| passage.author.as_deref()),
        Some("Ada"),
        "else the document's"
    );
}

/// The document a person would expect comes first: by a title, by a rare word, by more of the question in one place.
pub async fn the_best_answer_comes_first(world: &World) {
    let side = &world.a;
    let filler = "The engine has nodes, scenes and components; ask in the forum how to use them.";
    let mut documents: Vec<NewDocument> = (0..20)
        .map(|number| {
            document(side.open, &format!("filler-{number}"), "A question about the engine", &[filler])
        })
        .collect();
    documents.extend([
        document(
            side.open,
            "bounce",
            "Making a rigid body bounce",
            &["Set the restitution of both bodies above zero and they bounce.", "Thanks, it works."],
        ),
        document(
            side.open,
            "scattered",
            "My body of work",
            &["A rigid plan.", "I make games.", "The ball may bounce one day.", "My body hurts."],
        ),
        document(
            side.open,
            "sound",
            "Sound on Android",
            &["No audio until AudioTrack is flushed with vibraphone."],
        ),
    ]);
    world.stores.content.put(&side.operator(), documents).await.expect("stored");
    let scope = world.scope(side, side.plain).await;
    for (question, best) in [
        ("how do I make a rigid body bounce?", "bounce"),
        ("restitution", "bounce"),
        ("Which forum question about the engine mentions the vibraphone?", "sound"),
        ("no sound on android", "sound"),
    ] {
        let expected = world.document(side, best).await;
        assert_eq!(world.found(&scope, question).await.first(), Some(&expected), "{question}");
    }
}

/// Case, accents and the form of a word do not matter, and identifiers are found by the words in them.
pub async fn words_are_found_however_they_are_written(world: &World) {
    let side = &world.a;
    let documents = vec![
        document(side.open, "cafe", "Le Café", &["Les crêpes sont délicieuses."]),
        document(
            side.open,
            "code",
            "Code",
            &["Call RigidBody2D::SetLinearVelocity or set_max_speed(io.FileReader)."],
        ),
        document(side.open, "verbs", "Verbs", &["Bouncing balls were dropped."]),
        document(side.open, "script", "Письмо", &["Добрый вечер, друзья."]),
    ];
    world.stores.content.put(&side.operator(), documents).await.expect("stored");
    for (text, key) in [
        ("CAFE", "cafe"),
        ("café", "cafe"),
        ("cafe\u{301}", "cafe"),
        ("crepes delicieuses", "cafe"),
        ("rigid body", "code"),
        ("RigidBody2D", "code"),
        ("rigidbody2d", "code"),
        ("linear velocity", "code"),
        ("set_max_speed", "code"),
        ("max speed", "code"),
        ("FileReader", "code"),
        ("bounced ball", "verbs"),
        ("ВЕЧЕР", "script"),
    ] {
        let expected = world.document(side, key).await;
        assert_eq!(world.found(&side.operator(), text).await.first(), Some(&expected), "{text}");
    }
}

/// The same search over the same content gives the same list.
pub async fn equal_searches_give_equal_lists(world: &World) {
    let side = &world.a;
    let documents: Vec<NewDocument> = (0..30)
        .map(|number| {
            document(side.open, &format!("twin-{number}"), "Twins", &["zebrawood quagga", "zebrawood"])
        })
        .collect();
    world.stores.content.put(&side.operator(), documents).await.expect("stored");
    let first = world.search(&side.operator(), "zebrawood quagga").await;
    for _ in 0..5 {
        assert_eq!(world.search(&side.operator(), "zebrawood quagga").await, first);
    }
}

/// What a member cannot read does not even move what they can: not up, not down, not out of the list.
pub async fn what_is_hidden_does_not_move_what_is_seen(world: &World) {
    let side = &world.a;
    let mut random = Random(11);
    let documents = |space: SpaceId, prefix: &str, count: usize, random: &mut Random| -> Vec<NewDocument> {
        (0..count)
            .map(|number| {
                let title = format!("{} {}", random.pick(&WORDS), random.pick(&WORDS));
                let chunks: Vec<String> = (0..=random.below(4))
                    .map(|_| (0..8).map(|_| *random.pick(&WORDS)).collect::<Vec<_>>().join(" "))
                    .collect();
                let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
                document(space, &format!("{prefix}-{number}"), &title, &chunks)
            })
            .collect()
    };
    let seen = documents(side.open, "seen", 30, &mut random);
    world.stores.content.put(&side.operator(), seen).await.expect("stored");
    let questions: Vec<String> =
        (0..20).map(|_| (0..3).map(|_| *random.pick(&WORDS)).collect::<Vec<_>>().join(" ")).collect();
    let scope = world.scope(side, side.plain).await;
    let mut before = Vec::new();
    for question in &questions {
        before.push(world.search(&scope, question).await);
    }
    let mut hidden = documents(side.closed, "hidden", 100, &mut random);
    // One word becomes common where it was rare, which changes what it weighs for whoever counts hidden documents.
    hidden.extend(
        (0..100).map(|number| document(side.gold, &format!("more-{number}"), "anchor", &["anchor anchor"])),
    );
    world.stores.content.put(&side.operator(), hidden).await.expect("stored");
    for (question, before) in questions.iter().zip(before) {
        assert_eq!(world.search(&scope, question).await, before, "{question}");
    }
}

/// In random worlds, with random scopes, a search for a word finds exactly the documents that a plain filter over
/// everything finds.
pub async fn random_scopes_get_what_a_plain_filter_gives(world: &World) {
    for seed in 0..3u64 {
        let mut random = Random(seed);
        for side in [&world.a, &world.b] {
            random_scopes_of(world, side, seed, &mut random).await;
        }
    }
}

async fn random_scopes_of(world: &World, side: &super::Side, seed: u64, random: &mut Random) {
    let mut spaces = Vec::new();
    for number in 0..6 {
        let slug = format!("random-{seed}-{number}");
        let new = NewSpace { slug, name: "Random".to_owned(), access: SpaceAccess::Staff };
        spaces.push(world.stores.spaces.create(&side.operator(), new).await.expect("created").id);
    }
    // Words of this seed only, so that nothing else in the world holds them.
    let words: Vec<String> =
        WORDS.iter().map(|word| format!("{word}{}q{seed}", side.community.slug)).collect();
    let mut truth: Vec<(String, SpaceId, Vec<String>)> = Vec::new();
    let mut documents = Vec::new();
    for number in 0..40 {
        let (key, space) = (format!("random-{seed}-{number}"), *random.pick(&spaces));
        let held: Vec<String> = (0..3).map(|_| random.pick(&words).clone()).collect();
        let chunks: Vec<&str> = held.iter().map(String::as_str).collect();
        documents.push(document(space, &key, "Random", &chunks));
        truth.push((key, space, held));
    }
    world.stores.content.put(&side.operator(), documents).await.expect("stored");
    let source = world.stores.content.source(&side.operator(), "fixture").await.expect("listed");
    for round in 0..30 {
        let scope: Vec<SpaceId> = spaces.iter().copied().filter(|_| random.below(2) == 0).collect();
        let word = random.pick(&words);
        let mut expected: Vec<DocumentId> = truth
            .iter()
            .filter(|(_, space, held)| scope.contains(space) && held.contains(word))
            .filter_map(|(key, _, _)| source.get(key).map(|entry| entry.document))
            .collect();
        let reader = side.reader(&scope);
        let mut found = world.found(&reader, word).await;
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "seed {seed}, round {round}, word {word}");
        // Reading is checked for a few of the documents in each round, and so for most of them in all.
        for (key, space, _) in truth.iter().skip(round % 5).step_by(5) {
            let id = source.get(key).expect("it was stored").document;
            let read = world.stores.content.document(&reader, id).await;
            assert_eq!(read.is_ok(), scope.contains(space), "seed {seed}, round {round}, document {key}");
        }
    }
}
