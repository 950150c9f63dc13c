-- The audit log's life, and the erasure of people from it. An entry may leave the log only by a cut, and lose what it says of a person
-- only by an erasure. An entry of the instance's own chain vouches for either (sync/voucher.go), so `audit verify` finds others.

-- +goose NO TRANSACTION
-- +goose Up
-- Built as 00030 builds its index. A cut forgets the keys of the entries that it takes out of the log.
SET lock_timeout = '5s';
DROP INDEX CONCURRENTLY IF EXISTS rolecall.audit_keys_entry;
SET lock_timeout = '1min';
CREATE INDEX CONCURRENTLY audit_keys_entry ON rolecall.audit_keys (entry_id);

-- One table at a time: together, their locks would deadlock with an older instance's writers.
SET lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us
-- What Clerk still says of an erased object's names and addresses is no longer merged (Mirror.unnamed in package sync).
ALTER TABLE rolecall.users ADD COLUMN IF NOT EXISTS erased boolean NOT NULL DEFAULT false;
ALTER TABLE rolecall.memberships ADD COLUMN IF NOT EXISTS erased boolean NOT NULL DEFAULT false;
ALTER TABLE rolecall.invitations ADD COLUMN IF NOT EXISTS erased boolean NOT NULL DEFAULT false;

ALTER TABLE rolecall.audit_log ADD COLUMN IF NOT EXISTS erased_by bigint; -- the entry of the instance's chain that vouches for what is left

RESET lock_timeout;

BEGIN;
SET LOCAL lock_timeout = '5s';

-- Where each chain was cut last. Of the entries up to there, those that still hold are kept; the others are gone.
CREATE TABLE IF NOT EXISTS rolecall.audit_cuts (
    organization_id text        PRIMARY KEY,
    seq             bigint      NOT NULL, -- the chain goes on after this entry
    hash            bytea       NOT NULL, -- of that entry
    kept            bigint      NOT NULL, -- how many entries up to there are kept
    digest          bytea       NOT NULL, -- of those entries (sync.Cut)
    before          timestamptz NOT NULL, -- what was cut happened before this instant
    cut_by          bigint      NOT NULL  -- the entry of the instance's chain that vouches for this cut
);

-- The people whose names, addresses and bodies were erased.
CREATE TABLE IF NOT EXISTS rolecall.erasures (
    user_id    text        PRIMARY KEY,
    erased_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    checked_at timestamptz NOT NULL DEFAULT 'epoch' -- no body of a delivery that was received before names the person
);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.vouch_for_cut() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND (NEW.organization_id <> OLD.organization_id OR NEW.seq < OLD.seq) OR NOT EXISTS (
        SELECT FROM rolecall.audit_log v
        WHERE v.organization_id = '' AND v.seq = NEW.cut_by AND v.action = 'operator.log_cut'
            AND v.data::jsonb -> 'cuts' @> jsonb_build_array(jsonb_build_object('workspace_id', NEW.organization_id, 'through', NEW.seq,
                'hash', encode(NEW.hash, 'hex'), 'kept', NEW.kept, 'digest', encode(NEW.digest, 'hex')))
    ) THEN
        RAISE EXCEPTION 'the audit log is cut only by an entry that says so' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE OR REPLACE TRIGGER audit_cuts_vouched BEFORE INSERT OR UPDATE OR DELETE ON rolecall.audit_cuts
    FOR EACH ROW EXECUTE FUNCTION rolecall.vouch_for_cut();

-- An entry is deleted only by the transaction that moves its chain's cut beyond it, and never the last one. It is changed only to
-- what the voucher says is left of it.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.keep_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (
            SELECT FROM rolecall.audit_cuts c JOIN rolecall.audit_heads h ON h.organization_id = c.organization_id
            WHERE c.organization_id = OLD.organization_id AND c.seq >= OLD.seq AND h.seq > OLD.seq AND c.xmin = pg_current_xact_id()::xid
        ) THEN
            RETURN OLD;
        END IF;
    ELSIF (NEW.id, NEW.organization_id, NEW.actor, NEW.action, NEW.at, NEW.cause, NEW.seq, NEW.prev_hash, NEW.hash, NEW.impersonator)
        IS NOT DISTINCT FROM
        (OLD.id, OLD.organization_id, OLD.actor, OLD.action, OLD.at, OLD.cause, OLD.seq, OLD.prev_hash, OLD.hash, OLD.impersonator)
        AND EXISTS (
            SELECT FROM rolecall.audit_log v
            WHERE v.organization_id = '' AND v.seq = NEW.erased_by AND v.action = 'operator.erased'
                AND v.data::jsonb -> 'entries' @> jsonb_build_array(jsonb_build_object('workspace_id', NEW.organization_id, 'id', NEW.seq,
                    'hash', encode(NEW.hash, 'hex'), 'left', encode(rolecall.audit_hash(NEW.seq, NEW.prev_hash,
                        rolecall.audit_content(NEW.organization_id, NEW.actor, NEW.action, NEW.target, NEW.before::text, NEW.after::text,
                            NEW.data::text, NEW.at, NEW.cause), NEW.impersonator), 'hex')))
        )
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE OR REPLACE TRIGGER audit_log_vouched BEFORE UPDATE OR DELETE ON rolecall.audit_log
    FOR EACH ROW EXECUTE FUNCTION rolecall.keep_audit_entry();

-- Of every statement: unless this very transaction has just appended a voucher, nothing is looked at.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'TRUNCATE' AND EXISTS (
        SELECT FROM rolecall.audit_log v JOIN rolecall.audit_heads h ON h.organization_id = v.organization_id AND h.seq = v.seq
        WHERE v.organization_id = '' AND v.xmin = pg_current_xact_id()::xid
            AND v.action = CASE TG_OP WHEN 'DELETE' THEN 'operator.log_cut' ELSE 'operator.erased' END
    ) THEN
        RETURN NULL; -- the rows have a trigger of their own
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
COMMIT;

-- +goose Down
-- Chains that were cut, and entries that were erased, no longer verify.
BEGIN;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
DROP TRIGGER audit_log_vouched ON rolecall.audit_log;
DROP FUNCTION rolecall.keep_audit_entry;
ALTER TABLE rolecall.audit_log DROP COLUMN erased_by;
ALTER TABLE rolecall.users DROP COLUMN erased;
ALTER TABLE rolecall.memberships DROP COLUMN erased;
ALTER TABLE rolecall.invitations DROP COLUMN erased;
DROP TABLE rolecall.erasures, rolecall.audit_cuts;
DROP FUNCTION rolecall.vouch_for_cut;
DROP INDEX rolecall.audit_keys_entry;
COMMIT;
