//! A client's first message in protocols that no maintained TLS library speaks any more, and what servers say to it.
//!
//! It writes and reads bytes and has no socket. The hello offers every suite that a server of that age may want, weak and
//! broken ones too: a server that finds nothing it knows would refuse for that reason and look like one that refuses the
//! version. The formats are those of RFC 6101 (SSL 3.0), RFC 2246, RFC 4346 and RFC 5246 (TLS 1.0 to 1.2).

use std::net::IpAddr;

/// What an old client would offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Old {
    /// SSL 3.0.
    Ssl30,
    /// TLS 1.0.
    Tls10,
    /// TLS 1.1.
    Tls11,
    /// TLS 1.2 with nothing but suites that are weak.
    WeakTls12,
}

impl Old {
    /// The versions that have to be refused (RFC 7568, RFC 8996).
    pub(crate) const REFUSED: [Self; 3] = [Self::Ssl30, Self::Tls10, Self::Tls11];

    /// Its name in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ssl30 => "SSL 3.0",
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::WeakTls12 => "TLS 1.2 with weak suites",
        }
    }

    /// The version's number on the wire.
    pub(crate) const fn number(self) -> u16 {
        match self {
            Self::Ssl30 => 0x0300,
            Self::Tls10 => 0x0301,
            Self::Tls11 => 0x0302,
            Self::WeakTls12 => 0x0303,
        }
    }
}

/// How a version's number is called.
pub(crate) fn version_name(number: u16) -> String {
    match number {
        0x0300 => "SSL 3.0".to_owned(),
        0x0301 => "TLS 1.0".to_owned(),
        0x0302 => "TLS 1.1".to_owned(),
        0x0303 => "TLS 1.2".to_owned(),
        other => format!("version 0x{other:04X}"),
    }
}

/// Suites of the IANA registry without forward secrecy, with CBC, RC4, 3DES, export strength, no cipher or no
/// authentication. The better of them come first, as a server that follows the client's order would have it.
const WEAK: &[(u16, &str)] = &[
    (0xC00A, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xC009, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xC014, "ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0xC013, "ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0039, "DHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x0033, "DHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0038, "DHE_DSS_WITH_AES_256_CBC_SHA"),
    (0x0032, "DHE_DSS_WITH_AES_128_CBC_SHA"),
    (0x0088, "DHE_RSA_WITH_CAMELLIA_256_CBC_SHA"),
    (0x0045, "DHE_RSA_WITH_CAMELLIA_128_CBC_SHA"),
    (0x009A, "DHE_RSA_WITH_SEED_CBC_SHA"),
    (0xC005, "ECDH_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xC004, "ECDH_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xC00F, "ECDH_RSA_WITH_AES_256_CBC_SHA"),
    (0xC00E, "ECDH_RSA_WITH_AES_128_CBC_SHA"),
    (0x0035, "RSA_WITH_AES_256_CBC_SHA"),
    (0x002F, "RSA_WITH_AES_128_CBC_SHA"),
    (0x0084, "RSA_WITH_CAMELLIA_256_CBC_SHA"),
    (0x0041, "RSA_WITH_CAMELLIA_128_CBC_SHA"),
    (0x0096, "RSA_WITH_SEED_CBC_SHA"),
    (0x0007, "RSA_WITH_IDEA_CBC_SHA"),
    (0xC008, "ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA"),
    (0xC012, "ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0016, "DHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0013, "DHE_DSS_WITH_3DES_EDE_CBC_SHA"),
    (0x000A, "RSA_WITH_3DES_EDE_CBC_SHA"),
    (0xC007, "ECDHE_ECDSA_WITH_RC4_128_SHA"),
    (0xC011, "ECDHE_RSA_WITH_RC4_128_SHA"),
    (0x0005, "RSA_WITH_RC4_128_SHA"),
    (0x0004, "RSA_WITH_RC4_128_MD5"),
    (0x0015, "DHE_RSA_WITH_DES_CBC_SHA"),
    (0x0009, "RSA_WITH_DES_CBC_SHA"),
    (0x0014, "DHE_RSA_EXPORT_WITH_DES40_CBC_SHA"),
    (0x0008, "RSA_EXPORT_WITH_DES40_CBC_SHA"),
    (0x0006, "RSA_EXPORT_WITH_RC2_CBC_40_MD5"),
    (0x0003, "RSA_EXPORT_WITH_RC4_40_MD5"),
    (0xC019, "ECDH_anon_WITH_AES_256_CBC_SHA"),
    (0xC018, "ECDH_anon_WITH_AES_128_CBC_SHA"),
    (0x003A, "DH_anon_WITH_AES_256_CBC_SHA"),
    (0x0034, "DH_anon_WITH_AES_128_CBC_SHA"),
    (0x001B, "DH_anon_WITH_3DES_EDE_CBC_SHA"),
    (0x0018, "DH_anon_WITH_RC4_128_MD5"),
    (0x0002, "RSA_WITH_NULL_SHA"),
    (0x0001, "RSA_WITH_NULL_MD5"),
];
/// Weak suites that TLS 1.2 brought.
const WEAK_OF_12: &[(u16, &str)] = &[
    (0xC024, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"),
    (0xC023, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    (0xC028, "ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
    (0xC027, "ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0x006B, "DHE_RSA_WITH_AES_256_CBC_SHA256"),
    (0x0067, "DHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0x009D, "RSA_WITH_AES_256_GCM_SHA384"),
    (0x009C, "RSA_WITH_AES_128_GCM_SHA256"),
    (0x003D, "RSA_WITH_AES_256_CBC_SHA256"),
    (0x003C, "RSA_WITH_AES_128_CBC_SHA256"),
    (0x003B, "RSA_WITH_NULL_SHA256"),
];
/// "I can renegotiate safely" (RFC 5746). The fallback signal of RFC 7507 must not be sent: servers refuse because of it.
const RENEGOTIATION_INFO: u16 = 0x00FF;

/// A suite's name in reports.
pub(crate) fn suite_name(number: u16) -> String {
    let known = WEAK.iter().chain(WEAK_OF_12).find(|(suite, _)| *suite == number);
    known.map_or_else(|| format!("suite 0x{number:04X}"), |(_, name)| (*name).to_owned())
}

/// The hello of an old client. The name is asked for where the version can say it and it is no address.
pub(crate) fn client_hello(old: Old, server_name: Option<&str>, random: [u8; 32]) -> Vec<u8> {
    let mut suites = Vec::new();
    if old == Old::WeakTls12 {
        suites.extend(WEAK_OF_12.iter().map(|(suite, _)| *suite));
    }
    suites.extend(WEAK.iter().map(|(suite, _)| *suite));
    suites.push(RENEGOTIATION_INFO);
    let suites: Vec<u8> = suites.into_iter().flat_map(u16::to_be_bytes).collect();
    let mut body = old.number().to_be_bytes().to_vec();
    body.extend(random);
    body.push(0); // no session to resume
    push_with_length(&mut body, &suites, 2);
    body.extend([1, 0]); // no compression
    if old != Old::Ssl30 {
        push_with_length(&mut body, &extensions(old, server_name), 2);
    }
    let mut handshake = vec![1];
    push_with_length(&mut handshake, &body, 3);
    let record_version = if old == Old::Ssl30 { 0x0300_u16 } else { 0x0301 };
    let mut record = vec![22];
    record.extend(record_version.to_be_bytes());
    push_with_length(&mut record, &handshake, 2);
    record
}

fn extensions(old: Old, server_name: Option<&str>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut add = |kind: u16, content: &[u8]| {
        all.extend(kind.to_be_bytes());
        push_with_length(&mut all, content, 2);
    };
    if let Some(name) = server_name.filter(|name| name.parse::<IpAddr>().is_err()) {
        let mut entry = vec![0];
        push_with_length(&mut entry, name.as_bytes(), 2);
        let mut list = Vec::new();
        push_with_length(&mut list, &entry, 2);
        add(0, &list);
    }
    add(10, &[0, 8, 0, 29, 0, 23, 0, 24, 0, 25]); // x25519, P-256, P-384, P-521
    add(11, &[1, 0]); // uncompressed points
    if old == Old::WeakTls12 {
        // SHA-256, SHA-384, SHA-512, SHA-1, each with RSA and ECDSA, and RSA-PSS.
        add(13, &[0, 22, 4, 1, 4, 3, 5, 1, 5, 3, 6, 1, 6, 3, 2, 1, 2, 3, 8, 4, 8, 5, 8, 6]);
    }
    all
}

/// Appends `content` after its length in `width` bytes.
fn push_with_length(to: &mut Vec<u8>, content: &[u8], width: usize) {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
    to.extend(length.iter().skip(4_usize.saturating_sub(width)));
    to.extend(content);
}

/// What a server's first bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It goes on with the handshake, in this version and suite.
    Goes { version: u16, suite: u16 },
    /// It refuses with this alert.
    Refuses(u8),
    /// It does not speak TLS.
    Foreign,
    /// More bytes are needed.
    Unfinished,
}

/// Reads what came so far.
pub(crate) fn reply(bytes: &[u8]) -> Reply {
    let mut rest = bytes;
    let mut handshake = Vec::new();
    while let [kind, major, minor, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *major != 3 || *minor > 4 || length > 0x4800 || !matches!(kind, 21 | 22) {
            return Reply::Foreign;
        }
        let Some((content, next)) = tail.split_at_checked(length) else { break };
        match (kind, content) {
            // A warning, such as for an unknown name, does not end a handshake; a goodbye does.
            (21, [1, alert]) if *alert != 0 => {}
            (21, [_, alert]) => return Reply::Refuses(*alert),
            (21, _) => return Reply::Foreign,
            _ => handshake.extend(content),
        }
        rest = next;
    }
    if handshake.is_empty() {
        let starts_like_a_record = match bytes {
            [] => true,
            [kind] => matches!(kind, 21 | 22),
            [kind, major, ..] => matches!(kind, 21 | 22) && *major == 3,
        };
        return if starts_like_a_record { Reply::Unfinished } else { Reply::Foreign };
    }
    server_hello(&handshake)
}

fn server_hello(message: &[u8]) -> Reply {
    let [kind, _, _, _, body @ ..] = message else {
        return if message.first() == Some(&2) { Reply::Unfinished } else { Reply::Foreign };
    };
    if *kind != 2 {
        return Reply::Foreign;
    }
    let Some(([major, minor], after)) = body.split_first_chunk::<2>() else { return Reply::Unfinished };
    let Some((session_length, after)) = after.get(32..).and_then(<[u8]>::split_first) else {
        return Reply::Unfinished;
    };
    match after.get(usize::from(*session_length)..) {
        Some([high, low, ..]) => Reply::Goes {
            version: u16::from_be_bytes([*major, *minor]),
            suite: u16::from_be_bytes([*high, *low]),
        },
        _ => Reply::Unfinished,
    }
}

/// What an old server answers to a hello that it has read with care: it goes on when the hello offers its version and a
/// suite it knows, and refuses otherwise. The scanner is tried on it before anything that it says counts.
pub(crate) fn old_server_reply(version: u16, hello: &[u8]) -> Vec<u8> {
    let alert = |description: u8| {
        let [major, minor] = version.to_be_bytes();
        vec![21, major, minor, 0, 2, 2, description]
    };
    let offered = offered_by(hello);
    let Some((client_version, suites)) = offered else { return alert(50) }; // decode_error
    if client_version != version {
        return alert(70); // protocol_version
    }
    let Some(suite) = suites.into_iter().find(|suite| [0x002F, 0x000A, 0x0005].contains(suite)) else {
        return alert(40); // handshake_failure
    };
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    push_with_length(&mut body, &[9; 32], 1);
    body.extend(suite.to_be_bytes());
    body.push(0);
    let mut handshake = vec![2];
    push_with_length(&mut handshake, &body, 3);
    let [major, minor] = version.to_be_bytes();
    // A warning first and the hello in two records: both are allowed, and a careless reader stumbles over them.
    let mut answer = vec![21, major, minor, 0, 2, 1, 112];
    let (start, end) = handshake.split_at(handshake.len().min(20));
    for part in [start, end] {
        answer.extend([22, major, minor]);
        push_with_length(&mut answer, part, 2);
    }
    answer
}

/// Version and suites of a hello, when all its lengths agree.
fn offered_by(record: &[u8]) -> Option<(u16, Vec<u16>)> {
    let (kind, rest) = record.split_first()?;
    let (_, rest) = rest.split_first_chunk::<2>()?;
    let handshake = exactly(rest, 2)?;
    let (message, rest) = handshake.split_first()?;
    let body = exactly(rest, 3)?;
    if *kind != 22 || *message != 1 {
        return None;
    }
    let (version, rest) = body.split_first_chunk::<2>()?;
    let rest = rest.get(32..)?;
    let (_, rest) = take(rest, 1)?;
    let (suites, rest) = take(rest, 2)?;
    let (compression, rest) = take(rest, 1)?;
    let sound = rest.is_empty() || exactly(rest, 2).is_some();
    if !sound || !compression.contains(&0) || suites.len() % 2 != 0 {
        return None;
    }
    let suites = suites.chunks_exact(2).filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
    Some((u16::from_be_bytes(*version), suites.collect()))
}

/// What stands behind a length of `width` bytes, and the rest.
fn take(bytes: &[u8], width: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(width)?;
    let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

/// The same, with nothing behind it.
fn exactly(bytes: &[u8], width: usize) -> Option<&[u8]> {
    take(bytes, width).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}

#[cfg(test)]
mod tests {
    use super::{Old, Reply, client_hello, offered_by, old_server_reply, reply};

    const ALL: [Old; 4] = [Old::Ssl30, Old::Tls10, Old::Tls11, Old::WeakTls12];

    #[test]
    fn a_hello_says_the_version_and_never_that_it_is_a_fallback() {
        for old in ALL {
            for name in [None, Some("bot.example"), Some("192.0.2.7")] {
                let hello = client_hello(old, name, [3; 32]);
                let (version, suites) = offered_by(&hello).expect("its lengths agree");
                assert_eq!(version, old.number());
                assert!(suites.len() > 40 && !suites.contains(&0x5600), "{suites:04X?}");
                let text = String::from_utf8_lossy(&hello).into_owned();
                assert_eq!(text.contains("bot.example"), name == Some("bot.example") && old != Old::Ssl30);
                assert!(!text.contains("192.0.2.7"));
            }
        }
    }

    #[test]
    fn a_server_of_the_same_age_goes_on_and_one_of_another_age_refuses() {
        for old in ALL {
            for server in ALL {
                let answer =
                    old_server_reply(server.number(), &client_hello(old, Some("a.example"), [1; 32]));
                let wanted = if old == server {
                    Reply::Goes { version: old.number(), suite: 0x002F }
                } else {
                    Reply::Refuses(70)
                };
                assert_eq!(reply(&answer), wanted, "{old:?} to {server:?}");
            }
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_is_unfinished_and_never_a_refusal() {
        let answer = old_server_reply(0x0301, &client_hello(Old::Tls10, None, [1; 32]));
        let complete = (0..=answer.len()).find(|end| reply(&answer[..*end]) != Reply::Unfinished);
        let complete = complete.expect("it is read in the end");
        assert!(complete > 60, "{complete}");
        assert!(matches!(reply(&answer[..complete]), Reply::Goes { .. }));
    }

    #[test]
    fn what_is_not_tls_is_foreign() {
        for text in ["HTTP/1.1 400 Bad Request\r\n", "SSH-2.0-x\r\n", "{}", "-ERR\r\n", "\u{16}\u{7}"] {
            assert_eq!(reply(text.as_bytes()), Reply::Foreign, "{text}");
        }
        // The hello sent back, and a handshake message that is no hello of a server.
        assert_eq!(reply(&client_hello(Old::Tls10, None, [1; 32])), Reply::Foreign);
        assert_eq!(reply(&[22, 3, 1, 0, 4, 11, 0, 0, 0]), Reply::Foreign);
        assert_eq!(reply(&[21, 3, 1, 0, 2, 2, 70]), Reply::Refuses(70));
        assert_eq!(reply(&[21, 3, 1, 0, 2, 1, 0]), Reply::Refuses(0));
        assert_eq!(reply(&[21, 3, 1, 0, 2, 1, 112]), Reply::Unfinished);
    }
}
