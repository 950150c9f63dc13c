-- Which Postgres the mirror is on.

-- name: DatabaseIdentity :one
-- It is restored if another table had it when it was noted.
SELECT system_identifier, timeline, changed_at, change, history::text AS history,
    (coalesce(table_oid, 0) NOT IN (0, 'rolecall.database_identity'::regclass::oid::bigint))::boolean AS restored
FROM rolecall.database_identity;

-- name: LockDatabaseIdentity :exec
-- An advisory lock replaces a lock of the row, which may not exist yet.
SELECT pg_advisory_xact_lock(@key::bigint);

-- name: SaveDatabaseIdentity :exec
-- A change is dated after the beginning of each sweep that is here, because sweeps are judged by it: the
-- clock of the old primary may have been a little ahead.
INSERT INTO rolecall.database_identity (system_identifier, timeline, table_oid, noted_at, changed_at, change)
VALUES (@system_identifier, @timeline, 'rolecall.database_identity'::regclass::oid::bigint, now(),
    CASE WHEN @changed::boolean THEN greatest(now(), (
        SELECT max(s.started_at) FROM rolecall.sweeps s WHERE s.started_at < now() + interval '1 minute'
    )) END, @change)
ON CONFLICT (one) DO UPDATE SET system_identifier = excluded.system_identifier, timeline = excluded.timeline, table_oid = excluded.table_oid,
    noted_at = excluded.noted_at, changed_at = coalesce(excluded.changed_at, database_identity.changed_at),
    change = CASE WHEN excluded.changed_at IS NULL THEN database_identity.change ELSE excluded.change END;

-- name: MissingDeliveries :many
SELECT asked.id::text AS id FROM (SELECT unnest(@ids::text[]) AS id) asked
WHERE NOT EXISTS (SELECT FROM rolecall.deliveries d WHERE d.svix_id = asked.id);

-- name: MissingCommands :many
SELECT asked.id::text AS id FROM (SELECT unnest(@ids::text[]) AS id) asked
WHERE NOT EXISTS (SELECT FROM rolecall.commands c WHERE c.id = asked.id);

-- name: MissingEntries :many
-- An id alone may be of another entry by now. A hash is an entry's own.
SELECT asked.id::text AS id FROM (SELECT unnest(@ids::text[]) AS id) asked
WHERE NOT EXISTS (
    SELECT FROM rolecall.audit_log l
    WHERE l.id = split_part(asked.id, ':', 1)::bigint AND l.hash = decode(split_part(asked.id, ':', 2), 'hex')
);

-- name: NoteLost :one
-- Notes what is missing. What is noted already stays. Old rows go. It counts as lost when it was acknowledged or, if that was
-- earlier, at the last noted change: only a sweep that began later makes up for it. Here, ages tell when that was: the clock of
-- the process may differ. The answer is whether any of it is later than the last noted change, whose sweep may have begun too early.
WITH gone AS (
    DELETE FROM rolecall.lost_acknowledgements WHERE lost_at < now() - interval '30 days'
), noted AS (
    INSERT INTO rolecall.lost_acknowledgements (kind, id, acknowledged_at, lost_at, more)
    SELECT @kind, lost.id, lost.acknowledged_at, CASE WHEN i.changed_at IS NULL THEN now()
        ELSE greatest(i.changed_at, least(now(), clock_timestamp() - make_interval(secs => lost.age))) END, lost.more
    FROM (SELECT unnest(@ids::text[]) AS id, unnest(@acknowledged_at::timestamptz[]) AS acknowledged_at,
        unnest(@ages::float8[]) AS age, unnest(@more::boolean[]) AS more) lost
    LEFT JOIN rolecall.database_identity i ON true
    ORDER BY lost.id
    ON CONFLICT (kind, id) DO NOTHING
    RETURNING lost_at
)
SELECT EXISTS (
    SELECT FROM noted n LEFT JOIN rolecall.database_identity i ON true WHERE (n.lost_at > i.changed_at) IS NOT FALSE
)::boolean AS late;

-- name: Lost :one
-- What is missing, and neither a whole sweep nor a repeat has made up for.
SELECT count(*) FILTER (WHERE kind = 'delivery') AS deliveries, count(*) FILTER (WHERE kind = 'command') AS commands,
    count(*) FILTER (WHERE kind = 'entry') AS entries, coalesce(bool_or(more), false)::boolean AS more,
    coalesce(min(acknowledged_at), 'epoch')::timestamptz AS first, coalesce(max(acknowledged_at), 'epoch')::timestamptz AS last
FROM rolecall.lost_acknowledgements l
WHERE lost_at >= coalesce((
    SELECT s.started_at FROM rolecall.sweeps s
    WHERE s.state = 'clean' AND NOT s.dry_run AND s.organization_id = '' ORDER BY s.id DESC LIMIT 1
), '-infinity') AND NOT EXISTS (SELECT FROM rolecall.deliveries d WHERE l.kind = 'delivery' AND d.svix_id = l.id);
