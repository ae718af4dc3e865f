-- Calls of tools that wait for a person. `arguments`, `question` and `result` are sealed with the asker's own key, or with the
-- community's where a key without a member asked. `asker` and `decider` are public ids: a row outlives neither role nor key.
CREATE TABLE approvals (
    id           INTEGER PRIMARY KEY,
    uuid         BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    asker_kind   TEXT    NOT NULL CHECK (asker_kind IN ('member', 'key', 'operator')),
    asker        BLOB    CHECK (length(asker) = 16),
    tool         TEXT    NOT NULL CHECK (length(tool) BETWEEN 1 AND 48),
    pin          TEXT    NOT NULL CHECK (length(pin) BETWEEN 1 AND 100),
    arguments    BLOB    NOT NULL,
    question     BLOB    NOT NULL,
    result       BLOB,
    created      INTEGER NOT NULL,
    expires      INTEGER NOT NULL, -- until when it may be decided, then until when it may be begun
    state        TEXT    NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'running', 'done', 'failed')),
    begun        INTEGER,          -- when it was begun, once
    decided      INTEGER,
    decider_kind TEXT    CHECK (decider_kind IN ('member', 'key', 'operator')),
    decider      BLOB    CHECK (length(decider) = 16)
) STRICT;
CREATE INDEX approvals_in_order ON approvals (state, created);
