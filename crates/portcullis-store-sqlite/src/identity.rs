//! The identity port: keys and standings, from memory where that is provably current.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{CommunityId, KeyId, MemberId, Role, SpaceId, TokenHash};
use portcullis_store::{Identity, KeyIdentity, Result, SessionIdentity, Standing};
use rusqlite::{Connection, OptionalExtension, named_params, params};

use crate::fault::Fault;
use crate::identity_cache::Dated;
use crate::stores::Engine;
use crate::value::{abilities, micros, optional_time, role};

#[async_trait]
impl Identity for Engine {
    async fn key(
        &self,
        community: CommunityId,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<KeyIdentity>> {
        const OP: &str = "identity.key";
        let Some(community) = self.communities.find(community).await.map_err(|fault| fault.at(OP))? else {
            return Ok(None);
        };
        let seen = {
            let mut identities = community.identities.lock();
            let seen = identities.refresh();
            if let Some(found) = seen.and_then(|_| identities.key(&hash, now)) {
                return Ok(Some(found));
            }
            seen
        };
        let found =
            community.db.read(move |conn| find_key(conn, &hash, now)).await.map_err(|fault| fault.at(OP))?;
        // What does not exist is not remembered, so guesses push nothing out.
        if let (Some(seen), Some(found)) = (seen, &found) {
            community.identities.lock().remember_key(seen, hash, found.clone());
        }
        Ok(found.map(|dated| dated.answer))
    }

    async fn standing(
        &self,
        community: CommunityId,
        member: MemberId,
        now: Timestamp,
    ) -> Result<Option<Standing>> {
        const OP: &str = "identity.standing";
        let Some(community) = self.communities.find(community).await.map_err(|fault| fault.at(OP))? else {
            return Ok(None);
        };
        let seen = {
            let mut identities = community.identities.lock();
            let seen = identities.refresh();
            if let Some(found) = seen.and_then(|_| identities.standing(member, now)) {
                return Ok(Some(found));
            }
            seen
        };
        let found = community
            .db
            .read(move |conn| {
                let id = conn
                    .prepare_cached("SELECT id FROM members WHERE uuid = ?")?
                    .query_row([member.as_bytes()], |row| row.get(0))
                    .optional()?;
                id.map_or(Ok(None), |id| member_standing(conn, id, Role::Owner, now))
            })
            .await
            .map_err(|fault| fault.at(OP))?;
        if let (Some(seen), Some(found)) = (seen, &found) {
            community.identities.lock().remember_standing(seen, member, found.clone());
        }
        Ok(found.map(|dated| dated.answer))
    }

    async fn session(
        &self,
        community: CommunityId,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<SessionIdentity>> {
        let found = self.session_identity(community, hash, micros(now));
        found.await.map_err(|fault| fault.at("identity.session"))
    }

    async fn lapsed_session(&self, community: CommunityId, hash: TokenHash, now: Timestamp) -> Result<bool> {
        let lapsed = self.session_has_lapsed(community, hash, micros(now));
        lapsed.await.map_err(|fault| fault.at("identity.lapsed_session"))
    }

    async fn subject(
        &self,
        community: CommunityId,
        issuer: &str,
        subject: &str,
        now: Timestamp,
    ) -> Result<Option<(MemberId, Standing)>> {
        let member = self.member_of_subject(community, issuer, subject);
        let Some(member) = member.await.map_err(|fault| fault.at("identity.subject"))? else {
            return Ok(None);
        };
        Ok(self.standing(community, member, now).await?.map(|standing| (member, standing)))
    }
}

/// The key with that hash, if it may be used at `now`.
fn find_key(
    conn: &Connection,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<Option<Dated<KeyIdentity>>, Fault> {
    struct Row {
        id: i64,
        uuid: [u8; 16],
        member: Option<i64>,
        member_uuid: Option<[u8; 16]>,
        role: Option<String>,
        ceiling: String,
        abilities: String,
        expires: Option<i64>,
    }
    let row = conn
        .prepare_cached(
            "SELECT keys.id, keys.uuid, keys.member, members.uuid, keys.role, keys.ceiling, keys.abilities,
                    keys.expires
             FROM keys LEFT JOIN members ON members.id = keys.member
             WHERE keys.hash = ? AND keys.revoked IS NULL AND (keys.expires IS NULL OR keys.expires > ?)",
        )?
        .query_row(params![hash.as_bytes(), micros(now)], |row| {
            Ok(Row {
                id: row.get(0)?,
                uuid: row.get(1)?,
                member: row.get(2)?,
                member_uuid: row.get(3)?,
                role: row.get(4)?,
                ceiling: row.get(5)?,
                abilities: row.get(6)?,
                expires: row.get(7)?,
            })
        })
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let standing = match (row.member, &row.role) {
        (Some(member), _) => member_standing(conn, member, role(&row.ceiling)?, now)?,
        (None, own) => Some(backend_standing(conn, row.id, role(own.as_deref().unwrap_or_default())?, now)?),
    };
    let Some(standing) = standing else { return Ok(None) };
    Ok(Some(Dated {
        answer: KeyIdentity {
            key: KeyId::from_bytes(row.uuid),
            member: row.member_uuid.map(MemberId::from_bytes),
            abilities: abilities(&row.abilities)?,
            expires: optional_time(row.expires)?,
            standing: standing.answer,
        },
        from: standing.from,
        until: standing.until.min(row.expires.unwrap_or(i64::MAX)),
    }))
}

/// The standing of an active member, by the file's own id, for who acts for them with a role up to the ceiling.
pub(crate) fn member_standing(
    conn: &Connection,
    member: i64,
    ceiling: Role,
    now: Timestamp,
) -> Result<Option<Dated<Standing>>, Fault> {
    let now = micros(now);
    let own = conn
        .prepare_cached("SELECT role FROM members WHERE id = ? AND status = 'active'")?
        .query_row([member], |row| row.get::<_, String>(0))
        .optional()?;
    let Some(own) = own else { return Ok(None) };
    let own = role(&own)?.min(ceiling);
    if own.is_staff() {
        return Ok(Some(Dated { answer: staff(conn, own)?, from: now, until: i64::MAX }));
    }
    let spaces = spaces(
        conn,
        "SELECT uuid FROM spaces WHERE access = 'members' OR access = 'plans' AND id IN (
             SELECT space FROM space_plans JOIN entitlements USING (plan)
             WHERE member = :actor AND (until IS NULL OR until > :now)) ORDER BY id",
        named_params! { ":actor": member, ":now": now },
    )?;
    let until = conn
        .prepare_cached("SELECT min(until) FROM entitlements WHERE member = ? AND until > ?")?
        .query_row([member, now], |row| row.get::<_, Option<i64>>(0))?;
    let answer = Standing { role: own, spaces };
    Ok(Some(Dated { answer, from: now, until: until.unwrap_or(i64::MAX) }))
}

/// The standing of a key that acts with a role and plans of its own.
fn backend_standing(
    conn: &Connection,
    key: i64,
    role: Role,
    now: Timestamp,
) -> Result<Dated<Standing>, Fault> {
    let answer = if role.is_staff() {
        staff(conn, role)?
    } else {
        let spaces = spaces(
            conn,
            "SELECT uuid FROM spaces WHERE access = 'members' OR access = 'plans' AND id IN (
                 SELECT space FROM space_plans JOIN key_plans USING (plan) WHERE key = :actor) ORDER BY id",
            named_params! { ":actor": key },
        )?;
        Standing { role, spaces }
    };
    Ok(Dated { answer, from: micros(now), until: i64::MAX })
}

fn staff(conn: &Connection, role: Role) -> Result<Standing, Fault> {
    Ok(Standing { role, spaces: spaces(conn, "SELECT uuid FROM spaces ORDER BY id", &[])? })
}

fn spaces(
    conn: &Connection,
    sql: &str,
    values: &[(&str, &dyn rusqlite::ToSql)],
) -> Result<Arc<[SpaceId]>, Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    let spaces = statement.query_map(values, |row| row.get(0).map(SpaceId::from_bytes))?;
    Ok(spaces.collect::<Result<_, _>>()?)
}
