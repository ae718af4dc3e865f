//! Frames: how one group commit of records lies in a segment file.
//!
//! A frame is all there or not at all, so a crash never leaves half a group. Its layout, numbers little-endian:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | `PAJ1` |
//! | 4 | number of records |
//! | 8 | number of the first record in the whole journal |
//! | 4 | length of the body |
//! | 16 | check of the body: the start of SHA-256 over the records' Merkle leaf hashes, in order |
//! | 8 | check of the header: the start of SHA-256 over the 36 bytes before |
//! | … | body: for each record its length in 4 bytes, then its bytes |
//!
//! The header has its own check so that a damaged length is never mistaken for an unfinished write. The checks find
//! accidents; what finds an attacker is the Merkle tree and its signatures.

use std::fmt;
use std::io;
use std::ops::Range;

use ring::digest;

use crate::disk::{LogFile, Window, has_lost_sector};
use crate::error::Fault;
use crate::merkle::TreeHash;

/// The most records of one frame.
pub(crate) const MAX_RECORDS: usize = 512;
/// The most bytes of one record.
pub(crate) const MAX_RECORD: usize = 16 * 1024;
const MAGIC: &[u8; 4] = b"PAJ1";
const HEADER: usize = 44;
const MAX_BODY: usize = MAX_RECORDS * (MAX_RECORD + 4);

/// Puts one frame together. Reused from frame to frame.
pub(crate) struct FrameWriter {
    bytes: Vec<u8>,
    count: u32,
    check: digest::Context,
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter").field("count", &self.count).finish_non_exhaustive()
    }
}

impl FrameWriter {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; HEADER], count: 0, check: digest::Context::new(&digest::SHA256) }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(HEADER);
        self.count = 0;
        self.check = digest::Context::new(&digest::SHA256);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the record that `write` appends, and returns its leaf hash; on an error or a record that is too large the
    /// frame is as before.
    pub(crate) fn add<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Result<TreeHash, TooLarge>, E> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        if let Err(error) = write(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        let record = self.bytes.get(start + 4..).unwrap_or_default();
        let (leaf, len) = (TreeHash::leaf(record), record.len());
        let Ok(prefix) = u32::try_from(len).map(u32::to_le_bytes) else {
            self.bytes.truncate(start);
            return Ok(Err(TooLarge(len)));
        };
        if len > MAX_RECORD {
            self.bytes.truncate(start);
            return Ok(Err(TooLarge(len)));
        }
        self.bytes.iter_mut().skip(start).zip(prefix).for_each(|(to, from)| *to = from);
        self.count += 1;
        self.check.update(leaf.as_bytes());
        Ok(Ok(leaf))
    }

    /// The whole frame, whose first record has the number `first`.
    pub(crate) fn finish(&mut self, first: u64) -> &[u8] {
        // At most `MAX_RECORDS` records of `MAX_RECORD` bytes fit a `u32` by far.
        let len = u32::try_from(self.bytes.len() - HEADER).unwrap_or(u32::MAX);
        let body_check = self.check.clone().finish();
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&self.count.to_le_bytes());
        header.extend_from_slice(&first.to_le_bytes());
        header.extend_from_slice(&len.to_le_bytes());
        header.extend(body_check.as_ref().iter().take(16));
        let check = digest::digest(&digest::SHA256, &header);
        header.extend(check.as_ref().iter().take(8));
        self.bytes.iter_mut().zip(header).for_each(|(to, from)| *to = from);
        &self.bytes
    }
}

/// A record is longer than [`MAX_RECORD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge(pub(crate) usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    count: u32,
    first: u64,
    len: usize,
    body_check: [u8; 16],
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (checked, rest) = bytes.split_at_checked(HEADER - 8)?;
        let rest = checked.strip_prefix(MAGIC.as_slice()).zip(rest.get(..8));
        let (fields, check) = rest?;
        if !digest::digest(&digest::SHA256, checked).as_ref().starts_with(check) {
            return None;
        }
        let (count, fields) = fields.split_first_chunk::<4>()?;
        let (first, fields) = fields.split_first_chunk::<8>()?;
        let (len, fields) = fields.split_first_chunk::<4>()?;
        let body_check = fields.first_chunk::<16>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok().filter(|len| *len <= MAX_BODY)?;
        Some(Self {
            count: u32::from_le_bytes(*count),
            first: u64::from_le_bytes(*first),
            len,
            body_check: *body_check,
        })
    }
}

/// What stands next in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A good frame; its records are in [`Frames::records`].
    Frame {
        offset: u64,
        first: u64,
    },
    End,
    /// No good frame.
    Bad {
        offset: u64,
        bad: Bad,
    },
}

/// Why there is no good frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// The header is not one.
    Header,
    /// The header is good and the file ends before the frame does.
    Short,
    /// The header is good and the body is not: the frame's length, its first record and the number of records.
    Body { len: usize, first: u64, count: u32 },
}

impl From<Bad> for Fault {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Header => Self::FrameHeader,
            Bad::Short | Bad::Body { .. } => Self::FrameBody,
        }
    }
}

/// Reads a segment's frames from a place on.
#[derive(Debug)]
pub(crate) struct Frames {
    window: Window,
    /// The current frame's length, which is passed when the next one is read.
    current: usize,
    records: Vec<(Range<usize>, TreeHash)>,
}

impl Frames {
    pub(crate) const fn new(offset: u64, limit: u64) -> Self {
        Self { window: Window::new(offset, limit), current: 0, records: Vec::new() }
    }

    pub(crate) fn next(&mut self, file: &mut dyn LogFile) -> io::Result<Found> {
        self.window.pass(std::mem::take(&mut self.current));
        self.records.clear();
        let offset = self.window.offset();
        if offset >= self.window.limit() {
            return Ok(Found::End);
        }
        self.window.fill(file, HEADER)?;
        let Some(header) = Header::parse(self.window.unread()) else {
            return Ok(Found::Bad { offset, bad: Bad::Header });
        };
        let len = HEADER + header.len;
        if !self.window.fill(file, len)? {
            return Ok(Found::Bad { offset, bad: Bad::Short });
        }
        if self.split(&header).is_none() {
            self.records.clear();
            let bad = Bad::Body { len, first: header.first, count: header.count };
            return Ok(Found::Bad { offset, bad });
        }
        self.current = len;
        Ok(Found::Frame { offset, first: header.first })
    }

    fn split(&mut self, header: &Header) -> Option<()> {
        let frame = self.window.unread().get(..HEADER + header.len)?;
        let mut check = digest::Context::new(&digest::SHA256);
        let mut at = HEADER;
        while at < frame.len() {
            let len = u32::from_le_bytes(*frame.get(at..)?.first_chunk::<4>()?);
            let range = at + 4..at.checked_add(4)?.checked_add(usize::try_from(len).ok()?)?;
            let leaf = TreeHash::leaf(frame.get(range.clone())?);
            check.update(leaf.as_bytes());
            at = range.end;
            self.records.push((range, leaf));
        }
        let good = check.finish().as_ref().starts_with(&header.body_check)
            && u32::try_from(self.records.len()) == Ok(header.count)
            && header.count > 0;
        good.then_some(())
    }

    /// Where the current frame ends.
    pub(crate) const fn end(&self) -> u64 {
        self.window.offset() + self.current as u64
    }

    /// Where reading ends.
    pub(crate) const fn limit(&self) -> u64 {
        self.window.limit()
    }

    /// How many records the current frame has.
    pub(crate) fn record_count(&self) -> usize {
        self.records.len()
    }

    /// One record of the current frame with its leaf hash.
    pub(crate) fn record(&self, index: usize) -> Option<(&[u8], TreeHash)> {
        let (range, leaf) = self.records.get(index)?;
        Some((self.window.unread().get(range.clone())?, *leaf))
    }

    /// The records of the current frame with their leaf hashes.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&[u8], TreeHash)> {
        (0..self.records.len()).filter_map(|index| self.record(index))
    }

    /// Passes `count` bytes without judging them.
    pub(crate) fn skip(&mut self, count: usize) {
        self.window.pass(count);
    }

    /// Goes on to the next place after this one where a frame's header stands, or to the end.
    pub(crate) fn resync(&mut self, file: &mut dyn LogFile) -> io::Result<()> {
        self.window.pass(1);
        while self.window.offset() < self.window.limit() {
            self.window.fill(file, HEADER)?;
            let unread = self.window.unread();
            if unread.is_empty() || Header::parse(unread).is_some() {
                break;
            }
            let next = unread.iter().skip(1).position(|byte| byte == &b'P');
            self.window.pass(next.map_or(unread.len(), |position| position + 1));
        }
        Ok(())
    }

    /// Whether what stands here, in the last segment, is what an unfinished write leaves behind: the beginning of one
    /// frame, or one frame with sectors that never reached the disk, and nothing after it.
    ///
    /// A frame of full length whose bytes are merely different is not: that is damage.
    pub(crate) fn is_unfinished(&mut self, file: &mut dyn LogFile, bad: Bad) -> io::Result<bool> {
        let start = self.window.offset();
        let rest = self.window.limit() - start;
        if rest > (HEADER + MAX_BODY) as u64 {
            return Ok(false);
        }
        self.window.fill(file, usize::try_from(rest).unwrap_or(usize::MAX))?;
        let bytes = self.window.unread();
        match bad {
            Bad::Short => Ok(true),
            Bad::Header if bytes.len() < HEADER => Ok(true),
            Bad::Header => {
                let follows =
                    (1..bytes.len()).any(|at| bytes.get(at..).is_some_and(|b| Header::parse(b).is_some()));
                // The sector that the header was in must be among the lost.
                Ok(!follows && has_lost_sector(start, bytes.get(..HEADER).unwrap_or_default()))
            }
            Bad::Body { len, .. } => Ok(bytes.len() == len && has_lost_sector(start, bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file in memory that is only read.
    #[derive(Debug)]
    struct Bytes(Vec<u8>);

    impl LogFile for Bytes {
        fn length(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
        fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
            let rest = &self.0[(offset as usize).min(self.0.len())..];
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
        fn append(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn truncate(&mut self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn sync(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn frame(first: u64, records: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = FrameWriter::new();
        for record in records {
            let added = writer.add(|into| {
                into.extend_from_slice(record);
                Ok::<(), ()>(())
            });
            added.unwrap().unwrap();
        }
        writer.finish(first).to_vec()
    }

    fn first_found(bytes: &[u8]) -> (Found, bool) {
        let mut file = Bytes(bytes.to_vec());
        let mut frames = Frames::new(0, bytes.len() as u64);
        let found = frames.next(&mut file).unwrap();
        let unfinished = match found {
            Found::Bad { bad, .. } => frames.is_unfinished(&mut file, bad).unwrap(),
            _ => false,
        };
        (found, unfinished)
    }

    proptest! {
        #[test]
        fn records_read_back_from_their_frames(
            groups in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..9), 1..9)
        ) {
            let mut first = 0;
            let mut bytes = Vec::new();
            for group in &groups {
                bytes.extend(frame(first, group));
                first += group.len() as u64;
            }
            let limit = bytes.len() as u64;
            let mut file = Bytes(bytes);
            let mut frames = Frames::new(0, limit);
            let mut first = 0;
            for group in &groups {
                let found = frames.next(&mut file).unwrap();
                let is_next = matches!(found, Found::Frame { first: number, .. } if number == first);
                prop_assert!(is_next);
                let read: Vec<_> = frames.records().map(|(record, _)| record.to_vec()).collect();
                prop_assert_eq!(&read, group);
                first += group.len() as u64;
            }
            prop_assert_eq!(frames.next(&mut file).unwrap(), Found::End);
        }

        #[test]
        fn bytes_from_anywhere_are_never_a_frame(bytes in prop::collection::vec(any::<u8>(), 1..2000)) {
            let found_a_frame = matches!(first_found(&bytes).0, Found::Frame { .. });
            prop_assert!(!found_a_frame);
        }
    }

    #[test]
    fn a_changed_byte_is_damage_and_never_an_unfinished_write() {
        let whole = frame(9, &[b"{\"first\":1}".to_vec(), vec![b'x'; 700]]);
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let (found, unfinished) = first_found(&bytes);
                assert!(matches!(found, Found::Bad { .. }), "byte {at}");
                assert!(!unfinished, "byte {at}");
            }
        }
    }

    #[test]
    fn a_cut_or_partly_zero_frame_at_the_end_is_an_unfinished_write() {
        let whole = frame(0, &[vec![b'x'; 1500]]);
        for len in 1..whole.len() {
            let (found, unfinished) = first_found(&whole[..len]);
            assert!(matches!(found, Found::Bad { .. }) && unfinished, "cut to {len}");
            let mut zero_filled = whole.clone();
            zero_filled[len / 512 * 512..].fill(0);
            assert!(first_found(&zero_filled).1, "zeros from sector {}", len / 512);
        }
        let mut hole = whole.clone();
        hole[..512].fill(0);
        assert!(first_found(&hole).1, "the sector of the header is lost");
        hole.extend(frame(1, &[b"next".to_vec()]));
        assert!(!first_found(&hole).1, "a valid frame follows");
        let mut followed = whole;
        followed[600..1500].fill(0);
        followed.push(b'x');
        assert!(!first_found(&followed).1, "something follows");
    }

    #[test]
    fn a_record_that_is_too_large_leaves_the_frame_as_it_was() {
        let mut writer = FrameWriter::new();
        let mut add = |record: &[u8]| {
            writer.add(|into| {
                into.extend_from_slice(record);
                Ok::<(), ()>(())
            })
        };
        add(b"one").unwrap().unwrap();
        assert_eq!(add(&vec![b'x'; MAX_RECORD + 1]), Ok(Err(TooLarge(MAX_RECORD + 1))));
        add(b"two").unwrap().unwrap();
        assert_eq!(writer.finish(0), frame(0, &[b"one".to_vec(), b"two".to_vec()]));
    }
}
