//! The approvals port: calls of tools that wait for a person. Every step is one statement in a write of its own, which names the
//! state that it leaves: of all who try to take it, one changes a row. Every statement runs in the file of the scope's community.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::seal::SealKey;
use portcullis_core::{Action, Actor, ApprovalId, ConversationId, MemberId, Scope};
use portcullis_store::approvals::{LONGEST_APPROVAL, LONGEST_UNDER_WAY, MOST_APPROVALS};
use portcullis_store::{
    Approval, ApprovalState, Approvals, Decided, Decision, Ended, Kind, NewApproval, Queued, Removed, Result,
    Room, Step,
};
use rusqlite::{Connection, Row, params};

use crate::communities::Community;
use crate::fault::Fault;
use crate::handovers::Opener;
use crate::invitations::{maker, written};
use crate::own::{Own, OwnKey};
use crate::queue::{refused, remove_older};
use crate::stores::Engine;
use crate::value::{micros, time};

const ARGUMENTS: &str = "approvals.arguments";
const QUESTION: &str = "approvals.question";
const RESULT: &str = "approvals.result";
const COLUMNS: &str = "uuid, asker_kind, asker, tool, pin, arguments, question, result, created, expires, state, begun, \
    decided, decider_kind, decider";
/// The same for lists: what came of a call, and to those who decide the question, is read one by one or not at all.
const LISTED: &str = "uuid, asker_kind, asker, tool, pin, arguments, x'' AS question, NULL AS result, created, expires, state, \
    begun, decided, decider_kind, decider";
const OWN_LISTED: &str = "uuid, asker_kind, asker, tool, pin, arguments, question, NULL AS result, created, expires, state, \
    begun, decided, decider_kind, decider";
/// How many calls that are over are kept for each that may wait.
const OVER: usize = 5;
/// What belongs to a conversation of its asker's that is not there.
const LOOSE: &str = "conversation IS NOT NULL AND NOT EXISTS (
     SELECT 1 FROM conversations JOIN members ON members.id = member
     WHERE conversations.uuid = approvals.conversation AND members.uuid = approvals.asker)";
/// What nobody has seen expire yet. It is removed where that is told.
const WAITS: &str = "state IN ('pending', 'approved')";
/// What may still be decided or begun.
const OPEN: &str = "state IN ('pending', 'approved') AND expires > ";

#[async_trait]
impl Approvals for Engine {
    async fn request(&self, scope: &Scope, new: NewApproval, room: Room) -> Result<Queued> {
        self.request_approval(scope, new, room).await.map_err(|fault| fault.at("approvals.request"))
    }

    async fn list(&self, scope: &Scope, since: Timestamp) -> Result<Vec<Approval>> {
        self.approvals_since(scope, since).await.map_err(|fault| fault.at("approvals.list"))
    }

    async fn own(&self, scope: &Scope, since: Timestamp) -> Result<Vec<Approval>> {
        self.own_approvals(scope, since).await.map_err(|fault| fault.at("approvals.own"))
    }

    async fn get(&self, scope: &Scope, id: ApprovalId) -> Result<Approval> {
        self.approval(scope, id).await.map_err(|fault| fault.at("approvals.get"))
    }

    async fn decide(&self, scope: &Scope, id: ApprovalId, decision: Decision) -> Result<Step> {
        self.decide_approval(scope, id, decision).await.map_err(|fault| fault.at("approvals.decide"))
    }

    async fn begin(&self, scope: &Scope, id: ApprovalId) -> Result<Step> {
        self.begin_approval(scope, id).await.map_err(|fault| fault.at("approvals.begin"))
    }

    async fn finish(&self, scope: &Scope, id: ApprovalId, ended: Ended, result: String) -> Result<Step> {
        self.finish_approval(scope, id, ended, result).await.map_err(|fault| fault.at("approvals.finish"))
    }

    async fn expire(&self, scope: &Scope, since: Timestamp) -> Result<Vec<ApprovalId>> {
        self.expire_approvals(scope, since).await.map_err(|fault| fault.at("approvals.expire"))
    }
}

/// An entry as the file keeps it.
struct Sealed {
    id: ApprovalId,
    asker: Actor,
    tool: String,
    pin: String,
    arguments: Vec<u8>,
    question: Vec<u8>,
    result: Option<Vec<u8>>,
    created: i64,
    expires: i64,
    state: ApprovalState,
    begun: Option<i64>,
    decided: Option<(Actor, i64)>,
}

/// What a scope stands on: its member, and the key that it came by.
struct Credentials {
    member: Option<[u8; 16]>,
    key: Option<[u8; 16]>,
}

impl Credentials {
    fn of(scope: &Scope) -> Self {
        let key = match scope.actor() {
            Actor::Key(key) => Some(key),
            Actor::Member(_) | Actor::Operator => scope.key().map(|bounds| bounds.key),
        };
        Self { member: scope.member().map(|member| *member.as_bytes()), key: key.map(|key| *key.as_bytes()) }
    }

    /// Whether both count at this moment.
    fn count(&self, conn: &Connection, now: i64) -> Result<bool, Fault> {
        let count = conn
            .prepare_cached(
                "SELECT (?1 IS NULL OR EXISTS (SELECT 1 FROM members WHERE uuid = ?1 AND status = 'active'))
                     AND (?2 IS NULL OR EXISTS (SELECT 1 FROM keys WHERE uuid = ?2 AND revoked IS NULL
                         AND (expires IS NULL OR expires > ?3)))",
            )?
            .query_row(params![self.member, self.key, now], |row| row.get(0))?;
        Ok(count)
    }
}

/// Whose eyes an entry is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Asker,
    Decider,
}

/// What seals the texts of one asker.
enum Sealer {
    Member(OwnKey),
    Community,
}

impl Sealer {
    fn seal(&self, community: &Community, field: &'static str, id: ApprovalId, text: &str) -> Vec<u8> {
        match self {
            Self::Member(key) => key.seal(field, &[id.as_bytes()], text),
            Self::Community => community.approval_key.seal(&place(community, field, id), text.as_bytes()),
        }
    }
}

impl Engine {
    async fn request_approval(&self, scope: &Scope, new: NewApproval, room: Room) -> Result<Queued, Fault> {
        let community = self.allowed(scope, Action::Ask).await?;
        let NewApproval { id, tool, pin, arguments, question, expires, conversation } = new;
        bounded(&arguments)?;
        bounded(&question)?;
        if !(1..=48).contains(&tool.len()) || !(1..=100).contains(&pin.len()) {
            return Err(Fault::because(Kind::Invalid, "a call names a tool and its pin"));
        }
        let sealer = self.sealer(&community, scope).await?;
        let arguments = sealer.seal(&community, ARGUMENTS, id, &arguments);
        let question = sealer.seal(&community, QUESTION, id, &question);
        let actor = scope.actor();
        let (asker_kind, asker) = written(actor);
        let (now, expires) = (micros(self.clock.now()), micros(expires));
        let write = community.db.write(move |conn| {
            let (open, under_way) = (format!("{OPEN} {now}"), under_way(now));
            remove_older(conn, "approvals", &format!("{under_way} OR {WAITS}"), room.since)?;
            if let Some(queued) = refused(conn, ("approvals", &open), id.as_bytes(), actor, room)? {
                return Ok(queued);
            }
            conn.prepare_cached(
                "INSERT INTO approvals (uuid, asker_kind, asker, tool, pin, arguments, question, created, expires,
                     conversation)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                id.as_bytes(),
                asker_kind,
                asker,
                tool,
                pin,
                arguments,
                question,
                now,
                expires,
                conversation.as_ref().map(ConversationId::as_bytes)
            ])?;
            // What was removed while its model thought gets no call.
            let loose: bool = conn
                .prepare_cached(&format!("SELECT {LOOSE} FROM approvals WHERE uuid = ?"))?
                .query_row([id.as_bytes()], |row| row.get(0))?;
            if loose {
                return Err(Fault::new(Kind::NotFound));
            }
            // What is over is bounded too: what has been so longest goes.
            let over = format!("NOT ({open}) AND NOT ({under_way})");
            conn.prepare(&format!(
                "DELETE FROM approvals WHERE {over} AND id NOT IN
                 (SELECT id FROM approvals WHERE {over} ORDER BY coalesce(decided, expires) DESC, id DESC LIMIT ?)",
            ))?
            .execute([i64::try_from(room.open.saturating_mul(OVER)).unwrap_or(i64::MAX)])?;
            Ok(Queued::Kept)
        });
        write.await
    }

    async fn approvals_since(&self, scope: &Scope, since: Timestamp) -> Result<Vec<Approval>, Fault> {
        let community = self.allowed(scope, Action::DecideApprovals).await?;
        let (since, now) = (micros(since), micros(self.clock.now()));
        let read = community.db.read(move |conn| {
            all(
                conn,
                &format!(
                    "SELECT {LISTED} FROM approvals WHERE created >= ?1
                     ORDER BY NOT (state = 'pending' AND expires > ?2), created, id LIMIT {MOST_APPROVALS}"
                ),
                params![since, now],
            )
        });
        let found = read.await?;
        self.opened(&community, found, Reader::Decider).await
    }

    async fn own_approvals(&self, scope: &Scope, since: Timestamp) -> Result<Vec<Approval>, Fault> {
        let community = self.allowed(scope, reading(scope)).await?;
        let since = micros(since);
        let (kind, asker) = written(scope.actor());
        let read = community.db.read(move |conn| {
            all(
                conn,
                &format!(
                    "SELECT {OWN_LISTED} FROM approvals WHERE asker_kind = ?1 AND asker IS ?2 AND created >= ?3
                     ORDER BY created DESC, id DESC LIMIT {MOST_APPROVALS}"
                ),
                params![kind, asker, since],
            )
        });
        let found = read.await?;
        self.opened(&community, found, Reader::Asker).await
    }

    async fn approval(&self, scope: &Scope, id: ApprovalId) -> Result<Approval, Fault> {
        let community = self.allowed(scope, reading(scope)).await?;
        let (kind, asker) = written(scope.actor());
        let decides = scope.may(Action::DecideApprovals);
        let read = community.db.read(move |conn| {
            one(
                conn,
                "(?2 OR (asker_kind = ?3 AND asker IS ?4))",
                params![id.as_bytes(), decides, kind, asker],
            )
        });
        let sealed = read.await?;
        let reader = if sealed.asker == scope.actor() { Reader::Asker } else { Reader::Decider };
        self.open_approval(&community, sealed, reader).await
    }

    async fn decide_approval(
        &self,
        scope: &Scope,
        id: ApprovalId,
        decision: Decision,
    ) -> Result<Step, Fault> {
        let community = self.allowed(scope, Action::DecideApprovals).await?;
        let decider = scope.actor();
        let (kind, by) = written(decider);
        let now = micros(self.clock.now());
        let (state, until) = match decision {
            Decision::Approve { until } => (ApprovalState::Approved, Some(micros(until))),
            Decision::Deny => (ApprovalState::Denied, None),
        };
        let before = community.db.read(move |conn| one(conn, "TRUE", params![id.as_bytes()])).await?;
        if before.asker == decider {
            return Err(Fault::because(Kind::Forbidden, "who asked for a call does not decide on it"));
        }
        let before = self.open_approval(&community, before, Reader::Decider).await?;
        if before.arguments.is_none() && state == ApprovalState::Approved {
            return Ok(Step::NotOpen(before));
        }
        let write = community.db.write(move |conn| {
            let moved = conn
                .prepare_cached(
                    "UPDATE approvals SET state = ?2, decided = ?3, decider_kind = ?4, decider = ?5,
                         expires = coalesce(?6, expires)
                     WHERE uuid = ?1 AND state = 'pending' AND expires > ?3
                         AND NOT (asker_kind = ?4 AND asker IS ?5)",
                )?
                .execute(params![id.as_bytes(), state.name(), now, kind, by, until])?;
            Ok((moved == 1, one(conn, "TRUE", params![id.as_bytes()])?))
        });
        let (moved, sealed) = write.await?;
        let entry = self.open_approval(&community, sealed, Reader::Decider).await?;
        Ok(step(moved, entry))
    }

    async fn begin_approval(&self, scope: &Scope, id: ApprovalId) -> Result<Step, Fault> {
        let community = self.allowed(scope, Action::Ask).await?;
        let (kind, asker) = written(scope.actor());
        let credentials = Credentials::of(scope);
        let now = micros(self.clock.now());
        let write = community.db.write(move |conn| {
            // In the write itself: who leaves before it leaves what was approved as it is.
            if !credentials.count(conn, now)? {
                return Err(Fault::because(Kind::Forbidden, "who asked may not go on any more"));
            }
            let moved = conn
                .prepare_cached(
                    "UPDATE approvals SET state = 'running', begun = ?2
                     WHERE uuid = ?1 AND asker_kind = ?3 AND asker IS ?4
                         AND state = 'approved' AND begun IS NULL AND expires > ?2",
                )?
                .execute(params![id.as_bytes(), now, kind, asker])?;
            let own = one(conn, "asker_kind = ?2 AND asker IS ?3", params![id.as_bytes(), kind, asker])?;
            Ok((moved == 1, own))
        });
        let (moved, sealed) = write.await?;
        let entry = self.open_approval(&community, sealed, Reader::Asker).await?;
        Ok(step(moved, entry))
    }

    async fn finish_approval(
        &self,
        scope: &Scope,
        id: ApprovalId,
        ended: Ended,
        result: String,
    ) -> Result<Step, Fault> {
        let community = self.allowed(scope, Action::Ask).await?;
        bounded(&result)?;
        let sealed = self.sealer(&community, scope).await?.seal(&community, RESULT, id, &result);
        let (kind, asker) = written(scope.actor());
        let state = match ended {
            Ended::Done => ApprovalState::Done,
            Ended::Failed => ApprovalState::Failed,
        };
        let write = community.db.write(move |conn| {
            let moved = conn
                .prepare_cached(
                    "UPDATE approvals SET state = ?2, result = ?3
                     WHERE uuid = ?1 AND asker_kind = ?4 AND asker IS ?5 AND state = 'running'",
                )?
                .execute(params![id.as_bytes(), state.name(), sealed, kind, asker])?;
            let own = one(conn, "asker_kind = ?2 AND asker IS ?3", params![id.as_bytes(), kind, asker])?;
            // The conversation was there when the call was begun.
            conn.prepare_cached(&format!(
                "DELETE FROM approvals WHERE uuid = ?1 AND state <> 'running' AND {LOOSE}"
            ))?
            .execute([id.as_bytes()])?;
            Ok((moved == 1, own))
        });
        let (moved, sealed) = write.await?;
        let entry = self.open_approval(&community, sealed, Reader::Asker).await?;
        Ok(step(moved, entry))
    }

    async fn expire_approvals(&self, scope: &Scope, since: Timestamp) -> Result<Vec<ApprovalId>, Fault> {
        let community = self.allowed(scope, reading(scope)).await?;
        let due = [micros(self.clock.now()), micros(since)];
        let due_now = format!("{WAITS} AND (expires <= ?1 OR created < ?2)");
        let marked = format!("UPDATE approvals SET state = 'expired' WHERE {due_now} RETURNING uuid");
        // Mostly there is nothing to mark, and reading waits for nobody.
        let read = community.db.read(move |conn| {
            Ok(conn
                .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM approvals WHERE {due_now})"))?
                .query_row(due, |row| row.get::<_, bool>(0))?)
        });
        if !read.await? {
            return Ok(Vec::new());
        }
        let write = community.db.write(move |conn| {
            let mut statement = conn.prepare_cached(&marked)?;
            let ids = statement.query_map(due, |row| Ok(ApprovalId::from_bytes(row.get(0)?)))?;
            Ok(ids.collect::<Result<Vec<_>, _>>()?)
        });
        write.await
    }

    /// What seals for whoever the scope stands for.
    async fn sealer(&self, community: &Arc<Community>, scope: &Scope) -> Result<Sealer, Fault> {
        match scope.member() {
            Some(member) => {
                let own = Own { community: Arc::clone(community), member };
                Ok(Sealer::Member(self.own_key_to_begin(&own).await?))
            }
            None => Ok(Sealer::Community),
        }
    }

    async fn open_approval(
        &self,
        community: &Arc<Community>,
        sealed: Sealed,
        reader: Reader,
    ) -> Result<Approval, Fault> {
        let opener = self.opener(community, sealed.asker).await?;
        open(community, &opener, sealed, reader, self.clock.now())
    }

    async fn opened(
        &self,
        community: &Arc<Community>,
        found: Vec<Sealed>,
        reader: Reader,
    ) -> Result<Vec<Approval>, Fault> {
        let now = self.clock.now();
        let mut openers = HashMap::new();
        let mut opened = Vec::with_capacity(found.len());
        for sealed in found {
            let asker = sealed.asker;
            let opener = match openers.remove(&asker) {
                Some(known) => known,
                None => self.opener(community, asker).await?,
            };
            opened.push(open(community, &opener, sealed, reader, now)?);
            openers.insert(asker, opener);
        }
        Ok(opened)
    }
}

/// The condition under which a call that was begun may still be under way.
fn under_way(now: i64) -> String {
    let longest = i64::try_from(LONGEST_UNDER_WAY.as_micros()).unwrap_or(i64::MAX);
    format!("state = 'running' AND begun > {}", now.saturating_sub(longest))
}

/// Removes the calls of a conversation that is removed, but for one that is under way. Tells which of them waited.
pub(crate) fn withdraw(
    conn: &Connection,
    member: MemberId,
    conversation: ConversationId,
    now: i64,
) -> Result<Vec<ApprovalId>, Fault> {
    let of_it =
        format!("conversation = ?1 AND asker_kind = 'member' AND asker = ?2 AND NOT ({})", under_way(now));
    Ok(remove_where(conn, &of_it, params![conversation.as_bytes(), member.as_bytes()])?.waited)
}

/// The condition under which a call is kept no longer: it was asked for before `since`, or its conversation is gone, and it is
/// not under way.
pub(crate) fn due(since: Timestamp, now: i64) -> String {
    format!("(created < {} OR {LOOSE}) AND NOT ({})", micros(since), under_way(now))
}

/// Removes the calls of which this holds. Tells which of them waited.
pub(crate) fn remove_where(
    conn: &Connection,
    holds: &str,
    values: impl rusqlite::Params,
) -> Result<Removed, Fault> {
    let mut removal =
        conn.prepare(&format!("DELETE FROM approvals WHERE {holds} RETURNING uuid, {WAITS}"))?;
    let mut rows = removal.query(values)?;
    let mut removed = Removed::default();
    while let Some(row) = rows.next()? {
        removed.entries += 1;
        if row.get(1)? {
            removed.waited.push(ApprovalId::from_bytes(row.get(0)?));
        }
    }
    Ok(removed)
}

/// What those may do who read calls that wait: decide them, read what is theirs, or ask.
fn reading(scope: &Scope) -> Action {
    let readers = [Action::DecideApprovals, Action::ReadOwnConversations];
    readers.into_iter().find(|action| scope.may(*action)).unwrap_or(Action::Ask)
}

fn bounded(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() || text.len() > LONGEST_APPROVAL {
        return Err(Fault::because(Kind::Invalid, "a text of a call that waits is empty or too long"));
    }
    Ok(())
}

const fn step(moved: bool, entry: Approval) -> Step {
    if moved { Step::Taken(entry) } else { Step::NotOpen(entry) }
}

/// What a text is bound to that no member's key seals.
fn place(community: &Community, field: &'static str, id: ApprovalId) -> Vec<u8> {
    [field.as_bytes(), community.id.as_bytes(), id.as_bytes()].concat()
}

/// The entry of that id, the first parameter, where this holds.
fn one(conn: &Connection, holds: &str, values: impl rusqlite::Params) -> Result<Sealed, Fault> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM approvals WHERE uuid = ?1 AND {holds}"))?;
    let mut rows = statement.query(values)?;
    rows.next()?.map(sealed).transpose()?.ok_or(Fault::new(Kind::NotFound))
}

fn all(conn: &Connection, query: &str, values: impl rusqlite::Params) -> Result<Vec<Sealed>, Fault> {
    let mut statement = conn.prepare_cached(query)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(sealed(row)?);
    }
    Ok(found)
}

fn sealed(row: &Row<'_>) -> Result<Sealed, Fault> {
    let actor = |kind: Option<String>, id| maker(kind.as_deref(), id);
    let asker = actor(row.get(1)?, row.get(2)?)?;
    let state: String = row.get(10)?;
    let decided: Option<i64> = row.get(12)?;
    let decider = actor(row.get(13)?, row.get(14)?)?;
    Ok(Sealed {
        id: ApprovalId::from_bytes(row.get(0)?),
        asker: asker.ok_or_else(|| Fault::because(Kind::Corrupt, "it is not readable who asked"))?,
        tool: row.get(3)?,
        pin: row.get(4)?,
        arguments: row.get(5)?,
        question: row.get(6)?,
        result: row.get(7)?,
        created: row.get(8)?,
        expires: row.get(9)?,
        state: ApprovalState::parse(&state)
            .ok_or_else(|| Fault::because(Kind::Corrupt, "a stored state is unknown"))?,
        begun: row.get(11)?,
        decided: decider.zip(decided),
    })
}

/// How an entry stands at that moment, whether somebody has marked it so or not.
fn standing(sealed: &Sealed, now: Timestamp) -> Result<ApprovalState, Fault> {
    let waits = matches!(sealed.state, ApprovalState::Pending | ApprovalState::Approved);
    if waits && time(sealed.expires)? <= now {
        return Ok(ApprovalState::Expired);
    }
    let begun = sealed.begun.filter(|_| sealed.state == ApprovalState::Running);
    let over = begun.map(|begun| time(begun).map(|begun| begun.checked_add(LONGEST_UNDER_WAY)));
    match over.transpose()? {
        Some(Ok(over)) if over > now => Ok(ApprovalState::Running),
        Some(_) => Ok(ApprovalState::Interrupted),
        None => Ok(sealed.state),
    }
}

fn open(
    community: &Community,
    opener: &Opener,
    sealed: Sealed,
    reader: Reader,
    now: Timestamp,
) -> Result<Approval, Fault> {
    let state = standing(&sealed, now)?;
    let text = |field, text: &[u8]| read(community, &community.approval_key, opener, field, sealed.id, text);
    let arguments = text(ARGUMENTS, &sealed.arguments)?;
    let (question, result) = match reader {
        Reader::Decider => (None, None),
        Reader::Asker => {
            let result = sealed.result.as_deref().map(|sealed| text(RESULT, sealed)).transpose()?;
            (text(QUESTION, &sealed.question)?, result.flatten())
        }
    };
    let decided = sealed.decided.map(|(by, at)| time(at).map(|at| Decided { by, at })).transpose()?;
    Ok(Approval {
        id: sealed.id,
        asker: sealed.asker,
        arguments,
        question,
        result,
        created: time(sealed.created)?,
        expires: time(sealed.expires)?,
        state,
        decided,
        tool: sealed.tool,
        pin: sealed.pin,
    })
}

fn read(
    community: &Community,
    key: &SealKey,
    opener: &Opener,
    field: &'static str,
    id: ApprovalId,
    sealed: &[u8],
) -> Result<Option<String>, Fault> {
    match opener {
        Opener::Member(None) => Ok(None),
        Opener::Member(Some(key)) => Ok(Some(key.open(field, &[id.as_bytes()], sealed)?)),
        Opener::Community => {
            let opened = key.open(&place(community, field, id), sealed).ok();
            let opened = opened.and_then(|plain| String::from_utf8(plain).ok());
            let corrupt = || Fault::because(Kind::Corrupt, "a call that waits does not open");
            opened.map(Some).ok_or_else(corrupt)
        }
    }
}
