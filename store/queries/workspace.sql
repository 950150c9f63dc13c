-- name: Workspace :one
-- A live organization. If the mirror knows only a member of it, it counts as well, without a name.
SELECT @id::text AS id, coalesce(o.name, '')::text AS name, o.slug, o.image_url, o.created_at, o.created_by,
    (SELECT count(*) FROM rolecall.current_memberships l WHERE l.organization_id = @id) AS member_count
FROM (SELECT 1) one
LEFT JOIN rolecall.organizations o ON o.id = @id
WHERE o.deleted_at IS NULL
    AND (o.id IS NOT NULL OR EXISTS (SELECT FROM rolecall.memberships m WHERE m.organization_id = @id));

-- name: Members :many
-- One page of an organization's live members in the order of joining, after the given position.
SELECT id, user_id, role::text AS role, role_name, identifier, first_name, last_name, joined_at
FROM rolecall.live_members
WHERE organization_id = @organization_id AND (joined_at, id) > (@after_joined_at::timestamptz, @after_id::text)
ORDER BY joined_at, id
LIMIT @page_size::integer;
