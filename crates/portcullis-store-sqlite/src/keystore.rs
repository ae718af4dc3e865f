//! The key store (`keys.db`): each community's data key and each member's own key, wrapped.
//!
//! It is a file of its own so that backups of data never contain it: destroying a member's key here makes what was
//! sealed with it unreadable everywhere, copies included.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use portcullis_core::seal::SealKey;
use portcullis_core::{Clock, CommunityId, MemberId};
use portcullis_store::Kind;
use rusqlite::{Connection, OptionalExtension, params};

use crate::db::Db;
use crate::fault::Fault;
use crate::value::micros;

/// What one member's key has become.
#[derive(Debug, Clone)]
pub(crate) enum MemberKey {
    /// It seals and opens.
    Key(SealKey),
    /// It was destroyed for good: what it sealed cannot be read again.
    Destroyed,
}

/// Wraps and unwraps keys. Clones share the file.
#[derive(Clone)]
pub(crate) struct KeyStore {
    db: Arc<Db>,
    wrapping: SealKey,
    clock: Arc<dyn Clock>,
}

impl KeyStore {
    /// A key store on its open file. `master` is the key-encryption key's material.
    pub(crate) fn new(db: Arc<Db>, master: &[u8], clock: Arc<dyn Clock>) -> Self {
        Self { db, wrapping: SealKey::derive(master, "portcullis/keystore"), clock }
    }

    /// Makes and keeps the data key of a new community.
    pub(crate) async fn create_community(&self, community: CommunityId) -> Result<SealKey, Fault> {
        let key = SealKey::random();
        let wrapped = self.wrapping.seal(&community_place(community), key.expose());
        let created = micros(self.clock.now());
        self.db
            .write(move |conn| {
                conn.prepare_cached(
                    "INSERT INTO community_keys (community, wrapped, created) VALUES (?, ?, ?)",
                )?
                .execute(params![community.as_bytes(), wrapped, created])?;
                Ok(())
            })
            .await?;
        Ok(key)
    }

    /// The data key of a community, if there is such a community.
    pub(crate) async fn community(&self, community: CommunityId) -> Result<Option<SealKey>, Fault> {
        let wrapped = self
            .db
            .read(move |conn| {
                Ok(conn
                    .prepare_cached("SELECT wrapped FROM community_keys WHERE community = ?")?
                    .query_row([community.as_bytes()], |row| row.get::<_, Vec<u8>>(0))
                    .optional()?)
            })
            .await?;
        wrapped.map(|wrapped| self.unwrap(&community_place(community), &wrapped)).transpose()
    }

    /// Forgets a community that was never finished, with all its keys.
    pub(crate) async fn forget_community(&self, community: CommunityId) -> Result<(), Fault> {
        self.db
            .write(move |conn| {
                conn.execute("DELETE FROM community_keys WHERE community = ?", [community.as_bytes()])?;
                conn.execute("DELETE FROM member_keys WHERE community = ?", [community.as_bytes()])?;
                Ok(())
            })
            .await
    }

    /// The key of a member, made on first use. A destroyed key stays destroyed.
    pub(crate) async fn member(&self, community: CommunityId, member: MemberId) -> Result<MemberKey, Fault> {
        let found = self.db.read(move |conn| stored_member(conn, community, member)).await?;
        if let Some(stored) = found {
            return self.unwrap_member(community, member, stored);
        }
        let fresh = self.wrapping.seal(&member_place(community, member), SealKey::random().expose());
        let created = micros(self.clock.now());
        let stored = self
            .db
            .write(move |conn| {
                // Somebody else may have made it meanwhile; then theirs holds.
                conn.prepare_cached(
                    "INSERT INTO member_keys (community, member, wrapped, created) VALUES (?, ?, ?, ?)
                     ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    community.as_bytes(),
                    member.as_bytes(),
                    fresh,
                    created
                ])?;
                stored_member(conn, community, member)
            })
            .await?;
        let stored = stored.ok_or_else(|| Fault::because(Kind::Corrupt, "a new member key did not stay"))?;
        self.unwrap_member(community, member, stored)
    }

    /// The keys of these members; one that never had a key is left out.
    pub(crate) async fn members(
        &self,
        community: CommunityId,
        members: Vec<MemberId>,
    ) -> Result<HashMap<MemberId, MemberKey>, Fault> {
        let stored = self
            .db
            .read(move |conn| {
                let mut stored = Vec::with_capacity(members.len());
                for member in members {
                    if let Some(wrapped) = stored_member(conn, community, member)? {
                        stored.push((member, wrapped));
                    }
                }
                Ok(stored)
            })
            .await?;
        stored
            .into_iter()
            .map(|(member, stored)| Ok((member, self.unwrap_member(community, member, stored)?)))
            .collect()
    }

    /// Forgets the key of a member who never came to be.
    pub(crate) async fn forget_member(&self, community: CommunityId, member: MemberId) -> Result<(), Fault> {
        self.db
            .write(move |conn| {
                conn.execute(
                    "DELETE FROM member_keys WHERE community = ? AND member = ?",
                    params![community.as_bytes(), member.as_bytes()],
                )?;
                Ok(())
            })
            .await
    }

    /// Destroys a member's key: what it sealed is erased, in every copy. Doing it twice is no error.
    pub(crate) async fn destroy_member(&self, community: CommunityId, member: MemberId) -> Result<(), Fault> {
        let now = micros(self.clock.now());
        self.db
            .write(move |conn| {
                conn.execute(
                    "INSERT INTO member_keys (community, member, wrapped, created, destroyed)
                     VALUES (?1, ?2, NULL, ?3, ?3)
                     ON CONFLICT DO UPDATE SET wrapped = NULL, destroyed = ?3 WHERE destroyed IS NULL",
                    params![community.as_bytes(), member.as_bytes(), now],
                )?;
                Ok(())
            })
            .await
    }

    fn unwrap_member(
        &self,
        community: CommunityId,
        member: MemberId,
        stored: Option<Vec<u8>>,
    ) -> Result<MemberKey, Fault> {
        stored.map_or(Ok(MemberKey::Destroyed), |wrapped| {
            Ok(MemberKey::Key(self.unwrap(&member_place(community, member), &wrapped)?))
        })
    }

    fn unwrap(&self, place: &[u8], wrapped: &[u8]) -> Result<SealKey, Fault> {
        let bytes = self.wrapping.open(place, wrapped).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(SealKey::from_bytes).ok_or_else(|| {
            Fault::because(
                Kind::Corrupt,
                "a wrapped key does not open: it was changed, moved or wrapped with another key",
            )
        })
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").finish_non_exhaustive()
    }
}

/// `None`: no such row. `Some(None)`: the key was destroyed.
fn stored_member(
    conn: &Connection,
    community: CommunityId,
    member: MemberId,
) -> Result<Option<Option<Vec<u8>>>, Fault> {
    Ok(conn
        .prepare_cached("SELECT wrapped FROM member_keys WHERE community = ? AND member = ?")?
        .query_row(params![community.as_bytes(), member.as_bytes()], |row| row.get(0))
        .optional()?)
}

fn community_place(community: CommunityId) -> Vec<u8> {
    [b"community-key".as_slice(), community.as_bytes()].concat()
}

fn member_place(community: CommunityId, member: MemberId) -> Vec<u8> {
    [b"member-key".as_slice(), community.as_bytes(), member.as_bytes()].concat()
}
