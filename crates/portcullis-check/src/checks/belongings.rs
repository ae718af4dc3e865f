//! What belongs to one member: made by a check with a random text in it, read by its owner, taken away again.
//!
//! A refusal means something only while the object is there, so everything here says whether its owner reads it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use portcullis_core::secret::random_bytes;
use serde_json::Value;

use super::canary::{self, Mark};
use crate::outcome::{Inconclusive, PositiveControl};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Canary, Credential, Identity, Owned, OwnedKind, Route, State, Target};

/// Shorter ids stand in answers by chance.
const SHORTEST_WORD: usize = 6;

/// One object and its owner.
#[derive(Debug)]
pub(super) struct Thing<'t> {
    pub(super) owned: &'t Owned,
    pub(super) owner: &'t Identity,
    pub(super) id: String,
    /// What is looked for in answers to others.
    pub(super) mark: Canary,
}

/// Who meets whose things.
#[derive(Debug)]
pub(super) struct Cast<'t> {
    pub(super) owner: &'t Identity,
    /// Others of the owner's community, of the least role.
    pub(super) near: Vec<&'t Identity>,
    /// Members of other communities.
    pub(super) far: Vec<&'t Identity>,
}

impl<'t> Cast<'t> {
    /// A member whose ended credentials are known too, and those who must not see what is theirs, whoever was
    /// `used` least first.
    pub(super) fn of(target: &'t Target, used: impl Fn(&Identity) -> usize) -> Result<Self, Inconclusive> {
        let least = target.roles.least().unwrap_or("member");
        let members: Vec<&Identity> =
            canary::askers(target).into_iter().filter(|identity| identity.role == least).collect();
        let has_ended = |identity: &Identity| {
            let ended = |other: &Identity| matches!(other.state, State::Expired | State::Revoked);
            target.identities.iter().filter(|other| other.user == identity.user && ended(other)).count()
        };
        let near_of = |owner: &Identity| -> Vec<&'t Identity> {
            let near =
                members.iter().filter(|other| other.community == owner.community && other.user != owner.user);
            let mut near: Vec<&Identity> = near.copied().collect();
            near.sort_by_key(|other| used(other));
            near
        };
        let owner = members.iter().copied().filter(|owner| !near_of(owner).is_empty());
        // Of those who have most, the one who was used least.
        let owner =
            owner.rev().max_by_key(|owner| (has_ended(owner), Reverse(used(owner)))).ok_or_else(|| {
                Inconclusive::because(
                    "no two members of one community: add an [[identity]] with another `user` to target.toml",
                )
            })?;
        let mut far: Vec<&Identity> =
            members.iter().copied().filter(|other| other.community != owner.community).collect();
        if far.is_empty() {
            return Err(Inconclusive::because(
                "no member of another community: add an [[identity]] with another `community` to target.toml",
            ));
        }
        far.sort_by_key(|other| used(other));
        Ok(Self { owner, near: near_of(owner), far })
    }
}

/// A random text that stands nowhere else: twenty letters without vowels, so that it is no word.
pub(super) fn random_text() -> String {
    const LETTERS: &[u8; 16] = b"bcdfghjkmnpqrtvw";
    let letter = |byte: &u8| char::from(LETTERS.get(usize::from(*byte % 16)).copied().unwrap_or(b'x'));
    random_bytes::<20>().iter().map(letter).collect()
}

/// The kinds of things that the target has; one that it neither has nor declares absent is a doubt.
pub(super) fn kinds(probe: &mut Probe, target: &Target, doubts: &mut Vec<String>) {
    for kind in OwnedKind::ALL {
        if target.owned.iter().any(|owned| owned.kind == kind) {
            continue;
        }
        match target.lacks(kind.feature()) {
            Some(lacks) => {
                let said = format!("declared absent by {}: {}", lacks.approver, lacks.reason);
                probe.observe(&format!("what is a {}", kind.word()), &said);
            }
            None => doubts.push(format!(
                "how a {} is made and read is not known: add [[owned]] with `kind = \"{}\"` to target.toml, or declare \
                 that there is none (`lacks = \"{}\"`)",
                kind.word(),
                kind.word(),
                kind.feature()
            )),
        }
    }
}

/// A request about a thing, in the words of `community`, by nobody yet.
pub(super) fn request(
    target: &Target,
    route: &Route,
    community: &str,
    id: &str,
    text: &str,
    own: &str,
) -> Result<Call, Inconclusive> {
    let mut values: BTreeMap<String, String> = target.values(community);
    for (name, value) in [("id", id), ("marker", text), ("own", own)] {
        values.insert(name.to_owned(), value.to_owned());
    }
    Call::filled(route, &values)
}

/// Makes one.
pub(super) async fn make<'t>(
    probe: &mut Probe,
    target: &Target,
    owned: &'t Owned,
    owner: &'t Identity,
) -> Result<Thing<'t>, Inconclusive> {
    let text = random_text();
    let call = request(target, &owned.create, &owner.community, "", &text, "")?;
    let seen = probe.send(call.with(&owner.credential, &owner.name)).await?;
    seen.must_be_the_application()?;
    if !seen.status.is_success() {
        return Err(Inconclusive::because(format!(
            "{} as `{}` made no {}: it was answered {}",
            owned.create.line(),
            owner.name,
            owned.kind.word(),
            seen.says()
        )));
    }
    let id = owned.id.find(&seen).ok_or_else(|| {
        Inconclusive::because(format!(
            "the id of a new {} is not where target.toml says: correct `id` of its [[owned]]",
            owned.kind.word()
        ))
    })?;
    let mut mark = Canary::new(&owner.community, owned.kind.word(), "", &text);
    mark.document = Some(id.clone());
    Ok(Thing { owned, owner, id, mark })
}

impl<'t> Thing<'t> {
    /// For finding the text in answers.
    pub(super) fn mark(&self) -> Mark<'_> {
        Mark::of(&self.mark)
    }

    /// Its owner reads it, with its text.
    ///
    /// # Errors
    /// When the owner does not.
    pub(super) async fn read(
        &self,
        probe: &mut Probe,
        target: &Target,
    ) -> Result<(Seen, PositiveControl), Inconclusive> {
        let seen = self.ask(probe, target, &self.owned.read, "").await?;
        let control = PositiveControl::from_success(
            &seen,
            format!("`{}` reads their {}", self.owner.name, self.owned.kind.word()),
        )?;
        if !seen.body.contains(&self.mark.text) {
            return Err(Inconclusive::because(format!(
                "`{}` reads their {} and does not find in it what they wrote: correct `create` and `read` of its [[owned]]",
                self.owner.name,
                self.owned.kind.word()
            )));
        }
        Ok((seen, control))
    }

    /// Whether an answer names its id: as a text or a word, or as a number under a name for ids.
    pub(super) fn is_named_in(&self, seen: &Seen) -> bool {
        is_named(&seen.body, &self.id)
    }

    /// A request about it by its owner.
    pub(super) async fn ask(
        &self,
        probe: &mut Probe,
        target: &Target,
        route: &Route,
        text: &str,
    ) -> Result<Seen, Inconclusive> {
        let call = request(target, route, &self.owner.community, &self.id, text, &self.id)?;
        Ok(probe.send(call.with(&self.owner.credential, &self.owner.name)).await?)
    }

    /// Takes it away; what stays is noted.
    pub(super) async fn remove(&self, probe: &mut Probe, target: &Target) -> Result<(), Inconclusive> {
        let gone = match &self.owned.delete {
            Some(route) => self.ask(probe, target, route, "").await?.status.is_success(),
            None => false,
        };
        if !gone {
            let left = format!("a {} of `{}` stays", self.owned.kind.word(), self.owner.name);
            probe.observe("left behind", &left);
        }
        Ok(())
    }

    /// Its kind and owner, for messages.
    pub(super) fn words(&self) -> String {
        format!("the {} of `{}`", self.owned.kind.word(), self.owner.name)
    }
}

/// Whether an answer names an id. One that is no number does so wherever it stands as a word: in an address, as the name of a member, in
/// a page.
fn is_named(body: &str, id: &str) -> bool {
    let is_long = id.len() >= SHORTEST_WORD && !id.chars().all(|c| c.is_ascii_digit());
    is_long && stands_in(body, id)
        || serde_json::from_str::<Value>(body).is_ok_and(|value| names_id(&value, "", id))
}

fn stands_in(body: &str, word: &str) -> bool {
    let is_end = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    body.match_indices(word).any(|(at, _)| {
        let before = body.get(..at).and_then(|before| before.chars().next_back());
        let after = body.get(at + word.len()..).and_then(|after| after.chars().next());
        is_end(before) && is_end(after)
    })
}

fn names_id(value: &Value, name: &str, id: &str) -> bool {
    match value {
        Value::String(text) => text == id,
        Value::Number(number) => name.to_lowercase().ends_with("id") && number.to_string() == id,
        Value::Array(items) => items.iter().any(|item| names_id(item, name, id)),
        Value::Object(map) => map.iter().any(|(name, item)| names_id(item, name, id)),
        _ => false,
    }
}

/// A request with another credential, or with none.
pub(super) fn sent_by(call: Call, credential: Option<(&Credential, &str)>) -> Call {
    match credential {
        Some((credential, label)) => call.with(credential, label),
        None => call,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Cast, is_named, names_id, random_text};
    use crate::target::{Credential, Identity, State, Target};

    #[test]
    fn the_texts_are_long_and_never_the_same() {
        let (one, two) = (random_text(), random_text());
        assert_ne!(one, two);
        assert!(one.len() == 20 && one.chars().all(|c| c.is_ascii_lowercase()), "{one}");
    }

    #[test]
    fn an_id_is_told_from_a_number_that_counts() {
        for named in [
            json!({"items": [{"id": "125"}]}),
            json!([{"conversationId": 125}]),
            json!({"ids": ["7", "125"]}),
        ] {
            assert!(names_id(&named, "", "125"), "{named}");
        }
        for other in [json!({"total": 125}), json!({"id": 1250}), json!({"text": "id 125"})] {
            assert!(!names_id(&other, "", "125"), "{other}");
        }
    }

    #[test]
    fn an_id_that_is_no_number_is_named_wherever_it_stands_as_a_word() {
        let id = "8f14e45f-ceea-467f-9538-1d2f3a4b5c6d";
        for named in [
            format!("{{\"items\":[{{\"href\":\"/conversations/{id}\"}}]}}"),
            format!("{{\"{id}\":{{\"title\":\"x\"}}}}"),
            format!("<li><a href=\"/c/{id}?from=list\">x</a></li>"),
        ] {
            assert!(is_named(&named, id), "{named}");
        }
        for other in [format!("<a href=\"/c/{id}0\">"), format!("/c/x{id}"), String::new()] {
            assert!(!is_named(&other, id), "{other}");
        }
        assert!(!is_named("{\"total\":125,\"text\":\"id 125\"}", "125"), "numbers stand anywhere");
    }

    #[test]
    fn two_sessions_of_one_member_are_not_two_members() {
        let who = |name: &str, community: &str| Identity::new(name, community, Credential::bearer("x"));
        let mut target = Target::new("t", "http://127.0.0.1:9").unwrap();
        target.identities = vec![
            who("a1", "harbour").session_of("a"),
            who("a2", "harbour").session_of("a"),
            who("b", "orchard"),
        ];
        assert!(Cast::of(&target, |_| 0).unwrap_err().reason().contains("two members of one community"));
        target.identities.push(who("c", "harbour"));
        target.identities.push(who("old", "harbour").session_of("c").state(State::Expired));
        let cast = Cast::of(&target, |_| 0).unwrap();
        assert_eq!((cast.owner.name.as_str(), cast.near.len(), cast.far.len()), ("c", 2, 1));
    }
}
