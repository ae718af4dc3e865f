//! The spaces port: the parts of a community and the plans that open them.

use async_trait::async_trait;
use portcullis_core::{Action, Scope, SpaceId};
use portcullis_store::{Kind, NewSpace, Plan, Result, Space, SpaceAccess, Spaces};
use rusqlite::{Connection, OptionalExtension, params};

use crate::fault::Fault;
use crate::stores::Engine;
use crate::value::{name, slug, space_list};

#[async_trait]
impl Spaces for Engine {
    async fn create_plan(&self, scope: &Scope, plan: Plan) -> Result<()> {
        self.create_plan_of(scope, plan).await.map_err(|fault| fault.at("spaces.create_plan"))
    }

    async fn plans(&self, scope: &Scope) -> Result<Vec<Plan>> {
        self.plans_of(scope).await.map_err(|fault| fault.at("spaces.plans"))
    }

    async fn create(&self, scope: &Scope, new: NewSpace) -> Result<Space> {
        self.create_space(scope, new).await.map_err(|fault| fault.at("spaces.create"))
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Space>> {
        self.spaces_of(scope).await.map_err(|fault| fault.at("spaces.list"))
    }

    async fn set_access(&self, scope: &Scope, space: SpaceId, access: SpaceAccess) -> Result<()> {
        self.open_space(scope, space, access).await.map_err(|fault| fault.at("spaces.set_access"))
    }
}

impl Engine {
    async fn create_plan_of(&self, scope: &Scope, plan: Plan) -> Result<(), Fault> {
        let community = self.allowed(scope, Action::WriteSpaces).await?;
        slug(&plan.slug, 2..=40)?;
        // The audit names plans, and its words begin like this.
        if plan.slug.starts_with('-') {
            return Err(Fault::because(
                Kind::Invalid,
                "the short name of a plan begins with a letter or digit",
            ));
        }
        name(&plan.name)?;
        let write = community.db.write(move |conn| {
            conn.prepare_cached("INSERT INTO plans (slug, name) VALUES (?, ?)")?
                .execute([&plan.slug, &plan.name])?;
            Ok(())
        });
        write.await
    }

    async fn plans_of(&self, scope: &Scope) -> Result<Vec<Plan>, Fault> {
        let community = self.allowed(scope, Action::ReadSpaces).await?;
        let read = community.db.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT slug, name FROM plans ORDER BY slug")?;
            let plans = statement.query_map([], |row| Ok(Plan { slug: row.get(0)?, name: row.get(1)? }))?;
            Ok(plans.collect::<Result<_, _>>()?)
        });
        read.await
    }

    async fn create_space(&self, scope: &Scope, new: NewSpace) -> Result<Space, Fault> {
        let community = self.allowed(scope, Action::WriteSpaces).await?;
        slug(&new.slug, 1..=80)?;
        name(&new.name)?;
        let id = SpaceId::new(&*self.clock);
        let write = community.db.write(move |conn| {
            conn.prepare_cached("INSERT INTO spaces (uuid, slug, name, access) VALUES (?, ?, ?, ?)")?
                .execute(params![id.as_bytes(), new.slug, new.name, new.access.name()])?;
            let row = conn.last_insert_rowid();
            set_plans(conn, row, &new.access)?;
            let access = access(conn, row, new.access.name())?;
            Ok(Space { id, slug: new.slug, name: new.name, access })
        });
        write.await
    }

    async fn spaces_of(&self, scope: &Scope) -> Result<Vec<Space>, Fault> {
        let community = self.communities.of_scope(scope.community()).await?;
        // Staff see what is closed too; everybody else what the scope opens, and no more.
        let (sql, list) = if scope.may(Action::ReadSpaces) {
            ("SELECT id, uuid, slug, name, access FROM spaces WHERE ?1 = '' ORDER BY slug", String::new())
        } else {
            (
                "SELECT id, uuid, slug, name, access FROM spaces
                 WHERE uuid IN (SELECT unhex(value) FROM json_each(?1)) ORDER BY slug",
                space_list(scope.spaces()),
            )
        };
        let read = community.db.read(move |conn| {
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query([list])?;
            let mut spaces = Vec::new();
            while let Some(row) = rows.next()? {
                spaces.push(Space {
                    id: SpaceId::from_bytes(row.get(1)?),
                    slug: row.get(2)?,
                    name: row.get(3)?,
                    access: access(conn, row.get(0)?, &row.get::<_, String>(4)?)?,
                });
            }
            Ok(spaces)
        });
        read.await
    }

    async fn open_space(&self, scope: &Scope, space: SpaceId, access: SpaceAccess) -> Result<(), Fault> {
        let community = self.allowed(scope, Action::WriteSpaces).await?;
        let write = community.db.write(move |conn| {
            let row = conn
                .prepare_cached("SELECT id FROM spaces WHERE uuid = ?")?
                .query_row([space.as_bytes()], |row| row.get::<_, i64>(0))
                .optional()?
                .ok_or(Fault::new(Kind::NotFound))?;
            conn.prepare_cached("UPDATE spaces SET access = ? WHERE id = ?")?
                .execute(params![access.name(), row])?;
            set_plans(conn, row, &access)
        });
        write.await
    }
}

fn access(conn: &Connection, space: i64, name: &str) -> Result<SpaceAccess, Fault> {
    match name {
        "staff" => Ok(SpaceAccess::Staff),
        "members" => Ok(SpaceAccess::Members),
        "plans" => {
            let mut statement = conn.prepare_cached(
                "SELECT slug FROM space_plans JOIN plans ON plans.id = plan WHERE space = ? ORDER BY slug",
            )?;
            let plans = statement.query_map([space], |row| row.get(0))?;
            Ok(SpaceAccess::Plans(plans.collect::<Result<_, _>>()?))
        }
        _ => Err(Fault::because(Kind::Corrupt, "a stored access is unknown")),
    }
}

fn set_plans(conn: &Connection, space: i64, access: &SpaceAccess) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM space_plans WHERE space = ?")?.execute([space])?;
    if let SpaceAccess::Plans(plans) = access {
        for plan in plans {
            let plan = plan_row(conn, plan)?;
            conn.prepare_cached(
                "INSERT INTO space_plans (space, plan) VALUES (?, ?) ON CONFLICT DO NOTHING",
            )?
            .execute([space, plan])?;
        }
    }
    Ok(())
}

/// The file's own id of a plan; an unknown plan is `Invalid`.
pub(crate) fn plan_row(conn: &Connection, plan: &str) -> Result<i64, Fault> {
    conn.prepare_cached("SELECT id FROM plans WHERE slug = ?")?
        .query_row([plan], |row| row.get(0))
        .optional()?
        .ok_or_else(|| Fault::because(Kind::Invalid, "no plan has that name: create it first"))
}
