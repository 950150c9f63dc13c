-- name: HoldersIn :many
-- One page of an organization's current memberships whose roles may give a permission, in the order of joining, after the given
-- position. Those are at least all that give it: the caller decides. A role may give it if the policy says so of its key (@roles),
-- or if Clerk's permissions have it; a membership may name any key that the role ever had.
SELECT m.user_id, m.created_at, m.id
FROM rolecall.memberships m
WHERE m.organization_id = @organization_id AND m.deleted_at IS NULL AND NOT m.followed
    AND (m.created_at, m.id) > (@after_joined_at::timestamptz, @after_id::text)
    AND (m.role = ANY (@roles::text[]) OR @permission::text = ANY (m.permissions) OR m.role IN (
        SELECT named.key FROM rolecall.roles r, jsonb_each(r.keys) named
        WHERE r.key = ANY (@roles::text[])
            OR EXISTS (SELECT FROM rolecall.permissions p WHERE p.id = ANY (r.permission_ids) AND p.key = @permission::text)
    ))
ORDER BY m.created_at, m.id
LIMIT @page_size::integer;

-- name: HoldingsOf :many
-- One page of a user's current memberships whose roles may give a permission, as HoldersIn selects them, oldest first. The user's own
-- rows are sorted first.
SELECT m.organization_id, m.created_at
FROM rolecall.memberships m
WHERE m.user_id = @user_id AND m.deleted_at IS NULL AND NOT m.followed
    AND (m.created_at, m.organization_id) > (@after_joined_at::timestamptz, @after_id::text)
    AND (m.role = ANY (@roles::text[]) OR @permission::text = ANY (m.permissions) OR m.role IN (
        SELECT named.key FROM rolecall.roles r, jsonb_each(r.keys) named
        WHERE r.key = ANY (@roles::text[])
            OR EXISTS (SELECT FROM rolecall.permissions p WHERE p.id = ANY (r.permission_ids) AND p.key = @permission::text)
    ))
ORDER BY m.created_at, m.organization_id
LIMIT @page_size::integer;
