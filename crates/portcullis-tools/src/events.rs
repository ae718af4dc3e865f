//! A stream of server-sent events, taken apart as its bytes come in.
//!
//! Each byte is looked at once, however short the events are and however the bytes are split. How many bytes come and how many
//! events are read is bounded by whoever reads.

use bytes::{Buf as _, BytesMut};

/// What came of a stream and is not read yet.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The line that has not ended. No line end stands before `scanned`.
    rest: BytesMut,
    scanned: usize,
    /// The last line ended in CR, so an LF that follows belongs to it.
    after_cr: bool,
    /// What the `data` lines of the event that has not ended hold.
    data: Option<Vec<u8>>,
}

impl Events {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The data of the next whole event, or nothing until more is pushed. An event may have none.
    pub(crate) fn next_event(&mut self) -> Option<Vec<u8>> {
        loop {
            let unseen = self.rest.get(self.scanned..).unwrap_or_default();
            let Some(offset) = unseen.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.scanned = self.rest.len();
                return None;
            };
            let line = self.rest.split_to(self.scanned.saturating_add(offset));
            self.scanned = 0;
            let is_cr = self.rest.get_u8() == b'\r';
            if std::mem::replace(&mut self.after_cr, is_cr) && !is_cr && line.is_empty() {
                continue;
            }
            if line.is_empty() {
                return Some(self.data.take().unwrap_or_default());
            }
            self.take_line(&line);
        }
    }

    /// The data of the event that was not over when the stream was.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let line = self.rest.split();
        self.take_line(&line);
        self.data.unwrap_or_default()
    }

    fn take_line(&mut self, line: &[u8]) {
        let Some(value) = line.strip_prefix(b"data:") else { return };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Events;

    const STREAM: &[u8] = b"event: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n: note\n\ndata:{\"b\":2}\n\n\
        data: 3\r\rdata: 4\n\r\ndata: {\"c\"";

    fn events(pieces: impl Iterator<Item = &'static [u8]>) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut events, mut found) = (Events::default(), Vec::new());
        for piece in pieces {
            events.push(piece);
            found.extend(std::iter::from_fn(|| events.next_event()));
        }
        (found, events.finish())
    }

    #[test]
    fn events_are_taken_apart_however_their_lines_end_and_their_bytes_are_split() {
        let wanted: [&[u8]; 5] = [b"{\"a\":\n1}", b"", b"{\"b\":2}", b"3", b"4"];
        for size in 1..=STREAM.len() {
            let (found, rest) = events(STREAM.chunks(size));
            assert_eq!(found, wanted, "{size}");
            assert_eq!(rest, b"{\"c\"", "{size}");
        }
    }

    #[test]
    fn a_stream_of_line_ends_is_read_once_and_not_again_for_each() {
        for end in ["\n\n", "\r\r", "\r\n\r\n"] {
            let mut events = Events::default();
            events.push(end.repeat((1 << 20) / end.len()).as_bytes());
            let started = Instant::now();
            // Each empty line ends an event. Were all that follows looked at for each, it would take many minutes.
            let count = std::iter::from_fn(|| events.next_event()).count();
            assert!(count >= 1 << 19, "{end:?}: {count}");
            assert!(started.elapsed() < Duration::from_secs(10), "{end:?}: {:?}", started.elapsed());
        }
    }
}
