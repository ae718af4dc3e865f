//! Which chunks hold a word, as the index says it: read once, and then kept in memory.

use rusqlite::{Connection, params};

use super::layout::{Layout, Reach, seek};
use crate::content::CHUNK_BITS;
use crate::fault::Fault;

/// The chunks of a community that hold a word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Postings {
    /// The numbers of the chunks, rising.
    chunks: Box<[u32]>,
    /// Up to which id of a chunk they were read; `None` when those are all.
    read_to: Option<i64>,
}

impl Postings {
    /// Reads from the index what chunks match, the first `window` of them in the order of ids.
    pub(super) fn read(
        conn: &Connection,
        layout: &Layout,
        expression: &str,
        window: usize,
    ) -> Result<Self, Fault> {
        Self { read_to: Some(-1), ..Self::default() }.read_on(conn, layout, expression, window)
    }

    /// The same with as many more.
    pub(super) fn read_on(
        &self,
        conn: &Connection,
        layout: &Layout,
        expression: &str,
        window: usize,
    ) -> Result<Self, Fault> {
        let Some(read_to) = self.read_to else { return Ok(self.clone()) };
        let mut statement = conn.prepare_cached(
            "SELECT rowid FROM search WHERE search MATCH ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3",
        )?;
        let limit = i64::try_from(window).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![expression, read_to, limit])?;
        let mut numbers = layout.numbers();
        let mut chunks = self.chunks.to_vec();
        let (mut count, mut last) = (0, read_to);
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            count += 1;
            chunks.extend(numbers.next(last));
        }
        // In the order of ids until here, which is that of numbers where all are of one space.
        chunks.sort_unstable();
        Ok(Self { chunks: chunks.into(), read_to: (count >= window).then_some(last) })
    }

    /// Whether no chunk holds the word.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.read_to.is_none()
    }

    /// Up to which id of a chunk they were read; `None` when those are all.
    pub(super) const fn read_to(&self) -> Option<i64> {
        self.read_to
    }

    /// How much memory it takes.
    pub(super) fn size_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.chunks)
    }
}

/// The chunks within reach that stand in any of the lists, rising.
pub(super) fn within<'p>(reach: &Reach, lists: impl Iterator<Item = &'p Postings>) -> Vec<u32> {
    let mut found = Vec::new();
    for (number, list) in lists.enumerate() {
        let mut at = 0;
        for range in &reach.chunks {
            let start = seek(&list.chunks, at, |chunk| *chunk < range.start);
            at = seek(&list.chunks, start, |chunk| *chunk < range.end);
            found.extend_from_slice(list.chunks.get(start..at).unwrap_or_default());
        }
        if number > 0 {
            // Sorted runs one behind the other, which this kind of sort merges.
            found.sort();
            found.dedup();
        }
    }
    found
}

/// Keeps the first chunks in the order of their ids, at most so many, and none above `read_to`. They stay in the order of
/// numbers.
pub(super) fn keep_first(chunks: &mut Vec<u32>, layout: &Layout, read_to: Option<i64>, most: usize) {
    if let Some(read_to) = read_to {
        chunks.retain(|chunk| layout.chunk_id(*chunk) <= read_to);
    }
    if chunks.len() > most {
        chunks.sort_unstable_by_key(|chunk| layout.chunk_id(*chunk));
        chunks.truncate(most);
        chunks.sort_unstable();
    }
}

/// How many documents hold these chunks.
pub(super) fn documents(chunks: &[u32], layout: &Layout) -> usize {
    let mut end = 0;
    let mut count = 0;
    for chunk in chunks {
        if *chunk >= end {
            count += 1;
            end = layout.chunks(layout.document(*chunk)).end;
        }
    }
    count
}

const _: () = assert!(CHUNK_BITS < 32, "the place of a chunk in its document fits into a number");
