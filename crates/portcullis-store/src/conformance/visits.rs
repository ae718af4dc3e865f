//! Links, sessions and narrower scopes for the cases about people.

use std::time::Duration;

use jiff::Timestamp;
use portcullis_core::{
    AbilitySet, Actor, CommunityId, Grant, InvitationId, MemberId, Role, Scope, Token, TokenHash, TokenKind,
};

use super::{Side, World};
use crate::{Entitlement, NewInvitation, NewSession, NewSignIn, SessionIdentity, SignedIn, Strangers};

/// A link that was asked for, and the browser that asked.
#[derive(Debug, Clone, Copy)]
pub struct Visit {
    /// The hash of the link's token.
    pub link: TokenHash,
    /// The hash of the browser's cookie.
    pub browser: TokenHash,
}

impl World {
    /// How long a link works.
    pub const LINK: Duration = Duration::from_secs(15 * 60);
    /// How long a session lasts at most.
    pub const SESSION: Duration = Duration::from_secs(14 * 24 * 3_600);
    /// How long a session may lie unused.
    pub const IDLE: Duration = Duration::from_secs(2 * 3_600);

    /// The hash of a token that nobody had before.
    pub fn token(&self, side: &Side, kind: TokenKind) -> TokenHash {
        Token::issue(kind, &side.community.locator).1.hash()
    }

    /// A moment after now.
    pub fn after(&self, time: Duration) -> Timestamp {
        self.now().checked_add(time).expect("a time in range")
    }

    /// A link that is not asked for yet.
    pub fn new_sign_in(&self, side: &Side, email: &str) -> NewSignIn {
        NewSignIn {
            token: self.token(side, TokenKind::SignIn),
            browser: self.token(side, TokenKind::SignIn),
            email: email.to_owned(),
            expires: self.after(Self::LINK),
        }
    }

    /// A session that has not begun yet.
    pub fn new_session(&self, side: &Side) -> NewSession {
        NewSession {
            token: self.token(side, TokenKind::Session),
            expires: self.after(Self::SESSION),
            idle: Self::IDLE,
        }
    }

    /// Asks for a link; whether one is to be sent.
    pub async fn ask(
        &self,
        side: &Side,
        email: &str,
        strangers: Strangers,
        invitation: Option<TokenHash>,
    ) -> (Visit, bool) {
        let new = self.new_sign_in(side, email);
        let visit = Visit { link: new.token, browser: new.browser };
        let send = self.stores.sessions.ask(side.community.id, new, strangers, invitation).await;
        (visit, send.expect("the store answers").is_some())
    }

    /// Uses a link in the browser that asked, now; the hash of the session's token with what it gave.
    pub async fn redeem(&self, side: &Side, visit: Visit) -> Option<(TokenHash, SignedIn)> {
        let session = self.new_session(side);
        let token = session.token;
        let Visit { link, browser } = visit;
        let sessions = &self.stores.sessions;
        let signed_in = sessions.redeem(side.community.id, link, browser, session, self.now()).await;
        signed_in.expect("the store answers").map(|signed_in| (token, signed_in))
    }

    /// Signs in with an address that a member has.
    pub async fn sign_in(&self, side: &Side, email: &str) -> (TokenHash, SignedIn) {
        let (visit, _) = self.ask(side, email, Strangers::Refuse, None).await;
        self.redeem(side, visit).await.expect("a member signs in")
    }

    /// Joins by an invitation, if that works.
    pub async fn join_by(&self, side: &Side, invitation: TokenHash, email: &str) -> Option<SignedIn> {
        let (visit, _) = self.ask(side, email, Strangers::Refuse, Some(invitation)).await;
        self.redeem(side, visit).await.map(|(_, signed_in)| signed_in)
    }

    /// Who a session is now.
    pub async fn session(&self, side: &Side, token: TokenHash) -> Option<SessionIdentity> {
        self.session_at(side.community.id, token, self.now()).await
    }

    /// Who a session is at some moment, in some community.
    pub async fn session_at(
        &self,
        community: CommunityId,
        token: TokenHash,
        at: Timestamp,
    ) -> Option<SessionIdentity> {
        self.stores.identity.session(community, token, at).await.expect("the store answers")
    }

    /// Whether a session has ended not long ago.
    pub async fn lapsed(&self, side: &Side, token: TokenHash) -> bool {
        let lapsed = self.stores.identity.lapsed_session(side.community.id, token, self.now());
        lapsed.await.expect("the store answers")
    }

    /// An invitation for one person, that is not written yet.
    pub fn new_invitation(&self, side: &Side) -> NewInvitation {
        NewInvitation {
            token: self.token(side, TokenKind::Invitation),
            email: None,
            role: Role::Member,
            entitlements: vec![Entitlement { plan: "gold".to_owned(), until: None }],
            uses: 1,
            expires: self.after(Self::TERM),
        }
    }

    /// Writes an invitation as the operator.
    pub async fn invite(&self, side: &Side, new: NewInvitation) -> (TokenHash, InvitationId) {
        let token = new.token;
        (token, self.stores.sessions.invite(&side.operator(), new).await.expect("the invitation is written"))
    }

    /// The scope of a credential of a member that covers only these abilities.
    pub async fn narrow(&self, side: &Side, member: MemberId, abilities: AbilitySet) -> Scope {
        let own = self.scope(side, member).await;
        grant(Grant {
            community: side.community.id,
            actor: Actor::Member(member),
            role: own.role(),
            abilities,
            spaces: own.spaces().into(),
            tier: own.tier(),
        })
    }

    /// The scopes of everyone who is not the plain member of a community but acts for some member: other members, staff,
    /// the members of the other community, and a scope that pairs that very member with the other community.
    pub async fn everyone_else(&self, side: &Side, other: &Side) -> Vec<Scope> {
        let mut scopes = Vec::new();
        for member in [side.paying, side.moderator, side.admin, side.owner] {
            scopes.push(self.scope(side, member).await);
        }
        for member in [other.plain, other.owner] {
            scopes.push(self.scope(other, member).await);
        }
        scopes.push(grant(Grant {
            community: other.community.id,
            actor: Actor::Member(side.plain),
            role: Role::Owner,
            abilities: AbilitySet::SESSION,
            spaces: [other.open, other.gold, other.closed].into(),
            tier: other.community.tier,
        }));
        scopes
    }
}

#[expect(clippy::disallowed_methods, reason = "test support stands in for the identify phase")]
fn grant(grant: Grant) -> Scope {
    Scope::grant(grant)
}
