//! Topics of a Discourse forum as it serves them at `/t/ID.json`, one file a topic.
//!
//! Only what every reader of the topic could see is taken: no private messages, no unlisted or deleted topics, no
//! whispers between staff, no posts that were hidden or deleted.

mod categories;
mod topic;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use portcullis_store::Chunk;

use self::categories::Category;
use self::topic::{Post, Topic};
use crate::chunk::{Block, Chunker, one_line};
use crate::entry::{Parsed, Reason, Stored};
use crate::error::Error;
use crate::html::{Headings, extract};
use crate::limits::Limits;
use crate::links::{self, Links};
use crate::reader::{Export, Format};
use crate::walk::{Found, Naming};
use crate::{date, decode, invisible};

/// Lists the topics of a folder. `base_url` is the forum's own address, such as `https://forum.example.org`; with it
/// topics have an address that citations name.
///
/// Next to the topics, `categories.json` or `site.json` as Discourse serves them tell the names of categories.
///
/// # Errors
/// When the folder cannot be listed, or `base_url` is no `http` or `https` address.
pub fn read(dir: &Path, limits: &Limits, base_url: Option<&str>) -> Result<Export, Error> {
    let base_url = match base_url {
        Some(given) => Some(links::web(given).ok_or(Error::BaseUrl)?.trim_end_matches('/').to_owned()),
        None => None,
    };
    Export::open(dir, limits, Format::Discourse(Topics { base_url, categories: HashMap::new() }))
}

/// How topics are read.
#[derive(Debug)]
pub(crate) struct Topics {
    base_url: Option<String>,
    categories: HashMap<i64, Category>,
}

/// The most characters of a title.
const TITLE_CHARS: usize = 300;
/// The most characters of an author's name.
const NAME_CHARS: usize = 80;

impl Naming for Topics {
    fn wants(&self, name: &str) -> bool {
        name.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("json"))
    }

    fn stored(&self, path: &str) -> Stored {
        // A topic's id stands in the file; where that cannot be read, its name is the best hint.
        let name = path.rsplit('/').next().unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        match stem.parse::<u64>() {
            Ok(id) => Stored::Key(id.to_string()),
            Err(_) => Stored::Gone,
        }
    }

    fn stored_below(&self, _folder: &str) -> Stored {
        Stored::Unknown
    }
}

impl Topics {
    /// Reads the names of categories if the file is one that holds them; then it is no topic. Such a file that cannot be
    /// read is an error: without it nothing tells which categories are not for everybody.
    pub(crate) fn learn_categories(&mut self, found: &Found, limits: &Limits) -> Result<bool, Error> {
        if !matches!(found.path.as_str(), "categories.json" | "site.json") {
            return Ok(false);
        }
        let text = crate::walk::read(&found.full, limits.file_bytes).and_then(decode::text);
        let categories = text.ok().filter(|(text, _)| !nests_deeper(text, limits.json_depth));
        let categories = categories.and_then(|(text, _)| categories::parse(&text));
        self.categories.extend(categories.ok_or_else(|| Error::Categories { file: found.path.clone() })?);
        Ok(true)
    }

    pub(crate) fn parse(
        &self,
        found: &Found,
        bytes: Vec<u8>,
        limits: &Limits,
    ) -> Result<Parsed, (Reason, Stored)> {
        let kept = |why| (why, self.stored(&found.path));
        let (text, doubt) = decode::text(bytes).map_err(kept)?;
        if nests_deeper(&text, limits.json_depth) {
            return Err(kept(Reason::Nested { limit: limits.json_depth }));
        }
        let topic: Topic = serde_json::from_str(&text).map_err(|error| kept(json_reason(&error)))?;
        drop(text);
        let gone = |why| (why, Stored::Gone);
        if let Some(what) = topic.withheld() {
            return Err(gone(Reason::Withheld { what }));
        }
        let mut parsed = self.document(topic, limits).map_err(gone)?;
        parsed.path.clone_from(&found.path);
        parsed.bytes = found.bytes;
        parsed.notes.extend(doubt);
        Ok(parsed)
    }

    fn document(&self, topic: Topic, limits: &Limits) -> Result<Parsed, Reason> {
        let mut parsed = Parsed { source_key: topic.id.to_string(), ..Parsed::default() };
        parsed.title = one_line(&invisible::clean(topic.title()), TITLE_CHARS);
        if parsed.title.is_empty() {
            parsed.title = format!("Topic {}", topic.id);
        }
        parsed.space_key =
            topic.category_id.map_or_else(|| "uncategorized".into(), |id| format!("category-{id}"));
        if let Some(category) = topic.category_id.and_then(|id| self.categories.get(&id)) {
            parsed.space_name = Some(category.name.clone());
            parsed.restricted = category.restricted;
        }
        parsed.url =
            self.base_url.as_ref().map(|base| format!("{base}/t/{}/{}", topic.safe_slug(), topic.id));
        let mut posts = self.readable(&topic, limits, &mut parsed.notes);
        posts.sort_by_key(|post| post.post_number);
        let first = posts.first().ok_or(Reason::Empty)?;
        parsed.author = name(&first.username);
        let begun = topic.created_at.as_deref().or(first.created_at.as_deref());
        parsed.written = begun.and_then(date::parse);
        if let (Some(text), None) = (begun, parsed.written) {
            parsed.notes.push(format!("`{}` is not a date that is understood", one_line(text, 40)));
        }
        let accepted = topic.accepted_answer.as_ref().and_then(|answer| answer.post_number);
        let mut pages = Chunker::new(limits);
        if let Some(tags) = topic.tags_line() {
            pages.section("About this topic", None);
            pages.push(Block::Text(tags));
        }
        let mut links = Links::new(limits.links);
        let hosts = self.own_hosts(&posts);
        for post in &posts {
            if pages.is_full() {
                break;
            }
            let is_accepted = post.accepted_answer || accepted == Some(post.post_number);
            let author = name(&post.username);
            if is_accepted && parsed.accepted.is_none() {
                parsed.accepted = Some(pages.next_index());
            }
            if let Some(author) =
                author.as_ref().filter(|author| post.is_staff() && !parsed.staff.contains(author))
            {
                parsed.staff.push(author.clone());
            }
            pages.section(&heading(post, author.as_deref(), is_accepted), author);
            let page = extract(&post.cooked, Headings::Lines, limits.links);
            for target in &page.links {
                links.extend_with(self.link(target, topic.id, &hosts));
            }
            for block in page.blocks {
                pages.push(block);
            }
        }
        let (chunks, cut) = pages.finish();
        if cut {
            parsed.notes.push(format!("only its first {} chunks are kept", limits.chunks));
        }
        if chunks.is_empty() {
            return Err(Reason::Empty);
        }
        parsed.accepted = parsed.accepted.filter(|&index| chunks.get(index).is_some_and(is_answer));
        parsed.chunks = chunks;
        parsed.links = links.into_list();
        Ok(parsed)
    }

    /// The posts that every reader of the topic could see.
    fn readable<'t>(&self, topic: &'t Topic, limits: &Limits, notes: &mut Vec<String>) -> Vec<&'t Post> {
        let all = topic.post_stream.posts.len();
        let listed = topic.post_stream.stream.as_ref().map_or(0, Vec::len);
        if listed > all {
            notes.push(format!("the file holds {all} of the topic's {listed} posts"));
        }
        if all > limits.posts {
            notes.push(format!("only its first {} of {all} posts are kept", limits.posts));
        }
        let posts = topic.post_stream.posts.iter().take(limits.posts);
        let (readable, withheld): (Vec<_>, Vec<_>) =
            posts.filter(|post| !post.is_event()).partition(|post| !post.is_withheld());
        if !withheld.is_empty() {
            notes.push(format!("{} posts that not every reader may see are left out", withheld.len()));
        }
        readable
    }

    /// Hosts whose `/t/` addresses name topics of this forum: the given one, and those the forum calls internal.
    fn own_hosts(&self, posts: &[&Post]) -> HashSet<String> {
        let told = posts.iter().flat_map(|post| &post.link_counts).filter(|link| link.internal);
        let told = told.filter_map(|link| links::web(&link.url));
        let given = self.base_url.iter().cloned();
        told.chain(given).filter_map(|url| Some(links::host_and_path(&url)?.0.to_owned())).collect()
    }

    /// A link as a document keeps it: another topic's source key, or a web address.
    fn link(&self, target: &str, topic: u64, hosts: &HashSet<String>) -> Option<String> {
        let web = links::web(target);
        let path = match &web {
            Some(url) => {
                links::host_and_path(url).filter(|(host, _)| hosts.contains(*host)).map(|(_, path)| path)
            }
            None => target.starts_with('/').then_some(target),
        };
        match path.and_then(|path| topic_of(path.strip_prefix(self.base_path()).unwrap_or(path))) {
            Some(own) if own == topic => None,
            Some(other) => Some(other.to_string()),
            None => web,
        }
    }

    /// The path at which the forum lives, for forums below a site's root.
    fn base_path(&self) -> &str {
        self.base_url.as_deref().and_then(links::host_and_path).map_or("", |(_, path)| path)
    }
}

impl Links {
    fn extend_with(&mut self, link: Option<String>) {
        if let Some(link) = link {
            self.add(link);
        }
    }
}

fn is_answer(chunk: &Chunk) -> bool {
    chunk.heading.contains(ACCEPTED)
}

const ACCEPTED: &str = "accepted answer";

/// `Post 3 by alice (staff, accepted answer, reply to post 1)`.
fn heading(post: &Post, author: Option<&str>, is_accepted: bool) -> String {
    let mut marks = Vec::new();
    if post.is_staff() {
        marks.push("staff".to_owned());
    }
    if is_accepted {
        marks.push(ACCEPTED.to_owned());
    }
    marks.extend(post.reply_to_post_number.map(|number| format!("reply to post {number}")));
    let by = author.map(|author| format!(" by {author}")).unwrap_or_default();
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    format!("Post {}{by}{marks}", post.post_number)
}

fn name(name: &str) -> Option<String> {
    Some(one_line(&invisible::clean(name), NAME_CHARS)).filter(|name| !name.is_empty())
}

/// The topic that a path such as `/t/some-words/123/4` names.
fn topic_of(path: &str) -> Option<u64> {
    let path = path.split(['?', '#']).next()?;
    let mut parts = path.strip_prefix("/t/")?.split('/');
    let (first, second) = (parts.next()?, parts.next());
    first.parse().ok().or_else(|| second?.parse().ok())
}

/// Whether arrays and objects nest deeper than the limit.
fn nests_deeper(json: &str, limit: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

fn json_reason(error: &serde_json::Error) -> Reason {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "its JSON ends early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
        serde_json::error::Category::Data => return Reason::NotATopic,
    };
    Reason::Json { what, line: error.line(), column: error.column() }
}

#[cfg(test)]
mod tests;
