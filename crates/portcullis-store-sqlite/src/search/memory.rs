//! What searches keep in memory: where documents are, which chunks hold the words that were asked about, the texts that were
//! read, and the passages that were found. Never more than a budget that all open files share, and never longer than the content stays as it is.
//!
//! Every state of a file's content has a number, the epoch, which each search reads from the file in its own snapshot. What
//! was read in another epoch is not used. So what any process has written shows in the very next search, and a search that
//! began before that still gets what was there when it began.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use lru::LruCache;
use parking_lot::Mutex;
use portcullis_store::Passage;

use super::layout::Layout;
use super::postings::Postings;
use super::reading::Text;

/// What a remembered item takes beside its own bytes.
const OVERHEAD_BYTES: usize = 96;

/// The memory that all open files share.
#[derive(Debug)]
pub(crate) struct Budget {
    most_bytes: usize,
    used_bytes: AtomicUsize,
    /// Counts searches, to tell which file was searched last.
    searches: AtomicU64,
    memories: Mutex<Vec<Weak<Memory>>>,
}

/// What is remembered of one open file.
pub(crate) struct Memory {
    budget: Arc<Budget>,
    /// The number of the last search.
    last_search: AtomicU64,
    state: Mutex<State>,
}

struct State {
    epoch: i64,
    used_bytes: usize,
    layout: Option<Arc<Layout>>,
    words: LruCache<Box<str>, Arc<Postings>>,
    texts: LruCache<u32, Arc<Text>>,
    passages: LruCache<u32, Arc<Passage>>,
}

/// The memory in one epoch of the file. It remembers nothing while the file's content is already another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remembered<'m> {
    memory: &'m Memory,
    epoch: i64,
}

impl Budget {
    /// A budget of so many bytes.
    pub(crate) fn new(most_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            most_bytes,
            used_bytes: AtomicUsize::new(0),
            searches: AtomicU64::new(0),
            memories: Mutex::default(),
        })
    }

    /// Forgets what was not used for longest, of the files that were not searched for longest, until the budget is kept.
    fn settle(&self) {
        let excess = self.used_bytes.load(Ordering::Relaxed).saturating_sub(self.most_bytes);
        if excess == 0 {
            return;
        }
        // Some more than needed, so that this does not happen with every search.
        let mut wanted = excess.saturating_add(self.most_bytes / 32);
        let mut memories: Vec<Arc<Memory>> = {
            let mut all = self.memories.lock();
            all.retain(|memory| memory.strong_count() > 0);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        memories.sort_by_cached_key(|memory| memory.last_search.load(Ordering::Relaxed));
        for memory in memories {
            wanted = wanted.saturating_sub(memory.give_back(wanted));
            if wanted == 0 {
                return;
            }
        }
    }
}

impl Memory {
    /// An empty memory within the budget.
    pub(crate) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        let memory = Arc::new(Self {
            budget: Arc::clone(budget),
            last_search: AtomicU64::new(0),
            state: Mutex::new(State {
                epoch: i64::MIN,
                used_bytes: 0,
                layout: None,
                words: LruCache::unbounded(),
                texts: LruCache::unbounded(),
                passages: LruCache::unbounded(),
            }),
        });
        let mut all = budget.memories.lock();
        all.retain(|memory| memory.strong_count() > 0);
        all.push(Arc::downgrade(&memory));
        drop(all);
        memory
    }

    /// What is remembered of an epoch. What was remembered of an earlier one is forgotten.
    pub(super) fn of(&self, epoch: i64) -> Remembered<'_> {
        self.last_search.store(self.budget.searches.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let mut state = self.state.lock();
        if state.epoch < epoch {
            let forgotten = state.forget_all();
            state.epoch = epoch;
            self.give(forgotten);
        }
        drop(state);
        Remembered { memory: self, epoch }
    }

    fn give(&self, bytes: usize) {
        self.budget.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Forgets what was not used for longest; how many bytes that gave back.
    fn give_back(&self, wanted: usize) -> usize {
        let mut state = self.state.lock();
        let before = state.used_bytes;
        while before - state.used_bytes < wanted && state.forget_one() {}
        let given = before - state.used_bytes;
        self.give(given);
        given
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let used = self.state.get_mut().used_bytes;
        self.give(used);
    }
}

impl State {
    fn forget_all(&mut self) -> usize {
        self.layout = None;
        self.words.clear();
        self.texts.clear();
        self.passages.clear();
        std::mem::take(&mut self.used_bytes)
    }

    /// Texts and passages go first: it takes longer to read a word again. The layout is the last, as everything else is
    /// numbered by it. Whether there was anything to forget.
    fn forget_one(&mut self) -> bool {
        // A search reads many texts for each passage that it finds.
        let texts_first = self.texts.len() >= self.passages.len();
        let text = if texts_first { self.texts.pop_lru() } else { None };
        let given = if let Some((_, text)) = text {
            text.size_bytes() + OVERHEAD_BYTES
        } else if let Some((_, passage)) = self.passages.pop_lru() {
            passage_bytes(&passage) + OVERHEAD_BYTES
        } else if let Some((word, postings)) = self.words.pop_lru() {
            word.len() + postings.size_bytes() + OVERHEAD_BYTES
        } else if let Some(layout) = self.layout.take() {
            layout.size_bytes()
        } else {
            return false;
        };
        self.used_bytes = self.used_bytes.saturating_sub(given);
        true
    }
}

impl Remembered<'_> {
    /// Where the documents are.
    pub(super) fn layout(self) -> Option<Arc<Layout>> {
        self.recall(|state| state.layout.clone())?
    }

    /// Which chunks match an expression.
    pub(super) fn postings(self, expression: &str) -> Option<Arc<Postings>> {
        self.recall(|state| state.words.get(expression).cloned())?
    }

    /// The texts of some chunks, in the same order.
    pub(super) fn texts(self, chunks: &[u32]) -> Vec<Option<Arc<Text>>> {
        let texts = self.recall(|state| chunks.iter().map(|chunk| state.texts.get(chunk).cloned()).collect());
        texts.unwrap_or_else(|| vec![None; chunks.len()])
    }

    /// Some chunks as passages, in the same order.
    pub(super) fn passages(self, chunks: &[u32]) -> Vec<Option<Arc<Passage>>> {
        let passages =
            self.recall(|state| chunks.iter().map(|chunk| state.passages.get(chunk).cloned()).collect());
        passages.unwrap_or_else(|| vec![None; chunks.len()])
    }

    /// Keeps the layout.
    pub(super) fn keep_layout(self, layout: &Arc<Layout>) {
        self.keep(|state| {
            let replaced = state.layout.replace(Arc::clone(layout));
            (layout.size_bytes(), replaced.map_or(0, |old| old.size_bytes()))
        });
    }

    /// Keeps which chunks match an expression.
    pub(super) fn keep_postings(self, expression: &str, postings: &Arc<Postings>) {
        let size = |postings: &Postings| expression.len() + postings.size_bytes() + OVERHEAD_BYTES;
        self.keep(|state| put(&mut state.words, expression.into(), postings, size));
    }

    /// Keeps the texts of some chunks.
    pub(super) fn keep_texts(self, texts: &[(u32, Arc<Text>)]) {
        self.keep(|state| put_all(&mut state.texts, texts, Text::size_bytes));
    }

    /// Keeps some chunks as passages.
    pub(super) fn keep_passages(self, passages: &[(u32, Arc<Passage>)]) {
        self.keep(|state| put_all(&mut state.passages, passages, passage_bytes));
    }

    fn recall<T>(self, from: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.memory.state.lock();
        (state.epoch == self.epoch).then(|| from(&mut state))
    }

    /// Keeps something, which says how many bytes it took and how many it gave back.
    fn keep(self, into: impl FnOnce(&mut State) -> (usize, usize)) {
        let Some(()) = self.recall(|state| {
            let (taken, given) = into(state);
            state.used_bytes = (state.used_bytes + taken).saturating_sub(given);
            // Within the lock, so that what is counted here is never given back before it was taken.
            self.memory.budget.used_bytes.fetch_add(taken, Ordering::Relaxed);
            self.memory.give(given);
        }) else {
            return;
        };
        self.memory.budget.settle();
    }
}

/// Puts an item into a cache; how many bytes that takes and how many it gives back.
fn put<K: Hash + Eq, T>(
    cache: &mut LruCache<K, Arc<T>>,
    key: K,
    item: &Arc<T>,
    size: impl Fn(&T) -> usize,
) -> (usize, usize) {
    let replaced = cache.put(key, Arc::clone(item));
    (size(item), replaced.map_or(0, |old| size(&old)))
}

fn put_all<T>(
    cache: &mut LruCache<u32, Arc<T>>,
    items: &[(u32, Arc<T>)],
    size: impl Fn(&T) -> usize,
) -> (usize, usize) {
    items.iter().fold((0, 0), |(taken, given), (chunk, item)| {
        let (more, less) = put(cache, *chunk, item, |item| size(item) + OVERHEAD_BYTES);
        (taken + more, given + less)
    })
}

fn passage_bytes(passage: &Passage) -> usize {
    let texts = [Some(&passage.title), passage.url.as_ref(), Some(&passage.heading), passage.author.as_ref()];
    size_of::<Passage>() + passage.text.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("used_bytes", &self.state.lock().used_bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::{Budget, Memory};
    use crate::search::layout::Layout;
    use crate::search::postings::Postings;
    use crate::search::reading::Text;

    fn fill(memory: &Memory, epoch: i64, texts: std::ops::Range<u32>) {
        let remembered = memory.of(epoch);
        for chunk in texts {
            remembered.keep_texts(&[(chunk, Arc::new(Text::new(&"some words ".repeat(20))))]);
        }
    }

    fn kept(memory: &Memory, epoch: i64, texts: std::ops::Range<u32>) -> usize {
        let texts: Vec<u32> = texts.collect();
        memory.of(epoch).texts(&texts).iter().flatten().count()
    }

    fn used(budget: &Budget) -> usize {
        budget.used_bytes.load(Ordering::Relaxed)
    }

    #[test]
    fn what_is_of_another_epoch_is_not_used_and_not_kept() {
        let memory = Memory::new(&Budget::new(1 << 20));
        let earlier = memory.of(1);
        let (layout, postings) = (Arc::new(Layout::default()), Arc::new(Postings::default()));
        earlier.keep_layout(&layout);
        earlier.keep_postings("word", &postings);
        fill(&memory, 1, 0..1);
        assert!(earlier.layout().is_some() && earlier.postings("word").is_some());
        let later = memory.of(2);
        assert!(later.layout().is_none() && later.postings("word").is_none());
        assert_eq!((used(&memory.budget), kept(&memory, 2, 0..1)), (0, 0));
        // A search that began before the change ends after it.
        earlier.keep_layout(&layout);
        earlier.keep_postings("word", &postings);
        assert!(earlier.layout().is_none() && earlier.postings("word").is_none());
        assert!(later.layout().is_none() && later.postings("word").is_none());
        assert!(
            memory.of(1).layout().is_none(),
            "and another one that began before it does not bring it back"
        );
        later.keep_layout(&layout);
        assert!(later.layout().is_some());
    }

    #[test]
    fn the_budget_is_kept_by_forgetting_what_was_not_searched_for_longest() {
        let budget = Budget::new(100_000);
        let (idle, busy) = (Memory::new(&budget), Memory::new(&budget));
        fill(&idle, 1, 0..50);
        assert_eq!(kept(&idle, 1, 0..50), 50);
        let one = used(&budget) / 50;
        for first in (0..2_000).step_by(20) {
            fill(&busy, 1, first..first + 20);
            assert!(used(&budget) <= 100_000, "{} bytes", used(&budget));
        }
        assert_eq!(kept(&idle, 1, 0..50), 0);
        let last = kept(&busy, 1, 1_950..2_000);
        assert_eq!((last, kept(&busy, 1, 0..1_000)), (50, 0), "of its own the oldest go first");
        assert!(kept(&busy, 1, 0..2_000) * one > 90_000, "and no more of them than needed");
        drop(busy);
        assert_eq!(used(&budget), 0, "a closed file gives everything back");
    }

    #[test]
    fn an_item_that_takes_the_place_of_another_is_counted_once() {
        let budget = Budget::new(1 << 20);
        let memory = Memory::new(&budget);
        fill(&memory, 1, 0..10);
        let before = used(&budget);
        fill(&memory, 1, 0..10);
        assert_eq!(used(&budget), before);
        for _ in 0..2 {
            memory.of(1).keep_layout(&Arc::new(Layout::default()));
            memory.of(1).keep_postings("word", &Arc::new(Postings::default()));
        }
        let all = used(&budget);
        assert_eq!((memory.give_back(usize::MAX), used(&budget)), (all, 0));
    }
}
