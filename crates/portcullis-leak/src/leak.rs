//! One text of an answer on its way out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::echo::{Canary, Echo, SystemText};
use crate::policy::{Action, Class, Hosts, Kind, Policy};
use crate::stream::Stream;

/// What the detectors of one answer know: the same for each of its texts.
#[derive(Debug, Clone)]
pub struct Vault {
    policy: Arc<Policy>,
    kinds: Kinds,
    canary: Option<Arc<Canary>>,
    systems: Vec<Arc<SystemText>>,
    hosts: Hosts,
    own: BTreeSet<String>,
}

/// The kinds of personal data that are looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

impl Vault {
    /// Knows the policy and nothing else: no canary, no system text, no host that links may lead to.
    pub fn new(policy: Arc<Policy>) -> Self {
        let kinds = Kinds(policy.kinds.iter().fold(0, |bits, kind| bits | 1 << *kind as u8));
        Self {
            policy,
            kinds,
            canary: None,
            systems: Vec::new(),
            hosts: Hosts::default(),
            own: BTreeSet::new(),
        }
    }

    /// With the canary that stands in the system text.
    #[must_use]
    pub fn with_canary(mut self, canary: Arc<Canary>) -> Self {
        self.canary = Some(canary);
        self
    }

    /// With the system text, or with more of what is held like it.
    #[must_use]
    pub fn with_system_text(mut self, system: Arc<SystemText>) -> Self {
        self.systems.push(system);
        self
    }

    /// With the hosts that links may lead to.
    #[must_use]
    pub fn with_hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = hosts;
        self
    }

    /// The same for a text that no browser shows, such as an argument of a call: links and markup are not looked for in it.
    #[must_use]
    pub fn without_links(&self) -> Self {
        Self {
            policy: Arc::new(Policy { links: Action::Off, ..Policy::clone(&self.policy) }),
            ..self.clone()
        }
    }

    /// Personal data that is no secret to the asker, such as their own mail address.
    pub fn own(&mut self, value: &str) {
        self.own.insert(normal(value));
    }

    /// What of a text is personal data is no secret to the asker: their own question, or content that may be quoted.
    pub fn own_text(&mut self, text: &str) {
        if self.policy.personal == Action::Off {
            return;
        }
        for (at, c) in text.char_indices() {
            let rest = crate::tail(text, at);
            let before = text.get(..at).and_then(|text| text.chars().next_back());
            let number = matches!(c, '0'..='9' | '+' | '(')
                .then(|| crate::numbers::begins(c, before, rest, true, self.kinds));
            let found = match number {
                Some(crate::stream::Seen::Match(found)) => Some(found),
                _ if !before.is_some_and(crate::personal::local) && crate::personal::local(c) => {
                    match (crate::personal::address(rest, 0, true), crate::personal::iban(rest, true)) {
                        (crate::personal::Address::Is(found), _) | (_, crate::stream::Seen::Match(found)) => {
                            Some(found)
                        }
                        _ => None,
                    }
                }
                _ => None,
            };
            if let Some(value) = found.and_then(|found| rest.get(..found.len)) {
                self.own(value);
            }
        }
    }

    /// What is done about each class.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) const fn kinds(&self) -> Kinds {
        self.kinds
    }

    pub(crate) fn canary(&self) -> Option<&Canary> {
        self.canary.as_deref()
    }

    pub(crate) const fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    pub(crate) fn is_own(&self, value: &str) -> bool {
        !self.own.is_empty() && self.own.contains(&normal(value))
    }
}

fn normal(value: &str) -> String {
    let kept = |c: &char| !c.is_whitespace() && !matches!(c, '-' | '/' | '(' | ')');
    value.chars().filter(kept).flat_map(char::to_lowercase).collect()
}

/// The detectors on one text: the words of an answer, its thinking, the arguments of one call.
///
/// What leaves does not depend on the pieces in which the text comes.
#[derive(Debug)]
pub struct Leak {
    stream: Stream,
    /// For each text that is held like the system text. The first looks for the canary, too.
    echoes: Vec<Echo>,
    /// What is done about the system text and about disguised canaries.
    echo_action: (Action, Action),
    echoed: Option<Class>,
    stopped: Option<Class>,
}

impl Leak {
    /// Detectors that have seen nothing yet.
    pub fn new(vault: &Arc<Vault>) -> Self {
        let policy = vault.policy();
        let systems = vault.systems.iter().filter(|_| policy.system_text != Action::Off);
        let mut systems = systems.map(Some);
        let canary = vault.canary.as_ref().filter(|_| policy.canary != Action::Off);
        Self {
            stream: Stream::new(Arc::clone(vault)),
            echoes: Echo::new(systems.next().flatten(), canary)
                .into_iter()
                .chain(systems.filter_map(|system| Echo::new(system, None)))
                .collect(),
            echo_action: (policy.system_text, policy.canary),
            echoed: None,
            stopped: None,
        }
    }

    /// Takes a piece and adds to `out` what may leave now. After [`Leak::stopped`] nothing does.
    pub fn push(&mut self, piece: &str, out: &mut String) {
        if self.stopped.is_some() {
            return;
        }
        let echoed = self.echo(piece);
        let until = echoed.map_or(piece.len(), |(at, _)| at);
        // First what came before the echo: it may hold what stops the answer sooner.
        self.stream.push(piece.get(..until).unwrap_or(piece), out);
        self.stopped = self.stream.stopped().or(echoed.map(|(_, class)| class));
    }

    /// Ends the text and adds to `out` what was still held back.
    pub fn finish(&mut self, out: &mut String) {
        if self.stopped.is_some() {
            return;
        }
        let echoed = self.echoes.iter_mut().find_map(Echo::finish);
        if let Some(class) = echoed.filter(|class| self.stops(*class)) {
            self.stopped = Some(class);
            return;
        }
        self.stream.finish(out);
        self.stopped = self.stream.stopped();
    }

    /// What ended the text before its end.
    pub const fn stopped(&self) -> Option<Class> {
        self.stopped
    }

    /// The classes of which something was found, and how many times.
    pub fn found(&self) -> impl Iterator<Item = (Class, u32)> + use<> {
        let (found, stopped) = (*self.stream.found(), self.stopped.or(self.echoed));
        Class::ALL.into_iter().filter_map(move |class| {
            let count = found.get(class.index()).copied().unwrap_or(0);
            let count = if stopped == Some(class) { count.max(1) } else { count };
            (count > 0).then_some((class, count))
        })
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        self.stream.held()
    }

    /// The byte at which a piece completes an echo that ends the answer.
    fn echo(&mut self, piece: &str) -> Option<(usize, Class)> {
        if self.echoes.is_empty() {
            return None;
        }
        for (at, c) in piece.char_indices() {
            for place in 0..self.echoes.len() {
                let Some(class) = self.echoes.get_mut(place).and_then(|echo| echo.take(c)) else { continue };
                if self.stops(class) {
                    return Some((at, class));
                }
                // Observed once; the rest of the text has nothing to add to that. The other class may still end the answer.
                if let Some(echo) = self.echoes.get_mut(place) {
                    echo.leave(class);
                }
            }
        }
        None
    }

    fn stops(&mut self, class: Class) -> bool {
        let (system, canary) = self.echo_action;
        let action = if class == Class::Canary { canary } else { system };
        if matches!(action, Action::Stop | Action::Redact) {
            return true;
        }
        self.echoed = Some(class);
        false
    }
}
