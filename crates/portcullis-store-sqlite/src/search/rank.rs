//! Which passages answer best. It knows no store: it is told where documents are, where the words of the question occur, and
//! then what a few passages say.
//!
//! That happens in two steps, since most documents need no reading. [`shortlist()`] judges documents by the words that
//! their passages and titles hold: how much of the document is about them, and how many of them stand in one passage.
//! [`order`] reads the best passages of the best documents: how often the words stand there, and how close together.
//!
//! A word counts the more the fewer of the scope's documents hold it. Equal scores are ordered by id, so that the same
//! search over the same content always gives the same list.

mod shortlist;

use std::ops::Range;

use super::layout::Layout;
use super::reading::Reading;
use shortlist::Held;
pub(super) use shortlist::{Contender, Hits, Shortlist, shortlist};

/// How much rarity counts: 1 is the logarithm of classic ranking; less lets common words matter beside a rare one,
/// which may be the asker's own word for something that the content calls otherwise.
const RARITY: f64 = 0.65;
/// How soon more passages with a word, or more places in a passage, add nothing (the k1 of BM25).
const SATURATION: f64 = 3.0;
const PASSAGE_SATURATION: f64 = 1.0;
/// What a title that holds a word counts, in passages that hold it; and what it counts by itself.
const TITLE: f64 = 2.0;
const TITLE_ALONE: f64 = 0.5;
/// The beginning of a document says what it is about: this many chunks, what a word there counts, and what a passage
/// there gains.
const LEAD_CHUNKS: u32 = 3;
const LEAD: f64 = 1.0;
const LEAD_GAIN: f64 = 1.4;
/// What the best passage counts beside the whole document.
const PASSAGE: f64 = 2.0;
/// How much a long passage must make up for its length (the b of BM25).
const PASSAGE_LENGTH: f64 = 0.7;
/// Two words of the question that stand this close count as said together; words further apart in the question than
/// their next but one are not compared, and the next but one counts half.
const NEAR_WORDS: usize = 8;
const NEAR: f64 = 0.6;
const NEAR_TERMS: usize = 2;
/// A second passage of a document counts this much of its score, so that other documents come before it.
const SECOND: f64 = 0.5;
/// It must hold at least this much of what the best passage holds.
const SECOND_AT_LEAST: f64 = 0.5;

/// What the scope holds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Extent {
    /// How many documents.
    pub(super) documents: f64,
    /// How many chunks.
    pub(super) chunks: f64,
}

/// The chunks of the best passages, at most two of a document, best first. The readings are of the shortlist's chunks, in the
/// same order.
pub(super) fn order(
    layout: &Layout,
    shortlist: &Shortlist,
    readings: &[Option<Reading>],
    limit: usize,
) -> Vec<u32> {
    let usual_words = mean(readings.iter().flatten().map(|reading| reading.words));
    let mut readings = readings.iter();
    let mut scored: Vec<(f64, u32)> = Vec::new();
    for contender in &shortlist.contenders {
        let mut passages: Vec<(f64, u32)> = contender
            .passages
            .iter()
            .filter_map(|(chunk, held)| {
                let reading = readings.next()?.as_ref()?;
                let said = said(&shortlist.rarities, reading, *held, contender.title, usual_words);
                let place = place(*chunk, &layout.chunks(layout.document(*chunk)));
                Some((said * gain(place), *chunk))
            })
            .collect();
        passages.sort_unstable_by(|(a, x), (b, y)| b.total_cmp(a).then(x.cmp(y)));
        let best = passages.first().map_or(0.0, |(said, _)| *said);
        let score = contender.whole + PASSAGE * best;
        for (number, (said, chunk)) in passages.into_iter().take(2).enumerate() {
            match number {
                0 => scored.push((score, chunk)),
                _ if said >= SECOND_AT_LEAST * best => scored.push((score * SECOND, chunk)),
                _ => {}
            }
        }
    }
    scored.sort_unstable_by(|(a, x), (b, y)| {
        b.total_cmp(a).then_with(|| layout.chunk_id(*x).cmp(&layout.chunk_id(*y)))
    });
    scored.into_iter().map(|(_, chunk)| chunk).take(limit).collect()
}

/// How much of the question a passage says, and how close together.
fn said(rarities: &[f64], reading: &Reading, held: Held, title: Held, usual_words: f64) -> f64 {
    let length = 1.0 - PASSAGE_LENGTH + PASSAGE_LENGTH * count(reading.words) / usual_words;
    let mut said = 0.0;
    for (term, rarity) in rarities.iter().enumerate() {
        // A word that the index found and the text does not show is in the heading, or part of an identifier.
        let places = reading.places.get(term).map_or(0, Vec::len).max(usize::from(held.has(term)));
        let share = count(places) / length + weighed(title.has(term), TITLE);
        said += rarity * saturated(share, PASSAGE_SATURATION);
        for apart in 1..=NEAR_TERMS {
            let (Some(other), Some(distance)) =
                (rarities.get(term + apart), reading.distance(term, term + apart))
            else {
                continue;
            };
            if distance <= NEAR_WORDS {
                let closeness = 1.0 - count(distance.saturating_sub(1)) / count(NEAR_WORDS);
                said += NEAR * rarity.min(*other) * closeness / count(apart);
            }
        }
    }
    said
}

fn weighed(holds: bool, weight: f64) -> f64 {
    if holds { weight } else { 0.0 }
}

/// Rises from 0 with the share, ever slower, up to `1 + limit`.
fn saturated(share: f64, limit: f64) -> f64 {
    share * (limit + 1.0) / (share + limit)
}

/// The place of a chunk in its document, from 0.
const fn place(chunk: u32, document: &Range<u32>) -> u32 {
    chunk.saturating_sub(document.start)
}

const fn is_lead(place: u32) -> bool {
    place < LEAD_CHUNKS
}

const fn gain(place: u32) -> f64 {
    if is_lead(place) { LEAD_GAIN } else { 1.0 }
}

/// What a word counts that `holding` of `documents` documents hold: always above 0.
fn rarity(documents: f64, holding: usize) -> f64 {
    let holding = count(holding);
    let all = f64::max(documents, holding);
    ((all - holding + 0.5) / (holding + 0.5)).ln_1p().powf(RARITY)
}

fn mean(counts: impl Iterator<Item = usize>) -> f64 {
    let (sum, number) = counts.fold((0.0, 0.0), |(sum, number), some| (sum + count(some), number + 1.0));
    if number > 0.0 { f64::max(sum / number, 1.0) } else { 1.0 }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of documents, chunks and words are far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use portcullis_core::SpaceId;

    use super::{Contender, Hits, Shortlist, order, shortlist};
    use crate::content::CHUNK_BITS;
    use crate::search::layout::Layout;
    use crate::search::reading::{Reader, Reading, Text};
    use crate::search::terms::of_query;

    /// A document: its title and its chunks.
    type Page<'a> = (&'a str, &'a [&'a str]);

    /// Ranks the pages for a question, as the store does with its index. Returns document and chunk, from 0.
    fn ranked(question: &str, pages: &[Page<'_>], limit: usize) -> Vec<(i64, usize)> {
        let terms = of_query(question);
        let forms = terms.iter().enumerate();
        let forms = forms.flat_map(|(number, term)| term.forms().map(move |form| (number, form)));
        let mut reader = Reader::new(terms.len(), forms);
        let space = SpaceId::from_bytes([0; 16]);
        let lengths = pages.iter().map(|(_, chunks)| u32::try_from(chunks.len()).expect("few chunks"));
        let documents: Vec<(i64, u32)> = (0..).zip(lengths).collect();
        let layout = Layout::of(&[(space, &documents)]);
        let mut readings: Vec<Reading> = Vec::new();
        let mut hits: Vec<Hits> = terms
            .iter()
            .map(|term| Hits { weight: term.weight, chunks: Vec::new(), titles: Vec::new() })
            .collect();
        for (page, (title, chunks)) in (0..).zip(pages) {
            let title = reader.read(&Text::new(title));
            for (chunk, text) in layout.chunks(page).zip(*chunks) {
                let reading = reader.read(&Text::new(text));
                for (term, hit) in hits.iter_mut().enumerate() {
                    let in_title = chunk == layout.chunks(page).start && !title.places[term].is_empty();
                    if in_title {
                        hit.titles.push(chunk);
                    }
                    if in_title || !reading.places[term].is_empty() {
                        hit.chunks.push(chunk);
                    }
                }
                readings.push(reading);
            }
        }
        let list: Shortlist = shortlist(&layout, layout.reach(&[space]).extent, &hits, limit);
        let chunks = list.contenders.iter().flat_map(Contender::chunks);
        let readings: Vec<Option<Reading>> =
            chunks.map(|chunk| readings.get(usize::try_from(chunk).expect("few")).cloned()).collect();
        order(&layout, &list, &readings, limit)
            .into_iter()
            .map(|chunk| {
                let id = layout.chunk_id(chunk);
                (id >> CHUNK_BITS, usize::try_from(id & ((1 << CHUNK_BITS) - 1)).expect("small"))
            })
            .collect()
    }

    fn first(question: &str, pages: &[Page<'_>]) -> i64 {
        ranked(question, pages, 10).first().expect("something is found").0
    }

    #[test]
    fn words_that_stand_together_answer_better_than_words_far_apart() {
        let apart = "the body of a text may be long and at its very end there is something that is rigid";
        let near = "there is something to say about a text of this kind: it has a rigid body at its very end";
        assert_eq!(first("rigid body", &[("x", &[apart]), ("x", &[near])]), 1);
        assert_eq!(first("rigid body", &[("x", &[near]), ("x", &[apart])]), 0);
    }

    #[test]
    fn a_title_that_says_it_comes_first() {
        let text: &[&str] = &["some text with a camera in it"];
        assert_eq!(first("camera", &[("holiday", text), ("camera", text)]), 1);
    }

    #[test]
    fn a_rare_word_tells_more_than_a_common_one() {
        let pages: [Page<'_>; 4] =
            [("x", &["common thing"]), ("x", &["common word"]), ("x", &["quagga word"]), ("x", &["common"])];
        assert_eq!(first("common quagga", &pages), 2);
    }

    #[test]
    fn what_a_document_is_about_beats_a_mention_in_a_long_one() {
        let mention: &[&str] = &["one", "two", "three", "four", "the camera once", "six", "seven", "eight"];
        let about: &[&str] = &["one", "two", "three", "four camera", "camera again", "camera"];
        assert_eq!(first("camera", &[("x", mention), ("x", about)]), 1);
    }

    #[test]
    fn a_second_passage_of_a_document_stands_behind_other_documents() {
        let pages: [Page<'_>; 2] =
            [("x", &["rigid body", "rigid body", "rigid body"]), ("x", &["a body that is rigid"])];
        assert_eq!(ranked("rigid body", &pages, 10), [(0, 0), (1, 0), (0, 1)]);
        assert_eq!(ranked("rigid body", &pages, 1), [(0, 0)]);
    }

    #[test]
    fn equals_are_ordered_by_id_and_as_many_come_as_are_asked_for() {
        let pages: Vec<Page<'_>> = vec![("x", &["same words here"]); 45];
        let expected: Vec<(i64, usize)> = (0..45).map(|page| (page, 0)).collect();
        assert_eq!(ranked("same words", &pages, 50), expected);
        assert_eq!(ranked("same words", &pages, 7), expected[..7]);
        assert_eq!(ranked("nothing of it", &pages, 7), []);
    }
}
