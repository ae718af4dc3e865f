//! Security events: one typed stream of what an operator should hear of.
//!
//! Each event is counted, told to whoever listens (nobody in this program yet), and written to the journal. A flood of equal events costs
//! a counter and no more: the first is written at once, those that follow as one number for each window of time
//! (`windows`). Events hold ids and fixed words, never text, and no address. Start with [`SecurityEvent`] and
//! [`Gate::note`](crate::Gate::note).

mod windows;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use portcullis_audit::{ActorRef, Journal, Record};
use portcullis_core::{Action, Actor, Clock, CommunityId, RequestId, Scope, Tasks};
use tokio::sync::{Notify, broadcast};

use crate::guards::secrets_in;
use crate::named::named;
use crate::refusal::{Code, Refusal};
use windows::{Then, Windows};

/// How many events a listener may lag behind before it misses some, and is told how many.
const LAG: usize = 1_024;
/// The longest that an event waits to be written with others like it.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(60);

named! {
    /// What happened.
    #[non_exhaustive]
    pub enum SecurityEvent {
        /// A sign-in link did not work: unknown, used up, too old, or opened in another browser.
        SignInFailed = "sign_in_failed",
        /// A key, token or session was presented that is not valid, or more than one was.
        CredentialRefused = "credential_refused",
        /// A write by cookie, or a form, that no page of ours made.
        ForeignPage = "foreign_page",
        /// A role or credential did not allow what was asked.
        RoleRefused = "role_refused",
        /// Somebody who may manage people or keys asked for a role above their own.
        RoleEscalationRefused = "role_escalation_refused",
        /// The access that an answer was being given under ended, and so did the answer.
        AccessEnded = "access_ended",
        /// A limit was reached.
        LimitReached = "limit_reached",
        /// An address or network was blocked for what it did, or a request came from one that is blocked.
        AddressBlocked = "address_blocked",
        /// A question, or a memory or an earlier question beside it, tries to instruct the model against its instructions.
        Injection = "injection",
        /// A question holds what looks like an attack on a database.
        SqlPattern = "sql_pattern",
        /// A question holds what looks like an attack on a reader's browser.
        ScriptPattern = "script_pattern",
        /// A question, or a memory or an earlier question beside it, holds what looks like a key or a password.
        SecretInQuestion = "secret_in_question",
        /// A question that a person should see: self-harm, a threat with the law, private data of others.
        RiskyQuestion = "risky_question",
        /// A question that a person should see could not be put into their queue.
        HandoverLost = "handover_lost",
        /// A recalled passage was withheld from the model.
        PassageQuarantined = "passage_quarantined",
        /// A recalled passage looks like it instructs the model, and was given to it all the same.
        PassageSuspicious = "passage_suspicious",
        /// An answer held what must not leave, and was stopped.
        LeakStopped = "leak_stopped",
        /// A call of a tool was refused.
        ToolRefused = "tool_refused",
        /// A call waits for a person to approve it.
        ApprovalRequested = "approval_requested",
        /// A call that a person has to approve could not be put before one.
        ApprovalLost = "approval_lost",
        /// A tool is not what was approved, or cannot be asked what it is, and is stopped.
        ToolStopped = "tool_stopped",
        /// What a tool returned was withheld from the model.
        ToolResultWithheld = "tool_result_withheld",
        /// What a tool returned looks like it instructs the model, and was given to it all the same.
        ToolResultSuspicious = "tool_result_suspicious",
        /// Code in a sandbox reached one of its limits.
        SandboxLimit = "sandbox_limit",
        /// A store could not be read or written.
        StoreFailed = "store_failed",
        /// The audit journal could not be written.
        JournalFailed = "journal_failed",
    }
}

impl SecurityEvent {
    /// The event that a refusal is, if it is one. Nobody who merely has no credential, or who asks for what is not
    /// there, is an event.
    fn of(refusal: &Refusal) -> Option<Self> {
        Some(match refusal.code {
            Code::CredentialInvalid | Code::CredentialAmbiguous => Self::CredentialRefused,
            Code::ForeignPage => Self::ForeignPage,
            Code::NotAllowed => match refusal.asker {
                // They may do what the route does, so it was the role they asked for that was refused.
                Some(Asker { manages: true, .. }) => Self::RoleEscalationRefused,
                _ => Self::RoleRefused,
            },
            Code::OwnRequestOnly => Self::RoleRefused,
            Code::QuestionRefused if refusal.guard == secrets_in::NAME => Self::SecretInQuestion,
            Code::QuestionRefused => Self::Injection,
            // Noted where it is refused: no caller sees it.
            Code::ToolRefused => return None,
            Code::AddressBlocked => Self::AddressBlocked,
            Code::RateLimited | Code::BudgetExhausted => Self::LimitReached,
            Code::AccessEnded => Self::AccessEnded,
            Code::StoreUnavailable => Self::StoreFailed,
            Code::AuditUnavailable => Self::JournalFailed,
            Code::CredentialMissing
            | Code::InvalidRequest
            | Code::UnknownParameter
            | Code::LastOwner
            | Code::ApprovalNotOpen
            | Code::ModelNotFound
            | Code::NotFound
            | Code::BodyTooLarge
            | Code::IdempotencyInFlight
            | Code::IdempotencyMismatch
            | Code::ModelBusy
            | Code::ModelUnavailable
            | Code::ModelTimedOut
            | Code::ModelRejected
            | Code::TimedOut
            | Code::ShuttingDown
            | Code::Internal => return None,
        })
    }
}

/// Who was refused, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    community: CommunityId,
    actor: Actor,
    manages: bool,
}

impl Asker {
    /// Somebody who was identified and not let through yet.
    pub fn identified(scope: &Scope) -> Self {
        Self { community: scope.community(), actor: scope.actor(), manages: false }
    }

    /// Somebody who may do that action.
    pub fn authorised(scope: &Scope, action: Action) -> Self {
        let manages = matches!(action, Action::WriteMembers | Action::WriteKeys);
        Self { manages, ..Self::identified(scope) }
    }
}

/// One event: what, which guard, where and by whom as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noticed {
    /// What happened.
    pub event: SecurityEvent,
    /// The guard that noticed it, or `""` where none did.
    pub guard: &'static str,
    /// The community that it happened in.
    pub community: Option<CommunityId>,
    /// Who did it.
    pub actor: ActorRef,
    /// The request in which it happened.
    pub request: Option<RequestId>,
}

impl Noticed {
    /// An event that a guard noticed, of somebody unknown and in no community.
    pub const fn new(event: SecurityEvent, guard: &'static str) -> Self {
        Self { event, guard, community: None, actor: ActorRef::Unknown, request: None }
    }

    /// The event that a refusal is, if it is one.
    pub fn refusal(refusal: &Refusal) -> Option<Self> {
        let noticed = Self::new(SecurityEvent::of(refusal)?, refusal.guard);
        Some(match refusal.asker {
            Some(Asker { community, actor, .. }) => {
                Self { community: Some(community), actor: actor.into(), ..noticed }
            }
            None => noticed,
        })
    }

    /// The same in that community, of somebody unknown.
    #[must_use]
    pub const fn in_community(self, community: CommunityId) -> Self {
        Self { community: Some(community), ..self }
    }

    /// The same by whom the scope stands for.
    #[must_use]
    pub fn by(self, scope: &Scope) -> Self {
        Self { community: Some(scope.community()), actor: scope.actor().into(), ..self }
    }

    /// The same in that request.
    #[must_use]
    pub const fn in_request(self, request: RequestId) -> Self {
        Self { request: Some(request), ..self }
    }
}

/// Where events go: counters, listeners, the journal.
#[derive(Debug)]
pub struct SecurityEvents {
    counted: Vec<AtomicU64>,
    listeners: broadcast::Sender<Noticed>,
    desk: Arc<Desk>,
}

/// What writes events to the journal. It has a task only while there is something to write or to wait for.
#[derive(Debug)]
struct Desk {
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    windows: Mutex<Windows>,
    news: Notify,
}

impl SecurityEvents {
    pub(crate) fn new(journal: Arc<Journal>, clock: Arc<dyn Clock>, tasks: Tasks) -> Self {
        let windows = Mutex::new(Windows::default());
        Self {
            counted: SecurityEvent::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            listeners: broadcast::Sender::new(LAG),
            desk: Arc::new(Desk { journal, clock, tasks, windows, news: Notify::new() }),
        }
    }

    pub(crate) fn note(&self, noticed: Noticed) {
        if let Some(counter) = self.counted.get(noticed.event as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        // Nobody may be listening.
        let _ = self.listeners.send(noticed);
        let then = self.desk.windows.lock().take_in(self.desk.clock.monotonic(), noticed);
        match then {
            Then::Begin => drop(self.desk.tasks.spawn(Arc::clone(&self.desk).write())),
            Then::Wake => self.desk.news.notify_one(),
            Then::Rest => {}
        }
    }

    /// How often each event happened since the start.
    pub fn counts(&self) -> impl Iterator<Item = (SecurityEvent, u64)> + '_ {
        let counted = self.counted.iter().map(|counter| counter.load(Ordering::Relaxed));
        SecurityEvent::ALL.iter().copied().zip(counted)
    }

    /// Events from now on, for who builds on this crate: the program itself has no listener, its operator is alerted by the
    /// metrics. A listener that is too slow misses the oldest, and is told how many.
    pub fn listen(&self) -> broadcast::Receiver<Noticed> {
        self.listeners.subscribe()
    }
}

impl Desk {
    /// Writes what is due until nothing is left to wait for; all of it at once when the instance stops.
    async fn write(self: Arc<Self>) {
        let mut closing = pin!(self.tasks.closing());
        loop {
            let now = self.clock.monotonic();
            let Some(due) = self.windows.lock().due(now) else { return };
            self.append(due.records).await;
            tokio::select! {
                () = &mut closing => break,
                () = self.news.notified() => {}
                () = tokio::time::sleep(due.wait) => {}
            }
        }
        let rest = self.windows.lock().end();
        self.append(rest).await;
    }

    /// All at once, so that one sync makes all of them durable. A journal that fails says so itself.
    async fn append(&self, records: Vec<Record>) {
        join_all(records.into_iter().map(|record| self.journal.append(record))).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use portcullis_audit::{Archive, Entry, Event, Filter, Journal, Options, Signer, Use};
    use portcullis_core::{
        AbilitySet, Action, Actor, Clock, CommunityId, Grant, MemberId, RequestId, Role, Scope, Secret,
        SystemClock, Tasks, Tier,
    };
    use tokio::sync::broadcast::error::RecvError;

    use super::{Asker, LAG, Noticed, SecurityEvent, SecurityEvents};
    use crate::refusal::{Code, Refusal};

    struct Rig {
        events: Arc<SecurityEvents>,
        journal: Arc<Journal>,
        tasks: Tasks,
        folder: tempfile::TempDir,
    }

    impl Rig {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
            let signer = Signer::new("test.log", &Secret::new([9; 32])).expect("a signer");
            let options = Options::new(Use::Serving);
            let (journal, _) =
                Journal::open(folder.path(), options, signer, Arc::clone(&clock)).expect("a journal");
            let (journal, tasks) = (Arc::new(journal), Tasks::new());
            let events = Arc::new(SecurityEvents::new(Arc::clone(&journal), clock, tasks.clone()));
            Self { events, journal, tasks, folder }
        }

        /// Ends in order, and reads what was written.
        async fn written(self) -> Vec<Entry> {
            assert_eq!(self.tasks.close(Duration::from_secs(30)).await, 0);
            self.journal.close().await.expect("the journal closes");
            let archive = Archive::new(self.folder.path());
            archive
                .read(Filter::default())
                .expect("a journal")
                .map(|entry| entry.expect("an entry"))
                .collect()
        }
    }

    fn counted(events: &SecurityEvents, wanted: SecurityEvent) -> u64 {
        events.counts().find(|(event, _)| *event == wanted).expect("every event is counted").1
    }

    fn scope() -> Scope {
        let clock = SystemClock::new();
        #[expect(clippy::disallowed_methods, reason = "test support")]
        Scope::grant(Grant {
            community: CommunityId::new(&clock),
            actor: Actor::Member(MemberId::new(&clock)),
            role: Role::Admin,
            abilities: AbilitySet::SESSION,
            spaces: Arc::from([]),
            tier: Tier::Standard,
        })
    }

    #[test]
    fn every_event_has_a_name_of_its_own_that_the_journal_takes() {
        let names: BTreeSet<_> = SecurityEvent::ALL.iter().map(|event| event.name()).collect();
        assert_eq!(names.len(), SecurityEvent::ALL.len());
        for name in names {
            assert_eq!(portcullis_audit::Label::from(name).as_str(), name);
        }
        for (index, event) in SecurityEvent::ALL.iter().enumerate() {
            assert_eq!(*event as usize, index, "counters stand in the order of the list");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_flood_from_many_threads_is_counted_whole_and_written_in_a_few_records() {
        let rig = Rig::new();
        let (noticed, threads, each) = (Noticed::new(SecurityEvent::LimitReached, "pre-meter"), 8, 5_000);
        let flood = (0..threads).map(|_| {
            let events = Arc::clone(&rig.events);
            rig.tasks.spawn(async move { (0..each).for_each(|_| events.note(noticed)) })
        });
        for thread in flood.collect::<Vec<_>>() {
            thread.await.expect("a flood");
        }
        assert_eq!(counted(&rig.events, SecurityEvent::LimitReached), threads * each);
        assert_eq!(counted(&rig.events, SecurityEvent::CredentialRefused), 0);
        let entries = rig.written().await;
        let told = |entry: &Entry| match &entry.event {
            Some(Event::SecurityNoticed { code, times, .. }) if code.as_str() == "limit_reached" => {
                times.get()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(entries.iter().map(told).sum::<u64>(), threads * each, "no event is lost");
        assert_eq!(told(&entries[0]), 1, "the first is written by itself");
        assert!(entries.len() < 10, "{} records", entries.len());
    }

    #[tokio::test]
    async fn a_single_event_is_written_at_once_with_who_and_where() {
        let rig = Rig::new();
        let (scope, request) = (scope(), RequestId::new(&SystemClock::new()));
        rig.events.note(Noticed::new(SecurityEvent::LeakStopped, "leaks").by(&scope).in_request(request));
        let entries = rig.written().await;
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((entry.community, entry.actor), (Some(scope.community()), scope.actor().into()));
        let Some(Event::SecurityNoticed { code, guard: Some(guard), times, request: noted, .. }) =
            &entry.event
        else {
            panic!("{entry:?}")
        };
        assert_eq!((code.as_str(), guard.as_str(), times.get()), ("leak_stopped", "leaks", 1));
        assert_eq!(*noted, Some(request));
    }

    #[tokio::test]
    async fn a_listener_hears_every_event_and_a_slow_one_how_many_it_missed() {
        let rig = Rig::new();
        let mut listener = rig.events.listen();
        let noticed = Noticed::new(SecurityEvent::AddressBlocked, "blocklist");
        rig.events.note(noticed);
        assert_eq!(listener.recv().await, Ok(noticed));
        for _ in 0..LAG + 10 {
            rig.events.note(noticed);
        }
        assert_eq!(listener.recv().await, Err(RecvError::Lagged(10)));
        assert_eq!(listener.recv().await, Ok(noticed));
        rig.written().await;
    }

    #[tokio::test]
    async fn a_journal_that_fails_stops_neither_the_count_nor_the_caller() {
        let rig = Rig::new();
        rig.journal.close().await.expect("the journal closes");
        for _ in 0..100_000 {
            rig.events.note(Noticed::new(SecurityEvent::StoreFailed, ""));
        }
        assert_eq!(counted(&rig.events, SecurityEvent::StoreFailed), 100_000);
        assert_eq!(rig.tasks.close(Duration::from_secs(30)).await, 0, "nothing waits for the journal");
    }

    #[test]
    fn a_refusal_is_the_event_that_it_means() {
        let scope = scope();
        let refused = |code| Refusal::new(code, "no");
        let event = |refusal: &Refusal| Noticed::refusal(refusal).map(|noticed| noticed.event);
        assert_eq!(event(&refused(Code::CredentialMissing)), None, "strangers are no event");
        assert_eq!(event(&refused(Code::NotFound)), None);
        assert_eq!(event(&refused(Code::CredentialInvalid)), Some(SecurityEvent::CredentialRefused));
        let before = refused(Code::NotAllowed).of(Asker::identified(&scope));
        assert_eq!(event(&before), Some(SecurityEvent::RoleRefused));
        let after = refused(Code::NotAllowed).of(Asker::authorised(&scope, Action::WriteMembers));
        assert_eq!(event(&after), Some(SecurityEvent::RoleEscalationRefused));
        let elsewhere = refused(Code::NotAllowed).of(Asker::authorised(&scope, Action::ReadSelf));
        assert_eq!(event(&elsewhere), Some(SecurityEvent::RoleRefused));
        let noticed = Noticed::refusal(&after).expect("an event");
        assert_eq!((noticed.community, noticed.actor), (Some(scope.community()), scope.actor().into()));
    }
}
