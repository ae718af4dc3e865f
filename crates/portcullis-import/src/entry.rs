//! What a reader gives for each file: a parsed document, or why there is none.

use std::fmt;

use jiff::Timestamp;
use portcullis_core::unseen::visible_line;
use portcullis_store::Chunk;
use ring::digest;
use serde::{Serialize, Serializer};

/// One file of an export, read or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A document.
    Read(Box<Parsed>),
    /// A file, or a whole folder, that was not taken.
    Rejected(Rejected),
}

/// A document as its file tells it, not yet bound to a space of the community.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// The file's path below the imported folder, with `/` between its parts.
    pub path: String,
    /// Its name within the source: the topic's id, or the path.
    pub source_key: String,
    /// What maps to a space: `category-10`, the top-level folder, or the front matter's category.
    pub space_key: String,
    /// The name people know the category by, if the export tells it.
    pub space_name: Option<String>,
    /// The export says that only some people may read this category: `--open` does not open it.
    pub restricted: bool,
    /// The title.
    pub title: String,
    /// Where people read it.
    pub url: Option<String>,
    /// Who wrote it, or began the thread.
    pub author: Option<String>,
    /// When it was written.
    pub written: Option<Timestamp>,
    /// What it says.
    pub chunks: Vec<Chunk>,
    /// Source keys of what it links to within the export, and `http` and `https` addresses of the rest; each once,
    /// in the order of the text.
    pub links: Vec<String>,
    /// Authors of the thread who were staff, each once. Their chunks' headings say so too.
    pub staff: Vec<String>,
    /// The chunk at which the accepted answer begins. Its heading says so too.
    pub accepted: Option<usize>,
    /// Bytes of the file.
    pub bytes: u64,
    /// What was left out or read with a doubt, for the report.
    pub notes: Vec<String>,
}

impl Parsed {
    /// SHA-256 of everything the store keeps of the document but its space. Counters of views and likes, which change
    /// with every export, are no part of it.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Fingerprint::new();
        hash.text(&self.source_key);
        hash.text(&self.title);
        hash.optional(self.url.as_deref());
        hash.optional(self.author.as_deref());
        hash.optional(self.written.map(|written| written.to_string()).as_deref());
        hash.length(self.chunks.len());
        for chunk in &self.chunks {
            hash.text(&chunk.heading);
            hash.optional(chunk.author.as_deref());
            hash.text(&chunk.text);
        }
        hash.length(self.links.len());
        for link in &self.links {
            hash.text(link);
        }
        hash.finish()
    }

    /// Bytes of text held in memory, near enough.
    pub(crate) fn weight(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.text.len() + chunk.heading.len() + 64).sum();
        chunks + self.links.iter().map(|link| link.len() + 24).sum::<usize>() + 256
    }
}

/// A hash over fields, each with its length before it, so that no two lists of fields look the same.
struct Fingerprint(digest::Context);

impl Fingerprint {
    fn new() -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"portcullis import 1\n");
        Self(context)
    }

    fn length(&mut self, length: usize) {
        self.0.update(&(length as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.update(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.0.update(&[u8::from(text.is_some())]);
        self.text(text.unwrap_or_default());
    }

    fn finish(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        bytes
    }
}

/// A file or folder that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its path below the imported folder; bytes that are no UTF-8 stand as `\xNN`.
    pub path: String,
    /// Why.
    pub why: Reason,
    /// What an earlier import may have stored of it.
    pub stored: Stored,
}

/// What becomes of documents that an earlier import made of a file that is not taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Nothing is kept: the file was withdrawn, or never was a document.
    Gone,
    /// The document with that source key stays as it is: the file is there, only not readable now.
    Key(String),
    /// Every document whose source key starts with this stays as it is: a folder that was not looked into.
    Prefix(String),
    /// It cannot be told which documents the missing part held: nothing is removed in this run.
    Unknown,
}

/// Why a file was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Not a kind of file that this import reads.
    Kind,
    /// Its name starts with a dot.
    Hidden,
    /// A symbolic link; links are never followed.
    Link,
    /// A pipe, socket or device; they are never opened.
    Special,
    /// Its name is not UTF-8, or too long.
    Name,
    /// Below more folders than the limit.
    Deep {
        /// The limit.
        limit: usize,
    },
    /// Larger than the limit.
    Large {
        /// The file's size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// With it, more bytes would be read in all than the limit.
    Budget {
        /// The limit.
        limit: u64,
    },
    /// The limit of files was reached: neither it nor any file after it was looked at.
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The operating system refused to read it.
    Unreadable {
        /// The system's kind of error.
        kind: std::io::ErrorKind,
    },
    /// Not text.
    Binary,
    /// JSON that ends early or is not JSON.
    Json {
        /// What is wrong, without any content.
        what: &'static str,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// JSON that nests deeper than the limit.
    Nested {
        /// The limit.
        limit: usize,
    },
    /// JSON, but not a topic.
    NotATopic,
    /// Another file is the same topic.
    Duplicate {
        /// The file that was taken.
        of: String,
    },
    /// Nobody but those it was meant for may read it: a private message, an unlisted or deleted topic.
    Withheld {
        /// What it is.
        what: &'static str,
    },
    /// No text in it.
    Empty,
    /// The file changed while it was imported.
    Changed,
    /// A defect of the importer: it gave up on this file and went on.
    Defect,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => f.write_str("not a kind of file that this import reads"),
            Self::Hidden => f.write_str("hidden: its name starts with a dot"),
            Self::Link => f.write_str("a symbolic link; links are not followed"),
            Self::Special => f.write_str("not a regular file; pipes, sockets and devices are not opened"),
            Self::Name => f.write_str("its name is not UTF-8 or too long; rename it"),
            Self::Deep { limit } => write!(f, "more than {limit} folders deep"),
            Self::Large { bytes, limit } => write!(f, "{bytes} bytes, at most {limit} are read"),
            Self::Budget { limit } => write!(f, "with it more than {limit} bytes would be read in all"),
            Self::TooMany { limit } => {
                write!(
                    f,
                    "the limit of {limit} files was reached: it and all files after it were not looked at"
                )
            }
            Self::Unreadable { kind } => write!(f, "cannot be read: {kind}"),
            Self::Binary => f.write_str("not text"),
            Self::Json { what, line, column } => write!(f, "{what} at line {line} column {column}"),
            Self::Nested { limit } => write!(f, "its JSON nests deeper than {limit}"),
            Self::NotATopic => f.write_str("JSON, but not a topic as Discourse serves it at /t/ID.json"),
            Self::Duplicate { of } => write!(f, "the same topic as `{}`", visible_line(of)),
            Self::Withheld { what } => f.write_str(what),
            Self::Empty => f.write_str("no text in it"),
            Self::Changed => f.write_str("it changed while it was imported; run the import again"),
            Self::Defect => f.write_str("the importer failed on it; please report the file"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_store::Chunk;

    use super::Parsed;

    #[test]
    fn moving_text_between_fields_changes_the_fingerprint() {
        let chunk =
            |heading: &str, text: &str| Chunk { heading: heading.into(), author: None, text: text.into() };
        let one = Parsed { chunks: vec![chunk("a", "bc")], ..Parsed::default() };
        let other = Parsed { chunks: vec![chunk("ab", "c")], ..Parsed::default() };
        assert_ne!(one.fingerprint(), other.fingerprint());
        let noted = Parsed { notes: vec!["seen".into()], bytes: 7, ..one.clone() };
        assert_eq!(one.fingerprint(), noted.fingerprint());
    }
}
