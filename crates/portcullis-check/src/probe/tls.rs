//! TLS handshakes: what servers present, which old versions they take, and whether the scanner would notice.
//!
//! Each attempt is a connection of its own, recorded like a request. What is presented is judged by the checks.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use portcullis_core::secret::random_bytes;
use portcullis_egress::handshake::{self, Offer, Presented, Versions};
use portcullis_egress::{Error, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::hello::{self, Old, Reply};
use super::{Probe, ProbeError};
use crate::outcome::Inconclusive;
use crate::target::Protocol;

/// The most bytes of a first answer that are read.
const FIRST_ANSWER_BYTES: usize = 32 * 1024;
/// The most bytes of a mail server's answer.
const LINE_BYTES: usize = 4096;
/// `SSLRequest`, as PostgreSQL's protocol has it: length 8, code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A listener at one address, and the name it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The name; none to ask for no name.
    pub name: Option<String>,
    /// The address.
    pub address: SocketAddr,
    /// What it speaks before TLS.
    pub protocol: Protocol,
}

impl Peer {
    /// For messages: `bot.example.org at 192.0.2.7:443`.
    pub fn line(&self) -> String {
        match &self.name {
            Some(name) if name.parse::<IpAddr>().is_err() => format!("{name} at {}", self.address),
            _ => self.address.to_string(),
        }
    }

    /// The same listener, asked for no name.
    #[must_use]
    pub fn unnamed(&self) -> Self {
        Self { name: None, ..self.clone() }
    }
}

/// How an attempt ended that got an answer.
#[derive(Debug, Clone)]
pub struct Attempt<T> {
    /// The number of the exchange in this check's evidence.
    pub number: usize,
    /// What was answered.
    pub answer: Answered<T>,
}

/// What a listener answered to an offer of TLS.
#[derive(Debug, Clone)]
pub enum Answered<T> {
    /// It agrees.
    Agrees(T),
    /// It refuses, in these words.
    Refuses(String),
    /// It speaks, but not TLS.
    NoTls(String),
    /// Its own protocol says that TLS is not to be had.
    OffersNone(String),
}

/// A version and a suite that a server took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The version's name.
    pub version: String,
    /// The suite's name.
    pub suite: String,
    /// Whether the version is the offered one or an older one, as it has to be.
    pub is_sound: bool,
}

/// A connection on which TLS may begin, or why it may not.
enum Opened {
    Ready(TcpStream),
    OffersNone(String),
    NoTls(String),
}

impl Probe {
    /// All addresses of a host: those that the target file gives, or what the system's resolver says.
    ///
    /// # Errors
    /// When it has none.
    pub async fn addresses(&mut self, host: &str) -> Result<Vec<IpAddr>, ProbeError> {
        let target = self.target();
        let given = target.edge.as_ref().and_then(|edge| edge.resolve.get(host));
        let (found, by) = match given {
            Some(given) => (Ok(given.clone()), "target.toml"),
            None => (handshake::look_up(host, self.budget.connect_timeout).await, "the system's resolver"),
        };
        let request = format!("addresses of {host}");
        match found {
            Ok(found) => {
                let listed = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                self.observe(&request, &format!("{listed}, says {by}"));
                Ok(found)
            }
            Err(why) => {
                self.observe(&request, &format!("no answer: {why}"));
                Err(ProbeError::NoAnswer { request, why })
            }
        }
    }

    /// Makes one handshake and keeps what was presented.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn shake(&mut self, peer: &Peer, versions: Versions) -> Result<Attempt<Presented>, ProbeError> {
        let offered = match versions {
            Versions::Both => "TLS 1.3 and 1.2",
            Versions::Only13 => "TLS 1.3",
            Versions::Only12 => "TLS 1.2",
        };
        let request = described(peer, offered);
        let (connect, answer) = (self.budget.connect_timeout, self.budget.answer_timeout);
        let offer = Offer { server_name: peer.name.clone(), versions };
        let found = async {
            match open(peer, connect, answer).await? {
                Opened::Ready(stream) => sorted(handshake::present(stream, &offer, answer).await),
                Opened::OffersNone(why) => Ok(Answered::OffersNone(why)),
                Opened::NoTls(why) => Ok(Answered::NoTls(why)),
            }
        };
        let found = found.await;
        self.settle(request, found, |presented| {
            let version = if presented.is_tls13 { "TLS 1.3" } else { "TLS 1.2" };
            format!("{version}, {}, {} certificates", presented.suite, presented.certificates.len())
        })
    }

    /// Offers what an old client would offer and says what came of it.
    ///
    /// # Errors
    /// When nothing answers, or only a part of an answer.
    pub async fn offer_old(&mut self, peer: &Peer, old: Old) -> Result<Attempt<Taken>, ProbeError> {
        let request = described(peer, old.name());
        let (connect, answer) = (self.budget.connect_timeout, self.budget.answer_timeout);
        let found = async {
            match open(peer, connect, answer).await? {
                Opened::Ready(stream) => say_hello(stream, peer, old, answer).await,
                Opened::OffersNone(why) => Ok(Answered::OffersNone(why)),
                Opened::NoTls(why) => Ok(Answered::NoTls(why)),
            }
        };
        let found = found.await;
        self.settle(request, found, |taken| format!("taken: {}, {}", taken.version, taken.suite))
    }

    /// Shows that the scanner would notice an old server: a small one for each version runs in this process, and another
    /// that refuses.
    ///
    /// # Errors
    /// When it does not notice.
    pub async fn try_scanner(&mut self) -> Result<(), Inconclusive> {
        let broken = |why: String| Inconclusive::because(format!("the scanner failed its self-test: {why}"));
        for server in Old::REFUSED {
            for old in Old::REFUSED {
                let answer = self.budget.answer_timeout;
                let found = rehearse(server, old, answer).await.map_err(|why| broken(why.to_string()))?;
                let noticed = match &found {
                    Answered::Agrees(taken) => {
                        taken.is_sound && taken.version == server.name() && old == server
                    }
                    Answered::Refuses(_) => old != server,
                    Answered::NoTls(_) | Answered::OffersNone(_) => false,
                };
                if !noticed {
                    return Err(broken(format!(
                        "a server that speaks {} only was offered {} and seemed to say {found:?}",
                        server.name(),
                        old.name()
                    )));
                }
            }
        }
        self.observe(
            "self-test of the scanner on servers in this process",
            "servers of SSL 3.0, TLS 1.0 and TLS 1.1 were noticed, and so were their refusals",
        );
        Ok(())
    }

    fn settle<T>(
        &mut self,
        request: String,
        found: Result<Answered<T>, Error>,
        says: impl Fn(&T) -> String,
    ) -> Result<Attempt<T>, ProbeError> {
        match found {
            Ok(answer) => {
                let text = match &answer {
                    Answered::Agrees(what) => says(what),
                    Answered::Refuses(why) => format!("refused: {why}"),
                    Answered::NoTls(why) => format!("not TLS: {why}"),
                    Answered::OffersNone(why) => format!("offers no TLS: {why}"),
                };
                let number = self.observe(&request, &text);
                Ok(Attempt { number, answer })
            }
            Err(why) => {
                self.observe(&request, &format!("no answer: {why}"));
                Err(ProbeError::NoAnswer { request, why })
            }
        }
    }
}

fn described(peer: &Peer, offered: &str) -> String {
    let name = if peer.name.is_some() { "" } else { " without a name" };
    let way = match peer.protocol {
        Protocol::Tls => "",
        Protocol::Postgres => " after SSLRequest",
        Protocol::SmtpStartTls => " after STARTTLS",
    };
    format!("TLS handshake{way} with {}{name}, offering {offered}", peer.line())
}

/// A refusal and a server that hangs up are answers; silence is none.
fn sorted(found: Result<Presented, Error>) -> Result<Answered<Presented>, Error> {
    match found {
        Ok(presented) => Ok(Answered::Agrees(presented)),
        Err(error) => match error.kind() {
            Kind::Tls => Ok(Answered::Refuses(error.to_string())),
            Kind::Closed => Ok(Answered::Refuses("it hung up".to_owned())),
            Kind::Malformed => Ok(Answered::NoTls(error.to_string())),
            _ => Err(error),
        },
    }
}

async fn open(peer: &Peer, connect: Duration, answer: Duration) -> Result<Opened, Error> {
    let mut stream = handshake::dial(peer.address, connect).await?;
    let opening = async {
        match peer.protocol {
            Protocol::Tls => Ok(None),
            Protocol::Postgres => ask_postgres(&mut stream).await,
            Protocol::SmtpStartTls => ask_mail(&mut stream).await,
        }
    };
    match timeout(answer, opening).await {
        Err(_) => Err(handshake::silence(peer.address)),
        Ok(Err(error)) => Ok(Opened::NoTls(error.to_string())),
        Ok(Ok(Some(why))) => Ok(why),
        Ok(Ok(None)) => Ok(Opened::Ready(stream)),
    }
}

async fn ask_postgres(stream: &mut TcpStream) -> io::Result<Option<Opened>> {
    stream.write_all(&SSL_REQUEST).await?;
    Ok(match stream.read_u8().await? {
        b'S' => None,
        b'N' => Some(Opened::OffersNone("it answers `N` to SSLRequest".to_owned())),
        _ => Some(Opened::NoTls("it does not know SSLRequest".to_owned())),
    })
}

async fn ask_mail(stream: &mut TcpStream) -> io::Result<Option<Opened>> {
    let no_mail = |what: &str| Some(Opened::NoTls(format!("no mail server: {what}")));
    if !mail_answer(stream).await?.starts_with("220") {
        return Ok(no_mail("its greeting is not `220`"));
    }
    stream.write_all(b"EHLO portcullis-check.invalid\r\n").await?;
    let abilities = mail_answer(stream).await?;
    if !abilities.starts_with("250") {
        return Ok(no_mail("it does not answer `250` to EHLO"));
    }
    let offers = abilities
        .lines()
        .any(|line| line.get(4..).is_some_and(|word| word.trim().eq_ignore_ascii_case("starttls")));
    if !offers {
        return Ok(Some(Opened::OffersNone("it does not name STARTTLS among its abilities".to_owned())));
    }
    stream.write_all(b"STARTTLS\r\n").await?;
    let begins = mail_answer(stream).await?.starts_with("220");
    Ok((!begins).then(|| Opened::OffersNone("it refuses STARTTLS".to_owned())))
}

/// All lines of a mail server's answer: the last one has a space after its number. Read byte by byte, so that nothing of
/// what follows is taken.
async fn mail_answer(stream: &mut TcpStream) -> io::Result<String> {
    let mut answer = Vec::new();
    let mut line_from = 0_usize;
    while answer.len() < LINE_BYTES {
        let byte = stream.read_u8().await?;
        answer.push(byte);
        if byte == b'\n' {
            if answer.get(line_from.saturating_add(3)) != Some(&b'-') {
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
            line_from = answer.len();
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "an answer without an end"))
}

async fn say_hello(
    mut stream: TcpStream,
    peer: &Peer,
    old: Old,
    longest: Duration,
) -> Result<Answered<Taken>, Error> {
    let hello = hello::client_hello(old, peer.name.as_deref(), random_bytes::<32>());
    let mut bytes = Vec::new();
    let exchange = async {
        stream.write_all(&hello).await?;
        let mut part = [0; 4096];
        loop {
            let read = stream.read(&mut part).await?;
            bytes.extend(part.iter().take(read));
            let reply = hello::reply(&bytes);
            if reply != Reply::Unfinished || read == 0 || bytes.len() > FIRST_ANSWER_BYTES {
                return io::Result::Ok(reply);
            }
        }
    };
    let reply = match timeout(longest, exchange).await {
        Err(_) => return Err(handshake::silence(peer.address)),
        // To close without a word is how some servers refuse.
        Ok(Err(_)) => Reply::Unfinished,
        Ok(Ok(reply)) => reply,
    };
    Ok(match reply {
        Reply::Goes { version, suite } => Answered::Agrees(Taken {
            version: hello::version_name(version),
            suite: hello::suite_name(suite),
            is_sound: version <= old.number() && version >= Old::Ssl30.number(),
        }),
        Reply::Refuses(alert) => Answered::Refuses(format!("alert {alert}")),
        Reply::Foreign => Answered::NoTls("its answer is no TLS record".to_owned()),
        Reply::Unfinished if bytes.is_empty() => Answered::Refuses("it hung up".to_owned()),
        Reply::Unfinished => Answered::NoTls("it hung up in the middle of an answer".to_owned()),
    })
}

/// Offers `old` to a server in this process that speaks `server` only.
async fn rehearse(server: Old, old: Old, longest: Duration) -> io::Result<Answered<Taken>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let peer = Peer { name: Some("self-test.invalid".to_owned()), address, protocol: Protocol::Tls };
    let serve = async {
        let (mut stream, _) = listener.accept().await?;
        let mut head = [0; 5];
        stream.read_exact(&mut head).await?;
        let [.., high, low] = head;
        let mut rest = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        stream.read_exact(&mut rest).await?;
        let answer = hello::old_server_reply(server.number(), &[head.as_slice(), &rest].concat());
        // In two pieces, as a network may deliver it.
        let (start, end) = answer.split_at(answer.len().min(9));
        stream.write_all(start).await?;
        tokio::task::yield_now().await;
        stream.write_all(end).await
    };
    let ask = async {
        match open(&peer, longest, longest).await {
            Ok(Opened::Ready(stream)) => {
                say_hello(stream, &peer, old, longest).await.map_err(io::Error::other)
            }
            Ok(_) => Err(io::Error::other("no connection")),
            Err(error) => Err(io::Error::other(error)),
        }
    };
    let (served, found) = timeout(longest, async { tokio::join!(serve, ask) }).await?;
    served.and(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_egress::Kind;
    use tokio::net::TcpListener;

    use super::{Answered, Peer, open, rehearse, say_hello};
    use crate::probe::Old;
    use crate::target::Protocol;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn the_rehearsal_tells_old_servers_from_those_that_refuse() {
        for server in Old::REFUSED {
            for old in Old::REFUSED {
                let found = rehearse(server, old, SOON).await.unwrap();
                assert_eq!(matches!(found, Answered::Agrees(_)), old == server, "{found:?}");
                assert_eq!(matches!(found, Answered::Refuses(_)), old != server, "{found:?}");
            }
        }
    }

    #[tokio::test]
    async fn silence_and_a_closed_port_are_errors_and_no_refusals() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = |protocol| Peer { name: None, address, protocol };
        let moment = Duration::from_millis(50);
        for protocol in [Protocol::Postgres, Protocol::SmtpStartTls] {
            let error = open(&peer(protocol), SOON, moment).await.err().unwrap();
            assert!(matches!(error.kind(), Kind::TimedOut(_)), "{error}");
        }
        let Ok(super::Opened::Ready(stream)) = open(&peer(Protocol::Tls), SOON, moment).await else {
            panic!("it takes connections")
        };
        let error = say_hello(stream, &peer(Protocol::Tls), Old::Tls10, moment).await.err().unwrap();
        assert!(matches!(error.kind(), Kind::TimedOut(_)), "{error}");
        drop(listener);
        assert_eq!(open(&peer(Protocol::Tls), SOON, moment).await.err().unwrap().kind(), Kind::Refused);
    }
}
