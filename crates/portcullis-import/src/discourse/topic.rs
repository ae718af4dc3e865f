//! The fields of a topic that an import uses, as Discourse names them. Any may be missing but the id, the title and
//! the posts.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// A topic.
#[derive(Debug, Deserialize)]
pub(super) struct Topic {
    pub(super) id: u64,
    #[serde(deserialize_with = "or_default")]
    title: String,
    /// The title with its emoji as characters.
    #[serde(default, deserialize_with = "or_default")]
    unicode_title: String,
    #[serde(default, deserialize_with = "or_default")]
    slug: String,
    #[serde(default)]
    pub(super) category_id: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    archetype: String,
    #[serde(default)]
    visible: Option<bool>,
    #[serde(default)]
    deleted_at: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) created_at: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<Tag>,
    pub(super) post_stream: PostStream,
    #[serde(default)]
    pub(super) accepted_answer: Option<AcceptedAnswer>,
}

/// A tag: its name, or in later versions an object with it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Tag {
    Name(String),
    Object { name: String },
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
pub(super) struct PostStream {
    pub(super) posts: Vec<Post>,
    /// The ids of all posts, of which the file may hold only the first.
    #[serde(default)]
    pub(super) stream: Option<Vec<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AcceptedAnswer {
    #[serde(default)]
    pub(super) post_number: Option<u64>,
}

/// A post.
#[derive(Debug, Deserialize)]
pub(super) struct Post {
    #[serde(default)]
    pub(super) post_number: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) username: String,
    #[serde(default)]
    pub(super) created_at: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) cooked: String,
    #[serde(default)]
    post_type: Option<u64>,
    #[serde(default)]
    pub(super) reply_to_post_number: Option<u64>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) link_counts: Vec<LinkCount>,
    #[serde(default, deserialize_with = "or_default")]
    staff: bool,
    #[serde(default, deserialize_with = "or_default")]
    moderator: bool,
    #[serde(default, deserialize_with = "or_default")]
    admin: bool,
    #[serde(default, deserialize_with = "or_default")]
    hidden: bool,
    #[serde(default, deserialize_with = "or_default")]
    cooked_hidden: bool,
    #[serde(default, deserialize_with = "or_default")]
    user_deleted: bool,
    #[serde(default)]
    deleted_at: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) accepted_answer: bool,
}

/// A link that the forum found in a post, or to it.
#[derive(Debug, Deserialize)]
pub(super) struct LinkCount {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) url: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) internal: bool,
}

/// A value that may be `null`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Topic {
    /// What the topic is, if not everybody who may read its category may read it.
    pub(super) fn withheld(&self) -> Option<&'static str> {
        if self.archetype == "private_message" {
            Some("a private message")
        } else if self.deleted_at.is_some() {
            Some("a deleted topic")
        } else if self.visible == Some(false) {
            Some("an unlisted topic")
        } else {
            None
        }
    }

    /// The title as people read it.
    pub(super) fn title(&self) -> &str {
        if self.unicode_title.is_empty() { &self.title } else { &self.unicode_title }
    }

    /// The slug, if it is one; it goes into an address.
    pub(super) fn safe_slug(&self) -> &str {
        let safe = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        if !self.slug.is_empty() && self.slug.len() < 300 && self.slug.chars().all(safe) {
            &self.slug
        } else {
            "-"
        }
    }

    /// `Tags: a, b`.
    pub(super) fn tags_line(&self) -> Option<String> {
        let names: Vec<&str> = self
            .tags
            .iter()
            .filter_map(|tag| match tag {
                Tag::Name(name) | Tag::Object { name } => Some(name.trim()),
                Tag::Other(_) => None,
            })
            .filter(|name| !name.is_empty())
            .take(50)
            .collect();
        (!names.is_empty()).then(|| format!("Tags: {}", names.join(", ")))
    }
}

impl Post {
    /// A line such as "closed this topic", not a post.
    pub(super) fn is_event(&self) -> bool {
        self.post_type == Some(3)
    }

    /// Whether some readers of the topic may not see it. Types are regular 1, moderator's action 2, event 3 and
    /// whisper 4; one that is not known is not shown.
    pub(super) fn is_withheld(&self) -> bool {
        self.hidden
            || self.cooked_hidden
            || self.user_deleted
            || self.deleted_at.is_some()
            || !matches!(self.post_type, None | Some(1 | 2))
    }

    pub(super) fn is_staff(&self) -> bool {
        self.staff || self.moderator || self.admin
    }
}
