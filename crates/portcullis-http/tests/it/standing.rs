//! Those who have some standing in a community and try for more: with keys, links, roles and invitations.

use bytes::Bytes;
use http::{Method, StatusCode};
use portcullis_audit::{Entry, Event};
use portcullis_core::{AbilitySet, KeyAbility, KeyId, Role};
use portcullis_store::{KeyActor, Status};
use serde_json::{Value, json};

use crate::app::{Answer, Person, Setup, TestApp};

/// Sends a request with a person's session.
async fn by(app: &TestApp, person: &Person, method: Method, path: &str, body: &Value) -> Answer {
    let mut request = app.request(method, path, None);
    for (name, value) in person.headers() {
        request = request.header(name, value);
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    app.send(request.body(Bytes::from(body)).expect("a request")).await
}

/// Asks for a key with a person's session.
async fn wants(app: &TestApp, person: &Person, body: &Value) -> Answer {
    by(app, person, Method::POST, "/admin/keys", body).await
}

fn text(answer: &Answer, pointer: &str) -> String {
    let json = answer.json();
    json.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}: {json}")).to_owned()
}

async fn patch(app: &TestApp, person: &Person, whom: &Person, change: &Value) -> Answer {
    by(app, person, Method::PATCH, &format!("/admin/members/{}", whom.member), change).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_key_that_is_somebody_else() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let admin = app.person(&world, "admin", Role::Admin).await;
    let mia = app.person(&world, "mia", Role::Member).await;
    for asker in [&owner, &admin] {
        for abilities in [json!(["personal"]), json!(["manage"]), json!(["chat", "search", "personal"])] {
            for whom in [&mia, if asker.member == owner.member { &admin } else { &owner }] {
                let body = json!({ "name": "borrowed", "member": whom.member, "abilities": abilities });
                let answer = wants(&app, asker, &body).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{body}: {}", answer.text());
                assert_eq!(text(&answer, "/code"), "not_allowed");
            }
        }
        assert_eq!(by(&app, asker, Method::GET, "/admin/keys", &Value::Null).await.json()["keys"], json!([]));
    }
    // What is theirs stays theirs: each for themselves, and what opens nothing that is a member's own.
    let body = json!({ "name": "own", "member": admin.member, "abilities": ["personal", "manage"] });
    assert_eq!(wants(&app, &admin, &body).await.status, StatusCode::CREATED);
    let body = json!({ "name": "shop", "member": mia.member, "abilities": ["chat", "search"] });
    assert_eq!(wants(&app, &admin, &body).await.status, StatusCode::CREATED);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_not_rise_with_its_member() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let admin = app.person(&world, "admin", Role::Admin).await;
    let mia = app.person(&world, "mia", Role::Member).await;
    let body = json!({ "name": "shop", "member": mia.member, "abilities": ["search"] });
    let made = wants(&app, &admin, &body).await;
    let key = text(&made, "/key");
    let sees = async |canary: &str| {
        let answer = app.post("/v1/search", &key, &json!({ "query": "kettle" })).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.text().contains(canary)
    };
    assert!(sees("canaryoneopen").await && !sees("canaryonepaid").await);
    for role in ["moderator", "owner"] {
        let promoted = patch(&app, &owner, &mia, &json!({ "role": role })).await;
        assert_eq!(promoted.status, StatusCode::OK, "{}", promoted.text());
        assert!(sees("canaryoneopen").await);
        assert!(!sees("canaryonepaid").await, "what staff read is not for a key of before");
    }
    assert_eq!(text(&made, "/ceiling"), "member");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_acts_with_the_lower_of_its_ceiling_and_its_members_role() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let boss = app.person(&world, "boss", Role::Owner).await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let own = |ceiling: &str| json!({ "name": "own", "member": owner.member, "abilities": ["personal", "manage"], "ceiling": ceiling });
    let mut keys = Vec::new();
    for role in Role::ALL {
        let made = wants(&app, &owner, &own(role.name())).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        assert_eq!(text(&made, "/ceiling"), role.name());
        keys.push((role, text(&made, "/key")));
    }
    for standing in [Role::Owner, Role::Moderator, Role::Member] {
        let change = json!({ "role": standing.name() });
        assert_eq!(patch(&app, &boss, &owner, &change).await.status, StatusCode::OK);
        for (ceiling, key) in &keys {
            let acts = app.get("/v1/me", key).await.json()["role"].clone();
            assert_eq!(acts, standing.min(*ceiling).name(), "a {} with {}", standing.name(), ceiling.name());
        }
    }
    let admin = app.person(&world, "admin", Role::Admin).await;
    let mia = app.person(&world, "mia", Role::Member).await;
    for (member, ceiling, status) in [
        (admin.member, "owner", StatusCode::FORBIDDEN),
        (mia.member, "admin", StatusCode::BAD_REQUEST),
        (mia.member, "king", StatusCode::BAD_REQUEST),
        (admin.member, "admin", StatusCode::CREATED),
    ] {
        let body = json!({ "name": "k", "member": member, "abilities": ["chat"], "ceiling": ceiling });
        let answer = wants(&app, &admin, &body).await;
        assert_eq!(answer.status, status, "{ceiling}: {}", answer.text());
    }
    let both = json!({ "name": "k", "role": "member", "ceiling": "member", "abilities": ["chat"] });
    assert_eq!(wants(&app, &admin, &both).await.status, StatusCode::BAD_REQUEST, "a back end has its role");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_no_key_that_is_stronger_or_lasts_longer() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let admin = app.person(&world, "admin", Role::Admin).await;
    let short = json!({
        "name": "deploy", "member": owner.member, "abilities": ["manage", "search"], "days": 2, "ceiling": "admin",
    });
    let of_member = text(&wants(&app, &owner, &short).await, "/key");
    let short = json!({ "name": "deploy", "role": "admin", "abilities": ["manage", "search"], "days": 2 });
    let of_backend = text(&wants(&app, &owner, &short).await, "/key");
    for key in [&of_member, &of_backend] {
        let asks = async |more: Value| {
            let mut body = json!({ "name": "child", "role": "member", "abilities": ["search"], "days": 1 });
            for (name, value) in more.as_object().expect("an object") {
                body[name] = value.clone();
            }
            app.post("/admin/keys", key, &body).await
        };
        for (why, more) in [
            ("another ability", json!({ "abilities": ["search", "chat"] })),
            ("the whole request", json!({ "abilities": ["own-request"] })),
            ("a later end", json!({ "days": 3 })),
            ("no end", json!({ "days": null })),
            ("a higher role", json!({ "role": "owner" })),
            ("somebody above", json!({ "role": null, "member": owner.member, "ceiling": "owner" })),
            ("somebody else", json!({ "role": null, "member": admin.member, "abilities": ["manage"] })),
        ] {
            let answer = asks(more).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{why}: {}", answer.text());
        }
        for (why, more) in [
            ("less", json!({})),
            ("as much", json!({ "role": "admin", "abilities": ["manage", "search"] })),
            ("for a member", json!({ "role": null, "member": admin.member })),
        ] {
            let answer = asks(more).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{why}: {}", answer.text());
        }
    }
    // The member themselves, with less, also by a key that cannot do all that they can.
    let less = json!({ "name": "child", "member": owner.member, "abilities": ["manage"], "days": 1 });
    let made = app.post("/admin/keys", &of_member, &less).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(text(&made, "/ceiling"), "admin", "no higher than the key that made it");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_who_is_active_stays() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    for change in [
        json!({ "role": "admin" }),
        json!({ "role": "member" }),
        json!({ "status": "suspended" }),
        json!({ "role": "owner", "status": "suspended" }),
    ] {
        let answer = patch(&app, &owner, &owner, &change).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{change}: {}", answer.text());
        assert_eq!(text(&answer, "/code"), "last_owner");
    }
    let second = app.person(&world, "second", Role::Owner).await;
    assert_eq!(patch(&app, &owner, &second, &json!({ "status": "suspended" })).await.status, StatusCode::OK);
    let answer = patch(&app, &owner, &owner, &json!({ "role": "admin" })).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "an owner who is suspended keeps no community");
    assert_eq!(patch(&app, &owner, &second, &json!({ "status": "active" })).await.status, StatusCode::OK);
    assert_eq!(patch(&app, &owner, &owner, &json!({ "role": "admin" })).await.status, StatusCode::OK);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_who_remove_each_other_at_once_one_stays() {
    let app = TestApp::start(Setup::default()).await;
    for (round, change) in
        [json!({ "role": "member" }), json!({ "status": "suspended" })].iter().cycle().take(8).enumerate()
    {
        let world = app.world(&format!("round-{round}")).await;
        let one = app.person(&world, "one", Role::Owner).await;
        let two = app.person(&world, "two", Role::Owner).await;
        let (first, second) = tokio::join!(patch(&app, &one, &two, change), patch(&app, &two, &one, change));
        let members = app.stores.members.list(&world.operator).await.expect("listed");
        let left =
            members.iter().filter(|one| (one.role, one.status) == (Role::Owner, Status::Active)).count();
        assert_eq!(left, 1, "{change}: {} {}", first.status, second.status);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_reaches_nothing_of_those_above() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let admin = app.person(&world, "admin", Role::Admin).await;
    let mia = app.person(&world, "mia", Role::Member).await;
    let invited = async |by_whom: &Person, role: &str| {
        let body = json!({ "role": role, "plans": [{ "plan": "plus" }] });
        text(&by(&app, by_whom, Method::POST, "/admin/invitations", &body).await, "/id")
    };
    let key = async |by_whom: &Person, body: Value| text(&wants(&app, by_whom, &body).await, "/id");
    let refused = [
        format!("/admin/invitations/{}", invited(&owner, "moderator").await),
        format!("/admin/invitations/{}", invited(&owner, "owner").await),
        format!("/admin/members/{}/sessions", owner.member),
        format!(
            "/admin/keys/{}",
            key(&owner, json!({ "name": "k", "member": owner.member, "abilities": ["chat"] })).await
        ),
        format!(
            "/admin/keys/{}",
            key(
                &owner,
                json!({ "name": "k", "member": owner.member, "abilities": ["chat"], "ceiling": "member" })
            )
            .await
        ),
        format!(
            "/admin/keys/{}",
            key(&owner, json!({ "name": "k", "role": "owner", "abilities": ["manage"] })).await
        ),
    ];
    let own = [
        format!("/admin/invitations/{}", invited(&owner, "member").await),
        format!("/admin/invitations/{}", invited(&admin, "member").await),
        format!("/admin/members/{}/sessions", mia.member),
        format!(
            "/admin/keys/{}",
            key(&owner, json!({ "name": "k", "role": "admin", "abilities": ["manage"] })).await
        ),
        format!(
            "/admin/keys/{}",
            key(&owner, json!({ "name": "k", "member": mia.member, "abilities": ["chat"] })).await
        ),
    ];
    for path in &refused {
        let answer = by(&app, &admin, Method::DELETE, path, &Value::Null).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text());
    }
    for path in &own {
        let answer = by(&app, &admin, Method::DELETE, path, &Value::Null).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text());
    }
    for path in &refused {
        let answer = by(&app, &owner, Method::DELETE, path, &Value::Null).await;
        // The owner's own sessions are among them, so that the last ones find nobody signed in.
        assert!(
            answer.status.is_success() || answer.status == StatusCode::UNAUTHORIZED,
            "{path}: {}",
            answer.text()
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_with_who_made_them() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let admin = app.person(&world, "admin", Role::Admin).await;
    let abilities: AbilitySet = [KeyAbility::Manage, KeyAbility::Chat].into_iter().collect();
    let (key, key_id) = app.key(&world, KeyActor::Member(admin.member), abilities, None).await;
    let body = json!({ "name": "site", "role": "member", "abilities": ["chat"] });
    let first = by(&app, &admin, Method::POST, "/admin/keys", &body).await;
    let second = app.post("/admin/keys", &key, &body).await;
    assert_eq!(
        (first.status, second.status),
        (StatusCode::CREATED, StatusCode::CREATED),
        "{}",
        second.text()
    );
    let listed = by(&app, &admin, Method::GET, "/admin/keys", &Value::Null).await.json();
    let makers: Vec<_> =
        listed["keys"].as_array().expect("a list").iter().map(|key| &key["made_by"]).collect();
    let [second, first, operator] = makers.as_slice() else { panic!("three keys: {listed}") };
    assert_eq!(**second, json!({ "kind": "key", "id": key_id }), "and not the member whom it acts for");
    assert_eq!(**first, json!({ "kind": "member", "id": admin.member }));
    assert_eq!(**operator, json!({ "kind": "operator", "id": null }));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_are_listed_with_who_made_them_and_without_their_links() {
    let app = TestApp::start(Setup::default()).await;
    let (world, other) = (app.world("one").await, app.world("two").await);
    let owner = app.person(&world, "owner", Role::Owner).await;
    let admin = app.person(&world, "admin", Role::Admin).await;
    let mia = app.person(&world, "mia", Role::Member).await;
    let stranger = app.person(&other, "stranger", Role::Owner).await;
    let abilities: AbilitySet = [KeyAbility::Manage].into_iter().collect();
    let backend = KeyActor::Backend { role: Role::Admin, plans: Vec::new() };
    let (key, key_id) = app.key(&world, backend, abilities, None).await;
    let body = json!({ "role": "moderator", "email": "guest@example.org", "plans": [{ "plan": "plus" }], "uses": 3 });
    let first = by(&app, &owner, Method::POST, "/admin/invitations", &body).await;
    let second = app.post("/admin/invitations", &key, &json!({})).await;
    let third = by(&app, &admin, Method::POST, "/admin/invitations", &json!({})).await;
    let gone = format!("/admin/invitations/{}", text(&third, "/id"));
    assert_eq!(by(&app, &admin, Method::DELETE, &gone, &Value::Null).await.status, StatusCode::NO_CONTENT);

    let listed = by(&app, &admin, Method::GET, "/admin/invitations", &Value::Null).await;
    assert_eq!(listed.status, StatusCode::OK, "{}", listed.text());
    for made in [&first, &second, &third] {
        let link = text(made, "/link");
        let token = link.rsplit('=').next().expect("a token");
        let secret = token.rsplit('_').next().expect("a secret");
        assert!(!listed.text().contains(secret), "{}", listed.text());
    }
    assert!(!listed.text().contains("guest"), "whom it is for is kept as a hash only");
    let json = listed.json();
    let seen: Vec<_> = json["invitations"].as_array().expect("a list").iter().collect();
    assert_eq!(seen.len(), 3);
    assert_eq!(
        [&seen[0]["id"], &seen[1]["id"], &seen[2]["id"]],
        [&third.json()["id"], &second.json()["id"], &first.json()["id"]]
    );
    assert_eq!(seen[0]["made_by"], json!({ "kind": "member", "id": admin.member }));
    assert_eq!(seen[1]["made_by"], json!({ "kind": "key", "id": key_id }));
    assert_eq!(seen[2]["made_by"], json!({ "kind": "member", "id": owner.member }));
    assert_eq!(
        (&seen[2]["role"], &seen[2]["uses"], &seen[2]["plans"][0]["plan"]),
        (&json!("moderator"), &json!(3), &json!("plus"))
    );
    assert_eq!((&seen[2]["addressed"], &seen[1]["addressed"]), (&json!(true), &json!(false)));
    assert!(seen[0]["withdrawn"].is_string() && seen[1]["withdrawn"].is_null());

    let elsewhere = by(&app, &stranger, Method::GET, "/admin/invitations", &Value::Null).await;
    assert_eq!(elsewhere.json()["invitations"], json!([]), "another community's are not there");
    let answer = by(&app, &stranger, Method::DELETE, &gone, &Value::Null).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = by(&app, &mia, Method::GET, "/admin/invitations", &Value::Null).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    app.stop().await;
}

/// The one record of that action about somebody or something.
fn recorded(app: &TestApp, action: &str, target: &str) -> Value {
    let about = |entry: &Entry| -> Option<Value> {
        let event = entry.event.as_ref().filter(|event| matches!(event, Event::Administered { .. }))?;
        let json = serde_json::to_value(event).expect("JSON");
        let targets = json["targets"]
            .as_array()?
            .iter()
            .any(|found| found.as_str().is_some_and(|t| t.ends_with(target)));
        (json["action"] == action && targets).then_some(json)
    };
    let mut found: Vec<_> = app.records().iter().filter_map(about).collect();
    assert_eq!(found.len(), 1, "{action} {target}: {found:?}");
    found.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_tells_what_was_changed_to_what() {
    let app = TestApp::start(Setup::default()).await;
    let world = app.world("one").await;
    let owner = app.person(&world, "owner", Role::Owner).await;
    let mia = app.person(&world, "mia", Role::Member).await;
    let id = mia.member.to_string();
    let plan = format!("/admin/members/{id}/plans/plus");
    for method in [Method::PUT, Method::DELETE] {
        let answer = by(&app, &owner, method, &plan, &Value::Null).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
    for action in ["member.entitled", "member.entitlement-ended"] {
        assert_eq!(recorded(&app, action, &id)["plans"], json!(["plus"]), "{action}");
    }
    let change = json!({ "role": "moderator", "status": "suspended" });
    assert_eq!(patch(&app, &owner, &mia, &change).await.status, StatusCode::OK);
    let role = recorded(&app, "member.role", &id);
    assert_eq!((&role["before"], &role["detail"]), (&json!("member"), &json!("moderator")));
    let status = recorded(&app, "member.status", &id);
    assert_eq!((&status["before"], &status["detail"]), (&json!("active"), &json!("suspended")));

    let body = json!({ "name": "SECRETNAME", "role": "moderator", "plans": ["plus"], "abilities": ["search", "chat"] });
    let key = text(&wants(&app, &owner, &body).await, "/id");
    let made = recorded(&app, "key.created", &key);
    assert_eq!(
        (&made["detail"], &made["abilities"], &made["plans"]),
        (&json!("moderator"), &json!(["chat", "search"]), &json!(["plus"]))
    );
    let body = json!({ "name": "own", "member": owner.member, "abilities": ["manage"], "ceiling": "admin" });
    let key = text(&wants(&app, &owner, &body).await, "/id");
    let made = recorded(&app, "key.created", &key);
    assert_eq!((&made["detail"], &made["abilities"]), (&json!("admin"), &json!(["manage"])));
    let whom: KeyId = key.parse().expect("an id");
    assert_eq!(made["targets"], json!([format!("key:{whom}"), format!("member:{}", owner.member)]));

    let body = json!({ "role": "admin", "email": "guest@example.org", "plans": [{ "plan": "plus" }] });
    let invitation = text(&by(&app, &owner, Method::POST, "/admin/invitations", &body).await, "/id");
    let made = recorded(&app, "invitation.made", &invitation);
    assert_eq!((&made["detail"], &made["plans"]), (&json!("admin"), &json!(["plus"])));
    let whole: String =
        app.records().iter().map(|entry| serde_json::to_string(&entry.event).expect("JSON")).collect();
    assert!(
        !whole.contains("SECRETNAME") && !whole.contains("guest") && !whole.contains("example.org"),
        "{whole}"
    );
    app.stop().await;
}
