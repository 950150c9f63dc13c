-- Which Postgres the mirror is on.

-- name: DatabaseIdentity :one
-- It is restored if another table had it when it was noted.
SELECT system_identifier, timeline, changed_at, change,
    (coalesce(table_oid, 0) NOT IN (0, 'rolecall.database_identity'::regclass::oid::bigint))::boolean AS restored
FROM rolecall.database_identity;

-- name: LockDatabaseIdentity :exec
-- An advisory lock replaces a lock of the row, which may not exist yet.
SELECT pg_advisory_xact_lock(@key::bigint);

-- name: SaveDatabaseIdentity :exec
INSERT INTO rolecall.database_identity (system_identifier, timeline, table_oid, noted_at, changed_at, change)
VALUES (@system_identifier, @timeline, 'rolecall.database_identity'::regclass::oid::bigint, now(), CASE WHEN @changed::boolean THEN now() END, @change)
ON CONFLICT (one) DO UPDATE SET system_identifier = excluded.system_identifier, timeline = excluded.timeline, table_oid = excluded.table_oid,
    noted_at = excluded.noted_at, changed_at = coalesce(excluded.changed_at, database_identity.changed_at),
    change = CASE WHEN excluded.changed_at IS NULL THEN database_identity.change ELSE excluded.change END;
