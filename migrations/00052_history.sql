-- Histories: what a failover has cut off belongs to another one than what follows. And what this database lacks, although it was
-- acknowledged: processes remember that outside of the database.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- The name of all that was committed since the last noted change of the database. A cursor, a position or a replica of another history
-- says nothing about this one.
ALTER TABLE rolecall.database_identity ADD COLUMN history uuid NOT NULL DEFAULT gen_random_uuid();

-- A trigger renews it, because older instances note changes, too.
-- +goose StatementBegin
CREATE FUNCTION rolecall.renew_history() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.changed_at IS DISTINCT FROM OLD.changed_at THEN
        NEW.history := gen_random_uuid();
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER database_identity_history BEFORE UPDATE ON rolecall.database_identity
    FOR EACH ROW EXECUTE FUNCTION rolecall.renew_history();

-- The history of the server that runs this query. Null in recovery, and if nobody has noted this server yet: after a failover or a
-- restored backup it is another history than the noted one. What the server doesn't tell this role of its identity counts as equal. It
-- reads with the rights of its caller, runs often, and takes some hundredths of a millisecond.
-- +goose StatementBegin
CREATE FUNCTION rolecall.current_history() RETURNS uuid
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    noted record;
    present text;
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN NULL;
    END IF;
    SELECT i.history, i.system_identifier, i.timeline, coalesce(i.table_oid, 0) IN (0, i.tableoid::bigint) AS in_place
    INTO noted FROM rolecall.database_identity i;
    IF noted.in_place IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    BEGIN -- providers don't let all roles ask, and Aurora has no WAL (object_not_in_prerequisite_state)
        present := pg_walfile_name(pg_current_wal_flush_lsn());
    EXCEPTION WHEN insufficient_privilege OR undefined_function OR feature_not_supported OR object_not_in_prerequisite_state THEN
        present := NULL;
    END;
    IF noted.timeline <> 0 AND ('x' || left(present, 8))::bit(32)::bigint <> noted.timeline THEN
        RETURN NULL;
    END IF;
    BEGIN
        SELECT c.system_identifier::text INTO present FROM pg_control_system() c;
    EXCEPTION WHEN insufficient_privilege OR undefined_function OR feature_not_supported OR object_not_in_prerequisite_state THEN
        present := NULL;
    END;
    IF noted.system_identifier <> '' AND present <> noted.system_identifier THEN
        RETURN NULL;
    END IF;
    RETURN noted.history;
END
$$;
-- +goose StatementEnd

-- What was acknowledged and is missing after a change of the database. A process that remembers it notes it. A row counts until a
-- whole sweep that began after lost_at has gone through.
CREATE TABLE rolecall.lost_acknowledgements (
    kind            text        NOT NULL, -- delivery, command or entry (of a service, in the audit log)
    id              text        NOT NULL,
    acknowledged_at timestamptz NOT NULL, -- by the clock of the process
    lost_at         timestamptz NOT NULL, -- when the change was noted after which it is missing
    more            boolean     NOT NULL, -- the process remembers nothing older: more may be missing
    PRIMARY KEY (kind, id)
);

-- +goose Down
DROP TABLE rolecall.lost_acknowledgements;
DROP FUNCTION rolecall.current_history;
DROP TRIGGER database_identity_history ON rolecall.database_identity;
DROP FUNCTION rolecall.renew_history;
ALTER TABLE rolecall.database_identity DROP COLUMN history;
