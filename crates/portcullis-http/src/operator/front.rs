//! What is looked at before the token: where the request comes from, and the name it was sent to.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, header};
use portcullis_guard::{Code, Refusal};

/// How many wrong tokens an address may send in a minute before it is told to wait.
const WRONG_TOKENS: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// How many addresses are told apart in a window; more share one count.
const ADDRESSES: usize = 1_024;

/// The bearer token of a request that has exactly one credential.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (given.next()?, given.next());
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    (more.is_none() && scheme.eq_ignore_ascii_case(b"bearer ")).then(|| token.trim_ascii())
}

/// Refuses what a page of another site made, and what was sent to a name that somebody else may have chosen: a name that
/// is pointed at this machine lets its owner's pages read the answers. An IP address is nobody's to point elsewhere.
pub(super) fn own_request(head: &Parts, origin: &str) -> Result<(), Refusal> {
    let foreign = |detail| Err(Refusal::new(Code::ForeignPage, detail).by("operator-host"));
    let Some(asked) = host(head) else {
        return foreign("the request must name one host");
    };
    let public = origin.split_once("://").and_then(|(_, authority)| authority.parse::<Authority>().ok());
    let bare = asked.host().trim_start_matches('[').trim_end_matches(']');
    let known = bare.parse::<IpAddr>().is_ok()
        || bare.eq_ignore_ascii_case("localhost")
        || public.is_some_and(|public| public.host().eq_ignore_ascii_case(asked.host()));
    if !known {
        return foreign("the operator plane is asked by an IP address, `localhost` or the public host");
    }
    let own = |origin: &header::HeaderValue| {
        let named = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        named.is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(asked.as_str()))
    };
    if !head.headers.get_all(header::ORIGIN).iter().all(own) {
        return foreign("the operator plane answers no page of another site");
    }
    let site = head.headers.get_all("sec-fetch-site").iter();
    let mut elsewhere = site.filter(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    if elsewhere.next().is_some() {
        return foreign("the operator plane answers no page of another site");
    }
    Ok(())
}

/// The host that a request is for: of its target where that is absolute, else of its one `Host`.
fn host(head: &Parts) -> Option<Authority> {
    let mut given = head.headers.get_all(header::HOST).iter();
    let (field, more) = (given.next(), given.next());
    if more.is_some() {
        return None;
    }
    let authority = match head.uri.authority() {
        Some(authority) => authority.clone(),
        None => field?.to_str().ok()?.parse().ok()?,
    };
    // `user@host` is a host to some readers and none to others.
    (!authority.as_str().contains('@')).then_some(authority)
}

/// Counts wrong tokens by address, in windows of a minute.
#[derive(Debug, Default)]
pub(super) struct Turnstile {
    began: Duration,
    counts: HashMap<IpAddr, u32>,
    others: u32,
}

impl Turnstile {
    /// Counts one, and says how long to wait where there were too many.
    pub(super) fn refuse(&mut self, now: Duration, address: IpAddr) -> Option<Duration> {
        let ends = self.began.saturating_add(WINDOW);
        if now >= ends {
            *self = Self { began: now, ..Self::default() };
        }
        let count = if self.counts.len() < ADDRESSES || self.counts.contains_key(&address) {
            self.counts.entry(address).or_default()
        } else {
            &mut self.others
        };
        *count = count.saturating_add(1);
        (*count > WRONG_TOKENS).then(|| self.began.saturating_add(WINDOW).saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use http::Request;

    use super::{ADDRESSES, Turnstile, WRONG_TOKENS, bearer, own_request};

    fn own(host: &str, more: &[(&str, &str)]) -> bool {
        let mut request = Request::get("/metrics").header("host", host);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        own_request(&head, "https://chat.example.org").is_ok()
    }

    #[test]
    fn only_names_that_nobody_else_chooses_are_answered() {
        for host in ["127.0.0.1:8081", "localhost:8081", "[::1]:8081", "10.1.2.3", "Chat.Example.org:9000"] {
            assert!(own(host, &[]), "{host}");
        }
        for host in [
            "rebound.example",
            "127.0.0.1.rebound.example:8081",
            "localhost.rebound.example",
            "a@127.0.0.1",
            "",
        ] {
            assert!(!own(host, &[]), "{host}");
        }
        assert!(!own("127.0.0.1:8081", &[("host", "localhost:8081")]), "two hosts");
    }

    #[test]
    fn a_page_of_another_site_is_not_answered() {
        let host = "127.0.0.1:8081";
        assert!(own(host, &[("origin", "http://127.0.0.1:8081")]));
        assert!(own(host, &[("sec-fetch-site", "none")]));
        for origin in ["null", "https://evil.example", "http://127.0.0.1:8080", "http://127.0.0.1", ""] {
            assert!(!own(host, &[("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(!own(host, &[("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn a_token_is_read_from_exactly_one_header() {
        let read = |values: &[&str]| {
            let mut request = Request::get("/");
            for value in values {
                request = request.header("authorization", *value);
            }
            bearer(request.body(()).expect("a request").headers()).map(<[u8]>::to_vec)
        };
        assert_eq!(read(&["Bearer abc"]).as_deref(), Some(&b"abc"[..]));
        assert_eq!(read(&["bearer  abc "]).as_deref(), Some(&b"abc"[..]));
        for values in [&[][..], &["Basic abc"], &["Bearer"], &["Bearer abc", "Bearer abc"]] {
            assert_eq!(read(values), None, "{values:?}");
        }
    }

    #[test]
    fn wrong_tokens_are_counted_by_address_and_forgotten_after_a_minute() {
        let (mut turnstile, now) = (Turnstile::default(), Duration::from_secs(100));
        let [one, two] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().expect("an address"));
        let refused = |turnstile: &mut Turnstile, now, address| turnstile.refuse(now, address).is_some();
        let too_many = (0..20).filter(|_| refused(&mut turnstile, now, one)).count();
        assert_eq!(too_many, 20 - WRONG_TOKENS as usize);
        assert!(!refused(&mut turnstile, now, two));
        assert_eq!(turnstile.refuse(now + Duration::from_secs(20), one), Some(Duration::from_secs(40)));
        assert!(!refused(&mut turnstile, now + Duration::from_secs(60), one));
    }

    #[test]
    fn many_addresses_take_bounded_memory_and_are_refused_too() {
        let (mut turnstile, now) = (Turnstile::default(), Duration::from_secs(100));
        let mut refused = 0_usize;
        for number in 0..20_000_u32 {
            refused += usize::from(turnstile.refuse(now, IpAddr::from(number.to_be_bytes())).is_some());
        }
        assert_eq!(turnstile.counts.len(), ADDRESSES);
        assert_eq!(refused, 20_000 - ADDRESSES - WRONG_TOKENS as usize);
    }
}
