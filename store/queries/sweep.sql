-- The state of sweeps, and their questions to the mirror.

-- name: Now :one
-- The database's clock, by which changed_at is set.
SELECT clock_timestamp()::timestamptz AS now;

-- name: TryLockSweeps :one
-- One sweep at a time, over all instances. The lock ends with the session.
SELECT pg_try_advisory_lock(@key::bigint) AS locked;

-- name: LockOrders :exec
-- One process at a time orders sweeps, so that an order isn't given twice. The lock ends with the transaction.
SELECT pg_advisory_xact_lock(@key::bigint);

-- name: UnlockSweeps :exec
SELECT pg_advisory_unlock(@key::bigint);

-- name: StartSweep :one
INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, state, progress, report)
VALUES (@trigger, @organization_id, @dry_run, @instance_id, clock_timestamp(), clock_timestamp(), 'running', @progress, @report)
RETURNING *;

-- name: ListedToForget :many
-- The sweeps that can't be resumed, but of which something listed is still stored, by kind. It looks once for each.
WITH RECURSIVE listed AS (
    (SELECT s.sweep_id, s.resource FROM rolecall.sweep_seen s ORDER BY s.sweep_id, s.resource LIMIT 1)
    UNION ALL
    SELECT next.sweep_id, next.resource FROM listed l CROSS JOIN LATERAL (
        SELECT s.sweep_id, s.resource FROM rolecall.sweep_seen s WHERE (s.sweep_id, s.resource) > (l.sweep_id, l.resource)
        ORDER BY s.sweep_id, s.resource LIMIT 1
    ) next
)
SELECT l.sweep_id::bigint AS sweep_id, l.resource::text AS resource FROM listed l
WHERE NOT EXISTS (SELECT FROM rolecall.sweeps r WHERE r.id = l.sweep_id AND r.state = 'running');

-- name: ForgetListed :one
-- Forgets the next objects of a kind that were listed in a sweep, in the order of ids, and returns the last one.
WITH page AS MATERIALIZED (
    SELECT s.id FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = @resource AND s.id > @after
    ORDER BY s.id LIMIT @page_size::integer
), forgotten AS (
    DELETE FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = @resource AND s.id = ANY (ARRAY(SELECT p.id FROM page p))
)
SELECT coalesce(max(p.id), '')::text AS last FROM page p;

-- name: PruneSweeps :execrows
-- Deletes sweeps that ended long ago. Three stay: the first whole clean one, from which on the audit
-- log is complete; the last one, which says as of when the mirror is right; and the last whole one
-- that ended at all, by which operators see what stopped it. So does the newest sweep of any sort.
DELETE FROM rolecall.sweeps
WHERE id IN (
    SELECT old.id FROM rolecall.sweeps old
    WHERE old.state <> 'running' AND old.updated_at < clock_timestamp() - make_interval(secs => @seconds::float8)
        AND old.id <> ALL (ARRAY(
            (SELECT s.id FROM rolecall.sweeps s WHERE s.state = 'clean' AND NOT s.dry_run AND s.organization_id = '' ORDER BY s.id LIMIT 1)
            UNION ALL
            (SELECT s.id FROM rolecall.sweeps s WHERE s.state = 'clean' AND NOT s.dry_run AND s.organization_id = '' ORDER BY s.id DESC LIMIT 1)
            UNION ALL
            (SELECT s.id FROM rolecall.sweeps s WHERE s.state IN ('clean', 'aborted') AND NOT s.dry_run AND s.organization_id = ''
                ORDER BY s.id DESC LIMIT 1)
            UNION ALL
            (SELECT max(s.id) FROM rolecall.sweeps s)
        ))
    ORDER BY old.id LIMIT @batch::integer FOR UPDATE SKIP LOCKED
);

-- name: UnfinishedSweep :one
-- Of dry runs, only that of the given order. Several orders may each have one, and work on it by turns.
-- What a sweep listed before a failover may have been changed by deliveries that the failover lost.
SELECT * FROM rolecall.sweeps
WHERE state = 'running' AND organization_id = '' AND dry_run = @dry_run AND updated_at > @worked_after AND started_at > @began_after
    AND started_at > coalesce((SELECT i.changed_at FROM rolecall.database_identity i), '-infinity')
    AND (NOT dry_run OR (report -> 'order' ->> 'id')::bigint = @order_id::bigint)
ORDER BY id DESC LIMIT 1;

-- name: AbandonSweeps :exec
-- An operator's dry run is worked in slices, between which others sweep: it stays for a while.
UPDATE rolecall.sweeps SET state = 'abandoned', finished_at = clock_timestamp()
WHERE state = 'running' AND id <> @except_id AND (@whole::boolean OR organization_id <> '' OR dry_run)
    AND NOT (dry_run AND trigger = 'operator' AND updated_at > clock_timestamp() - interval '10 minutes');

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

-- name: Sweeps :many
-- The newest first.
SELECT * FROM rolecall.sweeps WHERE id < @before ORDER BY id DESC LIMIT @page_size::integer;

-- name: FindSweep :one
SELECT * FROM rolecall.sweeps WHERE id = @id;

-- name: SweepOrders :many
-- The newest orders of operators that the queue still knows. output is what the last slice of its
-- work said, error the last failure.
SELECT id, args::json AS args, state::text AS state, created_at, finalized_at,
    coalesce(metadata -> 'output', '{}')::json AS output, coalesce(errors[array_upper(errors, 1)] ->> 'error', '')::text AS error
FROM rolecall.river_job WHERE kind = @kind ORDER BY id DESC LIMIT @page_size::integer;

-- name: LastCleanSweep :one
SELECT * FROM rolecall.sweeps WHERE state = 'clean' AND NOT dry_run AND organization_id = '' ORDER BY id DESC LIMIT 1;

-- name: MarkListed :execrows
INSERT INTO rolecall.sweep_seen (sweep_id, resource, id)
SELECT @sweep_id, @resource, unnest(@ids::text[])
ON CONFLICT DO NOTHING;

-- name: CountListed :one
SELECT count(*) FROM rolecall.sweep_seen WHERE sweep_id = @sweep_id AND resource = @resource;

-- The queries that compare the mirror with what was listed examine a page of objects each, however many there are. So
-- each is brief, and the sweep can continue after it. Of each object, they look one by one into the indexes: OFFSET 0
-- keeps Postgres from comparing each with each. It doesn't know yet how many rows a sweep has just written.

-- name: Unlisted :many
-- Examines the next objects of a kind, in the order of ids. Returns those that live here, weren't listed, and weren't
-- changed since the sweep began by anything that happened since; and the last one in any case. What an event says that
-- happened before and came late (its version's updated_at tells) is nothing against the listing. Those whose last
-- change is earlier than an instant are left out.
WITH page AS MATERIALIZED (
    (SELECT o.id, o.id AS organization_id, '' AS user_id, o.deleted_at, o.changed_at, o.version FROM rolecall.organizations o
        WHERE @resource::text = 'organization' AND o.id > @after::text ORDER BY id LIMIT @page_size::integer)
    UNION ALL
    (SELECT u.id, '', u.id, u.deleted_at, u.changed_at, u.version FROM rolecall.users u
        WHERE @resource = 'user' AND u.id > @after ORDER BY id LIMIT @page_size)
    UNION ALL
    (SELECT r.id, '', '', r.deleted_at, r.changed_at, r.version FROM rolecall.roles r
        WHERE @resource = 'role' AND r.id > @after ORDER BY id LIMIT @page_size)
    UNION ALL
    (SELECT p.id, '', '', p.deleted_at, p.changed_at, p.version FROM rolecall.permissions p
        WHERE @resource = 'permission' AND p.id > @after ORDER BY id LIMIT @page_size)
    UNION ALL
    (SELECT m.id, m.organization_id, m.user_id, m.deleted_at, m.changed_at, m.version FROM rolecall.memberships m
        WHERE @resource = 'membership' AND m.id > @after ORDER BY id LIMIT @page_size)
    UNION ALL
    (SELECT i.id, i.organization_id, '', i.deleted_at, i.changed_at, i.version FROM rolecall.invitations i
        WHERE @resource = 'invitation' AND i.id > @after ORDER BY id LIMIT @page_size)
    UNION ALL
    (SELECT d.id, d.organization_id, '', d.deleted_at, d.changed_at, d.version FROM rolecall.domains d
        WHERE @resource = 'domain' AND d.id > @after ORDER BY id LIMIT @page_size)
), examined AS MATERIALIZED (
    SELECT p.id, p.organization_id, p.user_id, p.deleted_at IS NULL AND p.changed_at >= @since::timestamptz
        AND CASE WHEN p.changed_at < @began::timestamptz THEN true
            ELSE to_timestamp(coalesce((p.version ->> 'u')::float8, 0) / 1000) < @began END
        AND NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = @resource AND s.id = p.id OFFSET 0)
        AND NOT EXISTS (SELECT FROM rolecall.organizations o WHERE o.id = p.organization_id AND o.deleted_at IS NOT NULL OFFSET 0)
        AND NOT EXISTS (SELECT FROM rolecall.users u WHERE u.id = p.user_id AND u.deleted_at IS NOT NULL OFFSET 0) AS unlisted
    FROM page p
)
SELECT e.id::text AS id, e.organization_id::text AS organization_id, e.user_id::text AS user_id, e.unlisted::boolean AS unlisted
FROM examined e WHERE e.unlisted OR e.id = (SELECT max(p.id) FROM page p)
ORDER BY e.id;

-- name: UnlistedIn :many
-- The same of one organization: it examines all of the organization's objects.
WITH own AS MATERIALIZED (
    SELECT l.id, l.organization_id, l.user_id, l.changed_at FROM rolecall.live_objects l
    WHERE l.resource = @resource AND l.organization_id = @organization_id::text
)
SELECT own.id::text AS id, own.organization_id::text AS organization_id, own.user_id::text AS user_id
FROM own
WHERE own.id > @after::text AND own.changed_at >= @since::timestamptz
    AND CASE WHEN own.changed_at < @began::timestamptz THEN true ELSE to_timestamp(coalesce((
        SELECT o.version ->> 'u' FROM rolecall.organizations o WHERE @resource = 'organization' AND o.id = own.id
        UNION ALL SELECT m.version ->> 'u' FROM rolecall.memberships m WHERE @resource = 'membership' AND m.id = own.id
        UNION ALL SELECT i.version ->> 'u' FROM rolecall.invitations i WHERE @resource = 'invitation' AND i.id = own.id
        UNION ALL SELECT d.version ->> 'u' FROM rolecall.domains d WHERE @resource = 'domain' AND d.id = own.id
    )::float8, 0) / 1000) < @began END
    AND NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = @resource AND s.id = own.id OFFSET 0)
ORDER BY own.id LIMIT @page_size::integer;

-- name: CountDependents :many
-- Counts the live objects that weren't listed and would end with an organization or a user; but not an organization's
-- memberships, which CountStakes counts. One of the two ids is ''. There are two branches, so that each uses an index.
WITH hanging AS MATERIALIZED (
    SELECT o.resource, o.id FROM rolecall.live_objects o
    WHERE o.organization_id = @organization_id AND @organization_id::text <> '' AND o.resource IN ('invitation', 'domain')
        AND o.changed_at < @began
    UNION ALL
    SELECT u.resource, u.id FROM rolecall.live_objects u
    WHERE u.user_id = @user_id AND @user_id::text <> '' AND u.resource = 'membership' AND u.changed_at < @began
)
SELECT h.resource::text AS resource, count(*) AS count
FROM hanging h
WHERE NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = h.resource AND s.id = h.id OFFSET 0)
GROUP BY h.resource;

-- name: CountStakes :many
-- Examines the next memberships, in the order of organizations and users. Of each organization, it counts those that
-- live here; of these, those that would end: they weren't listed, or their organization or user wasn't; and those that
-- weren't listed themselves. What was changed since the sweep began counts by the same rule as in Unlisted. With an
-- organization, it counts only there, and takes all users as listed.
WITH page AS MATERIALIZED (
    SELECT m.organization_id, m.user_id, m.id, m.changed_at, m.deleted_at, m.version FROM rolecall.memberships m
    WHERE (m.organization_id, m.user_id, m.id) > (@after_organization_id::text, @after_user_id::text, @after_id::text)
    ORDER BY m.organization_id, m.user_id, m.id LIMIT @page_size::integer
), organizations AS MATERIALIZED ( -- each once, however many memberships of it there are
    SELECT o.id, o.deleted_at, CASE WHEN o.changed_at < @began::timestamptz THEN true
            ELSE to_timestamp(coalesce((o.version ->> 'u')::float8, 0) / 1000) < @began END AND NOT EXISTS (
        SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = 'organization' AND s.id = o.id OFFSET 0
    ) AS unlisted
    FROM rolecall.organizations o WHERE o.id = ANY (ARRAY(SELECT DISTINCT p.organization_id FROM page p))
), examined AS MATERIALIZED (
    SELECT p.organization_id, p.deleted_at IS NULL AND o.deleted_at IS NULL AND u.deleted_at IS NULL AS live,
        coalesce(o.unlisted, false) OR coalesce(u.unlisted, false) AS ends_with_another,
        p.deleted_at IS NULL AND CASE WHEN p.changed_at < @began THEN true
            ELSE to_timestamp(coalesce((p.version ->> 'u')::float8, 0) / 1000) < @began END AND NOT EXISTS (
            SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = 'membership' AND s.id = p.id OFFSET 0
        ) AS unlisted
    FROM page p
    LEFT JOIN organizations o ON o.id = p.organization_id
    LEFT JOIN LATERAL (
        SELECT x.deleted_at, @organization_id::text = '' AND CASE WHEN x.changed_at < @began THEN true
            ELSE to_timestamp(coalesce((x.version ->> 'u')::float8, 0) / 1000) < @began END AND NOT EXISTS (
            SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = 'user' AND s.id = x.id OFFSET 0
        ) AS unlisted
        FROM rolecall.users x WHERE x.id = p.user_id OFFSET 0
    ) u ON true
    WHERE @organization_id = '' OR p.organization_id = @organization_id
), place AS (
    SELECT p.organization_id, p.user_id, p.id FROM page p WHERE @organization_id = '' OR p.organization_id = @organization_id
    ORDER BY p.organization_id DESC, p.user_id DESC, p.id DESC LIMIT 1
)
SELECT e.organization_id::text AS organization_id, count(*) FILTER (WHERE e.live) AS live,
    count(*) FILTER (WHERE e.live AND (e.unlisted OR e.ends_with_another)) AS at_stake,
    count(*) FILTER (WHERE e.live AND e.unlisted) AS unlisted,
    last.organization_id::text AS last_organization_id, last.user_id::text AS last_user_id, last.id::text AS last_id
FROM examined e CROSS JOIN place last
GROUP BY e.organization_id, last.organization_id, last.user_id, last.id ORDER BY e.organization_id;

-- name: ListedTombstones :many
-- Examines the next objects of a kind that were listed, in the order of ids. Returns those that had a tombstone before
-- the sweep began; and the last one in any case.
WITH page AS MATERIALIZED (
    SELECT s.id FROM rolecall.sweep_seen s WHERE s.sweep_id = @sweep_id AND s.resource = @resource AND s.id > @after
    ORDER BY s.id LIMIT @page_size::integer
)
SELECT p.id, coalesce(d.organization_id, '')::text AS organization_id, coalesce(d.user_id, '')::text AS user_id,
    coalesce(d.known_at, @began::timestamptz)::timestamptz AS known_at, coalesce(d.cause, '')::text AS cause,
    (d.known_at IS NOT NULL)::boolean AS dead
FROM page p
LEFT JOIN LATERAL (
    SELECT o.organization_id, o.user_id, o.known_at, o.cause FROM rolecall.dead_objects o
    WHERE o.resource = @resource AND o.id = p.id AND o.known_at < @began OFFSET 0
) d ON true
WHERE d.known_at IS NOT NULL OR p.id = (SELECT max(l.id) FROM page l)
ORDER BY p.id;

-- name: ChangedAfter :many
SELECT u.id FROM rolecall.users u WHERE u.id = ANY (@ids::text[]) AND u.changed_at > @asked_at
UNION ALL SELECT o.id FROM rolecall.organizations o WHERE o.id = ANY (@ids) AND o.changed_at > @asked_at
UNION ALL SELECT m.id FROM rolecall.memberships m WHERE m.id = ANY (@ids) AND m.changed_at > @asked_at
UNION ALL SELECT i.id FROM rolecall.invitations i WHERE i.id = ANY (@ids) AND i.changed_at > @asked_at
UNION ALL SELECT d.id FROM rolecall.domains d WHERE d.id = ANY (@ids) AND d.changed_at > @asked_at
UNION ALL SELECT r.id FROM rolecall.roles r WHERE r.id = ANY (@ids) AND r.changed_at > @asked_at
UNION ALL SELECT p.id FROM rolecall.permissions p WHERE p.id = ANY (@ids) AND p.changed_at > @asked_at;

-- name: AnyWaiting :one
-- Whether a delivery that came before an instant isn't applied.
SELECT EXISTS (SELECT FROM rolecall.deliveries WHERE state = 'received' AND received_at < @came_before::timestamptz)::boolean AS waiting;

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
