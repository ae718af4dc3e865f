-- No link that was asked for before a member was suspended, or while they were, works afterwards.
CREATE TRIGGER members_status_links AFTER UPDATE OF status ON members
BEGIN DELETE FROM sign_ins WHERE email_index = NEW.email_index; END;
DELETE FROM sign_ins WHERE email_index IN (SELECT email_index FROM members WHERE status = 'suspended');
