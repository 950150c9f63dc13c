-- Operators' questions: how well does the mirror follow Clerk?

-- name: SweepRunning :one
-- Whether some session holds the lock of sweeping. Postgres shows a lock's 64-bit key in two
-- halves.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND classid = (@key::bigint >> 32)::oid AND objid = (@key::bigint & 4294967295)::oid
) AS running;

-- name: CurrentSweep :one
-- The sweep that is under way or was interrupted, whatever it covers.
SELECT * FROM rolecall.sweeps WHERE state = 'running' ORDER BY updated_at DESC, id DESC LIMIT 1;

-- name: LastEndedSweep :one
-- The newest full sweep that went through, or that a guard stopped.
SELECT * FROM rolecall.sweeps
WHERE state IN ('clean', 'aborted') AND NOT dry_run AND organization_id = ''
ORDER BY id DESC LIMIT 1;

-- name: FirstCleanSweep :one
SELECT * FROM rolecall.sweeps WHERE state = 'clean' AND NOT dry_run AND organization_id = '' ORDER BY id LIMIT 1;

-- name: CustomPermissions :one
-- How many custom permissions Clerk's roles grant here, by the roles' rows or by the memberships'
-- snapshots.
SELECT count(DISTINCT granted.key) AS count
FROM (
    SELECT p.key FROM rolecall.permissions p
    JOIN rolecall.roles r ON r.deleted_at IS NULL AND p.id = ANY (r.permission_ids)
    WHERE p.deleted_at IS NULL
    UNION
    SELECT unnest(m.permissions) AS key FROM rolecall.memberships m WHERE m.deleted_at IS NULL
) granted
WHERE granted.key <> '' AND NOT starts_with(granted.key, 'org:sys_');

-- name: PausedQueues :many
-- The queues that an operator has paused: no worker takes their jobs.
SELECT name FROM rolecall.river_queue WHERE paused_at IS NOT NULL ORDER BY name;
