//! The names that host applications' tokens give members. Only keyed hashes of them are kept.

use portcullis_core::{CommunityId, MemberId, Role, Scope};
use portcullis_store::Kind;
use portcullis_store::members::LONGEST_SUBJECT;
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;
use crate::stores::Engine;

impl Engine {
    /// The member that a subject is linked to, whatever their status.
    pub(crate) async fn member_of_subject(
        &self,
        community: CommunityId,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<MemberId>, Fault> {
        let Some(community) = self.communities.find(community).await? else { return Ok(None) };
        let hash = community.subject_index(issuer, subject);
        let seen = {
            let mut identities = community.identities.lock();
            let seen = identities.refresh();
            if let Some(found) = seen.and_then(|_| identities.subject(&hash)) {
                return Ok(Some(found));
            }
            seen
        };
        let found = community.db.read(move |conn| linked(conn, &hash)).await?;
        if let (Some(seen), Some(found)) = (seen, found) {
            community.identities.lock().remember_subject(seen, hash, found);
        }
        Ok(found)
    }

    pub(crate) async fn link_subject(
        &self,
        scope: &Scope,
        member: MemberId,
        issuer: &str,
        subject: &str,
    ) -> Result<(), Fault> {
        let community = self.communities.of_scope(scope.community()).await?;
        let hash = community.subject_index(issuer, subject);
        let well_formed = checked(issuer, subject);
        let change = self.change(scope, member, Role::Member, move |conn, row| {
            well_formed?;
            match linked(conn, &hash)? {
                Some(present) if present == member => Ok(()),
                Some(_) => Err(Fault::because(Kind::Conflict, "another member is linked to that subject")),
                None => insert(conn, &hash, row),
            }
        });
        change.await
    }

    pub(crate) async fn provision_member(
        &self,
        community: CommunityId,
        issuer: &str,
        subject: &str,
        name: &str,
    ) -> Result<MemberId, Fault> {
        checked(issuer, subject)?;
        let community = self.communities.of_scope(community).await?;
        let hash = community.subject_index(issuer, subject);
        if let Some(present) = community.db.read(move |conn| linked(conn, &hash)).await? {
            return Ok(present);
        }
        let joining = self.prepare_member(&community, name, None).await?;
        let prepared = joining.id;
        let write = community.db.write(move |conn| {
            // Somebody else may have made the member meanwhile; then theirs holds.
            if let Some(present) = linked(conn, &hash)? {
                return Ok(present);
            }
            let row = joining.insert(conn, Role::default())?;
            insert(conn, &hash, row)?;
            Ok(joining.id)
        });
        let outcome = write.await;
        if !outcome.as_ref().is_ok_and(|member| *member == prepared) {
            self.forget_unjoined(&community, prepared).await;
        }
        outcome
    }
}

fn checked(issuer: &str, subject: &str) -> Result<(), Fault> {
    let lengths = 1..=LONGEST_SUBJECT;
    if lengths.contains(&issuer.len()) && lengths.contains(&subject.len()) {
        return Ok(());
    }
    Err(Fault::because(Kind::Invalid, format!("issuer and subject are 1 to {LONGEST_SUBJECT} bytes each")))
}

fn linked(conn: &Connection, hash: &[u8; 32]) -> Result<Option<MemberId>, Fault> {
    Ok(conn
        .prepare_cached(
            "SELECT uuid FROM subjects JOIN members ON members.id = subjects.member WHERE hash = ?",
        )?
        .query_row([hash], |row| row.get(0).map(MemberId::from_bytes))
        .optional()?)
}

fn insert(conn: &Connection, hash: &[u8; 32], member: i64) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO subjects (hash, member) VALUES (?, ?)")?
        .execute(params![hash, member])?;
    Ok(())
}
