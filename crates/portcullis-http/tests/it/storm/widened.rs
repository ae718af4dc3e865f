//! Stores that leave the scope out of one method. The ports' own methods are the list: a method that is not in it does
//! not compile.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{
    AbilitySet, Actor, ApprovalId, CommunityId, ConversationId, DocumentId, Grant, HandoverId, InvitationId,
    KeyId, MemberId, MemoryId, MessageId, Role, Scope, SessionId, SpaceId, SystemClock, Tier, TokenHash,
};
use portcullis_store::{
    Approval, Approvals, Content, Conversation, Conversations, Decision, Document, Ended, Entitlement,
    Handover, Handovers, Identity, InvitationInfo, KeyIdentity, KeyInfo, Keys, Member, Members, Memories,
    Memory, NewApproval, NewDocument, NewHandover, NewInvitation, NewKey, NewMember, NewMessage, NewSession,
    NewSignIn, NewSpace, Passage, Plan, PutOutcome, Query, Queued, Result, Room, SessionIdentity,
    SessionInfo, Sessions, SignedIn, SourceEntry, Space, SpaceAccess, Spaces, Standing, Status, Step,
    StoredMessage, Stores, Strangers,
};

/// What a method reaches that has lost its scope.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Every member, as an owner who may read every space.
    pub(super) scopes: Vec<Scope>,
}

/// The stores with one method, or none, that leaves the scope out.
#[derive(Debug)]
pub(super) struct Widened {
    right: Stores,
    method: &'static str,
    world: OnceLock<World>,
    calls: HashMap<&'static str, AtomicUsize>,
    browsers: Mutex<HashMap<TokenHash, TokenHash>>,
}

impl Widened {
    /// `method` as [`METHODS`] names it; any other text leaves every method as it is.
    pub(super) fn new(right: Stores, method: &'static str) -> Arc<Self> {
        let calls = METHODS.iter().map(|name| (*name, AtomicUsize::new(0))).collect();
        Arc::new(Self { right, method, world: OnceLock::new(), calls, browsers: Mutex::default() })
    }

    pub(super) fn stores(self: &Arc<Self>) -> Stores {
        Stores {
            directory: Arc::clone(&self.right.directory),
            identity: Arc::clone(self) as _,
            members: Arc::clone(self) as _,
            spaces: Arc::clone(self) as _,
            keys: Arc::clone(self) as _,
            content: Arc::clone(self) as _,
            sessions: Arc::clone(self) as _,
            conversations: Arc::clone(self) as _,
            memories: Arc::clone(self) as _,
            handovers: Arc::clone(self) as _,
            approvals: Arc::clone(self) as _,
        }
    }

    /// From here on the method leaves its scope out.
    pub(super) fn release(&self, world: World) {
        self.world.set(world).expect("it is released once");
    }

    /// How often a method was called.
    pub(super) fn calls(&self, method: &str) -> usize {
        self.calls[method].load(Ordering::Relaxed)
    }

    /// Counts a call, and tells what it reaches beside its scope.
    fn beside(&self, method: &'static str) -> &[Scope] {
        self.calls[method].fetch_add(1, Ordering::Relaxed);
        let widened = self.method == method;
        self.world.get().filter(|_| widened).map_or(&[], |world| world.scopes.as_slice())
    }

    fn is_widened(&self, method: &str) -> bool {
        self.method == method && self.world.get().is_some()
    }

    fn everything(&self, community: CommunityId) -> Arc<[SpaceId]> {
        let scopes = self.world.get().map_or(&[][..], |world| world.scopes.as_slice());
        let scope = scopes.iter().find(|scope| scope.community() == community);
        scope.map_or(&[][..], |scope| scope.spaces()).into()
    }

    /// Adds messages to every conversation there is.
    async fn spread(&self, scopes: &[Scope], messages: &[NewMessage]) {
        for scope in scopes {
            for other in self.right.conversations.list(scope, None, 50).await.unwrap_or_default() {
                let clock = SystemClock::new();
                let copy =
                    |message: &NewMessage| NewMessage { id: MessageId::new(&clock), ..message.clone() };
                let copies = messages.iter().map(copy).collect();
                let copied = self.right.conversations.append(scope, other.id, copies).await;
                drop(copied);
            }
        }
    }
}

/// A member's scope that has become everybody's.
#[expect(clippy::disallowed_methods, reason = "a store that has lost its scope")]
pub(super) fn owner(community: CommunityId, member: MemberId, spaces: &[SpaceId]) -> Scope {
    Scope::grant(Grant {
        community,
        actor: Actor::Member(member),
        role: Role::Owner,
        abilities: AbilitySet::SESSION,
        spaces: spaces.into(),
        tier: Tier::Standard,
    })
}

/// The same caller, with an owner's rights.
#[expect(clippy::disallowed_methods, reason = "a store that has lost its scope")]
fn raised(own: &Scope, spaces: Arc<[SpaceId]>) -> Scope {
    Scope::grant(Grant {
        community: own.community(),
        actor: own.actor(),
        role: Role::Owner,
        abilities: AbilitySet::SESSION,
        spaces,
        tier: own.tier(),
    })
}

/// What somebody is found to be, with every space there is.
trait Opened: Sized {
    fn opened(self, spaces: Arc<[SpaceId]>) -> Self;
}

impl Opened for Standing {
    fn opened(self, spaces: Arc<[SpaceId]>) -> Self {
        Self { spaces, ..self }
    }
}

impl Opened for KeyIdentity {
    fn opened(self, spaces: Arc<[SpaceId]>) -> Self {
        Self { standing: self.standing.opened(spaces), ..self }
    }
}

impl Opened for SessionIdentity {
    fn opened(self, spaces: Arc<[SpaceId]>) -> Self {
        Self { standing: self.standing.opened(spaces), ..self }
    }
}

impl Opened for (MemberId, Standing) {
    fn opened(self, spaces: Arc<[SpaceId]>) -> Self {
        (self.0, self.1.opened(spaces))
    }
}

/// An argument once more: of a reference, the reference.
fn again<T: Clone>(argument: &T) -> T {
    argument.clone()
}

/// How a method does without its scope.
macro_rules! without {
    // What is looked for is found wherever it is.
    (first $self:ident $field:ident $method:ident $name:ident $scope:ident ($($arg:ident),*)) => {{
        let others = $self.beside($name);
        let mut found = $self.right.$field.$method($scope, $(again(&$arg)),*).await;
        let own = raised($scope, $self.everything($scope.community()));
        for other in others.first().map(|_| &own).into_iter().chain(others) {
            if found.is_ok() { break }
            found = $self.right.$field.$method(other, $(again(&$arg)),*).await;
        }
        found
    }};
    // What is looked for is somebody else's where there is such, for several can have things of one id.
    (theirs $self:ident $field:ident $method:ident $name:ident $scope:ident ($($arg:ident),*)) => {{
        for other in $self.beside($name) {
            if other.member() != $scope.member()
                && let Ok(found) = $self.right.$field.$method(other, $(again(&$arg)),*).await
            {
                return Ok(found);
            }
        }
        $self.right.$field.$method($scope, $(again(&$arg)),*).await
    }};
    // What is listed is everybody's.
    (gather $self:ident $field:ident $method:ident $name:ident $scope:ident ($($arg:ident),*)) => {{
        let others = $self.beside($name);
        let mut found = $self.right.$field.$method($scope, $(again(&$arg)),*).await;
        for other in others {
            let more = $self.right.$field.$method(other, $(again(&$arg)),*).await;
            match (&mut found, more) {
                (Ok(found), Ok(more)) => found.extend(more),
                (Err(_), Ok(more)) => found = Ok(more),
                _ => {}
            }
        }
        found
    }};
    // What is written is written for everybody.
    (each $self:ident $field:ident $method:ident $name:ident $scope:ident ($($arg:ident),*)) => {{
        let others = $self.beside($name);
        let mut done = $self.right.$field.$method($scope, $(again(&$arg)),*).await;
        let own = raised($scope, $self.everything($scope.community()));
        for other in others.first().map(|_| &own).into_iter().chain(others) {
            let too = $self.right.$field.$method(other, $(again(&$arg)),*).await;
            if done.is_err() { done = too }
        }
        done
    }};
    // What is added to one conversation is added to all.
    (spread $self:ident $field:ident $method:ident $name:ident $scope:ident ($id:ident, $messages:ident)) => {{
        $self.spread($self.beside($name), &$messages).await;
        $self.right.$field.$method($scope, $id, $messages).await
    }};
    // Who is known in one community is known in all, and may read everything.
    (opened $self:ident $field:ident $method:ident $name:ident $community:ident ($($arg:ident),*)) => {{
        let others = $self.beside($name);
        let mut found = $self.right.$field.$method($community, $(again(&$arg)),*).await;
        for other in others {
            if !matches!(found, Ok(None)) { break }
            found = $self.right.$field.$method(other.community(), $(again(&$arg)),*).await;
        }
        let opened = |found: Option<_>| found.map(|known| Opened::opened(known, $self.everything($community)));
        if $self.is_widened($name) { found.map(opened) } else { found }
    }};
    // What has ended in any community has ended in each.
    (anywhere $self:ident $field:ident $method:ident $name:ident $community:ident ($($arg:ident),*)) => {{
        let mut found = $self.right.$field.$method($community, $(again(&$arg)),*).await;
        for other in $self.beside($name) {
            if !matches!(found, Ok(false)) { break }
            found = $self.right.$field.$method(other.community(), $(again(&$arg)),*).await;
        }
        found
    }};
    // Who is made in one community is made in all.
    (everywhere $self:ident $field:ident $method:ident $name:ident $community:ident ($($arg:ident),*)) => {{
        for other in $self.beside($name) {
            let too = $self.right.$field.$method(other.community(), $(again(&$arg)),*).await;
            drop(too);
        }
        $self.right.$field.$method($community, $(again(&$arg)),*).await
    }};
    // Whoever is known in any community gets a link.
    (mailed $self:ident $field:ident $method:ident $name:ident $community:ident
        ($new:ident, $strangers:ident, $invitation:ident)) => {{
        let others = $self.beside($name);
        $self.browsers.lock().expect("not poisoned").insert($new.token, $new.browser);
        let mut sent = $self.right.$field.$method($community, $new.clone(), $strangers, $invitation).await?;
        for other in others {
            if sent.is_some() { break }
            let elsewhere = other.community();
            let too = $self.right.$field.$method(elsewhere, $new.clone(), $strangers, $invitation).await;
            sent = too.unwrap_or_default();
        }
        Ok(sent)
    }};
    // A link works in any browser.
    (anybody $self:ident $field:ident $method:ident $name:ident $community:ident
        ($token:ident, $browser:ident, $session:ident, $now:ident)) => {{
        let widened = !$self.beside($name).is_empty();
        let asked = $self.browsers.lock().expect("not poisoned").get(&$token).copied();
        let browser = asked.filter(|_| widened).unwrap_or($browser);
        $self.right.$field.$method($community, $token, browser, $session, $now).await
    }};
}

macro_rules! ports {
    ($($port:ident as $field:ident {$(
        $how:ident $method:ident($who:ident: $whose:ty $(, $arg:ident: $type:ty)*) -> $out:ty;
    )*})*) => {
        /// Every method of every port that takes a scope, or a community in its place.
        pub(super) const METHODS: &[&str] =
            &[$($(concat!(stringify!($field), ".", stringify!($method)),)*)*];

        $(
            #[async_trait]
            impl $port for Widened {$(
                async fn $method(&self, $who: $whose $(, $arg: $type)*) -> Result<$out> {
                    const NAME: &str = concat!(stringify!($field), ".", stringify!($method));
                    let name = NAME;
                    without!($how self $field $method name $who ($($arg),*))
                }
            )*}
        )*
    };
}

ports! {
    Identity as identity {
        opened key(community: CommunityId, hash: TokenHash, now: Timestamp) -> Option<KeyIdentity>;
        opened standing(community: CommunityId, member: MemberId, now: Timestamp) -> Option<Standing>;
        opened session(community: CommunityId, hash: TokenHash, now: Timestamp) -> Option<SessionIdentity>;
        anywhere lapsed_session(community: CommunityId, hash: TokenHash, now: Timestamp) -> bool;
        opened subject(community: CommunityId, issuer: &str, subject: &str, now: Timestamp)
            -> Option<(MemberId, Standing)>;
    }
    Members as members {
        each add(scope: &Scope, new: NewMember) -> Member;
        first get(scope: &Scope, member: MemberId) -> Member;
        gather list(scope: &Scope) -> Vec<Member>;
        first find_by_email(scope: &Scope, email: &str) -> Option<Member>;
        first set_role(scope: &Scope, member: MemberId, role: Role) -> Role;
        first set_status(scope: &Scope, member: MemberId, status: Status) -> Status;
        first entitle(scope: &Scope, member: MemberId, entitlement: Entitlement) -> ();
        first end_entitlement(scope: &Scope, member: MemberId, plan: &str) -> ();
        first link(scope: &Scope, member: MemberId, issuer: &str, subject: &str) -> ();
        everywhere provision(community: CommunityId, issuer: &str, subject: &str, name: &str) -> MemberId;
    }
    Spaces as spaces {
        each create_plan(scope: &Scope, plan: Plan) -> ();
        gather plans(scope: &Scope) -> Vec<Plan>;
        each create(scope: &Scope, new: NewSpace) -> Space;
        gather list(scope: &Scope) -> Vec<Space>;
        first set_access(scope: &Scope, space: SpaceId, access: SpaceAccess) -> ();
    }
    Keys as keys {
        each create(scope: &Scope, new: NewKey) -> KeyInfo;
        gather list(scope: &Scope) -> Vec<KeyInfo>;
        first revoke(scope: &Scope, key: KeyId) -> ();
    }
    Content as content {
        each put(scope: &Scope, documents: Vec<NewDocument>) -> Vec<PutOutcome>;
        gather source(scope: &Scope, source: &str) -> BTreeMap<String, SourceEntry>;
        each remove(scope: &Scope, documents: &[DocumentId]) -> usize;
        gather search(scope: &Scope, query: &Query) -> Vec<Passage>;
        first document(scope: &Scope, document: DocumentId) -> Document;
        gather titles(scope: &Scope, documents: &[DocumentId]) -> BTreeMap<DocumentId, String>;
    }
    Sessions as sessions {
        mailed ask(community: CommunityId, new: NewSignIn, strangers: Strangers, invitation: Option<TokenHash>)
            -> Option<String>;
        anybody redeem(community: CommunityId, token: TokenHash, browser: TokenHash, session: NewSession,
            now: Timestamp) -> Option<SignedIn>;
        gather list(scope: &Scope) -> Vec<SessionInfo>;
        first end(scope: &Scope, session: SessionId) -> ();
        first end_all(scope: &Scope, member: MemberId) -> usize;
        each invite(scope: &Scope, new: NewInvitation) -> InvitationId;
        gather invitations(scope: &Scope) -> Vec<InvitationInfo>;
        first withdraw(scope: &Scope, invitation: InvitationId) -> ();
    }
    Conversations as conversations {
        each begin(scope: &Scope, id: ConversationId, title: &str) -> Conversation;
        gather list(scope: &Scope, before: Option<Timestamp>, limit: usize) -> Vec<Conversation>;
        theirs get(scope: &Scope, id: ConversationId) -> Conversation;
        spread append(scope: &Scope, id: ConversationId, messages: Vec<NewMessage>) -> ();
        gather messages(scope: &Scope, id: ConversationId, limit: usize) -> Vec<StoredMessage>;
        first rename(scope: &Scope, id: ConversationId, title: &str) -> ();
        first remove(scope: &Scope, id: ConversationId) -> Vec<ApprovalId>;
    }
    Memories as memories {
        each add(scope: &Scope, id: MemoryId, text: &str) -> Memory;
        gather list(scope: &Scope) -> Vec<Memory>;
        first get(scope: &Scope, id: MemoryId) -> Memory;
        first change(scope: &Scope, id: MemoryId, text: &str) -> Memory;
        first remove(scope: &Scope, id: MemoryId) -> ();
    }
    Handovers as handovers {
        each queue(scope: &Scope, new: NewHandover, room: Room) -> Queued;
        gather list(scope: &Scope, since: Timestamp) -> Vec<Handover>;
        first acknowledge(scope: &Scope, id: HandoverId, since: Timestamp) -> Handover;
    }
    Approvals as approvals {
        each request(scope: &Scope, new: NewApproval, room: Room) -> Queued;
        gather list(scope: &Scope, since: Timestamp) -> Vec<Approval>;
        gather own(scope: &Scope, since: Timestamp) -> Vec<Approval>;
        first get(scope: &Scope, id: ApprovalId) -> Approval;
        first decide(scope: &Scope, id: ApprovalId, decision: Decision) -> Step;
        first begin(scope: &Scope, id: ApprovalId) -> Step;
        first finish(scope: &Scope, id: ApprovalId, ended: Ended, result: String) -> Step;
        gather expire(scope: &Scope, since: Timestamp) -> Vec<ApprovalId>;
    }
}
