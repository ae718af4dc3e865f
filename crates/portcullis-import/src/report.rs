//! What an import did, for people and for programs.

use std::fmt;

use portcullis_core::unseen::visible_line;
use portcullis_store::Space;
use serde::Serialize;

use crate::entry::Reason;

/// The most lines of one kind that are shown to people; programs get all.
const MOST_SHOWN: usize = 200;

/// What an import did.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// The name of the source in the store.
    pub source: String,
    /// Files that were looked at.
    pub files: u64,
    /// Documents that are new.
    pub added: u64,
    /// Documents that replaced an earlier form of themselves, or moved to another space.
    pub changed: u64,
    /// Documents that are as they were.
    pub unchanged: u64,
    /// Documents that are no longer in the export and were removed.
    pub removed: u64,
    /// Stored documents that stay although they could not be read this time.
    pub kept: u64,
    /// Links of the documents that were written.
    pub links: u64,
    /// Chunks of the documents that were written.
    pub chunks: u64,
    /// Bytes of the files that were read.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// The spaces that documents are in.
    pub spaces: Vec<SpaceLine>,
    /// The spaces that the import created, for who records it.
    #[serde(skip)]
    pub created: Vec<Space>,
    /// Every file and folder that was not taken.
    pub rejected: Vec<Left>,
    /// What was left out of files that were taken, or read with a doubt.
    pub notes: Vec<Note>,
}

/// A space of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpaceLine {
    /// Its short name.
    pub space: String,
    /// Who may read it, in words.
    pub readers: String,
    /// Whether the import created it.
    pub created: bool,
    /// The documents of the export that are in it.
    pub documents: u64,
}

/// A file or folder that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Its path below the folder.
    pub path: String,
    /// Why.
    pub why: Reason,
}

/// Something to know about a file that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Its path below the folder.
    pub path: String,
    /// What.
    pub what: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} files, {:.1} MB in {:.1} s: {} added, {} changed, {} unchanged, {} removed, {} not taken",
            self.files,
            self.bytes_in_mb(),
            self.seconds,
            self.added,
            self.changed,
            self.unchanged,
            self.removed,
            self.rejected.len()
        )?;
        if self.chunks > 0 {
            writeln!(f, "written: {} chunks, {} links", self.chunks, self.links)?;
        }
        if self.kept > 0 {
            writeln!(f, "{} stored documents stay although they could not be read this time", self.kept)?;
        }
        for line in &self.spaces {
            let created = if line.created { "created, " } else { "" };
            writeln!(f, "  {}: {} documents, {created}open to {}", line.space, line.documents, line.readers)?;
        }
        let left = self.rejected.iter().map(|left| (&left.path, left.why.to_string()));
        list(f, "not taken", self.rejected.len(), left)?;
        list(f, "to know", self.notes.len(), self.notes.iter().map(|note| (&note.path, note.what.clone())))
    }
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "a size that people read, with one decimal")]
    fn bytes_in_mb(&self) -> f64 {
        self.bytes as f64 / 1e6
    }
}

fn list<'a>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    count: usize,
    lines: impl Iterator<Item = (&'a String, String)>,
) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    writeln!(f, "{title}:")?;
    for (path, what) in lines.take(MOST_SHOWN) {
        writeln!(f, "  {}: {}", visible_line(path), visible_line(&what))?;
    }
    match count.checked_sub(MOST_SHOWN) {
        Some(more) if more > 0 => writeln!(f, "  and {more} more"),
        _ => Ok(()),
    }
}
