-- The highest role that a key acts with, whatever its member becomes. A key from before goes on with what it may do at
-- this moment and rises no further.
ALTER TABLE keys ADD COLUMN ceiling TEXT NOT NULL DEFAULT 'member'
    CHECK (ceiling IN ('member', 'moderator', 'admin', 'owner'));
UPDATE keys SET ceiling = coalesce(role, (SELECT members.role FROM members WHERE members.id = keys.member), 'member');
