//! The directory port: `platform.db`, and creating a community with its keys and its file.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use lru::LruCache;
use parking_lot::Mutex;
use portcullis_core::{CommunityId, Locator, Tier};
use portcullis_store::{Community, CommunityRef, Directory, KeptSince, Kind, NewCommunity, Removed, Result};
use rusqlite::{Connection, Row, params};

use crate::approvals::{due, remove_where};
use crate::db::Db;
use crate::fault::Fault;
use crate::file::Purpose;
use crate::invitations::outdated;
use crate::queue::remove_older;
use crate::sessions::{forgotten, sweep};
use crate::stores::Engine;
use crate::value::{micros, name, slug, time};
use crate::watch::Watch;

/// The most names of communities remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8_192).unwrap();

const COLUMNS: &str = "SELECT uuid, slug, name, locator, host, tier, created FROM communities";

/// `platform.db`, with the communities that were asked for lately.
#[derive(Debug)]
pub(crate) struct Platform {
    db: Arc<Db>,
    recent: Mutex<Recent>,
}

/// Right as long as nothing has committed to the file since `version`.
struct Recent {
    watch: Option<Watch>,
    version: i64,
    found: LruCache<Name, Community>,
}

/// An owned [`CommunityRef`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    Id(CommunityId),
    Slug(String),
    Locator(Locator),
    Host(String),
    Only,
}

impl Platform {
    pub(crate) fn open(db: Arc<Db>) -> Result<Self, Fault> {
        let mut watch = Watch::new(db.place().connect(Purpose::Watch)?, db.commits()?)?;
        let version = watch.version()?;
        let recent = Recent { watch: Some(watch), version, found: LruCache::new(REMEMBERED) };
        Ok(Self { db, recent: Mutex::new(recent) })
    }

    pub(crate) fn close(&self) {
        self.recent.lock().watch = None;
        self.db.close();
    }
}

impl Recent {
    /// Forgets everything if anything was committed; the state of the file that the rest belongs to.
    fn refresh(&mut self) -> Option<i64> {
        let version = self.watch.as_mut()?.version().ok()?;
        if version != self.version {
            self.found.clear();
            self.version = version;
        }
        Some(version)
    }
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recent").field("found", &self.found.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Directory for Engine {
    async fn create(&self, new: NewCommunity) -> Result<Community> {
        self.create_community(new).await.map_err(|fault| fault.at("directory.create"))
    }

    async fn find(&self, by: CommunityRef<'_>) -> Result<Option<Community>> {
        let name = match by {
            CommunityRef::Id(id) => Name::Id(id),
            CommunityRef::Slug(slug) => Name::Slug(slug.to_owned()),
            CommunityRef::Locator(locator) => Name::Locator(locator.clone()),
            CommunityRef::Host(host) => Name::Host(host.to_owned()),
            CommunityRef::Only => Name::Only,
        };
        let seen = {
            let mut recent = self.platform.recent.lock();
            let seen = recent.refresh();
            if let Some(found) = seen.and_then(|_| recent.found.get(&name)) {
                return Ok(Some(found.clone()));
            }
            seen
        };
        let wanted = name.clone();
        let found = self.platform.db.read(move |conn| find(conn, &wanted)).await;
        let found = found.map_err(|fault| fault.at("directory.find"))?;
        if let (Some(seen), Some(found)) = (seen, &found) {
            let mut recent = self.platform.recent.lock();
            if recent.version == seen {
                recent.found.put(name, found.clone());
            }
        }
        Ok(found)
    }

    async fn list(&self) -> Result<Vec<Community>> {
        let rows = self.platform.db.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{COLUMNS} ORDER BY slug"))?;
            let mut rows = statement.query([])?;
            let mut communities = Vec::new();
            while let Some(row) = rows.next()? {
                communities.push(community(row)?);
            }
            Ok(communities)
        });
        rows.await.map_err(|fault| fault.at("directory.list"))
    }

    async fn remove_due(&self, community: CommunityId, since: KeptSince) -> Result<Removed> {
        self.remove_what_is_due(community, since).await.map_err(|fault| fault.at("directory.remove_due"))
    }

    async fn set_tier(&self, community: CommunityId, tier: Tier) -> Result<()> {
        let written = self.platform.db.write(move |conn| {
            let changed = conn
                .prepare_cached("UPDATE communities SET tier = ? WHERE uuid = ?")?
                .execute(params![tier.name(), community.as_bytes()])?;
            if changed == 0 { Err(Fault::new(Kind::NotFound)) } else { Ok(()) }
        });
        written.await.map_err(|fault| fault.at("directory.set_tier"))
    }

    async fn ping(&self) -> Result<()> {
        let read = self.platform.db.read(|conn| {
            conn.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM communities LIMIT 1)")?
                .query_row([], |row| row.get::<_, i64>(0))?;
            Ok(())
        });
        read.await.map_err(|fault| fault.at("directory.ping"))
    }
}

impl Engine {
    async fn remove_what_is_due(&self, community: CommunityId, since: KeptSince) -> Result<Removed, Fault> {
        let community = self.communities.of_scope(community).await?;
        let now = micros(self.clock.now());
        let KeptSince { handovers, approvals } = since;
        let calls = due(approvals, now);
        // Mostly there is nothing, and reading waits for nobody.
        let looked_for = format!(
            "SELECT EXISTS (SELECT 1 FROM handovers WHERE created < ?2)
                 OR EXISTS (SELECT 1 FROM approvals WHERE {calls})
                 OR EXISTS (SELECT 1 FROM invitations WHERE expires <= ?1)
                 OR EXISTS (SELECT 1 FROM sign_ins WHERE expires <= ?1)
                 OR EXISTS (SELECT 1 FROM sessions WHERE ends <= ?1)
                 OR EXISTS (SELECT 1 FROM ended_sessions WHERE ended <= ?3)",
        );
        let read = community.db.read(move |conn| {
            // It holds the moment, so that no two are the same statement.
            Ok(conn
                .prepare(&looked_for)?
                .query_row([now, micros(handovers), forgotten(now)], |row| row.get::<_, bool>(0))?)
        });
        if !read.await? {
            return Ok(Removed::default());
        }
        let write = community.db.write(move |conn| {
            let mut removed = remove_where(conn, &calls, [])?;
            removed.entries += remove_older(conn, "handovers", "FALSE", handovers)? + outdated(conn, now)?;
            loop {
                match sweep(conn, now)? {
                    0 => return Ok(removed),
                    some => removed.entries += some,
                }
            }
        });
        write.await
    }

    async fn create_community(&self, new: NewCommunity) -> Result<Community, Fault> {
        let new = checked(new)?;
        self.refuse_taken(new.slug.clone(), new.host.clone()).await?;
        let created = Community {
            id: CommunityId::new(&*self.clock),
            slug: new.slug,
            name: new.name,
            locator: Locator::random(),
            host: new.host,
            tier: new.tier,
            created: time(micros(self.clock.now()))?,
        };
        // The row comes last: only then can anyone find the community, and by then all of it is there. What a crash
        // leaves before that is a key and a file that nothing names.
        let key = self.keys.create_community(created.id).await?;
        let place = self.communities.place(created.id, key);
        let made = place.clone();
        let row = created.clone();
        let finished = match self.pools.writers.run(move || made.create()).await {
            Ok(()) => self.platform.db.write(move |conn| insert(conn, &row)).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = finished {
            place.remove();
            self.keys.forget_community(created.id).await?;
            return Err(match fault.kind() {
                Kind::Conflict => taken(),
                _ => fault,
            });
        }
        Ok(created)
    }

    async fn refuse_taken(&self, slug: String, host: Option<String>) -> Result<(), Fault> {
        let read = self.platform.db.read(move |conn| {
            Ok(conn
                .prepare_cached("SELECT count(*) FROM communities WHERE slug = ? OR host = ?")?
                .query_row(params![slug, host], |row| row.get::<_, i64>(0))?)
        });
        if read.await? > 0 { Err(taken()) } else { Ok(()) }
    }
}

fn taken() -> Fault {
    Fault::because(Kind::Conflict, "another community has that slug or host: choose another")
}

fn checked(new: NewCommunity) -> Result<NewCommunity, Fault> {
    slug(&new.slug, 2..=40)?;
    name(&new.name)?;
    let well_formed = new.host.as_deref().is_none_or(|host| {
        (1..=253).contains(&host.len())
            && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
    });
    if !well_formed {
        return Err(Fault::because(Kind::Invalid, "a host name is lower case, without scheme, port or path"));
    }
    Ok(new)
}

fn insert(conn: &Connection, new: &Community) -> Result<(), Fault> {
    conn.prepare_cached(
        "INSERT INTO communities (uuid, slug, name, locator, host, tier, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        new.id.as_bytes(),
        new.slug,
        new.name,
        new.locator.as_str(),
        new.host,
        new.tier.name(),
        micros(new.created)
    ])?;
    Ok(())
}

fn find(conn: &Connection, by: &Name) -> Result<Option<Community>, Fault> {
    let (column, value): (_, &dyn rusqlite::ToSql) = match by {
        Name::Id(id) => ("uuid", id.as_bytes()),
        Name::Slug(slug) => ("slug", slug),
        Name::Locator(locator) => ("locator", &locator.as_str()),
        Name::Host(host) => ("host", host),
        Name::Only => return only(conn),
    };
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} WHERE {column} = ?"))?;
    let mut rows = statement.query([value])?;
    rows.next()?.map(community).transpose()
}

/// However many there are, two are read at most.
fn only(conn: &Connection) -> Result<Option<Community>, Fault> {
    let mut statement = conn.prepare_cached(&format!("{COLUMNS} LIMIT 2"))?;
    let mut rows = statement.query([])?;
    let first = rows.next()?.map(community).transpose()?;
    Ok(if rows.next()?.is_none() { first } else { None })
}

fn community(row: &Row<'_>) -> Result<Community, Fault> {
    let damaged = || Fault::because(Kind::Corrupt, "a stored community does not read back");
    Ok(Community {
        id: CommunityId::from_bytes(row.get(0)?),
        slug: row.get(1)?,
        name: row.get(2)?,
        locator: Locator::parse(&row.get::<_, String>(3)?).ok_or_else(damaged)?,
        host: row.get(4)?,
        tier: Tier::parse(&row.get::<_, String>(5)?).ok_or_else(damaged)?,
        created: time(row.get(6)?)?,
    })
}
