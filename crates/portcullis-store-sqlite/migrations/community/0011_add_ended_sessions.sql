-- Sessions that have ended, by their hash alone: a browser that comes back with one is told from who makes tokens up.
CREATE TABLE ended_sessions (
    hash  BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    ended INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_sessions_by_end ON ended_sessions (ended);
