//! Full-text search within a scope.
//!
//! The index (FTS5) says which chunks of the scope's spaces hold each word of the question; from that alone `rank`
//! makes a shortlist, whose best passages are then read. Nothing outside the scope takes part: not a row, and not a
//! count of rows either, so what a member cannot read does not even move what they can read up or down. The engine's
//! own `bm25` would, as it counts all rows.

mod rank;
mod reading;
mod spelling;
mod stem;
mod stop_words;
pub(crate) mod terms;

use std::collections::BTreeMap;

use portcullis_core::{DocumentId, SpaceId};
use portcullis_store::Passage;
use rusqlite::{Connection, params};

use crate::fault::Fault;
use rank::{Candidate, Contender, Extent, Hits, Occurrence};
use reading::{Reader, Reading};
use terms::Term;

/// The most passages one search returns.
pub(crate) const MOST_PASSAGES: usize = 50;
/// The most chunks looked at for one word: the first in the order of ids.
const MOST_HITS: usize = 20_000;
/// The most chunks looked at in one search, which bounds its work whatever is asked.
const MOST_WORK: usize = 80_000;

/// The best passages for the terms in the spaces of the list, best first.
pub(crate) fn passages(
    conn: &Connection,
    spaces: &str,
    terms: &[Term],
    limit: usize,
) -> Result<Vec<Passage>, Fault> {
    if terms.is_empty() || spaces == "[]" {
        return Ok(Vec::new());
    }
    let extent = conn
        .prepare_cached(
            "SELECT count(*), total(chunks) FROM documents WHERE space IN (
                 SELECT id FROM spaces WHERE uuid IN (SELECT unhex(value) FROM json_each(?)))",
        )?
        .query_row([spaces], |row| {
            let documents: u32 = row.get(0)?;
            Ok(Extent { documents: documents.into(), chunks: row.get(1)? })
        })?;
    let mut hits = Vec::with_capacity(terms.len());
    let mut work = MOST_WORK;
    for term in terms {
        let chunks = occurrences(conn, &term.expression(), spaces, work.min(MOST_HITS))?;
        work -= chunks.len();
        let titles = occurrences(conn, &term.title_expression(), spaces, work.min(MOST_HITS))?;
        work -= titles.len();
        hits.push(Hits { weight: term.weight, chunks, titles });
    }
    let shortlist = rank::shortlist(extent, &hits, limit);
    let readings = readings(conn, &shortlist.contenders, terms, spaces)?;
    let mut passages = Vec::with_capacity(limit);
    for candidate in rank::order(&shortlist, &readings, limit) {
        passages.extend(passage(conn, candidate, spaces)?);
    }
    Ok(passages)
}

/// The first chunks in these spaces that match, in the order of their ids.
fn occurrences(
    conn: &Connection,
    expression: &str,
    spaces: &str,
    most: usize,
) -> Result<Vec<Occurrence>, Fault> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(
        "SELECT search.rowid, documents.chunks
         FROM search JOIN documents ON documents.id = search.rowid >> 20
         WHERE search MATCH ?1 AND documents.space IN (
             SELECT id FROM spaces WHERE uuid IN (SELECT unhex(value) FROM json_each(?2)))
         ORDER BY search.rowid LIMIT ?3",
    )?;
    let rows = statement.query_map(params![expression, spaces, most], |row| {
        Ok(Occurrence { chunk: row.get(0)?, length: row.get(1)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The passages of the shortlist, read for the words of the question.
fn readings(
    conn: &Connection,
    contenders: &[Contender],
    terms: &[Term],
    spaces: &str,
) -> Result<BTreeMap<i64, Reading>, Fault> {
    let chunks: Vec<String> =
        contenders.iter().flat_map(Contender::chunks).map(|chunk| chunk.to_string()).collect();
    let chunks = format!("[{}]", chunks.join(","));
    let mut statement = conn.prepare_cached(
        "SELECT chunks.id, chunks.text FROM json_each(?1) AS wanted
         JOIN chunks ON chunks.id = wanted.value JOIN documents ON documents.id = chunks.id >> 20
         WHERE documents.space IN (
             SELECT id FROM spaces WHERE uuid IN (SELECT unhex(value) FROM json_each(?2)))",
    )?;
    let reader = Reader::new(terms);
    let mut readings = BTreeMap::new();
    let mut rows = statement.query([chunks.as_str(), spaces])?;
    while let Some(row) = rows.next()? {
        readings.insert(row.get(0)?, reader.read(row.get_ref(1)?.as_str().unwrap_or_default(), terms.len()));
    }
    Ok(readings)
}

fn passage(conn: &Connection, candidate: Candidate, spaces: &str) -> Result<Option<Passage>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT documents.uuid, spaces.uuid, documents.title, documents.url, chunks.heading,
                coalesce(chunks.author, documents.author), chunks.text
         FROM chunks JOIN documents ON documents.id = chunks.id >> 20 JOIN spaces ON spaces.id = documents.space
         WHERE chunks.id = ?1 AND spaces.uuid IN (SELECT unhex(value) FROM json_each(?2))",
    )?;
    let mut rows = statement.query_map(params![candidate.chunk, spaces], |row| {
        Ok(Passage {
            document: DocumentId::from_bytes(row.get(0)?),
            chunk: candidate.place(),
            space: SpaceId::from_bytes(row.get(1)?),
            title: row.get(2)?,
            url: row.get(3)?,
            heading: row.get(4)?,
            author: row.get(5)?,
            text: row.get(6)?,
        })
    })?;
    Ok(rows.next().transpose()?)
}
