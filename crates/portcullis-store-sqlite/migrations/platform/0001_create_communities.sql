-- The communities of the instance. Times are microseconds since 1970, ids the 16 bytes of a UUIDv7.
CREATE TABLE communities (
    id      INTEGER PRIMARY KEY,
    uuid    BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    slug    TEXT    NOT NULL UNIQUE,
    name    TEXT    NOT NULL,
    locator TEXT    NOT NULL UNIQUE,
    host    TEXT    UNIQUE,
    tier    TEXT    NOT NULL CHECK (tier IN ('standard', 'enhanced', 'dedicated')),
    created INTEGER NOT NULL
) STRICT;
