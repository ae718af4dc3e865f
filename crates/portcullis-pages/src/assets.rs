//! The files that pages link to.

/// A file, served as it is.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Where it is served. The same with or without a community's base: pages of all communities share it.
    pub path: &'static str,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// What it holds.
    pub body: &'static [u8],
    /// A hash of what it holds, without the quotes that the `ETag` header wants around it. Pages put it into the link
    /// as `?v=`.
    pub etag: &'static str,
}

const CSS: &[u8] = include_bytes!("../assets/portcullis.css");
const JAVASCRIPT: &[u8] = include_bytes!("../assets/portcullis.js");
const ICON: &[u8] = include_bytes!("../assets/portcullis.svg");

const CSS_HASH: [u8; 16] = hex(hash(CSS));
const JAVASCRIPT_HASH: [u8; 16] = hex(hash(JAVASCRIPT));
const ICON_HASH: [u8; 16] = hex(hash(ICON));

pub(crate) const STYLE: Asset = Asset {
    path: "/assets/portcullis.css",
    content_type: "text/css; charset=utf-8",
    body: CSS,
    etag: ascii(&CSS_HASH),
};
pub(crate) const SCRIPT: Asset = Asset {
    path: "/assets/portcullis.js",
    content_type: "text/javascript; charset=utf-8",
    body: JAVASCRIPT,
    etag: ascii(&JAVASCRIPT_HASH),
};
pub(crate) const MARK: Asset = Asset {
    path: "/assets/portcullis.svg",
    content_type: "image/svg+xml",
    body: ICON,
    etag: ascii(&ICON_HASH),
};

/// Every file that a page links to.
pub fn assets() -> &'static [Asset] {
    const { &[STYLE, SCRIPT, MARK] }
}

/// The `Cache-Control` of an asset that was asked for with this value of `v`: a year for the version that there is,
/// and for any other no longer than it takes to ask again.
pub fn cache_control(asset: &Asset, version: Option<&str>) -> &'static str {
    if version == Some(asset.etag) { "public, max-age=31536000, immutable" } else { "no-cache" }
}

/// FNV-1a with 64 bits: it tells two versions of our own file apart and guards nothing.
const fn hash(mut bytes: &[u8]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    while let Some((first, rest)) = bytes.split_first() {
        state = (state ^ *first as u64).wrapping_mul(0x0100_0000_01b3);
        bytes = rest;
    }
    state
}

const fn hex(mut value: u64) -> [u8; 16] {
    let mut out = [b'0'; 16];
    let mut rest: &mut [u8] = &mut out;
    while let Some((last, before)) = rest.split_last_mut() {
        let digit = (value & 0xf) as u8;
        *last = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        value >>= 4;
        rest = before;
    }
    out
}

const fn ascii(hex: &'static [u8; 16]) -> &'static str {
    match std::str::from_utf8(hex) {
        Ok(text) => text,
        Err(_) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::{assets, cache_control, hash, hex};

    #[test]
    fn the_hash_is_fnv_1a() {
        // The reference's own vectors.
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(&hex(0x0123_4567_89ab_cdef), b"0123456789abcdef");
    }

    #[test]
    fn only_the_version_that_there_is_may_be_kept() {
        for asset in assets() {
            assert_eq!(asset.etag.len(), 16);
            assert!(cache_control(asset, Some(asset.etag)).contains("immutable"));
            assert_eq!(cache_control(asset, None), "no-cache");
            assert_eq!(cache_control(asset, Some("0000000000000000")), "no-cache");
        }
    }
}
