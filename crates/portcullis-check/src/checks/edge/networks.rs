//! Whether an IPv6 network that is blocked is refused, and no other.

use std::net::Ipv6Addr;

use super::blocking::{is_block, served, served_meanwhile, until};
use super::edge_09_blocked_addresses_are_blocked::Blocking;
use crate::checks::forwarded::{Behind, ELSEWHERE, NETWORK, NEXT, in_full, within};
use crate::outcome::{Finding, Findings, Inconclusive};
use crate::probe::{Call, Probe};
use crate::target::{Blocklist, Target};

/// The header that is a list, to whose end each proxy adds.
const LIST: &str = "x-forwarded-for";

/// What came of it.
#[derive(Default)]
pub(super) struct Tried {
    /// For the coverage: what was tried, or that nothing was and why.
    pub(super) words: String,
    pub(super) findings: Vec<Finding>,
    pub(super) doubts: Vec<String>,
}

/// Puts a network on the list and takes it off again.
pub(super) async fn judge(
    probe: &mut Probe,
    target: &Target,
    own: &Blocklist,
) -> Result<Tried, Inconclusive> {
    let behind = match Behind::of(target) {
        Ok(behind) => behind,
        Err(why) => {
            probe.observe("a blocked IPv6 network", &format!("not tried: {why}"));
            return Ok(Tried { words: format!("no IPv6 network was tried: {why}"), ..Tried::default() });
        }
    };
    let list = behind.forwarded.blocklist.as_ref().unwrap_or(own);
    let asker = behind.forwarded.askers.first().ok_or_else(|| Inconclusive::because("nobody asks there"))?;
    let mut judging =
        Judging { behind, blocking: Blocking { target, list, asker, findings: Findings::default() } };
    for address in [within(0), NEXT, ELSEWHERE] {
        let seen = probe.send(judging.ask(&address.to_string())?).await?;
        if let Err(why) = served(&seen, &list.marker) {
            let doubt = format!(
                "nobody is served behind the proxy of [forwarded] before anything is blocked: {}",
                why.reason()
            );
            return Ok(Tried { doubts: vec![doubt], ..Tried::default() });
        }
    }
    if !judging.is_believed(probe).await? {
        let doubt = format!(
            "an IPv6 address that was put on the blocklist is not refused: nothing shows that `{}` is believed, or that the list \
             knows IPv6 at all; correct [forwarded] of target.toml or the list",
            behind.forwarded.header
        );
        return Ok(Tried {
            findings: judging.blocking.findings.into(),
            doubts: vec![doubt],
            ..Tried::default()
        });
    }
    let made = probe.send(judging.blocking.change(&list.add, NETWORK, "")?).await?;
    if !made.status.is_success() {
        judging.blocking.findings.push(
            Finding::new(
                format!("an IPv6 network cannot be blocked: {} answers {}", made.request_line(), made.says()),
                "take entries for networks: one IPv6 client has more addresses than a list can hold",
            )
            .shown_by([made.number()]),
        );
        return Ok(Tried { findings: judging.blocking.findings.into(), ..Tried::default() });
    }
    let entry = judging.blocking.entry(&made)?;
    let judged = judging.judge_entry(probe).await;
    // Whatever was seen, nothing stays.
    judging.remove(probe, NETWORK, &entry, within(0)).await?;
    judged?;
    let words = format!("an IPv6 network was blocked, as `{}` reports addresses", behind.forwarded.header);
    Ok(Tried { words, findings: judging.blocking.findings.into(), doubts: Vec::new() })
}

impl From<Inconclusive> for Tried {
    fn from(why: Inconclusive) -> Self {
        Self { doubts: vec![why.reason().to_owned()], ..Self::default() }
    }
}

struct Judging<'t> {
    behind: Behind<'t>,
    blocking: Blocking<'t>,
}

impl Judging<'_> {
    /// A member's harmless request from there.
    fn ask(&self, claimed: &str) -> Result<Call, Inconclusive> {
        self.behind.call(&self.blocking.list.asked, self.blocking.asker, claimed)
    }

    /// Whether one address that is blocked is refused when the header names it.
    async fn is_believed(&mut self, probe: &mut Probe) -> Result<bool, Inconclusive> {
        let list = self.blocking.list;
        let address = within(0);
        let made = probe.send(self.blocking.change(&list.add, &address.to_string(), "")?).await?;
        let entry = self.blocking.entry(&made)?;
        let ask = self.ask(&address.to_string())?;
        let grace = probe.budget().block_grace;
        let looked = until(probe, &ask, grace, |seen| is_block(seen, &list.marker)).await;
        self.remove(probe, &address.to_string(), &entry, address).await?;
        Ok(looked?.1)
    }

    /// Takes an entry off, after which an address must be served.
    async fn remove(
        &mut self,
        probe: &mut Probe,
        network: &str,
        entry: &str,
        address: Ipv6Addr,
    ) -> Result<(), Inconclusive> {
        let removed = probe.send(self.blocking.change(&self.blocking.list.remove, network, entry)?).await?;
        let ask = self.ask(&address.to_string())?;
        let grace = probe.budget().block_grace;
        let (seen, served) = until(probe, &ask, grace, |seen| seen.status.is_success()).await?;
        if !served {
            self.blocking.findings.push(
                Finding::new(
                    format!(
                        "{} s after the entry for `{network}` was taken off it is still refused: {}",
                        grace.as_secs(),
                        seen.says()
                    ),
                    "let a removal count from the next request on",
                )
                .shown_by([removed.number(), seen.number()]),
            );
        }
        Ok(())
    }

    async fn judge_entry(&mut self, probe: &mut Probe) -> Result<(), Inconclusive> {
        let marker = self.blocking.list.marker.clone();
        let grace = probe.budget().block_grace;
        // Another one than was seen before.
        let ask = self.ask(&within(1).to_string())?;
        let (seen, refused) = until(probe, &ask, grace, |seen| is_block(seen, &marker)).await?;
        if !refused {
            self.blocking.findings.push(
                Finding::new(
                    format!(
                        "{} s after its IPv6 network was put on the blocklist an address is not refused as one that is blocked: {} \
                         answers {}",
                        grace.as_secs(),
                        seen.request_line(),
                        seen.says()
                    ),
                    "block every address that lies in the network of an entry",
                )
                .shown_by([seen.number()]),
            );
            return Ok(());
        }
        let mut spellings = vec![
            ("another address of the network", within(2).to_string()),
            ("an address of it that is spelled in full", in_full(within(3))),
        ];
        if self.behind.forwarded.header.eq_ignore_ascii_case(LIST) {
            // A client writes what it likes, and the proxy adds where it came from.
            spellings.push((
                "an address of it behind one that the client wrote",
                format!("{ELSEWHERE}, {}", within(4)),
            ));
        }
        for (what, claimed) in spellings {
            let seen = probe.send_once(self.ask(&claimed)?).await?;
            if !is_block(&seen, &marker) {
                self.blocking.findings.push(
                    Finding::new(
                        format!("while an IPv6 network is blocked, {what} is answered {}", seen.says()),
                        "compare addresses as numbers, and take the last one that a trusted proxy added",
                    )
                    .shown_by([seen.number()]),
                );
            }
        }
        for address in [NEXT, ELSEWHERE] {
            self.judge_free(probe, address, &marker).await?;
        }
        Ok(())
    }

    async fn judge_free(
        &mut self,
        probe: &mut Probe,
        address: Ipv6Addr,
        marker: &str,
    ) -> Result<(), Inconclusive> {
        let seen = probe.send(self.ask(&address.to_string())?).await?;
        if is_block(&seen, marker) {
            self.blocking.findings.push(
                Finding::new(
                    format!("while {NETWORK} is blocked, `{address}` is refused as if it were in it"),
                    "compare as many bits of an address as the entry has, and no fewer",
                )
                .shown_by([seen.number()]),
            );
        } else if let Err(finding) = served_meanwhile(&seen, &format!("`{address}`")) {
            self.blocking.findings.push(finding);
        }
        Ok(())
    }
}
