//! SBX-06.

use std::time::Duration;

use serde_json::json;

use super::jobs::{self, Job, Ran};
use super::overlap::{Span, peak};
use super::{python, trials};
use crate::check::{cases, check};
use crate::outcome::{Coverage, Finding, Inconclusive, PositiveControl, Verdict};
use crate::probe::{Probe, ProbeError, Seen};
use crate::target::{Runtime, SandboxApi};

check! {
    /// ## What it checks
    /// As many jobs as the target says run at a time, of two communities in turn, each with a marker of its own that it says and
    /// leaves where it may. All must run beside each other, by when the sandbox says that each began and ended, by the jobs' own
    /// clock where they have one, and by how long all of it took. No job may say or find the marker of another. Then half as many more
    /// are asked for: the ones beyond wait and run, without an error, and never do more run at a time than the target says.
    /// ## Why it matters
    /// Two jobs that share a folder or an answer give one community's data to another, only when both are busy. A sandbox
    /// that runs jobs one after the other without saying so lets one member stop everybody's, and one without a bound takes the
    /// machine down.
    /// ## How to fix
    /// Make everything of a job for that job alone, count places, and let what comes beyond them wait in a queue.
    /// ## Limits
    /// It is as long as a few seconds and as wide as the number that the target names. Code for WebAssembly has no clock of the
    /// machine's, so there the sandbox's own word is compared with how long all of it took.
    id: "SBX-06", title: "Sandboxes run side by side",
    area: Sandbox, severity: Medium, since: "0.1.0",
    needs: [Sandbox], touches: Load,
    maps: ["LLM10:2025 Unbounded Consumption", "API4:2023 Unrestricted Resource Consumption"],
    run,
}

cases! {
    passes_on: ["foreign"],
    fails_on: [
        "sandbox-gives-answers-of-others",
        "sandbox-jobs-share-a-folder-while-they-run",
        "sandbox-keeps-folders-of-communities-open",
        "sandbox-refuses-long-programs",
        "sandbox-refuses-what-would-wait",
        "sandbox-runs-more-than-it-says",
        "sandbox-runs-one-after-the-other",
        "sandbox-says-that-all-began-at-once",
    ],
    inconclusive_on: [
        "dead",
        "mute",
        "login-wall",
        "waf",
        "yes-man",
        "echo",
        "spa-shell",
        "sandbox-runs-nothing",
        "sandbox-runs-nothing-after-a-while",
    ],
}

/// How long each job stays.
const STAYS: Duration = Duration::from_millis(700);
/// The same where jobs have no clock, and only the time of all of them shows that they ran beside each other.
const STAYS_WITHOUT_CLOCK: Duration = Duration::from_millis(1_500);
/// So often it is tried whether all run at a time: a busy machine begins some of them late.
const TRIES: usize = 3;
/// Of the time that jobs one after the other would take, the share, in hundredths, that jobs beside each other may not reach.
const SERIAL: u128 = 90;

/// A job that stays, and its marker.
struct Stay {
    token: String,
    job: Job,
}

/// What all of them came to.
struct Round {
    stays: Vec<Stay>,
    ran: Vec<Result<Ran, Inconclusive>>,
    each_stays: Duration,
    took: Duration,
}

async fn run(probe: &mut Probe) -> Result<Verdict, Inconclusive> {
    let target = probe.target();
    let api = target.sandbox.as_deref().ok_or_else(|| Inconclusive::because("no sandbox is named"))?;
    let (job, said) = trials::hello(api)?;
    let seen = probe.send_once(job.call(api)).await?;
    let control = PositiveControl::from_success(&seen, "every job said its own marker");
    let greeted = jobs::read(Ok(seen))?;
    if greeted.text().trim_end() != said {
        return Err(Inconclusive::because(format!(
            "a program that says hello {}: see SBX-05",
            greeted.says()
        )));
    }
    let mut findings = Vec::new();
    let mut told = String::new();
    for number in 1..=TRIES {
        let round = Round::run(probe, api, api.at_once).await?;
        let before = findings.len();
        round.judge_markers(&mut findings);
        round.judge_errors(&mut findings);
        let beside = round.beside();
        told = format!("{beside} of {} ran at a time, in {} ms", api.at_once, round.took.as_millis());
        probe.observe("jobs at a time", &told);
        // What is more than one busy moment stays so.
        if findings.len() > before || (beside >= api.at_once && !round.is_serial(greeted.elapsed)) {
            break;
        }
        if number == TRIES {
            findings.push(Finding::new(
                format!("jobs do not run beside each other: {told}"),
                "run as many at a time as is said, or say how many it is (`max_parallel`)",
            ));
        }
    }
    let more = api.at_once.div_ceil(2);
    let beyond = Round::run(probe, api, api.at_once + more).await?;
    beyond.judge_markers(&mut findings);
    beyond.judge_errors(&mut findings);
    let most = beyond.most();
    probe.observe(
        "jobs at a time, with more than there are places",
        &format!("{most} of {}", api.at_once + more),
    );
    if most > api.at_once {
        findings.push(Finding::new(
            format!("{most} jobs ran at a time, the target says {}", api.at_once),
            "count places, and let what comes beyond them wait",
        ));
    }
    let asked = api.at_once * 2 + more;
    Verdict::settle(probe.evidence(), findings, &[], || {
        Ok((
            Coverage::complete(
                asked,
                asked,
                format!("jobs with a marker; {told}, and {more} more waited and ran"),
            )?,
            control?,
        ))
    })
}

const fn how_long(api: &SandboxApi) -> Duration {
    match api.runtime {
        Runtime::Python => STAYS,
        Runtime::Wasm(_) => STAYS_WITHOUT_CLOCK,
    }
}

impl Stay {
    fn new(api: &SandboxApi, number: usize, name: &str) -> Result<Self, Inconclusive> {
        let token = jobs::word();
        let tenant = number % api.tenants.len();
        let job = match &api.runtime {
            Runtime::Python => {
                let given = json!({
                    "token": token,
                    "name": name,
                    "places": python::PLACES,
                    "stays_ms": u64::try_from(how_long(api).as_millis()).unwrap_or(u64::MAX),
                });
                Job::new(tenant, python::STAYS, given.to_string())
            }
            Runtime::Wasm(programs) => {
                let program = trials::brought(programs.as_deref())?.stays.clone();
                Job::new(tenant, program, token.clone()).within(how_long(api))
            }
        };
        Ok(Self { token, job })
    }
}

impl Round {
    async fn run(probe: &mut Probe, api: &SandboxApi, count: usize) -> Result<Self, Inconclusive> {
        let name = format!("portcullis-mark-{}-", jobs::word());
        let stays = (0..count).map(|number| Stay::new(api, number, &name)).collect::<Result<Vec<_>, _>>()?;
        let calls = stays.iter().map(|stay| stay.job.call(api)).collect();
        let began = probe.clock().monotonic();
        let answers: Vec<Result<Seen, ProbeError>> = probe.burst_each(calls, count).await?;
        let took = probe.clock().monotonic().saturating_sub(began);
        Ok(Self {
            stays,
            ran: answers.into_iter().map(jobs::read).collect(),
            each_stays: how_long(api),
            took,
        })
    }

    fn each(&self) -> impl Iterator<Item = (&Stay, &Ran)> {
        self.stays.iter().zip(&self.ran).filter_map(|(stay, ran)| ran.as_ref().ok().map(|ran| (stay, ran)))
    }

    /// No marker where it does not belong.
    fn judge_markers(&self, findings: &mut Vec<Finding>) {
        for (stay, ran) in self.each() {
            let text = seen(ran);
            let others = self.stays.iter().filter(|other| other.token != stay.token);
            let crossed = others.filter(|other| is_in(&other.token, &text)).count();
            if crossed > 0 {
                findings.push(
                    Finding::new(
                        format!("a job found what {crossed} others beside it left or said"),
                        "give each job folders, processes and an answer of its own",
                    )
                    .shown_by([ran.number]),
                );
            }
        }
        findings.sort();
        findings.dedup_by(|one, other| one.fix == other.fix);
    }

    /// Every job ran, and said its own marker.
    fn judge_errors(&self, findings: &mut Vec<Finding>) {
        let fix = "let what comes beyond the places wait, and run it";
        let total = self.stays.len();
        let failed: Vec<&Inconclusive> = self.ran.iter().filter_map(|ran| ran.as_ref().err()).collect();
        if let Some(first) = failed.first() {
            let seen = format!("{} of {total} jobs at a time did not run: {}", failed.len(), first.reason());
            findings.push(Finding::new(seen, fix));
        }
        let silent: Vec<&Ran> =
            self.each().filter(|(stay, ran)| !is_in(&stay.token, &ran.text())).map(|(_, ran)| ran).collect();
        if let Some(first) = silent.first() {
            let seen = format!(
                "{} of {total} jobs at a time did not say their marker: one {}",
                silent.len(),
                first.says()
            );
            findings.push(Finding::new(seen, fix).shown_by(silent.iter().map(|ran| ran.number)));
        }
    }

    /// How many ran at a time by what the sandbox says, and by the jobs' own clock where they have one.
    fn peaks(&self) -> (usize, Option<usize>) {
        let told: Vec<Span> = self.each().filter_map(|(_, ran)| ran.times).collect();
        let own: Vec<Span> = self.each().filter_map(|(_, ran)| own_span(ran)).collect();
        (peak(&told), (!own.is_empty()).then(|| peak(&own)))
    }

    /// How many ran at a time at least, by everything that tells.
    fn beside(&self) -> usize {
        let (told, own) = self.peaks();
        own.map_or(told, |own| told.min(own))
    }

    /// How many ran at a time at most, by anything that tells: who says too little is not believed.
    fn most(&self) -> usize {
        let (told, own) = self.peaks();
        own.map_or(told, |own| told.max(own))
    }

    /// Whether all of it took as long as one after the other would, whatever is told of it. Each `starts` before it stays.
    fn is_serial(&self, starts: Duration) -> bool {
        let count = u128::try_from(self.stays.len()).unwrap_or(u128::MAX);
        let each = (self.each_stays + starts).as_millis();
        count > 1 && self.took.as_millis() * 100 >= each * count * SERIAL
    }
}

/// What a job says of its own time.
fn own_span(ran: &Ran) -> Option<Span> {
    Some((ran.line("began")?.parse().ok()?, ran.line("ended")?.parse().ok()?))
}

/// Whether a marker stands in a text, as it is or turned.
fn is_in(token: &str, text: &str) -> bool {
    text.contains(token) || text.contains(&jobs::turned(token))
}

/// What a job said, with what it saw.
fn seen(ran: &Ran) -> String {
    let mut text = ran.text();
    let found: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("saw ")).map(super::escapes::text).collect();
    text.push_str(&found.concat());
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Job, Ran, Round, Span, Stay};
    use crate::checks::sandbox::jobs::End;

    /// Jobs that ran so by what the sandbox says, and so by their own clock.
    fn round(told: &[Span], own: &[Span], took: u64) -> Round {
        let ran = told.iter().enumerate().map(|(number, times)| {
            let said = own.get(number).map(|(began, ended)| format!("began {began}\nended {ended}\n"));
            Ok(Ran {
                end: End::Exited(0),
                output: said.unwrap_or_default().into_bytes(),
                times: Some(*times),
                elapsed: Duration::ZERO,
                number,
            })
        });
        let stay = |_: &Span| Stay { token: String::new(), job: Job::new(0, "", "") };
        Round {
            stays: told.iter().map(stay).collect(),
            ran: ran.collect(),
            each_stays: Duration::from_millis(700),
            took: Duration::from_millis(took),
        }
    }

    const ABREAST: [Span; 3] = [(0, 700), (0, 700), (0, 700)];
    const IN_TURN: [Span; 3] = [(0, 700), (700, 1_400), (1_400, 2_100)];

    #[test]
    fn who_tells_the_less_shows_what_ran_beside_and_who_tells_the_more_what_ran_too_many() {
        for (told, own, beside, most) in [
            (&ABREAST, &IN_TURN[..], 1, 3),
            (&IN_TURN, &ABREAST[..], 1, 3),
            (&ABREAST, &ABREAST[..], 3, 3),
            (&IN_TURN, &[], 1, 1),
            (&ABREAST, &[], 3, 3),
        ] {
            let round = round(told, own, 0);
            assert_eq!((round.beside(), round.most()), (beside, most), "{told:?} {own:?}");
        }
    }

    #[test]
    fn jobs_of_machines_that_start_slowly_are_not_taken_for_one_after_the_other() {
        let (fast, slow) = (Duration::from_millis(20), Duration::from_secs(2));
        assert!(round(&ABREAST, &[], 2_160).is_serial(fast));
        assert!(!round(&ABREAST, &[], 740).is_serial(fast));
        assert!(!round(&ABREAST, &[], 2_720).is_serial(slow));
        assert!(round(&ABREAST, &[], 8_100).is_serial(slow));
    }
}
