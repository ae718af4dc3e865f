-- The asker's conversation that a call belongs to, with which it is removed. It is not known of those from before.
ALTER TABLE approvals ADD COLUMN conversation BLOB CHECK (length(conversation) = 16);
