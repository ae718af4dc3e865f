use serde_json::{Value, json};

use super::{Topics, topic_of};
use crate::entry::{Parsed, Reason, Stored};
use crate::walk::Found;
use crate::{Limits, links};

fn post(number: u64, username: &str, cooked: &str, more: Value) -> Value {
    let mut post = json!({
        "id": 1000 + number, "post_number": number, "username": username, "cooked": cooked, "post_type": 1,
        "created_at": "2016-09-09T10:39:38.000Z", "hidden": false, "staff": false,
    });
    if let (Value::Object(post), Value::Object(more)) = (&mut post, more) {
        post.extend(more);
    }
    post
}

fn topic(posts: Vec<Value>, more: Value) -> Value {
    let mut topic = json!({
        "id": 5, "title": "How do I save?", "slug": "how-do-i-save", "category_id": 10, "archetype": "regular",
        "visible": true, "deleted_at": null, "created_at": "2016-09-09T10:39:38.000Z",
        "post_stream": {"posts": posts}, "details": {"can_edit": false},
    });
    if let (Value::Object(topic), Value::Object(more)) = (&mut topic, more) {
        topic.extend(more);
    }
    topic
}

fn read_with(base: Option<&str>, bytes: &[u8], limits: &Limits) -> Result<Parsed, (Reason, Stored)> {
    let topics = Topics { base_url: base.map(str::to_owned), categories: [].into() };
    let found = Found { path: "5.json".into(), full: "5.json".into(), bytes: bytes.len() as u64 };
    topics.parse(&found, bytes.to_vec(), limits)
}

fn read(topic: &Value) -> Result<Parsed, (Reason, Stored)> {
    read_with(None, topic.to_string().as_bytes(), &Limits::default())
}

fn text(parsed: &Parsed) -> String {
    let chunks = parsed.chunks.iter();
    let lines =
        chunks.map(|chunk| format!("[{}] {:?}\n{}", chunk.heading, chunk.author.as_deref(), chunk.text));
    lines.collect::<Vec<_>>().join("\n---\n")
}

#[test]
fn a_thread_keeps_who_said_what_and_which_answer_was_accepted() {
    let parsed = read(&topic(
        vec![
            post(1, "ann", "<p>How do I save?</p>", json!({})),
            post(3, "cy", "<p>Thanks!</p>", json!({"reply_to_post_number": 2})),
            post(
                2,
                "bob",
                "<aside class=\"quote\" data-username=\"ann\" data-post=\"1\" data-topic=\"5\"><div class=\"title\">\
                 <div class=\"quote-controls\"></div><img class=\"avatar\" alt=\"\"> ann:</div>\
                 <blockquote><p>save</p></blockquote></aside><p>Press <kbd>S</kbd>:</p><pre><code class=\"lang-c\">\
                 if (a &lt; b)\n    save();\n</code></pre><p><img class=\"emoji\" alt=\":smile:\"> <img src=\"x\" alt=\"the menu\"></p>",
                json!({"staff": true, "admin": true, "accepted_answer": true}),
            ),
        ],
        json!({"tags": ["menu", {"id": 1, "name": "files"}, 7]}),
    ))
    .unwrap();
    insta::assert_snapshot!(text(&parsed), @r#"
    [About this topic] None
    Tags: menu, files
    ---
    [Post 1 by ann] Some("ann")
    How do I save?
    ---
    [Post 2 by bob (staff, accepted answer)] Some("bob")
    > ann wrote:

    > save

    Press S:

    if (a < b)
        save();

    :smile: [image: the menu]
    ---
    [Post 3 by cy (reply to post 2)] Some("cy")
    Thanks!
    "#);
    assert_eq!((parsed.source_key.as_str(), parsed.space_key.as_str()), ("5", "category-10"));
    assert_eq!(parsed.staff, ["bob"]);
    assert_eq!(parsed.accepted, Some(2));
    assert_eq!(parsed.author.as_deref(), Some("ann"));
    assert_eq!(parsed.written.unwrap().to_string(), "2016-09-09T10:39:38Z");
}

#[test]
fn the_topics_own_mark_of_the_accepted_answer_counts_too() {
    let parsed = read(&topic(
        vec![post(1, "ann", "<p>q</p>", json!({})), post(2, "bob", "<p>a</p>", json!({}))],
        json!({"accepted_answer": {"post_number": 2, "username": "bob", "excerpt": "a"}}),
    ))
    .unwrap();
    assert_eq!(parsed.chunks[1].heading, "Post 2 by bob (accepted answer)");
    assert_eq!(parsed.accepted, Some(1));
}

#[test]
fn what_not_every_reader_may_see_is_left_out() {
    let parsed = read(&topic(
        vec![
            post(1, "ann", "<p>open</p>", json!({})),
            post(2, "bob", "<p>SECRET</p>", json!({"hidden": true})),
            post(3, "bob", "<p>SECRET</p>", json!({"cooked_hidden": true})),
            post(4, "bob", "<p>SECRET</p>", json!({"deleted_at": "2020-01-01"})),
            post(5, "bob", "<p>SECRET</p>", json!({"user_deleted": true})),
            post(6, "staff", "<p>SECRET</p>", json!({"post_type": 4})),
            post(7, "staff", "<p>SECRET</p>", json!({"post_type": 9})),
            post(8, "staff", "SECRET", json!({"post_type": 3, "action_code": "closed.enabled"})),
            post(
                9,
                "bob",
                "<p>shown<span style='display:none'>SECRET</span><!-- SECRET --><script>SECRET</script></p>",
                json!({}),
            ),
        ],
        json!({}),
    ))
    .unwrap();
    insta::assert_snapshot!(text(&parsed), @r#"
    [Post 1 by ann] Some("ann")
    open
    ---
    [Post 9 by bob] Some("bob")
    shown
    "#);
    assert_eq!(parsed.notes, ["6 posts that not every reader may see are left out"]);
    for (more, what) in [
        (json!({"archetype": "private_message"}), "a private message"),
        (json!({"visible": false}), "an unlisted topic"),
        (json!({"deleted_at": "2020-01-01"}), "a deleted topic"),
    ] {
        let refused = read(&topic(vec![post(1, "ann", "<p>SECRET</p>", json!({}))], more));
        assert_eq!(refused, Err((Reason::Withheld { what }, Stored::Gone)));
    }
    let none = read(&topic(vec![post(1, "ann", "<p>SECRET</p>", json!({"hidden": true}))], json!({})));
    assert_eq!(none, Err((Reason::Empty, Stored::Gone)));
}

#[test]
fn links_to_topics_are_source_keys_and_the_rest_are_web_addresses() {
    let cooked = "<a href='/t/other/7/2'>r</a> <a href='https://forum.example.org/t/8'>a</a> \
        <a href='http://old.example.org/t/some-words/9?u=x'>o</a> <a href='/t/how-do-i-save/5'>self</a> \
        <a class=mention href='/u/ann'>@ann</a> <a href='https://elsewhere.org/t/words/11'>e</a> \
        <a href='javascript:alert(1)'>j</a> <a href='https://elsewhere.org/t/words/11#x'>again</a>";
    let counts = json!({"link_counts": [
        {"url": "http://old.example.org/t/x/1", "internal": true, "reflection": true},
        {"url": "https://elsewhere.org/", "internal": false},
    ]});
    let topic = topic(vec![post(1, "ann", cooked, counts)], json!({}));
    let parsed =
        read_with(Some("https://forum.example.org"), topic.to_string().as_bytes(), &Limits::default())
            .unwrap();
    assert_eq!(parsed.links, ["7", "8", "9", "https://elsewhere.org/t/words/11"]);
    assert_eq!(parsed.url.as_deref(), Some("https://forum.example.org/t/how-do-i-save/5"));
}

#[test]
fn a_slug_cannot_lead_an_address_astray() {
    let topic = topic(vec![post(1, "ann", "x", json!({}))], json!({"slug": "../../evil?x=#y"}));
    let parsed =
        read_with(Some("https://f.org/forum"), topic.to_string().as_bytes(), &Limits::default()).unwrap();
    assert_eq!(parsed.url.as_deref(), Some("https://f.org/forum/t/-/5"));
    assert!(links::web(parsed.url.as_deref().unwrap()).is_some());
}

#[test]
fn the_id_is_found_in_every_form_of_a_topics_path() {
    for (path, id) in [
        ("/t/5", Some(5)),
        ("/t/words/5", Some(5)),
        ("/t/words/5/17", Some(5)),
        ("/t/5/17", Some(5)),
        ("/t/words/5?u=a", Some(5)),
        ("/t/", None),
        ("/t/words", None),
        ("/u/5", None),
        ("/t/99999999999999999999999", None),
    ] {
        assert_eq!(topic_of(path), id, "{path}");
    }
}

#[test]
fn broken_files_say_what_is_wrong_and_what_may_be_stored_of_them_stays() {
    let whole = topic(vec![post(1, "ann", "<p>x</p>", json!({}))], json!({})).to_string();
    let kept = Stored::Key("5".into());
    let limits = Limits { json_depth: 8, ..Limits::default() };
    let read = |bytes: &[u8]| read_with(None, bytes, &limits).unwrap_err();
    assert!(matches!(
        read(&whole.as_bytes()[..whole.len() / 2]),
        (Reason::Json { what: "its JSON ends early", .. }, _)
    ));
    assert!(matches!(read(b"<html>login</html>"), (Reason::Json { what: "it is not JSON", line: 1, .. }, _)));
    assert_eq!(read(b"{\"post_stream\": {\"posts\": 3}}"), (Reason::NotATopic, kept.clone()));
    assert_eq!(read(b"{\"latest\": []}"), (Reason::NotATopic, kept.clone()));
    assert_eq!(read("[".repeat(100_000).as_bytes()), (Reason::Nested { limit: 8 }, kept.clone()));
    assert_eq!(read(b"\x7fELF\0\0"), (Reason::Binary, kept));
    assert_eq!(
        read(b""),
        (Reason::Json { what: "its JSON ends early", line: 1, column: 0 }, Stored::Key("5".into()))
    );
}

#[test]
fn an_error_never_repeats_what_a_file_holds() {
    let why =
        read_with(None, br#"{"id": "PRIVATE-CANARY", "title": 4, "post_stream": 1}"#, &Limits::default());
    assert!(!format!("{why:?} {}", why.clone().unwrap_err().0).contains("CANARY"));
}

#[test]
fn the_limits_of_posts_and_chunks_hold_and_are_told() {
    let posts: Vec<Value> = (1..=9).map(|number| post(number, "ann", "<p>x</p>", json!({}))).collect();
    let mut topic = topic(posts, json!({}));
    topic["post_stream"]["stream"] = json!((1..=30).collect::<Vec<_>>());
    let limits = Limits { posts: 4, chunks: 3, ..Limits::default() };
    let parsed = read_with(None, topic.to_string().as_bytes(), &limits).unwrap();
    assert_eq!(parsed.chunks.len(), 3);
    assert_eq!(
        parsed.notes,
        [
            "the file holds 9 of the topic's 30 posts",
            "only its first 4 of 9 posts are kept",
            "only its first 3 chunks are kept"
        ]
    );
}

#[test]
fn a_wrong_date_is_noted_and_passed_over() {
    let topic = topic(vec![post(1, "ann", "<p>x</p>", json!({}))], json!({"created_at": "yesterday"}));
    let parsed = read(&topic).unwrap();
    assert_eq!((parsed.written, parsed.notes.len()), (None, 1));
}

#[test]
fn null_and_missing_fields_are_no_reason_to_refuse() {
    let bare = json!({"id": 7, "title": null, "post_stream": {"posts": [{"cooked": "<p>x</p>", "username": null, "link_counts": null}]}});
    let parsed = read(&bare).unwrap();
    assert_eq!((parsed.title.as_str(), parsed.space_key.as_str()), ("Topic 7", "uncategorized"));
    assert_eq!(parsed.chunks[0].heading, "Post 0");
}
