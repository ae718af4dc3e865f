//! What belongs to one member: how it is made, read, changed and removed.

use http::header::LOCATION;
use serde_json::Value;

use super::Route;
use crate::probe::Seen;

/// Stands for an object's id in a request of an [`Owned`].
pub const ID: &str = "{{id}}";
/// Stands for the random text that is put into an object.
pub const MARKER: &str = "{{marker}}";

/// What kind of thing belongs to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnedKind {
    /// A conversation.
    Conversation,
    /// Something the bot keeps in mind.
    Memory,
    /// An uploaded file.
    File,
}

impl OwnedKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Conversation, Self::Memory, Self::File];

    /// The word in target files and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Memory => "memory",
            Self::File => "file",
        }
    }

    /// What a target declares that has none of the kind.
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Conversation => "conversations",
            Self::Memory => "memories",
            Self::File => "uploads",
        }
    }
}

/// A kind of object that belongs to one member, and the requests that reach it.
#[derive(Debug, Clone)]
pub struct Owned {
    /// What it is.
    pub kind: OwnedKind,
    /// Makes one; [`MARKER`] stands for a text that its owner reads again.
    pub create: Route,
    /// Where the new one's id stands in the answer.
    pub id: Spot,
    /// Reads one by [`ID`].
    pub read: Route,
    /// Changes one by [`ID`]; [`MARKER`] stands for the new text.
    pub update: Option<Route>,
    /// Removes one by [`ID`].
    pub delete: Option<Route>,
    /// Lists the asker's own.
    pub list: Option<Route>,
    /// Reads several at once: a request with [`ID`] and `{{own}}`, an object of the asker.
    pub batch: Option<Route>,
    /// The requests that the target does not have: `update`, `delete`, `list`.
    pub lacks: Vec<String>,
}

/// Where a value stands in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// At this JSON pointer of the body.
    Pointer(String),
    /// In this header.
    Header(String),
    /// In this cookie.
    Cookie(String),
    /// In this query parameter of the link that the answer or the mail holds.
    Query(String),
}

impl Spot {
    /// Reads `/id`, `header:NAME`, `cookie:NAME` or `query:NAME`.
    pub fn parse(text: &str) -> Option<Self> {
        let named =
            |prefix: &str| text.strip_prefix(prefix).filter(|name| !name.is_empty()).map(str::to_owned);
        if text.starts_with('/') {
            return Some(Self::Pointer(text.to_owned()));
        }
        let header = named("header:").map(Self::Header);
        header.or_else(|| named("cookie:").map(Self::Cookie)).or_else(|| named("query:").map(Self::Query))
    }

    /// The value, if it stands there and is not empty.
    pub fn find(&self, seen: &Seen) -> Option<String> {
        let value = match self {
            Self::Pointer(pointer) => text_at(&seen.json()?, pointer)?,
            Self::Header(name) => seen.header(name).to_owned(),
            Self::Cookie(name) => {
                let (_, value) = cookies(seen).into_iter().find(|(cookie, _)| cookie == name)?;
                value
            }
            Self::Query(name) => query_of(seen.headers.get(LOCATION)?.to_str().ok()?, name)?,
        };
        Some(value).filter(|value| !value.is_empty())
    }
}

/// The text or number at a pointer.
pub(crate) fn text_at(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The cookies that an answer sets.
pub(crate) fn cookies(seen: &Seen) -> Vec<(String, String)> {
    let set = seen.headers.get_all(http::header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = set.filter_map(|text| text.split(';').next()?.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

/// A query parameter of a link, as it stands there.
pub(crate) fn query_of(link: &str, name: &str) -> Option<String> {
    let query = link.split_once('?')?.1.split('#').next()?;
    let pair = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    pair.map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Spot, query_of};

    #[test]
    fn a_place_is_a_pointer_or_named() {
        assert_eq!(Spot::parse("/a/b"), Some(Spot::Pointer("/a/b".to_owned())));
        assert_eq!(Spot::parse("header:X-Id"), Some(Spot::Header("X-Id".to_owned())));
        assert_eq!(Spot::parse("cookie:sid"), Some(Spot::Cookie("sid".to_owned())));
        assert_eq!(Spot::parse("query:token"), Some(Spot::Query("token".to_owned())));
        for wrong in ["id", "header:", "", "body:x"] {
            assert_eq!(Spot::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        let link = "https://bot.example.org/in?mytoken=a&token=b%20c#token=d";
        assert_eq!(query_of(link, "token").as_deref(), Some("b%20c"));
        assert_eq!(query_of("https://bot.example.org/in", "token"), None);
    }
}
