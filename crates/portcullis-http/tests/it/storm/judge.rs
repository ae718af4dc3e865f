//! Whether an answer tells anything that it may not.

use std::collections::BTreeSet;

use http::StatusCode;
use portcullis_core::{Action, Role};
use portcullis_http::Access;
use serde_json::Value;

use super::forms::forms;
use super::ground::Ground;
use super::registry::{Audience, Works};
use super::shot::{Memory, Shot};
use crate::app::{Answer, member_scope};

/// What a storm did.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: usize,
    /// Markers that were told to those who may know them.
    pub(super) told: usize,
    /// Requests that were refused though the route and the credential were right.
    pub(super) refused: usize,
    /// Answers that rested on what was moved away afterwards.
    pub(super) moved: usize,
    /// Routes that answered somebody.
    pub(super) answered: BTreeSet<&'static str>,
}

/// The memories that a member keeps at most while the storm lasts; the model recites all of them.
const MEMORIES: usize = 8;

/// Looks at an answer. The error says what was told to whom.
pub(super) fn judge(ground: &Ground, shot: &Shot, answer: &Answer, tally: &mut Tally) -> Result<(), String> {
    let Access::Needs(action) = shot.route.access else { return Ok(()) };
    let (asker, status) = (&shot.asker, answer.status);
    let wrong = |why: String| Err(format!("{}: {status}: {why}", shot.what));
    tally.requests += 1;
    if status.is_server_error() {
        return wrong(answer.text());
    }
    match asker.works {
        Works::Never if status != StatusCode::UNAUTHORIZED => {
            return wrong("the credential counts for nothing".to_owned());
        }
        Works::Always if status == StatusCode::UNAUTHORIZED => {
            return wrong("the credential no longer counts: somebody else ended it".to_owned());
        }
        Works::ToRead if status.is_success() && !shot.route.method.is_safe() => {
            return wrong("nothing proved that our own page sent it".to_owned());
        }
        _ => {}
    }
    if status.is_success() {
        tally.answered.insert(shot.route.name);
        if !asker.role.allows(action) || !asker.abilities.covers(action) {
            return wrong(format!("{} may not {}", asker.role.name(), action.name()));
        }
        if shot.raises {
            return wrong(format!("{} gave or touched a higher role", asker.role.name()));
        }
        for (kind, id) in &shot.names {
            if !ground.registry.known(id).is_some_and(|known| known.is_for(asker)) {
                return wrong(format!("the {kind} {id} is somebody else's"));
            }
        }
    } else if asker.works == Works::Always {
        tally.refused += 1;
    }
    told(ground, shot, answer, tally)
}

fn told(ground: &Ground, shot: &Shot, answer: &Answer, tally: &mut Tally) -> Result<(), String> {
    let text = text_of(answer);
    // What is written is shown to who wrote it, and a model repeats what it is asked. A search finds.
    let repeats = !shot.route.method.is_safe() && shot.route.name != "search";
    for (nth, form) in forms(text.as_bytes()).iter().enumerate() {
        for (marker, audience) in ground.registry.markers_in(form) {
            if audience.has(&shot.asker) {
                tally.told += usize::from(nth == 0);
            } else if !(repeats && shot.said.contains(marker)) {
                return Err(format!(
                    "{}: {}: told {marker}, which is for {audience:?}",
                    shot.what, answer.status
                ));
            }
        }
        for id in ids(form) {
            let Some(known) = ground.registry.known(id) else { continue };
            if !known.is_for(&shot.asker) && !shot.said.contains(id) {
                return Err(format!("{}: {}: told the id {id}", shot.what, answer.status));
            }
        }
    }
    Ok(())
}

/// Headers, body, and what the frames of a stream say when they are put together.
fn text_of(answer: &Answer) -> String {
    let mut text = String::new();
    for (name, value) in answer.headers.iter().filter(|(name, _)| *name != "x-request-id") {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    let body = answer.text();
    if body.starts_with("data: ") {
        for frame in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let Ok(frame) = serde_json::from_str::<Value>(frame) else { continue };
            text.push_str(frame["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        }
        text.push('\n');
    }
    text.push_str(&body);
    text
}

/// Everything in a text that has the form of an id.
fn ids(text: &[u8]) -> impl Iterator<Item = &str> {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let is_id = |found: &&[u8]| {
        found.get(8) == Some(&b'-')
            && found
                .iter()
                .enumerate()
                .all(|(at, b)| if DASHES.contains(&at) { *b == b'-' } else { b.is_ascii_hexdigit() })
    };
    text.windows(36).filter(is_id).filter_map(|found| std::str::from_utf8(found).ok())
}

/// What an answer changed: ids that are new, and what has to be made anew for the storm to go on.
pub(super) async fn after(ground: &mut Ground, memory: &mut Memory, shot: &Shot, answer: &Answer) {
    let Access::Needs(action) = shot.route.access else { return };
    if !answer.status.is_success() {
        return;
    }
    let asker = &shot.asker;
    let own = Audience::of(asker.community).member(asker.member);
    let staff = |lowest| Audience::of(asker.community).ranked(lowest);
    let made = match shot.route.name {
        "add-memory" => Some(("memory", own.clone())),
        "add-member" => Some(("member", staff(Role::Moderator))),
        "invite" => Some(("invitation", staff(Role::Admin))),
        "add-space" => Some(("space", staff(Role::Member))),
        "add-key" => Some(("key", staff(Role::Admin))),
        _ => None,
    };
    if let Some((kind, audience)) = made {
        let id = answer.json()["id"].as_str().expect("an id").to_owned();
        ground.registry.learn(kind, &id, audience);
        ground.registry.known_mut(&id).expect("it was learnt").rank = shot.rank;
    }
    if let ("change-member", Some((_, id))) = (shot.route.name, shot.names.first())
        && let Some(known) = ground.registry.known_mut(id)
    {
        known.rank = shot.rank;
    }
    let conversation = answer.headers.get("x-conversation-id").and_then(|id| id.to_str().ok());
    if let (Some(id), Some(member)) = (conversation, asker.member) {
        if !ground.registry.known(id).is_some_and(|known| known.is_for(asker)) {
            ground.registry.learn("conversation", id, own.clone());
        }
        *memory.turns.entry((member, id.to_owned())).or_default() += 1;
    }
    learn_others(ground, shot, answer, action);
    let Some(member) = asker.member else { return };
    if let ("end-member-sessions", Some((_, id))) = (shot.route.name, shot.names.first())
        && *id == member.to_string()
    {
        ground.sign_in_again(member).await;
    }
    match shot.route.name {
        "sign-out" | "end-session" | "end-sessions" => ground.sign_in_again(member).await,
        "add-memory" | "chat" => {
            let added = memory.added.entry(member).or_default();
            *added += 1;
            if added.is_multiple_of(MEMORIES) {
                forget(ground, asker.community, member).await;
            }
        }
        _ => {}
    }
}

/// Ids that were never seen before belong to who sees them first: to the member, or to their community.
fn learn_others(ground: &mut Ground, shot: &Shot, answer: &Answer, action: Action) {
    let asker = &shot.asker;
    let of_all = matches!(
        action,
        Action::Search
            | Action::ReadDocument
            | Action::ListModels
            | Action::ReadMembers
            | Action::HandleHandovers
            | Action::DecideApprovals
            | Action::ReadSpaces
            | Action::WriteMembers
            | Action::WriteSpaces
            | Action::WriteKeys
    );
    let audience = match asker.member {
        Some(_) if !of_all => Audience::of(asker.community).member(asker.member),
        _ => Audience::of(asker.community).ranked(Role::Member),
    };
    let text = text_of(answer).to_ascii_lowercase();
    let new: Vec<String> = ids(text.as_bytes())
        .filter(|id| ground.registry.known(id).is_none() && !shot.said.contains(*id))
        .map(str::to_owned)
        .collect();
    for id in new {
        ground.registry.learn("seen", &id, audience.clone());
    }
}

/// Removes all but the first memories of a member, who would have too many else.
async fn forget(ground: &Ground, community: usize, member: portcullis_core::MemberId) {
    let scope = member_scope(&ground.worlds[community], member);
    let memories = &ground.app.stores.memories;
    for memory in memories.list(&scope).await.expect("memories").iter().skip(MEMORIES) {
        memories.remove(&scope, memory.id).await.expect("removed");
    }
}
