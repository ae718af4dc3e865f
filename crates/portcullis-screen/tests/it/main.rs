//! The weights that ship: what they were made from, and what they say to attacks and to ordinary text.

#[cfg(test)]
mod encodings;
#[cfg(test)]
mod risks;
#[cfg(test)]
mod shipped;
#[cfg(test)]
#[path = "../../examples/train/sums.rs"]
mod sums;
