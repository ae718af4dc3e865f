//! The memories port. Facts are sealed with the member's own key; every statement is bound to the scope's member.

use async_trait::async_trait;
use portcullis_core::{Action, MemberId, MemoryId, Scope};
use portcullis_store::memories::{LONGEST_MEMORY, MOST_MEMORIES};
use portcullis_store::{Kind, Memories, Memory, Result};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::fault::Fault;
use crate::own::OwnKey;
use crate::stores::Engine;
use crate::value::{micros, time};

const TEXT: &str = "memories.text";

#[async_trait]
impl Memories for Engine {
    async fn add(&self, scope: &Scope, id: MemoryId, text: &str) -> Result<Memory> {
        self.add_memory(scope, id, text).await.map_err(|fault| fault.at("memories.add"))
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Memory>> {
        self.memories_of(scope).await.map_err(|fault| fault.at("memories.list"))
    }

    async fn get(&self, scope: &Scope, id: MemoryId) -> Result<Memory> {
        self.memory(scope, id).await.map_err(|fault| fault.at("memories.get"))
    }

    async fn change(&self, scope: &Scope, id: MemoryId, text: &str) -> Result<Memory> {
        self.change_memory(scope, id, text).await.map_err(|fault| fault.at("memories.change"))
    }

    async fn remove(&self, scope: &Scope, id: MemoryId) -> Result<()> {
        self.remove_memory(scope, id).await.map_err(|fault| fault.at("memories.remove"))
    }
}

/// A memory as the file keeps it.
struct Sealed {
    id: MemoryId,
    text: Vec<u8>,
    created: i64,
    updated: i64,
}

impl Engine {
    async fn add_memory(&self, scope: &Scope, id: MemoryId, text: &str) -> Result<Memory, Fault> {
        let own = self.own(scope, Action::WriteOwnMemories).await?;
        checked(text)?;
        let key = self.own_key_to_begin(&own).await?;
        let text = key.seal(TEXT, &[id.as_bytes()], text);
        let (member, now) = (own.member, micros(self.clock.now()));
        let write = own.community.db.write(move |conn| {
            if let Some(present) = find(conn, member, id)? {
                return Ok(present);
            }
            insert(conn, member, id, &text, now)?;
            find(conn, member, id)?.ok_or(Fault::new(Kind::NotFound))
        });
        open(&key, write.await?)
    }

    async fn memories_of(&self, scope: &Scope) -> Result<Vec<Memory>, Fault> {
        let own = self.own(scope, Action::ReadOwnMemories).await?;
        let member = own.member;
        let read = own.community.db.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT uuid, text, created, updated FROM memories
                 WHERE member = (SELECT id FROM members WHERE uuid = ?) ORDER BY id",
            )?;
            let found = statement.query_map([member.as_bytes()], sealed)?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        });
        let found = read.await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let Some(key) = self.own_key(&own).await? else { return Ok(Vec::new()) };
        found.into_iter().map(|sealed| open(&key, sealed)).collect()
    }

    async fn memory(&self, scope: &Scope, id: MemoryId) -> Result<Memory, Fault> {
        let own = self.own(scope, Action::ReadOwnMemories).await?;
        let member = own.member;
        let found = own.community.db.read(move |conn| find(conn, member, id)).await?;
        let found = found.ok_or(Fault::new(Kind::NotFound))?;
        open(&self.own_key_to_go_on(&own).await?, found)
    }

    async fn change_memory(&self, scope: &Scope, id: MemoryId, text: &str) -> Result<Memory, Fault> {
        let own = self.own(scope, Action::WriteOwnMemories).await?;
        checked(text)?;
        let key = self.own_key_to_go_on(&own).await?;
        let text = key.seal(TEXT, &[id.as_bytes()], text);
        let (member, now) = (own.member, micros(self.clock.now()));
        let write = own.community.db.write(move |conn| {
            conn.prepare_cached(
                "UPDATE memories SET text = ?, updated = ?
                 WHERE uuid = ? AND member = (SELECT id FROM members WHERE uuid = ?)",
            )?
            .execute(params![text, now, id.as_bytes(), member.as_bytes()])?;
            find(conn, member, id)?.ok_or(Fault::new(Kind::NotFound))
        });
        open(&key, write.await?)
    }

    async fn remove_memory(&self, scope: &Scope, id: MemoryId) -> Result<(), Fault> {
        let own = self.own(scope, Action::WriteOwnMemories).await?;
        let member = own.member;
        let write = own.community.db.write(move |conn| {
            let removed = conn
                .prepare_cached(
                    "DELETE FROM memories WHERE uuid = ? AND member = (SELECT id FROM members WHERE uuid = ?)",
                )?
                .execute(params![id.as_bytes(), member.as_bytes()])?;
            if removed == 0 { Err(Fault::new(Kind::NotFound)) } else { Ok(()) }
        });
        write.await
    }
}

fn sealed(row: &Row<'_>) -> Result<Sealed, rusqlite::Error> {
    Ok(Sealed {
        id: MemoryId::from_bytes(row.get(0)?),
        text: row.get(1)?,
        created: row.get(2)?,
        updated: row.get(3)?,
    })
}

fn find(conn: &Connection, member: MemberId, id: MemoryId) -> Result<Option<Sealed>, Fault> {
    Ok(conn
        .prepare_cached(
            "SELECT uuid, text, created, updated FROM memories
             WHERE uuid = ? AND member = (SELECT id FROM members WHERE uuid = ?)",
        )?
        .query_row(params![id.as_bytes(), member.as_bytes()], sealed)
        .optional()?)
}

fn insert(conn: &Connection, member: MemberId, id: MemoryId, text: &[u8], now: i64) -> Result<(), Fault> {
    let row: i64 = conn
        .prepare_cached("SELECT id FROM members WHERE uuid = ?")?
        .query_row([member.as_bytes()], |row| row.get(0))
        .optional()?
        .ok_or(Fault::new(Kind::NotFound))?;
    let present: u32 = conn
        .prepare_cached("SELECT count(*) FROM memories WHERE member = ?")?
        .query_row([row], |row| row.get(0))?;
    if present as usize >= MOST_MEMORIES {
        return Err(Fault::because(
            Kind::Invalid,
            format!("a member has at most {MOST_MEMORIES} memories: remove some"),
        ));
    }
    conn.prepare_cached(
        "INSERT INTO memories (uuid, member, text, created, updated) VALUES (?1, ?2, ?3, ?4, ?4)",
    )?
    .execute(params![id.as_bytes(), row, text, now])?;
    Ok(())
}

fn open(key: &OwnKey, sealed: Sealed) -> Result<Memory, Fault> {
    Ok(Memory {
        id: sealed.id,
        text: key.open(TEXT, &[sealed.id.as_bytes()], &sealed.text)?,
        created: time(sealed.created)?,
        updated: time(sealed.updated)?,
    })
}

fn checked(text: &str) -> Result<(), Fault> {
    if !text.trim().is_empty() && text.chars().count() <= LONGEST_MEMORY {
        return Ok(());
    }
    Err(Fault::because(Kind::Invalid, format!("a memory is 1 to {LONGEST_MEMORY} characters")))
}
