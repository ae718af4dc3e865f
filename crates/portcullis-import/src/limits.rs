//! How much an import takes in at most. Content comes from strangers: every length and depth has a bound.

/// The bounds of one import. What is beyond one is left out and stands in the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest file that is read, in bytes.
    pub file_bytes: u64,
    /// The most files that are looked at.
    pub files: usize,
    /// The most bytes that are read in all.
    pub total_bytes: u64,
    /// How many folders deep a file may lie below the imported one.
    pub path_depth: usize,
    /// The longest path of a file below the imported folder, in bytes.
    pub path_bytes: usize,
    /// How deep arrays and objects may nest in a JSON file; the parser itself stops at 128.
    pub json_depth: usize,
    /// The most posts of one topic that are kept.
    pub posts: usize,
    /// The most chunks of one document that are kept.
    pub chunks: usize,
    /// The most characters of one chunk, at least 200.
    pub chunk_chars: usize,
    /// The most links of one document that are kept.
    pub links: usize,
    /// How many bytes of text are kept in memory between planning and writing. What is beyond is read twice.
    pub held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 8 << 20,
            files: 100_000,
            total_bytes: 4 << 30,
            path_depth: 16,
            path_bytes: 1_024,
            json_depth: 64,
            posts: 10_000,
            chunks: 5_000,
            chunk_chars: 1_200,
            links: 2_000,
            held_bytes: 64 << 20,
        }
    }
}

/// The least useful chunk; a smaller `chunk_chars` counts as this.
pub(crate) const MIN_CHUNK_CHARS: usize = 200;
