//! A small HTTP/1.1 client over one kept-alive connection: enough to ask and to time the answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

/// How long one read or write may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const MOST: usize = 16 << 20;

/// A chat request as every load generator sends it.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    pub(super) key: String,
    pub(super) body: String,
}

impl Ask {
    /// The bytes on the wire.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let Self { address, path, key, body } = self;
        format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("{address} cannot be reached"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10) })
    }

    /// Sends one request and waits for the whole answer.
    pub(super) fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).context("a request could not be sent")?;
        self.buffer.clear();
        let mut piece = [0_u8; 16 << 10];
        loop {
            let read = self.stream.read(&mut piece).context("an answer could not be read")?;
            if read == 0 {
                bail!("the connection was closed after {} bytes of an answer", self.buffer.len());
            }
            self.buffer.extend_from_slice(piece.get(..read).unwrap_or_default());
            if let Some(answer) = parse(&self.buffer)? {
                return Ok(answer);
            }
            if self.buffer.len() > MOST {
                bail!("an answer is larger than {MOST} bytes");
            }
        }
    }

    /// Asks for a path.
    pub(super) fn read(&mut self, path: &str) -> Result<Answer> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }
}

/// The answer in these bytes, or `None` while it is not complete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Answer>> {
    let Some((head, rest)) = split_once(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(head).context("the head of an answer is not UTF-8")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(status).ok_or_else(|| anyhow!("an answer has no status line"))?;
    let (mut length, mut chunked) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<usize>().with_context(|| format!("`content-length: {value}`"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        }
    }
    let body = match (chunked, length) {
        (true, _) => unchunk(rest)?,
        (false, Some(length)) => rest.get(..length).map(<[u8]>::to_vec),
        (false, None) => bail!("an answer has neither a length nor chunks, so its end cannot be told"),
    };
    Ok(body.map(|body| Answer { status, body }))
}

fn status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// The body in these chunks, or `None` while the last one is missing. No server here sends trailers.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some((size, after)) = split_once(rest, b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.context("a chunk has no size")?;
        let Some(chunk) = after.get(..size) else { return Ok(None) };
        let Some(end) = after.get(size..).and_then(|end| end.get(..2)) else { return Ok(None) };
        if end != b"\r\n" {
            bail!("a chunk of {size} bytes does not end where it says");
        }
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(chunk);
        rest = after.get(size.saturating_add(2)..).unwrap_or_default();
    }
}

fn split_once<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((bytes.get(..at)?, bytes.get(at.checked_add(mark.len())?..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Option<Answer> {
        Some(Answer { status, body: body.into() })
    }

    #[test]
    fn an_answer_is_whole_only_with_its_last_byte() {
        let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        for end in 0..wire.len() {
            assert_eq!(parse(&wire[..end]).unwrap(), None, "{end}");
        }
        assert_eq!(parse(wire).unwrap(), answer(200, "hello"));
    }

    #[test]
    fn chunks_are_joined_and_an_unfinished_one_is_waited_for() {
        let wire =
            b"HTTP/1.1 429 Slow\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab\n\r\nA\r\n0123456789\r\n0\r\n\r\n";
        for end in 0..wire.len() {
            assert_eq!(parse(&wire[..end]).unwrap(), None, "{end}");
        }
        assert_eq!(parse(wire).unwrap(), answer(429, "ab\n0123456789"));
    }

    #[test]
    fn what_is_no_answer_is_an_error_and_never_an_empty_one() {
        for wire in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nuntil the end",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        ] {
            assert!(parse(wire.as_bytes()).is_err(), "{wire}");
        }
    }
}
