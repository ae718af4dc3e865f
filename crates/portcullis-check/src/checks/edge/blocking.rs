//! What a block looks like, and waiting until one is there or gone.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::StatusCode;

use crate::checks::forwarded::CLAIMS;
use crate::outcome::{Finding, Inconclusive, PositiveControl};
use crate::probe::{Call, Probe, ProbeError, Seen};

/// Between two looks.
const AGAIN: Duration = Duration::from_millis(100);

/// Whether an answer is the refusal of a blocked address and no other: never a success, and never a 429, which is what a limit
/// says.
pub(super) fn is_block(seen: &Seen, marker: &str) -> bool {
    let refuses = seen.status.is_client_error() && seen.status != StatusCode::TOO_MANY_REQUESTS;
    refuses && tells(seen, marker)
}

/// Whether an answer holds that text.
fn tells(seen: &Seen, marker: &str) -> bool {
    let holds = |text: &str| text.to_lowercase().contains(&marker.to_lowercase());
    holds(&seen.body) || seen.headers.values().any(|value| value.to_str().is_ok_and(holds))
}

/// A member's success before anything is blocked, without the words that tell a block.
pub(super) fn served(seen: &Seen, marker: &str) -> Result<PositiveControl, Inconclusive> {
    if tells(seen, marker) {
        return Err(Inconclusive::because(format!(
            "the marker of a block stands in the answer to {}, which is none",
            seen.request_line()
        )));
    }
    PositiveControl::from_success(seen, "a member is served before the address is blocked")
}

/// That another address is served while one is blocked, or what is wrong when it is not.
pub(super) fn served_meanwhile(seen: &Seen, who: &str) -> Result<PositiveControl, Finding> {
    let shown = format!("{who} is served while another address is blocked");
    PositiveControl::from_success(seen, shown).map_err(|_| {
        Finding::new(
            format!("while another address is blocked, {who} is answered {}", seen.says()),
            "block what the entry names alone, and serve everybody else as before",
        )
        .shown_by([seen.number()])
    })
}

/// The same request with each of the headers that claim another address.
pub(super) fn claiming(call: &Call, address: Ipv4Addr) -> Result<Vec<(&'static str, Call)>, Inconclusive> {
    let claim = |(name, before): &(&'static str, &str)| {
        Ok((*name, call.clone().header(name, &format!("{before}{address}"))?))
    };
    CLAIMS.iter().map(claim).collect()
}

/// Two client addresses of the check's own.
pub(super) fn two_sources(probe: &mut Probe) -> Result<(Ipv4Addr, Ipv4Addr), Inconclusive> {
    match (probe.fresh_source(), probe.fresh_source()) {
        (Some(one), Some(other)) => Ok((one, other)),
        _ => Err(Inconclusive::because(
            "two client addresses are needed, one to be blocked and one that is not: run the checker on the target's machine",
        )),
    }
}

/// Asks until the answer is as wanted, at most for that long. The last answer, and whether it was.
pub(super) async fn until(
    probe: &mut Probe,
    call: &Call,
    longest: Duration,
    wanted: impl Fn(&Seen) -> bool,
) -> Result<(Seen, bool), ProbeError> {
    let began = probe.clock().monotonic();
    loop {
        let seen = probe.send_once(call.clone()).await?;
        if wanted(&seen) {
            return Ok((seen, true));
        }
        let waited = probe.clock().monotonic().saturating_sub(began);
        if waited >= longest {
            return Ok((seen, false));
        }
        tokio::time::sleep(AGAIN.min(longest.saturating_sub(waited))).await;
    }
}
