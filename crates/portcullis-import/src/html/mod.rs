//! HTML to blocks of plain text.
//!
//! No tree is built: a tree builder's work grows with the square of the nesting, and the input is hostile. The
//! [`token`] reader is linear and [`extract`] keeps just the stack of open elements it needs in order to know what a
//! browser would hide. Stylesheets and scripts are not run: what they alone hide or show is not known here.

pub(crate) mod elements;
pub(crate) mod extract;
pub(crate) mod hidden;
pub(crate) mod token;

pub(crate) use extract::{Headings, extract};

#[cfg(test)]
mod tests;
