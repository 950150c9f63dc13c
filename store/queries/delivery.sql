-- name: AcceptDeliveries :many
-- Adds new deliveries to the ledger, each with a place in a job of its queue, and returns their ids.
-- The commit wakes the workers of those queues, except of the quiet ones. It is one statement, so
-- that accepting is one round trip and needs no other transaction. A repeat takes no lock: it must
-- not wait for the worker that applies the first copy.
WITH input AS (
    SELECT generate_subscripts(@svix_ids::text[], 1) AS place, unnest(@svix_ids::text[]) AS svix_id,
        unnest(@event_types::text[]) AS event_type, unnest(@object_ids::text[]) AS object_id,
        unnest(@organization_ids::text[]) AS organization_id, unnest(@instance_ids::text[]) AS instance_id,
        unnest(@occurred_at::timestamptz[]) AS occurred_at, unnest(@received_at::timestamptz[]) AS received_at,
        unnest(@bodies::text[]) AS body, unnest(@body_sha256::bytea[]) AS body_sha256, unnest(@states::text[]) AS state,
        unnest(@last_errors::text[]) AS last_error, unnest(@queues::text[]) AS queue,
        unnest(@priorities::smallint[]) AS priority
), stored AS (
    INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at,
        body, body_sha256, state, last_error)
    SELECT svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, nullif(body, ''),
        body_sha256, state, last_error
    FROM input
    ORDER BY svix_id
    ON CONFLICT (svix_id) DO NOTHING
    RETURNING svix_id
), enqueued AS (
    INSERT INTO rolecall.river_job (args, kind, max_attempts, priority, queue, metadata)
    SELECT jsonb_build_object('svix_ids', jsonb_agg(input.svix_id ORDER BY input.place)), @kind::text,
        @max_attempts::smallint, input.priority, input.queue, coalesce(sqlc.narg(metadata)::jsonb, '{}')
    FROM input JOIN stored ON stored.svix_id = input.svix_id
    WHERE input.queue <> ''
    GROUP BY input.queue, input.priority
    RETURNING CASE WHEN queue <> ALL (@quiet::text[])
        THEN pg_notify('rolecall.river_insert', jsonb_build_object('queue', queue)::text) END
)
SELECT svix_id FROM stored;

-- name: KnownDigests :many
-- Its commit waits for the synchronous standby, if there is one: what it shows was perhaps committed here alone, because its session
-- ended or was cancelled while it waited. A commit waits only if it wrote something, such as the message.
SELECT svix_id, body_sha256, state,
    ((SELECT CASE WHEN current_setting('synchronous_standby_names') <> '' THEN pg_logical_emit_message(true, 'rolecall'::text, ''::text) END) IS NOT NULL)::boolean AS waits
FROM rolecall.deliveries WHERE svix_id = ANY (@svix_ids::text[]);

-- name: DeleteQuarantined :many
-- Deletes quarantined deliveries to make room for new copies. It is a statement of its own, after
-- the insert, so that it sees what another commit has just inserted. It locks in one order, so that
-- two commits can't deadlock. A row that another session has locked stays: accepting a delivery
-- never waits for a lock of one workspace.
DELETE FROM rolecall.deliveries
WHERE svix_id IN (
    SELECT old.svix_id FROM rolecall.deliveries old
    WHERE old.svix_id = ANY (@svix_ids::text[]) AND old.state = 'quarantined'
    ORDER BY old.svix_id FOR UPDATE SKIP LOCKED
)
RETURNING svix_id;

-- name: LockReceivedDeliveries :many
-- The holder of the locks applies the deliveries. A second worker then finds nothing left to do.
SELECT svix_id, event_type, instance_id, occurred_at, received_at, coalesce(replayed_at, received_at)::timestamptz AS waits_since, body,
    attempts
FROM rolecall.deliveries
WHERE svix_id = ANY (@svix_ids::text[]) AND state = 'received'
ORDER BY svix_id
FOR UPDATE;

-- name: ReadReceivedDeliveries :many
-- Those of the given deliveries that still wait to be applied. It takes no lock, so it waits for
-- nothing.
SELECT svix_id, event_type, instance_id, occurred_at, received_at, body
FROM rolecall.deliveries
WHERE svix_id = ANY (@svix_ids::text[]) AND state = 'received'
ORDER BY svix_id;

-- name: LockedRows :many
-- Of the rows with the given ids, those that another transaction has locked, each with that
-- transaction. The rows are deliveries, objects of the mirror, and the counts, counters and chains
-- of organizations. An id can be in several tables; place tells them apart. The query locks the free
-- rows, so the caller rolls back.
WITH free_deliveries AS (
    SELECT 1 AS place, svix_id AS id FROM rolecall.deliveries WHERE svix_id = ANY (@ids::text[]) FOR UPDATE SKIP LOCKED
), free_users AS (
    SELECT 2 AS place, id AS id FROM rolecall.users WHERE id = ANY (@ids) FOR UPDATE SKIP LOCKED
), free_memberships AS (
    SELECT 3 AS place, id AS id FROM rolecall.memberships WHERE id = ANY (@ids) FOR UPDATE SKIP LOCKED
), free_invitations AS (
    SELECT 4 AS place, id AS id FROM rolecall.invitations WHERE id = ANY (@ids) FOR UPDATE SKIP LOCKED
), free_domains AS (
    SELECT 5 AS place, id AS id FROM rolecall.domains WHERE id = ANY (@ids) FOR UPDATE SKIP LOCKED
), free_permissions AS (
    SELECT 6 AS place, id AS id FROM rolecall.permissions WHERE id = ANY (@ids) FOR UPDATE SKIP LOCKED
), free_roles AS (
    SELECT 7 AS place, id AS id FROM rolecall.roles WHERE id = ANY (@ids) FOR UPDATE SKIP LOCKED
), free_organizations AS (
    SELECT 8 AS place, id AS id FROM rolecall.organizations WHERE id = ANY (@ids) FOR UPDATE SKIP LOCKED
), free_revisions AS (
    SELECT 9 AS place, organization_id AS id FROM rolecall.revisions WHERE organization_id = ANY (@ids) FOR UPDATE SKIP LOCKED
), free_audit_heads AS (
    SELECT 10 AS place, organization_id AS id FROM rolecall.audit_heads WHERE organization_id = ANY (@ids) FOR UPDATE SKIP LOCKED
), free_member_counts AS (
    SELECT 11 AS place, organization_id AS id FROM rolecall.member_counts WHERE organization_id = ANY (@ids) FOR UPDATE SKIP LOCKED
), present AS (
    SELECT 1 AS place, svix_id AS id, xmax::text AS locker FROM rolecall.deliveries WHERE svix_id = ANY (@ids)
    UNION ALL SELECT 2 AS place, id AS id, xmax::text AS locker FROM rolecall.users WHERE id = ANY (@ids)
    UNION ALL SELECT 3 AS place, id AS id, xmax::text AS locker FROM rolecall.memberships WHERE id = ANY (@ids)
    UNION ALL SELECT 4 AS place, id AS id, xmax::text AS locker FROM rolecall.invitations WHERE id = ANY (@ids)
    UNION ALL SELECT 5 AS place, id AS id, xmax::text AS locker FROM rolecall.domains WHERE id = ANY (@ids)
    UNION ALL SELECT 6 AS place, id AS id, xmax::text AS locker FROM rolecall.permissions WHERE id = ANY (@ids)
    UNION ALL SELECT 7 AS place, id AS id, xmax::text AS locker FROM rolecall.roles WHERE id = ANY (@ids)
    UNION ALL SELECT 8 AS place, id AS id, xmax::text AS locker FROM rolecall.organizations WHERE id = ANY (@ids)
    UNION ALL SELECT 9 AS place, organization_id AS id, xmax::text AS locker FROM rolecall.revisions WHERE organization_id = ANY (@ids)
    UNION ALL SELECT 10 AS place, organization_id AS id, xmax::text AS locker FROM rolecall.audit_heads WHERE organization_id = ANY (@ids)
    UNION ALL SELECT 11 AS place, organization_id AS id, xmax::text AS locker FROM rolecall.member_counts WHERE organization_id = ANY (@ids)
), free AS (
    SELECT place, id FROM free_deliveries
    UNION ALL SELECT place, id FROM free_users
    UNION ALL SELECT place, id FROM free_memberships
    UNION ALL SELECT place, id FROM free_invitations
    UNION ALL SELECT place, id FROM free_domains
    UNION ALL SELECT place, id FROM free_permissions
    UNION ALL SELECT place, id FROM free_roles
    UNION ALL SELECT place, id FROM free_organizations
    UNION ALL SELECT place, id FROM free_revisions
    UNION ALL SELECT place, id FROM free_audit_heads
    UNION ALL SELECT place, id FROM free_member_counts
)
SELECT p.place::integer AS place, p.id::text AS id, p.locker::text AS locker
FROM present p
WHERE NOT EXISTS (SELECT FROM free f WHERE f.place = p.place AND f.id = p.id);

-- name: OrganizationsOfUsers :many
-- The organizations that users are or were in.
SELECT DISTINCT user_id, organization_id FROM rolecall.memberships WHERE user_id = ANY (@user_ids::text[]);

-- name: CountChanges :exec
-- Counts one change for each given organization, and for each organization of the given users. The
-- organization '' counts changes that concern all of them.
INSERT INTO rolecall.revisions AS r (organization_id, revision)
SELECT id, 1 FROM (
    SELECT unnest(@organization_ids::text[]) AS id
    UNION
    SELECT organization_id FROM rolecall.memberships WHERE user_id = ANY (@user_ids::text[])
) changed
ORDER BY id
ON CONFLICT (organization_id) DO UPDATE SET revision = r.revision + 1;

-- name: AppendEntries :exec
-- Appends to the audit log, in the given order. If the log has an entry about the same object from
-- the same delivery, the delivery is replayed. Then it restates nothing.
INSERT INTO rolecall.audit_log (organization_id, actor, action, target, before, after, at, cause, impersonator)
SELECT e.organization_id, nullif(e.actor, ''), e.action, e.target, nullif(e.before, '')::json, nullif(e.after, '')::json, e.at, e.cause,
    nullif(e.impersonator, '')
FROM (
    SELECT unnest(@organization_ids::text[]) AS organization_id, unnest(@actors::text[]) AS actor, unnest(@actions::text[]) AS action,
        unnest(@targets::text[]) AS target, unnest(@befores::text[]) AS before, unnest(@afters::text[]) AS after,
        unnest(@at::timestamptz[]) AS at, unnest(@causes::text[]) AS cause, unnest(@impersonators::text[]) AS impersonator,
        unnest(@restates::boolean[]) AS restates
) e
WHERE CASE WHEN e.restates THEN NOT EXISTS (
    SELECT FROM rolecall.audit_log l
    WHERE l.organization_id = e.organization_id AND l.target = e.target AND l.cause = e.cause
) ELSE true END;

-- name: EndDeliveries :exec
-- Records the states in which deliveries ended.
UPDATE rolecall.deliveries d
SET state = ended.state, last_error = ended.last_error,
    applied_at = CASE WHEN ended.state <> 'quarantined' THEN @applied_at::timestamptz END
FROM (SELECT unnest(@svix_ids::text[]) AS svix_id, unnest(@states::text[]) AS state,
    unnest(@last_errors::text[]) AS last_error) ended
WHERE d.svix_id = ended.svix_id;

-- name: FailDelivery :one
-- Counts a failed attempt, and quarantines the delivery at the limit.
UPDATE rolecall.deliveries
SET attempts = attempts + 1, last_error = @last_error,
    state = CASE WHEN attempts + 1 >= @max_attempts::integer THEN 'quarantined' ELSE state END
WHERE svix_id = @svix_id AND state = 'received'
RETURNING state;

-- name: OldestReceivedAt :one
SELECT received_at FROM rolecall.deliveries WHERE state = 'received' ORDER BY received_at LIMIT 1;

-- name: WaitsSince :one
-- When the longest-waiting delivery was received or last replayed. No index sorts replayed ones
-- among the others, so this reads all that wait.
SELECT coalesce(replayed_at, received_at)::timestamptz AS since FROM rolecall.deliveries WHERE state = 'received' ORDER BY 1 LIMIT 1;

-- name: StrandedDeliveries :many
-- Deliveries that wait without a job that will apply them: it was discarded, deleted by hand, or
-- its process died. A job that has run for longer than its time-out belongs to a dead process.
WITH live AS (
    SELECT jsonb_array_elements_text(args -> 'svix_ids') AS svix_id
    FROM rolecall.river_job
    WHERE kind = @kind AND (state IN ('available', 'pending', 'retryable', 'scheduled')
        OR state = 'running' AND attempted_at > @attempted_after::timestamptz)
)
SELECT d.svix_id, d.event_type
FROM rolecall.deliveries d
WHERE d.state = 'received' AND d.received_at < @received_before::timestamptz
    AND NOT EXISTS (SELECT FROM live WHERE live.svix_id = d.svix_id)
ORDER BY d.received_at
LIMIT @batch::integer;

-- name: TryTakeOver :one
-- One instance at a time looks for stranded deliveries; the lock ends with the transaction.
SELECT pg_try_advisory_xact_lock(@key::bigint) AS locked;

-- name: LockLedgerRow :one
SELECT svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state,
    attempts, last_error, applied_at, replayed_at
FROM rolecall.deliveries WHERE svix_id = @svix_id FOR UPDATE;

-- name: FindLedgerRow :one
SELECT svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state,
    attempts, last_error, applied_at, replayed_at
FROM rolecall.deliveries WHERE svix_id = @svix_id;

-- name: ListLedgerRows :many
-- The newest first, without their bodies, before the given position. Empty texts filter nothing.
-- A delivery is a user's if its object is the user or one of the user's memberships. So is one of
-- a session or an invitation whose body names the user. As a subquery, thousands of
-- memberships are hashed once; Postgres compares each row with each element of an array.
SELECT svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body_sha256, state,
    attempts, last_error, applied_at, replayed_at
FROM rolecall.deliveries
WHERE (@state::text = '' OR state = @state) AND (@event_type::text = '' OR event_type = @event_type)
    AND (@organization_id::text = '' OR organization_id = @organization_id)
    AND (@user_id::text = '' OR object_id = @user_id OR object_id IN (SELECT m.id FROM rolecall.memberships m WHERE m.user_id = @user_id)
        OR (event_type LIKE 'session.%' OR event_type LIKE 'organizationInvitation.%') AND strpos(body, @user_id) > 0)
    AND received_at >= @since AND received_at < @until
    AND (received_at, svix_id) < (@before_at::timestamptz, @before_id::text)
ORDER BY received_at DESC, svix_id DESC
LIMIT @page_size::integer;

-- name: NewestWithBody :one
-- When the delivery came that has so many newer ones with bodies, of those before an instant. Its
-- index knows the order, unlike that of all deliveries.
SELECT received_at FROM rolecall.deliveries WHERE body IS NOT NULL AND received_at < @until::timestamptz ORDER BY received_at DESC OFFSET @newer::integer LIMIT 1;

-- name: LedgerStates :many
-- The states of the deliveries received since an instant, and of the given ones.
SELECT svix_id, received_at, state FROM rolecall.deliveries WHERE received_at >= @since OR svix_id = ANY (@svix_ids::text[]);

-- name: LedgerRowsByID :many
-- Those of the given deliveries that the filters of ListLedgerRows select, the oldest first.
SELECT svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body_sha256, state,
    attempts, last_error, applied_at, replayed_at
FROM rolecall.deliveries
WHERE svix_id = ANY (@svix_ids::text[])
    AND (@state::text = '' OR state = @state) AND (@event_type::text = '' OR event_type = @event_type)
    AND (@organization_id::text = '' OR organization_id = @organization_id)
    AND (@user_id::text = '' OR object_id = @user_id OR object_id IN (SELECT m.id FROM rolecall.memberships m WHERE m.user_id = @user_id)
        OR (event_type LIKE 'session.%' OR event_type LIKE 'organizationInvitation.%') AND strpos(body, @user_id) > 0)
ORDER BY received_at, svix_id;

-- name: ReceiveAgain :exec
UPDATE rolecall.deliveries
SET event_type = @event_type, object_id = @object_id, organization_id = @organization_id, instance_id = @instance_id,
    occurred_at = @occurred_at, replayed_at = clock_timestamp(), state = 'received', attempts = 0, last_error = '', applied_at = NULL
WHERE svix_id = @svix_id;

-- name: PruneBodies :one
-- Deletes the bodies of deliveries that ended, from the place where the last batch came to. Those
-- that wait, or are set aside, keep theirs.
WITH old AS (
    SELECT d.svix_id FROM rolecall.deliveries d
    WHERE d.body IS NOT NULL AND d.received_at >= @received_from::timestamptz AND d.received_at < @received_before::timestamptz
        AND d.state IN ('applied', 'superseded', 'ignored')
    ORDER BY d.received_at LIMIT @batch::integer FOR UPDATE SKIP LOCKED
), pruned AS (
    UPDATE rolecall.deliveries SET body = NULL WHERE svix_id IN (SELECT svix_id FROM old) RETURNING received_at
)
SELECT count(*) AS pruned, coalesce(max(received_at), @received_from)::timestamptz AS reached FROM pruned;

-- name: PruneDeliveries :one
-- Deletes deliveries that ended, from the place where the last batch came to. Those that wait, or
-- are set aside, stay. So does the newest one: by it, operators see since when the endpoint is
-- silent.
WITH old AS (
    SELECT d.svix_id FROM rolecall.deliveries d
    WHERE d.received_at >= @received_from::timestamptz
        AND d.received_at < least(@received_before::timestamptz, (SELECT max(n.received_at) FROM rolecall.deliveries n))
        AND d.state IN ('applied', 'superseded', 'ignored')
    ORDER BY d.received_at LIMIT @batch::integer FOR UPDATE SKIP LOCKED
), pruned AS (
    DELETE FROM rolecall.deliveries WHERE svix_id IN (SELECT svix_id FROM old) RETURNING received_at
)
SELECT count(*) AS pruned, coalesce(max(received_at), @received_from)::timestamptz AS reached FROM pruned;

-- name: EntriesOfDelivery :many
-- What a delivery changed. No index has causes, so this looks where its entries can be: at the time
-- of the event, and at the newest entries about its objects.
SELECT DISTINCT ON (found.id) found.* FROM (
    SELECT near.* FROM (
        SELECT * FROM rolecall.audit_log a
        WHERE a.organization_id = ANY (@organization_ids::text[]) AND a.at BETWEEN @since::timestamptz AND @until::timestamptz
        LIMIT @search::integer
    ) near WHERE near.cause = @cause::text
    UNION ALL
    SELECT about.* FROM (
        SELECT * FROM rolecall.audit_log a
        WHERE a.organization_id = ANY (@organization_ids) AND a.target = ANY (@targets::text[])
        ORDER BY a.at DESC LIMIT @search
    ) about WHERE about.cause = @cause
) found ORDER BY found.id LIMIT @page_size::integer;

-- name: JobsOfDelivery :many
-- The jobs that apply a delivery, as long as the queue keeps them.
SELECT id, state::text AS state, queue, attempt, created_at FROM rolecall.river_job
WHERE kind = @kind AND args @> jsonb_build_object('svix_ids', jsonb_build_array(@svix_id::text))
ORDER BY id DESC LIMIT 10;
