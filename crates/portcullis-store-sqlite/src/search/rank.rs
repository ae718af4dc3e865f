//! Which passages answer best. It knows no store: it is told where the words of the question occur, and then what a
//! few passages say.
//!
//! That happens in two steps, since most documents need no reading. [`shortlist`] judges documents by the words that
//! their passages and titles hold: how much of the document is about them, and how many of them stand in one passage.
//! [`order`] reads the best passages of the best documents: how often the words stand there, and how close together.
//!
//! A word counts the more the fewer of the scope's documents hold it. Equal scores are ordered by id, so that the same
//! search over the same content always gives the same list.

use std::collections::{BTreeMap, HashMap};

use super::reading::Reading;
use crate::content::CHUNK_BITS;

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
const LEAD_CHUNKS: usize = 3;
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
/// The fewest documents that are read, and how many passages of each.
const SHORTLIST: usize = 30;
const READ_PASSAGES: usize = 3;
/// A second passage of a document counts this much of its score, so that other documents come before it.
const SECOND: f64 = 0.5;
/// It must hold at least this much of what the best passage holds.
const SECOND_AT_LEAST: f64 = 0.5;

/// What the scope holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extent {
    /// How many documents.
    pub(super) documents: f64,
    /// How many chunks.
    pub(super) chunks: f64,
}

/// A chunk that holds a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Occurrence {
    /// The chunk's id.
    pub(super) chunk: i64,
    /// How many chunks its document has.
    pub(super) length: u32,
}

/// Where one word of the question occurs, within the scope.
#[derive(Debug, Clone)]
pub(super) struct Hits {
    /// How much the word counts beside the others.
    pub(super) weight: f64,
    /// The chunks that hold it, by id.
    pub(super) chunks: Vec<Occurrence>,
    /// The first chunks of the documents whose title holds it.
    pub(super) titles: Vec<Occurrence>,
}

/// A document that may answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Contender {
    /// What the whole document counts.
    whole: f64,
    /// The words that its title holds.
    title: Held,
    /// The passages to read, with the words that each holds.
    passages: Vec<(i64, Held)>,
}

/// The documents to read for a question, and what its words count.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shortlist {
    rarities: Vec<f64>,
    pub(super) contenders: Vec<Contender>,
}

/// A passage that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The chunk's id.
    pub(super) chunk: i64,
}

impl Candidate {
    /// Its place in the document, from 0.
    pub(super) fn place(self) -> usize {
        place(self.chunk)
    }
}

impl Contender {
    /// The chunks to read.
    pub(super) fn chunks(&self) -> impl Iterator<Item = i64> {
        self.passages.iter().map(|(chunk, _)| *chunk)
    }
}

/// A set of words of the question, by their places in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Held(u64);

impl Held {
    fn add(&mut self, term: usize) {
        self.0 |= 1u64.checked_shl(u32::try_from(term).unwrap_or(u32::MAX)).unwrap_or(0);
    }

    fn has(self, term: usize) -> bool {
        1u64.checked_shl(u32::try_from(term).unwrap_or(u32::MAX)).is_some_and(|bit| self.0 & bit != 0)
    }
}

#[derive(Debug, Default)]
struct Judged {
    whole: f64,
    title: Held,
    /// The best passages so far: what each holds, best first.
    passages: Vec<(f64, i64, Held)>,
}

/// One word in one document.
#[derive(Debug, Default)]
struct InDocument {
    chunks: f64,
    length: f64,
    in_lead: bool,
    in_title: bool,
}

/// The documents that are worth reading, at least as many as `limit` if there are.
pub(super) fn shortlist(extent: Extent, hits: &[Hits], limit: usize) -> Shortlist {
    let usual_length =
        if extent.documents > 0.0 { f64::max(extent.chunks / extent.documents, 1.0) } else { 1.0 };
    let mut judged: HashMap<i64, Judged> = HashMap::new();
    let mut passages: HashMap<i64, (f64, Held)> = HashMap::new();
    let mut rarities = Vec::with_capacity(hits.len());
    for (term, hit) in hits.iter().enumerate() {
        let documents = by_document(hit);
        let rarity = hit.weight * rarity(extent.documents, documents.len());
        rarities.push(rarity);
        for (document, found) in documents {
            let judged = judged.entry(document).or_default();
            let density = found.chunks * usual_length / f64::max(found.length, 1.0);
            let share = density + weighed(found.in_title, TITLE) + weighed(found.in_lead, LEAD);
            judged.whole += rarity * (saturated(share, SATURATION) + weighed(found.in_title, TITLE_ALONE));
            if found.in_title {
                judged.title.add(term);
            }
        }
        for occurrence in &hit.chunks {
            let (held, terms) = passages.entry(occurrence.chunk).or_default();
            *held += rarity;
            terms.add(term);
        }
    }
    for (chunk, (held, terms)) in passages {
        if let Some(judged) = judged.get_mut(&document(chunk)) {
            keep_best(&mut judged.passages, (held * gain(chunk), chunk, terms));
        }
    }
    let mut scored: Vec<(f64, i64, Judged)> = judged
        .into_iter()
        .map(|(document, judged)| {
            let best = judged.passages.first().map_or(0.0, |(held, ..)| *held);
            (judged.whole + PASSAGE * best, document, judged)
        })
        .collect();
    scored.sort_unstable_by(|(a, x, _), (b, y, _)| b.total_cmp(a).then(x.cmp(y)));
    scored.truncate(limit.max(SHORTLIST));
    let contenders = scored.into_iter().map(|(_, _, judged)| Contender {
        whole: judged.whole,
        title: judged.title,
        passages: judged.passages.into_iter().map(|(_, chunk, terms)| (chunk, terms)).collect(),
    });
    Shortlist { contenders: contenders.collect(), rarities }
}

/// The best passages, at most two of a document, best first.
pub(super) fn order(
    shortlist: &Shortlist,
    readings: &BTreeMap<i64, Reading>,
    limit: usize,
) -> Vec<Candidate> {
    let usual_words = mean(readings.values().map(|reading| reading.words));
    let mut scored: Vec<(f64, Candidate)> = Vec::new();
    for contender in &shortlist.contenders {
        let mut passages: Vec<(f64, i64)> = contender
            .passages
            .iter()
            .filter_map(|(chunk, held)| {
                let reading = readings.get(chunk)?;
                let said = said(&shortlist.rarities, reading, *held, contender.title, usual_words);
                Some((said * gain(*chunk), *chunk))
            })
            .collect();
        passages.sort_unstable_by(|(a, x), (b, y)| b.total_cmp(a).then(x.cmp(y)));
        let best = passages.first().map_or(0.0, |(said, _)| *said);
        let score = contender.whole + PASSAGE * best;
        for (number, (said, chunk)) in passages.into_iter().take(2).enumerate() {
            match number {
                0 => scored.push((score, Candidate { chunk })),
                _ if said >= SECOND_AT_LEAST * best => scored.push((score * SECOND, Candidate { chunk })),
                _ => {}
            }
        }
    }
    scored.sort_unstable_by(|(a, x), (b, y)| b.total_cmp(a).then(x.chunk.cmp(&y.chunk)));
    scored.into_iter().map(|(_, candidate)| candidate).take(limit).collect()
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

/// One word's occurrences, gathered by document, in the order of ids.
fn by_document(hit: &Hits) -> Vec<(i64, InDocument)> {
    let mut documents: Vec<(i64, InDocument)> = Vec::new();
    for occurrence in &hit.chunks {
        let id = document(occurrence.chunk);
        if documents.last().is_none_or(|(last, _)| *last != id) {
            documents
                .push((id, InDocument { length: f64::from(occurrence.length), ..InDocument::default() }));
        }
        if let Some((_, found)) = documents.last_mut() {
            found.chunks += 1.0;
            found.in_lead |= is_lead(occurrence.chunk);
        }
    }
    // The first chunk of a document holds its title, so its document is among them, unless there were too many.
    for occurrence in &hit.titles {
        let at = documents.binary_search_by_key(&document(occurrence.chunk), |(id, _)| *id);
        if let Some((_, found)) = at.ok().and_then(|at| documents.get_mut(at)) {
            found.in_title = true;
        }
    }
    documents
}

/// Keeps a passage if it is among the best, in their order.
fn keep_best(best: &mut Vec<(f64, i64, Held)>, passage: (f64, i64, Held)) {
    let before =
        |other: &(f64, i64, Held)| other.0.total_cmp(&passage.0).reverse().then(other.1.cmp(&passage.1));
    let at = best.partition_point(|other| before(other).is_lt());
    if at < READ_PASSAGES {
        best.insert(at, passage);
        best.truncate(READ_PASSAGES);
    }
}

fn weighed(holds: bool, weight: f64) -> f64 {
    if holds { weight } else { 0.0 }
}

/// Rises from 0 with the share, ever slower, up to `1 + limit`.
fn saturated(share: f64, limit: f64) -> f64 {
    share * (limit + 1.0) / (share + limit)
}

fn is_lead(chunk: i64) -> bool {
    place(chunk) < LEAD_CHUNKS
}

fn gain(chunk: i64) -> f64 {
    if is_lead(chunk) { LEAD_GAIN } else { 1.0 }
}

const fn document(chunk: i64) -> i64 {
    chunk >> CHUNK_BITS
}

fn place(chunk: i64) -> usize {
    usize::try_from(chunk & ((1 << CHUNK_BITS) - 1)).unwrap_or(0)
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
    use std::collections::BTreeMap;

    use super::{CHUNK_BITS, Extent, Hits, Occurrence, Shortlist, order, shortlist};
    use crate::search::reading::{Reader, Reading};
    use crate::search::terms::of_query;

    /// A document: its title and its chunks.
    type Page<'a> = (&'a str, &'a [&'a str]);

    /// Ranks the pages for a question, as the store does with its index. Returns document and chunk, from 0.
    fn ranked(question: &str, pages: &[Page<'_>], limit: usize) -> Vec<(i64, usize)> {
        let terms = of_query(question);
        let reader = Reader::new(&terms);
        let id = |page: usize, chunk: usize| (page as i64) << CHUNK_BITS | chunk as i64;
        let length = |page: usize| u32::try_from(pages[page].1.len()).expect("few chunks");
        let mut readings: BTreeMap<i64, Reading> = BTreeMap::new();
        let mut hits: Vec<Hits> = terms
            .iter()
            .map(|term| Hits { weight: term.weight, chunks: Vec::new(), titles: Vec::new() })
            .collect();
        for (page, (title, chunks)) in pages.iter().enumerate() {
            let title = reader.read(title, terms.len());
            for (chunk, text) in chunks.iter().enumerate() {
                let reading = reader.read(text, terms.len());
                for (term, hit) in hits.iter_mut().enumerate() {
                    let found = Occurrence { chunk: id(page, chunk), length: length(page) };
                    let in_title = chunk == 0 && !title.places[term].is_empty();
                    if in_title {
                        hit.titles.push(found);
                    }
                    if in_title || !reading.places[term].is_empty() {
                        hit.chunks.push(found);
                    }
                }
                readings.insert(id(page, chunk), reading);
            }
        }
        let chunks = pages.iter().map(|(_, chunks)| chunks.len()).sum::<usize>();
        let extent = Extent { documents: pages.len() as f64, chunks: chunks as f64 };
        let list: Shortlist = shortlist(extent, &hits, limit);
        order(&list, &readings, limit)
            .into_iter()
            .map(|candidate| (candidate.chunk >> CHUNK_BITS, candidate.place()))
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
