//! What the guards rule with: stores, limits, clock, journal.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_audit::Journal;
use portcullis_core::{Clock, RequestId, Scope, SessionId, Tasks};
use portcullis_limit::{Allowance, CounterStore};
use portcullis_store::{Community, Stores};
use portcullis_tools::Registry;

use crate::blocks::{BlockSettings, Blocks, Offence};
use crate::budget::Prices;
use crate::guards::blocklist;
use crate::guards::csrf::CsrfKey;
use crate::guards::identify::{self, Known};
use crate::handing::Handing;
use crate::jwt::Issuers;
use crate::limit::{Applied, Counters, Limits, Tiers};
use crate::measures::{Measures, Phase, Timer};
use crate::refusal::{Code, Refusal};
use crate::screening::{Judged, Quarantined, Screening};
use crate::security::{Noticed, SecurityEvent, SecurityEvents};
use crate::switches::Switches;
use crate::tooling::ToolLimits;
use crate::visit::{Authorised, Visit};

/// What a [`Gate`] is made of.
#[derive(Debug)]
pub struct GateParts {
    /// Where communities, credentials and members are looked up.
    pub stores: Stores,
    /// The host applications whose tokens are accepted.
    pub issuers: Issuers,
    /// Makes and verifies the tokens of writes by session cookie.
    pub csrf: CsrfKey,
    /// The origin of `public_url`, as browsers spell it: `https://chat.example.org`.
    pub origin: String,
    /// Where turns are opened and closed.
    pub journal: Arc<Journal>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where work goes that outlives its request, such as the closing record of a client that has left.
    pub tasks: Tasks,
    /// The limits.
    pub limits: Limits,
    /// Counters that all instances share. Without them each instance admits its part.
    pub shared: Option<Arc<dyn CounterStore>>,
    /// Which addresses are refused before anything else.
    pub blocks: BlockSettings,
    /// The models that may be asked for; the first is the default.
    pub models: Vec<String>,
    /// Which guards are on.
    pub switches: Switches,
    /// What is done about attempts to instruct the model.
    pub screening: Screening,
    /// The tools that there are.
    pub tools: Arc<Registry>,
    /// How much one turn may make of them.
    pub tool_limits: ToolLimits,
    /// What is done about questions that a person should see.
    pub handing: Handing,
    /// What models cost.
    pub prices: Prices,
}

/// What browsers reach a community under: its own host under the scheme and port of `origin`, which is that of `public_url`, else
/// `origin` itself.
pub fn origin_of(origin: &str, community: &Community) -> String {
    let Some((scheme, rest)) = origin.split_once("://") else { return origin.to_owned() };
    match (&community.host, rest.rsplit_once(':')) {
        (None, _) => origin.to_owned(),
        (Some(host), Some((_, port))) if port.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{scheme}://{host}:{port}")
        }
        (Some(host), _) => format!("{scheme}://{host}"),
    }
}

/// The gate: one an instance, shared by all requests.
#[derive(Debug)]
pub struct Gate {
    pub(crate) parts: GateParts,
    pub(crate) counters: Counters,
    pub(crate) judged: Judged,
    pub(crate) quarantined: Quarantined,
    blocks: Blocks,
    events: SecurityEvents,
    measures: Measures,
}

impl Gate {
    /// A gate with empty counters.
    pub fn new(parts: GateParts) -> Self {
        let counters = Counters::new(&parts.limits, parts.shared.clone());
        let events =
            SecurityEvents::new(Arc::clone(&parts.journal), Arc::clone(&parts.clock), parts.tasks.clone());
        Self {
            blocks: Blocks::new(&parts.blocks),
            parts,
            counters,
            events,
            measures: Measures::default(),
            judged: Judged::default(),
            quarantined: Quarantined::default(),
        }
    }

    /// The time.
    pub fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    /// The counters of limits.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Everything that the requests of whoever this is are counted against, narrowest first.
    pub fn applied(&self, visit: &Visit<Authorised>) -> Vec<Applied> {
        let limits = &self.parts.limits;
        let (scope, session) = (visit.scope(), visit.session());
        limits.applied(scope, session, visit.arrival(), self.counters.counted()).collect()
    }

    /// Where each of these limits, and each budget of tokens and costs, stands now, shortest window first. Asking costs nothing.
    pub async fn allowances(&self, visit: &Visit<Authorised>) -> Vec<(Applied, Vec<Allowance>)> {
        let mut told = Vec::new();
        let budgets = self.parts.limits.budgets(visit.scope());
        for applied in self.applied(visit).into_iter().chain(budgets) {
            let now = self.clock().monotonic();
            let standing = self.counters.standing(now, applied.subject, applied.rates).await;
            told.push((applied, standing));
        }
        told
    }

    /// What each tier admits for a whole community.
    pub const fn tiers(&self) -> &Tiers {
        &self.parts.limits.tiers
    }

    /// What models cost.
    pub fn prices(&self) -> &Prices {
        &self.parts.prices
    }

    /// Whether what a model uses for whoever this is has a budget.
    pub fn has_budgets(&self, scope: &Scope) -> bool {
        self.parts.limits.budgets(scope).next().is_some()
    }

    /// The token that our pages of that session send with every write.
    pub fn csrf_token(&self, session: SessionId) -> String {
        self.parts.csrf.token(session)
    }

    /// Ends the session that a cookie stands for, if it does: somebody signs in where somebody was signed in. Returns which one was
    /// ended and whose it was, which is to be recorded.
    pub async fn end_session(&self, cookie: &str) -> Option<(Scope, SessionId)> {
        let Known { scope, session } = identify::by_session(self, cookie).await.ok()?;
        let session = session?;
        // It may have ended by itself just now, and its cookie is replaced whatever becomes of this.
        if let Err(error) = self.parts.stores.sessions.end(&scope, session).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a replaced session could not be ended");
            return None;
        }
        Some((scope, session))
    }

    /// Takes in a security event: it is counted, told to whoever listens, and written to the journal. It never waits.
    pub fn note(&self, noticed: Noticed) {
        self.events.note(noticed);
    }

    /// Takes in a refusal that is about to leave. Whoever makes a response or the end of a stream of one calls this
    /// once, so that nothing is counted twice.
    pub fn refused(&self, refusal: &Refusal, request: RequestId) {
        self.measures.refused(refusal);
        if let Some(noticed) = Noticed::refusal(refusal) {
            self.note(noticed.in_request(request));
        }
    }

    /// Takes in a refusal that is about to leave for that address: it may be one too many. What a browser says that a page
    /// of another site made it ask is not held against the browser's owner, unless it brought a credential.
    pub fn refused_at(&self, refusal: &Refusal, request: RequestId, address: IpAddr, foreign: bool) {
        self.refused(refusal, request);
        if let Some(offence) = blocklist::offence(refusal)
            && (offence == Offence::Credential || !foreign)
        {
            self.offended(address, offence, Some(request));
        }
    }

    /// Counts what an address did, and blocks it when that was one too many.
    pub fn offended(&self, address: IpAddr, offence: Offence, request: Option<RequestId>) {
        if !self.switches().on(blocklist::AUTOMATIC) {
            return;
        }
        if let Some(block) = self.blocks.offend(self.clock(), address, offence) {
            tracing::warn!(
                block.id = %block.id,
                offence = offence.name(),
                seconds = block.ends_in.as_secs(),
                "an address is blocked for what it did"
            );
            let noticed = Noticed::new(SecurityEvent::AddressBlocked, blocklist::AUTOMATIC);
            self.note(Noticed { request, ..noticed });
        }
    }

    /// Which addresses are refused.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// The security events: their numbers, and a place to listen.
    pub fn events(&self) -> &SecurityEvents {
        &self.events
    }

    /// What the gate measures of its own work.
    pub fn measures(&self) -> &Measures {
        &self.measures
    }

    /// Times a phase until the result is dropped.
    pub fn time(&self, phase: Phase) -> Timer<'_> {
        self.measures.time(phase, self.clock())
    }

    /// The journal.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.parts.journal
    }

    /// The tracked spawner.
    pub fn tasks(&self) -> &Tasks {
        &self.parts.tasks
    }

    /// Does work to its end, in a task of its own: whoever waits for it may leave, or have no more time, and a change that was
    /// begun is still made as a whole and recorded.
    ///
    /// # Errors
    /// Those of the work.
    ///
    /// # Panics
    /// As the work does: whoever catches it knows which request it is.
    pub async fn see_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let lost = match self.tasks().spawn(work).await {
            Ok(done) => return done,
            Err(lost) => lost,
        };
        match lost.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime stops.
            Err(_) => Err(Refusal::new(Code::ShuttingDown, "the server is stopping")),
        }
    }

    /// The models that may be asked for; the first is the default.
    pub fn models(&self) -> &[String] {
        &self.parts.models
    }

    /// Which guards are on.
    pub fn switches(&self) -> &Switches {
        &self.parts.switches
    }
}
