-- The policy, for the SQL functions rolecall.can and rolecall.workspaces_of.

-- name: Grants :many
SELECT role, permission FROM rolecall.grants ORDER BY role, permission;

-- name: SavePolicyReading :execrows
-- Saves when the policy was read, unless the policy in the table was read later. The saver locks
-- the row: other savers wait for it, and readers of the grants don't. An instant in the future
-- doesn't count: the clock was set back since.
INSERT INTO rolecall.policy_reading AS last (read_at) VALUES (clock_timestamp() - make_interval(secs => @age_seconds::float8))
ON CONFLICT (one) DO UPDATE SET read_at = excluded.read_at
WHERE last.read_at <= excluded.read_at OR last.read_at > clock_timestamp();

-- name: DeleteGrants :exec
DELETE FROM rolecall.grants;

-- name: InsertGrants :exec
INSERT INTO rolecall.grants (role, permission)
SELECT DISTINCT unnest(@roles::text[]), unnest(@permissions::text[]);

-- name: LeftWithoutManager :many
-- One page of the workspaces, after the given one, in which some member who may act has a role of one set, and none has one of another
-- set. @lost_keys and @kept_keys are the roles' present keys; @lost and @kept are the keys that memberships may have for them. Of keys
-- that several roles had (@shared), it is worked out for each membership which role has it.
SELECT l.organization_id, coalesce(o.name, '')::text AS name, o.slug, coalesce(c.members, 0)::bigint AS members
FROM (
    SELECT m.organization_id
    FROM rolecall.memberships m
    LEFT JOIN rolecall.users u ON u.id = m.user_id
    LEFT JOIN rolecall.organizations gone ON gone.id = m.organization_id AND gone.deleted_at IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT e.role FROM rolecall.effective_memberships e WHERE m.role = ANY (@shared::text[]) AND e.id = m.id OFFSET 0
    ) e ON true
    WHERE m.organization_id > @after::text AND m.deleted_at IS NULL AND NOT m.followed
        AND (m.role = ANY (@lost::text[]) OR m.role = ANY (@kept::text[]) OR m.role = ANY (@shared))
        AND u.deleted_at IS NULL AND u.banned IS NOT TRUE AND u.deprovisioned IS NOT TRUE AND gone.id IS NULL
    GROUP BY m.organization_id
    HAVING bool_or(m.role = ANY (@lost) OR e.role = ANY (@lost_keys::text[]))
        AND NOT bool_or(m.role = ANY (@kept) OR coalesce(e.role = ANY (@kept_keys::text[]), false))
    ORDER BY m.organization_id
    LIMIT @page_size::integer
) l
LEFT JOIN rolecall.organizations o ON o.id = l.organization_id
LEFT JOIN rolecall.member_counts c ON c.organization_id = l.organization_id
ORDER BY l.organization_id;

-- name: HoldersByRole :many
-- How many members who may act have each role of some keys. Of keys that no role ever had, the membership's own permissions count. Of
-- keys that several roles had (@shared), it is worked out for each membership which role has it.
SELECT coalesce(e.role, m.role)::text AS role,
    (CASE WHEN e.role IS NOT NULL THEN e.permissions WHEN m.role <> ALL (@named::text[]) THEN m.permissions END)::text[] AS permissions,
    (e.role IS NOT NULL)::boolean AS worked_out, count(*) AS members
FROM rolecall.memberships m
LEFT JOIN rolecall.users u ON u.id = m.user_id
LEFT JOIN rolecall.organizations gone ON gone.id = m.organization_id AND gone.deleted_at IS NOT NULL
LEFT JOIN LATERAL (
    SELECT e.role, e.permissions FROM rolecall.effective_memberships e WHERE m.role = ANY (@shared::text[]) AND e.id = m.id OFFSET 0
) e ON true
WHERE m.deleted_at IS NULL AND NOT m.followed AND m.role = ANY (@keys::text[])
    AND u.deleted_at IS NULL AND u.banned IS NOT TRUE AND u.deprovisioned IS NOT TRUE AND gone.id IS NULL
GROUP BY 1, 2, 3;

-- name: HoldersOfRoles :many
-- One page of the members who may act and whose memberships have one of some keys of roles, after the given workspace and user, each
-- with role and permissions as HoldersByRole says them.
SELECT m.organization_id, coalesce(o.name, '')::text AS workspace_name, m.user_id, u.identifier, coalesce(e.role, m.role)::text AS role,
    (CASE WHEN e.role IS NOT NULL THEN e.permissions WHEN m.role <> ALL (@named::text[]) THEN m.permissions END)::text[] AS permissions,
    (e.role IS NOT NULL)::boolean AS worked_out
FROM rolecall.memberships m
LEFT JOIN rolecall.users u ON u.id = m.user_id
LEFT JOIN rolecall.organizations o ON o.id = m.organization_id
LEFT JOIN LATERAL (
    SELECT e.role, e.permissions FROM rolecall.effective_memberships e WHERE m.role = ANY (@shared::text[]) AND e.id = m.id OFFSET 0
) e ON true
WHERE (m.organization_id, m.user_id) > (@after_organization::text, @after_user::text)
    AND m.deleted_at IS NULL AND NOT m.followed AND m.role = ANY (@keys::text[])
    AND u.deleted_at IS NULL AND u.banned IS NOT TRUE AND u.deprovisioned IS NOT TRUE AND o.deleted_at IS NULL
ORDER BY m.organization_id, m.user_id
LIMIT @page_size::integer;
