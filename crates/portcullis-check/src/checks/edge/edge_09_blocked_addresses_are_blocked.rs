//! EDGE-09.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::blocking::{claiming, is_block, served, served_meanwhile, two_sources, until};
use super::networks::{self, Tried};
use crate::check::{cases, check};
use crate::checks::deployment;
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Blocklist, Identity, Route, Target};

check! {
    /// ## What it checks
    /// Puts an address of the checker's own on the blocklist, through the route that the operator uses. Within 10 s every
    /// request from there must be refused in the blocklist's own words, with a right credential, with a wrong one and
    /// without: the list comes before any look-up. Headers that claim another address must not lift it, and must not bring it
    /// on whoever claims the blocked one. Another address must be served meanwhile. The entry must be told by the list, and taken
    /// off again the address must be served within 10 s. Where the target believes the checker what address a request comes from
    /// (`[forwarded]`), the same must hold of an entry for an IPv6 network (/64) and of every address in it, however it is spelled and
    /// whatever the client itself wrote in front of it; the network next to it must be served. Neither a stranger nor a member may make an entry.
    /// ## Why it matters
    /// During an attack the list is what the operator has. One that believes a header is lifted by the attacker with one
    /// line, and can be turned against members.
    /// ## How to fix
    /// Compare the address of the connection, or the one that a trusted proxy reports, with the list before anything else, and
    /// let a change count from the next request on, on every instance.
    /// ## Limits
    /// Without `[forwarded]` one entry for one IPv4 address is tried and no network, and the result says so. What a proxy in front passes on is not seen where the
    /// checker reaches the target directly. Another list in front, such as a CDN's, is not tried.
    id: "EDGE-09", title: "Blocked addresses are blocked",
    area: Edge, severity: Medium, since: "0.1.0",
    needs: [Blocklist, Identity], touches: Writes,
    maps: ["API4:2023 Unrestricted Resource Consumption", "LLM10:2025 Unbounded Consumption"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "blocklist-is-never-read",
        "blocklist-believes-headers",
        "blocklist-believes-forwarded",
        "blocklist-breaks-everybody-else",
        "blocklist-comes-after-the-credential",
        "blocklist-blocks-everybody",
        "blocklist-takes-entries-from-members",
        "blocklist-keeps-what-was-removed",
        "blocklist-takes-networks-for-addresses",
        "blocklist-compares-ipv6-as-text",
        "blocklist-blocks-all-of-ipv6",
        "proxy-chain-is-read-from-the-left",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// An address that nobody has (RFC 5737), for entries that must not come about.
const NOBODY: &str = "203.0.113.80";
/// A credential that is none.
const WRONG: &str = "portcullis-check-no-such-credential";

pub(super) struct Blocking<'t> {
    pub(super) target: &'t Target,
    pub(super) list: &'t Blocklist,
    pub(super) asker: &'t Identity,
    pub(super) findings: Findings,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let list =
        target.blocklist.as_deref().ok_or_else(|| Inconclusive::because("the target has no blocklist"))?;
    let valid = target.valid();
    let asker = valid.first().ok_or_else(|| Inconclusive::because("no identity works"))?;
    deployment::tells_members_from_strangers(probe).await?;
    let mut blocking = Blocking { target: &target, list, asker, findings: probe.findings() };
    let (blocked, other) = two_sources(probe)?;
    let mut controls = Vec::new();
    for source in [blocked, other] {
        let seen = probe.send(blocking.ask(source)?).await?;
        controls.push(served(&seen, &list.marker)?);
    }
    blocking.judge_strangers(probe).await?;
    let made = probe.send(blocking.change(&list.add, &blocked.to_string(), "")?).await?;
    let entry = blocking.entry(&made)?;
    let judged = blocking.judge_entry(probe, blocked, other, &entry).await;
    // Whatever was seen, nothing stays.
    let removed = probe.send(blocking.change(&list.remove, &blocked.to_string(), &entry)?).await?;
    controls.extend(judged?);
    if !removed.status.is_success() {
        blocking.findings.push(
            Finding::new(
                format!("the entry cannot be taken off: {} answers {}", list.remove.line(), removed.says()),
                "let whoever may make an entry take it off",
            )
            .shown_by([removed.number()]),
        );
    }
    let ask = blocking.ask(blocked)?;
    let grace = probe.budget().block_grace;
    let (seen, served) = until(probe, &ask, grace, |seen| seen.status.is_success()).await?;
    if !served {
        blocking.findings.push(
            Finding::new(
                format!(
                    "{} s after its entry was taken off the address is still refused: {}",
                    grace.as_secs(),
                    seen.says()
                ),
                "let a removal count from the next request on",
            )
            .shown_by([seen.number()]),
        );
    }
    let mut findings = blocking.findings;
    // What went wrong there hides nothing of what was found.
    let network = networks::judge(probe, &target, list).await.unwrap_or_else(Tried::from);
    findings.extend(network.findings);
    Verdict::settle(probe.evidence(), findings, &network.doubts, || {
        let what = format!(
            "an entry made, told, obeyed whatever headers and credentials come, and taken off again; {}",
            network.words
        );
        let control =
            PositiveControl::all(controls, "both addresses are served before, and the other one meanwhile")?;
        Ok((Coverage::complete(1, 1, what)?, control))
    })
}

impl Blocking<'_> {
    /// A member's harmless request from there.
    fn ask(&self, source: Ipv4Addr) -> Result<Call, Inconclusive> {
        Ok(Call::by(self.target, &self.list.asked, self.asker)?.from(Some(source)))
    }

    /// A change of the list by nobody yet.
    fn bare(&self, route: &Route, network: &str, entry: &str) -> Result<Call, Inconclusive> {
        let values = [("network", network), ("entry", entry)];
        let values: BTreeMap<String, String> =
            values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let call = Call::filled(route, &values)?;
        Ok(match &self.list.at {
            Some(base) => call.at(base),
            None => call,
        })
    }

    pub(super) fn change(&self, route: &Route, network: &str, entry: &str) -> Result<Call, Inconclusive> {
        Ok(self.bare(route, network, entry)?.with(&self.list.operator, "operator"))
    }

    /// The id of an entry that was made.
    pub(super) fn entry(&self, made: &Seen) -> Result<String, Inconclusive> {
        if !made.status.is_success() {
            return Err(Inconclusive::because(format!(
                "no entry could be made: {} answers {}",
                made.request_line(),
                made.says()
            )));
        }
        let Some(pointer) = &self.list.entry else { return Ok(String::new()) };
        let id = made.json().and_then(|body| {
            let id = body.pointer(pointer)?;
            Some(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
        });
        id.ok_or_else(|| {
            Inconclusive::because(format!("the answer to {} has no id at `{pointer}`", made.request_line()))
        })
    }

    /// Nobody but the operator makes entries.
    async fn judge_strangers(&mut self, probe: &mut Probe) -> Result<(), Inconclusive> {
        let by = [(None, "a stranger"), (Some(&self.asker.credential), "a member")];
        for (credential, who) in by {
            let mut call = self.bare(&self.list.add, NOBODY, "")?;
            if let Some(credential) = credential {
                call = call.with(credential, &self.asker.name);
            }
            let seen = probe.send(call).await?;
            if seen.status.is_success() {
                if let Ok(entry) = self.entry(&seen) {
                    probe.send(self.change(&self.list.remove, NOBODY, &entry)?).await?;
                }
                self.findings.push(
                    Finding::new(
                        format!("{} lets {who} block addresses", self.list.add.line()),
                        format!("let the operator alone ask {}", self.list.add.line()),
                    )
                    .shown_by([seen.number()]),
                );
            }
        }
        Ok(())
    }

    async fn judge_entry(
        &mut self,
        probe: &mut Probe,
        blocked: Ipv4Addr,
        other: Ipv4Addr,
        entry: &str,
    ) -> Result<Option<PositiveControl>, Inconclusive> {
        let (marker, grace) = (&self.list.marker, probe.budget().block_grace);
        let listed = probe.send(self.change(&self.list.list, "", "")?).await?;
        let told =
            listed.body.contains(&blocked.to_string()) || !entry.is_empty() && listed.body.contains(entry);
        if !listed.status.is_success() || !told {
            self.findings.push(
                Finding::new(
                    format!("{} does not tell of an entry that was just made", self.list.list.line()),
                    "let the list tell every entry, so that one can be found and taken off",
                )
                .shown_by([listed.number()]),
            );
        }
        let ask = self.ask(blocked)?;
        let (seen, refused) = until(probe, &ask, grace, |seen| is_block(seen, marker)).await?;
        if !refused {
            self.findings.push(
                Finding::new(
                    format!(
                        "{} s after it was put on the blocklist the address is not refused as one that is blocked: {} answers {}",
                        grace.as_secs(),
                        seen.request_line(),
                        seen.says()
                    ),
                    format!("compare the address of the connection with the list before anything else, and answer with `{marker}`"),
                )
                .shown_by([seen.number()]),
            );
            return Ok(None);
        }
        self.judge_order(probe, blocked).await?;
        self.judge_claims(probe, blocked, other).await
    }

    /// The list comes before any look-up: whoever is blocked learns nothing about credentials.
    async fn judge_order(&mut self, probe: &mut Probe, blocked: Ipv4Addr) -> Result<(), Inconclusive> {
        let bare = || {
            Ok::<_, Inconclusive>(
                Call::to(self.target, &self.list.asked, &self.asker.community)?.from(Some(blocked)),
            )
        };
        let wrong = self.asker.credential.with_secret(WRONG.to_owned());
        for (call, what) in
            [(bare()?, "no credential"), (bare()?.with(&wrong, "nobody"), "a wrong credential")]
        {
            let seen = probe.send_once(call).await?;
            if !is_block(&seen, &self.list.marker) {
                self.findings.push(
                    Finding::new(
                        format!("from a blocked address, {} with {what} is answered {}", seen.request_line(), seen.says()),
                        "look at the list before the credential: a blocked address is refused alike whatever it sends",
                    )
                    .shown_by([seen.number()]),
                );
            }
        }
        Ok(())
    }

    /// What the client claims about its address changes nothing. That another address is served meanwhile; none where a finding
    /// says that it is not.
    async fn judge_claims(
        &mut self,
        probe: &mut Probe,
        blocked: Ipv4Addr,
        other: Ipv4Addr,
    ) -> Result<Option<PositiveControl>, Inconclusive> {
        let free = probe.send(self.ask(other)?).await?;
        if is_block(&free, &self.list.marker) {
            self.findings.push(
                Finding::new(
                    "an address that is not on the list is refused as if it were",
                    "compare the whole address, and block what the entry names alone",
                )
                .shown_by([free.number()]),
            );
            return Ok(None);
        }
        let control = served_meanwhile(&free, "an address that is not on the list")
            .map_err(|finding| self.findings.push(finding))
            .ok();
        let lifting = claiming(&self.ask(blocked)?, other)?;
        let catching = claiming(&self.ask(other)?, blocked)?;
        for ((name, lifts), (_, catches)) in lifting.into_iter().zip(catching) {
            let lifted = probe.send_once(lifts).await?;
            if !is_block(&lifted, &self.list.marker) {
                self.findings.push(
                    Finding::new(
                        format!("a block is lifted by the header `{name}`"),
                        format!("ignore `{name}` unless the connection comes from a trusted proxy"),
                    )
                    .shown_by([lifted.number()]),
                );
            }
            let caught = probe.send_once(catches).await?;
            if is_block(&caught, &self.list.marker) {
                self.findings.push(
                    Finding::new(
                        format!("whoever sends `{name}` with a blocked address is refused: the list looks at the header"),
                        format!("ignore `{name}` unless the connection comes from a trusted proxy"),
                    )
                    .shown_by([caught.number()]),
                );
            }
        }
        Ok(control)
    }
}
