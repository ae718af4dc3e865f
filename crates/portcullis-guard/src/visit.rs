//! The states of a request. A value can only move forward, and only `pipeline` can move it: the transitions are
//! private to this crate, so code that wants a later state has to come through every phase before it.
//!
//! A scope cannot be read off a request that was not authorised:
//! ```compile_fail,E0599
//! # use portcullis_guard::visit::{Identified, Visit};
//! fn too_early(visit: Visit<Identified>) -> portcullis_core::Scope {
//!     visit.scope().clone()
//! }
//! ```
//! A question that no guard has screened cannot be given passages or opened, and so no model can be asked:
//! ```compile_fail,E0308
//! # use portcullis_guard::{Gate, Turn, pipeline, visit::Asked};
//! async fn unscreened(gate: &Gate, turn: Turn<Asked>) {
//!     let _ = pipeline::ground(gate, turn, Vec::new()).await;
//! }
//! ```
//! Nor can one that was handed to a person:
//! ```compile_fail,E0308
//! # use portcullis_guard::{Gate, HandedOver, Turn, pipeline};
//! async fn handed_over(gate: &Gate, turn: Turn<HandedOver>) {
//!     let _ = pipeline::ground(gate, turn, Vec::new()).await;
//! }
//! ```
//! A later state cannot be made by hand:
//! ```compile_fail,E0451
//! # use portcullis_guard::{Screened, Turn, visit::Asked};
//! fn forged(turn: Turn<Asked>, screened: Screened) -> Turn<Screened> {
//!     Turn { state: screened, ..turn }
//! }
//! ```
//! The same with every phase in its place compiles:
//! ```
//! # use portcullis_guard::{Authorised, Gate, Judged, Question, Refusal, Visit, pipeline};
//! async fn in_order(gate: &Gate, visit: Visit<Authorised>, question: Question) -> Result<(), Refusal> {
//!     let Judged::ForTheModel(screened) = pipeline::screen(gate, visit, question).await? else { return Ok(()) };
//!     pipeline::open(gate, pipeline::ground(gate, screened, Vec::new()).await?).await?;
//!     Ok(())
//! }
//! ```

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use portcullis_core::{Action, DocumentId, RequestId, Scope, SessionId, TurnId};
use portcullis_limit::Bound;
use portcullis_screen::risk::Risk;
use portcullis_store::Passage;

use crate::credential::Credentials;
use crate::guards::csrf::Provenance;
use crate::handing::Fate;
use crate::screening::TextKey;

/// What is known of a request before anything was decided.
#[derive(Debug)]
pub struct Arrival {
    /// The request's id.
    pub request: RequestId,
    /// The client's address, as far as trusted proxies tell it.
    pub address: IpAddr,
    /// The credentials it carries.
    pub credentials: Credentials,
    /// What it says of the page that made it.
    pub provenance: Provenance,
    /// What its route does.
    pub action: Action,
    /// Ids of a community that the request itself names, wherever it does. They are never believed.
    #[cfg(feature = "guard-off")]
    pub named_community: Option<String>,
}

/// One request at the gate, in state `S`.
#[derive(Debug)]
pub struct Visit<S> {
    pub(crate) arrival: Arc<Arrival>,
    pub(crate) state: S,
}

/// Nothing was decided yet.
#[derive(Debug)]
pub struct Arrived(pub(crate) ());

/// It is known who asks.
#[derive(Debug)]
pub struct Identified {
    pub(crate) scope: Scope,
    pub(crate) session: Option<SessionId>,
    pub(crate) tightest: Option<Bound>,
}

/// It is known who asks, they are within their limits, and they may do what the route does.
#[derive(Debug)]
pub struct Authorised {
    pub(crate) scope: Scope,
    pub(crate) session: Option<SessionId>,
    pub(crate) tightest: Option<Bound>,
}

impl<S> Visit<S> {
    /// The request's id.
    pub fn request(&self) -> RequestId {
        self.arrival.request
    }

    /// What the route does.
    pub fn action(&self) -> Action {
        self.arrival.action
    }
}

impl Visit<Authorised> {
    /// The proof of who asks, which every store call wants.
    pub fn scope(&self) -> &Scope {
        &self.state.scope
    }

    /// The session whose cookie authenticated the request, if it was one.
    pub fn session(&self) -> Option<SessionId> {
        self.state.session
    }

    /// The tightest limit as it stood when the request was counted, for the response's headers.
    pub fn tightest(&self) -> Option<&Bound> {
        self.state.tightest.as_ref()
    }

    /// What a later check of the same credential needs.
    pub fn arrival(&self) -> &Arc<Arrival> {
        &self.arrival
    }
}

/// What the caller wants asked, as far as the guards look at it.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// The model it names.
    pub model: String,
    /// Whether the answer is streamed.
    pub streaming: bool,
    /// The first thing in it that only the owner of a request may send, as the name of a parameter.
    pub owner_only: Option<String>,
    /// The last thing the person said: what recall searches for.
    pub text: String,
    /// Everything that came with it as the person's words, this question last.
    pub said: Vec<String>,
    /// What tools have returned, in a request that its caller owns.
    pub returned: Vec<String>,
}

/// One question and its answer, in state `S`.
#[derive(Debug)]
pub struct Turn<S> {
    pub(crate) id: TurnId,
    pub(crate) arrival: Arc<Arrival>,
    pub(crate) scope: Scope,
    pub(crate) question: Question,
    pub(crate) state: S,
}

/// Whether something about a turn was suspicious and was let through all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suspicion {
    /// Nothing was.
    #[default]
    None,
    /// The question, or a passage: the answer is judged as a whole before anything of it leaves.
    Some,
}

/// The question was taken in and not judged yet.
#[derive(Debug)]
pub struct Asked {
    pub(crate) suspicion: Suspicion,
    /// Why a person should see it, if one should.
    pub(crate) handed: Option<Risk>,
    /// By which its texts are known that were judged before, once a guard has asked.
    pub(crate) keys: Option<Vec<TextKey>>,
}

/// It was handed to a person. No model is asked.
#[derive(Debug)]
pub struct HandedOver {
    pub(crate) risk: Risk,
    pub(crate) fate: Fate,
    pub(crate) words: String,
}

/// Every guard on questions has allowed it.
#[derive(Debug)]
pub struct Screened {
    pub(crate) suspicion: Suspicion,
}

/// What was recalled for it was judged.
#[derive(Debug)]
pub struct Grounded {
    pub(crate) passages: Vec<Passage>,
    pub(crate) withheld: Vec<DocumentId>,
    pub(crate) suspicion: Suspicion,
    pub(crate) also: Vec<DocumentId>,
}

/// The journal durably holds that it was opened, so a model may be asked.
#[derive(Debug)]
pub struct Opened {
    pub(crate) passages: Vec<Passage>,
    pub(crate) also: Vec<DocumentId>,
}

impl<S> Turn<S> {
    /// The turn's id.
    pub fn id(&self) -> TurnId {
        self.id
    }

    /// The request it came with.
    pub fn request(&self) -> RequestId {
        self.arrival.request
    }

    /// The proof of who asks.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What is asked.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// What a later check of the same credential needs.
    pub fn arrival(&self) -> &Arc<Arrival> {
        &self.arrival
    }

    pub(crate) fn into_state<T>(self, state: T) -> Turn<T> {
        Turn { id: self.id, arrival: self.arrival, scope: self.scope, question: self.question, state }
    }
}

impl Turn<HandedOver> {
    /// Why a person should see it, as the API names it.
    pub fn reason(&self) -> &'static str {
        self.state.risk.name()
    }

    /// What became of it.
    pub fn fate(&self) -> Fate {
        self.state.fate
    }

    /// What its asker is told.
    pub fn words(&self) -> &str {
        &self.state.words
    }
}

impl Turn<Grounded> {
    /// What the model may be shown: passages that the scope reaches, judged.
    pub fn passages(&self) -> &[Passage] {
        &self.state.passages
    }

    /// Whether something about the turn is suspicious.
    pub fn suspicion(&self) -> Suspicion {
        self.state.suspicion
    }

    /// Counts these documents among those of the turn: what the model is shown besides the passages was made of them, such as earlier
    /// answers of a conversation.
    #[must_use]
    pub fn made_of(mut self, also: Vec<DocumentId>) -> Self {
        self.state.also = also;
        self
    }
}

impl Turn<Opened> {
    /// What the model may be shown: passages that the scope reaches, judged.
    pub fn passages(&self) -> &[Passage] {
        &self.state.passages
    }

    /// Every document that what the model is shown was made of, each once, those of the passages first and in their order. What comes of
    /// the turn may be read as long as all of these may.
    pub fn documents(&self) -> Vec<DocumentId> {
        let mut seen = HashSet::new();
        let all =
            self.state.passages.iter().map(|passage| passage.document).chain(self.state.also.iter().copied());
        all.filter(|document| seen.insert(*document)).collect()
    }
}
