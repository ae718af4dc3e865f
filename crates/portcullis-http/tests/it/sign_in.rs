//! Signing in by mail, as a browser does it and as those who should not get in try it.

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::ToSpan as _;
use portcullis_audit::{Entry, Event};
use portcullis_core::{Role, SessionId, Token, TokenKind};
use portcullis_store::{Entitlement, NewInvitation, NewMember, Status};
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp, World};

/// A browser: it keeps cookies and says where a form came from.
struct Browser<'a> {
    app: &'a TestApp,
    cookies: Vec<(String, String)>,
    site: &'static str,
}

impl<'a> Browser<'a> {
    fn new(app: &'a TestApp) -> Self {
        Self { app, cookies: Vec::new(), site: "same-origin" }
    }

    async fn send(&mut self, method: Method, path: &str, form: &[(&str, &str)]) -> Answer {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.app.request(method.clone(), path, None).header("sec-fetch-site", self.site);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        if method == Method::POST {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let answer = self.app.send(request.body(Bytes::from(body)).expect("a request")).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let text = cookie.to_str().expect("text");
            assert!(text.contains("; HttpOnly; SameSite=Lax") && text.contains("; Path=/;"), "{text}");
            let (pair, rest) = text.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            self.cookies.retain(|(kept, _)| kept != name);
            if !rest.contains("Max-Age=0;") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    async fn ask(&mut self, slug: &str, email: &str) -> Answer {
        self.send(Method::POST, &format!("/c/{slug}/login"), &[("email", email)]).await
    }

    async fn press(&mut self, token: &str) -> Answer {
        self.send(Method::POST, "/login/link", &[("token", token)]).await
    }

    fn session(&self) -> Option<&str> {
        self.cookies.iter().find(|(name, _)| name == "portcullis-session").map(|(_, value)| value.as_str())
    }
}

/// The token of the one link that was mailed.
fn mailed(app: &TestApp, to: &str) -> String {
    let sent = app.mailbox.take();
    assert_eq!(sent.len(), 1, "one mail was wanted");
    assert_eq!(sent[0].to, to);
    let (_, rest) = sent[0].text.split_once("/login/link?token=").expect("a link");
    rest.split_whitespace().next().expect("a token").to_owned()
}

fn opened(entry: &Entry) -> Option<(String, SessionId)> {
    let Some(Event::SignedIn { session }) = entry.event else { return None };
    Some((entry.actor.to_string(), session))
}

fn closed(entry: &Entry) -> Option<(String, SessionId)> {
    let Some(Event::SignedOut { session }) = entry.event else { return None };
    Some((entry.actor.to_string(), session))
}

async fn world_with(app: &TestApp, slug: &str, email: &str) -> World {
    let world = app.world(slug).await;
    app.member_at(&world, "Ada", email).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_asks_opens_the_link_presses_the_button_and_is_in() {
    let app = TestApp::start(Setup::default()).await;
    world_with(&app, "one", "ada@example.org").await;
    world_with(&app, "two", "ada@example.org").await;
    let mut browser = Browser::new(&app);
    let closed = browser.get("/").await;
    assert_eq!(closed.status, StatusCode::UNAUTHORIZED);
    let page = browser.get("/c/one/login").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("action=\"/c/one/login\""), "{}", page.text());
    assert!(page.headers["content-security-policy"].to_str().expect("text").contains("script-src 'self'"));

    let sent = browser.ask("one", "Ada@Example.org").await;
    assert_eq!(sent.status, StatusCode::OK);
    assert!(!sent.text().to_lowercase().contains("ada@example.org"), "the address is not repeated");
    let token = mailed(&app, "ada@example.org");
    // A mail scanner opens the link, as often as it likes, and uses nothing up.
    let mut scanner = Browser { site: "none", ..Browser::new(&app) };
    for _ in 0..3 {
        assert_eq!(scanner.get(&format!("/login/link?token={token}")).await.status, StatusCode::FORBIDDEN);
    }
    browser.site = "cross-site";
    let confirm = browser.get(&format!("/login/link?token={token}")).await;
    assert_eq!(confirm.status, StatusCode::OK, "a link in a mail comes from another site");
    assert!(confirm.text().contains("action=\"/login/link\""));
    browser.site = "same-origin";
    let inside = browser.press(&token).await;
    assert_eq!(inside.status, StatusCode::SEE_OTHER, "{}", inside.text());
    assert_eq!(inside.headers["location"], "/");
    assert!(browser.cookies.iter().all(|(name, _)| name != "portcullis-browser"));
    for page in ["/", "/history", "/memories", "/account"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}: {}", answer.text());
        assert!(answer.text().contains("one"), "{page} names its community");
        let door = "data-base=\"\" data-login=\"/c/one/login\"";
        assert!(answer.text().contains(door), "signing out of {page} leads to this community's sign-in page");
    }
    let me: Value = serde_json::from_slice(&browser.get("/v1/me").await.body).expect("JSON");
    assert_eq!((me["community"]["slug"].as_str(), me["role"].as_str()), (Some("one"), Some("member")));
    app.recorded(|entry| entry.event.as_ref().is_some_and(|event| event.kind() == "session.opened")).await;

    // Once used it is used, in this browser too.
    assert_eq!(browser.press(&token).await.status, StatusCode::FORBIDDEN);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_does_not_tell_who_is_a_member() {
    let app = TestApp::start(Setup::default()).await;
    let world = world_with(&app, "one", "ada@example.org").await;
    let suspended = app.member_at(&world, "Cy", "cy@example.org").await;
    let members = &app.stores.members;
    members.set_status(&world.operator, suspended, Status::Suspended).await.expect("suspended");
    app.world("two").await;
    let mut answers = std::collections::BTreeSet::new();
    for (email, mails) in [("ada@example.org", 1), ("nobody@example.org", 0), ("cy@example.org", 0)] {
        let answer = Browser::new(&app).ask("one", email).await;
        let cookie = answer.headers["set-cookie"].to_str().expect("text");
        let shape: String = cookie.split(';').skip(1).collect();
        let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        answers.insert((answer.status.as_u16(), shape, names, answer.text()));
        assert_eq!(app.mailbox.take().len(), mails, "{email}");
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_works_only_in_the_browser_that_asked_and_a_thief_does_not_use_it_up() {
    let app = TestApp::start(Setup::default()).await;
    world_with(&app, "one", "ada@example.org").await;
    world_with(&app, "two", "eve@example.org").await;
    let mut browser = Browser::new(&app);
    browser.ask("one", "ada@example.org").await;
    let token = mailed(&app, "ada@example.org");

    let mut thief = Browser::new(&app);
    assert_eq!(thief.press(&token).await.status, StatusCode::FORBIDDEN, "without a browser's mark");
    thief.ask("one", "eve@example.org").await;
    assert_eq!(thief.press(&token).await.status, StatusCode::FORBIDDEN, "with the mark of another browser");
    thief.ask("two", "eve@example.org").await;
    let own = mailed(&app, "eve@example.org");
    assert_eq!(thief.press(&token).await.status, StatusCode::FORBIDDEN, "with another community's mark");
    let mixed =
        own.replacen(own.split('_').nth(1).expect("a locator"), token.split('_').nth(1).expect("one"), 1);
    assert_eq!(thief.press(&mixed).await.status, StatusCode::FORBIDDEN, "another community's link");
    assert!(thief.session().is_none());

    let mark = browser.cookies[0].1.clone();
    for wrong in ["", "x", "pcm_", &mark, &format!("{token}0")] {
        assert_eq!(browser.press(wrong).await.status, StatusCode::FORBIDDEN, "{wrong}");
    }
    assert!(browser.session().is_none());
    assert_eq!(browser.press(&token).await.status, StatusCode::SEE_OTHER, "and then the right one works");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_can_neither_ask_nor_sign_in() {
    let app = TestApp::start(Setup::default()).await;
    world_with(&app, "one", "ada@example.org").await;
    app.world("two").await;
    let mut browser = Browser::new(&app);
    browser.ask("one", "ada@example.org").await;
    let token = mailed(&app, "ada@example.org");
    for site in ["cross-site", "same-site", "none"] {
        browser.site = site;
        assert_eq!(browser.press(&token).await.status, StatusCode::FORBIDDEN, "{site}");
        assert_eq!(browser.ask("one", "ada@example.org").await.status, StatusCode::FORBIDDEN, "{site}");
    }
    assert!(browser.session().is_none());
    assert!(app.mailbox.take().is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_join_where_that_is_open_and_with_the_least_role() {
    let app = TestApp::start(Setup::default()).await;
    app.world("one").await;
    app.world("two").await;
    let mut browser = Browser::new(&app);
    browser.ask("one", "new@example.org").await;
    assert!(app.mailbox.take().is_empty(), "`one` is closed to strangers");
    browser.ask("two", "new@example.org").await;
    let token = mailed(&app, "new@example.org");
    assert_eq!(browser.press(&token).await.status, StatusCode::SEE_OTHER);
    let me: Value = serde_json::from_slice(&browser.get("/v1/me").await.body).expect("JSON");
    assert_eq!((me["community"]["slug"].as_str(), me["role"].as_str()), (Some("two"), Some("member")));
    assert_eq!(browser.get("/admin/members").await.status, StatusCode::FORBIDDEN);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_lets_in_with_its_role_and_plans_and_into_no_other_community() {
    let app = TestApp::start(Setup::default()).await;
    let one = app.world("one").await;
    app.world("three").await;
    let (text, token) = Token::issue(TokenKind::Invitation, &one.community.locator);
    let invitation = NewInvitation {
        token: token.hash(),
        email: None,
        role: Role::Moderator,
        entitlements: vec![Entitlement { plan: "plus".to_owned(), until: None }],
        uses: 1,
        expires: app.clock.now() + 1.hour(),
    };
    app.stores.sessions.invite(&one.operator, invitation).await.expect("an invitation");
    let text = text.expose().as_str();
    let mut browser = Browser::new(&app);
    let page = browser.get(&format!("/join?token={text}")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("/c/one/login"), "{}", page.text());
    let form = [("email", "guest@example.org"), ("invitation", text)];
    browser.send(Method::POST, "/c/three/login", &form).await;
    assert!(app.mailbox.take().is_empty(), "it opens its own community only");
    browser.send(Method::POST, "/c/one/login", &form).await;
    let link = mailed(&app, "guest@example.org");
    assert_eq!(browser.press(&link).await.status, StatusCode::SEE_OTHER);
    let me: Value = serde_json::from_slice(&browser.get("/v1/me").await.body).expect("JSON");
    assert_eq!(me["role"], "moderator");
    // It was for one.
    let form = [("email", "second@example.org"), ("invitation", text)];
    Browser::new(&app).send(Method::POST, "/c/one/login", &form).await;
    assert!(app.mailbox.take().is_empty());
    for bad in ["", "pci_x", "pcl_0123456789ab_x"] {
        let answer = browser.get(&format!("/join?token={bad}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{bad}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_is_limited_for_known_and_unknown_addresses_alike() {
    let app = TestApp::start(Setup { links: 3, ..Setup::default() }).await;
    world_with(&app, "one", "ada@example.org").await;
    app.world("two").await;
    for email in ["ada@example.org", "nobody@example.org"] {
        let app = TestApp::start(Setup { links: 3, ..Setup::default() }).await;
        world_with(&app, "one", "ada@example.org").await;
        app.world("two").await;
        let mut statuses = Vec::new();
        for _ in 0..5 {
            statuses.push(Browser::new(&app).ask("one", email).await.status.as_u16());
        }
        assert_eq!(statuses, [200, 200, 200, 429, 429], "{email}");
        let refused = Browser::new(&app).ask("one", email).await;
        assert!(refused.headers.contains_key("retry-after"));
        app.stop().await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_who_ask_at_once_get_as_many_links_as_are_allowed() {
    let app = TestApp::start(Setup { links: 10, ..Setup::default() }).await;
    world_with(&app, "one", "ada@example.org").await;
    let ask = async |from: String, email: &str| {
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("email", email).finish();
        let request = app
            .request(Method::POST, "/c/one/login", None)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        app.send_from(&from, request.body(Bytes::from(form)).expect("a request")).await.status.as_u16()
    };
    // One client for one address, one client for many, and many clients for one address.
    let one = (0..64).map(|_| ask("127.0.5.1".to_owned(), "ada@example.org"));
    let sent = futures_util::future::join_all(one).await;
    assert_eq!(sent.iter().filter(|status| **status == 200).count(), 10, "{sent:?}");
    let emails: Vec<String> = (0..64).map(|number| format!("somebody-{number}@example.org")).collect();
    let sent =
        futures_util::future::join_all(emails.iter().map(|email| ask("127.0.5.2".to_owned(), email))).await;
    assert_eq!(sent.iter().filter(|status| **status == 200).count(), 10, "{sent:?}");
    let many = (0..64).map(|number| ask(format!("127.0.5.{}", 100 + number), "bo@example.org"));
    let sent = futures_util::future::join_all(many).await;
    assert_eq!(sent.iter().filter(|status| **status == 200).count(), 40, "{sent:?}");
    assert!(sent.iter().all(|status| matches!(status, 200 | 429)), "{sent:?}");
    let to_ada = app.mailbox.take().iter().filter(|mail| mail.to == "ada@example.org").count();
    assert!(to_ada <= 10, "{to_ada} mails");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_would_become_a_header_is_refused() {
    let app = TestApp::start(Setup::default()).await;
    world_with(&app, "one", "ada@example.org").await;
    app.world("two").await;
    let long = format!("{}@example.org", "a".repeat(400));
    for email in ["", "ada", "@", "ada@example.org\r\nBcc: eve@example.org", "ada@exa mple.org", &long] {
        let answer = Browser::new(&app).ask("one", email).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{email:?}");
        assert!(!answer.text().contains("eve@"), "{email:?}");
    }
    let twice = [("email", "ada@example.org"), ("email", "eve@example.org")];
    let answer = Browser::new(&app).send(Method::POST, "/c/one/login", &twice).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(app.mailbox.take().is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_again_ends_the_session_before_and_signing_out_ends_it_for_good() {
    let app = TestApp::start(Setup::default()).await;
    world_with(&app, "one", "ada@example.org").await;
    app.world("two").await;
    let mut browser = Browser::new(&app);
    browser.ask("one", "ada@example.org").await;
    let token = mailed(&app, "ada@example.org");
    browser.press(&token).await;
    let first = browser.session().expect("a session").to_owned();
    browser.ask("one", "ada@example.org").await;
    let token = mailed(&app, "ada@example.org");
    browser.press(&token).await;
    let second = browser.session().expect("a session").to_owned();
    assert_ne!(first, second);
    let status = async |session: &str| {
        let request = app.request(Method::GET, "/v1/me", None);
        let request = request.header("cookie", format!("portcullis-session={session}"));
        app.send(request.body(Bytes::new()).expect("a request")).await.status
    };
    assert_eq!(status(&first).await, StatusCode::UNAUTHORIZED, "what was left behind is worth nothing");
    assert_eq!(status(&second).await, StatusCode::OK);
    let ended: Vec<_> = app.records().into_iter().filter_map(|entry| closed(&entry)).collect();
    let opened: Vec<_> = app.records().into_iter().filter_map(|entry| opened(&entry)).collect();
    assert_eq!(ended, opened[..1], "and that it ended is recorded, once and by whom");

    let session: Value = serde_json::from_slice(&browser.get("/v1/session").await.body).expect("JSON");
    let csrf = session["csrf_token"].as_str().expect("a token").to_owned();
    let request = app
        .request(Method::DELETE, "/v1/session", None)
        .header("cookie", format!("portcullis-session={second}"))
        .header("x-csrf-token", csrf);
    let out = app.send(request.body(Bytes::new()).expect("a request")).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(out.headers["set-cookie"].to_str().expect("text").contains("Max-Age=0"));
    assert_eq!(status(&second).await, StatusCode::UNAUTHORIZED);
    app.recorded(|entry| entry.event.as_ref().is_some_and(|event| event.kind() == "session.closed")).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_community_of_a_page_comes_from_its_path_or_host_and_a_shared_host_lists_none() {
    let app = TestApp::start(Setup::default()).await;
    app.world("one").await;
    app.world("two").await;
    let mut browser = Browser::new(&app);
    let shared = browser.get("/login").await;
    assert_eq!(shared.status, StatusCode::OK);
    assert!(!shared.text().contains("two") && shared.text().contains("action=\"/c\""), "{}", shared.text());
    assert_eq!(browser.get("/c/nowhere/login").await.status, StatusCode::NOT_FOUND);
    let there = browser.get("/c?community=Nowhere").await;
    assert_eq!(
        (there.status, &there.headers["location"]),
        (StatusCode::SEE_OTHER, &"/c/nowhere/login".parse().expect("text"))
    );
    for bad in ["//evil.example", "..%2f..", "a", "https:", "%0d%0aset-cookie:x"] {
        let answer = browser.get(&format!("/c?community={bad}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_what_the_member_may_see_and_escape_what_others_wrote() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>";
    let new = NewMember { name: hostile.to_owned(), email: Some("eve@example.org".to_owned()), role: None };
    let member = app.stores.members.add(&world.operator, new).await.expect("a member").id;
    let person = app.sign_in(&world, member, "eve@example.org").await;
    let (key, _) = app.key_of(&world, member).await;
    app.post("/v1/memories", &key, &json!({ "text": hostile })).await;
    let document = app.document(&world.operator, world.open, hostile).await;
    let conversation = app.conversation(&key).await;
    let get = async |path: &str| {
        let mut request = app.request(Method::GET, path, None);
        for (name, value) in person.headers() {
            request = request.header(name, value);
        }
        app.send(request.body(Bytes::new()).expect("a request")).await
    };
    for path in [
        "/".to_owned(),
        format!("/chat/{conversation}"),
        format!("/chat/{conversation}/last"),
        "/history".to_owned(),
        "/memories".to_owned(),
        "/account".to_owned(),
        format!("/documents/{document}"),
    ] {
        let answer = get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        assert!(!answer.text().contains("<script>") && !answer.text().contains("<img src=x"), "{path}");
    }
    assert_eq!(get(&format!("/documents/{}", world.paid_document)).await.status, StatusCode::NOT_FOUND);
    assert!(get("/memories").await.text().contains("&lt;script"), "it is shown as text");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_goes_to_the_address_that_is_kept_and_to_no_other() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    app.world("two").await;
    for (name, email) in
        [("Kim", "kim@kilo.example"), ("Zo\u{eb}", "zo\u{eb}@example.org"), ("Ida", "\u{130}da@example.org")]
    {
        app.member_at(&world, name, email).await;
    }
    // Each is the member's address to who folds more than ASCII, and another mailbox to mail servers.
    for (lookalike, status) in [
        ("\u{212a}im@kilo.example", StatusCode::OK),
        ("kim@\u{212a}ilo.example", StatusCode::OK),
        ("ZO\u{cb}@example.org", StatusCode::OK),
        // A mark that stands alone is in no address that mail is sent to.
        ("i\u{307}da@example.org", StatusCode::BAD_REQUEST),
    ] {
        let answer = Browser::new(&app).ask("one", lookalike).await;
        assert_eq!(answer.status, status, "and nobody is told so");
        assert_eq!(app.mailbox.take().len(), 0, "{lookalike:?}");
    }
    for (typed, kept) in [
        ("KIM@Kilo.Example", "kim@kilo.example"),
        (" kim@kilo.example ", "kim@kilo.example"),
        ("Zo\u{eb}@EXAMPLE.org", "zo\u{eb}@example.org"),
    ] {
        let mut browser = Browser::new(&app);
        browser.ask("one", typed).await;
        let token = mailed(&app, kept);
        assert_eq!(browser.press(&token).await.status, StatusCode::SEE_OTHER, "{typed:?}");
    }
    // An invitation for one address is for it alone.
    let (text, token) = Token::issue(TokenKind::Invitation, &world.community.locator);
    let invitation = NewInvitation {
        token: token.hash(),
        email: Some("kate@example.org".to_owned()),
        role: Role::Admin,
        entitlements: Vec::new(),
        uses: 1,
        expires: app.clock.now() + 1.hour(),
    };
    app.stores.sessions.invite(&world.operator, invitation).await.expect("an invitation");
    let form = [("email", "\u{212a}ate@example.org"), ("invitation", text.expose().as_str())];
    Browser::new(&app).send(Method::POST, "/c/one/login", &form).await;
    assert_eq!(app.mailbox.take().len(), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_does_not_outlive_a_suspension() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    app.world("two").await;
    let ada = app.member_at(&world, "Ada", "ada@example.org").await;
    app.member_at(&world, "Bo", "bo@example.org").await;
    let mut browsers = Vec::new();
    for email in ["ada@example.org", "ada@example.org", "bo@example.org"] {
        let mut browser = Browser::new(&app);
        browser.ask("one", email).await;
        let token = mailed(&app, email);
        browsers.push((browser, token));
    }
    let set =
        async |status| app.stores.members.set_status(&world.operator, ada, status).await.expect("changed");
    set(Status::Suspended).await;
    let (first, second) = (browsers.remove(0), browsers.remove(0));
    let (mut browser, token) = first;
    assert_eq!(browser.press(&token).await.status, StatusCode::FORBIDDEN);
    set(Status::Active).await;
    for (mut browser, token) in [(browser, token), second] {
        assert_eq!(browser.press(&token).await.status, StatusCode::FORBIDDEN, "it was asked for before");
        assert!(browser.session().is_none());
        browser.ask("one", "ada@example.org").await;
        let token = mailed(&app, "ada@example.org");
        assert_eq!(browser.press(&token).await.status, StatusCode::SEE_OTHER, "a new one works");
    }
    let (mut other, token) = browsers.remove(0);
    assert_eq!(other.press(&token).await.status, StatusCode::SEE_OTHER, "nobody else's link is touched");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ipv6_customer_keeps_a_member_from_signing_in_however_large_their_network() {
    let setup = Setup { links: 3, proxies: vec!["127.0.0.0/8"], ..Setup::default() };
    let app = TestApp::start(setup).await;
    world_with(&app, "one", "ada@example.org").await;
    let ask = async |from: &str, email: &str| {
        let request = app
            .request(Method::POST, "/c/one/login", None)
            .header("x-forwarded-for", from)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("email", email).finish();
        app.send(request.body(Bytes::from(form)).expect("a request")).await.status.as_u16()
    };
    // Whoever wants a /48 has one: all of it together may ask twice as often as one client.
    let mut sent = 0;
    for number in 0..40 {
        let from = format!("2001:db8:1:{:x}::{number:x}", number << 8);
        sent += usize::from(ask(&from, "ada@example.org").await == 200);
    }
    assert_eq!(sent, 6);
    assert_eq!(ask("192.0.2.7", "ada@example.org").await, 200, "the member herself");
    // And one client in it keeps no neighbour out.
    let mut sent = 0;
    for number in 0..10 {
        let from = format!("2001:db8:3:7{number:02x}::1");
        sent += usize::from(ask(&from, "bo@example.org").await == 200);
    }
    assert_eq!(sent, 3);
    assert_eq!(ask("2001:db8:3:800::1", "bo@example.org").await, 200, "a member in the same /48");
    // For all mailboxes together all of a /56 is one, as most providers give it to one customer.
    let mut sent = Vec::new();
    for number in 0..10 {
        let from = format!("2001:db8:2:7{number:02x}::1");
        sent.push(ask(&from, &format!("somebody-{number}@example.org")).await);
    }
    assert_eq!(sent, [200, 200, 200, 429, 429, 429, 429, 429, 429, 429]);
    assert_eq!(ask("2001:db8:2:800::1", "somebody-else@example.org").await, 200, "a neighbour");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_community_is_called_its_links_can_be_mailed() {
    let app = TestApp::start(Setup::default()).await;
    for (slug, name, subject) in [
        ("long", "\u{5c71}".repeat(64), format!("Sign in to {}\u{2026}", "\u{5c71}".repeat(62))),
        ("broken", "Lamp\u{2028}House".to_owned(), "Sign in to Lamp House".to_owned()),
        ("turned", "Lamp\u{202e}House".to_owned(), "Sign in to Lamp House".to_owned()),
        ("plain", "B\u{e4}cker & Co".to_owned(), "Sign in to B\u{e4}cker & Co".to_owned()),
    ] {
        let world = app.world_at(slug, &name, None).await;
        app.member_at(&world, "Ada", "ada@example.org").await;
        Browser::new(&app).ask(slug, "ada@example.org").await;
        let sent = app.mailbox.take();
        assert_eq!(sent.iter().map(|mail| mail.subject.as_str()).collect::<Vec<_>>(), [subject.as_str()]);
        assert!(subject.len() <= 200, "{subject}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_no_mail_reaches_is_told_to_whoever_gives_it() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("two").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    for email in ["a..b@docomo.example", ".a@example.org", "a@example", "a@-x.example", "\"a b\"@example.org"]
    {
        let fine = email == "a@example";
        let asked = Browser::new(&app).ask("two", email).await;
        assert_eq!(asked.status == StatusCode::OK, fine, "{email}");
        for (path, body) in [
            ("/admin/members", json!({ "name": "Mia", "email": email })),
            ("/admin/invitations", json!({ "email": email })),
        ] {
            let mut request = app.request(Method::POST, path, None);
            for (name, value) in owner.headers() {
                request = request.header(name, value);
            }
            let answer = app.send(request.body(Bytes::from(body.to_string())).expect("a request")).await;
            assert_eq!(answer.status == StatusCode::CREATED, fine, "{path} {email}: {}", answer.text());
            let text = answer.text();
            assert!(fine || text.contains("`email` must be") && !text.contains(email), "{text}");
        }
    }
    assert_eq!(app.mailbox.take().len(), 1);
    // Whoever may not make staff is told that, and nothing of what they sent.
    let admin = app.person(&world, "admin", Role::Admin).await;
    for path in ["/admin/members", "/admin/invitations"] {
        let mut request = app.request(Method::POST, path, None);
        for (name, value) in admin.headers() {
            request = request.header(name, value);
        }
        let body = if path == "/admin/members" {
            json!({ "name": "Mia", "role": "moderator", "email": "no address" })
        } else {
            json!({ "role": "moderator", "email": "no address" })
        };
        let answer = app.send(request.body(Bytes::from(body.to_string())).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text());
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_community_with_a_host_of_its_own_is_signed_in_to_there() {
    let app =
        TestApp::start(Setup { origin: "http://chat.example:8080".to_owned(), ..Setup::default() }).await;
    let world = app.world_at("one", "one", Some("one.example")).await;
    app.member_at(&world, "Ada", "ada@example.org").await;
    let router = portcullis_http::router(&app.served);
    let asked = async |method: Method, host: &str, path: &str, form: &'static str| {
        let request = http::Request::builder().method(method).uri(path).header("host", host);
        app.answer(&router, request.body(Bytes::from(form)).expect("a request")).await
    };
    let own = "http://one.example:8080";
    let leads = |answer: &Answer, to: &str| {
        let location = answer.headers.get("location").and_then(|location| location.to_str().ok());
        assert_eq!((answer.status, location), (StatusCode::SEE_OTHER, Some(to)), "{}", answer.text());
    };
    // A browser follows a form to no other host: where one may have led here, a page leads on.
    let leads_on = |answer: &Answer, to: &str| {
        let refresh = answer.headers.get("refresh").and_then(|refresh| refresh.to_str().ok());
        let wanted = format!("0; url={to}");
        assert_eq!((answer.status, refresh), (StatusCode::OK, Some(wanted.as_str())), "{}", answer.text());
        assert!(answer.text().contains(&format!("href=\"{to}\"")), "{}", answer.text());
        assert!(!answer.text().contains("<form"), "{}", answer.text());
    };
    // The only one that there is.
    leads(&asked(Method::GET, "chat.example:8080", "/", "").await, &format!("{own}/login"));
    leads_on(&asked(Method::GET, "chat.example:8080", "/login", "").await, &format!("{own}/login"));
    app.world("two").await;
    app.world_at("three", "three", Some("three.example")).await;
    leads_on(&asked(Method::GET, "CHAT.example", "/c/one/login", "").await, &format!("{own}/login"));
    let (text, token) = Token::issue(TokenKind::Invitation, &world.community.locator);
    let invitation = NewInvitation {
        token: token.hash(),
        email: None,
        role: Role::Member,
        entitlements: Vec::new(),
        uses: 1,
        expires: app.clock.now() + 1.hour(),
    };
    app.stores.sessions.invite(&world.operator, invitation).await.expect("an invitation");
    let join = format!("/join?token={}", text.expose());
    leads(&asked(Method::GET, "chat.example:8080", &join, "").await, &format!("{own}{join}"));
    // A form that was opened before is not sent where its mark would be lost.
    let form = "email=ada%40example.org";
    let late = asked(Method::POST, "chat.example:8080", "/c/one/login", form).await;
    leads_on(&late, &format!("{own}/login"));
    assert!(!late.headers.contains_key("set-cookie") && app.mailbox.take().is_empty());
    // Another community's host is no place for it either, nor for one that has no host of its own.
    leads_on(&asked(Method::GET, "three.example", "/c/one/login", "").await, &format!("{own}/login"));
    leads(&asked(Method::GET, "three.example:8080", &join, "").await, &format!("{own}{join}"));
    let shared = "http://chat.example:8080/c/two/login";
    leads_on(&asked(Method::GET, "three.example", "/c/two/login", "").await, shared);
    let late = asked(Method::POST, "three.example", "/c/one/login", form).await;
    leads_on(&late, &format!("{own}/login"));
    assert!(!late.headers.contains_key("set-cookie") && app.mailbox.take().is_empty());
    // There, under another name such as a proxy's, and for those without a host of their own, nothing leads away.
    for (host, path) in [
        ("one.example:8080", "/login"),
        ("one.example", "/c/one/login"),
        ("one.example:8080", join.as_str()),
        ("10.0.0.7:9000", "/c/one/login"),
        ("chat.example:8080", "/c/two/login"),
        ("chat.example:8080", "/login"),
    ] {
        let answer = asked(Method::GET, host, path, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{host} {path}: {}", answer.text());
    }
    let sent = asked(Method::POST, "one.example:8080", "/login", form).await;
    assert_eq!(sent.status, StatusCode::OK);
    let mark =
        sent.headers["set-cookie"].to_str().expect("text").split_once(';').expect("attributes").0.to_owned();
    let mail = app.mailbox.take().remove(0).text;
    let (_, link) = mail.split_once(own).expect("a link to the community's own host");
    let link = link.split_whitespace().next().expect("a link");
    let request = http::Request::get(link).header("host", "one.example:8080").header("cookie", mark);
    let opened = app.answer(&router, request.body(Bytes::new()).expect("a request")).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_communitys_own_page_is_told_by_its_whole_origin() {
    let app =
        TestApp::start(Setup { origin: "http://chat.example:8080".to_owned(), ..Setup::default() }).await;
    let world = app.world_at("one", "one", Some("one.example")).await;
    let ada = app.person(&world, "ada", Role::Member).await;
    for (origin, ours) in [
        ("http://one.example:8080", true),
        ("http://chat.example:8080", true),
        ("http://one.example", false),
        ("https://one.example", false),
        ("https://one.example:8080", false),
        ("http://one.example:81", false),
        ("http://two.example:8080", false),
    ] {
        let mut request = app.request(Method::POST, "/v1/memories", None).header("origin", origin);
        for (name, value) in ada.headers().into_iter().filter(|(name, _)| *name != "sec-fetch-site") {
            request = request.header(name, value);
        }
        let body = Bytes::from(json!({ "text": "note" }).to_string());
        let answer = app.send(request.body(body).expect("a request")).await;
        assert_eq!(answer.status == StatusCode::CREATED, ours, "{origin}: {}", answer.text());
    }
    app.stop().await;
}
