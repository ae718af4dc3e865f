//! Sends many questions by many people, several at a time, within the limits that the target promises.
//!
//! Whoever was used least in the last minute goes next, and those last who alone can make some requests. Who is answered 429 rests as long as they are asked to while others
//! go on; where others may go, nobody is used beyond a promised limit.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use http::StatusCode;

use super::mark::Mark;
use super::wire::Wire;
use crate::outcome::Inconclusive;
use crate::probe::{Call, Probe, ProbeError, Seen};
use crate::target::{Identity, Route, Target};

/// Requests under way at the same time.
const AT_ONCE: usize = 8;
/// Requests planned at once: what a limit that nobody promised can refuse before it is noticed.
const BATCH: usize = 32;
/// How often one question is put again after a 429.
const PATIENCE: usize = 8;
/// Requests from one client address, where no limit is promised.
const PER_ADDRESS: u32 = 20;

/// A request that any of `askers` may send; nobody in particular when there are none.
#[derive(Debug, Clone)]
pub(in crate::checks) struct Errand<'t, T> {
    /// What it is for.
    pub(in crate::checks) tag: T,
    /// The request.
    pub(in crate::checks) route: Route,
    /// What its placeholders stand for, where they do not stand for the asker's own.
    pub(in crate::checks) values: Option<BTreeMap<String, String>>,
    /// Who may send it.
    pub(in crate::checks) askers: Vec<&'t Identity>,
    /// What is sent in place of the route's own request, but for the credential.
    pub(in crate::checks) call: Option<Call>,
}

/// What came back.
#[derive(Debug)]
pub(in crate::checks) struct Answer<'t, T> {
    /// What it was for.
    pub(in crate::checks) tag: T,
    /// The route that was asked, as the inventory has it.
    pub(in crate::checks) line: String,
    /// Who asked; nobody when there is none.
    pub(in crate::checks) asker: Option<&'t Identity>,
    /// The answer.
    pub(in crate::checks) seen: Seen,
    /// All that it says.
    wire: Wire,
    /// All that the request said.
    asked: String,
}

impl<T> Answer<'_, T> {
    /// In what disguise a canary's text stands in it, if it does.
    pub(in crate::checks) fn tells_text(&self, mark: &Mark<'_>) -> Option<&'static str> {
        mark.text_in(&self.wire)
    }

    /// What of a canary's document stands in it, if anything does.
    pub(in crate::checks) fn tells_anything(&self, mark: &Mark<'_>) -> Option<&'static str> {
        mark.anything_in(&self.wire, &self.asked)
    }

    /// Whether the request said this.
    pub(in crate::checks) fn asked_for(&self, word: &str) -> bool {
        self.asked.contains(word)
    }

    /// Who asked, for messages.
    pub(in crate::checks) fn who(&self) -> &str {
        self.asker.map_or("nobody", |identity| identity.name.as_str())
    }
}

/// Sends errands.
#[derive(Debug)]
pub(in crate::checks) struct Crew<'t> {
    target: &'t Target,
    /// Users who were answered 429, and until when they rest.
    resting: BTreeMap<&'t str, Duration>,
    /// The same for requests by nobody in particular. Those that were under way together rest together: one after the other they
    /// would use up the time of a check.
    strangers_rest: Duration,
    source: Option<Ipv4Addr>,
    left_at_source: u32,
}

impl<'t> Crew<'t> {
    pub(in crate::checks) const fn of(target: &'t Target) -> Self {
        Self {
            target,
            resting: BTreeMap::new(),
            strangers_rest: Duration::ZERO,
            source: None,
            left_at_source: 0,
        }
    }

    /// Sends them all; the answers come in the order of the errands.
    pub(in crate::checks) async fn ask<T>(
        &mut self,
        probe: &mut Probe,
        errands: Vec<Errand<'t, T>>,
    ) -> Result<Vec<Answer<'t, T>>, Inconclusive> {
        let mut waiting: Vec<Waiting<'t, T>> = errands
            .into_iter()
            .enumerate()
            .map(|(place, errand)| Waiting { place, errand, tries: 0 })
            .collect();
        // Who can do only a few things does those first.
        waiting.sort_by_key(|waiting| (waiting.errand.askers.len(), waiting.place));
        let mut answers = Vec::new();
        while !waiting.is_empty() {
            let now = probe.clock().monotonic();
            let Plan { batch, later } = self.plan(probe, now, waiting);
            waiting = later;
            if batch.is_empty() {
                let free = waiting.iter().map(|waiting| self.next_at(probe, &waiting.errand)).min();
                let wait = free.unwrap_or_default().saturating_sub(now).max(Duration::from_millis(100));
                tokio::time::sleep(wait.min(probe.budget().longest_wait)).await;
                continue;
            }
            let mut calls = Vec::with_capacity(batch.len());
            for (waiting, asker) in &batch {
                calls.push(self.call(probe, &waiting.errand, *asker)?);
            }
            let asked: Vec<String> = calls.iter().map(said).collect();
            let seen = probe.burst(calls, AT_ONCE).await?;
            for (((mut item, asker), seen), asked) in batch.into_iter().zip(seen).zip(asked) {
                if seen.status != StatusCode::TOO_MANY_REQUESTS {
                    let wire = Wire::of(&seen);
                    let Waiting { place, errand, .. } = item;
                    let line = errand.route.line();
                    answers.push((place, Answer { tag: errand.tag, line, asker, seen, wire, asked }));
                    continue;
                }
                item.tries += 1;
                if item.tries > PATIENCE {
                    return Err(ProbeError::Limited { request: item.errand.route.line() }.into());
                }
                self.rest(asker, probe.clock().monotonic() + probe.patience_asked(&seen));
                waiting.push(item);
            }
        }
        answers.sort_by_key(|(place, _)| *place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Lets whoever was answered 429 rest until then.
    fn rest(&mut self, asker: Option<&'t Identity>, until: Duration) {
        match asker {
            Some(asker) => _ = self.resting.insert(&asker.user, until),
            None => self.strangers_rest = self.strangers_rest.max(until),
        }
    }

    /// What can be sent now and by whom, and what has to wait.
    fn plan<T>(&self, probe: &Probe, now: Duration, waiting: Vec<Waiting<'t, T>>) -> Plan<'t, T> {
        let mut batch: Vec<(Waiting<'t, T>, Option<&'t Identity>)> = Vec::new();
        let mut later = Vec::new();
        let mut planned: BTreeMap<&str, usize> = BTreeMap::new();
        for item in waiting {
            if batch.len() == BATCH {
                later.push(item);
                continue;
            }
            if item.errand.askers.is_empty() {
                if self.strangers_rest <= now {
                    batch.push((item, None));
                } else {
                    later.push(item);
                }
                continue;
            }
            let sent = |asker: &Identity| planned.get(asker.user.as_str()).copied().unwrap_or(0);
            let free = item.errand.askers.iter().copied();
            let free = free.filter(|asker| self.free_at(probe, &item.errand, asker, sent(asker)) <= now);
            let used = |asker: &Identity| self.sent_lately(probe, asker) + sent(asker);
            match free.min_by_key(|asker| (self.target.is_spared(asker), used(asker))) {
                Some(asker) => {
                    *planned.entry(&asker.user).or_default() += 1;
                    batch.push((item, Some(asker)));
                }
                None => later.push(item),
            }
        }
        Plan { batch, later }
    }

    /// When somebody may send an errand.
    fn next_at<T>(&self, probe: &Probe, errand: &Errand<'t, T>) -> Duration {
        let askers = errand.askers.iter().map(|asker| self.free_at(probe, errand, asker, 0));
        askers.min().unwrap_or(self.strangers_rest)
    }

    /// When this identity may send an errand, with `planned` more on their way. One that nobody else may send is sent until
    /// the target says stop.
    fn free_at<T>(
        &self,
        probe: &Probe,
        errand: &Errand<'t, T>,
        asker: &Identity,
        planned: usize,
    ) -> Duration {
        let rests = self.resting.get(asker.user.as_str()).copied().unwrap_or_default();
        if errand.askers.len() == 1 || !self.target.counts(&errand.route.path) {
            return rests;
        }
        let limits = &self.target.limits;
        let limit = limits.user_per_minute.into_iter().chain(limits.session_per_minute).min();
        let most = limit.map_or(usize::MAX, |limit| limit as usize);
        let sent = self.sent_lately(probe, asker);
        let window = match sent + planned {
            all if all < most => Duration::ZERO,
            _ if sent == 0 => Duration::MAX,
            _ => probe.eases_at(asker),
        };
        window.max(rests)
    }

    /// Requests of the last minute by all identities of the asker's user.
    fn sent_lately(&self, probe: &Probe, asker: &Identity) -> usize {
        let sessions = self.target.identities.iter().filter(|other| other.user == asker.user);
        sessions.map(|session| probe.sent_lately(session)).sum()
    }

    fn call<T>(
        &mut self,
        probe: &mut Probe,
        errand: &Errand<'t, T>,
        asker: Option<&'t Identity>,
    ) -> Result<Call, Inconclusive> {
        let most = self.target.limits.address_per_minute.map_or(PER_ADDRESS, |limit| (limit / 2).max(1));
        if self.left_at_source == 0 {
            self.source = probe.fresh_source().or(self.source);
            self.left_at_source = most;
        }
        // Strangers are limited sooner than members.
        let weight = if asker.is_none() { (most / PER_ADDRESS).max(1) } else { 1 };
        self.left_at_source = self.left_at_source.saturating_sub(weight);
        let own = || self.target.values(asker.map_or("", |asker| asker.community.as_str()));
        let values = errand.values.clone().unwrap_or_else(own);
        let call = match &errand.call {
            Some(call) => call.clone(),
            None => Call::filled(&errand.route, &values)?,
        };
        let call = call.from(self.source);
        Ok(match asker {
            Some(asker) => call.with(&asker.credential, &asker.name),
            None => call,
        })
    }
}

/// What is sent now, and by whom; and what has to wait.
struct Plan<'t, T> {
    batch: Vec<(Waiting<'t, T>, Option<&'t Identity>)>,
    later: Vec<Waiting<'t, T>>,
}

#[derive(Debug)]
struct Waiting<'t, T> {
    place: usize,
    errand: Errand<'t, T>,
    tries: usize,
}

/// Path, body and headers of a request, but for its credential: what an answer may repeat.
fn said(call: &Call) -> String {
    let body = call.body.as_ref().map(ToString::to_string).unwrap_or_default();
    let headers = call.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()));
    headers.fold(format!("{} {body}", call.path), |said, value| format!("{said} {value}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::Method;
    use portcullis_core::ManualClock;

    use super::{Crew, Errand, Plan, Waiting};
    use crate::probe::{Budget, Probe, Sources, Traffic};
    use crate::target::{Credential, Identity, Route, Target};

    #[test]
    fn strangers_who_were_asked_to_wait_do_so_together_while_others_go_on() {
        let mut target = Target::new("t", "http://127.0.0.1:9").unwrap();
        target.identities = vec![Identity::new("alice", "harbour", Credential::bearer("x"))];
        let (target, clock) = (Arc::new(target), ManualClock::at("2026-01-10T12:00:00Z".parse().unwrap()));
        let sources = Sources::new(&target, 9, 1);
        let (budget, traffic) = (Budget::default(), Traffic::default());
        let probe = Probe::new(Arc::clone(&target), Arc::new(clock), budget, sources, traffic, false);
        let errand = |askers| Errand {
            tag: (),
            route: Route::new(Method::GET, "/v1/me"),
            values: None,
            askers,
            call: None,
        };
        let waiting = || {
            let errands =
                [errand(Vec::new()), errand(Vec::new()), errand(target.identities.iter().collect())];
            let waiting = errands.into_iter().enumerate();
            waiting.map(|(place, errand)| Waiting { place, errand, tries: 0 }).collect::<Vec<_>>()
        };
        let places = |plan: &Plan<'_, ()>| {
            let sent: Vec<usize> = plan.batch.iter().map(|(item, _)| item.place).collect();
            (sent, plan.later.iter().map(|item| item.place).collect::<Vec<_>>())
        };
        let mut crew = Crew::of(&target);
        let at = Duration::from_secs;
        for until in [5, 9, 7] {
            crew.rest(None, at(until));
        }
        assert_eq!(places(&crew.plan(&probe, at(8), waiting())), (vec![2], vec![0, 1]));
        assert_eq!(crew.next_at(&probe, &errand(Vec::new())), at(9));
        assert_eq!(places(&crew.plan(&probe, at(9), waiting())), (vec![0, 1, 2], vec![]));
        crew.rest(target.identities.first(), at(20));
        assert_eq!(places(&crew.plan(&probe, at(9), waiting())), (vec![0, 1], vec![2]));
    }
}
