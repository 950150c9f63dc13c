-- What binaries of schema 00013 ask the database. They may still run beside newer ones, so newer schemas must take it.

-- name: AppendEvent :many
WITH drawn AS (
    SELECT nextval('rolecall.audit_log_id_seq') AS id
), kept AS (
    INSERT INTO rolecall.audit_keys (key, request, entry_id)
    SELECT $8, $9, id FROM drawn WHERE $8::bytea IS NOT NULL
    ON CONFLICT (key) DO NOTHING
    RETURNING entry_id
)
INSERT INTO rolecall.audit_log (id, organization_id, actor, action, target, data, at, cause)
OVERRIDING SYSTEM VALUE
SELECT drawn.id, $1, $2, $3, $4, $5, coalesce($6::timestamptz, clock_timestamp()), $7
FROM drawn WHERE $8 IS NULL OR EXISTS (SELECT FROM kept)
RETURNING id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash

-- name: AuditPage :many

SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash
FROM rolecall.audit_log
WHERE organization_id = $1 AND seq <= $2 AND at >= $3 AND at < $4
    AND (at, seq) < ($5::timestamptz, $6::bigint)
ORDER BY at DESC, seq DESC
LIMIT $7::integer

-- name: AuditPageOfAction :many
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash
FROM rolecall.audit_log
WHERE organization_id = $1 AND action = $2 AND seq <= $3 AND at >= $4 AND at < $5
    AND (at, seq) < ($6::timestamptz, $7::bigint)
ORDER BY at DESC, seq DESC
LIMIT $8::integer

-- name: AuditPageOfActor :many
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash
FROM rolecall.audit_log
WHERE organization_id = $1 AND actor = $2 AND seq <= $3 AND at >= $4 AND at < $5
    AND (at, seq) < ($6::timestamptz, $7::bigint)
    AND ($8::text = '' OR action = $8)
ORDER BY at DESC, seq DESC
LIMIT $9::integer

-- name: AuditPageOfTarget :many
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash
FROM rolecall.audit_log
WHERE organization_id = $1 AND target = $2 AND seq <= $3 AND at >= $4 AND at < $5
    AND (at, seq) < ($6::timestamptz, $7::bigint)
    AND ($8::text = '' OR actor = $8) AND ($9::text = '' OR action = $9)
ORDER BY at DESC, seq DESC
LIMIT $10::integer

-- name: ChainHead :one
SELECT seq, hash FROM rolecall.audit_heads WHERE organization_id = $1

-- name: ChainLinks :many
SELECT id, organization_id, actor, action, target, coalesce(before::text, '')::text AS before,
    coalesce(after::text, '')::text AS after, coalesce(data::text, '')::text AS data, at, cause, seq, prev_hash, hash
FROM rolecall.audit_log
WHERE organization_id = $1 AND (seq, id) >= ($2::bigint, $3::bigint)
ORDER BY seq, id
LIMIT $4::integer

-- name: EventOfKey :one
SELECT k.request, l.id, l.organization_id, l.actor, l.action, l.target, l.before, l.after, l.at, l.cause, l.data, l.seq, l.prev_hash, l.hash
FROM rolecall.audit_keys k
JOIN rolecall.audit_log l ON l.id = k.entry_id
WHERE k.key = $1::bytea

-- name: Neighbours :one
SELECT coalesce(min(seq) FILTER (WHERE prev_hash = $1), 0)::bigint AS follower,
    coalesce(min(seq) FILTER (WHERE hash = $2), 0)::bigint AS bearer
FROM rolecall.audit_log WHERE organization_id = $3

-- name: NextChain :one
SELECT organization_id::text AS organization_id FROM (
    (SELECT l.organization_id FROM rolecall.audit_log l WHERE l.organization_id > $1 ORDER BY l.organization_id LIMIT 1)
    UNION ALL
    (SELECT h.organization_id FROM rolecall.audit_heads h WHERE h.organization_id > $1 ORDER BY h.organization_id LIMIT 1)
) next
ORDER BY organization_id LIMIT 1

-- name: AddCommand :one

INSERT INTO rolecall.commands (id, actor, action, organization_id, target, outcome, state, key, request, sent_at, last_sent_at)
VALUES ($1, $2, $3, $4, $5, $6, 'begun', $7, $8, NULL, NULL)
ON CONFLICT (key) DO NOTHING
RETURNING tried_at

-- name: EndCommand :exec
UPDATE rolecall.commands SET state = $1, answer = $2 WHERE id = $3 AND tried_at = $4

-- name: ForgetKey :exec
DELETE FROM rolecall.commands
WHERE key = $1::bytea AND begun_at < clock_timestamp() - interval '24 hours'
    AND NOT (state = 'begun' AND tried_at > clock_timestamp() - interval '20 seconds')

-- name: Invitation :one
SELECT i.id, i.email, i.role,
    (CASE WHEN i.status = 'pending' AND i.expires_at <= now() THEN 'expired' ELSE i.status END)::text AS status,
    i.inviter_id, i.created_at, i.expires_at
FROM rolecall.invitations i
WHERE i.id = $1

-- name: LockCommand :one

SELECT id, state, organization_id, target, request, answer, sent_at, (audited_at IS NOT NULL)::boolean AS audited,
    (clock_timestamp() - tried_at < interval '20 seconds')::boolean AS recent
FROM rolecall.commands WHERE key = $1::bytea FOR UPDATE

-- name: MadeByAnother :one
SELECT EXISTS (
    SELECT FROM rolecall.commands WHERE organization_id = $1 AND action = 'workspace.created' AND state <> 'failed' AND id <> $2
)::boolean

-- name: MarkAudited :exec
UPDATE rolecall.commands c SET audited_at = clock_timestamp(), organization_id = s.organization_id, target = s.target
FROM (SELECT unnest($1::text[]) AS id, unnest($2::text[]) AS organization_id, unnest($3::text[]) AS target) s
WHERE c.id = s.id

-- name: MembershipOfPair :one
SELECT m.id, (m.deleted_at IS NOT NULL)::boolean AS dead, m.user_id, m.role::text AS role, m.role_name, m.created_at AS joined_at,
    u.identifier, u.first_name, u.last_name
FROM rolecall.effective_memberships m
LEFT JOIN rolecall.users u ON u.id = m.user_id
WHERE m.organization_id = $1 AND m.user_id = $2
ORDER BY m.created_at DESC, m.deleted_at IS NULL DESC, m.id DESC
LIMIT 1

-- name: NameCommand :exec
UPDATE rolecall.commands SET organization_id = $1, target = $2 WHERE id = $3 AND tried_at = $4

-- name: OpenCommands :many
SELECT open.id, open.actor, open.action, coalesce(nullif(open.organization_id, ''), young.id, '')::text AS organization_id, open.target,
    open.outcome, open.audited
FROM (
    SELECT id, actor, action, organization_id, target, outcome, coalesce(sent_at, begun_at) AS sent_at, state, (audited_at IS NOT NULL)::boolean AS audited
    FROM rolecall.commands
    WHERE id = $1::text OR last_sent_at > clock_timestamp() - interval '10 minutes' AND (
        state IN ('begun', 'unknown') AND (
            organization_id = ANY ($2::text[]) AND action = ANY ($3::text[])
                AND (target = ANY ($4::text[]) OR target = '') AND audited_at IS NULL
            OR (organization_id = '' OR organization_id = ANY ($2)) AND action = 'workspace.created' AND actor = ANY ($5::text[]))
        OR state = 'done' AND organization_id = ANY ($2) AND action = 'workspace.created' AND actor = ANY ($5)
            AND NOT EXISTS (SELECT FROM rolecall.audit_log l
                WHERE l.organization_id = commands.organization_id AND l.action = 'member.joined' AND l.target = commands.actor))
    ORDER BY id
    FOR UPDATE
) open
LEFT JOIN rolecall.organizations young
    ON open.organization_id = '' AND young.id = ANY ($2) AND young.created_at > open.sent_at - interval '1 minute'
ORDER BY open.state = 'unknown', open.sent_at, open.id

-- name: OwnCommand :one
SELECT EXISTS (
    SELECT FROM rolecall.commands
    WHERE key = $1::bytea AND request = $2::bytea AND actor = $3 AND target = actor
        AND (state = 'done' OR state IN ('begun', 'unknown') AND audited_at IS NOT NULL)
        AND begun_at > clock_timestamp() - interval '24 hours'
)::boolean

-- name: PruneCommands :execrows
DELETE FROM rolecall.commands
WHERE id IN (
    SELECT old.id FROM rolecall.commands old
    WHERE old.begun_at < clock_timestamp() - interval '24 hours'
        AND NOT (old.state = 'begun' AND old.tried_at > clock_timestamp() - interval '20 seconds')
    ORDER BY old.begun_at LIMIT $1::integer FOR UPDATE SKIP LOCKED
)

-- name: RoleKeys :many
SELECT key FROM rolecall.roles WHERE deleted_at IS NULL AND key <> '' ORDER BY key

-- name: SendCommand :execrows
UPDATE rolecall.commands SET sent_at = coalesce(sent_at, clock_timestamp()), last_sent_at = clock_timestamp()
WHERE id = $1 AND tried_at = $2

-- name: TryCommandAgain :one
UPDATE rolecall.commands
SET state = 'begun', tried_at = clock_timestamp(), audited_at = CASE WHEN state <> 'failed' THEN audited_at END,
    sent_at = CASE WHEN state <> 'failed' THEN sent_at END, last_sent_at = CASE WHEN state <> 'failed' THEN last_sent_at END,
    organization_id = CASE WHEN state = 'failed' AND action = 'workspace.created' THEN '' ELSE organization_id END,
    target = CASE WHEN state = 'failed' AND action IN ('workspace.created', 'invitation.sent') THEN '' ELSE target END
WHERE id = $1 RETURNING tried_at

-- name: DeleteQuarantined :many
DELETE FROM rolecall.deliveries
WHERE svix_id IN (
    SELECT old.svix_id FROM rolecall.deliveries old
    WHERE old.svix_id = ANY ($1::text[]) AND old.state = 'quarantined'
    ORDER BY old.svix_id FOR UPDATE
)
RETURNING svix_id

-- name: FailDelivery :one
UPDATE rolecall.deliveries
SET attempts = attempts + 1, last_error = $1,
    state = CASE WHEN attempts + 1 >= $2::integer THEN 'quarantined' ELSE state END
WHERE svix_id = $3 AND state = 'received'
RETURNING state

-- name: FindEntry :one
SELECT svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state,
    attempts, last_error, applied_at, replayed_at
FROM rolecall.deliveries WHERE svix_id = $1

-- name: Finish :exec
WITH audited AS (
    INSERT INTO rolecall.audit_log (organization_id, actor, action, target, before, after, at, cause)
    SELECT unnest($5::text[]), nullif(unnest($6::text[]), ''), unnest($7::text[]),
        unnest($8::text[]), nullif(unnest($9::text[]), '')::json, nullif(unnest($10::text[]), '')::json,
        unnest($11::timestamptz[]), unnest($12::text[])
), counted AS (
    INSERT INTO rolecall.revisions AS r (organization_id, revision)
    SELECT id, 1 FROM (
        SELECT unnest($13::text[]) AS id
        UNION
        SELECT organization_id FROM rolecall.memberships WHERE user_id = ANY ($14::text[])
    ) changed
    ORDER BY id
    ON CONFLICT (organization_id) DO UPDATE SET revision = r.revision + 1
)
UPDATE rolecall.deliveries d
SET state = ended.state, last_error = ended.last_error,
    applied_at = CASE WHEN ended.state <> 'quarantined' THEN $1::timestamptz END
FROM (SELECT unnest($2::text[]) AS svix_id, unnest($3::text[]) AS state,
    unnest($4::text[]) AS last_error) ended
WHERE d.svix_id = ended.svix_id

-- name: InsertDeliveries :many
INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at,
    body, body_sha256, state, last_error)
SELECT input.svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, nullif(body, ''),
    body_sha256, state, last_error
FROM (
    SELECT unnest($1::text[]) AS svix_id, unnest($2::text[]) AS event_type,
        unnest($3::text[]) AS object_id, unnest($4::text[]) AS organization_id,
        unnest($5::text[]) AS instance_id, unnest($6::timestamptz[]) AS occurred_at,
        unnest($7::timestamptz[]) AS received_at, unnest($8::text[]) AS body,
        unnest($9::bytea[]) AS body_sha256, unnest($10::text[]) AS state,
        unnest($11::text[]) AS last_error
) input
ORDER BY input.svix_id
ON CONFLICT (svix_id) DO NOTHING
RETURNING svix_id

-- name: KnownDigests :many
SELECT svix_id, body_sha256 FROM rolecall.deliveries WHERE svix_id = ANY ($1::text[])

-- name: ListEntries :many
SELECT svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body_sha256, state,
    attempts, last_error, applied_at, replayed_at
FROM rolecall.deliveries
WHERE ($1::text = '' OR state = $1) AND ($2::text = '' OR event_type = $2)
    AND ($3::text = '' OR organization_id = $3)
    AND received_at >= $4 AND received_at < $5
ORDER BY received_at DESC, svix_id DESC
LIMIT $6::integer

-- name: LockEntry :one
SELECT svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state,
    attempts, last_error, applied_at, replayed_at
FROM rolecall.deliveries WHERE svix_id = $1 FOR UPDATE

-- name: LockReceivedDeliveries :many
SELECT svix_id, event_type, instance_id, occurred_at, received_at, body, attempts
FROM rolecall.deliveries
WHERE svix_id = ANY ($1::text[]) AND state = 'received'
ORDER BY svix_id
FOR UPDATE

-- name: OldestReceivedAt :one
SELECT received_at FROM rolecall.deliveries WHERE state = 'received' ORDER BY received_at LIMIT 1

-- name: PruneBodies :execrows
UPDATE rolecall.deliveries SET body = NULL
WHERE svix_id IN (
    SELECT old.svix_id FROM rolecall.deliveries old
    WHERE old.body IS NOT NULL AND old.received_at < $1 AND old.state IN ('applied', 'superseded', 'ignored')
    ORDER BY old.received_at LIMIT $2::integer FOR UPDATE SKIP LOCKED
)

-- name: ReceiveAgain :exec
UPDATE rolecall.deliveries
SET event_type = $1, object_id = $2, organization_id = $3, instance_id = $4,
    occurred_at = $5, replayed_at = clock_timestamp(), state = 'received', attempts = 0, last_error = '', applied_at = NULL
WHERE svix_id = $6

-- name: StrandedDeliveries :many
WITH live AS (
    SELECT jsonb_array_elements_text(args -> 'svix_ids') AS svix_id
    FROM rolecall.river_job
    WHERE kind = $3 AND (state IN ('available', 'pending', 'retryable', 'scheduled')
        OR state = 'running' AND attempted_at > $4::timestamptz)
)
SELECT d.svix_id, d.event_type
FROM rolecall.deliveries d
WHERE d.state = 'received' AND d.received_at < $1::timestamptz
    AND NOT EXISTS (SELECT FROM live WHERE live.svix_id = d.svix_id)
ORDER BY d.received_at
LIMIT $2::integer

-- name: TryTakeOver :one
SELECT pg_try_advisory_xact_lock($1::bigint) AS locked

-- name: WaitsSince :one
SELECT coalesce(replayed_at, received_at)::timestamptz AS since FROM rolecall.deliveries WHERE state = 'received' ORDER BY 1 LIMIT 1

-- name: DeleteGrants :exec
DELETE FROM rolecall.grants

-- name: Grants :many

SELECT role, permission FROM rolecall.grants ORDER BY role, permission

-- name: InsertGrants :exec
INSERT INTO rolecall.grants (role, permission)
SELECT DISTINCT unnest($1::text[]), unnest($2::text[])

-- name: SavePolicyReading :execrows
INSERT INTO rolecall.policy_reading AS last (read_at) VALUES (clock_timestamp() - make_interval(secs => $1::float8))
ON CONFLICT (one) DO UPDATE SET read_at = excluded.read_at
WHERE last.read_at <= excluded.read_at OR last.read_at > clock_timestamp()

-- name: Invitations :many
SELECT i.id, i.email, i.role, i.inviter_id, i.created_at, i.expires_at
FROM rolecall.invitations i
WHERE i.organization_id = $1 AND i.deleted_at IS NULL
    AND CASE WHEN i.status = 'pending' AND i.expires_at <= $2::timestamptz THEN 'expired' ELSE i.status END = $3::text
    AND (i.created_at, i.id) > ($4::timestamptz, $5::text)
ORDER BY i.created_at, i.id
LIMIT $6::integer

-- name: LockDomains :many
SELECT id, organization_id, name, enrollment_mode, verification, created_at, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.domains WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE

-- name: LockInvitations :many
SELECT id, organization_id, email, role, status, inviter_id, user_id, created_at, expires_at, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.invitations WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE

-- name: LockMemberships :many
SELECT id, organization_id, user_id, role, role_name, permissions, created_at, public_metadata, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.memberships WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE

-- name: LockOrganizations :many
SELECT id, name, slug, image_url, created_by, created_at, public_metadata, version, field_versions, deleted_at, deleted_cause, role_set_key, changed_at, deleted_received_at, lifted_at FROM rolecall.organizations WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE

-- name: LockPermissions :many
SELECT id, key, name, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.permissions WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE

-- name: LockRoles :many
SELECT id, key, keys, name, permission_ids, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.roles WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE

-- name: LockUsers :many
SELECT id, identifier, first_name, last_name, image_url, banned, deprovisioned, created_at, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.users WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE

-- name: ReadDomains :many
SELECT id, organization_id, name, enrollment_mode, verification, created_at, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.domains WHERE id = ANY ($1::text[])

-- name: ReadInvitations :many
SELECT id, organization_id, email, role, status, inviter_id, user_id, created_at, expires_at, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.invitations WHERE id = ANY ($1::text[])

-- name: ReadMemberships :many
SELECT id, organization_id, user_id, role, role_name, permissions, created_at, public_metadata, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.memberships WHERE id = ANY ($1::text[])

-- name: ReadOrganizations :many
SELECT id, name, slug, image_url, created_by, created_at, public_metadata, version, field_versions, deleted_at, deleted_cause, role_set_key, changed_at, deleted_received_at, lifted_at FROM rolecall.organizations WHERE id = ANY ($1::text[])

-- name: ReadPermissions :many
SELECT id, key, name, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.permissions WHERE id = ANY ($1::text[])

-- name: ReadRoles :many
SELECT id, key, keys, name, permission_ids, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.roles WHERE id = ANY ($1::text[])

-- name: ReadUsers :many

SELECT id, identifier, first_name, last_name, image_url, banned, deprovisioned, created_at, version, field_versions, deleted_at, deleted_cause, changed_at, deleted_received_at, lifted_at FROM rolecall.users WHERE id = ANY ($1::text[])

-- name: SaveDomains :execrows
WITH changed AS (
    UPDATE rolecall.domains o
    SET organization_id = r.organization_id, name = r.name, enrollment_mode = r.enrollment_mode,
        verification = r.verification, created_at = r.created_at, version = r.version,
        field_versions = r.field_versions, deleted_at = r.deleted_at, deleted_cause = r.deleted_cause,
        deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, changed_at = clock_timestamp()
    FROM json_populate_recordset(null::rolecall.domains, $2::json) r
    WHERE o.id = r.id
)
INSERT INTO rolecall.domains (id, organization_id, name, enrollment_mode, verification, created_at, version,
    field_versions, deleted_at, deleted_cause,
    deleted_received_at, lifted_at, changed_at)
SELECT r.id, r.organization_id, r.name, r.enrollment_mode, r.verification, r.created_at, r.version, r.field_versions,
    r.deleted_at, r.deleted_cause,
    r.deleted_received_at, r.lifted_at, clock_timestamp()
FROM json_populate_recordset(null::rolecall.domains, $1::json) r
ORDER BY r.id
ON CONFLICT (id) DO NOTHING

-- name: SaveInvitations :execrows
WITH changed AS (
    UPDATE rolecall.invitations o
    SET organization_id = r.organization_id, email = r.email, role = r.role, status = r.status,
        inviter_id = r.inviter_id, user_id = r.user_id, created_at = r.created_at, expires_at = r.expires_at,
        version = r.version, field_versions = r.field_versions, deleted_at = r.deleted_at,
        deleted_cause = r.deleted_cause,
        deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, changed_at = clock_timestamp()
    FROM json_populate_recordset(null::rolecall.invitations, $2::json) r
    WHERE o.id = r.id
)
INSERT INTO rolecall.invitations (id, organization_id, email, role, status, inviter_id, user_id, created_at,
    expires_at, version, field_versions, deleted_at, deleted_cause,
    deleted_received_at, lifted_at, changed_at)
SELECT r.id, r.organization_id, r.email, r.role, r.status, r.inviter_id, r.user_id, r.created_at, r.expires_at,
    r.version, r.field_versions, r.deleted_at, r.deleted_cause,
    r.deleted_received_at, r.lifted_at, clock_timestamp()
FROM json_populate_recordset(null::rolecall.invitations, $1::json) r
ORDER BY r.id
ON CONFLICT (id) DO NOTHING

-- name: SaveMemberships :execrows
WITH changed AS (
    UPDATE rolecall.memberships o
    SET organization_id = r.organization_id, user_id = r.user_id, role = r.role, role_name = r.role_name,
        permissions = r.permissions, created_at = r.created_at, public_metadata = (r.public_metadata #>> '{}')::json,
        version = r.version, field_versions = r.field_versions, deleted_at = r.deleted_at,
        deleted_cause = r.deleted_cause,
        deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, changed_at = clock_timestamp()
    FROM json_populate_recordset(null::rolecall.memberships, $2::json) r
    WHERE o.id = r.id
)
INSERT INTO rolecall.memberships (id, organization_id, user_id, role, role_name, permissions, created_at,
    public_metadata, version, field_versions, deleted_at, deleted_cause,
    deleted_received_at, lifted_at, changed_at)
SELECT r.id, r.organization_id, r.user_id, r.role, r.role_name, r.permissions, r.created_at,
    (r.public_metadata #>> '{}')::json, r.version, r.field_versions, r.deleted_at, r.deleted_cause,
    r.deleted_received_at, r.lifted_at, clock_timestamp()
FROM json_populate_recordset(null::rolecall.memberships, $1::json) r
ORDER BY r.id
ON CONFLICT (id) DO NOTHING

-- name: SaveOrganizations :execrows
WITH changed AS (
    UPDATE rolecall.organizations o
    SET name = r.name, slug = r.slug, image_url = r.image_url, role_set_key = r.role_set_key, created_by = r.created_by, created_at = r.created_at,
        public_metadata = (r.public_metadata #>> '{}')::json, version = r.version, field_versions = r.field_versions,
        deleted_at = r.deleted_at, deleted_cause = r.deleted_cause,
        deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, changed_at = clock_timestamp()
    FROM json_populate_recordset(null::rolecall.organizations, $2::json) r
    WHERE o.id = r.id
)
INSERT INTO rolecall.organizations (id, name, slug, image_url, role_set_key, created_by, created_at, public_metadata, version,
    field_versions, deleted_at, deleted_cause,
    deleted_received_at, lifted_at, changed_at)
SELECT r.id, r.name, r.slug, r.image_url, r.role_set_key, r.created_by, r.created_at, (r.public_metadata #>> '{}')::json, r.version,
    r.field_versions, r.deleted_at, r.deleted_cause,
    r.deleted_received_at, r.lifted_at, clock_timestamp()
FROM json_populate_recordset(null::rolecall.organizations, $1::json) r
ORDER BY r.id
ON CONFLICT (id) DO NOTHING

-- name: SavePermissions :execrows
WITH changed AS (
    UPDATE rolecall.permissions o
    SET key = r.key, name = r.name, version = r.version, field_versions = r.field_versions, deleted_at = r.deleted_at,
        deleted_cause = r.deleted_cause,
        deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, changed_at = clock_timestamp()
    FROM json_populate_recordset(null::rolecall.permissions, $2::json) r
    WHERE o.id = r.id
)
INSERT INTO rolecall.permissions (id, key, name, version, field_versions, deleted_at, deleted_cause,
    deleted_received_at, lifted_at, changed_at)
SELECT r.id, r.key, r.name, r.version, r.field_versions, r.deleted_at, r.deleted_cause,
    r.deleted_received_at, r.lifted_at, clock_timestamp()
FROM json_populate_recordset(null::rolecall.permissions, $1::json) r
ORDER BY r.id
ON CONFLICT (id) DO NOTHING

-- name: SaveRoles :execrows
WITH changed AS (
    UPDATE rolecall.roles o
    SET key = r.key, keys = r.keys, name = r.name, permission_ids = r.permission_ids, version = r.version,
        field_versions = r.field_versions, deleted_at = r.deleted_at, deleted_cause = r.deleted_cause,
        deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, changed_at = clock_timestamp()
    FROM json_populate_recordset(null::rolecall.roles, $2::json) r
    WHERE o.id = r.id
)
INSERT INTO rolecall.roles (id, key, keys, name, permission_ids, version, field_versions, deleted_at, deleted_cause,
    deleted_received_at, lifted_at, changed_at)
SELECT r.id, r.key, r.keys, r.name, r.permission_ids, r.version, r.field_versions, r.deleted_at, r.deleted_cause,
    r.deleted_received_at, r.lifted_at, clock_timestamp()
FROM json_populate_recordset(null::rolecall.roles, $1::json) r
ORDER BY r.id
ON CONFLICT (id) DO NOTHING

-- name: SaveUsers :execrows
WITH changed AS (
    UPDATE rolecall.users o
    SET identifier = r.identifier, first_name = r.first_name, last_name = r.last_name, image_url = r.image_url,
        banned = r.banned, deprovisioned = r.deprovisioned, created_at = r.created_at, version = r.version,
        field_versions = r.field_versions, deleted_at = r.deleted_at, deleted_cause = r.deleted_cause,
        deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, changed_at = clock_timestamp()
    FROM json_populate_recordset(null::rolecall.users, $2::json) r
    WHERE o.id = r.id
)
INSERT INTO rolecall.users (id, identifier, first_name, last_name, image_url, banned, deprovisioned, created_at,
    version, field_versions, deleted_at, deleted_cause,
    deleted_received_at, lifted_at, changed_at)
SELECT r.id, r.identifier, r.first_name, r.last_name, r.image_url, r.banned, r.deprovisioned, r.created_at, r.version,
    r.field_versions, r.deleted_at, r.deleted_cause,
    r.deleted_received_at, r.lifted_at, clock_timestamp()
FROM json_populate_recordset(null::rolecall.users, $1::json) r
ORDER BY r.id
ON CONFLICT (id) DO NOTHING

-- name: UserStatus :one
SELECT (deleted_at IS NOT NULL)::boolean AS dead, banned, deprovisioned FROM rolecall.users WHERE id = $1

-- name: WorkspacesOfUser :many
SELECT l.organization_id, coalesce(o.name, '')::text AS name, o.slug, l.role::text AS role,
    l.permissions::text[] AS permissions
FROM rolecall.live_members l
LEFT JOIN rolecall.organizations o ON o.id = l.organization_id
WHERE l.user_id = $1
ORDER BY l.joined_at, l.organization_id

-- name: CurrentSweep :one
SELECT id, trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, reason, progress, report FROM rolecall.sweeps WHERE state = 'running' ORDER BY id DESC LIMIT 1

-- name: FirstCleanSweep :one
SELECT id, trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, reason, progress, report FROM rolecall.sweeps WHERE state = 'clean' AND NOT dry_run AND organization_id = '' ORDER BY id LIMIT 1

-- name: LastEndedSweep :one
SELECT id, trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, reason, progress, report FROM rolecall.sweeps
WHERE state IN ('clean', 'aborted') AND NOT dry_run AND organization_id = ''
ORDER BY id DESC LIMIT 1

-- name: SweepRunning :one

SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
        AND classid = ($1::bigint >> 32)::oid AND objid = ($1::bigint & 4294967295)::oid
) AS running

-- name: AbandonSweeps :exec
UPDATE rolecall.sweeps SET state = 'abandoned', finished_at = clock_timestamp()
WHERE state = 'running' AND id <> $1 AND ($2::boolean OR organization_id <> '' OR dry_run)

-- name: AddDrift :exec
INSERT INTO rolecall.drift AS d (resource, difference, cause, count)
SELECT resource, difference, cause, count(*)
FROM (SELECT unnest($1::text[]) AS resource, unnest($2::text[]) AS difference, unnest($3::text[]) AS cause) found
GROUP BY resource, difference, cause ORDER BY resource, difference, cause
ON CONFLICT (resource, difference, cause) DO UPDATE SET count = d.count + excluded.count

-- name: Buried :many
SELECT d.id::text AS id, d.organization_id::text AS organization_id, d.user_id::text AS user_id, d.known_at::timestamptz AS known_at
FROM rolecall.dead_objects d
JOIN rolecall.sweep_seen s ON s.sweep_id = $1 AND s.resource = d.resource AND s.id = d.id
WHERE d.resource = $2 AND d.id > $3 AND d.known_at < $4::timestamptz
ORDER BY d.id LIMIT $5::integer

-- name: ChangedAfter :many
SELECT u.id FROM rolecall.users u WHERE u.id = ANY ($1::text[]) AND u.changed_at > $2
UNION ALL SELECT o.id FROM rolecall.organizations o WHERE o.id = ANY ($1) AND o.changed_at > $2
UNION ALL SELECT m.id FROM rolecall.memberships m WHERE m.id = ANY ($1) AND m.changed_at > $2
UNION ALL SELECT i.id FROM rolecall.invitations i WHERE i.id = ANY ($1) AND i.changed_at > $2
UNION ALL SELECT d.id FROM rolecall.domains d WHERE d.id = ANY ($1) AND d.changed_at > $2
UNION ALL SELECT r.id FROM rolecall.roles r WHERE r.id = ANY ($1) AND r.changed_at > $2
UNION ALL SELECT p.id FROM rolecall.permissions p WHERE p.id = ANY ($1) AND p.changed_at > $2

-- name: CountSeen :one
SELECT count(*) FROM rolecall.sweep_seen WHERE sweep_id = $1 AND resource = $2

-- name: Drift :many
SELECT resource, difference, cause, count FROM rolecall.drift ORDER BY resource, difference, cause

-- name: FinishSweep :exec
UPDATE rolecall.sweeps
SET state = $1, reason = $2, progress = $3, report = $4, updated_at = clock_timestamp(), finished_at = clock_timestamp()
WHERE id = $5

-- name: ForgetSeen :exec
DELETE FROM rolecall.sweep_seen WHERE sweep_id NOT IN (SELECT id FROM rolecall.sweeps WHERE state = 'running')

-- name: HangingOn :many
WITH hanging AS (
    SELECT o.resource, o.id FROM rolecall.live_objects o
    WHERE o.organization_id = $2 AND $2::text <> '' AND o.resource IN ('membership', 'invitation', 'domain')
        AND o.changed_at < $3
    UNION ALL
    SELECT u.resource, u.id FROM rolecall.live_objects u
    WHERE u.user_id = $4 AND $4::text <> '' AND u.resource = 'membership' AND u.changed_at < $3
)
SELECT h.resource::text AS resource, count(*) AS count
FROM hanging h
WHERE NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = $1 AND s.resource = h.resource AND s.id = h.id)
GROUP BY h.resource

-- name: InstanceOfDeliveries :one
SELECT newest.instance_id FROM (
    SELECT d.instance_id FROM rolecall.deliveries d
    WHERE d.body IS NOT NULL AND d.instance_id <> '' AND d.state IN ('applied', 'superseded')
    ORDER BY d.received_at DESC LIMIT 1000
) newest
GROUP BY newest.instance_id ORDER BY count(*) DESC, newest.instance_id LIMIT 1

-- name: InstanceOfSweeps :one
SELECT instance_id FROM rolecall.sweeps WHERE state = 'clean' AND NOT dry_run AND organization_id = '' ORDER BY id DESC LIMIT 1

-- name: LastCleanSweep :one
SELECT id, trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, reason, progress, report FROM rolecall.sweeps WHERE state = 'clean' AND NOT dry_run AND organization_id = '' ORDER BY id DESC LIMIT 1

-- name: LastDelivery :one
SELECT coalesce(
    (SELECT max(received_at) FROM rolecall.deliveries WHERE received_at > now() - interval '1 hour'),
    (SELECT max(received_at) FROM rolecall.deliveries WHERE received_at > now() - interval '2 days'),
    (SELECT received_at FROM rolecall.deliveries WHERE body IS NOT NULL ORDER BY received_at DESC LIMIT 1),
    (SELECT max(received_at) FROM rolecall.deliveries), 'epoch')::timestamptz AS received_at

-- name: LastSweep :one
SELECT id, trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, reason, progress, report FROM rolecall.sweeps WHERE NOT dry_run AND organization_id = '' ORDER BY id DESC LIMIT 1

-- name: LedgerCounts :one
SELECT (SELECT count(*) FROM rolecall.deliveries WHERE state = 'received') AS waiting,
    (SELECT count(*) FROM rolecall.deliveries WHERE state = 'quarantined') AS quarantined

-- name: MembershipsAtStake :one
WITH unseen AS (
    SELECT l.resource, l.id FROM rolecall.live_objects l
    WHERE l.resource IN ('organization', 'user', 'membership') AND l.changed_at < $2
        AND ($1::text = '' OR l.organization_id = $1)
        AND NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = $3 AND s.resource = l.resource AND s.id = l.id)
)
SELECT count(*) AS live, count(*) FILTER (
    WHERE m.id IN (SELECT u.id FROM unseen u WHERE u.resource = 'membership')
        OR m.organization_id IN (SELECT u.id FROM unseen u WHERE u.resource = 'organization')
        OR m.user_id IN (SELECT u.id FROM unseen u WHERE u.resource = 'user')) AS at_stake
FROM rolecall.live_objects m
WHERE m.resource = 'membership' AND ($1::text = '' OR m.organization_id = $1)

-- name: Now :one

SELECT clock_timestamp()::timestamptz AS now

-- name: PlanForManyRows :exec
SELECT set_config('enable_nestloop', 'off', true)

-- name: SaveSweep :exec
UPDATE rolecall.sweeps SET progress = $1, report = $2, updated_at = clock_timestamp() WHERE id = $3

-- name: See :execrows
INSERT INTO rolecall.sweep_seen (sweep_id, resource, id)
SELECT $1, $2, unnest($3::text[])
ON CONFLICT DO NOTHING

-- name: StartSweep :one
INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, state, progress, report)
VALUES ($1, $2, $3, $4, clock_timestamp(), clock_timestamp(), 'running', $5, $6)
RETURNING id, trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, reason, progress, report

-- name: TryLockSweeps :one
SELECT pg_try_advisory_lock($1::bigint) AS locked

-- name: Unapplied :many
SELECT w.object_id, w.state FROM rolecall.deliveries w WHERE w.state = 'received' AND w.object_id = ANY ($1::text[])
UNION SELECT q.object_id, q.state FROM rolecall.deliveries q WHERE q.state = 'quarantined' AND q.object_id = ANY ($1)

-- name: UnfinishedSweep :one
SELECT id, trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, reason, progress, report FROM rolecall.sweeps
WHERE state = 'running' AND organization_id = '' AND NOT dry_run AND updated_at > $1 AND started_at > $2
ORDER BY id DESC LIMIT 1

-- name: UnlockSweeps :exec
SELECT pg_advisory_unlock($1::bigint)

-- name: Unseen :many
SELECT l.id::text AS id, l.organization_id::text AS organization_id, l.user_id::text AS user_id
FROM rolecall.live_objects l
WHERE l.resource = $1 AND l.id > $2 AND l.changed_at < $3
    AND ($4::text = '' OR l.organization_id = $4)
    AND NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = $5 AND s.resource = l.resource AND s.id = l.id)
ORDER BY l.id LIMIT $6::integer

-- name: Verify :exec
INSERT INTO rolecall.revisions AS r (organization_id, revision, verified_at)
VALUES ('', 0, $1::timestamptz)
ON CONFLICT (organization_id) DO UPDATE SET verified_at = greatest(r.verified_at, excluded.verified_at)

-- name: Members :many
SELECT id, user_id, role::text AS role, role_name, identifier, first_name, last_name, joined_at
FROM rolecall.live_members
WHERE organization_id = $1 AND (joined_at, id) > ($2::timestamptz, $3::text)
ORDER BY joined_at, id
LIMIT $4::integer

-- name: Workspace :one
SELECT $1::text AS id, coalesce(o.name, '')::text AS name, o.slug, o.image_url, o.created_at, o.created_by,
    (SELECT count(*) FROM rolecall.current_memberships l WHERE l.organization_id = $1) AS member_count
FROM (SELECT 1) one
LEFT JOIN rolecall.organizations o ON o.id = $1
WHERE o.deleted_at IS NULL
    AND (o.id IS NOT NULL OR EXISTS (SELECT FROM rolecall.memberships m WHERE m.organization_id = $1))
