-- The workspaces that need a person's attention.

-- name: NeedsEvidence :one
-- How far the mirror can be believed. A sweep of one organization counts while it runs. 'epoch' stands for never. A replayed delivery
-- counts from its receipt: an index finds the oldest one, however many wait.
SELECT clock_timestamp()::timestamptz AS now, coalesce(clean.started_at, 'epoch')::timestamptz AS clean_since,
    coalesce((
        SELECT min(s.started_at) FROM rolecall.sweeps s
        WHERE s.id > coalesce(clean.id, 0) AND s.state <> 'clean' AND NOT s.dry_run AND (s.organization_id = '' OR s.state = 'running')
    ), 'epoch')::timestamptz AS unclean_since,
    coalesce((SELECT min(d.received_at) FROM rolecall.deliveries d WHERE d.state = 'received'), 'epoch')::timestamptz AS waiting_since,
    coalesce((SELECT i.changed_at FROM rolecall.database_identity i), 'epoch')::timestamptz AS database_changed_at,
    EXISTS (SELECT FROM rolecall.policy_reading)::boolean AS policy_saved
FROM (SELECT 1) one
LEFT JOIN LATERAL (
    SELECT s.id, s.started_at FROM rolecall.sweeps s
    WHERE s.state = 'clean' AND NOT s.dry_run AND s.organization_id = '' ORDER BY s.id DESC LIMIT 1
) clean ON true;

-- name: Rules :one
-- What members' decisions follow from, with its stamp: the roles, and the policy.
SELECT (SELECT s.stamp FROM rolecall.rules_stamp s)::text AS stamp, coalesce(rolecall.role_keys(), '[]')::json AS roles,
    coalesce((SELECT json_agg(json_build_array(g.role, g.permission)) FROM rolecall.grants g), '[]')::json AS grants;

-- name: NextWorkspaces :many
-- The live workspaces after a position that are old enough to be judged, with their members.
SELECT o.id, coalesce(c.members, 0)::bigint AS members
FROM rolecall.organizations o
LEFT JOIN rolecall.member_counts c ON c.organization_id = o.id
WHERE o.id > @after AND o.deleted_at IS NULL AND o.created_at < @created_before::timestamptz
ORDER BY o.id LIMIT @page_size::integer;

-- name: Rosters :many
-- What the needs of live workspaces depend on, as of one moment, which also has the stamp of the rules. Members who may act are
-- grouped by role. Those are left out of whose role's key is plain: the caller knows that it neither lets manage members nor grants
-- nothing. Of keys that no role ever had, the membership's own permissions count. Of keys that several roles had, it counts when the
-- membership got its role. Where Clerk limits the memberships, those of accounts that may not act are counted, too, as Clerk does.
SELECT o.id, o.name, o.slug, coalesce(o.max_memberships, 0)::bigint AS max_memberships, o.created_at, coalesce(c.members, 0)::bigint AS members,
    (CASE WHEN o.max_memberships > 0 THEN coalesce(c.members, 0) + refused.members ELSE 0 END)::bigint AS seats,
    coalesce(acting.groups, '[]')::json AS groups, invited.expired::bigint AS expired_invitations,
    (SELECT s.stamp FROM rolecall.rules_stamp s)::text AS stamp
FROM rolecall.organizations o
LEFT JOIN rolecall.member_counts c ON c.organization_id = o.id
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_object('role', g.role, 'permissions', g.permissions, 'version', g.version, 'members', g.members)) AS groups
    FROM (
        SELECT m.role, CASE WHEN m.role <> ALL (@named::text[]) THEN m.permissions END AS permissions,
            CASE WHEN m.role = ANY (@shared::text[]) THEN coalesce(m.field_versions -> 'role', m.version)::jsonb END AS version,
            count(*) AS members
        FROM rolecall.memberships m
        LEFT JOIN LATERAL (SELECT u.deleted_at, u.banned, u.deprovisioned FROM rolecall.users u WHERE u.id = m.user_id OFFSET 0) u ON true
        WHERE m.organization_id = o.id AND m.deleted_at IS NULL AND NOT m.followed AND m.role <> ALL (@plain::text[])
            AND u.deleted_at IS NULL AND u.banned IS NOT TRUE AND u.deprovisioned IS NOT TRUE
        GROUP BY 1, 2, 3
    ) g
) acting
CROSS JOIN LATERAL (
    SELECT count(*) AS members FROM rolecall.memberships m
    JOIN LATERAL (SELECT a.deleted_at, a.banned, a.deprovisioned FROM rolecall.users a WHERE a.id = m.user_id OFFSET 0) u ON true
    WHERE o.max_memberships > 0 AND m.organization_id = o.id AND m.deleted_at IS NULL AND NOT m.followed
        -- Mostly no account is refused. This condition, which Postgres looks at once, then spares the reading of all accounts.
        AND coalesce(c.members, 0) < (
            SELECT count(*) FROM rolecall.memberships present
            WHERE present.organization_id = o.id AND present.deleted_at IS NULL AND NOT present.followed
        )
        AND u.deleted_at IS NULL AND (u.banned OR u.deprovisioned)
) refused
CROSS JOIN LATERAL (
    SELECT count(*) AS expired
    FROM (
        SELECT DISTINCT ON (lower(i.email)) i.status, i.expires_at FROM rolecall.invitations i
        WHERE i.organization_id = o.id AND i.deleted_at IS NULL
        ORDER BY lower(i.email), i.created_at DESC, i.id DESC
    ) newest
    WHERE newest.status IN ('pending', 'expired') AND newest.expires_at <= now() AND newest.expires_at > @expired_after::timestamptz
) invited
WHERE o.id = ANY (@ids::text[]) AND o.deleted_at IS NULL
ORDER BY o.id;

-- name: Sizes :many
-- Live workspaces with what is known of them without reading their members.
SELECT o.id, o.name, o.slug, coalesce(o.max_memberships, 0)::bigint AS max_memberships, o.created_at, coalesce(c.members, 0)::bigint AS members
FROM rolecall.organizations o
LEFT JOIN rolecall.member_counts c ON c.organization_id = o.id
WHERE o.id = ANY (@ids::text[]) AND o.deleted_at IS NULL
ORDER BY members, o.id;

-- name: NeedsRound :one
SELECT began_at, position, ended_at, counts, (next_at <= clock_timestamp())::boolean AS due FROM rolecall.needs_round;

-- name: BeginNeedsRound :exec
UPDATE rolecall.needs_round SET began_at = clock_timestamp(), position = '', worked = '0' WHERE began_at IS NULL;

-- name: AdvanceNeedsRound :execrows
-- Moves the round on, unless another process has done so.
UPDATE rolecall.needs_round SET position = @until, worked = worked + make_interval(secs => @worked_seconds::float8)
WHERE began_at IS NOT NULL AND position = @after;

-- name: SaveNeeds :exec
-- Records what was found among the workspaces after one position, up to another or to the end.
WITH found AS (
    SELECT unnest(@organization_ids::text[]) AS organization_id, unnest(@needs::text[]) AS need, unnest(@members::bigint[]) AS members
), gone AS (
    DELETE FROM rolecall.needs n
    WHERE n.organization_id > @after AND (@to_the_end::boolean OR n.organization_id <= @until)
        AND NOT EXISTS (SELECT FROM found f WHERE f.organization_id = n.organization_id AND f.need = n.need)
)
INSERT INTO rolecall.needs AS n (organization_id, need, since, settled, members)
SELECT f.organization_id, f.need, clock_timestamp(), false, f.members FROM found f
ON CONFLICT (organization_id, need) DO UPDATE
SET members = excluded.members, settled = n.settled OR n.since < @settled_before::timestamptz
WHERE n.members <> excluded.members OR NOT n.settled AND n.since < @settled_before;

-- name: EndNeedsRound :exec
-- Ends the round. The next one begins when the database has rested for @rest times what this one took, and for @least_seconds at least.
UPDATE rolecall.needs_round SET began_at = NULL, position = '', ended_at = clock_timestamp(),
    next_at = clock_timestamp() + greatest(make_interval(secs => @least_seconds::float8), worked * @rest::float8),
    counts = (
        SELECT coalesce(json_object_agg(c.need, c.workspaces), '{}')
        FROM (SELECT n.need, count(*) AS workspaces FROM rolecall.needs n WHERE n.settled GROUP BY n.need) c
    );

-- name: SettledNeeds :many
-- One page of the settled findings of a need, the largest workspaces first, after the given position.
SELECT n.organization_id, n.members, n.since
FROM rolecall.needs n
WHERE n.need = @need AND n.settled
    AND (n.members < @after_members::bigint OR n.members = @after_members AND n.organization_id > @after_id::text)
ORDER BY n.members DESC, n.organization_id LIMIT @page_size::integer;

-- name: NeedsOf :many
SELECT n.organization_id, n.need, n.since FROM rolecall.needs n WHERE n.organization_id = ANY (@ids::text[]) AND n.settled;
