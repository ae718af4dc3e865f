//! The schema of each kind of file, as numbered migrations that are applied in order and recorded in `user_version`.

use portcullis_store::Kind;
use rusqlite::Connection;

use crate::fault::Fault;

/// The migrations of one kind of file, oldest first. Migration n brings `user_version` from n-1 to n.
#[derive(Debug)]
pub(crate) struct Schema {
    migrations: &'static [&'static str],
}

/// `platform.db`: the communities of the instance.
pub(crate) static PLATFORM: Schema =
    Schema { migrations: &[include_str!("../migrations/platform/0001_create_communities.sql")] };

/// `keys.db`: wrapped keys.
pub(crate) static KEYS: Schema =
    Schema { migrations: &[include_str!("../migrations/keys/0001_create_keys.sql")] };

/// `communities/<id>.db`: all of one community.
pub(crate) static COMMUNITY: Schema = Schema {
    migrations: &[
        include_str!("../migrations/community/0001_create_community.sql"),
        include_str!("../migrations/community/0002_add_sign_in_and_conversations.sql"),
        include_str!("../migrations/community/0003_add_key_ceilings.sql"),
        include_str!("../migrations/community/0004_end_links_with_a_suspension.sql"),
        include_str!("../migrations/community/0005_add_invitation_makers.sql"),
        include_str!("../migrations/community/0006_add_handovers.sql"),
        include_str!("../migrations/community/0007_add_approvals.sql"),
        include_str!("../migrations/community/0008_add_content_epoch.sql"),
        include_str!("../migrations/community/0009_add_key_makers.sql"),
        include_str!("../migrations/community/0010_add_conversations_of_approvals.sql"),
        include_str!("../migrations/community/0011_add_ended_sessions.sql"),
    ],
};

/// How a file's schema stands to the one this program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The same.
    Current,
    /// Migrations are to be applied; a new file has them all before it.
    Behind,
    /// A newer program wrote the file.
    Newer { found: usize, known: usize },
}

impl Schema {
    /// How the open file stands to this schema.
    pub(crate) fn standing(&self, conn: &Connection) -> Result<Standing, rusqlite::Error> {
        let (found, known) = (version(conn)?, self.migrations.len());
        Ok(match found.cmp(&known) {
            std::cmp::Ordering::Less => Standing::Behind,
            std::cmp::Ordering::Equal => Standing::Current,
            std::cmp::Ordering::Greater => Standing::Newer { found, known },
        })
    }

    /// Applies what is missing, in one transaction: all of it or nothing.
    pub(crate) fn migrate(&self, conn: &mut Connection) -> Result<(), Fault> {
        let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Read again inside the transaction: another process may have been here first.
        for migration in self.migrations.iter().skip(version(&transaction)?) {
            transaction.execute_batch(migration)?;
        }
        let version = i64::try_from(self.migrations.len()).unwrap_or(i64::MAX);
        transaction.pragma_update(None, "user_version", version)?;
        Ok(transaction.commit()?)
    }
}

impl Standing {
    /// The same as an error where a newer file cannot be used.
    pub(crate) fn newer(found: usize, known: usize) -> Fault {
        Fault::because(
            Kind::Unavailable,
            format!(
                "the file has schema {found}, this program knows up to {known}: use the program that wrote it"
            ),
        )
    }
}

fn version(conn: &Connection) -> Result<usize, rusqlite::Error> {
    let version: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{COMMUNITY, Schema};

    /// A community's file as the first two migrations leave it, with what this says in it.
    fn as_before(contents: &str) -> Connection {
        static BEFORE: Schema = Schema {
            migrations: &[
                include_str!("../migrations/community/0001_create_community.sql"),
                include_str!("../migrations/community/0002_add_sign_in_and_conversations.sql"),
            ],
        };
        let mut conn = Connection::open_in_memory().expect("a database");
        BEFORE.migrate(&mut conn).expect("the schema of before");
        conn.execute_batch(contents).expect("contents");
        COMMUNITY.migrate(&mut conn).expect("it is brought up to date");
        conn
    }

    #[test]
    fn keys_of_before_keep_what_they_may_do_and_rise_no_further() {
        let conn = as_before(
            "INSERT INTO members (id, uuid, name, role, status, created) VALUES
                 (1, zeroblob(16), x'00', 'admin', 'active', 0),
                 (2, randomblob(16), x'00', 'member', 'suspended', 0);
             INSERT INTO keys (id, uuid, hash, name, hint, member, role, abilities, created) VALUES
                 (1, randomblob(16), randomblob(32), 'staff', '', 1, NULL, 'manage', 0),
                 (2, randomblob(16), randomblob(32), 'plain', '', 2, NULL, 'chat', 0),
                 (3, randomblob(16), randomblob(32), 'site', '', NULL, 'moderator', 'chat', 0);
             UPDATE identity_epoch SET epoch = 7;",
        );
        let mut ceilings = conn.prepare("SELECT ceiling FROM keys ORDER BY id").expect("the column");
        let ceilings = ceilings.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        let ceilings: Vec<String> = ceilings.collect::<Result<_, _>>().expect("texts");
        assert_eq!(ceilings, ["admin", "member", "moderator"]);
        conn.execute("UPDATE members SET role = 'owner'", []).expect("promoted");
        let risen: i64 = conn
            .query_row("SELECT count(*) FROM keys WHERE ceiling = 'owner'", [], |row| row.get(0))
            .expect("it counts");
        assert_eq!(risen, 0);
        let unknown = conn.execute("UPDATE keys SET ceiling = 'king'", []);
        assert!(unknown.is_err(), "the file itself keeps other words out");
    }

    #[test]
    fn documents_of_before_are_counted_from_now_on_and_read_from_an_index() {
        let conn = as_before(
            "INSERT INTO spaces (id, uuid, slug, name, access) VALUES
                 (1, zeroblob(16), 'one', 'One', 'staff'), (2, randomblob(16), 'two', 'Two', 'staff');
             INSERT INTO documents (id, uuid, space, source, source_key, fingerprint, title, chunks) VALUES
                 (7, randomblob(16), 1, 'test', 'key', zeroblob(32), 'A title', 3);",
        );
        let epoch = || -> i64 {
            conn.query_row("SELECT epoch FROM content_epoch", [], |row| row.get(0)).expect("a number")
        };
        assert_eq!(epoch(), 0);
        for (changes, change) in (1..).zip([
            "UPDATE documents SET space = 2",
            "INSERT INTO documents (uuid, space, source, source_key, fingerprint, title, chunks)
             VALUES (randomblob(16), 1, 'test', 'another', zeroblob(32), 'A title', 3)",
            "DELETE FROM documents WHERE id = 7",
        ]) {
            conn.execute(change, []).expect("it changes");
            assert_eq!(epoch(), changes, "{change}");
        }
        let plan: String = conn
            .query_row(
                "EXPLAIN QUERY PLAN SELECT space, id, chunks FROM documents ORDER BY space, id",
                [],
                |row| row.get(3),
            )
            .expect("a plan");
        assert!(plan.ends_with("USING COVERING INDEX documents_by_space"), "{plan}");
    }
}
