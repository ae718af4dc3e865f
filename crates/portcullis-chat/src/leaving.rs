//! What may leave, as configured, and what the detectors of each answer know.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use portcullis_core::Scope;
use portcullis_core::secret::random_bytes;
use portcullis_guard::guards::citation_fence;
use portcullis_guard::{Question, Refusal, Switches};
use portcullis_leak::{Action, Canary, Hosts, Policy, SystemText, Vault};
use portcullis_model::{ChatRequest, Message, MessageRole};
use portcullis_store::{CommunityRef, Passage, Stores};

use crate::exit::{Exit, Shape};
use crate::keeping::Known;
use crate::prompt::{self, numbered};

/// What may leave.
#[derive(Debug, Clone)]
pub struct Release {
    /// Of answers whose context is ours.
    pub ours: Policy,
    /// Of answers to callers who own their requests. Their system text is what `system` messages hold.
    pub callers: Policy,
    /// Hosts that every community's answers may lead to and show images of.
    pub hosts: Vec<String>,
    /// Whether an answer may quote personal data that stands in the passages that it was given.
    pub quote_content: bool,
    /// Which answers are judged as a whole before anything of them leaves.
    pub whole: JudgedWhole,
}

/// Which answers are judged as a whole before anything of them leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JudgedWhole {
    /// Those of the communities with these short names.
    Of(BTreeSet<String>),
    /// All of them.
    All,
}

impl Release {
    /// Everything is looked for in our answers and secrets in those of callers; links lead to these hosts.
    pub fn strict(hosts: Vec<String>) -> Self {
        Self {
            ours: Policy::strict(),
            callers: Policy { secrets: Action::Redact, ..Policy::off() },
            hosts,
            quote_content: false,
            whole: JudgedWhole::Of(BTreeSet::new()),
        }
    }
}

/// When an answer is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As it comes.
    Streams,
    /// Once it is complete.
    Whole,
}

/// What one answer is asked and judged with.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) exit: Exit,
    /// What its system text holds beside the words of the configuration.
    pub(crate) canary: Option<Arc<Canary>>,
    pub(crate) pace: Pace,
}

/// The settings, prepared once.
#[derive(Debug)]
pub(crate) struct Leaving {
    release: Release,
    ours: Arc<Policy>,
    callers: Arc<Policy>,
    system: Arc<SystemText>,
    /// What tools are described with, prepared: each set of them that was offered lately.
    told: Mutex<Vec<(Vec<String>, Arc<SystemText>)>>,
    citations_fenced: bool,
    switches: Switches,
}

/// Of how many sets of tools what they are described with is kept prepared. There are as many as communities and roles differ in
/// the tools they may use.
const MOST_SETS: usize = 32;

/// The guards on what leaves that are detectors, as they are named in the pipeline.
const DETECTORS: [&str; 5] = ["canary", "secrets-out", "personal-data", "link-fence", "system-echo"];

impl Leaving {
    /// For answers with that system text.
    pub(crate) fn new(release: Release, system: &str, switches: &Switches) -> Self {
        let switched = |mut policy: Policy| {
            let actions = [
                &mut policy.canary,
                &mut policy.secrets,
                &mut policy.personal,
                &mut policy.links,
                &mut policy.system_text,
            ];
            for (guard, action) in DETECTORS.into_iter().zip(actions) {
                if !switches.on_unfelt(guard) {
                    *action = Action::Off;
                }
            }
            Arc::new(policy)
        };
        Self {
            ours: switched(release.ours.clone()),
            callers: switched(release.callers.clone()),
            system: Arc::new(SystemText::new(&prompt::unmarked(system))),
            told: Mutex::default(),
            citations_fenced: switches.on_unfelt("citation-fence"),
            switches: switches.clone(),
            release,
        }
    }

    /// For an answer whose context is ours.
    pub(crate) async fn ours(
        &self,
        stores: &Stores,
        scope: &Scope,
        question: &Question,
        passages: &[Passage],
        known: &Known,
    ) -> Result<Prepared, Refusal> {
        // Each holds something back, whatever it finds.
        DETECTORS.into_iter().chain([citation_fence::NAME]).for_each(|guard| self.switches.felt(guard));
        let community = stores.directory.find(CommunityRef::Id(scope.community())).await?;
        let canary = Arc::new(Canary::new(random_bytes()));
        let mut hosts = Hosts::default();
        for host in
            self.release.hosts.iter().chain(community.iter().filter_map(|community| community.host.as_ref()))
        {
            hosts.own(host);
        }
        for url in passages.iter().filter_map(|passage| passage.url.as_deref()) {
            hosts.linked_address(url);
        }
        let mut vault = Vault::new(Arc::clone(&self.ours))
            .with_hosts(hosts)
            .with_canary(Arc::clone(&canary))
            .with_system_text(Arc::clone(&self.system));
        if self.ours.personal != Action::Off {
            self.own(&mut vault, question, passages, known);
        }
        let whole = match &self.release.whole {
            JudgedWhole::All => true,
            JudgedWhole::Of(slugs) => community.is_some_and(|community| slugs.contains(&community.slug)),
        };
        let last = numbered(passages).into_iter().map(|(number, _)| number).max().unwrap_or(0);
        let passages = if self.citations_fenced { last } else { usize::MAX };
        let exit = Exit::new(Arc::new(vault), Shape::Words { passages });
        let pace = if whole { Pace::Whole } else { Pace::Streams };
        Ok(Prepared { exit, canary: Some(canary), pace })
    }

    /// The same for an answer of a model that is told of tools, in these words: they are held like the system text.
    pub(crate) fn keeping(&self, vault: &Arc<Vault>, told: &[String]) -> Arc<Vault> {
        if told.is_empty() || self.ours.system_text == Action::Off {
            return Arc::clone(vault);
        }
        let known =
            self.told.lock().iter().find(|(known, _)| known == told).map(|(_, text)| Arc::clone(text));
        let text = known.unwrap_or_else(|| {
            let text = Arc::new(SystemText::several(told.iter().map(String::as_str)));
            let mut sets = self.told.lock();
            if sets.len() >= MOST_SETS {
                sets.clear();
            }
            sets.push((told.to_vec(), Arc::clone(&text)));
            text
        });
        Arc::new(Vault::clone(vault).with_system_text(text))
    }

    /// The address of the member who asks, where it matters to what may leave.
    pub(crate) async fn address(&self, stores: &Stores, scope: &Scope) -> Result<Option<String>, Refusal> {
        let Some(member) = scope.member().filter(|_| self.ours.personal != Action::Off) else {
            return Ok(None);
        };
        match stores.members.get(scope, member).await {
            Ok(member) => Ok(member.email),
            // A key that was not issued for the member's own data is told none of it.
            Err(error) if error.kind() == portcullis_store::Kind::Forbidden => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is no secret to the member who asks: their own address and what they wrote themselves.
    fn own(&self, vault: &mut Vault, question: &Question, passages: &[Passage], known: &Known) {
        known.address.iter().for_each(|address| vault.own(address));
        vault.own_text(&question.text);
        known.memories.iter().for_each(|memory| vault.own_text(memory));
        known.earlier.iter().for_each(|earlier| vault.own_text(&earlier.asked()));
        if self.release.quote_content {
            for passage in passages {
                vault.own_text(&passage.text);
            }
        }
    }

    /// For the answer to a caller who owns the request.
    pub(crate) fn callers(&self, request: &ChatRequest) -> Prepared {
        DETECTORS.into_iter().for_each(|guard| self.switches.felt(guard));
        let mut vault = Vault::new(Arc::clone(&self.callers));
        if self.callers.system_text != Action::Off {
            let ours =
                |message: &&Message| matches!(message.role, MessageRole::System | MessageRole::Developer);
            let texts = request.messages.iter().filter(ours).map(|message| message.text().into_owned());
            let system = texts.collect::<Vec<_>>().join("\n");
            vault = vault.with_system_text(Arc::new(SystemText::new(&system)));
        }
        if self.callers.links != Action::Off {
            let mut hosts = Hosts::default();
            self.release.hosts.iter().for_each(|host| hosts.own(host));
            vault = vault.with_hosts(hosts);
        }
        let functions = request.tools.iter().map(|tool| tool.function.name.clone()).collect();
        let exit = Exit::new(Arc::new(vault), Shape::Whatever { functions });
        Prepared { exit, canary: None, pace: Pace::Streams }
    }
}
