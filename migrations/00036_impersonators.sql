-- Who acted as the actor: of a command, and of the entry of the audit log that it makes.
--
-- An entry with an impersonator is hashed in version 2 of the encoding (sync.LoggedEntry), which ends with the impersonator. All
-- other entries are hashed in version 1, as before: so entries of older instances keep their meaning, and old ones their hashes.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

ALTER TABLE rolecall.commands ADD COLUMN impersonator text; -- null: the actor acted
ALTER TABLE rolecall.audit_log ADD COLUMN impersonator text; -- null: the actor acted

-- +goose StatementBegin
CREATE FUNCTION rolecall.audit_hash(seq bigint, prev_hash bytea, content text, impersonator text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN sha256(convert_to(CASE WHEN impersonator IS NULL THEN '17:rolecall.audit.v1' ELSE '17:rolecall.audit.v2' END
        || octet_length(prev_hash) * 2 || ':' || encode(prev_hash, 'hex') || length(seq::text) || ':' || seq || content
        || coalesce(octet_length(impersonator) || ':' || impersonator, ''), 'UTF8'));
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.chain_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    content text := rolecall.audit_content(NEW.organization_id, NEW.actor, NEW.action, NEW.target, NEW.before::text,
        NEW.after::text, NEW.data::text, NEW.at, NEW.cause);
BEGIN
    INSERT INTO rolecall.audit_heads AS head (organization_id, seq, prev_hash, hash)
    VALUES (NEW.organization_id, 1, '', rolecall.audit_hash(1, '', content, NEW.impersonator))
    ON CONFLICT (organization_id) DO UPDATE
    SET seq = head.seq + 1, prev_hash = head.hash, hash = rolecall.audit_hash(head.seq + 1, head.hash, content, NEW.impersonator)
    RETURNING head.seq, head.prev_hash, head.hash INTO NEW.seq, NEW.prev_hash, NEW.hash;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

DROP FUNCTION rolecall.audit_hash(bigint, bytea, text);

-- +goose Down
-- Entries with an impersonator would no longer verify: they stay as they are, without the name.
-- +goose StatementBegin
CREATE FUNCTION rolecall.audit_hash(seq bigint, prev_hash bytea, content text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN sha256(convert_to('17:rolecall.audit.v1' || octet_length(prev_hash) * 2 || ':' || encode(prev_hash, 'hex')
        || length(seq::text) || ':' || seq || content, 'UTF8'));
END
$$;
-- +goose StatementEnd
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
DROP FUNCTION rolecall.audit_hash(bigint, bytea, text, text);
ALTER TABLE rolecall.audit_log DROP COLUMN impersonator;
ALTER TABLE rolecall.commands DROP COLUMN impersonator;
