//! The sessions port: links asked for and used up, sessions begun and ended. `invitations.rs` has who may join.

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{Action, CommunityId, InvitationId, MemberId, Role, Scope, SessionId, TokenHash};
use portcullis_store::{
    InvitationInfo, Kind, LAPSED_FOR, NewInvitation, NewSession, NewSignIn, Result, SessionInfo, Sessions,
    SignedIn, Strangers,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::communities::Community;
use crate::fault::Fault;
use crate::invitations::{self, Welcome};
use crate::joining::Joining;
use crate::members::{checked_email, opened_email};
use crate::stores::Engine;
use crate::value::{micros, time};

/// The most outdated rows that one call clears away, so that its work is bounded.
const SWEEP: i64 = 64;
/// The longest idle limit, in microseconds: a hundred years, so that sums of times stay in range.
const LONGEST_IDLE: i64 = 100 * 365 * 24 * 3_600 * 1_000_000;
/// The longest name made of an address, in characters.
const NAME_CHARS: usize = 200;

#[async_trait]
impl Sessions for Engine {
    async fn ask(
        &self,
        community: CommunityId,
        new: NewSignIn,
        strangers: Strangers,
        invitation: Option<TokenHash>,
    ) -> Result<Option<String>> {
        let asked = self.ask_for_link(community, new, strangers, invitation);
        asked.await.map_err(|fault| fault.at("sessions.ask"))
    }

    async fn redeem(
        &self,
        community: CommunityId,
        token: TokenHash,
        browser: TokenHash,
        session: NewSession,
        now: Timestamp,
    ) -> Result<Option<SignedIn>> {
        let redeemed = self.redeem_link(community, token, browser, session, micros(now));
        redeemed.await.map_err(|fault| fault.at("sessions.redeem"))
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<SessionInfo>> {
        self.sessions_of(scope).await.map_err(|fault| fault.at("sessions.list"))
    }

    async fn end(&self, scope: &Scope, session: SessionId) -> Result<()> {
        self.end_session(scope, session).await.map_err(|fault| fault.at("sessions.end"))
    }

    async fn end_all(&self, scope: &Scope, member: MemberId) -> Result<usize> {
        self.end_sessions_of(scope, member).await.map_err(|fault| fault.at("sessions.end_all"))
    }

    async fn invite(&self, scope: &Scope, new: NewInvitation) -> Result<InvitationId> {
        self.write_invitation(scope, new).await.map_err(|fault| fault.at("sessions.invite"))
    }

    async fn invitations(&self, scope: &Scope) -> Result<Vec<InvitationInfo>> {
        self.invitations_of(scope).await.map_err(|fault| fault.at("sessions.invitations"))
    }

    async fn withdraw(&self, scope: &Scope, invitation: InvitationId) -> Result<()> {
        self.withdraw_invitation(scope, invitation).await.map_err(|fault| fault.at("sessions.withdraw"))
    }
}

/// A link that was asked for and still works in the browser that asked.
struct Link {
    row: i64,
    email: Vec<u8>,
    email_index: [u8; 32],
    strangers: Strangers,
    invitation: Option<[u8; 32]>,
}

/// Where mail for the member with an address goes.
struct Mailbox {
    id: MemberId,
    active: bool,
    /// The address that is kept, sealed.
    email: Vec<u8>,
}

/// The member with an address.
struct Known {
    row: i64,
    id: MemberId,
    active: bool,
}

impl Engine {
    async fn ask_for_link(
        &self,
        community: CommunityId,
        new: NewSignIn,
        strangers: Strangers,
        invitation: Option<TokenHash>,
    ) -> Result<Option<String>, Fault> {
        let community = self.communities.of_scope(community).await?;
        let email = checked_email(&new.email)?;
        let index = community.email_index(email);
        let sealed = community.sign_in_key.seal(&place(community.id, new.token), email.as_bytes());
        let (token, typed) = (new.token, sealed.clone());
        let invitation = invitation.map(|hash| *hash.as_bytes());
        let now = micros(self.clock.now());
        let write = community.db.write(move |conn| {
            sweep(conn, now)?;
            conn.prepare_cached(
                "INSERT INTO sign_ins (hash, browser, email, email_index, strangers, invitation, expires)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                new.token.as_bytes(),
                new.browser.as_bytes(),
                sealed,
                index,
                strangers_name(strangers),
                invitation,
                micros(new.expires),
            ])?;
            // Both are looked up for every address, so that each takes the same time.
            let mailbox = mailbox(conn, &index)?;
            let welcome = invitations::welcome(conn, invitation.as_ref(), &index, strangers, now)?;
            Ok((mailbox, welcome.is_some()))
        });
        let (mailbox, welcome) = write.await?;
        // A key is looked up and an address opened for every address, for the same reason.
        let id = mailbox.as_ref().map_or(MemberId::from_bytes([0; 16]), |mailbox| mailbox.id);
        let keys = self.keys.members(community.id, vec![id]).await?;
        match mailbox {
            Some(Mailbox { active, email, .. }) => {
                let kept = opened_email(community.id, id, &email, keys.get(&id))?;
                Ok(kept.filter(|_| active))
            }
            None => {
                let typed = opened_link(&community, token, &typed)?;
                Ok(welcome.then_some(typed))
            }
        }
    }

    async fn redeem_link(
        &self,
        community: CommunityId,
        token: TokenHash,
        browser: TokenHash,
        session: NewSession,
        now: i64,
    ) -> Result<Option<SignedIn>, Fault> {
        let community = self.communities.of_scope(community).await?;
        // Looked up before it is used up, as who joins needs a key before the write that lets them in.
        let read = community.db.read(move |conn| {
            let Some(link) = find_link(conn, token, browser, now)? else { return Ok(None) };
            Ok(Some(match known(conn, &link.email_index)? {
                Some(_) => None,
                None => welcome(conn, &link, now)?.map(|_| link.email),
            }))
        });
        let joining = match read.await? {
            None => return Ok(None),
            Some(None) => None,
            Some(Some(sealed)) => {
                let email = opened_link(&community, token, &sealed)?;
                Some(self.prepare_member(&community, &name_of(&email), Some(&email)).await?)
            }
        };
        let prepared = joining.as_ref().map(|joining| joining.id);
        let id = SessionId::new(&*self.clock);
        let write = community.db.write(move |conn| {
            let Some(signed_in) = use_up(conn, token, browser, joining.as_ref(), id, now)? else {
                return Ok(None);
            };
            let (row, signed_in) = signed_in;
            insert(conn, row, id, &session, now)?;
            sweep(conn, now)?;
            Ok(Some(signed_in))
        });
        let outcome = write.await;
        if let Some(prepared) = prepared
            && !outcome.as_ref().is_ok_and(|signed_in| {
                signed_in.as_ref().is_some_and(|signed_in| signed_in.member == prepared)
            })
        {
            self.forget_unjoined(&community, prepared).await;
        }
        outcome
    }

    async fn sessions_of(&self, scope: &Scope) -> Result<Vec<SessionInfo>, Fault> {
        let own = self.own(scope, Action::ReadSelf).await?;
        let now = micros(self.clock.now());
        let member = own.member;
        let read = own.community.db.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT uuid, created, last_used, expires FROM sessions
                 WHERE member = (SELECT id FROM members WHERE uuid = ?) AND ends > ? ORDER BY id DESC",
            )?;
            let mut rows = statement.query(params![member.as_bytes(), now])?;
            let mut sessions = Vec::new();
            while let Some(row) = rows.next()? {
                sessions.push(SessionInfo {
                    id: SessionId::from_bytes(row.get(0)?),
                    created: time(row.get(1)?)?,
                    last_used: time(row.get(2)?)?,
                    expires: time(row.get(3)?)?,
                });
            }
            Ok(sessions)
        });
        read.await
    }

    async fn end_session(&self, scope: &Scope, session: SessionId) -> Result<(), Fault> {
        let own = self.own(scope, Action::WriteSelf).await?;
        let now = micros(self.clock.now());
        let member = own.member;
        let write = own.community.db.write(move |conn| {
            let row = conn
                .prepare_cached(
                    "SELECT id FROM sessions
                     WHERE uuid = ? AND member = (SELECT id FROM members WHERE uuid = ?) AND ends > ?",
                )?
                .query_row(params![session.as_bytes(), member.as_bytes(), now], |row| row.get::<_, i64>(0))
                .optional()?
                .ok_or(Fault::new(Kind::NotFound))?;
            conn.prepare_cached(
                "INSERT OR REPLACE INTO ended_sessions (hash, ended)
                 SELECT hash, ?2 FROM sessions WHERE id = ?1",
            )?
            .execute([row, now])?;
            conn.prepare_cached("DELETE FROM sessions WHERE id = ?")?.execute([row])?;
            Ok(())
        });
        write.await
    }

    async fn end_sessions_of(&self, scope: &Scope, member: MemberId) -> Result<usize, Fault> {
        let now = micros(self.clock.now());
        if scope.member() != Some(member) || !scope.may(Action::WriteSelf) {
            return self.change(scope, member, Role::Member, move |conn, row| end_all(conn, row, now)).await;
        }
        let community = self.communities.of_scope(scope.community()).await?;
        let write = community.db.write(move |conn| {
            let row = conn
                .prepare_cached("SELECT id FROM members WHERE uuid = ?")?
                .query_row([member.as_bytes()], |row| row.get(0))
                .optional()?
                .ok_or(Fault::new(Kind::NotFound))?;
            end_all(conn, row, now)
        });
        write.await
    }
}

/// Uses a link up: whose it is, by the file's own id too, and whether they joined by it.
fn use_up(
    conn: &Connection,
    token: TokenHash,
    browser: TokenHash,
    joining: Option<&Joining>,
    session: SessionId,
    now: i64,
) -> Result<Option<(i64, SignedIn)>, Fault> {
    let Some(link) = find_link(conn, token, browser, now)? else { return Ok(None) };
    let (row, member, joined) = match known(conn, &link.email_index)? {
        Some(known) if !known.active => return Ok(None),
        Some(known) => (known.row, known.id, false),
        None => {
            let (Some(joining), Some(welcome)) = (joining, welcome(conn, &link, now)?) else {
                return Ok(None);
            };
            (welcome.let_in(conn, joining)?, joining.id, true)
        }
    };
    conn.prepare_cached("DELETE FROM sign_ins WHERE id = ?")?.execute([link.row])?;
    Ok(Some((row, SignedIn { session, member, joined })))
}

fn find_link(
    conn: &Connection,
    token: TokenHash,
    browser: TokenHash,
    now: i64,
) -> Result<Option<Link>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT id, email, email_index, strangers, invitation FROM sign_ins
         WHERE hash = ? AND browser = ? AND expires > ?",
    )?;
    let mut rows = statement.query(params![token.as_bytes(), browser.as_bytes(), now])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Link {
        row: row.get(0)?,
        email: row.get(1)?,
        email_index: row.get(2)?,
        strangers: match row.get::<_, String>(3)?.as_str() {
            "join" => Strangers::Join,
            _ => Strangers::Refuse,
        },
        invitation: row.get(4)?,
    }))
}

fn mailbox(conn: &Connection, email_index: &[u8; 32]) -> Result<Option<Mailbox>, Fault> {
    Ok(conn
        .prepare_cached("SELECT uuid, status = 'active', email FROM members WHERE email_index = ?")?
        .query_row([email_index], |row| {
            Ok(Mailbox { id: MemberId::from_bytes(row.get(0)?), active: row.get(1)?, email: row.get(2)? })
        })
        .optional()?)
}

/// The address that a link was asked for with.
fn opened_link(community: &Community, token: TokenHash, sealed: &[u8]) -> Result<String, Fault> {
    let email = community.sign_in_key.open(&place(community.id, token), sealed).ok();
    email
        .and_then(|email| String::from_utf8(email).ok())
        .ok_or_else(|| Fault::because(Kind::Corrupt, "the address of a sign-in link does not open"))
}

fn known(conn: &Connection, email_index: &[u8; 32]) -> Result<Option<Known>, Fault> {
    Ok(conn
        .prepare_cached("SELECT id, uuid, status = 'active' FROM members WHERE email_index = ?")?
        .query_row([email_index], |row| {
            Ok(Known { row: row.get(0)?, id: MemberId::from_bytes(row.get(1)?), active: row.get(2)? })
        })
        .optional()?)
}

fn welcome(conn: &Connection, link: &Link, now: i64) -> Result<Option<Welcome>, Fault> {
    invitations::welcome(conn, link.invitation.as_ref(), &link.email_index, link.strangers, now)
}

fn insert(
    conn: &Connection,
    member: i64,
    id: SessionId,
    session: &NewSession,
    now: i64,
) -> Result<(), Fault> {
    let idle = i64::try_from(session.idle.as_micros()).map_or(LONGEST_IDLE, |idle| idle.min(LONGEST_IDLE));
    conn.prepare_cached(
        "INSERT INTO sessions (uuid, hash, member, created, last_used, expires, idle)
         VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)",
    )?
    .execute(params![
        id.as_bytes(),
        session.token.as_bytes(),
        member,
        now,
        micros(session.expires),
        idle
    ])?;
    Ok(())
}

/// Until when a session must have ended to be no longer known as one.
pub(crate) fn forgotten(now: i64) -> i64 {
    now.saturating_sub(i64::try_from(LAPSED_FOR.as_micros()).unwrap_or(i64::MAX))
}

/// Clears some of what has run out away, and tells how much. Of a session its hash and its end stay a while.
pub(crate) fn sweep(conn: &Connection, now: i64) -> Result<usize, Fault> {
    let links = conn
        .prepare_cached(
            "DELETE FROM sign_ins WHERE id IN (SELECT id FROM sign_ins WHERE expires <= ? LIMIT ?)",
        )?
        .execute([now, SWEEP])?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO ended_sessions (hash, ended)
         SELECT hash, ends FROM sessions WHERE ends <= ? ORDER BY ends, id LIMIT ?",
    )?
    .execute([now, SWEEP])?;
    let sessions = conn
        .prepare_cached(
            "DELETE FROM sessions
             WHERE id IN (SELECT id FROM sessions WHERE ends <= ? ORDER BY ends, id LIMIT ?)",
        )?
        .execute([now, SWEEP])?;
    let ended = conn
        .prepare_cached(
            "DELETE FROM ended_sessions
             WHERE hash IN (SELECT hash FROM ended_sessions WHERE ended <= ? LIMIT ?)",
        )?
        .execute([forgotten(now), SWEEP])?;
    Ok(links + sessions + ended)
}

fn end_all(conn: &Connection, member: i64, now: i64) -> Result<usize, Fault> {
    conn.prepare_cached(
        "DELETE FROM sign_ins WHERE email_index = (SELECT email_index FROM members WHERE id = ?)",
    )?
    .execute([member])?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO ended_sessions (hash, ended)
         SELECT hash, min(ends, ?2) FROM sessions WHERE member = ?1",
    )?
    .execute([member, now])?;
    let mut end = conn.prepare_cached("DELETE FROM sessions WHERE member = ? AND (ends > ?) = ?")?;
    end.execute(params![member, now, false])?;
    Ok(end.execute(params![member, now, true])?)
}

/// What the address of a link is bound to.
fn place(community: CommunityId, token: TokenHash) -> Vec<u8> {
    [b"sign_ins.email".as_slice(), community.as_bytes(), token.as_bytes()].concat()
}

/// How somebody is shown of whom only the address is known.
fn name_of(email: &str) -> String {
    email.split('@').next().unwrap_or_default().chars().take(NAME_CHARS).collect()
}

const fn strangers_name(strangers: Strangers) -> &'static str {
    match strangers {
        Strangers::Refuse => "refuse",
        Strangers::Join => "join",
    }
}
