//! Asking for a sign-in link: how often, and from whose page.
//!
//! It happens before anybody is known. A link costs a mail to somebody who may not have asked for it, so it is counted by
//! who asks, by who asks for whom, and by whom it is for; all of it without looking whether the address is known.

use std::net::IpAddr;
use std::num::NonZeroU32;

use portcullis_core::CommunityId;
use portcullis_core::mail_address::folded;
use portcullis_limit::{Charge, Network, Rates, Subject};
use ring::digest;

use crate::gate::Gate;
use crate::guards::csrf::Provenance;
use crate::refusal::{Code, Refusal};

/// How many times the limit of one client may be asked for one address by all clients together: enough that a stranger
/// cannot keep a member out, little enough that nobody's mailbox is flooded.
const ALL_CLIENTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(3);

/// The IPv6 network that is one client here: most providers give a customer no less.
const CLIENT_PREFIX: u8 = 56;
/// Whoever wants a network of this size gets one, with more clients in it than [`ALL_CLIENTS`].
const SITE_PREFIX: u8 = 48;
/// How many times the limit of one client may be asked for one address by all of them in such a network: enough that one of
/// them cannot keep a neighbour out, too little to keep everybody else out.
const SITE_CLIENTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

/// Whether a link may be asked for. Members and strangers are counted alike, so that an answer tells nothing.
pub async fn may_ask(
    gate: &Gate,
    community: CommunityId,
    client: IpAddr,
    email: &str,
) -> Result<(), Refusal> {
    let network = Network::around(client, CLIENT_PREFIX).unwrap_or_else(|| Network::from(client));
    let site = Network::around(client, SITE_PREFIX);
    let mailbox = mailbox(email);
    let (by_client, by_address) = (gate.parts.limits.links_per_client, gate.parts.limits.links_per_address);
    let times = |many: NonZeroU32| {
        let limit = |one: NonZeroU32| one.saturating_mul(many);
        Rates {
            minute: by_address.minute.map(limit),
            hour: by_address.hour.map(limit),
            day: by_address.day.map(limit),
        }
    };
    let for_it = |network, rates| Charge::one(Subject::AskingFor(community, mailbox, network), rates);
    let counted = [
        Some(Charge::one(Subject::Asking(network), by_client)),
        Some(for_it(network, by_address)),
        site.map(|site| for_it(site, times(SITE_CLIENTS))),
        Some(Charge::one(Subject::Mailed(community, mailbox), times(ALL_CLIENTS))),
    ];
    let counted: Vec<Charge> = counted.into_iter().flatten().collect();
    match gate.counters.admit(gate.clock().monotonic(), &counted).await.0 {
        Ok(_) => Ok(()),
        Err(reached) => Err(Refusal::new(Code::RateLimited, "too many sign-in links were asked for")
            .limited(reached, gate.clock().now())
            .by("sign-in-limit")),
    }
}

/// What stands for an address in memory, without regard to case.
fn mailbox(email: &str) -> u128 {
    let digest = digest::digest(&digest::SHA256, folded(email).as_bytes());
    let (head, _) = digest.as_ref().split_at(16);
    head.try_into().map_or(0, u128::from_be_bytes)
}

/// Refuses a form that a page of another site sent: somebody would be signed in, in their own browser, as somebody else.
/// `ours` are the origins that our sign-in pages have.
pub fn own_form(provenance: &Provenance, ours: &[&str]) -> Result<(), Refusal> {
    let ours = match (&provenance.site, &provenance.origin) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => ours.contains(&origin.as_str()),
        (None, None) => true,
    };
    if ours {
        Ok(())
    } else {
        Err(Refusal::new(Code::ForeignPage, "this form must be sent from this site's own page").by("csrf"))
    }
}

#[cfg(test)]
mod tests {
    use super::{mailbox, own_form};
    use crate::guards::csrf::Provenance;

    #[test]
    fn an_address_is_counted_without_regard_to_case() {
        assert_eq!(mailbox("Mia@Example.org "), mailbox("mia@example.org"));
        assert_ne!(mailbox("mia@example.org"), mailbox("paul@example.org"));
    }

    #[test]
    fn a_form_comes_from_our_own_page() {
        let from = |site: Option<&str>, origin: Option<&str>| {
            let provenance = Provenance {
                site: site.map(str::to_owned),
                origin: origin.map(str::to_owned),
                ..Provenance::default()
            };
            own_form(&provenance, &["https://chat.example.org"]).is_ok()
        };
        assert!(from(Some("same-origin"), Some("https://other.example.org")));
        assert!(from(None, Some("https://chat.example.org")));
        assert!(from(None, None));
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(!from(Some(site), Some("https://chat.example.org")), "{site}");
        }
        for origin in ["null", "http://chat.example.org", "https://chat.example.org.evil.example", ""] {
            assert!(!from(None, Some(origin)), "{origin}");
        }
    }
}
