//! What the queues of things that wait for a person share: what is too old, and whether there is room for one more. Their tables name a row by `uuid`, and
//! who asked by `asker_kind` and `asker`.

use jiff::Timestamp;
use portcullis_core::Actor;
use portcullis_store::{Kind, Queued, Room};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;
use crate::invitations::written;
use crate::value::micros;

/// Removes what was put into `table` before `since`, but for what `spared` holds of.
pub(crate) fn remove_older(
    conn: &Connection,
    table: &'static str,
    spared: &str,
    since: Timestamp,
) -> Result<usize, Fault> {
    let removal = format!("DELETE FROM {table} WHERE created < ? AND NOT ({spared})");
    Ok(conn.prepare(&removal)?.execute([micros(since)])?)
}

/// What becomes of an entry that is to be added; none if there is room for it.
/// `open` is the condition under which a row of `table` still waits; both are ours, and hold nothing that anybody sent.
pub(crate) fn refused(
    conn: &Connection,
    (table, open): (&'static str, &str),
    id: &[u8; 16],
    asker: Actor,
    room: Room,
) -> Result<Option<Queued>, Fault> {
    let (kind, asker) = written(asker);
    let own: Option<bool> = conn
        .prepare_cached(&format!("SELECT asker_kind = ?2 AND asker IS ?3 FROM {table} WHERE uuid = ?1"))?
        .query_row(params![id, kind, asker], |row| row.get(0))
        .optional()?;
    match own {
        Some(true) => return Ok(Some(Queued::Kept)),
        Some(false) => return Err(Fault::because(Kind::Conflict, "the id is in use")),
        None => {}
    }
    let count = format!(
        "SELECT count(*), coalesce(sum(asker_kind = ?1 AND asker IS ?2), 0) FROM {table} WHERE {open}"
    );
    // The condition may hold the moment, so that no two are the same statement.
    let (open, of_one): (i64, i64) =
        conn.prepare(&count)?.query_row(params![kind, asker], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let reached = |count: i64, most: usize| usize::try_from(count).unwrap_or(usize::MAX) >= most;
    Ok(if reached(of_one, room.of_one) {
        Some(Queued::Enough)
    } else if reached(open, room.open) {
        Some(Queued::Full)
    } else {
        None
    })
}
