//! Whether the addresses of one IPv6 network have one limit.
//!
//! Whoever has one IPv6 address has some 2^64 of them, so that a limit for each of them limits nobody.

use http::StatusCode;

use super::minute::{SLOWEST_BURST, wait_for_the_minute};
use crate::checks::forwarded::{Behind, ELSEWHERE, within};
use crate::classify::Kind;
use crate::outcome::{Finding, Inconclusive};
use crate::probe::{Call, Probe, Seen};
use crate::target::Target;

/// Requests under way at the same time.
const AT_ONCE: usize = 8;

/// What came of it.
pub(super) struct Tried {
    /// For the coverage: what was tried, or that nothing was and why.
    pub(super) words: String,
    pub(super) finding: Option<Finding>,
    pub(super) doubt: Option<String>,
}

impl Tried {
    fn not(probe: &mut Probe, why: &str) -> Self {
        probe.observe("a limit for each IPv6 network", &format!("not tried: {why}"));
        Self { words: format!("no network of IPv6 addresses was tried: {why}"), finding: None, doubt: None }
    }

    fn unsure(doubt: String) -> Self {
        Self { words: String::new(), finding: None, doubt: Some(doubt) }
    }
}

impl From<Inconclusive> for Tried {
    fn from(why: Inconclusive) -> Self {
        Self::unsure(why.reason().to_owned())
    }
}

/// Sends half as many requests again as one address may, each from another address of one network.
pub(super) async fn judge(probe: &mut Probe, target: &Target) -> Result<Tried, Inconclusive> {
    let behind = match Behind::of(target) {
        Ok(behind) => behind,
        Err(why) => return Ok(Tried::not(probe, &why)),
    };
    let Some(limit) = behind.forwarded.address_per_minute else {
        return Ok(Tried::not(probe, "no limit for each address is promised"));
    };
    let (route, askers) = (&behind.forwarded.asked, &behind.forwarded.askers);
    let count = limit.saturating_add((limit / 2).max(2));
    let calls: Result<Vec<Call>, Inconclusive> = (0_u64..count.into())
        .zip(askers.iter().cycle())
        .map(|(number, asker)| behind.call(route, asker, &within(number).to_string()))
        .collect();
    wait_for_the_minute(probe).await;
    let started = probe.clock().monotonic();
    let answers = probe.burst(calls?, AT_ONCE).await?;
    let took = probe.clock().monotonic().saturating_sub(started);
    let is_limit =
        |seen: &Seen| seen.status == StatusCode::TOO_MANY_REQUESTS && seen.kind() != Kind::Firewall;
    let odd = answers.iter().find(|seen| !is_limit(seen) && !seen.status.is_success());
    if let Some(seen) = odd {
        return Ok(Tried::unsure(format!(
            "{} was answered {} behind the proxy of [forwarded], a success or 429 was wanted",
            seen.request_line(),
            seen.says()
        )));
    }
    if took > SLOWEST_BURST {
        return Ok(Tried::unsure(format!(
            "{count} requests behind the proxy of [forwarded] took {} s, too long to show a limit per minute",
            took.as_secs()
        )));
    }
    // Whoever asked most is refused now if it is they who are counted.
    let Some(asker) = askers.first() else {
        return Ok(Tried::not(probe, "nobody asks behind the proxy of [forwarded]"));
    };
    let other = probe.send_once(behind.call(route, asker, &ELSEWHERE.to_string())?).await?;
    if !other.status.is_success() {
        return Ok(Tried::unsure(format!(
            "an address of another IPv6 network is answered {} too, so that nothing shows that `{}` is believed: correct \
             [forwarded] of target.toml, or name more who ask there",
            other.says(),
            behind.forwarded.header
        )));
    }
    let finding = (!answers.iter().any(is_limit)).then(|| {
        Finding::new(
            format!(
                "{count} requests to {} from as many addresses of one IPv6 network were admitted, {limit} are promised for an \
                 address",
                route.line()
            ),
            "count an IPv6 client by its network of 64 bits: one customer has that many addresses at least",
        )
        .shown_by(answers.iter().rev().take(3).map(Seen::number))
    });
    Ok(Tried { words: "the addresses of one IPv6 network have one limit".to_owned(), finding, doubt: None })
}
