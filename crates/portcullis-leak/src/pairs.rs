//! The first two letters of what is listed: by them nearly every place of a text is ruled out.

/// For each first byte, the second ones that words go on with, as bits.
#[derive(Debug)]
pub(crate) struct Pairs([u128; 128]);

impl Pairs {
    pub(crate) const fn none() -> Self {
        Self([0; 128])
    }

    /// Adds the first two letters of a word as they are written.
    pub(crate) fn add(&mut self, word: &str) {
        if let &[first, next, ..] = word.as_bytes() {
            self.pair(first, next);
        }
    }

    /// The same in any letter case.
    pub(crate) fn add_in_any_case(&mut self, word: &str) {
        if let &[first, next, ..] = word.as_bytes() {
            for first in [first.to_ascii_lowercase(), first.to_ascii_uppercase()] {
                self.pair(first, next.to_ascii_lowercase());
                self.pair(first, next.to_ascii_uppercase());
            }
        }
    }

    fn pair(&mut self, first: u8, next: u8) {
        if let Some(bits) = self.0.get_mut(usize::from(first)) {
            *bits |= 1_u128.checked_shl(next.into()).unwrap_or(0);
        }
    }

    /// Whether a word begins with this letter.
    pub(crate) fn begin(&self, first: u8) -> bool {
        self.0.get(usize::from(first)).is_some_and(|bits| *bits != 0)
    }

    /// Whether a word begins with these two.
    pub(crate) fn hold(&self, first: u8, next: u8) -> bool {
        let bits = self.0.get(usize::from(first)).copied().unwrap_or(0);
        bits.checked_shr(next.into()).is_some_and(|bits| bits & 1 == 1)
    }
}
