-- name: Workspace :one
-- A live organization. If the mirror knows only a member of it, it counts as well, without a name.
SELECT @id::text AS id, coalesce(o.name, '')::text AS name, o.slug, o.image_url, o.created_at, o.created_by,
    coalesce((SELECT c.members FROM rolecall.member_counts c WHERE c.organization_id = @id), 0)::bigint AS member_count
FROM (SELECT 1) one
LEFT JOIN rolecall.organizations o ON o.id = @id
WHERE o.deleted_at IS NULL
    AND (o.id IS NOT NULL OR EXISTS (SELECT FROM rolecall.memberships m WHERE m.organization_id = @id));

-- name: WorkspacesBySlug :many
-- At most two live organizations with a slug: two are as many as a caller needs to see that it isn't one.
SELECT o.id FROM rolecall.organizations o
WHERE o.slug = @slug AND o.deleted_at IS NULL AND octet_length(o.slug) < 64
LIMIT 2;

-- name: Members :many
-- One page of an organization's live members in the order of joining, after the given position.
-- Roles are worked out for the page alone.
SELECT p.id, p.user_id, m.role::text AS role, m.role_name, u.identifier, u.first_name, u.last_name, p.joined_at
FROM (
    SELECT l.id, l.user_id, l.joined_at FROM rolecall.current_memberships l
    WHERE l.organization_id = @organization_id AND (l.joined_at, l.id) > (@after_joined_at::timestamptz, @after_id::text)
    ORDER BY l.joined_at, l.id
    LIMIT @page_size::integer
) p
JOIN rolecall.effective_memberships m ON m.id = p.id
LEFT JOIN rolecall.users u ON u.id = p.user_id
ORDER BY p.joined_at, p.id;
