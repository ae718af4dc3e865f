//! Full-text search within a scope.
//!
//! The index (FTS5) says which chunks hold each word of the question. These lists are kept in memory (`memory`) for as long as
//! no document changes, numbered so that the chunks of a space stand together (`layout`): a search takes from a list what lies
//! within the scope's spaces, and from that alone `rank` makes a shortlist, whose best passages are then read. Nothing outside
//! the scope takes part: not a chunk, and not a count of chunks either, so what a member cannot read does not even move what
//! they can read up or down. The engine's own `bm25` would, as it counts all rows. What is returned is fetched by a statement
//! that is bound to the scope's spaces once more.

mod layout;
mod memory;
#[cfg(test)]
mod naive;
mod postings;
mod rank;
mod reading;
mod spelling;
mod stem;
mod stop_words;
pub(crate) mod terms;

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_core::{DocumentId, SpaceId};
use portcullis_store::Passage;
use rusqlite::{Connection, params};

use crate::content::CHUNK_BITS;
use crate::fault::Fault;
use crate::value::space_list;
use layout::{Layout, Reach};
use memory::Remembered;
pub(crate) use memory::{Budget, Memory};
use postings::{Postings, keep_first, within};
use rank::{Contender, Hits, Shortlist};
use reading::{Reader, Reading, Text};
use terms::Term;

/// The most passages one search returns.
pub(crate) const MOST_PASSAGES: usize = 50;
/// What all open files together keep in memory for searches.
pub(crate) const MEMORY_BYTES: usize = 32 << 20;

/// How much a search does at most.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The most chunks looked at for one word: the first in the order of ids.
    hits: usize,
    /// The most chunks looked at in one search, which bounds its work whatever is asked.
    work: usize,
    /// How many rows of a word are read from the index at first. It is doubled while the scope holds too few of them.
    window: usize,
}

const BOUNDS: Bounds = Bounds { hits: 20_000, work: 80_000, window: 32_768 };

/// The best passages for the terms in these spaces, best first.
pub(crate) fn passages(
    conn: &Connection,
    memory: &Memory,
    spaces: &[SpaceId],
    terms: &[Term],
    limit: usize,
) -> Result<Vec<Passage>, Fault> {
    bounded(conn, memory, spaces, terms, limit, BOUNDS)
}

fn bounded(
    conn: &Connection,
    memory: &Memory,
    spaces: &[SpaceId],
    terms: &[Term],
    limit: usize,
    bounds: Bounds,
) -> Result<Vec<Passage>, Fault> {
    if terms.is_empty() || spaces.is_empty() {
        return Ok(Vec::new());
    }
    let search = Search::begin(conn, memory)?;
    let reach = search.layout.reach(spaces);
    if reach.chunks.is_empty() {
        return Ok(Vec::new());
    }
    let mut hits = Vec::with_capacity(terms.len());
    let mut forms = Vec::new();
    let mut work = bounds.work;
    for (number, term) in terms.iter().enumerate() {
        let mut hit = Hits { weight: term.weight, chunks: Vec::new(), titles: Vec::new() };
        if work == 0 {
            // No more of the index is looked at, but the texts are read for this word too.
            forms.extend(term.forms().map(|form| (number, form)));
        } else {
            let mut found = search.forms(term, bounds.window)?;
            hit.chunks = search.occurrences(&reach, &mut found, work.min(bounds.hits), bounds.window)?;
            work -= hit.chunks.len();
            forms.extend(found.iter().map(|form| (number, form.form)));
            if work > 0 {
                let mut titles = search.titles(&found, bounds.window)?;
                hit.titles = search.occurrences(&reach, &mut titles, work.min(bounds.hits), bounds.window)?;
                work -= hit.titles.len();
            }
        }
        hits.push(hit);
    }
    let shortlist = rank::shortlist(&search.layout, reach.extent, &hits, limit);
    let readings = search.readings(&shortlist, Reader::new(terms.len(), forms.into_iter()))?;
    let chosen = rank::order(&search.layout, &shortlist, &readings, limit);
    search.passages(&chosen, spaces)
}

/// A form of a word that stands somewhere in the community.
#[derive(Debug)]
struct Form<'t> {
    form: &'t str,
    expression: String,
    list: Arc<Postings>,
}

/// A search in one state of the file.
#[derive(Debug)]
struct Search<'s> {
    conn: &'s Connection,
    remembered: Remembered<'s>,
    layout: Arc<Layout>,
}

impl<'s> Search<'s> {
    fn begin(conn: &'s Connection, memory: &'s Memory) -> Result<Self, Fault> {
        // Read in the snapshot in which everything else is read.
        let epoch = conn
            .prepare_cached("SELECT epoch FROM content_epoch WHERE id = 1")?
            .query_row([], |row| row.get(0))?;
        let remembered = memory.of(epoch);
        let layout = match remembered.layout() {
            Some(layout) => layout,
            None => {
                let layout = Arc::new(Layout::read(conn)?);
                remembered.keep_layout(&layout);
                layout
            }
        };
        Ok(Self { conn, remembered, layout })
    }

    /// The forms of a word that any chunk holds. Of the others nothing is to be found, whether the index is asked or a text.
    fn forms<'t>(&self, term: &'t Term, window: usize) -> Result<Vec<Form<'t>>, Fault> {
        let mut forms = Vec::new();
        for form in term.forms() {
            let expression = terms::expression(form);
            let list = self.postings(&expression, window)?;
            forms.extend((!list.is_empty()).then_some(Form { form, expression, list }));
        }
        Ok(forms)
    }

    /// The same in titles. A title is part of its document's first chunk, so only these forms can stand there.
    fn titles<'t>(&self, forms: &[Form<'t>], window: usize) -> Result<Vec<Form<'t>>, Fault> {
        let mut titles = Vec::with_capacity(forms.len());
        for Form { form, .. } in forms {
            let expression = terms::title_expression(form);
            let list = self.postings(&expression, window)?;
            titles.push(Form { form, expression, list });
        }
        Ok(titles)
    }

    /// The first chunks within reach that hold one of the forms, at most so many.
    fn occurrences(
        &self,
        reach: &Reach,
        forms: &mut [Form<'_>],
        most: usize,
        mut window: usize,
    ) -> Result<Vec<u32>, Fault> {
        loop {
            // Up to there each of the lists is known.
            let read_to = forms.iter().filter_map(|form| form.list.read_to()).min();
            let mut found = within(reach, forms.iter().map(|form| &*form.list));
            keep_first(&mut found, &self.layout, read_to, most);
            if read_to.is_none() || found.len() >= most {
                return Ok(found);
            }
            for Form { expression, list, .. } in forms.iter_mut() {
                if list.read_to() == read_to {
                    let longer = list.read_on(self.conn, &self.layout, expression, window)?;
                    *list = self.keep(expression, longer);
                }
            }
            window = window.saturating_mul(2);
        }
    }

    fn postings(&self, expression: &str, window: usize) -> Result<Arc<Postings>, Fault> {
        match self.remembered.postings(expression) {
            Some(list) => Ok(list),
            None => Ok(self.keep(expression, Postings::read(self.conn, &self.layout, expression, window)?)),
        }
    }

    fn keep(&self, expression: &str, list: Postings) -> Arc<Postings> {
        let list = Arc::new(list);
        self.remembered.keep_postings(expression, &list);
        list
    }

    /// What the passages of the shortlist say, in the same order.
    fn readings(&self, shortlist: &Shortlist, mut reader: Reader) -> Result<Vec<Option<Reading>>, Fault> {
        let chunks: Vec<u32> = shortlist.contenders.iter().flat_map(Contender::chunks).collect();
        let remembered = self.remembered.texts(&chunks);
        let unknown = chunks.iter().zip(&remembered).filter(|(_, text)| text.is_none());
        let unknown = unknown.map(|(chunk, _)| (*chunk, self.layout.chunk_id(*chunk))).collect();
        let fetched = self.texts(unknown)?;
        self.remembered.keep_texts(&fetched);
        let fetched: HashMap<u32, Arc<Text>> = fetched.into_iter().collect();
        let texts = chunks.iter().zip(&remembered);
        let texts = texts.map(|(chunk, text)| text.as_ref().or_else(|| fetched.get(chunk)));
        Ok(texts.map(|text| text.map(|text| reader.read(text))).collect())
    }

    /// Reads texts, in the order in which they lie in the file.
    fn texts(&self, mut chunks: Vec<(u32, i64)>) -> Result<Vec<(u32, Arc<Text>)>, Fault> {
        chunks.sort_unstable_by_key(|(_, id)| *id);
        let mut statement = self.conn.prepare_cached("SELECT text FROM chunks WHERE id = ?")?;
        let mut texts = Vec::with_capacity(chunks.len());
        for (chunk, id) in chunks {
            let mut rows = statement.query([id])?;
            if let Some(row) = rows.next()? {
                texts.push((chunk, Arc::new(Text::new(row.get_ref(0)?.as_str().unwrap_or_default()))));
            }
        }
        Ok(texts)
    }

    /// Chunks as passages, in the same order. Whatever is not in these spaces is left out.
    fn passages(&self, chunks: &[u32], spaces: &[SpaceId]) -> Result<Vec<Passage>, Fault> {
        let remembered = self.remembered.passages(chunks);
        let unknown = chunks.iter().zip(&remembered).filter(|(_, passage)| passage.is_none());
        let unknown: Vec<(u32, i64)> =
            unknown.map(|(chunk, _)| (*chunk, self.layout.chunk_id(*chunk))).collect();
        let fetched = self.fetch(&unknown, spaces)?;
        self.remembered.keep_passages(&fetched);
        let fetched: HashMap<u32, Arc<Passage>> = fetched.into_iter().collect();
        let all = chunks
            .iter()
            .zip(remembered)
            .filter_map(|(chunk, passage)| passage.or_else(|| fetched.get(chunk).cloned()));
        Ok(all
            .filter(|passage| spaces.contains(&passage.space))
            .map(|passage| Passage::clone(&passage))
            .collect())
    }

    /// Reads the passages of these chunks that are in these spaces.
    fn fetch(&self, chunks: &[(u32, i64)], spaces: &[SpaceId]) -> Result<Vec<(u32, Arc<Passage>)>, Fault> {
        if chunks.is_empty() {
            return Ok(Vec::new());
        }
        let mut statement = self.conn.prepare_cached(
            "SELECT documents.uuid, spaces.uuid, documents.title, documents.url, chunks.heading,
                    coalesce(chunks.author, documents.author), chunks.text
             FROM chunks JOIN documents ON documents.id = chunks.id >> 20 JOIN spaces ON spaces.id = documents.space
             WHERE chunks.id = ?1 AND spaces.uuid IN (SELECT unhex(value) FROM json_each(?2))",
        )?;
        let spaces = space_list(spaces);
        let mut passages = Vec::with_capacity(chunks.len());
        for (chunk, id) in chunks {
            let place = id & ((1 << CHUNK_BITS) - 1);
            let mut rows = statement.query_map(params![id, spaces], |row| {
                Ok(Passage {
                    document: DocumentId::from_bytes(row.get(0)?),
                    chunk: usize::try_from(place).unwrap_or(0),
                    space: SpaceId::from_bytes(row.get(1)?),
                    title: row.get(2)?,
                    url: row.get(3)?,
                    heading: row.get(4)?,
                    author: row.get(5)?,
                    text: row.get(6)?,
                })
            })?;
            if let Some(passage) = rows.next().transpose()? {
                passages.push((*chunk, Arc::new(passage)));
            }
        }
        Ok(passages)
    }
}
