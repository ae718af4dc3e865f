//! The logit of a text's worst window, without a list for any of them: the text is read once ([`Reading`]), and each window
//! takes what is its own of that.
//!
//! It gives what [`crate::features`] and [`Model::logit`] give, bit by bit. A window that begins or ends inside of a word, or is
//! not one stretch of the text, is read for itself.

use crate::Channel;
use crate::features::{DEEP, MEASURES, REACH, WIDE, bucket, mix, of};
use crate::fold::Signs;
use crate::form::Form;
use crate::model::{INPUTS, Model, SPARE, VECTOR, weight_of};
use crate::reading::{Place, Reading};
use crate::windows::{Cut, Window};

/// The logit of the worst window of a folded text; far below any threshold if it has none.
pub(crate) fn worst(model: &Model, text: &str, signs: &Signs, layer: u32, channel: Channel) -> f32 {
    let cut = Cut::of(text, channel);
    let bounds = cut.pieces.iter().flat_map(|piece| [piece.start, piece.end]).chain([text.len()]);
    let reading = Reading::of(text, bounds, model);
    let mut scorer = Scorer::new(model, &reading, text);
    // Where each sentence is a window, one that holds one sentence comes again.
    let each = if channel == Channel::Question && cut.pieces.len() > 1 { cut.pieces.len() } else { 0 };
    let once = cut.windows.len() - each;
    let mut worst = f32::MIN;
    for (at, window) in cut.windows.iter().enumerate() {
        if each > 0 && at < once && matches!(window, Window::Pieces(first, end) if *end == first + 1) {
            continue;
        }
        let logit = match scorer.span(&cut, *window) {
            Some(places) => scorer.logit(places, signs, layer),
            None => alone(model, &cut.text(text, *window), signs, layer),
        };
        worst = worst.max(logit);
    }
    worst
}

/// The logit of a window that is read for itself, since it begins or ends inside of a word.
fn alone(model: &Model, window: &str, signs: &Signs, layer: u32) -> f32 {
    let reading = Reading::of(window, std::iter::once(window.len()), model);
    Scorer::new(model, &reading, window).logit(&reading.places, signs, layer)
}

/// Buckets that were met in a window. Which concepts stand together counts, not how often they do.
#[derive(Debug)]
struct Seen {
    bits: Box<[u64; WIDE / 64]>,
    buckets: Vec<u32>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { bits: Box::new([0; WIDE / 64]), buckets: Vec::with_capacity(256) }
    }
}

impl Seen {
    /// Whether the bucket is met for the first time.
    #[inline]
    fn add(&mut self, bucket: u32) {
        let place = bucket as usize;
        if let Some(bits) = self.bits.get_mut(place / 64)
            && *bits & (1 << (place % 64)) == 0
        {
            *bits |= 1 << (place % 64);
            self.buckets.push(bucket);
        }
    }

    /// The sum of the buckets' weights and how many there were; none is left.
    fn take(&mut self, model: &Model) -> (i32, usize) {
        let mut sum = 0;
        for bucket in &self.buckets {
            sum += model.weight_at(*bucket);
            if let Some(bits) = self.bits.get_mut(*bucket as usize / 64) {
                *bits = 0;
            }
        }
        let count = self.buckets.len();
        self.buckets.clear();
        (sum, count)
    }
}

/// A word with concepts, in a window.
#[derive(Debug, Clone, Copy)]
struct Known {
    at: usize,
    concepts: u32,
    quoted: bool,
}

struct Scorer<'a> {
    model: &'a Model,
    reading: &'a Reading,
    text: &'a str,
    seen: Seen,
    known: Vec<Known>,
}

impl<'a> Scorer<'a> {
    fn new(model: &'a Model, reading: &'a Reading, text: &'a str) -> Self {
        Self { model, reading, text, seen: Seen::default(), known: Vec::with_capacity(64) }
    }

    /// The places from where the window begins to where it ends, if it is one piece of the text and tears no word.
    fn span(&self, cut: &Cut, window: Window) -> Option<&'a [Place]> {
        let places = &self.reading.places;
        let place = |at: usize| {
            let found = places.binary_search_by(|place| place.at.cmp(&at)).ok()?;
            places.get(found).filter(|place| !place.torn).map(|_| found)
        };
        let (start, end) = match window {
            Window::Whole => (0, self.text.len()),
            Window::Pieces(first, end) => {
                let pieces = cut.pieces.get(first..end)?;
                let adjoin =
                    pieces.windows(2).all(|pair| matches!(pair, [one, next] if one.end == next.start));
                if !adjoin {
                    return None;
                }
                (pieces.first()?.start, pieces.last()?.end)
            }
        };
        places.get(place(start)?..=place(end)?)
    }

    fn logit(&mut self, places: &[Place], signs: &Signs, layer: u32) -> f32 {
        let (from, to) = ends(places);
        let form = self.form(places);
        let (first, end) = (from.words, to.words);
        let (before, all) = (self.reading.sums(first), self.reading.sums(end));
        // Pairs and triples that begin before the window are none of its.
        let words = self.reading.words.get(first..end).unwrap_or_default();
        let torn_off = words.first().map_or(0, |word| word.pair + word.triple)
            + words.get(1).map_or(0, |word| word.triple);
        let (concepts, concept_count, deep_concepts, deep_count) = self.pairs(first);
        let count = words.len();
        let grams = count + count.saturating_sub(1) + count.saturating_sub(2);
        let [of_letters, of_words, of_concepts] = SPARE;
        let mut sum = 0.0;
        sum += (all.letters - before.letters) as f32
            * weight_of(all.letter_count - before.letter_count, of_letters);
        sum += (all.words - before.words - torn_off) as f32 * weight_of(grams, of_words);
        sum += concepts as f32 * weight_of(concept_count, of_concepts);

        let mut inputs = [0.0; INPUTS];
        let (pooled, measures) = inputs.split_at_mut(VECTOR * 2);
        let (of_words, of_concepts) = pooled.split_at_mut(VECTOR);
        let mut deep = all.deep;
        deep.iter_mut().zip(before.deep).for_each(|(all, before)| *all -= before);
        of_words.copy_from_slice(&self.model.pooled(&deep, count, 2.0));
        of_concepts.copy_from_slice(&self.model.pooled(&deep_concepts, deep_count, 4.0));
        let own: [f32; MEASURES] = form.measures(signs, layer);
        measures.copy_from_slice(&own);
        self.model.of_sums(sum, &inputs)
    }

    /// What the window looks like; its words with concepts are kept for their pairs.
    fn form(&mut self, places: &[Place]) -> Form {
        let (from, to) = ends(places);
        let reading = self.reading;
        let window = self.text.get(from.at..to.at).unwrap_or_default();
        let mut form = Form {
            words: to.words - from.words,
            chars: to.chars - from.chars,
            marks: to.marks - from.marks,
            digits: to.digits - from.digits,
            asks: window.trim_end().ends_with('?'),
            ..Form::default()
        };
        for place in places.iter().skip(1) {
            form.signals |= place.signals;
        }
        for (_, end, signal) in reading.across_from(from.at).take_while(|(start, ..)| *start < to.at) {
            if *end <= to.at {
                form.signals |= signal;
            }
        }
        self.known.clear();
        for word in reading.known.get(from.known..to.known).unwrap_or_default() {
            let concepts = word.concepts(from.words);
            if concepts != 0 {
                let quoted = (word.quotes - from.quotes) % 2 == 1;
                form.add(of(concepts), quoted);
                form.all |= concepts;
                self.known.push(Known { at: word.at, concepts, quoted });
            }
        }
        form.known = self.known.len();
        form.first = self.known.first().filter(|word| word.at == from.words).map_or(0, |word| word.concepts);
        form
    }

    /// The weights of concepts and of those that stand together, how many these are, and the same of vectors.
    fn pairs(&mut self, first: usize) -> (i32, usize, [i32; VECTOR], usize) {
        let (mut deep, mut deep_count) = ([0; VECTOR], 0);
        let seen = &mut self.seen;
        let mut see = |hash: u64| seen.add(bucket(hash, WIDE));
        for (place, word) in self.known.iter().enumerate() {
            let opens = word.at == first;
            let rest = self.known.get(place + 1..).unwrap_or_default();
            for one in of(word.concepts) {
                let one = u64::from(one);
                see(mix(one | u64::from(opens) << 8 | u64::from(word.quoted) << 9, 201));
                see(mix(one, 202));
                self.model.add_vector(mix(one, 203), &mut deep);
                deep_count += 1;
                for (gap, next) in rest.iter().enumerate().take_while(|(_, next)| next.at - word.at <= REACH)
                {
                    let apart = (next.at - word.at - 1) as u64;
                    for other in of(next.concepts) {
                        let pair = one << 8 | u64::from(other);
                        see(mix(pair, 204));
                        see(mix(pair << 4 | (apart / 2), 205));
                        self.model.add_vector(mix(pair, 206), &mut deep);
                        deep_count += 1;
                        let after = rest.iter().skip(gap + 1).take_while(|third| third.at - next.at <= 3);
                        for third in after.filter_map(|word| of(word.concepts).next()) {
                            see(mix(pair << 8 | u64::from(third), 207));
                        }
                    }
                }
            }
        }
        let (sum, count) = self.seen.take(self.model);
        (sum, count, deep, deep_count)
    }
}

/// The first and the last of a window's places.
fn ends(places: &[Place]) -> (Place, Place) {
    (places.first().copied().unwrap_or_default(), places.last().copied().unwrap_or_default())
}

const _: () = assert!(DEEP.is_power_of_two() && WIDE.is_power_of_two(), "a bucket is some bits of a hash");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Screen;

    #[test]
    fn a_text_of_very_many_sentences_is_scored_to_its_end() {
        let screen = Screen::shipped().expect("weights that can be read");
        let (sentence, marks) = ("ignorethebook. ", "system:");
        let text = |sentences: usize, times: usize| sentence.repeat(sentences) + &marks.repeat(times);
        for channel in Channel::ALL {
            let worst = |text: &str| worst(screen.model(channel), text, &Signs::default(), 0, channel);
            // The windows of the long text are those of the short one, again and again: 26 sentences are one, and a signal stands across each end of seven pieces of marks.
            assert_eq!(worst(&text(520_000, 60_000)).to_bits(), worst(&text(520, 6_000)).to_bits());
        }
    }
}
