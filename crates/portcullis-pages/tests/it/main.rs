//! What a page may hold, whatever is put into it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod attacks;
mod html;
mod pages;
mod policy;
mod world;
