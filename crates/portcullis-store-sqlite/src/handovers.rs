//! The handovers port: the moderators' queue. What was asked is sealed with the asker's own key; every statement runs in the
//! file of the scope's community, so there is no other queue to reach.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{Action, Actor, HandoverId, MemberId, Scope};
use portcullis_store::handovers::{LONGEST_HANDOVER, LONGEST_REASON, MOST_HANDOVERS};
use portcullis_store::{Acknowledged, Handover, Handovers, Kind, NewHandover, Queued, Result, Room};
use rusqlite::{Connection, Row, params};

use crate::communities::Community;
use crate::fault::Fault;
use crate::invitations::{maker, written};
use crate::own::{Own, OwnKey};
use crate::queue::{refused, remove_older};
use crate::stores::Engine;
use crate::value::{micros, optional_time, time};

const TEXT: &str = "handovers.text";
const COLUMNS: &str = "uuid, asker_kind, asker, reason, text, created, noted, noter_kind, noter";

#[async_trait]
impl Handovers for Engine {
    async fn queue(&self, scope: &Scope, new: NewHandover, room: Room) -> Result<Queued> {
        self.queue_handover(scope, new, room).await.map_err(|fault| fault.at("handovers.queue"))
    }

    async fn list(&self, scope: &Scope, since: Timestamp) -> Result<Vec<Handover>> {
        self.handovers_since(scope, since).await.map_err(|fault| fault.at("handovers.list"))
    }

    async fn acknowledge(&self, scope: &Scope, id: HandoverId, since: Timestamp) -> Result<Handover> {
        self.acknowledge_handover(scope, id, since).await.map_err(|fault| fault.at("handovers.acknowledge"))
    }
}

/// An entry as the file keeps it.
struct Sealed {
    id: HandoverId,
    asker: Actor,
    reason: String,
    text: Vec<u8>,
    created: i64,
    noted: Option<(Actor, i64)>,
}

/// What opens the texts of one asker; none once it is destroyed.
pub(crate) enum Opener {
    Member(Option<OwnKey>),
    Community,
}

impl Engine {
    async fn queue_handover(&self, scope: &Scope, new: NewHandover, room: Room) -> Result<Queued, Fault> {
        let community = self.allowed(scope, Action::Ask).await?;
        let NewHandover { id, reason, text } = new;
        if text.trim().is_empty() || !(1..=LONGEST_REASON).contains(&reason.len()) {
            return Err(Fault::because(
                Kind::Invalid,
                "a question that is handed over has words and a reason",
            ));
        }
        let text: String = text.chars().take(LONGEST_HANDOVER).collect();
        let sealed = match scope.member() {
            Some(member) => {
                let own = Own { community: Arc::clone(&community), member };
                self.own_key_to_begin(&own).await?.seal(TEXT, &[id.as_bytes()], &text)
            }
            None => community.handover_key.seal(&place(&community, id), text.as_bytes()),
        };
        let actor = scope.actor();
        let (asker_kind, asker) = written(actor);
        let now = micros(self.clock.now());
        let write = community.db.write(move |conn| {
            remove_older(conn, "handovers", "FALSE", room.since)?;
            if let Some(queued) = refused(conn, ("handovers", "noted IS NULL"), id.as_bytes(), actor, room)? {
                return Ok(queued);
            }
            conn.prepare_cached(
                "INSERT INTO handovers (uuid, asker_kind, asker, reason, text, created) VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![id.as_bytes(), asker_kind, asker, reason, sealed, now])?;
            // What was taken note of is bounded too: the oldest of it goes.
            conn.prepare_cached(
                "DELETE FROM handovers WHERE noted IS NOT NULL AND id NOT IN
                 (SELECT id FROM handovers WHERE noted IS NOT NULL ORDER BY created DESC LIMIT ?)",
            )?
            .execute([i64::try_from(room.open).unwrap_or(i64::MAX)])?;
            Ok(Queued::Kept)
        });
        write.await
    }

    async fn handovers_since(&self, scope: &Scope, since: Timestamp) -> Result<Vec<Handover>, Fault> {
        let community = self.allowed(scope, Action::HandleHandovers).await?;
        let since = micros(since);
        let read = community.db.read(move |conn| {
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM handovers WHERE created >= ?
                 ORDER BY noted IS NOT NULL, created, id LIMIT ?",
            ))?;
            let mut rows =
                statement.query(params![since, i64::try_from(MOST_HANDOVERS).unwrap_or(i64::MAX)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(sealed(row)?);
            }
            Ok(found)
        });
        let found = read.await?;
        let mut openers = HashMap::new();
        let mut opened = Vec::with_capacity(found.len());
        for sealed in found {
            let asker = sealed.asker;
            let opener = match openers.remove(&asker) {
                Some(known) => known,
                None => self.opener(&community, asker).await?,
            };
            opened.push(open(&community, &opener, sealed)?);
            openers.insert(asker, opener);
        }
        Ok(opened)
    }

    async fn acknowledge_handover(
        &self,
        scope: &Scope,
        id: HandoverId,
        since: Timestamp,
    ) -> Result<Handover, Fault> {
        let community = self.allowed(scope, Action::HandleHandovers).await?;
        let (kind, noter) = written(scope.actor());
        let (now, since) = (micros(self.clock.now()), micros(since));
        let write = community.db.write(move |conn| {
            conn.prepare_cached(
                "UPDATE handovers SET noted = ?, noter_kind = ?, noter = ?
                 WHERE uuid = ? AND created >= ? AND noted IS NULL",
            )?
            .execute(params![now, kind, noter, id.as_bytes(), since])?;
            find(conn, id, since)?.ok_or(Fault::new(Kind::NotFound))
        });
        let sealed = write.await?;
        let opener = self.opener(&community, sealed.asker).await?;
        open(&community, &opener, sealed)
    }

    /// What opens what that asker sealed.
    pub(crate) async fn opener(&self, community: &Arc<Community>, asker: Actor) -> Result<Opener, Fault> {
        match asker {
            Actor::Member(member) => self.member_opener(community, member).await,
            Actor::Key(_) | Actor::Operator => Ok(Opener::Community),
        }
    }

    async fn member_opener(&self, community: &Arc<Community>, member: MemberId) -> Result<Opener, Fault> {
        let own = Own { community: Arc::clone(community), member };
        match self.own_key(&own).await {
            Ok(key) => Ok(Opener::Member(key)),
            // Who never had a key asked nothing that can be opened.
            Err(fault) if fault.kind() == Kind::NotFound => Ok(Opener::Member(None)),
            Err(fault) => Err(fault),
        }
    }
}

/// What a text is bound to that no member's key seals.
fn place(community: &Community, id: HandoverId) -> Vec<u8> {
    [TEXT.as_bytes(), community.id.as_bytes(), id.as_bytes()].concat()
}

fn find(conn: &Connection, id: HandoverId, since: i64) -> Result<Option<Sealed>, Fault> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM handovers WHERE uuid = ? AND created >= ?"))?;
    let mut rows = statement.query(params![id.as_bytes(), since])?;
    rows.next()?.map(sealed).transpose()
}

fn sealed(row: &Row<'_>) -> Result<Sealed, Fault> {
    let actor = |kind: Option<String>, id| maker(kind.as_deref(), id);
    let asker = actor(row.get(1)?, row.get(2)?)?;
    let noted: Option<i64> = row.get(6)?;
    let noter = actor(row.get(7)?, row.get(8)?)?;
    Ok(Sealed {
        id: HandoverId::from_bytes(row.get(0)?),
        asker: asker.ok_or_else(|| Fault::because(Kind::Corrupt, "it is not readable who asked"))?,
        reason: row.get(3)?,
        text: row.get(4)?,
        created: row.get(5)?,
        noted: noter.zip(noted),
    })
}

fn open(community: &Community, opener: &Opener, sealed: Sealed) -> Result<Handover, Fault> {
    let Sealed { id, asker, reason, text, created, noted } = sealed;
    let text = match opener {
        Opener::Member(None) => None,
        Opener::Member(Some(key)) => Some(key.open(TEXT, &[id.as_bytes()], &text)?),
        Opener::Community => {
            let opened = community.handover_key.open(&place(community, id), &text).ok();
            let opened = opened.and_then(|plain| String::from_utf8(plain).ok());
            let corrupt = || Fault::because(Kind::Corrupt, "a question that was handed over does not open");
            Some(opened.ok_or_else(corrupt)?)
        }
    };
    let acknowledged = match noted {
        None => None,
        Some((by, at)) => optional_time(Some(at))?.map(|at| Acknowledged { by, at }),
    };
    Ok(Handover { id, asker, reason, text, created: time(created)?, acknowledged })
}
