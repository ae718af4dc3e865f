//! Server-sent events, read as the bytes come in.
//!
//! Follows the event stream format of the WHATWG HTML standard: lines end in CR, LF or CRLF; a byte order mark may open
//! the stream; lines that begin with `:` are comments; `data` lines of one event are joined by LF; an empty line ends an
//! event. `id` and `retry` are read over, for nothing here reconnects. However the bytes are split, the events are the
//! same. What an event's data says is not looked at here.

use memchr::memchr2;

/// The stream's byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The event's name; empty when it has none.
    pub name: &'a [u8],
    /// The event's data.
    pub data: &'a [u8],
}

/// One event is larger than allowed. The stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {limit} bytes")]
pub struct Oversize {
    /// The largest size allowed, in bytes.
    pub limit: usize,
}

/// An incremental parser: bytes in with [`SseParser::push`], events out with [`SseParser::next_event`].
#[derive(Debug)]
pub struct SseParser {
    limit: usize,
    /// Bytes that were pushed; those before `start` are done with, those before `scanned` hold no line end.
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    /// The last line ended in CR, so a LF that follows belongs to it.
    after_cr: bool,
    /// No byte of the stream was looked at yet.
    at_start: bool,
    data: Vec<u8>,
    has_data: bool,
    name: Vec<u8>,
    /// The event in `data` was handed out and is to be cleared.
    handed_out: bool,
    /// An event was too large; nothing more is read.
    broken: bool,
}

/// Where a line lies in the buffer, without its end.
struct Line {
    from: usize,
    to: usize,
}

impl SseParser {
    /// A parser that refuses events whose lines are together larger than `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            after_cr: false,
            at_start: true,
            data: Vec::new(),
            has_data: false,
            name: Vec::new(),
            handed_out: false,
            broken: false,
        }
    }

    /// Takes more bytes. Call [`SseParser::next_event`] until it has nothing before pushing more: that bounds what is kept.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned = self.scanned.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event, or nothing until more bytes are pushed.
    ///
    /// # Errors
    /// [`Oversize`], now and ever after.
    pub fn next_event(&mut self) -> Result<Option<SseEvent<'_>>, Oversize> {
        self.clear_handed_out();
        if !self.pass_mark() {
            return Ok(None);
        }
        while let Some(line) = self.next_line() {
            if self.take_line(&line)? {
                self.handed_out = true;
                return Ok(Some(SseEvent { name: &self.name, data: &self.data }));
            }
        }
        self.check(self.buffer.len().saturating_sub(self.start))?;
        Ok(None)
    }

    /// The event that was complete but for the empty line when the stream ended. The standard drops it; some servers
    /// end their last event, `[DONE]`, this way, and a cut inside a line is left out all the same.
    ///
    /// # Errors
    /// [`Oversize`].
    pub fn finish(&mut self) -> Result<Option<SseEvent<'_>>, Oversize> {
        self.clear_handed_out();
        self.check(0)?;
        if self.start < self.buffer.len() {
            let rest = Line { from: self.start, to: self.buffer.len() };
            let whole = self.slice(&rest) == b"data: [DONE]" || self.slice(&rest) == b"data:[DONE]";
            self.start = self.buffer.len();
            self.scanned = self.start;
            if whole {
                self.take_line(&rest)?;
            }
        }
        if !self.has_data {
            return Ok(None);
        }
        self.handed_out = true;
        Ok(Some(SseEvent { name: &self.name, data: &self.data }))
    }

    fn clear_handed_out(&mut self) {
        if self.handed_out {
            self.handed_out = false;
            self.has_data = false;
            self.data.clear();
            self.name.clear();
        }
    }

    /// Steps over the byte order mark. False while too little is there to tell.
    fn pass_mark(&mut self) -> bool {
        if self.at_start {
            if self.buffer.len() < MARK.len() && MARK.starts_with(&self.buffer) {
                return false;
            }
            self.at_start = false;
            if self.buffer.starts_with(MARK) {
                self.start = MARK.len();
                self.scanned = self.start;
            }
        }
        true
    }

    fn next_line(&mut self) -> Option<Line> {
        if self.after_cr {
            let first = *self.buffer.get(self.start)?;
            self.after_cr = false;
            if first == b'\n' {
                self.start = self.start.saturating_add(1);
                self.scanned = self.start;
            }
        }
        let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(offset) = memchr2(b'\n', b'\r', unseen) else {
            self.scanned = self.buffer.len();
            return None;
        };
        self.after_cr = unseen.get(offset) == Some(&b'\r');
        let line = Line { from: self.start, to: self.scanned.saturating_add(offset) };
        self.start = line.to.saturating_add(1);
        self.scanned = self.start;
        Some(line)
    }

    fn slice(&self, line: &Line) -> &[u8] {
        self.buffer.get(line.from..line.to).unwrap_or_default()
    }

    /// Adds one line to the event. True when the line ends an event.
    fn take_line(&mut self, line: &Line) -> Result<bool, Oversize> {
        self.check(line.to.saturating_sub(line.from))?;
        let bytes = self.buffer.get(line.from..line.to).unwrap_or_default();
        if bytes.is_empty() {
            if !self.has_data {
                self.name.clear();
            }
            return Ok(self.has_data);
        }
        let (field, value) = match memchr::memchr(b':', bytes) {
            Some(colon) => {
                let (field, rest) = bytes.split_at(colon);
                let value = rest.get(1..).unwrap_or_default();
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (bytes, b"".as_slice()),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            _ => {}
        }
        Ok(false)
    }

    fn check(&mut self, line: usize) -> Result<(), Oversize> {
        let size = self.data.len().saturating_add(self.name.len()).saturating_add(line);
        self.broken |= size > self.limit;
        if self.broken { Err(Oversize { limit: self.limit }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Oversize, SseParser};

    /// Feeds the pieces and gives every event, the unfinished last one too.
    fn events(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = SseParser::new(1 << 20);
        let mut found = Vec::new();
        let mut keep = |event: super::SseEvent<'_>| {
            found.push((
                String::from_utf8_lossy(event.name).into_owned(),
                String::from_utf8_lossy(event.data).into_owned(),
            ));
        };
        for piece in pieces {
            parser.push(piece);
            while let Some(event) = parser.next_event().unwrap() {
                keep(event);
            }
        }
        if let Some(event) = parser.finish().unwrap() {
            keep(event);
        }
        found
    }

    /// The format read the slow way: all the text at once, line by line.
    fn plainly(bytes: &[u8]) -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut lines: Vec<&str> = text.split('\n').collect();
        let last = lines.pop().unwrap();
        if last == "data: [DONE]" || last == "data:[DONE]" {
            lines.push(last);
        }
        lines.push("");
        let (mut found, mut name, mut data) = (Vec::new(), String::new(), Vec::new());
        for line in lines {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            if line.is_empty() {
                if !data.is_empty() {
                    found.push((name.clone(), data.join("\n")));
                }
                name.clear();
                data.clear();
            } else if field == "data" {
                data.push(value.to_owned());
            } else if field == "event" {
                name = value.to_owned();
            }
        }
        found
    }

    #[test]
    fn the_format_is_read_as_the_standard_says() {
        let cases: [(&str, &[(&str, &str)]); 12] = [
            ("data: a\n\n", &[("", "a")]),
            ("data: a\r\n\r\ndata:b\r\r", &[("", "a"), ("", "b")]),
            ("\u{feff}data: a\n\n", &[("", "a")]),
            (": a comment\n\n:\n\ndata: a\n\n", &[("", "a")]),
            ("data: a\ndata:  b\ndata\ndata:c\n\n", &[("", "a\n b\n\nc")]),
            ("event: error\ndata: x\n\ndata: y\n\n", &[("error", "x"), ("", "y")]),
            ("event: lost\n\ndata: y\n\n", &[("", "y")]),
            ("id: 7\nretry: 9\nunknown: z\ndata: y\n\n", &[("", "y")]),
            ("data: {\"a\":1}\n\ndata: [DONE]", &[("", "{\"a\":1}"), ("", "[DONE]")]),
            ("data: {\"a\":1}\n\ndata: {\"a\":", &[("", "{\"a\":1}")]),
            ("data:\n\n", &[("", "")]),
            ("", &[]),
        ];
        for (stream, wanted) in cases {
            let wanted: Vec<_> = wanted.iter().map(|(n, d)| ((*n).to_owned(), (*d).to_owned())).collect();
            assert_eq!(events(&[stream.as_bytes()]), wanted, "{stream:?}");
        }
    }

    #[test]
    fn an_event_that_grows_past_the_limit_is_refused_for_good() {
        let long = b"x".repeat(200);
        let streams: [&[&[u8]]; 4] = [
            &[b"data: ", &long],
            &[b": ", &long],
            &[
                b"data: 0123456789012345678901234567890\n",
                b"data: 0123456789012345678901234567890\n",
                b"data: 0123456789012345678901234567890\n",
            ],
            &[&long, b"\n"],
        ];
        for pieces in streams {
            let mut parser = SseParser::new(64);
            let mut result = Ok(());
            for piece in pieces {
                parser.push(piece);
                result = parser.next_event().map(|event| assert!(event.is_none()));
            }
            assert_eq!(result, Err(Oversize { limit: 64 }));
            assert!(parser.next_event().is_err());
        }
    }

    #[test]
    fn a_long_stream_of_small_events_keeps_nothing() {
        let mut parser = SseParser::new(64);
        for _ in 0..10_000 {
            parser.push(b"data: 0123456789\n\n: ping\n");
            while parser.next_event().unwrap().is_some() {}
        }
        assert!(parser.buffer.capacity() < 1024);
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let token = prop::sample::select(vec![
            "data: ",
            "data:",
            "data",
            "event: e",
            "event:",
            ":",
            ": c",
            "id: 1",
            "x",
            "{\"a\":1}",
            " ",
            "é",
            "[DONE]",
            "\n",
            "\n",
            "\n\n",
            "\r",
            "\r\r",
            "\r\n",
            "\r\n\r\n",
            "\u{feff}",
        ]);
        prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn any_split_of_the_bytes_gives_the_same_events(bytes in stream(), cuts in prop::collection::vec(0usize..100, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
            let wanted = plainly(&bytes);
            prop_assert_eq!(events(&[&bytes]), wanted.clone());
            prop_assert_eq!(events(&pieces), wanted.clone());
            prop_assert_eq!(events(&one_by_one), wanted);
        }
    }
}
