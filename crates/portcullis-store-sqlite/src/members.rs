//! The members port. Names and addresses are sealed with each member's own key; addresses are found by a keyed hash.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_core::mail_address::is_mail_address;
use portcullis_core::seal::SealKey;
use portcullis_core::{Action, CommunityId, MemberId, Role, Scope};
use portcullis_store::{Entitlement, Kind, Member, Members, NewMember, Result, Status};
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::communities::Community;
use crate::fault::Fault;
use crate::keystore::MemberKey;
use crate::spaces::plan_row;
use crate::stores::{Engine, allow};
use crate::value::{micros, optional_time, role, time};

/// Stands where the name of a member was whose key is destroyed.
const ERASED: &str = "(erased)";

#[async_trait]
impl Members for Engine {
    async fn add(&self, scope: &Scope, new: NewMember) -> Result<Member> {
        self.add_member(scope, new).await.map_err(|fault| fault.at("members.add"))
    }

    async fn get(&self, scope: &Scope, member: MemberId) -> Result<Member> {
        self.member(scope, member).await.map_err(|fault| fault.at("members.get"))
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Member>> {
        self.all_members(scope).await.map_err(|fault| fault.at("members.list"))
    }

    async fn find_by_email(&self, scope: &Scope, email: &str) -> Result<Option<Member>> {
        self.member_by_email(scope, email).await.map_err(|fault| fault.at("members.find_by_email"))
    }

    async fn set_role(&self, scope: &Scope, member: MemberId, becomes: Role) -> Result<Role> {
        let changed = self.change(scope, member, becomes, move |conn, row| {
            let before: String = conn
                .prepare_cached("SELECT role FROM members WHERE id = ?")?
                .query_row([row], |row| row.get(0))?;
            if becomes < Role::Owner {
                owned_without(conn, row)?;
            }
            conn.prepare_cached("UPDATE members SET role = ? WHERE id = ?")?
                .execute(params![becomes.name(), row])?;
            role(&before)
        });
        changed.await.map_err(|fault| fault.at("members.set_role"))
    }

    async fn set_status(&self, scope: &Scope, member: MemberId, status: Status) -> Result<Status> {
        let changed = self.change(scope, member, Role::Member, move |conn, row| {
            let before: String = conn
                .prepare_cached("SELECT status FROM members WHERE id = ?")?
                .query_row([row], |row| row.get(0))?;
            if status != Status::Active {
                owned_without(conn, row)?;
            }
            conn.prepare_cached("UPDATE members SET status = ? WHERE id = ?")?
                .execute(params![status.name(), row])?;
            Ok(status_of(&before))
        });
        changed.await.map_err(|fault| fault.at("members.set_status"))
    }

    async fn entitle(&self, scope: &Scope, member: MemberId, entitlement: Entitlement) -> Result<()> {
        let changed = self.change(scope, member, Role::Member, move |conn, row| {
            let plan = plan_row(conn, &entitlement.plan)?;
            conn.prepare_cached(
                "INSERT INTO entitlements (member, plan, until) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET until = ?3",
            )?
            .execute(params![row, plan, entitlement.until.map(micros)])?;
            Ok(())
        });
        changed.await.map_err(|fault| fault.at("members.entitle"))
    }

    async fn end_entitlement(&self, scope: &Scope, member: MemberId, plan: &str) -> Result<()> {
        let (plan, now) = (plan.to_owned(), micros(self.clock.now()));
        let changed = self.change(scope, member, Role::Member, move |conn, row| {
            let plan = plan_row(conn, &plan)?;
            conn.prepare_cached(
                "UPDATE entitlements SET until = ?1
                 WHERE member = ?2 AND plan = ?3 AND (until IS NULL OR until > ?1)",
            )?
            .execute(params![now, row, plan])?;
            Ok(())
        });
        changed.await.map_err(|fault| fault.at("members.end_entitlement"))
    }

    async fn link(&self, scope: &Scope, member: MemberId, issuer: &str, subject: &str) -> Result<()> {
        let linked = self.link_subject(scope, member, issuer, subject);
        linked.await.map_err(|fault| fault.at("members.link"))
    }

    async fn provision(
        &self,
        community: CommunityId,
        issuer: &str,
        subject: &str,
        name: &str,
    ) -> Result<MemberId> {
        let provisioned = self.provision_member(community, issuer, subject, name);
        provisioned.await.map_err(|fault| fault.at("members.provision"))
    }
}

/// A member as the file keeps them.
struct Sealed {
    id: MemberId,
    name: Vec<u8>,
    email: Option<Vec<u8>>,
    role: Role,
    status: Status,
    created: i64,
    entitlements: Vec<Entitlement>,
}

impl Engine {
    async fn add_member(&self, scope: &Scope, new: NewMember) -> Result<Member, Fault> {
        let community = self.allowed(scope, Action::WriteMembers).await?;
        let role = new.role.unwrap_or_default();
        if role > Role::Member {
            allow(scope, Action::WriteStaff)?;
        }
        let email = new.email.as_deref().map(checked_email).transpose()?;
        let joining = self.prepare_member(&community, &new.name, email).await?;
        let (id, created) = (joining.id, joining.created);
        let write = community.db.write(move |conn| joining.insert(conn, role).map(drop));
        if let Err(fault) = write.await {
            self.forget_unjoined(&community, id).await;
            return Err(match fault.kind() {
                Kind::Conflict => Fault::because(Kind::Conflict, "another member has that address"),
                _ => fault,
            });
        }
        Ok(Member {
            id,
            name: new.name.clone(),
            email: email.map(str::to_owned),
            role,
            status: Status::Active,
            created: time(created)?,
            entitlements: Vec::new(),
        })
    }

    async fn member(&self, scope: &Scope, member: MemberId) -> Result<Member, Fault> {
        let own = scope.member() == Some(member) && scope.may(Action::ReadSelf);
        if !own {
            allow(scope, Action::ReadMembers)?;
        }
        let community = self.communities.of_scope(scope.community()).await?;
        let found = community.db.read(move |conn| select(conn, "WHERE uuid = ?", &[member.as_bytes()]));
        let found = found.await?;
        self.unseal(&community, found).await?.pop().ok_or(Fault::new(Kind::NotFound))
    }

    async fn all_members(&self, scope: &Scope) -> Result<Vec<Member>, Fault> {
        let community = self.allowed(scope, Action::ReadMembers).await?;
        let found = community.db.read(|conn| select(conn, "ORDER BY id", &[])).await?;
        self.unseal(&community, found).await
    }

    async fn member_by_email(&self, scope: &Scope, email: &str) -> Result<Option<Member>, Fault> {
        let community = self.allowed(scope, Action::ReadMembers).await?;
        let index = community.email_index(email.trim());
        let found = community.db.read(move |conn| select(conn, "WHERE email_index = ?", &[&index]));
        let found = found.await?;
        Ok(self.unseal(&community, found).await?.pop())
    }

    /// Changes a member, if the scope may: staff, and whoever `becomes` staff, only with `WriteStaff`.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        scope: &Scope,
        member: MemberId,
        becomes: Role,
        work: impl FnOnce(&Connection, i64) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let community = self.allowed(scope, Action::WriteMembers).await?;
        let staff = allow(scope, Action::WriteStaff);
        let write = community.db.write(move |conn| {
            let found = conn
                .prepare_cached("SELECT id, role FROM members WHERE uuid = ?")?
                .query_row([member.as_bytes()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
                .optional()?;
            let (row, current) = found.ok_or(Fault::new(Kind::NotFound))?;
            if becomes > Role::Member || role(&current)? > Role::Member {
                staff?;
            }
            work(conn, row)
        });
        write.await
    }

    /// Opens names and addresses. A member whose key is destroyed stays, without them.
    async fn unseal(&self, community: &Arc<Community>, found: Vec<Sealed>) -> Result<Vec<Member>, Fault> {
        let ids = found.iter().map(|sealed| sealed.id).collect();
        // Read after the members: each member's key was there before the member.
        let keys = self.keys.members(community.id, ids).await?;
        found.into_iter().map(|sealed| unseal(community.id, sealed, &keys)).collect()
    }
}

fn unseal(
    community: CommunityId,
    sealed: Sealed,
    keys: &HashMap<MemberId, MemberKey>,
) -> Result<Member, Fault> {
    let (name, email) = match keys.get(&sealed.id) {
        Some(MemberKey::Key(key)) => {
            let open = |field, bytes: &[u8]| opened(field, community, sealed.id, bytes, key);
            (open("name", &sealed.name)?, sealed.email.map(|email| open("email", &email)).transpose()?)
        }
        Some(MemberKey::Destroyed) => (ERASED.to_owned(), None),
        None => return Err(missing_key()),
    };
    Ok(Member {
        id: sealed.id,
        name,
        email,
        role: sealed.role,
        status: sealed.status,
        created: time(sealed.created)?,
        entitlements: sealed.entitlements,
    })
}

/// A member's sealed field.
fn opened(
    field: &str,
    community: CommunityId,
    member: MemberId,
    sealed: &[u8],
    key: &SealKey,
) -> Result<String, Fault> {
    key.open(&place(field, community, member), sealed)
        .ok()
        .and_then(|plain| String::from_utf8(plain).ok())
        .ok_or_else(|| Fault::because(Kind::Corrupt, format!("a member's {field} does not open")))
}

/// The address that is kept for a member, `None` once their key is destroyed.
pub(crate) fn opened_email(
    community: CommunityId,
    member: MemberId,
    sealed: &[u8],
    key: Option<&MemberKey>,
) -> Result<Option<String>, Fault> {
    match key {
        Some(MemberKey::Key(key)) => opened("email", community, member, sealed, key).map(Some),
        Some(MemberKey::Destroyed) => Ok(None),
        None => Err(missing_key()),
    }
}

fn missing_key() -> Fault {
    Fault::because(Kind::Corrupt, "a member's key is missing")
}

/// What a sealed field is bound to, so that it opens nowhere else.
pub(crate) fn place(field: &str, community: CommunityId, member: MemberId) -> Vec<u8> {
    [b"members.", field.as_bytes(), community.as_bytes(), member.as_bytes()].concat()
}

/// An address that mail could reach, without the space around it.
pub(crate) fn checked_email(email: &str) -> Result<&str, Fault> {
    let email = email.trim();
    if is_mail_address(email) {
        return Ok(email);
    }
    Err(Fault::because(
        Kind::Invalid,
        "an e-mail address is `name@host`, at most 254 bytes: no spaces, no quotes, no dot that begins, ends or follows another",
    ))
}

/// Refuses to go on where the member is the only active owner. There is one writer, so nobody else leaves meanwhile.
fn owned_without(conn: &Connection, member: i64) -> Result<(), Fault> {
    let last: bool = conn
        .prepare_cached(
            "SELECT count(*) = 1 AND max(id) = ? FROM members WHERE role = 'owner' AND status = 'active'",
        )?
        .query_row([member], |row| Ok(row.get::<_, Option<bool>>(0)? == Some(true)))?;
    if last { Err(Fault::new(Kind::LastOwner)) } else { Ok(()) }
}

fn status_of(name: &str) -> Status {
    match name {
        "active" => Status::Active,
        _ => Status::Suspended,
    }
}

/// Members that a fixed `condition` selects.
fn select(conn: &Connection, condition: &'static str, values: &[&dyn ToSql]) -> Result<Vec<Sealed>, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT id, uuid, name, email, role, status, created FROM members {condition}"
    ))?;
    let mut rows = statement.query(values)?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        members.push(Sealed {
            id: MemberId::from_bytes(row.get(1)?),
            name: row.get(2)?,
            email: row.get(3)?,
            role: role(&row.get::<_, String>(4)?)?,
            status: status_of(&row.get::<_, String>(5)?),
            created: row.get(6)?,
            entitlements: entitlements(conn, row.get(0)?)?,
        });
    }
    Ok(members)
}

fn entitlements(conn: &Connection, member: i64) -> Result<Vec<Entitlement>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT slug, until FROM entitlements JOIN plans ON plans.id = plan WHERE member = ? ORDER BY slug",
    )?;
    let mut rows = statement.query([member])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Entitlement { plan: row.get(0)?, until: optional_time(row.get(1)?)? });
    }
    Ok(found)
}
