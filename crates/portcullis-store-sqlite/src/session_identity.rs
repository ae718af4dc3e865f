//! Sessions as credentials: looked up on every request of a browser, so from memory where that is provably current.
//!
//! A use is noted in memory at once and in the file at most once a minute, without the request waiting for it.

use portcullis_core::{CommunityId, MemberId, Role, SessionId, TokenHash};
use portcullis_store::SessionIdentity;
use rusqlite::{Connection, OptionalExtension, params};

use crate::communities::Community;
use crate::fault::Fault;
use crate::identity::member_standing;
use crate::identity_cache::Dated;
use crate::sessions::forgotten;
use crate::stores::Engine;
use crate::value::time;

/// A use is noted when the last noted one is this old, in microseconds.
const NOTED_EVERY: i64 = 60 * 1_000_000;

/// A session as it is remembered, in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    found: Dated<SessionIdentity>,
    idle: i64,
    used: i64,
    noted: i64,
}

/// A use that is to be written to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    used: i64,
    /// A use noted after this is recent enough.
    unless_after: i64,
}

impl Remembered {
    /// Uses the session at `now`. `None`: by what is remembered it does not count then.
    pub(crate) fn touch(&mut self, now: i64) -> Option<(SessionIdentity, Option<Note>)> {
        let counts = self.found.from <= now
            && now < self.found.until
            && now < self.used.max(self.noted).saturating_add(self.idle);
        if !counts {
            return None;
        }
        self.used = self.used.max(now);
        // Short idle limits are noted more often, or a session in use could end for who reads the file.
        let every = NOTED_EVERY.min(self.idle / 2);
        let due = self.used.saturating_sub(self.noted) >= every;
        let note = due.then(|| {
            self.noted = self.used;
            Note { used: self.used, unless_after: self.used.saturating_sub(every) }
        });
        Some((self.found.answer.clone(), note))
    }
}

impl Engine {
    pub(crate) async fn session_identity(
        &self,
        community: CommunityId,
        hash: TokenHash,
        now: i64,
    ) -> Result<Option<SessionIdentity>, Fault> {
        let Some(community) = self.communities.find(community).await? else { return Ok(None) };
        let (seen, touched) = {
            let mut identities = community.identities.lock();
            let seen = identities.refresh();
            (seen, seen.and_then(|_| identities.session(&hash)?.touch(now)))
        };
        if let Some((found, note)) = touched {
            write_note(&community, hash, note);
            return Ok(Some(found));
        }
        let found = community.db.read(move |conn| find(conn, &hash, now)).await?;
        let Some(mut found) = found else { return Ok(None) };
        let Some((answer, note)) = found.touch(now) else { return Ok(None) };
        // What does not exist is not remembered, so guesses push nothing out.
        if let Some(seen) = seen {
            community.identities.lock().remember_session(seen, hash, found);
        }
        write_note(&community, hash, note);
        Ok(Some(answer))
    }

    pub(crate) async fn session_has_lapsed(
        &self,
        community: CommunityId,
        hash: TokenHash,
        now: i64,
    ) -> Result<bool, Fault> {
        let Some(community) = self.communities.find(community).await? else { return Ok(false) };
        let read = community.db.read(move |conn| {
            // One that ended by itself stands where it stood until it is swept.
            Ok(conn
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM ended_sessions WHERE hash = ?1 AND ended > ?2)
                         OR EXISTS (SELECT 1 FROM sessions WHERE hash = ?1 AND ends <= ?3 AND ends > ?2)",
                )?
                .query_row(params![hash.as_bytes(), forgotten(now), now], |row| row.get(0))?)
        });
        read.await
    }
}

/// Stores a use without waiting for it. If that fails, the session only seems less used than it is.
fn write_note(community: &Community, hash: TokenHash, note: Option<Note>) {
    let Some(Note { used, unless_after }) = note else { return };
    community.db.write_later(move |conn| {
        conn.prepare_cached("UPDATE sessions SET last_used = ? WHERE hash = ? AND last_used <= ?")?
            .execute(params![used, hash.as_bytes(), unless_after])?;
        Ok(())
    });
}

fn find(conn: &Connection, hash: &TokenHash, now: i64) -> Result<Option<Remembered>, Fault> {
    struct Row {
        session: [u8; 16],
        member: i64,
        member_uuid: [u8; 16],
        last_used: i64,
        expires: i64,
        idle: i64,
    }
    let row = conn
        .prepare_cached(
            "SELECT sessions.uuid, members.id, members.uuid, last_used, expires, idle
             FROM sessions JOIN members ON members.id = sessions.member WHERE hash = ? AND ends > ?",
        )?
        .query_row(params![hash.as_bytes(), now], |row| {
            Ok(Row {
                session: row.get(0)?,
                member: row.get(1)?,
                member_uuid: row.get(2)?,
                last_used: row.get(3)?,
                expires: row.get(4)?,
                idle: row.get(5)?,
            })
        })
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let Some(standing) = member_standing(conn, row.member, Role::Owner, time(now)?)? else { return Ok(None) };
    let answer = SessionIdentity {
        session: SessionId::from_bytes(row.session),
        member: MemberId::from_bytes(row.member_uuid),
        standing: standing.answer,
        expires: time(row.expires)?,
    };
    let found = Dated { answer, from: standing.from, until: standing.until.min(row.expires) };
    Ok(Some(Remembered { found, idle: row.idle, used: row.last_used, noted: row.last_used }))
}

#[cfg(test)]
mod tests {
    use portcullis_core::{MemberId, Role, SessionId};
    use portcullis_store::{SessionIdentity, Standing};

    use super::{Note, Remembered};
    use crate::identity_cache::Dated;

    const SECOND: i64 = 1_000_000;

    fn remembered(idle: i64) -> Remembered {
        let answer = SessionIdentity {
            session: SessionId::from_bytes([1; 16]),
            member: MemberId::from_bytes([2; 16]),
            standing: Standing { role: Role::Member, spaces: [].into() },
            expires: "2030-01-01T00:00:00Z".parse().expect("a time"),
        };
        let found = Dated { answer, from: 0, until: 1_000 * SECOND };
        Remembered { found, idle: idle * SECOND, used: 0, noted: 0 }
    }

    #[test]
    fn every_use_counts_and_one_a_minute_is_noted() {
        let mut session = remembered(600);
        let mut notes = Vec::new();
        for second in 0..200 {
            let (_, note) = session.touch(second * SECOND).expect("it is in use");
            notes.extend(note.map(|note| (note.used / SECOND, note.unless_after / SECOND)));
        }
        assert_eq!(notes, [(60, 0), (120, 60), (180, 120)]);
        // The last use was at 199 s, though only that at 180 s was noted.
        assert!(session.touch(798 * SECOND).is_some());
    }

    #[test]
    fn it_ends_exactly_when_idle_or_over() {
        let mut session = remembered(600);
        assert!(session.clone().touch(600 * SECOND - 1).is_some());
        assert!(session.clone().touch(600 * SECOND).is_none());
        assert!(session.touch(599 * SECOND).is_some());
        assert!(session.clone().touch(1_000 * SECOND - 1).is_some());
        assert!(session.touch(1_000 * SECOND).is_none(), "its absolute end, however it is used");
    }

    #[test]
    fn a_short_idle_limit_is_noted_often_enough_to_be_seen() {
        let mut session = remembered(10);
        assert_eq!(session.touch(4 * SECOND).expect("in use").1, None);
        let note = Note { used: 5 * SECOND, unless_after: 0 };
        assert_eq!(session.touch(5 * SECOND).expect("in use").1, Some(note));
    }
}
