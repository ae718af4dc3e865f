//! The first step: which documents may answer, judged by where the words stand.

use std::cmp::Ordering;
use std::ops::Range;

use super::{
    Extent, LEAD, LEAD_GAIN, PASSAGE, SATURATION, TITLE, TITLE_ALONE, count, gain, is_lead, place, rarity,
    saturated, weighed,
};
use crate::search::layout::{Layout, seek};
use crate::search::postings::documents;

/// The fewest documents that are read, and how many passages of each.
const SHORTLIST: usize = 30;
const READ_PASSAGES: usize = 3;
/// What a bound is raised by, so that no rounding makes it less than what it bounds.
const ROUNDING: f64 = 1.0 + 1e-9;

/// Where one word of the question occurs, within the scope.
#[derive(Debug, Clone)]
pub(in crate::search) struct Hits {
    /// How much the word counts beside the others.
    pub(in crate::search) weight: f64,
    /// The chunks that hold it, rising.
    pub(in crate::search) chunks: Vec<u32>,
    /// The first chunks of the documents whose title holds it, rising.
    pub(in crate::search) titles: Vec<u32>,
}

/// A document that may answer.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::search) struct Contender {
    /// What the whole document counts.
    pub(super) whole: f64,
    /// The words that its title holds.
    pub(super) title: Held,
    /// The passages to read, with the words that each holds.
    pub(super) passages: Vec<(u32, Held)>,
}

/// The documents to read for a question, and what its words count.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::search) struct Shortlist {
    pub(super) rarities: Vec<f64>,
    pub(in crate::search) contenders: Vec<Contender>,
}

impl Contender {
    /// The chunks to read.
    pub(in crate::search) fn chunks(&self) -> impl Iterator<Item = u32> {
        self.passages.iter().map(|(chunk, _)| *chunk)
    }
}

/// A set of words of the question, by their places in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held(u64);

impl Held {
    fn add(&mut self, term: usize) {
        self.0 |= 1u64.checked_shl(u32::try_from(term).unwrap_or(u32::MAX)).unwrap_or(0);
    }

    pub(super) fn has(self, term: usize) -> bool {
        1u64.checked_shl(u32::try_from(term).unwrap_or(u32::MAX)).is_some_and(|bit| self.0 & bit != 0)
    }
}

/// A passage of the document that is looked at: what it holds.
#[derive(Debug, Clone, Copy)]
struct Passage {
    chunk: u32,
    score: f64,
    held: Held,
}

/// A walk over the occurrences of one word, document by document.
#[derive(Debug)]
struct Walk<'h> {
    chunks: &'h [u32],
    titles: &'h [u32],
    rarity: f64,
    /// The most that the word adds to any document.
    most: f64,
    at: usize,
    title_at: usize,
}

impl<'h> Walk<'h> {
    /// Whether a document holds the word. Documents must rise, as in the other two.
    fn holds(&mut self, document: &Range<u32>) -> bool {
        self.at = seek(self.chunks, self.at, |chunk| *chunk < document.start);
        self.chunks.get(self.at).is_some_and(|chunk| *chunk < document.end)
    }

    /// Leaves a document behind.
    fn pass(&mut self, document: &Range<u32>) {
        self.at = seek(self.chunks, self.at, |chunk| *chunk < document.end);
    }

    /// The word's passages in a document, which is then left behind, and whether its title holds the word.
    fn take(&mut self, document: &Range<u32>) -> (&'h [u32], bool) {
        let start = self.at;
        self.pass(document);
        let found = self.chunks.get(start..self.at).unwrap_or_default();
        if found.is_empty() {
            return (found, false);
        }
        self.title_at = seek(self.titles, self.title_at, |chunk| *chunk < document.start);
        (found, self.titles.get(self.title_at).is_some_and(|chunk| *chunk < document.end))
    }
}

/// The documents that are worth reading, at least as many as `limit` if there are.
///
/// They are judged one after the other, and the best so far are kept. As soon as there are enough of them, documents are
/// passed over that hold only words which together cannot lift a document above the last of those.
pub(in crate::search) fn shortlist(
    layout: &Layout,
    extent: Extent,
    hits: &[Hits],
    limit: usize,
) -> Shortlist {
    let usual_length =
        if extent.documents > 0.0 { f64::max(extent.chunks / extent.documents, 1.0) } else { 1.0 };
    let mut walks: Vec<Walk<'_>> = hits
        .iter()
        .map(|hit| {
            let rarity = hit.weight * rarity(extent.documents, documents(&hit.chunks, layout));
            let (chunks, titles) = (hit.chunks.as_slice(), hit.titles.as_slice());
            Walk { chunks, titles, rarity, most: most(rarity, usual_length), at: 0, title_at: 0 }
        })
        .collect();
    let rarities: Vec<f64> = walks.iter().map(|walk| walk.rarity).collect();
    let mut best = Best::new(limit.max(SHORTLIST), layout);
    let mut telling: Vec<bool> = vec![true; walks.len()];
    let mut passages: Vec<Passage> = Vec::new();
    let mut spare: Vec<Passage> = Vec::new();
    while let Some(next) = next_chunk(&walks, &telling) {
        let document = layout.document(next);
        let range = layout.chunks(document);
        // Enough for most documents, which hold one of the words.
        let together: f64 = walks.iter_mut().filter_map(|walk| walk.holds(&range).then_some(walk.most)).sum();
        if together < best.least {
            walks.iter_mut().for_each(|walk| walk.pass(&range));
            continue;
        }
        let length = f64::max(f64::from(range.end.saturating_sub(range.start)), 1.0);
        let (mut whole, mut title) = (0.0, Held::default());
        passages.clear();
        for (term, walk) in walks.iter_mut().enumerate() {
            let (found, in_title) = walk.take(&range);
            let Some(first) = found.first() else { continue };
            let density = count(found.len()) * usual_length / length;
            let in_lead = is_lead(place(*first, &range));
            let share = density + weighed(in_title, TITLE) + weighed(in_lead, LEAD);
            whole += walk.rarity * (saturated(share, SATURATION) + weighed(in_title, TITLE_ALONE));
            if in_title {
                title.add(term);
            }
            add(&mut passages, &mut spare, found, walk.rarity, term);
        }
        for passage in &mut passages {
            passage.score *= gain(place(passage.chunk, &range));
        }
        keep_best(&mut passages);
        let score = whole + PASSAGE * passages.first().map_or(0.0, |best| best.score);
        if best.offer(score, document, || Contender {
            whole,
            title,
            passages: passages.iter().map(|passage| (passage.chunk, passage.held)).collect(),
        }) {
            settle(&mut telling, &walks, best.least);
        }
    }
    Shortlist { contenders: best.in_order(), rarities }
}

/// The next chunk with a word that can make a document one of the best.
fn next_chunk(walks: &[Walk<'_>], telling: &[bool]) -> Option<u32> {
    let telling = walks.iter().zip(telling).filter(|(_, telling)| **telling);
    telling.filter_map(|(walk, _)| walk.chunks.get(walk.at)).min().copied()
}

/// The most that a word adds to a document: it is in each of its passages, in its title and in its beginning.
fn most(rarity: f64, usual_length: f64) -> f64 {
    let whole = saturated(usual_length + TITLE + LEAD, SATURATION) + TITLE_ALONE;
    rarity * (whole + PASSAGE * LEAD_GAIN) * ROUNDING
}

/// Which words can make a document one of the best: all but the least ones, as far as they stay below together.
fn settle(telling: &mut [bool], walks: &[Walk<'_>], least: f64) {
    let mut by_most: Vec<(usize, f64)> = walks.iter().map(|walk| walk.most).enumerate().collect();
    by_most.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let mut together = 0.0;
    for (term, most) in by_most {
        together += most;
        if let Some(telling) = telling.get_mut(term) {
            *telling = together >= least;
        }
    }
}

/// Adds a word to the passages of a document that hold it. They stay in order.
fn add(passages: &mut Vec<Passage>, spare: &mut Vec<Passage>, found: &[u32], rarity: f64, term: usize) {
    let new = |chunk| {
        let mut passage = Passage { chunk, score: rarity, held: Held::default() };
        passage.held.add(term);
        passage
    };
    if passages.is_empty() {
        passages.extend(found.iter().copied().map(new));
        return;
    }
    spare.clear();
    let mut at = 0;
    for chunk in found {
        while let Some(passage) = passages.get(at).filter(|passage| passage.chunk < *chunk) {
            spare.push(*passage);
            at += 1;
        }
        match passages.get(at).filter(|passage| passage.chunk == *chunk) {
            Some(passage) => {
                let mut passage = *passage;
                passage.score += rarity;
                passage.held.add(term);
                spare.push(passage);
                at += 1;
            }
            None => spare.push(new(*chunk)),
        }
    }
    spare.extend_from_slice(passages.get(at..).unwrap_or_default());
    std::mem::swap(passages, spare);
}

/// Keeps the best passages, best first.
fn keep_best(passages: &mut Vec<Passage>) {
    let order = |a: &Passage, b: &Passage| b.score.total_cmp(&a.score).then(a.chunk.cmp(&b.chunk));
    if passages.len() > READ_PASSAGES {
        passages.select_nth_unstable_by(READ_PASSAGES, order);
        passages.truncate(READ_PASSAGES);
    }
    passages.sort_unstable_by(order);
}

/// The best documents so far.
struct Best<'l> {
    most: usize,
    layout: &'l Layout,
    found: Vec<(f64, u32, Contender)>,
    /// A document with less is not one of them.
    least: f64,
}

impl<'l> Best<'l> {
    fn new(most: usize, layout: &'l Layout) -> Self {
        Self { most, layout, found: Vec::new(), least: f64::NEG_INFINITY }
    }

    /// Takes a document unless there are enough better ones. Whether it has become harder to be taken.
    fn offer(&mut self, score: f64, document: u32, contender: impl FnOnce() -> Contender) -> bool {
        if score < self.least {
            return false;
        }
        self.found.push((score, document, contender()));
        if self.found.len() < self.most.saturating_mul(2) {
            return false;
        }
        self.cut();
        let least = self.found.iter().map(|(score, ..)| *score).fold(f64::INFINITY, f64::min);
        std::mem::replace(&mut self.least, least) < least
    }

    fn cut(&mut self) {
        let layout = self.layout;
        if self.found.len() > self.most {
            self.found.select_nth_unstable_by(self.most, |one, other| before(layout, one, other));
            self.found.truncate(self.most);
        }
    }

    fn in_order(mut self) -> Vec<Contender> {
        let layout = self.layout;
        self.cut();
        self.found.sort_unstable_by(|one, other| before(layout, one, other));
        self.found.into_iter().map(|(_, _, contender)| contender).collect()
    }
}

/// The better one first; equals in the order of ids, which need not be that of numbers.
fn before<T>(layout: &Layout, (a, x, _): &(f64, u32, T), (b, y, _): &(f64, u32, T)) -> Ordering {
    b.total_cmp(a).then_with(|| layout.id(*x).cmp(&layout.id(*y)))
}
