-- Who made an invitation. It is not known of those from before.
ALTER TABLE invitations ADD COLUMN maker_kind TEXT CHECK (maker_kind IN ('member', 'key', 'operator'));
ALTER TABLE invitations ADD COLUMN maker BLOB CHECK (length(maker) = 16);
