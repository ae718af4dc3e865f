//! Stores that are wrong on purpose, one way each. Each wraps right stores and must fail the case that was written
//! against it; a suite that lets one pass is the thing that is wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{
    AbilitySet, Action, Actor, CommunityId, DocumentId, Grant, KeyId, MemberId, Role, Scope, SpaceId, Tier,
    TokenHash,
};
use tokio::sync::Barrier;

use crate::{
    Community, CommunityRef, Content, Directory, Document, Entitlement, Identity, KeptSince, KeyActor,
    KeyIdentity, KeyInfo, Keys, Kind, Member, Members, NewCommunity, NewDocument, NewKey, NewMember, Passage,
    PutOutcome, Query, Removed, Result, SessionIdentity, SourceEntry, Standing, Status, Stores,
};

/// How a store is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A search ignores the scope's spaces.
    LeakySearch,
    /// A document is read whatever space it is in.
    LeakyDocument,
    /// A title is told whatever space its document is in.
    LeakyTitles,
    /// A hidden document is told apart from a missing one.
    TellingErrors,
    /// An empty list of spaces means all.
    EmptyMeansAll,
    /// Documents and passages of other communities are found too.
    LeakyCommunity,
    /// A put writes document by document.
    PartialPut,
    /// Every document is stored twice.
    DoublePut,
    /// A removal only says that it removed.
    LingeringRemoval,
    /// Content is written for whoever asks.
    OpenWriting,
    /// A search fails on text with quotes.
    FragileSearch,
    /// A search returns all passages of a document.
    ChattySearch,
    /// A revocation is acknowledged and forgotten.
    ForgetfulKeys,
    /// A key may act for somebody above its maker.
    RaisingKeys,
    /// A key may be another member.
    BorrowedKeys,
    /// A key makes any key that its role may make.
    BreedingKeys,
    /// A key rises with its member.
    RisingKeys,
    /// Whoever may revoke keys revokes those of people above them.
    LevellingKeys,
    /// Keys of any community are accepted in each.
    WanderingKeys,
    /// What was once true of a key or a member stays true.
    StaleIdentity,
    /// An entitlement still counts at the moment it ends.
    LateEnd,
    /// A suspended member keeps their standing.
    LenientSuspension,
    /// Anyone who may change members may make and change staff.
    RaisingMembers,
    /// What a member was before a change is not told.
    ForgetfulChanges,
    /// The last owner may go.
    OwnerlessCommunities,
    /// Whether an owner is the last one is looked up first and relied on later.
    RacingOwners,
    /// An address is only found in the case it was written in.
    CaseSensitiveAddresses,
    /// A slug in use gives the community that has it.
    SharedSlugs,
    /// A name that was once unknown stays unknown.
    StubbornDirectory,
    /// What is due is only said to be removed.
    LastingCommunities,
    /// What ended by itself stays until something else is due.
    HoardingCommunities,
    /// Which calls waited that are removed is not told.
    SilentCommunities,
    /// A key is made by whomever it was made with, and not by that key.
    NamelessKeys,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 33] = [
        Self::LeakySearch,
        Self::LeakyDocument,
        Self::LeakyTitles,
        Self::TellingErrors,
        Self::EmptyMeansAll,
        Self::LeakyCommunity,
        Self::PartialPut,
        Self::DoublePut,
        Self::LingeringRemoval,
        Self::OpenWriting,
        Self::FragileSearch,
        Self::ChattySearch,
        Self::ForgetfulKeys,
        Self::RaisingKeys,
        Self::BorrowedKeys,
        Self::BreedingKeys,
        Self::RisingKeys,
        Self::LevellingKeys,
        Self::WanderingKeys,
        Self::StaleIdentity,
        Self::LateEnd,
        Self::LenientSuspension,
        Self::RaisingMembers,
        Self::ForgetfulChanges,
        Self::OwnerlessCommunities,
        Self::RacingOwners,
        Self::CaseSensitiveAddresses,
        Self::SharedSlugs,
        Self::StubbornDirectory,
        Self::LastingCommunities,
        Self::HoardingCommunities,
        Self::SilentCommunities,
        Self::NamelessKeys,
    ];

    /// The same stores with this flaw.
    pub fn into_stores(self, right: Stores) -> Stores {
        let wrong = Arc::new(Wrong {
            flaw: self,
            right: right.clone(),
            memory: Mutex::default(),
            both: Barrier::new(2),
        });
        Stores {
            directory: Arc::clone(&wrong) as _,
            identity: Arc::clone(&wrong) as _,
            members: Arc::clone(&wrong) as _,
            keys: Arc::clone(&wrong) as _,
            content: wrong,
            ..right
        }
    }
}

#[derive(Debug)]
struct Wrong {
    flaw: Flaw,
    right: Stores,
    memory: Mutex<Memory>,
    both: Barrier,
}

#[derive(Debug, Default)]
struct Memory {
    keys: Vec<(TokenHash, KeyIdentity)>,
    standings: BTreeMap<MemberId, Standing>,
    unknown: Vec<String>,
}

impl Wrong {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An owner's scope with every space of a community.
    async fn all(&self, community: CommunityId) -> Result<Scope> {
        let owner = scope(community, &[]);
        let spaces: Vec<SpaceId> =
            self.right.spaces.list(&owner).await?.into_iter().map(|space| space.id).collect();
        Ok(scope(community, &spaces))
    }

    /// The scope that this store reads with.
    async fn reading(&self, own: &Scope, flaw: Flaw) -> Result<Scope> {
        if self.is(flaw) || self.is(Flaw::EmptyMeansAll) && own.spaces().is_empty() {
            return self.all(own.community()).await;
        }
        Ok(own.clone())
    }

    /// The scope that this store writes with.
    fn writing(&self, own: &Scope, flaw: Flaw) -> Scope {
        if self.is(flaw) { scope(own.community(), own.spaces()) } else { own.clone() }
    }
}

#[expect(clippy::disallowed_methods, reason = "a wrong store grants itself what nobody gave it")]
fn scope(community: CommunityId, spaces: &[SpaceId]) -> Scope {
    Scope::grant(Grant {
        community,
        actor: Actor::Operator,
        role: Role::Owner,
        abilities: AbilitySet::SESSION,
        spaces: spaces.into(),
        tier: Tier::Standard,
    })
}

#[async_trait]
impl Content for Wrong {
    async fn put(&self, own: &Scope, documents: Vec<NewDocument>) -> Result<Vec<PutOutcome>> {
        let own = &self.writing(own, Flaw::OpenWriting);
        match self.flaw {
            Flaw::PartialPut => {
                let mut outcomes = Vec::new();
                for document in documents {
                    outcomes.extend(self.right.content.put(own, vec![document]).await?);
                }
                Ok(outcomes)
            }
            Flaw::DoublePut => {
                let twice = documents.iter().map(|document| {
                    let source = format!("{} again", document.source);
                    NewDocument { source, ..document.clone() }
                });
                self.right.content.put(own, twice.collect()).await?;
                self.right.content.put(own, documents).await
            }
            _ => self.right.content.put(own, documents).await,
        }
    }

    async fn source(&self, own: &Scope, source: &str) -> Result<BTreeMap<String, SourceEntry>> {
        self.right.content.source(&self.writing(own, Flaw::OpenWriting), source).await
    }

    async fn remove(&self, own: &Scope, documents: &[DocumentId]) -> Result<usize> {
        if self.is(Flaw::LingeringRemoval) {
            return Ok(documents.len());
        }
        self.right.content.remove(&self.writing(own, Flaw::OpenWriting), documents).await
    }

    async fn search(&self, own: &Scope, query: &Query) -> Result<Vec<Passage>> {
        if self.is(Flaw::FragileSearch) && query.text.contains(['"', '\'']) {
            return Err(crate::Error::new(Kind::Unavailable, "content.search"));
        }
        let own = &self.reading(own, Flaw::LeakySearch).await?;
        let mut found = self.right.content.search(own, query).await?;
        if self.is(Flaw::LeakyCommunity) {
            for community in self.right.directory.list().await? {
                let theirs = self.all(community.id).await?;
                found.extend(self.right.content.search(&theirs, query).await?);
            }
        }
        if self.is(Flaw::ChattySearch) {
            found.extend_from_within(..);
        }
        Ok(found)
    }

    async fn document(&self, own: &Scope, document: DocumentId) -> Result<Document> {
        let reading = self.reading(own, Flaw::LeakyDocument).await?;
        let found = self.right.content.document(&reading, document).await;
        match self.flaw {
            Flaw::TellingErrors if found.is_err() => {
                let all = self.all(own.community()).await?;
                let exists = self.right.content.document(&all, document).await.is_ok();
                found.map_err(|error| if exists { error.detail("it is in another space") } else { error })
            }
            Flaw::LeakyCommunity if found.is_err() => {
                for community in self.right.directory.list().await? {
                    let theirs = self.all(community.id).await?;
                    if let Ok(found) = self.right.content.document(&theirs, document).await {
                        return Ok(found);
                    }
                }
                found
            }
            _ => found,
        }
    }

    async fn titles(&self, own: &Scope, documents: &[DocumentId]) -> Result<BTreeMap<DocumentId, String>> {
        let mut found =
            self.right.content.titles(&self.reading(own, Flaw::LeakyTitles).await?, documents).await?;
        if self.is(Flaw::LeakyCommunity) {
            for community in self.right.directory.list().await? {
                let theirs = self.all(community.id).await?;
                found.extend(self.right.content.titles(&theirs, documents).await?);
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Identity for Wrong {
    async fn key(
        &self,
        community: CommunityId,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<KeyIdentity>> {
        if self.is(Flaw::StaleIdentity)
            && let Some((_, known)) = self.memory().keys.iter().find(|(known, _)| *known == hash)
        {
            return Ok(Some(known.clone()));
        }
        let mut found = self.right.identity.key(community, hash, now).await?;
        if self.is(Flaw::WanderingKeys) && found.is_none() {
            for other in self.right.directory.list().await? {
                found = found.or(self.right.identity.key(other.id, hash, now).await?);
            }
        }
        if let Some(found) = found.as_mut()
            && let (Flaw::RisingKeys, Some(member)) = (self.flaw, found.member)
            && let Some(standing) = self.right.identity.standing(community, member, now).await?
        {
            found.standing = standing;
        }
        if let Some(found) = &found {
            self.memory().keys.push((hash, found.clone()));
        }
        Ok(found)
    }

    async fn standing(
        &self,
        community: CommunityId,
        member: MemberId,
        now: Timestamp,
    ) -> Result<Option<Standing>> {
        if self.is(Flaw::StaleIdentity)
            && let Some(known) = self.memory().standings.get(&member)
        {
            return Ok(Some(known.clone()));
        }
        let asked = if self.is(Flaw::LateEnd) {
            now.checked_sub(Duration::from_millis(1)).unwrap_or(now)
        } else {
            now
        };
        let found = self.right.identity.standing(community, member, asked).await?;
        match (&found, self.flaw) {
            (None, Flaw::LenientSuspension) => Ok(self.memory().standings.get(&member).cloned()),
            _ => {
                if let Some(found) = &found {
                    self.memory().standings.insert(member, found.clone());
                }
                Ok(found)
            }
        }
    }

    async fn session(
        &self,
        community: CommunityId,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<SessionIdentity>> {
        self.right.identity.session(community, hash, now).await
    }

    async fn lapsed_session(&self, community: CommunityId, hash: TokenHash, now: Timestamp) -> Result<bool> {
        self.right.identity.lapsed_session(community, hash, now).await
    }

    async fn subject(
        &self,
        community: CommunityId,
        issuer: &str,
        subject: &str,
        now: Timestamp,
    ) -> Result<Option<(MemberId, Standing)>> {
        self.right.identity.subject(community, issuer, subject, now).await
    }
}

#[async_trait]
impl Keys for Wrong {
    async fn create(&self, own: &Scope, new: NewKey) -> Result<KeyInfo> {
        let flaw = match own.key() {
            Some(_) => Flaw::BreedingKeys,
            None if new.ceiling.is_none() && matches!(new.actor, KeyActor::Member(_)) => Flaw::BorrowedKeys,
            None => Flaw::RaisingKeys,
        };
        let raised = if own.may(Action::WriteKeys) { self.writing(own, flaw) } else { own.clone() };
        let mut made = self.right.keys.create(&raised, new).await?;
        if self.is(Flaw::NamelessKeys) {
            made.made_by = Some(own.actor());
        }
        Ok(made)
    }

    async fn list(&self, own: &Scope) -> Result<Vec<KeyInfo>> {
        self.right.keys.list(own).await
    }

    async fn revoke(&self, own: &Scope, key: KeyId) -> Result<()> {
        if self.is(Flaw::ForgetfulKeys) {
            return Ok(());
        }
        let raised =
            if own.may(Action::WriteKeys) { self.writing(own, Flaw::LevellingKeys) } else { own.clone() };
        self.right.keys.revoke(&raised, key).await
    }
}

#[async_trait]
impl Members for Wrong {
    async fn add(&self, own: &Scope, new: NewMember) -> Result<Member> {
        self.right.members.add(&self.raised(own), new).await
    }

    async fn get(&self, own: &Scope, member: MemberId) -> Result<Member> {
        self.right.members.get(own, member).await
    }

    async fn list(&self, own: &Scope) -> Result<Vec<Member>> {
        self.right.members.list(own).await
    }

    async fn find_by_email(&self, own: &Scope, email: &str) -> Result<Option<Member>> {
        let found = self.right.members.find_by_email(own, email).await?;
        let exact = |member: &Member| member.email.as_deref() == Some(email);
        Ok(found.filter(|member| !self.is(Flaw::CaseSensitiveAddresses) || exact(member)))
    }

    async fn set_role(&self, own: &Scope, member: MemberId, role: Role) -> Result<Role> {
        self.make_way(own, member, role < Role::Owner).await?;
        let before = self.right.members.set_role(&self.raised(own), member, role).await?;
        Ok(if self.is(Flaw::ForgetfulChanges) { role } else { before })
    }

    async fn set_status(&self, own: &Scope, member: MemberId, status: Status) -> Result<Status> {
        self.make_way(own, member, status == Status::Suspended).await?;
        let before = self.right.members.set_status(&self.raised(own), member, status).await?;
        Ok(if self.is(Flaw::ForgetfulChanges) { status } else { before })
    }

    async fn entitle(&self, own: &Scope, member: MemberId, entitlement: Entitlement) -> Result<()> {
        self.right.members.entitle(&self.raised(own), member, entitlement).await
    }

    async fn end_entitlement(&self, own: &Scope, member: MemberId, plan: &str) -> Result<()> {
        self.right.members.end_entitlement(&self.raised(own), member, plan).await
    }

    async fn link(&self, own: &Scope, member: MemberId, issuer: &str, subject: &str) -> Result<()> {
        self.right.members.link(&self.raised(own), member, issuer, subject).await
    }

    async fn provision(
        &self,
        community: CommunityId,
        issuer: &str,
        subject: &str,
        name: &str,
    ) -> Result<MemberId> {
        self.right.members.provision(community, issuer, subject, name).await
    }
}

impl Wrong {
    /// Sees to it that the right store lets an owner go: with another one whom nobody appointed.
    async fn make_way(&self, own: &Scope, member: MemberId, leaves: bool) -> Result<()> {
        let racing = self.is(Flaw::RacingOwners);
        if !leaves || !(racing || self.is(Flaw::OwnerlessCommunities)) {
            return Ok(());
        }
        let operator = scope(own.community(), &[]);
        let all = self.right.members.list(&operator).await?;
        let mut owners = all.iter().filter(|one| one.role == Role::Owner && one.status == Status::Active);
        if !owners.any(|owner| owner.id == member) {
            return Ok(());
        }
        if racing {
            // Two that come together have both counted two before either goes.
            self.both.wait().await;
        }
        let spare = NewMember { name: "Nobody".to_owned(), email: None, role: Some(Role::Owner) };
        self.right.members.add(&operator, spare).await.map(drop)
    }

    fn raised(&self, own: &Scope) -> Scope {
        if own.may(Action::WriteMembers) { self.writing(own, Flaw::RaisingMembers) } else { own.clone() }
    }
}

#[async_trait]
impl Directory for Wrong {
    async fn create(&self, new: NewCommunity) -> Result<Community> {
        if self.is(Flaw::SharedSlugs)
            && let Some(taken) = self.right.directory.find(CommunityRef::Slug(&new.slug)).await?
        {
            return Ok(taken);
        }
        self.right.directory.create(new).await
    }

    async fn find(&self, by: CommunityRef<'_>) -> Result<Option<Community>> {
        let name = format!("{by:?}");
        if self.is(Flaw::StubbornDirectory) && self.memory().unknown.contains(&name) {
            return Ok(None);
        }
        let found = self.right.directory.find(by).await?;
        if found.is_none() {
            self.memory().unknown.push(name);
        }
        Ok(found)
    }

    async fn list(&self) -> Result<Vec<Community>> {
        self.right.directory.list().await
    }

    async fn remove_due(&self, community: CommunityId, since: KeptSince) -> Result<Removed> {
        let all = since.handovers == Timestamp::MIN && since.approvals == Timestamp::MIN;
        match self.flaw {
            Flaw::LastingCommunities => {
                return Ok(Removed { entries: usize::from(!all), waited: Vec::new() });
            }
            Flaw::HoardingCommunities if all => return Ok(Removed::default()),
            _ => {}
        }
        let removed = self.right.directory.remove_due(community, since).await?;
        let waited = if self.is(Flaw::SilentCommunities) { Vec::new() } else { removed.waited };
        Ok(Removed { waited, ..removed })
    }

    async fn set_tier(&self, community: CommunityId, tier: Tier) -> Result<()> {
        self.right.directory.set_tier(community, tier).await
    }

    async fn ping(&self) -> Result<()> {
        self.right.directory.ping().await
    }
}
