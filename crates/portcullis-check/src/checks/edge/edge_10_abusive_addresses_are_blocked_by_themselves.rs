//! EDGE-10.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::StatusCode;

use super::blocking::{claiming, is_block, served, served_meanwhile, two_sources, until};
use crate::check::{cases, check};
use crate::outcome::{Coverage, Finding, Findings, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Call, Probe, Seen};
use crate::target::{AutoBlock, Target};

check! {
    /// ## What it checks
    /// From an address of its own it sends requests with a wrong credential, one after the other. The address must be blocked at
    /// the documented threshold, a tenth more or less, in the words of a block: a 429 is a limit and counts as none. From then
    /// on it must be refused with a right credential too, and whatever address a header claims, while another address is
    /// served. The block must last, and end by itself when the documented time is over.
    /// ## Why it matters
    /// Who guesses credentials or scans for holes comes back for as long as it costs them nothing, also when nobody watches. A
    /// block without an end shuts out whoever gets the address next.
    /// ## How to fix
    /// Count refused credentials by the address of the connection, let the count decay, block at a threshold for a limited time,
    /// and answer a blocked address with a code of its own.
    /// ## Limits
    /// Refused credentials are tried, not the other offences that may be counted. Where the threshold is tried on another
    /// instance than the target, that it is the same build with the same threshold is the word of who wrote the target file. A
    /// network's addresses are not tried together.
    id: "EDGE-10", title: "Abusive addresses are blocked by themselves",
    area: Edge, severity: Medium, since: "0.1.0",
    needs: [AutoBlock], touches: Load,
    maps: ["API4:2023 Unrestricted Resource Consumption", "API2:2023 Broken Authentication"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "auto-block-never",
        "auto-block-too-late",
        "auto-block-too-early",
        "auto-block-is-a-429",
        "auto-block-has-no-end",
        "auto-block-believes-headers",
        "auto-block-believes-forwarded",
        "auto-block-spares-right-credentials",
    ],
    inconclusive_on: ["dead", "mute", "login-wall", "waf", "yes-man", "echo", "spa-shell"],
}

/// A block that is over may still be there for as long as a busy machine takes.
const LATE: Duration = Duration::from_secs(3);

struct Blocking<'t> {
    target: &'t Target,
    auto: &'t AutoBlock,
    findings: Findings,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let auto = target
        .auto_block
        .as_deref()
        .ok_or_else(|| Inconclusive::because("the target blocks nobody by itself"))?;
    let (abusive, other) = two_sources(probe)?;
    let mut blocking = Blocking { target: &target, auto, findings: probe.findings() };
    let mut controls = Vec::new();
    for source in [abusive, other] {
        let seen = probe.send(blocking.ask(source)?).await?;
        controls.push(served(&seen, &auto.marker)?);
    }
    let wrong = probe.send(blocking.wrong(other, 0)?).await?;
    if !wrong.refuses() || is_block(&wrong, &auto.marker) {
        return Err(Inconclusive::because(format!(
            "a wrong credential is answered {}, a refusal was wanted",
            wrong.says()
        )));
    }
    let doubts = match blocking.abuse(probe, abusive).await? {
        None => Vec::new(),
        Some(last) => blocking.judge_block(probe, abusive, other, &last).await?,
    };
    let findings = blocking.findings;
    Verdict::settle(probe.evidence(), findings, &doubts, || {
        let what = format!(
            "blocked at {} refused credentials or a tenth more or less, refused whatever is sent, and served again after {} s",
            auto.threshold,
            auto.lasts.as_secs()
        );
        let control =
            PositiveControl::all(controls, "both addresses are served before, and the other one meanwhile")?;
        Ok((Coverage::complete(1, 1, what)?, control))
    })
}

impl Blocking<'_> {
    fn there(&self, call: Call, source: Ipv4Addr) -> Call {
        let call = call.from(Some(source));
        match &self.auto.at {
            Some(base) => call.at(base),
            None => call,
        }
    }

    /// A member's harmless request from there.
    fn ask(&self, source: Ipv4Addr) -> Result<Call, Inconclusive> {
        let call = Call::by(self.target, &self.auto.asked, &self.auto.asker)?;
        Ok(self.there(call, source))
    }

    /// The same with a credential that is none, another one each time.
    fn wrong(&self, source: Ipv4Addr, number: u32) -> Result<Call, Inconclusive> {
        let credential = self.auto.asker.credential.with_secret(format!("portcullis-check-guess-{number}"));
        let call = Call::to(self.target, &self.auto.asked, &self.auto.asker.community)?;
        Ok(self.there(call.with(&credential, "nobody"), source))
    }

    /// Sends wrong credentials until the address is blocked. The answer that says so; none where a finding says why not.
    async fn abuse(&mut self, probe: &mut Probe, source: Ipv4Addr) -> Result<Option<Seen>, Inconclusive> {
        let threshold = self.auto.threshold;
        // A tenth more or less, and never less than one.
        let tenth = (threshold / 10).max(1);
        let (least, most) = (threshold.saturating_sub(tenth), threshold.saturating_add(tenth));
        let (mut refused, mut limited) = (0_u32, Vec::new());
        for number in 1..=most.saturating_add(1) {
            let seen = probe.send_once(self.wrong(source, number)?).await?;
            if is_block(&seen, &self.auto.marker) {
                if refused < least {
                    self.findings.push(
                        Finding::new(
                            format!("the address is blocked after {refused} refused credentials, {threshold} are documented"),
                            "block at the documented threshold: who mistypes must not be shut out",
                        )
                        .shown_by([seen.number()]),
                    );
                }
                return Ok(Some(seen));
            }
            if seen.status == StatusCode::TOO_MANY_REQUESTS {
                limited.push(seen.number());
            } else if !seen.refuses() {
                return Err(Inconclusive::because(format!(
                    "a wrong credential is answered {}, a refusal was wanted",
                    seen.says()
                )));
            }
            refused = refused.saturating_add(1);
        }
        let how =
            if limited.is_empty() { "" } else { "; some were answered 429, which is a limit and no block" };
        self.findings.push(
            Finding::new(
                format!("the address is not blocked after {refused} refused credentials, {threshold} are documented{how}"),
                format!(
                    "block an address at {threshold} refused credentials for a while, and answer it with `{}`",
                    self.auto.marker
                ),
            )
            .shown_by(limited),
        );
        Ok(None)
    }

    /// What a block must do once it is there. What could not be seen of it.
    async fn judge_block(
        &mut self,
        probe: &mut Probe,
        abusive: Ipv4Addr,
        other: Ipv4Addr,
        last: &Seen,
    ) -> Result<Vec<String>, Inconclusive> {
        let marker = &self.auto.marker;
        let began = probe.clock().monotonic();
        let right = probe.send_once(self.ask(abusive)?).await?;
        let elapsed = probe.clock().monotonic().saturating_sub(began);
        if !is_block(&right, marker) {
            let early = if elapsed >= self.auto.lasts { " (the block may have ended meanwhile)" } else { "" };
            self.findings.push(
                Finding::new(
                    format!("from a blocked address a right credential is answered {}{early}", right.says()),
                    "block the address whatever credential it sends, before the credential is looked at",
                )
                .shown_by([last.number(), right.number()]),
            );
            return Ok(Vec::new());
        }
        for (name, call) in claiming(&self.ask(abusive)?, other)? {
            let lifted = probe.send_once(call).await?;
            if !is_block(&lifted, marker) && lifted.status.is_success() && elapsed < self.auto.lasts / 2 {
                self.findings.push(
                    Finding::new(
                        format!("a block is lifted by the header `{name}`"),
                        format!("ignore `{name}` unless the connection comes from a trusted proxy"),
                    )
                    .shown_by([lifted.number()]),
                );
            }
        }
        let free = probe.send_once(self.ask(other)?).await?;
        if let Err(finding) = served_meanwhile(&free, "an address that did nothing") {
            self.findings.push(finding);
        }
        self.judge_end(probe, abusive, began).await
    }

    async fn judge_end(
        &mut self,
        probe: &mut Probe,
        abusive: Ipv4Addr,
        began: Duration,
    ) -> Result<Vec<String>, Inconclusive> {
        let lasts = self.auto.lasts;
        if lasts > probe.budget().longest_block {
            return Ok(vec![format!(
                "a block lasts {} s, which is longer than is waited for: name an instance of the same build where it lasts a \
                 few seconds as [auto_block] base_url in target.toml",
                lasts.as_secs()
            )]);
        }
        let elapsed = probe.clock().monotonic().saturating_sub(began);
        // A second is how exactly most products count.
        let longest = lasts.saturating_sub(elapsed).saturating_add(lasts / 10).saturating_add(LATE);
        let ask = self.ask(abusive)?;
        let (seen, ended) = until(probe, &ask, longest, |seen| seen.status.is_success()).await?;
        if !ended {
            self.findings.push(
                Finding::new(
                    format!(
                        "the block does not end after the documented {} s: {}",
                        lasts.as_secs(),
                        seen.says()
                    ),
                    "let a block end by itself: the address is somebody else's one day",
                )
                .shown_by([seen.number()]),
            );
            return Ok(Vec::new());
        }
        let took = probe.clock().monotonic().saturating_sub(began);
        if took.saturating_add(Duration::from_secs(1)) < lasts.saturating_sub(lasts / 10) {
            self.findings.push(
                Finding::new(
                    format!(
                        "the block ends after {} ms, {} s are documented",
                        took.as_millis(),
                        lasts.as_secs()
                    ),
                    "let a block last as long as is documented",
                )
                .shown_by([seen.number()]),
            );
        }
        Ok(Vec::new())
    }
}
