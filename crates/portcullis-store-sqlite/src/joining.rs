//! New members: their id, their key and what is sealed with it, made before the one write that lets them in.

use portcullis_core::{MemberId, Role};
use portcullis_store::Kind;
use rusqlite::{Connection, params};

use crate::communities::Community;
use crate::fault::Fault;
use crate::keystore::MemberKey;
use crate::members::place;
use crate::stores::Engine;
use crate::value::{micros, name};

/// Somebody who may become a member.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) id: MemberId,
    /// When they join, in microseconds.
    pub(crate) created: i64,
    name: Vec<u8>,
    email: Option<Vec<u8>>,
    email_index: Option<[u8; 32]>,
}

impl Engine {
    /// Makes the id and the key of somebody who may become a member. `email` was checked before.
    pub(crate) async fn prepare_member(
        &self,
        community: &Community,
        shown: &str,
        email: Option<&str>,
    ) -> Result<Joining, Fault> {
        name(shown)?;
        let id = MemberId::new(&*self.clock);
        let MemberKey::Key(key) = self.keys.member(community.id, id).await? else {
            return Err(Fault::because(Kind::Corrupt, "a new member's key is destroyed"));
        };
        Ok(Joining {
            id,
            created: micros(self.clock.now()),
            name: key.seal(&place("name", community.id, id), shown.as_bytes()),
            email: email.map(|email| key.seal(&place("email", community.id, id), email.as_bytes())),
            email_index: email.map(|email| community.email_index(email)),
        })
    }

    /// Forgets the key of somebody who did not become a member. It is of no use; failing to forget it harms nobody.
    pub(crate) async fn forget_unjoined(&self, community: &Community, id: MemberId) {
        let _ = self.keys.forget_member(community.id, id).await;
    }
}

impl Joining {
    /// Lets them in. The file's own id of the new member is returned; an address in use is a `Conflict`.
    pub(crate) fn insert(&self, conn: &Connection, role: Role) -> Result<i64, Fault> {
        conn.prepare_cached(
            "INSERT INTO members (uuid, name, email, email_index, role, status, created)
             VALUES (?, ?, ?, ?, ?, 'active', ?)",
        )?
        .execute(params![
            self.id.as_bytes(),
            self.name,
            self.email,
            self.email_index,
            role.name(),
            self.created
        ])?;
        Ok(conn.last_insert_rowid())
    }
}
