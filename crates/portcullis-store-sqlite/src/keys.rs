//! The keys port: API keys, by hash.

use async_trait::async_trait;
use portcullis_core::{Action, Actor, KeyAbility, KeyBounds, KeyId, MemberId, Role, Scope};
use portcullis_store::{KeyActor, KeyInfo, Keys, Kind, NewKey, Result};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;
use crate::invitations::{maker, written};
use crate::spaces::plan_row;
use crate::stores::Engine;
use crate::value::{abilities, abilities_text, micros, name, optional_time, role, time};

#[async_trait]
impl Keys for Engine {
    async fn create(&self, scope: &Scope, new: NewKey) -> Result<KeyInfo> {
        self.create_key(scope, new).await.map_err(|fault| fault.at("keys.create"))
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<KeyInfo>> {
        self.keys_of(scope).await.map_err(|fault| fault.at("keys.list"))
    }

    async fn revoke(&self, scope: &Scope, key: KeyId) -> Result<()> {
        self.revoke_key(scope, key).await.map_err(|fault| fault.at("keys.revoke"))
    }
}

impl Engine {
    async fn create_key(&self, scope: &Scope, new: NewKey) -> Result<KeyInfo, Fault> {
        let community = self.allowed(scope, Action::WriteKeys).await?;
        name(&new.name)?;
        within_its_maker(scope, &new)?;
        let (id, maker) = (KeyId::new(&*self.clock), scope.clone());
        let (maker_kind, made_by) =
            written(scope.key().map_or(scope.actor(), |bounds| Actor::Key(bounds.key)));
        let created = micros(self.clock.now());
        let write = community.db.write(move |conn| {
            let (member, own, ceiling) = match &new.actor {
                KeyActor::Member(member) => {
                    let (row, ceiling) = of_member(conn, &maker, *member, new.ceiling)?;
                    (Some(row), None, ceiling)
                }
                KeyActor::Backend { .. } if new.ceiling.is_some() => {
                    return Err(Fault::because(
                        Kind::Invalid,
                        "a back end acts with its role, and has no ceiling",
                    ));
                }
                KeyActor::Backend { role, .. } => (None, Some(role.name()), *role),
            };
            conn.prepare_cached(
                "INSERT INTO keys (uuid, hash, name, hint, member, role, ceiling, abilities, created, expires, maker_kind, maker)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                id.as_bytes(),
                new.hash.as_bytes(),
                new.name,
                new.hint,
                member,
                own,
                ceiling.name(),
                abilities_text(new.abilities),
                created,
                new.expires.map(micros),
                maker_kind,
                made_by,
            ])?;
            let row = conn.last_insert_rowid();
            if let KeyActor::Backend { plans, .. } = &new.actor {
                for plan in plans {
                    let plan = plan_row(conn, plan)?;
                    conn.prepare_cached(
                        "INSERT INTO key_plans (key, plan) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    )?
                    .execute([row, plan])?;
                }
            }
            select(conn, "WHERE keys.id = ?", Some(row))?.pop().ok_or(Fault::new(Kind::NotFound))
        });
        write.await
    }

    async fn keys_of(&self, scope: &Scope) -> Result<Vec<KeyInfo>, Fault> {
        let community = self.allowed(scope, Action::WriteKeys).await?;
        community.db.read(|conn| select(conn, "ORDER BY keys.id DESC", None)).await
    }

    async fn revoke_key(&self, scope: &Scope, key: KeyId) -> Result<(), Fault> {
        let community = self.allowed(scope, Action::WriteKeys).await?;
        let now = micros(self.clock.now());
        let (own, standing) = (scope.member(), scope.role());
        let write = community.db.write(move |conn| {
            let found = conn
                .prepare_cached(
                    "SELECT keys.id, members.uuid, coalesce(keys.role, members.role)
                     FROM keys LEFT JOIN members ON members.id = keys.member WHERE keys.uuid = ?",
                )?
                .query_row([key.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)))
                .optional()?;
            let (row, whose, acts): (i64, Option<[u8; 16]>, _) = found.ok_or(Fault::new(Kind::NotFound))?;
            let theirs = whose.is_none() || whose.map(MemberId::from_bytes) != own;
            if theirs && role(&acts)? > standing {
                return Err(Fault::because(Kind::Forbidden, "the key acts for somebody above you"));
            }
            conn.prepare_cached("UPDATE keys SET revoked = coalesce(revoked, ?) WHERE id = ?")?
                .execute([now, row])?;
            Ok(())
        });
        write.await
    }
}

/// Refuses a key that may do more than who makes it, that would be another member, or that outdoes the key it is made
/// with.
fn within_its_maker(scope: &Scope, new: &NewKey) -> Result<(), Fault> {
    let (wanted, theirs) = match &new.actor {
        KeyActor::Member(member) => {
            (new.ceiling, scope.member() != Some(*member) && scope.actor() != Actor::Operator)
        }
        KeyActor::Backend { role, .. } => (Some(*role), false),
    };
    if wanted.is_some_and(|wanted| wanted > scope.role()) {
        return Err(Fault::because(Kind::Forbidden, "the key would act with a role above your own"));
    }
    if theirs
        && [KeyAbility::Personal, KeyAbility::Manage].into_iter().any(|ability| new.abilities.has(ability))
    {
        let why = "a key for `personal` or `manage` acts for nobody but the member who makes it";
        return Err(Fault::because(Kind::Forbidden, why));
    }
    let Some(KeyBounds { expires, .. }) = scope.key() else { return Ok(()) };
    if !new.abilities.is_within(scope.abilities()) {
        return Err(Fault::because(
            Kind::Forbidden,
            "the key that makes it does not have all of these abilities",
        ));
    }
    if expires.is_some_and(|end| new.expires.is_none_or(|later| later > end)) {
        return Err(Fault::because(Kind::Forbidden, "it would last longer than the key that makes it"));
    }
    Ok(())
}

/// The file's own id of the member whom a key is to act for, and the key's ceiling.
fn of_member(
    conn: &Connection,
    maker: &Scope,
    member: MemberId,
    wanted: Option<Role>,
) -> Result<(i64, Role), Fault> {
    let found = conn
        .prepare_cached("SELECT id, role FROM members WHERE uuid = ?")?
        .query_row([member.as_bytes()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let (row, current) = found.ok_or_else(|| Fault::because(Kind::Invalid, "no member has that id"))?;
    let current = role(&current)?;
    if maker.member() != Some(member) && current > maker.role() {
        return Err(Fault::because(Kind::Forbidden, "the key would act for somebody above you"));
    }
    if wanted.is_some_and(|wanted| wanted > current) {
        return Err(Fault::because(Kind::Invalid, "a key has no ceiling above what its member is"));
    }
    Ok((row, wanted.unwrap_or_else(|| current.min(maker.role()))))
}

/// Keys that a fixed `condition` with at most one bound value selects.
fn select(conn: &Connection, condition: &'static str, value: Option<i64>) -> Result<Vec<KeyInfo>, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT keys.id, keys.uuid, keys.name, keys.hint, members.uuid, keys.role, keys.abilities, keys.created,
                keys.expires, keys.revoked, keys.ceiling, keys.maker_kind, keys.maker
         FROM keys LEFT JOIN members ON members.id = keys.member {condition}"
    ))?;
    let mut rows = statement.query(rusqlite::params_from_iter(value))?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let actor = match row.get::<_, Option<[u8; 16]>>(4)? {
            Some(member) => KeyActor::Member(MemberId::from_bytes(member)),
            None => {
                KeyActor::Backend { role: role(&row.get::<_, String>(5)?)?, plans: plans(conn, row.get(0)?)? }
            }
        };
        keys.push(KeyInfo {
            id: KeyId::from_bytes(row.get(1)?),
            name: row.get(2)?,
            actor,
            ceiling: role(&row.get::<_, String>(10)?)?,
            abilities: abilities(&row.get::<_, String>(6)?)?,
            expires: optional_time(row.get(8)?)?,
            hint: row.get(3)?,
            made_by: maker(row.get::<_, Option<String>>(11)?.as_deref(), row.get(12)?)?,
            created: time(row.get(7)?)?,
            revoked: optional_time(row.get(9)?)?,
        });
    }
    Ok(keys)
}

fn plans(conn: &Connection, key: i64) -> Result<Vec<String>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT slug FROM key_plans JOIN plans ON plans.id = plan WHERE key = ? ORDER BY slug",
    )?;
    let plans = statement.query_map([key], |row| row.get(0))?;
    Ok(plans.collect::<Result<_, _>>()?)
}
