//! An export that was listed and can be read file by file, in a fixed order.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::discourse::Topics;
use crate::entry::{Entry, Parsed, Reason, Rejected, Stored};
use crate::error::Error;
use crate::folder::Pages;
use crate::limits::Limits;
use crate::walk::{self, Found, Item, Naming};

/// How the files of an export are read.
#[derive(Debug)]
pub(crate) enum Format {
    /// Topics of a Discourse forum.
    Discourse(Topics),
    /// A folder of pages.
    Folder(Pages),
}

impl Format {
    fn naming(&self) -> &dyn Naming {
        match self {
            Self::Discourse(topics) => topics,
            Self::Folder(pages) => pages,
        }
    }

    fn parse(&self, found: &Found, bytes: Vec<u8>, limits: &Limits) -> Result<Parsed, (Reason, Stored)> {
        match self {
            Self::Discourse(topics) => topics.parse(found, bytes, limits),
            Self::Folder(pages) => {
                pages.parse(found, bytes, limits).map_err(|why| (why, self.naming().stored(&found.path)))
            }
        }
    }
}

/// An export, listed but not yet read. Reading blocks on the disk and the processor.
#[derive(Debug)]
pub struct Export {
    items: Vec<Item>,
    format: Format,
    limits: Limits,
}

impl Export {
    pub(crate) fn open(dir: &Path, limits: &Limits, format: Format) -> Result<Self, Error> {
        let mut items = walk::walk(dir, limits, format.naming())?;
        let format = match format {
            Format::Discourse(mut topics) => {
                let mut rest = Vec::with_capacity(items.len());
                for item in items {
                    let is_told = match &item {
                        Item::File(found) => topics.learn_categories(found, limits)?,
                        Item::Rejected(_) => false,
                    };
                    if !is_told {
                        rest.push(item);
                    }
                }
                items = rest;
                Format::Discourse(topics)
            }
            Format::Folder(mut pages) => {
                pages.know(items.iter().filter_map(|item| match item {
                    Item::File(found) => Some(found.path.clone()),
                    Item::Rejected(_) => None,
                }));
                Format::Folder(pages)
            }
        };
        Ok(Self { items, format, limits: limits.clone() })
    }

    /// How many files there are, those included that cannot be taken.
    pub fn files(&self) -> usize {
        self.items.len()
    }

    /// Bytes of the files that will be read.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(file_bytes).sum()
    }

    pub(crate) fn bytes_of(&self, index: usize) -> u64 {
        self.items.get(index).map_or(0, file_bytes)
    }

    /// Reads one file, from 0 in the order of the paths. A defect of a parser is told as such and stops nothing.
    pub(crate) fn entry(&self, index: usize) -> Option<Entry> {
        let found = match self.items.get(index)? {
            Item::Rejected(rejected) => return Some(Entry::Rejected(rejected.clone())),
            Item::File(found) => found,
        };
        let parsed = catch_unwind(AssertUnwindSafe(|| {
            let bytes = walk::read(&found.full, self.limits.file_bytes)
                .map_err(|why| (why, self.format.naming().stored(&found.path)))?;
            self.format.parse(found, bytes, &self.limits)
        }));
        let parsed =
            parsed.unwrap_or_else(|_| Err((Reason::Defect, self.format.naming().stored(&found.path))));
        Some(match parsed {
            Ok(parsed) => Entry::Read(Box::new(parsed)),
            Err((why, stored)) => Entry::Rejected(Rejected { path: found.path.clone(), why, stored }),
        })
    }

    /// Reads every file. Of two files with the same source key the first counts.
    pub fn entries(&self) -> Entries<'_> {
        Entries { export: self, next: 0, taken: HashMap::new() }
    }
}

fn file_bytes(item: &Item) -> u64 {
    match item {
        Item::File(found) => found.bytes,
        Item::Rejected(_) => 0,
    }
}

/// See [`Export::entries`].
#[derive(Debug)]
pub struct Entries<'a> {
    export: &'a Export,
    next: usize,
    taken: HashMap<String, String>,
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let entry = self.export.entry(self.next)?;
        self.next += 1;
        let Entry::Read(parsed) = entry else { return Some(entry) };
        if let Some(of) = self.taken.get(&parsed.source_key) {
            let why = Reason::Duplicate { of: of.clone() };
            return Some(Entry::Rejected(Rejected { path: parsed.path, why, stored: Stored::Gone }));
        }
        self.taken.insert(parsed.source_key.clone(), parsed.path.clone());
        Some(Entry::Read(parsed))
    }
}
