-- Who made a key. It is not known of those from before.
ALTER TABLE keys ADD COLUMN maker_kind TEXT CHECK (maker_kind IN ('member', 'key', 'operator'));
ALTER TABLE keys ADD COLUMN maker BLOB CHECK (length(maker) = 16);
