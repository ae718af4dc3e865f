-- One community. Times are microseconds since 1970, `uuid` the 16 bytes of a UUIDv7; `id` never leaves this file.

CREATE TABLE plans (
    id   INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL
) STRICT;

CREATE TABLE spaces (
    id     INTEGER PRIMARY KEY,
    uuid   BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    slug   TEXT NOT NULL UNIQUE,
    name   TEXT NOT NULL,
    access TEXT NOT NULL CHECK (access IN ('staff', 'members', 'plans'))
) STRICT;

CREATE TABLE space_plans (
    space INTEGER NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    plan  INTEGER NOT NULL REFERENCES plans (id),
    PRIMARY KEY (space, plan)
) STRICT, WITHOUT ROWID;
CREATE INDEX space_plans_by_plan ON space_plans (plan);

-- `name` and `email` are sealed with the member's own key, `email_index` is a keyed hash of the folded address.
CREATE TABLE members (
    id          INTEGER PRIMARY KEY,
    uuid        BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    name        BLOB    NOT NULL,
    email       BLOB,
    email_index BLOB    UNIQUE,
    role        TEXT    NOT NULL CHECK (role IN ('member', 'moderator', 'admin', 'owner')),
    status      TEXT    NOT NULL CHECK (status IN ('active', 'suspended')),
    created     INTEGER NOT NULL
) STRICT;

CREATE TABLE entitlements (
    member INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    plan   INTEGER NOT NULL REFERENCES plans (id),
    until  INTEGER, -- the first moment at which it no longer counts
    PRIMARY KEY (member, plan)
) STRICT, WITHOUT ROWID;

-- An API key acts either for a member or with a role and plans of its own.
CREATE TABLE keys (
    id        INTEGER PRIMARY KEY,
    uuid      BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    hash      BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    name      TEXT    NOT NULL,
    hint      TEXT    NOT NULL,
    member    INTEGER REFERENCES members (id) ON DELETE CASCADE,
    role      TEXT    CHECK (role IN ('member', 'moderator', 'admin', 'owner')),
    abilities TEXT    NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER,
    revoked   INTEGER,
    CHECK ((member IS NULL) <> (role IS NULL))
) STRICT;

CREATE TABLE key_plans (
    key  INTEGER NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
    plan INTEGER NOT NULL REFERENCES plans (id),
    PRIMARY KEY (key, plan)
) STRICT, WITHOUT ROWID;

CREATE TABLE documents (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: the ids of chunks are made from it
    uuid        BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    space       INTEGER NOT NULL REFERENCES spaces (id),
    source      TEXT    NOT NULL,
    source_key  TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    title       TEXT    NOT NULL,
    url         TEXT,
    author      TEXT,
    written     INTEGER,
    chunks      INTEGER NOT NULL,
    UNIQUE (source, source_key)
) STRICT;
CREATE INDEX documents_by_space ON documents (space);

-- The id is the document's id shifted left by 20 bits, plus the place in the document from 0.
-- `parts` holds the words inside identifiers, such as `rigid body` for `RigidBody`.
CREATE TABLE chunks (
    id      INTEGER PRIMARY KEY,
    heading TEXT NOT NULL,
    author  TEXT,
    text    TEXT NOT NULL,
    parts   TEXT NOT NULL
) STRICT;

CREATE TABLE links (
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    target   TEXT    NOT NULL,
    PRIMARY KEY (document, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_target ON links (target);

-- What the full-text index holds of a chunk; the title counts once, with the first.
CREATE VIEW indexed AS
SELECT chunks.id AS id,
       CASE WHEN chunks.id & 1048575 = 0 THEN documents.title ELSE '' END AS title,
       chunks.heading AS heading,
       chunks.text AS text,
       chunks.parts AS parts
FROM chunks JOIN documents ON documents.id = chunks.id >> 20;

CREATE VIRTUAL TABLE search USING fts5 (
    title, heading, text, parts,
    content = 'indexed', content_rowid = 'id',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
-- A removed document leaves nothing in the index, not even until the next merge.
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);

-- Changes with every change to what an identity is made of, so that a cache of identities outlives other writes.
CREATE TABLE identity_epoch (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO identity_epoch (id, epoch) VALUES (1, 0);

CREATE TRIGGER members_insert_epoch AFTER INSERT ON members
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER members_update_epoch AFTER UPDATE ON members
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER members_delete_epoch AFTER DELETE ON members
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER entitlements_insert_epoch AFTER INSERT ON entitlements
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER entitlements_update_epoch AFTER UPDATE ON entitlements
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER entitlements_delete_epoch AFTER DELETE ON entitlements
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER spaces_insert_epoch AFTER INSERT ON spaces
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER spaces_update_epoch AFTER UPDATE ON spaces
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER spaces_delete_epoch AFTER DELETE ON spaces
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER space_plans_insert_epoch AFTER INSERT ON space_plans
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER space_plans_update_epoch AFTER UPDATE ON space_plans
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER space_plans_delete_epoch AFTER DELETE ON space_plans
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER keys_insert_epoch AFTER INSERT ON keys
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER keys_update_epoch AFTER UPDATE ON keys
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER keys_delete_epoch AFTER DELETE ON keys
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER key_plans_insert_epoch AFTER INSERT ON key_plans
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER key_plans_update_epoch AFTER UPDATE ON key_plans
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER key_plans_delete_epoch AFTER DELETE ON key_plans
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
