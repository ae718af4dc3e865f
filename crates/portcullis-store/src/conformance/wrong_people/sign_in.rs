//! Wrong sign-in, sessions, subjects.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{Action, CommunityId, InvitationId, MemberId, Role, Scope, SessionId, TokenHash};

use super::{Flaw, Wrong, owner};
use crate::conformance::World;
use crate::{
    Entitlement, Identity, InvitationInfo, KeyIdentity, Kind, Member, Members, NewInvitation, NewMember,
    NewSession, NewSignIn, Result, SessionIdentity, SessionInfo, Sessions, SignedIn, Standing, Status,
    Strangers,
};

#[async_trait]
impl Sessions for Wrong {
    async fn ask(
        &self,
        community: CommunityId,
        new: NewSignIn,
        strangers: Strangers,
        invitation: Option<TokenHash>,
    ) -> Result<Option<String>> {
        let strangers = if self.is(Flaw::OpenDoor) { Strangers::Join } else { strangers };
        let typed = new.email.trim().to_owned();
        let new = match self.flaw {
            Flaw::FoldedAddresses => NewSignIn { email: new.email.to_lowercase(), ..new },
            _ => new,
        };
        self.seen().links.insert(new.token, (new.clone(), strangers, invitation));
        if self.is(Flaw::WanderingLinks) {
            for other in self.right.directory.list().await?.iter().filter(|other| other.id != community) {
                self.right.sessions.ask(other.id, new.clone(), Strangers::Join, None).await?;
            }
        }
        let sent_to = self.right.sessions.ask(community, new, strangers, invitation).await?;
        Ok(sent_to.map(|kept| if self.is(Flaw::TypedAddresses) { typed } else { kept }))
    }

    async fn redeem(
        &self,
        community: CommunityId,
        token: TokenHash,
        browser: TokenHash,
        session: NewSession,
        now: Timestamp,
    ) -> Result<Option<SignedIn>> {
        let asked = self.seen().links.get(&token).cloned();
        let (mut browser, mut session, mut at) = (browser, session, now);
        if let Some((asked, strangers, invitation)) = asked {
            match self.flaw {
                Flaw::AnyBrowser => browser = asked.browser,
                Flaw::BurningLinks if self.seen().burnt.contains(&token) => return Ok(None),
                Flaw::BurningLinks if browser != asked.browser => {
                    self.seen().burnt.insert(token);
                }
                Flaw::LateLinks => at = now.checked_sub(Duration::from_millis(1)).unwrap_or(now),
                Flaw::RacingLinks => {
                    // Each that comes before the first is done finds the link unused.
                    let again = NewSignIn { token: session.token, ..asked };
                    if self.seen().burnt.contains(&token) {
                        return Ok(None);
                    }
                    tokio::task::yield_now().await;
                    self.right.sessions.ask(community, again, strangers, invitation).await?;
                    let token_again = session.token;
                    let signed_in =
                        self.right.sessions.redeem(community, token_again, browser, session, at).await;
                    self.seen().burnt.insert(token);
                    return signed_in;
                }
                Flaw::OutlivingLinks if self.seen().burnt.contains(&token) => return Ok(None),
                Flaw::ReusableLinks | Flaw::OutlivingLinks => {
                    // It is there already unless it was used.
                    let again = self.right.sessions.ask(community, asked, strangers, invitation).await;
                    if let Err(error) = again
                        && error.kind() != Kind::Conflict
                    {
                        return Err(error);
                    }
                }
                _ => {}
            }
        }
        if self.is(Flaw::TirelessSessions) {
            session.idle = World::SESSION;
        }
        if self.is(Flaw::EndlessSessions) {
            session.expires = now.checked_add(World::TERM).unwrap_or(session.expires);
        }
        let session_token = session.token;
        let signed_in = self.right.sessions.redeem(community, token, browser, session, at).await?;
        if signed_in.is_some() {
            let mut seen = self.seen();
            seen.begun.insert(session_token, now);
            if self.is(Flaw::OutlivingLinks) {
                seen.burnt.insert(token);
            }
        }
        Ok(signed_in)
    }

    async fn list(&self, own: &Scope) -> Result<Vec<SessionInfo>> {
        self.right.sessions.list(own).await
    }

    async fn end(&self, own: &Scope, session: SessionId) -> Result<()> {
        if self.is(Flaw::ForgetfulEnd) {
            return Ok(());
        }
        let ended = self.right.sessions.end(own, session).await;
        if self.is(Flaw::EndsAnybodys) && ended.is_err() && own.member().is_some() {
            for scope in self.everybody(own).await? {
                if self.right.sessions.end(&scope, session).await.is_ok() {
                    return Ok(());
                }
            }
        }
        ended
    }

    async fn end_all(&self, own: &Scope, member: MemberId) -> Result<usize> {
        self.right.sessions.end_all(&self.raised(own, Flaw::EndsEverybodys), member).await
    }

    async fn invite(&self, own: &Scope, new: NewInvitation) -> Result<InvitationId> {
        let new = match self.flaw {
            Flaw::UncountedInvitations => NewInvitation { uses: new.uses.max(1_000), ..new },
            Flaw::LooseInvitations => NewInvitation { email: None, ..new },
            _ => new,
        };
        let raised = own.may(Action::WriteMembers) && self.is(Flaw::RaisingInvitations);
        let own = if raised { owner(own.community()) } else { own.clone() };
        self.right.sessions.invite(&own, new).await
    }

    async fn invitations(&self, own: &Scope) -> Result<Vec<InvitationInfo>> {
        let mut listed = self.right.sessions.invitations(own).await?;
        if self.is(Flaw::NamelessInvitations) {
            listed.iter_mut().for_each(|invitation| invitation.made_by = None);
        }
        if self.is(Flaw::WanderingInvitations) {
            for other in self.right.directory.list().await?.iter().filter(|other| other.id != own.community())
            {
                listed.extend(self.right.sessions.invitations(&owner(other.id)).await?);
            }
        }
        Ok(listed)
    }

    async fn withdraw(&self, own: &Scope, invitation: InvitationId) -> Result<()> {
        if self.is(Flaw::LastingInvitations) {
            return Ok(());
        }
        let raised = own.may(Action::WriteMembers) && self.is(Flaw::LevellingInvitations);
        let own = if raised { owner(own.community()) } else { own.clone() };
        self.right.sessions.withdraw(&own, invitation).await
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
        self.right.identity.key(community, hash, now).await
    }

    async fn standing(
        &self,
        community: CommunityId,
        member: MemberId,
        now: Timestamp,
    ) -> Result<Option<Standing>> {
        self.right.identity.standing(community, member, now).await
    }

    async fn session(
        &self,
        community: CommunityId,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<SessionIdentity>> {
        let known = self.seen().sessions.get(&hash).cloned();
        if self.is(Flaw::StaleSessions) && known.is_some() {
            return Ok(known);
        }
        let begun = self.seen().begun.get(&hash).copied();
        if let (Flaw::UnusedSessions, Some(begun)) = (self.flaw, begun)
            && begun.checked_add(World::IDLE).is_ok_and(|end| end <= now)
        {
            return Ok(None);
        }
        let mut found = self.right.identity.session(community, hash, now).await?;
        if self.is(Flaw::WanderingSessions) && found.is_none() {
            for other in self.right.directory.list().await? {
                found = found.or(self.right.identity.session(other.id, hash, now).await?);
            }
        }
        if let (Flaw::ResurrectedSessions, None, Some(known)) = (self.flaw, &found, known) {
            let standing = self.right.identity.standing(community, known.member, now).await?;
            return Ok(standing.map(|standing| SessionIdentity { standing, ..known }));
        }
        if let Some(found) = &found {
            self.seen().sessions.insert(hash, found.clone());
        }
        Ok(found)
    }

    async fn lapsed_session(&self, community: CommunityId, hash: TokenHash, now: Timestamp) -> Result<bool> {
        let mut lapsed = self.right.identity.lapsed_session(community, hash, now).await?;
        if self.is(Flaw::WanderingLapses) {
            for other in self.right.directory.list().await? {
                lapsed |= self.right.identity.lapsed_session(other.id, hash, now).await?;
            }
        }
        Ok(match self.flaw {
            Flaw::ForgottenLapses => false,
            // Whatever lets nobody in has ended.
            Flaw::MadeUpLapses => self.right.identity.session(community, hash, now).await?.is_none(),
            _ => lapsed,
        })
    }

    async fn subject(
        &self,
        community: CommunityId,
        issuer: &str,
        subject: &str,
        now: Timestamp,
    ) -> Result<Option<(MemberId, Standing)>> {
        self.right.identity.subject(community, self.issuer(issuer), subject, now).await
    }
}

impl Wrong {
    fn issuer<'a>(&self, issuer: &'a str) -> &'a str {
        if self.is(Flaw::LooseSubjects) && !issuer.is_empty() { "anyone" } else { issuer }
    }
}

#[async_trait]
impl Members for Wrong {
    async fn add(&self, own: &Scope, new: NewMember) -> Result<Member> {
        self.right.members.add(own, new).await
    }

    async fn get(&self, own: &Scope, member: MemberId) -> Result<Member> {
        self.right.members.get(own, member).await
    }

    async fn list(&self, own: &Scope) -> Result<Vec<Member>> {
        self.right.members.list(own).await
    }

    async fn find_by_email(&self, own: &Scope, email: &str) -> Result<Option<Member>> {
        self.right.members.find_by_email(own, email).await
    }

    async fn set_role(&self, own: &Scope, member: MemberId, role: Role) -> Result<Role> {
        self.right.members.set_role(own, member, role).await
    }

    async fn set_status(&self, own: &Scope, member: MemberId, status: Status) -> Result<Status> {
        self.right.members.set_status(own, member, status).await
    }

    async fn entitle(&self, own: &Scope, member: MemberId, entitlement: Entitlement) -> Result<()> {
        self.right.members.entitle(own, member, entitlement).await
    }

    async fn end_entitlement(&self, own: &Scope, member: MemberId, plan: &str) -> Result<()> {
        self.right.members.end_entitlement(own, member, plan).await
    }

    async fn link(&self, own: &Scope, member: MemberId, issuer: &str, subject: &str) -> Result<()> {
        let raised = own.may(Action::WriteMembers) && self.is(Flaw::RaisingLinks);
        let own = if raised { owner(own.community()) } else { own.clone() };
        let linked = self.right.members.link(&own, member, self.issuer(issuer), subject).await;
        match linked {
            Err(error) if error.kind() == Kind::Conflict && self.is(Flaw::MovingSubjects) => Ok(()),
            linked => linked,
        }
    }

    async fn provision(
        &self,
        community: CommunityId,
        issuer: &str,
        subject: &str,
        name: &str,
    ) -> Result<MemberId> {
        if self.is(Flaw::DoubleProvision) {
            let number = {
                let mut seen = self.seen();
                seen.copies += 1;
                seen.copies
            };
            let other = format!("{subject} {number}");
            return self.right.members.provision(community, issuer, &other, name).await;
        }
        self.right.members.provision(community, self.issuer(issuer), subject, name).await
    }
}
