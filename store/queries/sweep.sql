-- The state of sweeps, and their questions to the mirror.

-- name: Now :one
-- The database's clock, by which changed_at is set.
SELECT clock_timestamp()::timestamptz AS now;

-- name: TryLockSweeps :one
-- One sweep at a time, over all instances. The lock ends with the session.
SELECT pg_try_advisory_lock(@key::bigint) AS locked;

-- name: UnlockSweeps :exec
SELECT pg_advisory_unlock(@key::bigint);

-- name: StartSweep :one
INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, state, progress, report)
VALUES (@trigger, @organization_id, @dry_run, @instance_id, clock_timestamp(), clock_timestamp(), 'running', @progress, @report)
RETURNING *;

-- name: ForgetListed :exec
DELETE FROM rolecall.sweep_seen WHERE sweep_id NOT IN (SELECT id FROM rolecall.sweeps WHERE state = 'running');

-- name: UnfinishedSweep :one
SELECT * FROM rolecall.sweeps
WHERE state = 'running' AND organization_id = '' AND NOT dry_run AND updated_at > @worked_after AND started_at > @began_after
ORDER BY id DESC LIMIT 1;

-- name: AbandonSweeps :exec
UPDATE rolecall.sweeps SET state = 'abandoned', finished_at = clock_timestamp()
WHERE state = 'running' AND id <> @except_id AND (@whole::boolean OR organization_id <> '' OR dry_run);

-- name: SaveSweep :exec
UPDATE rolecall.sweeps SET progress = @progress, report = @report, updated_at = clock_timestamp() WHERE id = @id;

-- name: FinishSweep :exec
UPDATE rolecall.sweeps
SET state = @state, reason = @reason, progress = @progress, report = @report, updated_at = clock_timestamp(), finished_at = clock_timestamp()
WHERE id = @id;

-- name: Verify :exec
-- Records that the mirror agreed with Clerk at that instant.
INSERT INTO rolecall.revisions AS r (organization_id, revision, verified_at)
VALUES ('', 0, @verified_at::timestamptz)
ON CONFLICT (organization_id) DO UPDATE SET verified_at = greatest(r.verified_at, excluded.verified_at);

-- name: LastSweep :one
SELECT * FROM rolecall.sweeps WHERE NOT dry_run AND organization_id = '' ORDER BY id DESC LIMIT 1;

-- name: LastCleanSweep :one
SELECT * FROM rolecall.sweeps WHERE state = 'clean' AND NOT dry_run AND organization_id = '' ORDER BY id DESC LIMIT 1;

-- name: MarkListed :execrows
INSERT INTO rolecall.sweep_seen (sweep_id, resource, id)
SELECT @sweep_id, @resource, unnest(@ids::text[])
ON CONFLICT DO NOTHING;

-- name: CountListed :one
SELECT count(*) FROM rolecall.sweep_seen WHERE sweep_id = @sweep_id AND resource = @resource;

-- name: Unlisted :many
-- The objects that live here, are older than the sweep, haven't changed since it began, and weren't
-- listed.
SELECT l.id::text AS id, l.organization_id::text AS organization_id, l.user_id::text AS user_id
FROM rolecall.live_objects l
WHERE l.resource = @resource AND l.id > @after AND l.changed_at < @began
    AND (@organization_id::text = '' OR l.organization_id = @organization_id)
    AND NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = l.resource AND s.id = l.id)
ORDER BY l.id LIMIT @page_size::integer;

-- name: PlanForManyRows :exec
-- Postgres doesn't know yet how many rows a sweep has just written. It would guess few, and compare
-- each with each. The session's own settings are for statements that find rows by keys; these read
-- whole tables.
SELECT set_config('enable_nestloop', 'off', true), set_config('enable_seqscan', 'on', true),
    set_config('plan_cache_mode', 'auto', true);

-- name: CountDependents :many
-- Counts the live objects that weren't listed and would end with an organization or a user. One of
-- the two ids is ''. There are two branches, so that each uses an index.
WITH hanging AS (
    SELECT o.resource, o.id FROM rolecall.live_objects o
    WHERE o.organization_id = @organization_id AND @organization_id::text <> '' AND o.resource IN ('membership', 'invitation', 'domain')
        AND o.changed_at < @began
    UNION ALL
    SELECT u.resource, u.id FROM rolecall.live_objects u
    WHERE u.user_id = @user_id AND @user_id::text <> '' AND u.resource = 'membership' AND u.changed_at < @began
)
SELECT h.resource::text AS resource, count(*) AS count
FROM hanging h
WHERE NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = h.resource AND s.id = h.id)
GROUP BY h.resource;

-- name: MembershipsAtStake :one
-- How many memberships live here, and how many of them would end: those that weren't listed, and
-- those whose organization or user wasn't.
WITH unseen AS (
    SELECT l.resource, l.id FROM rolecall.live_objects l
    WHERE l.resource IN ('organization', 'user', 'membership') AND l.changed_at < @began
        AND (@organization_id::text = '' OR l.organization_id = @organization_id)
        AND NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = l.resource AND s.id = l.id)
)
SELECT count(*) AS live, count(*) FILTER (
    WHERE m.id IN (SELECT u.id FROM unseen u WHERE u.resource = 'membership')
        OR m.organization_id IN (SELECT u.id FROM unseen u WHERE u.resource = 'organization')
        OR m.user_id IN (SELECT u.id FROM unseen u WHERE u.resource = 'user')) AS at_stake
FROM rolecall.live_objects m
WHERE m.resource = 'membership' AND (@organization_id::text = '' OR m.organization_id = @organization_id);

-- name: ListedTombstones :many
-- The objects that had a tombstone before the sweep began, and were listed all the same.
SELECT d.id::text AS id, d.organization_id::text AS organization_id, d.user_id::text AS user_id, d.known_at::timestamptz AS known_at, d.cause::text AS cause
FROM rolecall.dead_objects d
JOIN rolecall.sweep_seen s ON s.sweep_id = @sweep_id AND s.resource = d.resource AND s.id = d.id
WHERE d.resource = @resource AND d.id > @after AND d.known_at < @began::timestamptz
ORDER BY d.id LIMIT @page_size::integer;

-- name: ChangedAfter :many
SELECT u.id FROM rolecall.users u WHERE u.id = ANY (@ids::text[]) AND u.changed_at > @asked_at
UNION ALL SELECT o.id FROM rolecall.organizations o WHERE o.id = ANY (@ids) AND o.changed_at > @asked_at
UNION ALL SELECT m.id FROM rolecall.memberships m WHERE m.id = ANY (@ids) AND m.changed_at > @asked_at
UNION ALL SELECT i.id FROM rolecall.invitations i WHERE i.id = ANY (@ids) AND i.changed_at > @asked_at
UNION ALL SELECT d.id FROM rolecall.domains d WHERE d.id = ANY (@ids) AND d.changed_at > @asked_at
UNION ALL SELECT r.id FROM rolecall.roles r WHERE r.id = ANY (@ids) AND r.changed_at > @asked_at
UNION ALL SELECT p.id FROM rolecall.permissions p WHERE p.id = ANY (@ids) AND p.changed_at > @asked_at;

-- name: Unapplied :many
-- The objects with a delivery that isn't applied: it waits, or is set aside. There is one branch
-- for each partial index, because the ledger is kept for ever.
SELECT w.object_id, w.state FROM rolecall.deliveries w WHERE w.state = 'received' AND w.object_id = ANY (@object_ids::text[])
UNION SELECT q.object_id, q.state FROM rolecall.deliveries q WHERE q.state = 'quarantined' AND q.object_id = ANY (@object_ids);

-- name: AddDrift :exec
INSERT INTO rolecall.drift AS d (resource, difference, cause, count)
SELECT resource, difference, cause, count(*)
FROM (SELECT unnest(@resources::text[]) AS resource, unnest(@differences::text[]) AS difference, unnest(@causes::text[]) AS cause) found
GROUP BY resource, difference, cause ORDER BY resource, difference, cause
ON CONFLICT (resource, difference, cause) DO UPDATE SET count = d.count + excluded.count;

-- name: Drift :many
SELECT resource, difference, cause, count FROM rolecall.drift ORDER BY resource, difference, cause;

-- name: LastDelivery :one
-- When the newest delivery came. The index only knows ranges of blocks (BRIN), so the search begins
-- with the newest.
SELECT coalesce(
    (SELECT max(received_at) FROM rolecall.deliveries WHERE received_at > now() - interval '1 hour'),
    (SELECT max(received_at) FROM rolecall.deliveries WHERE received_at > now() - interval '2 days'),
    (SELECT received_at FROM rolecall.deliveries WHERE body IS NOT NULL ORDER BY received_at DESC LIMIT 1),
    (SELECT max(received_at) FROM rolecall.deliveries), 'epoch')::timestamptz AS received_at;

-- name: InstanceOfDeliveries :one
-- The Clerk instance that most of the newest applied deliveries name. Some of them may be the
-- dashboard's examples, which name another.
SELECT newest.instance_id FROM (
    SELECT d.instance_id FROM rolecall.deliveries d
    WHERE d.body IS NOT NULL AND d.instance_id <> '' AND d.state IN ('applied', 'superseded')
    ORDER BY d.received_at DESC LIMIT 1000
) newest
GROUP BY newest.instance_id ORDER BY count(*) DESC, newest.instance_id LIMIT 1;

-- name: InstanceOfSweeps :one
SELECT instance_id FROM rolecall.sweeps WHERE state = 'clean' AND NOT dry_run AND organization_id = '' ORDER BY id DESC LIMIT 1;

-- name: LedgerCounts :one
SELECT (SELECT count(*) FROM rolecall.deliveries WHERE state = 'received') AS waiting,
    (SELECT count(*) FROM rolecall.deliveries WHERE state = 'quarantined') AS quarantined;
