//! A storm of random requests: whoever asks, with whatever credential and whatever ids, nothing of another community,
//! space or member comes back in any byte, and a store that leaves its scope out of one method is noticed.
//!
//! The seed is printed and replays: `cargo xtask storm --requests 100000 --seed …`.

mod dice;
mod forms;
mod ground;
mod judge;
mod registry;
mod shot;
mod widened;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::Method;
use portcullis_config::Environment;
use portcullis_core::Tasks;
use portcullis_core::secret::random_bytes;
use portcullis_store::{Chunk, DocumentText, NewDocument};

use self::dice::Dice;
use self::ground::{Ground, SLUGS};
use self::judge::{Tally, after, judge};
use self::registry::{Audience, Door};
use self::shot::{Memory, closed, form_to, knock, shot};
use self::widened::METHODS;
use crate::app::question_body;

/// Requests of one run, unless `PORTCULLIS_STORM` says how many.
const REQUESTS: usize = 6_000;
/// Requests within which a store is noticed that leaves its scope out of one method. The method that is noticed last,
/// `conversations.get`, takes 1,300 on average, because `messages` stands behind it: chance misses it once in 10⁹ runs.
const NOTICED_WITHIN: usize = 30_000;
/// How many times as many are sent where chance has left a route without an answer till then.
const LONGER: usize = 4;
/// Wrong stores that are tried at the same time.
const AT_ONCE: usize = 4;

/// Methods that no route calls. Each is called by none while a storm lasts, or the list is wrong.
const NOT_REACHED: &[&str] = &[
    // Imports, from the command line.
    "content.put",
    "content.source",
    "content.remove",
    // The command line alone finds members by address and links them to host applications.
    "members.find_by_email",
    "members.link",
    // What a person should see is told from other questions by a guard that is off here.
    "handovers.queue",
    // There are no tools here that a person has to approve.
    "approvals.request",
    "approvals.begin",
    "approvals.finish",
];
/// Methods whose answer nobody is told: what is due is due in every community, and a session that has ended lets nobody in wherever
/// that was.
const TOLD_TO_NOBODY: &[&str] = &["approvals.expire", "identity.lapsed_session"];
/// Routes that nothing here lets do their work.
const IDLE: &[&str] = &["resume"];

fn number(name: &str) -> Option<u64> {
    Environment::from_process().text(name).and_then(|text| text.parse().ok())
}

fn seed() -> u64 {
    let seed = number("PORTCULLIS_SEED").unwrap_or_else(|| u64::from_be_bytes(random_bytes()));
    println!("seed {seed}: `cargo xtask storm --seed {seed}` replays it");
    seed
}

/// Sends random requests until so many are sent and every route has answered somebody, or one tells what it may not.
async fn storm(ground: &mut Ground, seed: u64, requests: usize) -> Result<Tally, String> {
    let (mut dice, mut memory, mut tally) = (Dice::of(seed), Memory::default(), Tally::default());
    let mut link = None;
    for turn in 0..LONGER * requests {
        if turn >= requests && silent(&tally) == IDLE {
            break;
        }
        let told = if dice.chance(4) {
            sign_in(ground, &mut dice, &mut link).await
        } else if dice.chance(1) {
            move_away(ground, &mut dice, turn, &mut tally).await
        } else {
            let mut shot = shot(ground, &mut dice, &mut memory);
            let answer = ground.send(shot.request.clone()).await;
            ground.welcome(&mut shot).await;
            let told = judge(ground, &shot, &answer, &mut tally);
            after(ground, &mut memory, &shot, &answer).await;
            told
        };
        told.map_err(|told| format!("request {turn} of seed {seed}: {told}"))?;
    }
    Ok(tally)
}

/// The routes that have answered nobody.
fn silent(tally: &Tally) -> Vec<&'static str> {
    closed().iter().map(|route| route.name).filter(|name| !tally.answered.contains(name)).collect()
}

/// A link that was mailed, and the cookie of the browser that asked for it.
struct Link {
    token: String,
    browser: String,
}

/// Asks for a sign-in link, or uses one up: only members are sent one, and it works in their browser alone.
async fn sign_in(ground: &Ground, dice: &mut Dice, kept: &mut Option<Link>) -> Result<(), String> {
    let knock = knock(ground, dice);
    let answer = ground.send(knock.request).await;
    let browser = answer.headers.get("set-cookie").and_then(|cookie| cookie.to_str().ok());
    let browser = browser.and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();
    let lives_here = ground.addresses[knock.community].contains(&knock.email);
    let sent = ground.app.mailbox.take();
    if !lives_here && !sent.is_empty() {
        return Err(format!("{}: mailed a link", knock.what));
    }
    let Some(mail) = sent.first() else { return Ok(()) };
    let token = mail.text.split_once("token=").map(|(_, rest)| rest.lines().next().unwrap_or_default());
    let link = Link { token: token.unwrap_or_default().to_owned(), browser };
    let others = kept.replace(link);
    let (Some(link), Some(others)) = (&*kept, others) else { return Ok(()) };
    // First in a browser that asked for another one, then in its own.
    for (browser, is_its_own) in [(&others.browser, false), (&link.browser, true)] {
        let form = format!("token={}", link.token);
        let answer = ground.send(form_to(ground, "/login/link", form, Some(browser))).await;
        let begun =
            answer.headers.get_all("set-cookie").iter().any(|cookie| {
                cookie.to_str().is_ok_and(|cookie| cookie.starts_with("portcullis-session=pcs_"))
            });
        if begun != is_its_own {
            return Err(format!(
                "POST /login/link in the browser that asked ({is_its_own}): signed in ({begun})"
            ));
        }
    }
    Ok(())
}

/// A question is answered, what the answer rests on is moved to where its asker may not read, and the same request is sent
/// again with its key: the kept answer is theirs no more.
async fn move_away(
    ground: &mut Ground,
    dice: &mut Dice,
    turn: usize,
    tally: &mut Tally,
) -> Result<(), String> {
    let place = dice.below(SLUGS.len());
    let members: Vec<_> = ground.askers.iter().filter(|asker| asker.asks_as_member_of(place)).collect();
    let asker = (*dice.pick(&members)).clone();
    let marker = ground.registry.marker(Audience::of(place).door(Door::Closed));
    let (content, world) = (Arc::clone(&ground.app.stores.content), &ground.worlds[place]);
    let put = async |space, fingerprint| {
        let text = format!("The heirloom of day {turn} is {marker}.");
        let document = NewDocument {
            space,
            source: "moving".to_owned(),
            source_key: turn.to_string(),
            fingerprint: [fingerprint; 32],
            title: format!("Heirloom {marker}"),
            url: None,
            author: None,
            written: None,
            text: DocumentText { chunks: vec![Chunk { heading: String::new(), author: None, text }] },
            links: Vec::new(),
        };
        content.put(&world.operator, vec![document]).await.expect("a document is stored");
    };
    let ask = async || {
        let question = question_body(&format!("what is the heirloom of day {turn}?"), false);
        let mut request = ground.app.request(Method::POST, "/v1/chat/completions", None);
        for (name, value) in &asker.headers {
            request = request.header(*name, value);
        }
        let request = request.header("idempotency-key", format!("moved-{turn}"));
        let body = Bytes::from(question.to_string());
        ground.send(request.body(body).expect("a request")).await.text().to_lowercase()
    };
    put(world.open, 1).await;
    tally.moved += usize::from(ask().await.contains(&marker));
    put(ground.closed[place], 2).await;
    let again = ask().await;
    let moved = content.source(&world.operator, "moving").await.expect("a source");
    let moved: Vec<_> = moved.values().map(|entry| entry.document).collect();
    content.remove(&world.operator, &moved).await.expect("it is removed");
    if again.contains(&marker) {
        return Err(format!("a retry by {}: told {marker}, which was moved away", asker.name));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_community_space_or_member_is_in_any_byte() {
    let requests = number("PORTCULLIS_STORM").and_then(|count| count.try_into().ok()).unwrap_or(REQUESTS);
    let seed = seed();
    let mut ground = Ground::new("").await;
    let tally = storm(&mut ground, seed, requests).await.unwrap_or_else(|told| panic!("{told}"));
    println!(
        "{} requests over {} routes by {} askers: {} refused, {} markers told to those who may know them",
        tally.requests,
        closed().len(),
        ground.askers.len(),
        tally.refused,
        tally.told,
    );
    // A storm that is refused everywhere proves nothing.
    assert!(tally.told > requests, "only {} markers were told to those who may know them", tally.told);
    assert_eq!(silent(&tally), IDLE, "these routes answered nobody");
    assert!(tally.moved > 0, "no answer rested on what was moved away");
    for method in METHODS {
        let calls = ground.widened.calls(method);
        assert_eq!(calls == 0, NOT_REACHED.contains(method), "{method} was called {calls} times");
    }
    ground.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_leaves_its_scope_out_of_any_one_method_is_noticed() {
    let seed = seed();
    let wrong =
        METHODS.iter().filter(|method| !NOT_REACHED.contains(method) && !TOLD_TO_NOBODY.contains(method));
    let tasks = Tasks::new();
    let trials = futures_util::stream::iter(wrong).map(|method| {
        tasks.spawn(async move {
            let mut ground = Box::pin(Ground::new(method)).await;
            let noticed = Box::pin(storm(&mut ground, seed, NOTICED_WITHIN)).await;
            ground.app.stop().await;
            (*method, noticed.err())
        })
    });
    let trials: Vec<_> = trials.buffered(AT_ONCE).collect().await;
    let mut missed = Vec::new();
    for trial in trials {
        match trial.expect("the trial ends") {
            (method, Some(noticed)) => println!("{method}: {noticed}"),
            (method, None) => missed.push(method),
        }
    }
    assert!(
        missed.is_empty(),
        "not noticed within {NOTICED_WITHIN} requests or until every route had answered: {missed:?}"
    );
}
