//! Where the documents of a community are.
//!
//! Documents are numbered by space and within a space by id, and chunks in the order of their documents. So what a scope
//! opens is a few ranges of numbers, and whatever a search looks at lies within them.

use std::collections::HashMap;
use std::ops::Range;

use portcullis_core::SpaceId;
use portcullis_store::Kind;
use rusqlite::Connection;

use super::rank::Extent;
use crate::content::CHUNK_BITS;
use crate::fault::Fault;

/// The documents of a community in one state of its file.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The documents of each space, by the space's public id.
    spaces: Vec<(SpaceId, Range<u32>)>,
    /// The id of each document.
    ids: Vec<i64>,
    /// The first chunk of each document, and behind the last one where the next would begin.
    firsts: Vec<u32>,
    /// The document of each chunk.
    owners: Vec<u32>,
    /// The documents in the order of their ids.
    in_order: Vec<u32>,
}

/// What a scope opens.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reach {
    /// The chunks, in rising order.
    pub(super) chunks: Vec<Range<u32>>,
    /// How much that is.
    pub(super) extent: Extent,
}

impl Layout {
    /// Reads where all documents are; none of them is read for it.
    pub(super) fn read(conn: &Connection) -> Result<Self, Fault> {
        let mut spaces = conn.prepare_cached("SELECT id, uuid FROM spaces")?;
        let spaces =
            spaces.query_map([], |row| Ok((row.get::<_, i64>(0)?, SpaceId::from_bytes(row.get(1)?))))?;
        let spaces: HashMap<i64, SpaceId> = spaces.collect::<Result<_, _>>()?;
        let mut documents =
            conn.prepare_cached("SELECT space, id, chunks FROM documents ORDER BY space, id")?;
        let mut layout = Self::empty();
        let mut rows = documents.query([])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let space: i64 = row.get(0)?;
            if last != Some(space) {
                let id = spaces.get(&space).ok_or(Fault::new(Kind::Corrupt))?;
                layout.begin_space(*id);
                last = Some(space);
            }
            layout.add(row.get(1)?, row.get(2)?)?;
        }
        layout.finish();
        Ok(layout)
    }

    /// A layout of these documents, each with its id and the number of its chunks. Ids rise within a space.
    #[cfg(test)]
    pub(super) fn of(spaces: &[(SpaceId, &[(i64, u32)])]) -> Self {
        let mut layout = Self::empty();
        for (space, documents) in spaces {
            layout.begin_space(*space);
            for (id, chunks) in *documents {
                layout.add(*id, *chunks).expect("few chunks");
            }
        }
        layout.finish();
        layout
    }

    fn empty() -> Self {
        Self { firsts: vec![0], ..Self::default() }
    }

    fn begin_space(&mut self, space: SpaceId) {
        let next = self.documents();
        self.spaces.push((space, next..next));
    }

    fn add(&mut self, id: i64, chunks: u32) -> Result<(), Fault> {
        let too_many = || Fault::because(Kind::Unavailable, "a community has at most 4 billion chunks");
        let number = u32::try_from(self.ids.len()).map_err(|_| too_many())?;
        let first = self.firsts.last().copied().unwrap_or(0);
        self.firsts.push(first.checked_add(chunks).ok_or_else(too_many)?);
        self.ids.push(id);
        self.owners.extend((0..chunks).map(|_| number));
        if let Some((_, documents)) = self.spaces.last_mut() {
            documents.end = number.saturating_add(1);
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.spaces.sort_unstable_by_key(|(id, _)| *id);
        self.in_order = (0..self.documents()).collect();
        let ids = &self.ids;
        self.in_order.sort_unstable_by_key(|number| ids.get(place(*number)));
    }

    fn documents(&self) -> u32 {
        u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }

    /// What these spaces hold. A space that is named twice counts once, an unknown one not at all.
    pub(super) fn reach(&self, spaces: &[SpaceId]) -> Reach {
        let mut documents: Vec<Range<u32>> = spaces
            .iter()
            .filter_map(|space| {
                let at = self.spaces.binary_search_by_key(space, |(id, _)| *id).ok()?;
                self.spaces.get(at).map(|(_, documents)| documents.clone())
            })
            .collect();
        documents.sort_unstable_by_key(|range| range.start);
        documents.dedup();
        let mut reach = Reach::default();
        for documents in documents {
            let chunks = self.first(documents.start)..self.first(documents.end);
            reach.extent.documents += f64::from(documents.end - documents.start);
            reach.extent.chunks += f64::from(chunks.end - chunks.start);
            match reach.chunks.last_mut().filter(|last| last.end == chunks.start) {
                Some(last) => last.end = chunks.end,
                None => reach.chunks.push(chunks),
            }
        }
        reach
    }

    /// The document of a chunk.
    pub(super) fn document(&self, chunk: u32) -> u32 {
        self.owners.get(place(chunk)).copied().unwrap_or(u32::MAX)
    }

    /// The chunks of a document.
    pub(super) fn chunks(&self, document: u32) -> Range<u32> {
        self.first(document)..self.first(document.saturating_add(1))
    }

    fn first(&self, document: u32) -> u32 {
        self.firsts.get(place(document)).or(self.firsts.last()).copied().unwrap_or(0)
    }

    /// The id of a document in the file.
    pub(super) fn id(&self, document: u32) -> i64 {
        self.ids.get(place(document)).copied().unwrap_or(i64::MAX >> CHUNK_BITS)
    }

    /// The id of a chunk in the file.
    pub(super) fn chunk_id(&self, chunk: u32) -> i64 {
        let document = self.document(chunk);
        self.id(document) << CHUNK_BITS | i64::from(chunk.saturating_sub(self.first(document)))
    }

    /// Turns ids of chunks into numbers, for ids that rise.
    pub(super) fn numbers(&self) -> Numbers<'_> {
        Numbers { layout: self, at: 0 }
    }

    /// About how much memory it takes.
    pub(super) fn size_bytes(&self) -> usize {
        self.spaces.len() * 32 + self.ids.len() * 16 + self.owners.len() * 4
    }
}

/// A walk over the documents in the order of their ids.
#[derive(Debug)]
pub(super) struct Numbers<'l> {
    layout: &'l Layout,
    at: usize,
}

impl Numbers<'_> {
    /// The number of the chunk with that id, which is above the one before. `None` if no document has it.
    pub(super) fn next(&mut self, chunk: i64) -> Option<u32> {
        let id = chunk >> CHUNK_BITS;
        self.at = seek(&self.layout.in_order, self.at, |document| self.layout.id(*document) < id);
        let document = self.layout.in_order.get(self.at).copied()?;
        let chunks = self.layout.chunks(document);
        let number = u32::try_from(chunk & ((1 << CHUNK_BITS) - 1)).ok()?.checked_add(chunks.start)?;
        (self.layout.id(document) == id && number < chunks.end).then_some(number)
    }
}

/// The first place from `from` on whose item does not come before what is sought; the items are in order. It looks near
/// `from` first.
pub(super) fn seek<T>(items: &[T], from: usize, before: impl Fn(&T) -> bool) -> usize {
    let (mut low, mut step) = (from, 1);
    while items.get(low.saturating_add(step - 1)).is_some_and(&before) {
        low += step;
        step *= 2;
    }
    let high = low.saturating_add(step - 1).min(items.len());
    low + items.get(low..high).map_or(0, |rest| rest.partition_point(before))
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use portcullis_core::SpaceId;
    use proptest::prelude::*;

    use super::{CHUNK_BITS, Layout, Reach, seek};
    use crate::search::rank::Extent;

    const fn space(number: u8) -> SpaceId {
        SpaceId::from_bytes([number; 16])
    }

    fn layout() -> Layout {
        // The second space of the file has the lower public id.
        Layout::of(&[(space(9), &[(1, 2), (4, 0), (6, 3)]), (space(3), &[(2, 1), (5, 2)])])
    }

    fn reach(range: Range<u32>, documents: f64, chunks: f64) -> Reach {
        Reach { chunks: [range].into(), extent: Extent { documents, chunks } }
    }

    #[test]
    fn a_scope_reaches_what_its_spaces_hold() {
        let layout = layout();
        assert_eq!(layout.reach(&[]), Reach::default());
        assert_eq!(layout.reach(&[space(7)]), Reach::default());
        let one = reach(5..8, 2.0, 3.0);
        assert_eq!(layout.reach(&[space(3)]), one);
        assert_eq!(layout.reach(&[space(3), space(7), space(3)]), one);
        assert_eq!(layout.reach(&[space(3), space(9)]), reach(0..8, 5.0, 8.0), "one range for both");
    }

    #[test]
    fn ids_and_numbers_are_two_names_of_a_chunk() {
        let layout = layout();
        let mut all: Vec<(i64, u32)> = (0..8).map(|number| (layout.chunk_id(number), number)).collect();
        assert_eq!(all.first(), Some(&(1 << CHUNK_BITS, 0)));
        assert_eq!(all.last(), Some(&(5 << CHUNK_BITS | 1, 7)));
        all.sort_unstable();
        let mut numbers = layout.numbers();
        for (id, number) in all {
            assert_eq!(numbers.next(id), Some(number));
        }
        let mut numbers = layout.numbers();
        for unknown in [0, 1 << CHUNK_BITS | 2, 3 << CHUNK_BITS, 4 << CHUNK_BITS, 7 << CHUNK_BITS] {
            assert_eq!(numbers.next(unknown), None, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn seeking_finds_what_looking_at_each_finds(
            mut items in proptest::collection::vec(0..50u32, 0..60), from in 0..60usize, sought in 0..51u32,
        ) {
            items.sort_unstable();
            let from = from.min(items.len());
            let expected = (from..items.len()).find(|at| items[*at] >= sought).unwrap_or(items.len());
            prop_assert_eq!(seek(&items, from, |item| *item < sought), expected);
        }
    }
}
