//! Puts questions to a deployment whose screen is on, and sees which it refuses in the screen's own name.
//!
//! It goes through the gate as members do: what a detector says that nobody asks protects nobody.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::checks::{canary, deployment};
use crate::outcome::{Inconclusive, PositiveControl};
use crate::probe::{Call, Probe, Seen};
use crate::target::{Effect, Identity, QUERY, Route, Screened, Target};

/// Requests under way at the same time.
const AT_ONCE: usize = 8;
/// Requests sent before it is looked at what came back.
const BATCH: usize = 64;
/// How often a question is put again after a 429.
const PATIENCE: usize = 4;

/// How a question fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It was answered.
    Passed,
    /// The screen refused it.
    Refused,
}

/// How many of some questions were refused.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    pub(super) refused: usize,
    pub(super) of: usize,
}

impl Share {
    pub(super) fn count<'r>(rulings: impl IntoIterator<Item = &'r Ruling>) -> Self {
        let mut share = Self::default();
        for ruling in rulings {
            share.of += 1;
            share.refused += usize::from(*ruling == Ruling::Refused);
        }
        share
    }

    /// Whether at least so many in a thousand were refused.
    pub(super) const fn reaches(self, per_mille: usize) -> bool {
        self.refused * 1_000 >= self.of * per_mille
    }

    /// Whether more than so many in a thousand were.
    pub(super) const fn exceeds(self, per_mille: usize) -> bool {
        self.refused * 1_000 > self.of * per_mille
    }

    /// Whether fewer than so many percent were refused, and by more than the choice of questions explains.
    pub(super) fn is_below(self, percent: u32) -> bool {
        let (expected, error) = self.expected(percent);
        self.refused() < expected - error
    }

    /// Whether more than so many percent were, and by more than the choice of questions explains.
    pub(super) fn is_above(self, percent: u32) -> bool {
        let (expected, error) = self.expected(percent);
        self.refused() > expected + error
    }

    /// How many would be refused of a share, and three times its standard error.
    fn expected(self, percent: u32) -> (f64, f64) {
        let share = f64::from(percent) / 100.0;
        let of = f64::from(u32::try_from(self.of).unwrap_or(u32::MAX));
        (of * share, 3.0 * (of * share * (1.0 - share)).sqrt())
    }

    fn refused(self) -> f64 {
        f64::from(u32::try_from(self.refused).unwrap_or(u32::MAX))
    }

    pub(super) fn words(self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let percent = 100.0 * self.refused as f64 / self.of.max(1) as f64;
        format!("{} of {} ({percent:.1} %)", self.refused, self.of)
    }
}

/// The deployment, and who asks next.
#[derive(Debug)]
pub(super) struct Desk<'t> {
    target: &'t Target,
    pub(super) screen: &'t Screened,
    asked: usize,
}

impl<'t> Desk<'t> {
    /// # Errors
    /// When the target names none.
    pub(super) fn of(target: &'t Target) -> Result<Self, Inconclusive> {
        let screen = target.screen.as_ref().filter(|screen| !screen.askers.is_empty());
        let screen = screen.ok_or_else(|| {
            Inconclusive::because("nothing says where questions are screened: add [screen]")
        })?;
        Ok(Self { target, screen, asked: 0 })
    }

    fn asker(&self) -> Option<&'t Identity> {
        let askers = &self.screen.askers;
        askers.get(self.asked.checked_rem(askers.len()).unwrap_or(0))
    }

    fn there(&self, call: Call) -> Call {
        self.screen.at.iter().fold(call, |call, at| call.at(at))
    }

    fn call(&mut self, text: &str) -> Result<Call, Inconclusive> {
        let asker =
            self.asker().ok_or_else(|| Inconclusive::because("nobody may ask: add `as` to [screen]"))?;
        self.asked = self.asked.wrapping_add(1);
        Ok(self.there(Call::by(self.target, &self.screen.chat.asking(text), asker)?))
    }

    /// That a member is answered there and a stranger is not.
    pub(super) async fn gate(&mut self, probe: &mut Probe) -> Result<PositiveControl, Inconclusive> {
        probe.observe("the threshold in force", &self.screen.threshold);
        let question = self.target.tenancy.question.clone();
        let member = self.call(&question)?;
        let member = probe.send(member).await?;
        let control =
            PositiveControl::from_success(&member, "a member's question is answered, a stranger's is not")?;
        let community = self.asker().map_or("", |asker| asker.community.as_str());
        let stranger = self.there(Call::to(self.target, &self.screen.chat.asking(&question), community)?);
        let stranger = probe.send(stranger).await?;
        if !deployment::is_turned_away(&stranger) || stranger.body == member.body {
            return Err(Inconclusive::because(format!(
                "where questions are screened a stranger is answered {} like a member",
                stranger.says()
            )));
        }
        Ok(control)
    }

    /// Puts the questions; the rulings come in their order.
    pub(super) async fn ask(
        &mut self,
        probe: &mut Probe,
        texts: &[String],
    ) -> Result<Vec<Ruling>, Inconclusive> {
        let mut rulings: Vec<Option<Ruling>> = vec![None; texts.len()];
        for _ in 0..=PATIENCE {
            let open: Vec<usize> =
                (0..texts.len()).filter(|at| rulings.get(*at).is_some_and(Option::is_none)).collect();
            let mut wait = None;
            for batch in open.chunks(BATCH) {
                let mut calls = Vec::with_capacity(batch.len());
                for at in batch {
                    calls.push(self.call(texts.get(*at).map_or("", String::as_str))?);
                }
                for (at, seen) in batch.iter().zip(probe.burst(calls, AT_ONCE).await?) {
                    if seen.status == StatusCode::TOO_MANY_REQUESTS {
                        wait = wait.max(Some(probe.patience_asked(&seen)));
                    } else if let Some(ruling) = rulings.get_mut(*at) {
                        *ruling = Some(self.ruling(&seen)?);
                    }
                }
            }
            match wait {
                Some(wait) => tokio::time::sleep(wait.max(Duration::from_millis(100))).await,
                None => break,
            }
        }
        let all: Option<Vec<Ruling>> = rulings.into_iter().collect();
        all.ok_or_else(|| {
            Inconclusive::because("questions are still refused with 429 after waiting: name more identities in `as` of [screen]")
        })
    }

    /// Whether a search there that members may make finds one of these texts for a topic.
    pub(super) async fn finds(
        &mut self,
        probe: &mut Probe,
        topic: &str,
        texts: &[&str],
    ) -> Result<bool, Inconclusive> {
        let Some(asker) = self.asker() else { return Ok(false) };
        let mut values = self.target.values(&asker.community);
        values.insert("query".to_owned(), topic.to_owned());
        let searches = |route: &&Route| route.effect == Effect::Reads && route.holds(QUERY);
        for route in self.target.routes().into_iter().filter(searches) {
            let call = Call::filled(route, &values)?.with(&asker.credential, &asker.name);
            let seen = probe.send(self.there(call)).await?;
            if seen.status.is_success() && texts.iter().any(|text| seen.body.contains(text)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn ruling(&self, seen: &Seen) -> Result<Ruling, Inconclusive> {
        if let Some(why) = canary::shows_nothing_of_a_member(seen) {
            return Err(Inconclusive::because(why));
        }
        if seen.status.is_success() {
            return Ok(Ruling::Passed);
        }
        if seen.status.is_client_error() && seen.body.contains(&self.screen.marker) {
            return Ok(Ruling::Refused);
        }
        Err(Inconclusive::because(format!(
            "{} was answered {}, an answer or a refusal with `{}` was wanted",
            seen.request_line(),
            seen.says(),
            self.screen.marker
        )))
    }

    /// All that went to the model lately, as one text; none where nothing tells.
    pub(super) async fn given(&self, probe: &mut Probe) -> Result<Option<String>, Inconclusive> {
        let Some(trace) = &self.screen.trace else { return Ok(None) };
        let seen = probe.send(Call::new(Method::GET, "").at(trace)).await?;
        if seen.status.is_success() && seen.json().is_some() && seen.body.contains("\"messages\"") {
            return Ok(Some(seen.body));
        }
        Err(Inconclusive::because(format!(
            "`trace` of [screen] was answered {}, requests to the model were wanted",
            seen.says()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn what_the_choice_of_questions_explains_is_not_held_against_a_share() {
        let share = |refused| Share { refused, of: 105 };
        assert!(!share(4).is_above(1) && share(5).is_above(1) && share(20).is_above(1));
        assert!(!share(39).is_below(50) && share(36).is_below(50));
        assert!(!share(0).is_above(1) && !share(105).is_above(100) && !share(105).is_below(100));
        assert!(share(104).is_below(100));
    }
}
