//! The ways to cut a text, for everything that judges one piece by piece: the tests of other crates take this file too.

use std::fmt::Debug;

/// Numbers that are the same on every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }
}

pub(crate) const SEED: u64 = 0x5E_ED0F_5EED;
/// How many random splits each case goes through.
pub(crate) const SPLITS: usize = 10_000;

/// Cuts the text in every way and demands the same outcome each time.
pub(crate) fn same_for_every_split<T: PartialEq + Debug>(
    name: &str,
    text: &str,
    dice: &mut Dice,
    run: impl Fn(&[&str]) -> T,
) -> T {
    let whole = run(&[text]);
    let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    for at in &bounds {
        assert_eq!(run(&<[&str; 2]>::from(text.split_at(*at))), whole, "{name}: cut at {at}");
    }
    let piece = |from: usize, to: usize| text.get(bounds[from]..bounds[to]).expect("cut between characters");
    let each: Vec<&str> = (1..bounds.len()).map(|to| piece(to - 1, to)).collect();
    assert_eq!(run(&each), whole, "{name}: one character at a time");
    for round in 0..SPLITS {
        let longest = 1 + dice.below(20);
        let (mut pieces, mut from) = (Vec::new(), 0);
        while from + 1 < bounds.len() {
            let to = (from + 1 + dice.below(longest)).min(bounds.len() - 1);
            pieces.push(piece(from, to));
            from = to;
        }
        assert_eq!(run(&pieces), whole, "{name}: split {round}: {pieces:?}");
    }
    whole
}
