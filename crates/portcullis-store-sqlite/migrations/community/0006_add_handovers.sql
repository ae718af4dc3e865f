-- Questions that were handed to a person in the place of the model. `text` is sealed with the asker's own key, or with the
-- community's where a key without a member asked. `asker` and `noter` are public ids: a row outlives neither role nor key.
CREATE TABLE handovers (
    id         INTEGER PRIMARY KEY,
    uuid       BLOB    NOT NULL UNIQUE CHECK (length(uuid) = 16),
    asker_kind TEXT    NOT NULL CHECK (asker_kind IN ('member', 'key', 'operator')),
    asker      BLOB    CHECK (length(asker) = 16),
    reason     TEXT    NOT NULL CHECK (length(reason) BETWEEN 1 AND 40),
    text       BLOB    NOT NULL,
    created    INTEGER NOT NULL,
    noted      INTEGER, -- when somebody took note
    noter_kind TEXT    CHECK (noter_kind IN ('member', 'key', 'operator')),
    noter      BLOB    CHECK (length(noter) = 16)
) STRICT;
CREATE INDEX handovers_in_order ON handovers (noted, created);
