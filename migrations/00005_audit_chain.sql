-- The audit log as a product feature: entries of the product's own, and a chain of hashes for each workspace that shows
-- whether an entry was changed, taken out, added or moved. The encoding is documented at sync.LoggedEntry.
--
-- A log may be long, and instances of the older version write to it meanwhile. So this is no single transaction: the first
-- one adds what is needed and chains every entry from then on, then the older entries are chained, workspace by workspace,
-- and the last one demands that all are. Whatever step it is cut off at, it can be run again.

-- +goose NO TRANSACTION
-- +goose Up
BEGIN;
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

ALTER TABLE rolecall.audit_log
    ADD COLUMN IF NOT EXISTS data      json,   -- what a product tells with an entry of its own
    ADD COLUMN IF NOT EXISTS seq       bigint, -- counts the entries of the workspace from 1, in the order of recording
    ADD COLUMN IF NOT EXISTS prev_hash bytea,  -- hash of the entry before; empty in the first
    ADD COLUMN IF NOT EXISTS hash      bytea;  -- of this entry's content, seq and prev_hash

-- The last entry of each chain: who took it out of the log would have to change this, too.
CREATE TABLE IF NOT EXISTS rolecall.audit_heads (
    organization_id text   PRIMARY KEY,
    seq             bigint NOT NULL, -- of the last entry, which is the number of entries
    prev_hash       bytea  NOT NULL,
    hash            bytea  NOT NULL
) WITH (fillfactor = 50); -- rewritten by every entry: leave room for heap-only updates

-- The keys under which services appended entries, so that a repeated request appends nothing. There is no unique index on
-- the log itself: an insert that does nothing on a conflict would have advanced the head.
CREATE TABLE IF NOT EXISTS rolecall.audit_keys (
    key      bytea  PRIMARY KEY, -- digest of the idempotency key and its scope
    request  bytea  NOT NULL,    -- digest of the request's body
    entry_id bigint NOT NULL     -- audit_log.id
);

-- Each value of the encoding is its length in bytes, a colon and its UTF-8, or - for null. In PL/pgSQL and written out, because
-- functions in SQL that aren't inlined take ten times as long.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.audit_content(organization_id text, actor text, action text, target text,
    before text, after text, data text, at timestamptz, cause text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    micros text := (extract(epoch FROM at) * 1000000)::bigint::text;
BEGIN
    RETURN octet_length(organization_id) || ':' || organization_id
        || coalesce(octet_length(actor) || ':' || actor, '-')
        || octet_length(action) || ':' || action
        || octet_length(target) || ':' || target
        || coalesce(octet_length(before) || ':' || before, '-')
        || coalesce(octet_length(after) || ':' || after, '-')
        || coalesce(octet_length(data) || ':' || data, '-')
        || octet_length(micros) || ':' || micros
        || octet_length(cause) || ':' || cause;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.audit_hash(seq bigint, prev_hash bytea, content text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN sha256(convert_to('17:rolecall.audit.v1' || octet_length(prev_hash) * 2 || ':' || encode(prev_hash, 'hex')
        || length(seq::text) || ':' || seq || content, 'UTF8'));
END
$$;
-- +goose StatementEnd

-- Whoever inserts an entry, and however: it is the next one of its chain. The head's row is what the writers of one workspace
-- wait for each other at; whoever writes to several does so in the order of their ids.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.chain_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    content text := rolecall.audit_content(NEW.organization_id, NEW.actor, NEW.action, NEW.target, NEW.before::text,
        NEW.after::text, NEW.data::text, NEW.at, NEW.cause);
BEGIN
    INSERT INTO rolecall.audit_heads AS head (organization_id, seq, prev_hash, hash)
    VALUES (NEW.organization_id, 1, '', rolecall.audit_hash(1, '', content))
    ON CONFLICT (organization_id) DO UPDATE
    SET seq = head.seq + 1, prev_hash = head.hash, hash = rolecall.audit_hash(head.seq + 1, head.hash, content)
    RETURNING head.seq, head.prev_hash, head.hash INTO NEW.seq, NEW.prev_hash, NEW.hash;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- Chains the entries that a workspace had before. Whoever adds the head does it; everybody else waits until it is done.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.chain_old_entries(organization text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    entry record;
    last record;
BEGIN
    INSERT INTO rolecall.audit_heads (organization_id, seq, prev_hash, hash) VALUES (organization, 0, '', '')
    ON CONFLICT DO NOTHING RETURNING seq, prev_hash, hash INTO last;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    FOR entry IN SELECT * FROM rolecall.audit_log l WHERE l.organization_id = organization AND l.hash IS NULL ORDER BY l.id LOOP
        UPDATE rolecall.audit_log l
        SET seq = last.seq + 1, prev_hash = last.hash, hash = rolecall.audit_hash(last.seq + 1, last.hash,
            rolecall.audit_content(l.organization_id, l.actor, l.action, l.target, l.before::text, l.after::text,
                l.data::text, l.at, l.cause))
        WHERE l.id = entry.id
        RETURNING l.seq, l.prev_hash, l.hash INTO last;
    END LOOP;
    UPDATE rolecall.audit_heads SET seq = last.seq, prev_hash = last.prev_hash, hash = last.hash WHERE organization_id = organization;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.chain_old_entries_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM rolecall.audit_heads h WHERE h.organization_id = NEW.organization_id) THEN
        PERFORM rolecall.chain_old_entries(NEW.organization_id);
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE OR REPLACE TRIGGER audit_log_backfill BEFORE INSERT ON rolecall.audit_log -- its name makes it the first
    FOR EACH ROW EXECUTE FUNCTION rolecall.chain_old_entries_first();
CREATE OR REPLACE TRIGGER audit_log_chain BEFORE INSERT ON rolecall.audit_log
    FOR EACH ROW EXECUTE FUNCTION rolecall.chain_audit_entry();
-- Until all are chained, an entry may be changed once: when it is.
CREATE OR REPLACE TRIGGER audit_log_append_only BEFORE DELETE OR TRUNCATE ON rolecall.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.refuse_change();
CREATE OR REPLACE TRIGGER audit_log_chained_once BEFORE UPDATE ON rolecall.audit_log
    FOR EACH ROW WHEN (OLD.hash IS NOT NULL) EXECUTE FUNCTION rolecall.refuse_change();
COMMIT;

-- +goose StatementBegin
DO $$
DECLARE
    organization text := ''; -- what concerns the instance
BEGIN
    IF EXISTS (SELECT FROM rolecall.audit_log l WHERE l.organization_id = organization) THEN
        PERFORM rolecall.chain_old_entries(organization);
    END IF;
    LOOP -- from one workspace in the index to the next
        COMMIT; -- a batch is a workspace: nobody else waits
        SELECT min(l.organization_id) INTO organization FROM rolecall.audit_log l WHERE l.organization_id > organization;
        EXIT WHEN organization IS NULL;
        PERFORM rolecall.chain_old_entries(organization);
    END LOOP;
END
$$;
-- +goose StatementEnd

BEGIN;
SET LOCAL lock_timeout = '5s';
DROP TRIGGER IF EXISTS audit_log_backfill ON rolecall.audit_log;
DROP TRIGGER IF EXISTS audit_log_chained_once ON rolecall.audit_log;
DROP FUNCTION IF EXISTS rolecall.chain_old_entries_first, rolecall.chain_old_entries;
CREATE OR REPLACE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rolecall.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.refuse_change();
ALTER TABLE rolecall.audit_log ALTER seq SET NOT NULL, ALTER prev_hash SET NOT NULL, ALTER hash SET NOT NULL;
-- To verify a chain; to page through it as it is or for one actor, action or target, the newest first.
CREATE UNIQUE INDEX IF NOT EXISTS audit_log_chain ON rolecall.audit_log (organization_id, seq);
CREATE INDEX IF NOT EXISTS audit_log_at ON rolecall.audit_log (organization_id, at, seq);
CREATE INDEX IF NOT EXISTS audit_log_actor ON rolecall.audit_log (organization_id, actor, at, seq);
CREATE INDEX IF NOT EXISTS audit_log_action ON rolecall.audit_log (organization_id, action, at, seq);
CREATE INDEX IF NOT EXISTS audit_log_target ON rolecall.audit_log (organization_id, target, at, seq);
DROP INDEX IF EXISTS rolecall.audit_log_organization;
COMMIT;

-- +goose Down
BEGIN;
CREATE INDEX audit_log_organization ON rolecall.audit_log (organization_id, id);
DROP INDEX rolecall.audit_log_chain, rolecall.audit_log_at, rolecall.audit_log_actor, rolecall.audit_log_action, rolecall.audit_log_target;
DROP TRIGGER audit_log_chain ON rolecall.audit_log;
DROP FUNCTION rolecall.chain_audit_entry, rolecall.audit_hash, rolecall.audit_content;
ALTER TABLE rolecall.audit_log DROP data, DROP seq, DROP prev_hash, DROP hash;
DROP TABLE rolecall.audit_keys, rolecall.audit_heads;
COMMIT;
