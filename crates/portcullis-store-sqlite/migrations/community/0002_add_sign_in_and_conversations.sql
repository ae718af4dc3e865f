-- Sign-in, host applications' subjects, and what members keep for themselves.

-- `hash` is a keyed hash of an issuer and its name for a member; the name itself is not kept.
CREATE TABLE subjects (
    hash   BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    member INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX subjects_by_member ON subjects (member);

-- `email_index` as members have it: who alone may accept the invitation, or NULL.
CREATE TABLE invitations (
    id          INTEGER PRIMARY KEY,
    uuid        BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    hash        BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    email_index BLOB,
    role        TEXT    NOT NULL CHECK (role IN ('member', 'moderator', 'admin', 'owner')),
    uses        INTEGER NOT NULL CHECK (uses >= 0), -- how many may still accept it
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    withdrawn   INTEGER
) STRICT;
CREATE INDEX invitations_by_end ON invitations (expires);

CREATE TABLE invitation_plans (
    invitation INTEGER NOT NULL REFERENCES invitations (id) ON DELETE CASCADE,
    plan       INTEGER NOT NULL REFERENCES plans (id),
    until      INTEGER,
    PRIMARY KEY (invitation, plan)
) STRICT, WITHOUT ROWID;

-- Links that were asked for, whether one was sent or not. `email` is sealed; the row goes with its use or its end.
CREATE TABLE sign_ins (
    id          INTEGER PRIMARY KEY,
    hash        BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    browser     BLOB    NOT NULL CHECK (length(browser) = 32),
    email       BLOB    NOT NULL,
    email_index BLOB    NOT NULL,
    strangers   TEXT    NOT NULL CHECK (strangers IN ('refuse', 'join')),
    invitation  BLOB, -- the hash of the invitation it was asked with
    expires     INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_ins_by_end ON sign_ins (expires);
CREATE INDEX sign_ins_by_address ON sign_ins (email_index);

-- `ends` is the first moment at which the session no longer counts, if it is not used before.
CREATE TABLE sessions (
    id        INTEGER PRIMARY KEY,
    uuid      BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    hash      BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    member    INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    created   INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    idle      INTEGER NOT NULL,
    ends      INTEGER NOT NULL AS (min(expires, last_used + idle))
) STRICT;
CREATE INDEX sessions_by_member ON sessions (member);
CREATE INDEX sessions_by_end ON sessions (ends);

-- Titles, texts and facts are sealed with the member's own key. Ids are unique to their owner, so that an id in use
-- tells nothing about anybody else.
CREATE TABLE conversations (
    id       INTEGER PRIMARY KEY,
    uuid     BLOB    NOT NULL CHECK (length(uuid) = 16),
    member   INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    title    BLOB    NOT NULL,
    created  INTEGER NOT NULL,
    updated  INTEGER NOT NULL,
    messages INTEGER NOT NULL, -- how many there are
    UNIQUE (member, uuid),
    UNIQUE (member, updated)
) STRICT;

CREATE TABLE messages (
    id           INTEGER PRIMARY KEY,
    uuid         BLOB    NOT NULL CHECK (length(uuid) = 16),
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn         BLOB    NOT NULL CHECK (length(turn) = 16),
    author       TEXT    NOT NULL CHECK (author IN ('member', 'assistant')),
    text         BLOB    NOT NULL,
    created      INTEGER NOT NULL,
    UNIQUE (conversation, uuid)
) STRICT;
CREATE INDEX messages_in_order ON messages (conversation);

-- What a message relied on, by the document's public id: the row outlives the document, and then means `gone`.
CREATE TABLE message_sources (
    message  INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    place    INTEGER NOT NULL,
    document BLOB    NOT NULL CHECK (length(document) = 16),
    PRIMARY KEY (message, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE memories (
    id      INTEGER PRIMARY KEY,
    uuid    BLOB    NOT NULL CHECK (length(uuid) = 16),
    member  INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    text    BLOB    NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    UNIQUE (member, uuid)
) STRICT;

-- A suspension ends sessions for good: being restored means signing in again.
CREATE TRIGGER members_suspended AFTER UPDATE OF status ON members WHEN NEW.status = 'suspended'
BEGIN DELETE FROM sessions WHERE member = NEW.id; END;

-- Identities are made of these too. A use of a session changes none, and what is new was not remembered before.
CREATE TRIGGER sessions_update_epoch AFTER UPDATE OF hash, member, expires, idle ON sessions
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER sessions_delete_epoch AFTER DELETE ON sessions
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER subjects_update_epoch AFTER UPDATE ON subjects
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER subjects_delete_epoch AFTER DELETE ON subjects
BEGIN UPDATE identity_epoch SET epoch = epoch + 1; END;
