//! Ordinary questions and documents of communities: the exports' titles and their text, in pieces as recall gives them.
//! They calibrate and measure; nothing is trained on them.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::Context as _;

/// The title of each file, and its text in pieces.
pub(crate) struct Forum {
    pub(crate) titles: Vec<String>,
    pub(crate) pieces: Vec<String>,
}

/// The longest piece, in characters.
const PIECE: usize = 1_500;

pub(crate) fn read(packed: &[u8]) -> anyhow::Result<Forum> {
    let mut archive = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(packed)
        .context("an export is no zstd file")?
        .read_to_end(&mut archive)
        .context("an export cannot be unpacked")?;
    let mut forum = Forum { titles: Vec::new(), pieces: Vec::new() };
    for (name, text) in files(&archive) {
        let (title, body) = if name.ends_with(".json") { topic(&text)? } else { page(&name, &text) };
        forum.titles.extend(title.filter(|title| title.chars().filter(|c| c.is_alphabetic()).count() >= 3));
        forum.pieces.extend(pieces(&body));
    }
    Ok(forum)
}

/// The texts of an archive by their names.
fn files(archive: &[u8]) -> BTreeMap<String, String> {
    let field = |header: &[u8], from: usize, len: usize| -> String {
        let bytes = &header[from..from + len];
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(len);
        String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
    };
    let mut found = BTreeMap::new();
    let mut at = 0;
    while let Some(header) = archive.get(at..at + 512).filter(|header| header[0] != 0) {
        let size = usize::from_str_radix(&field(header, 124, 12), 8).unwrap_or(0);
        let name = field(header, 0, 100);
        let is_text = [".md", ".json", ".rst"].iter().any(|end| name.ends_with(end));
        if let Some(bytes) =
            archive.get(at + 512..at + 512 + size).filter(|_| is_text && matches!(header[156], 0 | b'0'))
        {
            found.insert(name, String::from_utf8_lossy(bytes).into_owned());
        }
        at += 512 + size.div_ceil(512) * 512;
    }
    found
}

#[derive(serde::Deserialize)]
struct Topic {
    title: String,
    post_stream: Posts,
}

#[derive(serde::Deserialize)]
struct Posts {
    posts: Vec<Post>,
}

#[derive(serde::Deserialize)]
struct Post {
    cooked: String,
}

fn topic(text: &str) -> anyhow::Result<(Option<String>, String)> {
    let topic: Topic = serde_json::from_str(text).context("a topic is not of the form of Discourse")?;
    let posts: Vec<String> = topic.post_stream.posts.iter().map(|post| without_tags(&post.cooked)).collect();
    Ok((Some(topic.title), posts.join("\n\n")))
}

fn page(name: &str, text: &str) -> (Option<String>, String) {
    let named = |line: &str| {
        let title = line.strip_prefix("title: ").or_else(|| line.strip_prefix("Title: "))?;
        Some(title.trim().trim_matches('"').to_owned())
    };
    let heading = |line: &str| {
        line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')).map(str::to_owned)
    };
    let title = text.lines().take(12).find_map(named).or_else(|| {
        let feature = text
            .lines()
            .find_map(|line| line.split_once("Feature Name: ").or_else(|| line.split_once("Feature name: ")));
        feature.map(|(_, name)| name.trim_matches('`').replace(['_', '-'], " "))
    });
    // A proposal without a name of its own is named by its file, a chapter by its first heading.
    let title = title.or_else(|| {
        let file = name
            .rsplit('/')
            .next()?
            .split_once('-')
            .filter(|(number, _)| number.bytes().all(|b| b.is_ascii_digit()))?;
        Some(file.1.trim_end_matches(".md").replace('-', " "))
    });
    let title = title.or_else(|| text.lines().find_map(heading));
    (title, without_tags(text))
}

fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
        match rest.find('>').filter(|end| is_tag && *end < 400) {
            Some(end) => rest = &rest[end + 1..],
            None => {
                out.push('<');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Neighbouring paragraphs together, as recall cuts documents.
fn pieces(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut piece = String::new();
    for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        if !piece.is_empty() && piece.len() + paragraph.len() > PIECE {
            found.push(std::mem::take(&mut piece));
        }
        if !piece.is_empty() {
            piece.push_str("\n\n");
        }
        piece.extend(paragraph.chars().take(4 * PIECE));
    }
    if !piece.is_empty() {
        found.push(piece);
    }
    found
}
