//! Runs the selected checks one after the other and makes the report.
//!
//! It decides what may run and names why something did not; what is right or wrong is the checks' to say. A check that
//! errs is inconclusive, one that panics is broken, and neither ends the run.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::Method;
use jiff::Timestamp;
use portcullis_core::Clock;

use crate::catalogue::{self, CONTROLS, Cadence, Control, Kind, Seed};
use crate::check::{Area, Check, Need, Touches};
use crate::checks::CHECKS;
use crate::launch;
use crate::outcome::{Finding, Outcome, Said};
use crate::probe::{Budget, Call, Evidence, Probe, Sources, Traffic};
use crate::report::{Judged, Report};
use crate::target::{Elsewhere, OpenApi, Target};

/// Which checklist a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// The launch-ready checklist.
    LaunchReady,
    /// The deployment checklist.
    Deployment,
    /// Both.
    #[default]
    Both,
}

impl Profile {
    /// The word for `--profile`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LaunchReady => "launch-ready",
            Self::Deployment => "deployment",
            Self::Both => "both",
        }
    }

    const fn wants(self, seed: Seed) -> bool {
        match self {
            Self::Both => true,
            Self::LaunchReady => matches!(seed, Seed::LaunchReady | Seed::Both | Seed::Derived),
            Self::Deployment => matches!(seed, Seed::Deployment | Seed::Both | Seed::Derived),
        }
    }
}

/// What checks may do to the target beside reading. Nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allow {
    /// `--allow writes`
    pub writes: bool,
    /// `--allow load`
    pub load: bool,
    /// `--allow drills`
    pub drills: bool,
}

impl Allow {
    const fn allows(self, touches: Touches) -> bool {
        match touches {
            Touches::Nothing => true,
            Touches::Writes => self.writes,
            Touches::Load => self.load,
            Touches::Drills => self.drills,
        }
    }
}

/// One word of `--only`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// A control.
    Control(&'static str),
    /// All checks of an area.
    Area(Area),
}

impl Selector {
    /// A control's id or an area's word.
    ///
    /// # Errors
    /// The known words, when it is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(control) = catalogue::find(text) {
            return Ok(Self::Control(control.id));
        }
        if let Some(area) = Area::ALL.into_iter().find(|area| area.word().eq_ignore_ascii_case(text)) {
            return Ok(Self::Area(area));
        }
        let words = Area::ALL.map(Area::word).join(", ");
        Err(format!("`{text}` is neither a control's id such as AUTH-01 nor one of the areas {words}"))
    }

    fn picks(&self, control: &Control) -> bool {
        match self {
            Self::Control(id) => control.id == *id,
            Self::Area(area) => check_of(control.id).is_some_and(|check| check.area == *area),
        }
    }
}

/// A person's signed answer for a control that a machine cannot judge alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// The control.
    pub id: String,
    /// Who answers for it.
    pub who: String,
    /// When the answer ends.
    pub until: Timestamp,
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only these; all of the profile when empty.
    pub only: Vec<Selector>,
    /// Which checklist.
    pub profile: Profile,
    /// Only controls that are due this often.
    pub cadence: Option<Cadence>,
    /// What checks may do to the target.
    pub allow: Allow,
    /// What each check may spend.
    pub budget: Budget,
    /// Answers by people.
    pub attestations: Vec<Attestation>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// Everything of both checklists that only reads.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            only: Vec::new(),
            profile: Profile::Both,
            cadence: None,
            allow: Allow::default(),
            budget: Budget::default(),
            attestations: Vec::new(),
            clock,
        }
    }

    fn wants(&self, control: &Control) -> bool {
        let due = self.cadence.is_none_or(|cadence| control.cadences.contains(&cadence));
        let named = self.only.is_empty() || self.only.iter().any(|selector| selector.picks(control));
        // A control that is named is wanted whatever the profile.
        due && named && (!self.only.is_empty() || self.profile.wants(control.seed))
    }
}

/// Is told how a run goes on.
pub trait Progress: Send + Sync {
    /// A check starts: the `number`th of `of`, from 1.
    fn started(&self, check: &Check, number: usize, of: usize);
    /// A check ended.
    fn finished(&self, judged: &Judged);
}

/// Tells no one.
#[derive(Debug, Clone, Copy)]
pub struct Quiet;

impl Progress for Quiet {
    fn started(&self, _check: &Check, _number: usize, _of: usize) {}
    fn finished(&self, _judged: &Judged) {}
}

/// Runs the selected checks against a target. Controls without a check are in the report too, as inconclusive.
pub async fn run(mut target: Target, options: &Options, progress: &dyn Progress) -> Report {
    let started_at = options.clock.now();
    let [salt] = portcullis_core::secret::random_bytes::<1>();
    Box::pin(adopt_inventory(&mut target, options, salt)).await;
    for Elsewhere { target, .. } in &mut target.elsewhere {
        Box::pin(adopt_inventory(target, options, salt)).await;
    }
    let elsewhere = std::mem::take(&mut target.elsewhere).into_iter();
    let elsewhere: Vec<_> =
        elsewhere.map(|Elsewhere { target, checks }| (Arc::new(target), checks)).collect();
    let target = Arc::new(target);
    let wanted: Vec<&Control> = CONTROLS.iter().filter(|control| options.wants(control)).collect();
    let mut runnable: Vec<(usize, &Check)> = CHECKS
        .iter()
        .enumerate()
        .filter(|(_, check)| wanted.iter().any(|control| control.id == check.id))
        .collect();
    // A credential that runs out waits for nobody. Load comes last, so that it does not use up limits that other checks
    // run into.
    runnable.sort_by_key(|(index, check)| {
        (check.touches.order(), !check.needs.contains(&Need::Expiring), *index)
    });
    let of = runnable.len();
    let traffic = Traffic::default();
    let mut outcomes = Vec::new();
    for (number, (index, check)) in runnable.into_iter().enumerate() {
        progress.started(check, number + 1, of);
        let other = elsewhere.iter().find(|(_, checks)| checks.contains(&check.id));
        let asked = other.map_or(&target, |(other, _)| other);
        let sources = Sources::new(asked, salt, index + 1);
        let outcome = attested(check.id, judge(check, asked, options, sources, &traffic).await, options);
        let judged = Judged::of_check(check, outcome);
        progress.finished(&judged);
        outcomes.push(judged);
    }
    for control in wanted {
        if check_of(control.id).is_none() {
            let unjudged =
                Outcome::Inconclusive { reason: "no check yet".to_owned(), evidence: Evidence::default() };
            let outcome = match target.lacks(control.id) {
                Some(lacks) => {
                    Outcome::NotApplicable { reason: lacks.reason.clone(), approver: lacks.approver.clone() }
                }
                None => attested(control.id, unjudged, options),
            };
            outcomes.push(Judged::of_control(control, outcome));
        }
    }
    outcomes.sort_by_key(|judged| judged.id);
    let rows = launch::judge(&outcomes);
    Report {
        target: target.name.clone(),
        base_url: target.base_url.to_string().trim_end_matches('/').to_owned(),
        run: started_at.strftime("%Y%m%dT%H%M%SZ").to_string(),
        started_at,
        profile: options.profile,
        rows,
        outcomes,
    }
}

fn check_of(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == id)
}

/// Completes the list of routes by the target's OpenAPI document and compares it with its logs.
async fn adopt_inventory(target: &mut Target, options: &Options, salt: u8) {
    let document = match target.inventory.openapi.clone() {
        None => None,
        Some(OpenApi::Document(document)) => Some(document),
        Some(OpenApi::OnTarget(path)) => match fetch(target, options, salt, &path).await {
            Ok(document) => Some(document),
            Err(gap) => {
                target.inventory.gaps.push(gap);
                None
            }
        },
    };
    if let Some(document) = document {
        target.inventory.adopt(&document);
    }
    let chat = target.chat.route.clone();
    target.inventory.compare_with_logs(&chat);
}

async fn fetch(
    target: &Target,
    options: &Options,
    salt: u8,
    path: &str,
) -> Result<serde_json::Value, String> {
    // The probe wants a target of its own; the document is public or opens to the first working identity.
    let mut plain =
        Target::new(target.name.clone(), &target.base_url.to_string()).map_err(|e| e.to_string())?;
    plain.identities.clone_from(&target.identities);
    let plain = Arc::new(plain);
    let sources = Sources::new(&plain, salt, 0);
    let mut probe = Probe::new(
        Arc::clone(&plain),
        Arc::clone(&options.clock),
        options.budget.clone(),
        sources,
        Traffic::default(),
        false,
    );
    let mut call = Call::new(Method::GET, path);
    if let Some(identity) = plain.valid().first() {
        call = call.with(&identity.credential, &identity.name);
    }
    let seen = probe.send(call).await.map_err(|error| format!("no OpenAPI document: {error}"))?;
    match seen.json().filter(|_| seen.status.is_success()) {
        Some(document) => Ok(document),
        None => Err(format!("no OpenAPI document: {} answered {}", seen.request_line(), seen.says())),
    }
}

async fn judge(
    check: &Check,
    target: &Arc<Target>,
    options: &Options,
    sources: Sources,
    traffic: &Traffic,
) -> Outcome {
    if let Some(lacks) = target.lacks(check.id) {
        return Outcome::NotApplicable { reason: lacks.reason.clone(), approver: lacks.approver.clone() };
    }
    let inconclusive = |reason: String| Outcome::Inconclusive { reason, evidence: Evidence::default() };
    let unmet: Vec<&str> = check.needs.iter().filter_map(|need| need.unmet(target)).collect();
    if !unmet.is_empty() {
        return inconclusive(unmet.join("; "));
    }
    if let Some(flag) = check.touches.flag().filter(|_| !options.allow.allows(check.touches)) {
        return inconclusive(format!("not run: it needs `--allow {flag}`"));
    }
    let mut probe = Probe::new(
        Arc::clone(target),
        Arc::clone(&options.clock),
        options.budget.clone(),
        sources,
        traffic.clone(),
        options.allow.writes,
    );
    let limit = options.budget.check_timeout;
    let ended = AssertUnwindSafe(tokio::time::timeout(limit, (check.run)(&mut probe))).catch_unwind().await;
    match ended {
        Err(panic) => Outcome::Broken { reason: format!("the check crashed: {}", panic_text(&*panic)) },
        Ok(Err(_)) => unfinished(&mut probe, out_of_time(limit)),
        Ok(Ok(Err(why))) => unfinished(&mut probe, why.reason().to_owned()),
        Ok(Ok(Ok(verdict))) => settle(verdict.0),
    }
}

/// What is to be said of a check that did not come to its end: what it found wrong before stays wrong.
fn unfinished(probe: &mut Probe, reason: String) -> Outcome {
    let mut findings: Vec<Finding> = probe.findings().into();
    if findings.is_empty() {
        return Outcome::Inconclusive { reason, evidence: probe.evidence() };
    }
    findings.dedup();
    probe.observe("why the check did not come to its end", &reason);
    Outcome::Fail { findings, evidence: probe.evidence() }
}

fn out_of_time(limit: Duration) -> String {
    format!("the check's time of {} s is used up", limit.as_secs())
}

fn settle(said: Said) -> Outcome {
    match said {
        Said::Fail { evidence, findings } => Outcome::Fail { findings, evidence },
        Said::Pass { evidence, .. } if evidence.exchanges().is_empty() => Outcome::Inconclusive {
            reason: "the check passed without having looked at anything".to_owned(),
            evidence,
        },
        Said::Pass { coverage, control, evidence } => {
            Outcome::Pass { reason: format!("{coverage}; control: {control}"), evidence }
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// A person's answer stands in where a machine could not judge a control that a person may answer for. It never
/// covers a failure.
fn attested(id: &str, outcome: Outcome, options: &Options) -> Outcome {
    let Outcome::Inconclusive { reason, evidence } = outcome else { return outcome };
    let answerable = catalogue::find(id).is_some_and(|control| control.kind != Kind::Auto);
    let answer =
        options.attestations.iter().filter(|answer| answer.id == id).max_by_key(|answer| answer.until);
    match answer.filter(|_| answerable) {
        Some(answer) if answer.until > options.clock.now() => {
            Outcome::Attested { who: answer.who.clone(), until: answer.until }
        }
        Some(answer) => Outcome::Inconclusive {
            reason: format!("{reason}; the answer by {} ended {}", answer.who, answer.until),
            evidence,
        },
        None => Outcome::Inconclusive { reason, evidence },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::future::BoxFuture;
    use portcullis_core::ManualClock;

    use super::{Allow, Attestation, Options, Quiet, Selector, attested, judge, run};
    use crate::check::{Area, Cases, Check, Touches};
    use crate::outcome::{Finding, Inconclusive, Outcome, Severity, Verdict};
    use crate::probe::{Evidence, Probe, Sources, Traffic};
    use crate::target::{Declaration, Elsewhere, Target};

    fn options() -> Options {
        Options::new(Arc::new(ManualClock::at("2026-01-10T12:00:00Z".parse().unwrap())))
    }

    fn check(
        touches: Touches,
        run: for<'p> fn(&'p mut Probe) -> BoxFuture<'p, Result<Verdict, Inconclusive>>,
    ) -> Check {
        Check {
            id: "AUTH-01",
            title: "A check for tests",
            area: Area::Auth,
            severity: Severity::High,
            since: "0.1.0",
            needs: &[],
            touches,
            maps: &[],
            docs: "",
            file: "",
            cases: Cases { passes_on: &[], fails_on: &[], inconclusive_on: &[] },
            run,
        }
    }

    async fn outcome_of(check: &Check, target: Target, allow: Allow) -> Outcome {
        outcome_with(check, target, Options { allow, ..options() }).await
    }

    /// With no time beyond what a check does at once.
    async fn outcome_in_no_time(check: &Check) -> Outcome {
        let mut options = options();
        options.budget.check_timeout = Duration::ZERO;
        outcome_with(check, target(), options).await
    }

    async fn outcome_with(check: &Check, target: Target, options: Options) -> Outcome {
        let target = Arc::new(target);
        let sources = Sources::new(&target, 9, 1);
        judge(check, &target, &options, sources, &Traffic::default()).await
    }

    fn target() -> Target {
        Target::new("t", "http://127.0.0.1:9").unwrap()
    }

    #[tokio::test]
    async fn a_check_that_asks_elsewhere_judges_what_is_there_and_no_other_does() {
        let mut target = target();
        let mut elsewhere = target.clone();
        elsewhere.declarations = vec![Declaration::new("AUTH-01", "elsewhere", "the test")];
        elsewhere.declarations.push(Declaration::new("AUTH-03", "elsewhere", "the test"));
        target.elsewhere = vec![Elsewhere { target: elsewhere, checks: vec!["AUTH-03"] }];
        let only = ["AUTH-01", "AUTH-03"].map(|id| Selector::parse(id).unwrap()).to_vec();
        let report = Box::pin(run(target, &Options { only, ..options() }, &Quiet)).await;
        let words: Vec<_> = report.outcomes.iter().map(|judged| (judged.id, judged.outcome.word())).collect();
        let not_applicable = Outcome::NotApplicable { reason: String::new(), approver: String::new() }.word();
        assert_eq!(words, [("AUTH-01", "inconclusive"), ("AUTH-03", not_applicable)]);
    }

    #[tokio::test]
    async fn a_panicking_check_is_broken_and_does_not_end_the_run() {
        let crashing = check(Touches::Nothing, |_| Box::pin(async { panic!("index out of range") }));
        let outcome = outcome_of(&crashing, target(), Allow::default()).await;
        assert!(matches!(outcome, Outcome::Broken { reason } if reason.contains("index out of range")));
    }

    #[tokio::test]
    async fn what_a_check_found_stays_found_where_it_runs_out_of_its_time_or_cannot_go_on() {
        let late = check(Touches::Nothing, |probe| {
            Box::pin(async {
                let mut findings = probe.findings();
                findings.push(Finding::new("a door is open", "close it"));
                findings.push(Finding::new("a door is open", "close it"));
                std::future::pending().await
            })
        });
        let broken = check(Touches::Nothing, |probe| {
            Box::pin(async {
                probe.findings().extend([Finding::new("a door is open", "close it")]);
                Err(Inconclusive::because("nobody answers"))
            })
        });
        for (check, why) in [(late, "the check's time of 0 s is used up"), (broken, "nobody answers")] {
            let outcome = outcome_in_no_time(&check).await;
            let Outcome::Fail { findings, evidence } = outcome else { panic!("{outcome:?}") };
            assert_eq!(findings, [Finding::new("a door is open", "close it")]);
            assert_eq!(evidence.exchanges()[0].answer, why);
        }
    }

    #[tokio::test]
    async fn a_check_that_found_nothing_and_runs_out_of_its_time_is_inconclusive() {
        let late = check(Touches::Nothing, |_| Box::pin(std::future::pending()));
        let outcome = outcome_in_no_time(&late).await;
        assert!(matches!(outcome, Outcome::Inconclusive { reason, .. } if reason.contains("used up")));
    }

    #[tokio::test]
    async fn a_check_that_loads_or_drills_is_refused_unless_allowed() {
        for (touches, flag) in
            [(Touches::Writes, "writes"), (Touches::Load, "load"), (Touches::Drills, "drills")]
        {
            let never = check(touches, |_| Box::pin(async { panic!("must not run") }));
            let outcome = outcome_of(&never, target(), Allow::default()).await;
            assert!(matches!(outcome, Outcome::Inconclusive { reason, .. } if reason.contains(flag)));
        }
    }

    #[tokio::test]
    async fn a_declared_lack_names_its_reason_and_approver() {
        let never = check(Touches::Nothing, |_| Box::pin(async { panic!("must not run") }));
        let mut target = target();
        target.declarations.push(Declaration::new("AUTH-01", "no routes", "Jo Ito"));
        let outcome = outcome_of(&never, target, Allow::default()).await;
        assert!(matches!(outcome, Outcome::NotApplicable { approver, .. } if approver == "Jo Ito"));
    }

    #[test]
    fn an_attestation_never_covers_a_failure_nor_outlives_its_end_nor_replaces_a_machine() {
        let mut options = options();
        let until = "2026-01-11T00:00:00Z".parse().unwrap();
        let answer = |id: &str, until| Attestation { id: id.to_owned(), who: "Jo Ito".to_owned(), until };
        options.attestations = vec![answer("DR-06", until), answer("AUTH-01", until)];
        let unsure =
            || Outcome::Inconclusive { reason: "no check yet".to_owned(), evidence: Evidence::default() };
        assert!(matches!(attested("DR-06", unsure(), &options), Outcome::Attested { .. }));
        assert!(matches!(attested("AUTH-01", unsure(), &options), Outcome::Inconclusive { .. }));
        let failed = Outcome::Fail { findings: Vec::new(), evidence: Evidence::default() };
        assert!(matches!(attested("DR-06", failed, &options), Outcome::Fail { .. }));
        options.attestations = vec![answer("DR-06", "2026-01-10T11:59:59Z".parse().unwrap())];
        assert!(matches!(attested("DR-06", unsure(), &options), Outcome::Inconclusive { .. }));
    }

    #[test]
    fn a_selector_is_an_id_or_an_area() {
        assert_eq!(Selector::parse("auth-01"), Ok(Selector::Control("AUTH-01")));
        assert_eq!(Selector::parse("edge"), Ok(Selector::Area(Area::Edge)));
        assert!(Selector::parse("AUTH-99").unwrap_err().contains("AUTH-99"));
    }
}
