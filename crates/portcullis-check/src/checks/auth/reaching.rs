//! The ways in which a request reaches for an object of somebody else.

use crate::checks::belongings::{self, Thing};
use crate::outcome::Inconclusive;
use crate::probe::Call;
use crate::target::{Route, Target};

/// What kind of attempt it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The object's own request: it must be refused.
    Plain,
    /// Another request, which may succeed without the object in it.
    Aside,
}

/// Where a request carries the other id.
#[derive(Debug, Clone)]
enum Carrier {
    Path,
    Query(String),
    Header(String),
    Body(String),
    /// The owner's name in the query of a list, or of the object's own request.
    OwnerQuery(String),
    OwnerHeader(String),
    AsItIs,
}

/// One way.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) reach: Reach,
    /// For messages: `with the id in a header`.
    pub(super) how: String,
    route: Route,
    carrier: Carrier,
}

/// Names under which requests carry the id of an object, beside its kind's.
const ID_NAMES: [&str; 4] = ["id", "ids", "uuid", "object_id"];
const OWNER_NAMES: [&str; 5] = ["user", "user_id", "member", "member_id", "owner"];

/// Every way to read that the target's requests allow, for somebody of `community`.
pub(super) fn carried(target: &Target, thing: &Thing<'_>, community: &str) -> Result<Vec<Way>, Inconclusive> {
    let owned = thing.owned;
    let mut ways = Vec::new();
    let mut add = |reach, how: String, route: &Route, carrier| {
        ways.push(Way { reach, how, route: route.clone(), carrier });
    };
    add(Reach::Plain, "by its id".to_owned(), &owned.read, Carrier::Path);
    if let Some(batch) = &owned.batch {
        add(Reach::Aside, "in a batch".to_owned(), batch, Carrier::Path);
    }
    let kind = owned.kind.word();
    let mut names: Vec<String> = ID_NAMES.map(str::to_owned).to_vec();
    names.extend([kind.to_owned(), format!("{kind}_id"), format!("{kind}Id")]);
    for name in names {
        add(Reach::Aside, format!("with `{name}` in the query"), &owned.read, Carrier::Query(name.clone()));
        if let Some(list) = &owned.list {
            add(Reach::Aside, format!("with `{name}` in the query of the list"), list, Carrier::Query(name));
        }
    }
    for name in ["X-Id".to_owned(), format!("X-{kind}-Id")] {
        add(Reach::Aside, format!("with `{name}`"), &owned.read, Carrier::Header(name));
    }
    if owned.read.body.is_some() {
        add(Reach::Aside, "with `id` in the body".to_owned(), &owned.read, Carrier::Body("id".to_owned()));
    }
    if let Some(list) = &owned.list {
        add(Reach::Aside, "in a list".to_owned(), list, Carrier::AsItIs);
        for name in OWNER_NAMES {
            let how = format!("with the owner as `{name}` in the query of the list");
            add(Reach::Aside, how, list, Carrier::OwnerQuery(name.to_owned()));
        }
        for name in ["X-User", "X-User-Id"] {
            add(
                Reach::Aside,
                format!("with the owner as `{name}`"),
                list,
                Carrier::OwnerHeader(name.to_owned()),
            );
        }
    }
    let how = "by its id, with the owner as `user_id`".to_owned();
    add(Reach::Plain, how, &owned.read, Carrier::OwnerQuery("user_id".to_owned()));
    // A request that cannot be made shows that here, before anything is sent.
    for way in &ways {
        way.call(target, thing, community, "")?;
    }
    Ok(ways)
}

impl Way {
    /// The request, by nobody yet. `own` is the id of something of the asker's.
    pub(super) fn call(
        &self,
        target: &Target,
        thing: &Thing<'_>,
        community: &str,
        own: &str,
    ) -> Result<Call, Inconclusive> {
        let request = |id: &str| belongings::request(target, &self.route, community, id, "", own);
        let owner = thing.owner.user.as_str();
        Ok(match &self.carrier {
            Carrier::Path => request(&thing.id)?,
            Carrier::AsItIs => request(own)?,
            Carrier::Query(name) => request(own)?.query(name, &thing.id),
            Carrier::Header(name) => request(own)?.header(name, &thing.id)?,
            Carrier::Body(name) => request(own)?.body_member(name, &thing.id),
            Carrier::OwnerQuery(name) => request(&thing.id)?.query(name, owner),
            Carrier::OwnerHeader(name) => {
                request(&thing.id)?.header(name, &owner.replace(|c: char| !c.is_ascii_graphic(), "-"))?
            }
        })
    }
}

/// The ids before and after one: the last number in it counted down and up, or its last hexadecimal digit.
pub(super) fn neighbours(id: &str) -> Vec<String> {
    let end = id.rfind(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
    let head = id.get(..end).unwrap_or_default();
    let start = head.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    let number = id.get(start..end).and_then(|digits| digits.parse::<u64>().ok());
    let is_counted = number.is_some() && end == id.len() && end - start <= 12 && !id.contains('-');
    if let Some(number) = number.filter(|_| is_counted) {
        let prefix = id.get(..start).unwrap_or_default();
        let near =
            [number.checked_sub(2), number.checked_sub(1), number.checked_add(1), number.checked_add(2)];
        return near
            .into_iter()
            .flatten()
            .map(|near| format!("{prefix}{near:0width$}", width = end - start))
            .collect();
    }
    let last = id.chars().last().and_then(|c| c.to_digit(16));
    let body = id.get(..id.len().saturating_sub(1)).unwrap_or_default();
    let near = last.map(|digit| [(digit + 15) % 16, (digit + 1) % 16]);
    near.into_iter()
        .flatten()
        .filter_map(|digit| char::from_digit(digit, 16))
        .map(|c| format!("{body}{c}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::neighbours;

    #[test]
    fn counted_ids_have_neighbours_and_random_ones_too() {
        assert_eq!(neighbours("101"), ["99", "100", "102", "103"].map(|id| format!("{id:0>3}")));
        assert_eq!(neighbours("c-9").len(), 2);
        assert_eq!(neighbours("conv0009"), ["conv0007", "conv0008", "conv0010", "conv0011"]);
        let uuid = "0196aa7f-0000-7000-8000-00000000000f";
        assert_eq!(
            neighbours(uuid),
            ["0196aa7f-0000-7000-8000-00000000000e", "0196aa7f-0000-7000-8000-000000000000"]
        );
        assert!(neighbours("").is_empty());
    }
}
