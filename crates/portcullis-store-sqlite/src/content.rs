//! The content port: documents, their chunks, their links, and the full-text index that goes with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_core::{Action, DocumentId, Scope, SpaceId};
use portcullis_store::{
    Chunk, Content, Document, DocumentText, Kind, NewDocument, Passage, PutOutcome, Query, Result,
    SourceEntry,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;
use crate::search::{self, terms};
use crate::stores::Engine;
use crate::value::{document_list, micros, optional_time, space_list};

/// How far a document's id is shifted to make room for the place of a chunk in it.
pub(crate) const CHUNK_BITS: u32 = 20;
const CHUNKS: i64 = 1 << CHUNK_BITS;

#[async_trait]
impl Content for Engine {
    async fn put(&self, scope: &Scope, documents: Vec<NewDocument>) -> Result<Vec<PutOutcome>> {
        self.put_documents(scope, documents).await.map_err(|fault| fault.at("content.put"))
    }

    async fn source(&self, scope: &Scope, source: &str) -> Result<BTreeMap<String, SourceEntry>> {
        self.source_entries(scope, source).await.map_err(|fault| fault.at("content.source"))
    }

    async fn remove(&self, scope: &Scope, documents: &[DocumentId]) -> Result<usize> {
        self.remove_documents(scope, documents).await.map_err(|fault| fault.at("content.remove"))
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Passage>> {
        self.search_passages(scope, query).await.map_err(|fault| fault.at("content.search"))
    }

    async fn document(&self, scope: &Scope, document: DocumentId) -> Result<Document> {
        self.read_document(scope, document).await.map_err(|fault| fault.at("content.document"))
    }

    async fn titles(&self, scope: &Scope, documents: &[DocumentId]) -> Result<BTreeMap<DocumentId, String>> {
        self.read_titles(scope, documents).await.map_err(|fault| fault.at("content.titles"))
    }
}

impl Engine {
    async fn put_documents(&self, scope: &Scope, new: Vec<NewDocument>) -> Result<Vec<PutOutcome>, Fault> {
        let community = self.allowed(scope, Action::WriteContent).await?;
        let new: Vec<(DocumentId, NewDocument)> =
            new.into_iter().map(|document| (DocumentId::new(&*self.clock), document)).collect();
        let write = community.db.write(move |conn| new.iter().map(|(id, new)| put(conn, *id, new)).collect());
        write.await
    }

    async fn source_entries(
        &self,
        scope: &Scope,
        source: &str,
    ) -> Result<BTreeMap<String, SourceEntry>, Fault> {
        let community = self.allowed(scope, Action::WriteContent).await?;
        let source = source.to_owned();
        let read = community.db.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT source_key, documents.uuid, fingerprint, spaces.uuid
                 FROM documents JOIN spaces ON spaces.id = space WHERE source = ?",
            )?;
            let rows = statement.query_map([source], |row| {
                let entry = SourceEntry {
                    document: DocumentId::from_bytes(row.get(1)?),
                    fingerprint: row.get(2)?,
                    space: SpaceId::from_bytes(row.get(3)?),
                };
                Ok((row.get(0)?, entry))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        });
        read.await
    }

    async fn remove_documents(&self, scope: &Scope, documents: &[DocumentId]) -> Result<usize, Fault> {
        let community = self.allowed(scope, Action::WriteContent).await?;
        let documents = documents.to_vec();
        let write = community.db.write(move |conn| {
            let mut removed = 0;
            for document in documents {
                removed += remove(conn, document)?;
            }
            Ok(removed)
        });
        write.await
    }

    async fn search_passages(&self, scope: &Scope, query: &Query) -> Result<Vec<Passage>, Fault> {
        let community = self.communities.of_scope(scope.community()).await?;
        let spaces = scope.spaces().to_vec();
        let terms = terms::of_query(&query.text);
        let limit = query.limit.clamp(1, search::MOST_PASSAGES);
        let memory = Arc::clone(&community.search);
        community.db.read(move |conn| search::passages(conn, &memory, &spaces, &terms, limit)).await
    }

    async fn read_document(&self, scope: &Scope, document: DocumentId) -> Result<Document, Fault> {
        let community = self.communities.of_scope(scope.community()).await?;
        let spaces = space_list(scope.spaces());
        community.db.read(move |conn| read(conn, document, &spaces)).await
    }

    async fn read_titles(
        &self,
        scope: &Scope,
        documents: &[DocumentId],
    ) -> Result<BTreeMap<DocumentId, String>, Fault> {
        let community = self.communities.of_scope(scope.community()).await?;
        let (documents, spaces) = (document_list(documents), space_list(scope.spaces()));
        let read = community.db.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT documents.uuid, title FROM documents JOIN spaces ON spaces.id = space
                 WHERE documents.uuid IN (SELECT unhex(value) FROM json_each(?))
                   AND spaces.uuid IN (SELECT unhex(value) FROM json_each(?))",
            )?;
            let rows = statement.query_map([&documents, &spaces], |row| {
                Ok((DocumentId::from_bytes(row.get(0)?), row.get(1)?))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        });
        read.await
    }
}

pub(crate) fn put(conn: &Connection, id: DocumentId, new: &NewDocument) -> Result<PutOutcome, Fault> {
    if i64::try_from(new.text.chunks.len()).is_ok_and(|chunks| chunks > CHUNKS) {
        return Err(Fault::because(Kind::Invalid, format!("a document has at most {CHUNKS} chunks")));
    }
    let space: i64 = conn
        .prepare_cached("SELECT id FROM spaces WHERE uuid = ?")?
        .query_row([new.space.as_bytes()], |row| row.get(0))
        .optional()?
        .ok_or_else(|| Fault::because(Kind::Invalid, "no space has that id: create it first"))?;
    let present = conn
        .prepare_cached("SELECT id, fingerprint, space FROM documents WHERE source = ? AND source_key = ?")?
        .query_row([&new.source, &new.source_key], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?, row.get::<_, i64>(2)?))
        })
        .optional()?;
    let chunks = i64::try_from(new.text.chunks.len()).unwrap_or(CHUNKS);
    match present {
        Some((row, fingerprint, _)) if fingerprint != new.fingerprint => {
            // The index goes first: it is cleared with the text and the title as they still stand.
            remove_text(conn, row)?;
            conn.prepare_cached(
                "UPDATE documents SET space = ?, fingerprint = ?, title = ?, url = ?, author = ?, written = ?,
                                      chunks = ?
                 WHERE id = ?",
            )?
            .execute(params![
                space,
                new.fingerprint,
                new.title,
                new.url,
                new.author,
                new.written.map(micros),
                chunks,
                row
            ])?;
            write_text(conn, row, new)?;
            Ok(PutOutcome::Changed)
        }
        Some((row, _, present)) if present != space => {
            conn.prepare_cached("UPDATE documents SET space = ? WHERE id = ?")?.execute([space, row])?;
            Ok(PutOutcome::Changed)
        }
        Some(_) => Ok(PutOutcome::Unchanged),
        None => {
            conn.prepare_cached(
                "INSERT INTO documents
                     (uuid, space, source, source_key, fingerprint, title, url, author, written, chunks)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                id.as_bytes(),
                space,
                new.source,
                new.source_key,
                new.fingerprint,
                new.title,
                new.url,
                new.author,
                new.written.map(micros),
                chunks,
            ])?;
            write_text(conn, conn.last_insert_rowid(), new)?;
            Ok(PutOutcome::Added)
        }
    }
}

fn write_text(conn: &Connection, document: i64, new: &NewDocument) -> Result<(), Fault> {
    let mut insert =
        conn.prepare_cached("INSERT INTO chunks (id, heading, author, text, parts) VALUES (?, ?, ?, ?, ?)")?;
    for (id, chunk) in (document << CHUNK_BITS..).zip(&new.text.chunks) {
        let title = if id & (CHUNKS - 1) == 0 { new.title.as_str() } else { "" };
        let parts = terms::identifier_parts(&[title, &chunk.heading, &chunk.text]);
        insert.execute(params![id, chunk.heading, chunk.author, chunk.text, parts])?;
    }
    conn.prepare_cached(
        "INSERT INTO search (rowid, title, heading, text, parts)
         SELECT id, title, heading, text, parts FROM indexed WHERE id BETWEEN ? AND ?",
    )?
    .execute(chunk_range(document))?;
    let mut link =
        conn.prepare_cached("INSERT INTO links (document, target) VALUES (?, ?) ON CONFLICT DO NOTHING")?;
    for target in &new.links {
        link.execute(params![document, target])?;
    }
    Ok(())
}

/// Removes a document with all that was made of it; the number removed, 0 or 1.
pub(crate) fn remove(conn: &Connection, document: DocumentId) -> Result<usize, Fault> {
    let row = conn
        .prepare_cached("SELECT id FROM documents WHERE uuid = ?")?
        .query_row([document.as_bytes()], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(row) = row else { return Ok(0) };
    remove_text(conn, row)?;
    Ok(conn.prepare_cached("DELETE FROM documents WHERE id = ?")?.execute([row])?)
}

fn remove_text(conn: &Connection, document: i64) -> Result<(), Fault> {
    // The index is told what it holds, read from where it was read when it was indexed.
    conn.prepare_cached(
        "INSERT INTO search (search, rowid, title, heading, text, parts)
         SELECT 'delete', id, title, heading, text, parts FROM indexed WHERE id BETWEEN ? AND ?",
    )?
    .execute(chunk_range(document))?;
    conn.prepare_cached("DELETE FROM chunks WHERE id BETWEEN ? AND ?")?.execute(chunk_range(document))?;
    conn.prepare_cached("DELETE FROM links WHERE document = ?")?.execute([document])?;
    Ok(())
}

const fn chunk_range(document: i64) -> [i64; 2] {
    [document << CHUNK_BITS, document << CHUNK_BITS | (CHUNKS - 1)]
}

fn read(conn: &Connection, document: DocumentId, spaces: &str) -> Result<Document, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT documents.id, spaces.uuid, title, url, author, written
         FROM documents JOIN spaces ON spaces.id = space
         WHERE documents.uuid = ? AND spaces.uuid IN (SELECT unhex(value) FROM json_each(?))",
    )?;
    let mut rows = statement.query(params![document.as_bytes(), spaces])?;
    let row = rows.next()?.ok_or(Fault::new(Kind::NotFound))?;
    let mut chunks =
        conn.prepare_cached("SELECT heading, author, text FROM chunks WHERE id BETWEEN ? AND ? ORDER BY id")?;
    let chunks = chunks.query_map(chunk_range(row.get(0)?), |row| {
        Ok(Chunk { heading: row.get(0)?, author: row.get(1)?, text: row.get(2)? })
    })?;
    Ok(Document {
        id: document,
        space: SpaceId::from_bytes(row.get(1)?),
        title: row.get(2)?,
        url: row.get(3)?,
        author: row.get(4)?,
        written: optional_time(row.get(5)?)?,
        text: DocumentText { chunks: chunks.collect::<Result<_, _>>()? },
    })
}

#[cfg(test)]
mod tests {
    use portcullis_core::{DocumentId, SpaceId};
    use portcullis_store::{Chunk, DocumentText, NewDocument};
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::{put, remove};
    use crate::file::start_engine;
    use crate::schema::COMMUNITY;

    fn open() -> Connection {
        start_engine();
        let mut conn = Connection::open_in_memory().expect("it opens");
        COMMUNITY.migrate(&mut conn).expect("the schema is created");
        conn.execute(
            "INSERT INTO spaces (uuid, slug, name, access) VALUES (zeroblob(16), 's', 'S', 'staff')",
            [],
        )
        .expect("a space");
        conn
    }

    fn document(key: u8, title: &str, chunks: &[String]) -> NewDocument {
        let mut fingerprint = [0; 32];
        for (slot, byte) in fingerprint.iter_mut().zip(title.bytes().chain(chunks.concat().bytes())) {
            *slot = byte;
        }
        NewDocument {
            space: SpaceId::from_bytes([0; 16]),
            source: "test".to_owned(),
            source_key: key.to_string(),
            fingerprint,
            title: title.to_owned(),
            url: None,
            author: None,
            written: None,
            text: DocumentText {
                chunks: chunks
                    .iter()
                    .map(|text| Chunk { heading: title.to_owned(), author: None, text: text.clone() })
                    .collect(),
            },
            links: chunks.to_vec(),
        }
    }

    fn number(conn: &Connection, sql: &str) -> i64 {
        conn.query_row(sql, [], |row| row.get(0)).expect("it counts")
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_index_holds_exactly_what_the_documents_say(
            puts in proptest::collection::vec(
                (0..4u8, "[a-zA-Z0-9é\u{301} \u{0}\"]{0,20}", proptest::collection::vec(any::<String>(), 0..4)),
                1..12,
            ),
        ) {
            let conn = open();
            for (at, (key, title, chunks)) in puts.iter().enumerate() {
                let id = DocumentId::from_bytes([u8::try_from(at).expect("few"); 16]);
                put(&conn, id, &document(*key, title, chunks)).expect("it is stored");
                // Compares every word of the index with the text it was made from.
                conn.execute("INSERT INTO search (search, rank) VALUES ('integrity-check', 1)", [])
                    .expect("the index is whole");
            }
            for at in 0..puts.len() {
                let id = DocumentId::from_bytes([u8::try_from(at).expect("few"); 16]);
                remove(&conn, id).expect("it is removed");
            }
            prop_assert_eq!(number(&conn, "SELECT count(*) FROM documents"), 0);
            conn.execute_batch("CREATE VIRTUAL TABLE words USING fts5vocab (search, 'row')").expect("it is created");
            prop_assert_eq!(number(&conn, "SELECT count(*) FROM words"), 0, "words stay behind");
            prop_assert_eq!(number(&conn, "SELECT count(*) FROM chunks"), 0);
            prop_assert_eq!(number(&conn, "SELECT count(*) FROM links"), 0);
        }
    }
}
