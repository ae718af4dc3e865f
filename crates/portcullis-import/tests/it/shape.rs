//! What every document must be, whatever it was made from.

use portcullis_import::{Limits, Parsed};

/// Characters that nobody sees; none may be left in what an import keeps.
const INVISIBLE: [char; 8] =
    ['\u{200b}', '\u{feff}', '\u{202e}', '\u{2066}', '\u{ad}', '\u{e0041}', '\u{0}', '\u{1b}'];

/// Checks one document.
pub(crate) fn check(parsed: &Parsed, limits: &Limits) {
    let path = &parsed.path;
    assert!(!parsed.title.trim().is_empty(), "{path} has no title");
    assert!(!parsed.source_key.is_empty() && !parsed.space_key.is_empty(), "{path} has no key or space");
    assert!(!parsed.chunks.is_empty(), "{path} has no chunk");
    assert!(parsed.chunks.len() <= limits.chunks, "{path} has too many chunks");
    assert!(parsed.links.len() <= limits.links, "{path} has too many links");
    for chunk in &parsed.chunks {
        let length = chunk.text.chars().count();
        assert!(length <= limits.chunk_chars.max(200), "{path} has a chunk of {length} characters");
        assert!(!chunk.text.trim().is_empty(), "{path} has an empty chunk");
        assert!(
            chunk.heading.chars().count() <= 320 && !chunk.heading.contains('\n'),
            "{path}: {}",
            chunk.heading
        );
        for text in [&chunk.text, &chunk.heading, &parsed.title] {
            assert!(!text.contains(INVISIBLE), "{path} keeps an invisible character in {text:?}");
        }
    }
    for link in &parsed.links {
        let is_web = link.starts_with("https://") || link.starts_with("http://");
        assert!(is_web || !link.contains(':'), "{path} links to {link}");
    }
}
