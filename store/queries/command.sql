-- Commands and their idempotency keys. A key counts for 24 hours, as clients of such interfaces
-- expect. A command runs for less than 20 s (see commandTimeout of package command): one that is
-- open for longer has lost its process. Changes are attributed to an open command for ten minutes.
-- A webhook that comes later is one of Clerk's retries, and a sweep has shown the change before it.

-- name: AddCommand :one
-- Returns when it was tried. No row: another command has the key.
INSERT INTO rolecall.commands (id, actor, action, organization_id, target, outcome, state, key, request, sent_at, last_sent_at, impersonator, request_id)
VALUES (@id, @actor, @action, @organization_id, @target, @outcome, 'begun', @key, @request, NULL, NULL, nullif(@impersonator::text, ''),
    nullif(@request_id::text, ''))
ON CONFLICT (key) DO NOTHING
RETURNING tried_at;

-- name: ForgetKey :exec
-- Frees a key that was used too long ago to count.
DELETE FROM rolecall.commands
WHERE key = @key::bytea AND begun_at < clock_timestamp() - interval '24 hours'
    AND NOT (state = 'begun' AND tried_at > clock_timestamp() - interval '20 seconds'); -- a repeat that runs

-- name: LockCommand :one
SELECT id, state, organization_id, target, request, answer, begun_at, sent_at, (audited_at IS NOT NULL)::boolean AS audited,
    (clock_timestamp() - tried_at < interval '20 seconds')::boolean AS recent
FROM rolecall.commands WHERE key = @key::bytea FOR UPDATE;

-- name: OwnCommand :one
-- Whether the key stands for the same request of an actor about themselves, the command is done or
-- has taken effect, and it made the newest change of the actor's membership. If another change came
-- later, the command no longer explains why the actor may not ask.
SELECT EXISTS (
    SELECT FROM rolecall.commands c
    CROSS JOIN LATERAL (
        SELECT l.actor, l.action, l.after ->> 'role' AS role FROM rolecall.audit_log l
        WHERE l.organization_id = c.organization_id AND l.target = c.target
            AND l.action IN ('member.joined', 'member.role_changed', 'member.removed', 'member.left')
        ORDER BY l.seq DESC LIMIT 1
    ) newest
    WHERE c.key = @key::bytea AND c.request = @request::bytea AND c.actor = @actor AND c.target = c.actor
        AND (c.state = 'done' OR c.state IN ('begun', 'unknown') AND c.audited_at IS NOT NULL)
        AND c.begun_at > clock_timestamp() - interval '24 hours'
        AND newest.actor = c.actor AND (
            c.action = 'member.removed' AND newest.action = 'member.left'
            OR c.action = 'member.role_changed' AND newest.action = c.action AND newest.role = c.outcome)
)::boolean;

-- name: TryCommandAgain :one
-- Returns when it was tried. NameCommand and EndCommand know a try by this instant, so that a try
-- that outlives its time doesn't end the next one. A failed command begins anew, without the change
-- that was attributed to it: another actor made that change. A change that is attributed to an
-- earlier try keeps the request of that try.
UPDATE rolecall.commands
SET state = 'begun', tried_at = clock_timestamp(), shown_by = CASE WHEN state <> 'failed' THEN shown_by END,
    request_id = CASE WHEN state = 'failed' OR audited_at IS NULL THEN nullif(@request_id::text, '') ELSE request_id END, audited_at = CASE WHEN state <> 'failed' THEN audited_at END,
    sent_at = CASE WHEN state <> 'failed' THEN sent_at END, last_sent_at = CASE WHEN state <> 'failed' THEN last_sent_at END,
    organization_id = CASE WHEN state = 'failed' AND action = 'workspace.created' THEN '' ELSE organization_id END,
    target = CASE WHEN state = 'failed' AND action IN ('workspace.created', 'invitation.sent') THEN '' ELSE target END
WHERE id = @id RETURNING tried_at;

-- name: SendCommand :execrows
-- The command is sent to Clerk now. No row: a later try has begun.
UPDATE rolecall.commands SET sent_at = coalesce(sent_at, clock_timestamp()), last_sent_at = clock_timestamp()
WHERE id = @id AND tried_at = @tried_at;

-- name: NameCommand :exec
-- Records the ids of what Clerk made.
UPDATE rolecall.commands SET organization_id = @organization_id, target = @target WHERE id = @id AND tried_at = @tried_at;

-- name: EndCommand :exec
UPDATE rolecall.commands SET state = @state, answer = @answer WHERE id = @id AND tried_at = @tried_at;

-- name: OpenCommands :many
-- Locks and returns the commands that may have made changes, and the one that is being recorded.
-- Those under way come first, then those with an unknown outcome, each the oldest first. One change
-- is attributed to each. The creator of a workspace also joins it, perhaps a moment after the
-- command is done. A creation whose workspace isn't known yet may have made any workspace that is
-- as young as the command, give or take the difference of the clocks. A command that wasn't sent to
-- Clerk made no change.
SELECT open.id, open.actor, open.action, coalesce(nullif(open.organization_id, ''), young.id, '')::text AS organization_id, open.target,
    open.outcome, open.audited, coalesce(open.impersonator, '')::text AS impersonator
FROM (
    SELECT id, actor, impersonator, action, organization_id, target, outcome, coalesce(sent_at, begun_at) AS sent_at, state, (audited_at IS NOT NULL)::boolean AS audited
    FROM rolecall.commands
    WHERE id = @recorded::text OR last_sent_at > clock_timestamp() - interval '10 minutes' AND (
        state IN ('begun', 'unknown') AND (
            organization_id = ANY (@organization_ids::text[]) AND action = ANY (@actions::text[])
                AND (target = ANY (@targets::text[]) OR target = '') AND audited_at IS NULL
            OR (organization_id = '' OR organization_id = ANY (@organization_ids)) AND action = 'workspace.created' AND actor = ANY (@creators::text[]))
        OR state = 'done' AND organization_id = ANY (@organization_ids) AND action = 'workspace.created' AND actor = ANY (@creators)
            AND NOT EXISTS (SELECT FROM rolecall.audit_log l
                WHERE l.organization_id = commands.organization_id AND l.action = 'member.joined' AND l.target = commands.actor))
    ORDER BY id
    FOR UPDATE
) open
LEFT JOIN rolecall.organizations young
    ON open.organization_id = '' AND young.id = ANY (@organization_ids) AND young.created_at > open.sent_at - interval '1 minute'
ORDER BY open.state = 'unknown', open.sent_at, open.id;

-- name: MadeByAnother :one
-- Whether another command made an organization.
SELECT EXISTS (
    SELECT FROM rolecall.commands WHERE organization_id = @organization_id AND action = 'workspace.created' AND state <> 'failed' AND id <> @id
)::boolean;

-- name: MarkAudited :exec
-- Records that changes are attributed to the commands, and the ids of what the commands made.
UPDATE rolecall.commands c SET audited_at = clock_timestamp(), organization_id = s.organization_id, target = s.target, shown_by = nullif(s.cause, c.id)
FROM (SELECT unnest(@ids::text[]) AS id, unnest(@organization_ids::text[]) AS organization_id, unnest(@targets::text[]) AS target,
    unnest(@causes::text[]) AS cause) s
WHERE c.id = s.id;

-- name: RequestsOfChanges :many
-- The requests of the commands that made changes, by the causes of the changes' audit entries.
SELECT coalesce(shown_by, id)::text AS cause, organization_id, target, action, request_id::text AS request_id
FROM rolecall.commands
WHERE request_id IS NOT NULL AND (id = ANY (@causes::text[]) AND shown_by IS NULL OR shown_by = ANY (@causes));

-- name: PruneCommands :execrows
DELETE FROM rolecall.commands
WHERE id IN (
    SELECT old.id FROM rolecall.commands old
    WHERE old.begun_at < clock_timestamp() - make_interval(secs => @seconds::float8)
        AND NOT (old.state = 'begun' AND old.tried_at > clock_timestamp() - interval '20 seconds')
    ORDER BY old.begun_at LIMIT @batch::integer FOR UPDATE SKIP LOCKED
);

-- name: RoleKeys :many
-- The keys of Clerk's roles.
SELECT key FROM rolecall.roles WHERE deleted_at IS NULL AND key <> '' ORDER BY key;

-- name: EveryRoleKey :many
-- The keys that Clerk's roles have or had, deleted ones included, and those of the policy.
SELECT keys.key::text AS key FROM (
    SELECT r.key FROM rolecall.roles r
    UNION
    SELECT jsonb_object_keys(r.keys) FROM rolecall.roles r
    UNION
    SELECT g.role FROM rolecall.grants g
) keys
WHERE keys.key <> '' ORDER BY keys.key;

-- name: MembershipOfPair :one
-- The membership of a user in an organization that counts, even if it has ended or the user is
-- banned.
SELECT m.id, (m.deleted_at IS NOT NULL)::boolean AS dead, m.user_id, m.role::text AS role, m.role_name, m.created_at AS joined_at,
    u.identifier, u.first_name, u.last_name
FROM rolecall.effective_memberships m
LEFT JOIN rolecall.users u ON u.id = m.user_id
WHERE m.organization_id = @organization_id AND m.user_id = @user_id
ORDER BY m.counts DESC, m.created_at DESC, m.deleted_at IS NULL DESC, m.id DESC
LIMIT 1;

-- name: Invitation :one
SELECT i.id, i.email, i.role,
    (CASE WHEN i.status = 'pending' AND i.expires_at <= now() THEN 'expired' ELSE i.status END)::text AS status,
    i.inviter_id, i.created_at, i.expires_at
FROM rolecall.invitations i
WHERE i.id = @id;
