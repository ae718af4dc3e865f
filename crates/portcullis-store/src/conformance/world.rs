//! The fixture: two communities of the same shape, and the scopes of everyone in them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{
    AbilitySet, Actor, Clock, CommunityId, DocumentId, Grant, KeyBounds, KeyId, ManualClock, MemberId, Role,
    Scope, SpaceId, Tier, Token, TokenHash, TokenKind,
};

use crate::{
    Chunk, Community, DocumentText, Entitlement, KeyActor, KeyIdentity, KeyInfo, NewCommunity, NewDocument,
    NewKey, NewMember, NewSpace, Passage, Plan, Query, SpaceAccess, Stores,
};

/// How the suite reaches an adapter: data of its own for each harness, and instances that share it.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens one more instance on the harness's data, which is empty at first. Earlier ones stay in use, as another
    /// process would be.
    async fn open(&self, clock: Arc<dyn Clock>) -> Stores;

    /// All that the tables and indexes of a community hold: what they show to who has every key but the members' own.
    async fn at_rest(&self, community: CommunityId) -> Vec<u8>;
}

/// Two communities and the stores they are in.
pub struct World {
    /// The stores under test.
    pub stores: Stores,
    /// Moves only when a case moves it.
    pub clock: Arc<ManualClock>,
    /// A community.
    pub a: Side,
    /// Another of the same shape.
    pub b: Side,
    harness: Box<dyn Harness>,
}

/// A community with members, plans, spaces and documents.
#[derive(Debug, Clone)]
pub struct Side {
    /// The community.
    pub community: Community,
    /// A space that every member reads.
    pub open: SpaceId,
    /// A space that the plan `gold` opens.
    pub gold: SpaceId,
    /// A space for staff.
    pub closed: SpaceId,
    /// A member who pays for nothing.
    pub plain: MemberId,
    /// A member with the plan `gold` for [`World::TERM`].
    pub paying: MemberId,
    /// A moderator.
    pub moderator: MemberId,
    /// An admin.
    pub admin: MemberId,
    /// An owner.
    pub owner: MemberId,
    /// The documents by source key: `welcome`, `rules` (open), `course` (gold), `minutes` (closed).
    pub documents: BTreeMap<String, DocumentId>,
}

impl World {
    /// How long the paying members' plan lasts from the start on.
    pub const TERM: Duration = Duration::from_secs(30 * 24 * 3_600);

    /// Fills the harness's empty data.
    pub async fn new(harness: impl Harness + 'static) -> Self {
        let start = "2025-06-01T08:00:00Z".parse::<Timestamp>().expect("a valid time");
        let clock = Arc::new(ManualClock::at(start));
        let stores = harness.open(Arc::clone(&clock) as _).await;
        let a = Side::fill(&stores, start, "alpha").await;
        let b = Side::fill(&stores, start, "beta").await;
        Self { stores, clock, a, b, harness: Box::new(harness) }
    }

    /// One more instance on the same data, as another process would open it.
    pub async fn another_instance(&self) -> Stores {
        self.harness.open(Arc::clone(&self.clock) as _).await
    }

    /// What a community's data shows to who has every key but the members' own.
    pub async fn at_rest(&self, community: CommunityId) -> Vec<u8> {
        self.harness.at_rest(community).await
    }

    /// The time on the world's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The scope that the identify phase would make for an active member now.
    pub async fn scope(&self, side: &Side, member: MemberId) -> Scope {
        let standing = self.stores.identity.standing(side.community.id, member, self.now()).await;
        let standing = standing.expect("the store answers").expect("the member is active");
        side.grant(Actor::Member(member), standing.role, &standing.spaces)
    }

    /// The scopes of everyone who may not do an admin's work: a member, a paying member, a moderator, and an owner's
    /// key that was issued for chat only.
    pub async fn lesser(&self, side: &Side) -> Vec<Scope> {
        let mut scopes = Vec::new();
        for member in [side.plain, side.paying, side.moderator] {
            scopes.push(self.scope(side, member).await);
        }
        let owner = self.scope(side, side.owner).await;
        scopes.push(grant(Grant {
            community: side.community.id,
            actor: Actor::Key(KeyId::new(&*self.clock)),
            role: Role::Owner,
            abilities: AbilitySet::NONE.with(portcullis_core::KeyAbility::Chat),
            spaces: owner.spaces().into(),
            tier: Tier::Standard,
        }));
        scopes
    }

    /// Creates a key and returns its hash with it.
    pub async fn key(
        &self,
        side: &Side,
        actor: KeyActor,
        expires: Option<Timestamp>,
    ) -> (TokenHash, KeyInfo) {
        let new = self.new_key(side, actor, expires);
        let hash = new.hash;
        (hash, self.stores.keys.create(&side.operator(), new).await.expect("the key is stored"))
    }

    /// The scope that the identify phase would make for a key now.
    pub async fn by_key(&self, side: &Side, hash: TokenHash) -> Scope {
        let found = self.stores.identity.key(side.community.id, hash, self.now()).await;
        let KeyIdentity { key, member, abilities, expires, standing } =
            found.expect("the store answers").expect("the key works");
        let scope = grant(Grant {
            community: side.community.id,
            actor: member.map_or(Actor::Key(key), Actor::Member),
            role: standing.role,
            abilities,
            spaces: standing.spaces,
            tier: side.community.tier,
        });
        scope.by_key(KeyBounds { key, expires })
    }

    /// A key that is not stored yet.
    pub fn new_key(&self, side: &Side, actor: KeyActor, expires: Option<Timestamp>) -> NewKey {
        let (_, token) = Token::issue(TokenKind::ApiKey, &side.community.locator);
        NewKey {
            name: "a key".to_owned(),
            actor,
            ceiling: None,
            abilities: AbilitySet::SESSION,
            expires,
            hash: token.hash(),
            hint: token.hint(),
        }
    }

    /// Searches with a high limit.
    pub async fn search(&self, scope: &Scope, text: &str) -> Vec<Passage> {
        let query = Query { text: text.to_owned(), limit: 50 };
        self.stores.content.search(scope, &query).await.expect("the store searches")
    }

    /// The documents that a search finds, best first, each once.
    pub async fn found(&self, scope: &Scope, text: &str) -> Vec<DocumentId> {
        let mut found = Vec::new();
        for passage in self.search(scope, text).await {
            if !found.contains(&passage.document) {
                found.push(passage.document);
            }
        }
        found
    }

    /// The document of a source key, after a put.
    pub async fn document(&self, side: &Side, source_key: &str) -> DocumentId {
        let entries =
            self.stores.content.source(&side.operator(), "fixture").await.expect("the store answers");
        entries.get(source_key).expect("the document is there").document
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("a", &self.a.community.id)
            .field("b", &self.b.community.id)
            .finish_non_exhaustive()
    }
}

impl Side {
    /// The scope of the instance's operator: an owner's rights, and every space of the fixture.
    pub fn operator(&self) -> Scope {
        self.grant(Actor::Operator, Role::Owner, &[self.open, self.gold, self.closed])
    }

    /// A member's scope with exactly these spaces.
    pub fn reader(&self, spaces: &[SpaceId]) -> Scope {
        self.grant(Actor::Member(self.plain), Role::Member, spaces)
    }

    /// The id of one of the fixture's documents.
    pub fn id(&self, source_key: &str) -> DocumentId {
        *self.documents.get(source_key).expect("the fixture has that document")
    }

    fn grant(&self, actor: Actor, role: Role, spaces: &[SpaceId]) -> Scope {
        grant(Grant {
            community: self.community.id,
            actor,
            role,
            abilities: AbilitySet::SESSION,
            spaces: spaces.into(),
            tier: self.community.tier,
        })
    }

    async fn fill(stores: &Stores, now: Timestamp, slug: &str) -> Self {
        let new = NewCommunity {
            slug: slug.to_owned(),
            name: format!("The {slug} community"),
            host: Some(format!("{slug}.example.org")),
            tier: Tier::Standard,
        };
        let community = stores.directory.create(new).await.expect("the community is created");
        let nobody = MemberId::from_bytes([0; 16]);
        let nowhere = SpaceId::from_bytes([0; 16]);
        let mut side = Self {
            community,
            open: nowhere,
            gold: nowhere,
            closed: nowhere,
            plain: nobody,
            paying: nobody,
            moderator: nobody,
            admin: nobody,
            owner: nobody,
            documents: BTreeMap::new(),
        };
        side.fill_spaces(stores).await;
        side.fill_members(stores, now).await;
        side.fill_documents(stores).await;
        side
    }

    async fn fill_spaces(&mut self, stores: &Stores) {
        let scope = self.operator();
        for slug in ["gold", "silver"] {
            let plan = Plan { slug: slug.to_owned(), name: slug.to_owned() };
            stores.spaces.create_plan(&scope, plan).await.expect("the plan is created");
        }
        let mut ids = Vec::new();
        for (slug, access) in [
            ("lobby", SpaceAccess::Members),
            ("lounge", SpaceAccess::Plans(vec!["gold".to_owned()])),
            ("office", SpaceAccess::Staff),
        ] {
            let new = NewSpace { slug: slug.to_owned(), name: slug.to_owned(), access };
            ids.push(stores.spaces.create(&scope, new).await.expect("the space is created").id);
        }
        if let [open, gold, closed] = *ids {
            (self.open, self.gold, self.closed) = (open, gold, closed);
        }
    }

    async fn fill_members(&mut self, stores: &Stores, now: Timestamp) {
        let scope = self.operator();
        let mut ids = Vec::new();
        for (name, role) in [
            ("Plain", Role::Member),
            ("Paying", Role::Member),
            ("Moderator", Role::Moderator),
            ("Admin", Role::Admin),
            ("Owner", Role::Owner),
        ] {
            let new = NewMember {
                name: format!("{name} Person"),
                email: Some(format!("{name}@example.org")),
                role: Some(role),
            };
            ids.push(stores.members.add(&scope, new).await.expect("the member is added").id);
        }
        if let [plain, paying, moderator, admin, owner] = *ids {
            (self.plain, self.paying, self.moderator, self.admin, self.owner) =
                (plain, paying, moderator, admin, owner);
        }
        let until = now.checked_add(World::TERM).expect("a time in range");
        let entitlement = Entitlement { plan: "gold".to_owned(), until: Some(until) };
        stores.members.entitle(&scope, self.paying, entitlement).await.expect("the plan is given");
    }

    async fn fill_documents(&mut self, stores: &Stores) {
        let scope = self.operator();
        let name = &self.community.slug;
        let documents = [
            (
                self.open,
                "welcome",
                "Welcome to the lantern garden",
                "Say hello and tell us about your lantern.",
            ),
            (self.open, "rules", "House rules", "Be kind. No lantern stays lit after midnight."),
            (
                self.gold,
                "course",
                "The paid lantern course",
                "Lesson one: the wick of a lantern is called a moonwick.",
            ),
            (
                self.closed,
                "minutes",
                "Minutes of the staff meeting",
                "We will raise the lantern fee in autumn.",
            ),
        ];
        let documents = documents.map(|(space, key, title, text)| {
            document(space, key, title, &[&format!("{text} Marker {name}mark.")])
        });
        stores.content.put(&scope, documents.to_vec()).await.expect("the documents are stored");
        let entries = stores.content.source(&scope, "fixture").await.expect("the store answers");
        self.documents = entries.into_iter().map(|(key, entry)| (key, entry.document)).collect();
    }
}

/// A document of the source `fixture` with these chunks. Its fingerprint follows from all of its words.
pub fn document(space: SpaceId, source_key: &str, title: &str, chunks: &[&str]) -> NewDocument {
    let mut fingerprint = [0u8; 32];
    for (at, byte) in [title].iter().chain(chunks).flat_map(|text| text.bytes()).enumerate() {
        if let Some(slot) = fingerprint.get_mut(at % 32) {
            *slot = slot.rotate_left(3) ^ byte;
        }
    }
    NewDocument {
        space,
        source: "fixture".to_owned(),
        source_key: source_key.to_owned(),
        fingerprint,
        title: title.to_owned(),
        url: Some(format!("https://example.org/{source_key}")),
        author: Some("Ada".to_owned()),
        written: "2024-02-29T12:00:00Z".parse().ok(),
        text: DocumentText {
            chunks: chunks
                .iter()
                .map(|text| Chunk { heading: String::new(), author: None, text: (*text).to_owned() })
                .collect(),
        },
        links: vec!["welcome".to_owned()],
    }
}

#[expect(clippy::disallowed_methods, reason = "test support stands in for the identify phase")]
fn grant(grant: Grant) -> Scope {
    Scope::grant(grant)
}
