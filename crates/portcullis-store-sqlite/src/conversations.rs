//! The conversations port. Titles and texts are sealed with the member's own key; every statement is bound to the
//! scope's member, and whether a message may be read is part of the query itself.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis_core::{Action, ApprovalId, ConversationId, DocumentId, MemberId, MessageId, Scope, TurnId};
use portcullis_store::conversations::{
    LONGEST_MESSAGE, LONGEST_TITLE, MOST_AT_ONCE, MOST_CONVERSATIONS, MOST_LISTED, MOST_MESSAGES,
    MOST_SOURCES,
};
use portcullis_store::{Author, Conversation, Conversations, Kind, NewMessage, Result, Said, StoredMessage};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::approvals::withdraw;
use crate::fault::Fault;
use crate::own::OwnKey;
use crate::stores::Engine;
use crate::value::{micros, space_list, time};

const TITLE: &str = "conversations.title";
const TEXT: &str = "messages.text";

#[async_trait]
impl Conversations for Engine {
    async fn begin(&self, scope: &Scope, id: ConversationId, title: &str) -> Result<Conversation> {
        self.begin_conversation(scope, id, title).await.map_err(|fault| fault.at("conversations.begin"))
    }

    async fn list(
        &self,
        scope: &Scope,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Conversation>> {
        self.conversations_of(scope, before, limit).await.map_err(|fault| fault.at("conversations.list"))
    }

    async fn get(&self, scope: &Scope, id: ConversationId) -> Result<Conversation> {
        self.conversation(scope, id).await.map_err(|fault| fault.at("conversations.get"))
    }

    async fn append(&self, scope: &Scope, id: ConversationId, messages: Vec<NewMessage>) -> Result<()> {
        self.append_messages(scope, id, messages).await.map_err(|fault| fault.at("conversations.append"))
    }

    async fn messages(&self, scope: &Scope, id: ConversationId, limit: usize) -> Result<Vec<StoredMessage>> {
        self.messages_of(scope, id, limit).await.map_err(|fault| fault.at("conversations.messages"))
    }

    async fn rename(&self, scope: &Scope, id: ConversationId, title: &str) -> Result<()> {
        self.rename_conversation(scope, id, title).await.map_err(|fault| fault.at("conversations.rename"))
    }

    async fn remove(&self, scope: &Scope, id: ConversationId) -> Result<Vec<ApprovalId>> {
        self.remove_conversation(scope, id).await.map_err(|fault| fault.at("conversations.remove"))
    }
}

/// A conversation as the file keeps it.
struct Sealed {
    id: ConversationId,
    title: Vec<u8>,
    created: i64,
    updated: i64,
}

/// A message as the file keeps it; the text only where it may be read.
struct SealedMessage {
    id: MessageId,
    turn: TurnId,
    author: Author,
    text: Option<Vec<u8>>,
    sources: Vec<DocumentId>,
    created: i64,
}

/// A message on its way into the file.
struct SealedNew {
    id: MessageId,
    turn: TurnId,
    author: Author,
    text: Vec<u8>,
    sources: Vec<DocumentId>,
}

impl Engine {
    async fn begin_conversation(
        &self,
        scope: &Scope,
        id: ConversationId,
        title: &str,
    ) -> Result<Conversation, Fault> {
        let own = self.own(scope, Action::Ask).await?;
        checked_title(title)?;
        let key = self.own_key_to_begin(&own).await?;
        let title = key.seal(TITLE, &[id.as_bytes()], title);
        let (member, now) = (own.member, micros(self.clock.now()));
        let write = own.community.db.write(move |conn| {
            if let Some(present) = find(conn, member, id)? {
                return Ok(present);
            }
            insert(conn, member, id, &title, now)?;
            find(conn, member, id)?.ok_or(Fault::new(Kind::NotFound))
        });
        open(&key, write.await?)
    }

    async fn conversations_of(
        &self,
        scope: &Scope,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Conversation>, Fault> {
        let own = self.own(scope, Action::ReadOwnConversations).await?;
        let (member, before) = (own.member, before.map_or(i64::MAX, micros));
        let limit = i64::try_from(limit.min(MOST_LISTED)).unwrap_or(0);
        let read = own.community.db.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT uuid, title, created, updated FROM conversations
                 WHERE member = (SELECT id FROM members WHERE uuid = ?) AND updated < ?
                 ORDER BY updated DESC LIMIT ?",
            )?;
            let found = statement.query_map(params![member.as_bytes(), before, limit], sealed)?;
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        });
        let found = read.await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let Some(key) = self.own_key(&own).await? else { return Ok(Vec::new()) };
        found.into_iter().map(|sealed| open(&key, sealed)).collect()
    }

    async fn conversation(&self, scope: &Scope, id: ConversationId) -> Result<Conversation, Fault> {
        let own = self.own(scope, Action::ReadOwnConversations).await?;
        let member = own.member;
        let found = own.community.db.read(move |conn| find(conn, member, id)).await?;
        let found = found.ok_or(Fault::new(Kind::NotFound))?;
        open(&self.own_key_to_go_on(&own).await?, found)
    }

    async fn append_messages(
        &self,
        scope: &Scope,
        id: ConversationId,
        messages: Vec<NewMessage>,
    ) -> Result<(), Fault> {
        let own = self.own(scope, Action::Ask).await?;
        if messages.len() > MOST_AT_ONCE {
            return Err(Fault::because(Kind::Invalid, format!("at most {MOST_AT_ONCE} messages at once")));
        }
        messages.iter().try_for_each(checked)?;
        let key = self.own_key_to_go_on(&own).await?;
        let messages: Vec<SealedNew> = messages.into_iter().map(|message| seal(&key, id, message)).collect();
        let (member, now) = (own.member, micros(self.clock.now()));
        let write = own.community.db.write(move |conn| append(conn, member, id, &messages, now));
        write.await
    }

    async fn messages_of(
        &self,
        scope: &Scope,
        id: ConversationId,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, Fault> {
        let own = self.own(scope, Action::ReadOwnConversations).await?;
        let (member, spaces) = (own.member, space_list(scope.spaces()));
        let limit = i64::try_from(limit.min(MOST_MESSAGES)).unwrap_or(0);
        let read = own.community.db.read(move |conn| last_messages(conn, member, id, &spaces, limit));
        let found = read.await?;
        let key = self.own_key_to_go_on(&own).await?;
        found.into_iter().rev().map(|message| open_message(&key, id, message)).collect()
    }

    async fn rename_conversation(&self, scope: &Scope, id: ConversationId, title: &str) -> Result<(), Fault> {
        let own = self.own(scope, Action::WriteOwnConversations).await?;
        checked_title(title)?;
        let title = self.own_key_to_go_on(&own).await?.seal(TITLE, &[id.as_bytes()], title);
        let member = own.member;
        let write = own.community.db.write(move |conn| {
            let changed = conn
                .prepare_cached(
                    "UPDATE conversations SET title = ?
                     WHERE uuid = ? AND member = (SELECT id FROM members WHERE uuid = ?)",
                )?
                .execute(params![title, id.as_bytes(), member.as_bytes()])?;
            if changed == 0 { Err(Fault::new(Kind::NotFound)) } else { Ok(()) }
        });
        write.await
    }

    async fn remove_conversation(&self, scope: &Scope, id: ConversationId) -> Result<Vec<ApprovalId>, Fault> {
        let own = self.own(scope, Action::WriteOwnConversations).await?;
        let (member, now) = (own.member, micros(self.clock.now()));
        let write = own.community.db.write(move |conn| {
            let removed = conn
                .prepare_cached(
                    "DELETE FROM conversations
                     WHERE uuid = ? AND member = (SELECT id FROM members WHERE uuid = ?)",
                )?
                .execute(params![id.as_bytes(), member.as_bytes()])?;
            if removed == 0 { Err(Fault::new(Kind::NotFound)) } else { withdraw(conn, member, id, now) }
        });
        write.await
    }
}

fn sealed(row: &Row<'_>) -> Result<Sealed, rusqlite::Error> {
    Ok(Sealed {
        id: ConversationId::from_bytes(row.get(0)?),
        title: row.get(1)?,
        created: row.get(2)?,
        updated: row.get(3)?,
    })
}

fn find(conn: &Connection, member: MemberId, id: ConversationId) -> Result<Option<Sealed>, Fault> {
    Ok(conn
        .prepare_cached(
            "SELECT uuid, title, created, updated FROM conversations
             WHERE uuid = ? AND member = (SELECT id FROM members WHERE uuid = ?)",
        )?
        .query_row(params![id.as_bytes(), member.as_bytes()], sealed)
        .optional()?)
}

/// The file's own ids of a conversation and of its member, and how many messages it has.
fn row_of(conn: &Connection, member: MemberId, id: ConversationId) -> Result<(i64, i64, u32), Fault> {
    conn.prepare_cached(
        "SELECT conversations.id, member, messages FROM conversations JOIN members ON members.id = member
         WHERE conversations.uuid = ? AND members.uuid = ?",
    )?
    .query_row(params![id.as_bytes(), member.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    .optional()?
    .ok_or(Fault::new(Kind::NotFound))
}

fn insert(
    conn: &Connection,
    member: MemberId,
    id: ConversationId,
    title: &[u8],
    now: i64,
) -> Result<(), Fault> {
    let row: i64 = conn
        .prepare_cached("SELECT id FROM members WHERE uuid = ?")?
        .query_row([member.as_bytes()], |row| row.get(0))
        .optional()?
        .ok_or(Fault::new(Kind::NotFound))?;
    let present: u32 = conn
        .prepare_cached("SELECT count(*) FROM conversations WHERE member = ?")?
        .query_row([row], |row| row.get(0))?;
    if present as usize >= MOST_CONVERSATIONS {
        return Err(Fault::because(
            Kind::Invalid,
            format!("a member has at most {MOST_CONVERSATIONS} conversations: remove some"),
        ));
    }
    conn.prepare_cached(
        "INSERT INTO conversations (uuid, member, title, created, updated, messages) VALUES (?, ?, ?, ?, ?, 0)",
    )?
    .execute(params![id.as_bytes(), row, title, now, next_update(conn, row, now)?])?;
    Ok(())
}

/// A time of change that no other conversation of the member has, so that a list can go on from any of them.
fn next_update(conn: &Connection, member: i64, now: i64) -> Result<i64, Fault> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT max(updated) FROM conversations WHERE member = ?")?
        .query_row([member], |row| row.get(0))?;
    Ok(last.map_or(now, |last| now.max(last.saturating_add(1))))
}

fn append(
    conn: &Connection,
    member: MemberId,
    id: ConversationId,
    messages: &[SealedNew],
    now: i64,
) -> Result<(), Fault> {
    let (conversation, member, present) = row_of(conn, member, id)?;
    let mut added: u32 = 0;
    for message in messages {
        let inserted = conn
            .prepare_cached(
                "INSERT INTO messages (uuid, conversation, turn, author, text, created) VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (conversation, uuid) DO NOTHING",
            )?
            .execute(params![
                message.id.as_bytes(),
                conversation,
                message.turn.as_bytes(),
                author_name(message.author),
                message.text,
                now,
            ])?;
        if inserted == 0 {
            continue;
        }
        added += 1;
        let row = conn.last_insert_rowid();
        let mut source =
            conn.prepare_cached("INSERT INTO message_sources (message, place, document) VALUES (?, ?, ?)")?;
        for (place, document) in (0i64..).zip(&message.sources) {
            source.execute(params![row, place, document.as_bytes()])?;
        }
    }
    if (present + added) as usize > MOST_MESSAGES {
        return Err(Fault::because(
            Kind::Invalid,
            format!("a conversation has at most {MOST_MESSAGES} messages: begin another"),
        ));
    }
    if added > 0 {
        let updated = next_update(conn, member, now)?;
        conn.prepare_cached("UPDATE conversations SET messages = ?, updated = ? WHERE id = ?")?
            .execute(params![present + added, updated, conversation])?;
    }
    Ok(())
}

/// The last messages, newest first. A text one of whose sources is not among the documents of these spaces is not even
/// fetched.
fn last_messages(
    conn: &Connection,
    member: MemberId,
    id: ConversationId,
    spaces: &str,
    limit: i64,
) -> Result<Vec<SealedMessage>, Fault> {
    let (conversation, ..) = row_of(conn, member, id)?;
    let mut statement = conn.prepare_cached(
        "SELECT messages.id, messages.uuid, turn, author,
                CASE WHEN EXISTS (
                    SELECT 1 FROM message_sources WHERE message = messages.id AND NOT EXISTS (
                        SELECT 1 FROM documents JOIN spaces ON spaces.id = documents.space
                        WHERE documents.uuid = message_sources.document
                          AND spaces.uuid IN (SELECT unhex(value) FROM json_each(?2))))
                THEN NULL ELSE text END,
                created
         FROM messages WHERE conversation = ?1 ORDER BY messages.id DESC LIMIT ?3",
    )?;
    let mut rows = statement.query(params![conversation, spaces, limit])?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        messages.push(SealedMessage {
            id: MessageId::from_bytes(row.get(1)?),
            turn: TurnId::from_bytes(row.get(2)?),
            author: author(&row.get::<_, String>(3)?)?,
            text: row.get(4)?,
            sources: readable_sources(conn, row.get(0)?, spaces)?,
            created: row.get(5)?,
        });
    }
    Ok(messages)
}

fn readable_sources(conn: &Connection, message: i64, spaces: &str) -> Result<Vec<DocumentId>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT document FROM message_sources JOIN documents ON documents.uuid = message_sources.document
             JOIN spaces ON spaces.id = documents.space
         WHERE message = ? AND spaces.uuid IN (SELECT unhex(value) FROM json_each(?)) ORDER BY place",
    )?;
    let sources =
        statement.query_map(params![message, spaces], |row| row.get(0).map(DocumentId::from_bytes))?;
    Ok(sources.collect::<Result<_, _>>()?)
}

fn seal(key: &OwnKey, conversation: ConversationId, message: NewMessage) -> SealedNew {
    let mut seen = HashSet::new();
    SealedNew {
        id: message.id,
        turn: message.turn,
        author: message.author,
        text: key.seal(TEXT, &[conversation.as_bytes(), message.id.as_bytes()], &message.text),
        sources: message.sources.into_iter().filter(|source| seen.insert(*source)).collect(),
    }
}

fn open(key: &OwnKey, sealed: Sealed) -> Result<Conversation, Fault> {
    Ok(Conversation {
        id: sealed.id,
        title: key.open(TITLE, &[sealed.id.as_bytes()], &sealed.title)?,
        created: time(sealed.created)?,
        updated: time(sealed.updated)?,
    })
}

fn open_message(
    key: &OwnKey,
    conversation: ConversationId,
    message: SealedMessage,
) -> Result<StoredMessage, Fault> {
    let place = [conversation.as_bytes(), message.id.as_bytes()];
    Ok(StoredMessage {
        id: message.id,
        turn: message.turn,
        author: message.author,
        said: match message.text {
            Some(text) => Said::Text(key.open(TEXT, &place, &text)?),
            None => Said::Withheld,
        },
        sources: message.sources,
        created: time(message.created)?,
    })
}

fn checked_title(title: &str) -> Result<(), Fault> {
    let well_formed = !title.trim().is_empty()
        && title.chars().count() <= LONGEST_TITLE
        && !title.chars().any(char::is_control);
    if well_formed {
        return Ok(());
    }
    Err(Fault::because(Kind::Invalid, format!("a title is 1 to {LONGEST_TITLE} characters on one line")))
}

fn checked(message: &NewMessage) -> Result<(), Fault> {
    if message.text.len() > LONGEST_MESSAGE {
        return Err(Fault::because(Kind::Invalid, format!("a message has at most {LONGEST_MESSAGE} bytes")));
    }
    if message.sources.len() > MOST_SOURCES {
        return Err(Fault::because(Kind::Invalid, format!("a message has at most {MOST_SOURCES} sources")));
    }
    Ok(())
}

const fn author_name(author: Author) -> &'static str {
    match author {
        Author::Member => "member",
        Author::Assistant => "assistant",
    }
}

fn author(name: &str) -> Result<Author, Fault> {
    match name {
        "member" => Ok(Author::Member),
        "assistant" => Ok(Author::Assistant),
        _ => Err(Fault::because(Kind::Corrupt, "a stored author is unknown")),
    }
}
