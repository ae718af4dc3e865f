//! Where the pages show what somebody wrote or made the model write, in the instance for rehearsals: its model says whatever it
//! is told to say.

use portcullis_check::target::{Display, ID, Identity, MARKER, Method, Route, RouteKind, Spot, Uri, Wording};
use serde_json::{Value, json};

/// Where it is shown, and by whom.
pub(super) struct Cast<'c> {
    pub(super) at: &'c Uri,
    pub(super) model: &'c str,
    /// Somebody who asks the model.
    pub(super) asker: &'c Identity,
    /// Somebody whose risky questions go to a person, and that person.
    pub(super) troubled: &'c Identity,
    pub(super) moderator: &'c Identity,
}

/// Every kind of text that a page shows and a request puts in. Documents come from the command line; the tests of
/// `portcullis-pages` are about them.
pub(super) fn displays(cast: &Cast<'_>) -> Vec<Display> {
    let page = |path: &str| Route::new(Method::GET, path).kind(RouteKind::Page);
    let of = |page: Route| page.param("conversation", ID);
    let talk = || of(page("/chat/{conversation}"));
    // A list cuts what it makes a title of; one that somebody gave it is there to its end.
    let lists = [page("/history"), page("/")];
    let answer = of(page("/chat/{conversation}/last"));
    let title =
        Route::new(Method::PATCH, "/v1/conversations/{conversation}").body(json!({ "title": MARKER }));
    vec![
        Display {
            what: "an answer of the model".to_owned(),
            wording: Wording::Model,
            pages: vec![talk(), answer],
            ..conversation(cast, MARKER)
        },
        Display { what: "a question".to_owned(), pages: vec![talk()], ..conversation(cast, MARKER) },
        Display {
            what: "the title of a conversation".to_owned(),
            change: Some(of(title)),
            pages: std::iter::once(talk()).chain(lists).collect(),
            ..conversation(cast, "What stands in the minutes?")
        },
        Display {
            what: "a memory".to_owned(),
            create: Route::new(Method::POST, "/v1/memories").body(json!({ "text": MARKER })),
            id: Some(Spot::Pointer("/id".to_owned())),
            remove: Some(Route::new(Method::DELETE, "/v1/memories/{memory}").param("memory", ID)),
            pages: vec![page("/memories")],
            ..conversation(cast, "")
        },
        Display {
            what: "a question that was handed to a person".to_owned(),
            writer: cast.troubled.clone(),
            create: ask(cast.model, &format!("I want to kill myself. {MARKER}")),
            id: None,
            remove: None,
            pages: vec![page("/handovers")],
            reader: cast.moderator.clone(),
            ..conversation(cast, "")
        },
    ]
}

/// A conversation that begins with this question, on no page yet.
fn conversation(cast: &Cast<'_>, question: &str) -> Display {
    Display {
        what: String::new(),
        wording: Wording::Member,
        at: Some(cast.at.clone()),
        writer: cast.asker.clone(),
        create: ask(cast.model, question).header("X-Conversation-Id", "new"),
        id: Some(Spot::Header("x-conversation-id".to_owned())),
        change: None,
        remove: Some(
            Route::new(Method::DELETE, "/v1/conversations/{conversation}").param("conversation", ID),
        ),
        pages: Vec::new(),
        reader: cast.asker.clone(),
    }
}

fn ask(model: &str, question: &str) -> Route {
    let messages: Value = json!([{ "role": "user", "content": question }]);
    Route::new(Method::POST, "/v1/chat/completions").body(json!({ "model": model, "messages": messages }))
}
