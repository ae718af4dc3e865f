-- The key store, which backups of data never contain. Every key is wrapped with the instance's key-encryption key,
-- with what it belongs to as associated data.
CREATE TABLE community_keys (
    community BLOB PRIMARY KEY CHECK (length(community) = 16),
    wrapped   BLOB    NOT NULL,
    created   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A destroyed key leaves its row, without the key, so that it is never made anew for the same member.
CREATE TABLE member_keys (
    community BLOB    NOT NULL CHECK (length(community) = 16),
    member    BLOB    NOT NULL CHECK (length(member) = 16),
    wrapped   BLOB,
    created   INTEGER NOT NULL,
    destroyed INTEGER,
    PRIMARY KEY (community, member),
    CHECK ((wrapped IS NULL) = (destroyed IS NOT NULL))
) STRICT, WITHOUT ROWID;
