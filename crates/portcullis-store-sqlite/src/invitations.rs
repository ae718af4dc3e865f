//! Invitations, and who may join at all.

use portcullis_core::{Action, Actor, InvitationId, KeyId, MemberId, Role, Scope};
use portcullis_store::sessions::MOST_USES;
use portcullis_store::{Entitlement, InvitationInfo, Kind, NewInvitation, Strangers};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;
use crate::joining::Joining;
use crate::members::checked_email;
use crate::spaces::plan_row;
use crate::stores::{Engine, allow};
use crate::value::{micros, optional_time, role, time};

/// How somebody who is no member may become one.
#[derive(Debug)]
pub(crate) enum Welcome {
    /// By an invitation, by the file's own id, with its role.
    Invited { invitation: i64, role: Role },
    /// As anybody may.
    Stranger,
}

impl Engine {
    pub(crate) async fn write_invitation(
        &self,
        scope: &Scope,
        new: NewInvitation,
    ) -> Result<InvitationId, Fault> {
        let community = self.allowed(scope, Action::WriteMembers).await?;
        if new.role > Role::Member {
            allow(scope, Action::WriteStaff)?;
        }
        if !(1..=MOST_USES).contains(&new.uses) {
            return Err(Fault::because(Kind::Invalid, format!("an invitation has 1 to {MOST_USES} uses")));
        }
        let email = new.email.as_deref().map(checked_email).transpose()?;
        let email_index = email.map(|email| community.email_index(email));
        let id = InvitationId::new(&*self.clock);
        let now = micros(self.clock.now());
        let (kind, maker) = written(scope.actor());
        let write = community.db.write(move |conn| {
            outdated(conn, now)?;
            conn.prepare_cached(
                "INSERT INTO invitations (uuid, hash, email_index, role, uses, created, expires, maker_kind, maker)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                id.as_bytes(),
                new.token.as_bytes(),
                email_index,
                new.role.name(),
                new.uses,
                now,
                micros(new.expires),
                kind,
                maker
            ])?;
            let row = conn.last_insert_rowid();
            for entitlement in &new.entitlements {
                let plan = plan_row(conn, &entitlement.plan)?;
                conn.prepare_cached(
                    "INSERT INTO invitation_plans (invitation, plan, until) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET until = ?3",
                )?
                .execute(params![row, plan, entitlement.until.map(micros)])?;
            }
            Ok(id)
        });
        write.await
    }

    pub(crate) async fn withdraw_invitation(
        &self,
        scope: &Scope,
        invitation: InvitationId,
    ) -> Result<(), Fault> {
        let community = self.allowed(scope, Action::WriteMembers).await?;
        let staff = allow(scope, Action::WriteStaff);
        let now = micros(self.clock.now());
        let write = community.db.write(move |conn| {
            let found = conn
                .prepare_cached("SELECT id, role FROM invitations WHERE uuid = ?")?
                .query_row([invitation.as_bytes()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
                .optional()?;
            let (row, gives): (i64, _) = found.ok_or(Fault::new(Kind::NotFound))?;
            // What somebody could not have made they do not undo.
            if role(&gives)? > Role::Member {
                staff?;
            }
            conn.prepare_cached("UPDATE invitations SET withdrawn = coalesce(withdrawn, ?) WHERE id = ?")?
                .execute([now, row])?;
            Ok(())
        });
        write.await
    }

    pub(crate) async fn invitations_of(&self, scope: &Scope) -> Result<Vec<InvitationInfo>, Fault> {
        let community = self.allowed(scope, Action::WriteMembers).await?;
        let now = micros(self.clock.now());
        let read = community.db.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT id, uuid, maker_kind, maker, role, email_index IS NOT NULL, uses, created, expires, withdrawn
                 FROM invitations WHERE expires > ? ORDER BY id DESC",
            )?;
            let mut rows = statement.query([now])?;
            let mut invitations = Vec::new();
            while let Some(row) = rows.next()? {
                invitations.push(InvitationInfo {
                    id: InvitationId::from_bytes(row.get(1)?),
                    made_by: maker(row.get::<_, Option<String>>(2)?.as_deref(), row.get(3)?)?,
                    role: role(&row.get::<_, String>(4)?)?,
                    entitlements: entitlements(conn, row.get(0)?)?,
                    addressed: row.get(5)?,
                    uses: row.get(6)?,
                    created: time(row.get(7)?)?,
                    expires: time(row.get(8)?)?,
                    withdrawn: optional_time(row.get(9)?)?,
                });
            }
            Ok(invitations)
        });
        read.await
    }
}

/// Removes invitations that have run out, and tells how many.
pub(crate) fn outdated(conn: &Connection, now: i64) -> Result<usize, Fault> {
    Ok(conn.prepare_cached("DELETE FROM invitations WHERE expires <= ?")?.execute([now])?)
}

/// Who acts, as the file keeps it.
pub(crate) fn written(actor: Actor) -> (&'static str, Option<[u8; 16]>) {
    match actor {
        Actor::Member(member) => ("member", Some(*member.as_bytes())),
        Actor::Key(key) => ("key", Some(*key.as_bytes())),
        Actor::Operator => ("operator", None),
    }
}

/// Who acted, read back.
pub(crate) fn maker(kind: Option<&str>, id: Option<[u8; 16]>) -> Result<Option<Actor>, Fault> {
    match (kind, id) {
        (None, _) => Ok(None),
        (Some("member"), Some(id)) => Ok(Some(Actor::Member(MemberId::from_bytes(id)))),
        (Some("key"), Some(id)) => Ok(Some(Actor::Key(KeyId::from_bytes(id)))),
        (Some("operator"), None) => Ok(Some(Actor::Operator)),
        _ => Err(Fault::because(Kind::Corrupt, "it is not readable who acted")),
    }
}

fn entitlements(conn: &Connection, invitation: i64) -> Result<Vec<Entitlement>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT slug, until FROM invitation_plans JOIN plans ON plans.id = plan WHERE invitation = ? ORDER BY slug",
    )?;
    let mut rows = statement.query([invitation])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Entitlement { plan: row.get(0)?, until: optional_time(row.get(1)?)? });
    }
    Ok(found)
}

/// How somebody with that address may join at `now`, if they may. It does the same work whether there is an invitation
/// or not.
pub(crate) fn welcome(
    conn: &Connection,
    invitation: Option<&[u8; 32]>,
    email_index: &[u8; 32],
    strangers: Strangers,
    now: i64,
) -> Result<Option<Welcome>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT id, role FROM invitations
         WHERE hash = ? AND uses > 0 AND withdrawn IS NULL AND expires > ?
           AND (email_index IS NULL OR email_index = ?)",
    )?;
    let mut rows = statement.query(params![invitation, now, email_index])?;
    if let Some(row) = rows.next()? {
        return Ok(Some(Welcome::Invited {
            invitation: row.get(0)?,
            role: role(&row.get::<_, String>(1)?)?,
        }));
    }
    Ok((strangers == Strangers::Join).then_some(Welcome::Stranger))
}

impl Welcome {
    /// Lets somebody in, and counts the use of the invitation. The file's own id of the new member is returned.
    pub(crate) fn let_in(&self, conn: &Connection, joining: &Joining) -> Result<i64, Fault> {
        match self {
            Self::Stranger => joining.insert(conn, Role::default()),
            Self::Invited { invitation, role } => {
                // There is one writer, so it still has the use that was seen; the table refuses less than none.
                conn.prepare_cached("UPDATE invitations SET uses = uses - 1 WHERE id = ?")?
                    .execute([invitation])?;
                let member = joining.insert(conn, *role)?;
                conn.prepare_cached(
                    "INSERT INTO entitlements (member, plan, until)
                     SELECT ?, plan, until FROM invitation_plans WHERE invitation = ?",
                )?
                .execute([member, *invitation])?;
                Ok(member)
            }
        }
    }
}
