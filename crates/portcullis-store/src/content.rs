//! Documents and full-text search.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{DocumentId, Scope, SpaceId};

use crate::Result;

/// What a document says, in pieces that recall can quote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DocumentText {
    /// Plain text of at most about 1,200 characters each, in reading order: paragraphs of one section, or one post.
    pub chunks: Vec<Chunk>,
}

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunk {
    /// The heading it stands under, or whose post it is; empty if neither.
    pub heading: String,
    /// Who wrote it, where that differs within the document, as in a thread.
    pub author: Option<String>,
    /// The plain text.
    pub text: String,
}

/// A document on its way into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDocument {
    /// The space it belongs to.
    pub space: SpaceId,
    /// Which import brings it, such as `discourse` or `folder:handbook`.
    pub source: String,
    /// Its name within the source, stable from import to import: a topic id, a relative path.
    pub source_key: String,
    /// SHA-256 of everything the document is made of, so that an unchanged one is not written again.
    pub fingerprint: [u8; 32],
    /// Its title.
    pub title: String,
    /// Where people read it, if anywhere.
    pub url: Option<String>,
    /// Who wrote it, or began the thread.
    pub author: Option<String>,
    /// When it was written.
    pub written: Option<Timestamp>,
    /// What it says.
    pub text: DocumentText,
    /// Source keys, or addresses, of what it links to.
    pub links: Vec<String>,
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The id that citations name.
    pub id: DocumentId,
    /// The space it belongs to.
    pub space: SpaceId,
    /// Its title.
    pub title: String,
    /// Where people read it.
    pub url: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// When it was written.
    pub written: Option<Timestamp>,
    /// What it says.
    pub text: DocumentText,
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// A new document.
    Added,
    /// The document had another fingerprint or space; its id stays.
    Changed,
    /// Nothing was written.
    Unchanged,
}

/// What the store holds of one document of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceEntry {
    /// The document.
    pub document: DocumentId,
    /// See [`NewDocument::fingerprint`].
    pub fingerprint: [u8; 32],
    /// The space it is in.
    pub space: SpaceId,
}

/// A search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What a person typed. Any text at all: operators of the engine mean nothing in it.
    pub text: String,
    /// The most passages to return, at least 1.
    pub limit: usize,
}

/// A piece of a document that answers a search, best first in a list. It carries no score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The document it is from.
    pub document: DocumentId,
    /// Which chunk of the document it is, from 0.
    pub chunk: usize,
    /// The space it is in.
    pub space: SpaceId,
    /// The document's title.
    pub title: String,
    /// Where people read the document.
    pub url: Option<String>,
    /// The chunk's heading.
    pub heading: String,
    /// The chunk's author, else the document's.
    pub author: Option<String>,
    /// The chunk's text.
    pub text: String,
}

/// Documents of the scope's community. Reads reach exactly the scope's spaces, and the filter is part of the query
/// itself: a row outside them is never fetched and dropped, and no count or score of it shows.
#[async_trait]
pub trait Content: Send + Sync + fmt::Debug {
    /// Writes documents in one transaction: all of them or none. Needs `WriteContent`. A document is recognised by
    /// source and source key. An unknown space is `Invalid`.
    async fn put(&self, scope: &Scope, documents: Vec<NewDocument>) -> Result<Vec<PutOutcome>>;

    /// What a source has brought so far, by source key. Needs `WriteContent`.
    async fn source(&self, scope: &Scope, source: &str) -> Result<BTreeMap<String, SourceEntry>>;

    /// Removes documents, with every trace in the index. Needs `WriteContent`. Unknown ids are passed over; the
    /// number removed is returned.
    async fn remove(&self, scope: &Scope, documents: &[DocumentId]) -> Result<usize>;

    /// The best passages for a search within the scope's spaces, at most two of one document, best first. What lies
    /// outside the scope does not even change their order. A document without chunks is never found.
    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Passage>>;

    /// One document, if the scope's spaces hold it; else `NotFound`, whether it exists or not.
    async fn document(&self, scope: &Scope, document: DocumentId) -> Result<Document>;

    /// The titles of those of the documents that the scope's spaces hold. The others are left out, whether they exist or
    /// not. No text is read for it.
    async fn titles(&self, scope: &Scope, documents: &[DocumentId]) -> Result<BTreeMap<DocumentId, String>>;
}
