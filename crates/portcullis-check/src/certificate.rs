//! What a certificate says: whom it is for, who issued it, until when, and how strong it is.
//!
//! It reads and never believes: whether a chain leads to a root is the business of `portcullis_egress::handshake`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// The most certificates of a chain or a file that are read.
const MOST: usize = 64;

/// The key in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// RSA, with the bits of its modulus.
    Rsa(usize),
    /// A curve, with the bits of its field.
    Curve(usize),
    /// Another kind, by its object identifier.
    Other(String),
}

impl Key {
    /// At least 2048 bits of RSA or 256 of a curve (NIST SP 800-57 part 1, 112 bits of security and more).
    pub(crate) const fn is_strong(&self) -> bool {
        match self {
            Self::Rsa(bits) => *bits >= 2048,
            Self::Curve(bits) => *bits >= 256,
            Self::Other(_) => false,
        }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Rsa(bits) => format!("RSA with {bits} bits"),
            Self::Curve(bits) => format!("a curve of {bits} bits"),
            Self::Other(oid) => format!("an unknown kind of key ({oid})"),
        }
    }
}

/// A certificate as far as checks look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Whom it is for.
    pub(crate) subject: String,
    /// Who issued it.
    pub(crate) issuer: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) key: Key,
    /// The hash that its signature rests on, when it is a broken one.
    pub(crate) broken_hash: Option<&'static str>,
}

impl Certificate {
    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of_der(der: &[u8]) -> Result<Self, String> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| "no X.509 certificate".to_owned())?;
        if !rest.is_empty() {
            return Err("a certificate with something behind it".to_owned());
        }
        let time = |seconds: i64| {
            Timestamp::from_second(seconds).map_err(|_| "a certificate with an impossible date".to_owned())
        };
        let public = parsed.public_key();
        let oid = public.algorithm.algorithm.to_id_string();
        let key = match (oid.as_str(), public.parsed()) {
            (_, Ok(PublicKey::RSA(key))) => Key::Rsa(key.key_size()),
            (_, Ok(PublicKey::EC(point))) => Key::Curve(point.key_size()),
            // Ed25519 and Ed448 (RFC 8410).
            ("1.3.101.112", _) => Key::Curve(256),
            ("1.3.101.113", _) => Key::Curve(448),
            _ => Key::Other(oid),
        };
        Ok(Self {
            subject: name(parsed.subject(), "a certificate without a subject"),
            issuer: name(parsed.issuer(), "an unnamed issuer"),
            not_before: time(parsed.validity().not_before.timestamp())?,
            not_after: time(parsed.validity().not_after.timestamp())?,
            key,
            broken_hash: broken_hash(&parsed.signature_algorithm.algorithm.to_id_string()),
        })
    }

    /// Reads every certificate of a PEM text; keys and other blocks beside them are passed over.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub(crate) fn all_of_pem(pem: &str) -> Result<Vec<Self>, String> {
        let mut all = Vec::new();
        for block in pem.split("-----BEGIN CERTIFICATE-----").skip(1) {
            let Some((body, _)) = block.split_once("-----END CERTIFICATE-----") else {
                return Err("a certificate without an end".to_owned());
            };
            let body: String = body.split_ascii_whitespace().collect();
            let der = STANDARD.decode(body).map_err(|_| "a certificate that is no base64".to_owned())?;
            if all.len() == MOST {
                return Err(format!("more than {MOST} certificates"));
            }
            all.push(Self::of_der(&der)?);
        }
        if all.is_empty() { Err("no certificate".to_owned()) } else { Ok(all) }
    }

    /// Reads a chain as it was served.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub(crate) fn all_of_chain(chain: &[Vec<u8>]) -> Result<Vec<Self>, String> {
        if chain.is_empty() || chain.len() > MOST {
            return Err(format!("a chain of {} certificates", chain.len()));
        }
        chain.iter().map(|der| Self::of_der(der)).collect()
    }

    /// Whether it names itself as its issuer, as roots do.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

fn name(name: &x509_parser::x509::X509Name<'_>, instead: &str) -> String {
    let text = name.to_string();
    let line: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    if line.trim().is_empty() { instead.to_owned() } else { line }
}

/// MD5 and SHA-1 signatures, by object identifier (RFC 3279; RFC 5758 for what came after).
fn broken_hash(oid: &str) -> Option<&'static str> {
    match oid {
        "1.2.840.113549.1.1.2" => Some("MD2"),
        "1.2.840.113549.1.1.4" => Some("MD5"),
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" | "1.3.14.3.2.29" => Some("SHA-1"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Certificate, Key};

    #[test]
    fn a_certificate_says_whom_it_is_for_and_until_when() {
        let mut params = rcgen::CertificateParams::new(vec!["bot.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 2, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let [read] = &Certificate::all_of_pem(&format!("{}{}", key.serialize_pem(), made.pem())).unwrap()[..]
        else {
            panic!("one certificate")
        };
        assert_eq!(read.not_after.to_string(), "2026-02-01T00:00:00Z");
        assert_eq!(read.not_before.to_string(), "2026-01-01T00:00:00Z");
        assert!(read.is_self_issued() && read.key == Key::Curve(256) && read.broken_hash.is_none());
    }

    #[test]
    fn what_is_no_certificate_is_refused_and_never_crashes() {
        let made = rcgen::generate_simple_self_signed(vec!["bot.example".to_owned()]).unwrap();
        let der = made.cert.der().to_vec();
        for end in 0..der.len() {
            assert!(Certificate::of_der(&der[..end]).is_err(), "{end} bytes");
        }
        for index in 0..der.len() {
            let mut changed = der.clone();
            changed[index] ^= 0xff;
            let _ = Certificate::of_der(&changed);
        }
        assert!(Certificate::of_der(&[der, vec![0]].concat()).is_err());
        for pem in
            ["", "-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----"]
        {
            assert!(Certificate::all_of_pem(pem).is_err(), "{pem}");
        }
    }

    #[test]
    fn short_keys_are_weak() {
        for (key, strong) in [
            (Key::Rsa(2048), true),
            (Key::Rsa(2047), false),
            (Key::Curve(256), true),
            (Key::Curve(224), false),
            (Key::Other("1.2".to_owned()), false),
        ] {
            assert_eq!(key.is_strong(), strong, "{}", key.name());
        }
    }
}
