//! The few fields of an X.509 certificate (RFC 5280) that rustls does not tell: who issued it, for whom, from when until
//! when. Whether the certificate is sound otherwise is for rustls to say.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// What was read of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    /// The issuer's name, as its bytes.
    pub(super) issuer: &'a [u8],
    /// The first moment at which it counts.
    pub(super) begins: Timestamp,
    /// The last.
    pub(super) ends: Timestamp,
    /// The subject's name, as its bytes.
    pub(super) subject: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Reads them; nothing if this is no certificate.
    pub(super) fn read(certificate: &'a [u8]) -> Option<Self> {
        let mut outer = Reader(certificate).of(SEQUENCE)?;
        let mut signed = outer.inside(SEQUENCE)?;
        if signed.tag() == Some(VERSION) {
            signed.of(VERSION)?;
        }
        signed.of(INTEGER)?;
        signed.of(SEQUENCE)?;
        let issuer = signed.of(SEQUENCE)?.0;
        let mut validity = signed.inside(SEQUENCE)?;
        let (begins, ends) = (validity.time()?, validity.time()?);
        let subject = signed.of(SEQUENCE)?.0;
        Some(Self { issuer, begins, ends, subject })
    }
}

/// The rest of some DER.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next element, which must have that tag.
    fn of(&mut self, tag: u8) -> Option<Reader<'a>> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // The length in one to four bytes; more would be no certificate.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (
                    bytes.iter().try_fold(0_usize, |sum, byte| {
                        sum.checked_mul(256)?.checked_add(usize::from(*byte))
                    })?,
                    rest,
                )
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        if *found != tag {
            return None;
        }
        self.0 = rest;
        Some(Reader(content))
    }

    fn inside(&mut self, tag: u8) -> Option<Reader<'a>> {
        self.of(tag)
    }

    /// RFC 5280 section 4.1.2.5: in UTC, to the second, ending with `Z`.
    fn time(&mut self) -> Option<Timestamp> {
        let tag = self.tag()?;
        let text = std::str::from_utf8(self.of(tag)?.0).ok()?;
        let text = match tag {
            // Two digits of the year mean 1950 to 2049.
            UTC_TIME if text.len() == 13 => {
                let century = if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
                format!("{century}{text}")
            }
            GENERALIZED_TIME if text.len() == 15 => text.to_owned(),
            _ => return None,
        };
        let time = DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
        // The year 9999 means "no end" and lies behind what a timestamp holds in some zones.
        Some(TimeZone::UTC.to_timestamp(time).unwrap_or(Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::Fields;

    #[test]
    fn the_fields_of_a_certificate_are_read() {
        for (year, ends) in [(2031, "2031-02-03T00:00:00Z"), (2060, "2060-02-03T00:00:00Z")] {
            let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
            params.not_before = date_time_ymd(1999, 12, 31);
            params.not_after = date_time_ymd(year, 2, 3);
            params.distinguished_name.push(DnType::CommonName, "x".repeat(200));
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let fields = Fields::read(made.der()).unwrap();
            assert_eq!(
                (fields.begins.to_string(), fields.ends.to_string()),
                ("1999-12-31T00:00:00Z".to_owned(), ends.to_owned())
            );
            assert!(fields.issuer == fields.subject && fields.issuer.len() > 200);
        }
    }

    #[test]
    fn what_is_cut_off_or_changed_is_no_certificate_and_breaks_nothing() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let der = made.cert.der().to_vec();
        let last = der.len() - 1;
        for length in 0..last {
            assert_eq!(Fields::read(&der[..length]), None, "{length}");
        }
        for at in 0..last {
            for value in [0x00, 0x30, 0x7f, 0x80, 0x84, 0x85, 0xff] {
                let mut changed = der.clone();
                changed[at] = value;
                let _ = Fields::read(&changed);
            }
        }
        assert_eq!(Fields::read(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
