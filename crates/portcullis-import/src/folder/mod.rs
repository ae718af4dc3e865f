//! A folder of pages: Markdown, reStructuredText, HTML and plain text, with front matter where there is any.
//!
//! A page belongs to the space of its top-level folder, so that nobody who can edit a page can move it to a space that
//! others may read; only where the operator says so does the front matter's `category` decide.

mod front_matter;
mod markdown;
mod page;

use std::collections::BTreeSet;
use std::path::Path;

pub(crate) use self::front_matter::{FrontMatter, Visible};
pub(crate) use self::page::addresses;
use crate::chunk::{Block, Chunker, one_line};
use crate::entry::{Parsed, Reason, Stored};
use crate::error::Error;
use crate::limits::Limits;
use crate::links::{self, Links};
use crate::reader::{Export, Format};
use crate::walk::{Found, Naming};
use crate::{date, decode, invisible, rst};

/// What decides which space a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpaceFrom {
    /// Its top-level folder; [`ROOT`] for a page that stands in no folder.
    #[default]
    Folder,
    /// The front matter's `category`, else as `Folder`. Whoever edits a page then decides who may read it.
    Category,
}

/// The space key of pages that stand in the imported folder itself.
pub const ROOT: &str = "general";

/// Lists the pages of a folder.
///
/// # Errors
/// When the folder cannot be listed.
pub fn read(dir: &Path, limits: &Limits, space_from: SpaceFrom) -> Result<Export, Error> {
    Export::open(dir, limits, Format::Folder(Pages { space_from, paths: BTreeSet::new() }))
}

/// How pages are read.
#[derive(Debug)]
pub(crate) struct Pages {
    space_from: SpaceFrom,
    /// All pages there are, for links between them.
    paths: BTreeSet<String>,
}

/// The formats, by extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Markdown,
    Rst,
    Html,
    Text,
}

impl Kind {
    const EXTENSIONS: [(&'static str, Self); 11] = [
        ("md", Self::Markdown),
        ("markdown", Self::Markdown),
        ("mdown", Self::Markdown),
        ("mkd", Self::Markdown),
        ("rst", Self::Rst),
        ("rest", Self::Rst),
        ("html", Self::Html),
        ("htm", Self::Html),
        ("xhtml", Self::Html),
        ("txt", Self::Text),
        ("text", Self::Text),
    ];

    fn of(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Self::EXTENSIONS
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(extension))
            .map(|(_, kind)| kind)
    }
}

impl Naming for Pages {
    fn wants(&self, name: &str) -> bool {
        Kind::of(name).is_some()
    }

    fn stored(&self, path: &str) -> Stored {
        Stored::Key(path.to_owned())
    }

    fn stored_below(&self, folder: &str) -> Stored {
        Stored::Prefix(format!("{folder}/"))
    }
}

/// What a format's reader found in a page.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// The fields before the text, whatever their form.
    pub(crate) fields: FrontMatter,
    /// Fields that readers of the page see, as text.
    pub(crate) about: Option<String>,
    /// The text.
    pub(crate) blocks: Vec<Block>,
    /// Targets of links, as written.
    pub(crate) links: Vec<String>,
}

/// The most characters of a title and of an author.
const TITLE_CHARS: usize = 300;
const AUTHOR_CHARS: usize = 200;

/// The longest text before the first post of a thread that counts as a repetition of its fields.
const PREAMBLE_CHARS: usize = 400;

/// File names that say nothing about the page.
const PLAIN_NAMES: [&str; 4] = ["readme", "index", "_index", "default"];

impl Pages {
    pub(crate) fn know(&mut self, paths: impl Iterator<Item = String>) {
        self.paths.extend(paths);
    }

    pub(crate) fn parse(&self, found: &Found, bytes: Vec<u8>, limits: &Limits) -> Result<Parsed, Reason> {
        let (text, doubt) = decode::text(bytes)?;
        let content = match Kind::of(&found.path).ok_or(Reason::Kind)? {
            Kind::Markdown => markdown::read(&text, limits.links),
            Kind::Rst => rst::read(&text, limits.links),
            Kind::Html => page::html(&text, limits.links),
            Kind::Text => page::plain(&text, limits.links),
        };
        drop(text);
        let mut parsed = self.document(&found.path, content, limits)?;
        parsed.bytes = found.bytes;
        parsed.notes.extend(doubt);
        Ok(parsed)
    }

    fn document(&self, path: &str, content: Content, limits: &Limits) -> Result<Parsed, Reason> {
        let Content { fields, about, blocks, links } = content;
        let mut parsed = Parsed {
            path: path.to_owned(),
            source_key: path.to_owned(),
            space_key: self.space(path, &fields),
            title: title(path, &fields, &blocks),
            ..Parsed::default()
        };
        parsed.url = fields.first(&["url", "permalink", "canonical"]).and_then(links::web);
        parsed.author =
            fields.first(&["author", "authors"]).and_then(|author| visible_line(author, AUTHOR_CHARS));
        if let Some(written) = fields.first(&["date", "created", "published", "pubdate"]) {
            parsed.written = date::parse(written);
            if parsed.written.is_none() {
                parsed.notes.push(format!("`{}` is not a date that is understood", one_line(written, 40)));
            }
        }
        let mut chunker = Chunker::new(limits);
        if let Some(about) = about {
            chunker.section(&format!("About {}", parsed.title), None);
            chunker.push(Block::Text(about));
            chunker.section("", None);
        }
        let preamble = thread_preamble(&fields, &blocks);
        for (index, block) in blocks.into_iter().enumerate() {
            if chunker.is_full() {
                break;
            }
            if index < preamble && !matches!(block, Block::Heading { .. }) {
                continue;
            }
            if let Block::Heading { text, .. } = &block {
                // The title above its own text says nothing new.
                if index == 0 && one_line(text, TITLE_CHARS) == parsed.title {
                    continue;
                }
                if let Some(author) = post_author(text) {
                    chunker.set_author(visible_line(author, AUTHOR_CHARS));
                }
            }
            chunker.push(block);
        }
        let (chunks, cut) = chunker.finish();
        if cut {
            parsed.notes.push(format!("only its first {} chunks are kept", limits.chunks));
        }
        if chunks.is_empty() {
            return Err(Reason::Empty);
        }
        parsed.chunks = chunks;
        let mut kept = Links::new(limits.links);
        for target in &links {
            if let Some(link) = self.link(path, target) {
                kept.add(link);
            }
        }
        parsed.links = kept.into_list();
        Ok(parsed)
    }

    fn space(&self, path: &str, fields: &FrontMatter) -> String {
        let category = match self.space_from {
            SpaceFrom::Folder => None,
            SpaceFrom::Category => {
                fields.first(&["category", "categories"]).and_then(|category| visible_line(category, 80))
            }
        };
        category.unwrap_or_else(|| path.split_once('/').map_or(ROOT, |(folder, _)| folder).to_owned())
    }

    /// A link as a document keeps it: another page's path, or a web address.
    fn link(&self, path: &str, target: &str) -> Option<String> {
        if let Some(web) = links::web(target) {
            return Some(web);
        }
        // `pep:8` is what the reStructuredText role of that name refers to.
        if let Some(number) = target.strip_prefix("pep:") {
            let number: u32 = number.parse().ok()?;
            let page = links::relative(path, &format!("pep-{number:04}.rst"));
            let known = page.filter(|page| self.paths.contains(page));
            return Some(known.unwrap_or_else(|| format!("https://peps.python.org/pep-{number:04}/")))
                .filter(|link| link != path);
        }
        let page = links::relative(path, target)?;
        // A book's sources link to the pages that will be made of them.
        let stem = page.strip_suffix(".html").or_else(|| page.strip_suffix(".htm"));
        let sources =
            stem.into_iter().flat_map(|stem| ["md", "rst"].map(|extension| format!("{stem}.{extension}")));
        std::iter::once(page.clone()).chain(sources).find(|page| page != path && self.paths.contains(page))
    }
}

/// The front matter's title; else the first heading of the highest level; else the slug or the file's name.
///
/// Where several headings stand at that level, as in a form with fixed sections, or others before it, it names the page
/// only if it shares a word with the file's name, or that says nothing either (`README.md`).
fn title(path: &str, fields: &FrontMatter, blocks: &[Block]) -> String {
    if let Some(title) = fields.title().and_then(|title| visible_line(&title, TITLE_CHARS)) {
        return title;
    }
    let headings = || {
        blocks.iter().filter_map(|block| match block {
            Block::Heading { level, text } => Some((*level, text.as_str())),
            Block::Text(_) | Block::Code(_) => None,
        })
    };
    let highest = headings().map(|(level, _)| level).min();
    let mut top = headings().filter(|(level, _)| Some(*level) == highest).map(|(_, text)| text);
    let leads = headings().next().map(|(level, _)| level) == highest;
    let (first, only) = (top.next(), leads && top.next().is_none());
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let stem =
        fields.first(&["slug"]).filter(|slug| visible_line(slug, TITLE_CHARS).is_some()).unwrap_or(stem);
    let says_nothing = PLAIN_NAMES.iter().any(|plain| plain.eq_ignore_ascii_case(stem));
    let names_the_page = |heading: &String| only || says_nothing || share_a_word(heading, stem);
    first
        .and_then(|heading| visible_line(heading, TITLE_CHARS))
        .filter(names_the_page)
        .or_else(|| visible_line(&stem.replace(['-', '_', '+'], " "), TITLE_CHARS))
        .unwrap_or_else(|| "Untitled".to_owned())
}

/// What people see of a text, in one line of at most `most` characters; `None` if that is nothing.
fn visible_line(text: &str, most: usize) -> Option<String> {
    Some(one_line(&invisible::clean(text), most)).filter(|line| !line.is_empty())
}

/// Whether a word of one text begins a word of the other, as `slice` begins `slices`.
fn share_a_word(one: &str, other: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().nth(2).is_some());
        words.take(50).map(str::to_lowercase).collect()
    };
    let others = words(other);
    words(one)
        .iter()
        .any(|word| others.iter().any(|other| word.starts_with(other) || other.starts_with(word.as_str())))
}

/// How many blocks stand before the first post of an exported thread, if they only repeat what its fields say: number,
/// date, address. As a passage they would answer any question about the title, and say nothing.
fn thread_preamble(fields: &FrontMatter, blocks: &[Block]) -> usize {
    let is_post = |block: &Block| matches!(block, Block::Heading { text, .. } if post_author(text).is_some());
    let before = blocks.iter().take_while(|block| !is_post(block));
    let chars = |block: &Block| match block {
        Block::Text(text) | Block::Code(text) => text.chars().count(),
        Block::Heading { .. } => 0,
    };
    let (count, length) = before.fold((0, 0), |(count, length), block| (count + 1, length + chars(block)));
    if count < blocks.len() && length <= PREAMBLE_CHARS && fields.title().is_some() { count } else { 0 }
}

/// Whose post follows a heading such as `Post #3 by @alice (2019-01-04 15:59 UTC)`, as exported threads have them.
fn post_author(heading: &str) -> Option<&str> {
    let rest = heading.trim().strip_prefix("Post ")?;
    let rest = rest.strip_prefix('#').unwrap_or(rest);
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(" by ")?;
    let name = rest.split_whitespace().next()?;
    Some(name.strip_prefix('@').unwrap_or(name)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
