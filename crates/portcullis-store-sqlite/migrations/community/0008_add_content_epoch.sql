-- Changes with every change to documents, so that what a search keeps in memory is used only while it is right. A chunk changes
-- with its document only.
CREATE TABLE content_epoch (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO content_epoch (id, epoch) VALUES (1, 0);

CREATE TRIGGER documents_insert_epoch AFTER INSERT ON documents
BEGIN UPDATE content_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER documents_update_epoch AFTER UPDATE ON documents
BEGIN UPDATE content_epoch SET epoch = epoch + 1; END;
CREATE TRIGGER documents_delete_epoch AFTER DELETE ON documents
BEGIN UPDATE content_epoch SET epoch = epoch + 1; END;

-- Where documents are and how long, without reading them.
DROP INDEX documents_by_space;
CREATE INDEX documents_by_space ON documents (space, id, chunks);
